"""The search index: it follows within two seconds, and whatever becomes of it, it is there again and the mount goes on."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from musicfs.index.segments import version_of
from tests.faults.living import (
    FOLLOWS_S,
    Player,
    accept_originals,
    album,
    check_everything,
    keeper_of,
    restart,
    track,
    wait_for,
)
from tests.mount.indexed import count_found, wait_until_found
from tests.mounting import Mounted, mount

KILLED = r"the keeper ended with status -9"
DAMAGED = r"the search index (is damaged|failed), and is built anew|mount\.operations: lookup: .*search\.idx"
BACK_S = 20.0


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Thirty tracks."""
    root = tmp_path / "origin"
    for number in range(6):
        album(root, f"Album {number}", 5, suffix=("flac", "mp3", "ogg")[number % 3])
    return root


@pytest.fixture
def mounted(library: Path, tmp_path: Path) -> Iterator[Mounted]:
    mounted = mount({"o": library}, tmp_path / "home")
    try:
        wait_until_found(mounted)
        yield mounted
    finally:
        mounted.close()


def index_of(mounted: Mounted) -> Path:
    """The folder of the index."""
    return mounted.folder / "cache/search.idx"


def count(mounted: Mounted, query: str = "*") -> int:
    """How many tracks are found; 0 while there is no index, or a damaged one was just met."""
    try:
        return count_found(mounted, query)
    except OSError as error:
        if error.errno in {errno.EIO, errno.ENOENT, errno.ESTALE}:
            return 0
        raise


def test_changes_are_found_within_two_seconds(mounted: Mounted, library: Path) -> None:
    assert count(mounted) == 30
    new = track(library, "Album 0/new.flac", title="Entirely New", album="Album 0", seed=99)
    wait_for("the new one is visible", lambda: any(mounted.point.rglob("*Entirely New*")))
    wait_for("it is found", lambda: count(mounted, "entirely") == 1, FOLLOWS_S)
    done = mounted.command("metadata", "set", str(next(mounted.point.rglob("*Entirely New*"))), "--title", "Renamed")
    assert done.returncode == 0, done.stderr
    wait_for("the correction is found", lambda: count(mounted, "renamed") == 1, FOLLOWS_S)
    assert count(mounted, "entirely") == 0
    new.unlink()
    wait_for("the file is gone", lambda: not any(mounted.point.rglob("*Renamed*")))
    wait_for("it is found no more", lambda: count(mounted, "renamed") == 0, FOLLOWS_S)
    assert count(mounted) == 30
    accept_originals(mounted)


def _is_visible(mounted: Mounted, name: str) -> bool:
    return any(mounted.point.rglob(f"*{name}*"))


def _has_committed(mounted: Mounted, version: int) -> bool:
    return version_of(index_of(mounted)) != version


def _is_another(mounted: Mounted, pid: int) -> bool:
    return keeper_of(mounted) not in (0, pid)


def test_a_keeper_killed_again_and_again(mounted: Mounted, library: Path, pytestconfig: pytest.Config) -> None:
    mounted.allow_log(KILLED)
    player = Player(mounted.point, may_vanish=False)
    player.start()
    times = 100 if pytestconfig.getoption("--soak") else 9
    for number in range(times):
        pid = wait_for("a keeper", lambda: keeper_of(mounted))
        name = f"Added {number}"
        version = version_of(index_of(mounted))
        track(library, f"Album 1/{name}.flac", title=name, album="Album 1", seed=1000 + number)
        if number % 3 == 1:  # about to write the index
            wait_for("it is visible", partial(_is_visible, mounted, name), BACK_S)
        elif number % 3 == 2:  # about to trim the log
            wait_for("a commit", partial(_has_committed, mounted, version), BACK_S)
        os.kill(pid, signal.SIGKILL)
        wait_for("another keeper", partial(_is_another, mounted, pid), BACK_S)
    wait_for("all is found", lambda: count(mounted) == 30 + times, BACK_S)
    wait_until_found(mounted)
    assert count(mounted, "title:added") == times
    player.stop()
    accept_originals(mounted)


def _largest(folder: Path) -> Path:
    segments = (path for path in folder.iterdir() if path.suffix in {".idx", ".pos", ".term", ".store", ".fast"})
    return max(segments, key=lambda path: path.stat().st_size)


def _deleted(folder: Path) -> None:
    shutil.rmtree(folder)


def _list_deleted(folder: Path) -> None:
    (folder / "meta.json").unlink()


def _emptied(folder: Path) -> None:
    for path in folder.iterdir():
        if path.suffix in {".idx", ".pos", ".term", ".store", ".fast", ".fieldnorm"}:
            os.truncate(path, 0)


def _truncated(folder: Path) -> None:
    path = _largest(folder)
    os.truncate(path, path.stat().st_size // 2)


def _flipped(folder: Path) -> None:
    for path in folder.iterdir():
        if path.suffix in {".idx", ".pos", ".term", ".store", ".fast", ".fieldnorm"}:
            data = bytearray(path.read_bytes())
            for place in range(0, len(data), 97):
                data[place] ^= 1 << place % 8
            path.write_bytes(data)


def _list_garbled(folder: Path) -> None:
    (folder / "meta.json").write_bytes(b"{not a list")


def _a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_bytes(b"no folder")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "deleted": _deleted,
    "list deleted": _list_deleted,
    "emptied": _emptied,
    "truncated": _truncated,
    "bits flipped": _flipped,
    "list garbled": _list_garbled,
}


@pytest.mark.parametrize("how", [*DAMAGES, "a file"])
def test_damaged_while_not_mounted(library: Path, tmp_path: Path, how: str) -> None:
    before = mount({"o": library}, tmp_path / "home")
    try:
        wait_until_found(before)
    finally:
        before.close()
    (DAMAGES | {"a file": _a_file})[how](index_of(before))
    again = restart(before)
    try:
        again.allow_log(DAMAGED)
        wait_for("all is found again", lambda: count(again) == 30, BACK_S)
        check_everything(again)
    finally:
        again.close()


@pytest.mark.parametrize("how", DAMAGES)
def test_damaged_while_mounted(mounted: Mounted, library: Path, how: str) -> None:
    mounted.allow_log(DAMAGED)
    player = Player(mounted.point, may_vanish=True)
    player.start()
    assert count(mounted) == 30
    DAMAGES[how](index_of(mounted))
    for number in range(3):  # what is asked, and what is written, comes upon it
        count(mounted, f"album:{number}")
        track(library, f"Album 2/After {number}.flac", title=f"After {number}", album="Album 2", seed=2000 + number)
        wait_for("it is visible", partial(_is_visible, mounted, f"After {number}"))
    wait_for("all is found again", lambda: count(mounted) == 33, BACK_S)
    wait_for("what came is found", lambda: count(mounted, "title:after") == 3, BACK_S)
    check_everything(mounted)
    player.stop()
    accept_originals(mounted)
