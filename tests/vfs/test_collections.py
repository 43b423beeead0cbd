"""Collections in the tree: whatever happens, the regular tree is as if there were none, and they are what they shall be."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from musicfs.config.settings import DEFAULT_TEMPLATE
from musicfs.store.records import COLLECTIONS_VIEW, U64_U64, Node, NodeKind
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs.collections import Shelf, Wanted, shelf_path
from musicfs.vfs.names import fold, numbered
from musicfs.vfs.paths import files_at, find
from musicfs.vfs.tree import TreeOptions
from musicfs.vfs.versions import MARKER_NAMES
from musicfs.vfs.views import View
from tests.vfs.oracle import Path as TreePath
from tests.vfs.oracle import Tree, read_log
from tests.vfs.world import SECOND_NS, Key, Move, Put, Remove, Step, World, content

ARTISTS = ("Mine", "mine", "Mine (2)", "Other", "Lists", "Mine.m3u8", "#1")
NAMES = ("Mine", "Other", "Mine (2)", "MINE", "Lists", "A/b")
ORDINARY = TreeOptions()
SHELVES = ("", ".collections", "Shelf/Mine")


class Settle(msgspec.Struct, frozen=True):
    """Collections shall be these: (id, name, positions of files or None, stands empty); and in this folder."""

    wanted: tuple[tuple[int, str, tuple[int, ...] | None, bool], ...]
    shelf: str = ""


class Rebuild(msgspec.Struct, frozen=True):
    """The tree is derived anew."""


Act = tuple[Step, ...] | Settle | Rebuild


def view(options: TreeOptions) -> View:
    return View(0, "", DEFAULT_TEMPLATE, folders=False, names="windows" if options.ignore_case else "posix")


@contextmanager
def worlds(options: TreeOptions = ORDINARY) -> Iterator[tuple[World, World]]:
    """A world for collections, and its twin that will have none."""
    with tempfile.TemporaryDirectory() as folder:
        made = [World(Path(folder) / name, (view(options),), options) for name in ("one", "twin")]
        try:
            yield made[0], made[1]
        finally:
            for world in made:
                world.close()


def settle(world: World, wanted: Sequence[Wanted], shelf: str = "") -> None:
    world.clock.now_ns += SECOND_NS
    policy = "windows" if world.options.ignore_case else "posix"
    with WriteTransaction(world.catalog) as tx:
        path = shelf_path(shelf, policy)
        Shelf(tx, path, world.clock.time_ns(), ignore_case=world.options.ignore_case).settle(wanted)


def key(number: int, origin: int = 1) -> Key:
    return origin, b"f%d" % (number % 3), b"%d.flac" % number


def track(number: int, artist: str, title: str = "Same", origin: int = 1) -> Put:
    return Put(key(number, origin), content(title=title, artist=artist, album="Album", audio=number + 1))


def regular(tree: Tree) -> dict[TreePath, tuple[int, int, int]]:
    """What the tree holds beside the collections and their shelf."""
    return {
        path: (node.inode, node.kind, node.ref)
        for path, node in tree.by_path().items()
        if node.view != COLLECTIONS_VIEW
    }


def shown(tree: Tree) -> dict[TreePath, Node]:
    return {path: node for path, node in tree.by_path().items() if node.view == COLLECTIONS_VIEW}


def check_beside(world: World, twin: World) -> None:
    """The collections are in nobody's way."""
    tree = Tree(world)
    assert regular(tree) == regular(Tree(twin))
    links = {(node.ref, node.inode) for node in tree.nodes.values() if node.kind == NodeKind.LINK}
    with world.catalog.snapshot() as txn:
        assert links == {U64_U64.unpack(raw) for raw, _ in txn.cursor(world.catalog.tables.links)}
    placed = {object_id for object_id, _ in tree.places}
    assert {ref for ref, _ in links} <= placed, "a link whose object is gone"
    referred = {node.ref for node in tree.nodes.values() if node.kind == NodeKind.BLOB}
    assert referred == set(tree.blobs)
    for (parent, name), (inode, kind) in tree.entries.items():
        if parent:
            assert (tree.nodes[inode].parent, tree.nodes[inode].name, tree.nodes[inode].kind) == (parent, name, kind)
    assert len(tree.nodes) == len({inode for inode, _ in tree.entries.values()})
    if world.options.ignore_case:
        for inode in tree.nodes:
            names = list(tree.children(inode))
            assert len(names) == len({fold(name) for name in names})


