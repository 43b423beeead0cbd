"""What the user made, and nobody can make again: overlays with their history, pictures, pins. Never wiped.

``state_dir/journal`` is the truth: every change is there, checked by a checksum, before anybody is told that it was made.
``state_dir/state`` is an LMDB environment of the same, to find things fast (see :mod:`musicfs.store.state_tables`);
``state_dir/images`` has the pictures, named by their hash. Opening puts right whatever a crash or a damaged disk left (see
:mod:`musicfs.store.state_recovery`), and so does reading what turns out to be damaged.

Only the keeper opens it, and holds ``state_dir/state.lock``.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from musicfs.errors import DiskFullError, NotFoundError, StoreError
from musicfs.store import environment
from musicfs.store.images import Images
from musicfs.store.journal import file_error
from musicfs.store.overlays import (
    Action,
    Anchoring,
    Change,
    HistoryEntry,
    Kind,
    Layer,
    Overlay,
    Pin,
    Record,
    Written,
    anchor_key,
    decode_overlay,
    decode_pin,
    encode_records,
    overlay_key,
    path_key,
    pin_record,
)
from musicfs.store.state_changes import Plan, plan_put, plan_reanchor, read_history
from musicfs.store.state_recovery import Paths, new_journal, open_tables, put_aside, rebuild
from musicfs.store.state_tables import DamagedError, Reading, StateTables, StateWrite

__all__ = ["Anchoring", "Change", "HistoryEntry", "Layer", "Overlay", "Pin", "State", "Written", "open_state"]

log = logging.getLogger(__name__)

_PAGE = 256  # what one short transaction reads of a long list
_MAX_REBUILDS = 3  # a disk or memory that damages what was just made cannot be helped by making it again
_COMPACT_BYTES = 64 << 20
_T = TypeVar("_T")


def open_state(state_dir: str) -> State:
    """Open the user's state, created or put right if need be. Blocks: some seconds when much has to be made anew.

    Raises MusicFSError when a newer version wrote it (which is left as it is), StoreError when another process has it
    open, DiskFullError.
    """
    return State(state_dir)


class _Request:
    """A change that waits for being written."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.sequence = 0
        self.error: BaseException | None = None
        self.done = False


