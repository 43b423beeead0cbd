"""The user's state: overlays with their history, pictures and pins, kept over restarts."""

from __future__ import annotations

import threading
from pathlib import Path
from unittest import mock

import lmdb
import msgspec
import pytest

from musicfs.errors import MusicFSError, NotFoundError, StoreError
from musicfs.store import environment, frames, state_engine, state_tables
from musicfs.store.journal import Journal
from musicfs.store.overlays import (
    TIME_STEP_NS,
    Anchoring,
    Change,
    Layer,
    Overlay,
    Pin,
    Play,
    Played,
    StoredCollection,
    play_key,
)
from musicfs.store.state import State, open_state
from tests.store.state_world import StateWorld, overlay


def put(state: State, one: Overlay, *, undoes: int = 0, time_ns: int = 5) -> int:
    action = "undo" if undoes else "set"
    return state.put_overlays([Change(one, undoes)], action=action, author="me", time_ns=time_ns).sequence  # type: ignore[arg-type] # one of the literals


def test_everything_is_kept(tmp_path: Path) -> None:
    world = StateWorld(tmp_path)
    world.fill(1, 60)
    world.check()
    lineage, sequence = world.state.lineage, world.state.sequence
    for clean in (True, False):
        world.reopen(clean=clean)
        world.check()
        assert (world.state.lineage, world.state.sequence) == (lineage, sequence)
    assert world.state.verify() == []
    world.state.close()


def test_long_pins_and_anchors(tmp_path: Path) -> None:
    state = open_state(str(tmp_path))
    long = b"/" + b"x" * 2000
    pins = [Pin(b"/A", 1, (("nas", b"a/1.flac"),)), Pin(b"/A/B", 2), Pin(long, 3), Pin(long + b"y", 4)]
    for pin in reversed(pins):
        state.put_pins((pin,))
    assert state.pins() == pins
    state.remove_pins((b"/A/B", b"/not pinned"))
    state.remove_pins((b"/A/B",))
    put(state, Overlay(1, anchors=(("nas", long),)))
    put(state, Overlay(2, anchors=(("nas", long + b"y"),)))
    state.close()
    state = open_state(str(tmp_path))
    assert [pin.path for pin in state.pins()] == [b"/A", long, long + b"y"]
    assert [getattr(state.overlay_at("nas", path), "id", 0) for path in (long, long + b"y", b"x")] == [1, 2, 0]
    state.close()


def test_collections(tmp_path: Path) -> None:
    state = open_state(str(tmp_path))
    first = StoredCollection(7, "Jazz", "genre:jazz", sort="added", limit=100, added_ns=5, author="me")
    second = StoredCollection(3, "Loud", rule=b"\x81\xa1a\xc0")
    for one in (first, second):
        state.put_collection(one)
    with pytest.raises(ValueError, match="another collection 'Jazz'"):
        state.put_collection(StoredCollection(8, "Jazz"))
    sequence = state.sequence
    state.put_collection(first)
    assert state.sequence == sequence, "nothing changed, nothing is written"
    renamed = msgspec.structs.replace(first, name="Old Jazz")
    state.put_collection(renamed)
    state.put_collection(StoredCollection(8, "Jazz"))
    state.remove_collection("Loud")
    with pytest.raises(NotFoundError, match="'Loud'"):
        state.remove_collection("Loud")
    state.close()
    state = open_state(str(tmp_path))
    assert state.collections() == [StoredCollection(8, "Jazz"), renamed]
    state.close()


def test_plays_are_counted(tmp_path: Path) -> None:
    state = open_state(str(tmp_path))
    here, there = ("nas", b"a.flac"), ("s3", b"b/a.flac")
    audio, file = play_key(1 << 63, here), play_key(0, here)
    assert audio == play_key(1 << 63, there) and file != play_key(0, there) and len(audio) == len(file) == 16
    state.note_plays([Played(audio, 20, here), Played(file, 21, here), Played(audio, 30, there)])
    state.note_plays([Played(audio, 10, here)])  # of a clock that was put back
    state.note_plays([])
    assert state.play(audio) == Play(audio, 3, 10, 30, there)
    assert state.play(file) == Play(file, 1, 21, 21, here)
    assert state.play(play_key(2, here)) is None
    many = [Played(play_key(number, here), 5, here) for number in range(1, 1000)]
    state.note_plays(many)
    assert len({one.key for one in state.plays()}) == len(list(state.plays())) == state.count_plays() == 1001
    state.close()


