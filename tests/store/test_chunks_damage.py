"""Damaged pieces are missing pieces: they never leave the store, are said once, and are healed by what is fetched."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from musicfs.errors import StoreError
from musicfs.store import chunks_tables, environment
from musicfs.store.chunks import ChunkStore
from musicfs.store.chunks_schema import BLOCK_BYTES, Content, Piece, PieceKind
from musicfs.store.chunks_tables import Writing
from tests.store.chunk_world import LIMIT_BYTES, World, assert_right, content_of, noise

DATA = noise(1, 1_000_000)
CONTENT = content_of(DATA)
CRASHES = {-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT}


def overwrite(world: World, piece: Piece, value: bytes | None = None) -> None:
    """Put another value in a piece's place; by default its own with one bit flipped."""
    table = world.store.tables.table_of(piece.kind)
    with world.store.tables.env.begin(write=True) as txn:
        if value is None:
            changed = bytearray(txn.get(piece.key, db=table) or b"")
            changed[len(changed) // 2] ^= 4
            value = bytes(changed)
        txn.put(piece.key, value, db=table)


def pieces(world: World, kind: PieceKind) -> list[Piece]:
    with world.store.tables.env.begin() as txn, txn.cursor(world.store.tables.table_of(kind)) as cursor:
        return [Piece(kind, bytes(key)) for key in cursor.iternext(values=False)]


@pytest.mark.parametrize("kind", PieceKind)
def test_a_damaged_piece_is_missing_until_it_is_fetched_again(world: World, kind: PieceKind) -> None:
    world.put(CONTENT, DATA)
    if kind is not PieceKind.BLOCK:
        assert world.keep.recut(CONTENT, world.cut)
    piece = pieces(world, kind)[0]
    overwrite(world, piece)
    for _ in range(3):
        found, missing = world.read(CONTENT)
        assert missing
        assert_right(found, missing, DATA)
    assert world.store.bad_found == 1
    assert world.store.take_bad() == [piece]
    assert world.store.take_bad() == []
    assert world.store.discard([piece]) == [piece]
    assert world.store.discard([piece]) == []  # gone, or sound again
    due = world.keep.tidy()
    assert due == (kind is PieceKind.MANIFEST)
    if due:
        assert world.keep.verify(lambda _: None)
    world.check()
    assert not world.store.coverage(CONTENT).complete
    assert world.keep.stats().bad == 1
    world.put(CONTENT, DATA)
    assert world.read(CONTENT) == (DATA, [])
    assert world.keep.recut(CONTENT, world.cut)
    assert world.read(CONTENT) == (DATA, [])


def test_blocks_stand_in_for_a_damaged_chunk_at_once(world: World) -> None:
    world.put_recut(CONTENT, DATA)
    piece = pieces(world, PieceKind.CHUNK)[3]
    overwrite(world, piece)
    _, missing = world.read(CONTENT)
    numbers = {
        number for start, stop in missing for number in range(start // BLOCK_BYTES, (stop - 1) // BLOCK_BYTES + 1)
    }
    world.put(CONTENT, DATA, *numbers)
    assert world.read(CONTENT) == (DATA, [])
    world.store.discard(world.store.take_bad())
    world.keep.tidy()
    assert world.read(CONTENT) == (DATA, [])
    assert world.keep.recut(CONTENT, world.cut)
    assert world.read(CONTENT) == (DATA, [])


def test_the_same_bytes_from_elsewhere_heal_a_damaged_chunk(world: World) -> None:
    world.put_recut(CONTENT, DATA)
    for piece in pieces(world, PieceKind.CHUNK):
        overwrite(world, piece)
    other = Content(b"o" * 16, len(DATA))
    assert world.keep.ingest(other, [DATA], world.cut)
    assert world.read(CONTENT) == world.read(other) == (DATA, [])
    assert not world.keep.tidy()


def test_a_piece_in_anothers_place_is_damaged(world: World) -> None:
    """As when a damaged page number leads to another page, which is sound in itself."""
    other = Content(b"o" * 16, len(DATA))
    world.put(CONTENT, DATA)
    world.put(other, DATA)
    first, second = pieces(world, PieceKind.BLOCK)[:2]
    for victim in (first, Piece(PieceKind.BLOCK, b"o" * 16 + second.key[16:])):
        with world.store.tables.env.begin() as txn:
            value = txn.get(second.key, db=world.store.tables.blocks)
        overwrite(world, victim, value)
    for content, number in ((CONTENT, 0), (other, 1)):
        found, missing = world.read(content)
        assert_right(found, missing, DATA)
        assert missing == [(number * BLOCK_BYTES, (number + 1) * BLOCK_BYTES)]
    world.store.discard(world.store.take_bad())

    header = b"x" * 50_000
    longer = content_of(header + DATA)
    world.put_recut(longer, header + DATA)
    world.put(CONTENT, DATA)
    assert world.keep.recut(CONTENT, world.cut)
    with world.store.tables.env.begin() as txn:
        value = txn.get(CONTENT.key, db=world.store.tables.manifests)
    overwrite(world, Piece(PieceKind.MANIFEST, longer.key), value)
    assert world.read(longer) == (bytes(longer.size), [(0, longer.size)])
    world.store.discard(world.store.take_bad())
    assert world.keep.verify(lambda _: None)


def test_a_block_that_is_not_there_is_found_by_recutting(world: World) -> None:
    world.put(CONTENT, DATA)
    with world.store.tables.env.begin(write=True) as txn:
        txn.delete(pieces(world, PieceKind.BLOCK)[2].key, db=world.store.tables.blocks)
    assert not world.keep.recut(CONTENT, world.cut)
    assert not world.store.coverage(CONTENT).complete
    assert world.keep.complete_blocks() == []
    world.put(CONTENT, DATA)
    assert world.keep.recut(CONTENT, world.cut)
    assert world.read(CONTENT) == (DATA, [])


def test_verify_finds_everything(world: World) -> None:
    other = noise(2, 900_000)
    world.put_recut(CONTENT, DATA)
    world.put_recut(content_of(other), other)
    third = noise(3, 500_000)
    world.put(content_of(third), third)
    damaged = [
        pieces(world, PieceKind.MANIFEST)[0],
        *pieces(world, PieceKind.CHUNK)[::5],
        pieces(world, PieceKind.BLOCK)[1],
    ]
    for piece in damaged:
        overwrite(world, piece)
    found: list[Piece] = []
    assert world.keep.verify(found.append)
    # Chunks of the content whose manifest went are removed without a look at them, if that comes first.
    assert Counter(found) == Counter(damaged)
    world.check()
    assert world.keep.stats().bad == len(damaged)
    found.clear()
    assert world.keep.verify(found.append) and not found
    assert not world.keep.tidy()
    for data in (DATA, other, third):
        assert_right(*world.read(content_of(data)), data)


def test_verify_puts_counts_and_records_right(world: World) -> None:
    """Whatever a damaged page did to the small tables."""
    for seed in range(6):
        data = noise(seed, 400_000)
        world.put(content_of(data), data)
        if seed % 2:
            world.keep.recut(content_of(data), world.cut)
    world.keep.ingest(Content(b"t" * 16, 400_000), [noise(1, 400_000)], world.cut)
    tables = world.store.tables
    choice = random.Random(1)
    for _ in range(30):
        table = choice.choice(
            [tables.contents, tables.uses, tables.refs, tables.chunks, tables.blocks, tables.manifests]
        )
        with tables.env.begin(write=True) as txn:
            with txn.cursor(table) as cursor:
                keys = list(cursor.iternext(values=False))
            if keys:
                txn.delete(choice.choice(keys), db=table)
            if choice.random() < 0.3:
                txn.put(choice.randbytes(16), (3).to_bytes(4, "little"), db=tables.refs)
                txn.put(b"\0" + choice.randbytes(24), b"", db=tables.uses)
    with Writing(tables) as write:
        write.totals.recount = True
    assert world.keep.verify(lambda _: None)
    world.check()
    for seed in range(6):
        data = noise(seed, 400_000)
        assert_right(*world.read(content_of(data)), data)
        world.put_recut(content_of(data), data)
    world.check()


def test_verify_stops_when_told_to(world: World) -> None:
    world.put(CONTENT, DATA)
    assert not world.keep.verify(lambda _: None, lambda: True)


# The file itself.

USE = """
import sys
from musicfs.errors import StoreError
from tests.store.chunk_world import *
path, seeds, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
try:
    store = ChunkStore(str(path), limit_bytes=LIMIT_BYTES, clock=Ticks())
    keep, cut = ChunkUpkeep(store), Chunker()
    for turn in range(2):
        for seed in range(seeds):
            data = noise(seed, size)
            found, missing = read_all(store.open(content_of(data)))
            assert_right(found, missing, data)
            print("missing", sum(b - a for a, b in missing))
        store.discard(store.take_bad())
        for seed in range(seeds):
            data = noise(seed, size)
            store.put_blocks(content_of(data), [(n, block(data, n)) for n in range(-(-size // BLOCK_BYTES))])
            keep.recut(content_of(data), cut)
        keep.evict(size * seeds // 2, size)
        keep.tidy()
        keep.verify(lambda piece: None)
    store.close()
except StoreError as error:
    print("StoreError", error)
print("done")
"""
SEEDS, SIZE = 12, 900_000


def use(path: Path) -> subprocess.CompletedProcess[str]:
    """Read, write, verify in a process of its own; a wrong byte is a failed assertion in it."""
    command = [sys.executable, "-c", USE, str(path), str(SEEDS), str(SIZE)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with blocks and chunks, as a crash leaves it."""
    path = tmp_path_factory.mktemp("stored") / "chunks"
    world = World(path)
    for seed in range(SEEDS):
        data = noise(seed, SIZE)
        world.put(content_of(data), data)
        if seed % 3:
            world.keep.recut(content_of(data), world.cut)
    world.close()
    return path


@pytest.mark.parametrize("count", [1, 10, 1000])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.expects_log("put aside")
def test_flipped_bits_serve_no_wrong_byte_and_end_in_a_working_store(
    stored: Path, tmp_path: Path, seed: int, count: int
) -> None:
    """The first time without the probe, which sees all of this small store, and of a large one only samples."""
    path = tmp_path / "chunks"
    shutil.copytree(stored, path)
    choice = random.Random(seed * 1000 + count)
    raw = bytearray((path / "data.mdb").read_bytes())
    for _ in range(count):
        raw[choice.randrange(8192, len(raw))] ^= 1 << choice.randrange(8)
    (path / "data.mdb").write_bytes(raw)
    ends: list[str] = []
    while not ends or ends[-1] != "sound":
        if ends:
            chunks_tables.prepare_chunks(str(path))
        done = use(path)
        assert "AssertionError" not in done.stderr, done.stderr
        assert done.returncode == 0 or done.returncode in CRASHES, done.stderr
        failed = done.returncode or "StoreError" in done.stdout
        ends.append(str(done.returncode) + done.stdout[-80:] if failed else "sound")
        assert len(ends) <= 4, ends
    print(ends)


@pytest.mark.expects_log("put aside")
def test_a_store_that_crashes_three_times_is_put_aside(stored: Path, tmp_path: Path) -> None:
    path = tmp_path / "chunks"
    shutil.copytree(stored, path)
    assert [chunks_tables.prepare_chunks(str(path)) for _ in range(5)] == [False, False, True, False, False]
    shutil.rmtree(path)
    shutil.copytree(stored, path)
    for _ in range(5):
        assert not chunks_tables.prepare_chunks(str(path))
        chunks_tables.confirm_chunks(str(path))
    for _ in range(5):
        environment.mark_clean(str(path))
        assert not chunks_tables.prepare_chunks(str(path))


@pytest.mark.parametrize("kept", [1, 3, 50])
@pytest.mark.expects_log("truncated|not a content store file|put aside")
def test_a_truncated_store_begins_anew(stored: Path, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "chunks"
    shutil.copytree(stored, path)
    os.truncate(path / "data.mdb", kept * 4096)
    assert chunks_tables.prepare_chunks(str(path))
    assert os.listdir(tmp_path) == ["chunks"]
    assert use(path).returncode == 0


@pytest.mark.expects_log("another|not a content store|put aside")
def test_another_schema_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "chunks"
    World(path).close()
    with environment.open_environment(str(path)) as env, env.begin(write=True) as txn:
        txn.put(b"byteorder", b"middle", db=env.open_db(b"meta", txn))
    environment.mark_clean(str(path))
    assert chunks_tables.prepare_chunks(str(path))
    World(path).close()


@pytest.mark.expects_log("the content store is damaged")
@pytest.mark.expects_log("was found damaged")
def test_damage_that_is_met_while_open_makes_everything_missing(stored: Path, tmp_path: Path) -> None:
    path = tmp_path / "chunks"
    shutil.copytree(stored, path)
    store = ChunkStore(str(path), limit_bytes=LIMIT_BYTES)
    data = path / "data.mdb"
    raw = bytearray(data.read_bytes())
    for page in range(2 * 4096, len(raw), 4096):
        raw[page + 10 : page + 12] = bytes(2)  # the flags of every page: none is what it was
    with data.open("r+b") as stream:
        stream.write(raw)
    content = content_of(noise(0, SIZE))
    view = memoryview(bytearray(1000))
    for _ in range(2):
        assert store.open(content).read_into(view, 10) == [(10, 1010)]
    assert store.is_damaged
    with pytest.raises(StoreError, match="damaged"):
        store.touch([content.key])
    store.close()
    assert chunks_tables.prepare_chunks(str(path))
