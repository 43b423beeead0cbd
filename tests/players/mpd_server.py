"""An mpd of one's own: configured, started, spoken to, and ended."""

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
    sync "{sync}"
}}
"""
# As fast as the music goes; a decoder that is not 20 s ahead of it has not read all of a short track at once.
REAL_TIME = 'audio_buffer_size "128"\n'


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
def mpd_on(music: Path, *, real_time: bool = False) -> Iterator[Mpd]:
    """An mpd with everything it writes in a folder of its own, and a Unix socket for its only address.

    It plays as fast as it can, or in real time.
    """
    folder = Path(tempfile.mkdtemp(prefix="musicfs-mpd-"))  # short: a socket's path holds 107 bytes at most
    (folder / "playlists").mkdir()
    config = CONFIG.format(music=music, folder=folder, sync="yes" if real_time else "no")
    (folder / "mpd.conf").write_text(config + (REAL_TIME if real_time else ""), encoding="utf-8")
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
