"""Searches through a real socket: values, statuses, what a request may hold, and how much an answer does."""

from __future__ import annotations

import itertools
import os
from collections.abc import Generator
from pathlib import Path

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from musicfs.api.client import Client
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.search_messages import hit_message, hit_value
from musicfs.api.unix_socket import target
from musicfs.api.wire import MAX_MESSAGE_BYTES
from musicfs.errors import IndexNotReadyError, NotFoundError, QueryError, UnreachableError
from tests.api.backend import FakeBackend, call, serving
from tests.api.search_backend import HITS, many


def ask(path: Path, request: pb.SearchRequest) -> pb.SearchResponse:
    """A search past the client."""
    answer: pb.SearchResponse = call(path, "Search", request, pb.SearchResponse)
    return answer


def stream(path: Path, request: pb.SearchRequest) -> list[pb.SearchResult]:
    with grpc.insecure_channel(target(str(path))) as channel:
        method = channel.unary_stream(
            "/musicfs.v1.MusicFS/SearchStream",
            request_serializer=pb.SearchRequest.SerializeToString,
            response_deserializer=pb.SearchResult.FromString,
        )
        return list(method(request, timeout=10))


def test_values_arrive_as_they_were_sent(client: Client, backend: FakeBackend) -> None:
    page = client.search("artist:björk a\udcff", "nas", 10, 0)
    assert (page.hits, page.total, page.took_ms) == (HITS, 2, 3), "also bytes that are not UTF-8"
    assert client.search("a", limit=0).hits == ()
    assert client.search("a", limit=0).total == 2
    assert list(client.search_all("a", "usb")) == list(HITS)
    assert list(client.search_all("a", limit=1, offset=1)) == [HITS[1]]
    assert backend.asked_for == [
        ("search", "artist:björk a\\xff", "nas", 10, 0),
        ("search", "a", "", 0, 0),
        ("search", "a", "", 0, 0),
        ("search_all", "a", "usb", 0, 0),
        ("search_all", "a", "", 1, 1),
    ]


def test_what_other_programs_see(socket: Path, backend: FakeBackend) -> None:
    answer = ask(socket, pb.SearchRequest(query="x"))
    assert backend.asked_for == [("search", "x", "", 100, 0)]
    first, second = answer.results
    assert (answer.total_matches, answer.query_time_ms) == (2, 3)
    assert (first.file_id, first.virtual_path, first.artist) == (7, "/Björk/Début/01 - One & Two.flac", "Björk")
    assert first.highlights == {
        "artist": "<b>Björk</b>",
        "title": "One &amp; <b>Two</b>",
        "composer": "x &lt;b&gt; <b>y</b>",
    }
    assert (first.path_bytes, second.path_bytes) == (b"", b"/Other/a\xff\x1b[2J.flac")
    assert second.virtual_path == "/Other/a\\xff\x1b[2J.flac"
    assert not second.HasField("artist") and not second.HasField("title")


def test_limits(socket: Path, backend: FakeBackend) -> None:
    backend.found = many(12_000)
    assert len(ask(socket, pb.SearchRequest(query="x")).results) == 100
    answer = ask(socket, pb.SearchRequest(query="x", limit=4_000_000_000, offset=5))
    assert (len(answer.results), answer.results[0].file_id, answer.total_matches) == (10_000, 6, 12_000)
    assert [one.file_id for one in stream(socket, pb.SearchRequest(query="x"))] == list(range(1, 12_001))
    assert len(stream(socket, pb.SearchRequest(query="x", limit=11_000, offset=5))) == 11_000
    assert stream(socket, pb.SearchRequest(query="x", limit=0)) == []
    assert backend.asked_for[-1] == ("search_all", "x", "", 11_000, 5), "nothing is asked for nothing"


def test_an_answer_is_as_long_as_a_message_may_be(socket: Path, client: Client, backend: FakeBackend) -> None:
    backend.found = many(2_000, "x" * 5_000)
    answer = ask(socket, pb.SearchRequest(query="x", limit=2_000))
    assert 500 < len(answer.results) < 1_000
    assert answer.total_matches == 2_000
    assert 0.9 * MAX_MESSAGE_BYTES < answer.ByteSize() < MAX_MESSAGE_BYTES
    assert len(list(client.search_all("x"))) == 2_000


