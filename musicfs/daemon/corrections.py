"""The keeper's side of corrected tags: the parts and how they hang together, and what is done in the background.

Thread ``corrections``: catches up with the user's state at the start, renders what scans have attached, tries again what an
origin that was away has kept from being rendered, and forgets old names, and what an import needed to know, when
their time is over.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from musicfs.clock import Clock
from musicfs.content.readers import Reader
from musicfs.daemon.library_files import LibraryFiles
from musicfs.daemon.metadata import MetadataControl
from musicfs.daemon.reading import Reading
from musicfs.daemon.tracks import Tracks
from musicfs.errors import ChangedError, DiskFullError, StoreError
from musicfs.events import EventBus
from musicfs.library.attaching import Attachments
from musicfs.library.correcting import Corrector
from musicfs.library.publish import Pictures, Tree
from musicfs.library.rendering import Renderer
from musicfs.library.trash import Shelf, Trash
from musicfs.library.trash_edits import TrashEdits
from musicfs.store.catalog import Catalog
from musicfs.store.environment import is_damage
from musicfs.store.state import State
from musicfs.store.transaction import WriteTransaction

log = logging.getLogger(__name__)

_IDLE_S = 60.0
_END_S = 5.0
_RETRY_FIRST_S, _RETRY_MAX_S = 1.0, 60.0


class _Original:
    """An open file of an origin as the parsers read it."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.size = reader.size

    def read(self, start: int, stop: int) -> bytes:
        """Exactly the bytes ``[start, stop)``."""
        return bytes(self._reader.read(start, stop))

    def close(self) -> None:
        """Release it."""
        self._reader.close()


class KeeperOriginals:
    """Opens files as their origins have them, through the content store."""

    def __init__(self, files: LibraryFiles, reading: Callable[[], Reading]) -> None:
        self._files = files
        self._reading = reading

    def open(self, object_id: int) -> _Original:
        """The file of an object. Raises OriginError, StoreError."""
        file = self._files.of_object(object_id)
        if file is None:
            raise ChangedError("the file is no longer in the library")
        others = tuple(other.source for other in file.others)
        return _Original(self._reading().sources.open(file.source, 0, file.source.size, others))


class Corrections:
    """Built once a keeper."""

    def __init__(
        self,
        catalog: Catalog,
        state: State,
        files: LibraryFiles,
        reading: Callable[[], Reading],
        tree: Tree,
        priorities: Callable[[], Mapping[int, int]],
        on_commit: Callable[[], object],
        pictures: Pictures,
        events: EventBus,
        clock: Clock,
        roots: Mapping[str, str],
        keep_names_s: float,
        on_failure: Callable[[Exception], object],
    ) -> None:
        """``roots`` are the folders of this machine that origins stand for, by their ids. ``on_failure`` is told what has
        ended the work in the background, which nothing should.
        """
        self._catalog = catalog
        self._on_failure = on_failure
        self._clock = clock
        self._on_commit = on_commit
        self._retry_s = _RETRY_FIRST_S
        renderer = Renderer(KeeperOriginals(files, reading), state)
        tracks = Tracks(catalog, state, files, roots, clock)
        corrector = Corrector(
            catalog, state, tree, renderer, clock, priorities, self._committed, pictures,
            on_edited=tracks.index.follow, keep_names_s=keep_names_s,
        )  # fmt: skip
        self._state, self._renderer, self._tree = state, renderer, tree
        self._priorities, self._pictures = priorities, pictures
        self._tracks = tracks
        self._corrector = corrector
        self.attachments = Attachments(catalog, state, corrector, renderer)
        self.control = MetadataControl(catalog, state, tracks, corrector, events, clock)
        self._lock = threading.Lock()
        self._back: set[str] = set()
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="corrections", daemon=True)

    def _committed(self) -> None:
        self._on_commit()
        if self._corrector.has_pending and threading.current_thread() is not self._thread:
            self._retry_s = _RETRY_FIRST_S
            self._wake.set()

    def trash_edits(self, trash: Trash, shelf: Shelf) -> TrashEdits:
        """What users do with the trash: changes of the tree beside scans, as corrections are."""
        return TrashEdits(
            self._catalog, self._state, trash, shelf, self._renderer, self._tree, self._clock, self._priorities,
            self._on_commit, self._pictures, self._corrector.editing,
        )  # fmt: skip

    def start(self) -> None:
        """Begin the work in the background."""
        self._thread.start()

    def wake(self) -> None:
        """A scan has written something. Does not block."""
        if self.attachments.waiting:
            self._wake.set()

    def note_health(self, origin_ids: Iterable[str]) -> None:
        """These origins answer, and may have files that could not be read before. Does not block."""
        with self._lock:
            self._back.update(origin_ids)
        self._wake.set()

    def close(self) -> None:
        """End the work in the background; blocks some seconds at most."""
        self._ended.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_END_S)

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:  # whatever it is, somebody must know
            self._on_failure(error)

    def _work(self) -> None:
        self._guarded(self.attachments.recall)
        retry_at = self._clock.monotonic() + self._retry_s
        while not self._ended.is_set():
            self._wake.clear()
            with self._lock:
                back, self._back = frozenset(self._back), set()
            self._guarded(self._corrector.catch_up)
            self._guarded(self.attachments.settle)
            if back:
                self._guarded(partial(self.attachments.render_pending, back))
            if self._corrector.has_pending and self._clock.monotonic() >= retry_at:
                self._guarded(self.attachments.retry_pending)
                self._retry_s = min(2 * self._retry_s, _RETRY_MAX_S)
                retry_at = self._clock.monotonic() + self._retry_s
            wait_s = self._drop_old_names()
            self._tracks.index.forget_unused()
            if self._corrector.has_pending:
                retry_at = min(retry_at, self._clock.monotonic() + self._retry_s)
                wait_s = min(wait_s, max(retry_at - self._clock.monotonic(), 0.0))
            if not self.attachments.waiting and not self._ended.is_set():
                self._clock.wait(self._wake, wait_s)

    def _guarded(self, work: Callable[[], object]) -> None:
        """What fails is done when the next occasion comes: it stays noted in the catalog."""
        try:
            work()
        except DiskFullError as error:
            log.warning("corrected tags wait for room: %s", error)
        except StoreError as error:
            if is_damage(error):
                raise
            log.error("corrected tags could not be written: %s", error)

    def _drop_old_names(self) -> float:
        """Forget names whose time is over, and leave the disk alone otherwise; how long to wait for the next."""
        now_ns = self._clock.time_ns()
        soonest = self._catalog.soonest_former()
        if soonest is not None and soonest <= now_ns:
            with contextlib.suppress(DiskFullError), self._catalog.writing, WriteTransaction(self._catalog) as tx:
                soonest = tx.drop_former(now_ns)
        return _IDLE_S if soonest is None else max(min((soonest - now_ns) / 1e9, _IDLE_S), 1.0)
