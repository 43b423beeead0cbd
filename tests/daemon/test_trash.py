"""Deleted tracks among what is pinned and corrected: they are not lost, they are in the trash."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.content.origins import Access
from musicfs.daemon.library_files import LibraryFiles
from musicfs.daemon.pins import Pins
from musicfs.daemon.tracks import Tracks
from musicfs.vfs.tree import TreeOptions
from musicfs.vfs.views import View
from tests.daemon.test_upkeep import Set
from tests.vfs.trashed import TrashWorld
from tests.vfs.world import Key, Put, Remove, content

VIEW = View(0, "", "$artist/$title.$format", folders=False, names="posix")
A: Key = (1, b"m", b"a.flac")
B: Key = (1, b"m", b"b.flac")
LATER: Key = (1, b"m", b"c.flac")
ACCESS = Access(direct=False, keep=True, stable_version=False)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[TrashWorld]:
    """Two songs."""
    world = TrashWorld(tmp_path / "world", (VIEW,), TreeOptions())
    world.scan([Put(A, content(audio=7, artist="X", title="One")), Put(B, content(audio=8, artist="X", title="Two"))])
    yield world
    world.check_trash()
    world.close()


def files_of(world: TrashWorld) -> LibraryFiles:
    return LibraryFiles(world.catalog, {"origin1": ACCESS}.get)


def key_of(world: TrashWorld, key: Key) -> bytes:
    file = files_of(world).of_object(world.ids[key])
    assert file is not None
    return file.content.key


def pinned(world: TrashWorld) -> frozenset[bytes]:
    return Pins(files_of(world), world.state, Set()).keys()


@pytest.mark.parametrize("path", ["/X/One.flac", "/X", "/"])
def test_what_is_pinned_stays_so_in_the_trash(world: TrashWorld, path: str) -> None:
    pins = Pins(files_of(world), world.state, Set())
    pins.pin([path])
    before, key = pins.keys(), key_of(world, A)
    world.scan([Remove(A)])
    assert pinned(world) == before
    assert sum(pin.files for pin in pins.listed(lambda _: 0)) == len(before)
    [track] = world.state.trashed()
    world.trash_edits.restore([track.id])
    assert pinned(world) == before
    world.trash_edits.forget([track.id])
    assert pinned(world) == before - {key}


def test_a_pinned_folder_keeps_also_what_came_later_and_was_deleted(world: TrashWorld) -> None:
    Pins(files_of(world), world.state, Set()).pin(["/X"])
    world.scan([Put(LATER, content(audio=9, artist="X", title="Three"))])
    world.scan([Put((1, b"m", b"y.flac"), content(audio=10, artist="XY", title="Other"))])
    key, other = key_of(world, LATER), key_of(world, (1, b"m", b"y.flac"))
    world.scan([Remove(LATER), Remove((1, b"m", b"y.flac"))])
    assert key in pinned(world)
    assert other not in pinned(world)


@pytest.mark.parametrize("path", ["/.trash", "/.trash/X", "/.trash/X/One.flac"])
def test_a_path_in_the_trash_is_pinned_wherever_the_track_goes(world: TrashWorld, path: str) -> None:
    key = key_of(world, A)
    world.scan([Remove(A)])
    pins = Pins(files_of(world), world.state, Set())
    change = pins.pin([path])
    assert change.files == 1
    assert pinned(world) == {key}
    [track] = world.state.trashed()
    world.trash_edits.restore([track.id])
    assert pinned(world) == {key}
    world.scan([Put(A, content(audio=7, artist="X", title="One"))])
    assert pinned(world) == {key_of(world, A)}
    assert pins.unpin([path]).files == 1


def test_a_pin_of_everything_does_not_list_the_trash_as_files(world: TrashWorld) -> None:
    world.scan([Remove(A)])
    files = files_of(world)
    assert [file.path for file in files.below((b"/",))] == [b"/X/Two.flac"]
    assert [file.source.is_gone for file in files.below((b"/.trash",))] == [True]


def test_corrections_of_deleted_tracks_are_not_held(world: TrashWorld) -> None:
    world.set(A, title="Eins")
    world.set(B, title="Zwei")
    tracks = Tracks(world.catalog, world.state, files_of(world), {}, world.clock)
    assert list(tracks.held()) == []
    world.scan([Remove(A), Remove(B)])
    assert list(tracks.held()) == []
    ids = {one.path: one.id for one in world.state.trashed()}
    world.trash_edits.restore([ids[b"m/a.flac"]])
    assert list(tracks.held()) == []
    world.trash_edits.forget(ids.values())
    assert {track.origin_path for track in tracks.held()} == {"m/a.flac", "m/b.flac"}
