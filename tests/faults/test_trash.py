"""Many deletions, a keeper that dies in the middle of them, and names that others take."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from musicfs.config.settings import OriginSettings
from musicfs.store.catalog import Catalog
from musicfs.store.trashed import iterate_trashed
from tests.faults.living import accept_originals, keeper_of, track, tree, wait_for
from tests.library.collection import flac
from tests.mounting import Mounted, Place, mount

ALBUMS, TRACKS = 12, 500
LIVING = 2  # albums that stay


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """Six thousand files of next to nothing: more than are removed at once."""
    root = tmp_path / "origin"
    for album in range(ALBUMS):
        (root / str(album)).mkdir(parents=True)
        for number in range(TRACKS):
            tags = {"artist": "X", "album": f"Album {album}", "title": f"Song {number}", "track": str(number)}
            (root / str(album) / f"{number}.flac").write_bytes(flac(**tags))
    return root


@pytest.fixture
def mounted(origin: Path, tmp_path: Path) -> Iterator[Mounted]:
    mounted = mount(
        {"o": Place(origin, OriginSettings(id="o", path=str(origin), watch=False, poll_interval_s=86400.0))}, tmp_path
    )
    yield mounted
    if mounted.process.poll() is None:
        accept_originals(mounted)
        mounted.close()


def listed(mounted: Mounted) -> list[str]:
    done = mounted.command("--json", "trash", "list")
    assert done.returncode == 0, done.stderr
    return sorted(entry["path"] for entry in json.loads(done.stdout))


def shown(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.flac")) if folder.exists() else []


def deleted_in(catalog: Catalog) -> int:
    with catalog.snapshot() as txn:
        return sum(1 for _ in iterate_trashed(txn, catalog.tables))


def killed_when(mounted: Mounted, happens: Callable[[], bool], *command: str) -> None:
    """Run a command, and kill the keeper as soon as something of it can be seen; then wait for the next keeper."""
    pid = keeper_of(mounted)
    stop = threading.Event()

    def kill() -> None:
        while not stop.is_set() and not happens():
            stop.wait(0.002)
        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    mounted.command(*command)
    stop.set()
    killer.join(30)
    wait_for(
        "another keeper works",
        lambda: (keeper_of(mounted) not in (0, pid) and mounted.status().get("state") in {"ready", "degraded"}) or None,
        60,
    )


def test_a_keeper_killed_while_thousands_are_deleted_and_forgotten(mounted: Mounted, origin: Path) -> None:
    mounted.allow_log("keeper|vanished|origin o")
    bin_, gone = mounted.point / ".trash", (ALBUMS - LIVING) * TRACKS
    everything = sorted(tree(mounted))
    for album in range(LIVING, ALBUMS):
        for number in range(TRACKS):
            (origin / str(album) / f"{number}.flac").unlink()
    held = mounted.command("origin", "rescan", "o", "--wait")
    assert held.returncode == 0, held.stderr
    assert not bin_.exists(), "so many wait to be confirmed"

    with contextlib.closing(Catalog(str(mounted.folder / "cache" / "catalog"), readonly=True)) as catalog:
        killed_when(mounted, lambda: catalog.totals().files < len(everything), "origin", "confirm", "o")
    partly = listed(mounted)
    assert [f"/{path}" for path in shown(bin_)] == partly, "state and catalog agree"
    assert sorted([*partly, *(f"/{path}" for path in tree(mounted))]) == [f"/{path}" for path in everything]

    def confirmed() -> bool | None:
        mounted.command("origin", "rescan", "o", "--wait")
        mounted.command("origin", "confirm", "o")
        return len(listed(mounted)) == gone or None

    wait_for("all are deleted", confirmed, 60)
    assert len(tree(mounted)) == LIVING * TRACKS

    with contextlib.closing(Catalog(str(mounted.folder / "cache" / "catalog"), readonly=True)) as catalog:
        killed_when(mounted, lambda: deleted_in(catalog) < gone, "trash", "empty", "--yes")
    partly = listed(mounted)
    assert [f"/{path}" for path in shown(bin_)] == partly
    assert len(tree(mounted)) == LIVING * TRACKS
    mounted.command("trash", "empty", "--yes")
    assert listed(mounted) == []
    wait_for("the trash is gone", lambda: not bin_.exists() or None)
    assert len(tree(mounted)) == LIVING * TRACKS


def contents(mounted: Mounted) -> list[bytes] | None:
    """The bytes of all files; None if one has left while they were read."""
    try:
        return sorted(path.read_bytes() for path in mounted.point.rglob("*.flac"))
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ESTALE):
            raise
        return None


def test_a_file_that_is_moved_over_another(tmp_path: Path) -> None:
    """It has moved; the one that was there is not deleted but written over, as by any program that saves a file."""
    root = tmp_path / "origin"
    for number in range(1, 8):  # so many that one that vanishes is believed
        track(root, f"{number}.flac", title=f"Song {number}", artist="A", album="B", track=str(number), seed=number)
    mounted = mount({"o": Place(root, OriginSettings(id="o", path=str(root), cache="on"))}, tmp_path)

    try:
        left = sorted(path.read_bytes() for path in root.iterdir() if path.name != "1.flac")
        (root / "2.flac").rename(root / "1.flac")
        wait_for("the other is there no more", lambda: contents(mounted) == left or None, 20)
        assert listed(mounted) == []
    finally:
        accept_originals(mounted)
        mounted.close()
