"""Deleted tracks through a real socket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from musicfs.api.client import Client
from musicfs.api.trash import TrashEntry, TrashProgress, TrashSelection
from musicfs.errors import NotFoundError
from tests.api.backend import FakeBackend, serving
from tests.api.trash_backend import TRASH

EVERYTHING_GIVEN = TrashSelection(
    paths=("/A", "/C/Two.mp3"), origin_id="s3", pattern="*.MP3", deleted_after_ms=5, deleted_before_ms=1 << 41
)


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def client(backend: FakeBackend, tmp_path: Path) -> Iterator[Client]:
    with serving(backend, tmp_path / "test.sock"), Client(os.fspath(tmp_path / "test.sock")) as client:
        yield client


def on_wire(entry: TrashEntry) -> TrashEntry:
    """Bytes that are not UTF-8 arrive as escapes."""
    escaped = {
        name: value.replace("\udcff", "\\xff") for name in entry.__struct_fields__
        if isinstance(value := getattr(entry, name), str)
    }  # fmt: skip
    return msgspec.structs.replace(entry, **escaped)


def test_entries_arrive_as_they_were_sent(client: Client) -> None:
    page = client.trash()
    assert page.entries == tuple(map(on_wire, TRASH))
    assert (page.total, page.size_bytes) == (2, (30 << 20) + 5)
    assert client.trash(start=1, stop=2).entries == (TRASH[1],)
    assert client.trash(TrashSelection(origin_id="s3")).entries == (TRASH[1],)


def test_what_is_selected_arrives_as_it_was_meant(client: Client, backend: FakeBackend) -> None:
    client.trash(EVERYTHING_GIVEN, 3, 5)
    steps = list(client.restore_trash(EVERYTHING_GIVEN))
    assert steps == [TrashProgress(0, 1), TrashProgress(0, 1, 1, complete=True)]
    assert list(client.empty_trash(EVERYTHING_GIVEN, restored=True)) == [TrashProgress(1, 1, 0, 7 << 20, complete=True)]
    assert [one.done for one in client.empty_trash(TrashSelection(), dry_run=True)] == [0]
    assert backend.selections == [
        ("list", EVERYTHING_GIVEN, 3, 5),
        ("restore", EVERYTHING_GIVEN),
        ("empty", EVERYTHING_GIVEN, True, False),
        ("empty", TrashSelection(), False, True),
    ]


def test_an_unknown_path_is_not_found(client: Client) -> None:
    with pytest.raises(NotFoundError, match="nothing at '/X'") as caught:
        list(client.restore_trash(TrashSelection(paths=("/X",))))
    assert caught.value.remedy


def test_a_page_fits_into_a_message(client: Client, backend: FakeBackend) -> None:
    backend.deleted = tuple(
        msgspec.structs.replace(TRASH[1], path=f"/{number:05}" + "x" * 3000) for number in range(3000)
    )
    page = client.trash(stop=3000)
    assert 1000 < len(page.entries) < 3000
    assert page.total == 3000
