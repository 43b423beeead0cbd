"""One write to the catalog: facts and tree together, or nothing.

A :class:`WriteTransaction` is opened by the keeper's one writer thread and lasts for one batch. It offers the tables as
typed operations, keeps the counters, and appends what the kernel must forget to the change log in the same commit.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from types import TracebackType

import lmdb
import msgspec

from musicfs.errors import DiskFullError, StoreError
from musicfs.store.catalog import Catalog, Tables, Totals, folder_key, iterate_folders, read_files
from musicfs.store.records import (
    DISCS,
    ENTRY,
    U32,
    U64,
    U64_U64,
    FolderRecord,
    Node,
    NodeKind,
    ObjectKind,
    ObjectRecord,
    OriginRecord,
    decode_folder,
    decode_object,
    decode_origin,
    encode_record,
    pack_node,
    unpack_node,
)
from musicfs.store.schema import ChangeOp

_decode = msgspec.msgpack.decode
_encode = msgspec.msgpack.encode


class WriteTransaction:
    """A batch in the making. Use as a context manager: commits at the end, aborts on an exception."""

    def __init__(self, catalog: Catalog, tables: Tables | None = None) -> None:
        """``tables`` are those of a generation that is built beside the served one."""
        self._catalog = catalog
        self._quiet = tables is not None  # nobody sees that tree yet: nothing to forget
        self.tables = tables if tables is not None else catalog.tables
        self.txn = catalog.env.begin(write=True)
        self._changes: list[tuple[int, int, bytes, int]] = []
        raw = self.txn.get(b"totals", db=self.tables.meta)
        totals = Totals() if raw is None else _decode(raw, type=Totals)
        self._files, self._bytes, self._tracks = totals.files, totals.size_bytes, totals.tracks
        self._counters: dict[bytes, int] = {}

    def __enter__(self) -> WriteTransaction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.txn.abort()
            if isinstance(error, lmdb.Error):
                raise self._mapped(error) from error
            return
        try:
            self._commit()
        except BaseException as failed:  # the next write waits for this one's end, whatever ended it
            self.txn.abort()
            if isinstance(failed, lmdb.Error):
                raise self._mapped(failed) from failed
            raise

    def _mapped(self, error: lmdb.Error) -> StoreError:
        full = isinstance(error, lmdb.DiskError | lmdb.MapFullError) or getattr(error, "code", 0) == errno.ENOSPC
        if full:
            return DiskFullError(f"{self._catalog.path}: {error}", remedy="free some space on this disk")
        return StoreError(f"{self._catalog.path}: {error}")

    def _commit(self) -> None:
        meta = self.tables.meta
        for name, value in self._counters.items():
            self.txn.put(name, _encode(value), db=meta)
        self.txn.put(b"totals", _encode(Totals(self._files, self._bytes, self._tracks)), db=meta)
        if self._changes:
            with self.txn.cursor(self.tables.changes) as cursor:
                last = U64.unpack(cursor.key())[0] if cursor.last() else self.meta_int(b"trimmed", 0)
            self.txn.put(U64.pack(last + 1), _encode(self._changes), db=self.tables.changes)
        self.txn.commit()

    @property
    def changed(self) -> bool:
        """True if the mount has something to look at after this commit."""
        return bool(self._changes)

    def note(self, op: ChangeOp, parent: int, name: bytes, inode: int) -> None:
        """Append to the change log."""
        if not self._quiet:
            self._changes.append((op, parent, name, inode))

    def serve(self, tables: Tables, fingerprint: bytes) -> None:
        """Swap the tree: from this commit on the generation of ``tables`` is the served one."""
        self.txn.put(b"generation", _encode(tables.generation), db=self.tables.meta)
        self.set_fingerprint(fingerprint)
        self.note(ChangeOp.SWAP, 0, b"", 0)

    def set_fingerprint(self, fingerprint: bytes) -> None:
        """Note what the served tree is derived by."""
        self.txn.put(b"tree", _encode(fingerprint), db=self.tables.meta)

    def trim_changes(self, upto: int) -> None:
        """Drop the batches up to and including ``upto``: the mount has seen them."""
        with self.txn.cursor(self.tables.changes) as cursor:
            while cursor.first() and U64.unpack(cursor.key())[0] <= upto:
                cursor.delete()
        self.txn.put(b"trimmed", _encode(max(upto, self.meta_int(b"trimmed", 0))), db=self.tables.meta)

    def meta_int(self, name: bytes, default: int) -> int:
        """A number from ``meta``."""
        raw = self.txn.get(name, db=self.tables.meta)
        return default if raw is None else _decode(raw, type=int)

    def _next(self, counter: bytes) -> int:
        value = self._counters.get(counter)
        if value is None:
            value = self.meta_int(counter, 1)
        self._counters[counter] = value + 1
        return value

    # Facts: origins and folders.

    def origin(self, origin_id: str) -> OriginRecord | None:
        """The record of an origin, or None before its first scan."""
        raw = self.txn.get(origin_id.encode(), db=self.tables.origins)
        return None if raw is None else decode_origin(raw)

    def put_origin(self, origin_id: str, record: OriginRecord) -> None:
        """Write an origin's record."""
        self.txn.put(origin_id.encode(), encode_record(record), db=self.tables.origins)

    def count_files(self, number: int, files: int, size_bytes: int) -> None:
        """Add to the totals of the origin with this number; both may be negative."""
        with self.txn.cursor(self.tables.origins) as cursor:
            for key, raw in cursor:
                record = decode_origin(raw)
                if record.number == number:
                    totals = {"files": record.files + files, "size_bytes": record.size_bytes + size_bytes}
                    cursor.put(key, encode_record(msgspec.structs.replace(record, **totals)))
                    return

    def new_origin_number(self) -> int:
        """A number no other origin of this catalog has; at most 65,535 of them."""
        return self._next(b"next_origin")

    def remove_origin(self, origin_id: str) -> None:
        """Forget an origin's record; its folders and objects are removed by the caller first."""
        self.txn.delete(origin_id.encode(), db=self.tables.origins)

    def folder_id(self, origin: int, path: bytes) -> int | None:
        """The id of a folder, or None."""
        raw = self.txn.get(folder_key(origin, path), db=self.tables.folder_ids)
        return None if raw is None else U32.unpack(raw)[0]

    def add_folder(self, origin: int, path: bytes) -> int:
        """Give a new folder its id."""
        folder = self._next(b"next_folder")
        self._put_last(self.tables.folder_ids, folder_key(origin, path), U32.pack(folder))
        self.set_digest(folder, FolderRecord(origin, path), b"")
        return folder

    def folder(self, folder_id: int) -> FolderRecord:
        """A folder's record; StoreError if there is none."""
        raw = self.txn.get(U32.pack(folder_id), db=self.tables.folders)
        if raw is None:
            raise StoreError(f"folder {folder_id} is not in the catalog")
        return decode_folder(raw)

    def set_digest(self, folder_id: int, record: FolderRecord, digest: bytes) -> None:
        """Note the listing whose files are now in the tree."""
        record = FolderRecord(record.origin, record.path, digest)
        self.txn.put(U32.pack(folder_id), encode_record(record), db=self.tables.folders)

    def remove_folder(self, folder_id: int) -> None:
        """Forget an empty folder."""
        record = self.folder(folder_id)
        self.txn.delete(folder_key(record.origin, record.path), db=self.tables.folder_ids)
        self.txn.delete(U32.pack(folder_id), db=self.tables.folders)

    def folders_under(self, origin: int, path: bytes) -> Iterator[tuple[int, bytes]]:
        """(id, path) of the folder ``path`` and every folder below it, in listing order."""
        return iterate_folders(self.txn, self.tables, origin, path)

    # Facts: files.

    def files_of(self, folder_id: int) -> dict[bytes, tuple[int, int]]:
        """Name -> (object id, fingerprint) of a folder's files, in byte order."""
        return read_files(self.txn, self.tables, folder_id)

    def object(self, object_id: int) -> ObjectRecord | None:
        """An object's record, or None."""
        raw = self.txn.get(U64.pack(object_id), db=self.tables.objects)
        return None if raw is None else decode_object(raw)

    def put_object(self, object_id: int, record: ObjectRecord, fingerprint: int, problem: str = "") -> int:
        """Write an object (0: a new one) and what finds it; returns its id. A moved or changed one leaves no old keys."""
        append = not object_id
        if object_id:
            self._forget_keys(object_id)
        else:
            object_id = self._next(b"next_object")
        key = U64.pack(object_id)
        txn, tables = self.txn, self.tables
        name_key = U32.pack(record.folder) + record.name
        txn.put(key, encode_record(record), append=append, db=tables.objects)
        self._put_last(tables.object_ids, name_key, U64_U64.pack(object_id, fingerprint))
        if record.identity:
            txn.put(U64_U64.pack(record.identity, object_id), b"", db=tables.identities)
        if problem:
            txn.put(key, problem.encode("utf-8", "backslashreplace")[:1000], db=tables.problems)
        self._files += 1
        self._bytes += record.size
        self._tracks += record.kind != ObjectKind.SIDECAR
        return object_id

    def _put_last(self, table: lmdb._Database, key: bytes, value: bytes) -> None:
        """Put a key that most likely is the table's last: appending fills pages whole, inserting leaves them half empty."""
        if not self.txn.put(key, value, append=True, db=table):
            self.txn.put(key, value, db=table)

    def remove_object(self, object_id: int) -> None:
        """Forget an object; its places in the tree are removed by the caller first."""
        self._forget_keys(object_id)
        self.txn.delete(U64.pack(object_id), db=self.tables.objects)

    def _forget_keys(self, object_id: int) -> None:
        old = self.object(object_id)
        if old is None:
            return
        key = U32.pack(old.folder) + old.name
        held = self.txn.get(key, db=self.tables.object_ids)
        if held is not None and U64_U64.unpack(held)[0] == object_id:  # a moved file's old name may be another's by now
            self.txn.delete(key, db=self.tables.object_ids)
        if old.identity:
            self.txn.delete(U64_U64.pack(old.identity, object_id), db=self.tables.identities)
        self.txn.delete(U64.pack(object_id), db=self.tables.problems)
        self._files -= 1
        self._bytes -= old.size
        self._tracks -= old.kind != ObjectKind.SIDECAR

    # Tree.

    def node(self, inode: int) -> Node | None:
        """An inode, or None."""
        raw = self.txn.get(U64.pack(inode), db=self.tables.nodes)
        return None if raw is None else unpack_node(inode, raw)

    def entry(self, parent: int, name: bytes) -> tuple[int, int] | None:
        """(inode, kind) of a directory entry, or None."""
        raw = self.txn.get(U64.pack(parent) + name, db=self.tables.entries)
        return None if raw is None else ENTRY.unpack(raw)

    def put_node(self, node: Node) -> None:
        """Write an inode and the entry that leads to it."""
        self.txn.put(U64.pack(node.inode), pack_node(node), db=self.tables.nodes)
        self.txn.put(U64.pack(node.parent) + node.name, ENTRY.pack(node.inode, node.kind), db=self.tables.entries)

    def update_node(self, node: Node) -> None:
        """Write an inode whose entry stays as it is."""
        self.txn.put(U64.pack(node.inode), pack_node(node), db=self.tables.nodes)
        self.note(ChangeOp.INODE, 0, b"", node.inode)

    def remove_node(self, node: Node) -> None:
        """Remove an inode and its entry, and have the kernel forget both."""
        self.txn.delete(U64.pack(node.inode), db=self.tables.nodes)
        self.txn.delete(U64.pack(node.parent) + node.name, db=self.tables.entries)
        self.note(ChangeOp.ENTRY, node.parent, node.name, node.inode)
        if node.kind != NodeKind.FOLDER:
            self.note(ChangeOp.CONTENT, 0, b"", node.inode)

    def entries_of(self, inode: int) -> Iterator[tuple[bytes, int, int]]:
        """(name, inode, kind) of a folder's entries in byte order. Do not write to the folder while iterating."""
        prefix = U64.pack(inode)
        with self.txn.cursor(self.tables.entries) as cursor:
            if cursor.set_range(prefix):
                for key, value in cursor:
                    if key[:8] != prefix:
                        return
                    yield (key[8:], *ENTRY.unpack(value))

    def is_empty(self, inode: int) -> bool:
        """True if the folder has no entries."""
        return next(self.entries_of(inode), None) is None

    def place(self, object_id: int, view: int) -> int:
        """The inode under which an object appears in a view, 0 if it does not."""
        raw = self.txn.get(U64.pack(object_id) + bytes((view,)), db=self.tables.places)
        return 0 if raw is None else U64.unpack(raw)[0]

    def note_content(self, object_id: int) -> None:
        """Have the kernel forget the bytes of an object, wherever it or a part of it (its cover) appears."""
        for raw in [self.place(object_id, view) for view in range(256)]:
            node = self.node(raw) if raw else None
            for _, inode, _ in self.entries_of(node.parent) if node is not None else ():
                beside = self.node(inode)
                if beside is not None and beside.kind == NodeKind.OBJECT and beside.ref == object_id:
                    self.note(ChangeOp.CONTENT, 0, b"", inode)

    def set_place(self, object_id: int, view: int, inode: int) -> None:
        """Note where an object appears; 0 forgets it."""
        key = U64.pack(object_id) + bytes((view,))
        if inode:
            self._put_last(self.tables.places, key, U64.pack(inode))
        else:
            self.txn.delete(key, db=self.tables.places)

    def add_anchor(self, folder_id: int, view: int, directory: int, count: int) -> None:
        """Add ``count`` (may be negative) to the tracks of an origin folder that lie in a directory of the tree."""
        key = U32.pack(folder_id) + bytes((view,)) + U64.pack(directory)
        raw = self.txn.get(key, db=self.tables.anchors)
        total = count + (0 if raw is None else U32.unpack(raw)[0])
        if total > 0:
            self.txn.put(key, U32.pack(total), db=self.tables.anchors)
        elif raw is not None:
            self.txn.delete(key, db=self.tables.anchors)

    def anchors(self, folder_id: int, view: int) -> list[tuple[int, int]]:
        """(directory inode, tracks) for an origin folder."""
        prefix = U32.pack(folder_id) + bytes((view,))
        found = []
        with self.txn.cursor(self.tables.anchors) as cursor:
            if cursor.set_range(prefix):
                for key, value in cursor:
                    if not key.startswith(prefix):
                        break
                    found.append((U64.unpack(key[5:])[0], U32.unpack(value)[0]))
        return found

    def album_members(self, album: int) -> list[tuple[int, int, int]]:
        """(object id, disc, disc total) of an album's tracks."""
        prefix = U64.pack(album)
        found = []
        with self.txn.cursor(self.tables.albums) as cursor:
            if cursor.set_range(prefix):
                for key, value in cursor:
                    if key[:8] != prefix:
                        break
                    found.append((U64.unpack(key[8:])[0], *DISCS.unpack(value)))
        return found

    def set_album_member(self, album: int, object_id: int, disc: int, disc_total: int) -> None:
        """Count an object among an album's tracks."""
        self.txn.put(U64_U64.pack(album, object_id), DISCS.pack(disc, disc_total), db=self.tables.albums)

    def remove_album_member(self, album: int, object_id: int) -> None:
        """Count it no longer."""
        self.txn.delete(U64_U64.pack(album, object_id), db=self.tables.albums)

    def put_art(self, directory: int, rank: int, name: bytes, object_id: int) -> None:
        """Note a candidate for a directory's cover."""
        self.txn.put(U64.pack(directory) + bytes((rank,)) + name, U64.pack(object_id), db=self.tables.art)

    def remove_art(self, directory: int, rank: int, name: bytes) -> None:
        """Withdraw a candidate."""
        self.txn.delete(U64.pack(directory) + bytes((rank,)) + name, db=self.tables.art)

    def art_candidates(self, directory: int) -> Iterator[int]:
        """Object ids of a directory's candidates, best first. Do not write candidates while iterating."""
        prefix = U64.pack(directory)
        with self.txn.cursor(self.tables.art) as cursor:
            if cursor.set_range(prefix):
                for key, value in cursor:
                    if key[:8] != prefix:
                        return
                    yield U64.unpack(value)[0]

    def blob(self, blob_id: int) -> bytes | None:
        """Bytes that were made once, or None."""
        return self.txn.get(U64.pack(blob_id), db=self.tables.blobs)

    def put_blob(self, blob_id: int, data: bytes) -> None:
        """Keep bytes that cost something to make."""
        self.txn.put(U64.pack(blob_id), data, db=self.tables.blobs)

    def remove_blob(self, blob_id: int) -> None:
        """Forget made bytes. Those of a tree built beside the served one may be the served one's too, and stay."""
        if self._quiet:
            return
        self.txn.delete(U64.pack(blob_id), db=self.tables.blobs)
