"""Albums that the tree shows in pieces, because the tags of their tracks disagree. Pure: no I/O, no catalog."""

from __future__ import annotations

import re
from collections.abc import Iterator

from musicfs.model import FIELDS
from musicfs.store.records import StoredTags, tag

_ALBUM, _ARTIST, _ALBUM_ARTIST = FIELDS["album"], FIELDS["artist"], FIELDS["album_artist"]
_COMPILATION, _DATE, _DISC, _TRACK = FIELDS["compilation"], FIELDS["date"], FIELDS["disc"], FIELDS["track"]
_VARIOUS_ARTISTS = "Various Artists"
_YEAR = re.compile(r"\d{4}")
_NUMBER = re.compile(r"\d{1,9}")
_SHOWN = 3

_Value = str | list[str] | None  # of a tag


class _Piece:
    """The tracks of an album in one folder that agree in all that names the album."""

    def __init__(self, name: str, artist: str, year: str) -> None:
        self.name = name
        self.artist = artist
        self.year = year
        self.positions: list[tuple[_Value, _Value]] = []  # (disc, track) of each track, as the tags have them

    def numbers(self) -> set[tuple[int, int]]:
        """(disc, track) of those that have a number."""
        found = ((_number(_first(disc)) or 1, _number(_first(track))) for disc, track in self.positions)
        return {position for position in found if position[1]}


class AlbumPieces:
    """The tracks of one origin folder, sorted into albums and their pieces.

    Tracks are of one album if it has the same name but for case, unless two with different album artists have the same
    number: a folder may well hold the *Greatest Hits* of two bands.
    """

    def __init__(self) -> None:
        self._albums: dict[str, dict[tuple[str, str, str], _Piece]] = {}
        self._last: tuple[_Value, ...] = ()  # of the naming tags, which the next track mostly has as well
        self._last_piece: _Piece | None = None

    def add(self, tags: StoredTags) -> None:
        """Count a track by its tags as they read; one without an album is none of any."""
        get = tags.get
        naming = get(_ALBUM), get(_ALBUM_ARTIST), get(_COMPILATION), get(_ARTIST), get(_DATE)
        if naming != self._last:
            self._last, self._last_piece = naming, self._piece(tags)
        if self._last_piece is not None:
            self._last_piece.positions.append((get(_DISC), get(_TRACK)))

    def _piece(self, tags: StoredTags) -> _Piece | None:
        name = tag(tags, _ALBUM).strip()
        if not name:
            return None
        key = name, _artist(tags), _year(tags)
        pieces = self._albums.setdefault(name.casefold(), {})
        piece = pieces.get(key)
        if piece is None:
            piece = pieces[key] = _Piece(*key)
        return piece

    def split(self) -> Iterator[tuple[int, str]]:
        """(tracks, what is different in words) of each album that is in pieces."""
        for pieces in self._albums.values():
            if len(pieces) > 1:
                found = list(pieces.values())
                if not _are_several(found):
                    yield sum(len(piece.positions) for piece in found), _difference(found)


def _are_several(pieces: list[_Piece]) -> bool:
    """Whether these are albums of their own that share a name."""
    numbers: dict[tuple[int, int], str] = {}
    for piece in pieces:
        for number in piece.numbers():
            if numbers.setdefault(number, piece.artist) != piece.artist:
                return True
    return False


def _first(value: _Value) -> str:
    return value if isinstance(value, str) else value[0] if value else ""


def _difference(pieces: list[_Piece]) -> str:
    """``"Night Bus": album artists A and B; years 1994, 1995 and none``."""
    parts = [
        f"{label} {_listed(values)}"
        for label, values in (
            ("names", [f'"{piece.name}"' for piece in pieces]),
            ("album artists", [piece.artist or "none" for piece in pieces]),
            ("years", [piece.year or "none" for piece in pieces]),
        )
        if len(set(values)) > 1
    ]
    return f'"{pieces[0].name}": {"; ".join(parts)}'


def _listed(values: list[str]) -> str:
    different = sorted(set(values))
    if len(different) > _SHOWN:
        return f"{', '.join(different[:_SHOWN])} and {len(different) - _SHOWN} more"
    return f"{', '.join(different[:-1])} and {different[-1]}"


def _artist(tags: StoredTags) -> str:
    """The album artist as the default template shows it."""
    given = tag(tags, _ALBUM_ARTIST)
    if given:
        return given
    return _VARIOUS_ARTISTS if tag(tags, _COMPILATION) else tag(tags, _ARTIST)


def _year(tags: StoredTags) -> str:
    found = _YEAR.search(tag(tags, _DATE))
    return found[0] if found else ""


def _number(text: str) -> int:
    found = _NUMBER.match(text)
    return int(found[0]) if found else 0
