"""Reading CSV (RFC 4180; comma, semicolon or tab; UTF-8 with or without a byte order mark), row by row."""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import BinaryIO

from musicfs.api.tagfiles.cells import REMOVE, decode_cell
from musicfs.api.tagfiles.names import Column, Kind, column_named
from musicfs.api.tagfiles.rows import ChangeRow, Covers, RowError, Values, read_row
from musicfs.errors import ConfigError

_DELIMITERS = (",", ";", "\t")
_MAX_CELL_BYTES = 16 << 20  # as much as a comment in a FLAC file can have
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_SAVE_AS = 'save it as "CSV UTF-8"'


def csv_rows(path: str, covers: Covers) -> Iterator[ChangeRow]:
    """Every row below the header. Raises ConfigError for a file that is no CSV, with its line, and OSError."""
    with open(path, "rb") as stream, closing(_lines(path, stream)) as lines:
        number, header = _header(path, lines)
        delimiter = _delimiter(header)
        reader = csv.reader(_again(header, lines), delimiter=delimiter, strict=True)
        names = _next(path, reader)
        assert names is not None
        columns = _columns(path, names)
        while (cells := _next(path, reader)) is not None:
            number += 1
            if any(cells):
                yield _row(number, columns, cells, covers)


def _row(number: int, columns: list[Column | None], cells: list[str], covers: Covers) -> ChangeRow:
    if any(cells[len(columns) :]):
        error = RowError(
            f"has {len(cells)} cells, and the header {len(columns)}", remedy="put quotes around cells with a delimiter"
        )
        return ChangeRow(number, error=error)
    return read_row(number, _said(columns, cells), covers)


def _said(columns: list[Column | None], cells: list[str]) -> Iterator[tuple[Column, Values]]:
    for column, cell in zip(columns, cells, strict=False):
        if column is None or not cell:
            continue
        if column.kind is Kind.FIELD:
            yield column, decode_cell(cell)
        else:  # names of files are as they are
            yield column, () if column.kind is Kind.COVER and cell == REMOVE else (cell,)


def _columns(path: str, names: list[str]) -> list[Column | None]:
    """The meaning of each column; None for one without a name (a spreadsheet may leave such at the end)."""
    columns: list[Column | None] = []
    for place, name in enumerate(names, 1):
        if not name.strip():
            columns.append(None)
            continue
        try:
            column = column_named(name)
        except ConfigError as error:
            raise ConfigError(f"{path}, column {place}: {error}", remedy=error.remedy) from None
        if column in columns:
            raise ConfigError(
                f"{path}: columns {columns.index(column) + 1} and {place} both mean {column.name}",
                remedy="delete one of them",
            )
        columns.append(column)
    return columns


def _header(path: str, lines: Iterator[str]) -> tuple[int, str]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            return number, line
    raise ConfigError(f"{path} is empty", remedy="its first row must name the columns: path,title,artist")


def _delimiter(header: str) -> str:
    """The one with which most columns make sense."""

    def known(delimiter: str) -> int:
        try:
            names = next(csv.reader([header], delimiter=delimiter))
        except csv.Error:
            return 0
        return sum(_is_known(name) for name in names)

    return max(_DELIMITERS, key=known)


def _is_known(name: str) -> bool:
    try:
        column_named(name)
    except ConfigError:
        return False
    return True


def _again(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _lines(path: str, stream: BinaryIO) -> Generator[str, None, None]:
    number = 0
    while line := stream.readline(_MAX_CELL_BYTES + 1):
        number += 1
        if number == 1:
            if line.startswith(_UTF16):
                raise ConfigError(f"{path} is UTF-16, not UTF-8", remedy=_SAVE_AS)
            line = line.removeprefix(_BOM)
        if len(line) > _MAX_CELL_BYTES:
            raise ConfigError(f"{path}, line {number} is longer than 16 MiB", remedy="is this a file of tags?")
        try:
            yield line.decode()
        except UnicodeDecodeError:
            raise ConfigError(f"{path}, line {number}: this is not UTF-8", remedy=_SAVE_AS) from None


def _next(path: str, reader: Iterator[list[str]]) -> list[str] | None:
    # The limit belongs to the interpreter, so it is as it was when a row is handed on. The default is 128 KiB a cell.
    before = csv.field_size_limit(_MAX_CELL_BYTES)
    try:
        return next(reader, None)
    except csv.Error as error:
        line = getattr(reader, "line_num", 0)
        raise ConfigError(
            f"{path}, line {line}: {error}",
            remedy='a cell with quotes is written "with ""quotes"" doubled", lines end with CR LF or LF',
        ) from None
    finally:
        csv.field_size_limit(before)
