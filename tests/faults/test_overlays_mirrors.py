"""Corrections of a track that lies on two origins: both files have them, whichever is read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import mutagen
import pytest

from musicfs.config.settings import OriginSettings
from musicfs.testing.audio import make_audio, run_ffmpeg
from tests.conftest import MountLibrary
from tests.correcting import Tagger, overlay_names
from tests.faults.living import accept_originals, album, digest, track, wait_for
from tests.mounting import Mounted, Place

SETTINGS = "[health]\ncheck_interval_secs = 1\n[prefetch]\nnext_track = false\n"
AWAY = "cannot be read|open:|read:"
Begin = Callable[..., Tagger]


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    first, second = tmp_path / "first", tmp_path / "second"
    album(first, "One", 3)
    second.mkdir()
    (second / "readme.txt").write_text("not empty")
    return first, second


@pytest.fixture
def begin(roots: tuple[Path, Path], mount_library: MountLibrary) -> Iterator[Begin]:
    taggers: list[Tagger] = []

    def begin_with(settings: str = "", cache: Literal["auto", "on"] = "auto") -> Tagger:
        places = {
            root.name: Place(root, OriginSettings(id=root.name, path=str(root), priority=number, cache=cache))
            for number, root in enumerate(roots, 1)
        }
        taggers.append(Tagger(mount_library(places, settings + SETTINGS)))
        taggers[-1].mounted.allow_log(AWAY)
        return taggers[-1]

    yield begin_with
    for tagger in taggers:
        tagger.close()


def source_of(path: Path) -> str:
    try:
        return os.getxattr(path, "user.musicfs.origin").decode()
    except OSError:
        return ""


def songs(mounted: Mounted) -> list[str]:
    return sorted(path.name for path in mounted.point.rglob("*.flac"))


def test_a_mirror_that_appears_has_the_corrections(begin: Begin, roots: tuple[Path, Path]) -> None:
    first, second = roots
    tagger = begin()
    mounted = tagger.mounted
    for number in (1, 2):
        path = tagger.set(
            mounted.point / "A" / "One [FLAC]" / f"0{number} - One {number}.flac", title=f"Right {number}"
        )
    known = digest(path)
    for file in sorted((first / "One").iterdir()):
        (second / "Mirror").mkdir(exist_ok=True)
        shutil.copyfile(file, second / "Mirror" / file.name)  # with a time of its own
    accept_originals(mounted)
    wait_for("it is found", lambda: _attribute(path, "user.musicfs.mirrors") is not None)
    assert songs(mounted) == ["01 - Right 1.flac", "02 - Right 2.flac", "03 - One 3.flac"]
    first.rename(first.with_name("away"))
    try:
        wait_for("the other one serves", lambda: source_of(path) == "second", 20)
        wait_for("the same corrected bytes", lambda: digest(path) == known)
        assert songs(mounted) == ["01 - Right 1.flac", "02 - Right 2.flac", "03 - One 3.flac"]
        moved = tagger.set(path, title="Meanwhile")
        assert mutagen.File(moved)["title"] == ["Meanwhile"]
    finally:
        first.with_name("away").rename(first)
    wait_for("the first serves again", lambda: source_of(moved) == "first", 20)
    wait_for("what was said meanwhile", lambda: mutagen.File(moved)["title"] == ["Meanwhile"], 20)
    assert songs(mounted) == ["01 - Right 1.flac", "02 - Meanwhile.flac", "03 - One 3.flac"]
    assert overlay_names(moved) == {"title"}
    back = tagger.undo(moved)
    wait_for("the bytes of before", lambda: digest(back) == known)


def _attribute(path: Path, name: str) -> bytes | None:
    """An extended attribute; ``mirrors`` is there once there is another source, whether compared or not."""
    try:
        return os.getxattr(path, name)
    except OSError:
        return None


def test_a_corrected_song_goes_on_when_its_origin_ends(begin: Begin, roots: tuple[Path, Path]) -> None:
    for root in roots:  # 30 MB, more than the kernel reads ahead; the cache keeps nothing
        make_audio(
            root / "Long/1.wav", seconds=170.0, tags={"artist": "A", "album": "Long", "title": "L", "track": "1"}
        )
    os.utime(roots[1] / "Long/1.wav", (1, 1))
    tagger = begin("[cache]\ncontent_cache_gb = 0\n", "on")
    path = tagger.set(tagger.mounted.point / "A" / "Long [WAV]" / "01 - L.wav", title="A longer title " * 40)
    assert source_of(path) == "first"
    whole = path.read_bytes()
    assert b"A longer title A longer" in whole[-20_000:] + whole[:20_000]
    with path.open("rb", buffering=0) as stream:
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        got = bytearray(stream.read(1 << 20))
        wait_for("compared", lambda: _attribute(path, "user.musicfs.mirrors") == b"second", 30)
        roots[0].rename(roots[0].with_name("away"))
        try:
            while more := stream.read(1 << 17):
                got += more
        finally:
            roots[0].with_name("away").rename(roots[0])
    assert bytes(got) == whole


def test_every_recording_of_a_track_is_corrected(begin: Begin, roots: tuple[Path, Path]) -> None:
    first, second = roots
    track(first, "Two/1.flac", title="Song", album="Two")
    (second / "Two").mkdir()
    studio = run_ffmpeg(["-i", str(first / "Two/1.flac"), "-ar", "96000", "-sample_fmt", "s32", "-f", "flac", "-"])
    (second / "Two" / "1.flac").write_bytes(studio)
    tagger = begin('[tree]\nprefer = "quality"\nversions = true\n')
    path = tagger.mounted.point / "A" / "Two [FLAC]" / "01 - Song.flac"
    assert source_of(path) == "second"
    path = tagger.set(path, title="Right", album="Three")
    assert mutagen.File(path).info.sample_rate == 96_000
    assert mutagen.File(path)["title"] == ["Right"]
    hidden = path.parent / ".versions" / "01 - Right [first].flac"
    wait_for("the other recording", lambda: hidden.exists() and mutagen.File(hidden)["title"] == ["Right"])
    assert mutagen.File(hidden).info.sample_rate == 44_100
    second.rename(second.with_name("away"))
    try:
        wait_for("the lesser recording", lambda: source_of(path) == "first", 20)
        wait_for("corrected", lambda: mutagen.File(path)["title"] == ["Right"])
        assert mutagen.File(path).info.sample_rate == 44_100
    finally:
        second.with_name("away").rename(second)
    wait_for("the better one", lambda: source_of(path) == "second", 20)
    back = tagger.clear(path)
    assert back.name == "01 - Song.flac"
    assert back.read_bytes() == studio
    assert not (back.parent / ".versions" / "01 - Right [first].flac").exists()
