# SPDX-License-Identifier: Apache-2.0
"""archives.py - which project archives mean harm, and what is to be said of each?

usage: archives.py FOLDER

Writes each archive to FOLDER/<name>, and to FOLDER/cases a line for each: its name, a
tab, and what the refusal says. Headers are written field by field, since no packer
would write them. All climb, point or claim to be where or what no project is.
"""
import gzip
import lzma
import os
import struct
import sys

BLOCK = 512
OUTSIDE = "leads outside the project"
KIND = "is neither a regular file nor a folder"
TWICE = "comes twice"
TOO_LARGE = "bytes unpacked"
BROKEN = "broken"
NO_PATH = "is no usable path"
NO_TAR = "Unrecognized archive format"
CUT = "truncated gzip input"


def pad(data):
    return data + bytes(-len(data) % BLOCK)


def number(value, size):
    """Octal, or the base-256 form for what octal cannot say."""
    if isinstance(value, bytes):
        return value.ljust(size, b"\0")
    if 0 <= value < 8 ** (size - 1):
        return b"%0*o\0" % (size - 1, value)
    return struct.pack(">B", 0x80 if value >= 0 else 0xFF) + value.to_bytes(
        size - 1, "big", signed=True
    )


def entry(path, data=b"", kind=b"0", link=b"", size=None, prefix=b"", tail=None, checksum=None):
    """A header and its data. tail: GNU's fields in place of ustar's prefix."""
    gnu = tail is not None or kind in b"LKSMVD"
    head = path.ljust(100, b"\0")[:100] + number(0o644, 8) + number(0, 8) + number(0, 8)
    head += number(len(data) if size is None else size, 12) + number(0, 12)
    end = kind + link.ljust(100, b"\0")[:100] + (b"ustar  \0" if gnu else b"ustar\x0000")
    end += bytes(64) + number(1, 8) + number(3, 8)
    end += (tail if tail is not None else prefix).ljust(167, b"\0")[:167]
    total = sum(head) + sum(end) + 8 * 32
    head += (b"%06o\0 " % total if checksum is None else checksum) + end
    return head.ljust(BLOCK, b"\0")[:BLOCK] + pad(data)


def pax(records, kind=b"x"):
    """A pax header; records as (key, value), or bytes that stand as they are."""
    body = b""
    for record in records:
        if isinstance(record, bytes):
            body += record
            continue
        rest = b" %s=%s\n" % record
        size = len(rest) + 1
        while len(b"%d" % size) + len(rest) != size:
            size += 1
        body += b"%d" % size + rest
    return entry(b"pax", body, kind)


def end(*parts):
    return b"".join(parts) + bytes(2 * BLOCK)


def sparse(path, realsize, pieces, size=0, data=b""):
    """GNU's old sparse file: pieces are (offset, size)."""
    tail = bytes(41) + b"".join(number(o, 12) + number(s, 12) for o, s in pieces[:4])
    tail = tail.ljust(41 + 96 + 1, b"\0") + number(realsize, 12)
    return entry(path, data, b"S", size=size or len(data), tail=tail)


def climbing():
    for name, path in (
        ("up", b"../escaped"),
        ("up_twice", b"../../escaped"),
        ("up_far", b"../" * 20 + b"tmp/escaped"),
        ("up_inside", b"a/../../escaped"),
        ("up_and_back", b"a/../b"),
        ("up_at_end", b"a/.."),
        ("up_only", b".."),
        ("up_slash", b"../"),
        ("up_behind_dot", b"./../escaped"),
        ("up_two_slashes", b"..//escaped"),
        ("up_behind_two_slashes", b"a//../../escaped"),
        ("absolute", b"/tmp/escaped"),
        ("absolute_two_slashes", b"//tmp/escaped"),
        ("absolute_up", b"/../escaped"),
        ("root", b"/"),
    ):
        yield name, end(entry(path, b"x")), OUTSIDE
        if name in ("up", "absolute"):
            yield name + "_folder", end(entry(path + b"/", kind=b"5")), OUTSIDE
            yield name + "_pax", end(pax([(b"path", path)]), entry(b"a", b"x")), OUTSIDE
            yield name + "_gnu", end(entry(b"l", path + b"\0", b"L"), entry(b"a", b"x")), OUTSIDE
    yield "up_prefix", end(entry(b"escaped", b"x", prefix=b"..")), OUTSIDE
    yield "up_in_second", end(entry(b"good.py", b"x"), entry(b"../escaped", b"x")), OUTSIDE


def linking():
    outside = b"/tmp"
    for name, link in ("etc", b"/etc"), ("up", b".."), ("itself", b"l"), ("inside", b"good.py"):
        yield "symlink_" + name, end(entry(b"good.py"), entry(b"l", b"", b"2", link)), KIND
    yield "through_symlink", end(entry(b"l", b"", b"2", outside), entry(b"l/escaped", b"x")), KIND
    yield "hardlink_etc", end(entry(b"l", b"", b"1", b"/etc/passwd")), KIND
    yield "hardlink_up", end(entry(b"l", b"", b"1", b"../archive")), KIND
    yield "hardlink_inside", end(entry(b"good.py"), entry(b"l", b"", b"1", b"good.py")), KIND
    yield "hardlink_with_data", end(entry(b"a"), entry(b"l", b"xy", b"1", b"a")), KIND
    yield "symlink_pax", end(pax([(b"linkpath", b"/etc")]), entry(b"l", b"", b"2", b"x")), KIND
    yield "symlink_gnu", end(
        entry(b"l", b"/etc\0", b"K"), entry(b"l", b"", b"2", b"x")
    ), KIND
    yield "symlink_for_root", end(entry(b".", b"", b"2", outside)), KIND


