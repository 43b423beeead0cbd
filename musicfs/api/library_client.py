"""The methods of a :class:`~musicfs.api.library.LibraryBackend` over a socket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from musicfs.api import library_messages as messages
from musicfs.api.connection import Connection
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.library import DEFAULT_ISSUES, LibraryReport
from musicfs.api.wire import wire_text


class LibraryClient(Connection):
    """Looks a library over."""

    def library_health(
        self, kinds: Sequence[str] = (), origin_id: str = "", limit: int = DEFAULT_ISSUES
    ) -> Iterator[LibraryReport]:
        """See ``LibraryBackend.library_health``; without a deadline."""
        request = pb.LibraryHealthRequest(kinds=list(kinds), origin_id=wire_text(origin_id) or None, limit=limit)
        for message in self._stream("MusicFS", "LibraryHealth", request, pb.LibraryHealthReport):
            yield messages.report_value(message)
