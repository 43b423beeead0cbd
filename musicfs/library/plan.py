"""What a listing changes, as values: no I/O, no catalog."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping

import msgspec
import xxhash

from musicfs.model import Entry
from musicfs.origins.contract import Folder

_MAX_NAME_BYTES = 500  # LMDB keys are at most 511; exFAT and NTFS have names of 255 characters, up to 765 bytes
_NUMBERS = struct.Struct("<QqQq")


class FolderPlan(msgspec.Struct, frozen=True, gc=False):
    """What to do about one folder. Names are bytes; ids are the catalog's."""

    read: tuple[tuple[bytes, Entry, int], ...]  # (name, entry, object id or 0 for a new file): learn anew
    gone: tuple[tuple[bytes, int], ...]  # (name, object id): no longer listed
    unfit: tuple[bytes, ...] = ()  # names longer than the catalog's keys: not served


def file_name(entry: Entry) -> bytes:
    """The last component of an entry's path, in the filesystem's bytes."""
    return os.fsencode(entry.path.rpartition("/")[2])


def fingerprint(entry: Entry) -> int:
    """Changes whenever the file may have changed, also by an edit in place that put the mtime back."""
    numbers = _NUMBERS.pack(entry.size, entry.mtime_ns, entry.inode & 0xFFFFFFFFFFFFFFFF, entry.ctime_ns)
    return xxhash.xxh3_64_intdigest(numbers + entry.version.encode())


def identity(entry: Entry, *, stable_version: bool = False) -> int:
    """What a file keeps when it is renamed, 0 where the origin cannot tell; a hint, not a proof.

    With ``stable_version`` (:attr:`~musicfs.origins.contract.Caps.stable_version`) equal versions mean equal bytes, so a
    version will do for what has no inode.
    """
    if not entry.inode and stable_version and entry.version:
        return xxhash.xxh3_64_intdigest(b"%d\0%s" % (entry.size, entry.version.encode("utf-8", "surrogateescape")))
    return entry.inode & 0xFFFFFFFFFFFFFFFF


def digest(folder: Folder) -> bytes:
    """The hash of everything that is known of a folder's files: 16 bytes, never empty."""
    pack = _NUMBERS.pack
    parts = [
        pack(entry.size, entry.mtime_ns, entry.inode & 0xFFFFFFFFFFFFFFFF, entry.ctime_ns)
        + entry.version.encode()
        + b"\0"
        + os.fsencode(entry.path)
        for entry in folder.files
    ]
    return xxhash.xxh3_128_digest(b"\0".join(parts))


def plan_folder(folder: Folder, known: Mapping[bytes, tuple[int, int]]) -> FolderPlan:
    """Compare a listed folder with the catalog's files of it: name -> (object id, fingerprint)."""
    read = []
    unfit = []
    listed = set()
    for entry in folder.files:
        name = file_name(entry)
        if len(name) > _MAX_NAME_BYTES:
            unfit.append(name)
            continue
        listed.add(name)
        object_id, seen = known.get(name, (0, 0))
        if not object_id or seen != fingerprint(entry):
            read.append((name, entry, object_id))
    gone = () if not folder.complete else tuple((name, found[0]) for name, found in known.items() if name not in listed)
    return FolderPlan(tuple(read), gone, tuple(unfit))


def exceeds_guard(vanished: int, known: int, guard_percent: int) -> bool:
    """True if so much vanished at once that it rather looks like an outage: more than the share, and at least five files.

    Nothing left at all always counts, whatever the size.
    """
    if vanished and vanished >= known:
        return True
    return vanished >= _GUARD_MINIMUM and vanished * 100 > known * guard_percent


_GUARD_MINIMUM = 5  # two of eight songs deleted is an everyday act
