"""Inode numbers that are the same on every machine: derived, never counted.

The number of a file is a hash of its view, its virtual path and its content version; of a folder, of its view and path.
The same bytes at the same place keep their number over remounts, rescans and rebuilt catalogs; other bytes get another, so
that the kernel's page cache, which belongs to an inode, can never mix two versions.

The upper 23 of the 63 bits come from the folder alone: the files of a folder lie side by side in the catalog, so that
listing an album touches one page and not twelve. The lower 40 bits tell them apart (in a folder of 100,000 files two
collide with a probability of one in two hundred; the later one is then salted).

What no catalog holds has numbers that no entry of the tree has: those with the highest of the 64 bits set are of
``/.prefetch``, those with all of the 23 bits set are of ``/.search``. The first of both is :data:`FIRST_MADE_UP`.
"""

from __future__ import annotations

import xxhash

_PREFIX_BITS, _FILE_BITS = 23, 40  # 63 together: some readers of stat take inode numbers as signed
_PREFIX_MASK = (1 << _PREFIX_BITS) - 1
_FILE_MASK = (1 << _FILE_BITS) - 1
_SALT_STEP = b"\0"
FIRST_MADE_UP = _PREFIX_MASK << _FILE_BITS
SEARCH_INODE = FIRST_MADE_UP | 1  # /.search itself


def folder_key(view: int, path: tuple[bytes, ...]) -> bytes:
    """What a folder's entries are hashed with."""
    return b"%d\0" % view + b"/".join(path)


def entry_inode(folder: bytes, name: bytes, version: bytes, salt: int = 0) -> int:
    """The number of an entry of the folder with this :func:`folder_key`: a file's ``version``, or ``b"/"`` for a folder.

    ``salt`` is raised while the number is taken by another.
    """
    prefix = xxhash.xxh3_64_intdigest(folder) & _PREFIX_MASK
    if prefix == _PREFIX_MASK:
        prefix = 0  # that one is kept for searches
    key = folder + b"/" + name + b"\0" + version + _SALT_STEP * salt
    number = (prefix << _FILE_BITS) | (xxhash.xxh3_64_intdigest(key) & _FILE_MASK)
    return number if number > 1 else number + 2  # 0 means none, 1 is the root


def search_inode(parent: int, name: bytes, what: bytes, salt: int = 0) -> int:
    """The number of an entry below ``/.search``: a link to ``what``, or a folder (empty)."""
    key = b"%d/" % parent + name + b"\0" + what + _SALT_STEP * salt
    number = xxhash.xxh3_64_intdigest(key) & _FILE_MASK
    return FIRST_MADE_UP | (number if number > 1 else number + 2)


def is_search(inode: int) -> bool:
    """Whether the inode is one of ``/.search``, itself included."""
    return inode >> _FILE_BITS == _PREFIX_MASK
