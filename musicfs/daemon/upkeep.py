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
from musicfs.errors import DiskFullError, StoreError, UnreachableError
from musicfs.events import EventBus, EventType
from musicfs.store.chunks import ChunkStore
from musicfs.store.chunks_schema import Adopted, Content, StoreStats, Tier
from musicfs.store.chunks_tables import confirm_chunks
from musicfs.store.chunks_upkeep import ChunkUpkeep

log = logging.getLogger(__name__)

T = TypeVar("T")

_ROUND_S = 5.0
_RECUT_SECONDS = 0.5  # then eviction has its turn
_CONFIRM_AFTER_S = 60.0
_PAUSE_S = 30.0  # after a full disk
_LEAST_EDGE_BYTES = 64 << 20


class Task(Generic[T]):
    """Something that a client asked for."""

    def __init__(self, action: Callable[[ChunkUpkeep], T]) -> None:
        self._action = action
        self._done = threading.Event()
        self._results: list[T] = []
        self._error: Exception | None = None

    def run(self, upkeep: ChunkUpkeep) -> None:
        """Do it, and let who waits know."""
        try:
            self._results.append(self._action(upkeep))
        except Exception as error:  # carried over to who waits for it, whatever it is
            self._error = error
        finally:
            self._done.set()

    def abandon(self) -> None:
        """It will not be done any more."""
        self._error = UnreachableError("the daemon is ending")
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
        events: EventBus | None = None,
    ) -> None:
        """``pinned`` gives the keys of contents that are never evicted.

        The edges' limit is a part of the whole one, half of it at most: a small store must hold more than edges. It is not
        too small either: the edges of what is just being fetched count there until all of it is here and cut.
        """
        self._store = store
        self._events = events or EventBus(clock.time_ns)
        self._upkeep = ChunkUpkeep(store)
        edges = min(max(edge_limit_bytes, _LEAST_EDGE_BYTES), limit_bytes // 2)
        self._limits = limit_bytes - edges, edges
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
        self._evict_at = 0.0
        self.evictions = 0  # since the start
        self.evicted_bytes = 0

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

    def adopted(self) -> list[Adopted]:
        """Contents that are to be compared with their origins, on the calling thread. Raises StoreError."""
        return self._upkeep.adopted()

    def removable_bytes(self, content: Content, tier: Tier | None) -> int:
        """How much of a content clearing it would remove, on the calling thread. Raises StoreError."""
        return self._upkeep.removable_bytes(content, tier)

    def begin(self, task: Callable[[ChunkUpkeep], T]) -> Task[T]:
        """Have ``task`` run on the thread, before everything else that waits. Does not block."""
        begun = Task(task)
        with self._wake:
            if self._ended.is_set():
                begun.abandon()
                return begun
            self._tasks.append(begun)
            self._wake.notify()
        return begun

    def close(self, timeout_s: float = 5.0) -> bool:
        """End the thread after the transaction it is at; False if it is still at it after ``timeout_s``."""
        with self._wake:
            self._ended.set()
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        while self._tasks:
            self._tasks.popleft().abandon()
        return not self._thread.is_alive()

    @property
    def stopping(self) -> bool:
        """True once :meth:`close` was called: long tasks end at their next step."""
        return self._ended.is_set()

    def breathe(self) -> bool:
        """For long tasks, between their steps: the limits are kept meanwhile; True once the task should end."""
        if not self.stopping and self._clock.monotonic() >= self._evict_at:
            self._evict()
        return self.stopping

    def _run(self) -> None:
        self._guard(self._find_complete)
        while not self._ended.is_set():
            with self._wake:
                if not (self._tasks or self._complete):
                    self._wake.wait(_ROUND_S)
            self._guard(self._round)

    def _guard(self, action: Callable[[], object]) -> None:
        """Whatever fails, the thread goes on after a while: without it the store would grow without end."""
        if self._clock.monotonic() < self._resume_at and not self._tasks:
            self._clock.wait(self._ended, 1.0)
            return
        try:
            action()
        except DiskFullError as error:
            self._pause()
            log.warning("content store: %s; %s", error, error.remedy)
        except StoreError as error:
            self._pause()
            log.error("content store: %s; %s", error, error.remedy)
        except Exception:  # what is pinned is looked up in the catalog, which has its own ways to fail
            self._pause()
            log.exception("the upkeep of the content store failed")

    def _pause(self) -> None:
        self._resume_at = self._clock.monotonic() + _PAUSE_S

    def _find_complete(self) -> None:
        """What was complete when the last keeper ended."""
        after = b""
        while found := self._upkeep.complete_blocks(after):
            after = found[-1].key
            self._complete.extend(found)

    def _round(self) -> None:
        while self._tasks and not self.stopping:
            self._tasks.popleft().run(self._upkeep)
        self._evict()  # before anything that needs room: a full disk must not keep it from being made
        self._store.discard_bad()
        if self._upkeep.tidy():
            self._upkeep.verify(lambda _: None, self.breathe)
        self._recut()
        self._upkeep.reader_check()
        if not self._confirmed and self._clock.monotonic() >= self._confirm_at:
            self._confirmed = True
            confirm_chunks(self._store.path)

    def _recut(self) -> None:
        until = self._clock.monotonic() + _RECUT_SECONDS
        while self._complete and self._clock.monotonic() < until and not (self._tasks or self.stopping):
            content = self._complete.popleft()
            try:
                self._upkeep.recut(content, self._cut)
            except DiskFullError:
                self._complete.appendleft(content)  # its blocks are there: there may be room later
                raise

    def _evict(self) -> None:
        self._evict_at = self._clock.monotonic() + _ROUND_S
        stats = self._upkeep.stats()
        main, edges = self._limits
        if stats.used_bytes - stats.edge_bytes > main or stats.edge_bytes > edges:
            eviction = self._upkeep.evict(main, edges, self._pinned())
            if eviction.freed_bytes:
                self.evictions += 1
                self.evicted_bytes += eviction.freed_bytes
                log.info("content store: %d MB were evicted", eviction.freed_bytes >> 20)
                self._events.publish(
                    EventType.CACHE_EVICTION, size_bytes=eviction.freed_bytes, contents=len(eviction.contents)
                )
