"""Manifests: which part of which chunk each range of a content is.

The value in the table is a hash of 16 bytes and then, ordered by start and never overlapping, entries of four words in the
machine's byte order::

    start u64 | length, offset in the chunk, length of the whole chunk: 21 bits each, from the lowest | chunk key, 16 bytes

It can be searched in place, without decoding. An entry may use a part of its chunk: a changed file reuses known audio at
another offset. What no entry covers is a gap.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from musicfs.store.chunks_schema import HASH_BYTES

ENTRY_BYTES = 32
LENGTH_BITS = 21
LENGTH_MASK = (1 << LENGTH_BITS) - 1
WORDS_BEFORE = HASH_BYTES // 8  # of the value's words, before the first entry
WORDS = ENTRY_BYTES // 8  # of an entry
_ENTRY = struct.Struct("=QQ16s")


class Entry(NamedTuple):
    """``length`` bytes from ``start`` are the chunk's from ``offset``; ``chunk_bytes`` is the whole chunk's length."""

    start: int
    length: int
    offset: int
    chunk_bytes: int
    key: bytes

    @property
    def stop(self) -> int:
        """Where the next entry or a gap begins."""
        return self.start + self.length

    def part(self, start: int, stop: int, to: int) -> Entry:
        """The bytes ``[start, stop)`` of it, which lie within it, as an entry that starts at ``to``."""
        return Entry(to, stop - start, self.offset + start - self.start, self.chunk_bytes, self.key)


def pack(entry: Entry) -> bytes:
    """An entry's 32 bytes."""
    span = entry.length | entry.offset << LENGTH_BITS | entry.chunk_bytes << 2 * LENGTH_BITS
    return _ENTRY.pack(entry.start, span, entry.key)


def unpack(raw: bytes | memoryview) -> Iterator[Entry]:
    """The entries of a run of entries' bytes."""
    for start, span, key in _ENTRY.iter_unpack(raw):
        yield Entry(start, span & LENGTH_MASK, span >> LENGTH_BITS & LENGTH_MASK, span >> 2 * LENGTH_BITS, key)


class Manifest:
    """A manifest to be changed: a value that is replaced as a whole."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes = b"") -> None:
        """``raw`` is the table's value without its hash."""
        self.raw = raw

    def __len__(self) -> int:
        return len(self.raw) // ENTRY_BYTES

    def __iter__(self) -> Iterator[Entry]:
        return unpack(self.raw)

    @property
    def stop(self) -> int:
        """Where the last entry stops."""
        return next(unpack(memoryview(self.raw)[-ENTRY_BYTES:])).stop if self.raw else 0

    def _index(self, position: int) -> int:
        """How many entries start at or before ``position``."""
        return bisect_right(memoryview(self.raw).cast("Q")[::WORDS], position) if self.raw else 0

    def between(self, start: int, stop: int) -> Iterator[Entry]:
        """The entries that overlap ``[start, stop)``, whole, in order."""
        first = max(0, self._index(start) - 1)
        for entry in unpack(memoryview(self.raw)[first * ENTRY_BYTES :]):
            if entry.start >= stop:
                return
            if entry.stop > start:
                yield entry

    def gaps(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """The ranges of ``[start, stop)`` that no entry covers, in order."""
        for entry in self.between(start, stop):
            if entry.start > start:
                yield start, entry.start
            start = entry.stop
        if start < stop:
            yield start, stop

    def covers(self, start: int, stop: int) -> bool:
        """True if ``[start, stop)`` has no gap."""
        return next(self.gaps(start, stop), None) is None

    def insert(self, entries: Iterable[Entry]) -> None:
        """Add entries, in order, that overlap neither each other nor what is there."""
        new = list(entries)
        if not new:
            return
        packed = b"".join(map(pack, new))
        first, last = self._index(new[0].start), self._index(new[-1].start)
        if first == last:
            cut = first * ENTRY_BYTES
            self.raw = self.raw[:cut] + packed + self.raw[cut:]
        else:
            self.raw = b"".join(map(pack, sorted([*self, *new])))

    def pop_last(self, count: int) -> list[Entry]:
        """Take up to ``count`` entries away from the end."""
        cut = max(0, len(self) - count) * ENTRY_BYTES
        taken = list(unpack(memoryview(self.raw)[cut:]))
        self.raw = self.raw[:cut]
        return taken

    def remove_keys(self, keys: frozenset[bytes]) -> list[Entry]:
        """Take every entry away that names one of these chunks."""
        taken = [entry for entry in self if entry.key in keys]
        if taken:
            self.raw = b"".join(pack(entry) for entry in self if entry.key not in keys)
        return taken
