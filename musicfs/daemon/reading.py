"""What content is read with: origins, the content store, what fetches and what keeps. The same parts in both processes."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from musicfs.clock import Clock
from musicfs.config.settings import Settings
from musicfs.content.keeping import Keeping
from musicfs.content.ranking import Ranking
from musicfs.content.readers import Waiting
from musicfs.content.sources import Manners, Sources
from musicfs.daemon.opening import CatalogedOrigins, Tallies, access_of, enabled_origins
from musicfs.errors import OriginError
from musicfs.model import Health
from musicfs.store.catalog import Catalog
from musicfs.store.chunks_schema import Content

if TYPE_CHECKING:
    from musicfs.store.chunks import ChunkStore

WORKERS = 16  # enough for what never waits long
REMOTE_WORKERS = 96  # all but WORKERS of them may wait for origins; of fewer, three in four


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
    """The parts and how they hang together. Nothing is opened or started before the first read."""

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
        self._origins = CatalogedOrigins(settings, catalog, self.tallies)
        self._ranking = Ranking({one.id: one.priority for one in settings.origins})
        self._ill: set[str] = set()
        self.keeping = Keeping(store, clock, on_complete) if store is not None else None
        self.workers = settings.mount.workers or (REMOTE_WORKERS if self._origins.remote else WORKERS)
        self.sources = Sources(
            self._origins,
            waiting,
            store=store,
            keeping=self.keeping,
            clock=clock,
            manners=Manners(
                # With few workers of the user's choice: one reader alone makes several requests at a time.
                places=max(self.workers - WORKERS, self.workers * 3 // 4, 1),
                origins=self._origins.remote,
                timeout_s=settings.cache.read_timeout_s,
                probable=settings.health.failover == "probable",
            ),
            ranking=self._ranking,
        )

    def set_health(self, health: Mapping[str, Health]) -> None:
        """What the keeper's probes say. Does not block: an origin that is back is asked on a thread of its own."""
        self._ranking.set_health(health)
        back = [one for one in self._ill if health.get(one) is Health.HEALTHY]
        self._ill = {one for one, found in health.items() if found in {Health.DEGRADED, Health.UNHEALTHY}}
        for origin_id in back:
            threading.Thread(target=self._try_again, args=(origin_id,), name=f"back-{origin_id}", daemon=True).start()

    def _try_again(self, origin_id: str) -> None:
        """A good answer to us too ends the time for which our side leaves the origin alone after its failures."""
        origin = self._origins.opened(origin_id)
        if origin is not None:
            with contextlib.suppress(OriginError):  # then the next read will find out when it is back for us
                origin.check()

    def close(self) -> None:
        """End what is on its way and write what waits; blocks some seconds at most. The store stays open."""
        self.sources.close()
        self._origins.close()
