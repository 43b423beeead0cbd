"""Tracks whose files are deleted: where they go, and how they come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from musicfs.store.records import TRASH_ORIGIN
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs.tree import TreeOptions
from musicfs.vfs.views import View
from tests.vfs.trashed import TrashWorld
from tests.vfs.world import SECOND_NS, Key, Move, Put, Remove, content

FLAT = View(0, "", "$artist/$title.$format", folders=False, names="posix")
A: Key = (1, b"m", b"a.flac")
B: Key = (1, b"m", b"b.flac")
C: Key = (1, b"n", b"c.flac")
MIRROR: Key = (2, b"backup", b"a.flac")
SONG = content(audio=7, artist="X", title="One")
OTHER = content(size=2000, audio=8, artist="X", title="Two")
RETAGGED = content(size=1010, audio=7, artist="X", title="Uno")
REPLACED = content(size=1200, audio=9, artist="X", title="One")

Make = Callable[[], TrashWorld]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[TrashWorld]:
    """Two songs."""
    world = TrashWorld(tmp_path / "world", (FLAT,), TreeOptions())
    world.scan([Put(A, SONG), Put(B, OTHER)])
    yield world
    world.check_trash()
    world.close()


def ids(world: TrashWorld, *keys: Key) -> list[int]:
    return [world.trashed()[key].id for key in keys]


def test_a_deleted_track_goes_to_the_trash(world: TrashWorld) -> None:
    object_id = world.ids[A]
    world.scan([Remove(A)])
    assert world.shown() == [b"X/Two.flac"]
    assert world.shown(b".trash") == [b"X/One.flac"]
    [track] = world.state.trashed()
    assert (track.origin_id, track.path, track.virtual_path) == ("origin1", b"m/a.flac", b"/X/One.flac")
    assert (track.deleted_ns, track.size, track.audio_id) == (world.clock.now_ns, 1000, 7)
    assert world.in_catalog()[track.id][0] == object_id
    assert world.catalog.totals().files == 1
    assert world.catalog.track_of(object_id) == [object_id]


def test_sidecars_and_origins_that_are_withdrawn_are_forgotten(world: TrashWorld) -> None:
    note: Key = (1, b"m", b"note.txt")
    world.scan([Put(note, content(size=3))])
    world.scan([Remove(note)])
    world.publisher.withdraw([world.ids[A]], ())
    assert not world.trashed()


def test_two_of_one_name_are_numbered(world: TrashWorld) -> None:
    world.scan([Remove(A)])
    world.scan([Put(A, REPLACED)])
    assert world.shown() == [b"X/One.flac", b"X/Two.flac"]
    assert len(list(world.state.trashed())) == 1, "another recording is not what was deleted"
    world.scan([Remove(A)])
    assert world.shown(b".trash") == [b"X/One (2).flac", b"X/One.flac"]


@pytest.mark.parametrize("place", [A, C, MIRROR], ids=["at its place", "elsewhere", "on another origin"])
@pytest.mark.parametrize("holds", [SONG, RETAGGED], ids=["as it was", "with other tags"])
def test_a_file_that_returns_leaves_the_trash(world: TrashWorld, place: Key, holds: object) -> None:
    world.set(A, title="Eins")
    world.scan([Remove(A)])
    assert world.shown(b".trash") == [b"X/Eins.flac"]
    assert isinstance(holds, type(SONG))
    world.scan([Put(place, holds)])
    assert not world.trashed()
    assert world.shown() == [b"X/Eins.flac", b"X/Two.flac"], "its corrections come back with it"


def test_other_audio_at_its_place_is_another_track(world: TrashWorld) -> None:
    world.scan([Remove(A)])
    world.scan([Put(A, REPLACED)])
    assert len(list(world.state.trashed())) == 1


def test_a_file_that_changes_where_it_is_is_not_deleted(world: TrashWorld) -> None:
    world.scan([Put(A, REPLACED)])
    world.scan([Move(A, C)])
    assert not world.trashed()


def test_a_move_that_the_origin_cannot_tell_is_none(world: TrashWorld) -> None:
    world.scan([Put(C, SONG), Remove(A)])  # the new place is listed first
    assert not world.trashed()
    world.scan([Remove(C)])
    assert set(world.trashed()) == {C}
    world.scan([Put(A, SONG)])
    assert not world.trashed()


def test_a_copy_that_is_left_keeps_a_track_out_of_the_trash(world: TrashWorld) -> None:
    world.scan([Put(MIRROR, SONG)])
    assert world.shown() == [b"X/One.flac", b"X/Two.flac"]
    world.scan([Remove(A)])
    assert not world.trashed()
    world.scan([Remove(MIRROR)])
    assert set(world.trashed()) == {MIRROR}


def test_a_restored_track_is_in_the_tree_until_its_file_returns(world: TrashWorld) -> None:
    world.set(A, title="Eins")
    world.scan([Remove(A)])
    restored = ids(world, A)
    assert world.trash_edits.restore(restored) == restored
    assert world.shown() == [b"X/Eins.flac", b"X/Two.flac"]
    assert world.shown(b".trash") == []
    world.check_trash()
    inode = world.catalog.place_of(world.in_catalog()[restored[0]][0])
    assert world.trash_edits.restore(restored) == [], "it is restored already"
    world.scan([Put(A, SONG)])
    assert not world.trashed()
    assert world.shown() == [b"X/Eins.flac", b"X/Two.flac"]
    assert world.catalog.place_of(world.ids[A]) == inode, "the same bytes in the same place"
    world.scan([Remove(A)])
    assert world.shown(b".trash") == [b"X/Eins.flac"]


def test_a_restored_track_gives_way_to_what_is_there(world: TrashWorld) -> None:
    world.scan([Remove(A)])
    world.scan([Put(C, REPLACED)])
    world.trash_edits.restore(ids(world, A))
    assert world.path_of(C) == b"/X/One.flac"
    assert world.shown() == [b"X/One (2).flac", b"X/One.flac", b"X/Two.flac"]
    world.rebuild()
    assert world.path_of(C) == b"/X/One.flac"
    assert world.shown() == [b"X/One (2).flac", b"X/One.flac", b"X/Two.flac"]


def test_of_two_versions_of_a_file_one_is_restored(world: TrashWorld) -> None:
    world.scan([Remove(A)])
    world.scan([Put(A, REPLACED)])
    world.scan([Remove(A)])
    both = [one.id for one in world.state.trashed()]
    assert len(world.trash_edits.restore(both)) == 1
    assert world.trash_edits.restore(both) == []
    assert world.shown() == [b"X/One.flac", b"X/Two.flac"]


def test_what_is_forgotten_is_gone(world: TrashWorld) -> None:
    world.scan([Remove(A), Remove(B)])
    world.trash_edits.restore(ids(world, B))
    both = ids(world, A, B)
    assert sorted(world.trash_edits.forget([*both, 12345])) == sorted(both)
    assert (world.shown(), world.shown(b".trash")) == ([], [])
    assert not world.trashed()
    assert world.trash_edits.forget(both) == []


def test_a_rebuilt_tree_has_the_trash(world: TrashWorld) -> None:
    world.scan([Remove(A), Remove(B)])
    world.trash_edits.restore(ids(world, B))
    world.rebuild()
    assert (world.shown(), world.shown(b".trash")) == ([b"X/Two.flac"], [b"X/One.flac"])


def test_a_new_catalog_has_the_trash(world: TrashWorld) -> None:
    world.set(A, title="Eins")
    world.scan([Remove(A), Remove(B)])
    world.trash_edits.restore(ids(world, B))
    world.lose_catalog()
    world.check_trash()
    assert (world.shown(), world.shown(b".trash")) == ([b"X/Two.flac"], [b"X/Eins.flac"])
    world.scan([Put(C, msgspec.structs.replace(SONG, size=1300, tags=(("title", "Other"), ("artist", "X"))))])
    assert set(world.trashed()) == {A, B}, "that was there when the catalog was lost: nobody can tell that it came"


def test_corrected_bytes_are_served_again_from_a_new_catalog(world: TrashWorld) -> None:
    world.set(A, title="Eins")
    world.set(B, title="Zwei")
    world.scan([Remove(A), Remove(B)])
    world.trash_edits.restore(ids(world, B))

    def served() -> dict[str, tuple[int, bytes]]:
        found = {}
        for _, one in world.in_catalog().values():
            node = world.catalog.node(one.inode) if one.inode else None
            serving = world.catalog.serving(node) if node is not None else None
            if node is not None and serving is not None:
                found[one.path.decode()] = serving.size, serving.plan
                assert node.size == serving.size
        return found

    before = served()
    assert before["m/a.flac"][1]
    world.lose_catalog()
    assert not served()["m/a.flac"][1]
    world.renderer.down.add(TRASH_ORIGIN)
    world.trash_edits.render_pending()
    world.renderer.down.clear()
    world.trash_edits.render_pending()
    world.check_trash()
    assert served() == before
    rendered = len(world.renderer.rendered)
    world.trash_edits.render_pending()
    assert len(world.renderer.rendered) == rendered, "it is done"
    assert world.shown(b".trash") == [b"X/Eins.flac"]


def test_a_crash_between_state_and_catalog(world: TrashWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(Exception):
        pass

    def killed(tx: WriteTransaction) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(WriteTransaction, "_commit", killed)
        with pytest.raises(Killed):
            world.publisher.remove([world.ids[A]], ())
    assert set(world.trashed()) == {A}
    assert not world.in_catalog()
    world.restart()
    assert not world.trashed(), "its file is still listed: the next scan tells"
    world.scan([Remove(A)])
    restored = ids(world, A)
    with monkeypatch.context() as patch:
        patch.setattr(WriteTransaction, "_commit", killed)
        with pytest.raises(Killed):
            world.trash_edits.restore(restored)
    world.restart()
    world.check_trash()
    assert world.shown() == [b"X/One.flac", b"X/Two.flac"]
    with monkeypatch.context() as patch:
        patch.setattr(WriteTransaction, "_commit", killed)
        with pytest.raises(Killed):
            world.trash_edits.forget(restored)
    world.restart()
    assert not world.trashed()
    assert world.shown() == [b"X/Two.flac"]


def test_the_state_says_what_was_deleted_when(world: TrashWorld) -> None:
    world.scan([Remove(A)])
    world.clock.now_ns += 5 * SECOND_NS
    world.scan([Remove(B)])
    found = world.trashed()
    assert found[B].deleted_ns - found[A].deleted_ns == 6 * SECOND_NS


def test_many_deletions_cost_batches(world: TrashWorld) -> None:
    keys: list[Key] = [(1, b"many", b"%04d.flac" % number) for number in range(300)]
    world.scan([Put(key, content(audio=100 + one, artist="Y", title=str(one))) for one, key in enumerate(keys)])
    before, commits = world.state.sequence, world.catalog.last_change()
    world.scan([Remove(key) for key in keys])
    assert world.state.sequence == before + 1
    assert world.catalog.last_change() == commits + 1
    assert len(world.shown(b".trash")) == 300


def test_a_state_from_a_backup_is_followed(world: TrashWorld) -> None:
    world.scan([Remove(A), Remove(B)])
    before = list(world.state.trashed())
    world.trash_edits.restore(ids(world, A))
    world.trash_edits.forget(ids(world, B))
    world.state.put_trashed(before)
    world.restart()
    world.check_trash()
    assert (world.shown(), world.shown(b".trash")) == ([], [b"X/One.flac", b"X/Two.flac"])
    world.state.forget_trashed(one.id for one in before)
    world.restart()
    assert (world.shown(), world.shown(b".trash")) == ([], [])


def test_without_a_trash_nothing_more_comes_to_it(world: TrashWorld) -> None:
    world.scan([Remove(A)])
    world.trash_enabled = False
    world.restart()
    world.scan([Remove(B)])
    assert set(world.trashed()) == {A}
    world.scan([Put(A, SONG)])
    assert not world.trashed()
