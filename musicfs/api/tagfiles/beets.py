"""Reading the library of beets (https://beets.readthedocs.io): the tags it would write into its files.

Its database is SQLite with a row of ``items`` for each file (checked with versions 1.6 and 2.14). A path is a BLOB, absolute
or, in newer versions, relative to beets' music folder, which the database does not know. Several values of a column are
joined with a backslash and U+2400, types of albums with a semicolon and a space. Zero, false and empty text mean that beets
knows nothing. Flexible attributes are its own bookkeeping and stay there. Names are those that beets' MediaFile and Picard
give the same tags in a file.

The database is never written to: it is opened immutable, or, where a write-ahead log or a journal lies beside it, as a copy.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from musicfs.api.tagfiles.names import IDENTITIES, Column, Kind
from musicfs.api.tagfiles.rows import ChangeRow, Covers, Values, read_row
from musicfs.errors import ConfigError

_SEPARATOR = "\\␀"
_SEPARATORS: Mapping[str, str] = {"albumtypes": "; "}
_COMPANIONS = ("-wal", "-journal")

# Column -> our field, or the custom tag as files have it.
_TEXTS: Mapping[str, str] = {
    "title": "title", "artist": "artist", "album": "album", "albumartist": "album_artist", "genre": "genre",
    "composer": "composer", "comments": "comment", "lyrics": "lyrics", "label": "label", "artist_sort": "artist_sort",
    "albumartist_sort": "album_artist_sort", "mb_trackid": "mb_recording_id", "mb_releasetrackid": "mb_track_id",
    "mb_albumid": "mb_album_id", "mb_artistid": "mb_artist_id", "mb_albumartistid": "mb_album_artist_id",
    "mb_releasegroupid": "mb_release_group_id", "isrc": "isrc", "encoder": "encoder",
    "composer_sort": "composersort", "lyricist": "lyricist", "arranger": "arranger", "remixer": "remixer",
    "grouping": "grouping", "subtitle": "subtitle", "disctitle": "discsubtitle", "initial_key": "key",
    "catalognum": "catalognumber", "barcode": "barcode", "asin": "asin", "media": "media", "language": "language",
    "script": "script", "country": "releasecountry", "albumtype": "releasetype", "albumstatus": "releasestatus",
    "work": "work", "mb_workid": "musicbrainz_workid", "acoustid_id": "acoustid_id",
}  # fmt: skip
# Columns with several values. They come after those above, and count where they are not empty.
_LISTS: Mapping[str, str] = {
    "genres": "genre", "composers": "composer", "lyricists": "lyricist", "arrangers": "arranger",
    "remixers": "remixer", "albumtypes": "releasetype", "mb_artistids": "mb_artist_id",
    "mb_albumartistids": "mb_album_artist_id", "artists": "artists", "albumartists": "albumartists",
}  # fmt: skip
_NUMBERS: Mapping[str, str] = {
    "track": "track", "tracktotal": "track_total", "disc": "disc", "disctotal": "disc_total", "bpm": "bpm",
    "comp": "compilation",
}  # fmt: skip
_GAINS: Mapping[str, tuple[str, str]] = {  # as MediaFile writes them
    "rg_track_gain": ("replaygain_track_gain", "{:.2f} dB"), "rg_track_peak": ("replaygain_track_peak", "{:.6f}"),
    "rg_album_gain": ("replaygain_album_gain", "{:.2f} dB"), "rg_album_peak": ("replaygain_album_peak", "{:.6f}"),
}  # fmt: skip
_DATES: Mapping[str, str] = {"": "date", "original_": "originaldate"}


def beets_rows(path: str, covers: Covers, *, root: str = "") -> Iterator[ChangeRow]:
    """Every item of a library. ``root`` is the folder that relative paths start from; empty leaves them relative.

    Raises ConfigError for a file that is no library of beets, or a damaged one.
    """
    with contextlib.ExitStack() as stack:
        try:
            connection = stack.enter_context(contextlib.closing(_open(path, stack)))
            connection.row_factory = sqlite3.Row
            connection.text_factory = _text
            names = {row[1] for row in connection.execute("PRAGMA table_info(items)")}
            if not {"id", "path", "title", "mb_trackid"} <= names:
                raise ConfigError(
                    f"{path} is a database, but none of beets", remedy="`beet config -p` shows where it is"
                )
            for item in connection.execute("SELECT * FROM items ORDER BY id"):
                yield read_row(item["id"], _said(item, frozenset(names), root), covers)
        except sqlite3.Error as error:
            raise ConfigError(
                f"{path} is damaged: {error}", remedy="try `sqlite3 FILE .recover`, or a backup"
            ) from None


def _open(path: str, stack: contextlib.ExitStack) -> sqlite3.Connection:
    """A connection to a file that nobody writes to."""
    companions = [path + suffix for suffix in _COMPANIONS if _has_bytes(path + suffix)]
    if companions:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="musicfs-beets-"))
        copy = os.path.join(folder, "library.db")
        for source in (path, *companions):
            shutil.copyfile(source, copy + source[len(path) :])
        connection = sqlite3.connect(copy)
        # Copied while beets was writing, it may be neither old nor new.
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            connection.close()
            raise ConfigError(f"{path} is being written to, or damaged", remedy="try again when beets has ended")
        return connection
    location = quote(os.fsencode(os.path.abspath(path)))
    return sqlite3.connect(f"file:{location}?mode=ro&immutable=1", uri=True)


def _has_bytes(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0
    except FileNotFoundError:
        return False


def _said(item: sqlite3.Row, names: frozenset[str], root: str) -> Iterator[tuple[Column, Values]]:
    fields = dict(_fields(item, names))
    yield Column(Kind.MATCH, "origin_path"), (_path(item["path"], root),)
    for name in IDENTITIES:
        if name in fields:
            yield Column(Kind.MATCH, name), fields[name][:1]
            break
    for name, values in fields.items():
        yield Column(Kind.FIELD, name), values


def _fields(item: sqlite3.Row, names: frozenset[str]) -> Iterator[tuple[str, Values]]:
    def get(name: str) -> object:
        return item[name] if name in names else None

    for name, field in _TEXTS.items():
        if isinstance(text := get(name), str) and text:
            yield field, tuple(filter(None, text.split(_SEPARATOR)))
    for name, field in _LISTS.items():
        if isinstance(text := get(name), str) and text:
            values = tuple(filter(None, text.split(_SEPARATORS.get(name, _SEPARATOR))))
            if len(values) > 1 or field not in ("artists", "albumartists"):  # one alone says what artist says
                yield field, values
    for name, field in _NUMBERS.items():
        if isinstance(number := get(name), int | float) and number > 0:
            yield field, (str(int(number)),)
    for name, (field, form) in _GAINS.items():
        if isinstance(number := get(name), int | float) and number:
            yield field, (form.format(number),)
    for prefix, field in _DATES.items():
        if date := _date(get(f"{prefix}year"), get(f"{prefix}month"), get(f"{prefix}day")):
            yield field, (date,)


def _date(year: object, month: object, day: object) -> str:
    """As much of ``YYYY-MM-DD`` as is known; empty without a year."""
    text = ""
    for number, form in ((year, "{:04d}"), (month, "-{:02d}"), (day, "-{:02d}")):
        if not isinstance(number, int) or number <= 0:
            break
        text += form.format(number)
    return text


def _path(data: object, root: str) -> str:
    """A path as other messages have it: bytes that are not UTF-8 are ``\\xNN``."""
    path = data if isinstance(data, bytes) else str(data).encode("utf-8", "surrogateescape")
    return os.path.join(os.fsencode(root), path).decode("utf-8", "backslashreplace")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
