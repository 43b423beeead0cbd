"""Environments on disk: whatever is found there, the process survives it and the user's files are put aside, not deleted."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from musicfs.errors import DiskFullError, SchemaError, StoreError
from musicfs.store import catalog, environment, probe
from musicfs.store.catalog import Catalog
from musicfs.store.transaction import WriteTransaction

PAGE = 4096
META_OFFSETS = (16, PAGE + 16)  # behind the page headers


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A catalog with something in it, closed as after a clean stop."""
    path = tmp_path / "catalog"
    catalog.prepare(str(path))
    opened = Catalog(str(path), readonly=False)
    with WriteTransaction(opened) as tx:
        for number in range(2000):
            tx.put_blob(number, os.urandom(100))
    opened.close()
    environment.mark_clean(str(path))
    return path


def data_of(path: Path) -> Path:
    return path / "data.mdb"


def aside_of(path: Path) -> list[Path]:
    return [found for found in path.parent.iterdir() if found.name.startswith(f"{path.name}.damaged-")]


def test_a_new_catalog_is_made_and_found_again(tmp_path: Path) -> None:
    path = str(tmp_path / "catalog")
    assert catalog.prepare(path) is None
    assert catalog.prepare(path) is None
    opened = Catalog(path, readonly=True)
    assert (opened.totals().files, opened.last_change(), opened.list_folder(1)) == (0, 0, [])
    opened.close()
    assert os.stat(path).st_mode & 0o777 == 0o700


def test_opening_costs_little_disk(tmp_path: Path) -> None:
    path = tmp_path / "catalog"
    catalog.prepare(str(path))
    assert data_of(path).stat().st_blocks * 512 < 1 << 20  # 128 GiB are mapped, not written


@pytest.mark.parametrize("kept_pages", [1, 2, 3, 10])
@pytest.mark.expects_log("truncated|could not be read|not a catalog|put aside")
def test_a_truncated_file_is_put_aside_before_it_is_mapped(stored: Path, kept_pages: int) -> None:
    os.truncate(data_of(stored), kept_pages * PAGE)
    with pytest.raises(StoreError, match="truncated"):
        environment.open_environment(str(stored))
    aside = catalog.prepare(str(stored))
    assert aside is not None and data_of(Path(aside)).stat().st_size == kept_pages * PAGE
    Catalog(str(stored), readonly=True).close()


@pytest.mark.expects_log("put aside")
def test_garbage_is_put_aside(stored: Path) -> None:
    data_of(stored).write_bytes(random.Random(1).randbytes(PAGE * 8))
    with pytest.raises(StoreError, match="not a catalog file"):
        environment.check_length(str(stored))
    assert catalog.prepare(str(stored)) is not None
    Catalog(str(stored), readonly=True).close()


@pytest.mark.expects_log("put aside")
def test_an_empty_file_is_replaced(stored: Path) -> None:
    data_of(stored).write_bytes(b"")
    catalog.prepare(str(stored))
    Catalog(str(stored), readonly=True).close()


def test_the_newer_meta_page_counts(stored: Path) -> None:
    raw = bytearray(data_of(stored).read_bytes())
    newest = max(META_OFFSETS, key=lambda at: int.from_bytes(raw[at + 128 : at + 136], "little"))
    raw[newest + 120 : newest + 128] = (1 << 40).to_bytes(8, "little")  # its last page lies far beyond the end
    data_of(stored).write_bytes(raw)
    with pytest.raises(StoreError, match="truncated"):
        environment.check_length(str(stored))


@pytest.mark.expects_log("put aside")
def test_a_foreign_lmdb_file_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "catalog"
    with lmdb.open(str(path)) as env, env.begin(write=True) as txn:
        txn.put(b"hello", b"world")
    with pytest.raises(SchemaError):
        catalog.check_schema(str(path))
    environment.mark_clean(str(path))
    aside = catalog.prepare(str(path))
    assert aside is not None and data_of(Path(aside)).exists()


