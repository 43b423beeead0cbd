"""Reading a corrected file: every read is a slice of the whole, wherever the original is read from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicfs.content.buffers import Buffers
from musicfs.content.keys import Source
from musicfs.content.readers import LocalReader, Reader
from musicfs.content.sources import Sources
from musicfs.content.spliced import SplicedReader, spliced
from musicfs.errors import ChangedError, UnreachableError
from musicfs.formats.oggrenumber import Renumbering
from musicfs.formats.plans import Extra, Literal, Pages, Piece, Plan, Range, pack_pieces
from musicfs.origins.local import LocalOrigin
from musicfs.origins.memory import MemoryOrigin
from musicfs.testing.audio import encoded
from tests.content.worlds import MemoryStore, Opened, Waits

DATA = bytes(range(256)) * 2500  # beyond what the kernel asks for at once, and beyond two blocks
EXTRA = b"a new picture " * 1000
PIECES: tuple[Piece, ...] = (
    Range(0, 4),
    Literal(b"new tags" * 50),
    Extra(5, 9000),
    Range(1000, 400_000),
    Range(400_007, len(DATA)),
    Literal(b"end"),
)
WHOLE = b"".join(
    piece.data
    if isinstance(piece, Literal)
    else (EXTRA if isinstance(piece, Extra) else DATA)[piece.start : piece.stop]
    for piece in PIECES
    if not isinstance(piece, Pages)
)


class Place:
    """A file that can be opened, on this machine or over a network with a cache."""

    def __init__(self, folder: Path, data: bytes) -> None:
        folder.mkdir()
        (folder / "a").write_bytes(data)
        self.path = folder / "a"
        self.size = len(data)
        self.memory = MemoryOrigin("net")
        self.memory.put("a", data)
        self.local = Sources(Opened(LocalOrigin("disk", str(folder))), Waits())
        self.store = MemoryStore()
        self.cached = Sources(Opened(self.memory, keep=True), Waits(), store=self.store)
        self.buffers = Buffers()

    def original(self, kind: str) -> Reader:
        sources, name = (self.local, "disk") if kind == "local" else (self.cached, "net")
        version = "" if kind == "local" else _version(self.memory)
        return sources.open(Source(name, "a", version, self.size), 0, self.size)

    def open(self, kind: str, pieces: tuple[Piece, ...] = PIECES, extra: bytes = EXTRA) -> SplicedReader:
        return SplicedReader(self.original(kind), spliced(pack_pieces(pieces), extra), self.buffers)

    def close(self) -> None:
        self.local.close()
        self.cached.close()


def _version(origin: MemoryOrigin) -> str:
    entry = origin.stat("a")
    assert entry is not None
    return entry.version


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path / "music", DATA)
    yield place
    place.close()


KINDS = pytest.mark.parametrize("kind", ["local", "cached"])


@KINDS
def test_reads_are_slices(place: Place, kind: str) -> None:
    reader = place.open(kind)
    assert reader.size == len(WHOLE)

    @settings(max_examples=150, deadline=None)
    @given(st.integers(0, len(WHOLE)), st.integers(0, 300_000))
    def read(start: int, size: int) -> None:
        stop = min(start + size, len(WHOLE))
        assert bytes(reader.read(start, stop)) == WHOLE[start:stop]

    read()
    bounds = sorted({0, 4, 404, 404 + 8995, len(WHOLE) - 3, len(WHOLE)})
    for edge in bounds:
        for before, behind in ((1, 1), (0, 0), (0, 1), (2, 0)):
            start, stop = max(edge - before, 0), min(edge + behind, len(WHOLE))
            assert bytes(reader.read(start, stop)) == WHOLE[start:stop]
    reader.close()


@KINDS
def test_what_is_as_it_was_is_not_copied(place: Place, kind: str) -> None:
    """A range of the original comes in the buffer of the original's reader, anything else in one of this kind."""
    reader, original = place.open(kind), place.original(kind)
    start = 404 + 8995 + 100
    as_is = reader.read(start, start + 100_000)
    assert bytes(as_is) == DATA[1100:101_100]
    made = reader.read(0, 1000)
    assert bytes(made) == WHOLE[:1000]
    assert isinstance(made, memoryview)
    assert made.obj is place.buffers.view(1).obj
    if kind == "local":
        assert isinstance(as_is, memoryview)
        assert as_is.obj is not made.obj, "the two kinds share no buffer"
    original.close()
    reader.close()


