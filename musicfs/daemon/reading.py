"""What the mount process reads content with: origins, the content store, what fetches and what keeps."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from musicfs.clock import Clock
from musicfs.config.settings import Settings
from musicfs.content.keeping import Keeping
from musicfs.content.ranking import Ranking
from musicfs.content.readers import Waiting
from musicfs.content.sources import Manners, Sources
from musicfs.daemon.opening import CatalogedOrigins
from musicfs.model import Health
from musicfs.store.catalog import Catalog
from musicfs.store.chunks_schema import Content

if TYPE_CHECKING:
    from musicfs.store.chunks import ChunkStore

WORKERS = 16  # enough for what never waits long
REMOTE_WORKERS = 96  # all but WORKERS of them may wait for origins


def limit_bytes(settings: Settings) -> int:
    """How much content is kept, in bytes; the same in both processes."""
    return int(settings.cache.content_cache_gb * (1 << 30))


class Reading:
    """The parts and how they hang together. Opening costs a few file operations; origins are opened by their first read."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        waiting: Waiting,
        clock: Clock,
        on_complete: Callable[[Content], object],
    ) -> None:
        """``on_complete`` is told of every content that is whole now, on a thread that may wait."""
        self._origins = CatalogedOrigins(settings, catalog)
        self._ranking = Ranking({one.id: one.priority for one in settings.origins})
        self._store: ChunkStore | None = None
        keeping = None
        if settings.cache.content_cache_gb and self._origins.keeps_any:
            from musicfs.store.chunks import ChunkStore
            from musicfs.store.chunks_tables import prepare_chunks

            path = os.path.join(settings.cache_dir, "chunks")
            prepare_chunks(path)
            self._store = ChunkStore(path, limit_bytes=limit_bytes(settings))
            keeping = Keeping(self._store, clock, on_complete)
        self.workers = settings.mount.workers or (WORKERS if self._origins.all_direct else REMOTE_WORKERS)
        self.sources = Sources(
            self._origins,
            waiting,
            store=self._store,
            keeping=keeping,
            clock=clock,
            manners=Manners(places=max(self.workers - WORKERS, 1), timeout_s=settings.cache.read_timeout_s),
            ranking=self._ranking,
        )

    def set_health(self, health: Mapping[str, Health]) -> None:
        """What the keeper's probes say."""
        self._ranking.set_health(health)

    def close(self) -> None:
        """End what is on its way, write what waits, and close; blocks some seconds at most."""
        self.sources.close()
        self._origins.close()
        if self._store is not None:
            self._store.close()
