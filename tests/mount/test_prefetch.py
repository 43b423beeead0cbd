"""What is fetched before it is asked for: the next track, and what is opened below ``/.prefetch``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from musicfs.config.settings import OriginSettings
from tests.faults.living import track
from tests.mounting import Mounted, Place

MountLibrary = Callable[..., Mounted]


@pytest.fixture
def album(tmp_path: Path) -> Path:
    root = tmp_path / "origin"
    for number in (1, 2, 3):
        track(root, f"Album/{number}.mp3", title=f"Song {number}", artist="A", album="Album", track=str(number))
        with (root / f"Album/{number}.mp3").open("ab") as stream:
            stream.write(os.urandom(1 << 20))
    return root


def _cached(root: Path) -> Place:
    return Place(root, OriginSettings(id="o", path=str(root), cache="on"))


def _percent(path: Path) -> int:
    return int(os.getxattr(path, "user.musicfs.cached_percent"))


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_next_track_is_fetched_while_one_plays(mount_library: MountLibrary, album: Path) -> None:
    mounted = mount_library({"o": _cached(album)})
    first, second, third = sorted(mounted.point.rglob("*.mp3"))
    with first.open("rb", buffering=0) as stream:
        stream.read(300_000)
        assert _percent(second) == 0
        stream.read(500_000)
        _wait_for(lambda: _percent(second) == 100)
    assert _percent(third) == 0


def test_opening_a_file_below_the_mirror_fetches_all_of_it(mount_library: MountLibrary, album: Path) -> None:
    mounted = mount_library({"o": _cached(album)}, "[prefetch]\nnext_track = false\n")
    assert ".prefetch" not in os.listdir(mounted.point)
    first = min(mounted.point.rglob("*.mp3"))
    mirror = mounted.point / ".prefetch"
    assert sorted(os.listdir(mirror)) == sorted(os.listdir(mounted.point))
    asked = mirror / first.relative_to(mounted.point)
    assert asked.stat().st_size == first.stat().st_size
    assert asked.stat().st_ino != first.stat().st_ino
    with asked.open("rb", buffering=0) as stream:
        stream.read(1)
        _wait_for(lambda: _percent(first) == 100)
    assert asked.read_bytes() == first.read_bytes()
    with pytest.raises(FileNotFoundError):
        (mirror / "nowhere").stat()


def test_hidden_folders_are_listed_on_request(mount_library: MountLibrary, album: Path) -> None:
    mounted = mount_library({"o": album}, "[tree]\nshow_hidden = true\n")
    assert ".prefetch" in os.listdir(mounted.point)
