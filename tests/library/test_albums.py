"""Which albums are in pieces, and which only share a name."""

from __future__ import annotations

from musicfs.library.albums import AlbumPieces
from musicfs.model import FIELDS
from musicfs.store.records import StoredTags


def tags(album: str, **fields: str) -> StoredTags:
    return {FIELDS[field]: value for field, value in {"album": album, **fields}.items()}


def split(*tracks: StoredTags) -> list[tuple[int, str]]:
    pieces = AlbumPieces()
    for one in tracks:
        pieces.add(one)
    return list(pieces.split())


def test_what_agrees_is_whole() -> None:
    whole = tags("A", album_artist="X", artist="Y", date="1990-01-02", track="1")
    assert split(whole, tags("A", album_artist="X", artist="Z", date="1990", track="2")) == []
    assert split(tags("A", compilation="1", artist="Y"), tags("A", compilation="1", artist="Z")) == []
    assert split(tags("A", artist="Y"), tags("B", artist="Z"), {}, tags(" ", artist="Q")) == []


def test_artists_years_and_names_that_disagree() -> None:
    assert split(tags("A", artist="Y", track="1"), tags("A", artist="X", track="2"), tags("A", artist="X")) == [
        (3, '"A": album artists X and Y')
    ]
    assert split(tags("A", artist="X", date="1990"), tags("A", artist="X")) == [(2, '"A": years 1990 and none')]
    assert split(tags("Bc", artist="X", date="1"), tags("bC", artist="Y", date="x2001")) == [
        (2, '"Bc": names "Bc" and "bC"; album artists X and Y; years 2001 and none')
    ]
    many = [tags("A", artist=f"X{number}", track=str(number + 1)) for number in range(5)]
    assert split(*many) == [(5, '"A": album artists X0, X1, X2 and 2 more')]


def test_two_albums_of_one_name_in_one_folder() -> None:
    queen = [tags("Greatest Hits", artist="Queen", track=str(number)) for number in (1, 2)]
    abba = [tags("Greatest Hits", artist="ABBA", track=f"{number}/2") for number in (1, 2)]
    assert split(*queen, *abba) == []
    other_disc = [tags("Greatest Hits", artist="ABBA", track=str(number), disc="2") for number in (1, 2)]
    assert split(*queen, *other_disc) == [(4, '"Greatest Hits": album artists ABBA and Queen')]
    remaster = [tags("Greatest Hits", artist="Queen", track=str(number), date="1999") for number in (1, 2)]
    assert split(*queen, *remaster) == [(4, '"Greatest Hits": years 1999 and none')], "one artist: nobody else's"