@pytest.mark.parametrize("schema", [b"\x63", b"\xc1 not msgpack"])
@pytest.mark.expects_log("put aside")
def test_another_schema_is_put_aside(stored: Path, schema: bytes) -> None:
    with environment.open_environment(str(stored)) as env, env.begin(write=True) as txn:
        txn.put(b"schema", schema, db=env.open_db(b"meta", txn))
    with pytest.raises(StoreError):
        catalog.check_schema(str(stored))
    assert catalog.prepare(str(stored)) is not None
    Catalog(str(stored), readonly=True).close()


def test_the_clean_mark_counts_once(stored: Path) -> None:
    assert environment.take_clean_mark(str(stored))
    assert not environment.take_clean_mark(str(stored))
    environment.mark_clean(str(stored))
    assert environment.take_clean_mark(str(stored))


def test_nothing_to_probe_is_clean(tmp_path: Path) -> None:
    assert environment.take_clean_mark(str(tmp_path))


def test_an_unclean_stop_is_probed_in_a_child(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probed: list[str] = []

    def probe_it(path: str) -> bool:
        probed.append(path)
        return True

    monkeypatch.setattr(environment, "survives_probe", probe_it)
    catalog.prepare(str(stored))
    assert not probed
    catalog.prepare(str(stored))  # the mark is gone
    assert probed == [str(stored)]


def test_a_sound_catalog_survives_the_probe(stored: Path) -> None:
    assert environment.survives_probe(str(stored))
    assert probe.main(str(stored)) == 0


@pytest.mark.expects_log("could not be read")
def test_damaged_pages_are_found_by_the_child_and_not_by_us(stored: Path) -> None:
    size = data_of(stored).stat().st_size
    with data_of(stored).open("r+b") as file:
        file.seek(2 * PAGE)
        file.write(b"\xff" * (size - 2 * PAGE))  # every page but the meta pages
    with pytest.raises(StoreError, match="not as it was left"):
        environment.take_clean_mark(str(stored))
    assert not environment.survives_probe(str(stored))
    aside = catalog.prepare(str(stored))
    assert aside is not None and [Path(aside)] == aside_of(stored)
    Catalog(str(stored), readonly=True).close()


def test_a_healthy_file_is_never_taken_for_truncated(tmp_path: Path) -> None:
    choice = random.Random(5)
    with environment.open_environment(str(tmp_path), durable=False) as env:
        tables = [env.open_db(b"a"), env.open_db(b"b")]
        for _ in range(120):
            with env.begin(write=True) as txn:
                for _ in range(choice.choice((1, 20, 300))):
                    table = choice.choice(tables)
                    key = choice.randbytes(2) + b"k" * choice.choice((1, 400))
                    if choice.random() < 0.5:
                        txn.put(key, b"v" * choice.choice((1, 3000, 20_000)), db=table)
                    else:
                        txn.delete(key, db=table)
                if choice.random() < 0.1:
                    txn.drop(choice.choice(tables), delete=False)
            environment.check_length(str(tmp_path))


FILL = """
import resource, signal, sys
from musicfs.errors import DiskFullError
from musicfs.store.catalog import Catalog
from musicfs.store.transaction import WriteTransaction
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
catalog = Catalog(sys.argv[1], readonly=False)
before = catalog.totals()
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
for attempt in range(2):
    try:
        with WriteTransaction(catalog) as tx:
            tx.put_blob(1 << 40, bytes(4 << 20))
    except Exception as error:
        print(type(error).__name__, error.errno)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
"""


def test_a_write_that_finds_no_room_is_a_store_error_and_the_next_one_can_begin(stored: Path) -> None:
    """A file size limit stands for the full disk: the kernel answers EFBIG, which is no ENOSPC."""
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(stored)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split() == ["StoreError", "5"] * 2, done.stderr


@pytest.mark.parametrize("error", [lmdb.DiskError("no space"), lmdb.MapFullError("map full")])
def test_a_full_disk_is_retryable(stored: Path, error: lmdb.Error) -> None:
    opened = Catalog(str(stored), readonly=False)
    with pytest.raises(DiskFullError) as caught, WriteTransaction(opened):
        raise error
    assert caught.value.retryable
    with WriteTransaction(opened) as tx:  # the lock is free again
        tx.put_blob(1 << 40, b"x")
    opened.close()
