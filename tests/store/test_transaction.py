"""Transactions: all or nothing, the change log, counters, and what finds a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import lmdb
import msgspec
import pytest

from musicfs.errors import StoreError
from musicfs.model import Facts, Layout, Technical
from musicfs.store import catalog as catalogs
from musicfs.store import transaction as transactions
from musicfs.store.catalog import Catalog
from musicfs.store.folders import folder_key
from musicfs.store.records import Node, NodeKind, ObjectKind, ObjectRecord, OriginRecord, pack_facts, unpack_facts
from musicfs.store.schema import ROOT_INODE, ChangeOp
from musicfs.store.transaction import WriteTransaction


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalogs.prepare(str(tmp_path / "catalog"))
    opened = Catalog(str(tmp_path / "catalog"), readonly=False, durable=False)
    yield opened
    opened.close()


def record(
    folder: int, name: bytes, *, size: int = 10, kind: int = ObjectKind.AUDIO, identity: int = 0
) -> ObjectRecord:
    return ObjectRecord(folder, name, kind, size, 1, b"v", identity, 0)


def note(catalog: Catalog, name: bytes) -> None:
    with WriteTransaction(catalog) as tx:
        tx.note(ChangeOp.ENTRY, 1, name, 7)


def test_an_exception_leaves_nothing(catalog: Catalog) -> None:
    with pytest.raises(KeyError), WriteTransaction(catalog) as tx:
        tx.add_folder(1, b"a")
        tx.put_object(0, record(1, b"x"), 1)
        tx.note(ChangeOp.ENTRY, 1, b"x", 7)
        raise KeyError
    assert catalog.folder(1, b"a") is None
    assert (catalog.totals().files, catalog.last_change()) == (0, 0)
    with WriteTransaction(catalog) as tx:
        assert tx.add_folder(1, b"b") == 1  # ids are not lost either


def test_changes_are_numbered_by_commit(catalog: Catalog) -> None:
    note(catalog, b"a")
    note(catalog, b"b")
    with WriteTransaction(catalog) as tx:
        assert not tx.changed
    assert catalog.last_change() == 2
    assert catalog.changes_after(0) == [(1, [(1, 1, b"a", 7)]), (2, [(1, 1, b"b", 7)])]
    assert catalog.changes_after(1) == [(2, [(1, 1, b"b", 7)])]
    assert catalog.changes_after(2) == []


def test_numbers_go_on_after_trimming(catalog: Catalog) -> None:
    for name in (b"a", b"b", b"c"):
        note(catalog, name)
    with WriteTransaction(catalog) as tx:
        tx.trim_changes(2)
    assert [sequence for sequence, _ in catalog.changes_after(0)] == [3]
    with WriteTransaction(catalog) as tx:
        tx.trim_changes(3)
    assert (catalog.changes_after(0), catalog.last_change()) == ([], 3)
    with WriteTransaction(catalog) as tx:
        tx.trim_changes(1)  # somebody late
    assert catalog.last_change() == 3
    note(catalog, b"d")
    assert [sequence for sequence, _ in catalog.changes_after(3)] == [4]


def test_trimming_and_changing_in_one_commit(catalog: Catalog) -> None:
    note(catalog, b"a")
    with WriteTransaction(catalog) as tx:
        tx.trim_changes(1)
        tx.note(ChangeOp.INODE, 0, b"", 7)
    assert [sequence for sequence, _ in catalog.changes_after(0)] == [2]


def test_totals_follow_objects(catalog: Catalog) -> None:
    with WriteTransaction(catalog) as tx:
        folder = tx.add_folder(1, b"a")
        track = tx.put_object(0, record(folder, b"1.flac", size=100), 1)
        cover = tx.put_object(0, record(folder, b"c.jpg", size=5, kind=ObjectKind.SIDECAR), 1)
    assert (track, cover) == (1, 2)
    assert msgspec.structs.astuple(catalog.totals()) == (2, 105, 1)
    with WriteTransaction(catalog) as tx:
        tx.put_object(track, record(folder, b"1.flac", size=70), 2)
        tx.remove_object(cover)
        tx.remove_object(cover)
    assert msgspec.structs.astuple(catalog.totals()) == (1, 70, 1)


def test_files_that_swap_names_are_both_found(catalog: Catalog) -> None:
    with WriteTransaction(catalog) as tx:
        folder = tx.add_folder(1, b"a")
        one = tx.put_object(0, record(folder, b"1", identity=11), 1)
        two = tx.put_object(0, record(folder, b"2", identity=22), 2)
    with WriteTransaction(catalog) as tx:
        tx.put_object(one, record(folder, b"2", identity=11), 1)
        tx.put_object(two, record(folder, b"1", identity=22), 2)
    assert catalog.files_of(folder) == {b"1": (two, 2), b"2": (one, 1)}
    assert catalog.objects_with_identity(11) == [one]


def test_a_moved_file_leaves_no_old_keys(catalog: Catalog) -> None:
    with WriteTransaction(catalog) as tx:
        old, new = tx.add_folder(1, b"a"), tx.add_folder(1, b"b")
        found = tx.put_object(0, record(old, b"1", identity=11), 1, problem="odd")
    assert catalog.problems() == [(found, "odd")]
    with WriteTransaction(catalog) as tx:
        tx.put_object(found, record(new, b"2", identity=12), 1)
    assert (catalog.files_of(old), catalog.files_of(new)) == ({}, {b"2": (found, 1)})
    assert (catalog.objects_with_identity(11), catalog.objects_with_identity(12)) == ([], [found])
    assert catalog.problems() == []
    assert catalog.locate(found) == (1, b"b/2", record(new, b"2", identity=12))


@pytest.mark.parametrize("reason", ["x" * 2000, "終" * 2000, "\udcff is odd"])
def test_long_and_odd_reasons_can_be_read(catalog: Catalog, reason: str) -> None:
    with WriteTransaction(catalog) as tx:
        tx.put_object(0, record(tx.add_folder(1, b""), b"x"), 1, problem=reason)
    ((_, found),) = catalog.problems()
    assert found[:5] == reason.encode("utf-8", "backslashreplace").decode()[:5]
    assert catalog.count_problems() == 1


def test_folders_are_listed_parents_first(catalog: Catalog) -> None:
    paths = [b"", b"a", b"a/b", b"a/b/c", b"a/c", b"a b", b"a-", b"a.b/c", b"b", "é".encode()]
    with WriteTransaction(catalog) as tx:
        for path in reversed(paths):
            tx.add_folder(1, path)
        tx.add_folder(2, b"a")
    assert [path for _, path in catalog.folders_under(1, b"")] == paths
    assert [path for _, path in catalog.folders_under(1, b"a")] == [b"a", b"a/b", b"a/b/c", b"a/c"]
    assert [path for _, path in catalog.folders_under(1, b"a/b")] == [b"a/b", b"a/b/c"]
    assert catalog.folders_under(1, b"nothing") == []


def test_paths_longer_than_a_key(catalog: Catalog) -> None:
    deep = b"/".join([b"x" * 200] * 3)
    paths = [deep, deep + b"/a", deep + b"/b", deep[:-1] + b"y", deep + b"/a/" + b"z" * 2000]
    with WriteTransaction(catalog) as tx:
        ids = {path: tx.add_folder(1, path) for path in paths}
    assert len({folder_key(1, path) for path in paths}) == len(paths)
    assert all(len(folder_key(65535, path)) <= 511 for path in paths)
    for path, found in ids.items():
        assert catalog.folder(1, path) == (found, b"")
    assert {path for _, path in catalog.folders_under(1, deep)} == {path for path in paths if path != paths[3]}
    with WriteTransaction(catalog) as tx:
        for found in ids.values():
            tx.remove_folder(found)
    assert catalog.folders_under(1, b"") == []


def test_a_folder_that_is_not_there(catalog: Catalog) -> None:
    with WriteTransaction(catalog) as tx, pytest.raises(StoreError, match="folder 99"):
        tx.folder(99)


def test_digests_and_origins(catalog: Catalog) -> None:
    with WriteTransaction(catalog) as tx:
        folder = tx.add_folder(1, b"a")
        tx.set_digest(folder, tx.folder(folder), b"digest")
        tx.put_origin("music", OriginRecord(tx.new_origin_number(), "local", "/m"))
    assert catalog.folder(1, b"a") == (folder, b"digest")
    assert catalog.origins()["music"].number == 1
    with WriteTransaction(catalog) as tx:
        tx.remove_origin("music")
        assert tx.new_origin_number() == 2  # a number is never used again
    assert catalog.origins() == {}


def test_removing_a_name_tells_the_kernel(catalog: Catalog) -> None:
    node = Node(77, NodeKind.OBJECT, 0, ROOT_INODE, 5, 6, 1, 0, b"x")
    with WriteTransaction(catalog) as tx:
        tx.put_node(node)
    assert catalog.lookup(ROOT_INODE, b"x") == catalog.node(77) == node
    assert catalog.list_folder(ROOT_INODE) == [(b"x", 77, NodeKind.OBJECT)]
    assert catalog.path_of(77) == b"/x"
    with WriteTransaction(catalog) as tx:
        tx.remove_node(node)
    assert catalog.lookup(ROOT_INODE, b"x") is None and catalog.node(77) is None and catalog.path_of(77) is None
    assert catalog.changes_after(0) == [(1, [(ChangeOp.ENTRY, ROOT_INODE, b"x", 77), (ChangeOp.CONTENT, 0, b"", 77)])]


def test_a_failed_commit_lets_the_next_one_begin(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    transaction = WriteTransaction(catalog)
    with pytest.raises(StoreError) as caught, transaction as tx:
        tx.note(ChangeOp.ENTRY, 1, b"x", 7)
        monkeypatch.setattr(transactions, "last_sequence", _raise)
    kept = caught.value  # and with it the frames that hold the transaction
    with WriteTransaction(catalog) as tx:
        tx.put_blob(1, b"x")
    assert catalog.blob(1) == b"x" and kept and transaction


def _raise(*_: object) -> int:
    raise lmdb.CorruptedError("scripted")


def test_sources_are_written_for_several_alone(catalog: Catalog) -> None:
    with WriteTransaction(catalog) as tx:
        tx.set_sources(7, [3])
        tx.set_sources(8, [5, 4])
        tx.set_sources(9, [1, 2, 6])
        assert tx.sources(7) == []
        assert list(tx.shared_inodes(0)) == [(8, [4, 5]), (9, [1, 2, 6])]
        assert list(tx.shared_inodes(8)) == [(9, [1, 2, 6])]
        tx.set_sources(9, [6, 1])
    assert catalog.sources_of(7, 3) == [3]
    assert catalog.sources_of(8, 5) == [5, 4]
    assert catalog.sources_of(9, 6) == [6, 1]
    with WriteTransaction(catalog) as tx:
        tx.set_sources(8, [5])
        tx.set_sources(9, ())
        assert list(tx.shared_inodes(0)) == []
    assert catalog.sources_of(8, 5) == [5]


def test_a_second_origin_is_noticed_in_the_transaction_that_adds_it(catalog: Catalog) -> None:
    with WriteTransaction(catalog) as tx:
        tx.new_origin_number()
        assert not tx.several_origins
        tx.new_origin_number()
        assert tx.several_origins
    with WriteTransaction(catalog) as tx:
        assert tx.several_origins


def test_facts_survive_storing() -> None:
    facts = Facts(
        "mp3",
        {"title": ("A",), "artist": ("X", "Y"), "mood": ("calm",), "empty": ("",)},
        Technical(1, 2, 3, 4, 5, "mp3"),
        Layout("mp3", 1, 2),
        audio_id=2**64 - 1,
    )
    assert unpack_facts(pack_facts(facts)) == facts
    assert unpack_facts(b"\xc0") is None
