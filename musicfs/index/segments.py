"""The files of an index, looked at before tantivy maps them: one that was cut short would end the process with SIGBUS.

tantivy ends each file with a footer: JSON with the CRC-32 of what is before, the length of that JSON and a magic number,
both as little-endian 32-bit numbers (``directory/footer.rs`` of tantivy 0.27). It looks at the magic number only.
The numbers of documents are compared with ``fieldnorm/writer.rs`` and ``fastfield/alive_bitset.rs``.
Files of a segment never change. ``meta.json``, which lists the segments, is replaced as a whole with each commit or merge.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from musicfs.errors import StoreError
from musicfs.index.schema import NORMED_FIELDS

META = "meta.json"
_SUFFIXES = ("idx", "pos", "term", "store", "fast", "fieldnorm")
_MAGIC = 1337
_U32 = struct.Struct("<I")
_ENDING = struct.Struct("<II")
_FOOTER_MAX = 50_000
_READ_BYTES = 1 << 20
_INT64_MAX = (1 << 63) - 1


class _Deletes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    opstamp: int
    num_deleted_docs: int


class _Segment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    segment_id: str
    max_doc: int
    deletes: _Deletes | None  # without a default: left out, deleted tracks would return

    @property
    def stem(self) -> str:
        """How the names of its files begin."""
        return self.segment_id.replace("-", "")


class _Meta(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    index_settings: object
    segments: list[_Segment]
    schema: object
    opstamp: int


class Listing(msgspec.Struct, frozen=True):
    """What ``meta.json`` says."""

    files: dict[str, int]  # name -> size in bytes
    layout: int  # CRC-32 of schema and settings


class _Footer(msgspec.Struct, frozen=True):
    crc: int


def version_of(folder: Path) -> int:
    """Another number for each ``meta.json``; 0 without one. One look at a file."""
    try:
        found = os.stat(folder / META)
    except OSError:
        return 0
    return hash((found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)) & _INT64_MAX or 1


def read_layout(folder: Path) -> int:
    """The layout of the index, as in :class:`Listing`. Errors as of :func:`list_files`."""
    return _layout(_read_meta(folder))


def list_files(folder: Path) -> Listing:
    """All files that make up the index now.

    StoreError if the list is damaged; FileNotFoundError if it, or a file in it, is not there.
    """
    meta = _read_meta(folder)
    for segment in meta.segments:
        _check_counts(folder, segment)
    return Listing({name: os.stat(folder / name).st_size for name in _names(meta)}, _layout(meta))


def check_file(path: Path, *, is_thorough: bool) -> None:
    """StoreError unless a file of a segment ends as it must and, if ``is_thorough``, has the checksum that it says."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        stop, footer = _read_footer(path, size, file.fileno())
        if not is_thorough:
            return
        crc = 0
        while stop > 0:
            data = file.read(min(stop, _READ_BYTES))
            if not data:
                break
            crc = zlib.crc32(data, crc)
            stop -= len(data)
    if stop or crc != footer.crc:
        raise StoreError(f"{path} is damaged: its checksum is wrong")


def _read_meta(folder: Path) -> _Meta:
    data = (folder / META).read_bytes()
    try:
        return msgspec.json.decode(data, type=_Meta)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{folder / META} is damaged: {error}") from error


def _layout(meta: _Meta) -> int:
    return zlib.crc32(msgspec.json.encode((meta.index_settings, meta.schema)))


def _check_counts(folder: Path, segment: _Segment) -> None:
    """StoreError unless the list and the files say alike how many documents a segment has, and how many are deleted."""
    path = folder / f"{segment.stem}.fieldnorm"
    body = _ends(path)[0]
    with path.open("rb") as file:  # a byte for each field and document, a table, and the length of the table
        table = _U32.unpack(os.pread(file.fileno(), _U32.size, body - _U32.size))[0] if body >= _U32.size else 0
    norms = body - _U32.size - table
    is_right = segment.max_doc > 0 and norms % segment.max_doc == 0 and norms // segment.max_doc == len(NORMED_FIELDS)
    if is_right and segment.deletes is not None:
        path = folder / f"{segment.stem}.{segment.deletes.opstamp}.del"
        data = path.read_bytes()[: _ends(path)[0]]  # how many documents, and a bit for each that is alive
        alive = int.from_bytes(data[_U32.size :], "little").bit_count()
        deleted = segment.deletes.num_deleted_docs
        is_right = _U32.unpack_from(data)[0] == segment.max_doc and alive == segment.max_doc - deleted
    if not is_right:
        raise StoreError(f"{folder / META} and {path.name} say different numbers of tracks")


def _ends(path: Path) -> tuple[int, _Footer]:
    with path.open("rb") as file:
        return _read_footer(path, os.fstat(file.fileno()).st_size, file.fileno())


def _names(meta: _Meta) -> Iterator[str]:
    for segment in meta.segments:
        name = segment.stem
        yield from (f"{name}.{suffix}" for suffix in _SUFFIXES)
        if segment.deletes is not None:
            yield f"{name}.{segment.deletes.opstamp}.del"


def _read_footer(path: Path, size: int, fd: int) -> tuple[int, _Footer]:
    """Where the contents end, and the footer behind them."""
    if size >= _ENDING.size:
        length, magic = _ENDING.unpack(os.pread(fd, _ENDING.size, size - _ENDING.size))
        start = size - _ENDING.size - length
        if magic == _MAGIC and length <= _FOOTER_MAX and start >= 0:
            try:
                return start, msgspec.json.decode(os.pread(fd, length, start), type=_Footer)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise StoreError(f"{path} is damaged: {error}") from error
    raise StoreError(f"{path} is damaged: its end is missing")
