#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the hand-made part of tests/fuzz/corpus/kernel/.

Usage: make-kernel-corpus.py CORPUS-FOLDER

The inputs are committed; run this again after adding one. Names say what an
input breaks; "valid-..." break nothing, and boot (vmm_kernel_corpus.c among the
unit tests judges them by that). What a fuzzer found is added to the folder by
hand, as "found-...".
"""
import os
import struct
import sys

MIB = 1 << 20
NOWHERE = 0xc0000000            # an initrd of 3 GiB


def setting(ram=32 * MIB, initrd=0, append=5, zeros=0):
    """As kernel_setting.h has it; zeros: bytes behind the file"""
    assert ram % 4096 == 0 and zeros % 16 == 0
    return struct.pack("<IIHH", ram // 4096, initrd, append, zeros // 16)


# Offset and format in the file: Documentation/arch/x86/boot.rst.
FIELDS = {
    "setup_sects": (0x1f1, "B"), "syssize": (0x1f4, "I"),
    "boot_flag": (0x1fe, "H"), "jump": (0x200, "H"), "magic": (0x202, "I"),
    "version": (0x206, "H"), "loadflags": (0x211, "B"),
    "code32_start": (0x214, "I"), "initrd_addr_max": (0x22c, "I"),
    "kernel_alignment": (0x230, "I"), "relocatable": (0x234, "B"),
    "min_alignment": (0x235, "B"), "xloadflags": (0x236, "H"),
    "cmdline_size": (0x238, "I"), "payload_offset": (0x248, "I"),
    "pref_address": (0x258, "Q"), "init_size": (0x260, "I"),
    "handover_offset": (0x264, "I"), "kernel_info_offset": (0x268, "I"),
}
GOOD = {
    "setup_sects": 1, "syssize": 0x30, "boot_flag": 0xaa55, "jump": 0x6aeb,
    "magic": 0x53726448, "version": 0x20f, "loadflags": 1,
    "code32_start": 0x100000, "initrd_addr_max": 0x7fffffff,
    "kernel_alignment": 0x200000, "relocatable": 1, "min_alignment": 21,
    "xloadflags": 0x3f, "cmdline_size": 2047, "pref_address": 0x1000000,
    "init_size": 0x100000,
}


def bzimage(code=None, **fields):
    """A setup header, and code of as many bytes as syssize says or code"""
    values = {**GOOD, **fields}
    size = ((values["setup_sects"] or 4) + 1) * 512
    data = bytearray(size)
    for name, value in values.items():
        at, form = FIELDS[name]
        struct.pack_into("<" + form, data, at, value)
    if code is None:
        code = values["syssize"] * 16
    return bytes(data) + bytes(0x90 for _ in range(code))


def bzimages():
    plain = setting()
    good = bzimage()
    yield "valid-good", plain + good
    yield "valid-protocol-2.12", plain + bzimage(
        version=0x20c, jump=0x62eb, xloadflags=1)
    yield "valid-protocol-2.13", plain + bzimage(version=0x20d, jump=0x66eb)
    yield "valid-not-relocatable", plain + bzimage(relocatable=0)
    yield "valid-setup-sects-0", plain + bzimage(setup_sects=0)
    yield "valid-setup-sects-255", setting(zeros=256 * 512) + bzimage(
        setup_sects=255)[:768]
    yield "valid-zeros", setting(zeros=65536) + bzimage(
        code=0, syssize=0x1000)
    yield "valid-jump-beyond", plain + bzimage(jump=0xffeb)
    yield "valid-initrd", setting(initrd=10000) + good
    yield "valid-initrd-low", setting(ram=64 * MIB, initrd=4096) + bzimage(
        initrd_addr_max=32 * MIB - 1)
    yield "valid-append-longest", setting(append=2047) + good
    yield "append-too-long", setting(append=2048) + good
    yield "valid-append-no-limit", setting(append=0xffff) + bzimage(
        cmdline_size=0xffffffff)
    yield "valid-at-1-mib", plain + bzimage(pref_address=0x100000)
    yield "valid-high-ram", setting(ram=4096 * MIB, initrd=4096) + bzimage(
        initrd_addr_max=0xffffffff)
    yield "valid-behind-the-code", plain + good + b"signature"
    for version in (0x1ff, 0x200, 0x206, 0x20a, 0x20b):
        yield "protocol-%x" % version, plain + bzimage(version=version)
    yield "jump-0", plain + bzimage(jump=0x00eb)
    yield "jump-before-init-size", plain + bzimage(jump=0x5eeb)
    yield "no-boot-flag", plain + bzimage(boot_flag=0)
    yield "no-magic", plain + bzimage(magic=0)
    yield "zimage", plain + bzimage(loadflags=0)
    yield "no-64-bit-entry", plain + bzimage(xloadflags=0)
    yield "syssize-0", plain + bzimage(syssize=0)
    yield "syssize-to-the-entry", plain + bzimage(syssize=0x20)
    yield "syssize-max", plain + bzimage(syssize=0xffffffff, code=768)
    yield "init-size-0", plain + bzimage(init_size=0)
    yield "init-size-below-code", plain + bzimage(init_size=767)
    yield "init-size-max", plain + bzimage(init_size=0xffffffff)
    yield "init-size-more-than-ram", plain + bzimage(init_size=64 * MIB)
    for address in (0, 0xfffff, 0xbfffffff, 0xc0000000, 0x100000000,
                    (1 << 64) - 1, (1 << 64) - 0x200):
        yield "address-%x" % address, plain + bzimage(pref_address=address)
    yield "valid-unaligned", plain + bzimage(pref_address=0x1000010)
    yield "unaligned-at-the-end", setting(ram=18 * MIB) + bzimage(
        pref_address=0x1000010, init_size=0x200000 - 0x10)
    yield "alignment-0", plain + bzimage(kernel_alignment=0)
    yield "alignment-3", plain + bzimage(kernel_alignment=3)
    yield "alignment-2-gib", plain + bzimage(kernel_alignment=1 << 31)
    for mib in (1, 2, 16):
        yield "ram-%d-mib" % mib, setting(ram=mib * MIB) + good
    for mib in (17, 3071, 3072, 3073, 4096):
        yield "valid-ram-%d-mib" % mib, setting(ram=mib * MIB) + good
    yield "ram-one-page", setting(ram=4096) + good
    yield "initrd-nowhere", setting(initrd=NOWHERE) + good
    yield "initrd-nowhere-high", setting(
        ram=4096 * MIB, initrd=NOWHERE) + bzimage(initrd_addr_max=0xffffffff)
    yield "initrd-max", setting(initrd=0xffffffff) + bzimage(
        initrd_addr_max=0xffffffff)
    yield "initrd-below-kernel", setting(initrd=4096) + bzimage(
        initrd_addr_max=0xfffff)
    yield "initrd-addr-max-0", setting(initrd=4096) + bzimage(
        initrd_addr_max=0)
    yield "initrd-no-room", setting(ram=17 * MIB, initrd=4096) + good
    yield "initrd-more-ram-is-no-help", setting(
        ram=17 * MIB, initrd=MIB - 1) + bzimage(
            initrd_addr_max=17 * MIB + 65535)
    for cut in (0, 1, 0x1f0, 0x1f1, 0x202, 0x264, 0x26b, 0x26c, 1024, 1536,
                len(good) - 1):
        yield "truncated-%d" % cut, plain + good[:cut]


LOAD, NOTE = 1, 4


def note(entry=0x200020, name=b"Xen\0", kind=18, size=4, name_size=None):
    return struct.pack("<III", len(name) if name_size is None else name_size,
                       size, kind) + name + struct.pack("<Q", entry)[
                           :min(size, 8)]


class Elf:
    """A kernel of which every field can be made wrong."""

    def __init__(self, entry=0x200010, **header):
        self.header = {"klass": 2, "order": 1, "type": 2, "machine": 62,
                       "phoff": 64, "phentsize": 56, "phnum": None, **header}
        self.entry = entry
        self.segments = []
        self.data = b""

    def segment(self, kind, data, paddr=0, memsz=None, offset=None,
                filesz=None, align=4, behind=b""):
        self.segments.append((kind, len(self.data) if offset is None else None,
                              offset, paddr,
                              len(data) if filesz is None else filesz,
                              len(data) if memsz is None else memsz, align))
        self.data += data + behind
        return self

    def load(self, paddr=0x200000, size=64, **other):
        return self.segment(LOAD, b"\x90" * size, paddr, **other)

    def note(self, data=None, **other):
        return self.segment(NOTE, note() if data is None else data, **other)

    def finish(self):
        h = self.header
        count = len(self.segments)
        base = 64 + 56 * count
        out = b"\x7fELF" + bytes((h["klass"], h["order"], 1)) + bytes(9)
        out += struct.pack("<HHIQQQIHHHHHH", h["type"], h["machine"], 1,
                           self.entry, h["phoff"], 0, 0, 64, h["phentsize"],
                           count if h["phnum"] is None else h["phnum"],
                           0, 0, 0)
        for kind, at, offset, paddr, filesz, memsz, align in self.segments:
            out += struct.pack("<IIQQQQQQ", kind, 7,
                               base + at if offset is None else offset, paddr,
                               paddr, filesz, memsz, align)
        return out + self.data


def elf_segments():
    yield "valid-good", Elf().load()
    yield "valid-bss", Elf().load(memsz=0x3000)
    yield "valid-bss-alone", Elf().load().segment(LOAD, b"", 0x300000,
                                                  memsz=0x10000)
    yield "valid-no-bytes", Elf().load().segment(LOAD, b"", 0, memsz=0)
    yield "valid-three", Elf().load().load(0x300000).load(0x210000)
    yield "valid-adjacent", Elf().load(memsz=0x1000).load(0x201000)
    yield "valid-at-1-mib", Elf(entry=0x100000).load(0x100000)
    yield "valid-64", many(64)
    yield "segments-65", many(65)
    yield "same-place", Elf().load().load()
    yield "overlap-of-a-byte", Elf().load().load(0x20003f)
    yield "overlap-of-bss", Elf().load(memsz=0x3000).load(0x202fff)
    yield "overlap-inside", Elf().load(memsz=0x800000).load(0x300000)
    yield "overlap-inside-first", Elf().load(0x300000).load(memsz=0x800000)
    yield "entry-outside", Elf(entry=0x1fffff).load()
    yield "entry-behind", Elf(entry=0x200040).load()
    yield "entry-in-bss", Elf(entry=0x200040).load(memsz=0x3000)
    yield "entry-0", Elf(entry=0).load()
    yield "entry-max", Elf(entry=(1 << 64) - 1).load()
    yield "nothing-to-load", Elf().note()
    yield "only-empty", Elf().load(size=0)
    yield "file-more-than-memory", Elf().load(memsz=63)
    yield "memory-max", Elf().load(memsz=(1 << 64) - 1)
    yield "memory-wraps", Elf().load(memsz=(1 << 64) - 0x200000)
    yield "more-than-ram", Elf().load(memsz=64 << 20)
    yield "just-more-than-ram", Elf().load(memsz=(30 << 20) + 1)
    yield "valid-to-the-end-of-ram", Elf().load(memsz=30 << 20)
    for address in (0, 0x1000, 0xfffff, 0xbfffffff, 0xc0000000, 0x100000000,
                    (1 << 64) - 1, (1 << 64) - 64):
        yield "address-%x" % address, Elf(entry=address).load(address)
    yield "offset-max", Elf().load(offset=(1 << 64) - 1)
    yield "offset-wraps", Elf().load(offset=(1 << 64) - 64)
    yield "valid-offset-0", Elf().load(offset=0)
    yield "file-size-max", Elf().load(filesz=(1 << 64) - 1)
    yield "file-size-one-more", Elf().load(filesz=65, memsz=65)


def many(count):
    elf = Elf()
    for i in range(count):
        elf.load(0x200000 + i * 16, size=16)
    return elf


def elf_notes():
    yield "valid-pvh", Elf().load().note()
    yield "valid-pvh-8-bytes", Elf().load().note(note(size=8))
    yield "valid-pvh-align-8", Elf().load().note(note(), align=8)
    yield "valid-pvh-second", Elf().load().note(
        note(name=b"GNU\0", kind=3, size=8) + note())
    yield "valid-pvh-two", Elf().load().note().note(note(entry=0x200030))
    yield "valid-pvh-first", Elf().note().load()
    yield "valid-note-other-name", Elf().load().note(note(name=b"XEN\0"))
    yield "valid-note-short-value", Elf().load().note(note(size=3))
    yield "valid-note-empty", Elf().load().note(b"")
    yield "valid-note-name-max", Elf().load().note(note(name_size=0xffffffff))
    yield "valid-note-name-0", Elf().load().note(note(name_size=0))
    yield "valid-note-entry-0", Elf().load().note(note(entry=0))
    data = note(size=8)
    yield "valid-note-value-max", Elf().load().note(
        data[:4] + b"\xff" * 4 + data[8:])
    yield "valid-note-align-max", Elf().load().note(align=(1 << 64) - 1)
    for cut in (1, 11, 12, 15, 16, 19):
        yield "valid-note-cut-%d" % cut, Elf().load().note(note()[:cut])
    yield "pvh-entry-outside", Elf().load().note(note(entry=0x300000))
    yield "pvh-entry-max", Elf().load().note(note(entry=0xffffffff))
    yield "pvh-entry-in-bss", Elf().load(memsz=0x1000).note(
        note(entry=0x200040))
    yield "note-65537", Elf().load().note(filesz=65537)
    yield "note-offset-max", Elf().load().note(offset=(1 << 64) - 1)


def elf_headers():
    yield "class-32", Elf(klass=1).load()
    yield "big-endian", Elf(order=2).load()
    yield "type-dyn", Elf(type=3).load()
    yield "type-relocatable", Elf(type=1).load()
    yield "machine-arm64", Elf(machine=183).load()
    yield "phentsize-32", Elf(phentsize=32).load()
    yield "phentsize-0", Elf(phentsize=0).load()
    yield "phnum-0", Elf(phnum=0).load()
    yield "valid-phnum-2", Elf(phnum=2).load()
    yield "phnum-65535", Elf(phnum=65535).load()
    yield "phoff-0", Elf(phoff=0).load()
    yield "phoff-8", Elf(phoff=8).load()
    yield "phoff-max", Elf(phoff=(1 << 64) - 1).load()
    yield "phoff-wraps", Elf(phoff=(1 << 64) - 56).load()


def elves():
    plain = setting()
    for name, elf in (*elf_headers(), *elf_segments(), *elf_notes()):
        yield name, plain + elf.finish()
    good = Elf().load().note().finish()
    for cut in (1, 3, 4, 5, 63, 64, 119, 120, 175, 176, 240, len(good) - 1):
        yield "truncated-%d" % cut, plain + good[:cut]
    yield "valid-initrd", setting(initrd=5000) + good
    yield "valid-initrd-linux64", setting(
        initrd=5000) + Elf().load().finish()
    yield "initrd-nowhere", setting(initrd=NOWHERE) + good
    yield "initrd-no-room", setting(ram=2 * MIB + 4096, initrd=4096) + good
    yield "initrd-below-a-segment", setting(
        ram=16 * MIB, initrd=4096) + Elf().load(
            memsz=13 * MIB).load(0x300000).finish()
    yield "append-too-long", setting(append=2048) + good
    yield "ram-2-mib", setting(ram=2 * MIB) + good
    yield "valid-high-ram", setting(ram=4096 * MIB, initrd=4096) + good
    yield "valid-zeros", setting(zeros=65536) + Elf().load(
        filesz=65536, memsz=65536).finish()
    yield "valid-notes-65536", setting(zeros=65536) + Elf().load().note(
        filesz=65536).finish()
    yield "notes-65537", setting(zeros=65552) + Elf().load().note(
        filesz=65537).finish()


def neither():
    yield "empty-input", b""
    yield "setting-cut", setting()[:11]
    yield "empty-file", setting()
    yield "text", setting() + b"hello\n"
    yield "zeros", setting(zeros=4096)
    yield "ram-0", struct.pack("<IIHH", 0, 0, 0, 0) + bzimage()
    yield "valid-ram-max", struct.pack("<IIHH", 0xffffffff, 0, 0, 0) + bzimage()
    yield "valid-elf-and-bzimage", setting() + Elf().load().finish()[
        :0x1f1].ljust(0x1f1, b"\0") + bzimage()[0x1f1:]


def write(folder, prefix, inputs):
    seen = set()
    for name, data in inputs:
        word = "valid-" if name.startswith("valid") else ""
        name = word + prefix + name[len(word):]
        assert name not in seen, name
        seen.add(name)
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = os.path.join(sys.argv[1], "kernel")
    os.makedirs(folder, exist_ok=True)
    write(folder, "bzimage-", bzimages())
    write(folder, "elf-", elves())
    write(folder, "", neither())


main()
