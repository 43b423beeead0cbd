"""What scans do to files is told: what was added, changed, moved and removed, with its place in the mount."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.events import Event, EventType, Subscription
from musicfs.origins.memory import MemoryOrigin
from tests.library.collection import Collection, flac

FILES = {
    "a/1.flac": flac(title="One", album="A"),
    "a/2.flac": flac(title="Two", album="A"),
    "a/cover.jpg": b"no picture",
    "b/3.flac": flac(title="Three", album="B"),
}


@pytest.fixture
def memory() -> MemoryOrigin:
    return MemoryOrigin("memory", FILES)


@pytest.fixture
def collection(tmp_path: Path, memory: MemoryOrigin) -> Iterator[Collection]:
    collection = Collection(tmp_path / "catalog", memory, guard_percent=100)
    yield collection
    collection.events.close()
    collection.close()


def taken(subscription: Subscription) -> list[Event]:
    return list(iter(lambda: subscription.wait(0.0), None))


def told(subscription: Subscription) -> list[tuple[str, str, str, str]]:
    """(type, origin, virtual path, path in the origin) of what waits, in order of the last."""
    found = [(one.type.value, one.origin_id, one.path, one.details["origin_path"]) for one in taken(subscription)]
    return sorted(found, key=lambda one: one[3])


def test_a_first_scan_tells_every_file(collection: Collection) -> None:
    events = collection.events.subscribe()
    collection.scan()
    ids = collection.ids()
    found = taken(events)
    assert {(one.path, one.file_id) for one in found} == {
        ("/A/One.flac", ids["a/1.flac"]),
        ("/A/Two.flac", ids["a/2.flac"]),
        ("/A/cover.jpg", ids["a/cover.jpg"]),
        ("/B/Three.flac", ids["b/3.flac"]),
    }
    assert {(one.type, one.origin_id) for one in found} == {(EventType.FILE_ADDED, "memory")}
    collection.scan()
    assert taken(events) == []


def test_a_changed_file_is_told_where_it_is_now(collection: Collection, memory: MemoryOrigin) -> None:
    collection.scan()
    events = collection.events.subscribe()
    memory.put("a/1.flac", flac(title="Eins", album="A"))
    collection.scan()
    (event,) = taken(events)
    assert (event.type, event.path) == (EventType.FILE_MODIFIED, "/A/Eins.flac")
    assert event.details == {"origin_path": "a/1.flac", "change": "content"}


def test_what_is_gone_is_told_where_it_was(collection: Collection, memory: MemoryOrigin) -> None:
    collection.scan()
    three = collection.ids()["b/3.flac"]
    events = collection.events.subscribe()
    memory.remove("b/3.flac")
    collection.scan()
    (event,) = taken(events)
    assert (event.type, event.path, event.file_id) == (EventType.FILE_REMOVED, "/B/Three.flac", three)
    assert collection.events.published["file_removed"] == 1


def test_nobody_looks_at_a_file_as_long_as_nobody_listens(
    collection: Collection, memory: MemoryOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    monkeypatch.setattr(type(collection.catalog), "path_of", lambda _self, inode: looked.append(inode))
    unconcerned = collection.events.subscribe([EventType.SYNC_COMPLETED])
    collection.scan()
    memory.remove("b/3.flac")
    collection.scan()
    assert looked == []
    assert collection.events.published["file_added"] == len(FILES)
    assert taken(unconcerned) == []


def test_what_has_gone_before_it_was_told_is_not_told(collection: Collection, memory: MemoryOrigin) -> None:
    events = collection.events.subscribe([EventType.FILE_ADDED])
    collection.scan()
    memory.remove("a/2.flac")
    collection.scan()
    assert [path for _, _, _, path in told(events)] == ["a/1.flac", "a/cover.jpg", "b/3.flac"]
