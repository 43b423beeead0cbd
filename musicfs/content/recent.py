"""Blocks that were just fetched, in memory until the store has them, and all there is where nothing is kept on disk."""

from __future__ import annotations

import threading
from collections import OrderedDict

BlockKey = tuple[bytes, int]  # content key, block number


class RecentBlocks:
    """The blocks used last, up to ``limit_bytes``. Safe from any thread."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._blocks: OrderedDict[BlockKey, bytes] = OrderedDict()
        self._size_bytes = 0

    def get(self, key: BlockKey) -> bytes | None:
        """The block, which thereby is the one used last."""
        with self._lock:
            found = self._blocks.get(key)
            if found is not None:
                self._blocks.move_to_end(key)
            return found

    def __contains__(self, key: BlockKey) -> bool:
        return key in self._blocks

    def put(self, key: BlockKey, data: bytes) -> None:
        """Keep a block, at the cost of those used longest ago."""
        with self._lock:
            old = self._blocks.pop(key, None)
            self._size_bytes += len(data) - (0 if old is None else len(old))
            self._blocks[key] = data
            while self._size_bytes > self.limit_bytes and len(self._blocks) > 1:
                _, dropped = self._blocks.popitem(last=False)
                self._size_bytes -= len(dropped)

    @property
    def size_bytes(self) -> int:
        """What is held."""
        return self._size_bytes
