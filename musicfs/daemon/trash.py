"""The keeper's side of the trash: its parts, what clients may do with it, and what is forgotten by its age.

Thread ``trash``: renders what is corrected of tracks that a new catalog has from the user's state, then now and then forgets
what was deleted longer ago than the configuration says.
"""

from __future__ import annotations

import fnmatch
import logging
import os
import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import msgspec

from musicfs.api.trash import TrashEntry, TrashPage, TrashProgress, TrashSelection
from musicfs.clock import Clock
from musicfs.config.durations import parse_duration_s
from musicfs.config.settings import Settings
from musicfs.content.keys import Source, content_of
from musicfs.daemon.cache import Cache
from musicfs.daemon.corrections import Corrections
from musicfs.daemon.library_files import normal, spellings
from musicfs.errors import DiskFullError, NotFoundError, StoreError
from musicfs.events import EventBus, EventType, FileNews
from musicfs.library.overlays import effective_tags
from musicfs.library.trash import Trash
from musicfs.model import Technical, first
from musicfs.store.catalog import Catalog
from musicfs.store.chunks_schema import Content
from musicfs.store.environment import is_damage
from musicfs.store.overlays import Trashed
from musicfs.store.records import unpack_facts
from musicfs.store.trashed import TrashedObject, read_trashed_by_id
from musicfs.vfs.names import TRASH_NAME
from musicfs.vfs.trash import TrashShelf

log = logging.getLogger(__name__)

_ROUND_S = 3600.0  # at most; a 24th of the time that is configured
_RETRY_S = 60.0
_END_S = 5.0
_AT_ONCE = 500  # tracks between two words to the caller


class _Known(msgspec.Struct, frozen=True):
    """A deleted track, as much as it takes to choose and sort."""

    id: int
    path: bytes
    deleted_ns: int
    size: int
    is_restored: bool


