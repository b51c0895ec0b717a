#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Unpack kernel modules, and what they depend on, in loading order.

Called by guest-images/initramfs.sh and tests/lane/base.sh:

    moddeps.py MODULES-DIR OUTPUT-DIR NAME...

Copies each module into OUTPUT-DIR as NAME.ko, decompressed, dependencies
first, and prints the file names in the order in which insmod must see them.
A name that is no module is one built in, or one this kernel lacks: it is
left out, as whoever needs it finds out in the guest.
"""

import gzip
import lzma
import os
import subprocess
import sys


def unpack(path):
    if path.endswith(".ko.zst"):
        return subprocess.run(["zstd", "-dcq", path], check=True,
                              stdout=subprocess.PIPE).stdout
    opener = open
    if path.endswith(".ko.xz"):
        opener = lzma.open
    elif path.endswith(".ko.gz"):
        opener = gzip.open
    with opener(path, "rb") as source:
        return source.read()


def depends(data):
    """The module's dependencies, from its .modinfo strings."""
    for part in data.split(b"\0depends=")[1:]:
        names = part.split(b"\0")[0].decode()
        return [name for name in names.split(",") if name]
    return []


def main():
    if len(sys.argv) < 4:
        sys.exit("usage: moddeps.py MODULES-DIR OUTPUT-DIR NAME...")
    tree, output = sys.argv[1:3]
    found = {}
    for folder, _, files in os.walk(tree):
        for name in files:
            stem, dot, rest = name.partition(".")
            if dot and rest in ("ko", "ko.xz", "ko.gz", "ko.zst"):
                found[stem.replace("-", "_")] = os.path.join(folder, name)
    if not found:
        sys.exit("moddeps: %s: no kernel modules in it" % tree)

    os.makedirs(output, exist_ok=True)
    done = set()
    # A stack of (name, may be written): depth first without recursion.
    stack = [(name, False) for name in reversed(sys.argv[3:])]
    loaded = {}
    while stack:
        name, ready = stack.pop()
        name = name.replace("-", "_")
        if name in done or name not in found:
            continue
        if not ready:
            if name not in loaded:
                loaded[name] = unpack(found[name])
            stack.append((name, True))
            stack.extend((dep, False) for dep in
                         reversed(depends(loaded[name])))
            continue
        done.add(name)
        with open(os.path.join(output, name + ".ko"), "wb") as sink:
            sink.write(loaded.pop(name))
        print(name + ".ko")


main()
