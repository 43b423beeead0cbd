"""Values of ``search`` to protobuf messages and back."""

from __future__ import annotations

import os
from collections.abc import Iterable

from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.search import SearchHit, SearchPage
from musicfs.api.wire import MAX_MESSAGE_BYTES, u32, u64, wire_text

_ROOM_BYTES = 64 * 1024  # for what stands beside the results
_FRAME_BYTES = 6  # a result's tag and length, in the message around it


def hit_message(hit: SearchHit) -> pb.SearchResult:
    return pb.SearchResult(
        file_id=hit.file_id,
        virtual_path=wire_text(hit.path),
        path_bytes=b"" if hit.path.isascii() or wire_text(hit.path) == hit.path else os.fsencode(hit.path),
        artist=wire_text(hit.artist) or None,
        album=wire_text(hit.album) or None,
        title=wire_text(hit.title) or None,
        score=hit.score,
        highlights={wire_text(field): wire_text(text) for field, text in hit.highlights.items()},
        duration_ms=u64(hit.duration_ms),
    )


def hit_value(message: pb.SearchResult) -> SearchHit:
    return SearchHit(
        file_id=message.file_id,
        path=os.fsdecode(message.path_bytes) or message.virtual_path,
        artist=message.artist,
        album=message.album,
        title=message.title,
        score=message.score,
        highlights=dict(message.highlights),
        duration_ms=message.duration_ms,
    )


def fitting_messages(hits: Iterable[SearchHit]) -> list[pb.SearchResult]:
    """The first of ``hits``, as many as a message has room for beside what else is in it."""
    found: list[pb.SearchResult] = []
    room_bytes = MAX_MESSAGE_BYTES - _ROOM_BYTES
    for hit in hits:
        message = hit_message(hit)
        room_bytes -= message.ByteSize() + _FRAME_BYTES
        if room_bytes < 0:
            break
        found.append(message)
    return found


def page_message(page: SearchPage) -> pb.SearchResponse:
    return pb.SearchResponse(
        results=fitting_messages(page.hits), total_matches=u64(page.total), query_time_ms=u32(page.took_ms)
    )


def page_value(message: pb.SearchResponse) -> SearchPage:
    return SearchPage(
        hits=tuple(map(hit_value, message.results)), total=message.total_matches, took_ms=message.query_time_ms
    )
