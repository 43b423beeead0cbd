"""Any history of changes, through the real builder into a real catalog: every promise holds after each batch."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, groupby
from pathlib import Path

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from musicfs.library.classify import is_audio_name, parent_of
from musicfs.model import Picture, Technical
from musicfs.vfs.tree import TreeOptions
from musicfs.vfs.views import View
from tests.vfs.oracle import Tree, check_holders, check_step, check_tree, holders, keys_in_listing_order, read_log
from tests.vfs.world import PRIORITIES, SECOND_NS, START_NS, Content, Key, Move, Put, Remove, Step, World

MODEL = settings(
    max_examples=500,
    deadline=None,
    derandomize=True,
    database=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)

FOLDERS = (b"", b"A", b"A/CD1", b"A/CD1/Scans", b"A/CD2", b"A/Scans", b"B", b"B/B", b"CD1", b"CD1/Scans")
TRACKS = (b"1.flac", b"2.flac", b"cover.mp3")  # a track named like a picture
SIDECARS = (b"cover.jpg", b"Cover.jpeg", b"folder.png", b"1.lrc", b"K", b"B", b"notes.txt")

FRONT_JPEG = Picture(3, "image/jpeg", 100, 150)
BACK_JPEG = Picture(4, "image/jpeg", 200, 260)
FRONT_PNG = Picture(3, "image/png", 100, 150)
BROKEN_PNG = Picture(3, "image/png", 100, 151)

CD = Technical(61_499, 900_000, 44_100, 2, 16, "flac")
STUDIO = Technical(61_499, 800_000, 96_000, 2, 24, "flac")
LOSSY = Technical(61_499, 96_000, 48_000, 2, 0, "aac")
BETTER_LOSSY = Technical(61_499, 256_000, 44_100, 2, 0, "aac")

keys = st.tuples(st.sampled_from((1, 1, 2, 3)), st.sampled_from(FOLDERS), st.sampled_from(TRACKS + TRACKS + SIDECARS))
tags = st.fixed_dictionaries(
    {
        "title": st.sampled_from(("A", "A", "a", "A (2)", "", "K")),
        "artist": st.sampled_from(("X", "X", "x", "")),
        "album": st.sampled_from(("K", "K", "k", "")),
        "track": st.sampled_from(("", "1")),
        "disc": st.sampled_from(("", "1", "2")),
        "disc_total": st.sampled_from(("", "", "1", "2")),
        "label": st.sampled_from(("", "", "K")),
    }
).map(lambda found: tuple(found.items()))
contents = st.builds(
    Content,
    st.one_of(st.just(()), st.none(), tags, tags, tags),
    st.sampled_from((1000, 1001)),
    st.sampled_from((0, START_NS, START_NS + 5 * SECOND_NS, 2 * START_NS)),
    st.sampled_from(((), (), (FRONT_JPEG,), (BACK_JPEG,), (BACK_JPEG, FRONT_PNG), (BROKEN_PNG,))),
    st.sampled_from((0, 7, 7, 7, 8)),
    st.sampled_from((CD, CD, CD, STUDIO, LOSSY, BETTER_LOSSY)),
)
nth = st.integers(0, 30)  # one of the files there are
intents = st.one_of(
    st.tuples(keys, contents),
    st.tuples(keys, contents),
    st.tuples(nth, contents),
    st.tuples(nth, keys),
    st.tuples(nth, st.none()),
    st.tuples(nth, st.sampled_from((1, 2, 3))),  # a copy of it in another origin, or in its own
    st.tuples(nth, st.sampled_from((1, 2, 3))),
)
downs = st.frozensets(st.sampled_from((1, 2, 3)))  # origins that are down from here on
histories = st.lists(st.one_of(st.lists(intents, min_size=1, max_size=7), downs), min_size=1, max_size=7)

POSIX, WINDOWS = "posix", "windows"
DEFAULT = "$albumartist/$album/<$disc->$track - $title.$format"
FLAT = "<$label/>$album/$title"
Shape = tuple[tuple[View, ...], TreeOptions]
SHAPES: tuple[Shape, ...] = (
    ((View(0, "", DEFAULT, folders=False, names=POSIX),), TreeOptions(playlists=True)),
    ((View(0, "", FLAT, folders=False, names=POSIX),), TreeOptions()),
    ((View(0, "", FLAT, folders=False, names=WINDOWS),), TreeOptions(ignore_case=True)),
    ((View(0, "", DEFAULT, folders=True, names=POSIX),), TreeOptions()),
    (
        (View(1, "Albums", DEFAULT, folders=False, names=POSIX), View(2, "Files", FLAT, folders=True, names=POSIX)),
        TreeOptions(covers=False),
    ),
    ((View(0, "", "$title", folders=False, names=POSIX),), TreeOptions(sidecars=False)),
    ((View(0, "", DEFAULT, folders=False, names=POSIX),), TreeOptions(playlists=True, versions=True)),
    ((View(0, "", FLAT, folders=False, names=POSIX),), TreeOptions(prefer_quality=True)),
    (
        (View(1, "Albums", FLAT, folders=False, names=WINDOWS), View(2, "Files", FLAT, folders=True, names=WINDOWS)),
        TreeOptions(ignore_case=True, versions=True, prefer_quality=True),
    ),
    ((View(0, "", "$title", folders=False, names=POSIX),), TreeOptions(versions=True, prefer_quality=True)),
)


@contextmanager
def a_world(shape: Shape) -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="musicfs-tree-") as folder:
        world = World(Path(folder, "catalog"), *shape)
        try:
            yield world
        finally:
            world.close()


Intent = tuple[Key | int, Content | Key | int | None]
Batch = list[Intent] | frozenset[int]


def plan(world: World, batch: Sequence[Intent]) -> list[Step]:
    """What can be done of a batch: each file and each path once, as in a listing."""
    steps: list[Step] = []
    touched: set[Key] = set()
    there = sorted(world.files)
    for subject, change in batch:
        if isinstance(subject, int) and not there:
            continue
        key = there[subject % len(there)] if isinstance(subject, int) else subject
        if key in touched:
            continue
        if isinstance(change, Content):
            steps.append(Put(key, change))
        elif change is None:
            steps.append(Remove(key))
        elif isinstance(change, int):
            copy = (change, *key[1:]) if change != key[0] else (change, key[1], b"copy " + key[2])
            if copy in touched:
                continue
            steps.append(Put(copy, world.files[key].content))
            touched.add(copy)
            continue
        elif change in world.files or change in touched or is_audio_name(change[2]) != is_audio_name(key[2]):
            continue
        else:
            steps.append(Move(key, change))
            touched.add(change)
        touched.add(key)
    return steps


def step_and_check(world: World, tree: Tree, batch: Batch) -> Tree:
    sequence = world.catalog.last_change()
    held = holders(world, tree)
    step(world, batch)
    after = check_tree(world)
    check_step(tree, after, read_log(world, sequence))
    check_holders(held, world, after)
    if isinstance(batch, frozenset):
        assert {entry for entry in after.places if after.places[entry] != tree.places[entry]} <= {
            (file, tree.nodes[inode].view) for inode, files in tree.sources.items() for file in files
        }, "origins that fail concern tracks with several sources alone"
    return after


def step(world: World, batch: Batch) -> None:
    if isinstance(batch, frozenset):
        world.rerank(batch)
    else:
        world.apply(plan(world, batch))


@MODEL
@given(st.sampled_from(SHAPES), histories)
def test_every_promise_holds_after_each_batch(shape: Shape, history: list[Batch]) -> None:
    with a_world(shape) as world:
        tree = check_tree(world)
        for batch in history:
            tree = step_and_check(world, tree, batch)
        world.rebuild()
        tree = check_tree(world)
        step_and_check(world, tree, history[0])
        world.apply(Remove(key) for key in list(world.files))
        left = set(check_tree(world).by_path())
        assert left <= {view.root for view in world.views}, "something stays"


@MODEL
@given(st.sampled_from(SHAPES), histories)
def test_a_rebuilt_tree_does_not_depend_on_history(shape: Shape, history: list[Batch]) -> None:
    with a_world(shape) as world, a_world(shape) as fresh:
        for batch in history:
            step(world, batch)
        world.rebuild()
        for key in reversed(keys_in_listing_order(world)):  # other ids for the same files
            fresh.apply([Put(key, world.files[key].content)])
        fresh.priorities = world.priorities
        fresh.rebuild()
        assert outline(Tree(world)) == outline(Tree(fresh))
        assert named(world) == named(fresh)


@MODEL
@given(st.sampled_from(SHAPES), histories)
def test_names_do_not_depend_on_which_origins_are_up(shape: Shape, history: list[Batch]) -> None:
    with a_world(shape) as world, a_world(shape) as steady:
        for batch in history:
            step(world, batch)
            if not isinstance(batch, frozenset):
                step(steady, batch)
        assert named(world) == named(steady)
        world.rebuild()
        steady.rebuild()
        assert named(world) == named(steady)
        world.rerank(())
        assert outline(Tree(world)).keys() == outline(Tree(steady)).keys()
        world.rebuild()
        assert outline(Tree(world)) == outline(Tree(steady))


def named(world: World) -> dict[tuple[int, bytes, bytes, int], tuple[bytes, ...]]:
    """The path of every file in every view."""
    tree = Tree(world)
    files = {file.object_id: key for key, file in world.files.items()}
    return {(*files[file], view): tree.path(inode) for (file, view), inode in tree.places.items()}


@MODEL
@given(st.sampled_from(SHAPES), st.dictionaries(keys, contents, max_size=20))
def test_what_is_added_at_once_in_listing_order_is_what_a_rebuild_makes(
    shape: Shape, files: dict[Key, Content]
) -> None:
    with a_world(shape) as world:
        world.apply([Put(key, holds) for key, holds in files.items()])
        first, names = Tree(world), named(world)
        world.rebuild()
        assert outline(Tree(world)) == outline(first)
        assert named(world) == names


def outline(tree: Tree) -> dict[tuple[bytes, ...], tuple[int, ...]]:
    """Paths with all that must be the same on every machine: not the catalog's own ids."""
    return {
        path: (node.inode, node.kind, node.size, node.start, node.mtime_ns) for path, node in tree.by_path().items()
    }