def test_an_anchor_belongs_to_one_overlay(tmp_path: Path) -> None:
    state = open_state(str(tmp_path))
    a, b = ("nas", b"a"), ("nas", b"b")
    put(state, Overlay(1, anchors=(a, b)))
    put(state, Overlay(2, anchors=(b,)))
    assert (state.overlay(1), state.overlay_at(*b)) == (Overlay(1, {}, "", 5, "me", (a,)), state.overlay(2))
    swapped = state.reanchor([Anchoring(1, (b,), audio_id=7), Anchoring(2, (a,), own_digest=8)])
    assert [one.anchors for one in swapped.overlays] == [(b,), (a,)]
    found = state.overlay_at(*b), state.overlay_at(*a)
    assert [(one.id, one.audio_id, one.own_digest) for one in found if one is not None] == [(1, 7, 0), (2, 0, 8)]
    assert [one.id for one in state.overlays_of_audio(7)] == [1]
    state.reanchor([Anchoring(1, ())])
    assert state.overlay_at(*b) is None
    before = state.sequence
    with pytest.raises(NotFoundError):
        state.reanchor([Anchoring(2, (b,)), Anchoring(3, ())])
    assert state.overlay_at(*b) is None and state.sequence == before
    assert list(state.changed_since(0)) == [(4, 2), (5, 1)]
    assert list(state.changed_since(4)) == [(5, 1)]
    state.close()


def test_of_two_in_one_batch_the_later_has_the_anchor_also_when_it_had_it_before(tmp_path: Path) -> None:
    state = open_state(str(tmp_path))
    a = ("nas", b"a")
    put(state, Overlay(1, anchors=(a,)))
    written = state.put_overlays(
        [Change(Overlay(2, anchors=(a,))), Change(Overlay(1, anchors=(a,)))], action="set", author="me", time_ns=1
    )
    assert [one.anchors for one in written.overlays] == [(), (a,)]
    assert state.overlay_at(*a) == state.overlay(1)
    moved = state.reanchor([Anchoring(1, (a,)), Anchoring(2, (a,)), Anchoring(1, (a,))])
    assert [one.anchors for one in moved.overlays] == [(a,), (), (a,)]
    assert state.overlay_at(*a) == state.overlay(1)
    state.close()


def test_time_never_goes_back_and_history_says_what_was_undone(tmp_path: Path) -> None:
    state = open_state(str(tmp_path))
    first = put(state, Overlay(1, {"title": ("A",)}), time_ns=100)
    second = put(state, Overlay(1, {"title": ("B",)}), time_ns=50)
    assert state.overlay(1) == Overlay(1, {"title": ("B",)}, "", 100 + TIME_STEP_NS, "me")
    assert put(state, Overlay(1, {"title": ("B",)}), time_ns=500) == second, "nothing changed, nothing is written"
    undo = put(state, Overlay(1, {"title": ("A",)}), undoes=second, time_ns=60)
    further = put(state, Overlay(1), undoes=first, time_ns=70)
    assert [(one.sequence, one.undoes, one.undone_by) for one in state.history(1, 9)] == [
        (further, first, 0), (undo, second, 0), (second, 0, undo), (first, 0, further),
    ]  # fmt: skip
    redo = put(state, Overlay(1, {"title": ("A",)}), undoes=further)
    assert [one.undone_by for one in state.history(1, 9)] == [0, redo, 0, undo, 0]
    assert state.history(None, 1)[0].before == Layer()
    assert state.history(2, 9) == []
    state.close()


def test_a_bad_value_stops_nobody_else(tmp_path: Path) -> None:
    state = open_state(str(tmp_path))
    with pytest.raises(ValueError, match="surrogates"):
        put(state, Overlay(1, {"title": ("\udc80",)}))
    with pytest.raises(ValueError, match="twice"):
        state.put_overlays([Change(overlay(1, "a")), Change(overlay(1, "b"))], action="set", author="", time_ns=1)
    assert state.count_overlays() == 0
    state.close()


def test_many_threads(tmp_path: Path) -> None:
    state = open_state(str(tmp_path))
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(25):
                one = overlay(number, f"{turn}")
                sequence = put(state, one)
                assert state.overlay(number) is not None and state.sequence >= sequence
                assert sum(1 for _ in state.overlays()) <= 8
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed
    sequences = [entry.sequence for entry in state.history(None, 1000)]
    assert sorted(set(sequences), reverse=True) == sequences and len(sequences) == 200
    assert state.verify() == []
    state.close()


@pytest.mark.expects_log("this picture is damaged")
@pytest.mark.expects_log("this picture is missing")
def test_pictures(tmp_path: Path) -> None:
    state = open_state(str(tmp_path))
    key = state.put_image(b"picture")
    assert state.image(key) == b"picture" and len(key) == 32
    (tmp_path / "images" / key).write_bytes(b"pictore")
    put(state, Overlay(1, cover=key))
    assert state.image(key) is None and state.image(key) is None
    assert state.verify() == [f"the picture {key} is missing or damaged"]
    assert state.put_image(b"picture") == key
    assert state.image(key) == b"picture"
    assert [state.image(name) for name in ("", "-", "../journal", "0" * 32)] == [None] * 4
    state.close()


