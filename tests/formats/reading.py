"""Sources that count, and shorthands for reading bytes."""

from __future__ import annotations

from pathlib import Path

from musicfs.formats import HeadTail, LocalSource, NeedRange, read
from musicfs.model import Facts

READ_AHEAD_BYTES = 64 * 1024


class CountingSource:
    """Bytes in memory that know what was asked of them."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.ranges: list[tuple[int, int]] = []

    def read(self, start: int, stop: int) -> bytes:
        assert 0 <= start <= stop <= self.size
        self.ranges.append((start, stop))
        return self.data[start:stop]

    @property
    def bytes_read(self) -> int:
        return sum(stop - start for start, stop in self.ranges)


def read_path(path: Path) -> Facts:
    with LocalSource.open(path) as source:
        return read(source, path.name)


def read_bytes(data: bytes, name: str = "file.mp3") -> Facts:
    return read(CountingSource(data), name)


def read_remotely(data: bytes, name: str, *, head_bytes: int, tail_bytes: int) -> tuple[Facts, list[tuple[int, int]]]:
    """Read as a scan over a network does; also returns the ranges that were fetched on request."""
    head = data[:head_bytes]
    source = HeadTail(len(data), head, data[max(len(head), len(data) - tail_bytes) :])
    fetched: list[tuple[int, int]] = []
    while True:
        try:
            return read(source, name), fetched
        except NeedRange as need:
            stop = max(need.stop, min(need.limit, need.start + READ_AHEAD_BYTES))
            fetched.append((need.start, stop))
            assert len(fetched) < 20
            source.add(need.start, data[need.start : stop])
