"""ID3v2 tags taken apart into frames, and put together again with some of them others.

Frames that stay are never rewritten: they are ranges of the file, whatever their flags, compression or encryption. New
frames follow the tag's conventions: its version, its unsynchronisation, and the way its sizes are written. The padding stays
as large as it is. Sources: id3.org, "ID3 tag version 2" (v2.2), "2.3.0", and "2.4.0 - Main Structure".
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from musicfs.errors import FormatError
from musicfs.formats.fields import ID3_V22
from musicfs.formats.id3 import (
    EXTENDED,
    HEADER_BYTES,
    MAX_UNSYNC_TAG_BYTES,
    UNSYNC,
    V23_COMPRESSED,
    V23_ENCRYPTED,
    V23_GROUPED,
    V24_COMPRESSED,
    V24_ENCRYPTED,
    V24_GROUPED,
    V24_LENGTH,
    V24_UNSYNC,
    Memory,
    frame_bytes,
    raw_offset,
    synchsafe,
    tag_stop,
    undo_unsync,
)
from musicfs.formats.plans import Extra, Literal, Piece, Range
from musicfs.formats.source import View
from musicfs.formats.tagset import MAX_ITEMS, MAX_VALUE_BYTES

VERSIONS = (2, 3, 4)
# What a new tag is given, for programs that write tags in place: as mutagen does at least.
NEW_PADDING_BYTES = 1024

_FOOTER = 0x10
_MAX_TAG_BYTES = (1 << 28) - 1
_V22_HEADER_BYTES = 6
_V22_NAMES = {later: name for name, later in ID3_V22.items()}
# A checksum over more than this is left out rather than computed: it would mean to read pictures.
_MAX_CHECKED_BYTES = 1024 * 1024
_TO_UNSYNC = re.compile(rb"\xff(?=[\x00\xe0-\xff]|\Z)")
_V23_CRC, _V24_UPDATE, _V24_CRC = 0x80, 0x40, 0x20


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of the tag, in positions of its ``view``; ``name`` as v2.3 and v2.4 name it, empty if they do not."""

    name: str
    start: int
    body: int
    stop: int
    status: int = 0
    flags: int = 0


@dataclass(frozen=True, slots=True)
class NewFrame:
    """A frame to write: ``name`` as v2.3 and v2.4 name it, ``image`` is the plan's whole ``extra`` and follows ``data``."""

    name: str
    data: bytes
    image: bytes = b""
    status: int = 0
    group: bytes = b""


Slot = Frame | NewFrame


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag, taken apart. Positions are those of ``view``: the file, or the tag's body freed of its unsynchronisation.

    ``[start, stop)`` are bytes of the file; ``raw`` is what lies there at ``raw_start`` if ``view`` is not the file, and
    ``raw_offsets`` says where in it a frame's edges are.
    ``rest`` is what stands behind the frames: padding, or what is no frame.
    """

    view: View
    head: bytes
    start: int
    stop: int
    extended: tuple[int, int]
    frames: tuple[Frame, ...]
    rest: tuple[int, int]
    plain_sizes: bool
    raw: bytes = b""
    raw_start: int = 0
    raw_offsets: Mapping[int, int] = field(default_factory=dict)

    @property
    def version(self) -> int:
        """2, 3 or 4."""
        return self.head[3]

    @property
    def flags(self) -> int:
        """The flags of the tag's header."""
        return self.head[5]

    def group(self, frame: Frame) -> bytes:
        """The byte that says which group a frame belongs to, if it says so."""
        if self.version == 3 and frame.flags & V23_GROUPED:
            at = frame.body + (4 if frame.flags & V23_COMPRESSED else 0) + (1 if frame.flags & V23_ENCRYPTED else 0)
        elif self.version == 4 and frame.flags & V24_GROUPED:
            at = frame.body
        else:
            return b""
        return self.view.read(at, at + 1)

    def content(self, frame: Frame, limit: int = MAX_VALUE_BYTES) -> bytes:
        """The first ``limit`` bytes of what a frame holds, unpacked; nothing if it is encrypted or damaged."""
        start, unsync, compressed = frame.body, False, False
        if self.version == 3:
            if frame.flags & V23_ENCRYPTED:
                return b""
            compressed = bool(frame.flags & V23_COMPRESSED)
            start += (4 if compressed else 0) + (1 if frame.flags & V23_GROUPED else 0)
        elif self.version == 4:
            if frame.flags & V24_ENCRYPTED:
                return b""
            compressed = bool(frame.flags & V24_COMPRESSED)
            unsync = bool(frame.flags & V24_UNSYNC or self.flags & UNSYNC)
            start += (1 if frame.flags & V24_GROUPED else 0) + (4 if frame.flags & (V24_LENGTH | V24_COMPRESSED) else 0)
        if start >= frame.stop:
            return b""
        data = self.view.read(start, min(frame.stop, start + limit))
        if unsync:
            data = undo_unsync(data)
        if not compressed:
            return data
        try:
            return zlib.decompressobj().decompress(data, limit)
        except zlib.error:
            return b""


