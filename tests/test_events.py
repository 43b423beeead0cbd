"""The bus: everybody who listens hears what they asked for, nobody who speaks waits."""

from __future__ import annotations

import threading

from musicfs.events import EventBus, EventType, stream


def test_who_listens_hears_what_was_asked_for() -> None:
    bus = EventBus(lambda: 5_000_000)
    everything = bus.subscribe()
    health = bus.subscribe(lambda event: event.type is EventType.ORIGIN_HEALTH_CHANGED)
    bus.publish(EventType.SYNC_STARTED, origin_id="nas")
    bus.publish(EventType.ORIGIN_HEALTH_CHANGED, origin_id="nas", health="unhealthy", failures=3)
    first, second = everything.wait(1), everything.wait(1)
    assert first is not None and (first.type, first.time_ms, first.origin_id) == (EventType.SYNC_STARTED, 5, "nas")
    assert second is not None and second.details == {"health": "unhealthy", "failures": "3"}
    assert health.wait(1) == second
    assert health.wait(0) is None


def test_a_listener_that_sleeps_loses_the_oldest_and_is_told() -> None:
    bus = EventBus(lambda: 0)
    slow = bus.subscribe()
    for number in range(1500):
        bus.publish(EventType.CACHE_EVICTION, number=number)
    assert slow.lost == 500
    event = slow.wait(0)
    assert event is not None and event.details == {"number": "500"}


def test_closing_ends_what_waits() -> None:
    bus = EventBus(lambda: 0)
    heard: list[object] = []
    subscription = bus.subscribe()
    thread = threading.Thread(target=lambda: heard.extend(one for one in stream(subscription, 60) if one is not None))
    thread.start()
    bus.publish(EventType.SYNC_COMPLETED)
    bus.close()
    thread.join(10)
    assert not thread.is_alive()
    bus.publish(EventType.SYNC_COMPLETED)
    assert len(heard) <= 1
