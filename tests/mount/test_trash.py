"""SPEC 7: deleted tracks on a real mount, from a user's side."""

from __future__ import annotations

import errno
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from musicfs.config.settings import OriginSettings
from tests.faults.living import accept_originals, digest, restart, track, wait_for
from tests.mounting import Mounted, Place, mount, musicfs_command

TRACKS = 6
ALBUM = "A/Album (1999) [FLAC]"
Begin = Callable[..., Mounted]


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    root = tmp_path / "origin"
    for number in range(1, TRACKS + 1):
        track(
            root, f"Album/{number}.flac", title=f"Song {number}", artist="A", album="Album", track=str(number),
            date="1999", seed=number,
        )  # fmt: skip
    return root


@pytest.fixture
def begin(origin: Path, tmp_path: Path) -> Iterator[Begin]:
    """Mount the origin, or mount it again; what is mounted last is ended at the end."""
    running: list[Mounted] = []

    def begin_or_again(settings: str = "") -> Mounted:
        if running:
            running.append(restart(running[-1]))
        else:
            place = Place(origin, OriginSettings(id="o", path=str(origin), cache="on"))
            running.append(mount({"o": place}, tmp_path, settings))
        return running[-1]

    yield begin_or_again
    if running[-1].process.poll() is None:
        accept_originals(running[-1])
        running[-1].close()


def trash(mounted: Mounted, *arguments: str, code: int = 0) -> Any:
    """The last line that ``musicfs trash`` prints as JSON."""
    done = mounted.command("--json", "trash", *arguments)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout else None


def song(mounted: Mounted, number: int, *, deleted: bool = False) -> Path:
    return mounted.point / (".trash" if deleted else ".") / ALBUM / f"{number:02d} - Song {number}.flac"


def appears(path: Path) -> Path:
    wait_for(f"{path} is there", lambda: path.exists() or None, 20)
    return path


def vanishes(path: Path) -> Path:
    wait_for(f"{path} is gone", lambda: not path.exists() or None, 20)
    return path


def stored(path: Path) -> None:
    wait_for(f"all of {path} is stored", lambda: os.getxattr(path, "user.musicfs.cached_percent") == b"100" or None, 20)


def becomes(path: Path, expected: str) -> None:
    wait_for(f"{path} has the bytes that it had", lambda: digest(path) == expected or None, 20)


def test_deleted_listed_played_restored_and_back(begin: Begin, origin: Path, tmp_path: Path) -> None:
    mounted = begin()
    set_tags = mounted.command("metadata", "set", f"/{ALBUM}/02 - Song 2.flac", "--title", "Zwei")
    assert set_tags.returncode == 0, set_tags.stderr
    edited = mounted.point / ALBUM / "02 - Zwei.flac"
    played, unplayed = digest(appears(edited)), song(mounted, 3)
    assert ".trash" not in os.listdir(mounted.point)
    (origin / "Album/2.flac").rename(tmp_path / "2.flac")
    (origin / "Album/3.flac").unlink()
    vanishes(edited)
    deleted = appears(mounted.point / ".trash" / ALBUM / "02 - Zwei.flac")
    assert digest(deleted) == played
    stored(deleted)
    assert os.getxattr(deleted, "user.musicfs.origin_path") == b"Album/2.flac"
    assert ".trash" not in os.listdir(mounted.point)
    vanishes(unplayed)
    appears(song(mounted, 3, deleted=True))
    entries = trash(mounted, "list")
    assert {entry["path"] for entry in entries} == {f"/{ALBUM}/02 - Zwei.flac", f"/{ALBUM}/03 - Song 3.flac"}
    two = next(entry for entry in entries if entry["title"] == "Zwei")
    assert (two["artist"], two["album"], two["origin_id"], two["origin_path"]) == ("A", "Album", "o", "Album/2.flac")
    assert (two["cached_bytes"], two["trash_path"]) == (two["size_bytes"], f"/.trash/{ALBUM}/02 - Zwei.flac")
    assert trash(mounted, "restore", f"/{ALBUM}/02 - Zwei.flac")["done"] == 1
    assert digest(appears(edited)) == played
    vanishes(deleted)
    assert trash(mounted, "restore", "/nothing", code=4) is None
    shutil.move(tmp_path / "2.flac", origin / "Album/2.flac")
    wait_for("it is no longer deleted", lambda: len(trash(mounted, "list")) == 1 or None, 20)
    assert digest(edited) == played
    assert mounted.command("metadata", "get", f"/{ALBUM}/02 - Zwei.flac").returncode == 0


def test_what_is_not_cached_cannot_be_read(begin: Begin, origin: Path) -> None:
    mounted = begin()
    appears(song(mounted, 1))
    assert mounted.command("cache", "clear").returncode == 0
    (origin / "Album/1.flac").unlink()
    deleted = appears(song(mounted, 1, deleted=True))
    assert os.getxattr(deleted, "user.musicfs.cached_percent") == b"0"
    with pytest.raises(OSError) as caught:
        deleted.read_bytes()
    assert caught.value.errno == errno.EIO
    mounted.allow_log("was deleted there, and is not cached")