def take_apart(view: View, start: int) -> Tag:
    """The tag at ``start`` of the file. FormatError without one, or if it is of a kind that cannot be put together again."""
    head = view.read(start, start + HEADER_BYTES)
    stop = tag_stop(head, start)
    version, flags = head[3], head[5]
    if version not in VERSIONS or stop > view.size:
        raise FormatError(f"the ID3 tag at byte {start} is of an unknown version or cut short")
    if version == 2 and flags & EXTENDED:
        raise FormatError("the ID3v2.2 tag is compressed as a whole")
    position = start + HEADER_BYTES
    end = position + synchsafe(head[6:10])
    raw, raw_start, inner = b"", position, view
    if flags & UNSYNC and version < 4:
        if end - position > MAX_UNSYNC_TAG_BYTES:
            raise FormatError("an unsynchronised ID3 tag of this size is not read")
        raw = view.read(position, end)
        plain = undo_unsync(raw)
        inner, position, end = View(Memory(plain)), 0, len(plain)
    extended = _extended_stop(inner, version, flags, position)
    if extended > end:
        raise FormatError("the extended header of the ID3 tag is longer than the tag")
    frames, rest = _walk(inner, version, extended, end)
    plain_sizes = version == 4 and any(_has_plain_size(inner, frame) for frame in frames)
    edges = (position, extended, *(frame.stop for frame in frames), end)
    offsets = _raw_offsets(raw, edges) if raw else {}
    spans = (position, extended), tuple(frames), (rest, end)
    return Tag(inner, head, start, stop, *spans, plain_sizes, raw, raw_start, offsets)


def _raw_offsets(raw: bytes, edges: Iterable[int]) -> dict[int, int]:
    """Where in ``raw`` these positions of what it is freed of unsynchronisation are; they must not decrease."""
    found: dict[int, int] = {}
    known = 0, 0
    for edge in edges:
        if edge not in found:
            found[edge] = raw_offset(raw, edge, known)
            known = found[edge], edge
    return found


def _extended_stop(view: View, version: int, flags: int, start: int) -> int:
    if not flags & EXTENDED or version == 2:
        return start
    head = view.read(start, start + 4)
    if head.isalnum() and head.isupper():
        return start  # some programs set the flag and write frames at once
    return start + (synchsafe(head) if version == 4 else 4 + int.from_bytes(head))


