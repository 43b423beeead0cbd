"""From what a row says to a change of one track, or to a problem with that row."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from musicfs.api.metadata import MAX_COVER_BYTES, MetadataChange
from musicfs.api.tagfiles.names import IDENTITIES, Column, Kind
from musicfs.errors import MusicFSError

Values = tuple[str, ...]

_MAX_ROW_CHARACTERS = 1_000_000  # at four bytes each what a message can hold


class RowError(MusicFSError):
    """A row that makes no sense; the rest of its file may. ``column`` is empty where it is the row as a whole."""

    def __init__(self, message: str, *, column: str = "", remedy: str = "") -> None:
        super().__init__(f"{column}: {message}" if column else message, remedy=remedy)
        self.column = column


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One row: the change it asks for, or what is wrong with it.

    ``number`` is where to find it: the row of a spreadsheet (the header is row 1), the line of JSON lines, the place in a
    JSON array from 1, the id of a database.
    """

    number: int
    change: MetadataChange | None = None
    error: RowError | None = None


class Covers:
    """The image files that rows name, below the folder of the file of tags. The last one is kept: albums share theirs."""

    def __init__(self, folder: str, *, is_read: bool) -> None:
        self._folder = folder
        self._is_read = is_read
        self._last: tuple[str, bytes] = ("", b"")

    def load(self, name: str) -> bytes:
        """The image (nothing if this is only a check that it is there). Raises RowError."""
        path = os.path.join(self._folder, name)
        if path == self._last[0]:
            return self._last[1]
        try:
            size = os.stat(path).st_size
            data = _contents(path) if self._is_read else b""
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise RowError(
                f"{path}: {reason}", column="cover", remedy="give a path relative to the folder of the file"
            ) from None
        if not 0 < size <= MAX_COVER_BYTES:
            raise RowError(
                f"{path} has {size} bytes, and a picture 1 to {MAX_COVER_BYTES}",
                column="cover",
                remedy="make it smaller",
            )
        self._last = (path, data)
        return data


def _contents(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read(MAX_COVER_BYTES)


def read_row(number: int, cells: Iterable[tuple[Column, Values]], covers: Covers) -> ChangeRow:
    """The change that a row asks for; ``cells`` has what it says, no values to remove something."""
    try:
        return ChangeRow(number, _change(cells, covers))
    except RowError as error:
        return ChangeRow(number, error=error)


def _change(cells: Iterable[tuple[Column, Values]], covers: Covers) -> MetadataChange:
    keys: dict[str, str] = {}
    match: dict[str, str] = {}
    fields: dict[str, Values] = {}
    cover: Values | None = None
    for column, given in cells:
        values = tuple(_text(value, column.name) for value in given if value)
        if column.kind is Kind.FIELD:
            fields[column.name] = values
        elif column.kind is Kind.COVER:
            cover = values
        elif values:
            (keys if column.kind is Kind.KEY else match)[column.name] = _single(values, column.name)
    if sum(len(value) for values in fields.values() for value in values) > _MAX_ROW_CHARACTERS:
        raise RowError("has more text than one change may have (a million characters)", remedy="shorten it")
    file_id, path, match = _track(keys, match, fields)
    image = None if not cover else covers.load(_single(cover, "cover"))
    return MetadataChange(
        file_id=file_id, path=path, match=match, set=fields, cover=image, remove_cover=cover is not None and not cover
    )


def _track(
    keys: Mapping[str, str], match: Mapping[str, str], fields: dict[str, Values]
) -> tuple[int, str, dict[str, str]]:
    """Which track: as the row says expressly, else by the file, the path, the id, else by what identifies recordings."""
    if match:
        return 0, "", dict(match)
    if "origin_path" in keys:
        return 0, "", {name: keys[name] for name in ("origin_id", "origin_path") if name in keys}
    if "path" in keys:
        return 0, keys["path"], {}
    if "file_id" in keys:
        return _number(keys["file_id"]), "", {}
    for name in IDENTITIES:
        if fields.get(name):
            value = _single(fields[name], name)
            del fields[name]
            return 0, "", {name: value}
    raise RowError("does not say which track", remedy=f"give it a path, or one of {', '.join(IDENTITIES)}")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:20]) < 1 << 63):
        raise RowError(
            f"{text!r} is no id", column="file_id", remedy="`musicfs metadata get` shows them; or give a path"
        )
    return int(text)


def _single(values: Values, column: str) -> str:
    if len(values) != 1:
        raise RowError("has several values, and may have one", column=column, remedy="keep one of them")
    return values[0]


def _text(value: str, column: str) -> str:
    if "\0" in value:
        raise RowError("has a NUL character, which no tag can hold", column=column, remedy="remove it")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RowError("is not text: it has half of a character", column=column, remedy="write it as UTF-8") from None
    return value
