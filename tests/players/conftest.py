"""One mount for all players: the sample library and hundreds of generated tracks, as two origins of one tree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mounting import Mounted, ServedFile, mount

AUDIO_SUFFIXES = frozenset({".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".m4b", ".aac", ".wav", ".aiff", ".aif"})


@pytest.fixture(scope="package")
def mounted(
    sample_library: Path, generated_library: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mounted]:
    """The library every player plays from; only read."""
    mounted = mount(
        {"sample": sample_library, "generated": generated_library},
        tmp_path_factory.mktemp("players"),
        "[tree]\nm3u8 = true",
    )
    try:
        yield mounted
    finally:
        mounted.close()


@pytest.fixture(scope="package")
def served(mounted: Mounted) -> tuple[ServedFile, ...]:
    """Every file of the mount that has an original."""
    return tuple(mounted.files())


@pytest.fixture(scope="package")
def tracks(served: tuple[ServedFile, ...]) -> tuple[ServedFile, ...]:
    """Every audio file of the mount."""
    return tuple(file for file in served if file.virtual.suffix in AUDIO_SUFFIXES)


@pytest.fixture(scope="package")
def one_of_each(tracks: tuple[ServedFile, ...]) -> dict[str, ServedFile]:
    """The first track of each suffix."""
    first: dict[str, ServedFile] = {}
    for track in tracks:
        first.setdefault(track.virtual.suffix, track)
    return first