def _walk(view: View, version: int, position: int, stop: int) -> tuple[list[Frame], int]:
    """The frames up to the padding, the end, or the first that makes no sense, as they are read; and where that is."""
    frames: list[Frame] = []
    header_bytes = _V22_HEADER_BYTES if version == 2 else HEADER_BYTES
    while len(frames) < MAX_ITEMS:
        body = position + header_bytes
        if body > stop:
            break
        head = view.read(position, body)
        if head[0] == 0:
            break
        try:
            size = int.from_bytes(head[3:]) if version == 2 else frame_bytes(view, version, head, body, stop)
        except FormatError:
            break
        if body + size > stop or (version == 2 and not size):
            break
        if version == 2:
            frames.append(Frame(ID3_V22.get(head[:3].decode("latin-1"), ""), position, body, body + size))
        else:
            name = head[:4].decode("latin-1")
            frames.append(Frame(name, position, body, body + size, head[8], head[9]))
        position = body + size
    return frames, position


def _has_plain_size(view: View, frame: Frame) -> bool:
    size = frame.stop - frame.body
    return size >= 0x80 and view.read(frame.start + 4, frame.start + 8) == size.to_bytes(4)


def render(tag: Tag, slots: Sequence[Slot]) -> list[Piece]:
    """The tag with these frames instead of its own; FormatError if it grows larger than a tag can be."""
    if tuple(slots) == tag.frames:
        return [Range(tag.start, tag.stop)]
    frames = _frame_pieces(tag, slots)
    padding = _kept(tag, *tag.rest)
    extended = _extended_pieces(tag, slots, frames, padding)
    body = [*extended, *frames, *padding]
    size = sum(piece.size for piece in body)
    if size > _MAX_TAG_BYTES:
        raise FormatError("the ID3 tag would be larger than one can be")
    head = tag.head[3:6] + synchsafe_bytes(size)
    footer = [Literal(b"3DI" + head)] if tag.version == 4 and tag.flags & _FOOTER else []
    return [Literal(b"ID3" + head), *body, *footer]


def render_new(slots: Iterable[NewFrame], padding_bytes: int = NEW_PADDING_BYTES) -> list[Piece]:
    """A new v2.4 tag."""
    pieces = [piece for slot in slots for piece in _new_frame(slot, 4, unsync=False, plain_size=False)]
    size = sum(piece.size for piece in pieces) + padding_bytes
    if size > _MAX_TAG_BYTES:
        raise FormatError("the ID3 tag would be larger than one can be")
    return [Literal(b"ID3\x04\x00\x00" + synchsafe_bytes(size)), *pieces, Literal(bytes(padding_bytes))]


def synchsafe_bytes(number: int, count: int = 4) -> bytes:
    """``number`` in bytes of seven bits."""
    return bytes(number >> 7 * place & 0x7F for place in reversed(range(count)))


def redo_unsync(data: bytes) -> bytes:
    """Unsynchronised: no 0xFF is followed by a zero, by what continues a sync, or by the end (2.4.0, 6.1)."""
    return _TO_UNSYNC.sub(b"\xff\0", data)


def _frame_pieces(tag: Tag, slots: Sequence[Slot]) -> list[Piece]:
    pieces: list[Piece] = []
    unsync = bool(tag.flags & UNSYNC)
    for slot in slots:
        if isinstance(slot, Frame):
            pieces += _kept(tag, slot.start, slot.stop)
        else:
            pieces += _new_frame(slot, tag.version, unsync=unsync, plain_size=tag.plain_sizes)
    return pieces


def _kept(tag: Tag, start: int, stop: int) -> list[Piece]:
    """The bytes ``[start, stop)`` of the tag's view, as they lie in the file."""
    if not tag.raw:
        return [Range(start, stop)]
    raw_start, raw_stop = tag.raw_offsets[start], tag.raw_offsets[stop]
    pieces: list[Piece] = [Range(tag.raw_start + raw_start, tag.raw_start + raw_stop)]
    if tag.raw[raw_stop - 1 : raw_stop] == b"\xff":
        pieces.append(Literal(b"\0"))  # something else may follow it now
    return pieces


