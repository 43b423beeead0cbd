"""The bus: everybody who listens hears what they asked for, nobody who speaks waits."""

from __future__ import annotations

import threading
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from musicfs.cli.events import _TYPES
from musicfs.config.settings import EventName
from musicfs.events import EVENT_TYPES, EventBus, EventType, FileNews, Subscription, stream


def heard(subscription: Subscription) -> list[str]:
    """What waits, by its number; a gap as -N."""
    return [
        f"-{event.details['lost']}" if event.type is EventType.GAP else event.details.get("number", event.path)
        for event in iter(lambda: subscription.wait(0.0), None)
    ]


def test_who_listens_hears_what_was_asked_for() -> None:
    bus = EventBus(lambda: 5_000_000)
    everything = bus.subscribe()
    health = bus.subscribe([EventType.ORIGIN_HEALTH_CHANGED])
    usb = bus.subscribe(origin_ids=["usb"])
    bus.publish(EventType.SYNC_STARTED, origin_id="nas")
    bus.publish(EventType.ORIGIN_HEALTH_CHANGED, origin_id="nas", file_id=7, health="unhealthy", failures=3)
    first, second = everything.wait(1), everything.wait(1)
    assert first is not None and (first.type, first.time_ms, first.origin_id) == (EventType.SYNC_STARTED, 5, "nas")
    assert second is not None and second.details == {"health": "unhealthy", "failures": "3"}
    assert (second.file_id, first.file_id) == (7, 0)
    assert health.wait(1) == second
    assert (health.wait(0), usb.wait(0)) == (None, None)


def test_there_are_eleven_types_and_configuration_and_command_know_them() -> None:
    assert len(EVENT_TYPES) == 11
    assert set(get_args(EventName)) == {kind.value for kind in EVENT_TYPES}
    assert tuple(kind.value for kind in EVENT_TYPES) == _TYPES


def test_a_listener_that_sleeps_loses_the_oldest_and_is_told_where() -> None:
    bus = EventBus(lambda: 3_000_000)
    slow = bus.subscribe(waiting_max=100)
    for number in range(150):
        bus.publish(EventType.CACHE_EVICTION, number=number)
    gap = slow.wait(0)
    assert gap is not None and (gap.type, gap.time_ms, gap.details) == (EventType.GAP, 3, {"lost": "50"})
    assert heard(slow) == [str(number) for number in range(50, 150)]
    bus.publish(EventType.CACHE_EVICTION, number=150)
    assert heard(slow) == ["150"], "a gap is told once"
    assert slow.lost == 50


def test_what_happens_to_many_files_is_looked_at_when_somebody_takes_it() -> None:
    bus = EventBus(lambda: 0)
    described: list[int] = []

    def describe(number: int) -> FileNews | None:
        described.append(number)
        return FileNews(f"/{number}", number, {"origin_path": str(number)}) if number != 2 else None

    bus.publish_each(EventType.FILE_ADDED, "nas", range(1000), describe)
    assert not bus.wants(EventType.FILE_ADDED)
    listener = bus.subscribe([EventType.FILE_ADDED])
    assert bus.wants(EventType.FILE_REMOVED, EventType.FILE_ADDED) and not bus.wants(EventType.FILE_REMOVED)
    bus.publish_each(EventType.FILE_ADDED, "nas", [1, 2, 3], describe)
    bus.publish_each(EventType.FILE_REMOVED, "nas", [4], describe)
    assert described == []
    event = listener.wait(0)
    assert event is not None and described == [1]
    assert (event.type, event.origin_id, event.path, event.file_id) == (EventType.FILE_ADDED, "nas", "/1", 1)
    event = listener.wait(0)
    assert event is not None and event.path == "/3", "of what has gone meanwhile there is nothing to tell"
    assert listener.wait(0) is None
    assert described == [1, 2, 3]
    assert bus.published["file_added"] == 1003


@given(
    st.lists(st.one_of(st.integers(0, 12), st.just(-1)), max_size=30),
    st.integers(1, 10),
)
def test_every_event_is_heard_or_counted_in_a_gap_at_its_place(steps: list[int], waiting_max: int) -> None:
    """A step publishes so many events together, or (-1) takes one: what is heard is the sequence with its gaps."""
    bus = EventBus(lambda: 0)
    listener = bus.subscribe(waiting_max=waiting_max)
    published = position = 0

    def take() -> bool:
        nonlocal position
        event = listener.wait(0.0)
        if event is None:
            return False
        if event.type is EventType.GAP:
            position += int(event.details["lost"])
        else:
            assert event.file_id == position
            position += 1
        return True

    for step in steps:
        if step < 0:
            take()
            continue
        numbers = range(published, published + step)
        bus.publish_each(EventType.FILE_ADDED, "", numbers, lambda number: FileNews("", number))
        published += step
        assert published - position <= waiting_max + listener.lost
    while take():
        pass
    assert position == published


def test_closing_ends_what_waits() -> None:
    bus = EventBus(lambda: 0)
    events: list[object] = []
    subscription = bus.subscribe()
    thread = threading.Thread(target=lambda: events.extend(one for one in stream(subscription, 60) if one is not None))
    thread.start()
    bus.publish(EventType.SYNC_COMPLETED)
    bus.close()
    thread.join(10)
    assert not thread.is_alive()
    bus.publish(EventType.SYNC_COMPLETED)
    assert len(events) <= 1
