"""Tracks by what an import knows of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.api.metadata import (
    MetadataChange,
)
from tests.daemon.tag_library import (
    OPAQUE,
    THREE,
    TWO,
    A,
    B,
    C,
    Library,
    given,
)
from tests.vfs.world import Key


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    library = Library(tmp_path / "world")
    yield library
    library.events.close()
    library.world.close()


@pytest.mark.parametrize(
    ("match", "key"),
    [
        ({"mb_recording_id": "r-2"}, B),
        ({"mb_track_id": "t-3"}, C),
        ({"isrc": "I1"}, A),
        ({"isrc": "I", "mb_recording_id": "r-2"}, B),
        ({"origin_path": "/music1/m/a.flac"}, A),
        ({"origin_path": "/music2/n/c.flac"}, C),
        ({"origin_path": "m/b.flac"}, B),
        ({"origin_path": "m/b.flac", "origin_id": "origin1"}, B),
        ({"origin_path": "m/a.flac", "mb_recording_id": "r-2"}, A),
        ({"origin_path": "elsewhere.flac", "mb_recording_id": "r-2"}, B),
        ({"origin_path": "n/broken.mp3"}, OPAQUE),
    ],
    ids=str,
)
def test_a_track_is_found(library: Library, match: dict[str, str], key: Key) -> None:
    [result] = library.change(MetadataChange(match=match, set=given(genre="Jazz")))
    assert (result.error, result.file_id) == ("", library.world.ids[key])


@pytest.mark.parametrize(
    ("match", "error"),
    [
        ({"isrc": "I"}, "2 tracks have isrc I"),
        ({"isrc": "I1", "mb_recording_id": "r-2"}, "no track has"),
        ({"mb_recording_id": "none"}, "no track has mb_recording_id none"),
        ({"origin_path": "m/nothing.flac"}, "no origin has"),
        ({"origin_path": "m/a.flac", "origin_id": "origin2"}, "origin2 has no"),
        ({"origin_path": "/music1/../music1/m/a.flac"}, "no origin has"),
        ({"origin_path": "m/notes.txt"}, "no origin has"),
        ({"origin_id": "origin1"}, "cannot be found by origin_id"),
        ({}, "cannot be found by nothing"),
    ],
    ids=str,
)
def test_a_track_is_not_found(library: Library, match: dict[str, str], error: str) -> None:
    [result] = library.change(MetadataChange(match=match, set=given(genre="Jazz")))
    assert error in result.error
    assert list(library.world.state.overlays()) == []


def test_a_track_is_found_by_what_it_reads_now(library: Library) -> None:
    library.set(TWO, isrc="I2")
    [result] = library.change(MetadataChange(match={"isrc": "I"}, set=given(genre="Jazz")))
    assert result.path == THREE
