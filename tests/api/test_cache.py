"""Calls about the content cache through a real socket: statuses, streams, and what a request may hold."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

import grpc
import msgspec
import pytest

from musicfs.api.backend import CacheStats, PinnedPath, PrefetchProgress, Tier, VerifyProgress
from musicfs.api.client import Client
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.errors import ConfigError, DiskFullError, MusicFSError, NoDaemonError, NotFoundError, UnreachableError
from tests.api.backend import CACHE, PINS, PREFETCH, STATUS, VERIFICATION, FakeBackend, call, serving

Call = Callable[[Client, list[str]], object]
WITH_PATHS: list[Call] = [
    lambda client, paths: list(client.prefetch(paths)),
    lambda client, paths: client.pin(paths),
    lambda client, paths: client.unpin(paths),
]
WITHOUT: list[Callable[[Client], object]] = [
    Client.cache_stats,
    Client.clear_cache,
    Client.pins,
    lambda client: list(client.verify_cache()),
    lambda client: list(client.prefetch(["/a"])),
    lambda client: client.pin(["/a"]),
    lambda client: client.unpin(["/a"]),
]


def test_values_arrive_as_they_were_sent(client: Client, backend: FakeBackend) -> None:
    assert client.cache_stats() == CACHE
    assert client.status().cache == CACHE
    cleared = client.clear_cache("nas", Tier.MAIN, dry_run=True)
    assert (cleared.size_bytes, cleared.pieces) == (120 << 20, 12)
    assert client.clear_cache() == cleared
    assert backend.calls[-2:] == [("clear_cache", "nas", Tier.MAIN, True), ("clear_cache", "", Tier.ALL, False)]
    change = client.pin(["/A/B", "/C"])
    assert (change.files, change.size_bytes) == (3, 30 << 20)
    assert client.unpin(["/C"]).files == 1
    assert backend.calls[-2:] == [("pin", "/A/B", "/C"), ("unpin", "/C")]
    assert client.pins() == (msgspec.structs.replace(PINS[0], path="/A/B\\xff"), PINS[1])
    assert tuple(client.verify_cache()) == VERIFICATION


def test_a_prefetch_streams_every_step(client: Client, backend: FakeBackend) -> None:
    steps = list(client.prefetch(["/A", "/B\udcff"], "nas"))
    assert backend.calls == [("prefetch", "/A", "/B\\xff", "nas")], "bytes that are not UTF-8 go as they are shown"
    assert steps[1].current_path == "/A/B/1\x1b[2J\\xff.flac"
    assert (steps[0], *steps[2:]) == (PREFETCH[0], *PREFETCH[2:])


@pytest.mark.parametrize("paths", [[], [""], ["/a", ""], ["/a\0b"]], ids=repr)
@pytest.mark.parametrize("attempt", WITH_PATHS, ids=["prefetch", "pin", "unpin"])
def test_paths_that_are_none_are_refused(client: Client, backend: FakeBackend, attempt: Call, paths: list[str]) -> None:
    with pytest.raises(ConfigError, match="a path"):
        attempt(client, paths)
    assert backend.calls == []


BY_QUERY: list[Callable[[Client, list[str], str], object]] = [
    lambda client, paths, query: list(client.prefetch(paths, "", query)),
    Client.pin,
    Client.unpin,
]


@pytest.mark.parametrize("number", range(len(BY_QUERY)), ids=["prefetch", "pin", "unpin"])
def test_queries(client: Client, backend: FakeBackend, number: int) -> None:
    attempt, name = BY_QUERY[number], ("prefetch", "pin", "unpin")[number]
    origin = [""] * (name == "prefetch")
    attempt(client, [], "artist:Björk")
    attempt(client, ["/A"], "a\udcff")
    assert backend.calls == [(name, *origin, "query artist:Björk"), (name, "/A", *origin, "query a\\xff")]
    with pytest.raises(ConfigError, match="column 3: this \\) closes nothing") as caught:
        attempt(client, [], "a )")
    assert caught.value.remedy
    with pytest.raises(ConfigError, match="column 257"):
        attempt(client, [], "x" * 257)
    backend.calls.clear()
    with pytest.raises(ConfigError, match="the query is empty"):
        attempt(client, ["/A"], "")
    with pytest.raises(ConfigError, match="a path is empty"):
        attempt(client, [""], "a")
    assert backend.calls == []


@pytest.mark.parametrize("attempt", WITH_PATHS, ids=["prefetch", "pin", "unpin"])
def test_unknown_paths_are_not_found(client: Client, attempt: Call) -> None:
    with pytest.raises(NotFoundError) as caught:
        attempt(client, ["/a", "/nowhere"])
    assert caught.value.remedy == "give a path from the root of the mount"


def test_unknown_origins_are_not_found(client: Client) -> None:
    with pytest.raises(NotFoundError):
        client.clear_cache("nowhere")
    with pytest.raises(NotFoundError):
        list(client.prefetch(["/a"], "nowhere"))


@pytest.mark.parametrize("tier", ["l1", "EDGES", "edges\0", "\x1b"])
def test_a_tier_that_is_none_is_refused(client: Client, backend: FakeBackend, tmp_path: Path, tier: str) -> None:
    assert client is not None
    with pytest.raises(grpc.RpcError) as refused:
        call(
            tmp_path / "test.sock",
            "ClearCache",
            pb.ClearCacheRequest(clear_chunks=True, tier=tier),
            pb.ClearCacheResponse,
        )
    assert isinstance(refused.value, grpc.Call)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert backend.calls == []


def test_the_catalog_is_not_cleared(client: Client, backend: FakeBackend, tmp_path: Path) -> None:
    """Clients from before may ask for it; the answer is that nothing was."""
    assert client is not None
    request = pb.ClearCacheRequest(clear_metadata=True)
    answer = call(tmp_path / "test.sock", "ClearCache", request, pb.ClearCacheResponse)
    assert (answer.bytes_cleared, answer.chunks_cleared) == (0, 0)
    assert backend.calls == []


def test_the_tiers_as_other_clients_know_them(client: Client, tmp_path: Path) -> None:
    assert client is not None
    answer = call(tmp_path / "test.sock", "GetCacheStats", pb.Empty(), pb.CacheStats)
    assert (answer.total_size_bytes, answer.size_limit_bytes, answer.hit_ratio) == (10 << 30, 10 << 30, 0.93)
    assert (answer.l1_metadata.entries, answer.l1_metadata.size_bytes) == (1000, 5 << 20)
    assert answer.l2_headers.size_bytes == 1 << 28
    assert answer.l2_headers.size_bytes + answer.l3_chunks.size_bytes == answer.used_size_bytes
    assert (answer.l3_chunks.entries, answer.l3_chunks.hits, answer.l3_chunks.misses) == (2000, 930, 70)


@pytest.mark.parametrize("number", range(len(WITHOUT)))
@pytest.mark.parametrize("error", [DiskFullError("full", remedy="room"), UnreachableError("away")], ids=str)
def test_an_error_arrives_as_what_it_was(tmp_path: Path, number: int, error: MusicFSError) -> None:
    with serving(FakeBackend(error=error), tmp_path / "s.sock") as client:
        with pytest.raises(type(error)) as caught:
            WITHOUT[number](client)
        assert (str(caught.value), caught.value.remedy) == (str(error), error.remedy)


def test_a_backend_that_hangs_costs_its_caller_a_deadline(tmp_path: Path) -> None:
    unary = [attempt for attempt in WITHOUT if attempt not in WITHOUT[3:5]]
    backend = FakeBackend(blocks=True)
    with serving(backend, tmp_path / "s.sock", answer_timeout_s=0.1) as client:
        for attempt in unary:
            with pytest.raises(MusicFSError, match="does not answer"):
                attempt(client)
        backend.blocks = False
        assert client.cache_stats() == CACHE


def test_numbers_beyond_their_field_are_held_within_it(client: Client, backend: FakeBackend) -> None:
    backend.cache = CacheStats(used_bytes=1 << 70, edge_bytes=1 << 71, hits=-1, dedup_ratio=float("inf"))
    answer = client.cache_stats()
    assert (answer.used_bytes, answer.edge_bytes, answer.hits) == ((1 << 64) - 1, (1 << 64) - 1, 0)
    backend.prefetched = (PrefetchProgress(completed=1 << 40, total=1 << 40, fetched_bytes=-5),)
    [step] = client.prefetch(["/a"])
    assert (step.completed, step.total, step.fetched_bytes) == (0xFFFF_FFFF, 0xFFFF_FFFF, 0)
    backend.verified = (VerifyProgress(checked=1 << 65),)
    assert next(client.verify_cache()).checked == (1 << 64) - 1


class Endless(FakeBackend):
    """Streams without end, which note that they were closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = threading.Semaphore(0)

    def prefetch(self, paths: Sequence[str], origin_id: str, query: str) -> Iterator[PrefetchProgress]:
        try:
            while True:
                yield PrefetchProgress()
        finally:
            self.closed.release()

    def verify_cache(self) -> Iterator[VerifyProgress]:
        try:
            while True:
                yield VerifyProgress()
        finally:
            self.closed.release()


