"""What clients may search for: the SearchBackend of the API over the index and the catalog."""

from __future__ import annotations

import html
import sys
from collections.abc import Callable, Iterator, Mapping

import msgspec

from musicfs.api.search import SearchHit, SearchPage
from musicfs.clock import Clock
from musicfs.daemon.listed_tracks import document_of, listed, origin_ids
from musicfs.errors import NotFoundError
from musicfs.index.documents import Document
from musicfs.index.finding import Finder, Found
from musicfs.index.highlights import START, STOP, highlight
from musicfs.index.parser import parse
from musicfs.index.syntax import Query, Words, conjunction
from musicfs.store.catalog import Catalog

_PAGE_HITS = 20_000  # asked of the index at a time where there is no end

Highlight = Callable[[Query, Document], Mapping[str, str]]


class SearchControl:
    """Answers clients, on gRPC's threads."""

    def __init__(self, finder: Finder, catalog: Catalog, clock: Clock, highlight: Highlight = highlight) -> None:
        """``highlight`` marks as :mod:`musicfs.index.highlights` does."""
        self._finder = finder
        self._catalog = catalog
        self._clock = clock
        self._highlight = highlight

    def search(self, query: str, origin_id: str, limit: int, offset: int) -> SearchPage:
        """See SearchBackend."""
        begun = self._clock.monotonic()
        asked = parse(query)
        found = self._find(self._narrowed(asked, origin_id), self._clock.time_ns(), limit, offset)
        hits = tuple(hit for hit in self._described(asked, found) if hit is not None)
        return SearchPage(hits=hits, total=found.total, took_ms=round(1000 * (self._clock.monotonic() - begun)))

    def search_all(self, query: str, origin_id: str, limit: int, offset: int) -> Iterator[SearchHit | None]:
        """See SearchBackend."""
        asked = parse(query)
        return self._all(asked, self._narrowed(asked, origin_id), offset, offset + limit if limit else sys.maxsize)

    def _all(self, asked: Query, narrowed: Query, start: int, stop: int) -> Iterator[SearchHit | None]:
        now_ns = self._clock.time_ns()
        while start < stop:
            found = self._find(narrowed, now_ns, min(stop - start, _PAGE_HITS), start)
            yield from self._described(asked, found)
            start += len(found.hits)
            if start >= found.total or not found.hits:
                return

    def _find(self, query: Query, now_ns: int, limit: int, offset: int) -> Found:
        """What a page shows; one that begins behind everything there is has only the total."""
        if offset > self._catalog.totals().tracks:
            limit, offset = 0, 0
        found = self._finder.search(query, now_ns=now_ns, limit=max(limit, 1), offset=offset)
        return found if limit else msgspec.structs.replace(found, hits=())

    def _narrowed(self, query: Query, origin_id: str) -> Query:
        if not origin_id:
            return query
        known = self._catalog.origins()
        if origin_id not in known:
            raise NotFoundError(
                f"there is no origin {origin_id!r}", remedy=f"the origins are: {', '.join(known) or 'none'}"
            )
        return conjunction((query, Words("origin", origin_id)))

    def _described(self, query: Query, found: Found) -> Iterator[SearchHit | None]:
        """None for what the index still has, and the catalog no longer."""
        ids = origin_ids(self._catalog)
        for one in found.hits:
            track = document_of(self._catalog, ids, one.object_id)
            if track is None:
                yield None
                continue
            hit = listed(self._catalog, one.object_id, track)
            yield msgspec.structs.replace(hit, score=one.score, highlights=self._highlights(query, track))

    def _highlights(self, query: Query, track: Document) -> dict[str, str]:
        """What was found, by field, as HTML."""
        return {field: _as_html(marked) for field, marked in self._highlight(query, track).items()}


def _as_html(marked: str) -> str:
    return html.escape(marked, quote=False).replace(START, "<b>").replace(STOP, "</b>")
