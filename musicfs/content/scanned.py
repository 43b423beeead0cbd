"""Keeping what a scan has read: the beginnings and ends of files, which media servers will read again."""

from __future__ import annotations

from musicfs.clock import SystemClock
from musicfs.content.keeping import BlockStore, Keeping
from musicfs.store.chunks_schema import BLOCK_BYTES, Content


class ScannedParts:
    """Cuts parts of files into blocks and hands the whole ones on. Safe from any thread."""

    def __init__(self, store: BlockStore) -> None:
        self._keeping = Keeping(store, SystemClock(), lambda _: None)

    def add(self, content: Content, start: int, data: bytes) -> None:
        """A part of a content, from byte ``start`` on. Does not block."""
        stop = start + len(data)
        blocks = []
        for number in range(-(-start // BLOCK_BYTES), -(-content.size // BLOCK_BYTES)):
            begin, end = number * BLOCK_BYTES, min((number + 1) * BLOCK_BYTES, content.size)
            if end > stop:
                break
            blocks.append((number, data[begin - start : end - start]))
        if blocks:
            self._keeping.keep(content, blocks)

    def close(self) -> None:
        """Write what waits."""
        self._keeping.close()
