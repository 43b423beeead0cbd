"""What a column of a file of tags is called, and what it means.

Any spelling of a field is understood whose letters are right: ``album_artist``, ``Album Artist``, ``albumartist``, and beside
our own names those of Picard's tag mapping (https://picard-docs.musicbrainz.org/en/appendices/tag_mapping.html).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from musicfs.errors import ConfigError
from musicfs.model import FIELD_NAMES

CUSTOM = "custom:"
MATCH = "match:"
# What may say which track a row is about, beside a path: in this order, where a row says nothing else.
IDENTITIES = ("mb_track_id", "mb_recording_id", "isrc")

_OTHER_NAMES: Mapping[str, str] = {
    "tracknumber": "track", "trackno": "track", "tracktotal": "track_total", "totaltracks": "track_total",
    "discnumber": "disc", "discno": "disc", "totaldiscs": "disc_total", "year": "date", "comments": "comment",
    "description": "comment", "unsyncedlyrics": "lyrics", "organization": "label", "publisher": "label",
    "recordlabel": "label", "encodedby": "encoder", "itunescompilation": "compilation",
    "musicbrainztrackid": "mb_recording_id", "musicbrainzrecordingid": "mb_recording_id",
    "musicbrainzreleasetrackid": "mb_track_id", "musicbrainzalbumid": "mb_album_id",
    "musicbrainzreleaseid": "mb_album_id", "musicbrainzartistid": "mb_artist_id",
    "musicbrainzalbumartistid": "mb_album_artist_id", "musicbrainzreleaseartistid": "mb_album_artist_id",
    "musicbrainzreleasegroupid": "mb_release_group_id", "artistsortorder": "artist_sort",
    "albumartistsortorder": "album_artist_sort", "albumsortorder": "album_sort", "titlesortorder": "title_sort",
}  # fmt: skip


class Kind(Enum):
    """What a column is for."""

    KEY = "key"  # says which track: path, file_id, origin_id, origin_path
    MATCH = "match"  # says which track, by the value of a field
    FIELD = "field"  # a field, or a custom tag under its bare name
    COVER = "cover"


@dataclass(frozen=True, slots=True)
class Column:
    """The meaning of a column."""

    kind: Kind
    name: str


KEYS = ("path", "file_id", "origin_id", "origin_path")
COVER = Column(Kind.COVER, "cover")


def column_named(text: str) -> Column:
    """The meaning of a column called ``text``. Raises ConfigError, with the nearest name as its remedy."""
    name = text.strip()
    if name.casefold().startswith(MATCH):
        return _match(name[len(MATCH) :])
    letters = _letters(name)
    key = _KEYS.get(letters)
    return key if key is not None else Column(Kind.FIELD, field_named(name))


def field_named(text: str) -> str:
    """The field, or for ``custom:NAME`` the custom tag, that ``text`` names. Raises ConfigError as above."""
    name = text.strip()
    if name.casefold().startswith(CUSTOM):
        return custom_named(name[len(CUSTOM) :])
    field = _FIELDS.get(_letters(name))
    if field is None:
        raise ConfigError(f"there is no field {name!r}", remedy=_remedy(name))
    return field


def custom_named(text: str) -> str:
    """The custom tag called ``text``. Raises ConfigError where that is a field, or no name."""
    name = text.strip().lower()
    if not name or not name.isprintable():
        raise ConfigError(f"{text!r} is no name for a custom tag", remedy="write custom:NAME, for example custom:mood")
    if name in _FIELDS.values():
        raise ConfigError(f"{name} is no custom tag but a field", remedy=f"write {name} without custom")
    return name


def column_name(field: str) -> str:
    """How an export calls a field or custom tag."""
    return field if field in _OWN else CUSTOM + field


def _match(text: str) -> Column:
    name = text.strip()
    letters = _letters(name)
    field = "origin_path" if letters == "originpath" else _FIELDS.get(letters, "")
    if field not in (*IDENTITIES, "origin_path"):
        known = ", ".join(MATCH + known for known in (*IDENTITIES, "origin_path"))
        raise ConfigError(f"tracks cannot be matched by {name!r}", remedy=f"there are {known}")
    return Column(Kind.MATCH, field)


def _remedy(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(_letters(name), list(_FIELDS), n=1)
    custom = f"{CUSTOM}{name.lower()}" if name.isprintable() and name else f"{CUSTOM}NAME"
    hint = f"did you mean {_FIELDS[near[0]]}? " if near else ""
    return f"{hint}a tag of your own is written {custom}"


def _letters(name: str) -> str:
    return re.sub(r"[\s_.\-]+", "", name.casefold())


_OWN = frozenset(FIELD_NAMES)
_FIELDS: Mapping[str, str] = {**_OTHER_NAMES, **{_letters(name): name for name in FIELD_NAMES}}
_KEYS: Mapping[str, Column] = {
    **{_letters(name): Column(Kind.KEY, name) for name in KEYS},
    "cover": COVER,
}
