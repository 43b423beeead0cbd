"""Where most of a block is stored, only what lacks is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.clock import SystemClock
from musicfs.content.keeping import Keeping
from musicfs.content.keys import Source, content_of
from musicfs.content.recent import RecentBlocks
from musicfs.content.sources import Sources
from musicfs.origins.memory import MemoryOrigin
from musicfs.origins.wrappers.wrapper import Wrapper
from musicfs.store.chunks_schema import BLOCK_BYTES, Content, Reuse
from tests.content.worlds import Opened, Waits
from tests.store.chunk_world import World, noise
from tests.vfs.world import Ticking

HEADER = 5000
OLD = noise(1, 10 * BLOCK_BYTES)
NEW = noise(2, HEADER) + OLD


class Ranged(Wrapper):
    """Remembers what was read."""

    ranges: tuple[tuple[int, int], ...] = ()

    def read(self, path: str, start: int, stop: int, version: str) -> bytes:
        self.ranges = (*self.ranges, (start, stop))
        return super().read(path, start, stop, version)


class Setting:
    """A new version, read through a store that knows an old one."""

    def __init__(self, path: Path) -> None:
        self.world = World(path)
        memory = MemoryOrigin("far")
        entry = memory.put("a", NEW)
        self.origin = Ranged(memory)
        self.completed: list[Content] = []
        self.keeping = Keeping(self.world.store, SystemClock(), self.completed.append)
        self.sources = Sources(Opened(self.origin, keep=True), Waits(), store=self.world.store, keeping=self.keeping)
        self.source = Source("far", "a", entry.version, len(NEW))
        self.content = content_of(self.source, stable_version=self.origin.caps.stable_version)
        self.old = Content(b"o" * 16, len(OLD))
        self.world.put(self.old, OLD)

    def adopt(self, start: int, stop: int) -> None:
        self.world.keep.adopt(self.content, [Reuse(start, stop, self.old.key, start - HEADER)])

    def read(self) -> bytes:
        reader = self.sources.open(self.source, 0, len(NEW))
        return b"".join(bytes(reader.read(start, min(start + 4096, len(NEW)))) for start in range(0, len(NEW), 4096))

    @property
    def fetched_bytes(self) -> int:
        return sum(stop - start for start, stop in self.origin.ranges)


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    made = Setting(tmp_path / "chunks")
    yield made
    made.sources.close()
    made.world.close()


def test_a_gap_beside_an_adopted_range_costs_the_gap(setting: Setting) -> None:
    setting.adopt(HEADER, len(NEW))
    assert setting.read() == NEW
    assert setting.origin.ranges == ((0, HEADER),)
    assert setting.sources.counts.fetched_bytes == HEADER
    assert setting.keeping.wait_written(10)
    assert setting.world.store.coverage(setting.content).complete
    assert set(setting.completed) == {setting.content}
    assert setting.world.keep.recut(setting.content, setting.world.cut)
    assert setting.read() == NEW
    assert setting.fetched_bytes == HEADER
    setting.world.check()


def test_a_large_gap_is_fetched_in_blocks(setting: Setting) -> None:
    setting.adopt(4 * BLOCK_BYTES, len(NEW))
    assert setting.read() == NEW
    assert setting.fetched_bytes == 4 * BLOCK_BYTES
    assert all(start % BLOCK_BYTES == 0 for start, _ in setting.origin.ranges)


def test_a_damaged_piece_beside_a_gap_is_fetched_too(setting: Setting) -> None:
    """What the store promised and does not have comes from the origin, and the rest is not asked for."""
    setting.adopt(HEADER, 3 * BLOCK_BYTES)
    tables = setting.world.store.tables
    with tables.env.begin(write=True) as txn, txn.cursor(tables.chunks) as cursor:
        for key, value in list(cursor):
            txn.put(key, bytes(len(value)), db=tables.chunks)
    assert setting.read() == NEW


def test_what_was_put_together_is_not_in_memory_for_long() -> None:
    clock = Ticking()
    recent = RecentBlocks(1000, clock)
    recent.put((b"k", 0), b"fetched")
    recent.put_briefly((b"k", 1), b"put together")
    assert recent.get((b"k", 1)) == b"put together"
    clock.now_ns += 61 * 10**9
    assert recent.get((b"k", 0)) == b"fetched"
    assert recent.get((b"k", 1)) is None
    assert (b"k", 1) not in recent
    recent.put((b"k", 1), b"fetched too")
    assert recent.get((b"k", 1)) == b"fetched too"
