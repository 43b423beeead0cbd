"""The methods of a :class:`~musicfs.api.trash.TrashBackend` over a socket."""

from __future__ import annotations

from collections.abc import Iterator

from musicfs.api import trash_messages as messages
from musicfs.api.connection import Connection
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.trash import DEFAULT_TRASH_ENTRIES, TrashPage, TrashProgress, TrashSelection

_ALL = TrashSelection()


class TrashClient(Connection):
    """Lists, restores and forgets deleted tracks."""

    def trash(self, selection: TrashSelection = _ALL, start: int = 0, stop: int = DEFAULT_TRASH_ENTRIES) -> TrashPage:
        """See ``TrashBackend.trash``; the entries are fewer, too, if more would not fit into a message."""
        request = pb.ListTrashRequest(selection=messages.selection_message(selection), limit=stop - start, offset=start)
        return messages.page_value(self._call("MusicFS", "ListTrash", request, pb.ListTrashResponse))

    def restore_trash(self, selection: TrashSelection) -> Iterator[TrashProgress]:
        """See ``TrashBackend.restore_trash``; without a deadline."""
        request = messages.selection_message(selection)
        for message in self._stream("MusicFS", "RestoreTrash", request, pb.TrashProgress):
            yield messages.progress_value(message)

    def empty_trash(
        self, selection: TrashSelection, *, restored: bool = False, dry_run: bool = False
    ) -> Iterator[TrashProgress]:
        """See ``TrashBackend.empty_trash``; without a deadline."""
        request = pb.EmptyTrashRequest(
            selection=messages.selection_message(selection), restored=restored, dry_run=dry_run
        )
        for message in self._stream("MusicFS", "EmptyTrash", request, pb.TrashProgress):
            yield messages.progress_value(message)
