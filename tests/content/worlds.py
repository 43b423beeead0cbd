"""What readers are tested against: origins that are open, a lock that counts its waits, a store in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from musicfs.content.fetch import Gaps
from musicfs.content.origins import Access
from musicfs.origins.contract import LocalPaths, Origin
from musicfs.origins.wrappers.wrapper import Operation, Wrapper
from musicfs.store.chunks_schema import BLOCK_BYTES, Content, Coverage

T = TypeVar("T")


class Opened(dict[str, Origin]):
    """Origins that are open already, and the ids that were to be opened anew."""

    def __init__(self, *origins: Origin, keep: bool = False) -> None:
        super().__init__({origin.id: origin for origin in origins})
        self.forgotten: list[str] = []
        self._keep = keep

    def forget(self, origin_id: str) -> None:
        self.forgotten.append(origin_id)

    def access(self, origin_id: str) -> Access | None:
        origin = self.get(origin_id)
        if origin is None:
            return None
        return Access(isinstance(origin, LocalPaths), keep=self._keep, stable_version=origin.caps.stable_version)


class Waits:
    """Counts how often the lock was let go."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        self.count += 1
        yield


class Gate(Wrapper):
    """An origin whose reads wait until the gate is opened."""

    def __init__(self, inner: Origin) -> None:
        super().__init__(inner)
        self._open = threading.Event()
        self._taken = threading.Event()

    def open(self) -> None:
        self._open.set()

    def wait_taken(self) -> None:
        assert self._taken.wait(10)

    def _call(self, operation: Operation, action: Callable[[], T], *, size_bytes: int = 0) -> T:
        if operation is Operation.READ:
            self._taken.set()
            assert self._open.wait(10)
        return action()


class MemoryStore:
    """A content store without a disk."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.blocks: dict[tuple[bytes, int], bytes] = {}
        self.touched: list[bytes] = []
        self.fail_with: Exception | None = None

    def open(self, content: Content) -> StoredBlocks:
        return StoredBlocks(self, content)

    def coverage(self, content: Content) -> Coverage:
        with self.lock:
            size = sum(len(data) for (key, _), data in self.blocks.items() if key == content.key)
        return Coverage(size, size == content.size)

    def put_batch(self, batch: Iterable[tuple[Content, Iterable[tuple[int, bytes]]]]) -> int:
        if self.fail_with is not None:
            raise self.fail_with
        new = {(content.key, number): data for content, blocks in batch for number, data in blocks}
        with self.lock:
            self.blocks.update(new)
        return len(new)

    def touch(self, keys: Iterable[bytes]) -> None:
        self.touched += keys

    def discard_bad(self) -> None:
        pass


class StoredBlocks:
    """What a :class:`MemoryStore` has of one content."""

    def __init__(self, store: MemoryStore, content: Content) -> None:
        self._store = store
        self._content = content

    def missing(self, start: int, stop: int) -> Gaps:
        numbers = range(start // BLOCK_BYTES, -(-stop // BLOCK_BYTES))
        absent = [number for number in numbers if (self._content.key, number) not in self._store.blocks]
        return [(max(start, n * BLOCK_BYTES), min(stop, (n + 1) * BLOCK_BYTES)) for n in absent]

    def read_into(self, view: memoryview, start: int) -> Gaps:
        gaps = []
        stop = start + len(view)
        for number in range(start // BLOCK_BYTES, -(-stop // BLOCK_BYTES)):
            position = number * BLOCK_BYTES
            low, high = max(start, position), min(stop, position + BLOCK_BYTES)
            block = self._store.blocks.get((self._content.key, number))
            if block is None:
                gaps.append((low, high))
            else:
                view[low - start : high - start] = block[low - position : high - position]
        return gaps
