"""The tables of corrections: pictures that plans share are counted, and nothing old is served with something new."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import lmdb
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicfs.errors import StoreError
from musicfs.model import Facts, Layout, Picture, Technical
from musicfs.store import catalog as catalogs
from musicfs.store import environment
from musicfs.store.catalog import Catalog
from musicfs.store.corrections import (
    GIVEN_CODING,
    NO_COVER,
    Correction,
    content_version,
    corrected,
    is_spliced,
    stored_fields,
)
from musicfs.store.records import (
    U32,
    Node,
    NodeKind,
    ObjectKind,
    ObjectRecord,
    OriginRecord,
    pack_facts,
    unpack_facts,
)
from musicfs.store.schema import FACT_TABLES, ROOT_INODE, SCHEMA
from musicfs.store.transaction import WriteTransaction

NEW_TABLES = ("corrections", "plans", "extras", "claims", "former")
FACTS = Facts(
    "flac",
    {"title": ("One",), "artist": ("X", "Y"), "mood": ("calm",)},
    Technical(),
    Layout("flac", 10, 90),
    (Picture(3, "image/jpeg", 20, 30), Picture(4, "image/jpeg", 30, 40)),
    7,
)


def make_catalog(path: Path) -> Catalog:
    catalogs.prepare(str(path))
    catalog = Catalog(str(path), readonly=False, durable=False)
    with WriteTransaction(catalog) as tx:
        tx.put_origin("nas", OriginRecord(tx.new_origin_number(), "local", "/music"))
        tx.add_folder(1, b"a")
    return catalog


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = make_catalog(tmp_path / "catalog")
    yield opened
    opened.close()


def record(name: bytes, *, size: int = 100, version: bytes = b"v1", facts: Facts | None = FACTS) -> ObjectRecord:
    raw = msgspec.Raw(pack_facts(facts)) if facts is not None else msgspec.Raw(b"\xc0")
    kind = ObjectKind.AUDIO if facts is not None else ObjectKind.OPAQUE
    return ObjectRecord(1, name, kind, size, 1000, version, 0, 0, raw)


def put(catalog: Catalog, name: bytes) -> int:
    with WriteTransaction(catalog) as tx:
        return tx.put_object(0, record(name), 1)


def extras(catalog: Catalog) -> dict[bytes, int]:
    """Pictures with how many plans use each."""
    with catalog.snapshot() as txn, txn.cursor(catalog.tables.extras) as cursor:
        return {raw[U32.size :]: U32.unpack_from(raw)[0] for _, raw in cursor}


# Pictures that plans share.

operations = st.lists(
    st.tuples(
        st.sampled_from(("put", "put", "put", "remove", "forget", "abort")),
        st.integers(0, 4),
        st.sampled_from((b"", b"red", b"green", b"blue")),
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=150)
@given(operations)
def test_pictures_are_counted_right(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str, int, bytes]]
) -> None:
    catalog = make_catalog(tmp_path_factory.mktemp("extras") / "catalog")
    ids = [put(catalog, b"%d" % number) for number in range(5)]
    model: dict[int, bytes] = {}
    for operation, number, extra in history:
        object_id = ids[number]
        if catalog.object(object_id) is None:
            continue
        try:
            with WriteTransaction(catalog) as tx:
                if operation in ("put", "abort"):
                    tx.put_correction(object_id, Correction(1, {}, 5, mark=b"m", size=3), b"plan", extra)
                elif operation == "remove":
                    tx.remove_correction(object_id)
                else:
                    tx.remove_object(object_id)
                if operation == "abort":
                    raise KeyError
        except KeyError:
            continue
        model.pop(object_id, None)
        if operation == "put":
            model[object_id] = extra
        found = {one: catalog.correction(one) for one in ids}
        assert {one for one, correction in found.items() if correction is not None} == set(model)
        used = [extra for extra in model.values() if extra]
        assert extras(catalog) == {extra: used.count(extra) for extra in used}
        with catalog.snapshot() as txn:
            assert txn.stat(catalog.tables.plans)["entries"] == len(model)
    catalog.close()


def test_a_plan_goes_when_its_correction_has_none(catalog: Catalog) -> None:
    one = put(catalog, b"1")
    with WriteTransaction(catalog) as tx:
        tx.put_correction(one, Correction(1, {}, 5, mark=b"m", size=3), b"plan", b"picture")
    with WriteTransaction(catalog) as tx:
        tx.put_correction(one, Correction(1, {}, 6, pending=True))
    assert extras(catalog) == {}
    with catalog.snapshot() as txn:
        assert txn.stat(catalog.tables.plans)["entries"] == 0
    [(found, correction)] = catalog.corrections()
    assert (found, correction.pending, correction.extra) == (one, True, b"")


# How a file is served.


def node_of(catalog: Catalog, object_id: int, inode: int = 77) -> Node:
    with WriteTransaction(catalog) as tx:
        served = tx.served(object_id)
        assert served is not None
        node = Node(inode, NodeKind.OBJECT, 0, ROOT_INODE, served.size, served.mtime_ns, object_id, 0, b"name")
        before = tx.node(inode)
        if before is not None:
            tx.remove_node(before)
        tx.put_node(node)
    return node


def test_a_file_and_its_plan_come_from_one_snapshot(catalog: Catalog) -> None:
    one = put(catalog, b"1")
    plain = node_of(catalog, one)
    own = catalog.object(one)
    assert own is not None
    assert catalog.serving(plain) == (100, 1, b"a/1", own, b"", b"")
    with WriteTransaction(catalog) as tx:
        correction = Correction(1, {}, 2000, base=content_version(own), mark=b"m", size=120)
        tx.put_correction(one, correction, b"plan", b"picture")
    assert catalog.serving(plain) is not None, "the tree follows in the same transaction"
    spliced = node_of(catalog, one)
    assert (spliced.size, spliced.mtime_ns) == (120, 2000)
    assert catalog.serving(plain) is None, "an old node has nothing of the new plan"
    assert catalog.serving(spliced) == (120, 1, b"a/1", own, b"plan", b"picture")
    cover = Node(78, NodeKind.OBJECT, 0, ROOT_INODE, 10, 1000, one, 20, b"cover.jpg")
    with WriteTransaction(catalog) as tx:
        tx.put_node(cover)
    assert catalog.serving(cover) == (100, 1, b"a/1", own, b"", b""), "a range counts the original's bytes"
    with WriteTransaction(catalog) as tx:
        tx.put_object(one, record(b"1", size=200, version=b"v2"), 2)
    serving = catalog.serving(spliced)
    assert serving is not None
    assert (serving.size, serving.plan, serving.record.version) == (200, b"", b"v2"), "the plan is of another version"


def test_what_is_missing_is_said(catalog: Catalog) -> None:
    one = put(catalog, b"1")
    own = catalog.object(one)
    assert own is not None
    with WriteTransaction(catalog) as tx:
        tx.put_correction(one, Correction(1, {}, 5, base=content_version(own), mark=b"m", size=3), b"plan", b"picture")
    node = node_of(catalog, one)
    for table, text in ((catalog.tables.extras, "a picture"), (catalog.tables.plans, "the plan of object 1")):
        with WriteTransaction(catalog) as tx:
            tx.txn.drop(table, delete=False)
        with pytest.raises(StoreError, match=f"{text}.* missing from the catalog"):
            catalog.serving(node)
    with WriteTransaction(catalog) as tx:
        tx.remove_correction(one)  # a missing picture does not stop it
    assert catalog.serving(node) is not None


# As the tree sees it.


def test_a_correction_over_a_file() -> None:
    own = record(b"1.flac")
    fields = {"title": ("Uno", "Eins"), "artist": (), "new": ("x",)}
    correction = Correction(1, stored_fields(fields), 5000, "key", "image/png", 999, content_version(own), b"mark", 140)
    seen = corrected(own, correction)
    facts = unpack_facts(seen.facts)
    assert facts is not None
    assert facts.tags == {"title": ("Uno", "Eins"), "mood": ("calm",), "new": ("x",)}
    assert facts.pictures == (Picture(3, "image/png", 0, 999, GIVEN_CODING + "key"), FACTS.pictures[1])
    assert (seen.size, seen.mtime_ns, seen.version) == (140, 5000, b"v1\0mark")
    assert content_version(seen) != content_version(own)
    later = msgspec.structs.replace(own, version=b"v2", mtime_ns=9000)
    assert not is_spliced(later, correction)
    seen = corrected(later, correction)
    assert (seen.size, seen.mtime_ns, seen.version) == (100, 9000, b"v2")
    removed = unpack_facts(corrected(own, msgspec.structs.replace(correction, cover=NO_COVER)).facts)
    assert removed is not None
    assert removed.pictures == FACTS.pictures[1:]


def test_a_version_is_told_by_the_time_where_there_is_none() -> None:
    one = record(b"1", version=b"")
    assert content_version(one) != content_version(msgspec.structs.replace(one, mtime_ns=1001))
    assert content_version(one) == content_version(msgspec.structs.replace(one, name=b"2", folder=9))


def test_a_file_that_cannot_be_read_has_what_it_is_given_alone() -> None:
    own = record(b"1.MP3", facts=None)
    assert corrected(own, Correction(1, {}, 5, cover=NO_COVER)).facts == own.facts
    facts = unpack_facts(corrected(own, Correction(1, stored_fields({"title": ("A",)}), 5)).facts)
    assert facts is not None
    assert (facts.format, facts.tags, facts.audio_id) == ("mp3", {"title": ("A",)}, 0)


# Files that may be what a lost overlay was of.


def test_claims(catalog: Catalog) -> None:
    names = (b"stays", b"goes", b"changes", b"is corrected", b"other")
    stays, goes, changes, is_corrected, other = (put(catalog, name) for name in names)
    with WriteTransaction(catalog) as tx:
        for one in (stays, goes, changes, is_corrected):
            tx.put_claim(7, one)
            tx.put_claim(7, one)
        tx.put_claim(8, other)
    assert catalog.claimed_audio() == [7, 8]
    with WriteTransaction(catalog) as tx:
        tx.remove_object(goes)
        tx.put_object(changes, record(b"changes", facts=msgspec.structs.replace(FACTS, audio_id=8)), 2)
        tx.put_correction(is_corrected, Correction(1, {}, 5))
        assert tx.take_claims(7) == [stays]
        assert tx.take_claims(7) == [stays]
        assert tx.take_claims(8) == [], "it does not have that audio"
        assert tx.take_claims(9) == []
    assert catalog.claimed_audio() == [7]


# Names that an edit has ended.


def test_former_names(catalog: Catalog) -> None:
    one = put(catalog, b"1")
    node = node_of(catalog, one, 1001)
    folder = Node(500, NodeKind.FOLDER, 0, ROOT_INODE, 0, 3, 1, 0, b"gone")
    with WriteTransaction(catalog) as tx:
        tx.set_place(one, 0, node.inode)
        tx.put_former_file(500, b"old", one, 0, 100)
        tx.put_former_folder(folder, 200)
        assert tx.drop_former(50) == 100
    assert catalog.former(500, b"old", 99) == node
    assert catalog.former(500, b"old", 100) is None, "its time is over, also while it stands there"
    assert (catalog.former(ROOT_INODE, b"gone", 199), catalog.former_folder(500, 199)) == (folder, folder)
    assert (catalog.former(ROOT_INODE, b"gone", 200), catalog.former_folder(500, 200)) == (None, None)
    assert catalog.former(500, b"other", 1) is None
    assert catalog.former_folder(501, 1) is None
    with WriteTransaction(catalog) as tx:
        assert tx.drop_former(100) == 200
        tx.set_place(one, 0, 0)
        tx.put_former_file(500, b"old", one, 0, 300)
        assert tx.drop_former(200) == 300
    assert catalog.former(500, b"old", 201) is None, "what it led to is nowhere"
    with WriteTransaction(catalog) as tx:
        assert tx.drop_former(300) is None
    with catalog.snapshot() as txn:
        assert txn.stat(catalog.tables.former)["entries"] == 0


# From an older version.


def test_a_catalog_without_these_tables_is_given_them(tmp_path: Path) -> None:
    path = tmp_path / "catalog"
    catalog = make_catalog(path)
    one = put(catalog, b"1")
    before = catalog.object(one)
    catalog.close()
    with environment.open_environment(str(path)) as env:
        for name in NEW_TABLES:
            table = env.open_db(name.encode(), create=False)
            with env.begin(write=True) as txn:
                txn.drop(table, delete=True)
        meta = env.open_db(b"meta", create=False)
        with env.begin(write=True) as txn:
            txn.put(b"schema", msgspec.msgpack.encode(2), db=meta)
    environment.mark_clean(str(path))
    assert catalogs.prepare(str(path)) is None, "nothing is put aside"
    opened = Catalog(str(path), readonly=True)
    assert opened.object(one) == before
    assert (opened.corrections(), opened.claimed_audio(), opened.former(1, b"x", 0)) == ([], [], None)
    with opened.snapshot() as txn:
        assert msgspec.msgpack.decode(txn.get(b"schema", db=opened.tables.meta) or b"") == SCHEMA
    opened.close()
    assert set(NEW_TABLES) < set(FACT_TABLES)


def test_a_migration_that_was_stopped_is_done_again(tmp_path: Path) -> None:
    path = tmp_path / "catalog"
    make_catalog(path).close()
    with environment.open_environment(str(path)) as env:
        table = env.open_db(b"former", create=False)  # the other tables were made, the number was not written
        with env.begin(write=True) as txn:
            txn.drop(table, delete=True)
        meta = env.open_db(b"meta", create=False)
        with env.begin(write=True) as txn:
            txn.put(b"schema", msgspec.msgpack.encode(2), db=meta)
    catalogs.check_schema(str(path))
    with environment.open_environment(str(path), readonly=True) as env:
        assert isinstance(env.open_db(b"former", create=False), lmdb._Database)
