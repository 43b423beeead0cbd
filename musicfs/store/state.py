"""What the user made, and nobody can make again: overlays, their history, pictures, pins, collections, plays, the trash.

Never wiped. ``state_dir/journal`` is the truth: every change is there, checked by a checksum, before anybody is told that it
was made.
``state_dir/state`` is an LMDB environment of the same, to find things fast (see :mod:`musicfs.store.state_tables`);
``state_dir/images`` has the pictures, named by their hash. Opening puts right whatever a crash or a damaged disk left (see
:mod:`musicfs.store.state_recovery`), and so does reading what turns out to be damaged.

Only the keeper opens it, and holds ``state_dir/state.lock``.
"""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from musicfs.store.images import Images
from musicfs.store.overlays import (
    Action,
    Anchoring,
    Change,
    HistoryEntry,
    Kind,
    Overlay,
    Pin,
    Play,
    Played,
    Record,
    StoredCollection,
    Trashed,
    Written,
    anchor_key,
    decode_overlay,
    decode_pin,
    decode_play,
    decode_trashed,
    overlay_key,
    path_key,
    pin_record,
    trash_record,
    unpack_key,
)
from musicfs.store.state_changes import (
    plan_note_plays,
    plan_put,
    plan_put_collection,
    plan_reanchor,
    plan_remove_collection,
    read_collections,
    read_history,
)
from musicfs.store.state_engine import StateEngine
from musicfs.store.state_tables import Reading

_PAGE = 256  # what one short transaction reads of a long list


def open_state(state_dir: str) -> State:
    """Open the user's state, created or put right if need be. Blocks: some seconds when much has to be made anew.

    Raises MusicFSError when a newer version wrote it (which is left as it is), StoreError when another process has it
    open, DiskFullError.
    """
    return State(state_dir)


