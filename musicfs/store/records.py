"""The values of the catalog's tables: how they are packed and unpacked.

Hot values (nodes, directory entries) are fixed structs; the rest is msgpack of array-like structs. Names and paths are
bytes: what a filesystem holds is not always UTF-8.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import IntEnum

import msgspec

from musicfs.model import FIELD_NAMES, FIELDS, Facts, Layout, Picture, Technical

U16 = struct.Struct(">H")
U32 = struct.Struct(">I")
U64 = struct.Struct(">Q")
U64_U64 = struct.Struct(">QQ")
ENTRY = struct.Struct(">QB")  # inode, kind
DISCS = struct.Struct(">HH")
# kind, view, parent inode, size, mtime_ns, reference (object or blob id), start of the range in the object; name follows
NODE = struct.Struct(">BBQQqQQ")


class NodeKind(IntEnum):
    """What an inode is."""

    FOLDER = 1
    OBJECT = 2  # an origin's file from ``start`` for ``size`` bytes
    BLOB = 3  # bytes of the ``blobs`` table
    LINK = 4  # a symbolic link to where the object ``ref`` appears
    TRASHED = 5  # a file that is gone, the object it was being `ref`: what is stored of its content, and no more


class Node(msgspec.Struct, frozen=True, gc=False):
    """One inode as the mount serves it."""

    inode: int
    kind: int
    view: int
    parent: int
    size: int
    mtime_ns: int
    ref: int
    start: int
    name: bytes


def pack_node(node: Node) -> bytes:
    """The value of ``nodes`` for this inode."""
    return NODE.pack(node.kind, node.view, node.parent, node.size, node.mtime_ns, node.ref, node.start) + node.name


def unpack_node(inode: int, raw: bytes) -> Node:
    """Undo :func:`pack_node`."""
    return Node(inode, *NODE.unpack_from(raw), raw[NODE.size :])  # type: ignore[call-arg] # the struct's seven fields


class ObjectKind(IntEnum):
    """What an origin's file is to the library."""

    AUDIO = 1
    SIDECAR = 2
    OPAQUE = 3  # named like audio, but it could not be read as such; served under its own name


StoredTags = Mapping[int | str, str | list[str]]


class StoredFacts(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """:class:`~musicfs.model.Facts` with known fields as numbers and single values unwrapped: half the bytes."""

    format: str
    tags: dict[int | str, str | list[str]]
    technical: Technical
    layout: Layout
    pictures: tuple[Picture, ...] = ()
    audio_id: int = 0


class ObjectRecord(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One file of an origin. ``facts`` is the msgpack of StoredFacts, or nil; kept raw so that moving costs nothing."""

    folder: int
    name: bytes
    kind: int
    size: int
    mtime_ns: int
    version: bytes
    identity: int  # hash of what stays the same when a file moves; 0 when the origin has nothing of the kind
    added_ns: int
    facts: msgspec.Raw = msgspec.Raw(b"\xc0")


class FolderRecord(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One folder of an origin. ``digest`` is the hash of its last listing, empty until its files are in the tree."""

    origin: int
    path: bytes
    digest: bytes = b""


class OriginRecord(msgspec.Struct, frozen=True, array_like=True):
    """What is known about an origin between runs."""

    number: int
    kind: str
    root: str
    identity: bytes = b""  # the origin's own token: another one means another filesystem lies under its path
    files: int = 0
    size_bytes: int = 0
    last_listing_ns: int = 0  # when a complete listing ended
    held: int = 0  # files whose removal waits for a confirmation


class CollectionRecord(msgspec.Struct, frozen=True, array_like=True):
    """A collection that the tree has a folder of, or had: what a folder cannot say of itself.

    ``name`` is the one it shall have. ``mark`` says by what it was filled last, for those who fill it.
    """

    id: int
    name: str
    mark: bytes = b""


# The view number of what collections have in the tree; a folder of theirs has the collection's id as its ``start``.
COLLECTIONS_VIEW = 255
TRASH_VIEW = 254  # the view number of what is below /.trash

# The number of the origin of restored tracks; those of the configuration begin with 1.
TRASH_ORIGIN = 0

_facts_encoder = msgspec.msgpack.Encoder()
_facts_decoder = msgspec.msgpack.Decoder(StoredFacts | None)
encode_record = msgspec.msgpack.Encoder().encode
decode_object = msgspec.msgpack.Decoder(ObjectRecord).decode
decode_folder = msgspec.msgpack.Decoder(FolderRecord).decode
decode_origin = msgspec.msgpack.Decoder(OriginRecord).decode


def stored_facts(facts: Facts) -> StoredFacts:
    """Facts in the form in which the catalog stores them and the tree uses them."""
    tags: dict[int | str, str | list[str]] = {}
    for field, values in facts.tags.items():
        tags[FIELDS.get(field, field)] = values[0] if len(values) == 1 else list(values)
    return StoredFacts(facts.format, tags, facts.technical, facts.layout, facts.pictures, facts.audio_id)


def pack_facts(facts: Facts) -> bytes:
    """The value that :func:`unpack_stored` reads."""
    return _facts_encoder.encode(stored_facts(facts))


def unpack_stored(raw: bytes | msgspec.Raw) -> StoredFacts | None:
    """What :func:`pack_facts` wrote, as it is stored; None for nil."""
    stored: StoredFacts | None = _facts_decoder.decode(raw)
    return stored


def tag(tags: StoredTags, key: int | str) -> str:
    """The first value of a field, named by its number (or its name, if it is not a known one); empty without."""
    value = tags.get(key, "")
    return value if isinstance(value, str) else value[0]


def unpack_facts(raw: bytes | msgspec.Raw) -> Facts | None:
    """Undo :func:`pack_facts`; None for nil."""
    stored = _facts_decoder.decode(raw)
    if stored is None:
        return None
    tags = {
        (FIELD_NAMES[key] if isinstance(key, int) else key): ((value,) if isinstance(value, str) else tuple(value))
        for key, value in stored.tags.items()
    }
    return Facts(stored.format, tags, stored.technical, stored.layout, stored.pictures, stored.audio_id)
