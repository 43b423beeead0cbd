"""A real mount for tests: the real command, in a process of its own, on a mount point of its own.

:func:`mount` starts ``musicfs mount --foreground`` with its own home, configuration, cache and state below one temporary
folder, and waits until the first scan is over. Closing proves what every mount must leave behind: the process has ended
and so have all it started, nothing is mounted, nothing was warned of, and every original has the bytes and times it had.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from musicfs.config.settings import OriginSettings
from musicfs.config.toml_text import format_value

REPOSITORY = Path(__file__).parent.parent
POLL_S = 0.1
READY_STATES = ("ready", "mount_ready")
COMPLAINT = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b|Traceback \(most recent call last\)")


def musicfs_command() -> list[str]:
    """The command as a user would run it: the installed script beside this interpreter, else its entry point."""
    script = Path(sys.executable).with_name("musicfs")
    if script.exists():
        return [str(script)]
    return [sys.executable, "-c", "import sys; from musicfs.cli.main import main; sys.exit(main())"]


def is_mount_point(path: Path) -> bool:
    """True when the kernel has a mount at ``path``; unlike ``os.path.ismount`` it never asks the filesystem itself."""
    wanted = str(path).replace("\\", "\\134").replace(" ", "\\040")
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    return any(line.split(" ")[4] == wanted for line in mounts.splitlines())


def processes_of_session(session: int) -> list[str]:
    """``pid name`` of every live process whose session is ``session``; zombies, which only await their parent, left out."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        head, _, tail = text.rpartition(")")
        state, _parent, _group, its_session = tail.split()[:4]
        if int(its_session) == session and state != "Z":
            found.append(f"{stat.parent.name} {head.partition('(')[2]}")
    return found


def originals(roots: Sequence[Path]) -> dict[str, tuple[int, int, str]]:
    """Size, modification time and digest of every file below ``roots``: what no run may change."""
    known = {}
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.is_file() and not path.is_symlink():
                status = path.stat()
                with path.open("rb") as stream:
                    digest = hashlib.file_digest(stream, "blake2b").hexdigest()
                known[str(path)] = (status.st_size, status.st_mtime_ns, digest)
    return known


@dataclass(frozen=True, slots=True)
class Place:
    """An origin to mount: ``root`` is the folder with its files on this machine, ``settings`` how to reach them."""

    root: Path
    settings: OriginSettings

    def table(self, origin_id: str) -> list[str]:
        """Its table of the configuration: what is not a default."""
        written = {"id": origin_id}
        for name in self.settings.__struct_fields__[1:]:
            value = getattr(self.settings, name)
            if value != getattr(_DEFAULTS, name):
                written[name] = value
        return ["[[origins]]", *(f"{name} = {format_value(value)}" for name, value in written.items())]


_DEFAULTS = OriginSettings(id="x")


@dataclass(frozen=True, slots=True)
class ServedFile:
    """A file of the mount and the original its bytes come from."""

    virtual: Path
    origin: Path


