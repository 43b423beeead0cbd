"""What users do with the trash, and having the catalog follow what the state says of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import TypeVar

import msgspec

from musicfs.clock import Clock
from musicfs.library.publish import Change, Pictures, Tree, write_batch
from musicfs.library.rendering import Rendered, Renderer
from musicfs.library.trash import Shelf, Trash, trashed_object
from musicfs.store.catalog import Catalog
from musicfs.store.correction_tables import read_correction
from musicfs.store.overlays import TIME_STEP_NS, Trashed
from musicfs.store.records import TRASH_ORIGIN
from musicfs.store.state import State
from musicfs.store.transaction import WriteTransaction
from musicfs.store.trashed import TrashedObject, iterate_trashed, trash_path

_BATCH_TRACKS = 500
_BATCH_RENDERED = 20  # each may have a picture of megabytes

_T = TypeVar("_T")
_Work = Callable[[WriteTransaction, Sequence[_T]], list[int]]  # returns the ids of what it has changed


class TrashEdits:
    """Safe from any thread, one at a time."""

    def __init__(
        self,
        catalog: Catalog,
        state: State,
        trash: Trash,
        shelf: Shelf,
        renderer: Renderer,
        tree: Tree,
        clock: Clock,
        priorities: Callable[[], Mapping[int, int]],
        on_commit: Callable[[], object],
        pictures: Pictures | None,
        editing: AbstractContextManager[object],
    ) -> None:
        """``on_commit`` is called when there is something to see. ``editing`` is held while the tree is
        changed by ``tree`` and ``pictures``.
        """
        self._editing = editing
        self._catalog = catalog
        self._state = state
        self._trash = trash
        self._shelf = shelf
        self._renderer = renderer
        self._tree = tree
        self._clock = clock
        self._priorities = priorities
        self._on_commit = on_commit
        self._pictures = pictures

    def restore(self, trashed_ids: Iterable[int]) -> list[int]:
        """Have deleted tracks in the tree again, until their files return; returns those that are by this.

        What is served of them is what is stored. One is passed over while another version of its file is restored.
        """
        return self._each(trashed_ids, self._restore)

    def forget(self, trashed_ids: Iterable[int]) -> list[int]:
        """Forget deleted tracks, restored or not; returns those that there were."""
        return self._each(trashed_ids, self._forget)

    def reconcile(self) -> None:
        """Make the catalog have what the state says is deleted: after a crash in between, or in a new catalog.

        On any thread: what a scan does meanwhile is left as that says.
        """
        with self._catalog.snapshot() as txn:
            known = {one.id: one.is_restored for _, one in iterate_trashed(txn, self._catalog.tables)}
        missing, restored, retracted = [], [], []
        for track in self._state.trashed():
            is_restored = known.pop(track.id, None)
            if is_restored is None:
                missing.append(track.id)
            if track.restored_ns and not is_restored:
                restored.append(track.id)
            if is_restored and not track.restored_ns:
                retracted.append(track.id)
        self._each(retracted, self._retract)
        self._each([*missing, *retracted], self._make_again)
        self._each(restored, lambda tx, batch: self._place(tx, self._restorable(tx, batch)))
        self._each(known, self._forget_unknown)

    def render_pending(self) -> None:
        """Serve the corrected bytes of deleted tracks that :meth:`reconcile` has made again, as far as what is stored of them
        allows: those that cannot be read stay as their origins had them. Reads the content store; to be called once.
        """
        tables = self._catalog.tables
        with self._catalog.snapshot() as txn:
            pending = [
                (object_id, trashed)
                for object_id, trashed in iterate_trashed(txn, tables)
                if not trashed.is_restored
                and (correction := read_correction(txn, tables, object_id)) is not None
                and correction.pending
            ]
        remaining = iter(pending)
        while batch := list(islice(remaining, _BATCH_RENDERED)):
            overlays = [(*one, self._state.overlay_at(*one[1].anchor)) for one in batch]
            rendered = [
                self._renderer.render(object_id, trashed.record, overlay)
                for object_id, trashed, overlay in overlays
                if overlay is not None
            ]
            self._write(self._put, rendered)

    def _put(self, tx: WriteTransaction, batch: Sequence[Rendered]) -> list[int]:
        done: dict[int, TrashedObject] = {}
        for one in batch:
            trashed, before = tx.trashed(one.object_id), tx.correction(one.object_id)
            if trashed is None or trashed.is_restored or before is None or not before.pending or one.correction.pending:
                continue
            later_ns = max(before.changed_ns + TIME_STEP_NS, self._clock.time_ns())  # other bytes need a later time
            correction = msgspec.structs.replace(one.correction, changed_ns=later_ns)
            tx.put_correction(one.object_id, correction, one.plan, one.extra)
            done[one.object_id] = trashed
        self._shelf.remove(tx, done.items())
        self._shelf.put(tx, done.items())
        return list(done)

    def _each(self, trashed_ids: Iterable[int], work: _Work[int]) -> list[int]:
        """Do the work in transactions that are short; returns what it returned."""
        done: list[int] = []
        remaining = iter(trashed_ids)
        while batch := list(islice(remaining, _BATCH_TRACKS)):
            done += self._write(work, batch)
        return done

    def _write(self, work: _Work[_T], batch: Sequence[_T]) -> list[int]:
        with self._editing:
            done = write_batch(self._catalog, self._pictures, lambda tx: work(tx, batch))
        if done:
            self._on_commit()
        return done

    def _restore(self, tx: WriteTransaction, trashed_ids: Sequence[int]) -> list[int]:
        now_ns = self._clock.time_ns()
        found = self._restorable(tx, trashed_ids)
        tracks = [self._state.trashed_track(one.id) for one in found.values()]
        self._state.put_trashed(
            msgspec.structs.replace(track, restored_ns=now_ns) for track in tracks if track is not None
        )
        return self._place(tx, found)

    def _restorable(self, tx: WriteTransaction, trashed_ids: Collection[int]) -> dict[int, TrashedObject]:
        found: dict[int, TrashedObject] = {}
        places: set[bytes] = set()
        for object_id in map(tx.trashed_object, trashed_ids):
            trashed = tx.trashed(object_id) if object_id else None
            if trashed is None or trashed.is_restored:
                continue
            path = trash_path(trashed.anchor)
            folder_id = tx.folder_id(TRASH_ORIGIN, path.rpartition(b"/")[0])
            is_taken = folder_id is not None and trashed.record.name in tx.files_of(folder_id)
            if path not in places and not is_taken:
                places.add(path)
                found[object_id] = trashed
        return found

    def _place(self, tx: WriteTransaction, found: Mapping[int, TrashedObject]) -> list[int]:
        """Make objects of deleted tracks, and let the tree follow."""
        self._shelf.remove(tx, found.items())
        changes = []
        for object_id, trashed in found.items():
            folder = trash_path(trashed.anchor).rpartition(b"/")[0]
            folder_id = tx.folder_id(TRASH_ORIGIN, folder) or tx.add_folder(TRASH_ORIGIN, folder)
            record = msgspec.structs.replace(trashed.record, folder=folder_id)
            tx.put_trashed(object_id, msgspec.structs.replace(trashed, record=record, inode=0, is_restored=True))
            tx.put_object(object_id, record, 0)
            changes.append(Change(object_id, None, tx.served(object_id)))
        self._tree.apply(tx, changes, self._priorities())
        return [one.id for one in found.values()]

    def _retract(self, tx: WriteTransaction, trashed_ids: Sequence[int]) -> list[int]:
        """Have the catalog know nothing of tracks that the state, which is an older copy, says otherwise of."""
        found = self._known(tx, trashed_ids)
        self._tree.apply(tx, self._trash.ending(tx, found).changes, self._priorities())
        self._trash.drop(tx, found)
        return [one.id for one in found.values()]

    def _known(self, tx: WriteTransaction, trashed_ids: Iterable[int]) -> dict[int, TrashedObject]:
        ids = map(tx.trashed_object, trashed_ids)
        return {one: trashed for one in ids if one and (trashed := tx.trashed(one)) is not None}

    def _forget(self, tx: WriteTransaction, trashed_ids: Sequence[int]) -> list[int]:
        found = self._known(tx, trashed_ids)
        ending = self._trash.ending(tx, found)
        self._tree.apply(tx, ending.changes, self._priorities())
        self._trash.forget(tx, ending)
        return [one.id for one in found.values()]

    def _forget_unknown(self, tx: WriteTransaction, trashed_ids: Sequence[int]) -> list[int]:
        """Forget those that the state still has not."""
        return self._forget(tx, [one for one in trashed_ids if self._state.trashed_track(one) is None])

    def _make_again(self, tx: WriteTransaction, trashed_ids: Sequence[int]) -> list[int]:
        absent = (one for one in trashed_ids if not tx.trashed_object(one))  # a scan may just have put it there
        tracks = [track for track in map(self._state.trashed_track, absent) if track is not None]
        living = {track.id for track in tracks if self._is_there(tx, track)}
        self._state.forget_trashed(living)
        objects = [(tx.new_object_id(), trashed_object(track)) for track in tracks if track.id not in living]
        for object_id, trashed in objects:
            overlay = self._state.overlay_at(*trashed.anchor)
            if overlay is not None:
                tx.put_correction(object_id, self._renderer.unrendered(object_id, trashed.record, overlay).correction)
        self._trash.show(tx, objects)
        return [one.id for _, one in objects]

    def _is_there(self, tx: WriteTransaction, track: Trashed) -> bool:
        """Whether its file is still listed: a crash came between its end in the state and that in the catalog."""
        origin = tx.origin_numbers().get(track.origin_id)
        folder, _, name = track.path.rpartition(b"/")
        folder_id = tx.folder_id(origin, folder) if origin is not None else None
        found = tx.files_of(folder_id).get(name) if folder_id is not None else None
        record = tx.object(found[0]) if found is not None else None
        return record is not None and (record.size, record.version) == (track.size, track.version)
