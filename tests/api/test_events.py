"""Events on their way to a client."""

from __future__ import annotations

from pathlib import Path

import msgspec

from musicfs.events import EventType
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