@pytest.mark.parametrize(
    ("query", "column", "said"),
    [
        ("", 1, "the query is empty"),
        ("ä" * 257, 257, "the query has 257 characters; 256 are allowed"),
        ("jazz artsit:x", 6, 'there is no field "artsit"'),
        ("a )", 3, "this ) closes nothing"),
    ],
)
def test_queries_that_make_no_sense(socket: Path, client: Client, query: str, column: int, said: str) -> None:
    for attempt in (lambda: client.search(query), lambda: list(client.search_all(query))):
        with pytest.raises(QueryError) as caught:
            attempt()
        assert caught.value.column == column
        assert str(caught.value) == f"column {column}: {said}"
        assert caught.value.remedy or column == 3
    with pytest.raises(grpc.RpcError) as refused:
        ask(socket, pb.SearchRequest(query=query))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == f"column {column}: {said}"
    assert [str(one.value) for one in refused.value.trailing_metadata() if one.key == "musicfs-column"] == [str(column)]


def test_an_unknown_origin(client: Client, socket: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no origin 'nowhere'"):
        client.search("a", "nowhere")
    with pytest.raises(NotFoundError, match="there is no origin 'nowhere'"):
        list(client.search_all("a", "nowhere"))
    with pytest.raises(grpc.RpcError) as refused:
        stream(socket, pb.SearchRequest(query="a", origin_id="nowhere"))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


def test_an_index_that_is_being_built(client: Client, socket: Path, backend: FakeBackend) -> None:
    backend.search_error = IndexNotReadyError("the search index is being built", remedy="ask again soon")
    with pytest.raises(UnreachableError, match="being built") as caught:
        client.search("a")
    assert caught.value.remedy == "ask again soon"
    for attempt in (ask, stream):
        with pytest.raises(grpc.RpcError) as refused:
            attempt(socket, pb.SearchRequest(query="a"))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_search_that_takes_too_long(backend: FakeBackend, tmp_path: Path) -> None:
    backend.blocks_search = True
    with serving(backend, tmp_path / "slow.sock", answer_timeout_s=0.2):
        with pytest.raises(grpc.RpcError) as refused:
            ask(tmp_path / "slow.sock", pb.SearchRequest(query="a"))
        assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_stream_ends_with_its_caller(client: Client, backend: FakeBackend) -> None:
    backend.found = many(200_000)
    hits = client.search_all("a")
    assert [hit.file_id for hit in itertools.islice(hits, 3)] == [1, 2, 3]
    assert isinstance(hits, Generator)
    hits.close()
    assert client.search("a").total == 200_000, "the server goes on"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.text(max_size=300), origin_id=st.text(max_size=5), data=st.binary(max_size=40))
def test_whatever_is_sent_there_is_an_answer(socket: Path, query: str, origin_id: str, data: bytes) -> None:
    with grpc.insecure_channel(target(str(socket))) as channel:
        raw = channel.unary_unary(
            "/musicfs.v1.MusicFS/Search",
            request_serializer=lambda one: one,
            response_deserializer=pb.SearchResponse.FromString,
        )
        text = query.encode("utf-8", "replace").decode()
        request = pb.SearchRequest(query=text, origin_id=origin_id.encode("utf-8", "replace").decode())
        for sent in (request.SerializeToString(), data):
            try:
                raw(sent, timeout=10)
            except grpc.RpcError as error:
                assert isinstance(error, grpc.Call)
                assert error.code() in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}


@given(path=st.binary(max_size=40), title=st.text(max_size=20))
def test_every_path_comes_back(path: bytes, title: str) -> None:
    hit = many(1)[0].__class__(file_id=1, path=os.fsdecode(path), title=title.encode("utf-8", "replace").decode())
    assert hit_value(pb.SearchResult.FromString(hit_message(hit).SerializeToString())) == hit
