"""The log that the full-text index follows: what is noted, how it is packed, and what a late follower finds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicfs.store import catalog as catalogs
from musicfs.store import transaction as transactions
from musicfs.store.catalog import Catalog
from musicfs.store.changes import pack_ids, unpack_ids
from musicfs.store.corrections import Correction
from musicfs.store.environment import mark_clean, open_environment
from musicfs.store.records import Node, NodeKind, ObjectKind, ObjectRecord
from musicfs.store.schema import SCHEMA
from musicfs.store.transaction import WriteTransaction


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalogs.prepare(str(tmp_path / "catalog"))
    opened = Catalog(str(tmp_path / "catalog"), readonly=False, durable=False)
    yield opened
    opened.close()


def record(name: bytes) -> ObjectRecord:
    return ObjectRecord(1, name, ObjectKind.AUDIO, 10, 1, b"v", 0, 0)


def touch(catalog: Catalog, *object_ids: int) -> None:
    with WriteTransaction(catalog) as tx:
        tx.note_touched(*object_ids)


@given(st.sets(st.integers(0, 2**63 - 1) | st.integers(0, 40), min_size=1, max_size=60))
def test_ids_survive_packing(ids: set[int]) -> None:
    assert unpack_ids(pack_ids(ids)) == ids


def test_what_a_scan_finds_first_costs_some_bytes() -> None:
    assert len(pack_ids(range(1_000_000, 1_005_000))) < 12


def test_every_write_is_one_entry(catalog: Catalog) -> None:
    assert (catalog.first_touched, catalog.last_touched) == (1, 0)
    with WriteTransaction(catalog) as tx:
        tx.add_folder(1, b"a")
    assert catalog.last_touched == 0  # no object
    touch(catalog, 5, 3)
    touch(catalog, 9)
    assert (catalog.first_touched, catalog.last_touched) == (1, 2)
    assert catalog.touched_after(0, 10) == [(1, {3, 5}), (2, {9})]
    assert catalog.touched_after(0, 1) == [(1, {3, 5})]
    assert catalog.touched_after(2, 10) == []
    with pytest.raises(KeyError), WriteTransaction(catalog) as tx:
        tx.note_touched(7)
        raise KeyError
    assert catalog.last_touched == 2


def test_numbers_go_on_after_trimming(catalog: Catalog) -> None:
    for object_id in (1, 2, 3):
        touch(catalog, object_id)
    with WriteTransaction(catalog) as tx:
        tx.trim_touched(2)
    assert (catalog.first_touched, catalog.last_touched) == (3, 3)
    with WriteTransaction(catalog) as tx:
        tx.trim_touched(3)
        tx.trim_touched(1)  # somebody late
    assert (catalog.first_touched, catalog.last_touched) == (4, 3)
    with WriteTransaction(catalog) as tx:
        tx.trim_touched(3)
        tx.note_touched(4)
    assert (catalog.first_touched, catalog.touched_after(0, 10)) == (4, [(4, {4})])


def test_a_log_that_nobody_follows_does_not_grow(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "_KEPT_TOUCHED", 3)
    for object_id in range(1, 8):
        touch(catalog, object_id)
    assert (catalog.first_touched, catalog.last_touched) == (5, 7)


def test_objects_and_corrections_are_noted(catalog: Catalog) -> None:
    with WriteTransaction(catalog) as tx:
        tx.add_folder(1, b"a")
        for name in (b"x", b"y", b"z"):
            tx.put_object(0, record(name), 1)
    with WriteTransaction(catalog) as tx:
        tx.put_object(2, record(b"moved"), 2)
    with WriteTransaction(catalog) as tx:
        tx.put_correction(1, Correction(1, {1: "A"}, 1))
    with WriteTransaction(catalog) as tx:
        tx.remove_correction(1)
    with WriteTransaction(catalog) as tx:
        tx.remove_object(3)
    assert [ids for _, ids in catalog.touched_after(0, 10)] == [{1, 2, 3}, {2}, {1}, {1}, {3}]


def test_places_and_sources_are_noted(catalog: Catalog) -> None:
    node = Node(77, NodeKind.OBJECT, 0, 1, 10, 1, 5, 0, b"x")
    with WriteTransaction(catalog) as tx:
        tx.put_node(node)
    with WriteTransaction(catalog) as tx:
        tx.set_place(6, 0, 77)
    with WriteTransaction(catalog) as tx:
        tx.set_sources(77, (5, 6))
    with WriteTransaction(catalog) as tx:
        tx.set_sources(77, (6, 5))  # as they are
    with WriteTransaction(catalog) as tx:
        tx.update_node(msgspec.structs.replace(node, ref=6))
    with WriteTransaction(catalog) as tx:
        tx.set_sources(77, (6, 8, 5))
    with WriteTransaction(catalog) as tx:
        tx.set_sources(77, (6,))
    with WriteTransaction(catalog) as tx:
        tx.put_node(Node(78, NodeKind.FOLDER, 0, 1, 10, 1, 0, 0, b"y"))
        tx.put_node(Node(79, NodeKind.OBJECT, 0, 1, 10, 1, 9, 4096, b"cover.jpg"))
    assert [ids for _, ids in catalog.touched_after(0, 10)] == [{5}, {6}, {5, 6}, {6}, {5, 6, 8}, {5, 6, 8}]


def test_a_tree_built_beside_is_noted_when_it_is_served(catalog: Catalog) -> None:
    def swap() -> None:
        tables = catalog.generation_beside()
        with WriteTransaction(catalog, tables) as tx:
            tx.put_node(Node(77, NodeKind.OBJECT, 0, 1, 10, 1, 5, 0, b"x"))
        with WriteTransaction(catalog) as tx:
            tx.serve(tables, b"print")
        catalog.reopen_tree()

    with WriteTransaction(catalog) as tx:
        tx.new_origin_number()
    swap()
    assert catalog.last_touched == 0  # one origin: no file is one track with another, whatever the templates say
    with WriteTransaction(catalog) as tx:
        tx.new_origin_number()
    swap()
    assert catalog.touched_after(0, 10) == [(1, None)]


def test_each_catalog_is_known_by_a_number(catalog: Catalog, tmp_path: Path) -> None:
    catalogs.prepare(str(tmp_path / "other"))
    other = Catalog(str(tmp_path / "other"), readonly=True)
    assert 0 < catalog.identity < 2**63
    assert other.identity not in (0, catalog.identity)
    other.close()


@pytest.mark.parametrize("schema", [2, 3, 4])
def test_a_catalog_without_log_is_given_one(tmp_path: Path, schema: int) -> None:
    path = str(tmp_path / "catalog")
    catalogs.prepare(path)
    with open_environment(path) as env:
        meta = env.open_db(b"meta")
        touched, trash = env.open_db(b"touched"), env.open_db(b"trash")
        with env.begin(write=True) as txn:
            txn.put(b"schema", msgspec.msgpack.encode(schema), db=meta)
            txn.delete(b"identity", db=meta)
            txn.drop(touched, delete=True)
            txn.drop(trash, delete=True)
    mark_clean(path)
    assert catalogs.prepare(path) is None, "nothing is put aside"
    opened = Catalog(path, readonly=False, durable=False)
    with opened.snapshot() as txn:
        assert msgspec.msgpack.decode(txn.get(b"schema", db=opened.tables.meta) or b"") == SCHEMA
    identity = opened.identity
    assert identity
    touch(opened, 1)
    assert opened.touched_after(0, 10) == [(1, {1})]
    opened.close()
    mark_clean(path)
    catalogs.prepare(path)
    again = Catalog(path, readonly=True)
    assert again.identity == identity
    again.close()
