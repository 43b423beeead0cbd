"""Opening the state, whatever was found: environment and journal stand in for each other.

=============  ============================  ==================================================================
environment    journal                       what is done
=============  ============================  ==================================================================
sound          whole, or with a tail         the tail is cut; what the journal has beyond the environment is put in
sound          damaged, missing, or behind   the same, and the journal is written anew from the environment
damaged, gone  whole                         the environment is made from the journal
damaged        damaged                       both are made from all records that can be found in either
=============  ============================  ==================================================================

A new journal is in place before an environment is moved, and that before its successor takes its name: a crash between
leaves one of the cases above. What was damaged is put aside, never deleted. Where something may be lost, this is said, the
numbers of changes go on beyond all that may have been given out, and the lineage changes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import lmdb
import msgspec

from musicfs.errors import DiskFullError, MusicFSError, StoreError
from musicfs.store import environment, state_probe
from musicfs.store.frames import Frame, scan_frames
from musicfs.store.journal import Journal, Survey, file_error, most_frames_in, sync_folder, write_journal
from musicfs.store.overlays import Kind, Pin, Record, decode_records, encode_records, lineage_record, pin_record
from musicfs.store.state_tables import MAP_SIZE_BYTES, SCHEMA, DamagedError, StateTables, StateWrite, schema_of

log = logging.getLogger(__name__)

_FRAME_BYTES = 256 << 10  # of a journal's beginning: a damaged frame costs no more than that
_COMMIT_RECORDS = 20_000


class Paths(msgspec.Struct, frozen=True):
    """Where everything is."""

    folder: str

    @property
    def tables(self) -> str:
        """The environment's folder."""
        return os.path.join(self.folder, "state")

    @property
    def journal(self) -> str:
        """The journal."""
        return os.path.join(self.folder, "journal")

    @property
    def old(self) -> str:
        """An environment of an earlier version, until what was made from it is in place."""
        return f"{self.tables}.schema-{SCHEMA - 1}"


@dataclass(slots=True)
class _Loss:
    """What recovery saw of what it could not read."""

    reasons: list[str] = field(default_factory=list)
    highest: int = 0  # sequence seen anywhere
    missing_frames: int = 0  # at most so many may have been given numbers beyond


def open_tables(paths: Paths) -> tuple[StateTables, Journal]:
    """Open both, made whole. Raises MusicFSError when a newer version wrote them, StoreError, DiskFullError."""
    _remove_leftovers(paths)
    had_journal = os.path.exists(paths.journal)
    schema, reason = _examine(paths.tables)
    journal = Journal(paths.journal)
    try:
        survey = journal.survey()
        if survey.newer or schema > SCHEMA:
            # Not a StoreError: what is newer is not damaged, and must not be put aside.
            where = paths.journal if survey.newer else paths.tables
            raise MusicFSError(f"{where}: written by a newer version of MusicFS", remedy="install that version again")
        if survey.last == 0 and 0 < schema < SCHEMA:
            return _migrate(paths, journal)
        if not schema and not reason and survey.size_bytes == 0:
            return _begin(paths, journal)
        if schema == SCHEMA:
            tables = StateTables(paths.tables)
            try:
                return tables, _complete(paths, tables, journal, survey, had_journal=had_journal)
            except BaseException as error:
                tables.close()
                if not isinstance(error, DamagedError):
                    raise
                reason = str(error)
        return rebuild(paths, journal, reason or "there was none")
    except BaseException:
        journal.close()
        if not had_journal and os.path.getsize(paths.journal) == 0:
            os.unlink(paths.journal)
        raise


def _examine(path: str) -> tuple[int, str]:
    """The schema of an environment, and 0 if it cannot be used, with what is wrong (nothing: there is none).

    Its clean mark is taken. One that was not closed in order is read in a child process only.
    """
    if not os.path.exists(os.path.join(path, "data.mdb")):
        return 0, ""
    try:
        clean = environment.take_clean_mark(path)
        environment.check_damage(path)
        environment.check_length(path)
        if clean:
            return schema_of(path), ""
        status = environment.probe_status(path, "musicfs.store.state_probe")
    except DiskFullError:
        raise
    except StoreError as error:
        return 0, str(error)
    known = {0: SCHEMA, state_probe.OLDER: SCHEMA - 1, state_probe.NEWER: SCHEMA + 1}
    return known.get(status, 0), "" if status in known else "it could not be read after an unclean stop"


def _remove_leftovers(paths: Paths) -> None:
    """What an interrupted recovery was making."""
    for name in os.listdir(paths.folder):
        if name.startswith("state.new-"):
            shutil.rmtree(os.path.join(paths.folder, name), ignore_errors=True)
    with contextlib.suppress(OSError):
        os.unlink(f"{paths.journal}.new")


