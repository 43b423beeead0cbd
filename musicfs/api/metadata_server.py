"""The service ``MetadataService``: the part of the contract that reads and corrects tags.

A change for which the caller waits in one call is made within the deadline or, when that has passed, not gone on with. A
change names its author: the socket can be reached by its user and by root only, so the name that a client gives is for the
history, not for rights.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TypeVar

import grpc
import msgspec

from musicfs.api import metadata_messages as messages
from musicfs.api.answering import Answering, Context, abort, given_paths, required_paths
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.metadata import MAX_BATCH, ChangeResult, MetadataBackend, MetadataChange
from musicfs.api.metadata_import import form_named, opened, read_rows
from musicfs.api.tagfiles.reading import TagFormat
from musicfs.api.tagfiles.rows import ChangeRow
from musicfs.api.wire import MAX_METADATA_MESSAGE_BYTES
from musicfs.errors import ConfigError, MusicFSError

_MAX_QUERY_CHARS = 256
_MAX_AUTHOR_CHARS = 200
_DEFAULT_LOG_ITEMS = 100
_MAX_LOG_ITEMS = 10_000
_ACTIONS = frozenset({"set", "clear", "import"})  # what a client may call its change; undoing has a method of its own
_UNNAMED_AUTHOR = "grpc"

T = TypeVar("T")
Numbered = tuple[int, MetadataChange]


class MetadataService(Answering):
    """One method per RPC; files are imported from ``import_folders``, absolute ones, and from nowhere else."""

    def __init__(self, backend: MetadataBackend, answer_timeout_s: float, import_folders: Sequence[str] = ()) -> None:
        super().__init__(answer_timeout_s)
        self._backend = backend
        self._import_folders = tuple(import_folders)

    def GetMetadata(self, request: pb.GetMetadataRequest, context: Context) -> pb.MetadataResponse:
        path, file_id = request.virtual_path, request.file_id
        if file_id < 0 or not (path or file_id):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the path is empty")
        given_paths(context, [path] if path else [])
        return messages.track_message(self.answer(context, lambda: self._backend.metadata(path, file_id)))

    def UpdateMetadata(self, request: pb.UpdateMetadataRequest, context: Context) -> pb.UpdateMetadataResponse:
        change = _valid(context, lambda: messages.change_value(request))
        author = _author(context, request.author)
        result = self._change_one(context, change, "set", author, request.dry_run)
        return pb.UpdateMetadataResponse(
            file_id=result.file_id or change.file_id,
            success=not result.error,
            error_message=messages.error_text(result),
            result=messages.result_message(result),
        )

    def ClearOverlay(self, request: pb.ClearOverlayRequest, context: Context) -> pb.ClearOverlayResponse:
        if request.file_id <= 0:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "file_id must be 1 or more")
        change = MetadataChange(file_id=request.file_id, revert_all=True)
        result = self._change_one(context, change, "clear", _author(context, request.author), False)
        return pb.ClearOverlayResponse(
            file_id=request.file_id,
            success=not result.error,
            error_message=messages.error_text(result),
            result=messages.result_message(result),
        )

    def BatchUpdateMetadata(self, request: pb.BatchUpdateRequest, context: Context) -> Iterator[pb.BatchUpdateProgress]:
        changes = _valid(context, lambda: [messages.item_value(item) for item in request.items])
        action = request.action or "set"
        if action not in _ACTIONS:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"action must be {', '.join(sorted(_ACTIONS))} or empty")
        query, author = _query(context, request.query), _author(context, request.author)
        completed = 0
        for result in self.stream(
            context, lambda: self._changed(enumerate(changes), query, action, author, request.dry_run)
        ):
            if result is not None:
                completed += 1
                yield pb.BatchUpdateProgress(
                    completed=completed,
                    total=max(len(changes), result.total, completed),
                    current_file_id=result.file_id or None,
                    error_message=messages.error_text(result),
                    result=messages.result_message(result),
                )

    def ImportMetadata(self, request: pb.ImportMetadataRequest, context: Context) -> Iterator[pb.ImportProgress]:
        if not request.source_path.startswith("/") or "\0" in request.source_path:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "source_path must be absolute")
        path, author = request.source_path, _author(context, request.author)
        form = _valid(context, lambda: form_named(request.format))
        for progress in self.stream(context, lambda: self._imported(path, form, author, request.dry_run)):
            if progress is not None:
                yield progress

    def ExportMetadata(self, request: pb.ExportMetadataRequest, context: Context) -> Iterator[pb.MetadataResponse]:
        paths, query = given_paths(context, request.paths), _query(context, request.query)
        for track in self.stream(context, lambda: self._backend.tracks(paths, query)):
            if track is not None:
                yield messages.track_message(track)

    def UndoMetadata(self, request: pb.UndoMetadataRequest, context: Context) -> Iterator[pb.TrackChange]:
        paths, author = required_paths(context, request.paths), _author(context, request.author)
        steps, dry_run = request.steps or 1, request.dry_run
        for result in self.stream(
            context, lambda: self._backend.undo_metadata(paths, steps=steps, author=author, dry_run=dry_run)
        ):
            if result is not None:
                yield messages.result_message(result)

    def ListHeldMetadata(self, _request: pb.Empty, context: Context) -> Iterator[pb.MetadataResponse]:
        for track in self.stream(context, self._backend.held_metadata):
            if track is not None:
                yield messages.track_message(track)

    def MetadataLog(self, request: pb.MetadataLogRequest, context: Context) -> Iterator[pb.MetadataLogEntry]:
        limit = min(request.limit if request.HasField("limit") else _DEFAULT_LOG_ITEMS, _MAX_LOG_ITEMS)
        given_paths(context, [request.path] if request.path else [])
        for item in self.answer(context, lambda: self._backend.metadata_log(request.path, limit)):
            yield messages.history_message(item)

    def _change_one(
        self, context: Context, change: MetadataChange, action: str, author: str, dry_run: bool
    ) -> ChangeResult:
        def make(late: threading.Event) -> ChangeResult:
            one = change
            if change.file_id or change.path:
                # Says whether there is such a track, and that a path is not that of a folder.
                found = self._backend.metadata("" if change.file_id else change.path, change.file_id)
                one = msgspec.structs.replace(change, file_id=found.file_id, path="", match={})
            last: ChangeResult | None = None
            with contextlib.closing(self._changed([(0, one)], "", action, author, dry_run)) as results:
                for result in results:
                    last = result or last
                    if late.is_set():
                        break
            if last is None:
                raise MusicFSError("nothing became of the change")
            return last

        return self.answer_unless_late(context, make)

    def _changed(
        self, changes: Iterable[Numbered], query: str, action: str, author: str, dry_run: bool
    ) -> Generator[ChangeResult | None, None, None]:
        """What becomes of ``changes``; ``index`` is the number that the change came with."""
        for portion, is_all in _portions(changes):
            for result in self._backend.change_metadata(
                [change for _, change in portion], query=query, action=action, author=author, dry_run=dry_run
            ):
                if result is None:
                    yield None
                    continue
                number = portion[result.index][0]
                yield msgspec.structs.replace(result, index=number, total=result.total if is_all else 0)

    def _imported(
        self, path: str, form: TagFormat | None, author: str, dry_run: bool
    ) -> Iterator[pb.ImportProgress | None]:
        """Reads the file twice: a client wants to know early how much there is, and no row need be kept for that."""
        with opened(path, self._import_folders) as file:
            total = 0
            for _ in read_rows(file, form, self._import_folders, reads_covers=False):
                total += 1
                yield None
            bad: list[ChangeRow] = []
            rows = read_rows(file, form, self._import_folders, reads_covers=True)
            imported = 0
            for result in self._changed(_changes(rows, bad), "", "import", author, dry_run):
                yield from _bad_rows(bad, imported, total)
                if result is None:
                    yield None
                    continue
                imported += not result.error
                yield pb.ImportProgress(
                    imported=imported,
                    total=total,
                    current_file=messages.shown_path(result),
                    error_message=messages.error_text(result, row=result.index),
                    result=messages.result_message(result),
                )
            yield from _bad_rows(bad, imported, total)
            yield pb.ImportProgress(imported=imported, total=total)


def _portions(changes: Iterable[Numbered]) -> Iterator[tuple[list[Numbered], bool]]:
    """What is asked of the backend at a time, and whether that is all: MAX_BATCH changes at most, with covers of 20 MiB."""
    portion: list[Numbered] = []
    cover_bytes = 0
    is_first = True
    for number, change in changes:
        cover_bytes += len(change.cover or b"")
        if portion and (len(portion) == MAX_BATCH or cover_bytes > MAX_METADATA_MESSAGE_BYTES):
            yield portion, False
            portion, cover_bytes, is_first = [], len(change.cover or b""), False
        portion.append((number, change))
    if portion:
        yield portion, is_first


def _changes(rows: Iterable[ChangeRow], bad: list[ChangeRow]) -> Iterator[Numbered]:
    """The changes of ``rows`` with their numbers; what is none goes to ``bad``."""
    for row in rows:
        if row.change is None:
            bad.append(row)
        else:
            yield row.number, row.change


def _bad_rows(bad: list[ChangeRow], imported: int, total: int) -> Iterator[pb.ImportProgress]:
    """What is to be said of rows that were no changes; each is said once."""
    for row in bad:
        remedy = row.error.remedy if row.error else ""
        result = ChangeResult(index=row.number, error=str(row.error), remedy=remedy)
        yield pb.ImportProgress(
            imported=imported,
            total=total,
            error_message=messages.error_text(result, row=row.number),
            result=messages.result_message(result),
        )
    bad.clear()


def _valid(context: Context, make: Callable[[], T]) -> T:
    try:
        return make()
    except ConfigError as error:
        abort(context, error)


def _query(context: Context, query: str) -> str:
    if len(query) > _MAX_QUERY_CHARS:
        reason = f"the query has {len(query)} characters, {_MAX_QUERY_CHARS} are possible"
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, reason)
    return query


def _author(context: Context, author: str) -> str:
    if len(author) > _MAX_AUTHOR_CHARS or not (author.isprintable()):
        reason = f"author must be at most {_MAX_AUTHOR_CHARS} printable characters"
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, reason)
    return author or _UNNAMED_AUTHOR
