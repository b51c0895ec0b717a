#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the hand-made part of tests/fuzz/corpus/.

Usage: make-corpus.py CORPUS-FOLDER

The inputs are committed; run this again after adding one. Names say the rule
that an input breaks; "valid-..." break none. What a fuzzer found is added to
the folders by hand, as "found-...".
"""
import os
import struct
import sys

BEGIN, END_NODE, PROP, NOP, END = 1, 2, 3, 4, 9


def pad(data):
    return data + bytes(-len(data) % 4)


class Tree:
    """A flattened device tree, of which every part can be made wrong."""

    def __init__(self):
        self.struct = b""
        self.strings = b""

    def tag(self, tag):
        self.struct += struct.pack(">I", tag)
        return self

    def begin(self, name):
        self.tag(BEGIN)
        self.struct += pad(name.encode() + b"\0")
        return self

    def end(self):
        return self.tag(END_NODE)

    def string(self, name):
        text = name.encode() + b"\0"
        if text not in self.strings:
            self.strings += text
        return self.strings.index(text)

    def prop(self, name, data, length=None, offset=None):
        if offset is None:
            offset = self.string(name)
        if length is None:
            length = len(data)
        self.tag(PROP)
        self.struct += struct.pack(">iI", length, offset) + pad(data)
        return self

    def u32(self, name, value):
        return self.prop(name, struct.pack(">I", value))

    def u64(self, name, value):
        return self.prop(name, struct.pack(">Q", value))

    def finish(self, **wrong):
        reserve = wrong.pop("reserve", 48)
        reservation = wrong.pop("reservation", bytes(16))
        gap = wrong.pop("gap", b"")
        off_struct = reserve + len(reservation)
        off_strings = off_struct + len(self.struct) + len(gap)
        head = {
            "magic": 0xd00dfeed,
            "totalsize": off_strings + len(self.strings),
            "off_struct": off_struct, "off_strings": off_strings,
            "off_reserve": reserve, "version": 17, "compatible": 16,
            "boot_cpu": 0, "size_strings": len(self.strings),
            "size_struct": len(self.struct),
        }
        for name in wrong:
            assert name in head
        head.update(wrong)
        words = struct.pack(">10I", *(v & 0xffffffff for v in head.values()))
        return (words + bytes(reserve - 40) + reservation + self.struct +
                gap + self.strings)


def small():
    """The root with properties of every kind and two levels of nodes."""
    t = Tree().begin("")
    t.u32("version", 1).u64("u64", 0).prop("blob", bytes(range(16)))
    t.u32("u8", 7).u32("u16", 65535).u32("u32", 5)
    t.prop("name", b"wherry\0").prop("empty", b"")
    t.begin("vcpu@0").u32("u8", 255).prop("regs", bytes(range(24))).end()
    t.begin("virtio-mmio@d0000000").u32("u16", 0x10000)
    t.begin("queue@0").u64("u64", 1).end()
    return t.begin("queue@1").u64("u64", 2).end().end()


def done(tree):
    return tree.end().tag(END)


def deep(levels):
    t = Tree().begin("")
    for i in range(levels - 1):
        t.begin("n@%x" % i)
    for _ in range(levels - 1):
        t.end()
    return done(t).finish()


def many(properties, children):
    t = Tree().begin("")
    for i in range(properties):
        t.prop("p%x" % i, b"")
    for i in range(children):
        t.begin("n@%x" % i).end()
    return done(t).finish()


def state_headers():
    whole = done(small())
    good = whole.finish()
    yield "valid-small", good
    yield "valid-reserve-40", whole.finish(reserve=40)
    # libfdt 1.6.1: fdt_check_full() dereferences NULL.
    yield "version-2", whole.finish(version=2, compatible=2)
    yield "version-16", whole.finish(version=16)
    yield "version-18", whole.finish(version=18, compatible=17)
    yield "magic", whole.finish(magic=0xd00dfeee)
    yield "magic-sequential-write", whole.finish(magic=0x2ffff012)
    yield "boot-cpu", whole.finish(boot_cpu=1)
    yield "total-short", whole.finish(totalsize=len(good) - 1)
    yield "total-long", whole.finish(totalsize=len(good) + 1)
    yield "total-negative", whole.finish(totalsize=-1)
    yield "gap-before-strings", whole.finish(gap=bytes(4))
    yield "gap-before-reserve", whole.finish(reserve=56)
    yield "reserve-not-empty", whole.finish(
        reservation=struct.pack(">4Q", 4096, 4096, 0, 0))
    yield "reserve-no-end", whole.finish(reservation=b"\1" * 16)
    yield "struct-size-huge", whole.finish(size_struct=-4)
    yield "struct-size-0", whole.finish(size_struct=0)
    yield "struct-unaligned", whole.finish(size_struct=len(whole.struct) + 2,
                                           gap=bytes(2))
    yield "struct-inside-header", whole.finish(off_struct=0)
    yield "strings-size-huge", whole.finish(size_strings=-1)
    yield "strings-inside-struct", whole.finish(off_strings=64)
    yield "empty-file", b""
    for cut in (1, 39, 40, 47, 64, len(good) // 2, len(good) - 1):
        yield "truncated-%d" % cut, good[:cut]
    yield "one-byte-more", good + b"\0"


def state_structures():
    t = small()
    t.strings = b"version\0u64\0blob\0u8\0u16\0u32\0name\0empty\0regs"
    yield "strings-no-nul", done(t).finish()
    # libfdt 1.6.1: accepted, and fdt_getprop() hands out the length.
    t = Tree().begin("").prop("a", b"", length=-4)
    yield "property-length-minus-4", done(t).finish()
    t = Tree().begin("").prop("a", b"", length=-1)
    yield "property-length-minus-1", done(t).finish()
    t = Tree().begin("").prop("a", b"abc", length=0x7fffffff)
    yield "property-length-max", done(t).finish()
    t = Tree().begin("").prop("a", b"abcd", length=13)
    yield "property-over-the-end", done(t).finish()
    t = Tree().begin("")
    t.tag(PROP)
    yield "property-cut", t.finish()
    t = Tree().begin("").u32("a", 1)
    yield "property-name-outside", done(t.prop("", b"", offset=2)).finish()
    t = Tree().begin("").u32("a", 1)
    yield "property-name-empty", done(t.prop("", b"", offset=1)).finish()
    for n in (31, 32):
        t = Tree().begin("").u32("n" * n, 1)
        word = "valid-" if n == 31 else ""
        yield word + "property-name-%d" % n, done(t).finish()
        t = Tree().begin("").begin("n" * n).end()
        yield word + "node-name-%d" % n, done(t).finish()
    t = Tree().begin("").u32("a b", 1)
    yield "property-name-space", done(t).finish()
    t = Tree().begin("").u32("a@b", 1)
    yield "property-name-at", done(t).finish()
    for name in ("a\033[2J", "a/b", "a@", "@a", "a@1@2", ""):
        t = Tree().begin("").begin(name).end()
        yield "node-name-" + name.encode().hex(), done(t).finish()
    t = Tree().begin("").u32("b", 1).u32("a", 1).u32("b", 2)
    yield "duplicate-property", done(t).finish()
    t = Tree().begin("").u32("xa", 1).u32("a", 1).prop("", b"", offset=1)
    yield "duplicate-property-by-suffix", done(t).finish()
    t = Tree().begin("").begin("a@1").end().begin("b").end()
    yield "duplicate-node", done(t.begin("a@1").end()).finish()
    t = Tree().begin("").begin("serial").end().begin("serial@1").end()
    yield "valid-unit-addresses", done(t).finish()
    t = Tree().begin("").begin("a").begin("b").end().end()
    t.begin("b").begin("a").end().end()
    yield "valid-same-name-elsewhere", done(t).finish()
    t = Tree().begin("").begin("a").end().u32("late", 1)
    yield "property-behind-subnode", done(t).finish()


def thing(tree, version, items=(), blob=True):
    """A node as fuzz_state.c's table writes it, by any of its versions."""
    tree.begin("thing@%x" % version)
    if version:
        tree.u32("version", version)
    tree.u32("u8", 7).u32("u16", 65535).u32("u32", 5).u64("u64", 0)
    if blob:
        tree.prop("blob", bytes(range(16)))
    if version > 1:
        tree.prop("list", struct.pack(">%dI" % len(items), *items))
    return tree.end()


