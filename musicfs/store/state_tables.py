"""The state's LMDB environment: what the journal says, where it is found fast. Everything in it can be made again.

=========  ==============================  =========================================================================
table      key                             value
=========  ==============================  =========================================================================
meta       ``schema``                      msgpack number
           ``mark``                        frame of :class:`_Mark`, with the sequence all of this is as of
about      ``lineage``                     frame of one record, as all that follow
overlays   id u64
history    sequence u64, overlay id u64
pins       path, hashed beyond 500 bytes   a removed pin's record stays, and says so
colls      id u64                          a removed collection's record stays, and says so
plays      16 bytes: the audio's hash, or
           that of origin id and path
trash      id u64                          a deleted track; the record of one that is not there any more stays, and says so
anchors    origin id, NUL, path there;     overlay id u64
           hashed beyond 500 bytes
audio      audio id u64, overlay id u64    empty
changes    sequence u64, overlay id u64    empty; the number of the overlay's record
histories  overlay id u64, sequence u64    empty
=========  ==============================  =========================================================================

LMDB checks nothing. Each value is a frame with its checksum and its own key in it, so another's is not mistaken for it; and
the mark has a digest of every key and value there is, the exclusive or of their hashes, so nothing goes missing unnoticed.

An environment of schema 2 lacks ``colls`` and ``plays``, one of schema 3 ``trash``, and either is of this one once it has
them. Schema 1 had pins alone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from types import TracebackType

import lmdb
import msgspec
import xxhash

from musicfs.errors import MusicFSError, StoreError
from musicfs.store import environment
from musicfs.store.frames import decode_frame, encode_frame
from musicfs.store.overlays import (
    LINEAGE_KEY,
    Kind,
    Overlay,
    Play,
    Record,
    anchor_key,
    decode_number,
    decode_overlay,
    decode_play,
    decode_records,
    encode_records,
    overlay_key,
    pair_key,
    unpack_key,
    unpack_pair,
)

SCHEMA = 4
OLDEST_SCHEMA = 2  # that needs nothing but the tables it lacks
MAP_SIZE_BYTES = 32 << 30
_REMOVED = msgspec.msgpack.encode(None)
_RECORD_TABLES = {
    Kind.STATE: b"about",
    Kind.OVERLAY: b"overlays",
    Kind.HISTORY: b"history",
    Kind.PIN: b"pins",
    Kind.COLLECTION: b"colls",
    Kind.PLAY: b"plays",
    Kind.TRASH: b"trash",
}
_YOUNGER = frozenset((Kind.COLLECTION, Kind.PLAY, Kind.TRASH))  # not in every environment that can be read
_INDEX_TABLES = (b"anchors", b"audio", b"changes", b"histories")
_PAGE_ROWS = 256


class DamagedError(StoreError):
    """The environment holds what nobody wrote. Never leaves the room: it is made again from the journal."""


class _Mark(msgspec.Struct, frozen=True, array_like=True):
    """Sums over everything."""

    schema: int = SCHEMA  # again, where a damaged one does not look like another version's
    digest: int = 0
    live_bytes: int = 0  # of values, without what is around them
    pins: int = 0


_decode_mark = msgspec.msgpack.Decoder(_Mark).decode
_encode = msgspec.msgpack.encode


def schema_of(path: str) -> int:
    """The schema an environment was written with; DamagedError if there is no telling. May crash on a damaged one."""
    try:
        with environment.open_environment(path, readonly=True, map_size_bytes=MAP_SIZE_BYTES) as env:
            meta = env.open_db(b"meta", create=False)
            with env.begin(meta) as txn:
                schema = msgspec.msgpack.decode(txn.get(b"schema", b""), type=int)
                raw = txn.get(b"mark")
        frame = None if raw is None else decode_frame(raw)
        if raw is not None and (frame is None or _decode_mark(frame.payload).schema != schema):
            raise DamagedError(f"{path}: the mark is damaged")
        return schema
    except (lmdb.Error, msgspec.MsgspecError) as error:
        raise DamagedError(f"{path}: {error}") from error


class StateTables:
    """The opened environment. Reading is safe from any thread; writing is for one at a time, through :class:`StateWrite`.

    Damage that is met raises :class:`DamagedError` (from :meth:`reading` as from everything else).
    """

    def __init__(self, path: str, *, durable: bool = True, readonly: bool = False) -> None:
        """Open, or create empty. Raises StoreError, DiskFullError."""
        self.path = path
        self.env = environment.open_environment(path, durable=durable, readonly=readonly, map_size_bytes=MAP_SIZE_BYTES)
        create = not readonly
        try:
            self.meta = self.env.open_db(b"meta", create=create)
            self.records = self._open_records(create=create)
            self.anchors, self.audio, self.changes, self.histories = (
                self.env.open_db(name, create=create) for name in _INDEX_TABLES
            )
        except lmdb.Error as error:
            self.env.close()
            if environment.is_damage(error):
                raise DamagedError(f"{path}: {error}") from error
            raise environment.store_error(path, error) from error

    def _open_records(self, *, create: bool) -> dict[Kind, lmdb._Database]:
        found = {}
        for kind, name in _RECORD_TABLES.items():
            try:
                found[kind] = self.env.open_db(name, create=create)
            except lmdb.NotFoundError:
                if kind not in _YOUNGER:
                    raise
        return found

    def reading(self) -> Reading:
        """A snapshot for a short look."""
        return Reading(self)

    @property
    def sequence(self) -> int:
        """The number of the last change that is in it."""
        with self.reading() as read:
            return read.sequence

    def close(self) -> None:
        """Unmap the file."""
        self.env.close()


class Reading:
    """One read transaction, for use with ``with``."""

    def __init__(self, tables: StateTables) -> None:
        self.tables = tables

    def __enter__(self) -> Reading:
        try:
            self.txn = self.tables.env.begin()
        except lmdb.Error as error:
            raise environment.store_error(self.tables.path, error) from error
        self._read_mark()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.txn.abort()
        self.translate(error)

    def _read_mark(self) -> None:
        raw = self.txn.get(b"mark", db=self.tables.meta)
        frame = decode_frame(raw) if raw is not None else None
        if frame is None and (raw is not None or self.txn.stat(self.tables.records[Kind.STATE])["entries"]):
            self.txn.abort()
            raise DamagedError(f"{self.tables.path}: the mark is damaged")
        self.sequence = frame.sequence if frame is not None else 0
        self.mark = _decode_mark(frame.payload) if frame is not None else _Mark()

    def translate(self, error: BaseException | None) -> None:
        """Raise what an exception of LMDB or of decoding means; nothing if it is ours."""
        if error is None or isinstance(error, MusicFSError):
            return
        if environment.is_damage(error) or isinstance(error, msgspec.MsgspecError | struct.error):
            raise DamagedError(f"{self.tables.path}: {error}") from error
        if isinstance(error, lmdb.Error):
            raise environment.store_error(self.tables.path, error) from error

    def record(self, kind: Kind, key: bytes) -> Record | None:
        """The record under this key."""
        raw = self.txn.get(key, db=self.tables.records[kind])
        return None if raw is None else self.checked(kind, key, raw)

    def checked(self, kind: Kind, key: bytes, raw: bytes) -> Record:
        """The record a value is, which must be the one of this key."""
        frame = decode_frame(raw)
        if frame is not None and frame.stop == len(raw):
            record = decode_records(frame.payload)[0]
            if (record.kind, record.key, record.sequence) == (kind, key, frame.sequence):
                return record
        raise DamagedError(f"{self.tables.path}: a value of {kind.name.lower()} is damaged")

    def overlay(self, overlay_id: int) -> Overlay | None:
        """The overlay."""
        found = self.record(Kind.OVERLAY, overlay_key(overlay_id))
        return None if found is None else decode_overlay(found.value)

    def expected_overlay(self, overlay_id: int) -> Overlay:
        """The overlay an index leads to."""
        found = self.overlay(overlay_id)
        if found is None:
            raise DamagedError(f"{self.tables.path}: an index leads nowhere")
        return found

    def overlay_at(self, key: bytes) -> Overlay | None:
        """The overlay that has the anchor with this key."""
        raw = self.txn.get(key, db=self.tables.anchors)
        if raw is None:
            return None
        found = self.expected_overlay(unpack_key(raw))
        if all(anchor_key(anchor) != key for anchor in found.anchors):
            raise DamagedError(f"{self.tables.path}: an anchor leads to another's overlay")
        return found

    def play(self, key: bytes) -> Play | None:
        """How often what has this key was played."""
        found = self.record(Kind.PLAY, key)
        return None if found is None else decode_play(found.value)

    def lineage(self) -> int:
        """See :attr:`musicfs.store.state.State.lineage`; 0 if there is none."""
        found = self.record(Kind.STATE, LINEAGE_KEY)
        return 0 if found is None else decode_number(found.value)

    def rows(self, kind: Kind, start: bytes = b"") -> Iterator[Record]:
        """Every record of a kind from this key on, in the order of keys."""
        with self.txn.cursor(self.tables.records[kind]) as cursor:
            if cursor.set_range(start):
                for key, raw in cursor:
                    yield self.checked(kind, key, raw)

    def pairs(self, table: lmdb._Database, start: tuple[int, int]) -> Iterator[tuple[int, int]]:
        """Keys of an index of two numbers from ``start`` on."""
        with self.txn.cursor(table) as cursor:
            if cursor.set_range(pair_key(*start)):
                for key in cursor.iternext(values=False):
                    yield unpack_pair(key)

    def pairs_backwards(self, table: lmdb._Database, start: int | None) -> Iterator[tuple[int, int]]:
        """Keys of an index of two numbers, the last first; only those that begin with ``start`` unless it is None."""
        with self.txn.cursor(table) as cursor:
            beyond = start is not None and cursor.set_range(pair_key(start + 1, 0))
            if not (cursor.prev() if beyond else cursor.last()):
                return
            for key in cursor.iterprev(values=False):
                pair = unpack_pair(key)
                if start is not None and pair[0] != start:
                    return
                yield pair

    def is_sound(self) -> bool:
        """Whether everything is there as it was written. Reads it all: some 100 ms for 100,000 records."""
        digest = 0
        for table in (*self.tables.records.values(), *self._indexes()):
            with self.txn.cursor(table) as cursor:
                for key, raw in cursor:
                    digest ^= _digest(key, raw)
        return digest == self.mark.digest

    def _indexes(self) -> tuple[lmdb._Database, ...]:
        tables = self.tables
        return tables.anchors, tables.audio, tables.changes, tables.histories


def _digest(key: bytes, raw: bytes) -> int:
    return xxhash.xxh3_64_intdigest(raw, xxhash.xxh3_64_intdigest(key))


class StateWrite(Reading):
    """One write transaction: it is committed by :meth:`commit`, dropped otherwise."""

    def __enter__(self) -> StateWrite:
        try:
            self.txn = self.tables.env.begin(write=True)
        except lmdb.Error as error:
            raise environment.store_error(self.tables.path, error) from error
        self._read_mark()
        self._digest, self._live_bytes, self._pins = self.mark.digest, self.mark.live_bytes, self.mark.pins
        return self

    def apply(self, record: Record) -> None:
        """Put a record in the place of an older one of its key; a newer one stays."""
        before = self.record(record.kind, record.key)
        if before is not None and before.sequence >= record.sequence:
            return
        if record.kind is Kind.OVERLAY:
            self._index_overlay(before, record)
        elif record.kind is Kind.HISTORY:
            sequence, overlay_id = unpack_pair(record.key)
            self._put(self.tables.histories, pair_key(overlay_id, sequence), b"")
        elif record.kind is Kind.PIN:
            was = before is not None and before.value != _REMOVED
            self._pins += (record.value != _REMOVED) - was
        raw = encode_frame(record.sequence, 0, encode_records((record,)))
        self._live_bytes += len(record.value) - (len(before.value) if before is not None else 0)
        self._put(self.tables.records[record.kind], record.key, raw)

    def _index_overlay(self, before: Record | None, record: Record) -> None:
        new = decode_overlay(record.value)
        old = decode_overlay(before.value) if before is not None else Overlay(new.id)
        if before is not None:
            self._delete(self.tables.changes, pair_key(before.sequence, old.id))
        self._put(self.tables.changes, pair_key(record.sequence, new.id), b"")
        if old.audio_id != new.audio_id:
            if old.audio_id:
                self._delete(self.tables.audio, pair_key(old.audio_id, old.id))
            if new.audio_id:
                self._put(self.tables.audio, pair_key(new.audio_id, new.id), b"")
        key = overlay_key(new.id)
        wanted = {anchor_key(anchor) for anchor in new.anchors}
        for place in sorted({anchor_key(anchor) for anchor in old.anchors} - wanted):
            if self.txn.get(place, db=self.tables.anchors) == key:
                self._delete(self.tables.anchors, place)
        for place in sorted(wanted):
            holder = self.txn.get(place, db=self.tables.anchors)
            if holder is None or holder == key or self._sequence_of(holder) <= record.sequence:
                self._put(self.tables.anchors, place, key)

    def _sequence_of(self, key: bytes) -> int:
        found = self.record(Kind.OVERLAY, key)
        return 0 if found is None else found.sequence

    def _put(self, table: lmdb._Database, key: bytes, raw: bytes) -> None:
        old = self.txn.get(key, db=table)
        if old is not None:
            self._digest ^= _digest(key, old)
        self._digest ^= _digest(key, raw)
        self.txn.put(key, raw, db=table)

    def _delete(self, table: lmdb._Database, key: bytes) -> None:
        old = self.txn.get(key, db=table)
        if old is not None:
            self._digest ^= _digest(key, old)
            self.txn.delete(key, db=table)

    def commit(self, sequence: int) -> None:
        """Have it on disk, as of this number (or a higher one, if that is known already)."""
        self.sequence = max(sequence, self.sequence)
        mark = encode_frame(self.sequence, 0, _encode(_Mark(SCHEMA, self._digest, self._live_bytes, self._pins)))
        self.txn.put(b"schema", _encode(SCHEMA), db=self.tables.meta)
        self.txn.put(b"mark", mark, db=self.tables.meta)
        self.txn.commit()
