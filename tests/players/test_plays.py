"""What real programs do with tracks: those that play them are heard, and those that only read them are not."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MountLibrary
from tests.faults.living import track
from tests.mounting import POLL_S, Mounted, musicfs_command
from tests.players.mpd_server import mpd_on
from tests.players.programs import need, run

SECONDS = 5.0
PLAYERS = {
    "ffmpeg": ("ffmpeg", "-v", "error", "-re", "-i", "{track}", "-f", "null", "-"),
    "mpv": ("mpv", "--no-config", "--really-quiet", "--no-video", "--ao=null", "{track}"),
    "mpv-uncached": ("mpv", "--no-config", "--really-quiet", "--no-video", "--ao=null", "--cache=no", "{track}"),
    "ffplay": ("ffplay", "-v", "error", "-nodisp", "-autoexit", "{track}"),
}
READERS = {
    "cp": ("cp", "{track}", "{out}"),
    "sha256sum": ("sha256sum", "{track}"),
    "rsync": ("rsync", "{track}", "{out}"),
    "ffprobe": ("ffprobe", "-v", "error", "{track}"),
    "transcoding": ("ffmpeg", "-v", "error", "-i", "{track}", "-f", "wav", "-y", "{out}"),
}
SUFFIXES = {"mpv": "mp3", "ffplay": "ogg", "mpd": "mp3", "ffprobe": "m4a", "rsync": "ogg", "repeated": "m4a"}


class Heard:
    """``musicfs events`` beside the mount."""

    def __init__(self, mounted: Mounted) -> None:
        self.events: list[dict[str, Any]] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self._process = subprocess.Popen(
            [*musicfs_command(), "--config", str(mounted.folder / "config.toml"), "--json", "events",
             "--type", "file_accessed", "--type", "metadata_changed"],
            env=mounted.environment, cwd=mounted.folder, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()
        self._begin(mounted)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def _begin(self, mounted: Mounted) -> None:
        """Return once it listens: it hears of something that is done until then."""
        deadline = time.monotonic() + 30
        while not self.events:
            assert time.monotonic() < deadline
            path = str(min(mounted.point.rglob("scanned*")).relative_to(mounted.point))
            changed = mounted.command("metadata", "set", path, "--comment", str(time.monotonic()))
            assert changed.returncode == 0, changed.stderr
            with contextlib.suppress(queue.Empty):
                self.events.append(json.loads(self._lines.get(timeout=0.2)))
        self.events.clear()

    def wait_for(self, count: int, timeout_s: float = 30) -> list[dict[str, Any]]:
        """All plays there were, once there are so many."""
        deadline = time.monotonic() + timeout_s
        while len(self.events) < count:
            left = deadline - time.monotonic()
            assert left > 0, f"only {self.names()} were heard"
            with contextlib.suppress(queue.Empty):
                event = json.loads(self._lines.get(timeout=left))
                if event["type"] == "file_accessed":
                    self.events.append(event)
        return self.events

    def names(self) -> list[str]:
        return sorted(Path(event["path"]).stem for event in self.events)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    root = tmp_path / "music"
    for number, name in enumerate((*PLAYERS, *READERS, "mpd", "repeated", "scanned"), 1):
        track(root, f"{number}.{SUFFIXES.get(name, 'flac')}", title=name, track="1", seconds=SECONDS, seed=number)
    return root


@pytest.fixture
def heard(mount_library: MountLibrary, library: Path) -> Iterator[tuple[Mounted, Heard]]:
    mounted = mount_library({"o": library}, '[tree]\ntemplate = "$title.$format"\n')
    heard = Heard(mounted)
    yield mounted, heard
    heard.close()


def at(mounted: Mounted, name: str) -> Path:
    return mounted.point / f"{name}.{SUFFIXES.get(name, 'flac')}"


def begin(mounted: Mounted, out: Path, name: str, command: tuple[str, ...]) -> subprocess.Popen[bytes]:
    need(command[0])
    words = [word.format(track=at(mounted, name), out=out / f"{name}.wav") for word in command]
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, env={**os.environ, "SDL_AUDIODRIVER": "dummy"})


def played(mounted: Mounted, query: str) -> set[str]:
    """The titles of what a query finds."""
    target = mounted.folder / "found.json"
    target.unlink(missing_ok=True)
    done = mounted.command("metadata", "export", "--query", query, "--output", str(target))
    assert done.returncode == 0, done.stderr
    return {name for name in (*PLAYERS, *READERS, "mpd", "repeated", "scanned") if f'"{name}"' in target.read_text()}


def wait_until_searched(mounted: Mounted, query: str, titles: set[str]) -> None:
    """The index follows what is counted."""
    deadline = time.monotonic() + 30
    while True:
        done = mounted.command("--json", "search", query)
        assert done.returncode == 0, done.stderr
        found = {name for name in (*PLAYERS, *READERS, "mpd", "repeated", "scanned") if f'"{name}"' in done.stdout}
        if found == titles:
            return
        assert time.monotonic() < deadline, f"{query} finds {found}"
        time.sleep(POLL_S)


def test_who_plays_is_heard_and_who_reads_is_not(heard: tuple[Mounted, Heard], tmp_path: Path) -> None:
    mounted, events = heard
    for name, command in READERS.items():
        assert begin(mounted, tmp_path, name, command).wait(60) == 0
    with mpd_on(mounted.point, real_time=True) as mpd:
        mpd.mpc("--wait", "update")
        running = [begin(mounted, tmp_path, name, command) for name, command in PLAYERS.items()]
        mpd.mpc("add", at(mounted, "mpd").name)
        mpd.play_all()
        assert [process.wait(60) for process in running] == [0] * len(running)
    events.wait_for(len(PLAYERS) + 1)
    assert events.names() == sorted((*PLAYERS, "mpd"))
    for event in events.events:
        opened_ms, played_ms = (int(event["details"][name]) for name in ("opened_ms", "played_ms"))
        assert SECONDS * 500 <= played_ms - opened_ms < SECONDS * 1000, "when it was heard, and not when it was closed"
        assert event["origin_id"] == "o"
    assert played(mounted, "plays:>0") == played(mounted, "plays:1 played:>1h") == {*PLAYERS, "mpd"}
    wait_until_searched(mounted, "plays:>0", {*PLAYERS, "mpd"})
    wait_until_searched(mounted, "plays:0", {*READERS, "repeated", "scanned"})


def test_it_is_counted_again_each_time_and_follows_its_track(heard: tuple[Mounted, Heard]) -> None:
    mounted, events = heard
    for times in (1, 2):
        run(*(word.format(track=at(mounted, "repeated")) for word in PLAYERS["ffmpeg"]))
        events.wait_for(times)
        wait_until_searched(mounted, f"plays:{times}", {"repeated"})
    assert played(mounted, "plays:2") == {"repeated"}
    done = mounted.command("metadata", "set", "repeated.m4a", "--title", "sha256sum")
    assert done.returncode == 0, done.stderr
    assert played(mounted, "plays:2") == {"sha256sum"}


def test_who_wants_no_count_has_none(mount_library: MountLibrary, library: Path) -> None:
    mounted = mount_library({"o": library}, '[tree]\ntemplate = "$title.$format"\n[collections]\nplays = false\n')
    run(*(word.format(track=at(mounted, "repeated")) for word in PLAYERS["ffmpeg"]))
    assert played(mounted, "plays:>0") == set()
