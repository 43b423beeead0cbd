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
from collections.abc import Sequence
from dataclasses import dataclass, field

import lmdb
import msgspec

from musicfs.errors import DiskFullError, StoreError
from musicfs.store import environment, state_probe
from musicfs.store.journal import Journal, Survey, most_frames_in
from musicfs.store.overlays import Pin, lineage_record, pin_record
from musicfs.store.state_build import Build, Paths, apply_frames, put_aside, rewrite_journal
from musicfs.store.state_tables import (
    MAP_SIZE_BYTES,
    OLDEST_SCHEMA,
    SCHEMA,
    DamagedError,
    StateTables,
    StateWrite,
    schema_of,
)
from musicfs.store.state_upgrade import back_up, back_up_journal, back_up_pins, newer_error

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Loss:
    """What recovery saw of what it could not read."""

    reasons: list[str] = field(default_factory=list)
    highest: int = 0  # sequence seen anywhere
    missing_frames: int = 0  # at most so many may have been given numbers beyond


def open_tables(paths: Paths) -> tuple[StateTables, Journal]:
    """Open both, made whole. Raises MusicFSError when a newer version wrote them, StoreError, DiskFullError."""
    had_journal = os.path.exists(paths.journal)
    _remove_leftovers(paths, had_journal=had_journal)
    schema, reason = _examine(paths.tables)
    journal = Journal(paths.journal)
    try:
        survey = journal.survey()
        if survey.newer or schema > SCHEMA:
            # Not a StoreError: what is newer is not damaged, and must not be put aside.
            raise newer_error(paths.journal if survey.newer else paths.tables, paths.folder, SCHEMA)
        if survey.last == 0 and 0 < schema < OLDEST_SCHEMA:
            return _migrate(paths, journal), journal
        if not schema and not reason and survey.size_bytes == 0:
            return _begin(paths, journal), journal
        if schema >= OLDEST_SCHEMA:
            try:
                if schema < SCHEMA:
                    back_up(paths, journal, survey, schema)
                tables = _open_sound(paths, journal, survey, had_journal=had_journal)
                if schema < SCHEMA:
                    _take_schema(tables)
                return tables, journal
            except DamagedError as error:
                reason = str(error)
        if survey.is_older:
            back_up_journal(paths, journal, survey, OLDEST_SCHEMA)
        return rebuild(paths, journal, reason), journal
    except BaseException:
        journal.close()
        with contextlib.suppress(OSError):
            if not had_journal and os.path.getsize(paths.journal) == 0:
                os.unlink(paths.journal)
        raise


def _open_sound(paths: Paths, journal: Journal, survey: Survey, *, had_journal: bool) -> StateTables:
    tables = StateTables(paths.tables)
    try:
        _complete(paths, tables, journal, survey, had_journal=had_journal)
    except BaseException:
        tables.close()
        raise
    return tables


def _take_schema(tables: StateTables) -> None:
    """Say that it is of our schema now: what was kept of it before is not kept again."""
    try:
        with StateWrite(tables) as write:
            write.commit(write.sequence)
    except BaseException:
        tables.close()
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
    if status == 0:  # it has been read through, so reading it here is safe
        return schema_of(path), ""
    known = {state_probe.OLDER: OLDEST_SCHEMA - 1, state_probe.NEWER: SCHEMA + 1}
    return known.get(status, 0), "" if status in known else "it could not be read after an unclean stop"


def _remove_leftovers(paths: Paths, *, had_journal: bool) -> None:
    """What an interrupted recovery was making; and an old environment of which the journal has everything."""
    if had_journal and os.path.getsize(paths.journal):
        shutil.rmtree(paths.old, ignore_errors=True)
    for name in os.listdir(paths.folder):
        if name.startswith("state.new-"):
            shutil.rmtree(os.path.join(paths.folder, name), ignore_errors=True)
        elif name.startswith("before-upgrade-") and name.endswith(".new"):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(paths.folder, name))
    for name in ("new", "kept"):
        with contextlib.suppress(OSError):
            os.unlink(f"{paths.journal}.{name}")


def _begin(paths: Paths, journal: Journal, pins: Sequence[Pin] = ()) -> StateTables:
    """A state with nothing but these pins in it, in the place of what is there."""
    with Build(paths) as build:
        with StateWrite(build.tables) as write:
            for pin in pins:
                write.apply(pin_record(pin.path, pin, 1))
            write.apply(lineage_record(secrets.randbits(63), 1))
            write.commit(1)
        rewrite_journal(build.tables, journal)
        if os.path.exists(paths.tables):
            os.rename(paths.tables, paths.old)
        return build.take_place()


