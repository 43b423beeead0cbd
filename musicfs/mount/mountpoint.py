"""The folder below the mount: checked before, guarded while mounted, given back after.

While mounted, the covered folder has mode 0 (through a descriptor held on it, which still leads to it). If MusicFS dies
and somebody unmounts what is left, what appears is not an empty folder that looks like an empty library, but one that
cannot be read. Its real mode is noted in the cache folder and restored by the next clean unmount.

Nor does the next start show it, when it takes away what is left. For other users the folder stays unreadable; who mounts
without being root can read it for the milliseconds that fusermount takes. Root reads it all the same, so when root
mounts, what is left stays below the new mount to the end: it answers with an error to everybody.
"""

from __future__ import annotations

import logging
import os
import stat
import threading

import msgspec

from musicfs.errors import MountError
from musicfs.mount.layers import clear_stale, detach, is_mounted, is_stale, layers_at, show_at

log = logging.getLogger(__name__)

FUSE_CONF = "/etc/fuse.conf"
_NOTE = "covered.json"
_STAGE = "mount"  # in the cache folder; where FUSE mounts before that is shown at its place
_SHUT = 0
_OWNERS = 0o700  # libfuse opens the folder, and fusermount enters it and asks whether its user can write there


class Covered(msgspec.Struct, frozen=True):
    """What was noted about a covered folder."""

    path: str
    device: int
    inode: int
    mode: int

    def is_(self, found: os.stat_result) -> bool:
        """Whether this is the folder, still as it was left."""
        known = (found.st_dev, found.st_ino) == (self.device, self.inode)
        return known and stat.S_IMODE(found.st_mode) in (_SHUT, _OWNERS)


class MountPoint:
    """A folder that is fit to be mounted on. Its methods are called in their order, around mounting at :attr:`stage`."""

    def __init__(self, path: str, cache_dir: str) -> None:
        """Check the folder, and deal with what a dead mount left. Raises MountError with the remedy. Blocks for the check."""
        self.path = os.path.abspath(path)
        self.stage = self.path
        self._real = os.path.realpath(self.path)
        self._note = os.path.join(cache_dir, _NOTE)
        self._uncovering = threading.Lock()
        self._ours = b""  # the device of what is shown above a dead mount
        self._descriptor = -1
        self._mode = _SHUT
        note = self._read_note()
        if note is not None and note.path == self.path and os.geteuid() == 0 and is_stale(self.path):
            self._stay_above(note, cache_dir)
        else:
            self._take(note)

    def _stay_above(self, note: Covered, cache_dir: str) -> None:
        """Keep one dead mount, the lowest, and be mounted elsewhere before that is shown above it."""
        while len(layers_at(self._real)) > 1 and is_stale(self.path):
            detach(self.path)
        if not is_stale(self.path):
            raise _taken(self.path)
        self.stage = os.path.join(cache_dir, _STAGE)
        self._mode = note.mode
        clear_stale(self.stage)
        os.makedirs(self.stage, mode=0o700, exist_ok=True)

    def _take(self, note: Covered | None) -> None:
        clear_stale(self.path)
        if note is not None and note.path != self.path:  # it may have been mounted somewhere else
            _restore(note)
            note = None
        if note is not None and _is_left(note):
            self._mode = note.mode
            self._check(is_shut=True)
        else:
            self._check(is_shut=False)
            self._mode = stat.S_IMODE(os.stat(self.path).st_mode)
        self._descriptor = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def admit(self) -> None:
        """Let who mounts in. Right before mounting: who is the same user sees the folder as it is until :meth:`cover`."""
        if os.geteuid() and stat.S_IMODE(os.stat(self.path).st_mode) == _SHUT:
            self._chmod(_OWNERS)

    def cover(self) -> None:
        """What is mounted is seen at the folder now; make the folder below unreadable, and note its mode first."""
        if self.stage != self.path:
            show_at(self.stage, self.path)
            os.rmdir(self.stage)
            self._ours = layers_at(self._real)[-1]
            return
        found = os.fstat(self._descriptor)
        note = Covered(self.path, found.st_dev, found.st_ino, self._mode)
        try:
            with open(self._note, "wb") as file:
                file.write(msgspec.json.encode(note))
        except OSError as error:  # a full disk, say: the mount works, only this guard does not
            log.warning("the folder below the mount is not guarded: %s: %s", self._note, error.strerror)
            return
        try:
            self._chmod(_SHUT)
        except PermissionError:  # another user's folder: the mount works, only this guard does not
            os.unlink(self._note)

    def lower(self) -> None:
        """Take our mount away if it was shown above a dead one and still is: FUSE does not know where it is seen."""
        if self._ours and layers_at(self._real)[-1:] == [self._ours]:
            detach(self.path)
        self._ours = b""

    def uncover(self) -> None:
        """Give the folder its mode back; idempotent, and safe from any thread: who gives up may meet who ends."""
        with self._uncovering:
            if self.stage != self.path:
                self.stage = self.path
                clear_stale(self.path)
                self._descriptor = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            if self._descriptor < 0:
                return
            if os.path.exists(self._note):
                self._chmod(self._mode)
                os.unlink(self._note)
            os.close(self._descriptor)
            self._descriptor = -1

    def _chmod(self, mode: int) -> None:
        """Of the folder itself, whatever is mounted there: fchmod(2) does not take a descriptor that cannot read."""
        os.chmod(f"/proc/self/fd/{self._descriptor}", mode)

    def _read_note(self) -> Covered | None:
        try:
            with open(self._note, "rb") as file:
                return msgspec.json.decode(file.read(), type=Covered)
        except (OSError, msgspec.DecodeError):
            return None

    def _check(self, *, is_shut: bool) -> None:
        """``is_shut``: it was fit once, and has been covered since; only root can look what is in it."""
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
            raise _taken(self.path)
        try:
            entries = os.listdir(self.path)
        except PermissionError as error:
            if is_shut:
                return
            raise MountError(
                f"the mount point {self.path} cannot be read", remedy=f"chmod u+rwx '{self.path}'"
            ) from error
        if entries:
            raise MountError(
                f"the mount point {self.path} is not empty: it holds {entries[0]!r}",
                remedy="mount on an empty folder, so that nothing is hidden",
            )


def _taken(path: str) -> MountError:
    return MountError(f"something is mounted at {path} already", remedy=f"unmount it: fusermount -u '{path}'")


def _is_left(note: Covered) -> bool:
    try:
        return note.is_(os.stat(note.path))
    except OSError:
        return False


def _restore(note: Covered) -> None:
    """Undo what a crash left elsewhere: the noted folder gets its mode back."""
    try:
        clear_stale(note.path)
        if note.is_(os.stat(note.path)):
            os.chmod(note.path, note.mode)
    except (OSError, MountError):
        return


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
