"""What any backend does about tags: the daemon's, and the fake that the API and the commands are tested with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from musicfs.api.metadata import (
    ChangeResult,
    FieldChange,
    MetadataBackend,
    MetadataChange,
    Served,
)
from musicfs.errors import NotFoundError
from tests.api.metadata_backend import FakeMetadata, track
from tests.daemon.tag_library import (
    ONE,
    SONGS,
    THREE,
    TWO,
    A,
    B,
    C,
    Library,
    given,
    listed,
)
from tests.vfs.world import Key


@pytest.fixture(params=["fake", "real"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MetadataBackend]:
    if request.param == "real":
        library = Library(tmp_path / "world")
        yield library.control
        library.events.close()
        library.world.close()
    else:
        own: Sequence[tuple[int, str, Key]] = ((1, ONE, A), (2, TWO, B), (3, THREE, C))
        tracks = {}
        for number, path, key in own:
            facts = SONGS[key].facts()
            assert facts is not None
            tracks[number] = track(number, path, facts.tags)
        yield FakeMetadata(tracks_by_id=tracks)


def changed(backend: MetadataBackend, *changes: MetadataChange, dry_run: bool = False) -> list[ChangeResult]:
    found = backend.change_metadata(changes, query="", action="set", author="me", dry_run=dry_run)
    return [one for one in found if one is not None]


def test_any_backend_finds_a_track_by_path_and_id(backend: MetadataBackend) -> None:
    one = backend.metadata(ONE, 0)
    assert backend.metadata("", one.file_id) == one
    assert (one.path, one.own, one.overlay, one.served) == (ONE, one.effective, {}, Served.ORIGINAL)
    with pytest.raises(NotFoundError):
        backend.metadata("/nowhere", 0)
    with pytest.raises(NotFoundError):
        backend.metadata("", 99)


def test_any_backend_changes_what_is_named_and_nothing_else(backend: MetadataBackend) -> None:
    before = {path: backend.metadata(path, 0) for path in (ONE, TWO, THREE)}
    for dry_run in (True, False):
        results = changed(
            backend,
            MetadataChange(path="/X", set=given(genre="Jazz", date="")),
            MetadataChange(path="/nowhere", set=given(genre="x")),
            MetadataChange(match={"mb_track_id": "t-3"}, set=given(genre="Rock")),
            dry_run=dry_run,
        )
        assert [(one.index, one.path, bool(one.error)) for one in results if not one.error] == [
            (0, ONE, False), (0, TWO, False), (2, THREE, False),
        ]  # fmt: skip
        assert [one.index for one in results if one.error] == [1]
        assert results[0].changes == (FieldChange("date", ("1990",), ()), FieldChange("genre", (), ("Jazz",)))
        if dry_run:
            assert {path: backend.metadata(path, 0) for path in before} == before
    after = backend.metadata(ONE, 0)
    assert (after.overlay, after.own) == ({"genre": ("Jazz",), "date": ()}, before[ONE].own)
    assert "date" not in after.effective
    assert (after.served, after.author) == (Served.CORRECTED, "me")


def test_any_backend_takes_back(backend: MetadataBackend) -> None:
    before = backend.metadata(ONE, 0)
    changed(backend, MetadataChange(path=ONE, set=given(genre="Jazz")))
    changed(backend, MetadataChange(path=TWO, set=given(genre="Rock")))
    [result] = [one for one in backend.undo_metadata([ONE], steps=1, author="you", dry_run=False) if one is not None]
    assert (result.index, result.path, result.changes) == (0, ONE, (FieldChange("genre", ("Jazz",), ()),))
    assert backend.metadata(ONE, 0).effective == before.effective
    assert backend.metadata(TWO, 0).effective["genre"] == ("Rock",)
    log = backend.metadata_log("", 10)
    assert [(item.action, item.author, item.path) for item in log] == [
        ("undo", "you", ONE), ("set", "me", TWO), ("set", "me", ONE),
    ]  # fmt: skip
    assert backend.metadata_log("/X", 1) == log[:1]
    with pytest.raises(NotFoundError):
        list(backend.undo_metadata(["/nowhere"], steps=1, author="you", dry_run=False))
    changed(backend, MetadataChange(path=TWO, revert=("genre",)))
    assert backend.metadata(TWO, 0).overlay == {}


def test_any_backend_lists_in_order(backend: MetadataBackend) -> None:
    assert [path for path in listed(backend.tracks((), "")) if path[1] != "U"] == [ONE, TWO, THREE]
    assert listed(backend.tracks(("/Y", ONE), "")) == [THREE, ONE]
    with pytest.raises(NotFoundError):
        list(backend.tracks(("/nowhere",), ""))
