"""Applying the user's corrections: into the state first, then into the catalog and the tree, at once.

Every correction goes the same way: what the state says of a track is turned into how each of its files is served
(``rendering``), and written with what follows for the tree in one transaction. It can therefore be done again at any time,
from any half: a crash between the state and the catalog is repaired by :meth:`Corrector.catch_up`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from musicfs.clock import Clock
from musicfs.library.overlays import OWN_COVER, Wanted, changed_cover, changed_fields, effective_tags, tags_digest
from musicfs.library.publish import Change as TreeChange
from musicfs.library.publish import Pictures, Tree, write_batch
from musicfs.library.rendering import Rendered, Renderer
from musicfs.model import Tags
from musicfs.store.catalog import Catalog
from musicfs.store.corrections import content_version
from musicfs.store.overlays import TIME_STEP_NS, Action, Anchor, Change, Layer, Overlay
from musicfs.store.records import TRASH_ORIGIN, ObjectRecord, unpack_facts
from musicfs.store.state import State
from musicfs.store.transaction import WriteTransaction
from musicfs.store.trashed import original_anchor

_BATCH_TRACKS = 200
_BATCH_BYTES = 16 << 20

# Told, after the commit, what numbers the tree's last change had before and after it, and the files that read otherwise.
OnEdited = Callable[[int, int, Sequence[int]], object]


class Track(msgspec.Struct, frozen=True):
    """The files that are one track, the served one first, and the overlays they have; usually none or one."""

    object_ids: tuple[int, ...]
    overlays: tuple[Overlay, ...]


class Edit(msgspec.Struct, frozen=True):
    """A change of the track that ``object_id`` is a file of. ``undoes`` is the entry of its history that it takes back."""

    object_id: int
    wanted: Wanted
    undoes: int = 0


class Edited(msgspec.Struct, frozen=True):
    """What an edit did, or would do: the tags and the cover as they read before and after.

    ``object_ids`` are the files of the track, none if it is gone. ``changed``: there was something to write down, though
    perhaps nothing reads otherwise, as when a correction is taken back of what the file says itself by now.
    """

    object_ids: tuple[int, ...] = ()
    before: Tags = {}
    after: Tags = {}
    cover_before: str = OWN_COVER
    cover_after: str = OWN_COVER
    changed: bool = False


class Files:
    """Objects of the catalog as files of origins."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._ids: dict[int, str] = {}

    def anchor(self, object_id: int) -> Anchor | None:
        """Where an object lies, or lay of which the file is deleted and the track restored; None if it is gone."""
        located = self._catalog.locate(object_id)
        if located is None:
            return None
        number, path, _ = located
        return original_anchor(path) if number == TRASH_ORIGIN else (self.origin_id(number), path)

    def at(self, anchor: Anchor) -> int | None:
        """The object that lies there, or None."""
        return self._catalog.object_at(*anchor)

    def origin_id(self, number: int) -> str:
        """The id of the origin with this number, empty if it is no longer configured."""
        if number not in self._ids:
            self._ids = {record.number: origin_id for origin_id, record in self._catalog.origins().items()}
        return self._ids.get(number, "")


