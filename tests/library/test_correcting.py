"""Corrections go into the state, the catalog and the tree, whatever stops them halfway."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.errors import ConfigError, DiskFullError
from musicfs.library.correcting import Edit
from musicfs.library.overlays import Wanted
from musicfs.store.corrections import Correction
from musicfs.store.overlays import HistoryEntry
from musicfs.store.state import open_state
from musicfs.store.transaction import WriteTransaction
from musicfs.testing.images import make_png
from musicfs.vfs.views import View
from tests.vfs.corrected import REFUSED, CorrectedWorld, Make, corrected_worlds
from tests.vfs.oracle import check_tree
from tests.vfs.test_tree_model import outline
from tests.vfs.world import START_NS, Content, Key, Put, Remove, content

FLAT = View(0, "", "$artist/$title.$format", folders=False, names="posix")
ALBUMS = View(0, "", "$album/<$disc->$title.$format", folders=False, names="posix")
A: Key = (1, b"m", b"a.flac")
B: Key = (1, b"m", b"b.flac")
OPAQUE: Key = (1, b"m", b"broken.mp3")
SONG = content(audio=7, artist="X", title="One")
OTHER_SONG = content(size=2000, audio=8, artist="X", title="Two")


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with corrected_worlds(tmp_path, FLAT) as make:
        yield make


@pytest.fixture
def world(make: Make) -> CorrectedWorld:
    world = make()
    world.scan([Put(A, SONG), Put(B, OTHER_SONG)])
    return world


def correction(world: CorrectedWorld, key: Key) -> Correction:
    found = world.catalog.correction(world.ids[key])
    assert found is not None
    return found


def fail_to_write(world: CorrectedWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next correction finds the disk full when it comes to the catalog."""

    def full(*_: object) -> None:
        raise DiskFullError("no room")

    monkeypatch.setattr(WriteTransaction, "put_correction", full)


def test_what_an_edit_would_do_is_what_it_does(world: CorrectedWorld) -> None:
    edit = Edit(world.ids[A], Wanted({"title": ("Eins", "Uno"), "artist": ()}, cover="-"))
    said = world.corrector.preview(edit)
    assert list(world.state.overlays()) == []
    [done] = world.corrector.apply([edit], action="set", author="me")
    assert done == said
    assert (done.before["title"], done.after["title"], "artist" in done.after) == (("One",), ("Eins", "Uno"), False)
    assert (done.cover_before, done.cover_after, done.changed) == ("", "-", True)
    world.look()
    check_tree(world)
    [again] = world.corrector.apply([edit], action="set", author="me")
    assert not again.changed
    assert len(world.state.history(None, 10)) == 1


def test_values_that_no_file_can_hold(world: CorrectedWorld) -> None:
    for fields in ({"title": ("a\0b",)}, {"a=b": ("x",)}, {"compilation": ("perhaps",)}):
        edit = Edit(world.ids[A], Wanted(fields))
        with pytest.raises(ConfigError):
            world.corrector.preview(edit)
        with pytest.raises(ConfigError):
            world.corrector.apply([Edit(world.ids[B], Wanted({"title": ("x",)})), edit], action="set", author="me")
    assert list(world.state.overlays()) == []


def test_a_track_that_is_gone(world: CorrectedWorld) -> None:
    gone = world.ids[A]
    world.scan([Remove(A)])
    edits = [Edit(gone, Wanted({"title": ("x",)})), Edit(world.ids[B], Wanted({"title": ("Zwei",)}))]
    assert [one.object_ids for one in world.corrector.apply(edits, action="set", author="me")] == [(), (world.ids[B],)]
    assert len(list(world.state.overlays())) == 1


def test_one_track_several_times_in_one_call(world: CorrectedWorld) -> None:
    edits = [
        Edit(world.ids[key], Wanted({"title": (title,)}))
        for key, title in ((A, "1"), (B, "2"), (A, "3"), (A, "4"), (B, "Two"))
    ]
    done = world.corrector.apply(edits, action="set", author="me")
    assert [(one.before["title"][0], one.after["title"][0]) for one in done] == [
        ("One", "1"), ("Two", "2"), ("1", "3"), ("3", "4"), ("2", "Two"),
    ]  # fmt: skip
    world.look()
    assert (world.path_of(A), world.path_of(B)) == (b"/X/4.flac", b"/X/Two.flac")
    check_tree(world)