def _migrate(paths: Paths, journal: Journal) -> StateTables:
    """Take the pins of the first schema over; the old environment stays beside until that has worked."""
    pins = _old_pins(paths.tables)
    back_up_pins(paths, pins, OLDEST_SCHEMA - 1)
    tables = _begin(paths, journal, pins)
    log.info("%s: brought to schema %d, with %d pins", paths.tables, SCHEMA, len(pins))
    shutil.rmtree(paths.old, ignore_errors=True)
    return tables


def _old_pins(path: str) -> list[Pin]:
    try:
        with environment.open_environment(path, readonly=True, map_size_bytes=MAP_SIZE_BYTES) as env:
            table = env.open_db(b"pins", create=False)
            with env.begin() as txn, txn.cursor(table) as cursor:
                return [msgspec.msgpack.decode(raw, type=Pin) for _, raw in cursor]
    except (lmdb.Error, msgspec.MsgspecError) as error:
        raise StoreError(f"{path}: {error}") from error


def _complete(paths: Paths, tables: StateTables, journal: Journal, survey: Survey, *, had_journal: bool) -> None:
    """Bring a sound environment and the journal to the same point. DamagedError if the first is not sound after all."""
    sequence = tables.sequence
    if survey.whole and survey.last >= sequence:
        if survey.tail_bytes:
            log.info("%s: %d bytes of a change that was not finished are cut", paths.journal, survey.tail_bytes)
            journal.cut(survey.stop)
        if survey.last > sequence:
            _catch_up(tables, journal, sequence)
            log.info("%s: changes %d to %d came from the journal", paths.tables, sequence + 1, survey.last)
        return
    loss = _Loss(highest=max(sequence, survey.last))
    if survey.last > sequence and not _follows(journal, sequence):
        loss.reasons.append(f"changes after number {sequence}")
    loss.missing_frames = most_frames_in(survey.tail_bytes)
    _catch_up(tables, journal, sequence)
    _settle(tables, loss)
    what = "ended too early" if survey.whole and had_journal else "was damaged" if had_journal else "was missing"
    aside = f", put aside as {put_aside(paths.journal)}" if survey.size_bytes else ""
    rewrite_journal(tables, journal)
    log.log(
        logging.ERROR if loss.reasons else logging.WARNING,
        "%s: the journal %s%s; written anew, %s",
        paths.journal,
        what,
        aside,
        _said(loss),
    )


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
    apply_frames(tables, frames)


def _settle(tables: StateTables, loss: _Loss) -> bool:
    """Go on from a number that nobody has been given, and with a loss under another lineage; False if nothing is to do."""
    with StateWrite(tables) as write:
        lineage = write.lineage()
        if not loss.reasons and not loss.missing_frames and lineage:
            return False
        sequence = loss.highest + loss.missing_frames + 1
        write.apply(lineage_record(secrets.randbits(63) if loss.reasons or not lineage else lineage, sequence))
        write.commit(sequence)
    return True


def _said(loss: _Loss) -> str:
    return f"but some may be lost: {'; '.join(loss.reasons)}" if loss.reasons else "nothing is lost"


def rebuild(paths: Paths, journal: Journal, reason: str, last_known: int = 0) -> StateTables:
    """Make the environment from the journal, and if that is not enough from every record left in the old one's file.

    An empty ``reason``: there was none. ``last_known`` is the last change that was acknowledged, where that is known. Raises
    StoreError, DiskFullError.
    """
    survey = journal.survey()
    loss = _Loss(highest=max(survey.last, last_known))
    asides = []
    with Build(paths) as build:
        apply_frames(build.tables, journal.frames())
        found = build.salvage(os.path.join(paths.tables, "data.mdb"), survey.last if survey.whole else 0)
        loss.highest = max(loss.highest, found)
        if not survey.whole or not survey.last:
            loss.reasons.append("what was in the damaged places")
        elif loss.highest > survey.last or survey.tail_bytes:
            loss.reasons.append(f"changes after number {survey.last}")
        if loss.reasons:
            loss.missing_frames = most_frames_in(survey.size_bytes)
        if _settle(build.tables, loss):
            if survey.size_bytes:
                asides.append(put_aside(paths.journal))
            rewrite_journal(build.tables, journal)
        if os.path.exists(paths.tables):
            asides.append(put_aside(paths.tables))
        tables = build.take_place()
    log.log(
        logging.ERROR if loss.reasons else logging.WARNING if reason else logging.INFO,  # it may have been restored
        "%s: the state was made anew from its journal (%s)%s; %s",
        paths.tables,
        reason or "there was none",
        f", put aside: {' and '.join(asides)}" if asides else "",
        _said(loss),
    )
    return tables
