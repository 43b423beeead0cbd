"""Tracks of the catalog as a query sees them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property

from musicfs.index.evaluate import Matches, compile_query
from musicfs.index.syntax import Query
from musicfs.model import FIELDS, Technical
from musicfs.store.catalog import Catalog
from musicfs.store.records import ObjectRecord, StoredFacts, unpack_stored

PlaysOf = Callable[[int], tuple[int, int]]  # audio id -> how often it was played, and when last (ns since 1970 UTC)


def never_played(_: int) -> tuple[int, int]:
    """Where it is not known what was played."""
    return 0, 0


class CatalogTrack:
    """A :class:`musicfs.index.documents.Document`: its effective tags, and what its sources say when that is asked.

    Its paths and origins are those of all its sources; it was added when the first of these was.
    """

    def __init__(
        self,
        catalog: Catalog,
        ids: Mapping[int, str],
        facts: StoredFacts,
        sources: Callable[[], Sequence[int]],
        plays_of: PlaysOf = never_played,
    ) -> None:
        """``ids`` are the origins' by number; ``facts`` those of the object that is served; ``sources`` gives all objects."""
        self._plays_of = plays_of
        self._catalog = catalog
        self._ids = ids
        self._facts = facts
        self._sources = sources

    @property
    def format(self) -> str:
        """See Document."""
        return self._facts.format

    @property
    def technical(self) -> Technical:
        """See Document."""
        return self._facts.technical

    @property
    def added_ns(self) -> int:
        """See Document."""
        return min((record.added_ns for _, _, record in self._located), default=0)

    @property
    def plays(self) -> int:
        """See Document."""
        return self._plays_of(self._facts.audio_id)[0]

    @property
    def played_ns(self) -> int:
        """See Document."""
        return self._plays_of(self._facts.audio_id)[1]

    @property
    def origins(self) -> Sequence[str]:
        """See Document."""
        return [self._ids[number] for number, _, _ in self._located if number in self._ids]

    @property
    def paths(self) -> Sequence[str]:
        """See Document."""
        return [os.fsdecode(path) for _, path, _ in self._located]

    @property
    def custom_names(self) -> Collection[str]:
        """See Document."""
        return [name for name in self._facts.tags if isinstance(name, str)]

    def values(self, field: str) -> Sequence[str]:
        """See Document."""
        found = self._facts.tags.get(FIELDS.get(field, field))
        if found is None:
            return ()
        return (found,) if isinstance(found, str) else found

    def look_up(self) -> None:
        """Read what else would be read when it is asked for."""
        _ = self._located

    @cached_property
    def _located(self) -> Sequence[tuple[int, bytes, ObjectRecord]]:
        found = map(self._catalog.locate, self._sources())
        return [one for one in found if one is not None]


class Selection:
    """What a query selects, with ages counted from one moment. Safe from any thread."""

    def __init__(self, query: Query, now_ns: int, plays_of: PlaysOf = never_played) -> None:
        self._matches: Matches = compile_query(query, now_ns)
        self._plays_of = plays_of

    def selects(
        self, catalog: Catalog, ids: Mapping[int, str], object_id: int, sources: Callable[[], Sequence[int]]
    ) -> bool:
        """Whether the object is a track that matches, as served from here; what is no track never does.

        ``ids`` are the origins' by number; ``sources`` gives all objects of the track, and is asked if that matters.
        """
        record = catalog.served(object_id)
        facts = unpack_stored(record.facts) if record is not None else None
        return facts is not None and self._matches(CatalogTrack(catalog, ids, facts, sources, self._plays_of))
