"""One album in two origins: one set of names, served by the one that is preferred and there."""

from __future__ import annotations

import errno
import json
import os
import select
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from musicfs.config.settings import OriginSettings
from musicfs.testing.audio import make_audio, run_ffmpeg
from tests.faults.living import track, wait_for
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


_RESCANS_MAX = 30
WAIT_S = 30


def _places(first: Path, second: Path, cache: str = "auto") -> dict[str, Place]:
    return {
        "first": Place(first, OriginSettings(id="first", path=str(first), priority=1, cache=cache)),  # type: ignore[arg-type]
        "second": Place(second, OriginSettings(id="second", path=str(second), priority=2, cache=cache)),  # type: ignore[arg-type]
    }


def _origin_of(path: Path) -> str:
    return os.getxattr(path, "user.musicfs.origin").decode()


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
    # Nothing says when the listener hears: what happens before that is not told, so it happens until it is.
    for _ in range(_RESCANS_MAX):
        mounted.command("origin", "rescan", "first")
        if select.select([listening.stdout], [], [], 1.0)[0]:
            break
    # It may have begun to hear in the middle of a scan.
    assert json.loads(listening.stdout.readline())["type"] in {"sync_started", "sync_completed"}
    first.rename(first.with_name("away"))
    while (event := json.loads(listening.stdout.readline()))["type"] != "origin_disconnected":
        pass
    assert event["origin_id"] == "first"
    listening.terminate()
    listening.wait(10)
    listening.stdout.close()
    wait_for("the second serves", lambda: _origin_of(path) == "second", WAIT_S)
    assert path.read_bytes() == content
    assert len(list(mounted.point.rglob("*.flac"))) == 3
    first.with_name("away").rename(first)
    wait_for("the first serves", lambda: _origin_of(path) == "first", WAIT_S)
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
        wait_for(  # in the background
            "they are compared", lambda: os.getxattr(path, "user.musicfs.mirrors") == b"second", WAIT_S
        )
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


def test_what_is_not_served_can_be_read_beside_the_track(
    mount_library: MountLibrary, mirrors: tuple[Path, Path]
) -> None:
    """Names are the same whichever is served; the files swap places, and each reads as what its name says."""
    first, second = mirrors
    for root in mirrors:  # the same audio below other tags
        track(root, "Album/1.flac", title="Song 1", artist="A", album="Album", track="1", comment=root.name)
    bytes_of = {root.name: (root / "Album/1.flac").read_bytes() for root in mirrors}
    mounted = mount_library(_places(first, second), SETTINGS + "[tree]\nversions = true\nm3u8 = true\n")
    mounted.allow_log("cannot be read|open:|read:")
    album = mounted.point / "A" / "Album [FLAC]"
    served, hidden = album / "01 - Song 1.flac", album / ".versions"

    def shown() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (served, *hidden.glob("01*"))}

    assert shown() == {served.name: bytes_of["first"], "01 - Song 1 [second].flac": bytes_of["second"]}
    markers = {".ignore", ".mpdignore", ".ndignore", ".plexignore"}
    tracks = {f"0{number} - Song {number} [second].flac" for number in (1, 2, 3)}
    assert {path.name for path in hidden.iterdir()} == tracks | markers
    assert {(hidden / name).read_bytes() for name in markers} == {b"*\n"}
    assert _origin_of(hidden / "02 - Song 2 [second].flac") == "second"
    assert b"second" not in (album / "Album [FLAC].m3u8").read_bytes()
    first.rename(first.with_name("away"))
    wait_for("its version", (hidden / "01 - Song 1 [first].flac").exists, WAIT_S)
    assert {path.name for path in hidden.iterdir()} == {name.replace("second", "first") for name in tracks} | markers
    assert served.read_bytes() == bytes_of["second"]
    first.with_name("away").rename(first)
    wait_for("its version", (hidden / "01 - Song 1 [second].flac").exists, WAIT_S)
    assert shown() == {served.name: bytes_of["first"], "01 - Song 1 [second].flac": bytes_of["second"]}


def test_the_best_recording_is_read_and_never_mixed_with_another(
    mount_library: MountLibrary, mirrors: tuple[Path, Path]
) -> None:
    first, second = mirrors
    studio = run_ffmpeg(["-i", str(first / "Album/1.flac"), "-ar", "96000", "-sample_fmt", "s32", "-f", "flac", "-"])
    (second / "Album/1.flac").write_bytes(studio)
    bytes_of = {}
    for root in mirrors:  # as long as each other, and most of it the same
        with (root / "Album/1.flac").open("ab") as stream:
            stream.write(bytes((32 << 20) - stream.tell()))
        bytes_of[root.name] = (root / "Album/1.flac").read_bytes()
    tags = {"title": "Song 4", "artist": "A", "album": "Album", "track": "4"}
    make_audio(first / "Album/4.m4a", "m4a", tags=tags)
    make_audio(second / "Album/4.m4a", "alac", tags=tags)
    settings = "[cache]\ncontent_cache_gb = 0\n" + SETTINGS + '[tree]\nversions = true\nprefer = "quality"\n'
    mounted = mount_library(_places(first, second, "on"), settings)
    mounted.allow_log("cannot be read|open:|read:")
    assert {path.name: _origin_of(path) for path in mounted.point.glob("*/*/0*")} == {
        "01 - Song 1.flac": "second", "02 - Song 2.flac": "first", "03 - Song 3.flac": "first",
        "04 - Song 4.m4a": "second",
    }  # fmt: skip
    path = mounted.point / "A" / "Album [FLAC]" / "01 - Song 1.flac"
    assert (path.parent / ".versions" / "01 - Song 1 [first].flac").read_bytes() == bytes_of["first"]
    with path.open("rb", buffering=0) as stream:
        got = bytearray(stream.read(1 << 20))
        second.rename(second.with_name("away"))
        with pytest.raises(OSError) as failed:
            while more := stream.read(1 << 17):
                got += more
        assert failed.value.errno in {errno.EIO, errno.ESTALE}
    assert got == bytes_of["second"][: len(got)]
    wait_for("the first serves", lambda: _origin_of(path) == "first", WAIT_S)
    assert path.read_bytes() == bytes_of["first"]
    second.with_name("away").rename(second)
    wait_for("the second serves", lambda: _origin_of(path) == "second", WAIT_S)
    assert path.read_bytes() == bytes_of["second"]
