"""What is a play: patterns as programs were seen to read, copies of any pace, and what a clock of its own makes of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicfs.store.records import Node, NodeKind
from musicfs.vfs.listening import Heard, Hearing, Listening
from tests.origins.clocks import FakeClock

KIB = 1024
READ_BYTES = 128 * KIB
Read = tuple[float, int, int]  # when, in seconds since the opening, from where and how much, in bytes

# Reads that reached a mount while a track of 70 seconds was played, as "when:offset+size" in seconds and KiB. Some of each
# file was in the kernel's cache: mpd had updated its database before.
PLAYED = {
    "ffmpeg -re, m4a": (1944427, 70.0, """
        0.0:0+64 0.0:1884+15 0.0:64+128 20.2:704+128 25.0:832+128 29.7:960+128 34.4:1088+128 39.2:1216+128 43.9:1344+128
        48.7:1472+128 53.4:1600+128 58.2:1728+128 63.0:1856+28"""),
    "vlc, m4a": (1944412, 68.9, """
        0.0:1884+4 0.0:1888+11 0.0:16+16 0.0:36+28 0.0:64+96 28.2:928+128 33.2:1056+128 37.9:1184+128 42.4:1312+128
        47.2:1440+128 52.2:1568+128 56.9:1696+128 56.9:1572+32 56.9:1680+16 66.2:1824+60"""),
    "mpv, m4a": (1944412, 69.7, """
        0.0:0+128 0.0:128+128 0.0:1884+15 0.0:256+128 0.0:384+128 0.0:512+128 0.0:640+128 0.0:768+128 0.0:896+128
        0.0:1024+128 0.0:1152+128 0.0:1280+128 0.0:1408+128 0.0:1536+128 0.0:1664+128 0.0:1792+92"""),
    "gst-launch, ogg": (1217164, 70.0, """
        0.0:0+16 0.0:1188+1 0.0:16+32 0.0:48+64 0.0:1180+8 0.0:1172+8 33.6:648+56 35.6:704+8 35.6:752+64 40.7:816+128
        46.8:944+128 55.0:1072+52 65.2:1120+4"""),
    "vlc, ogg": (1217164, 68.9, """
        0.0:16+16 0.0:36+12 0.0:1180+4 0.0:1184+5 0.0:1172+8 0.0:48+96 28.5:656+128 36.7:784+128
        43.9:912+128 51.0:1040+84"""),
    "ffplay, ogg": (1217173, 69.7, """
        0.0:0+64 0.0:1124+36 0.0:1160+29 0.0:64+64 0.0:128+128 26.2:640+128 34.3:768+128 41.4:896+128 48.5:1024+100
        52.6:952+4 52.6:960+4 52.6:968+16 52.6:992+8"""),
    "mpd, mp3, opened while another one is played": (2802508, 80.7, """
        0.0:280+64 0.0:640+128 19.0:768+128 19.0:896+128 22.6:1024+128 25.5:1152+128 25.5:1280+128 30.5:1408+128
        33.5:1536+128 38.5:1664+128 41.4:1792+128 41.4:1920+128 46.5:2048+128 51.6:2176+128 54.5:2304+128 59.6:2432+128
        59.6:2560+128 61.8:2688+49"""),
    "all of it in the kernel's cache": (4340678, 70.0, ""),
}  # fmt: skip
NOT_PLAYED = {
    "ffprobe, m4a": (1944424, 0.01, "0.0:0+64 0.0:1884+15 0.0:64+128"),
    "cp, ogg": (1217161, 0.01, """
        0.0:0+128 0.0:128+128 0.0:384+128 0.0:256+128 0.0:512+128 0.0:640+128 0.0:768+128 0.0:896+128 0.0:1024+128
        0.0:1152+37"""),
    "ffmpeg, ogg": (1217182, 0.05, """
        0.0:0+64 0.0:1124+36 0.0:1160+29 0.0:64+64 0.0:128+128 0.0:256+128 0.0:384+128 0.0:512+128 0.0:640+128 0.0:768+128
        0.0:896+128 0.0:1024+100"""),
    "rsync --bwlimit=100, ogg": (1217176, 11.3, """
        0.0:0+128 0.0:128+128 0.0:256+128 2.0:384+128 2.0:512+128 4.6:768+128 7.2:1024+100 7.2:896+128"""),
    "paused after a second": (4340678, 4000.0, "0.0:0+128 0.0:128+128 0.0:256+128"),
}  # fmt: skip


class World:
    """Handles on tracks, and the seconds that pass."""

    def __init__(self, duration_s: float | None = 70.0) -> None:
        self.clock = FakeClock()
        self.asked: list[int] = []
        self.duration_s = duration_s
        self.heard: list[tuple[float, Heard]] = []
        self.listening = Listening(self.clock, self._duration_of)

    def _duration_of(self, node: Node) -> float | None:
        self.asked.append(node.ref)
        return self.duration_s

    def open(self, size: int = 1_000_000, ref: int = 1, pid: int = 7) -> Hearing:
        return self.listening.begin(Node(ref, NodeKind.OBJECT, 0, 1, size, 0, ref, 0, b"1.flac"), pid)

    def look(self) -> list[Heard]:
        found = self.listening.look()
        self.heard += ((self.clock.now, one) for one in found)
        return found

    def pass_s(self, seconds: float) -> None:
        """Time passes, with a look each second."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.now = min(until, self.clock.now // 1 + 1)
            if self.clock.now % 1 == 0:
                self.look()

    def read_all(self, hearing: Hearing, reads: Iterable[Read], life_s: float) -> None:
        """Read as said, then close, and look once more."""
        begun = self.clock.now
        for at_s, offset, size in reads:
            self.pass_s(max(begun + at_s - self.clock.now, 0.0))
            hearing.note(offset, min(offset + size, hearing.node.size), 0.0001)
        self.pass_s(max(begun + life_s - self.clock.now, 0.0))
        self.listening.end(hearing)
        self.look()


