"""Reading files whose bytes come over a network: from the content store, from memory, or from an origin, in that order."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from musicfs.content.buffers import Buffers
from musicfs.content.fetch import Fetcher, Gaps, Stored, Wanted
from musicfs.content.patience import LostBlocks, Places
from musicfs.content.proof import Proofs
from musicfs.content.readahead import ReadAhead
from musicfs.errors import UnreachableError
from musicfs.store.chunks_schema import BLOCK_BYTES

_ACTIVE_S = 3.0
_TAIL_BYTES = 64 * 1024  # ID3v1, APEv2, the index of an MP4 whose tags come last, the last page of an Ogg
# Who reads further than this plays, and shall not notice when an origin goes; who only looks at tags costs no comparison.
PROOF_AFTER_BYTES = 384 * 1024

Waiting = Callable[[], AbstractContextManager[object]]


class NothingStored:
    """A store that has nothing: for origins whose content is not kept on disk."""

    def read_into(self, view: memoryview, start: int) -> Gaps:
        """All of it is missing."""
        return ((start, start + len(view)),)

    def missing(self, start: int, stop: int) -> Gaps:
        """All of it is."""
        return ((start, stop),)


class Circumstances:
    """What all cached readers share: what fetches, what knows equal sources, how to wait and how long, a buffer a thread."""

    def __init__(self, fetcher: Fetcher, proofs: Proofs, waiting: Waiting, places: Places, timeout_s: float) -> None:
        self.fetcher = fetcher
        self.proofs = proofs
        self.waiting = waiting
        self.places = places
        self.lost = LostBlocks()
        self.timeout_s = timeout_s
        self.hits = 0
        self.misses = 0
        self._reading_ahead: dict[int, float] = {}  # who moved its window, and when
        self.buffers = Buffers()

    def window_bytes(self, reader: int) -> int:
        """How far ahead this reader may fetch now: half the memory for fetched blocks, shared by all who read straight on."""
        now = time.monotonic()
        active = self._reading_ahead
        active[reader] = now
        if len(active) > 1:
            self._reading_ahead = active = {one: at for one, at in tuple(active.items()) if now - at < _ACTIVE_S}
        return max(self.fetcher.recent.limit_bytes // 2 // len(active), BLOCK_BYTES)


class CachedReader:
    """A range of one content. What is missing is fetched in whole blocks, and ahead when the reader goes straight on."""

    def __init__(self, wanted: Wanted, stored: Stored, start: int, size: int, circumstances: Circumstances) -> None:
        self._wanted = wanted
        self._stored = stored
        self._start = start
        self.size = size
        self._with = circumstances
        self._ahead = ReadAhead(wanted.content.size)
        self._tail_asked = False
        self._proof_asked = False

    def read(self, start: int, stop: int) -> memoryview:
        begin = self._start + start
        view = self._with.buffers.view(stop - start)
        self._with.hits += 1
        gaps = self._stored.read_into(view, begin)
        if gaps:
            self._fill(view, begin, gaps)
        self._look_ahead(begin, self._start + stop)
        return view

    def _fill(self, view: memoryview, begin: int, gaps: Gaps) -> None:
        """Put what the store lacks into ``view``: from memory, else from an origin."""
        key, recent = self._wanted.content.key, self._with.fetcher.recent
        absent: list[int] = []
        for start, stop in gaps:
            for number in range(start // BLOCK_BYTES, -(-stop // BLOCK_BYTES)):
                block = recent.get((key, number))
                if block is None:
                    absent.append(number)
                else:
                    _copy(memoryview(block), number * BLOCK_BYTES, view, begin, start, stop)
        if absent:
            self._with.misses += 1
            self._with.hits -= 1
            self._fetch(view, begin, gaps, absent)

    def _fetch(self, view: memoryview, begin: int, gaps: Gaps, absent: Sequence[int]) -> None:
        keys = [(self._wanted.content.key, number) for number in absent]
        self._with.lost.check(keys)
        fetcher, begun = self._with.fetcher, time.monotonic()
        flights = [
            flight for first, last in _runs(absent) for flight in fetcher.begin(self._wanted, first, last, urgent=True)
        ]
        if absent[0] == 0:
            self._ask_for_tail()
        deadline = begun + self._with.timeout_s
        try:
            with self._with.places.one(self._wanted.source.origin_id), self._with.waiting():
                landed = [(flight.start, flight.wait(deadline - time.monotonic())) for flight in flights]
        except UnreachableError as error:
            self._with.lost.note(keys, begun, error)
            raise
        for position, data in landed:
            for start, stop in gaps:
                _copy(data, position, view, begin, start, stop)

    def _ask_for_tail(self) -> None:
        """Who reads a file's beginning soon reads its end."""
        size = self._wanted.content.size
        if self._tail_asked or size <= BLOCK_BYTES:
            return
        self._tail_asked = True
        self.fetch_ahead(max(size - _TAIL_BYTES, 0), size)

    def _look_ahead(self, start: int, stop: int) -> None:
        if self._wanted.others and not self._proof_asked and stop - self._start > PROOF_AFTER_BYTES:
            self._proof_asked = True
            self._with.proofs.begin(self._wanted.source, self._wanted.others)
        following = self._ahead.note(start, stop, self._share)
        if following is not None:
            self.fetch_ahead(*following)

    def _share(self) -> int:
        return self._with.window_bytes(id(self))

    def fetch_ahead(self, start: int, stop: int) -> None:
        """Have what is missing of the content's ``[start, stop)`` fetched, without waiting for it."""
        key, recent = self._wanted.content.key, self._with.fetcher.recent
        missing = [
            number
            for begin, end in self._stored.missing(start, stop)
            for number in range(begin // BLOCK_BYTES, -(-end // BLOCK_BYTES))
            if (key, number) not in recent
        ]
        for first, last in _runs(missing):
            self._with.fetcher.begin(self._wanted, first, last, urgent=False)

    def close(self) -> None:
        """Nothing is held."""


def _copy(data: memoryview, position: int, view: memoryview, begin: int, start: int, stop: int) -> None:
    """Copy what ``data``, which lies at ``position``, has of ``[start, stop)`` into ``view``, which lies at ``begin``."""
    low, high = max(start, position), min(stop, position + len(data))
    if low < high:
        view[low - begin : high - begin] = data[low - position : high - position]


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending numbers as half-open runs."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number:
            runs[-1] = (runs[-1][0], number + 1)
        elif not runs or runs[-1][1] < number:
            runs.append((number, number + 1))
    return runs
