"""The scanning service: one thread that owns the catalog's writing side, and the queue of what it shall look at.

Requests for the same folder are one; a request for a folder below one that waits is covered by it. An origin that cannot
be listed is tried again; its names stay.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

import msgspec

from musicfs.clock import Clock
from musicfs.config.settings import OriginSettings
from musicfs.daemon.health import HealthMonitor, Verdict
from musicfs.daemon.scan_counts import ScanCounts
from musicfs.errors import DiskFullError, MusicFSError, OriginError, StoreError
from musicfs.events import EventBus, EventType
from musicfs.library.publish import Publisher
from musicfs.library.scan import Outcome, Progress, Scanner
from musicfs.origins.contract import Change, Origin, Watch, Watchable
from musicfs.store.environment import is_damage
from musicfs.store.records import OriginRecord
from musicfs.store.transaction import WriteTransaction

log = logging.getLogger(__name__)

_RETRY_S = 30.0
_UNREAD_RETRY_S = 600.0  # files that cannot be read though their origin answers: not soon, and not only at the interval
_ARMING_S = 0.5
_STORE_RETRY_S = 5.0
_KEPT_CHANGES = 64  # batches of the change log that may wait for being trimmed


class Request(msgspec.Struct, frozen=True):
    """A folder to look at."""

    origin_id: str
    folder: str = ""
    recursive: bool = True
    confirmed: bool = False


class Job:
    """A request on its way, which callers may wait for."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.done = threading.Event()
        self.outcome: Outcome | None = None
        self.error: MusicFSError | None = None


class OriginState:
    """What is known about a configured origin while the keeper lives."""

    def __init__(self, settings: OriginSettings, opener: Callable[[bytes], Origin], record: OriginRecord) -> None:
        """``opener`` opens the origin, anchored to what it is given; empty accepts whatever is found."""
        self.id = settings.id
        self.settings = settings
        self.opener = opener
        self.origin = opener(record.identity)
        self.number = record.number
        self.watch: Watch | None = None
        self.armed = True
        self.next_scan_at = 0.0
        self.next_poll_at = 0.0