def check_collections(world: World, wanted: Sequence[Wanted], shelf: str) -> None:
    """They are what they shall be: names, links, playlists, markers, and nothing else."""
    tree = Tree(world)
    policy = "windows" if world.options.ignore_case else "posix"
    where = shelf_path(shelf, policy)
    taken = {_form(world, path[-1]) for path in regular(tree) if path[:-1] == where}
    expected: set[TreePath] = set()
    found = shown(tree)
    for one in wanted:
        tracks = [tree.places[object_id, 0] for object_id in one.object_ids or () if (object_id, 0) in tree.places]
        tracks = list(dict.fromkeys(tracks))
        if not tracks and not one.stands_empty:
            continue
        name = one.name.replace("/", "_")
        number = 1
        while {_form(world, numbered(name, suffix, number)) for suffix in ("", ".m3u8")} & taken:
            number += 1
        folder = (*where, numbered(name, "", number))
        playlist = (*where, numbered(name, ".m3u8", number))
        taken |= {_form(world, folder[-1]), _form(world, playlist[-1])}
        lines = [b"#EXTM3U"]
        for position, inode in enumerate(tracks, start=1):
            node = tree.nodes[inode]
            path = tree.path(inode)
            link = (*folder, b"%03d. Same.flac" % position)
            expected.add(link)
            assert (found[link].kind, tree.places[found[link].ref, 0]) == (NodeKind.LINK, inode)
            assert found[link].mtime_ns == node.mtime_ns
            target = b"/".join((b"..",) * len(where) + path)
            artist = next(file.content for file in world.files.values() if file.object_id == node.ref).tags
            assert artist is not None
            lines += [b"#EXTINF:61,%s - Same" % dict(artist)["artist"].encode()]
            lines.append(b"./" + target if target.startswith(b"#") else target)
        assert tree.blobs[found[playlist].ref] == b"\n".join([*lines, b""])
        assert found[playlist].size == len(tree.blobs[found[playlist].ref])
        assert found[folder].mtime_ns >= max((tree.nodes[inode].mtime_ns for inode in tracks), default=0)
        expected |= {folder, playlist} | {(*folder, marker) for marker in MARKER_NAMES}
    if expected:
        expected |= {where[:depth] for depth in range(1, len(where) + 1)} - set(regular(tree))
    assert set(found) == expected


def _form(world: World, name: bytes) -> bytes:
    return fold(name) if world.options.ignore_case else name


def check_log(world: World, before: Tree, sequence: int) -> None:
    """The mount is told of every name that ended or leads elsewhere, and of every folder that lists other names."""
    after, noted = Tree(world), read_log(world, sequence)
    if noted.swapped:
        return
    for (parent, name), (inode, _) in before.entries.items():
        if parent and after.entries.get((parent, name), (0, 0))[0] != inode:
            assert (parent, name) in noted.entries
    told = noted.inodes | {parent for parent, _ in noted.entries}
    for inode in before.nodes.keys() & after.nodes.keys():
        if before.children(inode) != after.children(inode):
            assert inode in told
            assert after.nodes[inode].mtime_ns > before.nodes[inode].mtime_ns, "its time must grow"


steps = st.one_of(
    st.builds(track, st.integers(0, 5), st.sampled_from(ARTISTS), origin=st.sampled_from((1, 2))),
    st.builds(lambda number, origin: Remove(key(number, origin)), st.integers(0, 5), st.sampled_from((1, 2))),
    st.builds(lambda number, to: Move(key(number), key(to)), st.integers(0, 5), st.integers(0, 5)),
)
settlings = st.builds(
    lambda wanted, shelf: Settle(tuple(wanted), shelf),
    st.lists(
        st.tuples(
            st.integers(1, 4),
            st.sampled_from(NAMES),
            st.none() | st.lists(st.integers(0, 11), max_size=4).map(tuple),
            st.booleans(),
        ),
        max_size=4,
        unique_by=lambda one: one[0],
    ),
    st.sampled_from(SHELVES),
)
acts = st.lists(
    st.one_of(st.lists(steps, min_size=1, max_size=4).map(tuple), settlings, st.just(Rebuild())),
    min_size=1,
    max_size=12,
)


