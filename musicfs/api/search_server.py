"""The calls of the service ``MusicFS`` that search."""

from __future__ import annotations

from collections.abc import Iterator

from musicfs.api import search_messages as messages
from musicfs.api.answering import Answering, Context, abort
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.search import DEFAULT_RESULTS, MAX_QUERY_CHARACTERS, MAX_RESULTS, SearchBackend
from musicfs.errors import QueryError


class SearchCalls(Answering):
    """One method per RPC."""

    def __init__(self, backend: SearchBackend, answer_timeout_s: float) -> None:
        super().__init__(answer_timeout_s)
        self._backend = backend

    def Search(self, request: pb.SearchRequest, context: Context) -> pb.SearchResponse:
        query = required_query(context, request.query)
        limit = min(request.limit, MAX_RESULTS) if request.HasField("limit") else DEFAULT_RESULTS
        page = self.answer(context, lambda: self._backend.search(query, request.origin_id, limit, request.offset))
        return messages.page_message(page)

    def SearchStream(self, request: pb.SearchRequest, context: Context) -> Iterator[pb.SearchResult]:
        query = required_query(context, request.query)
        if request.HasField("limit") and not request.limit:
            return
        for hit in self.stream(
            context, lambda: self._backend.search_all(query, request.origin_id, request.limit, request.offset)
        ):
            if hit is not None:
                yield messages.hit_message(hit)


def required_query(context: Context, query: str) -> str:
    """A query of 1 to 256 characters; what it says is for the backend to read."""
    if not query:
        abort(context, QueryError("the query is empty", column=1, remedy="a * alone finds everything"))
    if len(query) > MAX_QUERY_CHARACTERS:
        text = f"the query has {len(query)} characters; {MAX_QUERY_CHARACTERS} are allowed"
        abort(context, QueryError(text, column=MAX_QUERY_CHARACTERS + 1, remedy="ask for less at once"))
    return query
