"""The mount table, from a text with every kind of line and from this machine's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from musicfs.config import mounts as mount_table
from musicfs.config.mounts import (
    Mount,
    find_mount,
    find_network_mount,
    is_network_filesystem,
    parse_mountinfo,
    read_mounts,
)

MOUNTINFO = rb"""22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
36 22 0:40 / /mnt/nas rw shared:1 - nfs4 nas:/export/music rw,vers=4.2
37 22 0:41 / /mnt/my\040share rw - cifs //nas/my\040share rw
38 36 0:42 / /mnt/nas/local rw - tmpfs tmpfs rw
39 22 0:43 / /mnt/nas2 rw - fuse.sshfs me@host:/music rw
40 22 0:44 /@music /srv/music rw - btrfs /dev/sdb1 rw
41 22 8:2 / /srv rw master:2 propagate_from:1 - xfs /dev/sda2 rw
broken line
"""


def test_parse_mountinfo() -> None:
    mounts = parse_mountinfo(MOUNTINFO)
    assert len(mounts) == 7
    assert mounts[1] == Mount(b"/mnt/nas", "nfs4", "nas:/export/music", "/", 36)
    assert mounts[2] == Mount(b"/mnt/my share", "cifs", "//nas/my share", "/", 37)
    assert mounts[5].root == "/@music"
    assert mounts[6].fs_type == "xfs"


@pytest.mark.parametrize(
    ("path", "fs_type"),
    [
        (b"/home", "ext4"), (b"/", "ext4"), (b"/mnt/nas", "nfs4"), (b"/mnt/nas/a/b", "nfs4"), (b"/mnt/nas/local/x", "tmpfs"),
        (b"/mnt/nas2/x", "fuse.sshfs"), (b"/mnt/nas22", "ext4"), (b"/mnt/my share/x", "cifs"), (b"/srv/music", "btrfs"),
    ],
)  # fmt: skip
def test_find_mount(path: bytes, fs_type: str) -> None:
    mount = find_mount(path, parse_mountinfo(MOUNTINFO))
    assert mount is not None
    assert mount.fs_type == fs_type


def test_the_last_mount_on_a_point_covers_the_others() -> None:
    mounts = (Mount(b"/a", "ext4", "x", "/"), Mount(b"/a", "nfs", "y", "/"))
    mount = find_mount(b"/a/b", mounts)
    assert mount is not None
    assert mount.fs_type == "nfs"


def test_network_filesystems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_network_filesystem(tmp_path.as_posix())
    assert not is_network_filesystem(bytes(tmp_path / "nowhere"))
    (tmp_path / "link").symlink_to("nas/music")
    nas = Mount(bytes(tmp_path / "nas"), "cifs", "//nas/music", "/")
    monkeypatch.setattr(mount_table, "read_mounts", lambda: (*read_mounts(), nas))
    assert is_network_filesystem(str(tmp_path / "nas/music/a"))
    assert is_network_filesystem(str(tmp_path / "link/a"))
    assert not is_network_filesystem(str(tmp_path / "nas2"))
    disk = Mount(bytes(tmp_path / "nas/disk"), "ext4", "/dev/sdb1", "/")
    trigger = Mount(bytes(tmp_path / "auto"), "autofs", "systemd-1", "/")
    monkeypatch.setattr(mount_table, "read_mounts", lambda: (nas, disk, trigger))
    assert is_network_filesystem(str(tmp_path / "nas/disk/a"))  # the way there leads over the share
    assert is_network_filesystem(str(tmp_path / "auto/music"))
    assert find_network_mount(str(tmp_path / "link/a")) == nas
    assert find_network_mount(str(tmp_path / "nas/../b")) is None
    root = Mount(b"/", "nfs", "server:/", "/")
    monkeypatch.setattr(mount_table, "read_mounts", lambda: (root, disk))
    assert find_network_mount(str(tmp_path / "nas/disk")) == root
