"""The calls of the service ``MusicFS`` about deleted tracks."""

from __future__ import annotations

from collections.abc import Iterator

from musicfs.api import trash_messages as messages
from musicfs.api.answering import Answering, Context, given_paths
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.trash import DEFAULT_TRASH_ENTRIES, MAX_TRASH_ENTRIES, TrashBackend, TrashSelection


class TrashCalls(Answering):
    """One method per RPC."""

    def __init__(self, backend: TrashBackend, answer_timeout_s: float) -> None:
        super().__init__(answer_timeout_s)
        self._backend = backend

    def ListTrash(self, request: pb.ListTrashRequest, context: Context) -> pb.ListTrashResponse:
        selection, start = _selection(context, request.selection), request.offset
        limit = min(request.limit, MAX_TRASH_ENTRIES) if request.HasField("limit") else DEFAULT_TRASH_ENTRIES
        page = self.answer(context, lambda: self._backend.trash(selection, start, start + limit))
        return messages.page_message(page)

    def RestoreTrash(self, request: pb.TrashSelection, context: Context) -> Iterator[pb.TrashProgress]:
        selection = _selection(context, request)
        for progress in self.stream(context, lambda: self._backend.restore_trash(selection)):
            yield messages.progress_message(progress)

    def EmptyTrash(self, request: pb.EmptyTrashRequest, context: Context) -> Iterator[pb.TrashProgress]:
        selection = _selection(context, request.selection)
        for progress in self.stream(
            context,
            lambda: self._backend.empty_trash(selection, restored=request.restored, dry_run=request.dry_run),
        ):
            yield messages.progress_message(progress)


def _selection(context: Context, message: pb.TrashSelection) -> TrashSelection:
    given_paths(context, message.paths)
    return messages.selection_value(message)
