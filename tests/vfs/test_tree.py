"""Single cases of the tree that people would notice, each with its history."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from musicfs.config.settings import DEFAULT_TEMPLATE
from musicfs.content.origins import Access
from musicfs.content.sources import Sources
from musicfs.errors import ChangedError
from musicfs.model import Picture
from musicfs.origins.contract import Origin
from musicfs.store.records import NodeKind
from musicfs.store.schema import ROOT_INODE
from musicfs.vfs.generation import is_current
from musicfs.vfs.nodes import Nodes
from musicfs.vfs.tree import TreeBuilder, TreeOptions
from musicfs.vfs.views import View
from tests.vfs.oracle import check_tree
from tests.vfs.world import START_NS, Key, Move, Put, Remove, World, content, fake_cover

MakeWorld = Callable[..., World]


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[MakeWorld]:
    made: list[World] = []

    def make(template: str = "$album/<$disc->$title", *, options: TreeOptions = TreeOptions(), **view: bool) -> World:  # noqa: B008
        names = "windows" if options.ignore_case else "posix"
        shown = View(0, "", template, folders=view.get("folders", False), names=names)
        made.append(World(tmp_path / str(len(made)), (shown,), options))
        return made[-1]

    yield make
    for world in made:
        world.close()


def at(path: str, origin: int = 1) -> Key:
    folder, _, name = path.rpartition("/")
    return origin, folder.encode(), name.encode()


def shown(world: World) -> list[str]:
    tree = check_tree(world)
    files = [path for path, node in tree.by_path().items() if node.kind != NodeKind.FOLDER]
    return sorted(b"/".join(path).decode() for path in files)


def inode_of(world: World, path: str) -> int:
    return check_tree(world).by_path()[tuple(path.encode().split(b"/"))].inode


def test_equal_names_are_numbered_by_priority_then_path(make_world: MakeWorld) -> None:
    world = make_world()
    same = content(title="A", album="K")
    world.apply([Put(at("x/1.flac"), same), Put(at("b/2.flac"), same), Put(at("z/3.flac", origin=2), same)])
    assert shown(world) == ["K/A (2).flac", "K/A (3).flac", "K/A.flac"]
    by_name = {node.name: node.ref for node in check_tree(world).nodes.values()}
    assert by_name[b"A.flac"] == world.files[at("z/3.flac", origin=2)].object_id
    assert by_name[b"A (2).flac"] == world.files[at("b/2.flac")].object_id


def test_a_holder_keeps_its_name_when_a_better_one_comes(make_world: MakeWorld) -> None:
    world = make_world()
    world.apply([Put(at("x/1.flac"), content(title="A", album="K"))])
    before = inode_of(world, "K/A.flac")
    world.apply([Put(at("a/1.flac", origin=2), content(title="A", album="K"))])
    assert inode_of(world, "K/A.flac") == before


def test_an_album_that_gets_a_second_disc_names_all_its_tracks_anew(make_world: MakeWorld) -> None:
    world = make_world()
    world.apply([Put(at("K/CD1/1.flac"), content(title="A", album="K", disc="1")), Put(at("K/CD1/1.lrc"), content())])
    assert shown(world) == ["K/A.flac", "K/A.lrc"]
    world.apply([Put(at("K/CD2/1.flac"), content(title="B", album="K", disc="2"))])
    assert shown(world) == ["K/1-A.flac", "K/1-A.lrc", "K/2-B.flac"]
    world.apply([Remove(at("K/CD2/1.flac"))])
    assert shown(world) == ["K/A.flac", "K/A.lrc"]


def test_sidecars_follow_their_album_and_leave_with_it(make_world: MakeWorld) -> None:
    world = make_world()
    world.apply([Put(at("r/K/1.flac"), content(title="A", album="K")), Put(at("r/K/log.txt"), content())])
    world.apply([Put(at("r/K/Scans/back.jpg"), content()), Put(at("r/loose.txt"), content())])
    assert shown(world) == ["K/A.flac", "K/Scans/back.jpg", "K/log.txt"]
    world.apply([Put(at("r/K/1.flac"), content(title="A", album="L"))])
    assert shown(world) == ["L/A.flac", "L/Scans/back.jpg", "L/log.txt"]
    world.apply([Remove(at("r/K/1.flac"))])
    assert shown(world) == []


def test_a_disc_folder_at_the_root_takes_its_scans_along(make_world: MakeWorld) -> None:
    world = make_world()
    world.apply([Put(at("CD1/1.flac"), content(title="A", album="K")), Put(at("CD1/Scans/x.pdf"), content())])
    world.apply([Put(at("CD1/1.flac"), content(title="A", album="L", size=7))])
    assert shown(world) == ["L/A.flac", "L/Scans/x.pdf"]


def test_a_removed_sidecar_leaves(make_world: MakeWorld) -> None:
    world = make_world()
    world.apply([Put(at("K/1.flac"), content(title="A", album="K")), Put(at("K/cover.jpg"), content())])
    world.apply([Remove(at("K/cover.jpg"))])
    assert shown(world) == ["K/A.flac"]


def test_the_best_picture_becomes_the_cover(make_world: MakeWorld) -> None:
    world = make_world()
    jpeg = Picture(3, "image/jpeg", 10, 60)
    world.apply([Put(at("K/1.flac"), content(title="A", album="K", pictures=[jpeg]))])
    cover = check_tree(world).by_path()[b"K", b"cover.jpg"]
    assert (cover.kind, cover.start, cover.size) == (NodeKind.OBJECT, 10, 50)
    world.apply([Put(at("K/folder.png"), content(size=100))])
    assert check_tree(world).by_path()[b"K", b"cover.jpg"].kind == NodeKind.BLOB
    world.apply([Put(at("K/cover.jpg"), content(size=77))])
    assert check_tree(world).by_path()[b"K", b"cover.jpg"].size == 77
    world.apply([Remove(at("K/cover.jpg")), Remove(at("K/folder.png"))])
    assert check_tree(world).by_path()[b"K", b"cover.jpg"].size == 50
    world.apply([Put(at("K/1.flac"), content(title="A", album="K", size=999))])
    assert shown(world) == ["K/A.flac"]


def test_a_playlist_lists_tracks_alone(make_world: MakeWorld) -> None:
    world = make_world(options=TreeOptions(playlists=True))
    jpeg = Picture(3, "image/jpeg", 10, 60)
    world.apply(
        [
            Put(at("K/1.flac"), content(title="B", artist="X", album="K", pictures=[jpeg])),
            Put(at("K/2.flac"), content(title="A", album="K")),
        ]
    )
    node = check_tree(world).by_path()[b"K", b"K.m3u8"]
    assert world.catalog.blob(node.ref) == b"#EXTM3U\n#EXTINF:61,A\nA.flac\n#EXTINF:61,X - B\nB.flac\n"


def test_new_bytes_get_a_new_number_and_old_ones_keep_theirs(make_world: MakeWorld) -> None:
    world = make_world()
    first = content(title="A", album="K", size=10)
    world.apply([Put(at("K/1.flac"), first)])
    before = inode_of(world, "K/A.flac")
    world.apply([Put(at("K/1.flac"), content(title="A", album="K", size=11))])
    assert inode_of(world, "K/A.flac") != before
    world.apply([Put(at("K/1.flac"), first)])
    world.apply([Move(at("K/1.flac"), at("elsewhere/9.flac"))])
    world.rebuild()
    assert inode_of(world, "K/A.flac") == before


def test_case_twins_are_both_served_or_numbered(make_world: MakeWorld) -> None:
    twins = [
        Put(at("1.flac"), content(title="A", album="K")),
        Put(at("2.flac"), content(title="a", album="K")),
        Put(at("3.flac"), content(title="B", album="k")),
    ]
    posix, windows = make_world(), make_world(options=TreeOptions(ignore_case=True))
    posix.apply(twins)
    windows.apply(twins[:1])
    windows.apply(twins[1:])
    assert shown(posix) == ["K/A.flac", "K/a.flac", "k/B.flac"]
    assert shown(windows) == ["K/A.flac", "K/B.flac", "K/a (2).flac"]


def test_a_folder_whose_name_a_file_has_is_one_folder_all_the_same(make_world: MakeWorld) -> None:
    world = make_world(folders=True)
    world.apply([Put(at("x"), content())])
    for number in range(3):
        world.apply([Put(at(f"x/{number}.flac", origin=2), content())])
    assert shown(world) == ["x", "x (2)/0.flac", "x (2)/1.flac", "x (2)/2.flac"]
    world.apply([Put(at("x/1.flac", origin=2), content(size=7))])
    assert shown(world) == ["x", "x (2)/0.flac", "x (2)/1.flac", "x (2)/2.flac"]


def test_the_default_template_gives_what_the_manual_says(make_world: MakeWorld) -> None:
    world = make_world(DEFAULT_TEMPLATE)
    full = content(title="C", artist="A", album="B", date="1999-01-01", track="3")
    world.apply([Put(at("1.flac"), full), Put(at("my song.mp3"), content())])
    assert shown(world) == ["A/B (1999) [FLAC]/03 - C.flac", "Unknown Artist/Unknown Album/my song.mp3"]


def test_first_folders_have_the_times_of_what_is_in_them(make_world: MakeWorld) -> None:
    world = make_world("$artist/$album/$title")
    world.apply([Put(at("1.flac"), content(title="C", artist="A", album="B", mtime_ns=START_NS - 5))])
    tree = check_tree(world).by_path()
    assert tree[(b"A",)].mtime_ns == tree[b"A", b"B"].mtime_ns == START_NS - 5
    world.apply([Put(at("2.flac"), content(title="D", artist="A", album="B", mtime_ns=START_NS - 9))])
    tree = check_tree(world).by_path()
    assert tree[(b"A",)].mtime_ns == START_NS - 5
    assert tree[b"A", b"B"].mtime_ns == world.clock.now_ns


def test_fingerprints_follow_options(make_world: MakeWorld) -> None:
    world = make_world()
    assert not is_current(world.catalog, world.builder)
    world.rebuild()
    assert is_current(world.catalog, world.builder)
    other = TreeBuilder(world.views, TreeOptions(covers=False), world.clock, fake_cover)
    assert not is_current(world.catalog, other)


class NoOrigins:
    """What the reading side has when no origin is configured."""

    def get(self, origin_id: str) -> Origin | None:
        return None

    def access(self, origin_id: str) -> Access | None:
        return None

    def forget(self, origin_id: str) -> None:
        raise AssertionError(f"{origin_id} was never open")


def reading_side(world: World, listing_cache_bytes: int) -> Nodes:
    sources = Sources(NoOrigins(), contextlib.nullcontext)
    return Nodes(world.catalog, sources, listing_cache_bytes, on_stale=lambda _: None)


def test_nodes_answer_from_the_catalog(make_world: MakeWorld) -> None:
    world = make_world()
    nodes = reading_side(world, 1 << 20)
    assert nodes.lookup(ROOT_INODE).kind == NodeKind.FOLDER
    assert nodes.listing(ROOT_INODE) == ()
    world.apply([Put(at("1.flac"), content(title="A", album="K"))])
    assert nodes.listing(ROOT_INODE) == ()  # a list is kept until it is forgotten
    nodes.forget_listings([ROOT_INODE])
    ((name, inode, kind),) = nodes.listing(ROOT_INODE)
    assert (name, kind) == (b"K", NodeKind.FOLDER)
    track = nodes.get(inode, b"A.flac")
    assert track is not None and track.size == 1000
    assert nodes.attributes(track)[b"user.musicfs.origin_path"] == b"1.flac"
    assert nodes.attributes(track)[b"user.musicfs.origin"] == b"origin1"
    assert nodes.totals() == (1, 1000)
    world.apply([Remove(at("1.flac"))])
    with pytest.raises(ChangedError):
        nodes.lookup(track.inode)
    with pytest.raises(ChangedError):
        nodes.open(track)


def test_lists_are_kept_within_their_limit(make_world: MakeWorld) -> None:
    world = make_world()
    world.apply([Put(at(f"{n}.flac"), content(title=str(n), album=str(n % 5))) for n in range(50)])
    nodes = reading_side(world, 160 * 25)
    folders = [inode for _, inode, _ in nodes.listing(ROOT_INODE)]
    for inode in folders * 2:
        assert len(nodes.listing(inode)) == 10
    world.rebuild()
    nodes.reopen()
    assert len(nodes.listing(ROOT_INODE)) == 5


def test_sidecars_of_one_name_are_numbered_by_path_whatever_came_first(make_world: MakeWorld) -> None:
    world = make_world()
    for folder in ("K/CD2", "K/CD1"):
        world.apply([Put(at(f"{folder}/{folder[-1]}.flac"), content(title=folder[-1], album="K"))])
        world.apply([Put(at(f"{folder}/rip.log"), content(size=int(folder[-1])))])
    world.rebuild()
    tree = check_tree(world).by_path()
    assert (tree[b"K", b"rip.log"].size, tree[b"K", b"rip (2).log"].size) == (1, 2)
