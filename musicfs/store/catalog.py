"""The catalog as its readers see it: an environment, its tables, and lookups that each take a transaction of their own.

Opening costs a few file operations whatever the catalog's size; nothing is loaded. ``prepare`` is run once by the mount
process before anything else maps the files.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import lmdb
import msgspec

from musicfs.errors import SchemaError, StoreError
from musicfs.store import environment
from musicfs.store.changes import ChangeLogs
from musicfs.store.correction_tables import (
    Extras,
    Serving,
    read_claimed_audio,
    read_correction,
    read_former,
    read_former_folder,
    read_serving,
    read_soonest_former,
)
from musicfs.store.corrections import Correction, corrected, decode_correction
from musicfs.store.folders import folder_key, iterate_folders, read_files, read_location, read_object_at
from musicfs.store.records import (
    ENTRY,
    NODE,
    U32,
    U64,
    CollectionRecord,
    Node,
    NodeKind,
    ObjectRecord,
    OriginRecord,
    decode_folder,
    decode_object,
    decode_origin,
    unpack_node,
)
from musicfs.store.schema import MIGRATED_SCHEMAS, ROOT_INODE, SCHEMA
from musicfs.store.tables import Tables, create, new_identity
from musicfs.store.tree_tables import read_collections, read_place, read_sources, read_track

_decode = msgspec.msgpack.decode


class Totals(msgspec.Struct, frozen=True, array_like=True):
    """What the origins' files add up to: a track with two sources counts as two files, and as two tracks."""

    files: int = 0
    size_bytes: int = 0
    tracks: int = 0


def prepare(path: str) -> str | None:
    """Make the catalog in ``path`` fit to be mapped: create it, or put a damaged or foreign one aside and create anew.

    Returns where a catalog was put aside, or None. Blocks; probes in a child process after an unclean stop only.
    """
    return environment.prepare(path, create=_create_in, check_schema=check_schema)


def _create_in(path: str) -> None:
    with environment.open_environment(path) as env:
        create(env)


def check_schema(path: str) -> None:
    """Raise SchemaError unless the catalog in ``path`` has this schema, or can be given it, which is then done.

    StoreError if it cannot be opened.
    """
    with environment.open_environment(path, readonly=True) as env:
        try:
            meta = env.open_db(b"meta", create=False)
            with env.begin(meta) as txn:
                found, generation = _get(txn, meta, "schema", 0), _get(txn, meta, "generation", 1)
            if found != SCHEMA and found not in MIGRATED_SCHEMAS:
                raise SchemaError(f"{path}: schema {found}, this version writes {SCHEMA}")
            if found == SCHEMA:
                Tables(env, generation, create=False)
        except lmdb.NotFoundError:
            raise SchemaError(f"{path}: not a catalog of MusicFS") from None
        except (lmdb.Error, msgspec.MsgspecError) as error:
            raise StoreError(f"{path}: {error}") from error
    if found != SCHEMA:
        _migrate(path, generation)


def _migrate(path: str, generation: int) -> None:
    """Add what an older version did not have."""
    with environment.open_environment(path) as env:
        tables = Tables(env, generation, create=True)
        with env.begin(tables.meta, write=True) as txn:
            txn.put(b"identity", msgspec.msgpack.encode(new_identity()), overwrite=False)
            txn.put(b"schema", msgspec.msgpack.encode(SCHEMA))


def _get(txn: lmdb.Transaction[bytes], meta: lmdb._Database, name: str, default: int) -> int:
    raw = txn.get(name.encode(), db=meta)
    return default if raw is None else _decode(raw, type=int)


