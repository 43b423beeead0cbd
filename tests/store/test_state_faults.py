"""The state heals: torn, flipped, cut, deleted, restored from an older copy; and says what may be lost."""

from __future__ import annotations

import logging
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.errors import DiskFullError
from musicfs.store.frames import HEADER_BYTES, scan_frames
from musicfs.store.overlays import Kind, Pin, overlay_key
from tests.store.state_world import StateWorld, flip, overlay

META_BYTES = 8192  # LMDB's two meta pages


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StateWorld]:
    """A state with some hundred changes, closed."""
    world = StateWorld(tmp_path / "user")
    world.fill(1, 80)
    world.state.close()
    yield world
    world.state.close()


@pytest.fixture
def crashed(world: StateWorld) -> StateWorld:
    """The same, as a crash leaves it."""
    (world.folder / "state" / "clean").unlink()
    return world


def heals(world: StateWorld) -> None:
    """Everything is there at once, and the next start finds nothing wrong."""
    world.open()
    world.check()
    assert world.state.verify() == []
    world.fill(2, 5)
    asides = sorted(world.folder.glob("*.damaged-*"))
    for clean in (False, True):
        world.reopen(clean=clean)
        world.check()
    assert sorted(world.folder.glob("*.damaged-*")) == asides
    assert not list(world.folder.glob("*new*"))


