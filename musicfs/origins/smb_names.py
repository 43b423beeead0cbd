r"""Paths on an SMB server: which can exist, and how they are written there.

SMB names are UTF-16 and cannot hold ``\ : * ? " < >`` ([MS-FSCC] 2.1.5). Samba shows a name that it cannot say as a short one
that it makes up (``mangled names``) and opens the file by that; where it is told not to, such names are skipped here. A dot
or blank at a name's end is left to the server to judge: a Samba server without mangling serves it.
"""

from __future__ import annotations

import re

from musicfs.origins.paths import is_path

_IMPOSSIBLE = re.compile(r'[\\/:*?"<>\0\ud800-\udfff]')
_NAME_UNITS_MAX = 255  # UTF-16 code units of one component, [MS-FSCC] 2.1.5.2
_PATH_BYTES_MAX = 65_534  # its length is a 16-bit number of bytes, [MS-SMB2] 2.2.13


def can_exist(path: str) -> bool:
    """Whether a server could hold a file at the origin path ``path``: it is canonical, and SMB can say it."""
    if not (is_path(path) and all(map(can_be_said, path.split("/")))):
        return False
    return len(path) * 4 <= _PATH_BYTES_MAX or len(path.encode("utf-16-le")) <= _PATH_BYTES_MAX


def can_be_said(name: str) -> bool:
    """Whether SMB has a way to write the name of one file or folder."""
    return not _IMPOSSIBLE.search(name) and len(name.encode("utf-16-le")) <= 2 * _NAME_UNITS_MAX


def split_root(path: str) -> str:
    r"""The origin's folder inside the share, as the settings give it (with ``/`` or ``\``), as the server wants it."""
    return "\\".join(name for name in re.split(r"[\\/]", path) if name not in {"", "."})


def to_server(root: str, path: str) -> str:
    """The origin path ``path`` below ``root``, relative to the share."""
    below = path.replace("/", "\\")
    return f"{root}\\{below}" if root and below else root or below
