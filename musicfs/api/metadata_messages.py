"""Values of ``metadata`` to protobuf messages and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.metadata import (
    MAX_COVER_BYTES,
    ChangeResult,
    Cover,
    FieldChange,
    Fields,
    HistoryItem,
    MetadataChange,
    Served,
    TrackMetadata,
)
from musicfs.api.metadata_scalars import scalar_changes, set_scalars
from musicfs.api.wire import u32, u64, wire_text
from musicfs.errors import ConfigError
from musicfs.model import Technical

E = TypeVar("E", bound=StrEnum)


def track_message(track: TrackMetadata) -> pb.MetadataResponse:
    technical = track.technical
    message = pb.MetadataResponse(
        file_id=track.file_id,
        format=wire_text(track.format) or None,
        duration_ms=u64(technical.duration_ms) or None,
        bitrate=u64(technical.bitrate) or None,
        channels=u32(technical.channels) or None,
        bits_per_sample=u32(technical.bits_per_sample) or None,
        path=wire_text(track.path),
        origin_id=wire_text(track.origin_id),
        origin_path=wire_text(track.origin_path),
        codec=wire_text(technical.codec),
        sample_rate=u32(technical.sample_rate),
        own=_fields_message(track.own),
        overlay=_fields_message(track.overlay),
        effective=_fields_message(track.effective),
        cover=track.cover.value,
        served=track.served.value,
        reason=wire_text(track.reason),
        unfit=_map_message(track.unfit),
        changed_ms=track.changed_ms,
        author=wire_text(track.author),
    )
    set_scalars(message, track.effective)
    return message


def track_value(message: pb.MetadataResponse) -> TrackMetadata:
    return TrackMetadata(
        file_id=message.file_id,
        path=message.path,
        origin_id=message.origin_id,
        origin_path=message.origin_path,
        format=message.format,
        technical=Technical(
            duration_ms=message.duration_ms,
            bitrate=message.bitrate,
            sample_rate=message.sample_rate,
            channels=message.channels,
            bits_per_sample=message.bits_per_sample,
            codec=message.codec,
        ),
        own=_fields_value(message.own),
        overlay=_fields_value(message.overlay),
        effective=_fields_value(message.effective),
        cover=_member(Cover, message.cover, Cover.OWN),
        served=_member(Served, message.served, Served.ORIGINAL),
        reason=message.reason,
        unfit=dict(message.unfit),
        changed_ms=message.changed_ms,
        author=message.author,
    )


def change_message(change: MetadataChange) -> pb.UpdateMetadataRequest:
    return pb.UpdateMetadataRequest(
        file_id=change.file_id,
        path=wire_text(change.path),
        match=_map_message(change.match),
        set=_fields_message(change.set),
        revert=[wire_text(name) for name in change.revert],
        revert_all=change.revert_all,
        cover=change.cover,
        remove_cover=change.remove_cover,
        revert_cover=change.revert_cover,
    )


def change_value(message: pb.UpdateMetadataRequest, file_id: int = 0) -> MetadataChange:
    """The change that ``message`` asks for, of ``file_id`` if that is not 0. ConfigError for one that makes no sense."""
    if file_id and message.file_id not in (0, file_id):
        raise ConfigError(f"file_id: {file_id} and {message.file_id} are two tracks")
    change = MetadataChange(
        file_id=file_id or message.file_id,
        path=message.path,
        match=dict(message.match),
        set=_set_value(message),
        revert=tuple(message.revert),
        revert_all=message.revert_all,
        cover=message.cover if message.HasField("cover") else None,
        remove_cover=message.remove_cover,
        revert_cover=message.revert_cover,
    )
    _check_target(change)
    _check_fields(change)
    check_cover(change)
    return change


def item_value(item: pb.BatchUpdateItem) -> MetadataChange:
    """The change of one item of a batch, as :func:`change_value`."""
    if item.metadata.author or item.metadata.dry_run:
        raise ConfigError("author and dry_run are the batch's, not an item's")
    return change_value(item.metadata, item.file_id)


def _set_value(message: pb.UpdateMetadataRequest) -> Fields:
    changes = scalar_changes(message)
    for field in message.set:
        if field.name in changes:
            raise ConfigError(f'the field "{field.name}" is given twice')
        changes[field.name] = tuple(field.values)
    return changes


def _check_target(change: MetadataChange) -> None:
    if change.file_id < 0 or not (change.file_id or change.path or change.match):
        raise ConfigError("file_id must be 1 or more", remedy="or give a path or what to match")
    if "\0" in change.path:
        raise ConfigError("a path holds a NUL character")


def _check_fields(change: MetadataChange) -> None:
    if not all((*change.set, *change.revert, *change.match)):
        raise ConfigError("the name of a field is empty")
    twice = [name for name in change.revert if name in change.set]
    if twice:
        raise ConfigError(f'the field "{twice[0]}" is set and reverted')


def check_cover(change: MetadataChange) -> None:
    """Raises ConfigError for a cover that is too large, or several things to do with it."""
    if (change.cover is not None) + change.remove_cover + change.revert_cover > 1:
        raise ConfigError("the cover can be set, removed or reverted, one of them")
    if change.cover is not None and not 0 < len(change.cover) <= MAX_COVER_BYTES:
        raise ConfigError(
            f"the cover has {len(change.cover)} bytes, 1 to {MAX_COVER_BYTES} are possible",
            remedy="make the picture smaller",
        )


def result_message(result: ChangeResult) -> pb.TrackChange:
    return pb.TrackChange(
        index=u32(result.index),
        file_id=result.file_id,
        path=wire_text(result.path),
        new_path=wire_text(result.new_path),
        changes=_changes_message(result.changes),
        cover_changed=result.cover_changed,
        reason=wire_text(result.reason),
        error=wire_text(result.error),
        remedy=wire_text(result.remedy),
        total=u32(result.total),
    )


def result_value(message: pb.TrackChange) -> ChangeResult:
    return ChangeResult(
        index=message.index,
        file_id=message.file_id,
        path=message.path,
        new_path=message.new_path,
        changes=_changes_value(message.changes),
        cover_changed=message.cover_changed,
        reason=message.reason,
        error=message.error,
        remedy=message.remedy,
        total=message.total,
    )


def error_text(result: ChangeResult, row: int | None = None) -> str | None:
    """What went wrong in one line, None if nothing did."""
    if not result.error:
        return None
    text = f"{result.error}; {result.remedy}" if result.remedy else result.error
    return wire_text(text if row is None else f"row {row}: {text}")


def shown_path(result: ChangeResult) -> str | None:
    """Where the track is now, None if there is none."""
    return wire_text(result.new_path or result.path) or None


def history_message(item: HistoryItem) -> pb.MetadataLogEntry:
    return pb.MetadataLogEntry(
        sequence=item.sequence,
        time_ms=item.time_ms,
        author=wire_text(item.author),
        action=wire_text(item.action),
        path=wire_text(item.path),
        origin_id=wire_text(item.origin_id),
        origin_path=wire_text(item.origin_path),
        changes=_changes_message(item.changes),
        cover=wire_text(item.cover),
    )


def history_value(message: pb.MetadataLogEntry) -> HistoryItem:
    return HistoryItem(
        sequence=message.sequence,
        time_ms=message.time_ms,
        author=message.author,
        action=message.action,
        path=message.path,
        origin_id=message.origin_id,
        origin_path=message.origin_path,
        changes=_changes_value(message.changes),
        cover=message.cover,
    )


def _fields_message(fields: Fields) -> list[pb.FieldValues]:
    return [
        pb.FieldValues(name=wire_text(name), values=[wire_text(value) for value in values])
        for name, values in fields.items()
    ]


def _fields_value(fields: Iterable[pb.FieldValues]) -> Fields:
    return {field.name: tuple(field.values) for field in fields}


def _changes_message(changes: Sequence[FieldChange]) -> list[pb.FieldChange]:
    return [
        pb.FieldChange(
            field=wire_text(change.field),
            before=[wire_text(value) for value in change.before],
            after=[wire_text(value) for value in change.after],
        )
        for change in changes
    ]


def _changes_value(changes: Iterable[pb.FieldChange]) -> tuple[FieldChange, ...]:
    return tuple(FieldChange(change.field, tuple(change.before), tuple(change.after)) for change in changes)


def _map_message(texts: Mapping[str, str]) -> dict[str, str]:
    return {wire_text(name): wire_text(text) for name, text in texts.items()}


def _member(kind: type[E], text: str, otherwise: E) -> E:
    """A newer daemon may know more."""
    return kind(text) if text in kind._value2member_map_ else otherwise
