#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a restore takes, from the start of the process to the guest's first
byte, and how long a save stops a guest that was restored: that neither depends
on the size of memory.

Called by "./bootstrap bench restore", or by hand:

    WHERRY=... WHERRY_BUILD=... tests/bench/restore.py [--rounds N] [--json]

The guest is the bare-metal one (tests/kvm/tiny.elf), saved while it prints, with
128 MiB and with 8 GiB; the two are restored in turn. Parts: what wherry says
with --verbose; the rest is the process's start, its threads, and the guest's
first run. Of a save it is what the monitor says ("pause-us").
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../migration"))
from monitor import Monitor, bail, find_kernel, until  # noqa: E402

SIZES = ("128M", "8G")
PARTS = ("parse", "kvm", "state")
LINE = re.compile(rb"restore: parsed in (\d+) us, KVM and devices (\d+) us, "
                  rb"state (\d+) us")


def save(work, kernel, size):
    serial = os.path.join(work, "serial." + size)
    guest = Monitor(work, "source." + size, "run", "--kernel", kernel,
                    "--append", "lff", "--memory", size,
                    "--serial", "file=" + serial)
    until(lambda: os.path.exists(serial) and os.path.getsize(serial) > 45)
    path = os.path.join(work, "snap." + size)
    reply = guest.ask("snapshot-save", path=path)
    guest.ask("quit")
    guest.wait()
    if not reply or "return" not in reply:
        bail("%s: cannot be saved: %s" % (size, reply))
    return path


def restore(path):
    """Return: microseconds in all, and those of the parts."""
    begin = time.monotonic()
    process = subprocess.Popen(
        [os.environ["WHERRY"], "restore", path, "--serial", "stdio",
         "--verbose"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    first = process.stdout.read(1)
    whole = (time.monotonic() - begin) * 1e6
    process.terminate()
    said = process.communicate()[1]
    match = LINE.search(said)
    if not first or not match:
        bail("%s: %s" % (path, said.decode(errors="replace")))
    return [whole] + [float(part) for part in match.groups()]


def pauses(work, path, size, rounds):
    """Return: microseconds that saves stop a restored guest for."""
    guest = Monitor(work, "saver." + size, "restore", path, "--serial", "none")
    took = []
    for _ in range(rounds):
        reply = guest.ask("snapshot-save",
                          path=os.path.join(work, "next." + size))
        if not reply or "return" not in reply:
            bail("%s: cannot be saved: %s" % (path, reply))
        took.append(reply["return"]["pause-us"])
    guest.ask("quit")
    guest.wait()
    return took


def main():
    options = sys.argv[1:]
    as_json = "--json" in options
    options = [word for word in options if word != "--json"]
    rounds = 15
    if options:
        if len(options) != 2 or options[0] != "--rounds" or \
                not options[1].isdigit() or not int(options[1]):
            sys.exit("usage: restore.py [--rounds N] [--json]")
        rounds = int(options[1])
    kernel = find_kernel()
    work = tempfile.mkdtemp(prefix="w.")
    try:
        paths = {size: save(work, kernel, size) for size in SIZES}
        took = {size: [] for size in SIZES}
        for _ in range(rounds):
            for size in SIZES:
                took[size].append(restore(paths[size]))
        pause = {size: pauses(work, paths[size], size, rounds)
                 for size in SIZES}
    finally:
        shutil.rmtree(work, ignore_errors=True)
    median = {size: [statistics.median(column) for column in zip(*took[size])]
              for size in SIZES}
    ratio = statistics.median(big[0] / small[0] for small, big in
                              zip(took[SIZES[0]], took[SIZES[1]]))
    for size in SIZES:
        whole = [row[0] for row in took[size]]
        if as_json:
            print(json.dumps({
                "measure": "restore-" + size, "unit": "us",
                "median": round(median[size][0]), "min": round(min(whole)),
                "max": round(max(whole)),
                **{name: round(value) for name, value in
                   zip(PARTS, median[size][1:])}}))
        else:
            parts = ", ".join("%s %.0f" % pair for pair in
                              zip(PARTS, median[size][1:]))
            print("restore %4s: %6.0f us (%.0f-%.0f): %s, start and first "
                  "run %.0f" % (size, median[size][0], min(whole), max(whole),
                                parts, median[size][0] -
                                sum(median[size][1:])))
    for size in SIZES:
        if as_json:
            print(json.dumps({
                "measure": "save-restored-" + size, "unit": "us",
                "median": round(statistics.median(pause[size])),
                "min": min(pause[size]), "max": max(pause[size])}))
        else:
            print("save    %4s: stops it for %.0f us (%d-%d)" %
                  (size, statistics.median(pause[size]), min(pause[size]),
                   max(pause[size])))
    if as_json:
        print(json.dumps({"measure": "restore-ratio", "unit": "",
                          "median": round(ratio, 3)}))
    else:
        print("%s takes %.2f times as long as %s (median of %d ratios)" %
              (SIZES[1], ratio, SIZES[0], rounds))


main()
