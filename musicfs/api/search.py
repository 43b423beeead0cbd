"""What a daemon can be asked to find: the part of the :class:`~musicfs.api.backend.Backend` that searches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import msgspec

MAX_QUERY_CHARACTERS = 256
DEFAULT_RESULTS = 100
MAX_RESULTS = 10_000  # of one search; a stream has all


class SearchHit(msgspec.Struct, frozen=True, kw_only=True):
    """A track as it is shown in a list: the first value of each tag, as players see it; empty without.

    ``path`` is virtual, in the first view, and exact: with surrogate escapes for bytes that are not UTF-8, also behind the
    wire. The higher the ``score``, the better. ``highlights`` are the values in which something was found, by field, with
    ``; `` between them, as HTML: the text escaped, with what was found in ``<b>``. Long ones are cut.
    """

    file_id: int
    path: str
    artist: str = ""
    album: str = ""
    title: str = ""
    score: float = 0.0
    highlights: Mapping[str, str] = {}
    duration_ms: int = 0


class SearchPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of what was found, best first, and how many tracks match in all."""

    hits: tuple[SearchHit, ...] = ()
    total: int = 0
    took_ms: int = 0


class SearchBackend(Protocol):
    """A running MusicFS that can be searched. Called from several threads at once.

    Both raise QueryError for a query that makes no sense, NotFoundError for an unknown origin (an empty id: all), and
    IndexNotReadyError while there is no index; the iterator at its first item at the latest.
    """

    def search(self, query: str, origin_id: str, limit: int, offset: int) -> SearchPage:
        """The matches from ``offset`` on, ``limit`` (:data:`MAX_RESULTS` at most) of them; best first.

        With a limit of 0, only the total.
        """
        ...

    def search_all(self, query: str, origin_id: str, limit: int, offset: int) -> Iterator[SearchHit | None]:
        """The same without end (``limit`` 0: all); yields at least once a second, None where there is nothing to say.

        What changes meanwhile may be left out or come twice. Closing the iterator ends the search.
        """
        ...