def devices():
    for name, kind in ("character", b"3"), ("block", b"4"), ("fifo", b"6"):
        yield "device_" + name, end(entry(b"d", kind=kind)), KIND


def twice():
    yield "file_twice", end(entry(b"a", b"1"), entry(b"a", b"2")), TWICE
    yield "file_twice_dot", end(entry(b"a", b"1"), entry(b"./a", b"2")), TWICE
    yield "file_twice_slashes", end(entry(b"b/a", b"1"), entry(b"b//a", b"2")), TWICE
    yield "file_over_folder", end(entry(b"a/", kind=b"5"), entry(b"a", b"2")), TWICE
    yield "file_for_root", end(entry(b".", b"x")), TWICE
    yield "folder_over_file", end(entry(b"a", b"1"), entry(b"a/", kind=b"5")), TWICE
    yield "file_below_file", end(entry(b"a", b"1"), entry(b"a/b", b"2")), TWICE


def bombs(small):
    yield "says_8_gib", end(entry(b"a", size=8 << 30)), TOO_LARGE
    yield "says_4_eib", end(entry(b"a", size=1 << 62)), TOO_LARGE
    yield "pax_says_2_gib", end(pax([(b"size", b"2147483648")]), entry(b"a")), TOO_LARGE
    yield "hole_of_1_tib", end(sparse(b"a", 1 << 40, [(0, 0)])), TOO_LARGE
    yield "hole_before_data", end(sparse(b"a", (1 << 40) + 1, [(1 << 40, 1)], data=b"x")), TOO_LARGE
    for version in (
        [(b"GNU.sparse.size", b"1099511627776"), (b"GNU.sparse.numblocks", b"0")],
        [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"),
         (b"GNU.sparse.realsize", b"1099511627776")],
    ):
        name = "hole_pax_%d" % len(version)
        yield name, end(pax(version), entry(b"a", pad(b"1\n1099511627776\n0\n"))), TOO_LARGE
    if not small:
        zeros = gzip.compress(bytes(1 << 20), 9)
        members = gzip.compress(entry(b"a", size=1100 << 20)[:BLOCK]) + zeros * 1100
        yield "gzip_of_zeros", members, TOO_LARGE
        many = gzip.compress(entry(b"d/", kind=b"5") * 1000)
        yield "many_entries", many * 101, "more than 100000 entries"


def lying():
    yield "cut_in_header", entry(b"a", b"x")[:300], NO_TAR
    yield "cut_in_data", entry(b"a", bytes(5000))[:2000], BROKEN
    yield "says_more_than_there_is", entry(b"a", size=100 << 20), BROKEN
    yield "says_negative_size", end(entry(b"a", size=-1)), BROKEN
    yield "says_negative_pax_size", end(pax([(b"size", b"-5")]), entry(b"a", b"x")), BROKEN
    yield "wrong_checksum", end(entry(b"a", b"x", checksum=b"000001\0 ")), NO_TAR
    yield "second_checksum", end(entry(b"a", b"x"), entry(b"b", checksum=b"000001\0 ")), BROKEN
    yield "pax_record_too_long", end(pax([b"9999 path=x\n"]), entry(b"a")), BROKEN
    yield "pax_record_without_size", end(pax([b"path=x\n"]), entry(b"a")), BROKEN
    yield "pax_without_entry", end(pax([(b"path", b"a")])), BROKEN
    yield "gnu_name_without_entry", end(entry(b"l", b"x" * 200 + b"\0", b"L")), BROKEN
    yield "path_too_long", end(pax([(b"path", b"a/" * 600 + b"b")]), entry(b"a")), NO_PATH
    yield "path_of_nothing", end(pax([(b"path", b"")]), entry(b"")), NO_PATH
    tar = end(entry(b"a", b"x"))
    whole = gzip.compress(tar)
    yield "gzip_cut", whole[: len(whole) // 2], CUT
    yield "gzip_of_gzip_cut", gzip.compress(whole[: len(whole) // 2]), CUT
    yield "xz", lzma.compress(tar), NO_TAR
    yield "zip", b"PK\x03\x04" + bytes(600), NO_TAR
    yield "cpio", b"070701" + b"0" * 700, NO_TAR
    yield "text", b"this is no archive\n" * 60, NO_TAR
    yield "noise", bytes((i * i * 7 + 13) % 251 for i in range(2000)), NO_TAR


def all_of_them(small=False):
    """(name, bytes, what the refusal says); small: none that takes long to unpack."""
    yield from climbing()
    yield from linking()
    yield from devices()
    yield from twice()
    yield from bombs(small)
    yield from lying()


def main(folder):
    with open(os.path.join(folder, "cases"), "w", encoding="ascii") as cases:
        for name, data, says in all_of_them():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data)
            cases.write("%s\t%s\n" % (name, says))


if __name__ == "__main__":
    main(sys.argv[1])
