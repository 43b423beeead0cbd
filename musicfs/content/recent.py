"""Blocks that were just fetched, in memory until the store has them, and all there is where nothing is kept on disk."""

from __future__ import annotations

import threading
from collections import OrderedDict

from musicfs.clock import Clock

_BRIEFLY_S = 60.0

BlockKey = tuple[bytes, int]  # content key, block number


class RecentBlocks:
    """The blocks used last, up to ``limit_bytes``. Safe from any thread."""

    def __init__(self, limit_bytes: int, clock: Clock) -> None:
        self.limit_bytes = limit_bytes
        self._clock = clock
        self._until: dict[BlockKey, float] = {}  # of blocks that are here for a while only
        self._lock = threading.Lock()
        self._blocks: OrderedDict[BlockKey, bytes] = OrderedDict()
        self._size_bytes = 0

    def get(self, key: BlockKey) -> bytes | None:
        """The block, which thereby is the one used last."""
        with self._lock:
            found = self._blocks.get(key)
            if found is None or self._is_over(key):
                return None
            self._blocks.move_to_end(key)
            return found

    def __contains__(self, key: BlockKey) -> bool:
        return key in self._blocks and not self._is_over(key)

    def _is_over(self, key: BlockKey) -> bool:
        until = self._until.get(key) if self._until else None
        return until is not None and self._clock.monotonic() >= until

    def put(self, key: BlockKey, data: bytes) -> None:
        """Keep a block, at the cost of those used longest ago."""
        with self._lock:
            self._until.pop(key, None)
            self._put(key, data)

    def put_briefly(self, key: BlockKey, data: bytes) -> None:
        """Keep a block until the store has it surely, and never for long: parts of it may turn out to be wrong."""
        with self._lock:
            self._until[key] = self._clock.monotonic() + _BRIEFLY_S
            self._put(key, data)

    def _put(self, key: BlockKey, data: bytes) -> None:
        old = self._blocks.pop(key, None)
        self._size_bytes += len(data) - (0 if old is None else len(old))
        self._blocks[key] = data
        while self._size_bytes > self.limit_bytes and len(self._blocks) > 1:
            gone, dropped = self._blocks.popitem(last=False)
            self._size_bytes -= len(dropped)
            self._until.pop(gone, None)

    def forget(self, content_key: bytes, block_count: int) -> None:
        """Drop the blocks of one content."""
        with self._lock:
            for number in range(block_count):
                dropped = self._blocks.pop((content_key, number), b"")
                self._size_bytes -= len(dropped)

    @property
    def size_bytes(self) -> int:
        """What is held."""
        return self._size_bytes
