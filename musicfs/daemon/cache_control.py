"""What clients may do with the content cache: look at it, clear it, fill it, pin it, verify it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile

from musicfs.api.backend import CacheStats, Cleared, PinChange, PinnedPath, PrefetchProgress, Tier, VerifyProgress
from musicfs.clock import Clock
from musicfs.daemon.library_files import LibraryFiles
from musicfs.daemon.link import Counters
from musicfs.daemon.pins import Pins
from musicfs.daemon.prefetching import Prefetch
from musicfs.daemon.reading import Reading
from musicfs.daemon.upkeep import Upkeep
from musicfs.errors import UnreachableError
from musicfs.index.parser import parse
from musicfs.store.chunks import ChunkStore
from musicfs.store.chunks_schema import Content
from musicfs.store.chunks_schema import Tier as StoredTier

_STEP_S = 0.5
_TASK_S = 4.0  # an answer must be there after five seconds
_END_S = 5.0
_TIERS = {Tier.ALL: None, Tier.EDGES: StoredTier.EDGES, Tier.MAIN: StoredTier.MAIN}


class CacheControl:
    """Answers clients, on gRPC's threads. Without a content store there is nothing in it, and nothing to be put there."""

    def __init__(
        self,
        files: LibraryFiles,
        pins: Pins,
        store: ChunkStore | None,
        upkeep: Upkeep | None,
        open_reading: Callable[[], Reading],
        limit_bytes: int,
        clock: Clock,
        saved_bytes: Callable[[], int] = lambda: 0,
    ) -> None:
        """``open_reading`` gives the way to read files in this process; it is asked for once, by the first prefetch.

        ``saved_bytes`` says how much of changed files was not fetched again since the start.
        """
        self._saved_bytes = saved_bytes
        self._files = files
        self._pins = pins
        self._store = store
        self._upkeep = upkeep
        self._open_reading = open_reading
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._lock = threading.Lock()  # of the three below
        self._reading: Reading | None = None
        self._prefetches: set[Prefetch] = set()
        self._closed = False

    def stats(self, counters: Counters) -> CacheStats:
        """What is stored now, and what the mount has read since the start. Costs some page reads. Raises StoreError."""
        stored = self._upkeep.stats() if self._upkeep is not None else None
        return CacheStats(
            limit_bytes=self._limit_bytes,
            used_bytes=stored.used_bytes if stored else 0,
            chunk_count=stored.chunk_count if stored else 0,
            chunks_unique=stored.chunks_unique if stored else 0,
            dedup_ratio=stored.dedup_ratio if stored else 1.0,
            hits=counters.hits,
            misses=counters.misses,
            edge_bytes=stored.edge_bytes if stored else 0,
            contents=stored.contents if stored else 0,
            contents_complete=stored.complete if stored else 0,
            fetched_bytes=self.fetched_bytes(counters),
            saved_bytes=self._saved_bytes(),
            pins=self._pins.count,
            damaged=stored.bad if stored else 0,
            evictions=self._upkeep.evictions if self._upkeep is not None else 0,
            evicted_bytes=self._upkeep.evicted_bytes if self._upkeep is not None else 0,
        )

    def fetched_bytes(self, counters: Counters) -> int:
        """What was read from origins since the start, by readers and prefetches."""
        reading = self._reading
        return counters.fetched_bytes + (reading.sources.counts.fetched_bytes if reading is not None else 0)

    def clear(self, origin_id: str, tier: Tier, *, dry_run: bool) -> Cleared:
        """Remove what is not pinned; what has not gone after some seconds goes in the background.

        The sizes are those of the files' stored parts: less is freed where other files share it. Of one origin only what
        its files are now is found; older versions go with everything, or when room is needed.
        """
        upkeep = self._upkeep
        if upkeep is None:
            return Cleared()
        until = self._clock.monotonic() + _TASK_S
        pinned, stored_tier = self._pins.keys(), _TIERS[tier]
        files = (file.content for file in self._files.of_origin(origin_id)) if origin_id else upkeep.contents()
        sizes = {
            content.key: size
            for content in files
            if content.key not in pinned and (size := upkeep.removable_bytes(content, stored_tier))
        }
        if not dry_run and sizes:
            keys = takewhile(lambda _: not upkeep.breathe(), list(sizes))
            task = upkeep.begin(lambda chunks: chunks.clear(keys, stored_tier))
            if task.wait(max(until - self._clock.monotonic(), 0.0)):
                task.result()
        return Cleared(sum(sizes.values()), len(sizes))

    # Pins.

    def pin(self, paths: Sequence[str], query: str = "") -> PinChange:
        """Keep what these paths lead to, and what will appear below them; or the tracks that match now."""
        return self._pins.pin(paths, query)

    def unpin(self, paths: Sequence[str], query: str = "") -> PinChange:
        """Keep it no longer."""
        return self._pins.unpin(paths, query)

    def pins(self) -> tuple[PinnedPath, ...]:
        """Everything that is pinned."""
        return self._pins.listed(self._cached_bytes)

    def _cached_bytes(self, content: Content) -> int:
        return self._store.coverage(content).cached_bytes if self._store is not None else 0

    # Filling and checking.

    def prefetch(self, paths: Sequence[str], origin_id: str, query: str = "") -> Iterator[PrefetchProgress]:
        """Read the files through to their end, one after the other, on a thread of its own that ends with the caller.

        With a query, the tracks below the paths (none: all) that match it.
        """
        selection = self._files.selection(parse(query), self._clock.time_ns()) if query else None
        roots = [self._files.resolve(path) for path in paths or ["/"]]
        files = self._files.below(roots, origin_id, selection)
        return self._follow(Prefetch(files, self.reading()))

    def _follow(self, work: Prefetch) -> Iterator[PrefetchProgress]:
        with self._lock:
            if self._closed:
                raise UnreachableError("the daemon is ending")
            self._prefetches.add(work)
            work.start()
        try:
            while not work.wait(_STEP_S):
                yield work.progress
            yield work.progress
        finally:
            work.stop()
            with self._lock:
                self._prefetches.discard(work)

    def reading(self) -> Reading:
        """The way to read files in this process. UnreachableError when it is ending."""
        with self._lock:
            if self._closed:
                raise UnreachableError("the daemon is ending")
            if self._reading is None:
                self._reading = self._open_reading()
            return self._reading

    def verify(self) -> Iterator[VerifyProgress]:
        """Check everything that is stored."""
        upkeep = self._upkeep
        if upkeep is None:
            yield VerifyProgress(complete=True)
            return
        stopping = threading.Event()
        stats = upkeep.stats()
        total = stats.chunks_unique + stats.blocks
        checked: list[int] = []
        damaged: list[object] = []
        task = upkeep.begin(
            lambda chunks: chunks.verify(damaged.append, lambda: stopping.is_set() or upkeep.breathe(), checked.append)
        )
        try:
            while not task.wait(_STEP_S):
                yield VerifyProgress(checked=sum(checked), total=max(total, sum(checked)), damaged=len(damaged))
            complete = task.result()
            done = sum(checked)
            yield VerifyProgress(checked=done, total=done, damaged=len(damaged), complete=complete)
        finally:
            stopping.set()

    def close(self) -> None:
        """End what is fetched; blocks some seconds at most."""
        with self._lock:
            self._closed = True
            prefetches, reading = list(self._prefetches), self._reading
        for prefetch in prefetches:
            prefetch.stop()
        if reading is not None:
            reading.close()  # ends the reads that wait
        for prefetch in prefetches:
            prefetch.stop(_END_S)