class Corrector:
    """Safe from any thread: one edit at a time. ``tree`` and ``pictures`` are used by nobody else."""

    def __init__(
        self,
        catalog: Catalog,
        state: State,
        tree: Tree,
        renderer: Renderer,
        clock: Clock,
        priorities: Callable[[], Mapping[int, int]],
        on_commit: Callable[[], object],
        pictures: Pictures | None = None,
        keep_names_s: float = 600.0,
        on_edited: OnEdited | None = None,
    ) -> None:
        """``on_commit`` is called when there is something to see. Old names of edited files lead to them for a while."""
        self._catalog = catalog
        self._state = state
        self._tree = tree
        self._renderer = renderer
        self._clock = clock
        self._priorities = priorities
        self._on_commit = on_commit
        self._on_edited = on_edited
        self._pictures = pictures
        self._keep_names_ns = int(keep_names_s * 1e9)
        self.editing = threading.RLock()  # held by who changes the tree with `tree` and `pictures`
        self.has_pending = True  # whether something may wait for its origin; at the start nobody knows
        self._is_current = False  # the catalog has all that the state has, but for the edit that is being made
        self.files = Files(catalog)

    # What is.

    def track(self, object_id: int) -> Track:
        """The track that this file belongs to."""
        object_ids = self._catalog.track_of(object_id)
        overlays: dict[int, Overlay] = {}
        for one in object_ids:
            overlay = self._overlay_of(one)
            if overlay is not None:
                overlays.setdefault(overlay.id, overlay)
        return Track(tuple(object_ids), tuple(overlays.values()))

    def _overlay_of(self, object_id: int) -> Overlay | None:
        anchor = self.files.anchor(object_id)
        return self._state.overlay_at(*anchor) if anchor is not None else None

    def own_tags(self, object_id: int) -> Tags:
        """What the file itself says."""
        record = self._catalog.object(object_id)
        facts = unpack_facts(record.facts) if record is not None else None
        return facts.tags if facts is not None else {}

    # What is to be.

    def preview(self, edit: Edit) -> Edited:
        """What an edit would do. Raises ConfigError for values that no file can hold."""
        return self._plan(edit)[0]

    def apply(self, edits: Sequence[Edit], *, action: Action, author: str) -> list[Edited]:
        """Carry out edits in order; on disk and in the tree when this returns.

        Many are written at a time, as far as they are of different tracks. Blocks for the disk, and on origins for the heads
        and tails of the files. Raises ConfigError for values that no file can hold (:meth:`preview` finds these before),
        StoreError: of the edits that were to be written together with the one that failed nothing is done, or it is done
        when the disk can be written again.
        """
        done: list[Edited] = []
        while len(done) < len(edits):
            with self.editing:
                done += self._apply_some(edits[len(done) : len(done) + _BATCH_TRACKS], action, author)
        return done

    def _apply_some(self, edits: Sequence[Edit], action: Action, author: str) -> list[Edited]:
        """Carry out the first of these edits, as many as can be written together."""
        with self._catalog.writing:
            planned = self._plan_some(edits)
            changes = [change for edited, changes in planned for change in changes if edited.changed]
            if changes:
                self._state.put_overlays(changes, action=action, author=author, time_ns=self._clock.time_ns())
            seen = self._state.sequence if self._is_current else 0
        changed = dict.fromkeys(one for edited, _ in planned if edited.changed for one in edited.object_ids)
        changed |= dict.fromkeys(self._files_of(change.overlay for change in changes))  # also those no longer one track
        was_current, self._is_current = self._is_current, False
        self._write_all(self._render(changed), seen)
        self._is_current = was_current
        return [edited for edited, _ in planned]

    def _plan_some(self, edits: Sequence[Edit]) -> list[tuple[Edited, list[Change]]]:
        planned: list[tuple[Edited, list[Change]]] = []
        files: set[int] = set()
        overlays: set[int] = set()  # one may be of files that are no longer one track
        for edit in edits:
            edited, changes = self._plan(edit)
            theirs = {change.overlay.id for change in changes}
            if files.intersection(edited.object_ids) or overlays & theirs:
                break
            planned.append((edited, changes))
            files.update(edited.object_ids)
            overlays |= theirs
        return planned

    def _plan(self, edit: Edit) -> tuple[Edited, list[Change]]:
        if self._catalog.object(edit.object_id) is None:
            return Edited(), []
        track = self.track(edit.object_id)
        own = self.own_tags(track.object_ids[0])
        overlays = track.overlays or (Overlay(id=self._state.new_overlay_id()),)
        layers = [(one, self._layer(own, one, edit.wanted)) for one in overlays]
        before, after = overlays[0].layer, layers[0][1]
        edited = Edited(
            track.object_ids,
            effective_tags(own, before.fields),
            effective_tags(own, after.fields),
            before.cover,
            after.cover,
            bool(edit.undoes) or any(overlay.layer != layer for overlay, layer in layers),
        )
        changes = []
        for index, (overlay, layer) in enumerate(layers):
            changed = msgspec.structs.replace(overlay, fields=layer.fields, cover=layer.cover)
            changes.append(Change(self._anchored(changed, track.object_ids if not index else ()), edit.undoes))
        return edited, changes

    def _layer(self, own: Tags, overlay: Overlay, wanted: Wanted) -> Layer:
        return Layer(changed_fields(own, overlay.fields, wanted), changed_cover(overlay.cover, wanted))

    def _anchored(self, overlay: Overlay, object_ids: Iterable[int]) -> Overlay:
        """The overlay with those of the files added that no other overlay has, and what it is found again by."""
        anchors = dict.fromkeys(overlay.anchors)
        record: ObjectRecord | None = None
        for object_id in object_ids:
            anchor = self.files.anchor(object_id)
            holder = self._state.overlay_at(*anchor) if anchor is not None else None
            if anchor is not None and (holder is None or holder.id == overlay.id):
                anchors[anchor] = None
                record = record or self._catalog.object(object_id)
        facts = unpack_facts(record.facts) if record is not None else None
        found = {"anchors": tuple(anchors)}
        if facts is not None:
            return msgspec.structs.replace(
                overlay, **found, audio_id=facts.audio_id, own_digest=tags_digest(facts.tags)
            )
        return msgspec.structs.replace(overlay, **found)

    def _files_of(self, overlays: Iterable[Overlay]) -> Iterator[int]:
        found = (self.files.at(anchor) for overlay in overlays for anchor in overlay.anchors)
        return (object_id for object_id in found if object_id is not None)

    # From the state into the catalog.

    def refresh(self, object_ids: Iterable[int]) -> None:
        """Serve files as the state says now. Blocks on origins for what lies around their audio."""
        with self.editing:
            self._write_all(self._render(object_ids))

    def _render(self, object_ids: Iterable[int]) -> Iterator[Rendered]:
        for object_id in object_ids:
            record, overlay = self._catalog.object(object_id), self._overlay_of(object_id)
            if record is not None and overlay is not None:
                yield self._renderer.render(object_id, record, overlay)

    def _write_all(self, rendered: Iterable[Rendered], seen: int = 0) -> None:
        """Write as it is rendered: large pictures of many albums are never in memory together."""
        batch: list[Rendered] = []
        size_bytes = 0
        for one in rendered:
            batch.append(one)
            size_bytes += len(one.plan) + len(one.extra)
            if len(batch) == _BATCH_TRACKS or size_bytes > _BATCH_BYTES:
                self._write(batch)
                batch, size_bytes = [], 0
        self._write(batch, seen)

    def _write(self, batch: Sequence[Rendered], seen: int = 0, dropped: Sequence[int] = ()) -> None:
        """Write what was rendered, and let the tree follow, in one transaction.

        ``seen``: all changes of the state up to there are in the catalog with this.
        """

        def write(tx: WriteTransaction) -> tuple[int, int]:
            changes = [change for rendered in batch for change in self._put(tx, rendered)]
            changes += [change for object_id in dropped for change in self._drop(tx, object_id)]
            until_ns = self._clock.time_ns() + self._keep_names_ns
            self._tree.correct(tx, changes, self._priorities(), until_ns)
            if seen:
                tx.txn.put(_SEEN, msgspec.msgpack.encode((self._state.lineage, seen)), db=tx.tables.meta)
            return tx.last_change, tx.last_change + tx.changed

        if batch or seen or dropped:
            before, after = write_batch(self._catalog, self._pictures, write)
            if self._on_edited is not None:
                self._on_edited(before, after, [*(rendered.object_id for rendered in batch), *dropped])
            self._on_commit()

    def _put(self, tx: WriteTransaction, rendered: Rendered) -> Iterable[TreeChange]:
        object_id, correction = rendered.object_id, rendered.correction
        own, before, old = tx.object(object_id), tx.correction(object_id), tx.served(object_id)
        if own is None or old is None:
            return
        if correction.mark and correction.base != content_version(own):
            # It changed since: the scan has it looked at again.
            correction = msgspec.structs.replace(correction, mark=b"", pending=True)
        if before is not None and before.changed_ns >= correction.changed_ns:
            # Other bytes need a later time, also where the edit itself is older: a file was replaced, an origin came back.
            is_same = before.mark == correction.mark
            later_ns = before.changed_ns if is_same else max(before.changed_ns + TIME_STEP_NS, self._clock.time_ns())
            correction = msgspec.structs.replace(correction, changed_ns=later_ns)
        self.has_pending = self.has_pending or correction.pending
        tx.put_correction(object_id, correction, rendered.plan, rendered.extra)
        yield TreeChange(object_id, old, tx.served(object_id))

    def _drop(self, tx: WriteTransaction, object_id: int) -> Iterable[TreeChange]:
        """The user's state knows nothing of the correction any more."""
        old = tx.served(object_id)
        tx.remove_correction(object_id)
        if old is not None:
            yield TreeChange(object_id, old, tx.served(object_id))

    def catch_up(self) -> None:
        """Follow what the state has and the catalog does not, as after a crash or with a catalog that was built anew.

        A state that is not the continuation of what the catalog followed is followed from its beginning. Costs nothing while
        all is done; to be called until then.
        """
        with self.editing:
            if not self._is_current:
                self._catch_up()
                self._is_current = True

    def _catch_up(self) -> None:
        with self._catalog.env.begin() as txn:
            raw = txn.get(_SEEN, db=self._catalog.tables.meta)
        lineage, seen = msgspec.msgpack.decode(raw, type=tuple[int, int]) if raw is not None else (0, 0)
        upto = self._state.sequence
        if lineage != self._state.lineage or seen > upto:  # another state than the catalog followed, or an older copy
            seen = 0
            gone = [
                object_id
                for object_id, _ in self._catalog.corrections()
                if self._overlay_of(object_id) is None and self._catalog.object(object_id) is not None
            ]
            self._write((), dropped=gone)
        changed = {overlay_id for _, overlay_id in self._state.changed_since(seen)}
        overlays = filter(None, map(self._state.overlay, changed))
        self.refresh(self._files_of(overlays))
        self._write((), upto)


_SEEN = b"state_seen"
