"""Reading libraries of beets: databases with the columns of its versions 1.6 and 2.14."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from musicfs.api.metadata import MetadataChange
from musicfs.api.tagfiles.reading import TagFormat, guess_format, read_changes
from musicfs.errors import ConfigError

SHARED = [
    "title", "artist", "artist_sort", "album", "albumartist", "albumartist_sort", "label", "lyrics", "comments", "isrc",
    "media", "encoder", "albumtype", "albumtypes", "country", "disctitle", "catalognum", "mb_trackid",
    "mb_releasetrackid", "mb_albumid", "mb_artistid", "mb_albumartistid", "mb_releasegroupid", "initial_key",
    "grouping", "acoustid_id",
]  # fmt: skip
NUMBERS = [
    "track", "tracktotal", "disc", "disctotal", "year", "month", "day", "original_year", "original_month",
    "original_day", "bpm", "comp", "length",
]  # fmt: skip
REALS = ["rg_track_gain", "rg_track_peak", "rg_album_gain", "rg_album_peak"]
VERSIONS: Mapping[str, list[str]] = {
    "1.6": ["genre", "composer", "lyricist", "arranger"],
    "2.14": [
        "genres",
        "composers",
        "lyricists",
        "arrangers",
        "artists",
        "albumartists",
        "mb_artistids",
        "mb_albumartistids",
    ],
}


def library(
    path: Path, version: str, items: Sequence[Mapping[str, object]], *, journal: str = "DELETE"
) -> sqlite3.Connection:
    """A database as that version lays it out; beets leaves what it does not know empty, or zero."""
    texts = SHARED + VERSIONS[version]
    columns = (
        [f"{name} TEXT" for name in texts]
        + [f"{name} INTEGER" for name in NUMBERS]
        + [f"{name} REAL" for name in REALS]
    )
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA journal_mode={journal}")
    database.execute(f"CREATE TABLE items (id INTEGER PRIMARY KEY, path BLOB, {', '.join(columns)})")
    database.execute("CREATE TABLE item_attributes (id INTEGER PRIMARY KEY, entity_id INTEGER, key TEXT, value TEXT)")
    for item in items:
        row = {**dict.fromkeys(texts, ""), **dict.fromkeys(NUMBERS, 0), **dict.fromkeys(REALS), **item}
        marks = ", ".join("?" for _ in row)
        database.execute(f"INSERT INTO items ({', '.join(row)}) VALUES ({marks})", list(row.values()))
    database.commit()
    return database


def changes(path: Path, root: str = "") -> list[MetadataChange]:
    rows = list(read_changes(str(path), beets_root=root))
    assert [row.error for row in rows] == [None] * len(rows)
    return [row.change for row in rows if row.change is not None]


def digest(folder: Path) -> dict[str, str]:
    return {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in folder.iterdir()}


FULL: Mapping[str, object] = {
    "path": b"/srv/music/a/\xff.flac", "title": "Ísbrú", "artist": "A feat. B", "album": "Glóð", "albumartist": "A",
    "track": 3, "tracktotal": 12, "disc": 1, "year": 2001, "month": 5, "day": 0, "original_year": 1999,
    "original_month": 12, "original_day": 31, "comp": 1, "bpm": 120, "isrc": "ISRC", "comments": "la\nla", "lyrics": "tra",
    "mb_trackid": "rec", "mb_releasetrackid": "trk", "mb_albumid": "alb", "mb_artistid": "one", "label": "L",
    "rg_track_gain": -6.5, "rg_track_peak": 0.98, "rg_album_gain": 0.0, "length": 1.5, "albumtypes": "album; live",
}  # fmt: skip
EXPECTED: Mapping[str, tuple[str, ...]] = {
    "title": ("Ísbrú",), "artist": ("A feat. B",), "album": ("Glóð",), "album_artist": ("A",), "track": ("3",),
    "track_total": ("12",), "disc": ("1",), "date": ("2001-05",), "originaldate": ("1999-12-31",), "compilation": ("1",),
    "bpm": ("120",), "isrc": ("ISRC",), "comment": ("la\nla",), "lyrics": ("tra",), "mb_recording_id": ("rec",),
    "mb_track_id": ("trk",), "mb_album_id": ("alb",), "mb_artist_id": ("one",), "label": ("L",),
    "replaygain_track_gain": ("-6.50 dB",), "replaygain_track_peak": ("0.980000",), "releasetype": ("album", "live"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("version", "given", "expected"),
    [
        ("1.6", {"genre": "Pop", "composer": "C"}, {"genre": ("Pop",), "composer": ("C",)}),
        (
            "2.14",
            {
                "genres": "Pop\\␀Art Pop", "composers": "C\\␀D", "artists": "A\\␀B", "albumartists": "A",
                "mb_artistids": "one\\␀two",
            },
            {"genre": ("Pop", "Art Pop"), "composer": ("C", "D"), "artists": ("A", "B"), "mb_artist_id": ("one", "two")},
        ),
    ],
)  # fmt: skip
def test_what_beets_knows(
    tmp_path: Path, version: str, given: Mapping[str, object], expected: Mapping[str, tuple[str, ...]]
) -> None:
    path = tmp_path / "library.db"
    library(path, version, [{**FULL, **given}, {"path": b"/b"}]).close()
    assert guess_format(str(path)) is TagFormat.BEETS
    full, empty = changes(path)
    assert full.match == {"origin_path": "/srv/music/a/\\xff.flac", "mb_track_id": "trk"}
    assert full.set == {**EXPECTED, **expected}
    assert empty == MetadataChange(match={"origin_path": "/b"})


def test_paths_may_be_relative(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    library(path, "2.14", [{"path": b"a/b.flac", "mb_trackid": "rec"}]).close()
    assert changes(path)[0].match == {"origin_path": "a/b.flac", "mb_recording_id": "rec"}
    assert changes(path, "/srv/music")[0].match["origin_path"] == "/srv/music/a/b.flac"


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_nothing_is_written_beside_or_into_it(tmp_path: Path, journal: str) -> None:
    path = tmp_path / "a library?.db"
    library(path, "1.6", [{"path": b"/a", "title": "T"}], journal=journal).close()
    before = digest(tmp_path)
    os.chmod(path, 0o400)
    assert changes(path)[0].set == {"title": ("T",)}
    assert digest(tmp_path) == before


def test_a_write_ahead_log_is_part_of_the_library(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    database = library(path, "1.6", [{"path": b"/a", "title": "Old"}], journal="WAL")
    database.execute("UPDATE items SET title = 'New'")
    database.commit()
    before = digest(tmp_path)
    assert (tmp_path / "library.db-wal").stat().st_size > 0
    assert changes(path)[0].set == {"title": ("New",)}
    assert digest(tmp_path) == before
    database.close()


def test_an_unfinished_transaction_is_not(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    items = [{"path": b"/%d" % number, "title": "Old"} for number in range(2000)]
    database = library(path, "1.6", items)
    database.execute("PRAGMA cache_size=5")
    database.execute("UPDATE items SET title = 'New and longer'")
    assert (tmp_path / "library.db-journal").stat().st_size > 0
    assert {change.set["title"] for change in changes(path)} == {("Old",)}
    database.rollback()
    database.close()


def test_text_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    database = library(path, "1.6", [{"path": b"/a", "title": "T"}, {"path": b"/b", "title": "T"}])
    database.execute("UPDATE items SET title = CAST(x'61ff' AS TEXT) WHERE id = 1")
    database.commit()
    database.close()
    bad, good = read_changes(str(path))
    assert bad.number == 1 and "title: is not text" in str(bad.error)
    assert good.change is not None


def test_other_databases(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, path TEXT)")
    database.close()
    with pytest.raises(ConfigError, match="none of beets"):
        changes(path)


def test_damaged_libraries(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    library(path, "1.6", [{"path": b"/%d" % number, "title": "T" * 500} for number in range(200)]).close()
    whole = path.read_bytes()
    for damaged in (whole[:50], whole[:5000], whole[:4096] + b"\xff" * (len(whole) - 4096)):
        path.write_bytes(damaged)
        with pytest.raises(ConfigError, match="is damaged"):
            changes(path)
