"""What a daemon can be asked about deleted tracks: the part of the :class:`~musicfs.api.backend.Backend` that keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec

DEFAULT_TRASH_ENTRIES = 1000
MAX_TRASH_ENTRIES = 10_000  # in one answer


class TrashEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A track whose file is gone from every origin.

    ``path`` is where it was in the mount, and is again if it was restored (``restored_ms`` is not 0). ``trash_path`` is where
    it is browsed meanwhile, empty if it was restored. Times are ms since 1970 UTC.
    """

    path: str
    origin_id: str
    origin_path: str
    deleted_ms: int
    size_bytes: int
    cached_bytes: int = 0  # what of it can be played
    artist: str = ""
    album: str = ""
    title: str = ""
    duration_ms: int = 0
    trash_path: str = ""
    restored_ms: int = 0


class TrashSelection(msgspec.Struct, frozen=True, kw_only=True):
    """Which deleted tracks are meant: those for which all of this holds. Nothing given: all.

    ``paths`` are of tracks or folders, as :class:`TrashEntry` has them; a track is at or below one of them. ``pattern`` is a
    glob (``*`` does not stop at slashes) over the whole path it had, whatever the case. Times are ms since 1970 UTC.
    """

    paths: tuple[str, ...] = ()
    origin_id: str = ""
    pattern: str = ""
    deleted_after_ms: int = 0
    deleted_before_ms: int = 0  # 0: no end


class TrashPage(msgspec.Struct, frozen=True):
    """Some of the deleted tracks that were meant, and how many these are in all."""

    entries: tuple[TrashEntry, ...] = ()
    total: int = 0
    size_bytes: int = 0


class TrashProgress(msgspec.Struct, frozen=True):
    """How far it is. ``freed_bytes`` is what is stored of them: less is freed where other files share it."""

    done: int = 0
    total: int = 0
    passed_over: int = 0
    freed_bytes: int = 0
    complete: bool = False


class TrashBackend(Protocol):
    """A running MusicFS that keeps deleted tracks. Called from several threads at once."""

    def trash(self, selection: TrashSelection, start: int, stop: int) -> TrashPage:
        """The entries ``[start, stop)`` of those that are meant, the last deleted first."""
        ...

    def restore_trash(self, selection: TrashSelection) -> Iterator[TrashProgress]:
        """Have tracks in the tree again, served from what is stored, until their files return.

        Yields at least once a second; the last item is complete. What is on disk stays when the caller leaves. NotFoundError
        at the first item if a path means no deleted track. Passed over is what is restored already.
        """
        ...

    def empty_trash(self, selection: TrashSelection, *, restored: bool, dry_run: bool) -> Iterator[TrashProgress]:
        """Forget deleted tracks, and what is stored of them and of nothing else; as :meth:`restore_trash`.

        Those that were restored only with ``restored``: they leave the tree.
        """
        ...
