"""Names that a correction has ended still lead to their files for a while, and are listed nowhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from musicfs.content.sources import Sources
from musicfs.errors import ChangedError
from musicfs.library.overlays import Wanted
from musicfs.store.records import Node, NodeKind
from musicfs.store.schema import ROOT_INODE
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs.former import is_lasting
from musicfs.vfs.nodes import Nodes
from musicfs.vfs.tree import TreeOptions
from musicfs.vfs.views import View
from tests.content.worlds import Opened, Waits
from tests.vfs.corrected import KEEP_NAMES_S, CorrectedWorld
from tests.vfs.oracle import check_tree
from tests.vfs.world import SECOND_NS, Key, Move, Put, Remove, content

VIEW = View(0, "", "$artist/$album/<$disc->$title.$format", folders=False, names="posix")
A: Key = (1, b"m", b"a.flac")
B: Key = (1, b"m", b"b.flac")
COVER: Key = (1, b"m", b"cover.jpg")
ONE = content(audio=1, artist="X", album="K", title="One")
TWO = content(size=2000, audio=2, artist="X", album="K", title="Two")

Make = Callable[..., CorrectedWorld]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[CorrectedWorld] = []

    def build(*views: View, ignore_case: bool = False) -> CorrectedWorld:
        options = TreeOptions(ignore_case=ignore_case)
        made.append(CorrectedWorld(tmp_path / str(len(made)), views or (VIEW,), options))
        world = made[-1]
        world.scan([Put(A, ONE), Put(B, TWO)])
        return world

    yield build
    for world in made:
        world.close()


@pytest.fixture
def world(make: Make) -> CorrectedWorld:
    return make()


def nodes_of(world: CorrectedWorld) -> Nodes:
    return Nodes(
        world.catalog,
        Sources(Opened(), Waits()),
        1 << 20,
        lambda _: None,
        now_ns=world.clock.time_ns,
        show_hidden=False,
    )


def find(world: CorrectedWorld, path: str) -> Node | None:
    """What the mount finds, name after name."""
    nodes = nodes_of(world)
    node = nodes.lookup(ROOT_INODE)
    for name in path.split("/"):
        child = nodes.get(node.inode, name.encode())
        if child is None:
            return None
        if child.kind == NodeKind.FOLDER:
            assert nodes.lookup(child.inode) == child
        node = child
    return node


def leads_to(world: CorrectedWorld, path: str) -> Key | None:
    """The file at a path, by any name it has or had."""
    node = find(world, path)
    if node is None:
        return None
    assert world.catalog.node(node.inode) == node, "it is the file's own inode"
    return next(key for key, object_id in world.ids.items() if object_id == node.ref)


def listed(world: CorrectedWorld, path: str) -> list[bytes]:
    node = find(world, path) if path else nodes_of(world).lookup(ROOT_INODE)
    assert node is not None
    return [name for name, _, _ in nodes_of(world).listing(node.inode)]


def pass_time(world: CorrectedWorld, seconds: float) -> None:
    world.clock.now_ns += int(seconds * SECOND_NS)


def test_a_file_is_found_by_the_name_it_had(world: CorrectedWorld) -> None:
    world.set(A, title="Eins")
    assert leads_to(world, "X/K/One.flac") == leads_to(world, "X/K/Eins.flac") == A
    assert listed(world, "X/K") == [b"Eins.flac", b"Two.flac"]
    check_tree(world)


def test_a_folder_that_is_gone_is_there_and_empty(world: CorrectedWorld) -> None:
    inode = find(world, "X/K")
    assert inode is not None
    world.edit(*((key, wanted(album="L")) for key in (A, B)))
    assert (leads_to(world, "X/K/One.flac"), leads_to(world, "X/K/Two.flac")) == (A, B)
    assert listed(world, "X/K") == []
    assert listed(world, "X") == [b"L"]
    former = find(world, "X/K")
    assert former is not None
    assert (former.inode, former.kind, former.mtime_ns) == (inode.inode, NodeKind.FOLDER, inode.mtime_ns)
    assert find(world, "X/K/Three.flac") is None


def wanted(**fields: str) -> Wanted:
    return Wanted({field: (value,) for field, value in fields.items()})


def test_all_folders_above_are_kept_as_well(world: CorrectedWorld) -> None:
    world.edit(*((key, wanted(artist="Y", album="L")) for key in (A, B)))
    assert listed(world, "") == [b"Y"]
    assert listed(world, "X") == listed(world, "X/K") == []
    assert (leads_to(world, "X/K/One.flac"), leads_to(world, "X/K/Two.flac")) == (A, B)


def test_what_lies_beside_the_tracks_is_not_kept(world: CorrectedWorld) -> None:
    """Only what was corrected is known to a player by its old name; a picture is asked for through the folder it is in."""
    world.scan([Put(COVER, content(size=500))])
    assert find(world, "X/K/cover.jpg") is not None
    world.edit(*((key, wanted(album="L")) for key in (A, B)))
    assert find(world, "X/L/cover.jpg") is not None
    assert find(world, "X/K/cover.jpg") is None


def test_several_edits_in_a_row_lead_to_the_last(world: CorrectedWorld) -> None:
    for title in ("1", "2", "3"):
        world.set(A, title=title)
    assert {leads_to(world, f"X/K/{title}.flac") for title in ("One", "1", "2", "3")} == {A}
    world.set(A, artist="Y")
    assert {leads_to(world, f"X/K/{title}.flac") for title in ("One", "1", "2", "3")} == {A}
    assert leads_to(world, "Y/K/3.flac") == A
    world.scan([Move(A, (1, b"elsewhere", b"z.flac"))])
    assert leads_to(world, "X/K/One.flac") == (1, b"elsewhere", b"z.flac")


def test_an_edit_back_is_the_file_itself(world: CorrectedWorld) -> None:
    world.edit(*((key, wanted(album="L")) for key in (A, B)))
    world.edit(*((key, wanted(album="K")) for key in (A, B)))
    assert listed(world, "X/K") == [b"One.flac", b"Two.flac"]
    assert (leads_to(world, "X/K/One.flac"), leads_to(world, "X/L/One.flac")) == (A, A)
    folder = find(world, "X/K")
    assert folder is not None
    assert world.catalog.node(folder.inode) == folder, "the folder is a real one again"
    pass_time(world, KEEP_NAMES_S)
    assert leads_to(world, "X/K/One.flac") == A
    assert find(world, "X/L") is None


def test_a_new_file_of_an_old_name_comes_first(world: CorrectedWorld) -> None:
    world.set(A, title="Eins")
    world.scan([Put((1, b"m", b"c.flac"), ONE)])
    assert leads_to(world, "X/K/One.flac") == (1, b"m", b"c.flac")
    world.scan([Remove((1, b"m", b"c.flac"))])
    assert leads_to(world, "X/K/One.flac") == A


def test_two_files_that_change_their_names(world: CorrectedWorld) -> None:
    world.edit((A, wanted(title="Two")), (B, wanted(title="One")))
    assert (leads_to(world, "X/K/Two.flac"), leads_to(world, "X/K/One.flac")) == (A, B)
    check_tree(world)


def test_a_folder_of_an_old_files_name(make: Make) -> None:
    world = make(View(0, "", "$artist/<$label/>$title", folders=False, names="posix"))
    world.set(A, title="Uno")
    assert leads_to(world, "X/One.flac") == A
    world.scan([Put((1, b"m", b"c.flac"), content(artist="X", title="Three", label="One.flac"))])
    assert listed(world, "X/One.flac") == [b"Three.flac"]
    assert leads_to(world, "X/Uno.flac") == A


def test_old_names_end_when_their_time_is_over(world: CorrectedWorld) -> None:
    world.edit(*((key, wanted(album="L")) for key in (A, B)))
    former = find(world, "X/K")
    assert former is not None
    pass_time(world, KEEP_NAMES_S - 1)
    assert leads_to(world, "X/K/One.flac") == A
    world.set(A, album="M")  # does not prolong what is over soon
    pass_time(world, 1)
    assert find(world, "X/K") is None
    assert nodes_of(world).get(former.inode, b"One.flac") is None
    with pytest.raises(ChangedError):
        nodes_of(world).lookup(former.inode)
    assert leads_to(world, "X/L/One.flac") == A
    with WriteTransaction(world.catalog) as tx:
        assert tx.drop_former(world.clock.time_ns()) is not None
        assert tx.drop_former(world.clock.time_ns() + int(KEEP_NAMES_S * SECOND_NS)) is None


def test_a_file_that_is_gone_is_not_found_by_its_old_name(world: CorrectedWorld) -> None:
    world.set(A, title="Eins")
    world.scan([Remove(A)])
    assert find(world, "X/K/One.flac") is None


def test_names_that_end_for_another_reason_end_at_once(world: CorrectedWorld) -> None:
    world.scan([Put(A, content(audio=1, artist="X", album="K", title="Retagged"))])
    assert find(world, "X/K/One.flac") is None
    world.set(A, disc="1")
    world.set(B, disc="2")  # renames A as well, which nobody has corrected in this
    assert listed(world, "X/K") == [b"1-Retagged.flac", b"2-Two.flac"]
    assert find(world, "X/K/Retagged.flac") is None
    assert leads_to(world, "X/K/Two.flac") == B


def test_every_view_has_its_own(make: Make) -> None:
    views = (
        View(1, "Artists", "$artist/$title.$format", folders=False, names="posix"),
        View(2, "Titles", "$title.$format", folders=False, names="posix"),
        View(3, "Files", "$title", folders=True, names="posix"),
    )
    world = make(*views)
    world.set(A, title="Eins", artist="Y")
    for path in ("Artists/X/One.flac", "Artists/Y/Eins.flac", "Titles/One.flac", "Titles/Eins.flac", "Files/m/a.flac"):
        assert leads_to(world, path) == A
    found = {path: find(world, path) for path in ("Artists/X/One.flac", "Titles/One.flac", "Files/m/a.flac")}
    assert [node.view for node in found.values() if node is not None] == [1, 2, 3]
    assert find(world, "Files/m/One.flac") is None
    check_tree(world)


def test_names_that_differ_in_case_only(make: Make) -> None:
    world = make(View(0, "", "$artist/$title.$format", folders=False, names="windows"), ignore_case=True)
    world.set(A, title="ONE")
    assert (leads_to(world, "X/ONE.flac"), leads_to(world, "X/One.flac")) == (A, A)
    world.set(A, title="What?")
    assert (leads_to(world, "X/What_.flac"), leads_to(world, "X/ONE.flac"), leads_to(world, "X/One.flac")) == (A, A, A)
    world.set(B, artist="x")
    check_tree(world)
    assert leads_to(world, "X/Two.flac") == B


def test_numbers_of_names(world: CorrectedWorld) -> None:
    world.set(B, title="One")
    assert listed(world, "X/K") == [b"One (2).flac", b"One.flac"]
    world.set(A, title="Eins")
    assert leads_to(world, "X/K/One.flac") == A, "the second keeps its number"
    world.set(B, title="Zwei")
    assert (leads_to(world, "X/K/One (2).flac"), leads_to(world, "X/K/Two.flac")) == (B, B)


def test_mirrored_sources_share_the_old_name(world: CorrectedWorld) -> None:
    mirror: Key = (2, b"m", b"a.flac")
    world.scan([Put(mirror, ONE)])
    served = leads_to(world, "X/K/One.flac")
    world.set(A, title="Eins")
    assert leads_to(world, "X/K/One.flac") == leads_to(world, "X/K/Eins.flac") == served
    world.scan([Remove(mirror)])
    assert leads_to(world, "X/K/One.flac") == A


def test_what_an_old_name_leads_to_is_not_lasting(world: CorrectedWorld) -> None:
    before = find(world, "X/K")
    assert before is not None
    assert is_lasting(before, before.parent, b"K")
    world.edit(*((key, wanted(album="L")) for key in (A, B)))
    folder, file, real = find(world, "X/K"), find(world, "X/K/One.flac"), find(world, "X/L/One.flac")
    assert folder is not None
    assert file is not None
    assert file == real
    assert not is_lasting(folder, folder.parent, b"K")
    assert not is_lasting(file, folder.inode, b"One.flac")
    assert is_lasting(file, file.parent, file.name)


def test_a_rebuilt_tree_keeps_old_names(world: CorrectedWorld) -> None:
    world.edit(*((key, wanted(album="L")) for key in (A, B)))
    world.rebuild()
    world.look()
    assert leads_to(world, "X/K/One.flac") == A
