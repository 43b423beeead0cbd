"""What is fetched before it is asked for: the next track, and what is opened below ``/.prefetch``."""

from __future__ import annotations

import ctypes
import mmap
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


def test_the_next_track_begins_without_a_request(mount_library: MountLibrary, album: Path) -> None:
    mounted = mount_library({"o": _cached(album)})
    first, second, _ = sorted(mounted.point.rglob("*.mp3"))
    size = second.stat().st_size  # the kernel knows its inode now
    first.read_bytes()
    with second.open("rb", buffering=0) as stream:
        _wait_for(lambda: _cached_pages(stream.fileno(), size) == -(-size // mmap.PAGESIZE))
        before = mounted.status()["fuse_ops_total"]
        assert stream.read() == (album / "Album" / "2.mp3").read_bytes()
    assert mounted.status()["fuse_ops_total"] - before < 8  # that many reads would be 1 MiB


def _cached_pages(descriptor: int, size: int) -> int:
    """How many pages of a file the kernel has in its cache (mincore(2)), without touching any."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
    address = ctypes.c_void_p(libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0))
    vector = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
    try:
        assert libc.mincore(address, ctypes.c_size_t(size), vector) == 0
    finally:
        libc.munmap(address, ctypes.c_size_t(size))
    return sum(state & 1 for state in vector)


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
