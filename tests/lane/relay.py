#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run one command in the lane's machine (L1) and be its terminal.

Called by tests/lane/nested.sh:

    relay.py --console FILE --keep FILE --logs DIR --cwd DIR
             [--env NAME=VALUE]... --command ARGUMENT... --qemu QEMU-COMMAND...

Starts the machine, speaks the frames described in agent.c over a socket pair
that is its virtio-serial port, and leaves with the command's exit status;
with 125 when the machine itself failed, 124 when time was up.  The machine's
console goes to a file, which takes its second name when nothing failed.
"""

import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
import tty

WINDOW = 256 * 1024
CHUNK = 32 * 1024
LANE_FAILED = 125
TIME_UP = 124
LEAVE = b"\x1d\x1d\x1d"        # three times Ctrl-]


class LaneError(Exception):
    """The machine failed; the text says how."""

    def __init__(self, text, status=LANE_FAILED):
        super().__init__(text)
        self.status = status


def parse(argv):
    """The options, in the order in which nested.sh gives them."""
    command = argv.index("--command")
    qemu = len(argv) - 1 - argv[::-1].index("--qemu")
    options = {"--env": []}
    pairs = argv[:command]
    for name, value in zip(pairs[::2], pairs[1::2]):
        if name == "--env":
            options["--env"].append(value)
        else:
            options[name] = value
    options["command"] = argv[command + 1:qemu]
    options["qemu"] = argv[qemu + 1:]
    return options


def seconds(name, default):
    text = os.environ.get(name, "") or str(default)
    try:
        value = float(text)
    except ValueError:
        value = 0
    if value <= 0:
        sys.exit("lane: %s='%s': expected seconds" % (name, text))
    return value


def die_with_parent():
    """In the child: no machine outlives a relay that was killed."""
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    os.setsid()


def write_all(fd, data):
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view):]
        except BlockingIOError:
            select.select([], [fd], [])


class Relay:
    """One machine, one command."""

    def __init__(self, options):
        self.options = options
        self.terminal = os.isatty(0) and os.isatty(1)
        self.window = WINDOW
        self.input_open = True
        self.inbox = bytearray()
        self.outbox = bytearray()
        self.started = False
        self.status = None
        self.tar = None
        self.stdout_open = True
        self.sock = None
        self.machine = None
        self.saved = None
        self.signals, wake = os.pipe()
        for fd in (self.signals, wake):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP,
                      signal.SIGCHLD, signal.SIGWINCH):
            signal.signal(signo, lambda *_: None)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def start(self):
        self.sock, theirs = socket.socketpair()
        qemu = [word.replace("@PORT@", str(theirs.fileno()))
                for word in self.options["qemu"]]
        with open(self.options["--console"] + ".qemu", "wb") as log:
            self.machine = subprocess.Popen(
                qemu, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=(theirs.fileno(),), preexec_fn=die_with_parent)
        theirs.close()
        self.sock.setblocking(False)

    def send(self, kind, data=b""):
        self.outbox += kind + struct.pack("<I", len(data)) + data

    def window_size(self):
        try:
            size = fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8)
            rows, columns = struct.unpack("HH", size[:4])
        except OSError:
            rows, columns = 24, 80
        return struct.pack("<II", rows, columns)

    def send_job(self):
        for word in self.options["command"]:
            self.send(b"a", os.fsencode(word))
        for pair in self.options["--env"]:
            self.send(b"v", os.fsencode(pair))
        self.send(b"d", os.fsencode(self.options["--cwd"]))
        self.send(b"l", os.fsencode(self.options["--logs"]))
        if self.terminal:
            self.send(b"w", self.window_size())
            self.saved = termios.tcgetattr(0)
            tty.setraw(0)
        self.send(b"g", b"\1" if self.terminal else b"\0")
        self.started = True

    def frame(self, kind, data):
        if kind == b"r":
            self.send_job()
        elif kind == b"o" and self.stdout_open:
            try:
                write_all(1, data)
            except BrokenPipeError:
                raise LaneError("", 128 + signal.SIGPIPE) from None
        elif kind == b"e":
            try:
                write_all(2, data)
            except OSError:
                pass
        elif kind == b"c":
            self.window += struct.unpack("<I", data)[0]
        elif kind == b"t":
            self.results(data)
        elif kind == b"x":
            self.status = struct.unpack("<I", data)[0] & 255

    def results(self, data):
        if self.tar is None:
            os.makedirs(self.options["--logs"], exist_ok=True)
            self.tar = subprocess.Popen(
                ["tar", "-C", self.options["--logs"], "--no-same-owner",
                 "-m", "-xf", "-"], stdin=subprocess.PIPE)
        try:
            self.tar.stdin.write(data)
        except BrokenPipeError:
            pass

    def read_port(self):
        try:
            data = self.sock.recv(1 << 20)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            raise LaneError("the machine died (QEMU status %s)"
                            % self.machine.wait())
        self.inbox += data
        at = 0
        while len(self.inbox) - at >= 5:
            length, = struct.unpack_from("<I", self.inbox, at + 1)
            if len(self.inbox) - at - 5 < length:
                break
            body = bytes(self.inbox[at + 5:at + 5 + length])
            self.frame(bytes(self.inbox[at:at + 1]), body)
            at += 5 + length
        del self.inbox[:at]

    def write_port(self):
        try:
            sent = self.sock.send(self.outbox[:1 << 16])
        except BlockingIOError:
            return
        except ConnectionError:
            return
        del self.outbox[:sent]

    def read_input(self):
        try:
            data = os.read(0, min(self.window, CHUNK))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if self.terminal and LEAVE in data:
            raise LaneError("left by three Ctrl-]", 130)
        self.window -= len(data)
        self.send(b"i", data)
        if not data:
            self.input_open = False

    def take_signals(self):
        for signo in os.read(self.signals, 256):
            if signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                raise LaneError("ended by %s" % signal.Signals(signo).name,
                                128 + signo)
            if signo == signal.SIGWINCH and self.terminal and self.started:
                self.send(b"w", self.window_size())
            if signo == signal.SIGCHLD and self.machine and \
                    self.machine.poll() is not None:
                # Its last words are still in the socket; its end follows.
                pass

    def loop(self):
        begin = time.monotonic()
        boot = seconds("WHERRY_LANE_BOOT_TIMEOUT", 120)
        limit = seconds("WHERRY_LANE_TIMEOUT", 1200)
        while self.status is None:
            spent = time.monotonic() - begin
            if not self.started and spent > boot:
                raise LaneError("the machine did not come up in %g s" % boot,
                                TIME_UP)
            if spent > limit:
                raise LaneError("the command took longer than %g s "
                                "(WHERRY_LANE_TIMEOUT)" % limit, TIME_UP)
            readers = [self.sock, self.signals]
            if self.started and self.input_open and self.window > 0 and \
                    len(self.outbox) < WINDOW:
                readers.append(0)
            readable, writable, _ = select.select(
                readers, [self.sock] if self.outbox else [], [], 1)
            if self.signals in readable:
                self.take_signals()
            if 0 in readable:
                self.read_input()
            if writable:
                self.write_port()
            if self.sock in readable:
                self.read_port()

    def stop(self):
        if self.saved is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, self.saved)
        if self.machine is not None and self.machine.poll() is None:
            self.machine.kill()
            self.machine.wait()
        if self.tar is not None:
            self.tar.stdin.close()
            self.tar.wait()


def explain(console):
    """The last words of the machine, and of QEMU."""
    for name in (console, console + ".qemu"):
        try:
            with open(name, errors="replace") as log:
                lines = [line.strip() for line in log if line.strip()]
        except OSError:
            continue
        for line in lines[-3:]:
            if "TCG doesn't support" not in line:
                sys.stderr.write("lane: L1: %s\n" % line)


def main():
    options = parse(sys.argv[1:])
    relay = Relay(options)
    error = None
    try:
        relay.start()
        relay.loop()
    except LaneError as why:
        error = why
    except OSError as why:
        error = LaneError(str(why))
    finally:
        relay.stop()
    if error is None:
        console = options["--console"]
        os.unlink(console + ".qemu")
        os.replace(console, options["--keep"])
        sys.exit(relay.status)
    if str(error):
        explain(options["--console"])
        sys.stderr.write("lane: %s; its console: %s\n"
                         % (error, options["--console"]))
    sys.exit(error.status)


main()
