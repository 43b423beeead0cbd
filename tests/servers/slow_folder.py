"""A filesystem with one folder of empty files, whose every lookup takes its time; in a process of its own."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import llfuse

from tests.mounting import is_mount_point

_TIMEOUT_S = 20.0


class SlowFolder:
    """``files`` files named by their numbers, at ``point``; each costs ``delay_s`` to look at."""

    def __init__(self, point: Path, *, files: int, delay_s: float) -> None:
        """Creates the folder ``point``."""
        self.point = point
        self._arguments = [str(point), str(files), str(delay_s)]
        self._process: subprocess.Popen[bytes] | None = None
        point.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Returns once it is mounted."""
        self._process = subprocess.Popen([sys.executable, "-m", __name__, *self._arguments], stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + _TIMEOUT_S
        while not is_mount_point(self.point):
            assert self._process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server did not mount"
            time.sleep(0.01)

    def stop(self) -> None:
        """Unmount, which ends the server."""
        if self._process is not None:
            helper = shutil.which("fusermount") or "fusermount3"
            subprocess.run([helper, "-uz", str(self.point)], check=True, timeout=_TIMEOUT_S)
            self._process.wait(_TIMEOUT_S)
            self._process = None


class _Operations(llfuse.Operations):  # type: ignore[misc]  # llfuse has no types
    def __init__(self, files: int, delay_s: float) -> None:
        super().__init__()
        self._files = files
        self._delay_s = delay_s

    def getattr(self, inode: int, ctx: object = None) -> llfuse.EntryAttributes:
        entry = llfuse.EntryAttributes()
        entry.st_ino = inode
        entry.st_mode = stat.S_IFDIR | 0o755 if inode == llfuse.ROOT_INODE else stat.S_IFREG | 0o644
        entry.st_uid, entry.st_gid = os.getuid(), os.getgid()
        return entry

    def lookup(self, parent_inode: int, name: bytes, ctx: object = None) -> llfuse.EntryAttributes:
        time.sleep(self._delay_s)
        if name.isdigit() and int(name) < self._files:
            return self.getattr(llfuse.ROOT_INODE + 1 + int(name))
        raise llfuse.FUSEError(errno.ENOENT)

    def opendir(self, inode: int, ctx: object = None) -> int:
        return inode

    def readdir(self, fh: int, off: int) -> Iterator[tuple[bytes, llfuse.EntryAttributes, int]]:
        for number in range(off, self._files):
            yield b"%d" % number, self.getattr(llfuse.ROOT_INODE + 1 + number), number + 1


def main() -> None:
    point, files, delay_s = sys.argv[1:]
    llfuse.init(_Operations(int(files), float(delay_s)), point, {"fsname=nas:/slow", "subtype=sshfs"})
    try:
        llfuse.main(workers=1)
    finally:
        llfuse.close(unmount=False)


if __name__ == "__main__":
    main()
