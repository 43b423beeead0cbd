"""A home with a mounted library in which the examples of the helps make sense, and commands typed there as in a shell."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from musicfs.testing.audio import make_audio
from musicfs.testing.images import make_jpeg
from tests.cli.conftest import REPOSITORY, Done
from tests.cli.terminal import watch_terminal
from tests.faults.living import wait_for

_SCAN_S = 60.0
_COMMAND_S = 60.0
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

# (path at the origin, kind, tags): what the examples speak of.
_TRACKS: Sequence[tuple[str, str, dict[str, str]]] = (
    ("Björk/Glóð/1 - Ísbrú.mp3", "mp3",
     {"title": "Ísbrú", "artist": "Björk", "album": "Glóð", "date": "2001", "genre": "Ambient", "track": "1"}),
    ("Björk/Homogenic/1.flac", "flac",
     {"title": "Hunter", "artist": "Björk", "album": "Homogenic", "date": "1997", "genre": "Electronic", "track": "1"}),
    ("Nina Simone/Pastel Blues/1.flac", "flac",
     {"title": "Sinnerman", "artist": "Nina Simone", "album": "Pastel Blues", "date": "1965", "genre": "Jazz", "bpm": "70"}),
    ("New Arrivals/Master of Puppets.flac", "flac",
     {"title": "Battery", "artist": "Metallica", "album": "Master of Puppets", "date": "1986", "genre": "Metal"}),
    ("New Arrivals/Enter Sandman.flac", "flac",
     {"title": "Enter Sandman", "artist": "Metallica", "album": "Metallica", "date": "1991", "genre": "Metal"}),
    ("New Arrivals/Again.flac", "flac",
     {"title": "Enter Sandman", "artist": "Metallica", "album": "The Best", "date": "2000", "genre": "Metal"}),
)  # fmt: skip


class House:
    """Everything of one user below ``root``; ``nas`` is the id of the origin, ``~/Music-by-tag`` the mount point."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.mount_point = self.home / "Music-by-tag"
        self.music = root / "srv" / "music"
        self.work = self.home / "work"
        for folder in (self.mount_point, self.music, self.work, root / "run", root / "bin", root / "mnt/nas/music"):
            folder.mkdir(parents=True)
        (root / "run").chmod(0o700)
        for number, (path, kind, tags) in enumerate(_TRACKS):
            seed = 4 if "Sandman" in tags["title"] else number  # one recording is there twice
            make_audio(
                self.music / path, kind, seconds=0.5, tags={name: (text,) for name, text in tags.items()}, seed=seed
            )
        (self.music / "broken.flac").write_bytes(b"no music")
        (self.work / "front.jpg").write_bytes(make_jpeg("navy"))
        config = self.home / ".config" / "musicfs" / "config.toml"
        config.parent.mkdir(parents=True)
        config.write_text(
            f"mount_point = {str(self.mount_point)!r}\n[[origins]]\nid = 'nas'\npath = {str(self.music)!r}\ncache = 'on'\n"
        )
        (self.work / "new.toml").write_text(config.read_text())
        for shell in ("bash-completion/completions", "fish"):
            (self.home / ".local/share" / shell).mkdir(parents=True)
        (self.home / ".config/fish/completions").mkdir(parents=True)
        self._program("musicfs", f'exec {sys.executable} -m musicfs.cli.main "$@"')
        self._program("mpv", 'for path; do test -f "$path" || exit 1; done')
        self.environment = {
            "HOME": str(self.home), "PATH": f"{root / 'bin'}:{os.environ['PATH']}", "XDG_RUNTIME_DIR": str(root / "run"),
            "LC_ALL": "C.UTF-8", "PYTHONPATH": str(REPOSITORY), "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40",
            "USER": "ada",
        }  # fmt: skip

    def _program(self, name: str, script: str) -> None:
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def start(self) -> None:
        """Mount, and wait until everything is scanned and can be found."""
        assert self.run("musicfs", "mount").code == 0
        wait_for("the first scan", self._is_ready, _SCAN_S)
        link = self.work / "song.mp3"
        if not link.is_symlink():
            link.symlink_to(self.mount_point / "Björk/Glóð (2001) [MP3]/01 - Ísbrú.mp3")

    def _is_ready(self) -> bool:
        status = json.loads(self.run("musicfs", "--json", "status").out)
        if status["state"] != "ready" or status["files_indexed"] < len(_TRACKS):
            return False
        done = self.run("musicfs", "--json", "search", "*")
        return done.code == 0 and json.loads(done.out)["total"] == status["tracks"]

    def stop(self) -> None:
        """Unmount, if it is mounted."""
        self.run("musicfs", "shutdown", "--graceful", "false")

    def delete(self, path: str) -> None:
        """Delete an original, and wait until its track is in the trash."""
        (self.music / path).rename(self.root / "deleted")
        wait_for("a deleted track", lambda: self.documents("trash", "list")[0], _SCAN_S)

    def let_return(self, path: str) -> None:
        """Have the original back that was deleted, and wait until its track is in the tree."""
        (self.root / "deleted").rename(self.music / path)
        tracks = len(_TRACKS) + 1  # and the one that is broken
        wait_for("the track", lambda: self.documents("status")[0]["tracks"] == tracks, _SCAN_S)
        wait_for("an empty trash", lambda: not self.documents("trash", "list")[0], _SCAN_S)

    def run(self, *command: str, cwd: Path | None = None) -> Done:
        """A command with its output in pipes."""
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMMAND_S, check=False, cwd=cwd or self.work,
            env=self.environment,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def documents(self, *arguments: str) -> list[Any]:
        """What a command prints with --json: its document, or one a line."""
        done = self.run("musicfs", "--json", *arguments)
        assert done.err == "", done
        return [json.loads(line) for line in done.out.splitlines()]

    def on_terminal(
        self,
        line: str,
        *,
        typed: str = "",
        interrupt_after: str = "",
        meanwhile: Callable[[], object] | None = None,
        shell: str = "bash",
    ) -> tuple[int, str]:
        """A line in a shell on a terminal; its exit code, and what is seen, uncoloured. See watch_terminal."""
        process, master = pty.fork()
        if process == 0:
            os.chdir(self.work)
            os.execvpe(shell, [shell, "-c", line], self.environment)
        seen = watch_terminal(master, typed, interrupt_after=interrupt_after, meanwhile=meanwhile)
        _, status = os.waitpid(process, 0)
        code = os.waitstatus_to_exitcode(status)
        return 128 - code if code < 0 else code, _ESCAPES.sub("", seen).replace("\r\n", "\n")


INTERRUPTED = 128 + signal.SIGINT
