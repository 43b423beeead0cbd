"""How a filesystem is known again after a reboot or a remount: by what it carries itself, or else by where it comes from."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from musicfs.config.mounts import NETWORK_TYPES, Mount, find_mount

# Types whose statfs f_fsid is derived from a UUID that the filesystem itself carries: it survives another device number.
UUID_TYPES = frozenset({"ext2", "ext3", "ext4", "btrfs", "f2fs", "erofs", "zfs", "bcachefs", "tmpfs", "nilfs2"})


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
