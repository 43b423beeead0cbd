"""Inode numbers that are the same on every machine: derived, never counted.

The number of a file is a hash of its view, its virtual path and its content version; of a folder, of its view and path.
The same bytes at the same place keep their number over remounts, rescans and rebuilt catalogs; other bytes get another, so
that the kernel's page cache, which belongs to an inode, can never mix two versions.
"""

from __future__ import annotations

from collections.abc import Iterable

import xxhash

_MASK = (1 << 63) - 1  # some readers of stat take inode numbers as signed


def folder_inode(view: int, path: Iterable[bytes], salt: int = 0) -> int:
    """The number of a folder. ``salt`` is raised while the number is taken by another."""
    return _derive(b"d%d\0%d\0" % (salt, view) + b"/".join(path))


def file_inode(view: int, path: Iterable[bytes], version: bytes, salt: int = 0) -> int:
    """The number of one version of a file."""
    return _derive(b"f%d\0%d\0" % (salt, view) + b"/".join(path) + b"\0" + version)


def _derive(key: bytes) -> int:
    number = xxhash.xxh3_64_intdigest(key) & _MASK
    return number if number > 1 else number + 2  # 0 means none, 1 is the root
