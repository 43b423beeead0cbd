"""ID3v1 and 1.1: the last 128 bytes of a file (id3.org: "ID3v1")."""

from __future__ import annotations

from musicfs.formats.genres import genre_name
from musicfs.formats.tagset import TagSet

ID3V1_BYTES = 128


def parse_id3v1(data: bytes) -> TagSet:
    """The fields of a 128-byte tag. Text is taken for UTF-8 where it can be, else for Latin-1."""
    tags = TagSet()
    for field, start, stop in (("title", 3, 33), ("artist", 33, 63), ("album", 63, 93), ("date", 93, 97)):
        tags.add(field, _text(data[start:stop]))
    # Version 1.1 has a zero byte and a track number at the end of the comment.
    if data[125] == 0 and data[126]:
        tags.add("comment", _text(data[97:125]))
        tags.add("track", str(data[126]))
    else:
        tags.add("comment", _text(data[97:127]))
    tags.add("genre", genre_name(data[127]) or "")
    return tags


def _text(data: bytes) -> str:
    raw = data.partition(b"\0")[0].strip()
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
