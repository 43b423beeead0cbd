"""What was fetched is written to the content store by one thread, behind a bounded queue that drops rather than waits.

Reading never depends on it: a full queue, a full disk or a damaged store cost a later fetch and nothing else.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from musicfs.clock import Clock
from musicfs.errors import DiskFullError, StoreError
from musicfs.store.chunks_schema import Content, Coverage

log = logging.getLogger(__name__)

_QUEUE_BYTES = 64 << 20
_BATCH_BYTES = 8 << 20
_TOUCH_EVERY_S = 5.0
_PAUSE_S = 30.0  # after a full disk

Blocks = Sequence[tuple[int, bytes]]
Batch = dict[Content, list[tuple[int, bytes]]]


class BlockStore(Protocol):
    """The writing side of the content store."""

    def put_batch(self, batch: Iterable[tuple[Content, Iterable[tuple[int, bytes]]]]) -> int:
        """Write blocks of some contents in one transaction. Raises StoreError."""
        ...

    def coverage(self, content: Content) -> Coverage:
        """How much of a content is there."""
        ...

    def touch(self, keys: Iterable[bytes]) -> None:
        """These contents were used now."""
        ...

    def discard_bad(self) -> None:
        """Remove what reading found damaged: it is fetched again."""
        ...


class Keeping:
    """The queue and its thread, which starts with the first block."""

    def __init__(self, store: BlockStore, clock: Clock, on_complete: Callable[[Content], object]) -> None:
        """``on_complete`` is told, on the thread, of every content whose last block was written."""
        self._store = store
        self._clock = clock
        self._on_complete = on_complete
        self._wake = threading.Condition()
        self._queue: deque[tuple[Content, Blocks]] = deque()
        self._queued_bytes = 0
        self._touched: set[bytes] = set()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._writing = False
        self._paused_until = 0.0
        self._failing = False
        self._touch_at = 0.0
        self.dropped_bytes = 0

    def keep(self, content: Content, blocks: Blocks) -> None:
        """Queue blocks to be written. Does not block; drops them when too much waits or the disk was full just now."""
        size = sum(len(data) for _, data in blocks)
        with self._wake:
            if self._closed or self._queued_bytes + size > _QUEUE_BYTES or self._is_paused():
                self.dropped_bytes += size
                return
            self._queue.append((content, blocks))
            self._queued_bytes += size
            self._start()
            self._wake.notify_all()

    def touch(self, content: Content) -> None:
        """The content is used now; written down with others after a while. Does not block."""
        with self._wake:
            self._touched.add(content.key)
            self._start()

    def _is_paused(self) -> bool:
        return self._clock.monotonic() < self._paused_until

    def _start(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name="keep", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._queue and not self._closed:
                    self._wake.wait(_TOUCH_EVERY_S)
                batch = self._take()
                ending = self._closed and not self._queue
            try:
                self._write(batch)
                self._write_touched(now=ending)
                self._store.discard_bad()
            except DiskFullError as error:
                self._pause(batch, f"content is not kept for a while: {error}; {error.remedy}")
            except StoreError as error:
                self._pause(batch, f"the content store cannot be written: {error}; {error.remedy}")
            with self._wake:
                self._writing = False
                self._wake.notify_all()
            if ending:
                return

    def _take(self) -> Batch:
        """The next blocks to write, some MB of them, by content."""
        batch: Batch = {}
        size = 0
        while self._queue and size < _BATCH_BYTES:
            content, blocks = self._queue.popleft()
            batch.setdefault(content, []).extend(blocks)
            size += sum(len(data) for _, data in blocks)
        self._queued_bytes -= size
        self._writing = True
        return batch

    def _write(self, batch: Batch) -> None:
        if not batch:
            return
        self._store.put_batch(batch.items())
        if self._failing:
            self._failing = False
            log.info("content is kept again")
        for content in batch:
            if self._store.coverage(content).complete:
                self._on_complete(content)

    def _write_touched(self, *, now: bool) -> None:
        if not self._touched or (not now and self._clock.monotonic() < self._touch_at):
            return
        with self._wake:
            touched, self._touched = self._touched, set()
        self._touch_at = self._clock.monotonic() + _TOUCH_EVERY_S
        self._store.touch(sorted(touched))

    def _pause(self, lost: Batch, reason: str) -> None:
        if not self._failing:  # once, until it goes well again: a disk may stay full for days
            log.warning("%s", reason)
        self._failing = True
        with self._wake:
            self._paused_until = self._clock.monotonic() + _PAUSE_S
            self.dropped_bytes += self._queued_bytes + sum(len(data) for blocks in lost.values() for _, data in blocks)
            self._queue.clear()
            self._queued_bytes = 0

    def wait_written(self, timeout_s: float) -> bool:
        """Block until nothing waits to be written; False after ``timeout_s``."""
        with self._wake:
            return self._wake.wait_for(lambda: not self._queue and not self._writing, timeout_s)

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what waits, ``timeout_s`` long at most, and end the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
