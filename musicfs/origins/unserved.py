"""Why a name in a folder is not served, in the words of every listing."""

from __future__ import annotations

import stat

LEAVES = "a link that leaves the origin"
BROKEN = "a broken link"
CIRCULAR = "a link that leads to itself"
TO_FOLDER = "a link to a folder"
TO_NO_FILE = "a link to something that is not a file"
_KINDS = {
    stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a character device", stat.S_IFBLK: "a block device"
}  # fmt: skip


def kind_of_file(mode: int) -> str:
    """What something is that is neither file, folder nor link, by the type in its mode."""
    return _KINDS.get(stat.S_IFMT(mode), "not a file")