@pytest.mark.parametrize("what", ["journal", "state", "data.mdb", "lock.mdb"])
@pytest.mark.expects_log("nothing is lost")
def test_one_of_both_is_deleted(world: StateWorld, what: str) -> None:
    path = world.folder / ("state" if what.endswith("mdb") else "") / what
    (shutil.rmtree if path.is_dir() else os.unlink)(path)
    heals(world)


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("count", [1, 1000])
@pytest.mark.parametrize("what", ["journal", "state/data.mdb"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.expects_log("nothing is lost")
def test_flipped_bits_in_one_of_both(world: StateWorld, what: str, count: int, clean: bool, seed: int) -> None:
    if not clean:
        (world.folder / "state" / "clean").unlink()
    sequence = next(iter(world.history.values()))[-1][0]
    flip(world.folder / what, random.Random(seed), count)
    heals(world)
    assert world.state.sequence >= sequence


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("count", [1, 20, 500])
def test_flipped_bits_in_both(crashed: StateWorld, count: int, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    world = crashed
    choice = random.Random(seed)
    world.open()
    lineage, sequence = world.state.lineage, world.state.sequence
    world.state.close()
    (world.folder / "state" / "clean").unlink()
    flip(world.folder / "journal", choice, count)
    flip(world.folder / "state" / "data.mdb", choice, count, META_BYTES)
    world.open()
    right = world.check_nothing_invented()
    if right < len(world.overlays) or world.state.lineage != lineage:
        assert world.state.lineage != lineage
        assert any(one.levelno == logging.ERROR and "may be lost" in one.getMessage() for one in caplog.records)
    assert world.state.sequence >= sequence
    if count == 1:
        assert right == len(world.overlays)
    if count == 20:
        assert right > len(world.overlays) * 0.8
    assert world.state.verify() == []
    caplog.clear()
    world.reopen(clean=False)
    assert world.check_nothing_invented() == right
    assert not caplog.records
    print(f"{count} flips in each: {right} of {len(world.overlays)} overlays as they were last")


def test_both_are_gone(world: StateWorld) -> None:
    world.open()
    lineage = world.state.lineage
    world.state.close()
    shutil.rmtree(world.folder / "state")
    (world.folder / "journal").unlink()
    world.open()
    assert world.state.count_overlays() == 0 and world.state.lineage != lineage


def frame_edges(journal: Path) -> list[int]:
    with journal.open("rb") as file:
        return [frame.start for frame in scan_frames(file.fileno())]


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("place", ["empty", "header", "payload", "edge", "middle"])
@pytest.mark.expects_log("nothing is lost")
def test_a_truncated_journal(world: StateWorld, place: str, clean: bool) -> None:
    if not clean:
        (world.folder / "state" / "clean").unlink()
    journal = world.folder / "journal"
    edges = frame_edges(journal)
    stop = {
        "empty": 0, "header": edges[-1] + HEADER_BYTES // 2, "payload": edges[-1] + HEADER_BYTES + 3,
        "edge": edges[-1], "middle": edges[len(edges) // 2] + 5,
    }[place]  # fmt: skip
    os.truncate(journal, stop)
    heals(world)


@pytest.mark.parametrize("kept", [0, 1, 4096, 8192, 5 * 4096, 20 * 4096 + 7])
@pytest.mark.expects_log("nothing is lost")
def test_a_truncated_environment(crashed: StateWorld, kept: int) -> None:
    os.truncate(crashed.folder / "state" / "data.mdb", kept)
    heals(crashed)


@pytest.mark.parametrize("bytes_", [b"", b"\0" * 5000, b"\xffMJ\x01" + b"\xff" * 40, b"x"])
def test_a_torn_tail_is_cut(world: StateWorld, bytes_: bytes) -> None:
    journal = world.folder / "journal"
    size = journal.stat().st_size
    with journal.open("ab") as file:
        file.write(bytes_)
    world.open()
    world.check()
    assert journal.stat().st_size == size


@pytest.mark.parametrize("compacted", [False, True])
def test_an_older_environment_catches_up(world: StateWorld, compacted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a power cut leaves it, or somebody who copied it back."""
    shutil.copytree(world.folder / "state", world.folder.parent / "older")
    if compacted:
        monkeypatch.setattr("musicfs.store.state_engine._COMPACT_BYTES", 1)
    world.open()
    world.fill(3, 40)
    world.state.close()
    shutil.rmtree(world.folder / "state")
    shutil.copytree(world.folder.parent / "older", world.folder / "state")
    heals(world)


@pytest.mark.expects_log("the journal ended too early.*nothing is lost")
def test_an_older_journal_is_written_anew(world: StateWorld) -> None:
    older = (world.folder / "journal").read_bytes()
    world.open()
    world.fill(3, 40)
    world.state.close()
    (world.folder / "journal").write_bytes(older)
    heals(world)


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.expects_log("may be lost: changes after number")
def test_a_hole_in_what_only_the_journal_has_is_said(world: StateWorld, clean: bool) -> None:
    older = world.folder.parent / "older"
    if not clean:
        (world.folder / "state" / "clean").unlink()
    shutil.copytree(world.folder / "state", older)
    world.open()
    lineage = world.state.lineage
    for number in (1, 2, 3):
        world.put(overlay(number, "new"))
    sequence = world.state.sequence
    world.state.close()
    shutil.rmtree(world.folder / "state")
    shutil.copytree(older, world.folder / "state")
    edges = frame_edges(world.folder / "journal")
    with (world.folder / "journal").open("r+b") as file:
        file.seek(edges[-2] + 40)
        file.write(b"?!")
    world.open()
    assert world.state.sequence > sequence and world.state.lineage != lineage
    found = [world.state.overlay(number) == world.overlays[number] for number in (1, 2, 3)]
    assert found == [True, False, True]
    world.check_nothing_invented()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.expects_log("this picture is damaged")
def test_flipped_bits_in_pictures(world: StateWorld, seed: int) -> None:
    world.open()
    choice = random.Random(seed)
    pictures = [choice.randbytes(choice.randrange(1, 50_000)) for _ in range(40)]
    keys = [world.state.put_image(data) for data in pictures]
    hit = choice.sample(keys, 20)
    for key in hit:
        flip(world.folder / "images" / key, choice, 49)  # an odd number: some bit is another
    for key, data in zip(keys, pictures, strict=True):
        assert world.state.image(key) == (None if key in hit else data)
        assert world.state.put_image(data) == key
        assert world.state.image(key) == data


@pytest.mark.parametrize("kind", [Kind.OVERLAY, Kind.PIN, Kind.HISTORY, Kind.COLLECTION, Kind.PLAY, Kind.TRASH])
@pytest.mark.expects_log("the state was made anew.*nothing is lost")
def test_damage_that_is_met_while_open_is_healed(world: StateWorld, kind: Kind) -> None:
    world.open()
    tables = world.state._engine._tables
    table = tables.records[kind]
    with tables.env.begin(write=True) as txn, txn.cursor(table) as cursor:
        cursor.first()
        raw = bytearray(cursor.value())
        raw[-1] ^= 1
        cursor.put(cursor.key(), bytes(raw))
    world.check()
    world.fill(5, 3)
    world.check()
    world.reopen()
    world.check()


@pytest.mark.expects_log("the state was made anew.*nothing is lost")
def test_damage_that_is_met_by_a_write_is_healed(world: StateWorld) -> None:
    world.open()
    tables = world.state._engine._tables
    with tables.env.begin(write=True) as txn:
        txn.put(overlay_key(7), b"nonsense", db=tables.records[Kind.OVERLAY])
    world.put(overlay(7, "new"))
    world.check()


@pytest.mark.expects_log("damage was found when it was checked")
@pytest.mark.expects_log("the state was made anew.*nothing is lost")
def test_verify_finds_what_is_missing(world: StateWorld) -> None:
    world.open()
    tables = world.state._engine._tables
    with tables.env.begin(write=True) as txn:
        txn.delete(overlay_key(7), db=tables.records[Kind.OVERLAY])
    assert len(world.state.verify()) == 1
    flip(world.folder / "journal", random.Random(1), 3)
    assert len(world.state.verify()) == 1
    assert world.state.verify() == []
    world.check()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("last", ["change", "ballast"])
def test_a_full_disk_refuses_changes_and_loses_none(small_disk: Path, last: str) -> None:
    world = StateWorld(small_disk / "user")
    ballast = small_disk / "ballast"
    with pytest.raises(DiskFullError) as caught:
        for turn in range(10_000):
            if last == "ballast" and turn == 50:
                fill_up(ballast)
            world.put(*(overlay(number, f"{turn}", 200) for number in range(1 + turn % 30, 31)))
            world.pin(Pin(b"/p", turn))
    assert caught.value.retryable
    world.check()
    for _ in range(3):
        with pytest.raises(DiskFullError):
            for turn in range(100):  # room may be left for a small one
                world.put(*(overlay(number, f"again {turn}", 4000) for number in range(1, 31)))
    with pytest.raises(DiskFullError):
        world.state.put_image(bytes(3 << 20))
    world.check()
    world.state.close()
    if last == "ballast":
        ballast.unlink()
        world.open()
        world.check()
        world.fill(1, 3)
        world.check()
        world.state.close()


@pytest.mark.expects_log("nothing is lost")
def test_healing_waits_for_room(small_disk: Path) -> None:
    world = StateWorld(small_disk / "user")
    world.fill(1, 40)
    world.state.close()
    flip(small_disk / "user" / "state" / "data.mdb", random.Random(1), 10, META_BYTES)
    ballast = small_disk / "ballast"
    fill_up(ballast)
    for _ in range(3):
        with pytest.raises(DiskFullError):
            world.open()
    ballast.unlink()
    world.open()
    world.check()
    world.state.close()
    assert len(list((small_disk / "user").glob("*.damaged-*"))) == 1


def fill_up(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as stream:
        for size in (65536, 4096, 1):
            try:
                while stream.write(b"x" * size):
                    pass
            except OSError:
                continue
