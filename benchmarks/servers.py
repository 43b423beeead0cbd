"""MusicFS and its peers as servers that can be started, counted and stopped, each on a mount point of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from musicfs.api.backend import MountState, Status
from musicfs.api.client import Client, find_socket
from musicfs.api.paths import socket_candidates
from musicfs.config.settings import OriginSettings
from musicfs.errors import NoDaemonError, UnreachableError
from tests.mounting import REPOSITORY, Place, is_mount_point, musicfs_command, processes_of_session

START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 60
POLL_S = 0.005
# Degraded is settled too: so is a generated catalog, whose files are held back as vanished.
SETTLED = (MountState.READY, MountState.DEGRADED)


class Server(Protocol):
    """Something that serves files at ``point``."""

    @property
    def name(self) -> str: ...

    @property
    def point(self) -> Path: ...

    def start(self) -> None:
        """Mount, and return when files can be read."""
        ...

    def stop(self) -> None:
        """Unmount, and return when the process has ended; idempotent."""
        ...

    def pids(self) -> list[int]:
        """All processes of this server."""
        ...


def _wait_for_mount(point: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not is_mount_point(point):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} did not mount {point}:\n{log.read_text(errors='replace')}")
        time.sleep(POLL_S)


def _unmount(point: Path, process: subprocess.Popen[bytes]) -> None:
    """Unmount, then wait for the process; what does not end in time is killed, by its own process group."""
    helper = shutil.which("fusermount3") or shutil.which("fusermount") or "fusermount"
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while (
        is_mount_point(point)
        and subprocess.run([helper, "-u", str(point)], capture_output=True, check=False).returncode
    ):
        if time.monotonic() > deadline:
            subprocess.run([helper, "-uz", str(point)], check=False)
            break
        time.sleep(0.1)  # a client may still be closing its files
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_TIMEOUT_S)


@dataclass(slots=True)
class Peer:
    """A filesystem over ``source``: ``command`` gets the source and the mount point appended."""

    name: str
    command: tuple[str, ...]
    source: Path | str  # a folder, or whatever the command calls a place far away
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def point(self) -> Path:
        return self.folder / "mount"

    def start(self) -> None:
        self.point.mkdir(parents=True, exist_ok=True)
        log = self.folder / "log"
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [*self.command, str(self.source), str(self.point)],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        _wait_for_mount(self.point, self._process, log)

    def stop(self) -> None:
        if self._process is not None:
            _unmount(self.point, self._process)
            self._process = None

    def pids(self) -> list[int]:
        return [] if self._process is None else [self._process.pid]


PEERS: dict[str, tuple[str, ...]] = {
    "bindfs": ("bindfs", "-f"),
    "bindfs -mt": ("bindfs", "-f", "--multithreaded"),
    "mergerfs": ("mergerfs", "-f"),
    "rclone": ("rclone", "mount", "--config", "/dev/null", "--vfs-cache-mode", "off"),
    "rclone vfs": ("rclone", "mount", "--config", "/dev/null", "--vfs-cache-mode", "full"),
}


def peer(name: str, source: Path, folder: Path) -> Peer | None:
    """The peer of that name over ``source``; None when its program is not installed."""
    command = PEERS[name]
    if shutil.which(command[0]) is None:
        return None
    own = folder / name.replace(" ", "")
    if name == "rclone vfs":
        command = (*command, "--cache-dir", str(own / "cache"))
    return Peer(name, command, source, own)


def passthrough(source: Path, folder: Path) -> Peer | None:
    """The least a libfuse 2 server can do, in C, built here; None where there is no compiler or no libfuse to build with."""
    own = folder / "passthrough"
    own.mkdir(parents=True)
    program = own / "passthrough"
    flags = subprocess.run(["sh", "-c", "pkg-config --cflags --libs fuse"], capture_output=True, text=True, check=False)
    command = ["cc", "-O2", "-o", str(program), str(Path(__file__).with_name("passthrough.c")), *flags.stdout.split()]
    if flags.returncode or shutil.which("cc") is None or subprocess.run(command, check=False).returncode:
        return None
    return Peer("passthrough", (str(program),), source, own)


@dataclass(slots=True)
class MusicFS:
    """MusicFS over ``source``. Cache and state live in ``folder``, and survive a stop: the next start is a remount."""

    source: Path
    folder: Path
    settings: str = ""  # TOML before the origin's table
    cache: Path | None = None  # a ready cache directory instead of one of its own, with the state beside it
    name: str = "musicfs"
    origin: OriginSettings | None = None  # how the source is reached, if not as a folder
    _process: subprocess.Popen[bytes] | None = None
    _client: Client | None = None

    @property
    def point(self) -> Path:
        return self.folder / "mount"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def content_store(self) -> Path:
        """The folder of the content store."""
        return (self.cache or self.folder / "cache") / "chunks"

    def write_config(self) -> None:
        self.point.mkdir(parents=True, exist_ok=True)
        (self.folder / "run").mkdir(mode=0o700, exist_ok=True)
        origin = self.origin or OriginSettings(id="music", path=str(self.source))
        text = json.dumps  # a JSON string is a TOML basic string
        (self.folder / "config.toml").write_text(
            f"mount_point = {text(str(self.point))}\n"
            f"cache_dir = {text(str(self.cache or self.folder / 'cache'))}\n"
            f"state_dir = {text(str((self.cache.parent if self.cache else self.folder) / 'state'))}\n"
            # Their links would be found, walked and read beside the files that peers have too.
            f"{self.settings}\n[collections]\nbuiltin = false\n"
            + "\n".join(Place(self.source, origin).table(origin.id))
            + "\n",
            encoding="utf-8",
        )

    def arguments(self, *arguments: str) -> list[str]:
        return [*musicfs_command(), "--config", str(self.folder / "config.toml"), *arguments]

    def environment(self) -> dict[str, str]:
        paths = filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
        own = {
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "PYTHONPATH": os.pathsep.join(paths),
        }
        return {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("XDG_", "MUSICFS_", "PYTHONDONTWRITEBYTECODE"))
            },
            **own,
        }

    def spawn(self) -> subprocess.Popen[bytes]:
        """Execute ``mount --foreground`` and return at once."""
        with self.log.open("ab") as stream:
            self._process = subprocess.Popen(
                self.arguments("mount", str(self.point), "--foreground"),
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        return self._process

    def start(self) -> None:
        self.mount()
        self.wait_until_scanned()

    def mount(self) -> None:
        """Mount without waiting for a scan."""
        self.write_config()
        _wait_for_mount(self.point, self.spawn(), self.log)

    def run(self, *arguments: str, timeout_s: float = 3600) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.arguments(*arguments),
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def status(self) -> Status | None:
        """What the daemon says of itself; None while nothing answers.

        Asked through the project's own client in this process: a command each time would take a third of a second of CPU
        from what is being measured.
        """
        try:
            if self._client is None:
                self._client = Client(
                    find_socket(socket_candidates("config", str(self.folder / "state"), self.environment()))
                )
            return self._client.status()
        except (NoDaemonError, UnreachableError):
            self._forget_client()
            return None

    def client(self) -> Client:
        """The connection to the running daemon; it lives until :meth:`stop`."""
        if self.status() is None or self._client is None:
            raise RuntimeError(f"musicfs does not answer:\n{self.log.read_text(errors='replace')[-4000:]}")
        return self._client

    def _forget_client(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def wait_until_scanned(self, timeout_s: float = 3600) -> None:
        """Until nothing is being scanned any more."""
        deadline = time.monotonic() + timeout_s
        while (status := self.status()) is None or status.work or status.state not in SETTLED:
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"musicfs did not finish its scan:\n{self.log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        self._forget_client()
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(STOP_TIMEOUT_S)
        _unmount(self.point, self._process)
        self._process = None

    def pids(self) -> list[int]:
        if self._process is None:
            return []
        return [int(line.split()[0]) for line in processes_of_session(self._process.pid)]

    @property
    def mount_pid(self) -> int:
        assert self._process is not None
        return self._process.pid
