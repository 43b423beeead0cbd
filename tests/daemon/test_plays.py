"""The keeper's side of plays: counted once and for all, told at once, found by searches, and not lost with the catalog."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from musicfs.clock import SystemClock
from musicfs.daemon.link import Accessed, Message
from musicfs.daemon.listeners import Listeners
from musicfs.daemon.plays import PlayCounts, Plays
from musicfs.errors import DiskFullError
from musicfs.events import EventBus, EventType
from musicfs.index.parser import parse
from musicfs.library.track_query import Selection
from musicfs.store.overlays import Played, play_key
from musicfs.vfs.listening import duration_of
from musicfs.vfs.paths import find
from tests.daemon.tag_library import OPAQUE, A, B, C, Library
from tests.origins.clocks import FakeClock
from tests.vfs.world import Key, Move, Put, content

SECOND_NS = 10**9


class Bench:
    """A library and its plays."""

    def __init__(self, path: Path) -> None:
        self.world = Library(path).world
        self.failed: list[Exception] = []
        self.commits = threading.Semaphore(0)
        self.begin()

    def begin(self) -> None:
        """A keeper comes up."""
        self.events = EventBus(lambda: 77_000_000)
        self.heard = self.events.subscribe()
        self.counts = PlayCounts(self.world.state)
        self.plays = Plays(
            self.world.catalog, self.counts, self.events, SystemClock(), self.failed.append, self.commits.release
        )

    def id_of(self, key: Key) -> int:
        number, folder, name = key
        found = self.world.catalog.object_at(f"origin{number}", folder + b"/" + name)
        assert found is not None
        return found

    def play(self, *keys: Key, time_ns: int = 5) -> None:
        """Tracks are played, told together, and it is noted everywhere."""
        *others, last = (Accessed(self.id_of(key), time_ns - 2, time_ns) for key in keys)
        self.plays._told.extend(others)  # nobody looks before it is woken
        self.plays.note(last)
        if not self.plays._thread.ident:
            self.plays.start()
        self.wait()

    def wait(self) -> None:
        assert self.commits.acquire(timeout=10)

    def touched(self, sequence: int) -> set[int]:
        return {one for _, ids in self.world.catalog.touched_after(sequence, 1000) for one in ids or ()}

    def found(self, query: str, *keys: Key) -> list[Key]:
        """Those of these tracks that match."""
        catalog = self.world.catalog
        ids = {record.number: origin_id for origin_id, record in catalog.origins().items()}
        selection = Selection(parse(query), 100 * SECOND_NS, self.counts.of)
        return [key for key in keys if selection.selects(catalog, ids, self.id_of(key), list)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "library")
    yield bench
    bench.plays.close()
    bench.world.close()
    assert bench.failed == []


def test_a_play_is_counted_and_told_and_found(bench: Bench) -> None:
    sequence = bench.world.catalog.last_touched
    bench.play(A, time_ns=40 * SECOND_NS)
    event = bench.heard.wait(10)
    assert event is not None and (event.type, event.origin_id) == (EventType.FILE_ACCESSED, "origin1")
    assert (event.path, event.time_ms) == ("/X/One.flac", 77)
    assert event.details == {
        "origin_path": "m/a.flac", "track_id": str(bench.id_of(A)), "opened_ms": "39999", "played_ms": "40000",
    }  # fmt: skip
    assert bench.counts.of(1) == (1, 40 * SECOND_NS) and bench.counts.of(2) == bench.counts.of(0) == (0, 0)
    assert bench.touched(sequence) == {bench.id_of(A)}
    bench.play(A, B, time_ns=70 * SECOND_NS)
    assert bench.counts.of(1) == (2, 70 * SECOND_NS)
    assert bench.found("plays:>0", A, B, C) == [A, B]
    assert bench.found("plays:>=2", A, B, C) == [A]
    assert bench.found("played:>1m -plays:>=2", A, B, C) == [B]
    kept = bench.world.state.play(play_key(1, ("", b"")))
    assert kept is not None and (kept.count, kept.anchor) == (2, ("origin1", b"m/a.flac"))


def test_plays_survive_moves_tags_and_restarts(bench: Bench) -> None:
    bench.play(A)
    to: Key = (2, b"n", b"other.flac")
    bench.world.scan([Move(A, (1, b"m", b"z.flac")), Put(to, content(audio=1, artist="Z", title="New"))])
    bench.plays.close()
    bench.begin()
    assert bench.counts.of(1) == (1, 5)
    bench.play(to, time_ns=6)
    assert bench.counts.of(1) == (2, 6)
    assert bench.found("plays:2", to, (1, b"m", b"z.flac"), B) == [to, (1, b"m", b"z.flac")]


def test_what_has_no_known_audio_is_counted_by_its_place(bench: Bench) -> None:
    bench.play(OPAQUE)
    [play] = bench.world.state.plays()
    assert play.key == play_key(0, ("origin2", b"n/broken.mp3")) and bench.counts.of(0) == (0, 0)


def test_what_is_gone_does_not_count(bench: Bench) -> None:
    bench.plays.note(Accessed(99_999, 1, 2))
    bench.play(B)
    assert [play.key for play in bench.world.state.plays()] == [play_key(2, ("", b""))]


def test_a_crash_between_the_count_and_the_index_is_made_good(bench: Bench) -> None:
    place = ("origin2", b"n/c.flac")
    bench.world.state.note_plays([
        Played(play_key(1, place), 5, ("origin1", b"m/a.flac")),
        Played(play_key(3, place), 100 * SECOND_NS, place),
        Played(play_key(7, place), 99 * SECOND_NS, ("origin1", b"gone.flac")),
    ])  # fmt: skip
    sequence = bench.world.catalog.last_touched
    bench.plays.start()
    bench.wait()
    assert bench.touched(sequence) == {bench.id_of(C)}


@pytest.mark.expects_log("what was played is not counted yet: no room")
def test_a_full_disk_delays_the_count_and_not_the_event(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = bench.world.state.note_plays
    tries: list[int] = []
    tried = threading.Event()

    def full_at_first(played: list[Played]) -> None:
        tries.append(len(played))
        tried.set()
        if len(tries) < 2:
            raise DiskFullError("no room")
        real(played)

    monkeypatch.setattr(bench.world.state, "note_plays", full_at_first)
    bench.plays.note(Accessed(bench.id_of(A), 1, 2))
    bench.plays.start()
    assert tried.wait(10) and bench.heard.wait(10) is not None
    bench.play(B)
    assert tries == [1, 2] and (bench.counts.of(1)[0], bench.counts.of(2)[0]) == (1, 1)


def test_what_was_told_before_the_end_is_counted(bench: Bench) -> None:
    bench.plays.start()
    for _ in range(50):
        bench.plays.note(Accessed(bench.id_of(A), 1, 2))
    bench.plays.close()
    assert bench.counts.of(1)[0] == 50


def test_many_at_once(bench: Bench) -> None:
    bench.plays.start()

    def tell() -> None:
        for _ in range(20):
            bench.plays.note(Accessed(bench.id_of(B), 1, 2))

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert bench.counts.of(2)[0] <= 80
    for thread in threads:
        thread.join(10)
    bench.plays.close()
    assert bench.counts.of(2)[0] == 80


def test_the_mount_tells_once_and_again_until_it_is_heard(bench: Bench) -> None:
    """A handle on a real track, by a clock of our own, and a keeper that is away at first."""
    clock = FakeClock()
    sent: list[Message] = []
    is_there = False

    def send(message: Accessed) -> bool:
        if is_there:
            sent.append(message)
        return is_there

    listeners = Listeners(bench.world.catalog, clock, send)
    node = find(bench.world.catalog, b"/X/One.flac")
    assert node is not None
    due_s = (duration_of(bench.world.catalog, node) or 480.0) / 2
    begun_ns = clock.time_ns()
    hearing = listeners.listening.begin(node, 1)
    played_s = 0.0
    while not listeners._unsent:
        clock.now += 1
        played_s += 1
        listeners.look()
    assert due_s <= played_s < due_s + 1
    is_there = True
    listeners.look()
    assert sent == [], "looked just now"
    clock.now += 1
    listeners.look()
    assert sent == [Accessed(node.ref, begun_ns, begun_ns + int(played_s) * SECOND_NS)]
    listeners.listening.end(hearing)
    clock.now += 1
    listeners.look()
    assert len(sent) == 1


def test_what_plays_is_a_track_in_its_own_folder(bench: Bench) -> None:
    catalog = bench.world.catalog
    track, folder = find(catalog, b"/X/One.flac"), find(catalog, b"/X")
    assert track is not None and folder is not None
    known = duration_of(catalog, track)
    assert known is not None
    assert duration_of(catalog, folder) is None
    assert duration_of(catalog, msgspec.structs.replace(track, start=100)) is None, "a picture in it"
    assert duration_of(catalog, msgspec.structs.replace(track, ref=99_999)) is None, "gone"
