"""Recognising a file that was moved, so that it keeps its id and what is known about it."""

from __future__ import annotations

import os

from musicfs.library.classify import is_audio_name
from musicfs.library.publish import Learned
from musicfs.origins.contract import LocalPaths, Origin
from musicfs.store.catalog import Catalog
from musicfs.store.records import ObjectKind, ObjectRecord


class Moves:
    """The moves within one origin during one scan.

    A file is taken for moved if another of the same identity is known whose old path is gone: its deletion, which a scan
    believes at its end only, is then none. ``found`` are the objects this is true of.
    """

    def __init__(self, catalog: Catalog, origin: Origin, number: int) -> None:
        self._catalog = catalog
        self._origin = origin
        self._number = number
        self.found: set[int] = set()
        self._claimed: set[int] = set()

    def look(self, learned: Learned) -> None:
        """Say of a new file what it was, if anything: for sure where asking costs nothing, else in ``moved_from``."""
        if not learned.identity:
            return
        candidates = []
        for object_id in self._catalog.objects_with_identity(learned.identity):
            located = self._catalog.locate(object_id)
            if object_id in self.found or object_id in self._claimed or located is None:
                continue
            number, path, record = located
            if number == self._number and _is_same(record, learned):
                candidates.append((object_id, os.fsdecode(path), record))
        if isinstance(self._origin, LocalPaths):
            for object_id, old_path, record in candidates:
                if self._origin.stat(old_path) is None:
                    learned.object_id = object_id
                    learned.moved = record.kind != ObjectKind.OPAQUE  # what could not be read is tried again
                    self.found.add(object_id)
                    return
        elif len(candidates) == 1 and candidates[0][2].kind == ObjectKind.AUDIO:
            # One request to learn what it was instead of two to read it; of several, none may be it.
            learned.moved_from = candidates[0][:2]
            self._claimed.add(candidates[0][0])

    def settle(self, learned: Learned) -> None:
        """Take the answer to ``moved_from``."""
        if learned.moved_from is None or learned.result is None:
            return
        object_id, _ = learned.moved_from
        self._claimed.discard(object_id)
        if learned.result.moved:
            learned.object_id, learned.moved = object_id, True
            self.found.add(object_id)


def _is_same(record: ObjectRecord, learned: Learned) -> bool:
    """A sidecar that becomes audio by its name (``a.flac.part``, a finished download) is another object."""
    entry = learned.entry
    if (record.kind == ObjectKind.SIDECAR) == is_audio_name(learned.name) or record.size != entry.size:
        return False
    return record.mtime_ns == entry.mtime_ns if entry.inode else record.version == entry.version.encode()
