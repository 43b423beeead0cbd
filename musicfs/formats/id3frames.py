"""The text in ID3v2 frames, as fields. Frames are named as v2.3 and v2.4 name them."""

from __future__ import annotations

import re

from musicfs.formats.fields import ID3_IGNORED, ID3_ROLES, ID3_TEXT, ID3_UFID_OWNER, ID3_URLS, ID3_USER_TEXT
from musicfs.formats.genres import genre_name
from musicfs.formats.tagset import TagSet

_ENCODINGS = ("latin-1", "utf-16", "utf-16-be", "utf-8")
INVOLVED = frozenset({"TIPL", "TMCL", "IPLS"})
_OTHER = frozenset({"TXXX", "COMM", "USLT", "UFID", "WXXX"})
_YEAR = re.compile(r"\d{4}")
_DAY_MONTH = re.compile(r"(0[1-9]|[12]\d|3[01])(0[1-9]|1[0-2])")
_NUMBERED_GENRE = re.compile(r"\((\d{1,3}|RX|CR)\)")
_GENRE_WORDS = {"RX": "Remix", "CR": "Cover"}  # "ID3 tag version 2.3.0", 4.2.1, TCON


class FrameText:
    """Takes the frames of one tag, and puts their values into a tag set."""

    __slots__ = ("_dates", "_tags")

    def __init__(self, tags: TagSet) -> None:
        self._tags = tags
        self._dates: dict[str, str] = {}

    @staticmethod
    def wants(name: str) -> bool:
        """Whether frames of this name hold text for the tags."""
        return name in ID3_TEXT or name in _OTHER or name in INVOLVED or name[:1] in ("T", "W")

    def add(self, name: str, data: bytes) -> None:
        """Add one frame's contents, unpacked."""
        if not data:
            return
        field = ID3_TEXT.get(name)
        if field is not None:
            for value in split_text(data):
                if field == "genre":
                    for genre in expand_genre(value):
                        self._tags.add(field, genre)
                else:
                    self._tags.add(field, value)
        elif name in ("TYER", "TDAT"):
            self._dates.setdefault(name, "".join(split_text(data)[:1]))
        elif name in INVOLVED:
            self._add_involved(name, split_text(data))
        elif name in _OTHER:
            self._add_described(name, data)
        elif name in ID3_IGNORED:
            return
        elif name[0] == "T":
            for value in split_text(data):
                self._tags.add(name.lower(), value)
        elif name[0] == "W":
            self._tags.add(ID3_URLS.get(name, name.lower()), data.partition(b"\0")[0].decode("latin-1"))

    def finish(self) -> None:
        """Settle what several frames say together: year and day of v2.3 are one date."""
        year = self._dates.get("TYER", "")
        if year:
            day = _DAY_MONTH.fullmatch(self._dates.get("TDAT", ""))
            if day and _YEAR.fullmatch(year):
                year = f"{year}-{day[2]}-{day[1]}"
            self._tags.add_alias("year", year)

    def _add_described(self, name: str, data: bytes) -> None:
        """Frames with a description before the text."""
        if name == "UFID":
            owner, _, identifier = data.partition(b"\0")
            if owner.decode("latin-1") == ID3_UFID_OWNER:
                self._tags.add("mb_recording_id", identifier.decode("latin-1").strip("\0 "))
            return
        if name == "WXXX":
            description, _, url = split_described(data, 1)
            self._tags.add_alias(description.lower(), url.decode("latin-1").strip("\0"))
            return
        language = 0 if name == "TXXX" else 3
        description, encoding, text = split_described(data, 1 + language)
        for value in split_text(encoding + text):
            self._add_user_text(name, description, value)

    def _add_user_text(self, name: str, description: str, value: str) -> None:
        key = description.lower()
        if name == "USLT":
            self._tags.add("lyrics", value)
        elif name == "COMM":
            # iTunes keeps gapless and loudness data in comments, and some programs a copy of the ID3v1 comment.
            if not key:
                self._tags.add("comment", value)
            elif not key.startswith("itun") and key != "id3v1 comment":
                self._tags.add(f"comment:{key}", value)
        elif key in ID3_USER_TEXT:
            self._tags.add(ID3_USER_TEXT[key], value)
        else:
            self._tags.add_alias(key, value)

    def _add_involved(self, name: str, texts: list[str]) -> None:
        """Pairs of a role (or instrument) and a name."""
        for role, person in zip(texts[::2], texts[1::2], strict=False):
            field = None if name == "TMCL" else ID3_ROLES.get(role.lower())
            if field is not None:
                self._tags.add(field, person)
            elif person:
                self._tags.add("performer", f"{person} ({role})" if role else person)


def split_text(data: bytes) -> list[str]:
    """The values of a text frame: an encoding byte, then strings with a NUL between them."""
    encoding = _ENCODINGS[data[0]] if data[0] < len(_ENCODINGS) else "latin-1"
    body = data[1:]
    if encoding.startswith("utf-16") and len(body) % 2:
        body = body[:-1]
    text = body.decode(encoding, "replace")
    if "\0" not in text:
        return [text]
    return [value.lstrip("\ufeff") for value in text.rstrip("\0").split("\0")]


def split_described(data: bytes, start: int) -> tuple[str, bytes, bytes]:
    """The description, the encoding byte and what follows the description's end; all of it when it has no end."""
    encoding = data[:1]
    body = data[start:]
    if encoding in (b"\x01", b"\x02"):
        at = body.find(b"\0\0")
        while at >= 0 and at % 2:
            at = body.find(b"\0\0", at + 1)
        width = 2
    else:
        at = body.find(b"\0")
        width = 1
    if at < 0:
        return "", encoding, body
    description = split_text(encoding + body[:at])[0] if at else ""
    return description.lstrip("\ufeff"), encoding, body[at + width :]


def expand_genre(text: str) -> list[str]:
    """``(17)Rock``, ``(4)(2)``, ``17``, ``(RX)`` and ``((text`` as names ("ID3 tag version 2.3.0", 4.2.1, TCON)."""
    genres: list[str] = []
    while match := _NUMBERED_GENRE.match(text):
        name = _GENRE_WORDS.get(match[1]) or genre_name(int(match[1]))
        genres.append(name or match[0])
        text = text[match.end() :]
    if text.isdecimal() and len(text) <= 3:
        text = genre_name(int(text)) or text
    elif text in _GENRE_WORDS:
        text = _GENRE_WORDS[text]
    elif text.startswith("(("):
        text = text[1:]
    if text and text not in genres:
        genres.append(text)
    return genres
