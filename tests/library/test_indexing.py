"""The index follows the catalog, whatever fails or ends in between."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import lmdb
import msgspec
import pytest

from musicfs.clock import Clock, SystemClock
from musicfs.errors import IndexNotReadyError, StoreError
from musicfs.index.parser import parse
from musicfs.index.reader import IndexReader
from musicfs.index.writer import open_writer
from musicfs.library.indexing import Indexer
from musicfs.library.searchable import Searchable, SearchableTracks
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs.tree import TreeOptions
from tests.faults.living import wait_for
from tests.library.index_world import BROKEN, FULL, Hasty, StoredIndex, titles_of
from tests.vfs.test_tree_model import SHAPES
from tests.vfs.world import Put, Remove, World, content


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path / "catalog", SHAPES[0][0], TreeOptions())) as made:
        made.apply([Put((1, b"A", b"%d.flac" % number), content(title=f"A {number}")) for number in range(4)])
        yield made


@pytest.fixture
def stored() -> StoredIndex:
    return StoredIndex()


@contextmanager
def indexing(
    world: World,
    stored: StoredIndex,
    clock: Clock | None = None,
    heard: list[Collection[int] | None] | None = None,
    failures: list[Exception] | None = None,
) -> Iterator[Indexer]:
    """An indexer at work."""
    indexer = Indexer(
        world.catalog,
        stored.open,
        stored.discard,
        clock or Hasty(),
        on_indexed=(heard if heard is not None else []).append,
        on_failure=(failures if failures is not None else []).append,
    )
    indexer.start()
    try:
        yield indexer
    finally:
        assert indexer.close()
        assert not stored.is_open


def in_step(world: World, stored: StoredIndex) -> bool:
    return stored.is_complete and stored.sequence == world.catalog.last_touched


def follow(world: World, stored: StoredIndex, indexer: Indexer | None = None) -> None:
    """Wait until the index has everything."""
    if indexer is not None:
        indexer.wake()
    wait_for("the index follows", lambda: in_step(world, stored))
    assert stored.titles == titles_of(world.catalog)


def add(world: World, title: str) -> None:
    world.apply([Put((1, b"A", title.encode() + b".flac"), content(title=title))])


def test_it_is_built_and_then_follows(world: World, stored: StoredIndex) -> None:
    heard: list[Collection[int] | None] = []
    with indexing(world, stored, heard=heard) as indexer:
        follow(world, stored, indexer)
        assert heard == [None]
        assert stored.calls["put"] == 4
        assert indexer.behind == 0
        add(world, "new")
        assert indexer.behind == 1, "it is told of nothing yet"
        follow(world, stored, indexer)
        assert heard[1:] == [[world.files[1, b"A", b"new.flac"].object_id]]
        world.apply([Remove((1, b"A", b"new.flac"))])
        follow(world, stored, indexer)
        assert len(stored.titles) == 4
        assert (indexer.progress, indexer.trouble, indexer.behind) == (None, "", 0)


def test_an_empty_catalog_has_an_index(tmp_path: Path, stored: StoredIndex) -> None:
    with closing(World(tmp_path / "empty", SHAPES[0][0], TreeOptions())) as world, indexing(world, stored):
        wait_for("an index", lambda: stored.is_complete)
        assert (stored.sequence, stored.titles) == (0, {})


def test_the_next_keeper_goes_on_where_it_was(world: World, stored: StoredIndex) -> None:
    with indexing(world, stored):
        follow(world, stored)
    add(world, "meanwhile")
    before = stored.calls["put"]
    with indexing(world, stored):
        follow(world, stored)
    assert stored.calls["put"] == before + 1
    assert stored.calls["discard"] == 0


def test_the_log_is_trimmed_at_rest(world: World, stored: StoredIndex) -> None:
    with indexing(world, stored) as indexer:
        follow(world, stored)
        wait_for("a trimmed log", lambda: world.catalog.first_touched == world.catalog.last_touched + 1)
        assert stored.calls["rest"] >= 1
        add(world, "afterwards")
        follow(world, stored, indexer)
    with indexing(world, stored):
        follow(world, stored)
    assert stored.calls["discard"] == 0


@pytest.mark.parametrize("how", ["a gap", "from the future", "never complete"])
def test_an_index_that_cannot_follow_is_built_anew(world: World, stored: StoredIndex, how: str) -> None:
    with indexing(world, stored):
        follow(world, stored)
    stored.titles[99] = ("of another time",)
    if how == "a gap":
        stored.sequence -= 1
        with WriteTransaction(world.catalog) as tx:
            tx.trim_touched(world.catalog.last_touched)
    elif how == "from the future":
        stored.sequence += 1  # a power cut has taken a write back, whose number the next one gets
        with indexing_after(world, stored):
            wait_for("it is discarded", lambda: stored.calls["discard"])
            follow(world, stored)
        return
    else:
        stored.is_complete = False
    with indexing(world, stored):
        follow(world, stored)
    assert stored.calls["discard"] == 1


@contextmanager
def indexing_after(world: World, stored: StoredIndex) -> Iterator[None]:
    """The keeper writes before the index is opened."""
    indexer = Indexer(world.catalog, stored.open, stored.discard, Hasty())
    add(world, "another write of that number")
    indexer.start()
    try:
        yield
    finally:
        assert indexer.close()


@pytest.mark.expects_log("the search index failed, and is built anew")
@pytest.mark.parametrize("method", ["open", "put", "commit", "rest"])
def test_a_broken_index_is_built_anew_and_said_once(
    world: World, stored: StoredIndex, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    with indexing(world, stored) as indexer:
        follow(world, stored)
        stored.fail("remove", BROKEN)
        stored.fail(method, BROKEN, RuntimeError("foreign code"), BROKEN)
        world.apply([Remove((1, b"A", b"0.flac")), Put((1, b"A", b"new.flac"), content(title="new"))])
        indexer.wake()
        wait_for("all has failed", lambda: not stored.failing[method])
        follow(world, stored, indexer)
        wait_for("no more trouble", lambda: not indexer.trouble)
    assert stored.calls["discard"] >= 1
    said = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert 1 <= len(said) <= (3 if method == "rest" else 1)  # before a rest all may have been well


@pytest.mark.expects_log("the search index waits for room")
def test_a_full_disk_is_waited_for(
    world: World, stored: StoredIndex, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    with indexing(world, stored) as indexer:
        follow(world, stored)
        stored.fail("commit", *[FULL] * 5)
        add(world, "new")
        indexer.wake()
        wait_for("trouble", lambda: indexer.trouble)
        assert indexer.trouble == "waits for room: there is no room"
        follow(world, stored, indexer)
        wait_for("no more trouble", lambda: not indexer.trouble)
    assert stored.calls["discard"] == 0
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


@pytest.mark.expects_log("is damaged, and is built anew: somebody saw it")
def test_reported_damage(world: World, stored: StoredIndex) -> None:
    clock = Hasty()
    with indexing(world, stored, clock) as indexer:
        follow(world, stored)
        indexer.begin_anew("it was just built")
        add(world, "new")
        follow(world, stored, indexer)
        assert stored.calls["discard"] == 0
        clock.ahead_s = 100
        indexer.begin_anew("somebody saw it")
        indexer.begin_anew("and somebody else")
        wait_for("it is discarded", lambda: stored.calls["discard"])
        follow(world, stored)
    assert stored.calls["discard"] == 1


@pytest.mark.expects_log("what follows the search index failed")
def test_a_listener_that_fails_is_its_own_problem(world: World, stored: StoredIndex) -> None:
    def fail(_: Collection[int] | None) -> None:
        raise KeyError("collections")

    indexer = Indexer(world.catalog, stored.open, stored.discard, Hasty(), on_indexed=fail)
    indexer.start()
    follow(world, stored)
    add(world, "new")
    follow(world, stored, indexer)
    assert indexer.close()


def test_a_damaged_catalog_is_said_and_ends_it(
    world: World, stored: StoredIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[Exception] = []

    def damaged(*_: object) -> None:
        raise lmdb.CorruptedError("scripted")

    with indexing(world, stored, failures=failures) as indexer:
        follow(world, stored)
        monkeypatch.setattr(world.catalog, "touched_after", damaged)
        indexer.wake()
        wait_for("it is said", lambda: failures)
        assert indexer.trouble == ""
    assert isinstance(failures[0], lmdb.CorruptedError)
    assert stored.calls["discard"] == 0


@pytest.mark.expects_log("cannot follow the catalog")
def test_a_catalog_that_cannot_be_read_now_costs_no_index(
    world: World, stored: StoredIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    with indexing(world, stored) as indexer:
        follow(world, stored)
        with monkeypatch.context() as patch:
            patch.setattr(world.catalog, "locate", _raise)
            add(world, "new")
            indexer.wake()
            wait_for("trouble", lambda: indexer.trouble)
        follow(world, stored, indexer)
    assert stored.calls["discard"] == 0


def _raise(_: int) -> None:
    raise StoreError("scripted")


def test_everything_is_looked_at_after_a_swap(world: World, stored: StoredIndex) -> None:
    heard: list[Collection[int] | None] = []
    with indexing(world, stored, heard=heard) as indexer:
        follow(world, stored)
        world.rebuild()
        follow(world, stored, indexer)
        assert heard == [None, None]
    assert stored.calls["discard"] == 0


def test_the_end_does_not_wait_for_a_build(world: World, stored: StoredIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    found = next(_searchable(world))
    endless = (msgspec.structs.replace(found, object_id=number) for number in itertools.count(1))
    monkeypatch.setattr("musicfs.library.searchable.SearchableTracks.all", lambda _: endless)
    with indexing(world, stored) as indexer:
        wait_for("it is at work", lambda: stored.calls["put"] > 1000)
        assert indexer.progress is not None
    assert stored.sequence == -1


def _searchable(world: World) -> Iterator[Searchable]:
    yield from SearchableTracks(world.catalog).all()


def test_with_the_real_index(world: World, tmp_path: Path) -> None:
    path = str(tmp_path / "search.idx")
    reader = IndexReader(path)

    def finds(title: str, object_ids: set[int]) -> bool:
        try:
            return set(reader.ids(parse(title), now_ns=0)) == object_ids
        except IndexNotReadyError:
            return False

    for title in ("Übung", "Anderes"):
        key = (1, b"A", title.encode() + b".flac")
        indexer = Indexer(world.catalog, lambda: open_writer(path, "catalog"), lambda: None, SystemClock())
        indexer.start()
        wait_for("an index", partial(finds, "*", set(titles_of(world.catalog))))
        add(world, title)
        indexer.wake()
        new = {world.files[key].object_id}
        wait_for("the change is found within two seconds", partial(finds, f"title:{title}", new), 2.0)
        assert finds("*", set(titles_of(world.catalog)))
        world.apply([Remove(key)])
        indexer.wake()
        wait_for("it is gone within two seconds", partial(finds, f"title:{title}", set()), 2.0)
        assert indexer.close()
    reader.close()
