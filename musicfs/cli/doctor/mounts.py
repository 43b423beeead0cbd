"""What earlier mounts have left behind, and whether the mount point can be used."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from musicfs.cli.doctor.finding import Examination, Finding, fail, ok, warn
from musicfs.mount.layers import is_stale

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mounted:
    """A line of /proc/self/mountinfo (proc(5))."""

    path: str
    kind: str
    device: str


def mounts(mountinfo: str) -> list[Mounted]:
    """Everything mounted in our namespace, in the order in which it was mounted."""
    found: list[Mounted] = []
    with open(mountinfo, encoding="utf-8", errors="surrogateescape") as stream:
        for line in stream:
            before, _, after = line.rstrip("\n").partition(" - ")
            fields, types = before.split(" "), after.split(" ")
            if len(fields) > 4 and types[0]:
                found.append(Mounted(_unescaped(fields[4]), types[0], fields[2]))
    return found


def stale_mounts(examination: Examination) -> Iterator[Finding]:
    """No mount of ours is left whose process died."""
    try:
        ours = [mounted for mounted in mounts(examination.system.mountinfo) if mounted.kind == "fuse.musicfs"]
    except OSError as error:
        yield warn("stale mounts", f"{examination.system.mountinfo}: {error.strerror}", "mount /proc")
        return
    paths = {mounted.path for mounted in ours}
    if examination.settings.mount_point:
        paths.add(examination.settings.mount_point)
    stale = [path for path in sorted(paths) if is_stale(path)]
    for path in stale:
        yield fail(
            "stale mounts",
            f"{path} is mounted, but the process behind it is gone",
            f"`musicfs mount` clears it, or run `fusermount -u {path}`",
        )
    if not stale:
        yield ok("stale mounts", f"none; {len(ours)} live")


def mount_point(examination: Examination) -> Iterator[Finding]:
    """The mount point is an empty folder of ours, or a mount of ours."""
    path = examination.settings.mount_point
    if not path:
        yield warn("mount point", "none is configured", "name one with `musicfs mount`, or set mount_point")
        return
    try:
        mode = os.stat(path).st_mode & 0o777
    except FileNotFoundError:
        yield fail("mount point", f"{path} does not exist", f"run `mkdir -p {path}`")
        return
    except OSError as error:
        if error.errno != errno.ENOTCONN:  # else it is a stale mount, which has its own finding
            yield fail("mount point", f"{path}: {error.strerror}", "check the path and its permissions")
        return
    if not os.path.isdir(path):
        yield fail("mount point", f"{path} is not a folder", "name a folder")
    elif os.path.ismount(path):
        yield from _mounted(examination, path)
    elif mode == 0:
        yield warn(
            "mount point",
            f"{path} has mode 0: a musicfs that was mounted there died without unmounting. While mounted, the covered folder "
            "is made inaccessible, so that nobody takes it for an empty library",
            f"`musicfs mount` restores it, or run `chmod 755 {path}`",
        )
    else:
        yield from _folder(path)


def _mounted(examination: Examination, path: str) -> Iterator[Finding]:
    try:
        here = [mounted for mounted in mounts(examination.system.mountinfo) if mounted.path == os.path.realpath(path)]
    except OSError:
        here = []
    kind = here[-1].kind if here else "something unknown"
    if kind == "fuse.musicfs":
        yield ok("mount point", f"{path} is mounted")
    else:
        yield fail("mount point", f"{path} is a mount of {kind}", f"choose another mount point, or `umount {path}`")


def _folder(path: str) -> Iterator[Finding]:
    try:
        with os.scandir(path) as entries:
            is_empty = next(entries, None) is None
    except OSError as error:
        yield fail("mount point", f"{path}: {error.strerror}", "check its permissions")
        return
    if is_empty:
        yield ok("mount point", f"{path} is an empty folder")
    else:
        yield fail("mount point", f"{path} is not empty", "choose an empty folder: the mount would cover what is in it")


def _unescaped(text: str) -> str:
    """mountinfo writes space, tab, newline and backslash as octal escapes."""
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), text)
