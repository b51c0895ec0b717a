# SPDX-License-Identifier: GPL-2.0-or-later
"""Saving loses nothing: whatever goes wrong with it, the snapshot before is
whole, and the guest goes on.

Called by save.test.sh. Prints TAP, and at last a line for machines:

    save: kills=N old=N new=N broken=N

The guest is the bare-metal one (tests/kvm/tiny.elf). --kills N: how often a
process is killed in the middle of a save (12; with WHERRY_LONG=1 200).
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

from monitor import Monitor, Results, bail, find_kernel, numbers, until


# Lines that a guest prints before it powers off; a moment's work, even where
# KVM is emulated. On a busy host that may be over before anything is done with
# it: such a guest is paused until it is to go on, or it is one that has hours.
COUNT = 0x28
ENDLESS = 0xffffff
# More than an endless one gets to.
STREAM = numbers(0x4000)


class Save(Results):
    """The test, and the folder it works in."""

    def __init__(self, kernel):
        super().__init__()
        self.kernel = kernel
        self.work = tempfile.mkdtemp(prefix="w.")
        self.mounts = []
        self.monitors = []
        self.old = self.new = self.broken = 0

    def path(self, name):
        return os.path.join(self.work, name)

    def start(self, name, *arguments):
        """A process whose guest prints into a file of this name."""
        if os.path.exists(self.path(name)):
            os.unlink(self.path(name))
        monitor = Monitor(self.work, name, *arguments, "--serial",
                          "file=" + self.path(name))
        self.monitors.append(monitor)
        return monitor

    def boot(self, name):
        """A guest that is paused before its first instruction."""
        return self.start(name, "run", "--kernel", self.kernel, "--append",
                          "l%x" % COUNT, "--memory", "16M", "--paused")

    def boot_endless(self, name):
        """A guest that has begun to print, and does not end."""
        monitor = self.start(name, "run", "--kernel", self.kernel, "--append",
                             "l%x" % ENDLESS, "--memory", "64M")
        self.await_lines(monitor, name)
        return monitor

    def await_lines(self, monitor, name):
        until(lambda: self.printed(name) > 45 or
              monitor.process.poll() is not None)

    def printed(self, name):
        try:
            return os.path.getsize(self.path(name))
        except FileNotFoundError:
            return 0

    def restored(self, path):
        """Restores it. Return: the reason why that failed, or None."""
        try:
            monitor = self.start("check", "restore", path)
        except OSError as why:
            return "not restored: %s" % why
        self.await_lines(monitor, "check")
        monitor.ask("quit")
        status = monitor.wait()
        with open(self.path("check"), "rb") as text:
            said = text.read()
        if status or len(said) <= 45 or said not in STREAM:
            return "status %s, the guest printed %s" % (status, said[-20:])
        return None

    def identity(self, path):
        with open(os.path.join(path, "manifest"), "rb") as text:
            return text.read()

    def kills(self, count):
        """Replaces a snapshot, killed at a random moment of it."""
        path = self.path("killed")
        why = []
        first = self.boot_endless("first")
        first.ask("snapshot-save", path=path)
        began = time.monotonic()
        first.ask("snapshot-save", path=path)
        length = time.monotonic() - began
        first.ask("quit")
        first.wait()
        for i in range(count):
            before = self.identity(path)
            victim = self.boot_endless("victim")
            victim.sock.sendall(
                b'{"execute":"snapshot-save","arguments":{"path":"%s"}}\n' %
                path.encode())
            time.sleep(random.random() * length * 2)
            victim.kill()
            text = self.restored(path)
            if text:
                self.broken += 1
                why.append("kill %d: %s" % (i, text))
            elif self.identity(path) == before:
                self.old += 1
            else:
                self.new += 1
        self.result(not why, "a save killed at any moment leaves the old "
                    "snapshot or the new one, whole", why)
        guest = self.boot_endless("after")
        reply = guest.ask("snapshot-save", path=self.path("another"))
        left = [name for name in os.listdir(self.work)
                if "killed" in name and name != "killed"]
        self.result("return" in (reply or {}) and not left,
                    "the next save there works, and clears away what was left",
                    [reply, left])
        guest.ask("quit")
        guest.wait()

    def lives_on(self, monitor, name, what):
        """The guest ends its work as if nothing had been."""
        monitor.ask("cont")
        status = monitor.wait()
        with open(self.path(name), "rb") as text:
            said = text.read()
        self.result(status == 0 and said == numbers(COUNT),
                    "the guest goes on after %s" % what,
                    [status, said[-20:]])

    def refused(self, monitor, path, words, what):
        reply = monitor.ask("snapshot-save", path=path)
        text = (reply or {}).get("error", {}).get("desc", "it was saved")
        self.result(words in text and path in text, "%s is named" % what,
                    [text])

    def mount(self, name, options):
        """A small file system of its own; None: not allowed here."""
        path = self.path(name)
        os.mkdir(path)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs",
                           path], stderr=subprocess.DEVNULL).returncode:
            return None
        self.mounts.append(path)
        return path

    def full_disk(self):
        disk = self.mount("disk", "size=256k")
        if not disk:
            self.skip("a full disk", "no permission to mount a small one")
            return
        guest = self.boot("full")
        path = os.path.join(disk, "snap")
        reply = guest.ask("snapshot-save", path=path)
        self.result("return" in (reply or {}), "there is room for one", [reply])
        before = self.identity(path)
        with open(os.path.join(disk, "ballast"), "wb", 0) as ballast:
            try:
                while True:
                    ballast.write(bytes(4096))
            except OSError:
                pass
        self.refused(guest, path, "No space left on device", "a full disk")
        # To look at a hole takes a page of it.
        os.unlink(os.path.join(disk, "ballast"))
        text = self.restored(path)
        self.result(self.identity(path) == before and not text,
                    "the snapshot before is whole", [text])
        left = set(os.listdir(disk)) - {"snap"}
        self.result(not left, "nothing half done is left", left)
        self.lives_on(guest, "full", "a full disk")

    def read_only(self):
        disk = self.mount("ro", "size=1m")
        if not disk:
            self.skip("a read-only disk", "no permission to mount one")
            return
        guest = self.boot("ro.serial")
        path = os.path.join(disk, "snap")
        guest.ask("snapshot-save", path=path)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        self.refused(guest, path, "Read-only file system",
                     "a folder that cannot be written")
        text = self.restored(path)
        self.result(not text, "the snapshot before is whole", [text])
        self.lives_on(guest, "ro.serial", "a read-only disk")

    def onto_itself(self):
        """The snapshot that a guest runs from is replaced under it."""
        path = self.path("own")
        guest = self.boot("source")
        guest.ask("snapshot-save", path=path)
        guest.ask("quit")
        guest.wait()
        again = Monitor(self.work, "again", "restore", path, "--paused",
                        "--serial", "file=" + self.path("again"))
        self.monitors.append(again)
        reply = again.ask("snapshot-save", path=path)
        self.result("return" in (reply or {}),
                    "a guest is saved onto what it was restored from", [reply])
        again.ask("cont")
        status = again.wait()
        with open(self.path("again"), "rb") as text:
            said = text.read()
        self.result(status == 0 and said == numbers(COUNT),
                    "it goes on from the pages of the old one",
                    [status, said[-20:]])
        text = self.restored(path)
        self.result(not text, "the new one is whole", [text])

    def clean(self):
        for monitor in self.monitors:
            monitor.kill()
        for path in self.mounts:
            subprocess.run(["umount", path])
        shutil.rmtree(self.work, ignore_errors=True)


def main():
    kills = 200 if os.environ.get("WHERRY_LONG") == "1" else 12
    options = sys.argv[1:]
    if options:
        if len(options) != 2 or options[0] != "--kills" or \
                not options[1].isdigit():
            sys.exit("usage: save.test.sh [--kills N]")
        kills = int(options[1])
    test = Save(find_kernel())
    try:
        test.onto_itself()
        test.full_disk()
        test.read_only()
        test.kills(kills)
        print("1..%d" % test.results)
        print("save: kills=%d old=%d new=%d broken=%d" %
              (kills, test.old, test.new, test.broken))
    finally:
        test.clean()
    sys.exit(1 if test.failures else 0)


main()
