"""What is mounted at a folder: several mounts may lie on one another there, of which only the top one is seen."""

from __future__ import annotations

import errno
import os
import subprocess

from musicfs.errors import MountError

_UNMOUNT_TIMEOUT_S = 10.0
# mount(2), umount2(2).
_MS_BIND = 4096
_MNT_DETACH = 2


def is_mounted(path: str) -> bool:
    """True if ``path`` is the root of a mount."""
    return bool(layers_at(os.path.realpath(path)))


def layers_at(path: str) -> list[bytes]:
    """The devices (``major:minor``) that are mounted at ``path``, the one that is seen last. No link may lead there.

    Asks none of them: one may hang.
    """
    wanted = _escape(path)
    with open("/proc/self/mountinfo", "rb") as file:
        fields = [line.split(b" ", 5) for line in file]
    below = {parent: (number, device) for number, parent, device, _, place, _ in fields if place == wanted}
    numbers = {number for number, _ in below.values()}
    lowest = next((parent for parent in below if parent not in numbers), None)
    found = []
    while lowest in below:
        lowest, device = below.pop(lowest)
        found.append(device)
    return found


def is_stale(path: str) -> bool:
    """Whether what is seen at ``path`` is what a dead process left: it answers ENOTCONN."""
    try:
        os.statvfs(path)  # not stat: the kernel may still hold the attributes
    except OSError as error:
        return error.errno == errno.ENOTCONN
    return False


def clear_stale(path: str) -> bool:
    """Unmount what dead processes left at ``path``; True if there was something."""
    if not is_stale(path):
        return False
    while is_stale(path):
        unmount(path)
    return True


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


def show_at(source: str, path: str) -> None:
    """Have the mount at ``source`` be seen at ``path``, whatever lies there, and no longer at ``source``. Takes root.

    The helpers would look at ``path`` first, which a dead mount does not bear; the kernel does not. Raises MountError.
    """
    _call("mount", path, source.encode(), os.fsencode(path), None, _MS_BIND, None)
    detach(source)


def detach(path: str) -> None:
    """Take away what is seen at ``path``, as root and without a look at it. Raises MountError."""
    _call("umount2", path, os.fsencode(path), _MNT_DETACH)


def _call(name: str, path: str, *arguments: bytes | int | None) -> None:
    """Have the kernel do something about ``path``."""
    import ctypes  # late: the mount process starts without it

    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        raise MountError(f"{name} of {path} fails: {os.strerror(ctypes.get_errno())}")


def _escape(path: str) -> bytes:
    """A path as mountinfo writes it: blanks, tabs, newlines and backslashes in octal (proc(5))."""
    raw = os.fsencode(path)
    for byte in (b"\\", b" ", b"\t", b"\n"):
        raw = raw.replace(byte, b"\\%03o" % byte[0])
    return raw
