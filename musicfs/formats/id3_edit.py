"""ID3v2 tags put together again with some of their frames others.

Frames that stay are never rewritten: they are ranges of the file, whatever their flags, compression or encryption. New
frames follow the tag's conventions: its version, its unsynchronisation, and the way its sizes are written. The padding stays
as large as it is, a checksum is that of the new frames.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from musicfs.errors import FormatError
from musicfs.formats.fields import ID3_V22
from musicfs.formats.id3 import UNSYNC, V23_GROUPED, V24_GROUPED, V24_LENGTH, V24_UNSYNC
from musicfs.formats.id3_parts import Frame, Tag
from musicfs.formats.plans import Extra, Literal, Piece, Range

# What a new tag is given, for programs that write tags in place: as mutagen does at least.
NEW_PADDING_BYTES = 1024

_FOOTER = 0x10
_MAX_TAG_BYTES = (1 << 28) - 1
_V22_NAMES = {later: name for name, later in ID3_V22.items()}
# A checksum over more than this is left out rather than computed: it would mean to read pictures.
_MAX_CHECKED_BYTES = 1024 * 1024
_TO_UNSYNC = re.compile(rb"\xff(?=[\x00\xe0-\xff]|\Z)")
_V23_CRC, _V24_UPDATE, _V24_CRC = 0x80, 0x40, 0x20


@dataclass(frozen=True, slots=True)
class NewFrame:
    """A frame to write: ``name`` as v2.3 and v2.4 name it, ``image`` is the plan's whole ``extra`` and follows ``data``."""

    name: str
    data: bytes
    image: bytes = b""
    status: int = 0
    group: bytes = b""


Slot = Frame | NewFrame


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
