"""What clients may ask about tags, and change of them: the MetadataBackend of the API over the library's corrections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import msgspec

from musicfs.api.metadata import (
    ChangeResult,
    FieldChange,
    HistoryItem,
    MetadataChange,
    TrackMetadata,
)
from musicfs.clock import Clock
from musicfs.daemon.tracks import Tracks, served_as
from musicfs.errors import ConfigError, FormatError, MusicFSError, NotFoundError, StoreError
from musicfs.events import EventBus, EventType
from musicfs.formats.images import describe_image
from musicfs.library.correcting import Corrector, Edit, Edited
from musicfs.library.overlays import NO_COVER, OWN_COVER, Wanted
from musicfs.model import Tags
from musicfs.store.catalog import Catalog
from musicfs.store.images import image_key
from musicfs.store.overlays import Action, HistoryEntry
from musicfs.store.state import State

_BATCH_TRACKS = 100  # written together
_BATCH_S = 0.5
_COVER_WORDS = {OWN_COVER: "own", NO_COVER: "removed"}


class _Batch(msgspec.Struct):
    """Edits that wait to be written together, with the change each comes from."""

    edits: list[Edit] = []
    indices: list[int] = []
    files: set[int] = set()
    begun: float = 0.0

    def is_due(self, now: float) -> bool:
        """True when it is time to write it."""
        return bool(self.edits) and (len(self.edits) >= _BATCH_TRACKS or now - self.begun > _BATCH_S)


Request = tuple[int, Callable[[], Sequence[Edit]]]  # a change's number, and what finds its edits


class MetadataControl:
    """Answers clients, on gRPC's threads."""

    def __init__(
        self,
        catalog: Catalog,
        state: State,
        tracks: Tracks,
        corrector: Corrector,
        events: EventBus,
        clock: Clock,
    ) -> None:
        self._catalog = catalog
        self._state = state
        self._tracks = tracks
        self._corrector = corrector
        self._events = events
        self._clock = clock

    def metadata(self, path: str, file_id: int) -> TrackMetadata:
        """One track."""
        return self._tracks.metadata(self._tracks.lookup(path, file_id))

    def tracks(self, paths: Sequence[str], query: str) -> Iterator[TrackMetadata | None]:
        """Tracks at and below paths that match a query."""
        matches = self._tracks.selecting(query, self._clock.time_ns())
        found = self._tracks.below(paths)
        return self._described(found, matches)

    def _described(self, found: Iterator[int], matches: Callable[[int], bool]) -> Iterator[TrackMetadata | None]:
        said = self._clock.monotonic()
        for object_id in found:
            if matches(object_id):
                yield self._tracks.metadata(object_id)
                said = self._clock.monotonic()
            elif self._clock.monotonic() - said > _BATCH_S:
                yield None
                said = self._clock.monotonic()

    # Changing.

    def change_metadata(
        self, changes: Sequence[MetadataChange], *, query: str, action: str, author: str, dry_run: bool
    ) -> Iterator[ChangeResult | None]:
        """Apply changes in order."""
        matches = self._tracks.selecting(query, self._clock.time_ns())
        find_by = self._tracks.finder()

        def edits_of(change: MetadataChange) -> list[Edit]:
            wanted = self._wanted(change, dry_run=dry_run)
            found: Iterable[int]
            if change.file_id or not change.path:
                found = (self._tracks.lookup("", change.file_id or find_by(change.match)),)
            else:
                found = self._tracks.below((change.path,))
            return [Edit(object_id, wanted) for object_id in found if matches(object_id)]

        requests = ((index, partial(edits_of, change)) for index, change in enumerate(changes))
        return self._carry_out(requests, _action(action), author, dry_run=dry_run)

    def _wanted(self, change: MetadataChange, *, dry_run: bool) -> Wanted:
        cover: str | None = NO_COVER if change.remove_cover else OWN_COVER if change.revert_cover else None
        if change.cover is not None:
            try:
                describe_image(change.cover)
            except FormatError as error:
                raise ConfigError(
                    f"the cover cannot be used: {error}", remedy="give a JPEG, PNG, GIF or WebP"
                ) from None
            cover = image_key(change.cover) if dry_run else self._state.put_image(change.cover)
        return Wanted(dict(change.set), change.revert, change.revert_all, cover)

    def undo_metadata(
        self, paths: Sequence[str], *, steps: int, author: str, dry_run: bool
    ) -> Iterator[ChangeResult | None]:
        """Take back the last changes of each track."""
        found: dict[int, int] = {}  # a track, and the first of the paths that stand for it
        for index, path in enumerate(paths):
            for object_id in self._tracks.below((path,)):
                found.setdefault(object_id, index)
        requests = (
            (index, partial(self._undoing, object_id, steps, dry_run=dry_run)) for object_id, index in found.items()
        )
        return self._carry_out(requests, "undo", author, dry_run=dry_run)

    def _undoing(self, object_id: int, steps: int, *, dry_run: bool) -> list[Edit]:
        """An edit for each step; without going through with them only what all together do."""
        overlays = self._corrector.track(object_id).overlays
        history = self._state.history(overlays[0].id, 10_000) if overlays else []
        standing = [entry for entry in history if not entry.undoes and not entry.undone_by][: max(steps, 0)]
        return [
            Edit(object_id, Wanted(entry.before.fields, revert_all=True, cover=entry.before.cover), entry.sequence)
            for entry in (standing[-1:] if dry_run else standing)
        ]

    def _carry_out(
        self, requests: Iterable[Request], action: Action, author: str, *, dry_run: bool
    ) -> Iterator[ChangeResult | None]:
        """What becomes of requests in their order, many written at a time."""
        batch = _Batch()
        for index, edits_of in requests:
            try:
                edits = edits_of()
            except NotFoundError as error:
                # It may be called by a name that it has once what waits is written.
                yield from self._flush(batch, action, author)
                batch = _Batch()
                edits, refused = _retried(edits_of, error)
                if refused is not None:
                    yield ChangeResult(index=index, error=str(refused), remedy=refused.remedy)
            except StoreError:
                raise
            except MusicFSError as error:
                yield ChangeResult(index=index, error=str(error), remedy=error.remedy)
                continue
            for edit in edits:
                if batch.is_due(self._clock.monotonic()) or edit.object_id in batch.files:
                    yield from self._flush(batch, action, author)
                    batch = _Batch()
                yield from self._add(batch, index, edit, dry_run=dry_run)
        yield from self._flush(batch, action, author)

    def _add(self, batch: _Batch, index: int, edit: Edit, *, dry_run: bool) -> Iterator[ChangeResult]:
        """Have an edit written with the batch; its result at once if there is nothing to write."""
        try:
            edited = self._corrector.preview(edit)
        except ConfigError as error:
            yield self._failed(index, edit, error)
            return
        if not edited.object_ids:
            yield self._gone(index, edit)
            return
        if dry_run or not edited.changed:
            path = self._tracks.path_of(edit.object_id)
            yield self._result(index, edit, edited, path, "" if dry_run else path)
            return
        batch.begun = batch.begun or self._clock.monotonic()
        batch.edits.append(edit)
        batch.indices.append(index)
        batch.files.update(edited.object_ids)

    def _flush(self, batch: _Batch, action: Action, author: str) -> Iterator[ChangeResult]:
        if not batch.edits:
            return
        before = [self._tracks.path_of(edit.object_id) for edit in batch.edits]
        done = self._corrector.apply(batch.edits, action=action, author=author)
        for index, edit, path, edited in zip(batch.indices, batch.edits, before, done, strict=True):
            result = self._result(index, edit, edited, path, self._tracks.path_of(edit.object_id))
            if not edited.object_ids:
                result = self._gone(index, edit)
            elif result.changes or result.cover_changed:
                self._publish(result)
            yield result

    def _result(self, index: int, edit: Edit, edited: Edited, path: str, new_path: str) -> ChangeResult:
        return ChangeResult(
            index=index,
            file_id=edit.object_id,
            path=path,
            new_path=new_path,
            changes=field_changes(edited.before, edited.after),
            cover_changed=edited.cover_before != edited.cover_after,
            reason=self._reason(edit.object_id) if new_path else "",
        )

    def _gone(self, index: int, edit: Edit) -> ChangeResult:
        return self._failed(index, edit, NotFoundError(f"the track with the id {edit.object_id} is gone"))

    def _failed(self, index: int, edit: Edit, error: MusicFSError) -> ChangeResult:
        path = self._tracks.path_of(edit.object_id)
        return ChangeResult(index=index, file_id=edit.object_id, path=path, error=str(error), remedy=error.remedy)

    def _reason(self, object_id: int) -> str:
        """Why the bytes do not show all that was changed; empty if they do."""
        record, correction = self._catalog.object(object_id), self._catalog.correction(object_id)
        if record is None or correction is None:
            return ""
        reason = served_as(record, correction)[1]
        return reason or "; ".join(f"{field}: {why}" for field, why in correction.unfit.items())

    def _publish(self, result: ChangeResult) -> None:
        fields = [change.field for change in result.changes] + (["cover"] if result.cover_changed else [])
        anchor = self._corrector.files.anchor(result.file_id)
        self._events.publish(
            EventType.METADATA_CHANGED,
            origin_id=anchor[0] if anchor is not None else "",
            path=result.new_path,
            file_id=result.file_id,
            fields=",".join(fields),
            track_id=result.file_id,
        )

    # Looking back.

    def held_metadata(self) -> Iterator[TrackMetadata | None]:
        """Corrections whose files are gone."""
        return self._tracks.held()

    def metadata_log(self, path: str, limit: int) -> tuple[HistoryItem, ...]:
        """The last changes, newest first."""
        if not path:
            return tuple(self._item(entry) for entry in self._state.history(None, limit))
        overlays = {
            one.id: None for found in self._tracks.below((path,)) for one in self._corrector.track(found).overlays
        }
        entries = [entry for overlay_id in overlays for entry in self._state.history(overlay_id, limit)]
        entries.sort(key=lambda entry: -entry.sequence)
        return tuple(self._item(entry) for entry in entries[:limit])

    def _item(self, entry: HistoryEntry) -> HistoryItem:
        overlay = self._state.overlay(entry.overlay_id)
        anchors = overlay.anchors if overlay is not None else ()
        found = (self._corrector.files.at(anchor) for anchor in anchors)
        object_id = next((one for one in found if one is not None), None)
        origin_id, origin_path = anchors[0] if anchors else ("", b"")
        is_changed = entry.before.cover != entry.after.cover
        return HistoryItem(
            sequence=entry.sequence,
            time_ms=entry.time_ns // 1_000_000,
            author=entry.author,
            action=entry.action,
            path=self._tracks.path_of(object_id) if object_id is not None else "",
            origin_id=origin_id,
            origin_path=origin_path.decode("utf-8", "surrogateescape"),
            changes=field_changes(entry.before.fields, entry.after.fields),
            cover=_COVER_WORDS.get(entry.after.cover, "set") if is_changed else "",
        )


def field_changes(before: Tags, after: Tags) -> tuple[FieldChange, ...]:
    """The fields that differ, by name."""
    fields = sorted(before.keys() | after.keys())
    return tuple(
        FieldChange(field, before.get(field, ()), after.get(field, ()))
        for field in fields
        if before.get(field, ()) != after.get(field, ()) or (field in before) != (field in after)
    )


def _action(name: str) -> Action:
    actions: dict[str, Action] = {"set": "set", "clear": "clear", "import": "import"}
    return actions.get(name, "set")


def _retried(edits_of: Callable[[], Sequence[Edit]], first: MusicFSError) -> tuple[Sequence[Edit], MusicFSError | None]:
    """The edits now, or what still stands against them."""
    try:
        return edits_of(), None
    except NotFoundError:
        return (), first
