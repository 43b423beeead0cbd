"""What the tests of a living mount share: polling with a deadline, tiny libraries, and a walker that checks every byte."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from musicfs.testing.audio import make_audio
from tests.mounting import Mounted, musicfs_command, originals

T = TypeVar("T")

POLL_S = 0.02
FOLLOWS_S = 2.0  # SPEC 3: a change is seen in the mount without remount


def wait_for(what: str, found: Callable[[], T], timeout_s: float = 10.0) -> T:
    """The first true value of ``found``; fails with ``what`` when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = found()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}; last: {value!r}"
        time.sleep(POLL_S)


def track(root: Path, path: str, *, title: str, seconds: float = 0.2, seed: int = 1, **tags: str) -> Path:
    """A tagged file below ``root``, of one artist and album unless told otherwise."""
    return make_audio(
        root / path, seconds=seconds, tags={"artist": "A", "album": "B", "title": title, "track": "1"} | tags, seed=seed
    )


def album(root: Path, name: str, tracks: int = 4, *, suffix: str = "flac", seconds: float = 0.2) -> list[Path]:
    """A folder of tagged files, an album of its own."""
    return [
        track(
            root, f"{name}/{number:02}.{suffix}", title=f"{name} {number}", album=name, track=str(number), seed=number,
            seconds=seconds,
        )
        for number in range(1, tracks + 1)
    ]  # fmt: skip


def accept_originals(mounted: Mounted) -> None:
    """The test has changed the originals itself: what they are now is what they must be at the end."""
    mounted._before = originals(list(mounted.roots.values()))


def digest(path: Path | str) -> str:
    """The hash of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "blake2b").hexdigest()


def origin_of(mounted: Mounted, virtual: str | Path) -> Path | None:
    """The original of a file in the mount; None for what MusicFS makes itself."""
    try:
        origin = os.getxattr(virtual, "user.musicfs.origin").decode()
        path = os.getxattr(virtual, "user.musicfs.origin_path")
    except OSError as error:
        if error.errno == errno.ENODATA:
            return None
        raise
    found = Path(os.fsdecode(os.fsencode(mounted.roots[origin]) + b"/" + path))
    return found if found.suffix == Path(virtual).suffix else None  # a cover is a range of its track


def tree(mounted: Mounted) -> dict[str, Path]:
    """Virtual path (from the mount point) -> original, of every file that is one original's bytes."""
    found = {}
    for folder, _, files in os.walk(mounted.point):
        for name in files:
            virtual = os.path.join(folder, name)
            try:
                origin = origin_of(mounted, virtual)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ESTALE):
                    raise
                continue  # it left while we walked
            if origin is not None:
                found[os.path.relpath(virtual, mounted.point)] = origin
    return found


def check_everything(mounted: Mounted) -> dict[str, Path]:
    """Every file of the mount has its original's size, time and bytes, and every original appears once; the tree."""
    found = tree(mounted)
    for virtual, origin in found.items():
        path = mounted.point / virtual
        assert path.stat().st_size == origin.stat().st_size, virtual
        assert path.stat().st_mtime_ns == origin.stat().st_mtime_ns, virtual
        assert digest(path) == digest(origin), virtual
    assert len(set(found.values())) == len(found), "an original appears twice"
    return found


def virtual_of(mounted: Mounted, origin: Path) -> Path:
    """Where an original appears in the mount; fails if it does not."""
    for virtual, its_origin in tree(mounted).items():
        if its_origin == origin:
            return mounted.point / virtual
    raise AssertionError(f"{origin} is not in the mount")


class Player(threading.Thread):
    """Walks, stats and reads the mount in circles, as a media server and its listeners do, until stopped.

    ``errors`` holds what no player may see: anything but ENOENT and ESTALE, and those too unless ``may_vanish``; and every
    file that came shorter or longer than its size said.
    """

    def __init__(self, point: Path, *, may_vanish: bool) -> None:
        super().__init__(name="player", daemon=True)
        self._point = point
        self._allowed = {errno.ENOENT, errno.ESTALE} if may_vanish else set()
        self._ending = threading.Event()
        self.errors: list[str] = []
        self.rounds = 0
        self.reads = 0

    def run(self) -> None:
        while not self._ending.is_set():
            for folder, _, files in os.walk(self._point, onerror=self._note):
                for name in files:
                    if self._ending.is_set():
                        return
                    self._play(os.path.join(folder, name))
            self.rounds += 1

    def _play(self, path: str) -> None:
        try:
            with open(path, "rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                data = stream.read()
        except OSError as error:
            self._note(error)
            return
        self.reads += 1
        if len(data) != size:
            self.errors.append(f"{path}: {len(data)} bytes of {size}")
        if len(data) >= 4096 and not any(data[-4096:]):
            self.errors.append(f"{path}: zeros at its end")

    def _note(self, error: OSError) -> None:
        if error.errno not in self._allowed:
            self.errors.append(str(error))

    def stop(self) -> None:
        """End, and fail if anything went wrong."""
        self._ending.set()
        self.join(30)
        assert not self.is_alive(), "a read or stat hangs"
        assert not self.errors, f"{len(self.errors)} errors: {self.errors[:10]}"


def processes_below(pid: int) -> dict[int, str]:
    """pid -> command line of every live descendant."""
    children: dict[int, list[int]] = {}
    lines: dict[int, str] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = Path("/proc", entry, "stat").read_text(errors="replace")
            line = Path("/proc", entry, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, parent = stat.rpartition(")")[2].split()[:2]
        if state != "Z":
            children.setdefault(int(parent), []).append(int(entry))
            lines[int(entry)] = line
    found: dict[int, str] = {}
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            found[child] = lines[child]
            waiting.append(child)
    return found


def keeper_of(mounted: Mounted) -> int:
    """The keeper's pid, 0 while there is none."""
    for pid, line in processes_below(mounted.process.pid).items():
        if "musicfs.daemon.keeper" in line:
            return pid
    return 0


def alive(pid: int) -> bool:
    """True while the process runs; a zombie does not."""
    try:
        return Path("/proc", str(pid), "stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def contents(mapping: Mapping[str, Path]) -> set[Path]:
    """The originals of a tree."""
    return set(mapping.values())


def restart(mounted: Mounted, *arguments: str, scanned: bool = True) -> Mounted:
    """Mount again what has ended in whatever way, on the same folders and cache, as a user would: the same command."""
    Path(mounted.environment["XDG_RUNTIME_DIR"]).mkdir(exist_ok=True)
    with (mounted.folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command(mounted), "mount", str(mounted.point), "--foreground", *arguments],
            env=mounted.environment,
            cwd=mounted.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    again = Mounted(mounted.point, mounted.roots, mounted.folder, process, mounted.environment, _before=mounted._before)
    if scanned:
        try:
            again.wait_until_scanned()
        except BaseException:  # whatever it is, nothing may stay behind
            again._abandon()
            raise
    return again


def command(mounted: Mounted) -> list[str]:
    """The command line of this mount's configuration."""
    return [*musicfs_command(), "--config", str(mounted.folder / "config.toml")]


def kill(mounted: Mounted) -> None:
    """SIGKILL the mount process; fails unless the keeper and its workers follow by themselves within seconds."""
    others = processes_below(mounted.process.pid)
    mounted.process.kill()
    mounted.process.wait()
    wait_for("keeper and workers end", lambda: not any(alive(pid) for pid in others), 5)