def sensible(world: World, wanted: Sequence[Step]) -> list[Step]:
    """What can happen: each file once, and only files that are there move or leave."""
    seen: set[Key] = set()
    found: list[Step] = []
    for step in wanted:
        keys = {step.key, step.to} if isinstance(step, Move) else {step.key}
        exists = step.key in world.files
        is_blocked = isinstance(step, Move) and (step.to in world.files or step.to == step.key)
        if keys & seen or (not exists and not isinstance(step, Put)) or is_blocked:
            continue
        seen |= keys
        found.append(step)
    return found


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(acts, st.booleans())
def test_any_history_leaves_what_a_fresh_build_makes(history: list[Act], ignore_case: bool) -> None:
    with worlds(TreeOptions(ignore_case=ignore_case)) as (world, twin):
        last: list[Wanted] = []
        shelf = ""
        for act in history:
            before, sequence = Tree(world), world.catalog.last_change()
            if isinstance(act, Settle):
                files = [file.object_id for _, file in sorted(world.files.items())]
                shelf = act.shelf
                last = [
                    Wanted(
                        number,
                        name,
                        None if at is None else tuple(files[one % len(files)] for one in at if files),
                        stands_empty,
                    )
                    for number, name, at, stands_empty in act.wanted
                ]
                settle(world, last, shelf)
            elif isinstance(act, Rebuild):
                world.rebuild()
                twin.rebuild()
            else:
                done = sensible(world, act)
                world.apply(done)
                twin.apply(done)
            check_beside(world, twin)
            check_log(world, before, sequence)
        known = [msgspec.structs.replace(one, object_ids=one.object_ids or ()) for one in last]
        settle(world, known, shelf)
        check_beside(world, twin)
        check_collections(world, known, shelf)
        sequence = world.catalog.last_change()
        settle(world, known, shelf)
        assert world.catalog.last_change() == sequence, "nothing to do"
        world.rebuild()
        twin.rebuild()
        check_beside(world, twin)
        check_collections(world, known, shelf)
        settled = {path: (node.inode, node.ref, node.size) for path, node in shown(Tree(world)).items()}
        settle(world, [])
        assert not shown(Tree(world)), "they leave nothing behind"
        settle(world, known, shelf)
        assert {path: (node.inode, node.ref, node.size) for path, node in shown(Tree(world)).items()} == settled


def paths(world: World) -> set[bytes]:
    return {b"/".join(path) for path in shown(Tree(world)) if path[-1] not in MARKER_NAMES}


def test_an_artist_takes_the_name_and_gives_it_back() -> None:
    with worlds() as (world, _):
        world.apply([track(1, "Other")])
        found = [file.object_id for file in world.files.values()]
        settle(world, [Wanted(7, "80s Music", tuple(found))])
        before = paths(world)
        assert before == {b"80s Music", b"80s Music/001. Same.flac", b"80s Music.m3u8"}
        inode = find(world.catalog, b"/80s Music")
        world.apply([track(2, "80s Music")])
        assert paths(world) == {b"80s Music (2)", b"80s Music (2)/001. Same.flac", b"80s Music (2).m3u8"}
        moved = find(world.catalog, b"/80s Music (2)")
        assert inode is not None and moved is not None and inode.inode == moved.inode
        assert find(world.catalog, b"/80s Music/Album [FLAC]/00 - Same.flac") is not None
        settle(world, [Wanted(7, "80s Music", None)])
        assert b"80s Music (2)" in paths(world)
        world.apply([Remove(key(2))])
        settle(world, [Wanted(7, "80s Music", None)])
        assert paths(world) == before


def test_a_name_that_differs_in_case_only_gives_way_where_that_does_not_count() -> None:
    with worlds(TreeOptions(ignore_case=True)) as (world, _):
        settle(world, [Wanted(7, "Jazz", ())])
        world.apply([track(2, "JAZZ")])
        assert paths(world) == {b"Jazz (2)", b"Jazz (2).m3u8"}


def test_collections_swap_their_names() -> None:
    with worlds() as (world, _):
        settle(world, [Wanted(1, "A", ()), Wanted(2, "B", ())])
        inodes = {path: node.inode for path, node in shown(Tree(world)).items()}
        settle(world, [Wanted(1, "B", ()), Wanted(2, "A", ())])
        after = {path: node.inode for path, node in shown(Tree(world)).items()}
        assert (after[b"A",], after[b"B",]) == (inodes[b"B",], inodes[b"A",])


@pytest.mark.parametrize("shelf", SHELVES)
def test_a_path_through_a_collection_names_the_track(shelf: str) -> None:
    with worlds() as (world, _):
        world.apply([track(1, "Other"), track(2, "Lists")])
        found = [file.object_id for file in world.files.values()]
        settle(world, [Wanted(7, "All", (*found, found[0]))], shelf)
        folder = find(world.catalog, f"/{shelf}/All".encode())
        assert folder is not None
        assert [node.ref for node in files_at(world.catalog, folder)] == found
        root = find(world.catalog, b"/")
        assert root is not None
        assert sorted(node.ref for node in files_at(world.catalog, root)) == sorted(found), "each once"
        link = find(world.catalog, f"/{shelf}/All/001. Same.flac".encode())
        assert link is not None
        assert (link.kind, link.ref) == (NodeKind.OBJECT, found[0])


def test_ten_thousand_links_are_numbered_with_five_digits() -> None:
    with worlds() as (world, _):
        world.apply([track(number, "Other", f"T{number}") for number in range(1001)])
        settle(world, [Wanted(7, "All", tuple(file.object_id for file in world.files.values()))])
        assert b"All/0001. T0.flac" in paths(world)
        assert b"All/1001. T1000.flac" in paths(world)
