"""What surrounds adopted ranges, and the list of contents that were put together on probability and not yet compared.

The list is in ``meta``, one row a content, so that it shares the store's fate: without the store there is nothing to
compare. Its rows are the keeper's; a content that was evicted meanwhile may still have one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from musicfs.store.chunks_edit import ContentEdit
from musicfs.store.chunks_manifest import Entry
from musicfs.store.chunks_schema import ADOPTED, Adopted, Content
from musicfs.store.chunks_tables import ChunkTables, Writing

_ENTRY_BYTES_MAX = 256 << 10

_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Adopted)


def put_parts(tables: ChunkTables, content: Content, parts: Iterable[tuple[int, bytes]], used_ns: int) -> int:
    """Add bytes at any place of a content, as chunks, where its manifest has gaps; returns how many were added.

    ``parts`` are (start, bytes), all of it small enough for one transaction: some MB. Raises ValueError beyond the end.
    """
    gained = 0
    with Writing(tables) as write:
        edit = ContentEdit(write, content)
        for start, data in parts:
            if not 0 <= start <= start + len(data) <= content.size:
                raise ValueError(f"no {len(data)} bytes at {start} in a content of {content.size}")
            for first, last in list(edit.manifest.gaps(start, start + len(data))):
                new = list(_make_chunks(write, data[first - start : last - start], first))
                edit.insert(new)
                gained += last - first
            edit.drop_mapped_blocks(start, start + len(data))
        edit.save(used_ns)
    return gained


def _make_chunks(write: Writing, data: bytes, position: int) -> Iterator[Entry]:
    tables = write.tables
    for begin in range(0, len(data), _ENTRY_BYTES_MAX):
        part = data[begin : begin + _ENTRY_BYTES_MAX]
        key = write.put_chunk(part, 0, len(part), tables.digest(part, tables.seed))
        yield Entry(position + begin, len(part), 0, len(part), key)


def note_adopted(tables: ChunkTables, adopted: Adopted) -> None:
    """Have a content compared some time."""
    with Writing(tables) as write:
        write.txn.put(ADOPTED + adopted.key, _encode(adopted), db=tables.meta)


def forget_adopted(tables: ChunkTables, content_key: bytes) -> None:
    """It was compared, or need not be."""
    with Writing(tables) as write:
        write.txn.delete(ADOPTED + content_key, db=tables.meta)


def list_adopted(tables: ChunkTables, count: int) -> list[Adopted]:
    """Up to ``count`` contents that are to be compared, in key order."""
    found: list[Adopted] = []
    with tables.reading() as txn, txn.cursor(tables.meta) as cursor:
        more = cursor.set_range(ADOPTED)
        while more and len(found) < count and bytes(cursor.key()).startswith(ADOPTED):
            found.append(_decoder.decode(cursor.value()))
            more = cursor.next()
    return found
