"""The keeper's side of the content store: re-cut what is complete, evict what is too much, verify, count, clear.

Threads: ``content``, which owns everything that changes manifests; what clients ask for by :meth:`Upkeep.begin` runs there
too, so that nothing waits for LMDB's write lock that could wait in a queue.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import Any, Generic, TypeVar

from musicfs.clock import Clock
from musicfs.content.chunker import Chunker
from musicfs.errors import DiskFullError, MusicFSError, StoreError
from musicfs.store.chunks import ChunkStore
from musicfs.store.chunks_schema import Content, StoreStats
from musicfs.store.chunks_tables import confirm_chunks
from musicfs.store.chunks_upkeep import ChunkUpkeep

log = logging.getLogger(__name__)

T = TypeVar("T")

_ROUND_S = 5.0
_RECUT_SECONDS = 0.5  # then eviction has its turn
_CONFIRM_AFTER_S = 60.0
_PAUSE_S = 30.0  # after a full disk


class Task(Generic[T]):
    """Something that a client asked for."""

    def __init__(self, action: Callable[[ChunkUpkeep], T]) -> None:
        self._action = action
        self._done = threading.Event()
        self._results: list[T] = []
        self._error: MusicFSError | None = None

    def run(self, upkeep: ChunkUpkeep) -> None:
        """Do it, and let who waits know."""
        try:
            self._results.append(self._action(upkeep))
        except MusicFSError as error:
            self._error = error
        finally:
            self._done.set()

    def wait(self, timeout_s: float) -> bool:
        """Block until it is done; False after ``timeout_s``."""
        return self._done.wait(timeout_s)

    def result(self) -> T:
        """What came of it, once it is done; raises what went wrong."""
        if self._error is not None:
            raise self._error
        return self._results[0]


class Upkeep:
    """Runs on its own thread from :meth:`start` to :meth:`close`."""

    def __init__(
        self,
        store: ChunkStore,
        limit_bytes: int,
        edge_limit_bytes: int,
        pinned: Callable[[], Collection[bytes]],
        clock: Clock,
    ) -> None:
        """``pinned`` gives the keys of contents that are never evicted. The edges' limit is a part of the whole one."""
        self._store = store
        self._upkeep = ChunkUpkeep(store)
        self._limits = max(limit_bytes - edge_limit_bytes, 0), min(edge_limit_bytes, limit_bytes)
        self._pinned = pinned
        self._clock = clock
        self._cut = Chunker()
        self._wake = threading.Condition()
        self._complete: deque[Content] = deque()
        self._tasks: deque[Task[Any]] = deque()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="content", daemon=True)
        self._confirm_at = clock.monotonic() + _CONFIRM_AFTER_S
        self._confirmed = False
        self._resume_at = 0.0

    def start(self) -> None:
        """Begin, with what was complete when the last keeper ended."""
        self._thread.start()

    def note_complete(self, content: Content) -> None:
        """All of a content is stored: it is cut into chunks when there is time. Does not block."""
        with self._wake:
            self._complete.append(content)
            self._wake.notify()

    def stats(self) -> StoreStats:
        """What is stored now, on the calling thread. Raises StoreError."""
        return self._upkeep.stats()

    def contents(self) -> Iterator[Content]:
        """Every content of which something is stored, on the calling thread. Raises StoreError."""
        return self._upkeep.contents()

    def begin(self, task: Callable[[ChunkUpkeep], T]) -> Task[T]:
        """Have ``task`` run on the thread, before everything else that waits. Does not block."""
        begun = Task(task)
        with self._wake:
            self._tasks.append(begun)
            self._wake.notify()
        return begun

    def close(self, timeout_s: float = 5.0) -> None:
        """End the thread after the transaction it is at."""
        self._ended.set()
        with self._wake:
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    @property
    def stopping(self) -> bool:
        """True once :meth:`close` was called: long tasks end at their next step."""
        return self._ended.is_set()

    def _run(self) -> None:
        self._guard(self._find_complete)
        while not self._ended.is_set():
            with self._wake:
                if not (self._tasks or self._complete):
                    self._wake.wait(_ROUND_S)
            self._guard(self._round)

    def _guard(self, action: Callable[[], object]) -> None:
        """The store may fail, and the thread goes on: the store's errors cost content that can be fetched again."""
        if self._clock.monotonic() < self._resume_at and not self._tasks:
            self._clock.wait(self._ended, 1.0)
            return
        try:
            action()
        except DiskFullError as error:
            self._resume_at = self._clock.monotonic() + _PAUSE_S
            log.warning("content store: %s; %s", error, error.remedy)
        except StoreError as error:
            self._resume_at = self._clock.monotonic() + _PAUSE_S
            log.error("content store: %s; %s", error, error.remedy)

    def _find_complete(self) -> None:
        """What was complete when the last keeper ended."""
        after = b""
        while found := self._upkeep.complete_blocks(after):
            after = found[-1].key
            self._complete.extend(found)

    def _round(self) -> None:
        while self._tasks:
            self._tasks.popleft().run(self._upkeep)
        until = self._clock.monotonic() + _RECUT_SECONDS
        while self._complete and self._clock.monotonic() < until and not self._tasks:
            self._upkeep.recut(self._complete.popleft(), self._cut)
        self._store.discard_bad()
        if self._upkeep.tidy():
            self._upkeep.verify(lambda _: None, self._ended.is_set)
        self._evict()
        self._upkeep.reader_check()
        if not self._confirmed and self._clock.monotonic() >= self._confirm_at:
            self._confirmed = True
            confirm_chunks(self._store.path)

    def _evict(self) -> None:
        stats = self._upkeep.stats()
        main, edges = self._limits
        if stats.used_bytes - stats.edge_bytes > main or stats.edge_bytes > edges:
            eviction = self._upkeep.evict(main, edges, self._pinned())
            if eviction.freed_bytes:
                log.info("content store: %d MB were evicted", eviction.freed_bytes >> 20)
