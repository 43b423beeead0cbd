"""Fields as the contents of ID3v2 frames: the inverse of :mod:`musicfs.formats.id3frames`.

Several values stand in one frame with a NUL between them, in every version: what v2.4 prescribes is what programs read in
the others too. A v2.3 tag has the date in TYER and TDAT if it is a year or a day. Any other (``1999-05``, one with a time,
several) is in a TDRC frame: that is not of this version, but mutagen, TagLib and ffmpeg read it there like any text frame,
while a TYER frame with ``1999-05`` is dropped by the first. In v2.2, which has no such frame, TYE takes the text as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from musicfs.formats.fields import (
    ID3_IGNORED,
    ID3_TEXT,
    ID3_UFID_OWNER,
    ID3_URLS,
    ID3_USER_TEXT,
    ID3_V22,
    VORBIS,
    VORBIS_ALIASES,
)
from musicfs.formats.id3_edit import NewFrame
from musicfs.formats.id3frames import INVOLVED, expand_genre, split_described
from musicfs.model import Tags

NUMBERED = {"track": "track_total", "disc": "disc_total"}
_DATES = frozenset({"TYER", "TDAT", "TIME"})
_YEAR = re.compile(r"\d{4}")
_DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_FRAME_OF_FIELD = {field: name for name, field in reversed(tuple(ID3_TEXT.items()))}
_V23_FRAME_OF_FIELD = {"originaldate": "TORY"}
_URL_OF_FIELD = {field: name for name, field in ID3_URLS.items()}
_IN_V22 = frozenset(ID3_V22.values())
_CODECS = ("latin-1", "utf-16-le", "utf-16-be", "utf-8")
_BOM = b"\xff\xfe"
_LATIN, _UTF16, _UTF16_BE, _UTF8 = range(4)
_LANGUAGE = b"eng"  # as Picard and iTunes write
_SPELLINGS = {"Musicbrainz": "MusicBrainz", "Musicip": "MusicIP", "Trm": "TRM", "Puid": "PUID"}
_DESCRIPTION_OF_FIELD = {
    field: " ".join(_SPELLINGS.get(word, word) for word in description.title().split())
    for description, field in ID3_USER_TEXT.items()
}


@dataclass(frozen=True, slots=True)
class Model:
    """How the frame says it whose place a new one takes."""

    name: str
    encoding: int = -1
    language: bytes = _LANGUAGE
    description: str = ""
    status: int = 0
    group: bytes = b""

    @classmethod
    def of(cls, name: str, data: bytes, status: int = 0, group: bytes = b"") -> Model:
        """Of a frame with these contents, unpacked."""
        encoding, language, description = data[0] if data and name != "UFID" else -1, _LANGUAGE, ""
        if name in ("COMM", "USLT"):
            language = data[1:4] if len(data) >= 4 else _LANGUAGE
            description = split_described(data, 4)[0]
        elif name in ("TXXX", "WXXX"):
            description = split_described(data, 1)[0]
        return cls(name, encoding, language, description, status, group)


def fields_of(name: str, data: bytes, own: Tags) -> frozenset[str]:
    """The fields that a frame with these contents has a part in, whether or not the reading shows it.

    A second name of a field (``TXXX:ALBUMARTIST``) stands for the field, unless the file was found to say something under
    that name beside it: ``own`` has it then.
    """
    if name in ID3_TEXT:
        field = ID3_TEXT[name]
        return frozenset({field, NUMBERED[field]}) if field in NUMBERED else frozenset({field})
    if name in _DATES:
        return frozenset({"date"})
    if name in ("TXXX", "WXXX"):
        key = split_described(data, 1)[0].lower()
        if name == "TXXX" and key in ID3_USER_TEXT:
            return frozenset({ID3_USER_TEXT[key]})
        field = VORBIS.get(key) or VORBIS_ALIASES.get(key) or key
        return frozenset({key} if key in own else {field, key}) - {""}
    if name == "COMM":
        key = split_described(data, 4)[0].lower()
        if not key:
            return frozenset({"comment"})
        return frozenset() if key.startswith("itun") or key == "id3v1 comment" else frozenset({f"comment:{key}"})
    if name == "USLT":
        return frozenset({"lyrics"})
    if name == "UFID":
        return frozenset({"mb_recording_id"} if data.partition(b"\0")[0] == ID3_UFID_OWNER.encode() else ())
    if name in ID3_IGNORED or name in INVOLVED or name[:1] not in ("T", "W"):
        return frozenset()
    return frozenset({ID3_URLS.get(name, name.lower())})


def frames_for(field: str, values: Sequence[str], version: int, model: Model | None) -> list[NewFrame]:
    """The frames that say ``values``; for ``track`` and ``disc`` these have the total with them (``3/12``)."""
    if not values:
        return []
    named = model.name if model is not None else ""
    model = model or Model("")
    if field == "date" and version < 4:
        return _dates(values, version, model)
    if field in {"lyrics", "comment"} or field.startswith("comment:"):
        return [_described("USLT" if field == "lyrics" else "COMM", field, values, version, model)]
    if field == "mb_recording_id" and named != "TXXX":
        return [NewFrame("UFID", ID3_UFID_OWNER.encode() + b"\0" + value.encode("latin-1")) for value in values]
    plain = all(ord(char) < 256 for value in values for char in value)
    if named == "WXXX" and plain:
        return [_user_url(model, value, version) for value in values]
    if plain and named != "TXXX" and (named[:1] == "W" or field in _URL_OF_FIELD):
        name = named if named[:1] == "W" else _URL_OF_FIELD[field]
        return [_new(model, name, value.encode("latin-1")) for value in values]
    name = _text_name(field, named, version)
    if field == "genre":
        # "(17)" would be a number; a second parenthesis says that it is not (2.3.0, 4.2.1, TCON).
        values = [f"({value}" if value[:1] == "(" and expand_genre(value) != [value] else value for value in values]
    encoding = choose_encoding(values, version, model.encoding)
    if name:
        return [_new(model, name, bytes((encoding,)) + encode(values, encoding))]
    described = named in ("TXXX", "WXXX") and model.description and not _is_alias(model.description.lower(), field)
    description = model.description if described else _description(field)
    encoding = choose_encoding([description, *values], version, model.encoding)
    return [_new(model, "TXXX", bytes((encoding,)) + _ended(description, encoding) + encode(values, encoding))]


def choose_encoding(texts: Sequence[str], version: int, found: int = -1) -> int:
    """The encoding byte for these texts: that which was ``found``, if it will do.

    Otherwise UTF-8 in v2.4; in the older ones Latin-1 for ASCII, which nobody misreads, and UTF-16.
    """
    if found in (_UTF16, _UTF16_BE, _UTF8):
        return found
    if found == _LATIN and all(ord(char) < 256 for text in texts for char in text):
        return _LATIN
    if version == 4:
        return _UTF8
    return _LATIN if all(text.isascii() for text in texts) else _UTF16


def encode(texts: Sequence[str], encoding: int) -> bytes:
    """The texts with a NUL between them; each with a byte order mark where the encoding has one."""
    mark, end = _BOM if encoding == _UTF16 else b"", bytes(_width(encoding))
    return end.join(mark + text.encode(_CODECS[encoding]) for text in texts)


def _ended(text: str, encoding: int) -> bytes:
    return encode([text], encoding) + bytes(_width(encoding))


def _width(encoding: int) -> int:
    return 2 if encoding in (_UTF16, _UTF16_BE) else 1


def _new(model: Model, name: str, data: bytes) -> NewFrame:
    return NewFrame(name, data, status=model.status, group=model.group)


def _dates(values: Sequence[str], version: int, model: Model) -> list[NewFrame]:
    day = _DAY.fullmatch(values[0]) if len(values) == 1 else None
    if day:
        texts = [("TYER", [day[1]]), ("TDAT", [day[3] + day[2]])]
    elif version == 3 and (len(values) > 1 or not _YEAR.fullmatch(values[0])):
        texts = [("TDRC", list(values))]
    else:
        texts = [("TYER", list(values))]
    encoding = choose_encoding(values, version, model.encoding)
    return [_new(model, name, bytes((encoding,)) + encode(text, encoding)) for name, text in texts]


def _described(name: str, field: str, values: Sequence[str], version: int, model: Model) -> NewFrame:
    description = model.description if model.name == name else field.partition(":")[2]
    encoding = choose_encoding([description, *values], version, model.encoding)
    data = bytes((encoding,)) + model.language + _ended(description, encoding) + encode(values, encoding)
    return _new(model, name, data)


def _user_url(model: Model, value: str, version: int) -> NewFrame:
    encoding = choose_encoding([model.description], version, model.encoding)
    data = bytes((encoding,)) + _ended(model.description, encoding) + value.encode("latin-1")
    return _new(model, "WXXX", data)


def _text_name(field: str, named: str, version: int) -> str:
    """The text frame for a field: that which has it, if it is one; empty if only TXXX will do."""
    later = version == 4
    if ID3_TEXT.get(named) == field or (named[:1] == "T" and named.lower() == field):
        return named
    name = _FRAME_OF_FIELD.get(field, "") if later else _V23_FRAME_OF_FIELD.get(field, _FRAME_OF_FIELD.get(field, ""))
    return name if version > 2 or name in _IN_V22 else ""


def _is_alias(description: str, field: str) -> bool:
    """Whether this is but a second name of a field that has a frame of its own, or another's name."""
    return description != field and VORBIS.get(description) != field and ID3_USER_TEXT.get(description) != field


def _description(field: str) -> str:
    if field in _DESCRIPTION_OF_FIELD and field != "mb_recording_id":
        return _DESCRIPTION_OF_FIELD[field]
    upper = field.upper()
    return upper if upper.lower() == field else field
