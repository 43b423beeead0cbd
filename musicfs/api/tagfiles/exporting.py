"""Writing tracks as a file that :mod:`~musicfs.api.tagfiles.reading` reads back, value for value.

Every row has ``path``, ``file_id``, ``origin_id`` and ``origin_path`` first: the last two are what a track is found by again,
as its path follows its tags and its id lasts as long as the catalog. Then the fields in the order of
:data:`musicfs.model.FIELDS` and the custom tags by name. A field that a correction removed is written as removed.
"""

from __future__ import annotations

import contextlib
import csv
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, BinaryIO, TextIO, cast

import msgspec

from musicfs.api.metadata import Cover, TrackMetadata
from musicfs.api.tagfiles.cells import REMOVE, encode_cell
from musicfs.api.tagfiles.names import COVER, KEYS, column_name
from musicfs.api.tagfiles.reading import TagFormat
from musicfs.errors import ConfigError
from musicfs.model import FIELDS

Item = dict[str, int | str | tuple[str, ...] | None]

_SPOOL_BYTES = 8 << 20  # rows of CSV are held in memory up to here, then on disk


def write_export(
    path: str, tracks: Iterable[TrackMetadata], form: TagFormat, *, only_changed: bool = False, overwrite: bool = False
) -> int:
    """Write ``tracks`` to the file at ``path``, which is there in whole or not at all; returns how many there were.

    ``only_changed`` writes corrections, and only tracks that have some. One track is in memory at a time; CSV, whose header
    depends on all of them, lies in a temporary file meanwhile. Raises ConfigError if there is a file already (unless
    ``overwrite``) and for a format that is not written, OSError.
    """
    if form is TagFormat.BEETS:
        raise ConfigError("a library of beets cannot be written", remedy="the formats are csv, json and jsonl")
    if not overwrite and os.path.lexists(path):
        raise _there_already(path)
    items = _items(tracks, only_changed)
    with _replacing(path, overwrite) as stream:
        if form is TagFormat.CSV:
            return _write_csv(stream, items, os.path.dirname(os.path.abspath(path)))
        return _write_json(stream, items, is_array=form is TagFormat.JSON)


def _items(tracks: Iterable[TrackMetadata], only_changed: bool) -> Iterator[Item]:
    for track in tracks:
        if not only_changed or track.overlay or track.cover is not Cover.OWN:
            yield _item(track, track.overlay if only_changed else _with_removed(track))


def _with_removed(track: TrackMetadata) -> Mapping[str, tuple[str, ...]]:
    removed = {name: values for name, values in track.overlay.items() if not values}
    return {**track.effective, **removed}


def _item(track: TrackMetadata, fields: Mapping[str, tuple[str, ...]]) -> Item:
    item: Item = {
        "path": track.path,
        "file_id": track.file_id,
        "origin_id": track.origin_id,
        "origin_path": track.origin_path,
    }
    for name in sorted(fields, key=_order):
        values = tuple(value for value in fields[name] if value)
        if values or not fields[name]:
            item[column_name(name)] = values or None
    if track.cover is Cover.REMOVED:
        item[COVER.name] = None
    return item


def _order(name: str) -> tuple[int, str]:
    return FIELDS.get(name, len(FIELDS)), name


def _write_json(stream: BinaryIO, items: Iterator[Item], *, is_array: bool) -> int:
    count = 0
    separator = b"[\n" if is_array else b""
    for item in items:
        count += 1
        stream.write(separator + msgspec.json.encode(item))
        separator = b",\n" if is_array else b"\n"
    if is_array:
        stream.write(b"\n]\n" if count else b"[]\n")
    elif count:
        stream.write(b"\n")
    return count


def _write_csv(stream: BinaryIO, items: Iterator[Item], folder: str) -> int:
    names: dict[str, None] = {}
    with tempfile.SpooledTemporaryFile(_SPOOL_BYTES, dir=folder) as spooled:
        spool = cast(IO[bytes], spooled)
        for item in items:
            names.update(dict.fromkeys(item))
            spool.write(msgspec.json.encode(item) + b"\n")
        spool.seek(0)
        columns = [*KEYS, *sorted(names.keys() - {*KEYS, COVER.name}, key=_order), *names.keys() & {COVER.name}]
        with _as_text(stream) as text:
            writer = csv.writer(text, lineterminator="\r\n")
            writer.writerow(columns)
            count = 0
            for line in spool:
                count += 1
                item = msgspec.json.decode(line)
                writer.writerow([_cell(name, item) for name in columns])
    return count


def _cell(name: str, item: Mapping[str, object]) -> str:
    value = item.get(name, "")
    if value is None:
        return REMOVE
    return encode_cell(tuple(value)) if isinstance(value, list) else str(value)


@contextlib.contextmanager
def _as_text(stream: BinaryIO) -> Iterator[TextIO]:
    import io

    text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
    try:
        yield text
    finally:
        text.detach()  # flushes


@contextlib.contextmanager
def _replacing(path: str, overwrite: bool) -> Iterator[BinaryIO]:
    """A new file that takes its place at ``path`` when all is written and on disk, and vanishes if that fails."""
    folder, name = os.path.split(os.path.abspath(path))
    draft = os.path.join(folder, f".{name[:200]}.{secrets.token_hex(4)}.part")
    with open(draft, "xb") as stream:
        try:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            if overwrite:
                os.replace(draft, path)
            else:
                _place(draft, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft)
            raise


def _place(draft: str, path: str) -> None:
    """Give the draft its name, if nothing has it; where there are no hard links, as far as a look can tell."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise _there_already(path) from None
    except OSError:
        if os.path.lexists(path):
            raise _there_already(path) from None
        os.rename(draft, path)
    else:
        os.unlink(draft)


def _there_already(path: str) -> ConfigError:
    return ConfigError(f"{path} exists", remedy="--force replaces it")
