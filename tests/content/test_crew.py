"""Who carries what: an origin that hangs holds up its own."""

from __future__ import annotations

import contextlib
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicfs.content.crew import Crew
from musicfs.content.keys import Source
from musicfs.content.patience import Places
from musicfs.content.sources import Manners, Sources
from musicfs.errors import UnreachableError
from musicfs.origins.memory import MemoryOrigin
from musicfs.store.chunks_schema import BLOCK_BYTES
from musicfs.testing.faults import FaultyOrigin
from tests.content.worlds import Opened, Waits

DATA = bytes(range(256)) * (4 * BLOCK_BYTES // 256)


def test_an_origin_that_hangs_does_not_hold_up_another() -> None:
    slow, quick = MemoryOrigin("slow"), MemoryOrigin("quick")
    hanging = FaultyOrigin(slow, "HHHHHHHH")
    sources = Sources(Opened(hanging, quick), Waits(), manners=Manners(threads=2, timeout_s=10))
    for number in range(4):
        entry = slow.put(f"{number}.flac", DATA)
        sources.prefetch(Source("slow", entry.path, entry.version, entry.size))
    hanging.wait_taken(2)
    entry = quick.put("a.flac", DATA)
    reader = sources.open(Source("quick", entry.path, entry.version, entry.size), 0, entry.size)
    try:
        assert reader.read(0, 1000) == DATA[:1000]
    finally:
        hanging.release()
        sources.close()


def test_what_somebody_waits_for_goes_first() -> None:
    begun, free, done = threading.Event(), threading.Event(), threading.Event()
    carried: list[str] = []

    def carry(item: str) -> None:
        carried.append(item)
        begun.set()
        assert free.wait(10)
        if len(carried) == 4:
            done.set()

    crew = Crew("x", 1, carry)
    crew.add("first", urgent=False)
    assert begun.wait(10)
    crew.add("later", urgent=False)
    crew.add("hastened", urgent=False)
    crew.add("urgent", urgent=True)
    crew.hasten("hastened")
    crew.hasten("first")  # it is on its way
    assert crew.waiting_ahead == 1
    free.set()
    assert done.wait(10)
    assert carried == ["first", "urgent", "hastened", "later"]
    crew.close()


def test_who_waits_for_some_origins_leaves_places_for_the_others() -> None:
    places = Places(8, "abcd")  # one each, and four for everybody
    with contextlib.ExitStack() as stack:
        for origin_id in ("a", "a", "a", "b", "b", "b"):
            stack.enter_context(places.one(origin_id))
        for origin_id in ("a", "b"):
            with pytest.raises(UnreachableError, match="too many reads wait"), places.one(origin_id):
                pass
        stack.enter_context(places.one("c"))
        stack.enter_context(places.one("d"))
        with pytest.raises(UnreachableError, match="too many reads wait"), places.one("c"):
            pass
    with places.one("a"), places.one("a"):
        pass


def test_an_origin_alone_may_take_every_place() -> None:
    places = Places(3)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(places.one("a"))
        with pytest.raises(UnreachableError, match="too many reads wait"), places.one("a"):
            pass


def test_other_origins_do_not_add_places() -> None:
    """After a reload those who wait for an origin that hangs, and is gone, still count: the workers are the same."""
    places = Places(8, ["dead"])
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(places.one("dead"))
        places.divide(["fresh", "other"])
        with pytest.raises(UnreachableError, match="too many reads wait"), places.one("fresh"):
            pass
    with contextlib.ExitStack() as stack:
        for _ in range(4):  # what is common
            stack.enter_context(places.one("dead"))
        with pytest.raises(UnreachableError, match="too many reads wait"), places.one("dead"):
            pass
        for origin_id in ("fresh", "fresh", "other", "other"):
            stack.enter_context(places.one(origin_id))
        with pytest.raises(UnreachableError, match="too many reads wait"), places.one("other"):
            pass


@given(
    count=st.integers(1, 12),
    steps=st.lists(st.tuples(st.sampled_from(["take", "leave", "divide"]), st.integers(0, 5)), max_size=60),
)
def test_never_more_than_all_wait(count: int, steps: list[tuple[str, int]]) -> None:
    places = Places(count, "ab")
    held: list[contextlib.ExitStack] = []
    for step, number in steps:
        if step == "divide":
            places.divide("abcdef"[: number + 1])
        elif step == "leave" and held:
            held.pop(number % len(held)).close()
        elif step == "take":
            stack = contextlib.ExitStack()
            with contextlib.suppress(UnreachableError):
                stack.enter_context(places.one("abcdef"[number]))
                held.append(stack)
        assert len(held) <= count
    for stack in held:
        stack.close()
    places.divide("f")
    with places.one("f"):
        pass
