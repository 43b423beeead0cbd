"""Filling MusicFS's content store, and waiting until what is in it has its final form."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import pagecache
from benchmarks.servers import MusicFS
from musicfs.config.settings import CacheSettings
from musicfs.store.chunks import ChunkStore
from musicfs.store.chunks_upkeep import ChunkUpkeep

TIMEOUT_S = 600.0
_POLL_S = 0.1
_PERCENT = "user.musicfs.cached_percent"


def cached_percent(path: Path) -> int:
    """How much of a file of the mount can be read without its origin."""
    return int(os.getxattr(path, _PERCENT))


def wait_cached(paths: Sequence[Path], timeout_s: float = TIMEOUT_S) -> None:
    """Until all of these files of the mount are in the store. Raises RuntimeError after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    for path in paths:
        while cached_percent(path) < 100:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{path}: {cached_percent(path)} % cached after {timeout_s:.0f} s")
            time.sleep(_POLL_S)


def wait_recut(server: MusicFS, timeout_s: float = TIMEOUT_S) -> None:
    """Until the keeper has cut every whole content into chunks. Raises RuntimeError after ``timeout_s``."""
    store = ChunkStore(str(server.content_store), limit_bytes=int(CacheSettings().content_cache_gb * (1 << 30)))
    try:
        deadline = time.monotonic() + timeout_s
        while ChunkUpkeep(store).complete_blocks(b""):
            if time.monotonic() > deadline:
                raise RuntimeError(f"not all is cut into chunks after {timeout_s:.0f} s: {ChunkUpkeep(store).stats()}")
            time.sleep(_POLL_S)
    finally:
        store.close()


def fill(server: MusicFS, paths: Sequence[Path]) -> None:
    """Have the files of the mount in the store, as chunks. Raises RuntimeError if one cannot be fetched.

    The daemon is asked for that: of what is read through the mount, and fetched ahead meanwhile, faster than the disk writes,
    not all is kept.
    """
    for progress in server.client().prefetch([f"/{path.relative_to(server.point)}" for path in paths]):
        if progress.failed:
            raise RuntimeError(f"{progress.failed} of {len(paths)} files cannot be fetched")
    wait_cached(paths)
    wait_recut(server)


def warm_store(server: MusicFS) -> None:
    """Have the store's pages in the page cache: the disk has no say."""
    pagecache.warm(server.content_store / "data.mdb")
