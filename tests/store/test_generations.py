"""Trees built beside the served one, and two processes on one catalog."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.store import catalog as catalogs
from musicfs.store import environment
from musicfs.store.catalog import Catalog
from musicfs.store.records import Node, NodeKind
from musicfs.store.schema import ROOT_INODE, ChangeOp
from musicfs.store.transaction import WriteTransaction


@pytest.fixture
def path(tmp_path: Path) -> str:
    catalogs.prepare(str(tmp_path / "catalog"))
    return str(tmp_path / "catalog")


@pytest.fixture
def catalog(path: str) -> Iterator[Catalog]:
    opened = Catalog(path, readonly=False, durable=False)
    yield opened
    opened.close()


def named(name: bytes, inode: int = 5, kind: int = NodeKind.OBJECT, ref: int = 1) -> Node:
    return Node(inode, kind, 0, ROOT_INODE, 0, 0, ref, 0, name)


def swap(catalog: Catalog, name: bytes) -> None:
    """Build a tree with one entry beside the served one, and serve it."""
    tables = catalog.generation_beside()
    with WriteTransaction(catalog, tables) as tx:
        tx.put_node(named(name))
    with WriteTransaction(catalog) as tx:
        tx.serve(tables, name)
    catalog.reopen_tree()


def test_a_tree_beside_is_not_seen_until_it_is_served(catalog: Catalog) -> None:
    with WriteTransaction(catalog) as tx:
        tx.put_node(named(b"old"))
    tables = catalog.generation_beside()
    with WriteTransaction(catalog, tables) as tx:
        tx.put_node(named(b"new"))
        tx.remove_node(named(b"new"))
        tx.put_node(named(b"newer"))
    assert catalog.lookup(ROOT_INODE, b"old") and not catalog.lookup(ROOT_INODE, b"newer")
    assert catalog.changes_after(0) == []  # nobody saw it: nothing to forget
    assert not catalog.reopen_tree()
    with WriteTransaction(catalog) as tx:
        tx.serve(tables, b"print")
    assert catalog.changes_after(0) == [(1, [(ChangeOp.SWAP, 0, b"", 0)])]
    assert catalog.lookup(ROOT_INODE, b"old")  # until the reader follows
    assert catalog.reopen_tree()
    assert catalog.lookup(ROOT_INODE, b"newer") and not catalog.lookup(ROOT_INODE, b"old")
    assert catalog.tree_fingerprint() == b"print"


def test_an_interrupted_build_leaves_nothing_for_the_next(catalog: Catalog) -> None:
    with WriteTransaction(catalog, catalog.generation_beside()) as tx:
        tx.put_node(named(b"half"))
    swap(catalog, b"whole")
    assert catalog.list_folder(ROOT_INODE) == [(b"whole", 5, NodeKind.OBJECT)]


def test_made_bytes_are_kept_for_whom_they_serve(catalog: Catalog) -> None:
    with WriteTransaction(catalog) as tx:
        tx.put_blob(1, b"old")
        tx.put_blob(2, b"both")
        tx.put_node(named(b"a", 5, NodeKind.BLOB, 1))
        tx.put_node(named(b"b", 6, NodeKind.BLOB, 2))
    tables = catalog.generation_beside()
    with WriteTransaction(catalog, tables) as tx:
        tx.remove_blob(1)
        tx.put_node(named(b"c", 7, NodeKind.BLOB, 2))
    assert catalog.blob(1) == b"old"
    with WriteTransaction(catalog) as tx:
        tx.serve(tables, b"")
    catalog.reopen_tree()
    catalog.drop_old_trees()
    assert (catalog.blob(1), catalog.blob(2)) == (None, b"both")


def test_old_trees_give_their_space_back(catalog: Catalog) -> None:
    with WriteTransaction(catalog) as tx:
        for number in range(2, 5000):
            tx.put_node(named(b"%d" % number, number))
    swap(catalog, b"new")
    free = catalog.env.stat()["entries"]
    before = catalog.env.info()["last_pgno"]
    catalog.drop_old_trees()
    with WriteTransaction(catalog) as tx:
        for number in range(2, 5000):
            tx.put_node(named(b"%d" % number, number))
    assert catalog.env.info()["last_pgno"] < before + 200 and free


READER = """
import sys
from musicfs.store.catalog import Catalog
catalog = Catalog(sys.argv[1], readonly=True)
for line in sys.stdin:
    catalog.reopen_tree()
    print(*(name.decode() for name, _, _ in catalog.list_folder(1)), flush=True)
"""


def test_a_reader_follows_any_number_of_swaps(path: str, catalog: Catalog) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", READER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdin is not None and reader.stdout is not None
        for number in range(40):
            swap(catalog, b"tree%d" % number)
            reader.stdin.write("\n")
            reader.stdin.flush()
            assert reader.stdout.readline().strip() == f"tree{number}"
            catalog.drop_old_trees()
        reader.stdin.close()


WRITER = """
import os, sys
from musicfs.store.catalog import Catalog
from musicfs.store.transaction import WriteTransaction
from musicfs.store.schema import ChangeOp
catalog = Catalog(sys.argv[1], readonly=False)
for number in range(1, 4):
    with WriteTransaction(catalog) as tx:
        tx.put_blob(number, b"x" * 10_000)
        tx.note(ChangeOp.ENTRY, 1, b"x", number)
        if number == 3:
            print("in the middle", flush=True)
            sys.stdin.readline()
"""


def test_a_writer_killed_in_the_middle_loses_that_batch_alone(path: str) -> None:
    reader = Catalog(path, readonly=True)
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "in the middle\n"
        assert reader.last_change() == 2  # a reader is not held up
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait(timeout=30)
    assert reader.last_change() == 2
    assert [reader.blob(number) is not None for number in (1, 2, 3)] == [True, True, False]
    reader.close()
    assert environment.survives_probe(path)
    again = Catalog(path, readonly=False)  # the dead one's lock is taken over
    with WriteTransaction(again) as tx:
        tx.put_blob(3, b"y")
        tx.note(ChangeOp.ENTRY, 1, b"x", 3)
    assert (again.last_change(), again.blob(3)) == (3, b"y")
    again.close()