class State:
    """The opened state. Safe from any thread.

    Every method that changes something returns once that is on disk; changes that wait at the same time share the waiting.
    It raises DiskFullError or StoreError if that cannot be, and nothing has changed.
    """

    def __init__(self, state_dir: str) -> None:
        """Use :func:`open_state`."""
        self.path = os.path.join(state_dir, "state")
        self._paths = Paths(state_dir)
        self._lock_file = _lock(state_dir)
        try:
            self._images = Images(os.path.join(state_dir, "images"))
            self._tables, self._journal = open_tables(self._paths)
        except BaseException:
            os.close(self._lock_file)
            raise
        self._retired: list[StateTables] = []
        self._rebuilds = 0
        self._next = self._journal.last + 1
        self._compact_at = _COMPACT_BYTES
        self._write_lock = threading.Lock()
        self._queue_lock = threading.Lock()
        self._queue: list[_Request] = []

    # What is there.

    @property
    def sequence(self) -> int:
        """The number of the last change; never goes back."""
        return self._read(lambda read: read.sequence)

    @property
    def lineage(self) -> int:
        """Another one whenever this may not be the continuation of what it was: begun anew, or with something lost.

        Who follows :meth:`changed_since` starts from 0 then.
        """
        return self._read(lambda read: read.lineage())

    def overlay(self, overlay_id: int) -> Overlay | None:
        """The overlay, or None."""
        return self._read(lambda read: read.overlay(overlay_id))

    def overlay_at(self, origin_id: str, path: bytes) -> Overlay | None:
        """The overlay of this file of an origin, or None."""
        key = anchor_key((origin_id, path))
        return self._read(lambda read: read.overlay_at(key))

    def overlays_of_audio(self, audio_id: int) -> list[Overlay]:
        """The overlays of tracks that had this audio when last seen, in the order of ids. 0 is nobody's."""

        def look(read: Reading) -> list[Overlay]:
            pairs = itertools.takewhile(lambda pair: pair[0] == audio_id, read.pairs(read.tables.audio, (audio_id, 0)))
            return [read.expected_overlay(overlay_id) for _, overlay_id in pairs]

        return self._read(look)

    def overlays(self) -> Iterator[Overlay]:
        """Every overlay, in the order of ids. Each is as it is when it is read: what changes meanwhile may show or not."""
        start: int | None = 0
        while start is not None:
            page = self._read(partial(_overlays_from, start=start))
            yield from page
            start = page[-1].id + 1 if len(page) == _PAGE else None

    def count_overlays(self) -> int:
        """How many there are, empty ones included."""
        return self._read(lambda read: int(read.txn.stat(read.tables.records[Kind.OVERLAY])["entries"]))

    def changed_since(self, sequence: int) -> Iterator[tuple[int, int]]:
        """(sequence, overlay id) of every overlay that was changed or anchored after this number; each once, oldest first."""
        start: tuple[int, int] | None = (sequence + 1, 0)
        while start is not None:
            page = self._read(partial(_changes_from, start=start))
            yield from page
            start = (page[-1][0], page[-1][1] + 1) if len(page) == _PAGE else None

    def history(self, overlay_id: int | None, limit: int) -> list[HistoryEntry]:
        """The last changes of an overlay, or of all of them, newest first."""
        return self._read(lambda read: read_history(read, overlay_id, limit))

    # Changing overlays.

    def new_overlay_id(self) -> int:
        """A number (63 bits, not 0) that no overlay has."""
        while not (found := secrets.randbits(63)) or self.overlay(found) is not None:
            pass
        return found

    def put_overlays(self, changes: Sequence[Change], *, action: Action, author: str, time_ns: int) -> Written:
        """Store overlays as they are given, each with an entry in its history; all of them or none.

        ``changed_ns`` becomes ``time_ns``, or more where it would not grow, and ``author`` this one, where fields or cover
        differ from what is there; else both stay, and there is no entry unless it undoes one. An anchor that another overlay
        has becomes this one's.
        """
        written: list[Overlay] = []
        sequence = self._write(plan_put(changes, action, author, time_ns, written))
        return Written(sequence, tuple(written))

    def reanchor(self, changes: Sequence[Anchoring]) -> Written:
        """Give overlays other anchors; all of them or none. NotFoundError for an unknown overlay.

        An anchor that another overlay has becomes this one's.
        """
        written: list[Overlay] = []
        sequence = self._write(plan_reanchor(changes, written))
        return Written(sequence, tuple(written))

    # Pictures.

    def put_image(self, data: bytes) -> str:
        """Keep a picture for :attr:`Overlay.cover`; returns its key once it is on disk. Raises DiskFullError, StoreError."""
        return self._images.put(data)

    def image(self, key: str) -> bytes | None:
        """The picture with this key, or None when it is missing or damaged, which is logged once."""
        return self._images.get(key)

    # Pins.

    def pins(self) -> list[Pin]:
        """Everything that is pinned, in the order of paths."""
        records = self._read(lambda read: list(read.rows(Kind.PIN)))
        found = (decode_pin(record.value) for record in records)
        return sorted((pin for pin in found if pin is not None), key=lambda pin: pin.path)

    def count_pins(self) -> int:
        """How many there are, without reading them."""
        return self._read(lambda read: read.mark.pins)

    def put_pins(self, pins: Iterable[Pin]) -> None:
        """Pin, or pin again: all of them or none."""
        wanted = list(pins)
        self._write(lambda _, sequence: [pin_record(pin.path, pin, sequence) for pin in wanted])

    def remove_pins(self, paths: Iterable[bytes]) -> None:
        """Unpin all of these paths; one that is not pinned is passed over."""
        unwanted = list(paths)

        def plan(read: Reading, sequence: int) -> list[Record]:
            found = {path: read.record(Kind.PIN, path_key(path)) for path in unwanted}
            pinned = (
                path for path, record in found.items() if record is not None and decode_pin(record.value) is not None
            )
            return [pin_record(path, None, sequence) for path in pinned]

        self._write(plan)

    # The machinery.

    def _read(self, look: Callable[[Reading], _T]) -> _T:
        """Look at a snapshot; what is damaged is made anew first."""
        while True:
            tables = self._tables
            try:
                with tables.reading() as read:
                    return look(read)
            except DamagedError as error:
                with self._write_lock:
                    if self._tables is tables:
                        self._rebuild(error)

    def _rebuild(self, error: DamagedError) -> None:
        """Make the environment anew; the damaged one stays mapped, for others may be reading it. Needs the lock."""
        if self._rebuilds == _MAX_REBUILDS:
            raise StoreError(str(error), remedy="check the disk and the memory of this machine") from error
        fresh, self._journal = rebuild(self._paths, self._journal, str(error), self._journal.last)
        self._rebuilds += 1
        self._retired.append(self._tables)
        self._tables = fresh
        self._next = max(self._next, self._journal.last + 1)

    def _write(self, plan: Plan) -> int:
        """Make one change, with all that others wait with; returns its number, the last one's if it changes nothing."""
        request = _Request(plan)
        with self._queue_lock:
            self._queue.append(request)
        with self._write_lock:
            if not request.done:
                with self._queue_lock:
                    group, self._queue = self._queue, []
                self._write_group(group)
        if request.error is not None:
            raise request.error
        return request.sequence

    def _write_group(self, group: list[_Request]) -> None:
        """Write changes in one go, for the threads that wait for them. Does not raise."""
        try:
            while True:
                try:
                    self._commit(group)
                    break
                except DamagedError as error:
                    self._rebuild(error)
            self._compact()
        except BaseException as error:  # not swallowed: each of the threads raises it
            for request in group:
                request.error = request.error or error
        for request in group:
            request.done = True

    def _commit(self, group: list[_Request]) -> None:
        with StateWrite(self._tables) as write:
            payloads: list[tuple[int, bytes]] = []
            for request in group:
                sequence = self._next + len(payloads)
                try:
                    records = request.plan(write, sequence)
                    payload = encode_records(records)
                except (NotFoundError, ValueError, TypeError, OverflowError) as error:
                    if environment.is_damage(error):
                        raise
                    request.error = error  # this caller's values are not to be written; the others' are
                    continue
                request.sequence = sequence if records else (payloads[-1][0] if payloads else write.sequence)
                if records:
                    for record in records:
                        write.apply(record)
                    payloads.append((sequence, payload))
            if payloads:
                self._next += len(payloads)  # a number that was tried is not given out again
                mark = self._journal.append(payloads)
                try:
                    write.commit(payloads[-1][0])
                except BaseException:
                    self._journal.take_back(mark)
                    raise

    def _compact(self) -> None:
        """Write the journal anew when most of it is of the past."""
        if self._journal.size_bytes < self._compact_at:
            return
        with self._tables.reading() as read:
            live_bytes = read.mark.live_bytes
        if self._journal.size_bytes > 2 * live_bytes:
            try:
                self._journal = new_journal(self._tables, self._paths, self._journal)
            except DiskFullError as error:
                log.warning("%s is not made smaller: %s", self._paths.journal, error)
        self._compact_at = max(_COMPACT_BYTES, self._journal.size_bytes + self._journal.size_bytes // 4)

    def verify(self) -> list[str]:
        """Read and check everything, and put right what is wrong; says what that was. Blocks writers meanwhile."""
        found = []
        if environment.probe_status(self.path, "musicfs.store.state_probe"):
            error = DamagedError(f"{self.path}: damage was found when it was checked")
            found.append(str(error))
            with self._write_lock:
                self._rebuild(error)
        with self._write_lock:
            last = self._journal.last
            survey = self._journal.survey()
            if not survey.whole or survey.tail_bytes or survey.last != last:
                found.append(f"{self._paths.journal}: damage was found when it was checked")
                aside = put_aside(self._paths.journal)
                self._journal = new_journal(self._tables, self._paths, self._journal)
                log.warning("%s; written anew, nothing is lost; put aside as %s", found[-1], aside)
        covers = {overlay.cover for overlay in self.overlays()} - {"", "-"}
        found += [f"the picture {key} is missing or damaged" for key in self._images.missing(covers)]
        return found

    def close(self) -> None:
        """Unmap the files; checks them all before, some 0.1 s for 100,000 tracks. Nothing may be called any more."""
        with self._write_lock:
            try:
                with self._tables.reading() as read:
                    sound = read.is_sound()
            except StoreError:
                sound = False
            for tables in (self._tables, *self._retired):
                tables.close()
            self._journal.close()
            if sound:
                environment.mark_clean(self.path)
            os.close(self._lock_file)


def _overlays_from(read: Reading, start: int) -> list[Overlay]:
    rows = read.rows(Kind.OVERLAY, overlay_key(start))
    return [decode_overlay(record.value) for record in itertools.islice(rows, _PAGE)]


def _changes_from(read: Reading, start: tuple[int, int]) -> list[tuple[int, int]]:
    return list(itertools.islice(read.pairs(read.tables.changes, start), _PAGE))


def _lock(state_dir: str) -> int:
    """Hold the state for this process; the descriptor is the lock. StoreError if another process has it."""
    path = os.path.join(state_dir, "state.lock")
    try:
        os.makedirs(state_dir, mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise file_error(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            message = f"{state_dir} is in use by another MusicFS"
            raise StoreError(message, remedy="stop that one, or give this one a state_dir of its own") from error
        raise file_error(path, error) from error
    return descriptor
