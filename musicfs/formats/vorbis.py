"""Vorbis comments, and the picture blocks that FLAC and Ogg share.

Sources: "Ogg Vorbis I format specification: comment field and header specification" (Xiph.Org); RFC 9639, 8.6 and 8.8;
"VorbisComment: METADATA_BLOCK_PICTURE" (wiki.xiph.org).
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable
from typing import Protocol

from musicfs.errors import FormatError
from musicfs.formats.images import mime_type
from musicfs.formats.tagset import MAX_ITEMS, MAX_VALUE_BYTES, TagSet
from musicfs.model import Picture

_BUFFER_BYTES = 16 * 1024
_BUFFER_BYTES_MIN = 64
_KEY_BYTES = 1024  # enough of a value to see its key and, after it, the header of a picture block
NOT_TEXT = frozenset({"metadata_block_picture", "coverart", "coverartmime"})  # comments that hold pictures

_UINT32LE = struct.Struct("<I")
_UINT32 = struct.Struct(">I")


class Ranges(Protocol):
    """Where comments are read from: a file, or the payload of an Ogg packet."""

    def read_some(self, start: int, stop: int) -> bytes:
        """The bytes of ``[start, stop)`` that exist."""
        ...


def read_comments(
    ranges: Ranges,
    start: int,
    tags: TagSet,
    on_picture: Callable[[int, int, bytes], None],
    expected_bytes: int = _BUFFER_BYTES,
) -> int:
    """Add the comments that begin at ``start`` with the vendor's length; return the position after the last one.

    ``on_picture(start, stop, prefix)`` is told of each METADATA_BLOCK_PICTURE value: where its base64 text lies, and the
    first part of it. Values that lie beyond what is buffered are read only if they are text. There may be more, or less, than
    ``expected_bytes`` of it all.
    """
    buffer = ranges.read_some(start, start + max(min(expected_bytes, _BUFFER_BYTES), _BUFFER_BYTES_MIN))
    base = start
    (vendor_bytes,) = _UINT32LE.unpack_from(buffer, 0)
    at: int = 4 + vendor_bytes
    if at + 4 > len(buffer):
        base, at = base + at, 0
        buffer = ranges.read_some(base, base + _BUFFER_BYTES)
    (count,) = _UINT32LE.unpack_from(buffer, at)
    at += 4
    for _ in range(min(count, MAX_ITEMS)):
        if at + 4 > len(buffer):
            base, at = base + at, 0
            buffer = ranges.read_some(base, base + _BUFFER_BYTES)
        (size,) = _UINT32LE.unpack_from(buffer, at)
        at += 4
        raw = buffer[at : at + size]
        if len(raw) < size:
            raw = _beyond_buffer(ranges, base + at, size)
        key, equals, value = raw.decode("utf-8", "replace").partition("=")
        if equals:
            key = key.lower()
            if key not in NOT_TEXT:
                tags.add_named(key, value)
            elif key == "metadata_block_picture":
                value_start = base + at + len(key) + 1
                on_picture(value_start, base + at + size, value[:_KEY_BYTES].encode("ascii", "replace"))
        at += size
    return base + at


def _beyond_buffer(ranges: Ranges, start: int, size: int) -> bytes:
    """A value that is not wholly buffered: all of it if it is text of a sane length, else only its beginning."""
    prefix = ranges.read_some(start, start + min(size, _KEY_BYTES))
    key = prefix.partition(b"=")[0].decode("ascii", "replace").lower()
    if key == "metadata_block_picture":
        return prefix
    if size > MAX_VALUE_BYTES or key in NOT_TEXT:
        return b""
    raw = ranges.read_some(start, start + size)
    if len(raw) < size:
        raise FormatError(f"a comment of {size} bytes does not fit into the file")
    return raw


class PictureHeader:
    """What stands before the image in a picture block: ``data_start`` and ``data_bytes`` are relative to the block."""

    __slots__ = ("data_bytes", "data_start", "kind", "mime")

    data_bytes: int
    data_start: int
    kind: int

    def __init__(self, block: bytes) -> None:
        """Parse the beginning of a block; struct.error when ``block`` is too short to hold the whole header."""
        kind, mime_bytes = struct.unpack_from(">II", block, 0)
        (description_bytes,) = _UINT32.unpack_from(block, 8 + mime_bytes)
        sizes_at = 12 + mime_bytes + description_bytes
        (self.data_bytes,) = _UINT32.unpack_from(block, sizes_at + 16)  # after width, height, depth, colours
        self.data_start = sizes_at + 20
        self.kind = kind if kind <= 20 else 0
        self.mime = mime_type(
            block[8 : 8 + mime_bytes].decode("latin-1"), block[self.data_start : self.data_start + 12]
        )


def base64_picture(start: int, stop: int, prefix: bytes) -> Picture | None:
    """The picture whose base64 block lies in ``[start, stop)`` of the file; None when its header makes no sense."""
    try:
        header = PictureHeader(binascii.a2b_base64(prefix[: len(prefix) // 4 * 4]))
    except (struct.error, ValueError):
        return None
    if header.mime == "-->" or not header.data_bytes:
        return None
    return Picture(header.kind, header.mime, start, stop, "ogg64")
