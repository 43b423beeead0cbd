"""Corrections stay with their files: rescans, moves, copies on other origins, files that are lost and found."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from musicfs.library.correcting import Edit
from musicfs.library.overlays import Wanted
from musicfs.store.overlays import Overlay
from musicfs.vfs.tree import TreeOptions
from musicfs.vfs.views import View
from tests.vfs.corrected import CorrectedWorld, Make, corrected_worlds
from tests.vfs.oracle import Tree, check_tree
from tests.vfs.world import START_NS, Content, Key, Move, Put, Remove, Step, content

FLAT = View(0, "", "$artist/$title.$format", folders=False, names="posix")
A: Key = (1, b"m", b"a.flac")
B: Key = (1, b"m", b"b.flac")
C: Key = (1, b"n", b"c.flac")
MIRROR: Key = (2, b"backup", b"a.flac")
OTHER_MIRROR: Key = (3, b"", b"x.flac")
SONG = content(audio=7, artist="X", title="One")
OTHER_SONG = content(size=2000, audio=8, artist="X", title="Two")
OTHER_AUDIO = msgspec.structs.replace(SONG, audio=9, size=1200)
RETAGGED = msgspec.structs.replace(content(size=1010, audio=7, artist="X", title="Uno"), mtime_ns=START_NS + 5)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with corrected_worlds(tmp_path, FLAT) as make:
        yield make


@pytest.fixture
def world(make: Make) -> CorrectedWorld:
    """One song, whose title is corrected."""
    world = make()
    world.scan([Put(A, SONG)])
    world.set(A, title="Eins")
    return world


def titles(world: CorrectedWorld) -> dict[Key, str]:
    """What the overlay of each file that has one says of its title."""
    check_tree(world)
    found = {key: world.overlay(key) for key in world.own}
    return {key: one.fields.get("title", ("",))[0] for key, one in found.items() if one is not None}


def only_overlay(world: CorrectedWorld) -> Overlay:
    [overlay] = world.state.overlays()
    return overlay


def held(world: CorrectedWorld) -> list[int]:
    return [
        one.id
        for one in world.state.overlays()
        if not any(world.catalog.object_at(*anchor) is not None for anchor in one.anchors)
    ]


def test_a_correction_moves_the_file_and_changes_its_bytes(world: CorrectedWorld) -> None:
    assert world.path_of(A) == b"/X/Eins.flac"
    tree = check_tree(world)
    node = tree.nodes[tree.places[world.ids[A], 0]]
    serving = world.catalog.serving(node)
    assert serving is not None
    assert (serving.size, serving.origin, serving.path) == (node.size, 1, b"m/a.flac")
    assert serving.record == world.catalog.object(world.ids[A])
    assert b"Eins" in serving.plan


def test_a_rescan_without_changes_does_nothing(world: CorrectedWorld) -> None:
    before, commits = Tree(world).nodes, world.state.sequence
    world.scan([Put(A, SONG)])
    assert world.renderer.rendered == [world.ids[A]]
    assert world.state.sequence == commits
    assert {one.inode for one in Tree(world).nodes.values()} == {one.inode for one in before.values()}


@pytest.mark.parametrize("holds", [OTHER_AUDIO, RETAGGED, content(size=1000, mtime_ns=START_NS + 1)], ids=str)
def test_a_file_that_is_replaced_or_retagged_keeps_the_correction(world: CorrectedWorld, holds: Content) -> None:
    before = world.catalog.correction(world.ids[A])
    world.scan([Put(A, holds)], settle=False)
    waiting = world.catalog.correction(world.ids[A])
    assert before is not None and waiting is not None
    assert (waiting.pending, waiting.mark) == (True, b"")
    assert world.path_of(A) == (b"/X/Eins.flac" if holds.tags else b"/Unknown Artist/Eins.flac")
    check_tree(world)
    world.settle()
    after = world.catalog.correction(world.ids[A])
    assert after is not None
    assert after.mark
    assert after.changed_ns > before.changed_ns, "other bytes have a later time"
    assert titles(world) == {A: "Eins"}


def test_a_file_is_known_by_what_it_was_when_last_seen(world: CorrectedWorld) -> None:
    world.scan([Put(A, OTHER_AUDIO)])
    assert only_overlay(world).audio_id == 9
    world.scan([Put(C, OTHER_AUDIO), Remove(A)])  # moved, and the origin cannot say so
    assert titles(world) == {C: "Eins"}


def test_a_move_takes_the_correction_along(world: CorrectedWorld) -> None:
    rendered = list(world.renderer.rendered)
    inode = world.catalog.place_of(world.ids[A])
    world.scan([Move(A, C)])
    assert titles(world) == {C: "Eins"}
    assert only_overlay(world).anchors == (("origin1", b"n/c.flac"),)
    assert world.renderer.rendered == rendered, "its bytes are the same"
    assert world.catalog.place_of(world.ids[C]) == inode
    assert len(world.state.history(None, 10)) == 1


def test_a_new_file_at_the_old_place_of_one_that_moved_has_nothing_of_it(world: CorrectedWorld) -> None:
    world.scan([Move(A, C)])
    world.scan([Put(A, OTHER_SONG)])
    assert titles(world) == {C: "Eins"}


def test_a_file_that_moves_to_the_place_of_a_lost_one_keeps_its_own(world: CorrectedWorld) -> None:
    world.scan([Put(B, OTHER_SONG)])
    world.set(B, title="Zwei")
    world.scan([Remove(A)])
    world.scan([Move(B, A)])
    assert titles(world) == {A: "Zwei"}
    assert len(held(world)) == 1, "the lost one's is not thrown away"
    world.scan([Put(C, SONG)])
    assert titles(world) == {A: "Zwei", C: "Eins"}


def test_a_move_that_is_seen_as_a_new_file_and_a_lost_one(world: CorrectedWorld) -> None:
    world.scan([Put(C, SONG), Remove(A)])
    assert titles(world) == {C: "Eins"}
    assert only_overlay(world).anchors == (("origin1", b"n/c.flac"),)


def test_a_file_that_is_lost_in_one_scan_is_found_by_a_later_one(world: CorrectedWorld) -> None:
    world.scan([Remove(A)])
    assert held(world) == [only_overlay(world).id]
    world.scan([Put(C, OTHER_SONG)])
    assert titles(world) == {}
    world.scan([Put(B, SONG)])
    assert titles(world) == {B: "Eins"}


def test_a_file_that_comes_back_has_its_correction(world: CorrectedWorld) -> None:
    world.scan([Remove(A)])
    world.scan([Put(A, SONG)])
    assert titles(world) == {A: "Eins"}
    assert world.path_of(A) == b"/X/Eins.flac"


def test_of_two_files_that_a_lost_one_may_be_none_is_taken(world: CorrectedWorld) -> None:
    world.scan([Remove(A)])
    world.scan([Put(B, SONG), Put(C, SONG)])
    assert titles(world) == {}
    assert held(world) == [only_overlay(world).id]


def test_a_copy_beside_the_corrected_file_has_nothing_of_it(world: CorrectedWorld) -> None:
    world.scan([Put(C, SONG)])
    assert titles(world) == {A: "Eins"}


def test_a_claim_is_over_when_the_file_is_another(world: CorrectedWorld) -> None:
    world.scan([Put(C, SONG)])
    world.scan([Put(C, OTHER_SONG)])
    world.scan([Remove(A)])
    assert titles(world) == {}


def test_what_was_lost_when_the_keeper_ended_is_found_by_the_next(world: CorrectedWorld) -> None:
    world.scan([Put(C, SONG), Remove(A)], settle=False)
    world.restart()
    world.settle()
    assert titles(world) == {C: "Eins"}


def test_a_mirror_that_comes_later_has_the_correction(world: CorrectedWorld) -> None:
    world.scan([Put(MIRROR, SONG)])
    assert titles(world) == {A: "Eins", MIRROR: "Eins"}
    assert len(only_overlay(world).anchors) == 2
    assert world.path_of(A) == world.path_of(MIRROR)
    assert len(world.catalog.track_of(world.ids[A])) == 2
    world.scan([Put(OTHER_MIRROR, SONG)])
    assert len(world.catalog.track_of(world.ids[A])) == 3


def test_a_mirror_that_says_something_else_of_itself_is_left_alone(world: CorrectedWorld) -> None:
    world.scan([Put(MIRROR, RETAGGED)])
    assert titles(world) == {A: "Eins"}


def test_a_mirror_that_was_there_before_is_corrected_with_it(make: Make) -> None:
    world = make()
    world.scan([Put(A, SONG), Put(MIRROR, SONG)])
    edited = world.set(A, title="Eins")
    assert set(edited.object_ids) == {world.ids[A], world.ids[MIRROR]}
    assert titles(world) == {A: "Eins", MIRROR: "Eins"}
    world.set(MIRROR, artist="Y")
    assert world.path_of(A) == b"/Y/Eins.flac"
    assert len(list(world.state.overlays())) == 1
    world.scan([Remove(A)])
    assert titles(world) == {MIRROR: "Eins"}
    assert world.path_of(MIRROR) == b"/Y/Eins.flac"
    world.scan([Put(A, SONG)])
    assert titles(world) == {A: "Eins", MIRROR: "Eins"}


def test_two_corrected_files_that_become_one_track(make: Make) -> None:
    world = make()
    world.scan([Put(A, SONG), Put(MIRROR, RETAGGED)])
    world.set(A, title="Eins")
    world.set(MIRROR, title="Eins")
    assert len(world.catalog.track_of(world.ids[A])) == 2
    assert len(list(world.state.overlays())) == 2
    world.set(A, artist="Y")
    assert world.path_of(A) == world.path_of(MIRROR) == b"/Y/Eins.flac"
    check_tree(world)


def test_one_correction_of_files_that_are_no_longer_one_track(make: Make) -> None:
    world = make()
    world.scan([Put(A, SONG), Put(MIRROR, SONG)])
    world.set(A, title="Eins")
    world.scan([Put(MIRROR, OTHER_SONG)])
    assert len(world.catalog.track_of(world.ids[A])) == 1
    done = world.edit((A, Wanted({"artist": ("Y",)})), (MIRROR, Wanted({"artist": ("Y",)})))
    assert [one.changed for one in done] == [True, False]
    check_tree(world)


def test_an_origin_that_is_down_keeps_the_bytes_waiting(make: Make) -> None:
    world = make()
    world.scan([Put(A, SONG)])
    world.renderer.down = {1}
    world.set(A, title="Eins")
    waiting = world.catalog.correction(world.ids[A])
    assert waiting is not None
    assert (waiting.pending, waiting.mark, world.path_of(A)) == (True, b"", b"/X/Eins.flac")
    world.attachments.render_pending(frozenset({"origin2"}))
    assert world.catalog.correction(world.ids[A]) == waiting
    world.renderer.down = set()
    world.clock.now_ns += 1
    world.attachments.render_pending(frozenset({"origin1"}))
    world.look()
    done = world.catalog.correction(world.ids[A])
    assert done is not None
    assert done.mark
    assert not done.pending
    assert done.changed_ns > waiting.changed_ns
    check_tree(world)


class SlowPictures:
    """A picture that the tree asks for in vain at first."""

    def __init__(self) -> None:
        self.wanted = False
        self.fetched = 0

    def fetch(self) -> None:
        self.wanted = False
        self.fetched += 1

    def forget(self) -> None:
        self.wanted = False


def test_a_write_that_is_done_again_attaches_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = SlowPictures()
    world = CorrectedWorld(tmp_path / "w", (FLAT,), TreeOptions(), pictures)
    apply = world.builder.apply

    def once_more(*arguments: object) -> None:
        apply(*arguments)  # type: ignore[arg-type] # whatever it is given
        pictures.wanted = pictures.fetched < wanted

    wanted = 0
    monkeypatch.setattr(world.builder, "apply", once_more)
    world.scan([Put(A, SONG), Put(B, OTHER_SONG)])
    world.set(A, title="Eins")
    history: list[list[Step]] = [
        [Move(A, C)], [Put(MIRROR, SONG)], [Put(C, RETAGGED)], [Put(A, SONG), Remove(C)], [Remove(MIRROR)],
    ]  # fmt: skip
    for number, steps in enumerate(history, 1):
        wanted = number * 2
        world.scan(steps)
        check_tree(world)
    wanted += 2
    world.set(B, title="Zwei")
    assert pictures.fetched == wanted
    assert len(list(world.state.overlays())) == 2
    world.close()


def test_files_that_move_while_they_are_corrected(make: Make) -> None:
    """The scan writes while the correction is in the state, and not in the catalog yet."""
    world = make()
    world.scan([Put(A, SONG), Put(B, OTHER_SONG)])

    def meanwhile(object_id: int) -> None:
        world.renderer.during = lambda _: None
        scan = threading.Thread(target=lambda: move(world))
        scan.start()
        scan.join(10)
        assert not scan.is_alive()

    world.renderer.during = meanwhile
    world.corrector.apply([edit_of(world, A, "Eins"), edit_of(world, B, "Zwei")], action="set", author="someone")
    world.look()
    world.settle()
    assert titles(world) == {C: "Eins", B: "Zwei"}


def move(world: CorrectedWorld) -> None:
    _, learned = world.learn(Move(A, C))
    world.publish(C, learned)
    _, learned = world.learn(Put(B, RETAGGED))
    world.publish(B, learned)


def edit_of(world: CorrectedWorld, key: Key, title: str) -> Edit:
    return Edit(world.ids[key], Wanted({"title": (title,)}))


def test_a_copy_that_was_there_before_makes_it_unsure(make: Make) -> None:
    world = make()
    copy: Key = (1, b"older", b"copy.flac")
    world.scan([Put(A, SONG), Put(copy, SONG)])
    world.set(A, title="Eins")
    new: Key = (1, b"newer", b"other.flac")
    world.scan([Put(new, SONG), Remove(A)])
    for key in (copy, new):
        assert world.catalog.correction(world.ids[key]) is None
