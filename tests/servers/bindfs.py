"""A folder behind bindfs: a real filesystem whose server can be stopped, so that every call on it hangs in the kernel.

Calls on a stopped server wait until they are killed. To have calls that not even SIGKILL ends, stop the one below of two
such filesystems on top of each other: the upper server has taken the request then, and the kernel waits for its answer.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

from musicfs.config.settings import OriginSettings
from tests.mounting import is_mount_point
from tests.servers.stopping import stop_processes

_START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 20.0


class Bindfs:
    """``root`` seen through ``point`` under the type ``fuse.SUBTYPE``."""

    def __init__(self, root: Path, point: Path, *, subtype: str = "sshfs", cache_s: int = 0) -> None:
        """Creates both folders. The kernel keeps names and attributes for ``cache_s``."""
        self.root = root
        self.point = point
        timeouts = f"attr_timeout={cache_s},entry_timeout={cache_s},negative_timeout=0"
        self._options = f"{timeouts},fsname=nas:/music,subtype={subtype}"
        self._process: subprocess.Popen[bytes] | None = None
        self._is_mounted = False
        for folder in (root, point):
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def pid(self) -> int:
        """Of the server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Returns once it is mounted."""
        command = ["bindfs", "-f", "--multithreaded", "-o", self._options, str(self.root), str(self.point)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not is_mount_point(self.point):
            assert self._process.poll() is None, "bindfs ended"
            assert time.monotonic() < deadline, "bindfs did not mount"
            time.sleep(0.01)
        self._is_mounted = True

    def pause(self) -> None:
        """Stop the server; returns once it is stopped."""
        stop_processes([self.pid])

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the server at once; what hangs on it gets ENOTCONN, and :meth:`start` works again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_TIMEOUT_S)
            self._process = None
            self.unmount()

    def stop(self) -> None:
        """End it, and leave nothing mounted."""
        if self._process is not None:
            self.resume()
            if self._is_mounted:
                self.unmount()
            self._process.wait(_STOP_TIMEOUT_S)
            self._process = None

    def settings(self, **options: object) -> OriginSettings:
        """An origin of type local on the mount point."""
        import msgspec

        return msgspec.convert({"id": "nas", "path": str(self.point), **options}, OriginSettings)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def unmount(self) -> None:
        """Take it out of the tree, as an administrator does when a share hangs; what hangs on it goes on to."""
        helper = shutil.which("fusermount") or "fusermount3"
        subprocess.run([helper, "-uz", str(self.point)], check=True, timeout=_STOP_TIMEOUT_S)
        self._is_mounted = False
