"""What content is read with: origins, the content store, what fetches and what keeps. The same parts in both processes."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from musicfs.clock import Clock
from musicfs.config.settings import Settings
from musicfs.content.keeping import Keeping
from musicfs.content.patience import Places
from musicfs.content.ranking import Ranking
from musicfs.content.readers import Waiting
from musicfs.content.sources import Manners, ReadCounts, Sources
from musicfs.daemon.opening import CatalogedOrigins, Tallies, access_of, enabled_origins
from musicfs.errors import OriginError
from musicfs.model import Health
from musicfs.store.catalog import Catalog
from musicfs.store.chunks_schema import Content

if TYPE_CHECKING:
    from musicfs.store.chunks import ChunkStore

WORKERS = 16  # enough for what never waits long
REMOTE_WORKERS = 96  # all but WORKERS of them may wait for origins; of fewer, three in four
_OPENING_S = 60.0  # nothing takes that long to open


def index_path(settings: Settings) -> str:
    """The folder of the search index, which the keeper writes and both processes read."""
    return os.path.join(settings.cache_dir, "search.idx")


def content_path(settings: Settings) -> str:
    """The folder of the content store."""
    return os.path.join(settings.cache_dir, "chunks")


def content_limit_bytes(settings: Settings) -> int:
    """How much content is kept, in bytes; 0 without a store."""
    keeps = any(access_of(one).keep for one in enabled_origins(settings))
    return int(settings.cache.content_cache_gb * (1 << 30)) if keeps else 0


def open_content_store(settings: Settings, *, prepare: bool) -> ChunkStore | None:
    """The content store, or None if nothing is to be kept. One process, the first, has it prepared: others use it by then.

    Raises StoreError, DiskFullError.
    """
    limit_bytes = content_limit_bytes(settings)
    if not limit_bytes:
        return None
    from musicfs.store.chunks import ChunkStore
    from musicfs.store.chunks_tables import prepare_chunks

    path = content_path(settings)
    if prepare:
        prepare_chunks(path)
    return ChunkStore(path, limit_bytes=limit_bytes)


class Reading:
    """The parts and how they hang together. Nothing is opened or started before the first read.

    Origins and what fetches from them are one *generation*: other settings are another one, and files that are open go on
    with theirs until they are closed. The content store and what writes to it are the same for all, and so are the places for
    who waits: the workers are.
    """

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        store: ChunkStore | None,
        waiting: Waiting,
        clock: Clock,
        on_complete: Callable[[Content], object],
        tallies: Tallies | None = None,
    ) -> None:
        """``on_complete`` is told of every content that is whole now, on a thread that may wait. ``tallies`` count what is
        asked of origins.
        """
        self.tallies = tallies or Tallies()
        self._catalog = catalog
        self._waiting = waiting
        self._clock = clock
        self._on_complete = on_complete
        self._store: ChunkStore | None = None
        self._ill: set[str] = set()
        self._health: Mapping[str, Health] = {}
        self._past = ReadCounts(0, 0, 0)
        self._retired: list[_Generation] = []
        self._followed_at, self._mark = 0.0, 0
        self.keeping: Keeping | None = None
        self._attach(store)
        self.workers = workers_of(settings)
        # Of all generations together. With few workers of the user's choice: one reader alone makes several requests.
        self._places = Places(max(self.workers - WORKERS, self.workers * 3 // 4, 1))
        self._now = self._generation(settings)

    def _attach(self, store: ChunkStore | None) -> None:
        if store is not None and self._store is None:
            self._store = store
            self.keeping = Keeping(store, self._clock, self._on_complete)

    def _generation(self, settings: Settings) -> _Generation:
        origins = CatalogedOrigins(settings, self._catalog, self.tallies)
        ranking = Ranking({one.id: one.priority for one in settings.origins})
        ranking.set_health(self._health)
        keeps = content_limit_bytes(settings) > 0
        sources = Sources(
            origins,
            self._waiting,
            store=self._store if keeps else None,
            keeping=self.keeping if keeps else None,
            clock=self._clock,
            manners=Manners(timeout_s=settings.cache.read_timeout_s, probable=settings.health.failover == "probable"),
            ranking=ranking,
            places=self._places,
        )
        self._places.divide(origins.remote)
        return _Generation(origins, ranking, sources)

    @property
    def sources(self) -> Sources:
        """What opens files now."""
        return self._now.sources

    @property
    def counts(self) -> ReadCounts:
        """What was read so far, by all generations."""
        counts = [self._past, *(one.sources.counts for one in (*self._retired, self._now))]
        return ReadCounts(
            sum(one.hits for one in counts),
            sum(one.misses for one in counts),
            sum(one.fetched_bytes for one in counts),
        )

    def follow(self, settings: Settings, store: ChunkStore | None) -> None:
        """Read with these settings from now on. ``store`` is for who had none so far; the first one stays.

        The old generation serves what is open, until :meth:`close_unused`.
        """
        self._attach(store)
        self._followed_at, self._mark = self._clock.monotonic(), 0
        self._retired.append(self._now)
        self._now = self._generation(settings)

    def close_unused(self, oldest: int, following: int) -> None:
        """Close old generations once no file is open that one of them may serve.

        Of the numbers that open files get ``oldest`` is the lowest, ``following`` the next one. A file that is being opened
        has none yet, so the numbers count that are given some time after the change.
        """
        if not self._retired:
            return
        if not self._mark:
            if self._clock.monotonic() - self._followed_at > _OPENING_S:
                self._mark = following
        elif oldest >= self._mark:
            self._close_retired()

    def _close_retired(self) -> None:
        for one in self._retired:
            counts = one.sources.counts
            self._past = ReadCounts(
                self._past.hits + counts.hits,
                self._past.misses + counts.misses,
                self._past.fetched_bytes + counts.fetched_bytes,
            )
            one.close()
        self._retired.clear()

    def set_health(self, health: Mapping[str, Health]) -> None:
        """What the keeper's probes say. Does not block: an origin that is back is asked on a thread of its own."""
        self._health = health
        for one in (*self._retired, self._now):
            one.ranking.set_health(health)
        back = [one for one in self._ill if health.get(one) is Health.HEALTHY]
        self._ill = {one for one, found in health.items() if found in {Health.DEGRADED, Health.UNHEALTHY}}
        for origin_id in back:
            threading.Thread(target=self._try_again, args=(origin_id,), name=f"back-{origin_id}", daemon=True).start()

    def _try_again(self, origin_id: str) -> None:
        """A good answer to us too ends the time for which our side leaves the origin alone after its failures."""
        origin = self._now.origins.opened(origin_id)
        if origin is not None:
            with contextlib.suppress(OriginError):  # then the next read will find out when it is back for us
                origin.check()

    def close(self) -> None:
        """End what is on its way and write what waits; blocks some seconds at most. The store stays open."""
        for one in (*self._retired, self._now):
            one.sources.retire()
        if self.keeping is not None:
            self.keeping.close()
        for one in (*self._retired, self._now):
            one.origins.close()


@dataclass(frozen=True, slots=True)
class _Generation:
    """What reads as one configuration says."""

    origins: CatalogedOrigins
    ranking: Ranking
    sources: Sources

    def close(self) -> None:
        self.sources.retire()
        self.origins.close()


def workers_of(settings: Settings) -> int:
    """How many threads answer the kernel."""
    is_remote = any(not access_of(one).direct for one in enabled_origins(settings))
    return settings.mount.workers or (REMOTE_WORKERS if is_remote else WORKERS)
