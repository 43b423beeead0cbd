"""What a look at the whole catalog reads: a stretch of it at a time, each in a short snapshot of its own.

A stretch is named by where the one before it ended, so that nothing is held while the caller thinks, and memory does not
grow with the library. What is committed between two stretches may be seen or not.
"""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

import lmdb

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
    ObjectRecord,
    decode_folder,
    decode_object,
)
from musicfs.store.tables import Tables
from musicfs.store.tree_tables import read_place

_LAST_U32 = b"\xff" * 4
_LAST_U64 = 0xFFFF_FFFF_FFFF_FFFF


class SurveyedFile(NamedTuple):
    """A file as its origin has it, and what is corrected of it."""

    object_id: int
    record: ObjectRecord
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


def files_after(catalog: Catalog, folder_id: int, name: bytes, limit: int) -> list[SurveyedFile]:
    """Up to ``limit`` files of a folder in the order of their names, behind this name (empty: from the first)."""
    tables = catalog.tables
    prefix = U32.pack(folder_id)
    found: list[SurveyedFile] = []
    with catalog.snapshot() as txn, txn.cursor(tables.object_ids) as cursor:
        is_there = cursor.set_range(prefix + name)
        if is_there and name and cursor.key() == prefix + name:
            is_there = cursor.next()
        if not is_there:
            return found
        has_corrections = bool(txn.stat(tables.corrections)["entries"])
        for key, value in cursor:
            if key[:4] != prefix or len(found) == limit:
                break
            raw = txn.get(value[:8], db=tables.objects)
            if raw is not None:
                object_id = U64_U64.unpack(value)[0]
                correction = read_correction(txn, tables, object_id) if has_corrections else None
                found.append(SurveyedFile(object_id, decode_object(raw), correction))
    return found


def files_from(
    catalog: Catalog, place: bytes, limit: int, origin: int = 0
) -> tuple[list[tuple[FolderRecord, SurveyedFile]], bytes | None]:
    """Up to ``limit`` files with their folders, folder by folder in the order of names, behind ``place`` (empty: all).

    Of one origin or (0) of all; not what is only remembered. With the place to go on from, None behind the last.
    """
    tables = catalog.tables
    found: list[tuple[FolderRecord, SurveyedFile]] = []
    with catalog.snapshot() as txn, txn.cursor(tables.object_ids) as cursor:
        has_corrections = bool(txn.stat(tables.corrections)["entries"])
        get, objects = txn.get, tables.objects
        is_there = cursor.set_range(place) if place else cursor.first()
        if is_there and cursor.key() == place:
            is_there = cursor.next()
        while is_there:
            prefix = cursor.key()[:4]
            raw_folder = get(prefix, db=tables.folders)
            folder = decode_folder(raw_folder) if raw_folder is not None else None
            if folder is None or folder.origin == TRASH_ORIGIN or origin not in (0, folder.origin):
                is_there = prefix < _LAST_U32 and cursor.set_range(U32.pack(U32.unpack(prefix)[0] + 1))
                continue
            for key, value in cursor:
                if key[:4] != prefix:
                    break
                if len(found) == limit:
                    return found, place
                raw = get(value[:8], db=objects)
                if raw is not None:
                    object_id = U64_U64.unpack(value)[0]
                    correction = read_correction(txn, tables, object_id) if has_corrections else None
                    found.append((folder, SurveyedFile(object_id, decode_object(raw), correction)))
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
