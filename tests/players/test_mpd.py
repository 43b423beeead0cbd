"""mpd takes the mount for its music folder: its database counts every track, and it plays to the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import MountLibrary
from tests.mounting import Mounted, ServedFile
from tests.players.programs import need, run

POLL_S = 0.05
CONFIG = """
music_directory "{music}"
playlist_directory "{folder}/playlists"
db_file "{folder}/database"
state_file "{folder}/state"
sticker_file "{folder}/stickers"
bind_to_address "{folder}/socket"
auto_update "no"
follow_outside_symlinks "no"
# With these, a track that a cue sheet names would be listed as a part of the sheet.
playlist_plugin {{
    name "cue"
    enabled "no"
}}
playlist_plugin {{
    name "embcue"
    enabled "no"
}}
audio_output {{
    type "null"
    name "null"
    sync "no"
}}
"""


@dataclass(frozen=True, slots=True)
class Mpd:
    """A running mpd, spoken to through its own client."""

    folder: Path
    process: subprocess.Popen[bytes]

    def mpc(self, *arguments: str, timeout_s: float = 120) -> str:
        return run("mpc", "--host", str(self.folder / "socket"), *arguments, timeout_s=timeout_s)

    def songs(self) -> list[str]:
        """Every song of the database, as paths below the music folder."""
        return self.mpc("listall").splitlines()

    def play_all(self, timeout_s: float = 120) -> None:
        """Play the queue; return once every song of it was played to its end."""
        self.mpc("consume", "on")  # what was played leaves the queue
        self.mpc("play")
        deadline = time.monotonic() + timeout_s
        while left := self.mpc("playlist"):
            assert self.process.poll() is None, "mpd has ended"
            assert time.monotonic() < deadline, f"not played after {timeout_s} s: {left}{self.mpc('status')}"
            time.sleep(POLL_S)
        assert "ERROR" not in self.mpc("status")


@contextlib.contextmanager
def mpd_on(music: Path) -> Iterator[Mpd]:
    """An mpd with everything it writes in a folder of its own, and a Unix socket for its only address."""
    folder = Path(tempfile.mkdtemp(prefix="musicfs-mpd-"))  # short: a socket's path holds 107 bytes at most
    (folder / "playlists").mkdir()
    (folder / "mpd.conf").write_text(CONFIG.format(music=music, folder=folder), encoding="utf-8")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [need("mpd"), "--no-daemon", "--stderr", str(folder / "mpd.conf")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "HOME": str(folder), "XDG_CACHE_HOME": str(folder)},
        )
    mpd = Mpd(folder, process)
    try:
        deadline = time.monotonic() + 30
        while not (folder / "socket").exists():
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text(errors="replace")
            time.sleep(POLL_S)
        yield mpd
    except BaseException:
        print((folder / "log").read_text(errors="replace"))
        raise
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)
            raise
        finally:
            shutil.rmtree(folder)


@pytest.fixture(scope="module")
def mpd(mounted: Mounted) -> Iterator[Mpd]:
    with mpd_on(mounted.point) as running:
        running.mpc("--wait", "update", timeout_s=300)
        yield running


def test_the_database_has_every_track(mpd: Mpd, mounted: Mounted, tracks: tuple[ServedFile, ...]) -> None:
    assert sorted(mpd.songs()) == sorted(str(track.virtual.relative_to(mounted.point)) for track in tracks)


def test_it_reads_the_tags_that_made_the_tree(mpd: Mpd, mounted: Mounted) -> None:
    artists = {folder.name for folder in mounted.point.iterdir() if folder.is_dir()}
    known = set(mpd.mpc("list", "albumartist").splitlines()) | set(mpd.mpc("list", "artist").splitlines())
    assert artists - {"Unknown Artist", "Various Artists"} <= {name.replace("/", "_") for name in known}


def test_an_update_with_nothing_changed_changes_nothing(mpd: Mpd) -> None:
    before = mpd.mpc("stats").split("DB Updated:")[0]
    mpd.mpc("--wait", "update")
    assert mpd.mpc("stats").split("DB Updated:")[0].splitlines()[:3] == before.splitlines()[:3]


def test_it_plays_one_of_each_format_to_the_end(mpd: Mpd, mounted: Mounted, one_of_each: dict[str, ServedFile]) -> None:
    mpd.mpc("clear")
    for track in one_of_each.values():
        mpd.mpc("add", str(track.virtual.relative_to(mounted.point)))
    mpd.play_all()


@pytest.mark.real_music
def test_real_music(real_music: Path, mount_library: MountLibrary) -> None:
    mounted = mount_library({"wesnoth": real_music})
    with mpd_on(mounted.point) as mpd:
        mpd.mpc("--wait", "update", timeout_s=120)
        songs = mpd.songs()
        assert len(songs) == len(list(real_music.rglob("*.ogg")))
        assert "wesnoth" in mpd.mpc("list", "album").lower()
        mpd.mpc("add", min(songs, key=lambda song: (mounted.point / song).stat().st_size))
        mpd.play_all()
