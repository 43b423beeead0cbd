"""Where the bytes of a file come from: the reader's side of a contract, and two ways to keep it."""

from __future__ import annotations

import os
import struct
import zlib
from types import TracebackType
from typing import Protocol

from musicfs.errors import ChangedError, FormatError

# Every parser begins with one read of this size (or the whole file): most files need nothing more but a few tail bytes.
HEAD_BYTES = 64 * 1024

_READ_AHEAD_BYTES = 16 * 1024

# What the parsers may read of one file, where a read counts as this many bytes more: a crafted file cannot keep them busy.
_BUDGET_BYTES = 32 * 1024 * 1024
_READ_COST_BYTES = 256


class RangeReader(Protocol):
    """A file of known size that is read by ranges. Parsers ask for few, small ranges, never beyond ``size``."""

    @property
    def size(self) -> int:
        """Bytes in the file; constant."""
        ...

    def read(self, start: int, stop: int) -> bytes:
        """Exactly the bytes ``[start, stop)``, or an exception, which passes through the parsers unchanged."""
        ...


class NeedRange(Exception):
    """A :class:`HeadTail` lacks ``[start, stop)``: fetch it, :meth:`HeadTail.add` it, and parse again.

    Nothing of ``[start, limit)`` is held. Reading further than ``stop`` may spare a round trip: parsers walk forwards.
    """

    def __init__(self, start: int, stop: int, limit: int) -> None:
        super().__init__(f"bytes {start} to {stop} are needed")
        self.start = start
        self.stop = stop
        self.limit = limit


class LocalSource:
    """A file of this machine, read with ``pread``: the descriptor's position is neither used nor changed.

    Does not own ``fd``, unless it was made by :meth:`open`. ChangedError when the file is shorter than ``size`` by now.
    Not safe to share between threads.
    """

    __slots__ = ("_ahead", "_ahead_start", "_fd", "_owned", "_size")

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._size = size
        self._owned = False
        self._ahead = b""
        self._ahead_start = 0

    @classmethod
    def open(cls, path: str | bytes | os.PathLike[str]) -> LocalSource:
        """Open the regular file at ``path``; use it as a context manager, or close it. Raises OSError."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        source = cls(fd, os.fstat(fd).st_size)
        source._owned = True
        return source

    @property
    def size(self) -> int:
        """Bytes in the file, as given or as found on opening."""
        return self._size

    def read(self, start: int, stop: int) -> bytes:
        """Exactly the bytes ``[start, stop)``; reads a little ahead, as parsers walk forwards."""
        offset = start - self._ahead_start
        if offset >= 0 and stop <= self._ahead_start + len(self._ahead):
            return self._ahead[offset : offset + stop - start]
        wanted = stop - start
        data = os.pread(self._fd, max(wanted, min(_READ_AHEAD_BYTES, self._size - start)), start)
        if len(data) < wanted:
            data += self._rest(start + len(data), stop)
        self._ahead, self._ahead_start = data, start
        return data if len(data) == wanted else data[:wanted]

    def _rest(self, start: int, stop: int) -> bytes:
        """A read may be short at the end of the file, or on a network filesystem, or above 2 GiB."""
        parts = []
        while start < stop:
            part = os.pread(self._fd, stop - start, start)
            if not part:
                raise ChangedError(
                    f"the file ends at byte {start} instead of {self._size}: it changed while it was read"
                )
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close the descriptor if this object opened it; idempotent."""
        if self._owned:
            self._owned = False
            os.close(self._fd)

    def __enter__(self) -> LocalSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class HeadTail:
    """A remote file of which some ranges are here: a head and perhaps a tail at first.

    The head must hold ``head_bytes``, or the whole file, before it is parsed. Asking for anything that is not here raises
    :class:`NeedRange`. Not safe to share between threads.
    """

    __slots__ = ("_pieces", "_size", "head_bytes")

    def __init__(self, size: int, head: bytes = b"", tail: bytes = b"", *, head_bytes: int = HEAD_BYTES) -> None:
        """A smaller ``head_bytes`` than usual spares bytes and costs requests; what tells the container must be in it."""
        self.head_bytes = head_bytes
        self._size = size
        self._pieces: list[tuple[int, bytes]] = []  # in order, neither touching nor overlapping
        self.add(0, head)
        self.add(size - len(tail), tail)

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._size

    @property
    def pieces(self) -> tuple[tuple[int, bytes], ...]:
        """(start, bytes) of all that is here, in order, neither touching nor overlapping."""
        return tuple(self._pieces)

    def add(self, start: int, data: bytes) -> None:
        """Add the bytes at ``start``."""
        apart = []
        for piece_start, piece in self._pieces:
            stop, piece_stop = start + len(data), piece_start + len(piece)
            if piece_stop < start or stop < piece_start:
                apart.append((piece_start, piece))
            elif piece_start <= start:
                data = piece + data[piece_stop - start :]
                start = piece_start
            else:
                data += piece[stop - piece_start :]
        if data:
            self._pieces = sorted([*apart, (start, data)])

    def read(self, start: int, stop: int) -> bytes:
        """The bytes ``[start, stop)``, or NeedRange for the first part of them that is not here."""
        if start == stop:
            return b""
        limit = self._size
        for piece_start, data in self._pieces:
            if piece_start <= start < piece_start + len(data):
                if stop <= piece_start + len(data):
                    return data[start - piece_start : stop - piece_start]
                start = piece_start + len(data)
            elif piece_start > start:
                limit = min(limit, piece_start)
        raise NeedRange(start, min(stop, limit), limit)


class View:
    """What parsers read through: the head in memory, and every range checked against the file's size.

    A range that lies outside the file is a FormatError: some length in the file is wrong. So is reading without end.
    """

    __slots__ = ("_budget", "_source", "head", "size")

    def __init__(self, source: RangeReader) -> None:
        self._source = source
        self._budget = _BUDGET_BYTES
        self.size = source.size
        head_bytes = source.head_bytes if isinstance(source, HeadTail) else HEAD_BYTES
        self.head = source.read(0, min(self.size, head_bytes)) if self.size else b""

    def read(self, start: int, stop: int) -> bytes:
        """Exactly the bytes ``[start, stop)``."""
        self._budget -= stop - start + _READ_COST_BYTES
        if self._budget < 0:
            raise FormatError("the tags of the file refer to too much data")
        if 0 <= start <= stop <= len(self.head):
            return self.head[start:stop]
        if not 0 <= start <= stop <= self.size:
            raise FormatError(f"bytes {start} to {stop} are referred to, but the file has {self.size}")
        return self._source.read(start, stop)

    def read_some(self, start: int, stop: int) -> bytes:
        """The bytes of ``[start, stop)`` that exist: possibly none."""
        start = max(0, start)
        return self.read(start, min(stop, self.size)) if start < min(stop, self.size) else b""


# What damaged bytes raise in struct, slicing, decoding and arithmetic, beside FormatError itself. Errors of a source
# (OSError, OriginError, NeedRange) are not among these.
MALFORMED = (FormatError, struct.error, IndexError, KeyError, ValueError, ArithmeticError, zlib.error)
