"""The tables of corrections as typed operations inside a write, and what readers look up in them."""

from __future__ import annotations

import weakref
from abc import abstractmethod
from typing import NamedTuple

import lmdb
import msgspec
import xxhash

from musicfs.errors import StoreError
from musicfs.store.corrections import Correction, corrected, decode_correction, encode_correction, is_spliced
from musicfs.store.folders import read_location
from musicfs.store.records import (
    NODE,
    TRASH_ORIGIN,
    U32,
    U64,
    U64_U64,
    Node,
    NodeKind,
    ObjectRecord,
    decode_object,
    pack_node,
    unpack_node,
    unpack_stored,
)
from musicfs.store.tables import Tables
from musicfs.store.trashed import read_trashed, trash_path
from musicfs.store.tree_tables import TreeTables

_ENTRY_PREFIX, _FOLDER_PREFIX = b"\0", b"\1"


class CorrectionTables(TreeTables):
    """The part of a write that follows the user's corrections."""

    _has_corrections: bool | None = None

    @abstractmethod
    def object(self, object_id: int) -> ObjectRecord | None:
        """The object as its origin has it."""

    @property
    def has_corrections(self) -> bool:
        """False in a library without any, where nothing needs to be looked up. True for the rest of a write that adds one."""
        if self._has_corrections is None:
            self._has_corrections = bool(self.txn.stat(self.tables.corrections)["entries"])
        return self._has_corrections

    def correction(self, object_id: int) -> Correction | None:
        """What is corrected of an object, or None."""
        return read_correction(self.txn, self.tables, object_id)

    def served(self, object_id: int) -> ObjectRecord | None:
        """The object as the tree sees it: with its corrections, if it has any."""
        record = self.object(object_id)
        return None if record is None else self.as_served(object_id, record)

    def as_served(self, object_id: int, record: ObjectRecord) -> ObjectRecord:
        """As :meth:`served`, where ``record``, the object as its origin has it, is at hand."""
        correction = self.correction(object_id) if self.has_corrections else None
        return record if correction is None else corrected(record, correction)

    def put_correction(self, object_id: int, correction: Correction, plan: bytes = b"", extra: bytes = b"") -> None:
        """Write what is corrected of an object. ``plan`` and ``extra`` are needed where ``correction`` has a mark.

        Its :attr:`~Correction.extra` is set from ``extra``.
        """
        self._has_corrections = True
        self._release_extra(object_id)
        key = U64.pack(object_id)
        held = msgspec.structs.replace(correction, extra=self._hold_extra(extra) if extra else b"")
        self.txn.put(key, encode_correction(held), db=self.tables.corrections)
        if correction.mark:
            self.txn.put(key, plan, db=self.tables.plans)
        else:
            self.txn.delete(key, db=self.tables.plans)
        self.note_touched(object_id)

    def remove_correction(self, object_id: int) -> None:
        """Forget what is corrected of an object; the overlay itself is the user's, and stays."""
        self._release_extra(object_id)
        key = U64.pack(object_id)
        self.txn.delete(key, db=self.tables.corrections)
        self.txn.delete(key, db=self.tables.plans)
        self.note_touched(object_id)

    def _hold_extra(self, data: bytes) -> bytes:
        key = xxhash.xxh3_128_digest(data)
        raw = self.txn.get(key, db=self.tables.extras)
        users = U32.unpack_from(raw)[0] if raw is not None else 0
        self.txn.put(key, U32.pack(users + 1) + data, db=self.tables.extras)
        return key

    def _release_extra(self, object_id: int) -> None:
        before = self.correction(object_id)
        if before is None or not before.extra:
            return
        raw = self.txn.get(before.extra, db=self.tables.extras)
        if raw is None:
            return
        (users,) = U32.unpack_from(raw)
        if users > 1:
            self.txn.put(before.extra, U32.pack(users - 1) + raw[U32.size :], db=self.tables.extras)
        else:
            self.txn.delete(before.extra, db=self.tables.extras)

    # Files that may be what a lost overlay was of.

    def put_claim(self, audio_id: int, object_id: int) -> None:
        """Note that an object without overlay has the audio of one that another object holds."""
        self.txn.put(U64_U64.pack(audio_id, object_id), b"", db=self.tables.claims)

    def take_claims(self, audio_id: int) -> list[int]:
        """Objects that may be what an overlay with this audio was of: those that still have it, and no overlay."""
        prefix = U64.pack(audio_id)
        found = []
        with self.txn.cursor(self.tables.claims) as cursor:
            if cursor.set_range(prefix):
                for key in cursor.iternext(values=False):
                    if key[:8] != prefix:
                        break
                    found.append(U64.unpack(key[8:])[0])
        living = [one for one in found if self._may_claim(one, audio_id)]
        for gone in set(found) - set(living):
            self.txn.delete(U64_U64.pack(audio_id, gone), db=self.tables.claims)
        return living

    def _may_claim(self, object_id: int, audio_id: int) -> bool:
        record = self.object(object_id)
        facts = unpack_stored(record.facts) if record is not None else None
        return facts is not None and facts.audio_id == audio_id and self.correction(object_id) is None

    # Names that an edit has ended.

    def put_former_file(self, parent: int, name: bytes, object_id: int, view: int, until_ns: int) -> None:
        """Let a name that is gone still lead to its object, wherever that is."""
        value = U64.pack(until_ns) + U64.pack(object_id) + bytes((view,))
        self.txn.put(_ENTRY_PREFIX + U64.pack(parent) + name, value, db=self.tables.former)

    def put_former_folder(self, node: Node, until_ns: int) -> None:
        """Let the name of a folder that is gone still lead to one, in which nothing is listed."""
        until = U64.pack(until_ns)
        key = _ENTRY_PREFIX + U64.pack(node.parent) + node.name
        self.txn.put(key, until + U64.pack(node.inode), db=self.tables.former)
        self.txn.put(_FOLDER_PREFIX + U64.pack(node.inode), until + pack_node(node), db=self.tables.former)

    def drop_former(self, now_ns: int) -> int | None:
        """Forget the names whose time is over; when the next one's is, None without any."""
        soonest: int | None = None
        gone = []
        with self.txn.cursor(self.tables.former) as cursor:
            for key, value in cursor:
                (until,) = U64.unpack_from(value)
                if until <= now_ns:
                    gone.append(key)
                elif soonest is None or until < soonest:
                    soonest = until
        for key in gone:
            self.txn.delete(key, db=self.tables.former)
        return soonest