def _begin(paths: Paths, journal: Journal, pins: Sequence[Pin] = ()) -> tuple[StateTables, Journal]:
    """A state with nothing but these pins in it, in the place of what is there."""
    with _Build(paths) as build:
        with StateWrite(build.tables) as write:
            for pin in pins:
                write.apply(pin_record(pin.path, pin, 1))
            write.apply(lineage_record(secrets.randbits(63), 1))
            write.commit(1)
        journal = new_journal(build.tables, paths, journal)
        if os.path.exists(paths.tables):
            os.rename(paths.tables, paths.old)
        return build.take_place(), journal


def _migrate(paths: Paths, journal: Journal) -> tuple[StateTables, Journal]:
    """Take the pins of the first schema over; the old environment stays beside until that has worked."""
    pins = _old_pins(paths.tables)
    opened = _begin(paths, journal, pins)
    log.info("%s: brought to schema %d, with %d pins", paths.tables, SCHEMA, len(pins))
    shutil.rmtree(paths.old, ignore_errors=True)
    return opened


def _old_pins(path: str) -> list[Pin]:
    try:
        with environment.open_environment(path, readonly=True, map_size_bytes=MAP_SIZE_BYTES) as env:
            table = env.open_db(b"pins", create=False)
            with env.begin() as txn, txn.cursor(table) as cursor:
                return [msgspec.msgpack.decode(raw, type=Pin) for _, raw in cursor]
    except (lmdb.Error, msgspec.MsgspecError) as error:
        raise StoreError(f"{path}: {error}") from error


def _complete(paths: Paths, tables: StateTables, journal: Journal, survey: Survey, *, had_journal: bool) -> Journal:
    """Bring a sound environment and the journal to the same point. DamagedError if the first is not sound after all."""
    sequence = tables.sequence
    if survey.whole and survey.last >= sequence:
        if survey.tail_bytes:
            log.info("%s: %d bytes of a change that was not finished are cut", paths.journal, survey.tail_bytes)
            journal.cut(survey.stop)
        if survey.last > sequence:
            _catch_up(tables, journal, sequence)
            log.info("%s: changes %d to %d came from the journal", paths.tables, sequence + 1, survey.last)
        return journal
    loss = _Loss(highest=max(sequence, survey.last))
    if survey.last > sequence and not _follows(journal, sequence):
        loss.reasons.append(f"changes after number {sequence}")
    _catch_up(tables, journal, sequence)
    loss.missing_frames = most_frames_in(survey.tail_bytes)
    with tables.reading() as read:
        lineage = read.lineage()
    with StateWrite(tables) as write:
        write.commit(_settle(write, loss, lineage))
    aside = put_aside(paths.journal) if survey.size_bytes else ""
    what = "ended too early" if survey.whole and had_journal else "was damaged" if had_journal else "was missing"
    log.warning(
        "%s: the journal %s%s; written anew, %s",
        paths.journal, what, f", put aside as {aside}" if aside else "", _said(loss),
    )  # fmt: skip
    return new_journal(tables, paths, journal)


def _follows(journal: Journal, sequence: int) -> bool:
    """Whether every frame after this number is there."""
    for frame in journal.frames():
        if frame.sequence > sequence:
            if frame.previous != sequence:
                return False
            sequence = frame.sequence
    return True


def _catch_up(tables: StateTables, journal: Journal, sequence: int) -> None:
    """Put what the journal has beyond this number into the environment; all of it if it begins beyond."""
    begins_beyond = next((frame.sequence for frame in journal.frames() if frame.sequence), 0) > sequence
    frames = (frame for frame in journal.frames() if begins_beyond or frame.sequence > sequence)
    _apply(tables, frames)


def _apply(tables: StateTables, frames: Iterator[Frame]) -> int:
    """Put the records of frames in, in steps of bounded size; returns the highest number seen."""
    highest, done = 0, False
    while not done:
        with StateWrite(tables) as write:
            count = 0
            done = True
            for frame in frames:
                highest = max(highest, frame.sequence)
                for record in _records_of(frame):
                    write.apply(record)
                    count += 1
                if count >= _COMMIT_RECORDS:
                    done = False
                    break
            write.commit(highest)
    return highest


def _records_of(frame: Frame) -> tuple[Record, ...]:
    try:
        return decode_records(frame.payload)
    except msgspec.MsgspecError:  # the environment's mark
        return ()


def _settle(write: StateWrite, loss: _Loss, lineage: int) -> int:
    """Choose the number to go on from, and with a loss another lineage; returns the number."""
    if not loss.reasons and lineage and not loss.missing_frames:
        return loss.highest
    sequence = loss.highest + loss.missing_frames + 1
    write.apply(lineage_record(secrets.randbits(63) if loss.reasons or not lineage else lineage, sequence))
    return sequence


