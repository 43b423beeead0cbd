"""Keeping the store below its limits: least recently used contents first, their edges last.

Two tiers. The edges of a content are its first block and its last two: what a media server reads of every file. As blocks
they count as ``edge_bytes`` and have a limit of their own; everything else counts as main. A content that is evicted from the
main tier leaves its edges behind as blocks, as long as the edge tier has room or holds older ones. Sizes are pages in use,
taken in the same transaction that removes something, so that what other writers add meanwhile is seen; a transaction
removes some 64 MiB in a few milliseconds, which is far more than anybody can write in that time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

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
    freed = 0

    def run(tiers: tuple[Tier, ...], remove: Callable[[Writing, bytes], bool | None]) -> None:
        nonlocal freed
        for key in _candidates(tables, tiers, spared):
            more: bool | None = True
            while more:
                with Writing(tables) as write:
                    used = tables.used_bytes(write.txn)
                    more = remove(write, key)
                    if more is None:
                        return
                    freed += used - tables.used_bytes(write.txn)
                evicted[key] = None

    def remove_main(write: Writing, key: bytes) -> bool | None:
        used = tables.used_bytes(write.txn) - write.totals.edge_bytes
        return None if used <= limit_bytes else _shrink(write, key, edge_limit_bytes)

    def remove_edges(write: Writing, key: bytes) -> bool | None:
        return None if write.totals.edge_bytes <= edge_limit_bytes else _drop_edges(write, key)

    run((Tier.MAIN,), remove_main)
    run((Tier.EDGES, Tier.MAIN), remove_edges)
    return Eviction(tuple(evicted), freed)


def _candidates(tables: ChunkTables, tiers: tuple[Tier, ...], spared: frozenset[bytes]) -> Iterator[bytes]:
    """Content keys of these tiers, least recently used first; not what is used or stored after this began."""
    for tier in tiers:
        after = b""
        while True:
            with tables.reading() as txn:
                found = tables.oldest(txn, tier, after, _KEYS_AT_ONCE)
            if not found:
                break
            after = found[-1]
            for use in found:
                key = use[_USE_PREFIX:]
                if key not in spared and _is_current(tables, use):
                    yield key


def _is_current(tables: ChunkTables, use: bytes) -> bool:
    """False for a content that has been used since, or is gone: its entry is another one or none."""
    key = use[_USE_PREFIX:]
    with tables.reading() as txn:
        record = tables.record(txn, key)
    if record is not None and use_key(record, key) == use:
        return True
    with Writing(tables) as write:  # damage may have left an entry that leads nowhere
        record = tables.record(write.txn, key)
        if record is None or use_key(record, key) != use:
            write.txn.delete(use, db=tables.uses)
    return False


def _shrink(write: Writing, key: bytes, edge_limit_bytes: int) -> bool:
    """Remove a part of a content from the main tier; True if there is more."""
    record = write.tables.record(write.txn, key)
    if record is None:
        return False
    edit = ContentEdit(write, Content(key, record.size))
    _keep_edges(write, edit, edge_limit_bytes)
    done = edit.clear(SLICE_PIECES, edge_mask(record.size))
    edit.save()
    return not done


def _drop_edges(write: Writing, key: bytes) -> bool:
    record = write.tables.record(write.txn, key)
    if record is not None:
        edit = ContentEdit(write, Content(key, record.size))
        edit.drop_blocks(edge_mask(record.size))
        edit.save()
    return False


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
