"""The catalog is a cache: whatever has become of it on disk, the mount comes up and serves no wrong byte."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb
import msgspec
import pytest

from musicfs.store.environment import MAP_SIZE_BYTES
from tests.faults.living import album, check_everything, digest, origin_of, restart, wait_for
from tests.mounting import Mounted, is_mount_point, mount

TRACKS = 60
FLIPS = 1000
RUNS = 4


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Mounted:
    """A library that was mounted, scanned and unmounted; its catalog is copied for each test."""
    root = tmp_path_factory.mktemp("origin")
    for number in range(TRACKS // 10):
        album(root, f"Album {number}", 10, suffix=("flac", "mp3", "m4a")[number % 3])
    mounted = mount({"o": root}, tmp_path_factory.mktemp("mounted"))
    mounted.close()
    shutil.copytree(mounted.folder / "cache" / "catalog", mounted.folder / "good")
    return mounted


@pytest.fixture
def ended(served: Mounted) -> Iterator[Mounted]:
    """The same, its good catalog in place."""
    shutil.rmtree(served.folder / "cache")
    shutil.copytree(served.folder / "good", served.folder / "cache" / "catalog")
    yield served
    subprocess.run(["umount", "-l", str(served.point)], capture_output=True, check=False)
    served.point.chmod(0o755)


def _truncate(data: Path) -> None:
    os.truncate(data, data.stat().st_size // 2)


def _cut_in_a_page(data: Path) -> None:
    os.truncate(data, data.stat().st_size - 1000)


def _empty(data: Path) -> None:
    os.truncate(data, 0)


def _other_program(data: Path) -> None:
    data.write_bytes(b"SQLite format 3\0" + bytes(100_000))


def _zeros(data: Path) -> None:
    data.write_bytes(bytes(data.stat().st_size))


def _noise(data: Path) -> None:
    data.write_bytes(random.Random(1).randbytes(data.stat().st_size))


def _delete(data: Path) -> None:
    data.unlink()


def _delete_folder(data: Path) -> None:
    shutil.rmtree(data.parent)


def _first_page_lost(data: Path) -> None:
    with data.open("r+b") as stream:
        stream.write(bytes(4096))


def _meta_pages_lost(data: Path) -> None:
    with data.open("r+b") as stream:
        stream.write(bytes(8192))


def _other_schema(data: Path) -> None:
    with lmdb.open(str(data.parent), max_dbs=64, map_size=MAP_SIZE_BYTES) as env:
        meta = env.open_db(b"meta")
        with env.begin(write=True) as txn:
            txn.put(b"schema", msgspec.msgpack.encode(999), db=meta)


DAMAGE: dict[str, Callable[[Path], None]] = {
    "truncated": _truncate,
    "cut inside a page": _cut_in_a_page,
    "emptied": _empty,
    "another program's": _other_program,
    "zeros": _zeros,
    "noise": _noise,
    "deleted": _delete,
    "folder deleted": _delete_folder,
    "first page lost": _first_page_lost,
    "meta pages lost": _meta_pages_lost,
    "another schema": _other_schema,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_it_is_put_aside_and_rebuilt(ended: Mounted, damage: str) -> None:
    catalog = ended.folder / "cache" / "catalog"
    if list(DAMAGE).index(damage) % 2:
        (catalog / "clean").unlink()  # as after a crash, upon which it is looked at more closely
    DAMAGE[damage](catalog / "data.mdb")
    again = restart(ended)
    again.allow_log("put aside as|probe: ")
    assert len(check_everything(again)) == TRACKS
    again.close()
    again = restart(ended)  # and that was the end of it
    assert len(check_everything(again)) == TRACKS
    again.close()


def _flip(data: Path, seed: int, count: int) -> None:
    """Flip ``count`` bits anywhere behind the two meta pages, which have a test of their own."""
    choice = random.Random(seed)
    raw = bytearray(data.read_bytes())
    for _ in range(count):
        raw[choice.randrange(8192, len(raw))] ^= 1 << choice.randrange(8)
    data.write_bytes(raw)


@pytest.mark.parametrize("count", [1, FLIPS])
@pytest.mark.parametrize("seed", range(RUNS))
def test_flipped_bits_break_the_seal_of_a_clean_stop(ended: Mounted, seed: int, count: int) -> None:
    _flip(ended.folder / "cache" / "catalog" / "data.mdb", seed, count)
    again = restart(ended)
    again.allow_log("not as it was left; put aside as")
    assert len(check_everything(again)) == TRACKS
    again.close()


@pytest.mark.parametrize("count", [1, 10, FLIPS])
@pytest.mark.parametrize("seed", range(RUNS))
def test_flipped_bits_after_a_crash_serve_no_wrong_byte(ended: Mounted, seed: int, count: int) -> None:
    """Nothing sealed that file: what the probe sees is rebuilt at once, and what it does not costs names, not bytes."""
    catalog = ended.folder / "cache" / "catalog"
    (catalog / "clean").unlink()
    _flip(catalog / "data.mdb", seed, count)
    again = restart(ended, scanned=False)
    try:
        wait_for("an answer", lambda: is_mount_point(again.point) or again.process.poll() is not None, 20)
        wrong, failed = _look(again)
        assert not wrong
        assert again.process.poll() is None, f"the mount process died:\n{again.log[-3000:]}"
        if count == FLIPS:
            assert "put aside as" in again.log
            again.wait_until_scanned()
            assert _look(again) == ([], 0)
        print(f"{count} flips: {failed} names could not be read")
    finally:
        again._abandon()


def test_damage_that_is_found_while_mounted_is_rebuilt_by_the_next_mount(ended: Mounted) -> None:
    data = ended.folder / "cache" / "catalog" / "data.mdb"
    again = restart(ended)
    raw = bytearray(data.read_bytes())
    for page in range(2 * 4096, len(raw), 4096):
        raw[page + 10 : page + 12] = bytes(2)  # the flags of every page: none is what it was
    with data.open("r+b") as stream:
        stream.write(raw)
    again.allow_log("damaged|keeper ended|failed|CorruptedError|put aside")
    wait_for("a failure", lambda: _look(again)[1], 10)
    assert "the catalog is damaged" in again.log and "mount again" in again.log
    assert again.log.count("the catalog is damaged") < 10, "said again and again"
    assert again.process.poll() is None
    again.process.terminate()
    assert again.process.wait(15) == 0, again.log
    assert not is_mount_point(again.point)
    again = restart(ended)
    again.allow_log("was found damaged; put aside as")
    assert len(check_everything(again)) == TRACKS
    again.close()


def _look(mounted: Mounted) -> tuple[list[str], int]:
    """Read everything that can be: (files that have other bytes than their original, how many files and folders failed)."""
    wrong: list[str] = []
    failed: list[OSError] = []
    for folder, _, files in os.walk(mounted.point, onerror=failed.append):
        for name in files:
            virtual = os.path.join(folder, name)
            try:
                origin = origin_of(mounted, virtual)
                if origin is not None and digest(virtual) != digest(origin):
                    wrong.append(virtual)
            except OSError as error:
                failed.append(error)
    return wrong, len(failed)
