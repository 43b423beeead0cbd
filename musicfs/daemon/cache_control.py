"""What clients may do with the content cache: look at it, clear it, fill it, pin it, verify it."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence

from musicfs.api.backend import (
    CacheStats,
    Cleared,
    PinChange,
    PinnedPath,
    PrefetchProgress,
    Tier,
    VerifyProgress,
)
from musicfs.clock import Clock
from musicfs.daemon.library_files import LibraryFile, LibraryFiles
from musicfs.daemon.link import Counters
from musicfs.daemon.reading import Reading
from musicfs.daemon.upkeep import Upkeep
from musicfs.errors import MusicFSError, NotFoundError
from musicfs.store.chunks import ChunkStore
from musicfs.store.chunks_schema import Tier as StoredTier
from musicfs.store.state import Pin, State

log = logging.getLogger(__name__)

_STEP_S = 0.5
_TASK_S = 4.0  # an answer must be there after five seconds
_READ_BYTES = 1 << 20
_WRITTEN_EVERY_BYTES = 16 << 20  # so that nothing is dropped before it is written
_TIERS = {Tier.ALL: None, Tier.EDGES: StoredTier.EDGES, Tier.MAIN: StoredTier.MAIN}


class CacheControl:
    """Answers clients, on gRPC's threads. Without a content store there is nothing in it, and nothing to be put there."""

    def __init__(
        self,
        files: LibraryFiles,
        state: State,
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
        self._state = state
        self._store = store
        self._upkeep = upkeep
        self._open_reading = open_reading
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._reading: Reading | None = None

    def stats(self, counters: Counters) -> CacheStats:
        """What is stored now, and what the mount has read since the start."""
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
            pins=len(self._state.pins()),
            damaged=stored.bad if stored else 0,
        )

    def fetched_bytes(self, counters: Counters) -> int:
        """What was read from origins since the start, by readers and prefetches."""
        reading = self._reading
        return counters.fetched_bytes + (reading.sources.counts.fetched_bytes if reading is not None else 0)

    def clear(self, origin_id: str, tier: Tier, *, dry_run: bool) -> Cleared:
        """Remove what is not pinned; what has not gone after some seconds goes in the background.

        The sizes are those of the files' stored parts: less is freed where other files share it.
        """
        upkeep, store = self._upkeep, self._store
        if upkeep is None or store is None:
            return Cleared()
        pinned = self.pinned_keys()
        files = (file.content for file in self._files.of_origin(origin_id)) if origin_id else upkeep.contents()
        contents = [content for content in files if content.key not in pinned]
        found = [coverage for coverage in map(store.coverage, contents) if coverage.cached_bytes]
        cleared = Cleared(sum(coverage.cached_bytes for coverage in found), len(found))
        if tier is Tier.EDGES and not origin_id:
            cleared = Cleared(upkeep.stats().edge_bytes, len(found))
        if not dry_run:
            keys = [content.key for content in contents]
            upkeep.begin(lambda chunks: chunks.clear(keys, _TIERS[tier])).wait(_TASK_S)
        return cleared

    # Pins.

    def pinned_keys(self) -> frozenset[bytes]:
        """The keys of every content that is pinned now: what the paths lead to today, and what they led to when pinned."""
        return frozenset(file.content.key for pin in self._state.pins() for file in self._files_of(pin))

    def _files_of(self, pin: Pin) -> Iterator[LibraryFile]:
        seen = set()
        try:
            for file in self._files.below((os.fsdecode(pin.path),)):
                seen.add((file.source.origin_id, os.fsencode(file.source.path)))
                yield file
        except NotFoundError:
            pass  # the tree names it otherwise by now, or it is away
        for origin_id, path in pin.files:
            found = self._files.at_origin(origin_id, path) if (origin_id, path) not in seen else None
            if found is not None:
                yield found

    def pin(self, paths: Sequence[str]) -> PinChange:
        """Keep what these paths lead to, and what will appear below them."""
        pins, files, size_bytes = [], 0, 0
        for path in paths:
            found = list(self._files.below((path,)))
            where = tuple((file.source.origin_id, os.fsencode(file.source.path)) for file in found)
            pins.append(Pin(_normal(path), self._clock.time_ns(), where))
            files += len(found)
            size_bytes += sum(file.source.size for file in found)
        for pin in pins:
            self._state.put_pin(pin)
        return PinChange(files, size_bytes)

    def unpin(self, paths: Sequence[str]) -> PinChange:
        """Keep it no longer."""
        pinned = {pin.path: pin for pin in self._state.pins()}
        for path in paths:
            if _normal(path) not in pinned:
                raise NotFoundError(f"{path!r} is not pinned", remedy="see 'musicfs cache pins'")
        files = [file for path in paths for file in self._files_of(pinned[_normal(path)])]
        for path in paths:
            self._state.remove_pin(_normal(path))
        return PinChange(len(files), sum(file.source.size for file in files))

    def pins(self) -> tuple[PinnedPath, ...]:
        """Everything that is pinned."""
        return tuple(self._pinned(pin) for pin in self._state.pins())

    def _pinned(self, pin: Pin) -> PinnedPath:
        files = list(self._files_of(pin))
        return PinnedPath(
            path=os.fsdecode(pin.path),
            files=len(files),
            size_bytes=sum(file.source.size for file in files),
            cached_bytes=sum(self._store.coverage(file.content).cached_bytes for file in files) if self._store else 0,
            added_ms=pin.added_ns // 1_000_000,
        )

    # Filling and checking.

    def prefetch(self, paths: Sequence[str], origin_id: str) -> Iterator[PrefetchProgress]:
        """Read the files through to their end, one after the other, on a thread of its own that ends with the caller."""
        files = list(self._files.below(paths, origin_id))
        return self._follow(_Prefetch(files, self._open()))

    def _follow(self, work: _Prefetch) -> Iterator[PrefetchProgress]:
        thread = threading.Thread(target=work.run, name="prefetch", daemon=True)
        thread.start()
        try:
            while not work.done.wait(_STEP_S):
                yield work.progress
            yield work.progress
        finally:
            work.stopping.set()

    def _open(self) -> Reading:
        with self._lock:
            if self._reading is None:
                self._reading = self._open_reading()
            return self._reading

    def verify(self) -> Iterator[VerifyProgress]:
        """Check everything that is stored."""
        upkeep = self._upkeep
        if upkeep is None:
            yield VerifyProgress(complete=True)
            return
        damaged: list[object] = []
        stopping = threading.Event()
        stats = upkeep.stats()
        total = stats.chunks_unique + stats.blocks
        task = upkeep.begin(lambda chunks: chunks.verify(damaged.append, lambda: stopping.is_set() or upkeep.stopping))
        try:
            while not task.wait(_STEP_S):
                yield VerifyProgress(total=total, damaged=len(damaged))
            task.result()
            yield VerifyProgress(checked=total, total=total, damaged=len(damaged), complete=True)
        finally:
            stopping.set()

    def close(self) -> None:
        """End what is fetched."""
        with self._lock:
            if self._reading is not None:
                self._reading.close()