def reads_of(text: str) -> list[Read]:
    found = []
    for word in text.split():
        at, _, place = word.partition(":")
        offset, _, size = place.partition("+")
        found.append((float(at), int(offset) * KIB, int(size) * KIB))
    return found


def in_order(size: int, bytes_per_s: Callable[[float], float]) -> list[Read]:
    """A file read from its beginning to its end, each read as soon as its turn has come."""
    reads, at = [], 0.0
    for offset in range(0, size, READ_BYTES):
        reads.append((at, offset, READ_BYTES))
        at += READ_BYTES / bytes_per_s(at)
    return reads


@pytest.mark.parametrize("begun_at", [1000.0, 1000.37, 1000.99])
@pytest.mark.parametrize("name", PLAYED)
def test_who_plays_is_heard_once_half_of_it_was_played(name: str, begun_at: float) -> None:
    size, life_s, text = PLAYED[name]
    world = World()
    world.clock.now = begun_at
    world.read_all(world.open(size), reads_of(text), life_s)
    [(at, heard)] = world.heard
    assert heard.object_id == 1
    assert 35 <= at - begun_at < 37, "at once, and not when it is closed"
    assert heard.opened_s == at - begun_at and heard.played_s == 0


@pytest.mark.parametrize("name", NOT_PLAYED)
def test_who_does_not_play_is_not_heard(name: str) -> None:
    size, life_s, text = NOT_PLAYED[name]
    world = World()
    world.read_all(world.open(size), reads_of(text), life_s)
    assert world.heard == []


def test_scans_are_not_even_asked_about() -> None:
    world = World()
    for ref in range(1000):
        hearing = world.open(ref=ref)
        hearing.note(0, READ_BYTES, 0.0)
        world.clock.now += 0.002
        world.listening.end(hearing)
        if ref % 100 == 0:
            world.look()
    world.pass_s(5)
    assert (world.heard, world.asked) == ([], [])


def test_four_minutes_of_what_is_long_or_of_unknown_length() -> None:
    for duration_s in (3600.0, 0.0):
        world = World(duration_s)
        world.open(100 << 20)
        world.pass_s(600)
        assert [at - 1000 for at, _ in world.heard] == [240]


def test_what_is_no_track_does_not_count() -> None:
    world = World(None)
    world.open()
    world.pass_s(600)
    assert world.heard == [] and world.asked == [1], "asked once"


def test_short_tracks() -> None:
    """Four seconds and less: all of it is read at once, and the look comes when it comes."""
    for duration_s in (2.1, 3.0, 4.0):
        for begun_at in (1000.0, 1000.5, 1000.9):
            world = World(duration_s)
            world.clock.now = begun_at
            world.read_all(world.open(300_000), [(0, 0, READ_BYTES), (0, READ_BYTES, 2 * READ_BYTES)], duration_s)
            assert len(world.heard) == 1


@settings(deadline=None)
@given(
    duration_s=st.floats(2, 7200),
    byte_rate=st.integers(16_000, 1_200_000),
    speed=st.floats(2.1, 5000),
    begun_at=st.floats(1000, 1001),
)
def test_a_copy_that_is_faster_than_music_is_never_a_play(
    duration_s: float, byte_rate: int, speed: float, begun_at: float
) -> None:
    """From 128 kbit/s on: below that, what a kernel reads ahead is a good part of a track."""
    size = int(duration_s * byte_rate)
    world = World(duration_s)
    world.clock.now = begun_at
    world.read_all(world.open(size), in_order(size, lambda _: byte_rate * speed), duration_s / speed)
    assert world.heard == []


