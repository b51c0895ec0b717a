# SPDX-License-Identifier: GPL-2.0-or-later
"""Feed one monitor thousands of damaged snapshots, by snapshot-load.

Called by damage.test.sh. Prints TAP, and at last a line for machines:

    damage: cases=N refused=N loaded=N crashed=N

A machine that is paused stands by; a damaged snapshot must leave it alone. The
snapshot is that of a bare-metal guest (tests/kvm/tiny.elf, or --kernel), so
that each case takes about a millisecond. --every N takes each Nth byte; the
default is all of them, and in an emulated machine, which is slow, each 61st,
unless WHERRY_LONG=1.

Flips with a right checksum stand for an attacker: what the checksum does not
catch has to be caught by what reads the values.
"""

import os
import shutil
import struct
import sys
import tempfile

from monitor import Monitor, Results, bail, find_kernel, numbers, until

FILES = ("manifest", "state.dtb", "memory")


def crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def flip_effects(length):
    """What flipping all bits of byte i does to the CRC of so many bytes."""
    effects = [0] * length
    effect = TABLE[0xFF]
    for i in range(length - 1, -1, -1):
        effects[i] = effect
        effect = TABLE[effect & 0xFF] ^ effect >> 8
    return effects


def versions(tree):
    """Each node of a whole state.dtb: its path, and where its version is."""
    structure, strings = struct.unpack_from(">2I", tree, 8)
    at, path = structure, []
    while True:
        tag, = struct.unpack_from(">I", tree, at)
        at += 4
        if tag == 1:
            end = tree.index(b"\0", at)
            path.append(tree[at:end].decode())
            at = (end + 4) & ~3
        elif tag == 2:
            path.pop()
        elif tag == 3:
            length, name = struct.unpack_from(">2I", tree, at)
            name += strings
            if tree[name:tree.index(b"\0", name)] == b"version":
                yield "/".join(path) or "/", at + 8
            at += (8 + length + 3) & ~3
        else:
            return


