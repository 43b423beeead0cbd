"""What the user's state is made of: overlays with their history, pins, collections, plays, deleted tracks.

These are values, and how they are written.

A :class:`Record` is one of them under its key, with the number of the change that wrote it. Of two records of one key the
one with the higher number holds, so records can be put together from several places in any order.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import Literal

import msgspec
import xxhash

_MAX_PLAIN_BYTES = 500  # LMDB keys are at most 511 bytes
_U64 = struct.Struct(">Q")
_U64_U64 = struct.Struct(">QQ")

# How much later the next change of an overlay is at least: players that compare times of files look at seconds.
TIME_STEP_NS = 1_000_000_000

Action = Literal["set", "clear", "undo", "import"]
Anchor = tuple[str, bytes]  # origin id, path there


class Layer(msgspec.Struct, frozen=True, array_like=True):
    """What is laid over a file's own tags.

    ``fields`` has the new values of the fields that are changed, none for one that is removed. ``cover`` is empty for the
    file's own, ``-`` for none, else the key of an image.
    """

    fields: dict[str, tuple[str, ...]] = {}
    cover: str = ""


class Overlay(msgspec.Struct, frozen=True, array_like=True):
    """A track's corrections. One whose fields are all taken back stays, empty, for its history and its time.

    ``anchors`` are the files that are this track; ``audio_id`` and ``own_digest`` (of the file's own tags) are what they had
    when last seen. ``changed_ns`` never decreases; it and ``author`` are set by the state when fields or cover change.
    """

    id: int
    fields: dict[str, tuple[str, ...]] = {}
    cover: str = ""
    changed_ns: int = 0
    author: str = ""
    anchors: tuple[Anchor, ...] = ()
    audio_id: int = 0
    own_digest: int = 0

    @property
    def layer(self) -> Layer:
        """The part that has a history."""
        return Layer(self.fields, self.cover)


class Change(msgspec.Struct, frozen=True):
    """An overlay as it shall be; ``undoes`` is the sequence of the entry of its history that is taken back by this."""

    overlay: Overlay
    undoes: int = 0


class Anchoring(msgspec.Struct, frozen=True):
    """New anchors for an overlay (none: it is held until its file returns). None leaves a value as it is."""

    overlay_id: int
    anchors: tuple[Anchor, ...]
    audio_id: int | None = None
    own_digest: int | None = None


class Written(msgspec.Struct, frozen=True):
    """What was stored, in the order it was given, under which number."""

    sequence: int
    overlays: tuple[Overlay, ...]


class HistoryEntry(msgspec.Struct, frozen=True, array_like=True):
    """One change of one overlay. Entries of one batch share the sequence.

    ``undoes`` is the sequence of the entry this one took back, ``undone_by`` of the one that took this one back and was not
    taken back itself; 0 for none.
    """

    sequence: int
    overlay_id: int
    time_ns: int
    author: str
    action: Action
    before: Layer
    after: Layer
    undoes: int = 0
    undone_by: int = 0  # not written down: it follows from newer entries


class Pin(msgspec.Struct, frozen=True, array_like=True):
    """Content that is kept whatever the limit: a file or folder of the tree, and the files it stood for when it was pinned.

    The files, (origin id, path there), stay pinned when the tree names them anew.
    """

    path: bytes  # virtual, from the root, with a leading slash
    added_ns: int
    files: tuple[Anchor, ...] = ()


class StoredCollection(msgspec.Struct, frozen=True, array_like=True):
    """A collection the user made: what is in it is said by ``query``, or by ``rule`` where that is not empty."""

    id: int  # 63 bits, random; stays when it is renamed
    name: str
    query: str = ""
    rule: bytes = b""  # msgpack of a rule
    sort: str = ""
    limit: int = 0  # 0: none
    added_ns: int = 0
    author: str = ""


class Played(msgspec.Struct, frozen=True):
    """Something was played once; ``key`` is from :func:`play_key`."""

    key: bytes
    time_ns: int
    anchor: Anchor


class Play(msgspec.Struct, frozen=True, array_like=True):
    """How often something was played, when first and last (ns since 1970 UTC), and the file it was last played from."""

    key: bytes
    count: int
    first_ns: int
    last_ns: int
    anchor: Anchor


class Trashed(msgspec.Struct, frozen=True, array_like=True):
    """A track whose file is gone from every origin: all that is needed to show it, and to know it again.

    ``virtual_path`` (from the root, with a leading slash) is where it was in the mount. ``facts`` is the msgpack of the
    file's own :class:`~musicfs.store.records.StoredFacts`, or nil; what the user corrected is still where it was, by the
    anchor. One with ``restored_ns`` is in the tree again, as a memory of the file, until that returns.
    """

    id: int  # from :func:`trashed_id`
    origin_id: str
    path: bytes  # in the origin
    virtual_path: bytes
    deleted_ns: int
    size: int
    mtime_ns: int
    version: bytes
    kind: int  # a :class:`~musicfs.store.records.ObjectKind`
    added_ns: int
    facts: bytes
    audio_id: int = 0
    identity: int = 0  # as :class:`~musicfs.store.records.ObjectRecord` has it
    restored_ns: int = 0

    @property
    def anchor(self) -> Anchor:
        """The file that it was."""
        return self.origin_id, self.path


class Kind(IntEnum):
    """What a record is about; the numbers are on disk."""

    STATE = 0  # key "lineage": a number that changes when this may not be the continuation of what it was
    OVERLAY = 1  # key: id u64
    HISTORY = 2  # key: sequence u64, overlay id u64
    PIN = 3  # key: :func:`path_key`; value None where it was removed
    COLLECTION = 4  # key: id u64; value None where it was removed
    PLAY = 5  # key: :func:`play_key`
    TRASH = 6  # key: id u64; value None where it came back, or was forgotten


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One value under its key, msgpack, with the number of the change that wrote it."""

    kind: Kind
    key: bytes
    sequence: int
    value: bytes


LINEAGE_KEY = b"lineage"

_encode = msgspec.msgpack.encode
_decode_records = msgspec.msgpack.Decoder(tuple[Record, ...]).decode
decode_overlay = msgspec.msgpack.Decoder(Overlay).decode
decode_history = msgspec.msgpack.Decoder(HistoryEntry).decode
decode_pin = msgspec.msgpack.Decoder(Pin | None).decode
decode_collection = msgspec.msgpack.Decoder(StoredCollection | None).decode
decode_play = msgspec.msgpack.Decoder(Play).decode
decode_trashed = msgspec.msgpack.Decoder(Trashed | None).decode
decode_number = msgspec.msgpack.Decoder(int).decode


def encode_records(records: Iterable[Record]) -> bytes:
    """The payload of a frame."""
    return _encode(tuple(records))


def decode_records(payload: bytes) -> tuple[Record, ...]:
    """Undo :func:`encode_records`. Raises msgspec.MsgspecError."""
    return _decode_records(payload)


def lineage_record(lineage: int, sequence: int) -> Record:
    """The record of the state itself."""
    return Record(Kind.STATE, LINEAGE_KEY, sequence, _encode(lineage))


def overlay_record(overlay: Overlay, sequence: int) -> Record:
    """An overlay as it is from this change on."""
    return Record(Kind.OVERLAY, overlay_key(overlay.id), sequence, _encode(overlay))


def history_record(entry: HistoryEntry) -> Record:
    """An entry of a history."""
    return Record(Kind.HISTORY, pair_key(entry.sequence, entry.overlay_id), entry.sequence, _encode(entry))


def pin_record(path: bytes, pin: Pin | None, sequence: int) -> Record:
    """A pin, or that there is none any more."""
    return Record(Kind.PIN, path_key(path), sequence, _encode(pin))


def collection_record(collection_id: int, collection: StoredCollection | None, sequence: int) -> Record:
    """A collection, or that there is none with this id any more."""
    return Record(Kind.COLLECTION, overlay_key(collection_id), sequence, _encode(collection))


def play_record(play: Play, sequence: int) -> Record:
    """How often something was played, from this change on."""
    return Record(Kind.PLAY, play.key, sequence, _encode(play))


def trash_record(trashed_id: int, trashed: Trashed | None, sequence: int) -> Record:
    """A deleted track, or that there is none with this id any more."""
    return Record(Kind.TRASH, overlay_key(trashed_id), sequence, _encode(trashed))


def trashed_id(anchor: Anchor, version: bytes, size: int) -> int:
    """63 bits, not 0: of one version of one file, so that noting its end twice is noting it once."""
    what = anchor[0].encode() + b"\0" + anchor[1] + b"\0" + version + b"\0%d" % size
    return xxhash.xxh3_64_intdigest(what) >> 1 or 1


def play_key(audio_id: int, anchor: Anchor) -> bytes:
    """The 16 bytes under which plays are counted: of the audio, or of the file where its audio is not known (0)."""
    what = b"audio\0" + _U64.pack(audio_id) if audio_id else b"file\0" + anchor[0].encode() + b"\0" + anchor[1]
    return xxhash.xxh3_128_digest(what)


def overlay_key(overlay_id: int) -> bytes:
    """Key of an overlay, of a collection, or of a deleted track."""
    return _U64.pack(overlay_id)


def pair_key(first: int, second: int) -> bytes:
    """Two numbers as a key, in numeric order."""
    return _U64_U64.pack(first, second)


def unpack_key(key: bytes) -> int:
    """Undo :func:`overlay_key`."""
    return int(_U64.unpack(key)[0])


def unpack_pair(key: bytes) -> tuple[int, int]:
    """Undo :func:`pair_key`."""
    first, second = _U64_U64.unpack(key)
    return first, second


def path_key(path: bytes) -> bytes:
    """A path as a key: itself, or beyond 500 bytes its beginning and a hash."""
    if len(path) <= _MAX_PLAIN_BYTES:
        return path
    return path[: _MAX_PLAIN_BYTES - 16] + xxhash.xxh3_128_digest(path)


def anchor_key(anchor: Anchor) -> bytes:
    """An anchor as a key. An origin's id holds no NUL."""
    return path_key(anchor[0].encode() + b"\0" + anchor[1])
