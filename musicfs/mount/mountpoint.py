"""The folder below the mount: checked before, guarded while mounted, given back after.

While mounted, the covered folder has mode 0 (through a descriptor held on it, which still leads to it). If MusicFS dies
and somebody unmounts what is left, what appears is not an empty folder that looks like an empty library, but one that
cannot be read. Its real mode is noted in the cache folder and restored by the next clean unmount.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import subprocess
import threading

import msgspec

from musicfs.errors import MountError

log = logging.getLogger(__name__)

FUSE_CONF = "/etc/fuse.conf"
_NOTE = "covered.json"
_UNMOUNT_TIMEOUT_S = 10.0


class Covered(msgspec.Struct, frozen=True):
    """What was noted about a covered folder."""

    path: str
    device: int
    inode: int
    mode: int


class MountPoint:
    """A folder that is fit to be mounted on. :meth:`cover` after mounting, :meth:`uncover` after unmounting."""

    def __init__(self, path: str, cache_dir: str) -> None:
        """Check the folder; clears a stale mount of ours. Raises MountError with the remedy. Blocks for the check."""
        self.path = os.path.abspath(path)
        self._note = os.path.join(cache_dir, _NOTE)
        clear_stale(self.path)
        self._restore()
        self._check()
        self._descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._uncovering = threading.Lock()
        self._mode = stat.S_IMODE(os.fstat(self._descriptor).st_mode)

    def cover(self) -> None:
        """Make the folder below unreadable, and note its mode first."""
        found = os.fstat(self._descriptor)
        note = Covered(self.path, found.st_dev, found.st_ino, self._mode)
        try:
            with open(self._note, "wb") as file:
                file.write(msgspec.json.encode(note))
        except OSError as error:  # a full disk, say: the mount works, only this guard does not
            log.warning("the folder below the mount is not guarded: %s: %s", self._note, error.strerror)
            return
        try:
            os.fchmod(self._descriptor, 0)
        except PermissionError:  # another user's folder: the mount works, only this guard does not
            os.unlink(self._note)

    def uncover(self) -> None:
        """Give the folder its mode back; idempotent, and safe from any thread: who gives up may meet who ends."""
        with self._uncovering:
            if self._descriptor < 0:
                return
            if os.path.exists(self._note):
                os.fchmod(self._descriptor, self._mode)
                os.unlink(self._note)
            os.close(self._descriptor)
            self._descriptor = -1

    def _restore(self) -> None:
        """Undo what a crash left: the noted folder gets its mode back."""
        try:
            with open(self._note, "rb") as file:
                note = msgspec.json.decode(file.read(), type=Covered)
            clear_stale(note.path)  # it may have been mounted somewhere else
            found = os.stat(note.path)
        except (OSError, msgspec.DecodeError, MountError):
            return
        if (found.st_dev, found.st_ino) == (note.device, note.inode) and stat.S_IMODE(found.st_mode) == 0:
            os.chmod(note.path, note.mode)

    def _check(self) -> None:
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            raise MountError(
                f"the mount point {self.path} does not exist", remedy=f"create it: mkdir -p '{self.path}'"
            ) from None
        except OSError as error:
            raise MountError(f"the mount point {self.path}: {error.strerror}") from error
        if not stat.S_ISDIR(found.st_mode):
            raise MountError(f"the mount point {self.path} is not a folder")
        if is_mounted(self.path):
            raise MountError(
                f"something is mounted at {self.path} already", remedy=f"unmount it: fusermount -u '{self.path}'"
            )
        try:
            entries = os.listdir(self.path)
        except PermissionError as error:
            raise MountError(
                f"the mount point {self.path} cannot be read", remedy=f"chmod u+rwx '{self.path}'"
            ) from error
        if entries:
            raise MountError(
                f"the mount point {self.path} is not empty: it holds {entries[0]!r}",
                remedy="mount on an empty folder, so that nothing is hidden",
            )


def clear_stale(path: str) -> bool:
    """Unmount what a dead process left at ``path`` (it answers ENOTCONN); True if there was something."""
    try:
        os.statvfs(path)  # not stat: the kernel may still hold the attributes
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            return False
        unmount(path)
        return True
    return False


def check_allow_other(conf_path: str = FUSE_CONF, user: int | None = None) -> None:
    """MountError unless this user (the effective one) may mount with ``allow_other`` (fusermount(1))."""
    if (os.geteuid() if user is None else user) == 0:
        return
    try:
        with open(conf_path, encoding="utf-8", errors="replace") as file:
            allowed = any(line.partition("#")[0].strip() == "user_allow_other" for line in file)
    except OSError:
        allowed = False
    if not allowed:
        raise MountError(
            "allow_other is set, and only root may mount for other users on this machine",
            remedy=f"add the line 'user_allow_other' to {conf_path}, or leave allow_other out",
        )


def is_mounted(path: str) -> bool:
    """True if ``path`` is the root of a mount."""
    wanted = _escape(os.path.realpath(path))
    with open("/proc/self/mountinfo", "rb") as file:
        return any(line.split(b" ", 5)[4] == wanted for line in file)


def unmount(path: str) -> None:
    """Unmount a FUSE mount, as its user or as root; MountError with the helper's words if that fails."""
    failures = []
    for command in (["fusermount", "-u", "-z", path], ["fusermount3", "-u", "-z", path], ["umount", "-l", path]):
        try:
            done = subprocess.run(command, capture_output=True, timeout=_UNMOUNT_TIMEOUT_S, check=False)
        except FileNotFoundError:
            continue
        if done.returncode == 0:
            return
        failures.append(done.stderr.decode("utf-8", "replace").strip())
    raise MountError(f"{path} cannot be unmounted: {'; '.join(failures)}", remedy="try 'sudo umount -l' on it")


def _escape(path: str) -> bytes:
    """A path as mountinfo writes it: blanks, tabs, newlines and backslashes in octal (proc(5))."""
    raw = os.fsencode(path)
    for byte in (b"\\", b" ", b"\t", b"\n"):
        raw = raw.replace(byte, b"\\%03o" % byte[0])
    return raw
