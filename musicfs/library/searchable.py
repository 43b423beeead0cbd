"""What an index has to hold: a document for each track, under the id of the object that is served for it.

A file that is named like audio and could not be read is found too, by its name and its path.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from musicfs.index.documents import Document
from musicfs.library.track_query import CatalogTrack, PlaysOf, never_played
from musicfs.model import FIELDS, Layout, Technical
from musicfs.store.catalog import Catalog
from musicfs.store.records import ObjectKind, ObjectRecord, StoredFacts, unpack_stored

_BATCH = 1000


class Searchable(msgspec.Struct, frozen=True, gc=False):
    """What an index has to hold under an id; None for nothing."""

    object_id: int
    document: Document | None


class SearchableTracks:
    """Looks tracks up in the catalog, at the time of asking. Safe from any thread.

    What it finds may mix two commits: the later one then has touched it again. Documents need the catalog no more.
    """

    def __init__(self, catalog: Catalog, plays_of: PlaysOf = never_played) -> None:
        self._catalog = catalog
        self._plays_of = plays_of
        self._ids: dict[int, str] = {}

    def after_touching(self, object_ids: Collection[int]) -> Iterator[Searchable]:
        """All that may have to change since these objects were touched, each id once.

        An object that left a track was touched like those that remain in it; so each is one track with all that it can have
        been replaced by, or that can be replaced by it.
        """
        self._follow_origins()
        seen: set[int] = set()
        for object_id in sorted(object_ids):
            track = self._catalog.track_of(object_id)
            for source in (object_id, *track):
                if source not in seen:
                    seen.add(source)
                    yield self._searchable(source, self._catalog.served(source))

    def all(self, start: int = 0) -> Iterator[Searchable]:
        """All objects but those beside the audio, from this id on, in the order of ids, also such as come meanwhile."""
        while batch := self._catalog.objects_from(start, _BATCH):
            self._follow_origins()
            for object_id, record in batch:
                if record.kind != ObjectKind.SIDECAR:
                    yield self._searchable(object_id, self._catalog.served(object_id))
            start = batch[-1][0] + 1

    def _searchable(self, object_id: int, record: ObjectRecord | None) -> Searchable:
        if record is None or record.kind == ObjectKind.SIDECAR:
            return Searchable(object_id, None)
        track = self._catalog.track_of(object_id)
        if track[0] != object_id:
            return Searchable(object_id, None)
        facts = unpack_stored(record.facts) or facts_of_name(record.name)
        document = CatalogTrack(self._catalog, self._ids, facts, lambda: track, self._plays_of)
        document.look_up()
        return Searchable(object_id, document)

    def _follow_origins(self) -> None:
        self._ids = {record.number: origin_id for origin_id, record in self._catalog.origins().items()}


def facts_of_name(name: bytes) -> StoredFacts:
    """What a file says that cannot be read."""
    text = name.decode("utf-8", "surrogateescape")
    return StoredFacts("", {FIELDS["title"]: text.rpartition(".")[0]}, Technical(), Layout("", 0, 0))