@settings(deadline=None)
@given(
    duration_s=st.floats(30, 7200),
    byte_rate=st.integers(12_000, 1_200_000),
    ahead_s=st.floats(0, 20),
    begun_at=st.floats(1000, 1001),
    wobble=st.floats(0, 0.3),
)
def test_music_is_a_play_whatever_its_bitrate(
    duration_s: float, byte_rate: int, ahead_s: float, begun_at: float, wobble: float
) -> None:
    """Read on with the music, some seconds ahead, with loud halves and quiet ones."""
    size = int(duration_s * byte_rate)
    world = World(duration_s)
    world.clock.now = begun_at
    half = duration_s / 2
    reads = [
        (max(at - min(ahead_s, duration_s / 4), 0.0), offset, length)
        for at, offset, length in in_order(size, lambda at: byte_rate * (1 + (wobble if at > half else -wobble)))
    ]
    world.read_all(world.open(size), reads, duration_s - min(ahead_s, duration_s / 4))
    assert len(world.heard) == 1
    at = world.heard[0][0]
    assert at - begun_at <= max(min(duration_s / 2, 240) * 2, 3) + 1


@settings(deadline=None)
@given(seed=st.integers(0, 1 << 16), piece_bytes=st.sampled_from((256 * KIB, 1 << 20, 2 << 20)))
def test_pieces_in_any_order_are_not_played(seed: int, piece_bytes: int) -> None:
    choice = random.Random(seed)
    size, duration_s = 40 << 20, 300.0
    pieces = list(range(0, size, piece_bytes))
    choice.shuffle(pieces)
    world = World(duration_s)
    reads = [
        (number * duration_s / len(pieces), piece + offset, READ_BYTES)
        for number, piece in enumerate(pieces)
        for offset in range(0, piece_bytes, READ_BYTES)
    ]
    world.read_all(world.open(size), reads, 3000)
    before_half = pieces[: len(pieces) // 2]
    turned_back = sum(after < before - (1 << 20) for before, after in pairwise(before_half))
    if turned_back > 8:
        assert world.heard == []


def test_a_copy_that_waits_for_us_is_not_played() -> None:
    """A line that is just as fast as the music is: a player on it would stutter."""
    world = World(200.0)
    hearing = world.open(25 << 20)
    for offset in range(0, 25 << 20, READ_BYTES):
        hearing.note(offset, offset + READ_BYTES, 0.98)
        world.pass_s(1.0)
    assert world.heard == []


def test_one_process_that_keeps_many_open_is_no_listener() -> None:
    world = World()
    seeder = [world.open(ref=ref, pid=5) for ref in range(10)]
    world.open(ref=100, pid=6)
    world.pass_s(100)
    assert [heard.object_id for _, heard in world.heard] == [100]
    for hearing in seeder:
        world.listening.end(hearing)
        world.pass_s(1)
    assert len(world.heard) == 1


def test_a_server_that_scans_while_it_plays_is_heard() -> None:
    world = World()
    world.open(ref=1, pid=5)
    for _ in range(70):
        scanned = [world.open(ref=ref, pid=5) for ref in range(2, 30)]
        world.pass_s(0.5)
        for hearing in scanned:
            world.listening.end(hearing)
        world.pass_s(0.6)
    assert [heard.object_id for _, heard in world.heard] == [1]


def test_a_handle_counts_once_and_so_do_two_of_one_player() -> None:
    world = World(200.0)
    first = world.open()
    world.pass_s(3)
    second = world.open(pid=8)
    world.pass_s(190)
    assert len(world.heard) == 1
    world.listening.end(first)
    world.listening.end(second)
    world.pass_s(1000)
    assert len(world.heard) == 1


@pytest.mark.parametrize("ahead_s", [0, 1, 20])
@pytest.mark.parametrize("duration_s", [50.0, 60.0, 200.0, 3600.0])
def test_what_is_repeated_counts_each_time(duration_s: float, ahead_s: float) -> None:
    """By a player that opens the next one some time before it has played the last."""
    world = World(duration_s)
    for _ in range(5):
        hearing = world.open()
        world.pass_s(duration_s - ahead_s)
        world.listening.end(hearing)
        world.pass_s(0 if ahead_s else 0.2)
    assert len(world.heard) == 5


def test_a_long_one_read_by_parts_counts_once() -> None:
    """As servers do that are asked for ranges: a handle for each."""
    world = World(3600.0)
    for _ in range(12):
        hearing = world.open()
        world.pass_s(290)
        world.listening.end(hearing)
    assert len(world.heard) == 1


def test_what_is_closed_between_two_looks_was_a_play_then() -> None:
    world = World(4.0)
    hearing = world.open()
    world.clock.now += 1.2
    world.look()
    world.clock.now += 0.9
    world.listening.end(hearing)
    world.clock.now += 5.0
    [heard] = world.look()
    assert (round(heard.opened_s, 3), round(heard.played_s, 3)) == (7.1, 5.0)


def test_nothing_is_kept_of_what_is_closed() -> None:
    world = World()
    for ref in range(3000):
        world.listening.end(world.open(ref=ref))
    world.look()
    assert not world.listening._hearings
    for ref in range(3000):
        hearing = world.open(ref=ref, pid=ref)
        world.clock.now += 36
        world.look()
        world.look()
        world.clock.now += 1
        world.listening.end(hearing)
        world.look()
    assert not world.listening._hearings and len(world.listening._played) <= 1000
