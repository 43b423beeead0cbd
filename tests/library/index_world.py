"""An index that is a dict, and fails when it is told to; and a clock that does not wait long."""

from __future__ import annotations

import threading
import time
from collections import Counter

from musicfs.errors import DiskFullError, StoreError
from musicfs.index.documents import Document
from musicfs.library.searchable import SearchableTracks
from musicfs.store.catalog import Catalog


class Hasty:
    """Waits a hundredth of a second at most. ``ahead_s`` is added to the time."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def time_ns(self) -> int:
        return time.time_ns()

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead_s

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(min(timeout_s, 0.01))


class StoredIndex:
    """What lies on the disk: what was committed last."""

    def __init__(self) -> None:
        self.identity = ""
        self.sequence = -1
        self.is_complete = False
        self.titles: dict[int, tuple[str, ...]] = {}
        self.failing: dict[str, list[Exception]] = {}  # what the next calls of a method raise
        self.calls: Counter[str] = Counter()
        self.is_open = False

    def fail(self, method: str, *errors: Exception) -> None:
        self.failing.setdefault(method, []).extend(errors)

    def note(self, method: str) -> None:
        self.calls[method] += 1
        if self.failing.get(method):
            raise self.failing[method].pop(0)

    def discard(self) -> None:
        assert not self.is_open
        self.note("discard")
        self.sequence, self.is_complete, self.titles = -1, False, {}

    def open(self, identity: str = "") -> FakeWriter:
        self.note("open")
        if identity != self.identity:
            self.identity = identity
            self.sequence, self.is_complete, self.titles = -1, False, {}
        assert not self.is_open
        self.is_open = True
        return FakeWriter(self)


class FakeWriter:
    """A :class:`musicfs.library.indexing.Writer`."""

    def __init__(self, stored: StoredIndex) -> None:
        self._stored = stored
        self._titles = dict(stored.titles)

    @property
    def sequence(self) -> int:
        return self._stored.sequence

    @property
    def is_complete(self) -> bool:
        return self._stored.is_complete

    def add(self, object_id: int, document: Document) -> None:
        assert object_id not in self._titles, "it is there already"
        self.put(object_id, document)

    def put(self, object_id: int, document: Document) -> None:
        self._stored.note("put")
        self._titles[object_id] = tuple(document.values("title"))

    def remove(self, object_id: int) -> None:
        self._stored.note("remove")
        self._titles.pop(object_id, None)

    def commit(self, sequence: int, *, complete: bool = True) -> None:
        self._stored.note("commit")
        self._stored.titles = dict(self._titles)
        self._stored.sequence, self._stored.is_complete = sequence, complete

    def rest(self) -> None:
        self._stored.note("rest")
        assert self._titles == self._stored.titles, "what is not committed is lost"

    def close(self) -> None:
        self._stored.is_open = False


def titles_of(catalog: Catalog) -> dict[int, tuple[str, ...]]:
    """What an index of the catalog has to hold."""
    found = SearchableTracks(catalog).all()
    return {one.object_id: tuple(one.document.values("title")) for one in found if one.document is not None}


FULL = DiskFullError("there is no room", remedy="free some space")
BROKEN = StoreError("a segment is damaged")