@dataclass(slots=True)
class Mounted:
    """A running mount. ``point`` is where; ``roots`` maps each origin's id to its folder."""

    point: Path
    roots: dict[str, Path]
    folder: Path
    process: subprocess.Popen[bytes]
    environment: dict[str, str]
    allowed: list[re.Pattern[str]] = field(default_factory=list)
    _before: dict[str, tuple[int, int, str]] = field(default_factory=dict)

    @property
    def log(self) -> str:
        """All the mount has said on its standard error so far."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def allow_log(self, pattern: str) -> None:
        """Expect warnings that match ``pattern``; any other still fails the test at the end."""
        self.allowed.append(re.compile(pattern))

    def command(self, *arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Run ``musicfs ARGUMENTS`` against this mount; does not raise when it fails."""
        return subprocess.run(
            [*musicfs_command(), "--config", str(self.folder / "config.toml"), *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        """What ``musicfs status --json`` says; empty while nothing answers yet."""
        answer = self.command("status", "--json")
        if answer.returncode != 0:
            return {}
        status: dict[str, Any] = json.loads(answer.stdout)
        return status

    def wait_until_scanned(self, timeout_s: float = 180) -> None:
        """Return once every origin's first scan is over; fail when the process ends or the time is up."""
        deadline = time.monotonic() + timeout_s
        status: dict[str, Any] = {}
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"the mount ended with {self.process.returncode}:\n{self.log}"
            status = self.status()
            if str(status.get("state", "")).lower() in READY_STATES:
                return
            time.sleep(POLL_S)
        raise AssertionError(f"not scanned after {timeout_s} s; last status {status}; log:\n{self.log}")

    def files(self) -> Iterator[ServedFile]:
        """Every regular file of the mount that is an original, in the order of its names; asks the mount's xattrs.

        A cover that was taken out of a track, or converted, names where it comes from too: it is none of these.
        """
        for virtual in sorted(self.point.rglob("*")):
            if not virtual.is_file() or virtual.is_symlink():
                continue
            try:
                origin_id = os.getxattr(virtual, "user.musicfs.origin").decode()
                path = os.getxattr(virtual, "user.musicfs.origin_path")
            except OSError:
                continue  # made by MusicFS itself: a playlist
            origin = Path(os.fsdecode(os.path.join(os.fsencode(self.roots[origin_id]), path)))
            if origin.suffix.lower() == virtual.suffix.lower():
                yield ServedFile(virtual, origin)

    def close(self, timeout_s: float = 40) -> None:
        """Stop it by SIGTERM, and check all that the module's docstring promises."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout_s)
            left = _wait_for_session_end(self.process.pid)
            assert not left, f"still running after the mount ended: {left}\n{self.log}"
            assert code == 0, f"the mount ended with {code}:\n{self.log}"
            assert not is_mount_point(self.point), f"still mounted:\n{self.log}"
            assert not list(self.point.iterdir()), "something was written into the covered folder"
        finally:
            self._abandon()
        complaints = [
            line
            for line in self.log.splitlines()
            if COMPLAINT.search(line) and not any(pattern.search(line) for pattern in self.allowed)
        ]
        assert not complaints, "unexpected in the log:\n" + "\n".join(complaints)
        after = originals(list(self.roots.values()))
        assert after == self._before, "the originals changed"

    def _abandon(self) -> None:
        """Leave nothing behind, whatever happened: for a failed test, silent after a good one."""
        if self.process.poll() is None or processes_of_session(self.process.pid):
            os.killpg(self.process.pid, signal.SIGKILL)  # its own session: nobody else is in this group
            self.process.wait(10)
        if is_mount_point(self.point):
            helper = shutil.which("fusermount") or "fusermount3"
            subprocess.run([helper, "-uz", str(self.point)], check=False)
        shutil.rmtree(self.environment["XDG_RUNTIME_DIR"], ignore_errors=True)


def _wait_for_session_end(session: int, timeout_s: float = 10) -> list[str]:
    deadline = time.monotonic() + timeout_s
    while (left := processes_of_session(session)) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return left


def _toml_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a JSON string is a TOML basic string


def start(roots: Mapping[str, Path | Place], folder: Path, settings: str = "", within: Sequence[str] = ()) -> Mounted:
    """Begin to mount ``roots`` (origin id to folder or :class:`Place`) below ``folder``; returns without waiting.

    ``settings`` is TOML that is put before the origins: top-level keys first, then tables. Without a table of them there
    are no collections, which would show every track of a small library twice. Nor are there ports without one. ``within``
    is a command that runs ours somewhere else.
    ``folder`` gets ``mount/``, ``cache/``, ``state/``, ``home/``, ``config.toml`` and ``log``.
    """
    point = folder / "mount"
    for path in (point, folder / "cache", folder / "state", folder / "home"):
        path.mkdir(parents=True, exist_ok=True)
    config = [
        f"mount_point = {_toml_text(str(point))}",
        f"cache_dir = {_toml_text(str(folder / 'cache'))}",
        f"state_dir = {_toml_text(str(folder / 'state'))}",
        settings,
        "" if "[collections]" in settings else "[collections]\nbuiltin = false",
        # Nobody's default ports: many mounts live beside each other here.
        "" if "[grpc]" in settings else "[grpc]\naddresses = []",
        "" if "[metrics]" in settings else '[metrics]\naddress = ""',  # the default one is a single port of the machine
    ]
    places = {
        origin_id: root if isinstance(root, Place) else Place(root, OriginSettings(id=origin_id, path=str(root)))
        for origin_id, root in roots.items()
    }
    folders = {origin_id: place.root for origin_id, place in places.items()}
    for origin_id, place in places.items():
        config += place.table(origin_id)
    (folder / "config.toml").write_text("\n".join(config) + "\n", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MUSICFS_", "XDG_"))}
    environment |= {
        "HOME": str(folder / "home"),
        # Short, because a socket's path holds 107 bytes at most.
        "XDG_RUNTIME_DIR": tempfile.mkdtemp(prefix="musicfs-run-"),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH", "")])),
        "PYTHONUNBUFFERED": "1",
    }
    before = originals(list(folders.values()))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*within, *musicfs_command(), "--config", str(folder / "config.toml"), "mount", str(point), "--foreground"],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Mounted(point, folders, folder, process, environment, _before=before)


def mount(roots: Mapping[str, Path | Place], folder: Path, settings: str = "", within: Sequence[str] = ()) -> Mounted:
    """As :func:`start`, and wait until the first scan is over. What fails leaves nothing behind."""
    mounted = start(roots, folder, settings, within)
    try:
        mounted.wait_until_scanned()
    except BaseException:  # also a keyboard interrupt must not leave a mount
        mounted._abandon()
        raise
    return mounted
