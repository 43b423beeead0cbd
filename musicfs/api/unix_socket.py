"""A Unix socket's place in the filesystem: made so that nobody else can ever connect, and removed only if it is ours.

gRPC creates the socket with the process's umask, so for a moment others could connect to it. It is therefore bound
under a temporary name in a folder of mode 0700 that is new, given mode 0600, and then renamed to its place, which also
replaces the socket of a dead daemon in one step.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
import tempfile
import time
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

from musicfs.errors import AlreadyRunningError, MountError

MAX_PATH_BYTES = 107  # sun_path of unix(7) has 108, one of them for the NUL
_CONNECT_TIMEOUT_S = 1.0
_POLL_S = 0.02


class SocketPlace:
    """``prepare``, bind to the path it returns, ``publish``; then ``remove`` at the end."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self._folder = ""
        self._identity: tuple[int, int] | None = None

    @property
    def _temporary(self) -> str:
        return os.path.join(self._folder, "s")

    def prepare(self) -> str:
        """The temporary path to bind to. Raises MountError or AlreadyRunningError as ``ControlServer.start`` says."""
        parent = os.path.dirname(self.path)
        # The temporary name is ".12345678/s", which may be longer than the final one.
        longest = max(len(os.fsencode(self.path)), len(os.fsencode(parent)) + len("/.12345678/s"))
        if longest > MAX_PATH_BYTES:
            raise MountError(
                f"the control socket's path is {longest} bytes long, {MAX_PATH_BYTES} are possible: {self.path}",
                remedy="set XDG_RUNTIME_DIR, or choose a shorter state_dir or instance",
            )
        try:
            os.makedirs(parent, mode=0o700, exist_ok=True)
            pid = peer_pid(self.path)
            if pid is not None:
                raise AlreadyRunningError(
                    f"another MusicFS (pid {pid}) answers on {self.path}",
                    pid=pid,
                    remedy="stop it with `musicfs shutdown`, or give this one another instance name",
                )
            if os.path.lexists(self.path) and not stat.S_ISSOCK(os.lstat(self.path).st_mode):
                raise MountError(f"{self.path} exists and is not a socket", remedy="move it away")
            self._folder = tempfile.mkdtemp(prefix=".", dir=parent)
        except OSError as error:
            raise MountError(
                f"no control socket can be made at {self.path}: {error.strerror}",
                remedy="check the permissions of the folder",
            ) from error
        return self._temporary

    def publish(self) -> None:
        """Move the bound socket to its place, with mode 0600."""
        os.chmod(self._temporary, 0o600)
        found = os.lstat(self._temporary)
        self._identity = (found.st_dev, found.st_ino)
        os.replace(self._temporary, self.path)
        os.rmdir(self._folder)

    def discard(self) -> None:
        """Undo ``prepare`` when binding failed."""
        with contextlib.suppress(OSError):
            os.unlink(self._temporary)
        with contextlib.suppress(OSError):
            os.rmdir(self._folder)

    def remove(self) -> None:
        """Remove the socket, unless another daemon has put its own there."""
        with contextlib.suppress(OSError):
            found = os.lstat(self.path)
            if (found.st_dev, found.st_ino) == self._identity:
                os.unlink(self.path)


def target(path: str) -> str:
    """gRPC's name for the socket at ``path``: a URI, in which a per cent sign would begin an escape."""
    return f"unix:{quote(path)}"


def wait_for_listener(paths: Sequence[str], timeout_s: float) -> bool:
    """Whether somebody listens on one of ``paths`` within ``timeout_s``; a socket has no way to tell when it appears."""
    stop = time.monotonic() + timeout_s
    while time.monotonic() < stop:
        try:
            if any(peer_pid(path) is not None for path in paths):
                return True
        except PermissionError:
            return True
        time.sleep(_POLL_S)
    return False


class Peer(NamedTuple):
    """Who listens on a socket, as the kernel says (SO_PEERCRED of unix(7)): process, 0 if it cannot be told, and user."""

    pid: int
    uid: int


def peer_pid(path: str) -> int | None:
    """The process of :func:`peer`."""
    found = peer(path)
    return None if found is None else found.pid


def peer(path: str) -> Peer | None:
    """Who listens on the socket at ``path``; None when nobody does.

    Blocks for a second at most. Raises PermissionError when the socket may not be used by this user.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_CONNECT_TIMEOUT_S)
        try:
            connection.connect(path)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return None
        except TimeoutError:
            return Peer(0, os.stat(path).st_uid)  # it listens, but is too busy to accept
        except PermissionError:
            raise
        except OSError:
            return None  # not a socket, or a path that cannot be one
        data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, uid, _gid = struct.unpack("3i", data)
        return Peer(pid, uid)
