"""The messages of SFTP version 3 that a reader needs: packed and parsed. Pure: no I/O, no threads.

Source: draft-ietf-secsh-filexfer-02; OpenSSH's PROTOCOL file for ``limits@openssh.com``. Every message is a big-endian
length, a type, and (but for INIT and VERSION) a request's number, which the answer repeats.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from enum import IntEnum
from struct import Struct
from struct import error as StructError

import msgspec

VERSION_NUMBER = 3
MAX_MESSAGE_BYTES = 4 << 20  # OpenSSH sends 256 KiB at most; more than this is no SFTP
LIMITS_EXTENSION = b"limits@openssh.com"
# The draft asks servers to take 34,000 bytes in one message; more only from a server that says so.
DEFAULT_READ_BYTES = 32_768
DEFAULT_OPEN_HANDLES = 64
MAX_READ_BYTES = 256 << 10
NO_LIMIT = 1 << 32

_OPEN_FOR_READING = 0x1
_SIZE, _UIDGID, _PERMISSIONS, _ACMODTIME, _EXTENDED = 0x1, 0x2, 0x4, 0x8, 0x8000_0000

U32 = Struct(">I")
_U64 = Struct(">Q")
_HEADER = Struct(">IBI")  # length, type, request number
_READ_TAIL = Struct(">QI")


class Kind(IntEnum):
    """Types of messages."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    LSTAT = 7
    FSTAT = 8
    OPENDIR = 11
    READDIR = 12
    REALPATH = 16
    STAT = 17
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


class Code(IntEnum):
    """What a STATUS says."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2  # OpenSSH: ENOENT, ENOTDIR, ELOOP
    PERMISSION_DENIED = 3
    FAILURE = 4  # anything else
    BAD_MESSAGE = 5  # OpenSSH: EINVAL, ENAMETOOLONG
    UNSUPPORTED = 8


class StatusError(Exception):
    """The server answered a request with a failure. Never leaves the origin."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code

    @property
    def names_nothing(self) -> bool:
        """The path is not there, or no file can have it; the caller proves that the root is there before it believes it."""
        return self.code in {Code.NO_SUCH_FILE, Code.BAD_MESSAGE}

    @property
    def is_denied(self) -> bool:
        return self.code == Code.PERMISSION_DENIED

    @property
    def is_end(self) -> bool:
        return self.code == Code.EOF


class MalformedError(Exception):
    """The other side does not speak SFTP. Never leaves the origin."""


class Attrs(msgspec.Struct, frozen=True, gc=False):
    """What a server says about a file; -1 for what it does not say. ``mtime_s`` is in whole seconds, as version 3 is."""

    size: int = -1
    mode: int = -1
    mtime_s: int = -1

    @property
    def complete(self) -> bool:
        """Everything is known that an entry needs."""
        return self.size >= 0 and self.mode >= 0 and self.mtime_s >= 0

    @property
    def is_file(self) -> bool:
        return self.mode >= 0 and stat.S_ISREG(self.mode)

    @property
    def is_folder(self) -> bool:
        return self.mode >= 0 and stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        return self.mode >= 0 and stat.S_ISLNK(self.mode)


Answer = bytes | Attrs | list[tuple[bytes, Attrs]]
"""A handle or data, attributes, or names."""


def pack_init() -> bytes:
    """The first message of a session."""
    return U32.pack(5) + bytes((Kind.INIT,)) + U32.pack(VERSION_NUMBER)


def pack_on_string(kind: Kind, number: int, text: bytes) -> bytes:
    """A request about a path (STAT, LSTAT, REALPATH, OPENDIR), a handle (FSTAT, READDIR, CLOSE) or an extension's name."""
    return _HEADER.pack(9 + len(text), kind, number) + U32.pack(len(text)) + text


