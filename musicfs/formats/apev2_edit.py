"""APEv2 tags with changed items: each keeps its key's spelling and its flags, all others are ranges of the file."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from musicfs.errors import FormatError
from musicfs.formats.apev2 import FOOTER_BYTES, MARK
from musicfs.formats.fields import APEV2, VORBIS, VORBIS_ALIASES
from musicfs.formats.id3_text import NUMBERED
from musicfs.formats.plans import Edit, Extra, Literal, Piece, Range
from musicfs.formats.source import View
from musicfs.formats.tagset import MAX_ITEMS
from musicfs.model import Tags

_HAS_HEADER = 1 << 31
_KEY_BYTES = 256
_TEXT = 0
_FRONT = "cover art (front)"
_NUMBER_OF_TOTAL = {total: number for number, total in NUMBERED.items()}
# Keys as Picard writes them; every other is the Vorbis name in capitals.
_KEYS = {
    "title": "Title", "artist": "Artist", "album": "Album", "album_artist": "Album Artist", "track": "Track",
    "disc": "Disc", "date": "Year", "genre": "Genre", "composer": "Composer", "comment": "Comment", "lyrics": "Lyrics",
    "copyright": "Copyright", "compilation": "Compilation", "label": "Label", "remixer": "MixArtist",
    "conductor": "Conductor", "arranger": "Arranger", "engineer": "Engineer", "producer": "Producer", "mixer": "Mixer",
    "djmixer": "DJMixer", "lyricist": "Lyricist", "performer": "Performer", "grouping": "Grouping",
    "subtitle": "Subtitle", "discsubtitle": "DiscSubtitle", "media": "Media", "mood": "Mood", "language": "Language",
    "website": "Weblink",
}  # fmt: skip
_NAMES = {field: name.upper() for name, field in VORBIS.items()}
# A tag with one of these describes the music, and some programs (mpd) then look at no other.
_DESCRIPTIVE = frozenset({"title", "artist", "album", "album_artist", "track", "date", "genre", "composer"})


@dataclass(frozen=True, slots=True)
class _Item:
    start: int
    value: int
    stop: int
    flags: int
    key: str

    def fields(self, own: Tags) -> frozenset[str]:
        """The fields this item has a part in; a second name of a field is one, unless the file says something else in it."""
        key = self.key.lower()
        if self.flags >> 1 & 3 != _TEXT:
            return frozenset()
        field = APEV2.get(key) or VORBIS_ALIASES.get(key) or key
        if field in NUMBERED:
            return frozenset({field, NUMBERED[field]})
        return frozenset({key} if key in own and key not in APEV2 else {field})


def edit_ape(view: View, start: int, stop: int, edit: Edit, own: Tags) -> list[Piece]:
    """The tag ``[start, stop)`` with the edit.

    Its items of edited fields are replaced; a tag that describes the music gets those it lacks as well. A front cover in it
    is replaced or removed, none is added. FormatError if its items cannot all be told apart.
    """
    footer = view.read(stop - FOOTER_BYTES, stop)
    _, size, count, flags = struct.unpack_from("<IIII", footer, 8)
    items_start = stop - size
    items, rest = _items(view, items_start, stop - FOOTER_BYTES, count)
    cells: list[list[Piece]] = [[Range(item.start, item.stop)] for item in items]
    added = _edit_fields(items, cells, edit, own)
    _edit_cover(items, cells, edit)
    whole = [*(cell for cell in cells if cell), *added]
    if whole == [[Range(item.start, item.stop)] for item in items]:
        return [Range(start, stop)]
    body = [*(piece for cell in whole for piece in cell), Range(rest, stop - FOOTER_BYTES)]
    counts = struct.pack("<II", sum(piece.size for piece in body) + FOOTER_BYTES, len(whole))
    header: list[Piece] = []
    if flags & _HAS_HEADER:
        head = view.read(start, start + FOOTER_BYTES)
        if head[:8] != MARK or items_start != start + FOOTER_BYTES:
            raise FormatError("the header of the APE tag is not where its footer says")
        header = [Literal(head[:12] + counts + head[20:])]
    return [*header, *body, Literal(footer[:12] + counts + footer[20:])]


def _items(view: View, position: int, stop: int, count: int) -> tuple[list[_Item], int]:
    items: list[_Item] = []
    if count > MAX_ITEMS:
        raise FormatError("the APE tag has too many items")
    for _ in range(count):
        head = view.read(position, min(stop, position + 8 + _KEY_BYTES))
        if len(head) < 8 or (end := head.find(b"\0", 8)) < 0:
            raise FormatError(f"the APE item at byte {position} makes no sense")
        size, flags = struct.unpack_from("<II", head)
        value = position + end + 1
        if value + size > stop:
            raise FormatError(f"the APE item at byte {position} is longer than its tag")
        items.append(_Item(position, value, value + size, flags, head[8:end].decode("latin-1")))
        position = value + size
    return items, position


def _edit_fields(items: list[_Item], cells: list[list[Piece]], edit: Edit, own: Tags) -> list[list[Piece]]:
    """Put new items in the cells of the old; return those that had none."""
    fields = [item.fields(own) for item in items]
    describes = any(names & _DESCRIPTIVE for names in fields)
    added: list[list[Piece]] = []
    for field in dict.fromkeys(_NUMBER_OF_TOTAL.get(field, field) for field in edit.fields):
        group = {field, NUMBERED[field]} & edit.fields.keys() if field in NUMBERED else {field}
        carriers = [index for index, names in enumerate(fields) if names & group]
        values = list(edit.values(own, field))
        if field in NUMBERED and (totals := edit.values(own, NUMBERED[field])):
            values = [f"{values[0] if values else ''}/{totals[0]}", *values[1:]]
        key = items[carriers[0]].key if carriers else _key(field)
        if field in NUMBERED and carriers and field not in fields[carriers[0]]:
            key = _key(field)  # the first was an item of the total alone
        new = _item(key, items[carriers[0]].flags if carriers else 0, "\0".join(values).encode()) if values else []
        for index in carriers:
            cells[index] = []
        if carriers:
            cells[carriers[0]] = new
        elif new and describes and _is_key(key):
            added.append(new)
    return added


def _edit_cover(items: list[_Item], cells: list[list[Piece]], edit: Edit) -> None:
    if edit.cover is None and not edit.remove_cover:
        return
    fronts = [index for index, item in enumerate(items) if item.key.lower() == _FRONT]
    for index in fronts:
        cells[index] = []
    if edit.cover is not None and fronts:
        item = items[fronts[0]]
        suffix = edit.cover.mime.rpartition("/")[2].replace("jpeg", "jpg")
        name = f"{item.key}.{suffix}".encode() + b"\0"
        head = struct.pack("<II", len(name) + len(edit.cover.data), item.flags & ~6 | 2)
        literal = Literal(head + item.key.encode("latin-1") + b"\0" + name)
        cells[fronts[0]] = [literal, Extra(0, len(edit.cover.data))]


def _item(key: str, flags: int, value: bytes) -> list[Piece]:
    return [Literal(struct.pack("<II", len(value), flags) + key.encode("latin-1") + b"\0" + value)]


def _key(field: str) -> str:
    return _KEYS.get(field) or _NAMES.get(field) or field.upper()


def _is_key(key: str) -> bool:
    """Whether the specification allows it: 2 to 255 printable ASCII characters, and none that begins another format."""
    return 2 <= len(key) <= 255 and key.isascii() and key.isprintable() and key not in ("ID3", "TAG", "OggS", "MP+")
