"""ID3v2.2, 2.3 and 2.4 tags and their frames (id3.org), read frame by frame: pictures are noted and stepped over."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from musicfs.errors import FormatError
from musicfs.formats.fields import ID3_V22
from musicfs.formats.id3frames import FrameText
from musicfs.formats.images import mime_type
from musicfs.formats.source import MALFORMED, View
from musicfs.formats.tagset import MAX_ITEMS, MAX_VALUE_BYTES, TagSet
from musicfs.model import Picture

HEADER_BYTES = 10
# A tag that is unsynchronised as a whole (v2.2, v2.3) can only be walked by undoing that for all of it.
MAX_UNSYNC_TAG_BYTES = 8 * 1024 * 1024
_PICTURE_HEADER_BYTES = 1024
_MAX_COMPRESSED_FRAMES = 100

UNSYNC, EXTENDED = 0x80, 0x40
# Frame format flags: "ID3 tag version 2.3.0", 3.3.1; "2.4.0 - Main Structure", 4.1.2.
V23_COMPRESSED, V23_ENCRYPTED, V23_GROUPED = 0x80, 0x40, 0x20
V24_GROUPED, V24_COMPRESSED, V24_ENCRYPTED, V24_UNSYNC, V24_LENGTH = 0x40, 0x08, 0x04, 0x02, 0x01


@dataclass(slots=True)
class Id3:
    """One tag: where it ends, what it says."""

    stop: int
    tags: TagSet = field(default_factory=TagSet)
    pictures: list[Picture] = field(default_factory=list)


def synchsafe(data: bytes) -> int:
    """The number in four bytes of seven bits; FormatError if an eighth bit is set."""
    a, b, c, d = data
    if (a | b | c | d) & 0x80:
        raise FormatError("a synchsafe number has a high bit set")
    return a << 21 | b << 14 | c << 7 | d


def tag_stop(head: bytes, start: int) -> int:
    """The end of the tag whose ten header bytes are ``head`` and begin at ``start``; FormatError when there is none."""
    if len(head) < HEADER_BYTES or head[:3] != b"ID3" or head[3] == 0xFF or head[4] == 0xFF:
        raise FormatError(f"no ID3 tag at byte {start}")
    footer = HEADER_BYTES if head[3] == 4 and head[5] & 0x10 else 0
    return start + HEADER_BYTES + synchsafe(head[6:10]) + footer


def read_id3(view: View, start: int) -> Id3:
    """The tag at ``start``. Damage ends the walk over its frames, what was read before stays. FormatError without a tag."""
    head = view.read(start, start + HEADER_BYTES)
    tag = Id3(min(tag_stop(head, start), view.size))
    version, flags = head[3], head[5]
    if version not in (2, 3, 4):
        return tag
    body = start + HEADER_BYTES
    stop = min(body + synchsafe(head[6:10]), view.size)
    try:
        if flags & UNSYNC and version < 4:
            walk = _walk_of_unsync(view, tag, version, flags, slice(body, stop))
        else:
            walk = _Walk(view, tag, version, flags, position=body, stop=stop)
        walk.run()
    except MALFORMED:
        pass  # the walk has kept what it could read
    return tag


def _walk_of_unsync(view: View, tag: Id3, version: int, flags: int, body: slice) -> _Walk:
    if body.stop - body.start > MAX_UNSYNC_TAG_BYTES:
        raise FormatError("an unsynchronised ID3 tag of this size is not read")
    raw = view.read(body.start, body.stop)
    plain = undo_unsync(raw)
    return _Walk(View(Memory(plain)), tag, version, flags, position=0, stop=len(plain), raw=raw, raw_start=body.start)


def undo_unsync(data: bytes) -> bytes:
    """Remove the zero bytes that unsynchronisation put after each 0xFF ("ID3 tag version 2.4.0 - Main Structure", 6.1)."""
    return data.replace(b"\xff\x00", b"\xff")


class Memory:
    """Bytes in memory as a source."""

    __slots__ = ("_data", "size")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, start: int, stop: int) -> bytes:
        return self._data[start:stop]


@dataclass(slots=True)
class _Walk:
    """One pass over the frames of a tag, in positions of ``view``.

    ``raw`` is what lies in the file at ``raw_start`` if ``view`` is of a tag that was unsynchronised as a whole.
    """

    view: View
    tag: Id3
    version: int
    flags: int
    position: int
    stop: int
    raw: bytes = b""
    raw_start: int = 0
    located: tuple[int, int] = (0, 0)
    compressed: int = 0
    text: FrameText = field(init=False)

    def run(self) -> None:
        """Read the frames up to the padding, the end, or the first that makes no sense."""
        self.text = FrameText(self.tag.tags)
        if self.flags & EXTENDED and self.version > 2:
            self._skip_extended_header()
        step = self._step_v22 if self.version == 2 else self._step
        try:
            for _ in range(MAX_ITEMS):
                if not step():
                    break
        finally:
            self.text.finish()

    def _skip_extended_header(self) -> None:
        head = self.view.read(self.position, self.position + 4)
        if head.isalnum() and head.isupper():
            return  # some programs set the flag and write frames at once
        if self.version == 4:
            self.position += synchsafe(head)  # counts itself
        else:
            self.position += 4 + int.from_bytes(head)

    def _step_v22(self) -> bool:
        start = self.position + 6
        if start > self.stop:
            return False
        head = self.view.read(self.position, start)
        name = ID3_V22.get(head[:3].decode("latin-1"), "")
        size = int.from_bytes(head[3:])
        if not size or head[0] == 0 or start + size > self.stop:
            return False
        self.position = start + size
        if name:
            self._frame(name, start, start + size, unsync=False)
        return True

    def _step(self) -> bool:
        start = self.position + HEADER_BYTES
        if start > self.stop:
            return False
        head = self.view.read(self.position, start)
        if head[0] == 0:
            return False  # padding
        size = frame_bytes(self.view, self.version, head, start, self.stop)
        if start + size > self.stop:
            return False
        self.position = start + size
        name = head[:4].decode("latin-1")
        if size:
            unpack = self._unpack_v24 if self.version == 4 else self._unpack_v23
            unpack(name, head[9], start, start + size)
        return True

    def _unpack_v23(self, name: str, flags: int, start: int, stop: int) -> None:
        if flags & V23_ENCRYPTED:
            return
        if flags & V23_COMPRESSED:
            start += 4  # the size when unpacked
        if flags & V23_GROUPED:
            start += 1
        if flags & V23_COMPRESSED:
            self._compressed(name, self.view.read(start, min(stop, start + MAX_VALUE_BYTES)))
        else:
            self._frame(name, start, stop, unsync=False)

    def _unpack_v24(self, name: str, flags: int, start: int, stop: int) -> None:
        if flags & V24_ENCRYPTED:
            return
        if flags & V24_GROUPED:
            start += 1
        if flags & (V24_LENGTH | V24_COMPRESSED):
            start += 4
        unsync = bool(flags & V24_UNSYNC or self.flags & UNSYNC)
        if flags & V24_COMPRESSED:
            packed = self.view.read(start, min(stop, start + MAX_VALUE_BYTES))
            self._compressed(name, undo_unsync(packed) if unsync else packed)
        else:
            self._frame(name, start, stop, unsync=unsync)

    def _compressed(self, name: str, packed: bytes) -> None:
        """A compressed frame: its text. A compressed picture has no range in the file, and is passed over."""
        self.compressed += 1
        if name != "APIC" and self.compressed <= _MAX_COMPRESSED_FRAMES:
            self.text.add(name, zlib.decompressobj().decompress(packed, MAX_VALUE_BYTES))

    def _frame(self, name: str, start: int, stop: int, *, unsync: bool) -> None:
        if name == "APIC":
            picture = self._picture(start, stop, unsync=unsync)
            if picture is not None:
                self.tag.pictures.append(picture)
        elif start < stop <= start + MAX_VALUE_BYTES and FrameText.wants(name):
            data = self.view.read(start, stop)
            self.text.add(name, undo_unsync(data) if unsync else data)

    def _picture(self, start: int, stop: int, *, unsync: bool) -> Picture | None:
        raw = self.view.read(start, min(stop, start + _PICTURE_HEADER_BYTES))
        head = undo_unsync(raw) if unsync else raw
        found = picture_header(head, self.version)
        if found is None:
            return None
        kind, mime, image_at = found
        if unsync:
            image_at = raw_offset(raw, image_at)
        start += image_at
        if start >= stop:
            return None
        if self.raw:
            start, stop = self._locate(start), self._locate(stop)
        return Picture(kind, mime, start, stop, "unsync" if unsync or self.raw else "raw")

    def _locate(self, offset: int) -> int:
        """Where the byte at ``offset`` of the tag lies in the file; offsets never decrease."""
        raw = raw_offset(self.raw, offset, self.located)
        self.located = raw, offset
        return self.raw_start + raw


def frame_bytes(view: View, version: int, head: bytes, start: int, tag_stop: int) -> int:
    """How long the contents at ``start`` of a v2.3 or v2.4 frame are, whose ten header bytes are ``head``."""
    plain = int.from_bytes(head[4:8])
    if version == 3 or plain < 0x80 or plain & 0x80808080:
        return plain
    # iTunes used to write v2.4 sizes as v2.3 does: whichever leads to another frame, padding or the end is right.
    size = synchsafe(head[4:8])
    if not _frame_follows(view, start + size, tag_stop) and _frame_follows(view, start + plain, tag_stop):
        return plain
    return size


def _frame_follows(view: View, position: int, tag_stop: int) -> bool:
    if position + HEADER_BYTES > tag_stop:
        return position <= tag_stop
    name = view.read(position, position + 4)
    return name == b"\0\0\0\0" or (name.isalnum() and name.isupper())


def raw_offset(raw: bytes, plain_offset: int, known: tuple[int, int] = (0, 0)) -> int:
    """Where in unsynchronised ``raw`` the byte lies that is at ``plain_offset`` once that is undone.

    ``known`` is an earlier pair of such positions, raw and plain, to count from.
    """
    raw_known, plain_known = known
    offset = least = raw_known + plain_offset - plain_known
    while (grown := least + raw.count(b"\xff\x00", raw_known, offset)) != offset:
        offset = grown
    return offset + (raw[offset - 1 : offset + 1] == b"\xff\x00")


def picture_header(head: bytes, version: int) -> tuple[int, str, int] | None:
    """Kind, MIME type and the image's offset of an APIC or PIC frame; None if it is a link or makes no sense."""
    if len(head) < 6:
        return None
    encoding = head[0]
    if version == 2:
        declared, at = head[1:4], 4
    else:
        at = head.find(b"\0", 1) + 1
        if not at:
            return None
        declared = head[1 : at - 1]
    kind = head[at] if at < len(head) else 0
    image_at = _string_stop(head, at + 1, encoding)
    if image_at is None or declared == b"-->":
        return None
    mime = mime_type(declared.decode("latin-1"), head[image_at : image_at + 12])
    return kind if kind <= 20 else 0, mime, image_at


def _string_stop(data: bytes, start: int, encoding: int) -> int | None:
    """The position behind a terminated string; None when it has no end. UTF-16 ends with an even-placed double zero."""
    if encoding in (0, 3):
        return data.find(b"\0", start) + 1 or None
    at = data.find(b"\0\0", start)
    while at >= 0 and (at - start) % 2:
        at = data.find(b"\0\0", at + 1)
    return at + 2 if at >= 0 else None
