"""The methods of a :class:`~musicfs.api.search.SearchBackend` over a socket."""

from __future__ import annotations

from collections.abc import Iterator

from musicfs.api import search_messages as messages
from musicfs.api.connection import Connection
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.search import DEFAULT_RESULTS, SearchHit, SearchPage
from musicfs.api.wire import wire_text


class SearchClient(Connection):
    """Finds tracks. Methods are those of the backend, without its pulses."""

    def search(self, query: str, origin_id: str = "", limit: int = DEFAULT_RESULTS, offset: int = 0) -> SearchPage:
        """See ``SearchBackend.search``; the hits are fewer, too, if more would not fit into a message."""
        return messages.page_value(
            self._call("MusicFS", "Search", _request(query, origin_id, limit, offset), pb.SearchResponse)
        )

    def search_all(self, query: str, origin_id: str = "", limit: int = 0, offset: int = 0) -> Iterator[SearchHit]:
        """See ``SearchBackend.search_all``; without a deadline."""
        request = _request(query, origin_id, limit or None, offset)
        for message in self._stream("MusicFS", "SearchStream", request, pb.SearchResult):
            yield messages.hit_value(message)


def _request(query: str, origin_id: str, limit: int | None, offset: int) -> pb.SearchRequest:
    return pb.SearchRequest(
        query=wire_text(query), limit=limit, offset=offset or None, origin_id=wire_text(origin_id) or None
    )
