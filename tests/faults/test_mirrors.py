"""One album in two origins: one set of names, served by the one that is preferred and there."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from musicfs.config.settings import OriginSettings
from tests.faults.living import track
from tests.mounting import Mounted, Place, musicfs_command

MountLibrary = Callable[..., Mounted]
SETTINGS = "[health]\ncheck_interval_secs = 1\n[prefetch]\nnext_track = false\n"


@pytest.fixture
def mirrors(tmp_path: Path) -> tuple[Path, Path]:
    first, second = tmp_path / "first", tmp_path / "second"
    for number in (1, 2, 3):
        track(first, f"Album/{number}.flac", title=f"Song {number}", artist="A", album="Album", track=str(number))
    (first / "Album" / "notes.txt").write_text("the same in both")
    shutil.copytree(first, second)
    return first, second


def _places(first: Path, second: Path, cache: str = "auto") -> dict[str, Place]:
    return {
        "first": Place(first, OriginSettings(id="first", path=str(first), priority=1, cache=cache)),  # type: ignore[arg-type]
        "second": Place(second, OriginSettings(id="second", path=str(second), priority=2, cache=cache)),  # type: ignore[arg-type]
    }


def _origin_of(path: Path) -> str:
    return os.getxattr(path, "user.musicfs.origin").decode()


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_mirrored_album_has_one_set_of_names(mount_library: MountLibrary, mirrors: tuple[Path, Path]) -> None:
    mounted = mount_library(_places(*mirrors), SETTINGS)
    shown = sorted(path for path in mounted.point.rglob("*") if path.is_file())
    assert [path.name for path in shown] == ["01 - Song 1.flac", "02 - Song 2.flac", "03 - Song 3.flac", "notes.txt"]
    assert {_origin_of(path) for path in shown} == {"first"}


def test_the_other_one_serves_while_the_preferred_is_away(
    mount_library: MountLibrary, mirrors: tuple[Path, Path]
) -> None:
    first, _ = mirrors
    mounted = mount_library(_places(*mirrors), SETTINGS)
    mounted.allow_log("cannot be read|open:|read:")
    path = min(mounted.point.rglob("*.flac"))
    content = path.read_bytes()
    listening = subprocess.Popen(
        [*musicfs_command(), "--config", str(mounted.folder / "config.toml"), "--json", "events", "--origin", "first"],
        env=mounted.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert listening.stdout is not None
    mounted.command("origin", "rescan", "first")
    assert json.loads(listening.stdout.readline())["type"] == "sync_started"
    first.rename(first.with_name("away"))
    while (event := json.loads(listening.stdout.readline()))["type"] != "origin_disconnected":
        pass
    assert event["origin_id"] == "first"
    listening.terminate()
    listening.wait(10)
    listening.stdout.close()
    _wait_for(lambda: _origin_of(path) == "second")
    assert path.read_bytes() == content
    assert len(list(mounted.point.rglob("*.flac"))) == 3
    first.with_name("away").rename(first)
    _wait_for(lambda: _origin_of(path) == "first")
    assert path.read_bytes() == content


def test_tags_that_differ_part_a_track_and_what_is_really_different_is_numbered(
    mount_library: MountLibrary, mirrors: tuple[Path, Path]
) -> None:
    _, second = mirrors
    track(second, "Album/1.flac", title="Song 1", artist="A", album="Album", track="1", seconds=2)
    mounted = mount_library(_places(*mirrors), SETTINGS)
    names = sorted(path.name for path in mounted.point.rglob("*.flac"))
    assert names == ["01 - Song 1 (2).flac", "01 - Song 1.flac", "02 - Song 2.flac", "03 - Song 3.flac"]


def test_a_song_goes_on_when_its_origin_ends(mount_library: MountLibrary, mirrors: tuple[Path, Path]) -> None:
    """Bytes that are known to be equal: the handle does not notice. The cache keeps nothing here."""
    first, second = mirrors
    for root in mirrors:
        with (root / "Album/1.flac").open("ab") as stream:
            stream.write(bytes(range(256)) * (32 << 12))  # 32 MiB behind the last frame
    os.utime(second / "Album/1.flac", (1, 1))
    mounted = mount_library(_places(first, second, "on"), "[cache]\ncontent_cache_gb = 0\n" + SETTINGS)
    mounted.allow_log("cannot be read|open:|read:")
    path = mounted.point / "A" / "Album [FLAC]" / "01 - Song 1.flac"
    whole = (first / "Album/1.flac").read_bytes()
    with path.open("rb", buffering=0) as stream:
        got = bytearray()
        while len(got) < 2 << 20:
            got += stream.read(1 << 17)
        _wait_for(lambda: os.getxattr(path, "user.musicfs.mirrors") == b"second")  # compared in the background
        first.rename(first.with_name("away"))
        while more := stream.read(1 << 17):
            got += more
    assert bytes(got) == whole
    first.with_name("away").rename(first)


def test_bytes_that_nobody_compared_are_never_mixed(mount_library: MountLibrary, mirrors: tuple[Path, Path]) -> None:
    first, second = mirrors
    for root, filling in ((first, b"1"), (second, b"2")):
        with (root / "Album/1.flac").open("ab") as stream:
            stream.write(filling * (32 << 20))
    mounted = mount_library(_places(first, second, "on"), "[cache]\ncontent_cache_gb = 0\n" + SETTINGS)
    mounted.allow_log("cannot be read|open:|read:")
    (path,) = (found for found in mounted.point.rglob("*.flac") if found.name == "01 - Song 1.flac")
    with path.open("rb", buffering=0) as stream:
        got = bytearray(stream.read(1 << 20))
        first.rename(first.with_name("away"))
        with pytest.raises(OSError) as failed:
            while more := stream.read(1 << 17):
                got += more
        assert failed.value.errno in {errno.EIO, errno.ESTALE}
    assert bytes(got) == (first.with_name("away") / "Album/1.flac").read_bytes()[: len(got)]
    first.with_name("away").rename(first)
