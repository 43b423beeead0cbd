"""An origin that changed behind the catalog's back, and one that did not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.errors import UnreachableError
from musicfs.library.checkup import IssueKind
from musicfs.library.drift import Drift
from musicfs.origins.memory import MemoryOrigin
from musicfs.origins.wrappers.wrapper import Operation
from musicfs.testing.faults import FaultyOrigin
from tests.library.collection import Collection, Hiding, flac


@pytest.fixture
def origin() -> MemoryOrigin:
    files = {f"{folder}/{number}.flac": flac(title=f"{folder}{number}") for folder in "AB" for number in range(3)}
    return MemoryOrigin("memory", files)


@pytest.fixture
def collection(tmp_path: Path, origin: MemoryOrigin) -> Iterator[Collection]:
    collection = Collection(tmp_path / "world", FaultyOrigin(origin))
    collection.scan()
    yield collection
    collection.close()


def drift(collection: Collection) -> list[tuple[str, str, int]]:
    found = Drift(collection.catalog, 1, collection.origin).issues()
    issues = [issue for issue in found if issue is not None]
    assert all((issue.kind, issue.origin, len(issue.paths)) == (IssueKind.DRIFTED, 1, 1) for issue in issues)
    return [(issue.paths[0].decode(), issue.detail, issue.files) for issue in issues]


def test_what_did_not_change(collection: Collection) -> None:
    assert drift(collection) == []


def test_what_changed_came_and_went(collection: Collection, origin: MemoryOrigin) -> None:
    before = collection.shown()
    size = len(flac(title="A0"))
    origin.put("A/0.flac", b"x" * 10)
    origin.put("A/1.flac", flac(title="A1"))
    origin.remove("A/2.flac")
    origin.put("A/new.flac", b"y")
    origin.put("C/D/new.flac", b"z")
    origin.remove("B")
    assert sorted(drift(collection)) == [
        ("A/0.flac", f"changed since it was scanned: 10 bytes, {size} then", 1),
        ("A/1.flac", "changed since it was scanned", 1),
        ("A/2.flac", "gone since it was scanned", 1),
        ("A/new.flac", "not scanned yet", 1),
        ("B", "the folder is gone since it was scanned", 3),
        ("C/D", "a folder that has not been scanned", 1),
    ]
    assert collection.shown() == before, "a look changes nothing"
    collection.scan(confirmed=True)
    assert drift(collection) == []


def test_an_origin_that_cannot_be_listed(origin: MemoryOrigin, collection: Collection) -> None:
    down = FaultyOrigin(origin, others={Operation.LIST: "E"})
    with pytest.raises(UnreachableError):
        list(Drift(collection.catalog, 1, down).issues())


def test_what_is_hidden_is_not_taken_for_gone(collection: Collection, origin: MemoryOrigin) -> None:
    hiding = Hiding(origin)
    hiding.hidden = frozenset({"B"})
    found = Drift(collection.catalog, 1, hiding).issues()
    assert [issue for issue in found if issue is not None] == []