def state_versions():
    t = thing(Tree().begin(""), 0)
    thing(t, 1)
    thing(t, 2, range(3, 10))
    yield "valid-versions", done(thing(t, 3, (), False)).finish()
    t = thing(Tree().begin(""), 2, [3] * 8)
    yield "valid-list-full", done(t).finish()
    t = thing(Tree().begin(""), 2, [3] * 9)
    yield "valid-list-too-long", done(t).finish()
    t = thing(Tree().begin(""), 2, (3, 10))
    yield "valid-list-out-of-range", done(t).finish()
    t = thing(Tree().begin(""), 4, (3,), False)
    yield "valid-version-newer", done(t).finish()
    t = Tree().begin("").u32("version", 0)
    yield "valid-version-0", done(t).finish()
    t = Tree().begin("").u64("version", 1)
    yield "valid-version-long", done(t).finish()


def state_ends():
    yield "root-named", done(Tree().begin("root")).finish()
    yield "root-twice", done(Tree().begin("").end().begin("")).finish()
    yield "no-root", Tree().tag(END).finish()
    yield "property-without-node", Tree().u32("a", 1).tag(END).finish()
    yield "end-of-no-node", Tree().end().tag(END).finish()
    yield "end-inside-node", Tree().begin("").tag(END).finish()
    yield "no-end", small().end().finish()
    yield "behind-the-end", done(small()).tag(END).finish()
    yield "nop", done(Tree().begin("").tag(NOP)).finish()
    yield "tag-unknown", done(Tree().begin("").tag(5)).finish()
    yield "tag-huge", done(Tree().begin("").tag(0xffffffff)).finish()
    t = Tree().tag(BEGIN)
    t.struct += b"abcd"
    yield "node-name-without-end", t.finish()
    t = Tree().tag(BEGIN)
    t.struct += b"\0\0\0\1"
    yield "node-padding", done(t).finish()
    t = Tree().begin("").prop("a", b"a\0\0\1", length=1)
    yield "property-padding", done(t).finish()
    yield "valid-depth-6", deep(6)
    yield "depth-7", deep(7)
    yield "depth-1000", deep(1000)
    yield "valid-properties-256", many(256, 0)
    yield "properties-257", many(257, 0)
    yield "valid-children-128", many(0, 128)
    yield "children-129", many(0, 129)
    t = Tree().begin("")
    for i in range(12):
        t.begin("n@%x" % i)
        for j in range(100):
            t.begin("n@%x" % j).end()
        t.end()
    yield "nodes-1213", done(t).finish()
    t = Tree().begin("").u32("a", 1)
    t.strings += b"x" * 8190 + b"\0"
    yield "strings-8193", done(t).finish()


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def signed(text):
    if isinstance(text, str):
        text = text.encode()
    return text + b"crc %08x\n" % crc32c(text)


