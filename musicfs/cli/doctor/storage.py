"""Whether our own folders can hold what we keep."""

from __future__ import annotations

import os
from collections.abc import Iterator

from musicfs.cli.doctor.finding import Examination, Finding, fail, ok, warn
from musicfs.cli.doctor.mounts import mounts
from musicfs.cli.output import size

# LMDB locks through shared memory and maps its file: over a network both go wrong silently (lmdb.h, "Caveats").
_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.rclone",
     "fuse.s3fs", "fuse.glusterfs", "virtiofs", "ncpfs", "davfs", "fuse.davfs"}
)  # fmt: skip
_LOW_BYTES = 256 * 1024 * 1024


def folders(examination: Examination) -> Iterator[Finding]:
    """cache_dir and state_dir can be written, have room, and lie on a disk of this machine."""
    for name in ("cache_dir", "state_dir"):
        yield _folder(examination, name, getattr(examination.settings, name))


def _folder(examination: Examination, name: str, path: str) -> Finding:
    existing = path
    while not os.path.exists(existing) and existing != os.path.dirname(existing):
        existing = os.path.dirname(existing)
    if not os.path.isdir(existing):
        return fail(name, f"{existing} is not a folder", f"choose another {name}")
    if not os.access(existing, os.W_OK | os.X_OK):
        return fail(name, f"{existing} cannot be written by this user", f"change its owner, or choose another {name}")
    kind = _filesystem(examination.system.mountinfo, os.path.realpath(existing))
    if kind in _NETWORK:
        return fail(name, f"{path} lies on a network filesystem ({kind})", f"choose a {name} on a disk of this machine")
    found = os.statvfs(existing)
    free = found.f_bavail * found.f_frsize
    if free == 0:
        return fail(name, f"{path}: the disk is full", f"make room, or choose another {name}")
    if free < _LOW_BYTES:
        return warn(name, f"{path}: only {size(free)} are free", f"make room, or choose another {name}")
    if found.f_favail == 0 and found.f_files > 0:
        return fail(name, f"{path}: no inodes are left", "remove files, or choose another disk")
    return ok(name, f"{path}, {size(free)} free")


def _filesystem(mountinfo: str, path: str) -> str:
    """The type of the filesystem that holds ``path``: that of the longest mount path above it, the last one mounted."""
    try:
        above = [mounted for mounted in mounts(mountinfo) if _is_within(path, mounted.path)]
    except OSError:
        return ""
    return max(enumerate(above), key=lambda item: (len(item[1].path), item[0]))[1].kind if above else ""


def _is_within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")