class Catalog(ChangeLogs):
    """The catalog opened for reading (by the mount), or for both (by the keeper, through :meth:`begin_write`).

    Every method reads one consistent snapshot and holds it no longer than the call. Safe from any thread.
    """

    def __init__(self, path: str, *, readonly: bool, durable: bool = True) -> None:
        self.path = path
        self.writing = threading.RLock()  # held by who writes: a batch, or what must not be overtaken by one
        self.env = environment.open_environment(path, readonly=readonly, durable=durable)
        self.env.reader_check()
        self._extras = Extras()
        meta = self.env.open_db(b"meta", create=False)
        with self.env.begin(meta) as txn:
            generation = _get(txn, meta, "generation", 1)
        self.tables = Tables(self.env, generation, create=not readonly)

    def close(self) -> None:
        """Unmap the files."""
        self.env.close()

    def reopen_tree(self) -> bool:
        """Follow a swapped generation; True if there was one. The caller keeps readers out meanwhile."""
        with self.env.begin(self.tables.meta) as txn:
            generation = _get(txn, self.tables.meta, "generation", 1)
        if generation == self.tables.generation:
            return False
        self.tables = Tables(self.env, generation, create=False)
        return True

    def tree_fingerprint(self) -> bytes:
        """What the served tree was derived by; empty before the first."""
        with self.env.begin() as txn:
            raw = txn.get(b"tree", db=self.tables.meta)
        return b"" if raw is None else _decode(raw, type=bytes)

    def generation_beside(self) -> Tables:
        """Tables for a tree to be built beside the served one; what an interrupted build left in them is dropped."""
        generation = self.tables.generation + 1
        tables = Tables(self.env, generation, create=True)
        with self.env.begin(write=True) as txn:
            tables.clear_tree(txn)
        return tables

    def drop_old_trees(self) -> None:
        """Give back the space of the tree before the served one, and of made bytes that only it used.

        No reader may be left in it.
        """
        before = Tables(self.env, self.tables.generation - 1, create=True)
        with self.env.begin(write=True) as txn:
            before.clear_tree(txn)
            with txn.cursor(self.tables.nodes) as cursor:
                used = {NODE.unpack_from(raw)[5] for _, raw in cursor if raw[0] == NodeKind.BLOB}
            with txn.cursor(self.tables.blobs) as cursor:
                unused = [key for key in cursor.iternext(values=False) if U64.unpack(key)[0] not in used]
            for key in unused:
                txn.delete(key, db=self.tables.blobs)

    @contextmanager
    def snapshot(self) -> Iterator[lmdb.Transaction[bytes]]:
        """A read transaction for a short, multi-step look; never keep it across a wait."""
        with self.env.begin() as txn:
            yield txn

    # The tree.

    def lookup(self, parent: int, name: bytes) -> Node | None:
        """The entry ``name`` of the folder ``parent``, or None."""
        tables = self.tables
        with self.env.begin() as txn:
            raw = txn.get(U64.pack(parent) + name, db=tables.entries)
            if raw is None:
                return None
            key = raw[:8]
            value = txn.get(key, db=tables.nodes)
        return None if value is None else unpack_node(U64.unpack(key)[0], value)

    def node(self, inode: int) -> Node | None:
        """The inode, or None if the tree no longer has it."""
        with self.env.begin() as txn:
            raw = txn.get(U64.pack(inode), db=self.tables.nodes)
        return None if raw is None else unpack_node(inode, raw)

    def list_folder(self, inode: int) -> list[tuple[bytes, int, int]]:
        """(name, inode, kind) of every entry, names in byte order."""
        prefix = U64.pack(inode)
        unpack = ENTRY.unpack
        listing = []
        with self.env.begin() as txn, txn.cursor(self.tables.entries) as cursor:
            if cursor.set_range(prefix):
                for key, value in cursor:
                    if key[:8] != prefix:
                        break
                    child, kind = unpack(value)
                    listing.append((key[8:], child, kind))
        return listing

    def path_of(self, inode: int) -> bytes | None:
        """The virtual path from the root, with a leading slash; None if the inode is not in the tree."""
        parts: list[bytes] = []
        with self.env.begin() as txn:
            while inode != ROOT_INODE:
                raw = txn.get(U64.pack(inode), db=self.tables.nodes)
                if raw is None:
                    return None
                node = unpack_node(inode, raw)
                parts.append(node.name)
                inode = node.parent
        return b"/" + b"/".join(reversed(parts))

    def sources_of(self, inode: int, ref: int) -> list[int]:
        """Ids of the objects that are one track under ``inode``, whose node refers to ``ref``: the served one first.

        The others come in no order of preference. An inode with one source, and any made file, has ``ref`` alone.
        """
        with self.env.begin() as txn:
            return [ref, *(found for found in read_sources(txn, self.tables, inode) if found != ref)]

    def place_of(self, object_id: int) -> int:
        """The inode under which an object appears, in the first view that has it; 0 if none has."""
        with self.env.begin() as txn:
            return read_place(txn, self.tables, object_id)

    def track_of(self, object_id: int) -> list[int]:
        """Ids of the objects that are one track with this one, the served one first; itself alone if the tree lacks it."""
        with self.env.begin() as txn:
            return read_track(txn, self.tables, object_id)

    def collections(self) -> list[CollectionRecord]:
        """The collections that the tree has, in the order in which they came to their names."""
        with self.env.begin() as txn:
            return read_collections(txn, self.tables)

    # The facts.

    def object(self, object_id: int) -> ObjectRecord | None:
        """The origin's file with this id, or None."""
        with self.env.begin() as txn:
            raw = txn.get(U64.pack(object_id), db=self.tables.objects)
        return None if raw is None else decode_object(raw)

    def served(self, object_id: int) -> ObjectRecord | None:
        """The object as the tree sees it: with its corrections, if it has any."""
        with self.env.begin() as txn:
            raw = txn.get(U64.pack(object_id), db=self.tables.objects)
            correction = read_correction(txn, self.tables, object_id) if raw is not None else None
        record = None if raw is None else decode_object(raw)
        return record if record is None or correction is None else corrected(record, correction)

    def locate(self, object_id: int) -> tuple[int, bytes, ObjectRecord] | None:
        """(origin number, path in the origin, record) of an object, or None."""
        with self.env.begin() as txn:
            raw = txn.get(U64.pack(object_id), db=self.tables.objects)
            if raw is None:
                return None
            record = decode_object(raw)
            return *read_location(txn, self.tables, record), record

    def object_at(self, origin_id: str, path: bytes) -> int | None:
        """The id of what an origin has at this path, or None."""
        with self.env.begin() as txn:
            raw = txn.get(origin_id.encode(), db=self.tables.origins)
            return None if raw is None else read_object_at(txn, self.tables, decode_origin(raw).number, path)

    def origins(self) -> dict[str, OriginRecord]:
        """Every origin the catalog has files of, by id."""
        with self.env.begin() as txn, txn.cursor(self.tables.origins) as cursor:
            return {key.decode(): decode_origin(value) for key, value in cursor}

    def folder(self, origin: int, path: bytes) -> tuple[int, bytes] | None:
        """(id, digest of the last published listing) of an origin's folder, or None."""
        with self.env.begin() as txn:
            raw = txn.get(folder_key(origin, path), db=self.tables.folder_ids)
            if raw is None:
                return None
            value = txn.get(raw, db=self.tables.folders)
        return None if value is None else (U32.unpack(raw)[0], decode_folder(value).digest)

    def folders_under(self, origin: int, path: bytes) -> list[tuple[int, bytes]]:
        """(id, path) of the folder ``path`` and every folder below it, in listing order."""
        with self.env.begin() as txn:
            return list(iterate_folders(txn, self.tables, origin, path))

    def count_files_under(self, origin: int, path: bytes) -> Iterator[tuple[int, bytes, int]]:
        """(id, path, number of files) of the folder ``path`` and every folder below it, in listing order.

        Holds one snapshot while it is iterated: look, do not wait.
        """
        with self.env.begin() as txn:
            for folder_id, found in iterate_folders(txn, self.tables, origin, path):
                yield folder_id, found, len(read_files(txn, self.tables, folder_id))

    def files_of(self, folder_id: int) -> dict[bytes, tuple[int, int]]:
        """Name -> (object id, fingerprint) of a folder's files, in byte order."""
        with self.env.begin() as txn:
            return read_files(txn, self.tables, folder_id)

    def objects_with_identity(self, identity: int) -> list[int]:
        """Ids of the objects that had this identity when they were last seen."""
        prefix = U64.pack(identity)
        found: list[int] = []
        with self.env.begin() as txn, txn.cursor(self.tables.identities) as cursor:
            if cursor.set_range(prefix):
                for key in cursor.iternext(values=False):
                    if key[:8] != prefix:
                        break
                    found.append(U64.unpack(key[8:])[0])
        return found

    def objects_from(self, object_id: int, limit: int) -> list[tuple[int, ObjectRecord]]:
        """Up to ``limit`` objects in the order of their ids, from this id on."""
        with self.env.begin() as txn, txn.cursor(self.tables.objects) as cursor:
            found = islice(cursor, limit) if cursor.set_range(U64.pack(object_id)) else ()
            return [(U64.unpack(key)[0], decode_object(raw)) for key, raw in found]

    def blob(self, blob_id: int) -> bytes | None:
        """Bytes that were made once, or None."""
        with self.env.begin() as txn:
            return txn.get(U64.pack(blob_id), db=self.tables.blobs)

    def totals(self) -> Totals:
        """Files and bytes of the served tree."""
        with self.env.begin() as txn:
            raw = txn.get(b"totals", db=self.tables.meta)
        return Totals() if raw is None else _decode(raw, type=Totals)

    def problems(self) -> list[tuple[int, str]]:
        """(object id, reason) of all files whose tags could not be read: a few of many, some hundred bytes each."""
        with self.env.begin() as txn, txn.cursor(self.tables.problems) as cursor:
            return [(U64.unpack(key)[0], value.decode("utf-8", "replace")) for key, value in cursor]

    def count_problems(self) -> int:
        """How many files could not be read."""
        with self.env.begin() as txn:
            return txn.stat(self.tables.problems)["entries"]

    # What is corrected.

    def correction(self, object_id: int) -> Correction | None:
        """What is corrected of an object, or None."""
        with self.env.begin() as txn:
            return read_correction(txn, self.tables, object_id)

    def corrections(self) -> list[tuple[int, Correction]]:
        """Every object that is corrected, by id."""
        with self.env.begin() as txn, txn.cursor(self.tables.corrections) as cursor:
            return [(U64.unpack(key)[0], decode_correction(raw)) for key, raw in cursor]

    def claimed_audio(self) -> list[int]:
        """The audio of overlays for which files are noted that may be theirs."""
        with self.env.begin() as txn:
            return read_claimed_audio(txn, self.tables)

    def serving(self, node: Node) -> Serving | None:
        """What the file ``node`` is made of, by one snapshot; None if the tree no longer has exactly this inode."""
        with self.env.begin() as txn:
            return read_serving(txn, self.tables, node, self._extras)

    def former(self, parent: int, name: bytes, now_ns: int) -> Node | None:
        """What a name leads to that an edit has ended not long ago, or None."""
        with self.env.begin() as txn:
            return read_former(txn, self.tables, parent, name, now_ns)

    def soonest_former(self) -> int | None:
        """When the time of the first name that an edit has ended is over, None without any."""
        with self.env.begin() as txn:
            return read_soonest_former(txn, self.tables)

    def former_folder(self, inode: int, now_ns: int) -> Node | None:
        """A folder that an edit has ended not long ago, or None."""
        with self.env.begin() as txn:
            return read_former_folder(txn, self.tables, inode, now_ns)
