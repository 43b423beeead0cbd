"""What a change of the state writes down: records, planned from what is there. Nothing here writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from musicfs.errors import NotFoundError
from musicfs.store.overlays import (
    TIME_STEP_NS,
    Action,
    Anchoring,
    Change,
    HistoryEntry,
    Kind,
    Layer,
    Overlay,
    Play,
    Played,
    Record,
    StoredCollection,
    anchor_key,
    collection_record,
    decode_collection,
    decode_history,
    history_record,
    overlay_record,
    pair_key,
    play_record,
)
from musicfs.store.state_tables import Reading

Plan = Callable[[Reading, int], list[Record]]  # (what is there, the change's number) -> what is written


def plan_put(changes: Sequence[Change], action: Action, author: str, time_ns: int, written: list[Overlay]) -> Plan:
    """See :meth:`musicfs.store.state.State.put_overlays`; the overlays as they are stored come into ``written``."""

    def plan(read: Reading, sequence: int) -> list[Record]:
        written.clear()
        batch = _Batch(read)
        entries: dict[int, HistoryEntry] = {}
        for change in changes:
            before = batch.overlay(change.overlay.id)
            overlay = _stamped(before, change.overlay, author, time_ns)
            old = before.layer if before is not None else Layer()
            if old != overlay.layer or change.undoes:
                if overlay.id in entries:
                    raise ValueError(f"overlay {overlay.id} is changed twice in one batch")
                entries[overlay.id] = HistoryEntry(
                    sequence, overlay.id, time_ns, author, action, old, overlay.layer, change.undoes
                )
            written.append(overlay)
            batch.put(overlay)
        return [*batch.settle(sequence, written), *map(history_record, entries.values())]

    return plan


def plan_reanchor(changes: Sequence[Anchoring], written: list[Overlay]) -> Plan:
    """See :meth:`musicfs.store.state.State.reanchor`; the overlays as they are stored come into ``written``."""

    def plan(read: Reading, sequence: int) -> list[Record]:
        written.clear()
        batch = _Batch(read)
        for change in changes:
            before = batch.overlay(change.overlay_id)
            if before is None:
                raise NotFoundError(f"there is no overlay {change.overlay_id}")
            overlay = msgspec.structs.replace(
                before,
                anchors=change.anchors,
                audio_id=before.audio_id if change.audio_id is None else change.audio_id,
                own_digest=before.own_digest if change.own_digest is None else change.own_digest,
            )
            written.append(overlay)
            batch.put(overlay)
        return batch.settle(sequence, written)

    return plan


def _stamped(before: Overlay | None, overlay: Overlay, author: str, time_ns: int) -> Overlay:
    if before is None:
        return msgspec.structs.replace(overlay, changed_ns=time_ns, author=author)
    if before.layer == overlay.layer:
        return msgspec.structs.replace(overlay, changed_ns=before.changed_ns, author=before.author)
    return msgspec.structs.replace(overlay, changed_ns=max(time_ns, before.changed_ns + TIME_STEP_NS), author=author)


class _Batch:
    """Overlays that are put one after the other, and are written together."""

    def __init__(self, read: Reading) -> None:
        self._read = read
        self._stored: dict[int, Overlay | None] = {}  # what is there, of each that is looked at
        self._put: dict[int, Overlay] = {}  # in the order of their last putting

    def overlay(self, overlay_id: int) -> Overlay | None:
        """As it is with what was put so far, but for the anchors that others took."""
        return self._put.get(overlay_id) or self._look(overlay_id)

    def put(self, overlay: Overlay) -> None:
        self._put.pop(overlay.id, None)
        self._put[overlay.id] = overlay

    def settle(self, sequence: int, written: list[Overlay]) -> list[Record]:
        """The records of what changes, with those that lose an anchor: of two in one batch the later has it, also when it
        had it before. What is in ``written`` becomes what is stored."""
        owners = {anchor_key(anchor): overlay.id for overlay in self._put.values() for anchor in overlay.anchors}
        result = dict(self._put)
        for key in owners:
            holder = self._read.overlay_at(key)
            if holder is not None and holder.id not in result:
                result[holder.id] = self._stored[holder.id] = holder
        for number, overlay in result.items():
            kept = tuple(one for one in overlay.anchors if owners.get(anchor_key(one), number) == number)
            if kept != overlay.anchors:
                result[number] = msgspec.structs.replace(overlay, anchors=kept)
        written[:] = [result[overlay.id] for overlay in written]
        return [overlay_record(one, sequence) for one in result.values() if one != self._look(one.id)]

    def _look(self, overlay_id: int) -> Overlay | None:
        if overlay_id not in self._stored:
            self._stored[overlay_id] = self._read.overlay(overlay_id)
        return self._stored[overlay_id]


def read_collections(read: Reading) -> list[StoredCollection]:
    """See :meth:`musicfs.store.state.State.collections`."""
    found = (decode_collection(record.value) for record in read.rows(Kind.COLLECTION))
    return sorted((one for one in found if one is not None), key=lambda one: (one.name, one.id))


def plan_put_collection(collection: StoredCollection) -> Plan:
    """See :meth:`musicfs.store.state.State.put_collection`."""

    def plan(read: Reading, sequence: int) -> list[Record]:
        for other in read_collections(read):
            if other.name == collection.name and other.id != collection.id:
                raise ValueError(f"there is another collection {collection.name!r}")
            if other == collection:
                return []
        return [collection_record(collection.id, collection, sequence)]

    return plan


def plan_remove_collection(name: str) -> Plan:
    """See :meth:`musicfs.store.state.State.remove_collection`."""

    def plan(read: Reading, sequence: int) -> list[Record]:
        found = [one for one in read_collections(read) if one.name == name]
        if not found:
            raise NotFoundError(f"there is no collection {name!r}")
        return [collection_record(one.id, None, sequence) for one in found]

    return plan


def plan_note_plays(played: Sequence[Played]) -> Plan:
    """See :meth:`musicfs.store.state.State.note_plays`."""

    def plan(read: Reading, sequence: int) -> list[Record]:
        counted: dict[bytes, Play] = {}
        for one in played:
            before = counted.get(one.key) or read.play(one.key)
            if before is None:
                counted[one.key] = Play(one.key, 1, one.time_ns, one.time_ns, one.anchor)
                continue
            counted[one.key] = Play(
                one.key,
                before.count + 1,
                min(before.first_ns, one.time_ns),
                max(before.last_ns, one.time_ns),
                one.anchor if one.time_ns >= before.last_ns else before.anchor,
            )
        return [play_record(one, sequence) for one in counted.values()]

    return plan


def read_history(read: Reading, overlay_id: int | None, limit: int) -> list[HistoryEntry]:
    """See :meth:`musicfs.store.state.State.history`."""
    found: list[HistoryEntry] = []
    undone: dict[tuple[int, int], int] = {}  # (overlay, sequence) -> the entry that took it back
    for key in _history_keys(read, overlay_id):
        if len(found) >= limit:
            break
        record = read.record(Kind.HISTORY, key)
        if record is None:
            continue  # lost with damage to everything
        entry = decode_history(record.value)
        by = undone.get((entry.overlay_id, entry.sequence), 0)
        if entry.undoes and not by:
            undone[entry.overlay_id, entry.undoes] = entry.sequence
        found.append(msgspec.structs.replace(entry, undone_by=by))
    return found


def _history_keys(read: Reading, overlay_id: int | None) -> Iterable[bytes]:
    tables = read.tables
    if overlay_id is None:
        return (pair_key(*pair) for pair in read.pairs_backwards(tables.records[Kind.HISTORY], None))
    pairs = read.pairs_backwards(tables.histories, overlay_id)
    return (pair_key(sequence, found) for found, sequence in pairs)
