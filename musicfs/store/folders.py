"""How folders of origins and their files are found in the catalog: keys, and walks in listing order."""

from __future__ import annotations

from collections.abc import Iterator

import lmdb
import xxhash

from musicfs.errors import StoreError
from musicfs.store.records import U16, U32, U64_U64, ObjectRecord, decode_folder
from musicfs.store.tables import Tables

_MAX_PLAIN_PATH = 500  # LMDB keys are at most 511 bytes


def folder_key(origin: int, path: bytes) -> bytes:
    """Key of a folder: parents sort directly before their children, siblings in byte order.

    Beyond 500 bytes the path is cut and a hash of the whole appended, which keeps keys unique though not their order.
    """
    plain = path.replace(b"/", b"\0")
    if len(plain) > _MAX_PLAIN_PATH:
        plain = plain[: _MAX_PLAIN_PATH - 8] + xxhash.xxh64_digest(path)
    return U16.pack(origin) + plain


def iterate_folders(
    txn: lmdb.Transaction[bytes], tables: Tables, origin: int, path: bytes
) -> Iterator[tuple[int, bytes]]:
    """(id, path) of the folder ``path`` and every folder below it, in listing order."""
    start = folder_key(origin, path)[: _MAX_PLAIN_PATH - 8]
    below = path + b"/" if path else b""
    with txn.cursor(tables.folder_ids) as cursor:
        if not cursor.set_range(start):
            return
        for key, value in cursor:
            if not key.startswith(start):
                return
            raw = txn.get(value, db=tables.folders)
            found = decode_folder(raw).path if raw is not None else b""
            if found == path or found.startswith(below):
                yield U32.unpack(value)[0], found


def read_location(txn: lmdb.Transaction[bytes], tables: Tables, record: ObjectRecord) -> tuple[int, bytes]:
    """(origin number, path there) of an object; StoreError if its folder is missing."""
    raw = txn.get(U32.pack(record.folder), db=tables.folders)
    if raw is None:
        raise StoreError(f"{record.name!r} lies in a folder the catalog does not know")
    folder = decode_folder(raw)
    return folder.origin, (folder.path + b"/" if folder.path else b"") + record.name


def read_object_at(txn: lmdb.Transaction[bytes], tables: Tables, origin: int, path: bytes) -> int | None:
    """The id of what an origin has at this path, or None."""
    folder, _, name = path.rpartition(b"/")
    folder_id = txn.get(folder_key(origin, folder), db=tables.folder_ids)
    raw = None if folder_id is None else txn.get(folder_id + name, db=tables.object_ids)
    return None if raw is None else U64_U64.unpack(raw)[0]


def read_files(txn: lmdb.Transaction[bytes], tables: Tables, folder_id: int) -> dict[bytes, tuple[int, int]]:
    """Name -> (object id, fingerprint) of a folder's files, in byte order."""
    prefix = U32.pack(folder_id)
    found: dict[bytes, tuple[int, int]] = {}
    with txn.cursor(tables.object_ids) as cursor:
        if cursor.set_range(prefix):
            for key, value in cursor:
                if key[:4] != prefix:
                    break
                found[key[4:]] = U64_U64.unpack(value)
    return found