def _said(loss: _Loss) -> str:
    return f"but some may be lost: {'; '.join(loss.reasons)}" if loss.reasons else "nothing is lost"


def rebuild(paths: Paths, journal: Journal, reason: str, last_known: int = 0) -> tuple[StateTables, Journal]:
    """Make the environment from the journal, and if that is not enough from every record left in the old one's file.

    ``last_known`` is the last change that was acknowledged, where that is known. Raises StoreError, DiskFullError.
    """
    survey = journal.survey()
    loss = _Loss(highest=max(survey.last, last_known))
    asides = []
    with _Build(paths) as build:
        _apply(build.tables, journal.frames())
        salvaged = build.salvage(os.path.join(paths.tables, "data.mdb"), survey.last if survey.whole else 0)
        loss.highest = max(loss.highest, salvaged)
        if not survey.whole:
            loss.reasons.append("what was in the damaged places of both")
        elif loss.highest > survey.last or survey.tail_bytes:
            loss.reasons.append(f"changes after number {survey.last}")
        if loss.reasons:
            loss.missing_frames = most_frames_in(survey.size_bytes)
        with build.tables.reading() as read:
            lineage = read.lineage()
        with StateWrite(build.tables) as write:
            write.commit(_settle(write, loss, lineage))
        if loss.reasons or not lineage:
            if survey.size_bytes:
                asides.append(put_aside(paths.journal))
            journal = new_journal(build.tables, paths, journal)
        if os.path.exists(paths.tables):
            asides.append(put_aside(paths.tables))
        tables = build.take_place()
    log.log(
        logging.ERROR if loss.reasons else logging.WARNING,
        "%s: the state was made anew from its journal (%s)%s; %s",
        paths.tables,
        reason,
        f", put aside: {' and '.join(asides)}" if asides else "",
        _said(loss),
    )
    return tables, journal


class _Build:
    """An environment that is being made beside the one in use; it is gone at the end unless it took its place."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._path = f"{paths.tables}.new-{secrets.token_hex(4)}"

    def __enter__(self) -> _Build:
        self.tables = StateTables(self._path, durable=False)
        return self

    def __exit__(self, *_: object) -> None:
        self.tables.close()
        shutil.rmtree(self._path, ignore_errors=True)

    def salvage(self, path: str, after: int) -> int:
        """Put in what is found in a damaged environment's file beyond this number; returns the highest number seen."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return 0
        try:
            return _apply(self.tables, (frame for frame in scan_frames(descriptor) if frame.sequence > after))
        except OSError as error:
            raise file_error(path, error) from error
        finally:
            os.close(descriptor)

    def take_place(self) -> StateTables:
        """Rename it to where the one in use was, which has been moved; returns it opened."""
        try:
            self.tables.env.sync(True)
            self.tables.close()
            os.rename(self._path, self._paths.tables)
            sync_folder(self._paths.folder)
        except lmdb.Error as error:
            raise environment.store_error(self._path, error) from error
        except OSError as error:
            raise file_error(self._path, error) from error
        return StateTables(self._paths.tables)


def new_journal(tables: StateTables, paths: Paths, journal: Journal) -> Journal:
    """Write the journal from a sound environment; returns it opened, the one before closed."""
    with tables.reading() as read:
        sequence, lineage = read.sequence, read.lineage()

    def beginning() -> Iterator[bytes]:
        for kind in (Kind.OVERLAY, Kind.PIN, Kind.HISTORY):
            chunk: list[Record] = []
            size = 0
            with tables.reading() as read:
                for record in read.rows(kind):
                    chunk.append(record)
                    size += len(record.value)
                    if size >= _FRAME_BYTES:
                        yield encode_records(chunk)
                        chunk, size = [], 0
            if chunk:
                yield encode_records(chunk)

    write_journal(paths.journal, beginning(), sequence, encode_records([lineage_record(lineage, sequence)]))
    fresh = Journal(paths.journal)
    fresh.last = sequence
    journal.close()
    return fresh


def put_aside(path: str) -> str:
    """Give a damaged folder, or a copy of a damaged file, another name; returns that."""
    stem = f"{path}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    aside, number = stem, 1
    while os.path.lexists(aside):
        number += 1
        aside = f"{stem}-{number}"
    try:
        if os.path.isdir(path):
            os.rename(path, aside)
        else:
            try:
                os.link(path, aside)  # a new file takes the name
            except OSError:  # not every filesystem has links
                shutil.copyfile(path, aside)
    except OSError as error:
        raise file_error(path, error) from error
    return aside