FIRST = "wherry-snapshot 1\n"
ARCH = "arch x86_64\n"
SIZE = "memory-size 4096\n"
STATE = "file state.dtb 140 0123abcd\n"
MEMORY = "file memory 4096 00000000\n"
GOOD = FIRST + ARCH + SIZE + STATE + MEMORY


def manifests():
    yield "valid", signed(GOOD)
    yield "valid-empty-file", signed(GOOD.replace("140", "0"))
    yield "valid-max", signed(GOOD.replace("140", "18446744073709551615"))
    yield "empty", b""
    yield "foreign", b"{\n\t\"format\": 1\n}\n"
    yield "no-crc", GOOD.encode()
    yield "crc-wrong", GOOD.encode() + b"crc 00000000\n"
    yield "crc-upper", GOOD.encode() + b"crc %08X\n" % crc32c(GOOD.encode())
    yield "crc-twice", signed(signed(GOOD))
    yield "no-newline-at-end", signed(GOOD)[:-1]
    yield "behind-crc", signed(GOOD) + b"\n"
    yield "crc-alone", b"crc 00000000\n"
    yield "version-2", signed(GOOD.replace("snapshot 1", "snapshot 2"))
    yield "version-huge", signed(GOOD.replace("snapshot 1", "snapshot " +
                                              "9" * 100))
    yield "version-01", signed(GOOD.replace("snapshot 1", "snapshot 01"))
    yield "version-none", signed(GOOD.replace("snapshot 1", "snapshot "))
    yield "version-alone", b"wherry-snapshot 1"
    yield "no-arch", signed(FIRST + SIZE + STATE + MEMORY)
    yield "arch-long", signed(GOOD.replace("x86_64", "x" * 1000))
    yield "arch-empty", signed(GOOD.replace("x86_64", ""))
    yield "arch-twice", signed(FIRST + ARCH + ARCH + SIZE + STATE + MEMORY)
    yield "no-size", signed(FIRST + ARCH + STATE + MEMORY)
    yield "size-negative", signed(GOOD.replace("size 4096", "size -4096"))
    yield "size-overflow", signed(GOOD.replace("size 4096", "size " +
                                               "18446744073709551616"))
    yield "size-hex", signed(GOOD.replace("size 4096", "size 0x1000"))
    yield "size-leading-zero", signed(GOOD.replace("size 4096", "size 04096"))
    yield "size-plus", signed(GOOD.replace("size 4096", "size +4096"))
    yield "two-spaces", signed(GOOD.replace("size 4096", "size  4096"))
    yield "trailing-space", signed(GOOD.replace("size 4096", "size 4096 "))
    yield "tab", signed(GOOD.replace("size 4096", "size\t4096"))
    yield "crlf", signed(GOOD.replace("\n", "\r\n"))
    yield "nul", signed(GOOD.replace("140", "1\x0040"))
    yield "escape", signed(GOOD.replace("x86_64", "\033[2J"))
    yield "not-ascii", signed(GOOD.replace("x86_64", "\u00e9").encode())
    yield "blank-line", signed(GOOD.replace("arch", "\narch"))
    yield "comment", signed("# comment\n" + GOOD)
    yield "no-files", signed(FIRST + ARCH + SIZE)
    yield "file-twice", signed(GOOD + MEMORY)
    yield "file-path", signed(GOOD.replace("state.dtb", "../state.dtb"))
    yield "file-dots", signed(GOOD.replace("state.dtb", ".."))
    yield "file-hidden", signed(GOOD.replace("state.dtb", ".state"))
    yield "file-name-long", signed(GOOD.replace("state.dtb", "s" * 300))
    yield "file-no-crc", signed(GOOD.replace(" 0123abcd", ""))
    yield "file-crc-short", signed(GOOD.replace("0123abcd", "123abcd"))
    yield "file-crc-long", signed(GOOD.replace("0123abcd", "00123abcd"))
    yield "file-crc-upper", signed(GOOD.replace("0123abcd", "0123ABCD"))
    yield "file-more", signed(GOOD.replace("0123abcd", "0123abcd more"))
    yield "files-100", signed(GOOD + "".join("file f%d 1 00000000\n" % i
                                             for i in range(100)))
    yield "unknown-line", signed(GOOD + "compression zstd\n")
    yield "wrong-order", signed(FIRST + SIZE + ARCH + STATE + MEMORY)
    yield "long-line", signed(FIRST + "arch " + "x" * 70000 + "\n")


def write(folder, inputs):
    os.makedirs(folder, exist_ok=True)
    seen = set()
    for name, data in inputs:
        assert name not in seen, name
        seen.add(name)
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    state = [*state_headers(), *state_structures(),
             *state_versions(), *state_ends()]
    write(os.path.join(sys.argv[1], "state"), state)
    write(os.path.join(sys.argv[1], "manifest"), manifests())


main()
