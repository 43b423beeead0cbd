"""APEv2 tags, as some programs add them to MP3 files (wiki.hydrogenaud.io: "APEv2 specification")."""

from __future__ import annotations

import struct

from musicfs.formats.fields import APEV2
from musicfs.formats.images import mime_type
from musicfs.formats.source import MALFORMED, View
from musicfs.formats.tagset import MAX_ITEMS, MAX_VALUE_BYTES, TagSet
from musicfs.model import Picture

MARK = b"APETAGEX"
FOOTER_BYTES = 32
_KEY_BYTES = 256
_BINARY, _TEXT = 1, 0
_HAS_HEADER = 1 << 31
_IS_HEADER = 1 << 29
_PICTURES = {"cover art (front)": 3, "cover art (back)": 4}


def ape_start(footer: bytes, footer_stop: int) -> int | None:
    """Where the tag begins (its header, if it has one) whose footer ends at ``footer_stop``; None if that is no footer."""
    if len(footer) < FOOTER_BYTES or footer[:8] != MARK:
        return None
    _, size, _, flags = struct.unpack_from("<IIII", footer, 8)
    start = footer_stop - size - (FOOTER_BYTES if flags & _HAS_HEADER else 0)
    return start if not flags & _IS_HEADER and size >= FOOTER_BYTES and start >= 0 else None


def ape_header_stop(header: bytes, start: int) -> int | None:
    """The end of a tag that begins with a header at ``start``; None if that is no header."""
    if len(header) < FOOTER_BYTES or header[:8] != MARK:
        return None
    _, size, _, flags = struct.unpack_from("<IIII", header, 8)
    return start + FOOTER_BYTES + size if flags & _IS_HEADER else None


def read_ape(view: View, footer_stop: int, tags: TagSet, pictures: list[Picture]) -> None:
    """Add the items of the tag whose footer ends at ``footer_stop``, as far as they can be read."""
    try:
        _, size, count, _ = struct.unpack_from("<IIII", view.read(footer_stop - FOOTER_BYTES, footer_stop), 8)
        position, stop = footer_stop - size, footer_stop - FOOTER_BYTES
        for _ in range(min(count, MAX_ITEMS)):
            if position + 10 > stop:
                break
            position = _read_item(view, position, stop, tags, pictures)
    except MALFORMED:
        return


def _read_item(view: View, position: int, stop: int, tags: TagSet, pictures: list[Picture]) -> int:
    head = view.read(position, min(stop, position + 8 + _KEY_BYTES))
    size, flags = struct.unpack_from("<II", head, 0)
    key_stop = head.index(b"\0", 8)
    key = head[8:key_stop].decode("latin-1").lower()
    start = position + key_stop + 1
    item_stop: int = start + size
    kind = flags >> 1 & 3
    if kind == _TEXT and size <= MAX_VALUE_BYTES:
        field = APEV2.get(key)
        for value in view.read(start, item_stop).decode("utf-8", "replace").split("\0"):
            if field is not None:
                tags.add(field, value)
            else:
                tags.add_named(key, value)
    elif kind == _BINARY and key in _PICTURES and item_stop <= stop:
        name = view.read(start, min(item_stop, start + _KEY_BYTES))
        image = start + name.index(b"\0") + 1
        mime = mime_type("", view.read_some(image, min(item_stop, image + 12)))
        if mime:
            pictures.append(Picture(_PICTURES[key], mime, image, item_stop))
    return item_stop
