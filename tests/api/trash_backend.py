"""The part of a fake backend that keeps deleted tracks, in a list, as the contract of the backend says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from musicfs.api.trash import TrashEntry, TrashPage, TrashProgress, TrashSelection
from musicfs.errors import NotFoundError

TRASH = (
    TrashEntry(
        path="/A/B\udcff/01 - One.flac",
        origin_id="nas",
        origin_path="a/1\udcff.flac",
        deleted_ms=1_700_000_000_000,
        size_bytes=30 << 20,
        cached_bytes=10 << 20,
        artist="A",
        album="B",
        title="One",
        duration_ms=61_000,
        trash_path="/.trash/A/B\udcff/01 - One.flac",
    ),
    TrashEntry(
        path="/C/Two.mp3",
        origin_id="s3",
        origin_path="2.mp3",
        deleted_ms=1_600_000_000_000,
        size_bytes=5,
        restored_ms=1_650_000_000_000,
    ),
)


@dataclass
class FakeTrash:
    """``selections`` notes what was asked for."""

    deleted: tuple[TrashEntry, ...] = TRASH
    selections: list[tuple[object, ...]] = field(default_factory=list)

    def _chosen(self, *call: object) -> tuple[TrashEntry, ...]:
        self.selections.append(call)
        selection = call[1]
        assert isinstance(selection, TrashSelection)
        roots = tuple(path.rstrip("/") for path in selection.paths)
        found = tuple(
            one
            for one in self.deleted
            if selection.origin_id in ("", one.origin_id)
            and (not roots or any(f"{one.path}/".startswith(f"{root}/") for root in roots))
        )
        if roots and not found and call[0] != "list":
            raise NotFoundError(f"nothing at {selection.paths[0]!r} is in the trash", remedy="see 'musicfs trash list'")
        return found

    def trash(self, selection: TrashSelection, start: int, stop: int) -> TrashPage:
        found = self._chosen("list", selection, start, stop)
        return TrashPage(found[start:stop], len(found), sum(one.size_bytes for one in found))

    def restore_trash(self, selection: TrashSelection) -> Iterator[TrashProgress]:
        total = len(self._chosen("restore", selection))
        yield TrashProgress(0, total)
        yield TrashProgress(total - 1, total, 1, complete=True)

    def empty_trash(self, selection: TrashSelection, *, restored: bool, dry_run: bool) -> Iterator[TrashProgress]:
        total = len(self._chosen("empty", selection, restored, dry_run))
        yield TrashProgress(0 if dry_run else total, total, 0, 0 if dry_run else 7 << 20, complete=True)
