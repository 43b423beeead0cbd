"""The content cache from a user's side: filled, counted, pinned, evicted, cleared, verified, and there without the origin."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from musicfs.config.settings import OriginSettings
from tests.faults.living import digest, restart, track, wait_for
from tests.mounting import Mounted, Place, mount

TRACKS = 7
TRACK_BYTES = 3 << 20  # more in all than a small store may hold, and more than is sealed by a hash at a clean stop
QUIET = "[prefetch]\nnext_track = false\n"


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    root = tmp_path / "origin"
    for number in range(1, TRACKS + 1):
        file = track(
            root,
            f"Album/{number}.mp3",
            title=f"Song {number}",
            artist="A",
            album="Album",
            track=str(number),
            year="1999",
        )
        with file.open("ab") as stream:
            stream.write(os.urandom(TRACK_BYTES))
    return root


@pytest.fixture
def begin(origin: Path, tmp_path: Path) -> Iterator[Callable[..., Mounted]]:
    """Mount the origin, or mount it again; what is mounted last is ended at the end."""
    running: list[Mounted] = []

    def begin_or_again(settings: str = QUIET) -> Mounted:
        if running:
            running.append(restart(running[-1]))
        else:
            place = Place(origin, OriginSettings(id="o", path=str(origin), cache="on"))
            running.append(mount({"o": place}, tmp_path, settings))
        return running[-1]

    yield begin_or_again
    if running[-1].process.poll() is None:
        running[-1].close()


def percent(path: Path) -> int:
    return int(os.getxattr(path, "user.musicfs.cached_percent"))


def cache(mounted: Mounted, *arguments: str, code: int = 0) -> Any:
    """The last line that ``musicfs cache`` prints as JSON."""
    done = mounted.command("--json", "cache", *arguments)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout else None


def songs(mounted: Mounted) -> list[Path]:
    found = sorted(mounted.point.rglob("*.mp3"))
    assert len(found) == TRACKS
    return found


def virtual(mounted: Mounted, path: Path) -> str:
    return "/" + str(path.relative_to(mounted.point))


def test_what_is_prefetched_is_there_also_without_the_origin(begin: Callable[..., Mounted], origin: Path) -> None:
    mounted = begin()
    files = songs(mounted)
    sizes = sum(file.stat().st_size for file in files)
    done = cache(mounted, "prefetch", str(files[0].parent))
    assert (done["completed"], done["total"], done["failed"]) == (TRACKS, TRACKS, 0)
    assert 0.8 * sizes < done["fetched_bytes"] <= sizes, "the scan has left a part of each file"
    assert [percent(file) for file in files] == [100] * TRACKS
    before = cache(mounted, "stats")
    assert (before["contents"], before["contents_complete"], before["misses"]) == (TRACKS, TRACKS, 0)
    assert sizes <= before["used_bytes"] < 1.2 * sizes
    assert before["fetched_bytes"] == done["fetched_bytes"]
    assert [digest(file) for file in files] == [digest(file) for file in sorted(origin.rglob("*.mp3"))]
    wait_for("the mount has told its counts", lambda: cache(mounted, "stats")["hits"] * 128 * 1024 >= sizes)
    after = cache(mounted, "stats")
    assert (after["misses"], after["hit_ratio"], after["fetched_bytes"]) == (0, 1.0, before["fetched_bytes"])
    assert mounted.status()["cache"] == after
    again = cache(mounted, "prefetch", "/")
    assert (again["completed"], again["fetched_bytes"]) == (TRACKS, 0)
    mounted.close()

    away = origin.with_name("away")
    mounted = begin()
    origin.rename(away)
    try:
        mounted.allow_log("cannot be read")
        assert [digest(file) for file in songs(mounted)] == [digest(file) for file in sorted(away.rglob("*.mp3"))]
        assert cache(mounted, "verify")["damaged"] == 0
        assert [percent(file) for file in songs(mounted)] == [100] * TRACKS
    finally:
        away.rename(origin)


def test_pinned_files_stay_while_the_others_make_room(begin: Callable[..., Mounted]) -> None:
    mounted = begin("[cache]\ncontent_cache_gb = 0.01\n" + QUIET)
    kept, *others = songs(mounted)
    assert cache(mounted, "pin", str(kept)) == {"files": 1, "size_bytes": kept.stat().st_size}
    assert cache(mounted, "prefetch", virtual(mounted, kept))["failed"] == 0

    def is_within() -> bool:
        stats = cache(mounted, "stats")
        assert stats["limit_bytes"] == int(0.01 * (1 << 30))
        return bool(stats["used_bytes"] <= stats["limit_bytes"])

    for file in others:
        digest(file)
    wait_for("the store is within its limit", is_within)
    assert percent(kept) == 100
    assert sum(percent(file) for file in others) < 300, "10 MB do not hold 18"
    [pin] = cache(mounted, "pins")
    assert (pin["path"], pin["files"]) == (virtual(mounted, kept), 1)
    assert pin["cached_bytes"] == pin["size_bytes"] == kept.stat().st_size
    mounted.close()
    mounted = begin()  # what was read is not in memory any more
    assert cache(mounted, "pins") == [pin]
    cache(mounted, "unpin", virtual(mounted, kept))
    assert cache(mounted, "pins") == []
    cache(mounted, "unpin", virtual(mounted, kept), code=4)
    for file in others:
        digest(file)
    wait_for("what is not pinned any more makes room", lambda: percent(kept) < 100)
    wait_for("the store is within its limit", is_within)


def test_queries_choose_what_is_fetched_and_pinned(begin: Callable[..., Mounted]) -> None:
    mounted = begin()
    files = songs(mounted)
    done = cache(mounted, "prefetch", "--query", 'title:("song 2" OR "söng 5") year:[1990 TO 1999] added:>1h')
    assert (done["completed"], done["total"], done["failed"]) == (2, 2, 0)
    assert [percent(file) == 100 for file in files] == [number in {2, 5} for number in range(1, TRACKS + 1)]
    assert cache(mounted, "prefetch", "--query", "added:<1h")["total"] == 0
    assert cache(mounted, "pin", "--query", "song track:<=3")["files"] == 3
    assert [pin["path"] for pin in cache(mounted, "pins")] == [virtual(mounted, file) for file in files[:3]]
    assert cache(mounted, "unpin", "--query", "track:(1 OR 7)")["files"] == 1
    assert [pin["path"] for pin in cache(mounted, "pins")] == [virtual(mounted, file) for file in files[1:3]]
    assert mounted.command("metadata", "set", str(files[5]), "--title", "Renamed").returncode == 0
    assert cache(mounted, "pin", "--query", "title:renamed")["files"] == 1, "tags are those that were corrected"
    assert cache(mounted, "pin", "--query", 'title:"song 6"')["files"] == 0
    failed = mounted.command("cache", "pin", "--query", "song trak:1")
    assert failed.returncode == 2
    assert 'column 6: there is no field "trak"' in failed.stderr


def test_clearing_leaves_what_is_pinned(begin: Callable[..., Mounted]) -> None:
    mounted = begin()
    kept, *others = songs(mounted)
    cache(mounted, "pin", str(kept))
    cache(mounted, "prefetch", "/")
    promised = cache(mounted, "clear", "o", "--dry-run")
    assert promised == {
        "size_bytes": sum(file.stat().st_size for file in others),
        "files": len(others),
        "dry_run": True,
    }
    assert [percent(file) for file in (kept, *others)] == [100] * TRACKS
    assert cache(mounted, "clear", "o") == promised | {"dry_run": False}
    assert [percent(file) for file in (kept, *others)] == [100] + [0] * len(others)
    assert cache(mounted, "stats")["contents"] == 1
    assert cache(mounted, "clear") == {"size_bytes": 0, "files": 0, "dry_run": False}
    assert cache(mounted, "prefetch", "/")["failed"] == 0, "what was cleared can be fetched again at once"
    assert [percent(file) for file in others] == [100] * len(others)


def test_a_flipped_byte_is_found(begin: Callable[..., Mounted], origin: Path) -> None:
    mounted = begin()
    cache(mounted, "prefetch", "/")
    mounted.close()
    victim = origin / "Album" / "3.mp3"
    data = mounted.folder / "cache" / "chunks" / "data.mdb"
    with data.open("r+b") as store:
        at = store.read().index(victim.read_bytes()[1_000_000:1_000_016])
        store.seek(at)
        flipped = store.read(1)[0] ^ 1
        store.seek(at)
        store.write(bytes((flipped,)))
    mounted = begin()
    found = cache(mounted, "verify", code=1)
    assert (found["damaged"], found["complete"], found["checked"]) == (1, True, found["total"])
    assert cache(mounted, "verify")["damaged"] == 0
    assert cache(mounted, "stats")["damaged"] == 1
    assert sorted(map(percent, songs(mounted)))[0] in range(90, 100)
    assert [digest(file) for file in songs(mounted)] == [digest(file) for file in sorted(origin.rglob("*.mp3"))]
    wait_for("what was damaged was fetched again", lambda: all(percent(file) == 100 for file in songs(mounted)))