class Trashing:
    """Built once a keeper."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        cache: Cache,
        corrections: Corrections,
        events: EventBus,
        clock: Clock,
        on_failure: Callable[[Exception], object],
    ) -> None:
        """``on_failure`` is told that the catalog is damaged, which ends the thread."""
        shelf = TrashShelf(clock, ignore_case=settings.tree.names == "windows")
        self.bin = Trash(cache.state, shelf, clock, enabled=settings.trash.enabled)  # where scans put what is gone
        self._catalog = catalog
        self._cache = cache
        self._state = cache.state
        self._events = events
        self._edits = corrections.trash_edits(self.bin, shelf)
        keep_s = parse_duration_s(settings.trash.keep) if settings.trash.keep else 0
        self._keep_ns = keep_s * 1_000_000_000
        self._round_s = min(_ROUND_S, max(1.0, keep_s / 24))
        self._clock = clock
        self._on_failure = on_failure
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trash", daemon=True)

    def start(self) -> None:
        """Have the catalog follow the user's state, then begin. Before the first scan."""
        self._guarded(self._edits.reconcile)
        self._thread.start()

    def look_again(self) -> None:
        """Have the catalog follow the user's state once more: what was restored and could not be shown, for want of room.

        Does not block. Files that have returned are found by the scan that follows.
        """
        threading.Thread(target=self._guarded, args=(self._edits.reconcile,), name="trash-again", daemon=True).start()

    def close(self) -> None:
        """End the thread; blocks some seconds at most."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(_END_S)

    def _run(self) -> None:
        self._guarded(self._edits.render_pending)
        while self._keep_ns and not self._ended.is_set():
            is_done = self._guarded(self._forget_old)
            self._clock.wait(self._ended, self._round_s if is_done else _RETRY_S)

    def _forget_old(self) -> None:
        before_ns = self._clock.time_ns() - self._keep_ns
        old = [one.id for one in self._all() if one.deleted_ns < before_ns and not one.is_restored]
        if old:
            freed = sum(self._forget(batch) for batch in _batches(old))
            log.info("trash: %d tracks are forgotten, deleted long ago; %d MB", len(old), freed >> 20)

    def _guarded(self, work: Callable[[], object]) -> bool:
        try:
            work()
        except DiskFullError as error:
            log.warning("the trash waits for room: %s", error)
        except StoreError as error:
            if is_damage(error):
                self._on_failure(error)
            log.error("the trash could not be written: %s", error)
        except Exception:  # nothing of this may end the keeper, which scans and answers clients
            log.exception("the trash could not be followed")
        else:
            return True
        return False

    # What clients ask for.

    def trash(self, selection: TrashSelection, start: int, stop: int) -> TrashPage:
        """See TrashBackend."""
        found = self._selected(selection)
        tracks = (self._state.trashed_track(one.id) for one in found[start:stop])
        entries = tuple(self._entry(track) for track in tracks if track is not None)
        return TrashPage(entries, len(found), sum(one.size for one in found))

    def restore_trash(self, selection: TrashSelection) -> Iterator[TrashProgress]:
        """See TrashBackend."""
        found = [one.id for one in self._existing(selection) if not one.is_restored]
        done = tried = 0
        for batch in _batches(found):
            restored = self._edits.restore(batch)
            self._tell(EventType.FILE_ADDED, self._tracks(restored), lambda track: self._restored(track, "restored"))
            done += len(restored)
            tried += len(batch)
            yield TrashProgress(done, len(found), tried - done)
        yield TrashProgress(done, len(found), tried - done, complete=True)

    def empty_trash(self, selection: TrashSelection, *, restored: bool, dry_run: bool) -> Iterator[TrashProgress]:
        """See TrashBackend."""
        found = [one.id for one in self._existing(selection) if restored or not one.is_restored]
        done = freed_bytes = 0
        for batch in () if dry_run else _batches(found):
            freed_bytes += self._forget(batch)
            done += len(batch)
            yield TrashProgress(done, len(found), 0, freed_bytes)
        yield TrashProgress(done, len(found), 0, freed_bytes, complete=True)

    def _existing(self, selection: TrashSelection) -> Sequence[_Known]:
        """Those that are meant. NotFoundError for a path that means none."""
        found = self._selected(selection)
        for path in selection.paths:
            if not any(_is_below(one.path, root) for root in _roots(path) for one in found):
                raise NotFoundError(f"nothing at {path!r} is in the trash", remedy="see 'musicfs trash list'")
        return found

    def _selected(self, selection: TrashSelection) -> Sequence[_Known]:
        chosen = _chooser(selection)
        found = [_known(track) for track in self._state.trashed() if chosen(track)]
        return sorted(found, key=lambda one: (-one.deleted_ns, one.path))

    def _all(self) -> Iterator[_Known]:
        return map(_known, self._state.trashed())

    # What they are told.

    def _entry(self, track: Trashed) -> TrashEntry:
        facts = unpack_facts(track.facts)
        overlay = self._state.overlay_at(*track.anchor)
        tags = effective_tags(facts.tags if facts is not None else {}, overlay.fields if overlay is not None else {})
        content = self._content(track)
        technical = facts.technical if facts is not None else Technical()
        return TrashEntry(
            path=os.fsdecode(track.virtual_path),
            origin_id=track.origin_id,
            origin_path=os.fsdecode(track.path),
            deleted_ms=track.deleted_ns // 1_000_000,
            size_bytes=track.size,
            cached_bytes=self._cache.cached_bytes(content) if content is not None else 0,
            artist=first(tags, "artist"),
            album=first(tags, "album"),
            title=first(tags, "title"),
            duration_ms=technical.duration_ms,
            trash_path=os.fsdecode(self._trash_path(track)),
            restored_ms=track.restored_ns // 1_000_000,
        )

    def _trash_path(self, track: Trashed) -> bytes:
        found = self._in_catalog(track)
        path = self._catalog.path_of(found[1].inode) if found is not None and found[1].inode else None
        return path or b""

    def _restored(self, track: Trashed, how: str) -> FileNews:
        """What there is to tell of a restored track: it is where it was, unless something else is there."""
        found = self._in_catalog(track)
        object_id = found[0] if found is not None and found[1].is_restored else 0
        inode = self._catalog.place_of(object_id) if object_id else 0
        path = self._catalog.path_of(inode) if inode else None
        details = {"origin_path": os.fsdecode(track.path), how: "true"}
        return FileNews(os.fsdecode(path or track.virtual_path), object_id, details)

    def _in_catalog(self, track: Trashed) -> tuple[int, TrashedObject] | None:
        with self._catalog.snapshot() as txn:
            return read_trashed_by_id(txn, self._catalog.tables, track.id)

    def _content(self, track: Trashed) -> Content | None:
        """What its content is stored as; None where none is kept."""
        access = self._cache.access(track.origin_id)
        if access is None or not access.keep:
            return None
        source = Source(track.origin_id, os.fsdecode(track.path), track.version.decode(), track.size)
        return content_of(source, stable_version=access.stable_version)

    # Forgetting.

    def _forget(self, trashed_ids: Collection[int]) -> int:
        """Forget tracks, then what is stored of them alone; how many bytes of the store these were."""
        tracks = self._tracks(trashed_ids)
        leaving = [track for track in tracks if track.restored_ns]
        is_told = self._events.wants(EventType.FILE_REMOVED)  # where they are is not known afterwards
        news = {track.id: self._restored(track, "forgotten") for track in leaving} if is_told else {}
        self._edits.forget(trashed_ids)
        self._tell(EventType.FILE_REMOVED, leaving, lambda track: news.get(track.id))
        contents = {content.key: content for track in tracks if (content := self._unused(track)) is not None}
        if contents:  # another deleted track may be of the same bytes
            for track in self._state.trashed():
                content = self._content(track)
                if content is not None:
                    contents.pop(content.key, None)
        return self._cache.forget_contents(list(contents.values()))

    def _tracks(self, trashed_ids: Iterable[int]) -> list[Trashed]:
        return [track for track in map(self._state.trashed_track, trashed_ids) if track is not None]

    def _tell(self, kind: EventType, tracks: Iterable[Trashed], describe: Callable[[Trashed], FileNews | None]) -> None:
        """Tracks have come to the tree, or left it, without a file."""
        by_origin: dict[str, list[Trashed]] = {}
        for track in tracks:
            by_origin.setdefault(track.origin_id, []).append(track)
        for origin_id, of_origin in by_origin.items():
            self._events.publish_each(kind, origin_id, of_origin, describe)

    def _unused(self, track: Trashed) -> Content | None:
        """What is stored of a track, unless a file that is there is stored as the same."""
        content = self._content(track)
        record = self._catalog.origins().get(track.origin_id)
        if content is None or record is None:
            return content
        at = self._catalog.object_at(*track.anchor)
        alike = [at] if at is not None else []
        alike += self._catalog.objects_with_identity(track.identity) if track.identity else []
        for located in map(self._catalog.locate, alike):
            if located is not None and located[0] == record.number:
                source = Source(track.origin_id, os.fsdecode(located[1]), located[2].version.decode(), located[2].size)
                access = self._cache.access(track.origin_id)
                if access is not None and content_of(source, stable_version=access.stable_version) == content:
                    return None
        return content


def _known(track: Trashed) -> _Known:
    return _Known(track.id, track.virtual_path, track.deleted_ns, track.size, bool(track.restored_ns))


def _chooser(selection: TrashSelection) -> Callable[[Trashed], bool]:
    roots = [root for path in selection.paths for root in _roots(path)]
    pattern = _pattern(selection.pattern) if selection.pattern else None
    after_ns, before_ns = selection.deleted_after_ms * 1_000_000, selection.deleted_before_ms * 1_000_000

    def chosen(track: Trashed) -> bool:
        return (
            selection.origin_id in ("", track.origin_id)
            and track.deleted_ns >= after_ns
            and (not before_ns or track.deleted_ns < before_ns)
            and (not roots or any(_is_below(track.virtual_path, root) for root in roots))
            and (pattern is None or pattern.match(os.fsdecode(track.virtual_path)) is not None)
        )

    return chosen


def _pattern(glob: str) -> re.Pattern[str]:
    """A glob over whole paths: one that does not begin with a slash or a star may begin anywhere below the root."""
    anchored = glob if glob.startswith(("/", "*")) else f"*/{glob}"
    return re.compile(fnmatch.translate(anchored), re.IGNORECASE)


def _roots(path: str) -> list[bytes]:
    """What a path may mean as it was in the mount, also if it is given as it is in the trash."""
    return [found.removeprefix(b"/" + TRASH_NAME) or b"/" for found in map(normal, spellings(path))]


def _is_below(path: bytes, root: bytes) -> bool:
    return root in (b"/", path) or path.startswith(root + b"/")


def _batches(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[first : first + _AT_ONCE] for first in range(0, len(ids), _AT_ONCE))