def test_a_caller_who_leaves_ends_what_was_begun(tmp_path: Path) -> None:
    backend = Endless()
    with serving(backend, tmp_path / "test.sock") as client:
        for _ in range(10):  # both together are more than the server has threads
            for stream in (client.prefetch(["/a"]), client.verify_cache()):
                next(stream)
                assert isinstance(stream, Generator)
                stream.close()
                assert backend.closed.acquire(timeout=20)
        assert client.status() == STATUS


def test_the_end_of_the_daemon_ends_what_was_begun(tmp_path: Path) -> None:
    backend = Endless()
    started = time.monotonic()
    with serving(backend, tmp_path / "s.sock") as client:
        streams = [client.prefetch(["/a"]), client.verify_cache()]
        for stream in streams:
            next(stream)
    assert time.monotonic() - started < 20
    for _ in streams:
        assert backend.closed.acquire(timeout=20)
    for stream in streams:
        with pytest.raises((UnreachableError, NoDaemonError, MusicFSError)):
            for _ in stream:
                pass


def test_many_paths_and_pins_fit_into_a_message_up_to_its_limit(client: Client, backend: FakeBackend) -> None:
    paths = [f"/Artist {number}/Album" for number in range(50_000)]
    client.pin(paths)
    assert backend.calls == [("pin", *paths)]
    backend.pinned = tuple(PinnedPath(path=path) for path in paths)
    assert [pin.path for pin in client.pins()] == paths
    with pytest.raises(ConfigError, match="4194304 are possible"):
        client.pin(["/" + "x" * (4 << 20)])
    assert client.status() == STATUS
