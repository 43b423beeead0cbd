"""The orders in which a collection lists its tracks."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

import msgspec

from musicfs.errors import ConfigError
from musicfs.index.documents import Document, number_reader
from musicfs.index.words import fold

SORT_FIELDS = ("artist", "album", "title", "year", "added", "played", "plays", "duration")

Place = tuple[str, str, float, float, str]
_Key = tuple[float, str]


class Order(msgspec.Struct, frozen=True):
    """By a field; tracks without a value come last, equals by artist, album, disc, track and title."""

    field: str
    is_descending: bool = False


DEFAULT_ORDER = Order("artist")


def parse_order(text: str) -> Order:
    """``-added`` is the last added first. ConfigError, with the fields there are, for another."""
    is_descending = text.startswith("-")
    field = text.removeprefix("-").strip().lower()
    if field in {"date", "length", "time"}:
        field = "year" if field == "date" else "duration"
    if field not in SORT_FIELDS:
        close = difflib.get_close_matches(field, SORT_FIELDS, n=1)
        meant = f'did you mean "{close[0]}"? ' if close else ""
        raise ConfigError(
            f'there is no order by "{text}"',
            remedy=f'{meant}Fields: {", ".join(SORT_FIELDS)}; descending with a "-" before it',
        )
    return Order(field, is_descending)


class Orderable(msgspec.Struct, frozen=True):
    """What one track is put in order by. ``key`` is None where the track has no value."""

    object_id: int
    key: _Key | None
    place: Place  # artist, album, disc, track, title
    album_artist: str


def orderable(object_id: int, track: Document, order: Order) -> Orderable:
    """What is needed of a track to put it in order."""
    artist, album, title = (_text(track, field) for field in ("artist", "album", "title"))
    place = (artist, album, _number(track, _DISC), _number(track, _TRACK), title)
    return Orderable(object_id, _KEYS[order.field](track), place, _text(track, "album_artist") or artist)


def in_order(tracks: Sequence[Orderable], order: Order) -> list[Orderable]:
    """The tracks, whose keys are of this order, in it. Equal in everything: by their ids."""
    found = sorted(tracks, key=lambda track: (track.place, track.object_id))
    if order.field == "album":
        found.sort(key=lambda track: (track.album_artist, *track.place[2:]))
    having = [(track.key, track) for track in found if track.key is not None]
    having.sort(key=lambda pair: pair[0], reverse=order.is_descending)
    return [*(track for _, track in having), *(track for track in found if track.key is None)]


def _text(track: Document, field: str) -> str:
    values = track.values(field)
    return fold(values[0]) if values else ""


_DISC, _TRACK, _DATE = number_reader("disc"), number_reader("track"), number_reader("date")


def _number(track: Document, read: Callable[[Document], Sequence[float]]) -> float:
    found = read(track)
    return found[0] if found else 0.0


def _by_text(field: str) -> Callable[[Document], _Key | None]:
    def key(track: Document) -> _Key | None:
        text = _text(track, field)
        return (0.0, text) if text else None

    return key


def _by_number(read: Callable[[Document], float]) -> Callable[[Document], _Key | None]:
    def key(track: Document) -> _Key | None:
        number = read(track)
        return (number, "") if number else None

    return key


_KEYS: dict[str, Callable[[Document], _Key | None]] = {
    "artist": _by_text("artist"),
    "album": _by_text("album"),
    "title": _by_text("title"),
    "year": _by_number(lambda track: _number(track, _DATE)),
    "added": _by_number(lambda track: track.added_ns),
    "played": _by_number(lambda track: track.played_ns),
    "plays": _by_number(lambda track: track.plays),
    "duration": _by_number(lambda track: track.technical.duration_ms),
}
