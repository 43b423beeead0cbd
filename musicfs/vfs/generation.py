"""Deriving the whole tree anew from the facts, beside the one that is served, and swapping them.

Needed when templates, views or rules change; costs no origin a byte but for covers that must be converted. Killed in the
middle it leaves the old tree served; the next start begins again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from musicfs.library.publish import Change, Pictures, write_batch
from musicfs.store.catalog import Catalog, Tables
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs.tree import TreeBuilder

log = logging.getLogger(__name__)

_BATCH_FILES = 5000


def is_current(catalog: Catalog, builder: TreeBuilder) -> bool:
    """True if the served tree is what ``builder`` would make of the facts."""
    return catalog.tree_fingerprint() == builder.fingerprint()


def rebuild(
    catalog: Catalog, builder: TreeBuilder, priorities: Mapping[int, int], pictures: Pictures | None = None
) -> None:
    """Build a generation with ``builder`` (a fresh one), then serve it. Blocks; about 30 microseconds a file."""
    tables = catalog.generation_beside()
    batch: list[int] = []
    origins = sorted(catalog.origins().values(), key=lambda origin: (priorities.get(origin.number, 0), origin.number))
    for origin in origins:
        for folder_id, _ in catalog.folders_under(origin.number, b""):
            batch += (object_id for object_id, _ in catalog.files_of(folder_id).values())
            if len(batch) >= _BATCH_FILES:
                _build(catalog, builder, tables, batch, priorities, pictures)
                batch = []
    _build(catalog, builder, tables, batch, priorities, pictures)
    with WriteTransaction(catalog) as tx:
        tx.serve(tables, builder.fingerprint())
    catalog.reopen_tree()


def _build(
    catalog: Catalog,
    builder: TreeBuilder,
    tables: Tables,
    batch: Sequence[int],
    priorities: Mapping[int, int],
    pictures: Pictures | None,
) -> None:
    def write(tx: WriteTransaction) -> None:
        changes = []
        for object_id in batch:
            record = tx.object(object_id)
            if record is not None:
                changes.append(Change(object_id, None, record))
        builder.apply(tx, changes, priorities)

    write_batch(catalog, pictures, write, tables)