def test_the_time_grows_with_every_change_of_the_bytes_also_backwards(world: CorrectedWorld) -> None:
    times = [SONG.mtime_ns]
    for title in ("Eins", "One", "Eins"):
        world.set(A, title=title)
        times.append(check_tree(world).nodes[world.catalog.place_of(world.ids[A])].mtime_ns)
    world.clock.now_ns = START_NS // 2  # the clock was put back
    world.set(A, title="Uno")
    times.append(check_tree(world).nodes[world.catalog.place_of(world.ids[A])].mtime_ns)
    assert times == sorted(set(times))


def test_a_container_that_cannot_be_changed_is_served_as_it_is(world: CorrectedWorld) -> None:
    world.set(A, title=REFUSED)
    found = correction(world, A)
    assert (found.mark, found.pending) == (b"", False)
    assert REFUSED in found.reason
    assert world.path_of(A) == f"/X/{REFUSED}.flac".encode()
    check_tree(world)
    world.set(A, title="Eins")
    assert correction(world, A).mark
    assert correction(world, A).reason == ""


def test_a_file_that_cannot_be_read_has_the_tags_it_is_given(make: Make) -> None:
    world = make(ALBUMS)
    broken = Content(None)
    world.scan([Put(A, content(title="One", album="K")), Put(OPAQUE, broken)])
    world.set(OPAQUE, title="Noise", album="K", disc="2", disc_total="2")
    assert correction(world, OPAQUE).reason == "its own tags could not be read"
    assert world.path_of(OPAQUE) == b"/K/2-Noise.mp3"
    check_tree(world)
    world.edit((OPAQUE, Wanted(revert_all=True)))
    check_tree(world)  # its album counts it no longer
    world.set(OPAQUE, album="K")
    world.scan([Remove(OPAQUE)])
    check_tree(world)


def test_a_cover_alone_leaves_a_file_that_cannot_be_read_as_it_is(world: CorrectedWorld) -> None:
    world.scan([Put(OPAQUE, Content(None))])
    world.set(OPAQUE, cover=world.state.put_image(make_png(1, width=4, height=4)))
    assert world.path_of(OPAQUE) == b"/Unknown Artist/Unknown Album/broken.mp3"
    check_tree(world)


def test_a_given_cover_becomes_the_folders(world: CorrectedWorld) -> None:
    world.set(A, cover=world.state.put_image(make_png(1, width=4, height=4)))
    tree = check_tree(world)
    assert (b"X", b"cover.jpg") in tree.by_path() or b"" in tree.blobs.values()
    world.edit((A, Wanted(revert_all=True)))
    assert (b"X", b"cover.jpg") not in check_tree(world).by_path()


# What stops halfway.


