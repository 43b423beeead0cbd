"""What is kept of a state before a newer version of MusicFS changes it, and what an older version says that finds it then.

A backup as ``musicfs backup`` makes it, ``state_dir/before-upgrade-TIME-schema-N.tar``: the newest three stay. An older
version cannot read what a newer one has written, but it can restore that.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from collections.abc import Iterable

from musicfs import __version__
from musicfs.errors import MusicFSError
from musicfs.store.journal import Journal, Survey
from musicfs.store.overlays import Pin, pin_record
from musicfs.store.state_build import Build, Paths, rewrite_journal
from musicfs.store.state_lock import read_writer
from musicfs.store.state_tables import StateTables, StateWrite
from musicfs.store.whole_file import write_whole

log = logging.getLogger(__name__)

_KEPT = 3
_NAME = re.compile(r"before-upgrade-(\d{8}-\d{6})(?:-\d+)?-schema-(\d+)\.tar")


def back_up(paths: Paths, journal: Journal, survey: Survey, schema: int) -> str:
    """Keep an environment of this older schema, and its journal, as they are now; where. Raises StoreError, DiskFullError."""
    tables = StateTables(paths.tables, readonly=True)
    try:
        with tables.reading() as read:
            is_all = survey.whole and survey.last >= read.sequence
        if is_all:  # as it is, so that the version that wrote it can read it
            return _keep(paths, schema, journal, survey.stop)
        return _keep_rewritten(paths, schema, tables)
    finally:
        tables.close()


def back_up_journal(paths: Paths, journal: Journal, survey: Survey, schema: int) -> str:
    """The same where there is no environment that can be read."""
    return _keep(paths, schema, journal, survey.stop)


def back_up_pins(paths: Paths, pins: Iterable[Pin], schema: int) -> str:
    """The same of what was before there was a journal: pins."""
    with Build(paths) as build:
        with StateWrite(build.tables) as write:
            for pin in pins:
                write.apply(pin_record(pin.path, pin, 1))
            write.commit(1)
        return _keep_rewritten(paths, schema, build.tables)


def _keep_rewritten(paths: Paths, schema: int, tables: StateTables) -> str:
    """A backup of what an environment says: its journal lacks some of it, or is not there."""
    path = f"{paths.journal}.kept"
    journal = Journal(path)
    try:
        rewrite_journal(tables, journal)
        return _keep(paths, schema, journal, journal.size_bytes)
    finally:
        journal.close()
        with contextlib.suppress(OSError):
            os.unlink(path)


def _keep(paths: Paths, schema: int, journal: Journal, size_bytes: int) -> str:
    """Write it whole or not at all, remove the oldest, say so."""
    from musicfs.store.backup import backup_pieces  # with all that reads and writes a tar: not at every start

    pieces = backup_pieces(os.dup(journal.descriptor), size_bytes, os.path.join(paths.folder, "images"), __version__)
    stem = os.path.join(paths.folder, f"before-upgrade-{time.strftime('%Y%m%d-%H%M%S')}")
    target, number = f"{stem}-schema-{schema}.tar", 1
    while os.path.lexists(target):
        number += 1
        target = f"{stem}-{number}-schema-{schema}.tar"
    write_whole(target, pieces)
    for old in kept_backups(paths.folder)[_KEPT:]:
        with contextlib.suppress(OSError):
            os.unlink(old[0])
    log.info("%s is brought forward for MusicFS %s; what was there is kept in %s", paths.folder, __version__, target)
    return target


def kept_backups(state_dir: str) -> list[tuple[str, int]]:
    """(path, schema) of what was kept, newest first."""
    found: list[tuple[str, str, int]] = []
    with contextlib.suppress(OSError):
        for name in os.listdir(state_dir):
            match = _NAME.fullmatch(name)
            if match:
                found.append((match[1], os.path.join(state_dir, name), int(match[2])))
    return [(path, schema) for _, path, schema in sorted(found, reverse=True)]


def newer_error(where: str, state_dir: str, schema: int) -> MusicFSError:
    """What to say of a state that a newer version wrote, to the version that reads up to ``schema``."""
    version, wrote = read_writer(state_dir)
    remedies = [f"install MusicFS {version} or later again" if wrote > schema else "install that version again"]
    readable = [path for path, kept in kept_backups(state_dir) if kept <= schema]
    if readable:
        remedies.append(f"go back to what was before, without what was made since: musicfs restore {readable[0]}")
    return MusicFSError(
        f"{where}: written by a newer version of MusicFS; this is {__version__}", remedy=", or ".join(remedies)
    )
