"""ID3v1 tags with changed fields: as much of each as fits, since this is all that some programs read."""

from __future__ import annotations

from musicfs.formats.genres import GENRES
from musicfs.formats.plans import Edit
from musicfs.model import Tags

_TEXT = {"title": (3, 33), "artist": (33, 63), "album": (63, 93), "date": (93, 97)}
_COMMENT_START, _COMMENT_STOP, _TRACK_AT, _GENRE_AT = 97, 127, 126, 127
_NO_GENRE = 255
_NUMBERS = {name.casefold(): number for number, name in reversed(tuple(enumerate(GENRES)))}


def edit_id3v1(data: bytes, edit: Edit, own: Tags) -> bytes:
    """The 128-byte tag with the edited fields; a comment of 30 bytes that is not edited keeps the place of the track."""
    tag = bytearray(data)
    for field, (start, stop) in _TEXT.items():
        if field in edit.fields:
            tag[start:stop] = _cut(", ".join(edit.fields[field]) if field != "date" else _year(edit), stop - start)
    numbered = tag[_TRACK_AT - 1] == 0  # version 1.1, or a comment that leaves it room
    if "comment" in edit.fields:
        track = tag[_TRACK_AT] if numbered else 0
        room = _COMMENT_STOP - _COMMENT_START - (2 if track or edit.values(own, "track") else 0)
        tag[_COMMENT_START:_COMMENT_STOP] = _cut(", ".join(edit.fields["comment"]), room).ljust(30, b"\0")
        if track:
            tag[_TRACK_AT] = track
        numbered = numbered or room < _COMMENT_STOP - _COMMENT_START
    if "track" in edit.fields and numbered:
        first = next(iter(edit.fields["track"]), "")
        tag[_TRACK_AT] = int(first) if first.isdecimal() and len(first) < 4 and int(first) < 256 else 0
    if "genre" in edit.fields:
        first = next(iter(edit.fields["genre"]), "")
        tag[_GENRE_AT] = _NUMBERS.get(first.casefold(), _NO_GENRE)
    return bytes(tag)


def _year(edit: Edit) -> str:
    value = next(iter(edit.fields["date"]), "")[:4]
    return value if len(value) == 4 and value.isdecimal() and value.isascii() else ""


def _cut(text: str, size: int) -> bytes:
    """``text`` in Latin-1 if that has it, else in UTF-8, cut at a character and filled up with zeros."""
    try:
        raw = text.encode("latin-1")[:size]
    except UnicodeEncodeError:
        raw = text.encode()[:size].decode(errors="ignore").encode()
    return raw.ljust(size, b"\0")
