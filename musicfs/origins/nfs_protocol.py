"""The procedures of NFS version 3 and its companions that a reader needs (RFC 1813; port mapper: RFC 1833), as calls. Pure.

Names and handles are bytes, as the server has them. Attributes may be missing in any answer: a server may always leave them
out (RFC 1813, section 2.6).
"""

from __future__ import annotations

import stat
import struct
from typing import TypeVar

import msgspec

from musicfs.origins.nfs_rpc import Call, StatusError
from musicfs.origins.nfs_xdr import Reader, XdrError, hyper, opaque, uint

T = TypeVar("T")

NFS_PROGRAM, NFS_VERSION = 100003, 3
MOUNT_PROGRAM, MOUNT_VERSION = 100005, 3
PORTMAP_PROGRAM, PORTMAP_VERSION = 100000, 2
_TCP = 6

# RFC 1813, section 2.6; MOUNT (section 5.1.5) shares the first ones.
OK, NOENT, IO, ACCES, PERM = 0, 2, 5, 13, 1
NOTDIR, NAMETOOLONG, STALE, BADHANDLE, BAD_COOKIE, NOTSUPP, JUKEBOX = 20, 63, 70, 10001, 10003, 10004, 10008
STATUS_TEXTS = {
    PERM: "operation not permitted", NOENT: "no such file or folder", IO: "input/output error on the server",
    6: "no such device on the server", ACCES: "permission denied", NOTDIR: "not a folder", 21: "a folder",
    22: "invalid argument", NAMETOOLONG: "name too long", STALE: "stale file handle", BADHANDLE: "bad file handle",
    BAD_COOKIE: "the listing's place was lost", NOTSUPP: "not supported by the server", 10006: "a fault of the server",
    JUKEBOX: "the server asks to come back later",
}  # fmt: skip
ABSENT = frozenset({NOENT, NOTDIR, NAMETOOLONG})
DENIED = frozenset({PERM, ACCES})
STALE_HANDLE = frozenset({STALE, BADHANDLE})

# ftype3 as the bits of a Unix mode, so that the stat module's words apply.
_FILE_TYPES = (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFBLK, stat.S_IFCHR, stat.S_IFLNK, stat.S_IFSOCK, stat.S_IFIFO)
# fattr3: type mode nlink uid gid size used rdev fsid fileid atime mtime ctime.
_ATTRIBUTES = struct.Struct(">5I2Q2I2Q6I")
_LIMITS = struct.Struct(">7IQ2II")
_START = bytes(8)


class Attributes(msgspec.Struct, frozen=True, gc=False):
    """What the server knows about a file; ``kind`` is one of ``stat.S_IF*``, or zero."""

    kind: int
    links: int
    size: int
    fsid: int
    fileid: int
    mtime_ns: int
    ctime_ns: int


class Node(msgspec.Struct, frozen=True, gc=False):
    """A handle, and what it stood for when it was given out."""

    handle: bytes
    attributes: Attributes | None = None


class Piece(msgspec.Struct, frozen=True):
    """What a READ brought: perhaps less than asked for; the attributes are those after it."""

    data: memoryview
    end_of_file: bool
    attributes: Attributes | None


class Name(msgspec.Struct, frozen=True, gc=False):
    """One name of a folder; the node may be missing."""

    name: bytes
    node: Node | None


class Page(msgspec.Struct, frozen=True):
    """A part of a folder, and where the next one begins; the attributes are the folder's own."""

    names: list[Name]
    cookie: int
    verifier: bytes
    end: bool
    attributes: Attributes | None = None


FIRST_PAGE = Page([], 0, _START, end=False)


class Limits(msgspec.Struct, frozen=True):
    """What one call may ask for, in bytes."""

    read: int
    folder: int


class Mounted(msgspec.Struct, frozen=True):
    """The root of an export; ``flavors`` are the ways of proving who one is that it accepts."""

    handle: bytes
    flavors: tuple[int, ...]


def getport(program: int, version: int) -> Call[int]:
    """The TCP port of a program; zero: it has none."""
    arguments = uint(program) + uint(version) + uint(_TCP) + uint(0)
    return Call(PORTMAP_PROGRAM, PORTMAP_VERSION, 3, arguments, Reader.uint)


def mount(export: bytes) -> Call[Mounted]:
    return Call(MOUNT_PROGRAM, MOUNT_VERSION, 1, opaque(export), _mounted)