def test_emptied_by_pattern_and_age(begin: Begin, origin: Path) -> None:
    mounted = begin()
    for number in (1, 2):
        digest(song(mounted, number))
        (origin / f"Album/{number}.flac").unlink()
    for number in (1, 2):
        appears(song(mounted, number, deleted=True))
    assert trash(mounted, "empty", "--older-than", "1h")["total"] == 0
    assert trash(mounted, "empty", "--dry-run")["total"] == 2
    done = trash(mounted, "empty", "--pattern", "*song 1.flac", "--yes")
    assert (done["done"], done["freed_bytes"] > 0) == (1, True)
    vanishes(song(mounted, 1, deleted=True))
    assert digest(song(mounted, 2, deleted=True))
    assert trash(mounted, "empty", "--older-than", "0s", "--yes")["done"] == 1
    assert trash(mounted, "list") == []
    vanishes(mounted.point / ".trash")


def test_mass_deletions_wait_and_outages_delete_nothing(begin: Begin, origin: Path, tmp_path: Path) -> None:
    mounted = begin()
    mounted.allow_log("origin o")
    away = tmp_path / "away"
    origin.rename(away)
    mounted.command("origin", "rescan", "o", "--wait")
    assert trash(mounted, "list") == []
    away.rename(origin)
    for number in range(1, TRACKS + 1):
        (origin / f"Album/{number}.flac").unlink()
    mounted.command("origin", "rescan", "o", "--wait")
    assert trash(mounted, "list") == []
    confirmed = mounted.command("origin", "confirm", "o")
    assert confirmed.returncode == 0, confirmed.stderr
    wait_for("all are deleted", lambda: len(trash(mounted, "list")) == TRACKS or None, 20)


def test_a_keeper_that_is_killed_and_a_catalog_that_is_lost(begin: Begin, origin: Path) -> None:
    mounted = begin()
    mounted.allow_log("keeper")
    played = digest(song(mounted, 1))
    (origin / "Album/1.flac").unlink()
    appears(song(mounted, 1, deleted=True))
    os.kill(mounted.status()["keeper_pid"], signal.SIGKILL)
    assert digest(song(mounted, 1, deleted=True)) == played
    wait_for("the keeper is back", lambda: mounted.status().get("state") == "ready" or None, 30)
    assert len(trash(mounted, "list")) == 1
    accept_originals(mounted)
    mounted.close()
    shutil.rmtree(mounted.folder / "cache" / "catalog")
    again = begin()
    assert digest(appears(song(again, 1, deleted=True))) == played
    assert len(trash(again, "list")) == 1


def test_corrected_bytes_outlive_the_catalog(begin: Begin, origin: Path) -> None:
    mounted = begin()
    for number in (1, 2):
        done = mounted.command(
            "metadata", "set", f"/{ALBUM}/{number:02d} - Song {number}.flac", "--title", f"New {number}"
        )
        assert done.returncode == 0, done.stderr
    names = [f"{number:02d} - New {number}.flac" for number in (1, 2)]
    played = [digest(appears(mounted.point / ALBUM / name)) for name in names]
    for number, name in enumerate(names, 1):
        stored(mounted.point / ALBUM / name)
        (origin / f"Album/{number}.flac").unlink()
        appears(mounted.point / ".trash" / ALBUM / name)
    assert trash(mounted, "restore", f"/{ALBUM}/{names[1]}")["done"] == 1
    accept_originals(mounted)
    mounted.close()
    shutil.rmtree(mounted.folder / "cache" / "catalog")
    again = begin()
    for path, before in zip((".trash/" + ALBUM + "/" + names[0], ALBUM + "/" + names[1]), played, strict=True):
        becomes(appears(again.point / path), before)


def test_copies_and_moves_are_not_deleted(begin: Begin, origin: Path) -> None:
    mounted = begin()
    (origin / "Elsewhere").mkdir()
    (origin / "Album/1.flac").rename(origin / "Elsewhere/one.flac")
    shutil.copy(origin / "Album/2.flac", origin / "Elsewhere/two.flac")  # as where no origin can tell: another inode
    copied = song(mounted, 2).with_name("02 - Song 2 (2).flac")
    appears(copied)
    (origin / "Album/2.flac").unlink()
    wait_for("one is left", lambda: song(mounted, 2).exists() != copied.exists() or None, 20)
    wait_for(
        "the first is found where it is",
        lambda: os.getxattr(song(mounted, 1), "user.musicfs.origin_path") == b"Elsewhere/one.flac" or None,
    )
    assert trash(mounted, "list") == []


