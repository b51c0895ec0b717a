# SPDX-License-Identifier: GPL-2.0-or-later
"""What the migration scripts in Python are written with: a wherry process and
its control socket, TAP, and the bare-metal guest, which prints numbers and
powers off."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

DEADLINE = 60


def bail(text):
    print("Bail out! %s" % text)
    sys.exit(1)


class Monitor:
    """One wherry process and its control socket."""

    def __init__(self, work, name, *arguments):
        self.control = os.path.join(work, name + ".ctl")
        if os.path.exists(self.control):
            os.unlink(self.control)
        self.errors = open(os.path.join(work, name + ".err"), "wb")
        self.process = subprocess.Popen(
            [os.environ["WHERRY"], *arguments, "--control", self.control],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=self.errors)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        until(lambda: os.path.exists(self.control) or
              self.process.poll() is not None)
        self.sock.connect(self.control)
        self.lines = self.sock.makefile("rb")
        self.lines.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        """The reply; None: the monitor has gone."""
        request = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        try:
            self.sock.sendall(json.dumps(request).encode() + b"\n")
            while True:
                line = self.lines.readline()
                if not line:
                    return None
                reply = json.loads(line)
                if "event" not in reply:
                    return reply
        except OSError:
            return None

    def status(self):
        reply = self.ask("query-status")
        return reply and reply["return"]["status"]

    def wait(self):
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def until(done):
    end = time.monotonic() + DEADLINE
    while not done():
        if time.monotonic() > end:
            bail("nothing happened in %d s" % DEADLINE)
        time.sleep(0.01)


class Results:
    """TAP."""

    def __init__(self):
        self.results = self.failures = 0

    def result(self, good, name, why=()):
        self.results += 1
        self.failures += not good
        print("%sok %d - %s" % ("" if good else "not ", self.results, name))
        if not good:
            for line in list(why)[:10]:
                print("#   %s" % line)
        sys.stdout.flush()

    def skip(self, name, why):
        self.results += 1
        print("ok %d - %s # SKIP %s" % (self.results, name, why))


def numbers(count):
    """What the guest prints when told "l" and the count in two hex digits."""
    return b"".join(b"%08x\n" % i for i in range(count))


def find_kernel(kernel=None):
    """The bare-metal guest; ends the script if it cannot run here."""
    kernel = kernel or os.path.join(os.environ.get("WHERRY_BUILD", "."),
                                    "tests/kvm/tiny.elf")
    why = None
    if not os.environ.get("WHERRY"):
        bail("WHERRY is not set")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        why = "/dev/kvm: not there, or no permission"
    elif not os.path.exists(kernel):
        why = "%s: not there" % kernel
    if why:
        print("1..0 # SKIP %s" % why)
        sys.exit(0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return kernel
