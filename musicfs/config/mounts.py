"""The mount table: what the kernel says is mounted where, and whether the way to a folder leads over another machine.

Read from ``/proc/self/mountinfo`` (proc(5)), which answers even when a mounted server does not: so a folder that may hang is
known before anything looks at it. In this room because a configuration's folders are the first that are looked at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

import msgspec

# Filesystem types whose bytes are on another machine (Linux's fs/*/super.c, and the subtypes that FUSE programs give).
NETWORK_TYPES = frozenset(
    {
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "coda", "lustre", "gfs2", "ocfs2", "pvfs2", "orangefs",
        "glusterfs", "beegfs", "davfs", "fuse.sshfs", "fuse.rclone", "fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse",
        "fuse.s3fs", "fuse.goofys", "fuse.mount-s3", "fuse.gcsfuse", "fuse.davfs", "fuse.davfs2", "fuse.curlftpfs",
        "fuse.juicefs", "fuse.gvfsd-fuse", "fuse.smbnetfs", "fuse.moosefs", "fuse.mfs", "fuse.seaweedfs", "fuse.nfs",
    }
)  # fmt: skip
_LINKS_MAX = 40  # as many as the kernel follows (path_resolution(7))


class Mount(msgspec.Struct, frozen=True):
    """One line of mountinfo. ``source`` is ``server:/export``, ``/dev/sda1``, or whatever the type puts there."""

    point: bytes
    fs_type: str
    source: str
    root: str  # the folder of the filesystem that is mounted; not "/" for bind mounts and subvolumes
    number: int = 0  # the kernel's own: what is mounted again in the same place has another one


def parse_mountinfo(text: bytes) -> tuple[Mount, ...]:
    """The mounts in ``text``, in its order: a later one covers an earlier one at the same point."""
    mounts = []
    for line in text.splitlines():
        head, separator, tail = line.partition(b" - ")
        fields, rest = head.split(b" "), tail.split(b" ")
        if separator and len(fields) >= 6 and len(rest) >= 2 and fields[0].isdigit():
            root, source = (os.fsdecode(_unescape(value)) for value in (fields[3], rest[1]))
            mounts.append(Mount(_unescape(fields[4]), os.fsdecode(rest[0]), source, root, int(fields[0])))
    return tuple(mounts)


def read_mountinfo() -> bytes:
    """The mount table of this process's namespace as the kernel prints it; empty where there is no ``/proc``."""
    try:
        with open("/proc/self/mountinfo", "rb", buffering=0) as file:
            return file.read()
    except FileNotFoundError:
        return b""


def read_mounts() -> tuple[Mount, ...]:
    """What is mounted in this process's namespace."""
    return parse_mountinfo(read_mountinfo())


def find_mount(real_path: bytes, mounts: Iterable[Mount]) -> Mount | None:
    """The mount on which ``real_path`` (absolute, links resolved) lies."""
    found: Mount | None = None
    for mount in mounts:
        inside = real_path == mount.point or real_path.startswith(mount.point.rstrip(b"/") + b"/")
        if inside and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def is_network_filesystem(path: str | bytes) -> bool:
    """Whether the way to ``path`` leads over another machine's filesystem; see :func:`find_network_mount`."""
    return find_network_mount(path) is not None


def find_network_mount(path: str | bytes) -> Mount | None:
    """The first mount of another machine's filesystem on the way to ``path``, though a local one may be mounted in it.

    Never asks such a filesystem anything, so it answers when the server does not: symbolic links are followed up to the
    first mount point of that kind. An automounter's trigger is one too: a look at what is behind it would mount that.
    """
    mounts = read_mounts()
    here = b"/"
    if _is_remote(mount := find_mount(here, mounts)):
        return mount
    ahead = _components(os.path.abspath(os.fsencode(path)))
    links = 0
    while ahead and links <= _LINKS_MAX:
        name = ahead.pop()
        inner = os.path.dirname(here) if name == b".." else os.path.join(here, name)
        if _is_remote(mount := find_mount(inner, mounts)):
            return mount
        try:
            target = os.readlink(inner)
        except OSError:  # no link, or not there at all: then nothing below it is either, and names stand for themselves
            here = inner
            continue
        links += 1
        ahead += _components(target)
        if target.startswith(b"/"):
            here = b"/"
    return None


def _is_remote(mount: Mount | None) -> bool:
    return mount is not None and (mount.fs_type in NETWORK_TYPES or mount.fs_type == "autofs")


def _components(path: bytes) -> list[bytes]:
    """The names in ``path``, the last one first."""
    return [name for name in reversed(path.split(b"/")) if name not in {b"", b"."}]


def _unescape(value: bytes) -> bytes:
    """Undo the kernel's ``\\040``: space, tab, newline and backslash are octal in mountinfo."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), value)
