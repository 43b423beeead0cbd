"""Two processes at once, killed ones, and a full disk."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.errors import DiskFullError
from musicfs.store import chunks_tables
from musicfs.store.chunks_schema import BLOCK_BYTES, Content, Reuse
from tests.store.chunk_world import World, assert_right, block, check_tables, content_of, noise

SEEDS, SIZE = 8, 900_000

# What a process does until it is killed or has done it as often as it was told. Each line it prints is a turn done.
WORK = """
import itertools, random, sys
from musicfs.store import chunks_edit, chunks_recut
from musicfs.store.chunks_schema import Reuse
from tests.store.chunk_world import *
path, what, turns, SEEDS, SIZE = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:6])
chunks_recut.WINDOW_BYTES, chunks_recut.ADOPTED_ENTRIES, chunks_edit.SLICE_PIECES = 300_000, 5, 5
store = ChunkStore(str(path), limit_bytes=LIMIT_BYTES, clock=Ticks())
keep, cut = ChunkUpkeep(store), Chunker()
choice = random.Random(turns)
datas = [noise(seed, SIZE) for seed in range(SEEDS)]

def put(data):
    content = content_of(data)
    numbers = range(-(-len(data) // BLOCK_BYTES))
    for some in (numbers[:3], numbers[3:]):
        store.put_blocks(content, [(number, block(data, number)) for number in some])
    return content

def read():
    data = choice.choice(datas)
    assert_right(*read_all(store.open(content_of(data))), data)

def recut():
    keep.recut(put(choice.choice(datas)), cut)

def ingest():
    data = choice.choice(datas)
    keep.ingest(content_of(data), [data[:400_000], data[400_000:]], cut)
    store.forget(content_of(data))

def adopt():
    old, new = choice.choice(datas), b"header" + choice.choice(datas)
    recut()
    keep.adopt(content_of(new), [Reuse(6, len(new), content_of(new[6:]).key, 0)])
    store.forget(content_of(new))

def evict():
    for content in [put(data) for data in choice.sample(datas, 3)]:
        keep.recut(content, cut)
    keep.evict(choice.randrange(3 * SIZE), choice.randrange(SIZE))

def clear():
    recut()
    keep.clear()

def damage():
    recut()
    tables = store.tables
    with tables.env.begin(write=True) as txn, txn.cursor(tables.chunks) as cursor:
        if cursor.set_range(choice.randbytes(16)):
            txn.put(cursor.key(), b"damaged", db=tables.chunks)
    for data in datas:
        read_all(store.open(content_of(data)))
    store.discard(store.take_bad())
    keep.tidy()

def verify():
    damage()
    keep.verify(lambda piece: None)

def touch():
    store.touch([content_of(data).key for data in datas])

def mount():
    read(), put(choice.choice(datas)), read(), touch(), read()

print("ready", flush=True)
for turn in range(turns) if turns else itertools.count():
    globals()[what]()
    print(turn, flush=True)
store.close()
"""


def work(path: Path, what: str, turns: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORK, str(path), what, str(turns), str(SEEDS), str(SIZE)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.communicate(timeout=30)[1]
    return process


@pytest.mark.parametrize("what", ["recut", "ingest", "adopt", "evict", "clear", "verify", "mount"])
def test_killed_at_any_point_everything_is_right_or_missing(tmp_path: Path, what: str) -> None:
    """Without a look at what is found: no repair is needed after a kill."""
    path = tmp_path / "chunks"
    world = World(path)
    for seed in range(0, SEEDS, 2):
        data = noise(seed, SIZE)
        world.put_recut(content_of(data), data)
    choice = random.Random(what)
    for _ in range(5):
        process = work(path, what)
        time.sleep(choice.uniform(0.001, 0.12))  # anywhere in its work
        process.kill()
        _, error = process.communicate(timeout=30)
        assert process.returncode == -signal.SIGKILL, error
        if what == "verify":  # it damages before it repairs, and that may have been all it did
            world.store.take_bad()
            world.keep.verify(lambda _: None)
        world.check()
        for seed in range(SEEDS):
            data = noise(seed, SIZE)
            found, missing = world.read(content_of(data))
            assert_right(found, missing, data)
            coverage = world.store.coverage(content_of(data))
            assert coverage.cached_bytes == SIZE - sum(stop - start for start, stop in missing)
    world.close()


def test_a_reader_and_writer_beside_the_keeper(tmp_path: Path) -> None:
    """The other process reads and adds blocks, and ends itself at the first wrong byte."""
    path = tmp_path / "chunks"
    world = World(path)
    process = work(path, "mount", turns=150)
    choice = random.Random(1)
    turns = 0
    while process.poll() is None:
        data = noise(choice.randrange(SEEDS), SIZE)
        content = content_of(data)
        world.keep.recut(content, world.cut)
        if choice.random() < 0.3:
            world.keep.evict(choice.randrange(4 * SIZE), SIZE // 2)
        if choice.random() < 0.2:
            shifted = b"header" + data
            world.keep.adopt(content_of(shifted), [Reuse(6, len(shifted), content.key, 0)])
            assert_right(*world.read(content_of(shifted)), shifted)
        assert_right(*world.read(content), data)
        turns += 1
    assert process.wait(30) == 0, process.communicate()[1]
    process.communicate(timeout=30)
    assert turns > 10
    world.check()
    world.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_ends_writing_and_never_reading(small_disk: Path) -> None:
    world = World(small_disk / "chunks")
    stored: list[tuple[Content, bytes]] = []
    with pytest.raises(DiskFullError) as caught:
        for seed in range(100):
            data = noise(seed, SIZE)
            world.put(content_of(data), data)
            stored.append((content_of(data), data))
    assert caught.value.retryable and len(stored) > 8
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as stream:
        try:
            while stream.write(bytes(4096)):
                pass
        except OSError:
            pass
    for content, data in stored:
        assert world.read(content) == (data, [])
    for _ in range(3):
        with pytest.raises(DiskFullError):
            world.put(Content(b"n" * 16, SIZE), noise(0, SIZE))
    check_tables(world.store)
    ballast.unlink()
    world.keep.evict(4 << 20, 1 << 20)  # makes room within the file
    fresh = noise(99, SIZE)
    world.put_recut(content_of(fresh), fresh)
    assert world.read(content_of(fresh)) == (fresh, [])
    world.check()
    world.close()


def test_a_full_map_is_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks_tables, "map_size_bytes", lambda _: 4 << 20)
    world = World(tmp_path / "chunks")
    data = noise(1, SIZE)
    world.put(content_of(data), data)
    with pytest.raises(DiskFullError):
        for seed in range(2, 10):
            world.put(content_of(noise(seed, SIZE)), noise(seed, SIZE))
    assert world.read(content_of(data)) == (data, [])
    world.check()
    world.close()


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    world = World(tmp_path / "chunks")
    data = noise(1, SIZE)
    with pytest.raises(ValueError, match="block"):
        world.store.put_blocks(content_of(data), [(0, block(data, 0)), (1, b"short")])
    assert world.keep.stats().contents == 0
    assert world.store.coverage(content_of(data)).cached_bytes == 0
    assert world.store.put_blocks(content_of(data), [(0, data[:BLOCK_BYTES])]) == 1  # the lock is free
    world.check()
    world.close()