@KINDS
def test_readers_of_one_thread_share_a_buffer_and_threads_do_not(place: Place, kind: str) -> None:
    readers = [place.open(kind), place.open(kind, (Literal(b"x" * 5000), Range(0, 5000)), b"")]
    first = readers[0].read(0, 5000)
    second = readers[1].read(0, 5000)
    assert isinstance(first, memoryview)
    assert isinstance(second, memoryview)
    assert first.obj is second.obj, "valid until this thread reads again"
    assert bytes(second) == b"x" * 5000
    failures: list[str] = []
    barrier = threading.Barrier(4)

    def play(number: int) -> None:
        barrier.wait(10)
        for turn in range(200):
            begin = (number * 7919 + turn * 4099) % (len(WHOLE) - 140_000)
            view = readers[0].read(begin, begin + 140_000)
            if bytes(view) != WHOLE[begin : begin + 140_000]:
                failures.append(f"{number}: {begin}")

    threads = [threading.Thread(target=play, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert failures == []
    for reader in readers:
        reader.close()


def test_small_reads_keep_one_buffer(place: Place) -> None:
    reader = place.open("local")
    reader.read(0, 10)
    buffer = place.buffers.view(1).obj
    reader.read(0, 130_000)
    assert place.buffers.view(1).obj is buffer
    assert len(place.buffers.view(1 << 17)) == 1 << 17
    assert bytes(reader.read(0, 200_000)) == WHOLE[:200_000]
    assert place.buffers.view(1).obj is not buffer
    reader.close()


def test_an_original_that_changes_ends_the_reader(place: Place) -> None:
    reader = place.open("local")
    assert bytes(reader.read(0, 500)) == WHOLE[:500]
    place.path.write_bytes(DATA[::-1])
    for start, stop in ((0, 500), (20_000, 30_000)):
        with pytest.raises(ChangedError):
            reader.read(start, stop)
    assert bytes(reader.read(10, 300)) == WHOLE[10:300], "what is not of the original needs no original"
    reader.close()


def test_an_origin_that_is_away_is_told_by_its_own_error(place: Place) -> None:
    class Away:
        size = len(DATA)
        closed = 0

        def read(self, start: int, stop: int) -> bytes:
            raise UnreachableError("no route to host")

        def close(self) -> None:
            self.closed += 1

    away = Away()
    reader = SplicedReader(away, spliced(pack_pieces(PIECES), EXTRA), place.buffers)
    for start, stop in ((0, 500), (20_000, 30_000), (0, len(WHOLE))):
        with pytest.raises(UnreachableError, match="no route"):
            reader.read(start, stop)
    assert bytes(reader.read(4, 404)) == WHOLE[4:404]
    reader.close()
    assert away.closed == 1


def test_closing_gives_the_descriptor_back(place: Place) -> None:
    original = place.original("local")
    assert isinstance(original, LocalReader)
    reader = SplicedReader(original, spliced(pack_pieces(PIECES), EXTRA), place.buffers)
    reader.close()
    reader.close()
    assert original._descriptor == -1


def test_only_what_is_read_is_fetched(place: Place) -> None:
    reader = place.open("cached")
    before = len(place.store.blocks)
    assert bytes(reader.read(4, 9000)) == WHOLE[4:9000]
    assert len(place.store.blocks) == before, "new tags cost no origin anything"
    reader.close()


@KINDS
def test_pages_that_are_renumbered(tmp_path: Path, kind: str) -> None:
    data = encoded("ogg", seconds=2.0)
    place = Place(tmp_path / "ogg", data)
    serial = int.from_bytes(data[14:18], "little")
    begin = data.index(b"OggS", 4)
    pieces: tuple[Piece, ...] = (Range(0, begin), Literal(b"more pages"), Pages(begin, len(data), serial, 3))
    moved = bytearray(len(data) - begin)
    fill: Callable[..., None] = Renumbering().fill
    fill(memoryview(moved), pieces[2], begin, lambda start, stop: data[start:stop])
    whole = data[:begin] + b"more pages" + moved
    assert whole[begin + 10 :] != data[begin:]
    reader = place.open(kind, pieces, b"")

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, len(whole)), st.integers(0, 20_000))
    def read(start: int, size: int) -> None:
        stop = min(start + size, len(whole))
        assert bytes(reader.read(start, stop)) == whole[start:stop]

    read()
    reader.close()
    place.close()


def test_a_plan_reads_as_it_was_packed() -> None:
    plan = Plan(PIECES, EXTRA)
    assert spliced(pack_pieces(plan.pieces), plan.extra).size == plan.size == len(WHOLE)
