"""Tracks by tags that name one: an ISRC, an id of MusicBrainz. Made when somebody asks, kept while an import goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping

import xxhash

from musicfs.clock import Clock
from musicfs.model import Tags
from musicfs.store.catalog import Catalog

_KEPT_S = 30.0

# Hash of a value -> the track, or several. Hashes, because a million tracks take half the room of their ids as text, and
# because every find is verified anyway.
_Values = dict[int, int | tuple[int, ...]]
Known = dict[str, _Values]


class TrackIndex:
    """Never finds what is not so now. Safe from any thread; making it takes some 40 us a track.

    It holds for one state of the tree, and follows the edits it is told of (:meth:`follow`); after any other change of the
    tree it is made anew.
    """

    def __init__(
        self, catalog: Catalog, served: Callable[[], Iterator[int]], tags: Callable[[int], Tags], clock: Clock
    ) -> None:
        """``served`` gives the served files of all tracks, ``tags`` those of one as they read."""
        self._catalog = catalog
        self._served = served
        self._tags = tags
        self._clock = clock
        self._lock = threading.Lock()  # of all below, never held while a library is looked through
        self._known: Known = {}
        self._sequence = -1  # of the tree's change for which they hold
        self._used = 0.0

    def look_at(self, fields: Iterable[str]) -> Known:
        """These fields as they are now, to :meth:`find` in. Blocks for a look at every track, if need be."""
        sequence = self._catalog.last_change()
        with self._lock:
            self._used = self._clock.monotonic()
            if self._sequence != sequence:
                self._known, self._sequence = {}, sequence
            known = self._known
            missing = [field for field in fields if field not in known]
        if not missing:
            return known
        made: dict[str, _Values] = {field: {} for field in missing}
        for object_id in self._served():
            _add(made, object_id, self._tags(object_id))
        with self._lock:
            if known is not self._known or self._sequence != sequence:  # edited meanwhile: good for this once
                return {**known, **made}
            known.update(made)
            return known

    def find(self, known: Known, match: Mapping[str, str]) -> set[int]:
        """The served files of the tracks that have all these values, of fields in ``known``."""
        self._used = self._clock.monotonic()
        found = [known[field].get(_hash(value), ()) for field, value in match.items()]
        candidates = set.intersection(*({one} if isinstance(one, int) else set(one) for one in found))
        served = {self._catalog.track_of(object_id)[0] for object_id in candidates}
        return {object_id for object_id in served if _has(self._tags(object_id), match)}

    def follow(self, before: int, after: int, object_ids: Iterable[int]) -> None:
        """These files were edited, which took the tree from one change to the other."""
        with self._lock:
            if self._sequence != before:
                return
            self._sequence = after
            if self._known:
                for object_id in {self._catalog.track_of(object_id)[0] for object_id in object_ids}:
                    _add(self._known, object_id, self._tags(object_id))  # what it no longer has is found to be so

    def forget_unused(self) -> None:
        """Give the memory back when nobody has asked for a while."""
        with self._lock:
            if self._clock.monotonic() - self._used > _KEPT_S:
                self._known, self._sequence = {}, -1


def _hash(value: str) -> int:
    return xxhash.xxh3_64_intdigest(value.encode("utf-8", "surrogatepass"))


def _add(known: Mapping[str, _Values], object_id: int, tags: Tags) -> None:
    for field, values in known.items():
        for value in tags.get(field, ()):
            key = _hash(value)
            before = values.get(key)
            if before is None:
                values[key] = object_id
            elif isinstance(before, int):
                values[key] = before if before == object_id else (before, object_id)
            elif object_id not in before:
                values[key] = (*before, object_id)


def _has(tags: Tags, match: Mapping[str, str]) -> bool:
    return all(value in tags.get(field, ()) for field, value in match.items())
