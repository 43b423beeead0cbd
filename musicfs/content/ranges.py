"""Arithmetic of half-open byte ranges: ascending, apart from each other, never empty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

Range = tuple[int, int]


def union(ranges: Iterable[Range]) -> list[Range]:
    """All of these as ranges that neither touch nor overlap."""
    joined: list[Range] = []
    for start, stop in sorted(ranges):
        if stop <= start:
            continue
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
        else:
            joined.append((start, stop))
    return joined


def subtract(ranges: Iterable[Range], others: Iterable[Range]) -> list[Range]:
    """What of ``ranges`` lies in none of ``others``."""
    taken = union(others)
    left: list[Range] = []
    at = 0  # the first of ``taken`` that does not end before the range
    for start, stop in union(ranges):
        while at < len(taken) and taken[at][1] <= start:
            at += 1
        position, index = start, at
        while index < len(taken) and taken[index][0] < stop:
            if taken[index][0] > position:
                left.append((position, taken[index][0]))
            position = taken[index][1]
            index += 1
        if position < stop:
            left.append((position, stop))
    return left


def intersect(ranges: Iterable[Range], others: Iterable[Range]) -> list[Range]:
    """What lies in both."""
    known = union(ranges)
    return subtract(known, subtract(known, others))


def shift(ranges: Iterable[Range], by: int) -> list[Range]:
    """The ranges ``by`` bytes further on."""
    return [(start + by, stop + by) for start, stop in ranges]


def total_bytes(ranges: Iterable[Range]) -> int:
    """How many bytes they have."""
    return sum(stop - start for start, stop in ranges)


def take_at(ranges: Sequence[Range], offset: int, size: int) -> Range:
    """Up to ``size`` bytes of one of the ranges around the byte that is ``offset`` bytes into them."""
    for start, stop in ranges:
        if offset < stop - start:
            begin = max(start, min(start + offset, stop - size))
            return begin, min(begin + size, stop)
        offset -= stop - start
    raise ValueError("the ranges end before that")


def within(pieces: Iterable[tuple[int, bytes]], ranges: Sequence[Range]) -> Iterator[tuple[int, memoryview]]:
    """The parts of ``pieces``, which are bytes by their start, that lie in ``ranges``."""
    for start, data in pieces:
        view = memoryview(data)
        for first, last in intersect([(start, start + len(data))], ranges):
            yield first, view[first - start : last - start]
