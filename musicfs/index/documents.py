"""What a query is asked of: a track as its tags, and what is known beside them; and how a field's values are read from it.

The readers are made once for a field and called for every track. An index stores what they give.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from musicfs.index.fields import CUSTOM, Kind, kind_of
from musicfs.model import FIELDS, Technical

_NUMBER = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)", re.ASCII)
_DATE = re.compile(r"\s*(\d{4})(?:-(\d\d?)(?:-(\d\d?))?)?(?!\d)", re.ASCII)
_YEAR = re.compile(r"\d{4}", re.ASCII)
_NO_TRUTH = frozenset({"", "0", "no", "false"})


class Document(Protocol):
    """A track. What is not asked for is not looked at, so an implementation may look it up when it is."""

    @property
    def format(self) -> str:
        """As in :class:`musicfs.model.Facts`."""
        ...

    @property
    def technical(self) -> Technical:
        """What the audio is."""
        ...

    @property
    def added_ns(self) -> int:
        """When it was first seen, since 1970 UTC; 0 if that is not known."""
        ...

    @property
    def plays(self) -> int:
        """How often it was played."""
        ...

    @property
    def played_ns(self) -> int:
        """When it was played last, since 1970 UTC; 0 for never."""
        ...

    @property
    def origins(self) -> Sequence[str]:
        """The ids of the origins that have it."""
        ...

    @property
    def paths(self) -> Sequence[str]:
        """Its paths at these origins."""
        ...

    @property
    def custom_names(self) -> Collection[str]:
        """The names of its tags that are no fields of :data:`musicfs.model.FIELDS`."""
        ...

    def values(self, field: str) -> Sequence[str]:
        """The effective values of a tag, by field name or a custom tag's own name; empty without."""
        ...


class TagDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document of values that are at hand."""

    tags: Mapping[str, tuple[str, ...]] = {}
    format: str = ""
    technical: Technical = Technical()
    added_ns: int = 0
    plays: int = 0
    played_ns: int = 0
    origins: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    @property
    def custom_names(self) -> Collection[str]:
        """See :class:`Document`."""
        return [name for name in self.tags if name not in FIELDS]

    def values(self, field: str) -> Sequence[str]:
        """See :class:`Document`."""
        return self.tags.get(field, ())


TextReader = Callable[[Document], Sequence[str]]
NumberReader = Callable[[Document], Sequence[float]]


def text_reader(field: str) -> TextReader:
    """What gives the texts of a field."""
    if field == "format":
        return lambda document: (document.format,) if document.format else ()
    if field == "codec":
        return lambda document: (document.technical.codec,) if document.technical.codec else ()
    if field == "origin":
        return lambda document: document.origins
    if field == "path":
        return lambda document: document.paths
    name = field.removeprefix(CUSTOM)
    return lambda document: document.values(name)


def number_reader(field: str) -> NumberReader:
    """What gives the numbers of a field, as :mod:`musicfs.index.values` has them; without one the field is empty."""
    if field == "plays":
        return lambda document: (document.plays,)  # never is a number of times too
    known = _TECHNICAL.get(field)
    if known is not None:
        get = known
        return lambda document: (number,) if (number := get(document)) else ()
    kind, name = kind_of(field), field.removeprefix(CUSTOM)
    if kind is Kind.FLAG:
        return lambda document: (int(any(_is_true(value) for value in document.values(name))),)
    to_number = _date_number if kind is Kind.DATE else _leading_number
    return lambda document: [number for value in document.values(name) if (number := to_number(value)) is not None]


_TECHNICAL: Mapping[str, Callable[[Document], int]] = {
    "added": lambda document: document.added_ns,
    "played": lambda document: document.played_ns,
    "duration": lambda document: document.technical.duration_ms // 1000,  # as players show it
    "bitrate": lambda document: (document.technical.bitrate + 500) // 1000,
    "sample_rate": lambda document: document.technical.sample_rate,
    "channels": lambda document: document.technical.channels,
    "bits_per_sample": lambda document: document.technical.bits_per_sample,
}


def _leading_number(value: str) -> float | None:
    """``-7.25 dB`` is -7.25."""
    found = _NUMBER.match(value)
    return float(found[1]) if found is not None else None


def _date_number(value: str) -> float | None:
    """``1991-08-12`` is 19910812, ``1991`` is 19910000; of another form the first four digits are the year."""
    found = _DATE.match(value)
    if found is not None:
        return int(found[1]) * 10_000 + int(found[2] or 0) * 100 + int(found[3] or 0)
    year = _YEAR.search(value)
    return int(year[0]) * 10_000 if year is not None else None


def _is_true(value: str) -> bool:
    return value.strip().lower() not in _NO_TRUTH
