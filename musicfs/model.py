"""The words of the field as frozen values, shared by every room. No I/O, no behaviour beyond small derivations.

Tags are ``field -> tuple of values`` with MusicFS's own field names (the keys of :data:`FIELDS`), whatever the container
calls them; a field that is not in the table keeps its own name, lower-cased, as a custom tag. Values are text as the file
has it, except that numbers of the form ``3/12`` are split into ``track`` and ``track_total`` (and ``disc``), and
``compilation`` is ``1`` or absent. Names follow MusicBrainz Picard's tag mapping.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import msgspec

Tags = Mapping[str, tuple[str, ...]]

TRACE_LEVEL = 5  # of logging, below DEBUG: single requests of the kernel

# Field name -> number under which the catalog stores it. Numbers are never reused; new fields take the next one.
FIELDS: dict[str, int] = {
    name: number
    for number, name in enumerate(
        (
            "title", "artist", "album", "album_artist", "track", "track_total", "disc", "disc_total", "date", "genre",
            "composer", "comment", "lyrics", "copyright", "compilation", "label", "artist_sort", "album_artist_sort",
            "album_sort", "title_sort", "mb_recording_id", "mb_track_id", "mb_album_id", "mb_artist_id",
            "mb_album_artist_id", "mb_release_group_id", "replaygain_track_gain", "replaygain_track_peak",
            "replaygain_album_gain", "replaygain_album_peak", "bpm", "isrc", "encoder",
        )
    )
}  # fmt: skip
FIELD_NAMES: tuple[str, ...] = tuple(FIELDS)


class Technical(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What the audio is. Zero means unknown."""

    duration_ms: int = 0
    bitrate: int = 0  # bits per second, averaged over the file
    sample_rate: int = 0  # Hz
    channels: int = 0
    bits_per_sample: int = 0
    codec: str = ""  # flac, mp3, vorbis, opus, aac, alac, pcm


class Picture(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An embedded picture, noted where it lies; its bytes are not kept.

    ``[start, stop)`` are byte offsets in the file. ``coding`` says how to get from there to the image: ``raw`` (the range
    is the image), ``unsync`` (ID3 unsynchronisation to undo), ``ogg64`` (a base64 METADATA_BLOCK_PICTURE that may span
    Ogg pages) or ``ogg`` (a raw block that may span pages). ``kind`` is the ID3 APIC picture type: 3 is the front cover.
    """

    kind: int
    mime: str
    start: int
    stop: int
    coding: str = "raw"


class Layout(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Where the audio lies: bytes before ``audio_start`` and from ``audio_stop`` on are metadata."""

    container: str  # flac, mp3, ogg, mp4, adts, wav, aiff
    audio_start: int
    audio_stop: int


class Facts(msgspec.Struct, frozen=True):
    """Everything a file says about itself, learned from its head and tail."""

    format: str  # suffix for the virtual name: flac, mp3, ogg, opus, m4a, m4b, aac, wav, aiff
    tags: dict[str, tuple[str, ...]]
    technical: Technical
    layout: Layout
    pictures: tuple[Picture, ...] = ()
    audio_id: int = 0  # of the audio alone, whatever the tags; equal ones are probably equal bytes. 0: unknown


class Health(StrEnum):
    """How an origin is: ``degraded`` fails now and then, ``unhealthy`` has failed too often in a row, ``unknown`` is new."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One file in an origin's listing.

    ``path`` is relative, ``/``-separated, without a leading slash; bytes that are not UTF-8 are kept as surrogate escapes
    (PEP 383). ``version`` is opaque: equal versions mean equal bytes, as far as the origin can tell (size and mtime for a
    local file, the ETag for S3). It is the same on every machine that sees the same share.

    ``inode`` and ``ctime_ns`` are what only this machine knows, zero where an origin has no such thing. A different
    ``ctime_ns`` under an equal version hints at an edit in place that put the mtime back; an equal ``inode`` under another
    path hints at a move. Hints ask for a closer look: they prove nothing, and a remount may change them all.
    """

    path: str
    size: int
    mtime_ns: int
    version: str = ""
    inode: int = 0
    ctime_ns: int = 0


_RULE_NAMES = {"all_of": "and", "any_of": "or", "not_": "not"}  # as TOML and JSON have them: Python keeps these words


class Rule(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, rename=_RULE_NAMES
):
    """What a collection holds, as a tree. Exactly one field is given, else making one raises ValueError.

    Numbers are checked where a rule is decoded or converted (``msgspec.ValidationError``), not where one is made.
    """

    match: str | None = None  # a query, as musicfs.index.help explains them
    date: tuple[str, str] | None = None  # the first and the last: a year, month or day; empty for no end
    recently_added: Annotated[int, msgspec.Meta(ge=1, le=36_500)] | None = None  # days
    recently_played: Annotated[int, msgspec.Meta(ge=1, le=36_500)] | None = None  # days
    most_played: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None  # so many tracks
    genre: str | None = None
    all_of: tuple[Rule, ...] | None = None
    any_of: tuple[Rule, ...] | None = None
    not_: Rule | None = None

    def __post_init__(self) -> None:
        given = [name for name in self.__struct_fields__ if getattr(self, name) is not None]
        if len(given) != 1:
            known = ", ".join(self.__struct_encode_fields__)
            found = " and ".join(_RULE_NAMES.get(name, name) for name in given) or "none"
            raise ValueError(f"a rule is exactly one of {known}; this one has {found}")
        if getattr(self, given[0]) in ((), ("", "")):
            raise ValueError(f"a rule's {_RULE_NAMES.get(given[0], given[0])} is empty")


def first(tags: Tags, field: str) -> str:
    """The first value of ``field``, or an empty string."""
    values = tags.get(field)
    return values[0] if values else ""
