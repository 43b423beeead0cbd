"""What searches have found, as lists of names: each made once for all who ask, and kept for a while.

A result is good for five minutes, or until the index has another version. What it listed can be resolved for some minutes
more, so that who read a list before the index changed finds all that was on it.
"""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager

import msgspec

from musicfs.clock import Clock
from musicfs.errors import StoreError
from musicfs.index.finding import Finder
from musicfs.index.syntax import Query
from musicfs.store.appearances import Appearance, read_appearances
from musicfs.store.catalog import Catalog
from musicfs.store.records import unpack_stored
from musicfs.vfs.links import link_name, link_position, number_width
from musicfs.vfs.names import split_suffix
from musicfs.vfs.templates import Subject, parse

LINKS_MAX = 1000  # that one search lists

_GOOD_S = 300.0
_RESOLVED_S = 600.0
_FORMER_MAX = 32  # of one query: while a scan goes on the index changes every second
_LINKS_KEPT = 100_000  # about 150 bytes each
_SEARCHES_AT_ONCE = 4  # more would only wait for each other, and keep the interpreter from all else
_PATIENCE_S = 20.0

Released = Callable[[], AbstractContextManager[object]]


class Result(msgspec.Struct, frozen=True):
    """The links of one search, in order: their names, the objects they lead to, and the inodes of these."""

    made_ns: int
    made_at: float
    version: int
    names: tuple[bytes, ...]
    objects: array[int]
    places: array[int]

    def object_of(self, name: bytes) -> int | None:
        """The object that the link of this name leads to, or None."""
        position = link_position(name)
        is_there = 0 < position <= len(self.names) and self.names[position - 1] == name
        return self.objects[position - 1] if is_there else None


class _Flight:
    """A search under way, for who asks meanwhile."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._result: Result | None = None
        self._error: Exception | None = None

    def land(self, result: Result | None, error: Exception | None) -> None:
        self._result, self._error = result, error
        self._done.set()

    def wait(self) -> None:
        self._done.wait(2 * _PATIENCE_S)

    def result(self) -> Result:
        if self._error is not None:
            raise self._error
        if self._result is None:
            raise _too_slow()
        return self._result


class Results:
    """Searches by the normal form of their queries. Safe from any thread."""

    def __init__(self, catalog: Catalog, finder: Finder, names: str, released: Released, clock: Clock) -> None:
        """``names`` is the policy of names; ``released`` is entered around each search and each wait for one."""
        self._catalog = catalog
        self._finder = finder
        self._names = names
        self._template = parse("$artist - $title")
        self._released = released
        self._clock = clock
        self._lock = threading.Lock()  # of what is below, never held while something waits
        self._flights: dict[str, _Flight] = {}
        self._kept: OrderedDict[str, tuple[Result, ...]] = OrderedDict()  # the newest of each query first
        self._links = 0
        self._at_once = threading.BoundedSemaphore(_SEARCHES_AT_ONCE)

    def current(self, text: str, query: Query) -> Result:
        """What the query, ``text`` in normal form, finds now. Blocks; raises what the finder's search does."""
        version = self._finder.version
        with self._lock:
            kept = self._kept.get(text)
            if kept is not None:
                self._kept.move_to_end(text)
                if kept[0].version == version and self._clock.monotonic() - kept[0].made_at < _GOOD_S:
                    return kept[0]
            flight = self._flights.get(text)
            is_first = flight is None
            if flight is None:
                flight = self._flights[text] = _Flight()
        with self._released():
            if is_first:
                self._search(text, query, version, flight)
            else:
                flight.wait()
        return flight.result()

    def latest(self, text: str, query: Query) -> Result:
        """What it found when it was searched last: now, if that was too long ago to be known."""
        with self._lock:
            kept = self._kept.get(text)
        return kept[0] if kept is not None else self.current(text, query)

    def resolve(self, text: str, query: Query, name: bytes) -> int | None:
        """The object that a link is about which some list of this query has, or had not long ago; else None."""
        with self._lock:
            kept = self._kept.get(text)
            if kept is not None:
                self._kept.move_to_end(text)
        for result in kept if kept is not None else (self.current(text, query),):
            object_id = result.object_of(name)
            if object_id is not None:
                return object_id
        return None

    def rest(self) -> bool:
        """Give back the memory of what nobody needs to find any more; False once there is nothing left."""
        with self._lock:
            for text in tuple(self._kept):
                self._keep(text, self._kept[text])
            return bool(self._kept)

    def _search(self, text: str, query: Query, version: int, flight: _Flight) -> None:
        result, error = None, None
        try:
            if not self._at_once.acquire(timeout=_PATIENCE_S):
                raise _too_slow()
            try:
                result = self._make(query, version)
            finally:
                self._at_once.release()
        except Exception as failure:  # carried over to all who wait for it, whatever it is
            error = failure
        with self._lock:
            del self._flights[text]
            if result is not None:
                self._keep(text, (result, *self._kept.get(text, ())))
                self._kept.move_to_end(text)
                self._shrink()
        flight.land(result, error)

    def _make(self, query: Query, version: int) -> Result:
        made_ns, made_at = self._clock.time_ns(), self._clock.monotonic()
        hits = self._finder.search(query, now_ns=made_ns, limit=LINKS_MAX).hits
        found = read_appearances(self._catalog, (hit.object_id for hit in hits[:LINKS_MAX]))
        width = number_width(len(found))
        names = tuple(self._name(position, width, track) for position, track in enumerate(found, start=1))
        objects = array("Q", (track.object_id for track in found))
        return Result(made_ns, made_at, version, names, objects, array("Q", (track.inode for track in found)))

    def _name(self, position: int, width: int, track: Appearance) -> bytes:
        facts = unpack_stored(track.record.facts)
        own_stem = split_suffix(track.record.name.decode("utf-8", "surrogateescape"))[0]
        suffix = split_suffix(track.name.decode("utf-8", "surrogateescape"))[1]
        stem = self._template.render_name(Subject(facts.tags if facts is not None else {}, own_stem, ""))
        return link_name(position, width, stem, suffix, self._names)

    def _keep(self, text: str, results: tuple[Result, ...]) -> None:
        """Keep those that somebody may need: the newest, and others that list something else."""
        now = self._clock.monotonic()
        kept: list[Result] = []
        for result in results[: _FORMER_MAX + 1]:
            is_known = any(result.names == newer.names and result.objects == newer.objects for newer in kept)
            if not is_known and now - result.made_at < _RESOLVED_S:
                kept.append(result)
        self._links += sum(map(_weight, kept)) - sum(map(_weight, self._kept.get(text, ())))
        if kept:
            self._kept[text] = tuple(kept)
        else:
            self._kept.pop(text, None)

    def _shrink(self) -> None:
        while self._links > _LINKS_KEPT and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._links -= sum(map(_weight, dropped))


def _weight(result: Result) -> int:
    """Links, and what a result takes without any."""
    return len(result.names) + 10


def _too_slow() -> StoreError:
    return StoreError("the search takes too long", remedy="try again when the machine has less to do")
