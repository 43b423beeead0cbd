"""ID3v2 tags taken apart into frames, none of which is copied or understood further than it has to be.

Sources: id3.org, "ID3 tag version 2" (v2.2), "ID3 tag version 2.3.0", and "ID3 tag version 2.4.0 - Main Structure".
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
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
from musicfs.formats.source import View
from musicfs.formats.tagset import MAX_ITEMS, MAX_VALUE_BYTES

VERSIONS = (2, 3, 4)
_V22_HEADER_BYTES = 6


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