def pack_open(number: int, path: bytes) -> bytes:
    """Open ``path`` for reading, with no attributes given."""
    tail = U32.pack(_OPEN_FOR_READING) + U32.pack(0)
    return _HEADER.pack(17 + len(path), Kind.OPEN, number) + U32.pack(len(path)) + path + tail


def pack_read(number: int, handle: bytes, offset: int, length: int) -> bytes:
    """Read at most ``length`` bytes from ``offset`` on."""
    head = _HEADER.pack(21 + len(handle), Kind.READ, number) + U32.pack(len(handle))
    return head + handle + _READ_TAIL.pack(offset, length)


def parse_version(message: bytes) -> frozenset[bytes]:
    """The names of the extensions a server offers, from its VERSION message without the length."""
    if not message or message[0] != Kind.VERSION:
        raise MalformedError("no version message")
    reader = _Reader(message, 1)
    if reader.u32() < VERSION_NUMBER:
        raise MalformedError("a version before 3")
    names = []
    while not reader.at_end:
        names.append(reader.string())
        reader.string()
    return frozenset(names)


def parse_answer(kind: int, message: memoryview) -> Answer:
    """An answer behind its request's number. Raises StatusError for a STATUS that is not OK (EOF is not), MalformedError."""
    reader = _Reader(message, 0)
    match kind:
        case Kind.DATA | Kind.HANDLE:
            return reader.string()
        case Kind.ATTRS:
            return reader.attrs()
        case Kind.NAME:
            return list(_names(reader))
        case Kind.EXTENDED_REPLY:
            return bytes(message)
        case Kind.STATUS:
            code = reader.u32()
            if code == Code.OK:
                return b""
            text = reader.string().decode("utf-8", "replace") if not reader.at_end else ""
            raise StatusError(code, text or f"status {code}")
    raise MalformedError(f"a message of type {kind}")


class Limits(msgspec.Struct, frozen=True):
    """What one session may ask of a server; the defaults where it does not say."""

    read_bytes: int = DEFAULT_READ_BYTES  # in one READ
    open_handles: int = DEFAULT_OPEN_HANDLES


def parse_limits(reply: bytes) -> Limits:
    """The reply to ``limits@openssh.com``; zero in it is no limit."""
    reader = _Reader(reply, 0)
    packet, read, _write, handles = (reader.u64() for _ in range(4))
    read = min(read or packet - 1024, MAX_READ_BYTES) if packet > DEFAULT_READ_BYTES else DEFAULT_READ_BYTES
    return Limits(read, handles or NO_LIMIT)


def _names(reader: _Reader) -> Iterator[tuple[bytes, Attrs]]:
    for _ in range(reader.u32()):
        name = reader.string()
        reader.string()  # the line of an ls -l, for people
        yield name, reader.attrs()


class _Reader:
    """A cursor over a message. What lies beyond its end raises MalformedError."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes | memoryview, at: int) -> None:
        self._data = data
        self._at = at

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._data)

    def u32(self) -> int:
        return self._number(U32)

    def u64(self) -> int:
        return self._number(_U64)

    def string(self) -> bytes:
        length = self.u32()
        start = self._at
        self._at = start + length
        if self._at > len(self._data):
            raise MalformedError("a message that ends too early")
        return bytes(self._data[start : self._at])

    def attrs(self) -> Attrs:
        flags = self.u32()
        size = self.u64() if flags & _SIZE else -1
        if flags & _UIDGID:
            self.u64()
        mode = self.u32() if flags & _PERMISSIONS else -1
        mtime_s = -1
        if flags & _ACMODTIME:
            self.u32()
            mtime_s = self.u32()
        if flags & _EXTENDED:
            for _ in range(self.u32()):
                self.string()
                self.string()
        return Attrs(size, mode, mtime_s)

    def _number(self, shape: Struct) -> int:
        try:
            value = shape.unpack_from(self._data, self._at)[0]
        except StructError as error:
            raise MalformedError("a message that ends too early") from error
        self._at += shape.size
        assert isinstance(value, int)
        return value