def without_discs(holds: Content) -> Content:
    """A second disc that comes in a later batch names the first one's tracks anew, with the numbers they got by then."""
    if holds.tags is None:
        return holds
    tags = tuple((field, "" if field.startswith("disc") else value) for field, value in holds.tags)
    return msgspec.structs.replace(holds, tags=tags)


def near_tracks(files: dict[Key, Content]) -> dict[Key, Content]:
    """Without what is shown only once a disc folder that is listed later has tracks: its name may be taken by then."""
    homes = {key[:2] for key in files if is_audio_name(key[2])}
    return {
        key: holds
        for key, holds in files.items()
        if is_audio_name(key[2]) or not homes.isdisjoint((key[:2], (key[0], parent_of(key[1]))))
    }


@MODEL
@given(
    st.sampled_from(SHAPES),
    st.dictionaries(keys, contents, min_size=1, max_size=20).map(near_tracks).filter(bool),
    st.integers(1, 4),
)
def test_what_is_added_folder_by_folder_is_what_a_rebuild_makes(
    shape: Shape, files: dict[Key, Content], folders_at_once: int
) -> None:
    def folder(key: Key) -> tuple[int, int, bytes]:
        return PRIORITIES[key[0]], key[0], key[1].replace(b"/", b"\0")

    with a_world(shape) as world:
        steps = [Put(key, without_discs(files[key])) for key in sorted(files, key=lambda key: (*folder(key), key[2]))]
        by_folder = [list(group) for _, group in groupby(steps, lambda step: folder(step.key))]
        for first in range(0, len(by_folder), folders_at_once):
            world.apply(chain.from_iterable(by_folder[first : first + folders_at_once]))
        added, names = paths(Tree(world)), named(world)
        world.rebuild()
        assert paths(Tree(world)) == added
        assert named(world) == names


def paths(tree: Tree) -> dict[tuple[bytes, ...], tuple[int, ...]]:
    """Paths with numbers and sizes; folder times tell when something was added."""
    return {path: (node.inode, node.size, node.start) for path, node in tree.by_path().items()}
