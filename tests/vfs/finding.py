"""A finder without an index: it asks every track of a catalog, by the meaning of the query itself."""

from __future__ import annotations

import threading
from functools import partial

from musicfs.errors import IndexNotReadyError
from musicfs.index.finding import Found, Hit, Sort
from musicfs.index.syntax import Query
from musicfs.library.track_query import Selection
from musicfs.store.catalog import Catalog


class CatalogFinder:
    """A :class:`musicfs.index.finding.Finder`: best is what has the lowest id, or the highest with ``is_reversed``.

    ``version`` is changed by the test; ``searched`` are the queries of all searches so far.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.version = 1
        self.searched: list[Query] = []
        self.is_reversed = False
        self.error: Exception | None = None
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def search(self, query: Query, *, now_ns: int, limit: int, offset: int = 0, sort: Sort | None = None) -> Found:
        """See Finder."""
        assert sort is None
        self.searched.append(query)
        self.entered.set()
        assert self.gate.wait(20)
        if self.error is not None:
            raise self.error
        if not self.version:
            raise IndexNotReadyError("the search index is being built")
        ids = {record.number: origin_id for origin_id, record in self._catalog.origins().items()}
        selection = Selection(query, now_ns)
        hits = []
        for object_id, _ in self._catalog.objects_from(0, 1_000_000):
            track = self._catalog.track_of(object_id)
            if track[0] == object_id and selection.selects(
                self._catalog, ids, object_id, partial(self._catalog.track_of, object_id)
            ):
                hits.append(Hit(object_id))
        hits.sort(key=lambda hit: hit.object_id, reverse=self.is_reversed)
        return Found(tuple(hits[offset : offset + limit]), len(hits))
