"""Tracks as clients see them in a list: what was found, what is in a collection."""

from __future__ import annotations

import os
from collections.abc import Mapping

from musicfs.api.search import SearchHit
from musicfs.library.searchable import facts_of_name
from musicfs.library.track_query import CatalogTrack, PlaysOf, never_played
from musicfs.store.catalog import Catalog
from musicfs.store.records import unpack_stored


def document_of(
    catalog: Catalog, ids: Mapping[int, str], object_id: int, plays_of: PlaysOf = never_played
) -> CatalogTrack | None:
    """The track that is served for an object, as queries see it; None if it has gone. ``ids`` are the origins' by number."""
    record = catalog.served(object_id)
    if record is None:
        return None
    facts = unpack_stored(record.facts) or facts_of_name(record.name)
    return CatalogTrack(catalog, ids, facts, lambda: catalog.track_of(object_id), plays_of)


def listed(catalog: Catalog, object_id: int, track: CatalogTrack) -> SearchHit:
    """What a list says of a track, without a score; the path is empty if no view has it."""
    inode = catalog.place_of(object_id)
    path = catalog.path_of(inode) if inode else None
    return SearchHit(
        file_id=object_id,
        path=os.fsdecode(path or b""),
        artist=_first(track, "artist"),
        album=_first(track, "album"),
        title=_first(track, "title"),
        duration_ms=track.technical.duration_ms,
    )


def origin_ids(catalog: Catalog) -> dict[int, str]:
    """The ids of the origins by their numbers."""
    return {record.number: origin_id for origin_id, record in catalog.origins().items()}


def _first(track: CatalogTrack, field: str) -> str:
    return next(iter(track.values(field)), "")
