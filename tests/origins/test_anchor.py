"""Filesystems that come and go under a local origin. Real mounts, below the test's own folder, taken away at the end."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from musicfs.errors import UnreachableError
from musicfs.origins.anchor import Anchor
from musicfs.origins.local import LocalOrigin

Mounter = Callable[[Path], None]


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Mounter]:
    """Mounts a new tmpfs; what is still mounted at the end is unmounted."""
    points: list[Path] = []

    def mount(point: Path) -> None:
        point.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "musicfs-test", str(point)], check=True)
        points.append(point)

    yield mount
    for point in reversed(points):
        if point.is_mount():
            _unmount(point)


def _unmount(point: Path) -> None:
    subprocess.run(["umount", str(point)], check=True)


def _paths(origin: LocalOrigin, prefix: str = "") -> list[str]:
    return [entry.path for folder in origin.list(prefix) for entry in folder.files]


@pytest.fixture
def music(tmp_path: Path, mounted: Mounter) -> Path:
    """``here/`` on the disk; ``disk/`` on a filesystem of its own."""
    music = tmp_path / "music"
    (music / "here").mkdir(parents=True)
    (music / "here" / "1.flac").write_bytes(b"1")
    mounted(music / "disk")
    (music / "disk" / "album").mkdir()
    (music / "disk" / "album" / "2.flac").write_bytes(b"2")
    return music


def test_a_submount_that_disappeared_is_unreachable(music: Path) -> None:
    origin = LocalOrigin("disk", str(music))
    assert _paths(origin) == ["disk/album/2.flac", "here/1.flac"]
    _unmount(music / "disk")
    for attempt in (
        origin.check,
        lambda: _paths(origin),
        lambda: _paths(origin, "disk"),
        lambda: _paths(origin, "disk/album"),
    ):
        with pytest.raises(UnreachableError, match="disk is not on the filesystem it was on"):
            attempt()
    with pytest.raises(UnreachableError):
        origin.stat("disk/album/2.flac")
    with pytest.raises(UnreachableError):
        origin.read("disk/album/2.flac", 0, 1, "")
    assert origin.read("here/1.flac", 0, 1, "") == b"1"  # what is there can be played
    assert _paths(origin, "here") == ["here/1.flac"]
    assert origin.stat("here/nothing.flac") is None
    (music / "disk").rmdir()  # as desktops do with the folders they mount on
    with pytest.raises(UnreachableError, match=r"there is no folder .*disk"):
        origin.check()


def test_another_filesystem_in_its_place_is_unreachable(music: Path, mounted: Mounter) -> None:
    origin = LocalOrigin("disk", str(music))
    _paths(origin)
    _unmount(music / "disk")
    mounted(music / "disk")
    with pytest.raises(UnreachableError):
        origin.check()


def test_the_anchor_outlives_the_process(music: Path) -> None:
    first = LocalOrigin("disk", str(music))
    _paths(first)
    anchor = first.anchor()
    assert _paths(LocalOrigin("disk", str(music), anchor=anchor)) == ["disk/album/2.flac", "here/1.flac"]
    _unmount(music / "disk")
    with pytest.raises(UnreachableError) as raised:
        _paths(LocalOrigin("disk", str(music), anchor=anchor))
    assert "musicfs origin confirm disk" in raised.value.remedy
    accepted = LocalOrigin("disk", str(music))  # without an anchor: as it is now
    assert _paths(accepted) == ["here/1.flac"]


def test_an_unmounted_root_is_unreachable(tmp_path: Path, mounted: Mounter) -> None:
    music = tmp_path / "music"
    mounted(music)
    (music / "1.flac").write_bytes(b"1")
    origin = LocalOrigin("disk", str(music))
    assert _paths(origin) == ["1.flac"]
    _unmount(music)
    with pytest.raises(UnreachableError):
        _paths(origin)
    mounted(music)
    with pytest.raises(UnreachableError):
        _paths(origin)


def test_a_submount_that_goes_during_the_listing(music: Path) -> None:
    origin = LocalOrigin("disk", str(music))
    listing = origin.list()
    while next(listing).path != "disk":
        pass
    _unmount(music / "disk")
    with pytest.raises(UnreachableError, match="unmounted meanwhile"):
        list(listing)


def test_a_new_submount_is_learned(music: Path, mounted: Mounter) -> None:
    origin = LocalOrigin("disk", str(music))
    _paths(origin)
    before = origin.anchor()
    mounted(music / "second")
    assert origin.anchor() == before
    _paths(origin)
    assert origin.anchor() != before
    _unmount(music / "second")
    with pytest.raises(UnreachableError, match="second"):
        origin.check()


def test_a_partial_listing_leaves_other_submounts_alone(music: Path) -> None:
    origin = LocalOrigin("disk", str(music))
    _paths(origin)
    before = origin.anchor()
    _paths(origin, "here")
    assert origin.anchor() == before
    _paths(origin, "disk")
    assert origin.anchor() == before


def test_folders_on_a_submount_say_its_device(music: Path) -> None:
    devices = {folder.path: folder.device for folder in LocalOrigin("disk", str(music)).list()}
    assert devices[""] == devices["here"] == music.stat().st_dev
    assert devices["disk"] == devices["disk/album"] == (music / "disk").stat().st_dev


@pytest.mark.parametrize("saved", [b"", b"garbage", b"[1]", b'[1, {"zz": "x"}]', b'{"a": 1}', b"\xff\xfe"])
def test_a_damaged_anchor_counts_as_none(tmp_path: Path, saved: bytes) -> None:
    assert Anchor("disk", bytes(tmp_path), saved).dump() == b""
    LocalOrigin("disk", str(tmp_path), anchor=saved).check()


def test_names_of_any_bytes_survive_the_anchor(tmp_path: Path, mounted: Mounter) -> None:
    music = tmp_path / "music"
    mounted(music / "stray \udcff byte")
    origin = LocalOrigin("disk", str(music))
    list(origin.list())
    again = LocalOrigin("disk", str(music), anchor=origin.anchor())
    list(again.list())
    assert again.anchor() == origin.anchor()