class Damage(Results):
    """The test: a whole snapshot, a folder for damaged ones, the counts."""

    def __init__(self, kernel, every, every_clever):
        super().__init__()
        self.kernel = kernel
        self.every = every
        self.every_clever = every_clever
        self.work = tempfile.mkdtemp(prefix="w.")
        self.cases = self.refused = self.loaded = self.crashed = 0
        self.monitor = self.stands_by = None
        self.whole = os.path.join(self.work, "whole")
        self.bad = os.path.join(self.work, "bad")

    def path(self, name):
        return os.path.join(self.work, name)

    def save(self):
        """Saves a guest in the middle of its work."""
        serial = self.path("serial")
        guest = Monitor(self.work, "source", "run", "--kernel", self.kernel,
                        "--append", "l98", "--memory", "16M", "--vsock",
                        "cid=3,uds=" + self.path("a.vsock"),
                        "--serial", "file=" + serial)
        until(lambda: os.path.getsize(serial) > 45 or
              guest.process.poll() is not None)
        guest.ask("stop")
        reply = guest.ask("snapshot-save", path=self.whole)
        if not reply or "return" not in reply:
            bail("the guest cannot be saved: %s" % reply)
        with open(serial, "rb") as text:
            self.said = text.read()
        guest.ask("quit")
        guest.wait()
        self.data = {}
        for name in FILES[:2]:
            with open(os.path.join(self.whole, name), "rb") as part:
                self.data[name] = part.read()

    def start(self):
        """A machine that stands by, paused; twice as good as an empty one."""
        self.monitor = Monitor(
            self.work, "target", "restore", self.whole, "--paused", "--vsock",
            "cid=4,uds=" + self.path("b.vsock"),
            "--serial", "file=" + self.path("rest"))
        self.stands_by = self.monitor.status()

    def fresh(self):
        shutil.rmtree(self.bad, ignore_errors=True)
        os.mkdir(self.bad)
        for name in FILES:
            os.link(os.path.join(self.whole, name),
                    os.path.join(self.bad, name))

    def put(self, name, data):
        """Replaces a file: a mapping of the one before must stay good."""
        path = os.path.join(self.bad, name)
        with open(path + ".new", "wb") as part:
            part.write(data)
        os.rename(path + ".new", path)

    def manifest(self, state_crc):
        lines = self.data["manifest"].split(b"\n")[:-2]
        for i, line in enumerate(lines):
            if line.startswith(b"file state.dtb "):
                lines[i] = b"%s %08x" % (line.rsplit(b" ", 1)[0], state_crc)
        return self.seal(b"\n".join(lines) + b"\n")

    @staticmethod
    def seal(text):
        return text + b"crc %08x\n" % crc32c(text)

    def load(self, what):
        """One case. Return: None or the reason why it was refused."""
        self.cases += 1
        reply = self.monitor.ask("snapshot-load", path=self.bad)
        if reply is None:
            self.crashed += 1
            print("# %s: the monitor ended with status %s" %
                  (what, self.monitor.wait()))
            self.start()
            return "crashed"
        if "return" in reply:
            self.loaded += 1
            return None
        self.refused += 1
        return reply["error"]["desc"]

    def refuses(self, what, why):
        """A case that must be refused, with a reason that has a text."""
        text = self.load(what)
        if text is None or text == "crashed":
            why.append("%s: %s" % (what, text or "loaded"))
        elif len(text) < 10:
            why.append("%s: no reason: '%s'" % (what, text))
        return text

    def unmoved(self, why):
        status = self.monitor.status()
        if status != self.stands_by:
            why.append("the machine that stood by is %s" % status)

    def flips(self, name):
        why = []
        data = bytearray(self.data[name])
        self.fresh()
        for i in range(0, len(data), self.every):
            data[i] ^= 0xFF
            self.put(name, data)
            self.refuses("%s: byte %d" % (name, i), why)
            data[i] ^= 0xFF
        self.unmoved(why)
        self.result(not why, "each flipped byte of %s is refused" % name, why)

    def clever_flips(self):
        data = bytearray(self.data["state.dtb"])
        crc = crc32c(data)
        effects = flip_effects(len(data))
        crashed = self.crashed
        self.fresh()
        self.put("manifest", self.manifest(crc))
        why = []
        if self.load("nothing changed") is not None:
            why.append("a checksum made here is not the monitor's")
        for i in range(0, len(data), self.every_clever):
            data[i] ^= 0xFF
            self.put("state.dtb", data)
            self.put("manifest", self.manifest(crc ^ effects[i]))
            self.load("state.dtb: byte %d, right checksum" % i)
            data[i] ^= 0xFF
        if self.monitor.status() is None:
            why.append("the monitor has gone")
        self.result(self.crashed == crashed and not why,
                    "a flipped byte with a right checksum is refused, or loads",
                    why)

    def truncations(self):
        why = []
        for name in FILES:
            self.fresh()
            size = os.path.getsize(os.path.join(self.whole, name))
            lengths = {0, 1, size - 1} | {size * i // 64 for i in range(64)}
            for length in sorted(lengths):
                if name == "memory":
                    path = os.path.join(self.bad, name)
                    os.unlink(path)
                    with open(path, "wb") as part:
                        part.truncate(length)
                else:
                    self.put(name, self.data[name][:length])
                self.refuses("%s: %d of %d bytes" % (name, length, size), why)
            os.unlink(os.path.join(self.bad, name))
            self.refuses("%s: gone" % name, why)
        self.unmoved(why)
        self.result(not why, "each truncated or missing file is refused", why)

    def swaps(self):
        why = []
        for one, other in (("manifest", "state.dtb"), ("state.dtb", "memory"),
                           ("memory", "manifest")):
            self.fresh()
            os.rename(os.path.join(self.bad, one), self.path("swap"))
            os.rename(os.path.join(self.bad, other),
                      os.path.join(self.bad, one))
            os.rename(self.path("swap"), os.path.join(self.bad, other))
            self.refuses("%s and %s swapped" % (one, other), why)
        self.unmoved(why)
        self.result(not why, "swapped files are refused", why)

    def others(self):
        why = []
        text = b"\n".join(self.data["manifest"].split(b"\n")[:-2]) + b"\n"
        for old, new, wanted in (
                (b"wherry-snapshot 1", b"wherry-snapshot 2", "format 2"),
                (b"arch x86_64", b"arch aarch64", "aarch64"),
                (b"memory-size 16777216", b"memory-size 16781312", "memory")):
            self.fresh()
            assert old in text
            self.put("manifest", self.seal(text.replace(old, new)))
            said = self.refuses(new.decode(), why)
            if said and wanted not in said:
                why.append("%s: '%s' does not name it" % (new.decode(), said))
        self.unmoved(why)
        self.result(not why, "another version, architecture or size is named",
                    why)

    def newer(self):
        """One component of a later version, as a newer wherry would write."""
        why = []
        nodes = list(versions(self.data["state.dtb"]))
        self.fresh()
        for path, at in nodes:
            for version, wanted in ((99, "saved by a newer wherry"),
                                    (0, "at least 1 expected")):
                data = bytearray(self.data["state.dtb"])
                struct.pack_into(">I", data, at, version)
                self.put("state.dtb", data)
                self.put("manifest", self.manifest(crc32c(data)))
                said = self.refuses("%s: version %d" % (path, version), why)
                wanted = ("node %s: version %d, " % (path, version), wanted)
                if said and not all(part in said for part in wanted):
                    why.append("%s: '%s' does not name it" % (path, said))
        # The root, vCPU, irqchip, five devices, four queues, the vsock's own.
        if len(nodes) < 13:
            why.append("no version but in %s" % nodes)
        self.unmoved(why)
        self.result(not why, "a component of a newer version is named", why)

    def goes_on(self):
        """The whole one still loads, and the guest ends its work."""
        reply = self.monitor.ask("snapshot-load", path=self.whole)
        good = reply is not None and "return" in reply
        self.result(good, "the whole snapshot loads after all that", [reply])
        before = os.path.getsize(self.path("rest"))
        self.monitor.ask("cont")
        status = self.monitor.wait()
        self.result(status == 0, "its guest powers off", [status])
        with open(self.path("rest"), "rb") as text:
            said = self.said + text.read()[before:]
        self.result(said == numbers(0x98), "having done all it had to do",
                    [said[-40:]])

    def run(self):
        self.save()
        self.start()
        self.flips("manifest")
        self.flips("state.dtb")
        self.truncations()
        self.swaps()
        self.others()
        self.newer()
        self.clever_flips()
        self.goes_on()
        self.result(not self.crashed, "the monitor lived through it")
        print("1..%d" % self.results)
        print("damage: cases=%d refused=%d loaded=%d crashed=%d" %
              (self.cases, self.refused, self.loaded, self.crashed))

    def clean(self):
        if self.monitor:
            self.monitor.kill()
        shutil.rmtree(self.work, ignore_errors=True)


def main():
    kernel = None
    every, every_clever = 1, 16
    if os.environ.get("WHERRY_LONG") == "1":
        every_clever = 1
    elif os.environ.get("WHERRY_LANE_INSIDE"):
        every = every_clever = 61
    options = sys.argv[1:]
    while options:
        if len(options) < 2 or options[0] not in ("--every", "--kernel"):
            sys.exit("usage: damage.test.sh [--every N] [--kernel FILE]")
        if options[0] == "--kernel":
            kernel = options[1]
        elif options[1].isdigit() and int(options[1]):
            every = every_clever = int(options[1])
        else:
            sys.exit("--every '%s': a number from 1 expected" % options[1])
        options = options[2:]
    kernel = find_kernel(kernel)
    test = Damage(kernel, every, every_clever)
    try:
        test.run()
    finally:
        test.clean()
    sys.exit(1 if test.failures else 0)


main()
