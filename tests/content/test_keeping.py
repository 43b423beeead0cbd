"""The queue to the store: in order, bounded, and never in the way."""

from __future__ import annotations

import logging

import pytest

from musicfs.clock import SystemClock
from musicfs.content.keeping import Keeping
from musicfs.errors import DiskFullError, StoreError
from musicfs.store.chunks_schema import BLOCK_BYTES, Content
from tests.content.worlds import MemoryStore
from tests.origins.clocks import FakeClock

CONTENT = Content(b"k" * 16, 3 * BLOCK_BYTES)
BLOCK = b"b" * BLOCK_BYTES


def test_blocks_are_written_and_the_complete_content_is_told_of() -> None:
    store, completed = MemoryStore(), list[Content]()
    keeping = Keeping(store, SystemClock(), completed.append)
    for number in range(3):
        keeping.keep(CONTENT, [(number, BLOCK)])
    keeping.touch(CONTENT)
    keeping.close()
    assert sorted(number for _, number in store.blocks) == [0, 1, 2]
    assert completed == [CONTENT]
    assert store.touched == [CONTENT.key]


def test_nothing_is_kept_after_the_end() -> None:
    store = MemoryStore()
    keeping = Keeping(store, SystemClock(), lambda _: None)
    keeping.close()
    keeping.keep(CONTENT, [(0, BLOCK)])
    keeping.close()
    assert not store.blocks
    assert keeping.dropped_bytes == BLOCK_BYTES


@pytest.mark.parametrize("error", [DiskFullError("no space left"), StoreError("broken")])
def test_a_store_that_cannot_write_is_left_alone_for_a_while(
    error: StoreError, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    store.fail_with = error
    keeping = Keeping(store, SystemClock(), lambda _: None)
    with caplog.at_level(logging.WARNING):
        keeping.keep(CONTENT, [(0, BLOCK)])
        keeping.wait_written(10)
        store.fail_with = None
        keeping.keep(CONTENT, [(1, BLOCK)])
        keeping.close()
    assert not store.blocks
    assert len(caplog.records) == 1
    assert keeping.dropped_bytes == 2 * BLOCK_BYTES


def test_a_store_that_stays_full_is_spoken_of_once(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    store.fail_with = DiskFullError("no space left", remedy="free some space")
    clock = FakeClock()
    keeping = Keeping(store, clock, lambda _: None)
    with caplog.at_level(logging.INFO):
        for fail_with in (store.fail_with, store.fail_with, None, store.fail_with):
            store.fail_with = fail_with
            keeping.keep(CONTENT, [(0, BLOCK)])
            assert keeping.wait_written(10)
            clock.now += 60.0
        keeping.close()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]
    assert "free some space" in caplog.text
