"""What can be found in an index, as values and a Protocol; :mod:`musicfs.index.reader` implements it."""

from __future__ import annotations

from typing import Protocol

import msgspec

from musicfs.index.syntax import Query


class Sort(msgspec.Struct, frozen=True):
    """An order by the numbers of a field (see :mod:`musicfs.index.values`); tracks without one come last."""

    field: str
    is_descending: bool = False


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A track that was found: the id of the object that is served for it. The higher the score, the better."""

    object_id: int
    score: float = 0.0


class Found(msgspec.Struct, frozen=True):
    """Some of the matches, in order, and how many there are in all."""

    hits: tuple[Hit, ...] = ()
    total: int = 0


class Finder(Protocol):
    """Answers queries. Safe from any thread."""

    @property
    def version(self) -> int:
        """Another number whenever answers may be others than before: one look at a file. 0 while there is no index."""
        ...

    def search(self, query: Query, *, now_ns: int, limit: int, offset: int = 0, sort: Sort | None = None) -> Found:
        """The matches from ``offset`` on, ``limit`` at most: best first, or sorted; equals in the order of their ids.

        Ages count from ``now_ns``. Blocks for milliseconds, in which other threads run. Raises IndexNotReadyError while
        there is no index, or one is being built.
        """
        ...
