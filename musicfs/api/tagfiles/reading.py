"""Telling files of tags apart, and reading any of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import StrEnum

from musicfs.api.tagfiles.rows import ChangeRow, Covers
from musicfs.errors import ConfigError

_MAGIC = b"SQLite format 3\0"
_HEAD_BYTES = 4096


class TagFormat(StrEnum):
    """A notation of tags in a file."""

    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"
    BEETS = "beets"


_SUFFIXES = {
    ".csv": TagFormat.CSV, ".tsv": TagFormat.CSV, ".txt": TagFormat.CSV, ".json": TagFormat.JSON,
    ".jsonl": TagFormat.JSONL, ".ndjson": TagFormat.JSONL,
}  # fmt: skip


def read_changes(
    path: str,
    form: TagFormat | None = None,
    *,
    beets_root: str = "",
    reads_covers: bool = True,
    covers: Covers | None = None,
) -> Iterator[ChangeRow]:
    """Every row of the file at ``path``, as a change or as what is wrong with it.

    Without ``form`` the file's content and name say what it is. ``reads_covers = False`` looks whether the images are there
    and leaves them out of the changes: for a first look at the whole file. ``covers`` loads them in another way.
    ``beets_root`` is where relative paths of a beets library start. Raises ConfigError for a file that makes no sense,
    OSError where it cannot be read.
    """
    images = covers or Covers(os.path.dirname(os.path.abspath(path)), is_read=reads_covers)
    form = form or guess_format(path)
    if form is TagFormat.CSV:
        from musicfs.api.tagfiles.csv_rows import csv_rows

        return csv_rows(path, images)
    if form is TagFormat.BEETS:
        from musicfs.api.tagfiles.beets import beets_rows

        _check_database(path)
        return beets_rows(path, images, root=beets_root)
    from musicfs.api.tagfiles.json_rows import json_line_rows, json_rows

    return json_rows(path, images) if form is TagFormat.JSON else json_line_rows(path, images)


def guess_format(path: str) -> TagFormat:
    """What the file at ``path`` is, by its first bytes where they tell, else by its name, else CSV."""
    head = _head(path)
    if head.startswith(_MAGIC):
        return TagFormat.BEETS
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    named = form_of_name(path)
    if start.startswith(b"["):
        return TagFormat.JSON
    if start.startswith(b"{"):
        return TagFormat.JSONL
    return named or TagFormat.CSV


def form_of_name(path: str) -> TagFormat | None:
    """What the suffix of a file's name says, if anything."""
    return _SUFFIXES.get(os.path.splitext(path)[1].lower())


def _check_database(path: str) -> None:
    if not _head(path).startswith(_MAGIC):
        raise ConfigError(
            f"{path} is no SQLite database", remedy="`beet config -p` shows where beets keeps its library"
        )


def _head(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read(_HEAD_BYTES)