def test_only_one_process_has_it(tmp_path: Path) -> None:
    state = open_state(str(tmp_path))
    with pytest.raises(StoreError, match="in use"):
        open_state(str(tmp_path))
    state.close()
    open_state(str(tmp_path)).close()


def test_the_journal_is_made_smaller_when_most_of_it_is_past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_engine, "_COMPACT_BYTES", 20_000)
    world = StateWorld(tmp_path)
    world.fill(1, 5)
    for turn in range(1000):
        world.pin(Pin(b"/p", turn))
    assert (tmp_path / "journal").stat().st_size < 60_000
    world.check()
    for what in ("state", "nothing"):
        world.state.close()
        if what == "state":
            (tmp_path / "state").rename(tmp_path / "gone")
        if what == "state":
            with mock.patch("musicfs.store.state_recovery.log"):
                world.open()
        else:
            world.open()
        world.check()
    world.state.close()


def test_a_newer_state_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = StateWorld(tmp_path)
    with monkeypatch.context() as newer:
        newer.setattr(state_tables, "SCHEMA", state_tables.SCHEMA + 1)
        world.put(overlay(1, "a"))
    world.state.close()
    for _ in range(2):  # after a clean stop, and without its mark
        with pytest.raises(MusicFSError, match="newer version"):
            open_state(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"state", "journal", "images", "state.lock"}


def test_a_newer_journal_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_state(str(tmp_path)).close()
    with monkeypatch.context() as newer:
        newer.setattr(frames, "VERSION", 3)
        journal = Journal(str(tmp_path / "journal"))
        journal.survey()
        journal.append([(2, b"?")])
        journal.close()
    with pytest.raises(MusicFSError, match="newer version"):
        open_state(str(tmp_path))


def old_state(folder: Path, pins: list[Pin]) -> None:
    with lmdb.open(str(folder / "state"), max_dbs=8) as env:
        meta, table = env.open_db(b"meta"), env.open_db(b"pins")
        with env.begin(write=True) as txn:
            txn.put(b"schema", msgspec.msgpack.encode(1), db=meta)
            for pin in pins:
                txn.put(pin.path, msgspec.msgpack.encode(pin), db=table)


def test_the_first_schema_is_brought_forward(tmp_path: Path) -> None:
    pins = [Pin(b"/A", 1, (("nas", b"a/1.flac"),)), Pin(b"/B", 2)]
    old_state(tmp_path, pins)
    for _ in range(2):
        state = open_state(str(tmp_path))
        assert state.pins() == pins and state.count_pins() == 2
        state.close()
    names = {path.name for path in tmp_path.iterdir()}
    assert {name for name in names if not name.startswith("before-upgrade-")} == {
        "state", "journal", "images", "state.lock",
    }  # fmt: skip


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("lost", ["", "journal", "state"])
@pytest.mark.expects_log("nothing is lost")
def test_the_second_schema_is_read_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean: bool, lost: str
) -> None:
    with monkeypatch.context() as older:
        older.setattr(state_tables, "SCHEMA", 2)
        older.setattr(frames, "VERSION", 1)
        world = StateWorld(tmp_path)
        world.put(overlay(1, "a"), overlay(2, "b"))
        world.pin(Pin(b"/A", 1))
        lineage = world.state.lineage
        world.state.close()
    with lmdb.open(str(tmp_path / "state"), max_dbs=16) as env:
        for name in (b"colls", b"plays", b"trash"):
            table = env.open_db(name)
            with env.begin(write=True) as txn:
                txn.drop(table)
    assert state_tables.schema_of(str(tmp_path / "state")) == 2
    (tmp_path / "state" / "clean").unlink()
    if clean:
        environment.mark_clean(str(tmp_path / "state"))
    if lost:
        (tmp_path / lost).rename(tmp_path / "lost")
    world.open()
    world.check()
    world.play(1, 2)
    world.collect(StoredCollection(1, "c"))
    world.delete(3)
    world.check()
    assert world.state.lineage == lineage and world.state.verify() == []
    world.reopen(clean=clean)
    world.check()
    world.state.close()
    assert state_tables.schema_of(str(tmp_path / "state")) == state_tables.SCHEMA


@pytest.mark.expects_log("put aside")
def test_a_damaged_old_state_is_put_aside_and_kept(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "data.mdb").write_bytes(b"not a database" * 1000)
    open_state(str(tmp_path)).close()
    [aside] = tmp_path.glob("state.damaged-*")
    assert (aside / "data.mdb").read_bytes().startswith(b"not a database")
    state = open_state(str(tmp_path))
    assert state.pins() == []
    state.close()
