"""Values of ``trash`` to protobuf messages and back."""

from __future__ import annotations

from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.trash import TrashEntry, TrashPage, TrashProgress, TrashSelection
from musicfs.api.wire import MAX_MESSAGE_BYTES, u32, u64, wire_paths, wire_text

_ROOM_BYTES = 64 * 1024  # for what else is in a message
_FRAME_BYTES = 8


def selection_message(selection: TrashSelection) -> pb.TrashSelection:
    return pb.TrashSelection(
        paths=wire_paths(selection.paths),
        origin_id=wire_text(selection.origin_id),
        pattern=wire_text(selection.pattern),
        deleted_after_ms=u64(selection.deleted_after_ms),
        deleted_before_ms=u64(selection.deleted_before_ms),
    )


def selection_value(message: pb.TrashSelection) -> TrashSelection:
    return TrashSelection(
        paths=tuple(message.paths),
        origin_id=message.origin_id,
        pattern=message.pattern,
        deleted_after_ms=message.deleted_after_ms,
        deleted_before_ms=message.deleted_before_ms,
    )


def page_message(page: TrashPage) -> pb.ListTrashResponse:
    """The first entries, as many as a message has room for."""
    entries: list[pb.TrashEntry] = []
    room_bytes = MAX_MESSAGE_BYTES - _ROOM_BYTES
    for entry in map(_entry_message, page.entries):
        room_bytes -= entry.ByteSize() + _FRAME_BYTES
        if room_bytes < 0:
            break
        entries.append(entry)
    return pb.ListTrashResponse(entries=entries, total=u64(page.total), size_bytes=u64(page.size_bytes))


def page_value(message: pb.ListTrashResponse) -> TrashPage:
    return TrashPage(tuple(map(_entry_value, message.entries)), message.total, message.size_bytes)


def _entry_message(entry: TrashEntry) -> pb.TrashEntry:
    return pb.TrashEntry(
        path=wire_text(entry.path),
        origin_id=wire_text(entry.origin_id),
        origin_path=wire_text(entry.origin_path),
        deleted_ms=u64(entry.deleted_ms),
        size_bytes=u64(entry.size_bytes),
        cached_bytes=u64(entry.cached_bytes),
        artist=wire_text(entry.artist),
        album=wire_text(entry.album),
        title=wire_text(entry.title),
        duration_ms=u32(entry.duration_ms),
        trash_path=wire_text(entry.trash_path),
        restored_ms=u64(entry.restored_ms),
    )


def _entry_value(message: pb.TrashEntry) -> TrashEntry:
    return TrashEntry(
        path=message.path,
        origin_id=message.origin_id,
        origin_path=message.origin_path,
        deleted_ms=message.deleted_ms,
        size_bytes=message.size_bytes,
        cached_bytes=message.cached_bytes,
        artist=message.artist,
        album=message.album,
        title=message.title,
        duration_ms=message.duration_ms,
        trash_path=message.trash_path,
        restored_ms=message.restored_ms,
    )


def progress_message(progress: TrashProgress) -> pb.TrashProgress:
    return pb.TrashProgress(
        done=u32(progress.done),
        total=u32(progress.total),
        passed_over=u32(progress.passed_over),
        freed_bytes=u64(progress.freed_bytes),
        complete=progress.complete,
    )


def progress_value(message: pb.TrashProgress) -> TrashProgress:
    return TrashProgress(message.done, message.total, message.passed_over, message.freed_bytes, message.complete)
