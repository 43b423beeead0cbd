"""One write to the catalog: facts and tree together, or nothing.

A :class:`WriteTransaction` is opened by the keeper's one writer thread and lasts for one batch. It offers the tables as
typed operations (those of the tree come from :class:`~musicfs.store.tree_tables.TreeTables`, those of the user's
corrections from :class:`~musicfs.store.correction_tables.CorrectionTables`, those of deleted tracks from
:class:`~musicfs.store.trash_tables.TrashTables`), keeps the counters, and appends what the kernel must
forget, and what the index must look at, to their logs in the same commit.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from types import TracebackType

import lmdb
import msgspec

from musicfs.errors import DiskFullError, StoreError
from musicfs.store.catalog import Catalog, Totals
from musicfs.store.changes import CHANGES_TRIMMED, EVERYTHING, TOUCHED_TRIMMED, last_sequence, pack_ids, trim_log
from musicfs.store.folders import folder_key, iterate_folders, read_files
from musicfs.store.records import (
    U32,
    U64,
    U64_U64,
    CollectionRecord,
    FolderRecord,
    NodeKind,
    ObjectKind,
    ObjectRecord,
    OriginRecord,
    decode_folder,
    decode_object,
    decode_origin,
    encode_record,
)
from musicfs.store.schema import ChangeOp
from musicfs.store.tables import Tables
from musicfs.store.trash_tables import TrashTables
from musicfs.store.tree_tables import put_last, read_collections

_decode = msgspec.msgpack.decode
_encode = msgspec.msgpack.encode

_KEPT_TOUCHED = 100_000  # writes that an index may lag behind: one that cannot be written must not fill the catalog


class WriteTransaction(TrashTables):
    """A batch in the making. Use as a context manager: commits at the end, aborts on an exception."""

    def __init__(self, catalog: Catalog, tables: Tables | None = None) -> None:
        """``tables`` are those of a generation that is built beside the served one."""
        self._catalog = catalog
        self._quiet = tables is not None  # nobody sees that tree yet: nothing to forget
        self.tables = tables if tables is not None else catalog.tables
        self.txn = catalog.env.begin(write=True)
        self._changes: list[tuple[int, int, bytes, int]] = []
        self._touched: set[int] = set()
        self._touched_all = False
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
            self.txn.put(U64.pack(self.last_change + 1), _encode(self._changes), db=self.tables.changes)
        if self._touched or self._touched_all:
            self._log_touched()
        self.txn.commit()

    @property
    def last_change(self) -> int:
        """The number of the last change that the mount was told of before this one."""
        return last_sequence(self.txn, self.tables.changes, self.tables.meta, CHANGES_TRIMMED)

    @property
    def changed(self) -> bool:
        """True if the mount has something to look at after this commit."""
        return bool(self._changes)

    def note(self, op: ChangeOp, parent: int, name: bytes, inode: int) -> None:
        """Append to the change log."""
        if not self._quiet:
            self._changes.append((op, parent, name, inode))

    def note_content(self, object_id: int) -> None:
        """Have the kernel forget the bytes of an object, wherever it or a part of it (its cover) appears."""
        for place in [self.place(object_id, view) for view in range(256)]:
            node = self.node(place) if place else None
            if node is None:
                continue
            beside = (self.node(inode) for _, inode, _ in self.entries_of(node.parent))
            parts = {
                one.inode for one in beside if one is not None and one.kind == NodeKind.OBJECT and one.ref == object_id
            }
            for inode in sorted(parts | {place}):
                self.note(ChangeOp.CONTENT, 0, b"", inode)

    def serve(self, tables: Tables, fingerprint: bytes) -> None:
        """Swap the tree: from this commit on the generation of ``tables`` is the served one."""
        self.txn.put(b"generation", _encode(tables.generation), db=self.tables.meta)
        self.set_fingerprint(fingerprint)
        self.note(ChangeOp.SWAP, 0, b"", 0)
        self._touched_all |= self.several_origins  # by other templates others may be one track

    def set_fingerprint(self, fingerprint: bytes) -> None:
        """Note what the served tree is derived by."""
        self.txn.put(b"tree", _encode(fingerprint), db=self.tables.meta)

    def trim_changes(self, upto: int) -> None:
        """Drop the batches up to and including ``upto``: the mount has seen them."""
        trim_log(self.txn, self.tables.changes, upto)
        self.txn.put(CHANGES_TRIMMED, _encode(max(upto, self.meta_int(CHANGES_TRIMMED, 0))), db=self.tables.meta)

    def note_touched(self, *object_ids: int) -> None:
        """Have the index look at objects again: what can be searched for has changed."""
        if not self._quiet:
            self._touched.update(object_ids)

    def _log_touched(self) -> None:
        log = self.tables.touched
        sequence = last_sequence(self.txn, log, self.tables.meta, TOUCHED_TRIMMED) + 1
        packed = EVERYTHING if self._touched_all else pack_ids(self._touched)
        put_last(self.txn, log, U64.pack(sequence), packed)
        if self.txn.stat(log)["entries"] > _KEPT_TOUCHED:
            trim_log(self.txn, log, sequence - _KEPT_TOUCHED)

    def trim_touched(self, upto: int) -> None:
        """Drop what was touched up to and including ``upto``, a number that was given: the index has it."""
        trim_log(self.txn, self.tables.touched, upto)
        self.txn.put(TOUCHED_TRIMMED, _encode(max(upto, self.meta_int(TOUCHED_TRIMMED, 0))), db=self.tables.meta)

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

    def collections(self) -> list[CollectionRecord]:
        """The collections that the tree has, in the order in which they came to their names."""
        return read_collections(self.txn, self.tables)

    def put_collections(self, records: Sequence[CollectionRecord]) -> None:
        """Note which collections the tree has."""
        if records or self.collections():
            self.txn.put(b"collections", _encode(list(records)), db=self.tables.meta)

    # Facts: origins and folders.

    def origin(self, origin_id: str) -> OriginRecord | None:
        """The record of an origin, or None before its first scan."""
        raw = self.txn.get(origin_id.encode(), db=self.tables.origins)
        return None if raw is None else decode_origin(raw)

    def origin_numbers(self) -> dict[str, int]:
        """The number of each origin by its id."""
        return {origin_id: record.number for origin_id, record in self.origin_records().items()}

    def origin_records(self) -> dict[str, OriginRecord]:
        """The record of each origin by its id."""
        with self.txn.cursor(self.tables.origins) as cursor:
            return {key.decode(): decode_origin(raw) for key, raw in cursor}

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

    @property
    def several_origins(self) -> bool:
        """True if the catalog has, or once had, files of more than one origin."""
        return self._counters.get(b"next_origin", self.meta_int(b"next_origin", 1)) > 2

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
        put_last(self.txn, self.tables.folder_ids, folder_key(origin, path), U32.pack(folder))
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
        """An object's record as its origin has it, or None."""
        raw = self.txn.get(U64.pack(object_id), db=self.tables.objects)
        return None if raw is None else decode_object(raw)

    def new_object_id(self) -> int:
        """A number that no object of this catalog had."""
        return self._next(b"next_object")

    def put_object(self, object_id: int, record: ObjectRecord, fingerprint: int, problem: str = "") -> int:
        """Write an object (0: a new one) and what finds it; returns its id. A moved or changed one leaves no old keys."""
        append = not object_id
        if object_id:
            self._forget_keys(object_id)
        else:
            object_id = self.new_object_id()
        key = U64.pack(object_id)
        txn, tables = self.txn, self.tables
        name_key = U32.pack(record.folder) + record.name
        txn.put(key, encode_record(record), append=append, db=tables.objects)
        put_last(self.txn, tables.object_ids, name_key, U64_U64.pack(object_id, fingerprint))
        if record.identity:
            txn.put(U64_U64.pack(record.identity, object_id), b"", db=tables.identities)
        if problem:
            txn.put(key, problem.encode("utf-8", "backslashreplace")[:1000], db=tables.problems)
        self._files += 1
        self._bytes += record.size
        self._tracks += record.kind != ObjectKind.SIDECAR
        self.note_touched(object_id)
        return object_id

    def remove_object(self, object_id: int) -> None:
        """Forget an object; its places in the tree are removed by the caller first."""
        self.detach_object(object_id)
        if self.has_corrections:
            self.remove_correction(object_id)

    def detach_object(self, object_id: int) -> None:
        """As :meth:`remove_object`, but for what is corrected of it."""
        self._forget_keys(object_id)
        self.txn.delete(U64.pack(object_id), db=self.tables.objects)
        self.note_touched(object_id)

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

    # Facts: what was made once.

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
