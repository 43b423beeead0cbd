"""The calls of the service ``MusicFS`` that look the library over."""

from __future__ import annotations

from collections.abc import Iterator

from musicfs.api import library_messages as messages
from musicfs.api.answering import Answering, Context
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.library import DEFAULT_ISSUES, LibraryBackend


class LibraryCalls(Answering):
    """One method per RPC."""

    def __init__(self, backend: LibraryBackend, answer_timeout_s: float) -> None:
        super().__init__(answer_timeout_s)
        self._backend = backend

    def LibraryHealth(self, request: pb.LibraryHealthRequest, context: Context) -> Iterator[pb.LibraryHealthReport]:
        kinds = list(request.kinds)
        limit = request.limit if request.HasField("limit") else DEFAULT_ISSUES
        for report in self.stream(context, lambda: self._backend.library_health(kinds, request.origin_id, limit)):
            yield messages.report_message(report)
