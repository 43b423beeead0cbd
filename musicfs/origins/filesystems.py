"""What the kernel says about mounted filesystems: which one a path lies on, whether it is remote, how to know it again.

Everything is read from ``/proc/self/mountinfo`` (proc(5)), which answers even when a mounted server does not.
"""

from __future__ import annotations

import contextlib
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
# Types whose statfs f_fsid is derived from a UUID that the filesystem itself carries: it survives another device number.
UUID_TYPES = frozenset({"ext2", "ext3", "ext4", "btrfs", "f2fs", "erofs", "zfs", "bcachefs", "tmpfs", "nilfs2"})

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


def filesystem_identity(real_path: bytes, status: os.stat_result, mounts: Iterable[Mount]) -> str:
    """Names the filesystem under the folder ``real_path`` and the folder in it, so that both are known again after a reboot.

    The filesystem: its UUID where it has one, else its type and source if it has no disk (server and export, say; device
    numbers with major 0 are handed out anew at every mount), else the device number. The folder: its inode, but its path
    where inodes may be made up by the client (network and FUSE filesystems).
    """
    mount = find_mount(real_path, mounts)
    if mount is not None and mount.fs_type in UUID_TYPES and (fsid := os.statvfs(real_path).f_fsid):
        return f"{mount.fs_type}:{fsid:x}:{status.st_ino}"
    if mount is not None and os.major(status.st_dev) == 0:
        made_up = mount.fs_type in NETWORK_TYPES or mount.fs_type.startswith("fuse")
        folder = os.fsdecode(real_path[len(mount.point) :].strip(b"/")) if made_up else str(status.st_ino)
        return f"{mount.fs_type}:{mount.source}:{mount.root}:{folder}"
    disk = _disk_uuid(status.st_dev) or f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    return f"disk:{disk}:{status.st_ino}"


def _is_remote(mount: Mount | None) -> bool:
    return mount is not None and (mount.fs_type in NETWORK_TYPES or mount.fs_type == "autofs")


def _components(path: bytes) -> list[bytes]:
    """The names in ``path``, the last one first."""
    return [name for name in reversed(path.split(b"/")) if name not in {b"", b"."}]


def _disk_uuid(device: int) -> str:
    """The UUID udev knows a block device by; empty if there is no udev."""
    folder = "/dev/disk/by-uuid"
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return ""
    for name in names:
        with contextlib.suppress(OSError):
            if os.stat(f"{folder}/{name}").st_rdev == device:
                return name
    return ""


def _unescape(value: bytes) -> bytes:
    """Undo the kernel's ``\\040``: space, tab, newline and backslash are octal in mountinfo."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), value)
