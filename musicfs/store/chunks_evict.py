"""Keeping the store below its limits: least recently used contents first, their edges last.

Two tiers. The edges of a content are its first block and its last two: what a media server reads of every file. As blocks
they count as ``edge_bytes`` and have a limit of their own; everything else counts as main. A content that is evicted from the
main tier leaves its edges behind as blocks, as long as the edge tier has room or holds older ones. Sizes are pages in use,
taken in the same transaction that removes something, so that what other writers add meanwhile is seen; a transaction
removes up to some 64 MiB in a few milliseconds, of as many contents as that takes, which is far more than anybody can
write in that time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection

import lmdb

from musicfs.store.chunks_edit import SLICE_PIECES, ContentEdit
from musicfs.store.chunks_schema import (
    Content,
    Eviction,
    Record,
    Tier,
    bits,
    block_range,
    edge_mask,
    use_key,
)
from musicfs.store.chunks_tables import ChunkTables, Writing

_KEYS_AT_ONCE = 256
_USE_PREFIX = 9  # tier u8, last use u64; then the content key


def evict(tables: ChunkTables, limit_bytes: int, edge_limit_bytes: int, pinned: Collection[bytes]) -> Eviction:
    """Remove what was used least recently until both tiers are within their limits, or only pinned contents are left."""
    spared = frozenset(pinned)
    evicted: dict[bytes, None] = {}

    def main_is_small(txn: lmdb.Transaction[memoryview]) -> bool:
        return tables.used_bytes(txn) - tables.totals(txn).edge_bytes <= limit_bytes

    def edges_are_small(txn: lmdb.Transaction[memoryview]) -> bool:
        return tables.totals(txn).edge_bytes <= edge_limit_bytes

    def shrink(write: Writing, key: bytes, count: int) -> int:
        return _shrink(write, key, count, edge_limit_bytes)

    freed = _remove_oldest(tables, Tier.MAIN, spared, main_is_small, shrink, evicted)
    for tier in (Tier.EDGES, Tier.MAIN):
        freed += _remove_oldest(tables, tier, spared, edges_are_small, _drop_edges, evicted)
    return Eviction(tuple(evicted), freed)


def _remove_oldest(
    tables: ChunkTables,
    tier: Tier,
    spared: frozenset[bytes],
    is_small: Callable[[lmdb.Transaction[memoryview]], bool],
    remove: Callable[[Writing, bytes, int], int],
    evicted: dict[bytes, None],
) -> int:
    """Call ``remove`` for one content of the tier after the other until ``is_small``; returns bytes freed.

    ``remove`` takes away up to a number of pieces, and says how many.
    """
    freed = 0
    after = b""
    uses: deque[bytes] = deque()
    while True:
        if not uses:
            with tables.reading() as txn:
                if is_small(txn):
                    return freed
                uses.extend(tables.oldest(txn, tier, after, _KEYS_AT_ONCE))
            if not uses:
                return freed
            after = uses[-1]
        with Writing(tables) as write:
            used = tables.used_bytes(write.txn)
            left, done = SLICE_PIECES, False
            while uses and left > 0:
                key = uses[0][_USE_PREFIX:]
                count = 0
                if key not in spared and _is_current(write, uses[0]):
                    write.save_totals()
                    if is_small(write.txn):
                        done = True
                        break
                    count = remove(write, key, left)
                    if count:
                        evicted[key] = None
                left -= count
                if left > 0:
                    uses.popleft()
            freed += used - tables.used_bytes(write.txn)
        if done:
            return freed


def _is_current(write: Writing, use: bytes) -> bool:
    """False for a content that has been used since, or is gone; an entry that damage left behind goes."""
    key = use[_USE_PREFIX:]
    record = write.tables.record(write.txn, key)
    if record is not None and use_key(record, key) == use:
        return True
    write.txn.delete(use, db=write.tables.uses)
    return False


def _shrink(write: Writing, key: bytes, count: int, edge_limit_bytes: int) -> int:
    """Remove up to ``count`` pieces of a content from the main tier; returns how many."""
    record = write.tables.record(write.txn, key)
    if record is None:
        return 0
    edit = ContentEdit(write, Content(key, record.size))
    _keep_edges(write, edit, edge_limit_bytes)
    removed = edit.clear(count, edge_mask(record.size))
    edit.save()
    return removed


def _drop_edges(write: Writing, key: bytes, _count: int) -> int:
    """Remove the blocks at a content's edges, all three at once; returns how many there were."""
    record = write.tables.record(write.txn, key)
    if record is None:
        return 0
    mask = record.blocks & edge_mask(record.size)
    if mask:
        edit = ContentEdit(write, Content(key, record.size))
        edit.drop_blocks(mask)
        edit.save()
    return mask.bit_count()


def _keep_edges(write: Writing, edit: ContentEdit, edge_limit_bytes: int) -> None:
    """Turn the edges of a content into blocks, if the tier has room for them or will make some."""
    record = edit.record
    wanted = [number for number in bits(edge_mask(record.size)) if not edit.has_block(number)]
    if not wanted or not record.mapped:
        return
    cost = write.tables.edge_page_bytes(sum(1 << number for number in wanted), record.size)
    if cost > edge_limit_bytes or (
        write.totals.edge_bytes + cost > edge_limit_bytes and not _has_older_edges(write, record)
    ):
        return
    for number in wanted:
        data = edit.get_bytes(*block_range(number, record.size))
        if data is not None:
            edit.put_block(number, data)


def _has_older_edges(write: Writing, record: Record) -> bool:
    oldest = write.tables.oldest(write.txn, Tier.EDGES, b"", 1)
    return bool(oldest) and oldest[0][1:_USE_PREFIX] < record.last_use_ns.to_bytes(8, "big")