def exports() -> Call[list[bytes]]:
    """The folders that the server exports, as it tells anybody."""
    return Call(MOUNT_PROGRAM, MOUNT_VERSION, 5, b"", _exports)


def getattr_(handle: bytes) -> Call[Attributes]:
    return Call(NFS_PROGRAM, NFS_VERSION, 1, opaque(handle), _getattr)


def lookup(folder: bytes, name: bytes) -> Call[Node]:
    return Call(NFS_PROGRAM, NFS_VERSION, 3, opaque(folder) + opaque(name), _lookup)


def readlink(handle: bytes) -> Call[bytes]:
    return Call(NFS_PROGRAM, NFS_VERSION, 5, opaque(handle), _readlink)


def read(handle: bytes, start: int, stop: int) -> Call[Piece]:
    return Call(NFS_PROGRAM, NFS_VERSION, 6, opaque(handle) + hyper(start) + uint(stop - start), _read)


def readdir(folder: bytes, after: Page, size: int) -> Call[Page]:
    """Names alone, for servers without :func:`readdirplus`."""
    arguments = opaque(folder) + hyper(after.cookie) + after.verifier + uint(size)
    return Call(NFS_PROGRAM, NFS_VERSION, 16, arguments, _readdir)


def readdirplus(folder: bytes, after: Page, size: int) -> Call[Page]:
    """Names with handles and attributes, of ``size`` bytes together at most."""
    arguments = opaque(folder) + hyper(after.cookie) + after.verifier + uint(size) + uint(size)
    return Call(NFS_PROGRAM, NFS_VERSION, 17, arguments, _readdirplus)


def fsinfo(handle: bytes) -> Call[Limits]:
    return Call(NFS_PROGRAM, NFS_VERSION, 19, opaque(handle), _fsinfo)


def _check(reader: Reader) -> None:
    status = reader.uint()
    if status != OK:
        raise StatusError(status)


def _attributes(reader: Reader) -> Attributes:
    values = reader.unpack(_ATTRIBUTES)
    kind = _FILE_TYPES[values[0]] if values[0] < len(_FILE_TYPES) else 0
    mtime_ns = values[13] * 1_000_000_000 + values[14]
    return Attributes(
        kind, values[2], values[5], values[9], values[10], mtime_ns, values[15] * 1_000_000_000 + values[16]
    )


def _optional_attributes(reader: Reader) -> Attributes | None:
    return _attributes(reader) if reader.uint() else None


def _mounted(reader: Reader) -> Mounted:
    _check(reader)
    handle = reader.opaque()
    return Mounted(handle, tuple(reader.uint() for _ in range(min(reader.uint(), 64))))


def _exports(reader: Reader) -> list[bytes]:
    paths = []
    while reader.uint():
        paths.append(reader.opaque())
        while reader.uint():
            reader.view()  # a group of hosts
    return paths


def _getattr(reader: Reader) -> Attributes:
    _check(reader)
    return _attributes(reader)


def _lookup(reader: Reader) -> Node:
    _check(reader)
    handle = reader.opaque()
    return Node(handle, _optional_attributes(reader))


def _readlink(reader: Reader) -> bytes:
    _check(reader)
    _optional_attributes(reader)
    return reader.opaque()


def _read(reader: Reader) -> Piece:
    _check(reader)
    attributes = _optional_attributes(reader)
    count, end_of_file = reader.uint(), bool(reader.uint())
    data = reader.view()
    if len(data) != count:
        raise XdrError(f"{len(data)} bytes instead of {count}")
    return Piece(data, end_of_file, attributes)


def _readdir(reader: Reader) -> Page:
    return _page(reader, plus=False)


def _readdirplus(reader: Reader) -> Page:
    return _page(reader, plus=True)


def _page(reader: Reader, *, plus: bool) -> Page:
    _check(reader)
    folder = _optional_attributes(reader)
    verifier = reader.fixed(8)
    names = []
    cookie = 0
    while reader.uint():
        reader.hyper()  # the fileid: that of a mount point is the one below it
        name = reader.opaque()
        cookie = reader.hyper()
        node = None
        if plus:
            attributes = _optional_attributes(reader)
            node = Node(reader.opaque(), attributes) if reader.uint() else None
        names.append(Name(name, node))
    return Page(names, cookie, verifier, bool(reader.uint()), folder)


def _fsinfo(reader: Reader) -> Limits:
    _check(reader)
    _optional_attributes(reader)
    values = reader.unpack(_LIMITS)
    return Limits(read=values[0], folder=values[6])
