"""Reading JSON: an array of objects, or one object a line. Names are those of columns; a value is text, a list of texts, a
number or a truth value, and null removes the field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from musicfs.api.tagfiles.names import Column, Kind, column_named
from musicfs.api.tagfiles.rows import ChangeRow, Covers, RowError, Values, read_row
from musicfs.errors import ConfigError

_MAX_LINE_BYTES = 64 << 20
_BOM = b"\xef\xbb\xbf"


def json_rows(path: str, covers: Covers) -> Iterator[ChangeRow]:
    """The objects of an array; the file is read whole. Raises ConfigError for what is no JSON array."""
    with open(path, "rb") as stream:
        data = stream.read().removeprefix(_BOM)
    try:
        items = msgspec.json.decode(data, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} is no JSON array: {error}", remedy='write [{"path": "...", "title": "..."}, ...]'
        ) from None
    for number, item in enumerate(items, 1):
        yield _row(number, bytes(item), covers)


def json_line_rows(path: str, covers: Covers) -> Iterator[ChangeRow]:
    """The objects of a file with one on each line; empty lines are passed over. Raises ConfigError for endless lines."""
    with open(path, "rb") as stream:
        number = 0
        while line := stream.readline(_MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > _MAX_LINE_BYTES:
                raise ConfigError(f"{path}, line {number} is longer than 64 MiB", remedy="is this a file of tags?")
            if line.removeprefix(_BOM).strip():
                yield _row(number, line.removeprefix(_BOM), covers)


def json_fields(text: str) -> dict[str, Values]:
    """The fields of one object, as ``set --json`` takes it. Raises ConfigError, for keys and covers too."""
    try:
        found = dict(_said(_object(text.encode("utf-8", "surrogateescape"))))
    except RowError as error:
        raise ConfigError(f"--json: {error}", remedy=error.remedy) from None
    for column in found:
        if column.kind is not Kind.FIELD:
            raise ConfigError(f"--json: {column.name} is no field", remedy="tracks and covers are given as arguments")
    return {column.name: tuple(value for value in values if value) for column, values in found.items()}


def _row(number: int, data: bytes, covers: Covers) -> ChangeRow:
    try:
        return read_row(number, _said(_object(data)), covers)
    except RowError as error:
        return ChangeRow(number, error=error)


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RowError(f"this is no JSON: {error}", remedy='write {"path": "...", "title": "..."}') from None
    if not isinstance(found, dict):
        raise RowError("this is no JSON object", remedy='write {"path": "...", "title": "..."}')
    return found


def _said(found: Mapping[str, Any]) -> Iterator[tuple[Column, Values]]:
    seen: set[Column] = set()
    for name, value in found.items():
        try:
            column = column_named(name)
        except ConfigError as error:
            raise RowError(str(error), remedy=error.remedy) from None
        if column in seen:
            raise RowError(f"{column.name} is given twice", column=name, remedy="delete one of them")
        seen.add(column)
        yield column, _values(name, value)


def _values(name: str, value: object) -> Values:
    items = value if isinstance(value, list) else [] if value is None else [value]
    return tuple(_value(name, item) for item in items)


def _value(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "1" if value else ""
    if isinstance(value, int | float):
        return str(value)
    raise RowError(
        "is neither text nor a list of texts", column=name, remedy='write ["one", "two"], or null to remove it'
    )
