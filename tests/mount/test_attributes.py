"""SPEC 1: names, sizes, times, owners, numbers and extended attributes."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.conftest import MountLibrary
from tests.faults.living import album, origin_of
from tests.mounting import Mounted


def _files(mounted: Mounted) -> list[Path]:
    return [path for path in sorted(mounted.point.rglob("*")) if path.is_file()]


def test_size_is_exact_before_the_first_byte_is_read(mounted: Mounted) -> None:
    for path in _files(mounted):
        assert path.stat().st_size == len(path.read_bytes()) > 0, path


def test_times_are_the_origins_to_the_nanosecond(mounted: Mounted) -> None:
    checked = 0
    for path in _files(mounted):
        origin = origin_of(mounted, path)
        if origin is not None:
            assert path.stat().st_mtime_ns == origin.stat().st_mtime_ns
            checked += 1
    assert checked > 15


def test_owners_and_modes(mounted: Mounted) -> None:
    for path in [mounted.point, *mounted.point.rglob("*")]:
        found = path.stat()
        assert (found.st_uid, found.st_gid) == (os.getuid(), os.getgid()), path
        assert found.st_mode == (stat.S_IFDIR | 0o755 if path.is_dir() else stat.S_IFREG | 0o644), path
        if path.is_file():
            assert found.st_nlink == 1
            assert found.st_blocks == -(-found.st_size // 512)


def test_uid_gid_and_umask_are_options(mount_library: MountLibrary, tmp_path: Path) -> None:
    album(tmp_path, "One", 1)
    mounted = mount_library({"o": tmp_path}, settings="[mount]\nuid = 1234\ngid = 2345\numask = 0o027")
    for path in mounted.point.rglob("*"):
        found = path.stat()
        assert (found.st_uid, found.st_gid) == (1234, 2345)
        assert stat.S_IMODE(found.st_mode) == (0o750 if path.is_dir() else 0o640)


def test_a_missing_name_is_enoent_and_a_long_one_enametoolong(mounted: Mounted) -> None:
    album_folder = _files(mounted)[0].parent
    for folder in (mounted.point, album_folder):
        for name, expected in (("missing", errno.ENOENT), ("x" * 255, errno.ENOENT), ("x" * 256, errno.ENAMETOOLONG)):
            with pytest.raises(OSError) as error:
                os.stat(folder / name)
            assert error.value.errno == expected, name
            with pytest.raises(OSError) as error:
                os.open(folder / name, os.O_RDONLY)
            assert error.value.errno == expected, name
    with pytest.raises(NotADirectoryError):
        os.stat(_files(mounted)[0] / "below")
    with pytest.raises(OSError) as error:
        os.stat(mounted.point / ("é" * 128))  # 256 bytes
    assert error.value.errno == errno.ENAMETOOLONG


def test_statfs_is_not_zero(mounted: Mounted) -> None:
    found = os.statvfs(mounted.point)
    total = sum(path.stat().st_size for path in _files(mounted))
    assert found.f_frsize > 0 and found.f_bsize > 0 and found.f_namemax == 255
    assert found.f_files >= 19
    assert found.f_blocks * found.f_frsize >= total // 2
    assert found.f_bfree == found.f_bavail == 0
    answer = subprocess.run(["df", "-P", str(mounted.point)], capture_output=True, text=True, check=True)
    assert "100%" in answer.stdout


def test_extended_attributes(mounted: Mounted) -> None:
    names = {f"user.musicfs.{name}" for name in ("origin", "origin_path", "track_id", "cached_percent", "overlay")}
    track_ids = set()
    for path in sorted(mounted.point.rglob("*.flac")):
        assert set(os.listxattr(path)) == names
        assert os.getxattr(path, "user.musicfs.origin") == b"sample"
        relative = os.fsdecode(os.getxattr(path, "user.musicfs.origin_path"))
        assert (mounted.roots["sample"] / relative).read_bytes() == path.read_bytes()
        assert os.getxattr(path, "user.musicfs.overlay") == b""
        assert 0 <= int(os.getxattr(path, "user.musicfs.cached_percent")) <= 100
        track_ids.add(os.getxattr(path, "user.musicfs.track_id"))
    assert len(track_ids) == len(list(mounted.point.rglob("*.flac")))
    path = next(mounted.point.rglob("*.flac"))
    for missing in ("user.other", "user.musicfs.nothing", "security.capability", "system.posix_acl_access"):
        with pytest.raises(OSError) as error:
            os.getxattr(path, missing)
        assert error.value.errno in (errno.ENODATA, errno.EOPNOTSUPP), missing
    assert os.listxattr(path.parent) == []


def test_inode_numbers_are_unique_and_readdir_agrees_with_stat(mounted: Mounted) -> None:
    seen: dict[int, str] = {}
    for folder, _, _ in os.walk(mounted.point):
        with os.scandir(folder) as entries:
            for entry in entries:
                inode = os.stat(entry.path).st_ino
                assert entry.inode() == inode
                assert seen.setdefault(inode, entry.path) == entry.path
    assert len(seen) > 20


def test_a_folders_time_is_that_of_its_newest_entry_at_least(mounted: Mounted) -> None:
    for folder, folders, files in os.walk(mounted.point):
        newest = max(os.stat(os.path.join(folder, name)).st_mtime_ns for name in folders + files)
        assert os.stat(folder).st_mtime_ns >= newest, folder
