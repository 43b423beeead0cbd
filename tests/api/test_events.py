"""Events on their way to a client."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from musicfs.events import WAITING_MAX, Event, EventBus, EventType, FileNews, stream
from tests.api.backend import EVENTS, FakeBackend, serving


def test_events_come_as_they_are(tmp_path: Path) -> None:
    with serving(FakeBackend(), tmp_path / "s") as client:
        first, *others = client.events()
    assert first == msgspec.structs.replace(EVENTS[0], path="A/\\xff")
    assert tuple(others) == EVENTS[1:]


def test_only_what_was_asked_for(tmp_path: Path) -> None:
    backend = FakeBackend()
    with serving(backend, tmp_path / "s") as client:
        assert list(client.events([EventType.ORIGIN_HEALTH_CHANGED])) == [EVENTS[1]]
        assert [event.origin_id for event in client.events(origin_id="nas")] == ["nas", "nas"]


class Flooded(FakeBackend):
    """Who listens is flooded at once, and told of the first three events."""

    def events(self, types: Sequence[str], origin_id: str) -> Iterator[Event | None]:
        bus = EventBus(time.time_ns)
        subscription = bus.subscribe(tuple(map(EventType, types)))
        numbers = range(1, WAITING_MAX + 501)
        bus.publish_each(EventType.FILE_ADDED, "nas", numbers, lambda number: FileNews(f"/{number}", number))
        return islice(stream(subscription, 5.0), 3)


def test_who_does_not_keep_up_is_told_how_much_was_lost(tmp_path: Path) -> None:
    with serving(Flooded(), tmp_path / "s") as client:
        gap, *others = client.events([EventType.FILE_ADDED])
    assert (gap.type, gap.details, gap.file_id) == (EventType.GAP, {"lost": "500"}, 0)
    assert [event.file_id for event in others] == [501, 502]