class _Prefetch:
    """Some files on their way into the store. ``progress`` is replaced while :meth:`run` goes on."""

    def __init__(self, files: Sequence[LibraryFile], reading: Reading) -> None:
        self._files = files
        self._reading = reading
        self.done = threading.Event()
        self.stopping = threading.Event()
        self.progress = PrefetchProgress(total=len(files))

    def run(self) -> None:
        """Fetch until all is there or nobody waits any more."""
        completed = failed = fetched = 0
        try:
            for file in self._files:
                self.progress = PrefetchProgress(
                    current_path=os.fsdecode(file.path),
                    completed=completed,
                    total=len(self._files),
                    failed=failed,
                    fetched_bytes=fetched,
                )
                try:
                    fetched += self._fetch(file)
                    completed += 1
                except MusicFSError as error:
                    log.info("%r was not fetched: %s", file.source.path, error)
                    failed += 1
                if self.stopping.is_set():
                    return
            self.progress = PrefetchProgress(
                completed=completed, total=len(self._files), failed=failed, fetched_bytes=fetched
            )
        finally:
            self.done.set()

    def _fetch(self, file: LibraryFile) -> int:
        """Read a file through; how many of its bytes were not here before."""
        keeping, size = self._reading.keeping, file.source.size
        if file.access.direct or keeping is None:
            return 0
        before = self._reading.sources.cached_bytes(file.source)
        reader = self._reading.sources.open(file.source, 0, size)
        for start in range(0, size, _READ_BYTES):
            reader.read(start, min(start + _READ_BYTES, size))
            if self.stopping.is_set():
                break
            if start % _WRITTEN_EVERY_BYTES == 0:
                keeping.wait_written(_TASK_S)
        reader.close()
        keeping.wait_written(_TASK_S)
        return size - before


def _normal(path: str) -> bytes:
    """A virtual path with one slash before each name and none at the end."""
    return b"/" + b"/".join(part for part in os.fsencode(path).split(b"/") if part not in {b"", b"."})
