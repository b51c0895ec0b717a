#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Extract the ELF kernel from an x86 bzImage.

Called by guest-images/kernel.sh:  extract-vmlinux.py BZIMAGE OUTPUT

The setup header (Documentation/arch/x86/boot.rst, protocol 2.08 and later)
says where the compressed payload lies; its magic number says how it was
compressed.  The last four bytes of the payload are its unpacked length.
"""

import os
import struct
import subprocess
import sys

# Some decompressors complain of the length that follows the stream, hence
# the check of the outcome instead of their exit status.
TOOLS = (
    (b"\x1f\x8b", ["gzip", "-dc"]),
    (b"\xfd7zXZ\x00", ["xz", "-dc", "--single-stream"]),
    (b"\x28\xb5\x2f\xfd", ["zstd", "-dcq"]),
    (b"\x02\x21\x4c\x18", ["lz4", "-dc"]),
    (b"BZh", ["bzip2", "-dc"]),
    (b"\x5d\x00\x00", ["xz", "--format=lzma", "-dc"]),
)


def fail(text):
    sys.exit("extract-vmlinux: " + text)


def payload(image, name):
    if len(image) < 0x260 or image[0x202:0x206] != b"HdrS":
        fail("%s: not a bzImage (no HdrS at 0x202)" % name)
    version, = struct.unpack_from("<H", image, 0x206)
    if version < 0x208:
        fail("%s: boot protocol %#x, expected 0x208 or later"
             % (name, version))
    sectors = image[0x1f1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (sectors + 1) * 512 + offset
    if length < 8 or start + length > len(image):
        fail("%s: payload of %d bytes at %d is outside the file of %d"
             % (name, length, start, len(image)))
    return image[start:start + length]


def main():
    if len(sys.argv) != 3:
        fail("usage: extract-vmlinux.py BZIMAGE OUTPUT")
    name, output = sys.argv[1:]
    with open(name, "rb") as source:
        data = payload(source.read(), name)
    want, = struct.unpack("<I", data[-4:])
    for magic, command in TOOLS:
        if data.startswith(magic):
            break
    else:
        fail("%s: unknown compression, payload begins with %s"
             % (name, data[:6].hex()))
    # The legacy LZ4 and gzip readers take the length for more stream.
    body = data if magic == b"\x1f\x8b" else data[:-4]
    done = subprocess.run(command, input=body, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    elf = done.stdout
    if not elf.startswith(b"\x7fELF") or (magic != b"\x1f\x8b" and
                                          len(elf) != want):
        fail("%s: %s gave %d bytes, expected an ELF file of %d: %s"
             % (name, command[0], len(elf), want,
                done.stderr.decode(errors="replace").strip()))
    with open(output + ".new", "wb") as sink:
        sink.write(elf)
    os.rename(output + ".new", output)


main()