class State:
    """The opened state. Safe from any thread.

    Every method that changes something returns once that is on disk; changes that wait at the same time share the waiting.
    It raises DiskFullError or StoreError if that cannot be, and nothing has changed.
    """

    def __init__(self, state_dir: str) -> None:
        """Use :func:`open_state`."""
        self._engine = StateEngine(state_dir)
        try:
            self._images = Images(os.path.join(state_dir, "images"))
        except BaseException:
            self._engine.close()
            raise

    # What is there.

    @property
    def sequence(self) -> int:
        """The number of the last change; never goes back."""
        return self._engine.read(lambda read: read.sequence)

    @property
    def lineage(self) -> int:
        """Another one whenever this may not be the continuation of what it was: begun anew, or with something lost.

        Who follows :meth:`changed_since` starts from 0 then.
        """
        return self._engine.read(lambda read: read.lineage())

    def overlay(self, overlay_id: int) -> Overlay | None:
        """The overlay, or None."""
        return self._engine.read(lambda read: read.overlay(overlay_id))

    def overlay_at(self, origin_id: str, path: bytes) -> Overlay | None:
        """The overlay of this file of an origin, or None."""
        key = anchor_key((origin_id, path))
        return self._engine.read(lambda read: read.overlay_at(key))

    def overlays_of_audio(self, audio_id: int) -> list[Overlay]:
        """The overlays of tracks that had this audio when last seen, in the order of ids. 0 is nobody's."""

        def look(read: Reading) -> list[Overlay]:
            pairs = itertools.takewhile(lambda pair: pair[0] == audio_id, read.pairs(read.tables.audio, (audio_id, 0)))
            return [read.expected_overlay(overlay_id) for _, overlay_id in pairs]

        return self._engine.read(look)

    def overlays(self) -> Iterator[Overlay]:
        """Every overlay, in the order of ids. Each is as it is when it is read: what changes meanwhile may show or not."""
        start: int | None = 0
        while start is not None:
            page = self._engine.read(partial(_overlays_from, start=start))
            yield from page
            start = page[-1].id + 1 if len(page) == _PAGE else None

    def count_overlays(self) -> int:
        """How many there are, empty ones included."""
        return self._engine.read(lambda read: int(read.txn.stat(read.tables.records[Kind.OVERLAY])["entries"]))

    def changed_since(self, sequence: int) -> Iterator[tuple[int, int]]:
        """(sequence, overlay id) of every overlay that was changed or anchored after this number; each once, oldest first."""
        start: tuple[int, int] | None = (sequence + 1, 0)
        while start is not None:
            page = self._engine.read(partial(_changes_from, start=start))
            yield from page
            start = (page[-1][0], page[-1][1] + 1) if len(page) == _PAGE else None

    def history(self, overlay_id: int | None, limit: int) -> list[HistoryEntry]:
        """The last changes of an overlay, or of all of them, newest first."""
        return self._engine.read(lambda read: read_history(read, overlay_id, limit))

    # Changing overlays.

    def new_overlay_id(self) -> int:
        """A number (63 bits, not 0) that no overlay has."""
        while not (found := secrets.randbits(63)) or self.overlay(found) is not None:
            pass
        return found

    def put_overlays(self, changes: Sequence[Change], *, action: Action, author: str, time_ns: int) -> Written:
        """Store overlays as they are given, each with an entry in its history; all of them or none.

        Where fields or cover differ from what is there, ``changed_ns`` becomes ``time_ns``, or more where it would not grow
        by a second, and ``author`` this one; else both stay, and there is no entry unless it undoes one. An anchor that
        another overlay has becomes this one's.
        """
        written: list[Overlay] = []
        sequence = self._engine.write(plan_put(changes, action, author, time_ns, written))
        return Written(sequence, tuple(written))

    def reanchor(self, changes: Sequence[Anchoring]) -> Written:
        """Give overlays other anchors; all of them or none. NotFoundError for an unknown overlay.

        An anchor that another overlay has becomes this one's.
        """
        written: list[Overlay] = []
        sequence = self._engine.write(plan_reanchor(changes, written))
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
        records = self._engine.read(lambda read: list(read.rows(Kind.PIN)))
        found = (decode_pin(record.value) for record in records)
        return sorted((pin for pin in found if pin is not None), key=lambda pin: pin.path)

    def count_pins(self) -> int:
        """How many there are, without reading them."""
        return self._engine.read(lambda read: read.mark.pins)

    def put_pins(self, pins: Iterable[Pin]) -> None:
        """Pin, or pin again: all of them or none."""
        wanted = list(pins)
        self._engine.write(lambda _, sequence: [pin_record(pin.path, pin, sequence) for pin in wanted])

    def remove_pins(self, paths: Iterable[bytes]) -> None:
        """Unpin all of these paths; one that is not pinned is passed over."""
        unwanted = list(paths)

        def plan(read: Reading, sequence: int) -> list[Record]:
            found = {path: read.record(Kind.PIN, path_key(path)) for path in unwanted}
            pinned = (
                path for path, record in found.items() if record is not None and decode_pin(record.value) is not None
            )
            return [pin_record(path, None, sequence) for path in pinned]

        self._engine.write(plan)

    # Collections.

    def collections(self) -> list[StoredCollection]:
        """The user's collections, in the order of names."""
        return self._engine.read(read_collections)

    def put_collection(self, collection: StoredCollection) -> None:
        """Keep a collection, in the place of the one with its id. ValueError if another one has its name."""
        self._engine.write(plan_put_collection(collection))

    def remove_collection(self, name: str) -> None:
        """Forget a collection. NotFoundError if there is none of that name."""
        self._engine.write(plan_remove_collection(name))

    # Plays.

    def play(self, key: bytes) -> Play | None:
        """How often what has this key (of :func:`musicfs.store.overlays.play_key`) was played; None for never."""
        return self._engine.read(lambda read: read.play(key))

    def plays(self) -> Iterator[Play]:
        """Everything that was ever played, in the order of keys. Each is as it is when it is read."""
        start: bytes | None = b""
        while start is not None:
            page = self._engine.read(partial(_plays_from, start=start))
            yield from page
            start = page[-1].key + b"\0" if len(page) == _PAGE else None

    def count_plays(self) -> int:
        """How many different things were ever played."""
        return self._engine.read(lambda read: int(read.txn.stat(read.tables.records[Kind.PLAY])["entries"]))

    def note_plays(self, played: Sequence[Played]) -> None:
        """Count plays, in one change."""
        self._engine.write(plan_note_plays(played))

    # What was deleted.

    def trashed(self) -> Iterator[Trashed]:
        """Every deleted track, in the order of ids. Each is as it is when it is read."""
        start: int | None = 0
        while start is not None:
            page, start = self._engine.read(partial(_trashed_from, start=start))
            yield from page

    def trashed_track(self, trashed_id: int) -> Trashed | None:
        """The deleted track with this id, or None."""
        found = self._engine.read(lambda read: read.record(Kind.TRASH, overlay_key(trashed_id)))
        return None if found is None else decode_trashed(found.value)

    def put_trashed(self, tracks: Iterable[Trashed]) -> None:
        """Note deleted tracks, each in the place of the one with its id, in one change."""
        wanted = list(tracks)
        self._engine.write(lambda _, sequence: [trash_record(one.id, one, sequence) for one in wanted])

    def forget_trashed(self, trashed_ids: Iterable[int]) -> None:
        """Forget deleted tracks, in one change; an unknown one is passed over."""
        unwanted = list(trashed_ids)

        def plan(read: Reading, sequence: int) -> list[Record]:
            found = ((one, read.record(Kind.TRASH, overlay_key(one))) for one in unwanted)
            known = (one for one, record in found if record is not None and decode_trashed(record.value) is not None)
            return [trash_record(one, None, sequence) for one in known]

        self._engine.write(plan)

    # Its upkeep.

    def verify(self) -> list[str]:
        """Read and check everything, and put right what is wrong; says what that was. Blocks writers, some seconds at most.

        A picture that is damaged cannot be put right.
        """
        found = self._engine.verify()
        covers = {overlay.cover for overlay in self.overlays()} - {"", "-"}
        return [*found, *(f"the picture {key} is missing or damaged" for key in self._images.missing(covers))]

    def backup(self, musicfs: str) -> Iterator[bytes]:
        """A backup of the state as it is now, in pieces (see :mod:`musicfs.store.backup`). Raises StoreError."""
        from musicfs.store.backup import backup_pieces

        journal, size_bytes = self._engine.hold_journal()
        return backup_pieces(journal, size_bytes, self._images.folder, musicfs)

    def close(self) -> None:
        """Unmap the files, after checking them all: 0.1 s for 100,000 tracks. Nothing may be called any more."""
        self._engine.close()


def _overlays_from(read: Reading, start: int) -> list[Overlay]:
    rows = read.rows(Kind.OVERLAY, overlay_key(start))
    return [decode_overlay(record.value) for record in itertools.islice(rows, _PAGE)]


def _plays_from(read: Reading, start: bytes) -> list[Play]:
    return [decode_play(record.value) for record in itertools.islice(read.rows(Kind.PLAY, start), _PAGE)]


def _trashed_from(read: Reading, start: int) -> tuple[list[Trashed], int | None]:
    """Of a page of records those that are there, and where the next page begins."""
    records = list(itertools.islice(read.rows(Kind.TRASH, overlay_key(start)), _PAGE))
    found = [one for one in (decode_trashed(record.value) for record in records) if one is not None]
    return found, unpack_key(records[-1].key) + 1 if len(records) == _PAGE else None


def _changes_from(read: Reading, start: tuple[int, int]) -> list[tuple[int, int]]:
    return list(itertools.islice(read.pairs(read.tables.changes, start), _PAGE))
