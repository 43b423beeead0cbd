"""Learning what the files of a remote origin say: many at once, each from a few ranges of it.

A bounded number of threads fetches and parses; what a file needs further goes before files that are not begun, so that few
are in memory at a time. One file that cannot be read costs that file. An origin that cannot be reached ends the reading:
whether it is the one or the other is decided by asking the origin itself (:meth:`~musicfs.origins.contract.Origin.check`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from musicfs import formats
from musicfs.errors import ChangedError, DeniedError, FormatError, GoneError, OriginError
from musicfs.formats import HeadTail, NeedRange
from musicfs.library.protocol import ReadResult, printable
from musicfs.library.publish import Learned
from musicfs.library.ranges import (
    REQUESTS_MAX,
    Range,
    plan_first,
    plan_first_changed,
    plan_more,
    plan_more_changed,
)
from musicfs.library.reading import NoRevisions, OnRead, Revision, Revisions
from musicfs.model import Entry, Facts
from musicfs.origins.contract import Origin
from musicfs.store.records import pack_facts

log = logging.getLogger(__name__)

# (origin id, file, start, bytes) of what was fetched. Called from several threads; must return soon and not raise.
Keep = Callable[[str, Entry, int, bytes], None]

_THREADS_MAX = 32
_FILES_A_THREAD = 4  # submitted files that keep a thread busy while the next folder is listed
_FAILURES_MAX = 50  # files in a row that cannot be read though the origin answers: something is wrong with all of them
_CHANGED_REQUESTS_MAX = 12  # for the tags of a file that is read frugally
_END_S = 0.5


def drop(origin_id: str, entry: Entry, start: int, data: bytes) -> None:
    """A :data:`Keep` that keeps nothing."""


class _File:
    """A file on its way."""

    __slots__ = (
        "facts", "fetched_bytes", "last_stop", "learned", "missing", "on_read", "requests", "result", "revision",
        "source",
    )  # fmt: skip

    def __init__(self, learned: Learned, on_read: OnRead) -> None:
        self.learned = learned
        self.on_read = on_read
        self.source = HeadTail(learned.entry.size)
        self.requests = 0
        self.fetched_bytes = 0
        self.last_stop = 0  # where the range ended that was asked for last
        self.missing = 0  # ranges that were asked for and are not here yet
        self.result: ReadResult | None = None
        self.revision: Revision | None = None  # of an older version that is stored
        self.facts = b""  # what its tags say, while it is compared with that version


class RemoteReading:
    """Reads files of one origin for one scan; :meth:`end` ends its threads."""

    def __init__(self, origin: Origin, keep: Keep = drop, revisions: Revisions | None = None) -> None:
        self._origin = origin
        self._keep = keep
        self._revisions = revisions or NoRevisions()
        self._threads_max = max(1, min(origin.caps.parallel, _THREADS_MAX))
        self._lock = threading.Lock()
        self._to_do = threading.Condition(self._lock)
        self._done = threading.Condition(self._lock)
        self._tasks: deque[tuple[_File, Callable[[], None]]] = deque()
        self._open: dict[int, _File] = {}  # unanswered
        self._answered: deque[_File] = deque()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._ended = False
        self._failure: Exception | None = None
        self._failures = 0  # in a row
        self._checking = threading.Lock()
        self._alive_at = 0.0  # when the last check began that went well

    @property
    def unanswered(self) -> int:
        return len(self._open)

    @property
    def saturated(self) -> bool:
        return len(self._open) >= self._threads_max * _FILES_A_THREAD

    def submit(self, files: Sequence[Learned], on_read: OnRead) -> None:
        for learned in files:
            file = _File(learned, on_read)
            with self._lock:
                self._open[id(file)] = file
                self._add(file, partial(self._begin, file))

    def poll(self, timeout_s: float) -> None:
        with self._lock:
            self._done.wait_for(lambda: self._answered or self._failure is not None, timeout_s)
        self._deliver()
        if self._failure is not None:
            raise self._failure

    def end(self) -> None:
        """Give what is under way a moment, then answer the rest as to be read another time. Does not raise."""
        with self._lock:
            # After a failure nothing new is begun; what has been may well come to its end.
            self._done.wait_for(lambda: len(self._answered) == len(self._open) or self._is_still(), _END_S)
            self._ended = True
            self._tasks.clear()
            self._to_do.notify_all()
            for file in self._open.values():
                if file.result is None:
                    file.result = ReadResult(reason="the scan ended before it was read", retry=True)
                    self._answered.append(file)
        self._deliver()
        deadline = time.monotonic() + _END_S / 2
        for thread in self._threads:  # one that still waits for its origin ends when that does
            thread.join(max(0.0, deadline - time.monotonic()))

    def _is_still(self) -> bool:
        return not self._tasks and self._idle == len(self._threads)

    def _deliver(self) -> None:
        while self._answered:
            file = self._answered.popleft()
            del self._open[id(file)]
            file.learned.result = file.result
            file.on_read(file.learned)

    def _add(self, file: _File, task: Callable[[], None], *, first: bool = False) -> None:
        """Queue a task, with the lock held."""
        if self._ended or self._failure is not None:
            return
        if first:
            self._tasks.appendleft((file, task))
        else:
            self._tasks.append((file, task))
        if len(self._tasks) > self._idle and len(self._threads) < self._threads_max:
            name = f"read-{self._origin.id}-{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        else:
            self._to_do.notify()

    # From here on, on the threads.

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
                self._done.notify_all()
                while not self._tasks and not self._ended:
                    self._to_do.wait()
                self._idle -= 1
                if self._ended:
                    return
                file, task = self._tasks.popleft()
            try:
                task()
            except OriginError as error:
                self._failed(file, error)
            except Exception as error:  # else the scan would wait for this thread's answer without end
                self._fail(error)
            file = task = None  # type: ignore[assignment] # an idle thread must not hold a file's bytes

    def _begin(self, file: _File) -> None:
        learned = file.learned
        if learned.moved_from is not None:
            _, old_path = learned.moved_from
            if self._origin.stat(old_path) is None:
                self._answer(file, ReadResult(moved=True))
                return
        ranges = self._plan_first(file)
        if not ranges:
            self._parse(file)
            return
        self._fetch_all(file, ranges)

    def _plan_first(self, file: _File) -> list[Range]:
        learned, entry = file.learned, file.learned.entry
        if learned.object_id:
            file.revision = self._revisions.begin(self._origin.id, learned.object_id, entry)
        if file.revision is None:
            return plan_first(entry.path, entry.size)
        head_bytes = file.revision.head_bytes
        file.source = HeadTail(entry.size, head_bytes=head_bytes)
        file.last_stop = head_bytes
        return plan_first_changed(entry.path, entry.size, head_bytes)

    def _fetch_all(self, file: _File, ranges: Sequence[Range]) -> None:
        """Fetch the first, and have other threads fetch the others meanwhile."""
        file.missing = len(ranges)
        with self._lock:
            for wanted in reversed(ranges[1:]):
                self._add(file, partial(self._fetch, file, wanted), first=True)
        self._fetch(file, ranges[0])

    def _fetch(self, file: _File, wanted: Range) -> None:
        entry = file.learned.entry
        start, stop = wanted
        file.requests += 1
        data = self._origin.read(entry.path, start, stop, entry.version)
        self._keep(self._origin.id, entry, start, data)
        with self._lock:
            self._failures = 0
            file.source.add(start, data)
            file.fetched_bytes += len(data)
            file.missing -= 1
            complete = not file.missing and file.result is None
        if complete and file.facts:
            self._adopt(file)
        elif complete:
            self._parse(file)

    def _parse(self, file: _File) -> None:
        name = file.learned.entry.path.rpartition("/")[2]
        try:
            facts = formats.read(file.source, name)
        except NeedRange as need:
            self._fetch_more(file, need)
        except FormatError as error:
            if file.revision is not None:
                self._begin_anew(file)
            else:
                self._answer(file, ReadResult(reason=printable(error)))
        except Exception as error:  # a mistake in a parser costs the file that shows it, as it does in a worker
            log.warning("reading the tags of %r failed: %r; the file is served unread", file.learned.entry.path, error)
            self._answer(file, ReadResult(reason=f"the tag reader failed: {error!r}"))
        else:
            self._compare(file, facts)

    def _compare(self, file: _File, facts: Facts) -> None:
        """Answer, but first have what is known of the old version adopted: the new one is served from then on."""
        file.facts = pack_facts(facts)
        ranges = file.revision.plan(file.source, facts) if file.revision is not None else ()
        if ranges:
            self._fetch_all(file, ranges)
        else:
            self._adopt(file)

    def _adopt(self, file: _File) -> None:
        if file.revision is not None:
            file.revision.adopt(file.source)
        self._answer(file, ReadResult(facts=file.facts))

    def _begin_anew(self, file: _File) -> None:
        """What is not understood from little is read as if it were new: frugality must not cost a file its tags."""
        entry = file.learned.entry
        file.revision, file.source = None, HeadTail(entry.size)
        file.requests = file.fetched_bytes = file.last_stop = 0
        self._fetch_all(file, plan_first(entry.path, entry.size))

    def _fetch_more(self, file: _File, need: NeedRange) -> None:
        if file.revision is not None and file.requests >= _CHANGED_REQUESTS_MAX:
            self._begin_anew(file)
            return
        if file.requests >= REQUESTS_MAX:
            self._answer(file, ReadResult(reason="its tags lie in too many places"))
            return
        file.missing = 1
        plan = plan_more if file.revision is None else plan_more_changed
        wanted = plan(need, file.fetched_bytes, file.last_stop)
        file.last_stop = wanted[1]
        with self._lock:
            self._add(file, partial(self._fetch, file, wanted), first=True)

    def _answer(self, file: _File, result: ReadResult) -> None:
        with self._lock:
            if file.result is None:
                file.result = result
                self._answered.append(file)
                self._done.notify_all()

    def _failed(self, file: _File, error: OriginError) -> None:
        if isinstance(error, GoneError | ChangedError):
            self._answer(file, ReadResult(reason=printable(error), retry=True))
            return
        try:
            self._prove_alive(time.monotonic())
        except OriginError as outage:
            self._fail(outage)
            return
        if isinstance(error, DeniedError):
            self._answer(file, ReadResult(reason=printable(error)))
            return
        with self._lock:
            self._failures += 1
            hopeless = self._failures >= _FAILURES_MAX
        if hopeless:
            self._fail(error)
            return
        log.info("origin %s: %r is read another time: %s", self._origin.id, file.learned.entry.path, error)
        self._answer(file, ReadResult(reason=printable(error), retry=True))

    def _prove_alive(self, since: float) -> None:
        """Check the origin, unless a check that began after ``since`` went well; one at a time."""
        with self._checking:
            began = time.monotonic()
            if self._alive_at < since:
                self._origin.check()
                self._alive_at = began

    def _fail(self, error: Exception) -> None:
        with self._lock:
            if self._failure is None:
                self._failure = error
            self._tasks.clear()
            self._done.notify_all()
