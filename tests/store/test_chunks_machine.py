"""Anything in any order: bytes are right or missing, nothing is lost that was not removed, counts agree."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import xxhash
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from musicfs.store import chunks_edit, chunks_recut
from musicfs.store.chunks_schema import BLOCK_BYTES, Content, Reuse, Tier
from tests.store.chunk_world import World, assert_right, block, noise

_BASE = noise(1, 700_000)
# Contents that share bytes: equal, shifted, cut, with a block's length exactly, and small ones.
DATA = (
    _BASE,
    noise(2, 5_000) + _BASE,
    _BASE[200_000:] + noise(3, 1_000),
    _BASE[: 4 * BLOCK_BYTES],
    noise(4, 3 * BLOCK_BYTES),
    _BASE[:3_000],
    b"x",
    _BASE,
    b"y",
    noise(5, 3_000),
)
CONTENTS = [Content(bytes((number,)) * 16, len(data)) for number, data in enumerate(DATA)]
# (new, old, where the equal bytes start in each, how many)
REUSES = (
    (1, 0, 5_000, 0, 700_000),
    (2, 0, 0, 200_000, 500_000),
    (0, 1, 100, 5_100, 600_000),
    (3, 2, 200_000, 0, 300_000),
)
some = st.sampled_from(range(len(DATA)))


def weak_digest(data: bytes | bytearray | memoryview, seed: int) -> bytes:
    """Sixteen values in all: nearly every chunk has another's hash."""
    return bytes((xxhash.xxh3_64_intdigest(data, seed) & 15,)) + bytes(15)


class StoreMachine(RuleBasedStateMachine):
    """The store against what it was given."""

    digest: Callable[..., bytes] = staticmethod(xxhash.xxh3_128_digest)

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="musicfs-test-")
        self.patches = [
            mock.patch.object(chunks_recut, "WINDOW_BYTES", 300_000),
            mock.patch.object(chunks_recut, "ADOPTED_ENTRIES", 5),
            mock.patch.object(chunks_edit, "SLICE_PIECES", 3),
        ]
        for patch in self.patches:
            patch.start()
        self.world = World(Path(self.folder) / "chunks", self.digest)
        self.opened = [self.world.store.open(content) for content in CONTENTS]
        self.kept: list[list[tuple[int, int]]] = [
            [(0, len(data))] for data in DATA
        ]  # what was missing at the last look
        self.removed = False

    def teardown(self) -> None:
        self.world.close()
        for patch in self.patches:
            patch.stop()
        shutil.rmtree(self.folder)

    @rule(which=some, numbers=st.sets(st.integers(0, 5), min_size=1))
    def put(self, which: int, numbers: set[int]) -> None:
        data = DATA[which]
        blocks = [(number, block(data, number)) for number in numbers if block(data, number)]
        self.world.store.put_blocks(CONTENTS[which], blocks)

    @rule(which=some)
    def put_all(self, which: int) -> None:
        self.world.put(CONTENTS[which], DATA[which])

    @rule(which=some)
    def recut(self, which: int) -> None:
        complete = self.world.store.coverage(CONTENTS[which]).complete
        assert self.world.keep.recut(CONTENTS[which], self.world.cut) == complete

    @rule(which=st.sets(some, min_size=3))
    def put_and_recut(self, which: set[int]) -> None:
        for one in which:
            self.world.put_recut(CONTENTS[one], DATA[one])

    @rule(which=some)
    def recut_what_waits(self, which: int) -> None:
        for content in self.world.keep.complete_blocks(CONTENTS[which].key):
            assert self.world.keep.recut(content, self.world.cut)

    @rule(which=some, step=st.sampled_from((70_000, 400_000)))
    def ingest(self, which: int, step: int) -> None:
        data = DATA[which]
        pieces = [data[start : start + step] for start in range(0, len(data), step)]
        assert self.world.keep.ingest(CONTENTS[which], pieces, self.world.cut)

    @rule(which=st.sampled_from(REUSES), skip=st.integers(0, 150_000), count=st.integers(1, 700_000))
    def adopt(self, which: tuple[int, int, int, int, int], skip: int, count: int) -> None:
        new, old, start, source_start, length = which
        stop = min(start + length, start + skip + count)
        self.world.keep.adopt(CONTENTS[new], [Reuse(start + skip, stop, CONTENTS[old].key, source_start + skip)])

    @rule(limit=st.integers(0, 3_000_000), edges=st.integers(0, 1_500_000), pinned=st.sets(some, max_size=3))
    def evict(self, limit: int, edges: int, pinned: set[int]) -> None:
        before = {which: self.opened[which].read_into(memoryview(bytearray(len(DATA[which]))), 0) for which in pinned}
        self.world.keep.evict(limit, edges, [CONTENTS[which].key for which in pinned])
        for which, missing in before.items():
            assert self.opened[which].read_into(memoryview(bytearray(len(DATA[which]))), 0) == missing
        if not pinned:
            stats = self.world.keep.stats()
            main = stats.used_bytes - stats.edge_bytes
            assert stats.edge_bytes <= edges
            assert main <= limit or (stats.chunk_count == 0 and main < 200_000)  # nothing but index pages is left
        self.removed = True

    @rule(which=st.none() | st.sets(some), tier=st.none() | st.sampled_from(Tier))
    def clear(self, which: set[int] | None, tier: Tier | None) -> None:
        self.world.keep.clear(None if which is None else [CONTENTS[one].key for one in which], tier)
        if which is None and tier is None:
            assert self.world.keep.stats().used_bytes == 0
        self.removed = True

    @rule(which=some)
    def forget(self, which: int) -> None:
        self.world.store.forget(CONTENTS[which])
        assert self.world.store.coverage(CONTENTS[which]).cached_bytes == 0
        self.removed = True

    @rule(which=st.sets(some))
    def touch(self, which: set[int]) -> None:
        self.world.store.touch([CONTENTS[one].key for one in which])

    @rule()
    def verify(self) -> None:
        bad: list[object] = []
        assert self.world.keep.verify(bad.append)
        assert not bad

    @invariant()
    def bytes_are_right_or_missing(self) -> None:
        for which, data in enumerate(DATA):
            view = memoryview(bytearray(len(data)))
            missing = self.opened[which].read_into(view, 0)
            for start, stop in missing:
                view[start:stop] = bytes(stop - start)
            assert_right(bytes(view), missing, data)
            if not self.removed:
                assert all(any(a <= start and stop <= b for a, b in self.kept[which]) for start, stop in missing)
            self.kept[which] = missing
            coverage = self.world.store.coverage(CONTENTS[which])
            assert coverage.cached_bytes == len(data) - sum(stop - start for start, stop in missing)
            assert coverage.complete == (not missing)
        self.removed = False

    @invariant()
    def counts_agree(self) -> None:
        self.world.check()


class WeakHashMachine(StoreMachine):
    """The same with a hash that collides all the time."""

    digest = staticmethod(weak_digest)


_settings = settings(
    max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestStore = StoreMachine.TestCase
TestStore.settings = _settings
TestWeakHash = WeakHashMachine.TestCase
TestWeakHash.settings = _settings
