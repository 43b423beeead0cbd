"""The cache's disk is full: what is in the tree is served, one message says why nothing new comes, and room is enough."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.living import Player, accept_originals, album, check_everything, restart, tree, wait_for
from tests.mounting import Mounted, mount

WORDS = "free some space|No space left|cannot be written|disk"


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    """A disk of eight megabytes under the cache."""
    folder = tmp_path / "home" / "cache"
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(cache: Path) -> Path:
    """Take the last byte of the disk."""
    ballast = cache / "ballast"
    with ballast.open("wb", buffering=0) as stream:
        for size in (65536, 4096, 1):
            try:
                while stream.write(b"x" * size):
                    pass
            except OSError:
                continue
    return ballast


@pytest.fixture
def library(tmp_path: Path) -> Path:
    root = tmp_path / "origin"
    for number in range(4):
        album(root, f"Album {number}", 5)
    return root


def _waits_for_room(mounted: Mounted, before: int) -> None:
    """New music has come and the disk is full: nothing ends, nothing is lost, and it is said."""
    wait_for("a word about it", lambda: "catalog" in mounted.log and "space" in mounted.log.lower(), 20)
    assert mounted.process.poll() is None
    assert len(check_everything(mounted)) == before


def test_filling_up_while_mounted(library: Path, cache: Path, tmp_path: Path) -> None:
    mounted = mount({"o": library}, tmp_path / "home")
    mounted.allow_log(WORDS)
    try:
        ballast = _fill(cache)
        player = Player(mounted.point, may_vanish=False)
        player.start()
        for number in range(40):
            album(library, f"New {number}", 5, suffix="mp3")
        accept_originals(mounted)
        _waits_for_room(mounted, 20)
        player.stop()
        ballast.unlink()
        wait_for("the new music", lambda: len(tree(mounted)) == 220, 40)
        check_everything(mounted)
    finally:
        mounted.close()


def test_full_before_the_start(library: Path, cache: Path, tmp_path: Path) -> None:
    mounted = mount({"o": library}, tmp_path / "home")
    mounted.close()
    for number in range(40):
        album(library, f"New {number}", 5, suffix="mp3")
    accept_originals(mounted)
    ballast = _fill(cache)
    mounted = restart(mounted, scanned=False)
    mounted.allow_log(WORDS)
    mounted.allow_log("keeper ended|not guarded")
    try:
        wait_for("the mount", lambda: mounted.process.poll() is not None or len(tree(mounted)) == 20)
        _waits_for_room(mounted, 20)
        ballast.unlink()
        wait_for("the new music", lambda: len(tree(mounted)) == 220, 60)
        check_everything(mounted)
    finally:
        mounted.close()


def test_full_before_the_first_start_is_a_sentence(library: Path, cache: Path, tmp_path: Path) -> None:
    mounted = mount({"o": library}, tmp_path / "home")
    mounted.close()
    subprocess.run(["rm", "-r", str(cache / "catalog")], check=True)
    _fill(cache)
    mounted = restart(mounted, scanned=False)
    try:
        assert mounted.process.wait(20) == 1
        assert "space" in mounted.log and "Traceback" not in mounted.log and "should not have" not in mounted.log
    finally:
        mounted._abandon()
