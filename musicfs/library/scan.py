"""A scan: list an origin, read what is new, publish folder by folder, and only then believe in deletions.

Folders are published in the order in which the origin lists them, and the discs of one album together, so that names and
numbers come out the same on every machine. What was published stays: a scan that is killed goes on where it was, because a
folder whose listing has not changed costs one comparison.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from musicfs.clock import Clock
from musicfs.errors import GoneError
from musicfs.library.classify import album_folder, is_audio_name
from musicfs.library.moves import Moves
from musicfs.library.plan import FolderPlan, digest, exceeds_guard, identity, plan_folder
from musicfs.library.pool import WorkerPool
from musicfs.library.publish import FinishedFolder, Learned, Publisher
from musicfs.library.reading import LocalReading, Reading, Revisions
from musicfs.library.remote import Keep, RemoteReading, drop
from musicfs.model import Entry
from musicfs.origins.contract import Anchored, Folder, LocalPaths, Origin
from musicfs.store.records import OriginRecord
from musicfs.store.transaction import WriteTransaction

log = logging.getLogger(__name__)

_BATCH_FILES = 1000
_BATCH_SECONDS = 0.4
_SLICE_FILES = 5000  # a folder larger than this appears in slices: memory is bounded
_REMOVE_FILES = 2000
_MAX_PENDING_FILES = 20_000  # listed and not yet published; the listing waits


class Progress(msgspec.Struct):
    """How far a scan is. ``expected`` is what the origin held last time, 0 on the first scan."""

    origin_id: str
    expected: int = 0
    listed: int = 0
    read: int = 0
    new: int = 0
    removed: int = 0
    current_path: str = ""
    phase: str = "scanning"


class Outcome(msgspec.Struct, frozen=True):
    """What a scan found. ``held`` files are missing, and their removal waits for a confirmation.

    ``unread`` files changed while they were read, or could not be read though the origin answers.
    """

    listed: int
    read: int
    new: int
    removed: int
    held: int
    seconds: float
    unread: int = 0


class _Pending:
    """A changed folder on its way from listing to publishing."""

    def __init__(self, path: bytes, folder_digest: bytes, files: list[Learned]) -> None:
        self.path = path
        self.digest = folder_digest
        self.files = files
        self.unread = 0  # files not yet answered
        self.group = album_folder(path)

    def finished(self) -> FinishedFolder:
        """What can be published: without files that changed while they were read."""
        kept = [one for one in self.files if one.result is None or not one.result.retry]
        return FinishedFolder(self.path, self.digest if len(kept) == len(self.files) else b"", kept)


class Scanner:
    """Scans origins one after the other, on the calling thread. ``progress`` is replaced in place while it runs."""

    def __init__(
        self,
        publisher: Publisher,
        pool: WorkerPool,
        clock: Clock,
        guard_percent: int,
        keep: Keep = drop,
        revisions: Revisions | None = None,
    ) -> None:
        """``keep`` is offered what is fetched of remote files; ``revisions`` know what changed ones share with the old."""
        self._publisher = publisher
        self._catalog = publisher.catalog
        self._pool = pool
        self._clock = clock
        self._guard_percent = guard_percent
        self._keep = keep
        self._revisions = revisions
        self.progress: Progress | None = None

    def scan(
        self,
        origin: Origin,
        record: OriginRecord,
        prefix: str = "",
        *,
        recursive: bool = True,
        confirmed: bool = False,
        stopping: Callable[[], bool] = lambda: False,
    ) -> Outcome:
        """List ``origin`` at and below ``prefix`` and bring the catalog in step. Blocks until done or ``stopping()``.

        Without ``recursive`` only the files of the folder ``prefix`` itself are compared. ``confirmed`` lets any number of
        deletions through. Raises OriginError when the listing does not come to its end, or when the origin cannot be reached
        for reading: nothing is then taken for deleted, what was learned stays, and is not read again next time.
        """
        run = _Run(self, origin, record, prefix, stopping, recursive=recursive)
        self.progress = run.progress
        try:
            return run.run(confirmed=confirmed)
        finally:
            self.progress = None

    def _reading_of(self, origin: Origin) -> Reading:
        if isinstance(origin, LocalPaths):
            return LocalReading(self._pool, origin)
        return RemoteReading(origin, self._keep, self._revisions)


class _Run:
    """One scan of one origin."""

    def __init__(
        self,
        scanner: Scanner,
        origin: Origin,
        record: OriginRecord,
        prefix: str,
        stopping: Callable[[], bool],
        *,
        recursive: bool,
    ) -> None:
        self._publisher = scanner._publisher
        self._catalog = scanner._catalog
        self._clock = scanner._clock
        self._guard_percent = scanner._guard_percent
        self._origin = origin
        self._record = record
        self._prefix = prefix
        self._recursive = recursive
        self._stopping = stopping
        self._queue: deque[_Pending] = deque()
        self._pending_files = 0
        self._last_publish = self._clock.monotonic()
        self._seen: set[int] = set()  # hashes of listed folders' paths
        self._uncertain: list[bytes] = []  # folders that did not show everything: no deletion at or below them
        self._gone: list[int] = []
        self._stopped = False
        self._unread = 0
        self._moves = Moves(self._catalog, origin, record.number)
        self._reading = scanner._reading_of(origin)
        self.progress = Progress(origin.id, expected=record.files if not prefix else 0)

    def run(self, *, confirmed: bool) -> Outcome:
        started = self._clock.monotonic()
        listed, held = False, 0
        try:
            listed = self._list() and self._drain()
            if listed:
                self._publish_ready(last=True)
                held = self._remove_vanished(confirmed=confirmed)
        finally:
            self._reading.end()
            self._publish_ready(last=True)
            self._finish(held, complete=listed and self._recursive and not self._prefix)
        if listed:
            self._publisher.end_scan()
        progress = self.progress
        return Outcome(
            progress.listed,
            progress.read,
            progress.new,
            progress.removed,
            held,
            self._clock.monotonic() - started,
            self._unread,
        )

    def _list(self) -> bool:
        """Take every folder of the listing; False if told to stop before its end."""
        try:
            for folder in self._origin.list(self._prefix):
                self._take(folder)
                if not self._recursive:
                    return True
                if self._stops():
                    return False
        except GoneError:
            if not self._prefix:
                raise
            self._recursive = True  # all that was below it is gone as well
        return True

    # Listing.

    def _take(self, folder: Folder) -> None:
        path = os.fsencode(folder.path)
        self._seen.add(hash(path))
        self.progress.listed += len(folder.files)
        self.progress.current_path = folder.path
        for name, reason in folder.skipped:
            log.info("origin %s: %r in %r is not served: %s", self._origin.id, name, folder.path, reason)
        if not folder.complete:
            self._uncertain.append(path)
        folder_digest = digest(folder)
        plan = self._compare(folder, path, folder_digest)
        if plan is not None:
            for unfit in plan.unfit:
                log.warning("origin %s: %r in %r is not served: its name is too long", self._origin.id, unfit, path)
            self._gone += (object_id for _, object_id in plan.gone)
            self._start(path, folder_digest if folder.complete and not plan.gone else b"", plan)
        self._publish_ready()
        reading = self._reading
        while (reading.saturated or self._pending_files > _MAX_PENDING_FILES) and not self._stops():
            reading.poll(0.2)
            self._publish_ready(last=self._pending_files > _MAX_PENDING_FILES and not reading.unanswered)

    def _compare(self, folder: Folder, path: bytes, folder_digest: bytes) -> FolderPlan | None:
        """What to do about the folder; None if nothing changed there."""
        catalog = self._catalog
        found = catalog.folder(self._record.number, path)
        if found is None:
            return plan_folder(folder, {}) if folder.files else None
        folder_id, known_digest = found
        if known_digest == folder_digest:
            return None
        return plan_folder(folder, catalog.files_of(folder_id))

    def _start(self, path: bytes, folder_digest: bytes, plan: FolderPlan) -> None:
        files = [self._learn(name, entry, object_id) for name, entry, object_id in plan.read]
        for first in range(0, max(len(files), 1), _SLICE_FILES):
            part = files[first : first + _SLICE_FILES]
            last = first + _SLICE_FILES >= len(files)
            pending = _Pending(path, folder_digest if last else b"", part)
            self._queue.append(pending)
            self._pending_files += len(part)
            self._read(pending)

    def _learn(self, name: bytes, entry: Entry, object_id: int) -> Learned:
        stable_version = self._origin.caps.stable_version
        learned = Learned(name, entry, object_id, identity=identity(entry, stable_version=stable_version))
        if not object_id:
            self._moves.look(learned)
        self.progress.new += not learned.object_id
        return learned

    def _read(self, pending: _Pending) -> None:
        audio = [one for one in pending.files if not one.moved and is_audio_name(one.name)]

        def on_read(learned: Learned) -> None:
            self._moves.settle(learned)
            self.progress.read += not learned.moved
            self.progress.new -= learned.moved
            pending.unread -= 1

        pending.unread = len(audio)
        self._reading.submit(audio, on_read)

    def _drain(self) -> bool:
        """Read what is listed; False if told to stop before its end."""
        while self._reading.unanswered:
            if self._stops():
                return False
            self._reading.poll(0.2)
            self._publish_ready()
        return True

    def _stops(self) -> bool:
        self._stopped = self._stopped or self._stopping()
        return self._stopped

    # Publishing.

    def _publish_ready(self, *, last: bool = False) -> None:
        """Publish finished folders from the front of the queue; with ``last`` all that are, without waiting for more."""
        while True:
            count, files = self._ready(last=last)
            due = self._clock.monotonic() - self._last_publish >= _BATCH_SECONDS
            if not count or not (last or due or files >= _BATCH_FILES):
                return
            batch = [self._queue.popleft() for _ in range(count)]
            self._pending_files -= files
            finished = [pending.finished() for pending in batch]
            self._unread += files - sum(len(folder.files) for folder in finished)
            counts = self._publisher.publish(self._record.number, finished)
            self._add(counts.files, counts.size_bytes)
            self._last_publish = self._clock.monotonic()

    def _ready(self, *, last: bool) -> tuple[int, int]:
        """(folders, files) at the front of the queue that are finished and do not part the discs of an album."""
        best = (0, 0)
        files = 0
        for position, pending in enumerate(self._queue):
            if pending.unread:
                return best
            files += len(pending.files)
            following = self._queue[position + 1] if position + 1 < len(self._queue) else None
            # Slices of one huge folder may part, the discs of an album may not.
            if last if following is None else following.group != pending.group or following.path == pending.path:
                best = (position + 1, files)
            if best[1] >= _BATCH_FILES:
                return best
        return best

    def _add(self, files: int, size_bytes: int) -> None:
        record = self._record
        self._record = msgspec.structs.replace(
            record, files=record.files + files, size_bytes=record.size_bytes + size_bytes
        )

    # Deletions.

    def _remove_vanished(self, *, confirmed: bool) -> int:
        """Remove what a complete listing no longer shows; returns how many files were held back instead."""
        gone = [object_id for object_id in self._gone if object_id not in self._moves.found]
        folders, below = self._vanished_folders()
        vanished = len(gone) + below
        if not confirmed and exceeds_guard(vanished, self._record.files, self._guard_percent):
            log.warning(
                "origin %s: %d of %d files vanished at once; they stay until 'musicfs origin confirm %s'",
                self._origin.id, vanished, self._record.files, self._origin.id,
            )  # fmt: skip
            return vanished
        self.progress.phase = "removing"
        objects, emptied = gone, list[int]()
        for folder in folders:
            objects += (object_id for object_id, _ in self._catalog.files_of(folder).values())
            emptied.append(folder)
            if len(objects) + len(emptied) >= _REMOVE_FILES:
                self._remove(objects, emptied)
                objects, emptied = [], []
        self._remove(objects, emptied)
        return 0

    def _vanished_folders(self) -> tuple[list[int], int]:
        """(ids of the folders that were not listed, files in them): counted first, for there may be millions."""
        if not self._recursive:
            return [], 0
        folders, files = [], 0
        for folder_id, path, count in self._catalog.count_files_under(self._record.number, os.fsencode(self._prefix)):
            if hash(path) not in self._seen and not self._is_uncertain(path):
                folders.append(folder_id)
                files += count
        return folders, files

    def _remove(self, objects: Sequence[int], folders: Sequence[int]) -> None:
        for first in range(0, max(len(objects), min(len(folders), 1)), _REMOVE_FILES):
            last = first + _REMOVE_FILES >= len(objects)
            counts = self._publisher.remove(objects[first : first + _REMOVE_FILES], folders if last else ())
            self._add(counts.files, counts.size_bytes)
            self.progress.removed -= counts.files

    def _is_uncertain(self, path: bytes) -> bool:
        return any(not root or path == root or path.startswith(root + b"/") for root in self._uncertain)

    def _finish(self, held: int, *, complete: bool) -> None:
        """Write the origin's totals; after a complete listing also when it was, and what it stands on."""
        record = self._record
        if complete:
            anchor = self._origin.anchor() if isinstance(self._origin, Anchored) and not held else record.identity
            record = msgspec.structs.replace(record, last_listing_ns=self._clock.time_ns(), held=held, identity=anchor)
        elif held:
            record = msgspec.structs.replace(record, held=held)
        with WriteTransaction(self._catalog) as tx:
            tx.put_origin(self._origin.id, record)
