from __future__ import annotations

import os
from pathlib import Path

from musicfs.config.mounts import parse_mountinfo, read_mounts
from musicfs.origins.filesystems import filesystem_identity
from tests.config.test_mounts import MOUNTINFO


def test_identities() -> None:
    here = os.stat("/tmp")
    mounts = parse_mountinfo(MOUNTINFO)

    def status(device: int, inode: int) -> os.stat_result:
        return os.stat_result((here.st_mode, inode, device, *here[3:]))

    share, disk = os.makedev(0, 40), os.makedev(8, 2)
    assert filesystem_identity(b"/mnt/nas/a", status(share, 7), mounts) == "nfs4:nas:/export/music:/:a"
    # A remount hands out other numbers; the share is the same.
    again = status(os.makedev(0, 77), 8)
    assert filesystem_identity(b"/mnt/nas/a", again, mounts) == "nfs4:nas:/export/music:/:a"
    assert filesystem_identity(b"/mnt/nas/b", again, mounts) != "nfs4:nas:/export/music:/:a"
    one = filesystem_identity(b"/srv", status(disk, 64), mounts)
    assert one.endswith(":64")
    assert one != filesystem_identity(b"/srv", status(disk, 65), mounts)
    assert one != filesystem_identity(b"/srv", status(os.makedev(8, 3), 64), mounts)


def test_the_identity_of_a_real_folder_is_stable(tmp_path: Path) -> None:
    mounts = read_mounts()
    one = filesystem_identity(bytes(tmp_path), tmp_path.stat(), mounts)
    assert one == filesystem_identity(bytes(tmp_path), tmp_path.stat(), read_mounts())
    assert one != filesystem_identity(bytes(tmp_path.parent), tmp_path.parent.stat(), mounts)
