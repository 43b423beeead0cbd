"""Making an environment or a journal of the state anew, beside the one in use, and putting what was damaged aside."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator

import lmdb
import msgspec

from musicfs.store import environment
from musicfs.store.frames import Frame, scan_frames
from musicfs.store.journal import Journal, file_error, sync_folder
from musicfs.store.overlays import Kind, Record, decode_records, encode_records, lineage_record
from musicfs.store.state_tables import StateTables, StateWrite

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
        """An environment of the first version, until what was made from it is in place."""
        return f"{self.tables}.schema-1"


def apply_frames(tables: StateTables, frames: Iterator[Frame]) -> int:
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


class Build:
    """An environment that is being made beside the one in use; it is gone at the end unless it took its place."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._path = f"{paths.tables}.new-{secrets.token_hex(4)}"

    def __enter__(self) -> Build:
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
            return apply_frames(self.tables, (frame for frame in scan_frames(descriptor) if frame.sequence > after))
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


def rewrite_journal(tables: StateTables, journal: Journal) -> None:
    """Write the journal anew from a sound environment. Raises DiskFullError, StoreError."""
    with tables.reading() as read:
        sequence, lineage = read.sequence, read.lineage()
    journal.rewrite(_beginning(tables), sequence, encode_records([lineage_record(lineage, sequence)]))


def _beginning(tables: StateTables) -> Iterator[bytes]:
    for kind in (Kind.OVERLAY, Kind.PIN, Kind.COLLECTION, Kind.PLAY, Kind.TRASH, Kind.HISTORY):
        if kind not in tables.records:  # of an older schema
            continue
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