def _new_frame(frame: NewFrame, version: int, *, unsync: bool, plain_size: bool) -> list[Piece]:
    if version == 4:
        return _new_v24(frame, unsync=unsync, plain_size=plain_size)
    size = len(frame.group) + len(frame.data) + len(frame.image)
    if version == 2:
        head = _V22_NAMES[frame.name].encode() + size.to_bytes(3)
    else:
        flags = bytes((frame.status, V23_GROUPED if frame.group else 0))
        head = frame.name.encode("latin-1") + size.to_bytes(4) + flags + frame.group
    if unsync:
        return [Literal(redo_unsync(head + frame.data + frame.image))]
    return [Literal(head + frame.data), Extra(0, len(frame.image))]


def _new_v24(frame: NewFrame, *, unsync: bool, plain_size: bool) -> list[Piece]:
    length = len(frame.data) + len(frame.image)
    flags = V24_GROUPED if frame.group else 0
    if unsync:
        flags |= V24_UNSYNC | V24_LENGTH
        body = frame.group + synchsafe_bytes(length) + redo_unsync(frame.data + frame.image)
        size = len(body)
    else:
        body = frame.group + frame.data
        size = len(body) + len(frame.image)
    if size > _MAX_TAG_BYTES:
        raise FormatError("an ID3 frame would be larger than one can be")
    head = frame.name.encode("latin-1") + (size.to_bytes(4) if plain_size else synchsafe_bytes(size))
    literal = Literal(head + bytes((frame.status, flags)) + body)
    return [literal] if unsync else [literal, Extra(0, len(frame.image))]


def _extended_pieces(tag: Tag, slots: Sequence[Slot], frames: list[Piece], padding: list[Piece]) -> list[Piece]:
    """The extended header, with its checksum as it has to be now, or without one where that meant to read pictures."""
    start, stop = tag.extended
    data = tag.view.read(start, stop)
    if tag.version == 3 and len(data) == 14 and data[4] & _V23_CRC:
        checked = _content_of(tag, slots)
        if checked is not None:
            data = data[:10] + zlib.crc32(checked).to_bytes(4)
        else:
            data = (6).to_bytes(4) + bytes((data[4] & ~_V23_CRC, data[5])) + data[6:10]
    elif tag.version == 4 and len(data) > 6 and data[4] == 1 and data[5] & _V24_CRC:
        at = 6 + (1 if data[5] & _V24_UPDATE else 0)
        if data[at : at + 1] != b"\x05" or len(data) < at + 6:
            raise FormatError("the extended header of the ID3 tag makes no sense")
        checked = _bytes_of(tag, [*frames, *padding], slots)
        if checked is not None:
            data = data[: at + 1] + synchsafe_bytes(zlib.crc32(checked), 5) + data[at + 6 :]
        else:
            data = data[4:at] + data[at + 6 :]
            data = synchsafe_bytes(len(data) + 4) + data[:1] + bytes((data[1] & ~_V24_CRC,)) + data[2:]
    else:
        return _kept(tag, start, stop)
    return [Literal(redo_unsync(data) if tag.raw else data)]


def _content_of(tag: Tag, slots: Sequence[Slot]) -> bytes | None:
    """The v2.3 frames before any unsynchronisation; None if that is too much to read."""
    pieces: list[Piece] = []
    for slot in slots:
        if isinstance(slot, Frame):
            pieces.append(Range(slot.start, slot.stop))
        else:
            pieces += _new_frame(slot, tag.version, unsync=False, plain_size=False)
    return _bytes_of(tag, pieces, slots)


def _bytes_of(tag: Tag, pieces: list[Piece], slots: Sequence[Slot]) -> bytes | None:
    """What the pieces of a tag make; None if that is too much to read."""
    if sum(piece.size for piece in pieces) > _MAX_CHECKED_BYTES:
        return None
    image = next((slot.image for slot in slots if isinstance(slot, NewFrame) and slot.image), b"")
    parts = []
    for piece in pieces:
        if isinstance(piece, Literal):
            parts.append(piece.data)
        elif isinstance(piece, Range):
            parts.append(tag.view.read(piece.start, piece.stop))
        else:
            parts.append(image[piece.start : piece.stop])
    return b"".join(parts)
