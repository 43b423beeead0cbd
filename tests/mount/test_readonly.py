"""SPEC 1: nothing can be changed through the mount, and every refusal says so in the same word."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mounting import Mounted


def _track(mounted: Mounted) -> Path:
    return next(path for path in sorted(mounted.point.rglob("*.flac")))


def _open(flags: int) -> Callable[[Path], object]:
    return lambda path: os.open(path, flags)


MUTATIONS: dict[str, Callable[[Path], object]] = {
    "open for writing": _open(os.O_WRONLY),
    "open for both": _open(os.O_RDWR),
    "open to append": _open(os.O_WRONLY | os.O_APPEND),
    "open to truncate": _open(os.O_WRONLY | os.O_TRUNC),
    "open read-only to truncate": _open(os.O_RDONLY | os.O_TRUNC),
    "create": lambda path: os.open(path.with_name("new"), os.O_CREAT | os.O_WRONLY),
    "create exclusively": lambda path: os.open(path.with_name("new"), os.O_CREAT | os.O_EXCL | os.O_RDWR),
    "temporary file": lambda path: os.open(path.parent, os.O_TMPFILE | os.O_RDWR),
    "mkdir": lambda path: os.mkdir(path.with_name("new")),
    "unlink": os.unlink,
    "rmdir": lambda path: os.rmdir(path.parent),
    "rename": lambda path: os.rename(path, path.with_name("new")),
    "rename a folder": lambda path: os.rename(path.parent, path.parent.with_name("new")),
    "chmod": lambda path: os.chmod(path, 0o600),
    "chmod a folder": lambda path: os.chmod(path.parent, 0o700),
    "chown": lambda path: os.chown(path, 1, 1),
    "truncate": lambda path: os.truncate(path, 0),
    "link": lambda path: os.link(path, path.with_name("new")),
    "symlink": lambda path: os.symlink("target", path.with_name("new")),
    "fifo": lambda path: os.mkfifo(path.with_name("new")),
    "mknod": lambda path: os.mknod(path.with_name("new"), stat.S_IFREG | 0o644),
    "setxattr": lambda path: os.setxattr(path, "user.mine", b"x"),
    "setxattr of ours": lambda path: os.setxattr(path, "user.musicfs.origin", b"x"),
    "removexattr": lambda path: os.removexattr(path, "user.musicfs.origin"),
    "utimens": lambda path: os.utime(path, ns=(1, 1)),
}


@pytest.mark.parametrize("change", MUTATIONS.values(), ids=MUTATIONS.keys())
def test_every_change_is_refused_as_a_read_only_filesystem(mounted: Mounted, change: Callable[[Path], object]) -> None:
    before = sorted(mounted.point.rglob("*"))
    with pytest.raises(OSError) as refused:
        change(_track(mounted))
    assert errno.errorcode[refused.value.errno or 0] == "EROFS"
    assert sorted(mounted.point.rglob("*")) == before


def test_the_root_folder_refuses_too(mounted: Mounted) -> None:
    with pytest.raises(OSError) as refused:
        os.mkdir(mounted.point / "new")
    assert refused.value.errno == errno.EROFS
    with pytest.raises(OSError) as refused:
        os.chmod(mounted.point, 0o700)
    assert refused.value.errno == errno.EROFS


def test_the_mount_itself_is_read_only(mounted: Mounted) -> None:
    assert os.statvfs(mounted.point).f_flag & os.ST_RDONLY


def test_a_handler_refuses_even_what_the_kernel_lets_through(mounted: Mounted) -> None:
    """``mount -o remount,rw`` changes the kernel's mind, not ours."""
    libc = ctypes.CDLL(None, use_errno=True)
    ms_remount = 32
    if libc.mount(b"none", os.fsencode(mounted.point), None, ms_remount, None) != 0:
        pytest.fail(f"remount: {os.strerror(ctypes.get_errno())}")
    try:
        assert not os.statvfs(mounted.point).f_flag & os.ST_RDONLY
        for name, change in MUTATIONS.items():
            with pytest.raises(OSError) as refused:
                change(_track(mounted))
            # The kernel has words of its own for these, before it asks us: no temporary files in FUSE 2, and a
            # folder that is not empty.
            expected = {"temporary file": errno.EOPNOTSUPP}.get(name, errno.EROFS)
            assert refused.value.errno == expected, f"{name}: {refused.value}"
    finally:
        assert libc.mount(b"none", os.fsencode(mounted.point), None, ms_remount | os.ST_RDONLY, None) == 0