def read_correction(txn: lmdb.Transaction[bytes], tables: Tables, object_id: int) -> Correction | None:
    """What is corrected of an object, or None."""
    raw = txn.get(U64.pack(object_id), db=tables.corrections)
    return None if raw is None else decode_correction(raw)


def read_soonest_former(txn: lmdb.Transaction[bytes], tables: Tables) -> int | None:
    """When the time of the first name that an edit has ended is over, None without any."""
    with txn.cursor(tables.former) as cursor:
        return min((U64.unpack_from(value)[0] for _, value in cursor), default=None)


def read_claimed_audio(txn: lmdb.Transaction[bytes], tables: Tables) -> list[int]:
    """The audio of overlays for which files are noted that may be theirs."""
    with txn.cursor(tables.claims) as cursor:
        return sorted({U64.unpack_from(key)[0] for key in cursor.iternext(values=False)})


def read_extra(txn: lmdb.Transaction[bytes], tables: Tables, key: bytes) -> memoryview:
    """A picture that plans share; StoreError if it is not there."""
    raw = txn.get(key, db=tables.extras) if key else None
    if raw is None:
        raise StoreError("a picture that was given is missing from the catalog")
    return memoryview(raw)[U32.size :]


class Serving(NamedTuple):
    """How a file is served, by one snapshot.

    ``size`` is that of the whole file as it is served; ``origin``, ``path`` and ``record`` say where the original lies and
    which version of it is meant. A corrected file has the packed plan, and the picture that belongs to it.
    """

    size: int
    origin: int
    path: bytes
    record: ObjectRecord
    plan: bytes = b""
    extra: bytes | memoryview = b""


class Extras:
    """Pictures that readers hold now, each once: an album's tracks are open together. Safe from any thread."""

    def __init__(self) -> None:
        self._held: weakref.WeakValueDictionary[bytes, memoryview] = weakref.WeakValueDictionary()

    def read(self, txn: lmdb.Transaction[bytes], tables: Tables, key: bytes) -> memoryview:
        """A picture by its key, which is its hash; StoreError if it is not there."""
        found = self._held.get(key)
        if found is None:
            found = self._held[key] = read_extra(txn, tables, key)
        return found


def read_serving(txn: lmdb.Transaction[bytes], tables: Tables, node: Node, extras: Extras) -> Serving | None:
    """What the file ``node`` is made of; None if the tree does not have exactly this inode."""
    if txn.get(U64.pack(node.inode), db=tables.nodes) != pack_node(node):
        return None
    key = U64.pack(node.ref)
    if node.kind == NodeKind.TRASHED:
        gone = read_trashed(txn, tables, node.ref)
        if gone is None:
            return None
        own, origin, path = gone.record, TRASH_ORIGIN, trash_path(gone.anchor)
    else:
        raw = txn.get(key, db=tables.objects)
        if raw is None:
            return None
        own = decode_object(raw)
        origin, path = read_location(txn, tables, own)
    correction = None if node.start else read_correction(txn, tables, node.ref)
    if correction is None or not is_spliced(own, correction):
        return Serving(own.size, origin, path, own)
    plan = txn.get(key, db=tables.plans)
    if plan is None:
        raise StoreError(f"the plan of object {node.ref} is missing from the catalog")
    extra = extras.read(txn, tables, correction.extra) if correction.extra else b""
    return Serving(correction.size, origin, path, own, plan, extra)


def read_former(txn: lmdb.Transaction[bytes], tables: Tables, parent: int, name: bytes, now_ns: int) -> Node | None:
    """What a name that an edit has ended leads to, or None, as when its time is over."""
    value = txn.get(_ENTRY_PREFIX + U64.pack(parent) + name, db=tables.former)
    if value is None or U64.unpack_from(value)[0] <= now_ns:
        return None
    if len(value) == 2 * U64.size:
        return read_former_folder(txn, tables, U64.unpack_from(value, 8)[0], now_ns)
    place = txn.get(value[8:17], db=tables.places)
    raw = txn.get(place, db=tables.nodes) if place is not None else None
    return None if raw is None or place is None else unpack_node(U64.unpack(place)[0], raw)


def read_former_folder(txn: lmdb.Transaction[bytes], tables: Tables, inode: int, now_ns: int) -> Node | None:
    """A folder that is gone, or None, as when its time is over."""
    value = txn.get(_FOLDER_PREFIX + U64.pack(inode), db=tables.former)
    if value is None or len(value) < U64.size + NODE.size or U64.unpack_from(value)[0] <= now_ns:
        return None
    node = unpack_node(inode, value[U64.size :])
    return node if node.kind == NodeKind.FOLDER else None