def test_two_origins(origin: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(origin, other)
    places = {
        name: Place(root, OriginSettings(id=name, path=str(root), cache="on"))
        for name, root in (("a", origin), ("b", other))
    }
    mounted = mount(places, tmp_path, '[trash]\nkeep = "5s"\n')
    try:
        assert len(list(song(mounted, 1).parent.glob("*.flac"))) == TRACKS
        (origin / "Album/1.flac").unlink()
        mounted.command("origin", "rescan", "a", "--wait")
        assert song(mounted, 1).exists()
        assert trash(mounted, "list") == []
        (other / "Album/1.flac").unlink()
        mounted.command("origin", "rescan", "b", "--wait")
        vanishes(song(mounted, 1))
        assert [(one["origin_id"], one["path"]) for one in trash(mounted, "list")] == [
            ("b", f"/{ALBUM}/01 - Song 1.flac")
        ]
        wait_for("it was kept for its time", lambda: trash(mounted, "list") == [] or None, 30)
    finally:
        accept_originals(mounted)
        mounted.close()


def test_a_restored_track_is_searched_and_corrected_like_any(begin: Begin, origin: Path) -> None:
    mounted = begin()
    digest(song(mounted, 1))
    stored(song(mounted, 1))
    (origin / "Album/1.flac").unlink()
    appears(song(mounted, 1, deleted=True))

    def found() -> list[str]:
        return mounted.command("search", 'title:"Song 1"').stdout.splitlines()

    wait_for("it is not searched in the trash", lambda: found() == [] or None, 20)
    assert trash(mounted, "restore", "--all")["done"] == 1
    wait_for("it is found again", lambda: len(found()) == 1 or None, 20)
    done = mounted.command("metadata", "set", f"/{ALBUM}/01 - Song 1.flac", "--title", "Eins")
    assert done.returncode == 0, done.stderr
    assert digest(appears(mounted.point / ALBUM / "01 - Eins.flac"))
    [entry] = trash(mounted, "list")
    assert (entry["title"], entry["trash_path"], entry["restored_ms"] > 0) == ("Eins", "", True)
    assert trash(mounted, "empty", "--restored", "--yes")["done"] == 1
    vanishes(mounted.point / ALBUM / "01 - Eins.flac")


class Heard:
    """``musicfs --json events`` beside the mount."""

    def __init__(self, mounted: Mounted) -> None:
        self._process = subprocess.Popen(
            [*musicfs_command(), "--config", str(mounted.folder / "config.toml"), "--json", "events", "--type", "file_added",
             "--type", "file_removed", "--type", "metadata_changed"],
            env=mounted.environment, cwd=mounted.folder, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        wait_for("it listens", lambda: self._is_listening(mounted) or None, 30)

    def _is_listening(self, mounted: Mounted) -> bool:
        """Nothing says when a listener hears: what happens before is not told, so it happens until it is."""
        changed = mounted.command("metadata", "set", f"/{ALBUM}/06 - Song 6.flac", "--comment", str(time.monotonic()))
        assert changed.returncode == 0, changed.stderr
        return not self._lines.empty()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def next(self) -> dict[str, Any]:
        """The next about a file that has come or gone."""
        while True:
            event: dict[str, Any] = json.loads(self._lines.get(timeout=30))
            if event["type"] != "metadata_changed":
                return event

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)


def test_events_say_what_became_of_a_file(begin: Begin, origin: Path, tmp_path: Path) -> None:
    mounted = begin()
    heard = Heard(mounted)

    def told() -> tuple[Any, ...]:
        event = heard.next()
        details = event["details"]
        assert (event["origin_id"], details.pop("origin_path")) == ("o", "Album/1.flac")
        return event["type"], event["path"], details

    path = f"/{ALBUM}/01 - Song 1.flac"
    (origin / "Album/1.flac").rename(tmp_path / "1.flac")
    assert told() == ("file_removed", path, {"trashed": "true"})
    taken = track(origin, "Other/1.flac", title="Song 1", artist="A", album="Album", track="1", date="1999", seed=50)
    assert heard.next()["path"] == path
    assert trash(mounted, "restore", path)["done"] == 1
    beside = path.replace(".flac", " (2).flac")
    assert told() == ("file_added", beside, {"restored": "true"})
    shutil.copy(tmp_path / "1.flac", origin / "Album/1.flac")
    assert told() == ("file_added", beside, {"returned": "true"})
    taken.unlink()
    assert heard.next()["details"]["trashed"] == "true"
    assert trash(mounted, "restore", "--all")["done"] == 1
    event = heard.next()
    assert (event["type"], event["details"]["restored"], event["file_id"] > 0) == ("file_added", "true", True)
    assert trash(mounted, "empty", "--restored", "--yes")["done"] == 1
    event = heard.next()
    assert (event["type"], event["details"]["forgotten"]) == ("file_removed", "true")
    heard.close()