def test_a_correction_that_the_catalog_has_no_room_for_comes_later(
    world: CorrectedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.corrector.catch_up()
    with monkeypatch.context() as patch:
        fail_to_write(world, patch)
        with pytest.raises(DiskFullError):
            world.corrector.apply([Edit(world.ids[A], Wanted({"title": ("Eins",)}))], action="set", author="me")
    assert world.catalog.correction(world.ids[A]) is None
    world.corrector.apply([Edit(world.ids[B], Wanted({"title": ("Zwei",)}))], action="set", author="me")
    world.restart()
    world.corrector.catch_up()
    world.look()
    assert (world.path_of(A), world.path_of(B)) == (b"/X/Eins.flac", b"/X/Zwei.flac")
    check_tree(world)


def test_a_crash_between_state_and_catalog_is_caught_up_with_after_other_edits_too(
    world: CorrectedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fail_to_write(world, patch)
        with pytest.raises(DiskFullError):
            world.corrector.apply([Edit(world.ids[A], Wanted({"title": ("Eins",)}))], action="set", author="me")
    world.restart()
    world.corrector.apply([Edit(world.ids[B], Wanted({"title": ("Zwei",)}))], action="set", author="me")  # comes first
    world.corrector.catch_up()
    world.look()
    assert (world.path_of(A), world.path_of(B)) == (b"/X/Eins.flac", b"/X/Zwei.flac")


def test_catching_up_costs_nothing_when_all_is_done(world: CorrectedWorld) -> None:
    world.set(A, title="Eins")
    world.corrector.catch_up()
    world.restart()
    commits, rendered = world.commits, len(world.renderer.rendered)
    world.corrector.catch_up()
    world.corrector.catch_up()
    assert world.commits <= commits + 1
    assert len(world.renderer.rendered) == 0 <= rendered


def test_a_catalog_built_from_nothing_shows_the_same(make: Make) -> None:
    world = make()
    files: dict[Key, Content] = {A: SONG, B: OTHER_SONG, (2, b"x", b"a.flac"): SONG, OPAQUE: Content(None)}
    world.scan([Put(key, holds) for key, holds in files.items()])
    world.set(A, title="Eins", cover=world.state.put_image(make_png(1, width=4, height=4)))
    world.set(B, title="", artist="Z")
    world.set(OPAQUE, title="Noise")
    fresh = make()
    fresh.state.close()
    world.state.close()
    shutil.copytree(world.path.parent / "state", fresh.path.parent / "copy")
    world.state = open_state(str(world.path.parent / "state"))
    fresh.state = open_state(str(fresh.path.parent / "copy"))
    fresh.restart()
    fresh.clock.now_ns = world.clock.now_ns
    for key in reversed(files):
        fresh.scan([Put(key, files[key])])
    fresh.corrector.catch_up()
    fresh.look()
    check_tree(fresh)
    for one in (world, fresh):
        one.rebuild()
        one.look()
    shown, expected = (
        {
            path: (inode, size)
            for path, (inode, _, size, *_) in outline(check_tree(one)).items()
            if path[-1] != b"cover.jpg"
        }
        for one in (fresh, world)
    )
    assert shown == expected


@pytest.mark.expects_log("state")
def test_a_state_that_is_lost_takes_its_corrections_along(world: CorrectedWorld) -> None:
    world.set(A, title="Eins")
    world.corrector.catch_up()
    world.state.close()
    shutil.rmtree(world.path.parent / "state")
    world.state = open_state(str(world.path.parent / "state"))
    world.restart()
    world.corrector.catch_up()
    world.look()
    assert world.path_of(A) == b"/X/One.flac"
    check_tree(world)


# Many at once.


def test_edits_from_threads_while_files_change(make: Make) -> None:
    world = make()
    keys: list[Key] = [(1, b"m", b"%d.flac" % number) for number in range(12)]
    world.scan([Put(key, content(size=1000 + 2 * number, audio=number + 1, artist="X", title=str(number)))
                for number, key in enumerate(keys)])  # fmt: skip
    world.corrector.catch_up()
    ids = dict(world.ids)
    failures: list[BaseException] = []

    def edit(offset: int) -> None:
        try:
            for turn in range(15):
                key = keys[(offset + turn * 5) % len(keys)]
                wanted = Wanted({"title": (f"{offset} {turn}",)}, cover="-" if turn % 3 else "")
                world.corrector.apply([Edit(ids[key], wanted)], action="set", author=str(offset))
        except BaseException as error:  # shown by the test
            failures.append(error)

    threads = [threading.Thread(target=edit, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(15):
        key = keys[turn % len(keys)]
        size = 1000 + 2 * (turn % len(keys))
        _, learned = world.learn(Put(key, content(size=size, mtime_ns=START_NS + turn, audio=turn + 1, artist="Y")))
        world.publish(key, learned)
        world.attachments.settle()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert failures == []
    world.settle()
    check_tree(world)
    assert not any(one.pending for _, one in world.catalog.corrections())
    assert len(world.state.history(None, 1000)) == 45


def test_the_history_of_an_overlay_tells_it_again(world: CorrectedWorld) -> None:
    for title in ("1", "2", "One", "4"):
        world.set(A, title=title)
    overlay = world.overlay(A)
    assert overlay is not None
    entries: list[HistoryEntry] = world.state.history(overlay.id, 10)
    assert [entry.before for entry in entries[:-1]] == [entry.after for entry in entries[1:]]
    assert entries[0].after == overlay.layer


def test_large_covers_are_not_held_in_memory_together(world: CorrectedWorld) -> None:
    world.corrector.catch_up()
    large = [make_png() + bytes(17 << 20) + b"%d" % number for number in range(2)]
    edits = [
        Edit(world.ids[key], Wanted(cover=world.state.put_image(data))) for key, data in zip((A, B), large, strict=True)
    ]
    before = world.commits
    world.corrector.apply(edits, action="set", author="")
    assert world.commits - before == 3, "written in parts, the last of which says that all is done"
    world.restart()
    rendered = len(world.renderer.rendered)
    world.corrector.catch_up()
    assert len(world.renderer.rendered) == rendered


@pytest.mark.expects_log("cannot be corrected")
def test_a_file_that_a_parser_stumbles_over_does_not_stop_the_others(world: CorrectedWorld) -> None:
    def stumble(object_id: int) -> None:
        if object_id == world.ids[A]:
            raise RuntimeError("nobody thought of this")

    world.renderer.during = stumble
    edits = [Edit(world.ids[key], Wanted({"title": ("New",)})) for key in (A, B)]
    world.corrector.apply(edits, action="set", author="")
    assert "RuntimeError" in correction(world, A).reason
    assert not correction(world, A).mark
    assert correction(world, B).mark
