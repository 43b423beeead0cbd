"""The methods of a :class:`~musicfs.api.metadata.MetadataBackend` over a socket."""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from musicfs.api import metadata_messages as messages
from musicfs.api.connection import Connection
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.metadata import MAX_BATCH, ChangeResult, HistoryItem, MetadataChange, TrackMetadata
from musicfs.api.wire import MAX_MESSAGE_BYTES, wire_paths, wire_text

_SERVICE = "MetadataService"


class MetadataClient(Connection):
    """Reads and corrects tags. Methods are those of the backend, without its pulses.

    An ``author`` that is not given is the name of this process's user. Streams have no deadline; closing one ends the work
    after the track it is at, and what was yielded is on disk.
    """

    def metadata(self, path: str = "", file_id: int = 0) -> TrackMetadata:
        """See ``MetadataBackend.metadata``."""
        request = pb.GetMetadataRequest(virtual_path=wire_text(path), file_id=file_id)
        return messages.track_value(self._call(_SERVICE, "GetMetadata", request, pb.MetadataResponse))

    def tracks(self, paths: Sequence[str] = (), query: str = "") -> Iterator[TrackMetadata]:
        """See ``MetadataBackend.tracks``."""
        request = pb.ExportMetadataRequest(paths=wire_paths(paths), query=wire_text(query))
        for message in self._stream(_SERVICE, "ExportMetadata", request, pb.MetadataResponse):
            yield messages.track_value(message)

    def change_metadata(
        self,
        changes: Iterable[MetadataChange],
        *,
        query: str = "",
        action: str = "set",
        author: str = "",
        dry_run: bool = False,
    ) -> Iterator[ChangeResult]:
        """See ``MetadataBackend.change_metadata``.

        ``changes`` may be any number, and is read as the work goes on: they are sent in several messages, one after the
        other. With more than one, ``total`` of the results is 0. ConfigError for one change that is too large to be sent.
        """
        author = author or _user()
        start = 0
        for items, is_all in _portions(changes):
            request = pb.BatchUpdateRequest(
                items=items, query=wire_text(query), action=action, author=wire_text(author), dry_run=dry_run
            )
            for message in self._stream(_SERVICE, "BatchUpdateMetadata", request, pb.BatchUpdateProgress):
                result = messages.result_value(message.result)
                yield msgspec.structs.replace(result, index=start + result.index, total=result.total if is_all else 0)
            start += len(items)

    def undo_metadata(
        self, paths: Sequence[str], *, steps: int = 1, author: str = "", dry_run: bool = False
    ) -> Iterator[ChangeResult]:
        """See ``MetadataBackend.undo_metadata``."""
        request = pb.UndoMetadataRequest(
            paths=wire_paths(paths), steps=steps, author=wire_text(author or _user()), dry_run=dry_run
        )
        for message in self._stream(_SERVICE, "UndoMetadata", request, pb.TrackChange):
            yield messages.result_value(message)

    def held_metadata(self) -> Iterator[TrackMetadata]:
        """See ``MetadataBackend.held_metadata``."""
        for message in self._stream(_SERVICE, "ListHeldMetadata", pb.Empty(), pb.MetadataResponse):
            yield messages.track_value(message)

    def metadata_log(self, path: str = "", limit: int = 100) -> tuple[HistoryItem, ...]:
        """See ``MetadataBackend.metadata_log``; the daemon gives 10,000 at once at most."""
        request = pb.MetadataLogRequest(path=wire_text(path), limit=limit)
        stream = self._stream(_SERVICE, "MetadataLog", request, pb.MetadataLogEntry)
        return tuple(messages.history_value(message) for message in stream)


def _portions(changes: Iterable[MetadataChange]) -> Iterator[tuple[list[pb.BatchUpdateItem], bool]]:
    """The items of one message after the other, and whether that is all there is.

    A message has MAX_BATCH items at most, and 4 MiB, or one item that is larger.
    """
    items: list[pb.BatchUpdateItem] = []
    size_bytes = 0
    is_first = True
    for change in changes:
        messages.check_cover(change)
        item = pb.BatchUpdateItem(metadata=messages.change_message(change))
        item_bytes = item.ByteSize()
        if items and (len(items) == MAX_BATCH or size_bytes + item_bytes > MAX_MESSAGE_BYTES):
            yield items, False
            items, size_bytes, is_first = [], 0, False
        items.append(item)
        size_bytes += item_bytes
    if items:
        yield items, is_first


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an id without a name, as in some containers
        return ""
