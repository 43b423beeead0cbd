"""Paths as users name them: from the root of the mount, or as the shell sees them below the mount point."""

from __future__ import annotations

import os
from collections.abc import Sequence

from musicfs.errors import ConfigError


def virtual_paths(paths: Sequence[str], mount_point: str, working_folder: str) -> list[str]:
    """Each path from the root of the mount at ``mount_point``, which may be a link or in one.

    One that leads below the mount point, absolute or from ``working_folder``, stands for what is there; any other is one
    from the root of the mount already. Raises ConfigError for an empty path. Looks links up, and nothing else.
    """
    points = dict.fromkeys((os.path.normpath(mount_point), os.path.realpath(mount_point)))
    return [_virtual(path, tuple(points), working_folder) for path in paths]


def _virtual(path: str, points: tuple[str, ...], working_folder: str) -> str:
    if not path:
        raise ConfigError("a path is empty", remedy="give a path from the root of the mount; / is all of it")
    lexical = os.path.normpath(os.path.join(working_folder, path))
    for candidate in dict.fromkeys((lexical, os.path.realpath(lexical))):
        for point in points:
            if candidate == point:
                return "/"
            if candidate.startswith(point.rstrip("/") + "/"):
                return candidate[len(point.rstrip("/")) :]
    return os.path.normpath("/" + path.lstrip("/"))
