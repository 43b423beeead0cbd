"""The items of an MP4 file's metadata list, as fields (developer.apple.com: "QuickTime File Format", metadata; TagLib and
Picard document the names in use)."""

from __future__ import annotations

from collections.abc import Iterator

from musicfs.formats.fields import MP4_FREE_FORM, MP4_INTEGERS, MP4_PAIRS, MP4_TEXT
from musicfs.formats.genres import genre_name
from musicfs.formats.images import mime_type
from musicfs.formats.source import MALFORMED, View
from musicfs.formats.tagset import MAX_VALUE_BYTES, TagSet
from musicfs.model import Picture

FRONT_COVER = 3
ITUNES = b"com.apple.iTunes"
ITUNES_OWN = "iTun"  # begins the names of its gapless and loudness data
_MAX_DATA_ATOMS = 1000
# Well-known types of a data atom.
IMPLICIT, UTF8, UTF16 = 0, 1, 2
_IMAGE_TYPES = {13: "image/jpeg", 14: "image/png", 12: "image/gif", 27: "image/bmp"}


class ItemList:
    """Collects the items; ``media_kind`` is iTunes' (2: audiobook), 0 when the file does not say."""

    def __init__(self) -> None:
        self.tags = TagSet()
        self.pictures: list[Picture] = []
        self.media_kind = 0

    def add(self, view: View, name: bytes, start: int, stop: int) -> None:
        """Add the item ``name`` with its contents in ``[start, stop)``; one that makes no sense adds nothing."""
        try:
            if name == b"covr":
                self._add_covers(view, start, stop)
            elif stop - start <= MAX_VALUE_BYTES:
                self.add_body(name, view.read(start, stop))
        except MALFORMED:
            return

    def add_body(self, name: bytes, body: bytes) -> None:
        """Add the item ``name`` with its contents, which is no ``covr``; raises what :data:`MALFORMED` lists."""
        if name == b"----":
            self._add_free_form(body)
            return
        field = MP4_TEXT.get(name)
        for kind, data in _data_atoms(body, 0):
            if field is not None:
                self.tags.add(field, _text(kind, data))
            elif name in MP4_PAIRS:
                self._add_pair(MP4_PAIRS[name], data)
            elif name in MP4_INTEGERS:
                value = int.from_bytes(data, signed=True)
                self.tags.add(MP4_INTEGERS[name], str(value) if value else "")
            elif name == b"gnre":
                self.tags.add("genre", genre_name(int.from_bytes(data) - 1) or "")
            elif name == b"stik":
                self.media_kind = int.from_bytes(data)
            elif kind == UTF8:
                self.tags.add(name.decode("latin-1").lower(), _text(kind, data))

    def _add_pair(self, field: str, data: bytes) -> None:
        number, total = int.from_bytes(data[2:4]), int.from_bytes(data[4:6])
        self.tags.add(field, str(number) if number else "")
        self.tags.add(f"{field}_total", str(total) if total else "")

    def _add_free_form(self, body: bytes) -> None:
        """``mean`` (who names), ``name`` and data atoms; the first two are full boxes."""
        mean, name, data_start = free_form_name(body)
        key = name.lower()
        if mean == ITUNES and name.startswith(ITUNES_OWN):
            return
        for kind, data in _data_atoms(body, data_start):
            text = free_form_text(kind, data)
            if text is None:
                continue
            field = MP4_FREE_FORM.get(key)
            if field is not None:
                self.tags.add(field, text)
            else:
                self.tags.add_alias(key, text)

    def _add_covers(self, view: View, start: int, stop: int) -> None:
        """Note each picture; some programs put other atoms between them."""
        for _ in range(_MAX_DATA_ATOMS):
            if start + 16 > stop:
                return
            head = view.read(start, start + 16)
            size = int.from_bytes(head[:4])
            end = start + size
            if size < 8 or end > stop:
                return
            if head[4:8] == b"data" and size > 16:
                declared = _IMAGE_TYPES.get(int.from_bytes(head[8:12]), "image/jpeg")
                mime = mime_type(declared, view.read_some(start + 16, min(end, start + 28)))
                self.pictures.append(Picture(FRONT_COVER, mime, start + 16, end))
            start = end


def free_form_name(body: bytes) -> tuple[bytes, str, int]:
    """``mean`` and ``name`` of a ``----`` item, and where its data atoms begin: behind these two, which are full boxes."""
    mean_stop = int.from_bytes(body[:4])
    name_stop = mean_stop + int.from_bytes(body[mean_stop : mean_stop + 4])
    return body[12:mean_stop], body[mean_stop + 12 : name_stop].decode("utf-8", "replace"), name_stop


def free_form_text(kind: int, data: bytes) -> str | None:
    """The text of a ``----`` item's data atom; None if it is binary, whether it says so or not."""
    text = _text(kind, data)
    return text if kind in (IMPLICIT, UTF8, UTF16) and "\0" not in text else None


def walk_data(body: bytes, position: int) -> Iterator[tuple[int, int]]:
    """Where the data atoms in ``body`` from ``position`` on begin and end; what makes no sense ends them."""
    found = 0
    while position + 16 <= len(body) and found < _MAX_DATA_ATOMS:
        size = int.from_bytes(body[position : position + 4])
        if size < 16 or position + size > len(body):
            return
        if body[position + 4 : position + 8] == b"data":
            yield position, position + size
            found += 1
        position += size


def data_kind(body: bytes, start: int) -> int:
    """The well-known type of the data atom at ``start``."""
    return int.from_bytes(body[start + 9 : start + 12])


def _data_atoms(body: bytes, position: int) -> list[tuple[int, bytes]]:
    """The data atoms in ``body`` from ``position`` on, as (type, data)."""
    return [(data_kind(body, start), body[start + 16 : stop]) for start, stop in walk_data(body, position)]


def _text(kind: int, data: bytes) -> str:
    return data.decode("utf-16-be" if kind == UTF16 else "utf-8", "replace").strip("\0")
