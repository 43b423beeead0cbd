"""Single cases of several origins that have the same tracks, each with its history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from musicfs.model import Picture
from musicfs.store.records import Node, NodeKind
from musicfs.vfs.generation import rerank
from musicfs.vfs.items import UNHEALTHY_PENALTY, naming_priority
from musicfs.vfs.names import MAX_NAME_BYTES, fit, numbered, numbered_prefix, variant_number
from musicfs.vfs.tree import TreeOptions
from musicfs.vfs.views import View
from tests.vfs.oracle import check_tree
from tests.vfs.world import PRIORITIES, Key, Move, Put, Remove, World, content

MakeWorld = Callable[..., World]
SLOW, FAST, THIRD = 1, 2, 3  # the origins' numbers: by priority FAST is served first, then SLOW


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[MakeWorld]:
    made: list[World] = []

    def make(*, folders: bool = False, names: str = "posix") -> World:
        view = View(0, "", "$album/<$disc->$title", folders=folders, names=names)
        made.append(World(tmp_path / str(len(made)), (view,), TreeOptions(ignore_case=names == "windows")))
        return made[-1]

    yield make
    for world in made:
        world.close()


def at(path: str, origin: int) -> Key:
    folder, _, name = path.rpartition("/")
    return origin, folder.encode(), name.encode()


def shown(world: World) -> dict[str, list[int]]:
    """Paths of files with the origins that have them, the served one first."""
    tree = check_tree(world)
    origin_of = {file.object_id: key[0] for key, file in world.files.items()}
    return {
        b"/".join(path).decode(): [origin_of[found] for found in world.catalog.sources_of(node.inode, node.ref)]
        for path, node in sorted(tree.by_path().items())
        if node.kind == NodeKind.OBJECT
    }


def node_at(world: World, path: str) -> Node:
    return check_tree(world).by_path()[tuple(path.encode().split(b"/"))]


SONG = content(title="A", album="K", audio=7)


@pytest.mark.parametrize("first", [SLOW, FAST])
def test_the_best_origin_serves_whatever_came_first(make_world: MakeWorld, first: int) -> None:
    world = make_world()
    for origin in (first, SLOW + FAST - first):
        world.apply([Put(at(f"{origin}/x.flac", origin), content(title="A", album="K", audio=7, size=origin))])
    assert shown(world) == {"K/A.flac": [FAST, SLOW]}
    assert node_at(world, "K/A.flac").size == FAST


def test_other_audio_is_numbered_and_so_is_audio_that_nobody_knows(make_world: MakeWorld) -> None:
    world = make_world()
    world.apply([Put(at("x.flac", SLOW), SONG), Put(at("x.flac", FAST), content(title="A", album="K", audio=8))])
    assert shown(world) == {"K/A (2).flac": [SLOW], "K/A.flac": [FAST]}
    unknown = make_world()
    unknown.apply([Put(at("x.flac", origin), content(title="A", album="K")) for origin in (SLOW, FAST)])
    assert shown(unknown) == {"K/A (2).flac": [SLOW], "K/A.flac": [FAST]}


def test_copies_within_one_origin_are_never_one(make_world: MakeWorld) -> None:
    world = make_world()
    world.apply([Put(at(name, SLOW), SONG) for name in ("1.flac", "2.flac")])
    world.apply([Put(at(name, FAST), SONG) for name in ("1.flac", "2.flac", "3.flac")])
    assert shown(world) == {"K/A (2).flac": [FAST, SLOW], "K/A (3).flac": [FAST], "K/A.flac": [FAST, SLOW]}


def test_a_number_goes_when_what_it_told_apart_has_gone(make_world: MakeWorld) -> None:
    """A file that moved is seen anew before it is seen to be gone; the copy elsewhere holds its name meanwhile."""
    world = make_world()
    world.apply([Put(at("old.flac", SLOW), SONG), Put(at("x.flac", FAST), SONG)])
    world.apply([Put(at("new.flac", SLOW), SONG)])
    assert shown(world) == {"K/A (2).flac": [SLOW], "K/A.flac": [FAST, SLOW]}
    world.apply([Remove(at("old.flac", SLOW))])
    assert shown(world) == {"K/A.flac": [FAST, SLOW]}


def test_lyrics_follow_a_track_that_loses_its_number(make_world: MakeWorld) -> None:
    world = make_world()
    world.apply([Put(at("old/1.flac", SLOW), SONG), Put(at("x.flac", FAST), SONG)])
    world.apply([Put(at("new/1.flac", SLOW), SONG), Put(at("new/1.lrc", SLOW), content())])
    assert shown(world) == {"K/A (2).flac": [SLOW], "K/A (2).lrc": [SLOW], "K/A.flac": [FAST, SLOW]}
    world.apply([Remove(at("old/1.flac", SLOW))])
    assert shown(world) == {"K/A.flac": [FAST, SLOW], "K/A.lrc": [SLOW]}


def test_a_file_that_moves_to_the_origin_of_another_source_stands_alone(make_world: MakeWorld) -> None:
    world = make_world()
    world.apply([Put(at("x.flac", SLOW), SONG), Put(at("y.flac", FAST), SONG)])
    world.apply([Move(at("y.flac", FAST), at("y.flac", SLOW))])
    assert shown(world) == {"K/A (2).flac": [SLOW], "K/A.flac": [SLOW]}


def test_the_next_best_takes_over_when_the_served_one_leaves(make_world: MakeWorld) -> None:
    world = make_world()
    for origin in PRIORITIES:
        world.apply([Put(at("x.flac", origin), content(title="A", album="K", audio=7, size=origin))])
    assert shown(world) == {"K/A.flac": [FAST, SLOW, THIRD]}
    served = node_at(world, "K/A.flac").inode
    for origin, left in ((FAST, [SLOW, THIRD]), (SLOW, [THIRD])):
        world.apply([Remove(at("x.flac", origin))])
        assert shown(world) == {"K/A.flac": left}
        assert node_at(world, "K/A.flac").inode != served
        served = node_at(world, "K/A.flac").inode
    assert not check_tree(world).sources


def test_a_retagged_source_stands_alone_and_comes_back(make_world: MakeWorld) -> None:
    world = make_world()
    world.apply([Put(at("x.flac", origin), SONG) for origin in (SLOW, FAST)])
    world.apply([Put(at("x.flac", FAST), content(title="B", album="K", audio=7))])
    assert shown(world) == {"K/A.flac": [SLOW], "K/B.flac": [FAST]}
    world.apply([Put(at("x.flac", FAST), content(title="A", album="K", audio=8))])
    assert shown(world) == {"K/A (2).flac": [FAST], "K/A.flac": [SLOW]}
    world.apply([Put(at("x.flac", FAST), SONG)])
    assert shown(world) == {"K/A.flac": [FAST, SLOW]}


def test_a_source_whose_audio_changes_in_place_leaves_the_name_to_the_others(make_world: MakeWorld) -> None:
    world = make_world()
    world.apply([Put(at("x.flac", origin), SONG) for origin in (SLOW, FAST)])
    world.apply([Put(at("x.flac", FAST), content(title="A", album="K", audio=8, size=5))])
    assert shown(world) == {"K/A (2).flac": [FAST], "K/A.flac": [SLOW]}


def test_a_mirror_shows_no_second_cover_and_no_second_lyrics(make_world: MakeWorld) -> None:
    world = make_world()
    for origin in (SLOW, FAST):
        world.apply(
            [
                Put(at("K/1.flac", origin), SONG),
                Put(at("K/1.lrc", origin), content(size=50)),
                Put(at("K/cover.jpg", origin), content(size=77)),
                Put(at("K/Scans/back.png", origin), content(size=88)),
                Put(at("K/rip.log", origin), content(size=origin)),
            ]
        )
    both = [FAST, SLOW]
    assert shown(world) == {
        "K/A.flac": both, "K/A.lrc": both, "K/Scans/back.png": both, "K/cover.jpg": both,
        "K/rip.log": [SLOW], "K/rip (2).log": [FAST],
    }  # fmt: skip
    world.rebuild()
    assert shown(world)["K/rip.log"] == [FAST]
    world.apply([Put(at("K/rip.log", SLOW), content(size=FAST))])
    assert shown(world)["K/rip.log"] == [FAST, SLOW]


def test_folders_of_two_origins_are_one_layout(make_world: MakeWorld) -> None:
    world = make_world(folders=True)
    for origin in (SLOW, FAST):
        world.apply([Put(at("R/K/1.flac", origin), SONG), Put(at("R/K/cover.jpg", origin), content(size=77))])
    world.apply([Put(at("R/K/2.flac", SLOW), content(audio=1)), Put(at("R/K/2.flac", FAST), content(audio=2))])
    assert shown(world) == {
        "R/K/1.flac": [FAST, SLOW], "R/K/cover.jpg": [FAST, SLOW], "R/K/2.flac": [FAST], "R/K/2 (2).flac": [SLOW],
    }  # fmt: skip


def test_an_album_that_gets_a_second_disc_stays_one(make_world: MakeWorld) -> None:
    world = make_world()
    disc = content(title="A", album="K", audio=7, disc="1")
    world.apply([Put(at("CD1/1.flac", origin), disc) for origin in (SLOW, FAST)])
    world.apply([Put(at("CD2/1.flac", SLOW), content(title="A", album="K", audio=9, disc="2"))])
    assert shown(world) == {"K/1-A.flac": [FAST, SLOW], "K/2-A.flac": [SLOW]}


def test_a_cover_is_cut_out_of_the_file_that_is_served(make_world: MakeWorld) -> None:
    world = make_world()
    for origin in (SLOW, FAST):
        pictures = [Picture(3, "image/jpeg", 10, 10 + origin)]
        world.apply([Put(at("1.flac", origin), content(title="A", album="K", audio=7, pictures=pictures))])
    assert node_at(world, "K/cover.jpg").size == FAST
    world.rerank({FAST})
    assert node_at(world, "K/cover.jpg").size == SLOW


def test_an_origin_that_fails_serves_nothing_that_another_has(make_world: MakeWorld) -> None:
    world = make_world()
    for number in range(5):
        song = content(title=str(number), album="K", audio=number + 1, mtime_ns=number)
        world.apply([Put(at(f"{number}.flac", origin), song) for origin in (SLOW, FAST)])
        world.apply([Put(at(f"only {number}.flac", FAST), content(title=f"only {number}", album="K"))])
    names = list(shown(world))
    commits: list[int] = []
    down = {number: PRIORITIES[number] + UNHEALTHY_PENALTY * (number == FAST) for number in PRIORITIES}
    rerank(world.catalog, world.builder, down, lambda: commits.append(1))
    world.priorities = down
    after = shown(world)
    assert list(after) == names
    assert commits == [1]
    assert [origins for path, origins in after.items() if "only" not in path] == [[SLOW, FAST]] * 5
    assert [origins for path, origins in after.items() if "only" in path] == [[FAST]] * 5
    sequence = world.catalog.last_change()
    world.rerank({FAST})
    assert world.catalog.last_change() == sequence, "nothing changed, and the kernel is told nothing"
    world.rerank(())
    assert [origins for path, origins in shown(world).items() if "only" not in path] == [[FAST, SLOW]] * 5


def test_names_do_not_depend_on_which_origin_is_up(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("musicfs.vfs.generation._BATCH_FILES", 1)  # a folder at a time, as in a large library
    world = make_world()
    world.rerank({FAST})
    world.apply([Put(at("x.flac", SLOW), SONG), Put(at("x.flac", FAST), content(title="A", album="K", audio=8))])
    names = {"K/A (2).flac": [SLOW], "K/A.flac": [FAST]}
    assert shown(world) == names
    world.rebuild()
    assert shown(world) == names
    world.apply([Put(at("x.flac", SLOW), content(title="A", album="K", audio=8))])
    assert shown(world) == {"K/A.flac": [SLOW, FAST]}
    world.apply([Put(at("x.flac", origin), content(title="A", album="K")) for origin in (SLOW, FAST)])
    assert shown(world) == names


def test_a_batch_follows_priorities_that_changed_before_it(make_world: MakeWorld) -> None:
    world = make_world()
    world.apply([Put(at("x.flac", origin), SONG) for origin in (SLOW, FAST)])
    world.priorities[FAST] += UNHEALTHY_PENALTY
    world.apply([Put(at("x.flac", FAST), SONG)])
    assert shown(world) == {"K/A.flac": [SLOW, FAST]}


def test_equal_versions_of_two_origins_are_not_taken_for_equal_bytes(make_world: MakeWorld) -> None:
    """The number stays, so the kernel must drop the pages it has."""
    world = make_world()
    world.apply([Put(at("x.flac", origin), SONG) for origin in (SLOW, FAST)])
    before, sequence = node_at(world, "K/A.flac"), world.catalog.last_change()
    world.rerank({FAST})
    after = node_at(world, "K/A.flac")
    assert (after.inode, after.ref != before.ref) == (before.inode, True)
    noted = [change for _, changes in world.catalog.changes_after(sequence) for change in changes]
    assert {inode for op, _, _, inode in noted if op == 3} == {before.inode}


def test_names_that_differ_in_case_stay_two_for_windows(make_world: MakeWorld) -> None:
    world = make_world(names="windows")
    world.apply([Put(at("x.flac", FAST), SONG), Put(at("x.flac", SLOW), content(title="a", album="k", audio=7))])
    assert shown(world) == {"K/A.flac": [FAST], "K/a (2).flac": [SLOW]}


def test_a_title_that_looks_like_a_number_is_another_title(make_world: MakeWorld) -> None:
    world = make_world()
    world.apply([Put(at("1.flac", FAST), content(title="A", album="K")), Put(at("2.flac", FAST), SONG)])
    assert shown(world) == {"K/A (2).flac": [FAST], "K/A.flac": [FAST]}
    world.apply([Put(at("x.flac", SLOW), content(title="A (2)", album="K", audio=7))])
    assert shown(world) == {"K/A (2) (2).flac": [SLOW], "K/A (2).flac": [FAST], "K/A.flac": [FAST]}


def test_a_penalty_has_no_part_in_names() -> None:
    for priority in (-5, 0, 100, 1_000_000):
        for times in (0, 1, 2):
            assert naming_priority(priority + times * UNHEALTHY_PENALTY) == priority


@pytest.mark.parametrize("stem", ["A", "a" * 250, "é" * 127, "東" * 85, "b" * 240 + " . . . . ." * 3, "." * 300])
@pytest.mark.parametrize("suffix", [".flac", "", ".x"])
def test_numbered_names_are_found_by_how_they_begin(stem: str, suffix: str) -> None:
    for number in (2, 9, 10, 99, 100, 12_345):
        name = numbered(stem, suffix, number)
        assert len(name) <= MAX_NAME_BYTES
        assert name.startswith(numbered_prefix(stem, suffix))
        assert variant_number(name, stem, suffix) == number
    assert variant_number(fit(stem, suffix), stem, suffix) == 1
