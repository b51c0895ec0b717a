#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the hand-made part of tests/fuzz/corpus/vsock/.

Usage: make-vsock-corpus.py CORPUS-FOLDER

Each input is a script in the language of fuzz_vsock.c, a scenario that the
fuzzer starts from. What it found is added to the folder by hand, as
"found-...".
"""
import os
import struct
import sys

STEPS = ("register probe memory descriptor avail wanted post_rx post_event "
         "send kick host policy reload turn idle serve take connect advance "
         "running").split()
RX, TX, EVENT = 0, 1, 2
REQUEST, RESPONSE, RST, SHUTDOWN, RW, UPDATE, ASK = range(1, 8)
READABLE, EOF, READ_ERROR, HANGUP, WRITABLE, BROKEN, ABORT, ACCEPT = range(8)
STATUS, NOTIFY, SEL, READY, CONFIG = 0x70, 0x50, 0x30, 0x44, 0x100
DRIVER_GPA = 0x90
REFUSE, ACCEPTED, LATER = 0, 1, 2
EVENT_IDX, INDIRECT = 1, 2
TIGHT = 0x80
# Seqpacket: guest's and host's connects, EOM and EOR of packets, a host's EOR.
SEQ, SEQ_HOST, EOM, EOR, HOST_EOR = 0x40, 0x80, 1, 2, 8


def code(length):
    """A length as fuzz_vsock.c reads it: the next it can say."""
    if length < 192:
        return length
    return 255 if length > 63 * 1100 else min(254, 191 + -(-length // 1100))


class Script:
    def __init__(self, buf_shift=12, conns=63, tight=False):
        self.data = bytes([buf_shift, conns | (TIGHT if tight else 0)])

    def step(self, name, *args):
        self.data += bytes([STEPS.index(name), *args])
        return self

    def write(self, offset, value):
        return self.step("register", offset // 4, 0x80,
                         *struct.pack("<I", value))

    def read(self, offset, width=4):
        return self.step("register", offset // 4,
                         0x60 | width.bit_length() - 1)

    def probe(self, features=EVENT_IDX | INDIRECT, log2=8, types=0):
        return self.step("probe", features | types << 2, log2)

    def rx(self, count=8, length=1100, shape=0):
        return self.step("post_rx", 16 - count << 4 | shape, code(length))

    def events(self, count=8):
        self.step("post_event", count - 1 << 4)
        return self.kick(EVENT)

    def kick(self, queue, ioeventfd=False):
        return self.step("kick", queue | (0x10 if ioeventfd else 0))

    def send(self, op, sock=0, length=None, flags=None, shape=3, new=None,
             wrong=0, wrong_args=b"", claim=None):
        how = shape
        tail = b""
        if length is not None:
            how |= 8
            tail += bytes([code(length)])
        if flags is not None:
            how |= 0x10
            tail += bytes([flags])
        tail += wrong_args
        if claim is not None:
            how |= 0x20
            tail += struct.pack("<I", claim)
        which = bytes([sock])
        if new:
            which = bytes([0x80 | new[1], new[0]])
        self.data += bytes([STEPS.index("send"), op | wrong, how]) + which
        self.data += tail
        return self

    def go(self):
        return self.kick(TX, True).step("idle")

    def serve(self):
        return self.step("serve").kick(TX).step("idle")

    def host(self, what, length=0, conn=0):
        return self.step("host", conn << 4 | what, code(length))

    def chain(self, queue, where, length, flags, at=0, head=0):
        """One descriptor, made available; where: see address()."""
        how = next(h for h in range(0x20, 0x28) if h % 3 == queue)
        return self.step("descriptor", how, head, at // 4 & 255, at // 1024,
                         where, code(length), flags, 0)

    def live(self, **kw):
        self.probe(**kw).rx().events().step("idle")
        return self

    def by_host(self, port=80, seq=False):
        return (self.step("connect", port | (SEQ_HOST if seq else 0))
                .step("idle").serve())

    def by_guest(self, port=7, sock=9, seq=False):
        return (self.send(REQUEST, new=(port, sock | (SEQ if seq else 0)))
                .go().serve())

    def part(self, length, flags=0):
        return self.send(RW, length=length, flags=flags)

    def reload(self, cid=3, drain=True):
        return self.step("reload", 1 | (0 if cid == 3 else 2) |
                         (4 if drain else 0))


def scenarios():
    both = dict(host=lambda: Script().live().by_host(),
                guest=lambda: Script().live().by_guest())
    yield "probe", Script().live()
    yield "probe-plain", Script().live(features=0)
    yield "probe-small", Script().live(log2=0).by_guest()
    yield "probe-types", Script().live(types=7).by_guest()
    for who, start in both.items():
        yield who + "-echo", (start().send(RW, length=100).go()
                              .host(READABLE, 100).step("idle").serve())
        yield who + "-stream", (start()
                                .host(READABLE, 60000).step("idle")
                                .serve().rx().kick(RX).serve().rx().serve())
        yield who + "-guest-closes", (start().send(RW, length=1000)
                                      .send(SHUTDOWN, flags=3).go().serve())
        yield who + "-host-closes", (start().host(READABLE, 10)
                                     .host(HANGUP).step("idle").serve())
        yield who + "-half-closes", (start().host(EOF).step("idle").serve()
                                     .send(RW, length=50)
                                     .send(SHUTDOWN, flags=2).go().serve())
        yield who + "-slow-host", (start().host(WRITABLE, 10)
                                   .send(RW, length=1000).go()
                                   .host(WRITABLE, 100).host(WRITABLE, 5000)
                                   .step("idle").serve())
        yield who + "-lingers", (start().host(WRITABLE, 10)
                                 .send(RW, length=1000)
                                 .send(SHUTDOWN, flags=3).go()
                                 .host(WRITABLE, 10).host(WRITABLE, 5000))
        yield who + "-broken-pipe", (start().host(BROKEN)
                                     .send(RW, length=10).go().serve())
        yield who + "-read-error", start().host(READ_ERROR).step("idle")
        yield who + "-rst", start().send(RST).go()
        yield who + "-abort", start().host(ABORT).step("idle").serve()
        yield who + "-restored", (start().reload().step("idle").serve()
                                  .step("idle").rx().by_guest().by_host())
        yield who + "-reset", (start().write(STATUS, 0).step("idle")
                               .live().by_guest())
        yield who + "-paused", (start().step("running", 0)
                                .host(READABLE, 99).send(RW, length=9).go()
                                .step("running", 1).step("idle").serve())
        yield who + "-credit-taken-back", (
            start().send(UPDATE, wrong=0x40, wrong_args=bytes(4)).go()
            .host(READABLE, 99).step("idle").send(UPDATE).go().serve())
        yield who + "-liar", (
            start().send(UPDATE, wrong=0x80,
                         wrong_args=struct.pack("<I", 1 << 31)).go()
            .host(READABLE, 99).step("idle").serve())
    for who, connect in (("host", "by_host"), ("guest", "by_guest")):
        def start(shift=12):
            return getattr(Script(shift).live(types=2), connect)(seq=True)
        who = "seq-" + who
        yield who + "-echo", (start().part(100, EOM).part(50, EOM | EOR).go()
                              .host(READABLE, 100).step("idle")
                              .host(READABLE | HOST_EOR, 9).step("idle")
                              .serve())
        yield who + "-parts", (start().part(100).part(100).part(9, EOM).go()
                               .part(0, EOM).part(1).go().serve()
                               .host(READABLE, 6000).step("idle").serve()
                               .serve())
        yield who + "-empty", (start().part(0, EOM).part(0).part(0, EOM)
                               .go().host(READABLE, 0).host(READABLE, 0)
                               .step("idle").serve())
        yield who + "-slow-host", (start().host(WRITABLE, 10)
                                   .part(100, EOM).part(0, EOM).part(7, EOM)
                                   .part(8).go().host(WRITABLE, 100)
                                   .step("idle").host(WRITABLE, 190)
                                   .step("idle").serve())
        yield who + "-lingers", (start().host(WRITABLE, 0).part(10, EOM)
                                 .part(0, EOM).part(9)
                                 .send(SHUTDOWN, flags=3).go()
                                 .host(WRITABLE, 190))
        yield who + "-too-long", (start(2).host(READABLE, 2000).step("idle")
                                  .serve().serve())
        yield who + "-too-long-for-host", (start().host(BROKEN | HOST_EOR)
                                           .part(9, EOM).go().serve())
        yield who + "-broken-pipe", (start().host(WRITABLE, 0).part(9, EOM)
                                     .part(9).go().host(BROKEN).step("idle")
                                     .serve())
        yield who + "-credit-in-pieces", (
            start(2).host(READABLE, 190).host(READABLE, 190)
            .host(READABLE, 0).step("idle").serve().serve().serve())
        yield who + "-ends", (start().host(READABLE, 9).host(EOF)
                              .step("idle").part(9, EOM).go()
                              .send(SHUTDOWN, flags=2).go().serve())
        yield who + "-hangs-up", (start().host(READABLE, 9).host(HANGUP)
                                  .step("idle").serve())
        yield who + "-restored", (start().host(READABLE, 6000).step("idle")
                                  .part(9).go().reload().step("idle")
                                  .serve().step("idle").rx()
                                  .by_guest(seq=True))
    waiting = Script().live(types=2).by_guest(seq=True).host(WRITABLE, 0)
    waiting.part(0, EOM)
    for i in range(20):
        waiting.step("avail", TX, 100).go()
    yield "seq-too-many-wait", waiting.serve()
    yield "seq-not-negotiated", (Script().live(types=1).by_guest(seq=True)
                                 .step("connect", 80 | SEQ_HOST)
                                 .step("idle").serve())
    yield "overrun", (Script(buf_shift=2).live().by_guest()
                      .step("policy", 1 | 4, 10).by_guest(8, 10)
                      .send(RW, sock=1, length=190).send(RW, sock=1, length=190)
                      .go().serve())
    yield "refused", Script().live().step("policy", REFUSE).by_guest()
    yield "later", (Script().live().step("policy", LATER).by_guest()
                    .host(ACCEPT).step("idle").serve().send(RW, length=5).go())
    yield "never", (Script().live().step("connect", 5).step("idle")
                    .step("advance", 101).step("idle").step("take"))
    yield "close-timeout", (Script().live().by_guest().host(EOF)
                            .send(SHUTDOWN, flags=2).go().step("take")
                            .step("advance", 81).step("idle"))
    yield "limit", (Script(conns=1).live().by_guest(1, 1).by_guest(2, 2)
                    .by_guest(3, 3).by_host())
    yield "no-rx-buffers", (Script().probe().events().by_guest()
                            .send(RW, length=4).go().rx(1).kick(RX, True)
                            .step("idle").rx().kick(RX).serve())
    for who, start in (("host", "by_host"), ("guest", "by_guest")):
        yield who + "-exact-credit", (
            getattr(Script(1).live(), start)()
            .host(WRITABLE, 50).send(RW, length=70).send(RW, length=58).go()
            .host(READABLE, 190).step("idle").serve()
            .host(WRITABLE, 30).send(RW, length=30).go()
            .send(RW, length=1).go().host(WRITABLE, 190).step("idle")
            .serve().host(READABLE, 190).step("idle").serve())
        yield who + "-backlog-order", (
            getattr(Script().live(), start)()
            .host(WRITABLE, 1).send(RW, length=100).go()
            .step("host", WRITABLE, 0).send(RW, length=99).go()
            .host(WRITABLE, 10).send(RW, length=98).go()
            .host(WRITABLE, 190).host(WRITABLE, 190).step("idle").serve())
        yield who + "-probed-again", (
            getattr(Script().live(), start)().probe().rx().events()
            .host(READABLE, 30).step("idle").serve().by_guest())
    crowd = Script(tight=True).live()
    for i in range(4):
        crowd.by_guest(7, 9 + i)
    for turn in range(3):
        for i in range(4):
            crowd.send(RW, sock=i, length=60000).send(UPDATE, sock=i)
        crowd.go().serve()
    yield "crowd-takes-turns", (crowd.step("advance", 1).step("idle").serve()
                                .host(HANGUP).step("idle").serve())
    yield "rx-across-end", (Script().probe().events().by_guest()
                            .chain(RX, 1, 190, 2).kick(RX)
                            .host(READABLE, 190).step("idle").serve())
    yield "tx-across-end", (Script().live().chain(TX, 1, 190, 0).go())
    blocked = Script().probe().events().step("idle").send(RW, length=1)
    for i in range(5):
        blocked.step("avail", TX, 100).go()
    yield "blocked-by-replies", (blocked.rx(16).kick(RX).step("idle")
                                 .step("take").rx(16).kick(RX).step("idle")
                                 .step("take"))
    many = Script().live().by_guest()
    for i in range(60):
        many.send(RW, sock=15, length=1)
    yield "unknown-tuples", many.go().serve()
    yield "addressed-wrong", (Script().live()
                              .send(RW, wrong=8, wrong_args=b"\x09")
                              .send(RW, wrong=16, wrong_args=b"\x09")
                              .send(RST, wrong=8, wrong_args=b"\x09")
                              .send(REQUEST, wrong=32, wrong_args=b"\x02")
                              .go().serve())
    yield "length-lies", (Script().live().by_guest()
                          .send(RW, length=10, claim=1 << 20).go().serve())
    for shape in range(8):
        yield "shape-%u" % shape, (Script().probe().rx(shape=shape)
                                   .events().by_guest()
                                   .send(RW, length=150, shape=shape).go()
                                   .host(READABLE, 150).step("idle").serve())
    yield "rx-too-short", Script().probe().rx(4, 43).rx(2, 44).rx(2, 45) \
        .events().by_guest().host(READABLE, 3).step("idle").serve()
    yield "rx-large", (Script().probe().rx(1, 65530).events().by_guest()
                       .host(READABLE, 65000).host(READABLE, 65000)
                       .step("idle").serve())
    yield "avail-runs-away", (Script().live().step("avail", TX, 100)
                              .step("avail", TX, 100).step("avail", TX, 100)
                              .go().live().by_guest())
    yield "descriptor-loop", (Script().live().chain(TX, 4, 10, 1).go())
    yield "descriptor-nowhere", (Script().probe().events().by_guest()
                                 .chain(RX, 2, 10, 2).kick(RX).step("idle"))
    yield "tx-writable", Script().live().chain(TX, 4, 100, 2).go()
    yield "rx-readable", (Script().probe().events().chain(RX, 4, 100, 0)
                          .rx().by_guest().host(READABLE, 9).step("idle"))
    yield "event-too-short", (Script().live().step("post_event", 8 | 3)
                              .kick(EVENT).reload().step("idle"))
    yield "ring-nowhere", (Script().live().by_guest().write(SEL, RX)
                           .write(READY, 0).write(DRIVER_GPA, 0xfffffff0)
                           .write(READY, 1).step("idle").live().by_guest())
    yield "rx-on-rings", (Script().probe().events().by_guest()
                          .chain(RX, 3, 190, 2, at=0x1400).kick(RX)
                          .host(READABLE, 190).step("idle"))
    yield "no-interrupts", (Script().live(features=0)
                            .step("wanted", 0x10 | RX, 0)
                            .step("wanted", 0x10 | TX, 0).by_guest())
    yield "used-event-ahead", (Script().live().step("wanted", RX, 3)
                               .step("wanted", TX, 3).by_guest()
                               .send(RW, length=4).send(RW, length=4)
                               .send(RW, length=4).go().serve())
    yield "save-goes-on", (Script().live().by_guest().step("reload", 4)
                           .step("reload", 0).send(RW, length=9).go())
    yield "saved-before-driver", Script().reload().live().by_guest()
    yield "saved-twice", (Script().live().by_guest().reload().reload(4)
                          .step("idle").serve().step("serve").step("idle")
                          .by_guest())
    yield "saved-while-pending", (Script().probe().rx().step("idle").reload()
                                  .by_guest().reload().events().step("idle")
                                  .serve().by_guest())
    yield "doorbell-lost", (Script().live().by_guest()
                            .send(RW, length=4).kick(TX, True)
                            .reload(drain=False).step("idle").serve())
    yield "cid-read-no-refill", (Script().live().by_guest().reload()
                                 .read(CONFIG, 8).step("idle")
                                 .step("advance", 101).step("idle")
                                 .by_guest())
    yield "answered-as-patience-ends", (Script().live().reload().step("take")
                                        .step("advance", 255).step("idle"))
    yield "tx-held-while-shut", (Script().live().reload()
                                 .send(REQUEST, new=(7, 9)).go().serve()
                                 .step("idle").step("serve"))
    for name, cid in ("waits", 3), ("waits-for-another", 4):
        yield "connect-" + name, (Script().live().step("policy", LATER)
                                  .by_guest().reload(cid).reload(cid)
                                  .step("idle").serve().step("idle")
                                  .host(ACCEPT).step("idle").serve())
    yield "connect-answered-unseen", (Script().live()
                                      .send(REQUEST, new=(7, 9)).go()
                                      .reload().serve().step("idle").serve())
    yield "connect-without-room", (Script().probe().events().by_guest()
                                   .step("policy", REFUSE)
                                   .send(REQUEST, new=(8, 9)).go().reload()
                                   .rx().kick(RX).serve().step("idle").serve())
    yield "connect-waits-reset", (Script().live().step("policy", LATER)
                                  .by_guest().live().host(ABORT)
                                  .step("idle").by_guest())
    yield "registers", (Script().read(0).read(4).read(8).read(0x34)
                        .read(0xb0).read(CONFIG, 1).read(CONFIG + 4, 8)
                        .read(0xffc - 0xc00, 2).write(SEL, 9).read(READY)
                        .write(STATUS, 0xff).write(NOTIFY, 3).step("idle"))
    yield "features-refused", (Script().write(STATUS, 3).write(0x24, 1)
                               .write(0x20, 0).write(STATUS, 11)
                               .write(STATUS, 15).step("idle"))


def main():
    folder = os.path.join(sys.argv[1], "vsock")
    os.makedirs(folder, exist_ok=True)
    for name, script in scenarios():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(script.data)


if len(sys.argv) != 2:
    sys.exit(__doc__)
main()
