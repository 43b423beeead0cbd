"""Fetching: every byte that is not here comes through one :class:`Fetcher`, once, however many wait for it.

A *flight* is one range of blocks on its way. Who wants a block that is in the air waits for that flight and shares its end,
good or bad; nobody asks an origin twice at the same time. Every origin's flights are carried by a bounded crew of their own:
what somebody waits for goes first, what is fetched ahead goes when there is nothing more urgent.

Threads: the crews'; callers block in :meth:`Flight.wait` only. No lock is held across a call to an origin.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from musicfs.clock import Clock
from musicfs.content.crew import Crew
from musicfs.content.keys import Source
from musicfs.content.origins import ReadableOrigins
from musicfs.content.ranking import Ranking
from musicfs.content.recent import RecentBlocks
from musicfs.errors import MusicFSError, NotFoundError, OriginError, UnreachableError
from musicfs.store.chunks_schema import BLOCK_BYTES, Content

log = logging.getLogger(__name__)

Gaps = Sequence[tuple[int, int]]

_FLIGHT_BLOCKS = 8  # 1 MiB: large enough for any protocol, small enough that several share a line
_GAPS_MAX = 4  # of a flight, each a request
_AHEAD_WAITING = 256  # flights of one origin that nobody waits for; more are not begun


class Stored(Protocol):
    """What the content store has of one content."""

    def read_into(self, view: memoryview, start: int) -> Gaps:
        """Fill ``view`` with the bytes from ``start`` on; the ranges that are not there."""
        ...

    def missing(self, start: int, stop: int) -> Gaps:
        """The ranges of ``[start, stop)`` that are not there, without looking at the bytes."""
        ...


class Wanted(msgspec.Struct, frozen=True):
    """A content, the file that it is a version of, and files elsewhere that may hold the same bytes."""

    content: Content
    source: Source
    others: tuple[Source, ...] = ()


class Flight:
    """Blocks ``[first, last)`` of one content on their way."""

    __slots__ = ("_done", "data", "error", "first", "is_patched", "last", "urgent", "wanted")

    def __init__(self, wanted: Wanted, first: int, last: int, *, urgent: bool) -> None:
        self.wanted = wanted
        self.first = first
        self.last = last
        self.urgent = urgent
        self.data: bytes = b""
        self.error: MusicFSError | None = None
        self.is_patched = False  # put together with what was stored, which may turn out to be wrong and go
        self._done = threading.Event()

    @classmethod
    def landed(cls, wanted: Wanted, number: int, data: bytes) -> Flight:
        """A flight that is over: one block that is in memory."""
        flight = cls(wanted, number, number + 1, urgent=False)
        flight.land(data)
        return flight

    @property
    def start(self) -> int:
        """The first byte."""
        return self.first * BLOCK_BYTES

    @property
    def stop(self) -> int:
        """The end of the last byte."""
        return min(self.last * BLOCK_BYTES, self.wanted.content.size)

    def wait(self, timeout_s: float) -> memoryview:
        """The bytes, once they are there. Raises what went wrong; UnreachableError after ``timeout_s``."""
        if not self._done.wait(max(timeout_s, 0.0)):
            source = self.wanted.source
            raise UnreachableError(f"origin {source.origin_id!r}: no answer in time for {source.path!r}")
        if self.error is not None:
            raise type(self.error)(str(self.error), remedy=self.error.remedy) from self.error  # one for each who waits
        return memoryview(self.data)

    def land(self, data: bytes, error: MusicFSError | None = None) -> None:
        """The end of the flight."""
        self.data, self.error = data, error
        self._done.set()


class Fetcher:
    """Brings blocks from origins into memory, and hands them on to be kept."""

    def __init__(
        self,
        origins: ReadableOrigins,
        keep: Callable[[Content, Sequence[tuple[int, bytes]]], object],
        clock: Clock,
        *,
        threads: int = 32,
        memory_bytes: int = 48 << 20,
        equal: Callable[[Wanted], Sequence[Source]],
        ranking: Ranking,
        stored: Callable[[Content], Stored | None] = lambda _: None,
    ) -> None:
        """``keep`` takes blocks that have arrived and must not block; ``equal`` names the sources of a content's bytes, and
        ``ranking`` says which to ask first, and learns how quick they are. ``stored`` is what there is of a content already:
        where it has most of a flight's bytes, only the others are fetched. At most ``threads`` carry the flights of one
        origin; they start when they are needed.
        """
        self._stored = stored
        self._origins = origins
        self._keep = keep
        self._clock = clock
        self._limit = threads
        self._equal = equal
        self._ranking = ranking
        self.recent = RecentBlocks(memory_bytes, clock)
        self._lock = threading.Lock()
        self._crews: dict[str, Crew[Flight]] = {}
        self._in_air: dict[tuple[bytes, int], Flight] = {}
        self._closed = False
        self.fetched_bytes = 0

    def begin(self, wanted: Wanted, first: int, last: int, *, urgent: bool) -> list[Flight]:
        """Have blocks ``[first, last)`` under way; returns the flights that carry them, in order of their bytes.

        What is in memory already is not asked for; ``urgent`` flights go first and are never left out. Does not block.
        """
        key = wanted.content.key
        flights: list[Flight] = []
        with self._lock:
            if self._closed:
                raise UnreachableError("the mount is ending")
            crew = self._crew(wanted.source.origin_id)
            number = first
            while number < last:
                flight = self._in_air.get((key, number))
                if flight is not None:
                    self._hasten(flight, urgent=urgent)
                    flights.append(flight)
                    number = flight.last
                    continue
                landed = self.recent.get((key, number))
                if landed is not None:  # between the caller's look and ours
                    flights.append(Flight.landed(wanted, number, landed))
                    number += 1
                    continue
                end = number + 1
                while end < min(last, number + _FLIGHT_BLOCKS) and not self._is_here(key, end):
                    end += 1
                if not urgent and crew.waiting_ahead >= _AHEAD_WAITING:
                    break
                flights.append(self._launch(crew, Flight(wanted, number, end, urgent=urgent)))
                number = end
        return flights

    def _is_here(self, key: bytes, number: int) -> bool:
        return (key, number) in self._in_air or (key, number) in self.recent

    def _crew(self, origin_id: str) -> Crew[Flight]:
        crew = self._crews.get(origin_id)
        if crew is None:
            crew = self._crews[origin_id] = Crew(origin_id, self._limit, self._fly)
        return crew

    def _launch(self, crew: Crew[Flight], flight: Flight) -> Flight:
        for number in range(flight.first, flight.last):
            self._in_air[flight.wanted.content.key, number] = flight
        crew.add(flight, urgent=flight.urgent)
        return flight

    def _hasten(self, flight: Flight, *, urgent: bool) -> None:
        """Somebody waits now for what was fetched ahead."""
        if urgent and not flight.urgent:
            flight.urgent = True
            self._crew(flight.wanted.source.origin_id).hasten(flight)

    def _fly(self, flight: Flight) -> None:
        try:
            data = self._carry(flight)
        except MusicFSError as error:
            self._finish(flight, b"", error)
        except Exception as error:  # the flight's passengers must learn of it, and the thread has others to carry
            log.exception("fetching %r failed", flight.wanted.source.path)
            self._finish(flight, b"", OriginError(f"fetching failed: {type(error).__name__}"))
        else:
            self._finish(flight, data, None)

    def _carry(self, flight: Flight) -> bytes:
        """The flight's bytes: from origins, but where only gaps between what is stored lack, those gaps."""
        stored = self._stored(flight.wanted.content)
        if stored is None or not _are_small(stored.missing(flight.start, flight.stop), flight):
            return self._ask(flight.wanted, flight.start, flight.stop)
        data = bytearray(flight.stop - flight.start)
        with memoryview(data) as view:
            gaps = stored.read_into(view, flight.start)  # again, for some may be damaged
        for start, stop in gaps:
            data[start - flight.start : stop - flight.start] = self._ask(flight.wanted, start, stop)
        flight.is_patched = True
        return bytes(data)

    def _ask(self, wanted: Wanted, start: int, stop: int) -> bytes:
        """The bytes from the first source that delivers them; raises what the best source raised."""
        first_error: MusicFSError | None = None
        for source in self._ranking.rank(self._equal(wanted)):
            try:
                data = self._read(source, start, stop)
                with self._lock:
                    self.fetched_bytes += len(data)
                return data
            except OriginError as error:
                first_error = first_error or error
        assert first_error is not None, "a content without sources"
        raise first_error

    def _read(self, source: Source, start: int, stop: int) -> bytes:
        origin = self._origins.get(source.origin_id)
        if origin is None:
            raise NotFoundError(f"origin {source.origin_id!r} is not configured", remedy="see 'musicfs config show'")
        begun = self._clock.monotonic()
        try:
            data = origin.read(source.path, start, stop, source.version)
        except UnreachableError:
            self._origins.forget(source.origin_id)
            raise
        if stop - start <= BLOCK_BYTES:
            self._ranking.note_latency(source.origin_id, self._clock.monotonic() - begun)
        return data

    def _finish(self, flight: Flight, data: bytes, error: MusicFSError | None) -> None:
        key = flight.wanted.content.key
        blocks = [
            (flight.first + index, data[start : start + BLOCK_BYTES])
            for index, start in enumerate(range(0, len(data), BLOCK_BYTES))
        ]
        put = self.recent.put_briefly if flight.is_patched else self.recent.put
        for number, block in blocks:
            put((key, number), block)
        with self._lock:
            for number in range(flight.first, flight.last):
                self._in_air.pop((key, number), None)
        flight.land(data, error)
        if blocks:
            self._keep(flight.wanted.content, blocks)

    def in_air(self, content: Content, numbers: Iterable[int]) -> bool:
        """True if any of these blocks is on its way."""
        with self._lock:
            return any((content.key, number) in self._in_air for number in numbers)

    def close(self) -> None:
        """Let no more flights begin, and end those that nobody carries yet; threads end with the call they are in."""
        with self._lock:
            self._closed = True
            crews = list(self._crews.values())
            flights = set(self._in_air.values())
            self._in_air.clear()
        for crew in crews:
            crew.close()
        for flight in flights:
            flight.land(b"", UnreachableError("the mount is ending"))


def _are_small(gaps: Gaps, flight: Flight) -> bool:
    """True if fetching the gaps alone spares at least half of a flight."""
    return len(gaps) <= _GAPS_MAX and 2 * sum(stop - start for start, stop in gaps) <= flight.stop - flight.start
