"""The fields that a query can name: their names, what kind of value they have, and how tags and facts become those.

Every tag field of :data:`musicfs.model.FIELDS` is one, further ``year`` (which is ``date``), what the audio is (format,
codec, duration, bitrate, sample_rate, channels, bits_per_sample), where it comes from (origin, path), since when it is known
(added), how often it was played (plays) and when last (played). ``custom:NAME`` is any other tag. Names are written in any
case.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from musicfs.model import FIELDS


class Kind(StrEnum):
    """What the values of a field are, and so what can be asked of them."""

    TEXT = "text"  # words
    KEYWORD = "keyword"  # text that is one word, whatever is in it
    NUMBER = "number"
    FLAG = "flag"  # yes or no; absent is no
    DURATION = "duration"  # whole seconds
    DATE = "date"  # a year, a month or a day
    MOMENT = "moment"  # a point in time


ANY = ""  # stands for the default fields
DEFAULT_FIELDS = ("title", "artist", "album", "album_artist", "genre", "composer")
CUSTOM = "custom:"  # before the name of a tag that is no field

_NUMBERS = (
    "track", "track_total", "disc", "disc_total", "bpm", "replaygain_track_gain", "replaygain_track_peak",
    "replaygain_album_gain", "replaygain_album_peak",
)  # fmt: skip
_KEYWORDS = ("isrc", *(name for name in FIELDS if name.startswith("mb_")))

KINDS: Mapping[str, Kind] = MappingProxyType(
    dict.fromkeys(FIELDS, Kind.TEXT)
    | dict.fromkeys(_NUMBERS, Kind.NUMBER)
    | dict.fromkeys(_KEYWORDS, Kind.KEYWORD)
    | {
        "compilation": Kind.FLAG,
        "date": Kind.DATE,
        "added": Kind.MOMENT,
        "format": Kind.KEYWORD,
        "codec": Kind.KEYWORD,
        "origin": Kind.KEYWORD,
        "path": Kind.TEXT,
        "duration": Kind.DURATION,
        "bitrate": Kind.NUMBER,
        "sample_rate": Kind.NUMBER,
        "channels": Kind.NUMBER,
        "bits_per_sample": Kind.NUMBER,
        "plays": Kind.NUMBER,
        "played": Kind.MOMENT,
    }
)
ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "year": "date",
        "albumartist": "album_artist",
        "length": "duration",
        "time": "duration",
        "tracknumber": "track",
        "discnumber": "disc",
        "disk": "disc",
        "samplerate": "sample_rate",
        "bits": "bits_per_sample",
        "publisher": "label",
    }
)


def find_field(name: str) -> str | None:
    """The field that users call ``name``, or None."""
    lower = name.lower()
    lower = ALIASES.get(lower, lower)
    return lower if lower in KINDS else None


def custom_field(name: str) -> str:
    """The field of the tag ``name``; of a known field's own name, that field."""
    lower = name.lower()
    return lower if lower in FIELDS else CUSTOM + lower


def kind_of(field: str) -> Kind:
    """What the values of a field are; words for custom tags and the default fields."""
    return KINDS.get(field, Kind.TEXT)


def has_order(field: str) -> bool:
    """Whether ranges and comparisons make sense: of custom tags they do, for numbers."""
    return kind_of(field) not in {Kind.TEXT, Kind.KEYWORD} or field.startswith(CUSTOM)


def suggest_field(name: str) -> str:
    """A name that may have been meant, or an empty string."""
    matches = difflib.get_close_matches(name.lower(), [*KINDS, *ALIASES], n=1)
    return matches[0] if matches else ""