class ScanService:
    """Runs scans one after the other. :meth:`run` is the thread; everything else may be called from any."""

    def __init__(
        self,
        states: Sequence[OriginState],
        scanner: Scanner,
        publisher: Publisher,
        monitor: HealthMonitor,
        rerank: Callable[[], object],
        events: EventBus,
        clock: Clock,
    ) -> None:
        """``rerank`` serves every track from its best source anew; it is run on the thread that writes."""
        self._states: Mapping[str, OriginState] = {state.settings.id: state for state in states}
        self._scanner = scanner
        self._publisher = publisher
        self._catalog = publisher.catalog
        self._monitor = monitor
        self._rerank = rerank
        self._events = events
        self.counts = ScanCounts()
        self._rerank_asked = threading.Event()
        self._rerank_failed = False
        self._clock = clock
        self._wake = threading.Condition()
        self._queue: dict[tuple[str, str], Job] = {}
        self._running: Job | None = None
        self._stopping = threading.Event()
        self._replayed = 0
        self._trimmed = 0
        self._swapped_at = 0  # the change at which the mount leaves the tree before the served one; 0: nothing to drop

    def drop_old_tree_later(self) -> None:
        """A tree was swapped: give the old one's space back once the mount has followed."""
        self._swapped_at = self._catalog.last_change()

    @property
    def progress(self) -> Progress | None:
        """The running scan's progress."""
        return self._scanner.progress

    @property
    def busy(self) -> bool:
        """True while a scan runs or waits."""
        return self.progress is not None or bool(self._queue)

    def request_rerank(self) -> None:
        """The health of an origin has changed: have tracks served from their best source, soon, also in mid-scan."""
        self._rerank_asked.set()
        with self._wake:
            self._wake.notify()

    def is_scanning(self, origin_id: str) -> bool:
        """True while the whole of this origin is being listed, or is about to be."""
        running = self._running
        return (origin_id, "") in self._queue or (
            running is not None and (running.request.origin_id, running.request.folder) == (origin_id, "")
        )

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    def request(self, request: Request) -> Job:
        """Queue a request, or join the one that covers it."""
        with self._wake:
            key = (request.origin_id, request.folder)
            found = self._queue.get(key)
            if found is None and not request.confirmed:
                found = self._covering(request)
            if found is not None and found.request.recursive >= request.recursive and not request.confirmed:
                return found
            job = found or Job(request)
            if found is not None:
                found.request = msgspec.structs.replace(
                    request,
                    recursive=request.recursive or found.request.recursive,
                    confirmed=request.confirmed or found.request.confirmed,
                )
            self._queue[key] = job
            self._wake.notify()
            return job

    def _covering(self, request: Request) -> Job | None:
        folder = request.folder
        while folder:
            folder = folder.rpartition("/")[0]
            job = self._queue.get((request.origin_id, folder))
            if job is not None and job.request.recursive:
                return job
        return None

    def note_replayed(self, sequence: int) -> None:
        """The mount has told the kernel about every change up to here."""
        with self._wake:
            self._replayed = max(self._replayed, sequence)
            self._wake.notify()

    def stop(self) -> None:
        """Let the running scan end at its next folder, and the thread with it."""
        self._stopping.set()
        with self._wake:
            self._wake.notify()

    def run(self) -> None:
        """Watch, scan at once, then wait for requests and intervals. Returns after :meth:`stop`."""
        try:
            for state in self._states.values():
                self._begin(state)
            while not self._stopping.is_set():
                self._tidy()
                self._rerank_if_asked()
                job = self._next()
                if job is not None:
                    self._serve(job)
        finally:
            for state in self._states.values():
                if state.watch is not None:
                    state.watch.close()

    def _begin_anew(self, state: OriginState) -> None:
        """Accept what the origin stands on now, whatever it stood on before."""
        if state.watch is not None:
            state.watch.close()
            state.watch = None
        state.origin.close()
        state.origin = state.opener(b"")
        self._begin(state)

    def _begin(self, state: OriginState) -> None:
        """Watch first, then list: nothing falls between."""
        if state.settings.watch and isinstance(state.origin, Watchable):
            state.watch = state.origin.watch(lambda change: self._on_change(state, change))
            state.armed = state.watch.wait_armed(_ARMING_S)
        state.next_scan_at = self._clock.monotonic()

    def _on_change(self, state: OriginState, change: Change) -> None:
        self.request(Request(state.settings.id, change.folder, change.recursive))

    def _next(self) -> Job | None:
        with self._wake:
            now = self._clock.monotonic()
            for state in self._states.values():
                self._schedule(state, now)
            if not self._queue:
                self._running = None
                if self._rerank_asked.is_set():
                    return None
                soonest = min((self._due(state) for state in self._states.values()), default=now + 60)
                self._wake.wait(min(max(soonest - now, 0.01), 60.0))
                return None
            key = next(iter(self._queue))
            self._running = self._queue.pop(key)
            return self._running

    def _due(self, state: OriginState) -> float:
        times = [state.next_scan_at]
        if self._unwatched(state):
            times.append(state.next_poll_at)
        if state.watch is not None and not state.armed:
            times.append(self._clock.monotonic() + _ARMING_S)
        return min(times)

    def _unwatched(self, state: OriginState) -> tuple[str, ...]:
        if state.watch is None:
            return ("",)
        return state.watch.unwatched

    def _schedule(self, state: OriginState, now: float) -> None:
        settings = state.settings
        if now >= state.next_scan_at:
            state.next_scan_at = now + (settings.scan_interval_s or float("inf"))
            self._queue.setdefault((settings.id, ""), Job(Request(settings.id)))
        if state.watch is not None and not state.armed and state.watch.wait_armed(0):
            state.armed = True  # what changed while the watch was being set up is found by one more listing
            self._queue.setdefault((settings.id, ""), Job(Request(settings.id)))
        if now >= state.next_poll_at:
            first = state.next_poll_at == 0.0
            state.next_poll_at = now + settings.poll_interval_s
            for folder in () if first else self._unwatched(state):
                self._queue.setdefault((settings.id, folder), Job(Request(settings.id, folder)))

    def _serve(self, job: Job) -> None:
        request = job.request
        state = self._states[request.origin_id]
        try:
            job.outcome = self._scan(state, request)
            self.counts.note(request.origin_id, job.outcome)
            self._monitor.note(request.origin_id, None)
            if self._rerank_failed:
                self._rerank_asked.set()  # the catalog can be written again
            if job.outcome.unread:
                state.next_scan_at = min(state.next_scan_at, self._clock.monotonic() + _UNREAD_RETRY_S)
        except OriginError as error:
            job.error = error
            self.counts.note_failure(request.origin_id)
            self._monitor.note(request.origin_id, error)
            state.next_scan_at = min(state.next_scan_at, self._clock.monotonic() + _RETRY_S)
        except StoreError as error:
            job.error = error
            self.counts.note_failure(request.origin_id)
            if is_damage(error):
                raise  # trying again cannot help
            log.error("the catalog cannot be written: %s", error)
            state.next_scan_at = min(state.next_scan_at, self._clock.monotonic() + _STORE_RETRY_S)
        finally:
            job.done.set()

    def _scan(self, state: OriginState, request: Request) -> Outcome:
        if request.confirmed:
            self._begin_anew(state)
        record = self._catalog.origins()[state.settings.id]
        self._events.publish(EventType.SYNC_STARTED, origin_id=request.origin_id, path=request.folder)
        outcome = self._scanner.scan(
            state.origin,
            record,
            request.folder,
            recursive=request.recursive,
            confirmed=request.confirmed,
            stopping=self._between_batches,
        )
        if request.folder and record.held and not outcome.held:
            self.request(Request(request.origin_id))  # what is held may have come back: only a whole listing can tell
        self._events.publish(
            EventType.SYNC_COMPLETED,
            origin_id=request.origin_id,
            path=request.folder,
            listed=outcome.listed,
            read=outcome.read,
            new=outcome.new,
            removed=outcome.removed,
            held=outcome.held,
        )
        log.info(
            "origin %s: %s: %d listed, %d read, %d new, %d removed, %d held, in %.2f s",
            request.origin_id, request.folder or "all", outcome.listed, outcome.read, outcome.new, outcome.removed,
            outcome.held, outcome.seconds,
        )  # fmt: skip
        return outcome

    def _between_batches(self) -> bool:
        """What a running scan asks now and then: whether to stop. What an origin's end means for tracks cannot wait."""
        self._rerank_if_asked()
        return self._stopping.is_set()

    def _rerank_if_asked(self) -> None:
        if not self._rerank_asked.is_set():
            return
        self._rerank_asked.clear()
        self._rerank_failed = False
        try:
            self._rerank()
        except DiskFullError as error:
            log.error("the catalog cannot be written: %s", error)
            self._rerank_failed = True

    def probe(self, origin_id: str) -> Verdict:
        """Check an origin now, on the calling thread. KeyError for an unknown id."""
        return self._monitor.probe(origin_id, self._states[origin_id].origin)

    def _tidy(self) -> None:
        if self._swapped_at and self._replayed >= self._swapped_at:
            self._swapped_at = 0
            self._catalog.drop_old_trees()
        self._trim()

    def _trim(self) -> None:
        if self._replayed - self._trimmed < _KEPT_CHANGES:
            return
        upto = self._replayed
        try:
            with WriteTransaction(self._catalog) as tx:
                tx.trim_changes(upto)
        except DiskFullError:
            return  # the log is longer than it need be: no harm
        self._trimmed = upto
