"""The search index of the keeper: where it lies, what it is known by, and how it is begun anew."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection
from functools import partial

from musicfs.clock import Clock
from musicfs.config.settings import Settings
from musicfs.daemon.reading import index_path
from musicfs.library.indexing import Indexer, Writer
from musicfs.library.track_query import PlaysOf
from musicfs.store.catalog import Catalog


def make_indexer(
    settings: Settings,
    catalog: Catalog,
    lineage: int,
    plays_of: PlaysOf,
    clock: Clock,
    *,
    on_indexed: Callable[[Collection[int] | None], object] = lambda _: None,
    on_failure: Callable[[Exception], object],
) -> Indexer:
    """What keeps the index in step, not yet begun; see :class:`~musicfs.library.indexing.Indexer` for the rest.

    ``lineage`` is the state's: plays are in the index too, and do not go on from those of another state.
    """
    path = index_path(settings)
    return Indexer(
        catalog,
        partial(_open, path, f"{catalog.identity:016x}-{lineage:016x}"),
        partial(_discard, path),
        clock,
        plays_of=plays_of,
        on_indexed=on_indexed,
        on_failure=on_failure,
    )


def _open(path: str, identity: str) -> Writer:
    from musicfs.index.writer import open_writer  # late: on the thread, while others begin

    return open_writer(path, identity)


def _discard(path: str) -> None:
    """Forget which segments there are: the writer then begins anew, and nobody looks for them meanwhile."""
    from musicfs.index.segments import META

    if os.path.isdir(path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(path, META))
    elif os.path.lexists(path):
        os.unlink(path)
