"""Learning what files say: the side of it that a scan sees, and how it is done for files of this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from musicfs.formats import HeadTail
from musicfs.library.pool import FILES_PER_JOB, WorkerPool
from musicfs.library.protocol import ReadJob, Reply
from musicfs.library.publish import Learned
from musicfs.library.ranges import Range
from musicfs.model import Entry, Facts
from musicfs.origins.contract import LocalPaths

OnRead = Callable[[Learned], None]


class Revision(Protocol):
    """A file that changed while an older version of it is stored: what both share need not be fetched again.

    Used from one thread at a time, in this order: :meth:`plan`, :meth:`adopt`. Neither raises, nor asks an origin.
    """

    @property
    def head_bytes(self) -> int:
        """How much of the beginning to read for its tags, at first."""
        ...

    def plan(self, source: HeadTail, facts: Facts) -> Sequence[Range]:
        """What to read of the new version before the two can be compared; ``source`` has what its tags took."""
        ...

    def adopt(self, source: HeadTail) -> None:
        """Take over what turns out to be the same; ``source`` has all that was asked for. May block some seconds."""
        ...


class Revisions(Protocol):
    """Knows which changed files are worth that; lives on a higher floor. Safe from any thread."""

    def begin(self, origin_id: str, object_id: int, entry: Entry) -> Revision | None:
        """The file with this id is now ``entry``; None if nothing of what it was is of use. Does not raise OriginError."""
        ...


class NoRevisions:
    """Every change is read as if the file were new."""

    def begin(self, origin_id: str, object_id: int, entry: Entry) -> None:
        return None


class Reading(Protocol):
    """Reads files while a scan goes on listing; used from the scan's thread, on which ``on_read`` is called."""

    @property
    def unanswered(self) -> int:
        """How much was submitted and is not yet answered; 0 when all is."""
        ...

    @property
    def saturated(self) -> bool:
        """True when there is enough to do for now."""
        ...

    def submit(self, files: Sequence[Learned], on_read: OnRead) -> None:
        """Queue files; once the ``result`` of one is set, ``on_read`` is called with it from a later :meth:`poll`."""
        ...

    def poll(self, timeout_s: float) -> None:
        """Deliver answers; blocks up to ``timeout_s`` for the first. Raises OriginError when going on makes no sense."""
        ...

    def end(self) -> None:
        """Answer everything that is unanswered, if need be as to be read another time, and read no more. Blocks a second."""
        ...


class LocalReading:
    """Files of this machine, read by the worker processes of ``pool``, which outlives this."""

    def __init__(self, pool: WorkerPool, origin: LocalPaths) -> None:
        self._pool = pool
        self._origin = origin

    @property
    def unanswered(self) -> int:
        return self._pool.unanswered

    @property
    def saturated(self) -> bool:
        return self._pool.saturated

    def submit(self, files: Sequence[Learned], on_read: OnRead) -> None:
        for first in range(0, len(files), FILES_PER_JOB):
            part = files[first : first + FILES_PER_JOB]
            job = ReadJob([(self._origin.local_path(o.entry.path), o.entry.size, o.entry.mtime_ns) for o in part])
            self._pool.submit(job, _answer(part, on_read))

    def poll(self, timeout_s: float) -> None:
        self._pool.poll(timeout_s)

    def end(self) -> None:
        """Wait for the workers: a disk answers soon, and a worker that hangs is ended by the pool."""
        self._pool.drain()


def _answer(files: Sequence[Learned], on_read: OnRead) -> Callable[[Reply], None]:
    def take(reply: Reply) -> None:
        assert isinstance(reply, list)
        for learned, result in zip(files, reply, strict=True):
            learned.result = result
            on_read(learned)

    return take
