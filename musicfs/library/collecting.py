"""Finding out what is in a collection: its plan asked of the index, its order read from the catalog."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from typing import Protocol

import msgspec
import xxhash

from musicfs.index.evaluate import compile_query
from musicfs.index.syntax import Query
from musicfs.library.ordering import Order, Orderable, in_order, orderable
from musicfs.library.rules import Plan
from musicfs.library.track_query import CatalogTrack, PlaysOf, never_played
from musicfs.store.catalog import Catalog
from musicfs.store.records import unpack_stored

_AT_ONCE = 20_000  # tracks in memory beside those that are kept
_LOOKED_AT = 2_000  # changed tracks, one by one; with more it is cheaper to ask the index again


class Matches(Protocol):
    """Who has all matches of a query; :class:`musicfs.index.reader.IndexReader` does."""

    def ids(self, query: Query, *, now_ns: int) -> Sequence[int]:
        """Their object ids, in no order. IndexNotReadyError while there is no index, StoreError for a damaged one."""
        ...


class Stopped(Exception):
    """Ends an evaluation."""


class Collected(msgspec.Struct, frozen=True):
    """What is in a collection, in its order.

    ``digest`` changes whenever anything of that shows in the tree. ``expires_ns`` is when time takes the first of these out,
    None if it takes none.
    """

    object_ids: tuple[int, ...] = ()
    digest: bytes = b""
    expires_ns: int | None = None


class Collector:
    """Safe from any thread."""

    def __init__(self, catalog: Catalog, index: Matches, plays_of: PlaysOf = never_played) -> None:
        self._catalog = catalog
        self._index = index
        self._plays_of = plays_of

    def collect(self, plan: Plan, now_ns: int, is_stopping: Callable[[], bool] = lambda: False) -> Collected:
        """Carry out a plan. Some 10 microseconds a match; bounded memory. Raises what the index does, and Stopped."""
        found: list[Orderable] = []
        for track in self._orderables(self._index.ids(plan.query, now_ns=now_ns), plan.picked_by, is_stopping):
            found.append(track)
            if len(found) >= plan.limit + _AT_ONCE:
                found = in_order(found, plan.picked_by)[: plan.limit]
        found = in_order(found, plan.picked_by)[: plan.limit]
        if plan.order != plan.picked_by:
            ids = [track.object_id for track in found]
            found = in_order(list(self._orderables(ids, plan.order, is_stopping)), plan.order)
        object_ids = tuple(track.object_id for track in found)
        return Collected(object_ids, self._digest(object_ids), self._expiry(plan, object_ids, now_ns))

    def concerns(self, plan: Plan, members: Set[int], touched: Collection[int], now_ns: int) -> bool:
        """Whether a change of these objects can change what is in the collection, or how it is shown."""
        if len(touched) > _LOOKED_AT or not members.isdisjoint(touched):
            return True
        matches = compile_query(plan.query, now_ns)
        ids = self._origin_ids()
        tracks = (self._track(object_id, ids) for object_id in touched)
        return any(track is not None and matches(track) for track in tracks)

    def _orderables(
        self, object_ids: Sequence[int], order: Order, is_stopping: Callable[[], bool]
    ) -> Iterator[Orderable]:
        ids = self._origin_ids()
        for object_id in object_ids:
            if is_stopping():
                raise Stopped
            track = self._track(object_id, ids)
            if track is not None:
                yield orderable(object_id, track, order)

    def _track(self, object_id: int, ids: Mapping[int, str]) -> CatalogTrack | None:
        record = self._catalog.served(object_id)
        facts = unpack_stored(record.facts) if record is not None else None
        if facts is None:
            return None
        return CatalogTrack(self._catalog, ids, facts, lambda: self._catalog.track_of(object_id), self._plays_of)

    def _origin_ids(self) -> dict[int, str]:
        return {record.number: origin_id for origin_id, record in self._catalog.origins().items()}

    def _digest(self, object_ids: Sequence[int]) -> bytes:
        """Of where the tracks are, and of what a link and a playlist say of each."""
        digest = xxhash.xxh3_128()
        for object_id in object_ids:
            inode = self._catalog.place_of(object_id)
            record = self._catalog.served(object_id)
            path = self._catalog.path_of(inode) if inode else None
            digest.update(b"%d\0%d\0%s\0" % (object_id, inode, path or b""))
            if record is not None:
                digest.update(b"%d\0" % record.mtime_ns)
                digest.update(bytes(record.facts))
        return digest.digest()

    def _expiry(self, plan: Plan, object_ids: Sequence[int], now_ns: int) -> int | None:
        if not plan.ages:
            return None
        ids = self._origin_ids()
        soonest: int | None = None
        for object_id in object_ids:
            track = self._track(object_id, ids)
            for age in plan.ages if track is not None else ():
                assert track is not None
                moment = (track.added_ns if age.field == "added" else track.played_ns) + age.span_ns
                if moment > now_ns and (soonest is None or moment < soonest):
                    soonest = moment
        return soonest
