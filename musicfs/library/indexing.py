"""Keeping the search index in step with the catalog.

The catalog's log of touched objects is followed, and what the index has is trimmed from it. Each commit of the index carries
the number up to which it has followed, so a crash between the two commits costs nothing but some work done twice. An index
that cannot follow (it is new, damaged, another catalog's, or its place in the log is gone) is built anew from the facts.

Whatever happens to the index, scanning goes on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from typing import NamedTuple, Protocol

import msgspec

from musicfs.clock import Clock
from musicfs.errors import DiskFullError, MusicFSError
from musicfs.index.documents import Document
from musicfs.library.searchable import Searchable, SearchableTracks
from musicfs.library.track_query import PlaysOf, never_played
from musicfs.store.catalog import Catalog
from musicfs.store.environment import is_damage
from musicfs.store.transaction import WriteTransaction

log = logging.getLogger(__name__)

_COLLECT_S = 0.25  # from a change until it is looked at: more of it may follow
_INTERVAL_S = 1.0  # from one commit to the next, each of which makes a segment that has to be merged
_COMMIT_TRACKS = 20_000  # what is written is bounded, however far behind the index is
_ENTRIES = 256  # of the log, read at once
_REST_AFTER_S = 10.0
_IDLE_S = 60.0
_KEPT_ENTRIES = 64  # that may wait for being trimmed
_PAUSE_S = 30.0  # after a full disk
_RETRY_FIRST_S, _RETRY_MAX_S = 1.0, 300.0  # after a failure
_TRUSTED_S = 60.0  # an index that was just built is not built anew at once
_BATCH = 256  # tracks, between looks at whether to stop


class Writer(Protocol):
    """What :class:`musicfs.index.writer.IndexWriter` does. One thread uses it; all raise StoreError, DiskFullError."""

    @property
    def sequence(self) -> int:
        """What the last commit carried; -1 for an index that was begun anew."""
        ...

    @property
    def is_complete(self) -> bool:
        """Whether it was once filled to the end."""
        ...

    def add(self, object_id: int, document: Document) -> None:
        """Add a track that is not there."""
        ...

    def put(self, object_id: int, document: Document) -> None:
        """Add a track, or replace it."""
        ...

    def remove(self, object_id: int) -> None:
        """Take a track out, if it is there."""
        ...

    def commit(self, sequence: int, *, complete: bool = True) -> None:
        """Let readers see it, for good."""
        ...

    def rest(self) -> None:
        """Give memory back until the next change."""
        ...

    def close(self) -> None:
        """Drop what is not committed, and let others write."""
        ...


class Progress(msgspec.Struct, frozen=True):
    """How far a look at all tracks is."""

    done: int
    total: int


class _Step(NamedTuple):
    """A part of the log. ``is_much``: no more fits into a commit, so there may be more."""

    sequence: int
    touched: Collection[int]
    is_everything: bool
    is_much: bool


class _IndexFailedError(Exception):
    """The index, and not the catalog, is at fault."""


class Indexer:
    """Runs on its own thread from :meth:`start` to :meth:`close`; everything else may be called from any."""

    def __init__(
        self,
        catalog: Catalog,
        open_writer: Callable[[], Writer],
        discard: Callable[[], object],
        clock: Clock,
        *,
        plays_of: PlaysOf = never_played,
        on_indexed: Callable[[Collection[int] | None], object] = lambda _: None,
        on_failure: Callable[[Exception], object] = lambda _: None,
    ) -> None:
        """To be made before anything is written to the catalog.

        ``open_writer`` opens the index or begins it anew, ``discard`` deletes it. ``on_indexed`` is told after each commit
        what may be found otherwise since, None for everything, on the thread; ``on_failure`` that the catalog is damaged,
        which ends the thread.
        """
        self._catalog = catalog
        self._open_writer = open_writer
        self._discard = discard
        self._clock = clock
        self._tracks = SearchableTracks(catalog, plays_of)
        self._on_indexed = on_indexed
        self._on_failure = on_failure
        # A power cut may cost the catalog a write that the index has; its number is then given to another one.
        self._last_known = catalog.last_touched
        self._trimmed = 0
        self._progress: Progress | None = None
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._anew = threading.Event()
        self._built_at = self._followed_at = self._failed_at = float("-inf")
        self._trouble = ""  # until it is in step
        self._sequence = 0  # of the last commit
        self._retry_s = 0.0
        self._thread = threading.Thread(target=self._run, name="index", daemon=True)

    @property
    def progress(self) -> Progress | None:
        """How far the look at all tracks is; None while there is none."""
        return self._progress

    @property
    def trouble(self) -> str:
        """Why the index is not in step, as words after "the search index"; empty if nothing is wrong."""
        return self._trouble

    @property
    def behind(self) -> int:
        """How many writes to the library are not in the index yet."""
        return max(0, self._catalog.last_touched - self._sequence)

    def start(self) -> None:
        """Begin: catch up, then follow."""
        self._thread.start()

    def wake(self) -> None:
        """Something was committed to the catalog. Does not block."""
        self._wake.set()

    def begin_anew(self, reason: str) -> None:
        """Somebody found the index damaged: delete it and build it anew, unless that was just done. Does not block."""
        just_built = self._clock.monotonic() < self._built_at + _TRUSTED_S
        if just_built or self._progress is not None or self._anew.is_set():
            return
        log.warning("the search index is damaged, and is built anew: %s", reason)
        self._anew.set()
        self._wake.set()

    def close(self, timeout_s: float = 5.0) -> bool:
        """End the thread; False if it is still at it after ``timeout_s``: the catalog must then stay open."""
        self._ended.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._serve()
            except DiskFullError as error:
                self._say("waits for room", error)
                self._clock.wait(self._ended, _PAUSE_S)
            except _IndexFailedError as error:
                self._say("failed, and is built anew", error)
                self._anew.set()
                self._pause()
            except Exception as error:  # the index is not needed to scan: only a damaged catalog is worth an alarm
                if is_damage(error):
                    self._on_failure(error)
                    return
                self._say("cannot follow the catalog", error)
                self._pause()
            finally:
                self._progress = None

    def _say(self, what: str, error: Exception) -> None:
        """Once in a row of failures."""
        if not self._trouble:
            remedy = f"; {error.remedy}" if isinstance(error, MusicFSError) and error.remedy else ""
            log.warning("the search index %s: %s%s", what, error, remedy)
        log.debug("the search index failed here", exc_info=error)
        self._trouble = f"{what}: {error}"

    def _pause(self) -> None:
        """Not at all the first time; ever longer while it fails again and again, also after a commit or two."""
        if self._clock.monotonic() > self._failed_at + 2 * _RETRY_MAX_S:
            self._retry_s = 0.0
        self._clock.wait(self._ended, self._retry_s)
        self._retry_s = min(max(2 * self._retry_s, _RETRY_FIRST_S), _RETRY_MAX_S)
        self._failed_at = self._clock.monotonic()

    def _serve(self) -> None:
        """Open the index and follow the catalog until the end, or until it is to be begun anew."""
        if self._anew.is_set():
            with _blaming_index():
                self._discard()
            self._anew.clear()
        with self._opened() as writer:
            if not self._continues(writer):
                log.info("the search index is not of this catalog as it is: it is built anew")
                self._anew.set()
                return
            self._sequence = max(writer.sequence, 0)
            if writer.sequence < 0:
                self._build(writer)
            while not self._stopping:
                self._wake.clear()
                self._follow(writer)
                if not self._stopping:
                    self._trouble = ""
                self._await_changes(writer)

    @contextmanager
    def _opened(self) -> Iterator[Writer]:
        with _blaming_index():
            writer = self._open_writer()
        try:
            yield writer
        finally:
            with _blaming_index():
                writer.close()

    @property
    def _stopping(self) -> bool:
        return self._ended.is_set() or self._anew.is_set()

    def _continues(self, writer: Writer) -> bool:
        """Whether the index is new, or the log goes on where it is."""
        if writer.sequence < 0:
            return True
        return writer.is_complete and self._catalog.first_touched - 1 <= writer.sequence <= self._last_known

    def _build(self, writer: Writer) -> None:
        """Fill a new index. What is touched meanwhile is followed afterwards."""
        sequence = self._catalog.last_touched
        total = self._catalog.totals().tracks
        if total:
            log.info("building the search index of %d tracks", total)
        if self._write(writer, self._counted(self._tracks.all(), total), is_new=True) is not None:
            self._commit(writer, sequence, None)
            self._built_at = self._clock.monotonic()
            with _blaming_index():
                writer.rest()

    def _follow(self, writer: Writer) -> None:
        """Write what was touched since the last commit; several commits if that is much."""
        self._followed_at = self._clock.monotonic()
        is_behind = True
        while is_behind and not self._stopping:
            step = self._next(writer.sequence)
            if step.sequence == writer.sequence:
                return
            found = self._tracks.after_touching(step.touched)
            if step.is_everything:
                found = self._counted(chain(found, self._tracks.all()), self._catalog.totals().tracks)
            changed = self._write(writer, found)
            if changed is None:
                return
            self._commit(writer, step.sequence, None if step.is_everything else changed)
            is_behind = step.is_much

    def _next(self, after: int) -> _Step:
        """What to write with the next commit."""
        touched: set[int] = set()
        is_everything = False
        upto = after
        for sequence, ids in self._catalog.touched_after(after, _ENTRIES):
            upto = sequence
            is_everything |= ids is None
            touched.update(ids or ())
            if len(touched) >= _COMMIT_TRACKS:
                break
        is_much = len(touched) >= _COMMIT_TRACKS or upto - after >= _ENTRIES
        return _Step(upto, touched, is_everything, is_much)

    def _write(self, writer: Writer, found: Iterable[Searchable], *, is_new: bool = False) -> Collection[int] | None:
        """Write tracks; returns the ids whose documents may be others now, None if it was interrupted.

        Of a new index nothing has to be removed, and nobody asks what has changed in it. In another one what is replaced
        takes memory until the next commit, and there is nothing wrong with one that is too early.
        """
        changed: list[int] = []
        written = 0
        found = iter(found)
        put = writer.add if is_new else writer.put
        while batch := list(islice(found, _BATCH)):
            with _blaming_index():
                for one in batch:
                    if one.document is not None:
                        put(one.object_id, one.document)
                    elif not is_new:
                        writer.remove(one.object_id)
            if self._stopping:
                return None
            if not is_new:
                changed += (one.object_id for one in batch)
                written += len(batch)
                if written >= _COMMIT_TRACKS:
                    written = 0
                    with _blaming_index():
                        writer.commit(writer.sequence)
        return changed

    def _counted(self, found: Iterable[Searchable], total: int) -> Iterator[Searchable]:
        """Show how far it is."""
        for number, one in enumerate(found):
            if not number % _BATCH:
                self._progress = Progress(min(number, total), total)
            yield one

    def _commit(self, writer: Writer, sequence: int, changed: Collection[int] | None) -> None:
        with _blaming_index():
            writer.commit(sequence)
        self._progress = None
        self._sequence = sequence
        self._last_known = max(self._last_known, sequence)
        if sequence - self._trimmed >= _KEPT_ENTRIES:
            self._trim(sequence)
        try:
            self._on_indexed(changed)
        except Exception:  # whatever fails there, the index has not
            log.exception("what follows the search index failed")

    def _trim(self, sequence: int) -> None:
        """Forget what the index has; a full disk keeps the log longer than it need be, which is no harm."""
        if sequence <= self._trimmed:
            return
        with suppress(DiskFullError), self._catalog.writing, WriteTransaction(self._catalog) as tx:
            tx.trim_touched(sequence)
        self._trimmed = sequence

    def _await_changes(self, writer: Writer) -> None:
        """Wait until there is something to look at and commits are not too many; at rest give memory back."""
        if not self._clock.wait(self._wake, _REST_AFTER_S):
            with _blaming_index():
                writer.rest()
            self._trim(writer.sequence)
            while not self._clock.wait(self._wake, _IDLE_S):
                pass
        if not self._stopping:
            now = self._clock.monotonic()
            self._clock.wait(self._ended, max(_COLLECT_S, self._followed_at + _INTERVAL_S - now))


@contextmanager
def _blaming_index() -> Iterator[None]:
    """Tell what the index raises from what the catalog does."""
    try:
        yield
    except DiskFullError:
        raise
    except BaseException as error:  # foreign code: a panic of it is no Exception, and must end nothing here
        raise _IndexFailedError(str(error) or type(error).__name__) from error
