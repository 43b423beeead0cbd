"""The content store as the keeper uses it: re-cutting, adopting, evicting, verifying, counting.

Everything here works in short transactions, may be ended at any point, and is run by one thread of the keeper.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from musicfs.clock import Clock
from musicfs.store import chunks_adopted, chunks_evict, chunks_recut, chunks_verify
from musicfs.store.chunks import ChunkStore
from musicfs.store.chunks_edit import clear_contents
from musicfs.store.chunks_manifest import Manifest
from musicfs.store.chunks_recut import Cut
from musicfs.store.chunks_schema import (
    Adopted,
    Content,
    Eviction,
    Piece,
    Reuse,
    StoreStats,
    Tier,
    block_bytes,
    decode_record,
    edge_mask,
)

_KEYS_AT_ONCE = 1024


def _never() -> bool:
    return False


def _unheard(_count: int) -> None:
    pass


class ChunkUpkeep:
    """What changes manifests, and what looks at everything. Every method may raise StoreError and DiskFullError."""

    def __init__(self, store: ChunkStore) -> None:
        self._tables = store.tables
        self._clock: Clock = store.clock

    def recut(self, content: Content, cut: Cut) -> bool:
        """Turn a complete content's blocks into chunks; see :func:`~musicfs.store.chunks_recut.recut`."""
        return chunks_recut.recut(self._tables, content, cut)

    def ingest(self, content: Content, data: Iterable[bytes], cut: Cut) -> bool:
        """Store a content that comes whole and in order; see :func:`~musicfs.store.chunks_recut.ingest`."""
        return chunks_recut.ingest(self._tables, content, data, cut, self._clock.time_ns())

    def adopt(self, content: Content, pieces: Sequence[Reuse]) -> int:
        """Give a new content what is known of it; see :func:`~musicfs.store.chunks_recut.adopt`."""
        return chunks_recut.adopt(self._tables, content, pieces, self._clock.time_ns())

    def put_parts(self, content: Content, parts: Iterable[tuple[int, bytes]]) -> int:
        """Add bytes at any place; see :func:`~musicfs.store.chunks_adopted.put_parts`."""
        return chunks_adopted.put_parts(self._tables, content, parts, self._clock.time_ns())

    def note_adopted(self, adopted: Adopted) -> None:
        """Have an adopted content compared with its origin some time."""
        chunks_adopted.note_adopted(self._tables, adopted)

    def forget_adopted(self, content_key: bytes) -> None:
        """It need not be compared any more."""
        chunks_adopted.forget_adopted(self._tables, content_key)

    def adopted(self, count: int = _KEYS_AT_ONCE) -> list[Adopted]:
        """Up to ``count`` contents that are to be compared, in key order; may be called on any thread."""
        return chunks_adopted.list_adopted(self._tables, count)

    def complete_blocks(self, after: bytes = b"", count: int = _KEYS_AT_ONCE) -> list[Content]:
        """Up to ``count`` contents after a key, in key order, that are complete and wait to be re-cut.

        Those that are nothing but edges are left as they are: eviction would turn them into blocks again.
        """
        found: list[Content] = []
        with self._tables.reading() as txn, txn.cursor(self._tables.contents) as cursor:
            more = cursor.set_range(after + b"\0") if after else cursor.first()
            while more and len(found) < count:
                key = bytes(cursor.key())
                record = self._tables.record(txn, key)
                if record is not None and record.blocks and record.is_complete and record.tier is Tier.MAIN:
                    found.append(Content(key, record.size))
                more = cursor.next()
        return found

    def evict(self, limit_bytes: int, edge_limit_bytes: int, pinned: Collection[bytes] = ()) -> Eviction:
        """Remove what was used least recently; see :func:`~musicfs.store.chunks_evict.evict`."""
        return chunks_evict.evict(self._tables, limit_bytes, edge_limit_bytes, pinned)

    def clear(self, keys: Iterable[bytes] | None = None, tier: Tier | None = None) -> int:
        """Remove contents (None: all), or what counts in one tier of them; returns how many had something stored."""
        found = (content.key for content in self.contents()) if keys is None else keys
        return clear_contents(self._tables, found, tier)

    def removable_bytes(self, content: Content, tier: Tier | None = None) -> int:
        """How many bytes of a content :meth:`clear` would remove."""
        with self._tables.reading() as txn:
            record = self._tables.record(txn, content.key)
            if record is None:
                return 0
            edges = record.blocks & edge_mask(record.size)
            if tier is not Tier.EDGES:
                return record.cached - (block_bytes(edges, 0, record.size) if tier is Tier.MAIN else 0)
            manifest = chunks_recut.read_manifest(self._tables, txn, content.key) or Manifest()
            return sum(block_bytes(edges, start, stop) for start, stop in manifest.gaps(0, record.size))

    def contents(self) -> Iterator[Content]:
        """Every content of which something is stored, in key order; what comes or goes meanwhile may be left out."""
        after = b""
        while True:
            with self._tables.reading() as txn, txn.cursor(self._tables.contents) as cursor:
                found: list[Content] = []
                more = cursor.set_range(after + b"\0") if after else cursor.first()
                while more and len(found) < _KEYS_AT_ONCE:
                    found.append(Content(bytes(cursor.key()), decode_record(cursor.value()).size))
                    more = cursor.next()
            if not found:
                return
            after = found[-1].key
            yield from found

    def tidy(self) -> bool:
        """Finish what the discarding of damaged pieces left to do; cheap when there is nothing.

        True: a damaged manifest went, and chunks that only it named take room until the next :meth:`verify`.
        """
        chunks_verify.drop_lost(self._tables)
        chunks_verify.recount(self._tables)
        with self._tables.reading() as txn:
            return self._tables.totals(txn).leaked > 0

    def verify(
        self,
        on_bad: Callable[[Piece], None],
        stop: Callable[[], bool] = _never,
        on_checked: Callable[[int], object] = _unheard,
    ) -> bool:
        """Read everything and put it right; see :func:`~musicfs.store.chunks_verify.verify`."""
        return chunks_verify.verify(self._tables, on_bad, stop, on_checked)

    def stats(self) -> StoreStats:
        """What is stored now; costs a few page reads."""
        tables = self._tables
        file_bytes = os.stat(os.path.join(tables.path, "data.mdb")).st_size
        with tables.reading() as txn:
            totals = tables.totals(txn)
            return StoreStats(
                used_bytes=tables.used_bytes(txn),
                edge_bytes=totals.edge_bytes,
                file_bytes=file_bytes,
                chunk_count=totals.references,
                chunks_unique=int(txn.stat(tables.chunks)["entries"]),
                dedup_ratio=totals.logical_bytes / totals.chunk_bytes if totals.chunk_bytes else 1.0,
                blocks=int(txn.stat(tables.blocks)["entries"]),
                contents=int(txn.stat(tables.contents)["entries"]),
                complete=totals.complete,
                bad=totals.bad,
            )

    def reader_check(self) -> int:
        """Free the reader slots of processes that died; to be called every 10 s."""
        return self._tables.env.reader_check()
