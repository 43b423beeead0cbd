"""What a look at the whole catalog reads: a stretch of it at a time, each in a short snapshot of its own.

A stretch is named by where the one before it ended, so that nothing is held while the caller thinks, and memory does not
grow with the library. What is committed between two stretches may be seen or not.
"""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

import lmdb
import msgspec

from musicfs.store.catalog import Catalog
from musicfs.store.correction_tables import read_correction
from musicfs.store.corrections import Correction
from musicfs.store.records import (
    ENTRY,
    NODE,
    TRASH_ORIGIN,
    U32,
    U64,
    U64_U64,
    FolderRecord,
    NodeKind,
    ObjectKind,
    decode_folder,
    decode_object,
)
from musicfs.store.tables import Tables
from musicfs.store.tree_tables import read_place

_LAST_U32 = b"\xff" * 4
_LAST_U64 = 0xFFFF_FFFF_FFFF_FFFF


class GlancedFacts(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Of :class:`~musicfs.store.records.StoredFacts` what a look needs; the rest is passed over."""

    format: msgspec.Raw
    tags: dict[int | str, str | list[str]]
    technical: msgspec.Raw
    layout: msgspec.Raw
    pictures: msgspec.Raw = msgspec.Raw(b"\x90")
    audio_id: int = 0


class Glance(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An :class:`~musicfs.store.records.ObjectRecord` with its facts, decoded in one go."""

    folder: int
    name: bytes
    kind: int
    size: int
    mtime_ns: int
    version: bytes
    identity: int
    added_ns: int
    facts: GlancedFacts | None = None


glance_at = msgspec.msgpack.Decoder(Glance).decode
glance_at_facts = msgspec.msgpack.Decoder(GlancedFacts | None).decode


class StoredFile(NamedTuple):
    """A file as its origin has it, for :func:`glance_at` or :func:`decode_object`, and what is corrected of it."""

    folder: FolderRecord
    object_id: int
    record: bytes
    correction: Correction | None


class Bare(NamedTuple):
    """A folder of the tree that lacks an entry, and one of the tracks in it."""

    inode: int
    object_id: int


def count_objects(catalog: Catalog) -> int:
    """How many files of origins the catalog knows, of every kind."""
    with catalog.snapshot() as txn:
        return txn.stat(catalog.tables.objects)["entries"]


def folders_from(catalog: Catalog, folder_id: int, limit: int) -> list[tuple[int, FolderRecord]]:
    """Up to ``limit`` folders of all origins in the order of their ids, from this id on."""
    with catalog.snapshot() as txn, txn.cursor(catalog.tables.folders) as cursor:
        found = islice(cursor, limit) if cursor.set_range(U32.pack(folder_id)) else ()
        return [(U32.unpack(key)[0], decode_folder(raw)) for key, raw in found]


def names_after(catalog: Catalog, folder_id: int, name: bytes, limit: int) -> list[bytes]:
    """The names of up to ``limit`` files of a folder in their order, behind this name (empty: from the first)."""
    prefix = U32.pack(folder_id)
    found: list[bytes] = []
    with catalog.snapshot() as txn, txn.cursor(catalog.tables.object_ids) as cursor:
        is_there = cursor.set_range(prefix + name)
        if is_there and name and cursor.key() == prefix + name:
            is_there = cursor.next()
        for key in cursor.iternext(values=False) if is_there else ():
            if key[:4] != prefix or len(found) == limit:
                break
            found.append(key[4:])
    return found


def files_from(catalog: Catalog, place: bytes, limit: int, origin: int = 0) -> tuple[list[StoredFile], bytes | None]:
    """Up to ``limit`` files, folder by folder in the order of names, behind ``place`` (empty: from the first).

    Of one origin or (0) of all; not what is only remembered. With the place to go on from, None behind the last.
    """
    tables = catalog.tables
    found: list[StoredFile] = []
    with (
        catalog.snapshot() as txn,
        txn.cursor(tables.object_ids) as cursor,
        txn.cursor(tables.objects) as objects,  # 0.2 us a file faster than get of the transaction
    ):
        has_corrections = bool(txn.stat(tables.corrections)["entries"])
        is_there = cursor.set_range(place) if place else cursor.first()
        if is_there and cursor.key() == place:
            is_there = cursor.next()
        while is_there:
            prefix = cursor.key()[:4]
            raw_folder = txn.get(prefix, db=tables.folders)
            folder = decode_folder(raw_folder) if raw_folder is not None else None
            if folder is None or folder.origin == TRASH_ORIGIN or origin not in (0, folder.origin):
                is_there = prefix < _LAST_U32 and cursor.set_range(U32.pack(U32.unpack(prefix)[0] + 1))
                continue
            for key, value in cursor:
                if key[:4] != prefix:
                    break
                if len(found) == limit:
                    return found, place
                if objects.set_key(value[:8]):
                    raw, object_id = objects.value(), U64_U64.unpack(value)[0]
                    correction = read_correction(txn, tables, object_id) if has_corrections else None
                    found.append(StoredFile(folder, object_id, raw, correction))
                place = key
            else:
                is_there = False
    return found, None


def problems_from(catalog: Catalog, object_id: int, limit: int) -> list[tuple[int, str]]:
    """Up to ``limit`` (object id, reason) of files that could not be read, from this id on."""
    with catalog.snapshot() as txn, txn.cursor(catalog.tables.problems) as cursor:
        found = islice(cursor, limit) if cursor.set_range(U64.pack(object_id)) else ()
        return [(U64.unpack(key)[0], raw.decode("utf-8", "replace")) for key, raw in found]


def folders_without(catalog: Catalog, name: bytes, inode: int, limit: int) -> tuple[list[Bare], int | None]:
    """Folders of the tree that hold tracks and no entry ``name``, among the next ``limit`` from this inode on.

    With the inode to go on from, None behind the last. A folder counts where its tracks appear in their first view only:
    other views show the same albums again, and so do collections.
    """
    tables = catalog.tables
    found: list[Bare] = []
    with catalog.snapshot() as txn, txn.cursor(tables.entries) as cursor:
        is_there = cursor.set_range(U64.pack(inode))
        for _ in range(limit):
            if not is_there:
                return found, None
            (inode,) = U64.unpack(cursor.key()[:8])
            if txn.get(U64.pack(inode) + name, db=tables.entries) is None:
                track = _first_track(txn, tables, cursor)
                if track:
                    found.append(Bare(inode, track))
            if inode == _LAST_U64:
                return found, None
            inode += 1
            is_there = cursor.set_range(U64.pack(inode))
    return found, inode


def _first_track(txn: lmdb.Transaction[bytes], tables: Tables, cursor: lmdb.Cursor[bytes]) -> int:
    """The object of the first track of the folder at which the cursor stands, 0 without one; moves the cursor."""
    prefix = cursor.key()[:8]
    for key, value in cursor:
        if key[:8] != prefix:
            break
        inode, kind = ENTRY.unpack(value)
        raw = txn.get(value[:8], db=tables.nodes) if kind == NodeKind.OBJECT else None
        if raw is None:
            continue
        object_id = NODE.unpack_from(raw)[5]
        record = txn.get(U64.pack(object_id), db=tables.objects)
        if record is None or decode_object(record).kind != ObjectKind.AUDIO:
            continue
        if read_place(txn, tables, object_id) == inode:
            return int(object_id)
    return 0
