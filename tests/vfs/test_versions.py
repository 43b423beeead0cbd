"""Single cases of what several origins have of a track: shown as files of their own, or chosen by quality."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicfs.content.keys import Source
from musicfs.content.readers import BlobReader, Reader
from musicfs.content.sources import Sources
from musicfs.model import Picture, Technical
from musicfs.store.records import Node, NodeKind
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs.generation import is_current
from musicfs.vfs.items import quality_rank
from musicfs.vfs.names import MAX_NAME_BYTES, fit
from musicfs.vfs.nodes import Nodes
from musicfs.vfs.tree import TreeBuilder, TreeOptions
from musicfs.vfs.versions import MARKER_NAMES, origin_of_version, version_name, versions_prefix
from musicfs.vfs.views import View
from tests.vfs.oracle import Tree, check_tree, read_log
from tests.vfs.world import PRIORITIES, Content, Key, Move, Put, Remove, World, content, fake_cover

MakeWorld = Callable[..., World]
SLOW, FAST, THIRD = 1, 2, 3  # the origins' numbers: by priority FAST is served first, then SLOW
VERSIONS, QUALITY = TreeOptions(versions=True), TreeOptions(prefer_quality=True)

CD = Technical(60_000, 900_000, 44_100, 2, 16, "flac")
STUDIO = Technical(60_000, 2_500_000, 96_000, 2, 24, "flac")


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[MakeWorld]:
    made: list[World] = []

    def make(options: TreeOptions, *, template: str = "$album/$title", folders: bool = False) -> World:
        names = "windows" if options.ignore_case else "posix"
        view = View(0, "", template, folders=folders, names=names)
        made.append(World(tmp_path / str(len(made)), (view,), options))
        return made[-1]

    yield make
    for world in made:
        world.close()


def at(path: str, origin: int) -> Key:
    folder, _, name = path.rpartition("/")
    return origin, folder.encode(), name.encode()


def song(origin: int = 1, *, audio: int = 7, title: str = "A", technical: Technical = CD) -> Content:
    """Its size tells whose it is."""
    return content(title=title, album="K", audio=audio, size=1000 + origin, technical=technical)


def files(world: World) -> dict[str, int]:
    """Paths of origins' files with the origins that serve them; markers are left out."""
    origins = {file.object_id: key[0] for key, file in world.files.items()}
    return {
        b"/".join(path).decode(): origins[node.ref]
        for path, node in sorted(check_tree(world).by_path().items())
        if node.kind == NodeKind.OBJECT
    }


def node_at(world: World, path: str) -> Node:
    return check_tree(world).by_path()[tuple(path.encode().split(b"/"))]


def test_sources_that_are_not_served_lie_beside_the_track(make_world: MakeWorld) -> None:
    world = make_world(VERSIONS)
    world.apply([Put(at("x.flac", FAST), song(FAST)), Put(at("only.flac", FAST), song(FAST, title="B", audio=8))])
    assert files(world) == {"K/A.flac": FAST, "K/B.flac": FAST}
    world.apply([Put(at("y/z.flac", origin), song(origin)) for origin in (SLOW, THIRD)])
    assert files(world) == {
        "K/.versions/A [origin1].flac": SLOW, "K/.versions/A [origin3].flac": THIRD, "K/A.flac": FAST, "K/B.flac": FAST,
    }  # fmt: skip
    world.apply([Remove(at("y/z.flac", origin)) for origin in (SLOW, THIRD)])
    assert files(world) == {"K/A.flac": FAST, "K/B.flac": FAST}
    assert b".versions" not in {name for path in check_tree(world).by_path() for name in path}


def test_they_swap_places_when_another_is_served(make_world: MakeWorld) -> None:
    world = make_world(VERSIONS)
    world.apply([Put(at("x.flac", origin), song(origin)) for origin in PRIORITIES])
    up = {"K/.versions/A [origin1].flac": SLOW, "K/.versions/A [origin3].flac": THIRD, "K/A.flac": FAST}
    assert files(world) == up
    third = node_at(world, "K/.versions/A [origin3].flac")
    sequence = world.catalog.last_change()
    world.rerank({FAST})
    assert files(world) == {
        "K/.versions/A [origin2].flac": FAST,
        "K/.versions/A [origin3].flac": THIRD,
        "K/A.flac": SLOW,
    }
    assert node_at(world, "K/.versions/A [origin3].flac") == third
    assert third.inode not in read_log(world, sequence).contents
    world.rerank(())
    assert files(world) == up
    world.rebuild()
    assert files(world) == up


def test_a_version_that_changes_keeps_its_name(make_world: MakeWorld) -> None:
    world = make_world(VERSIONS)
    world.apply([Put(at("x.flac", origin), song(origin)) for origin in (SLOW, FAST)])
    before = node_at(world, "K/.versions/A [origin1].flac")
    sequence = world.catalog.last_change()
    world.apply([Put(at("x.flac", SLOW), song(SLOW))])
    assert node_at(world, "K/.versions/A [origin1].flac") == before
    assert before.inode in read_log(world, sequence).contents, "its time was put back, and the kernel has old pages"
    world.apply([Put(at("x.flac", SLOW), song(SLOW + 1))])
    assert node_at(world, "K/.versions/A [origin1].flac").size == before.size + 1
    world.apply([Move(at("x.flac", SLOW), at("elsewhere/y.flac", THIRD))])
    assert files(world) == {"K/.versions/A [origin3].flac": THIRD, "K/A.flac": FAST}


def test_nothing_follows_a_version(make_world: MakeWorld) -> None:
    world = make_world(TreeOptions(versions=True, playlists=True))
    for origin in (SLOW, FAST):
        pictures = [Picture(3, "image/jpeg", 10, 20)] if origin == SLOW else []
        holds = content(title="A", album="K", audio=7, size=origin, pictures=pictures)
        world.apply([Put(at("K/1.flac", origin), holds), Put(at("K/1.lrc", origin), content(size=50))])
    assert files(world) == {"K/.versions/A [origin1].flac": SLOW, "K/A.flac": FAST, "K/A.lrc": FAST}
    hidden = {path[-1] for path in check_tree(world).by_path() if b".versions" in path[:-1]}
    assert hidden == {b"A [origin1].flac", b".ignore", b".mpdignore", b".ndignore", b".plexignore"}


def test_a_track_that_is_named_anew_takes_its_versions_along(make_world: MakeWorld) -> None:
    world = make_world(VERSIONS, template="$album/<$disc->$title")
    disc = content(title="A", album="K", audio=7, disc="1")
    world.apply([Put(at("CD1/1.flac", origin), disc) for origin in (SLOW, FAST)])
    assert files(world) == {"K/.versions/A [origin1].flac": SLOW, "K/A.flac": FAST}
    world.apply([Put(at("CD2/1.flac", SLOW), content(title="A", album="K", audio=9, disc="2"))])
    assert files(world) == {"K/.versions/1-A [origin1].flac": SLOW, "K/1-A.flac": FAST, "K/2-A.flac": SLOW}


def test_versions_of_numbered_tracks_and_of_the_folders_view(make_world: MakeWorld) -> None:
    world = make_world(VERSIONS, folders=True)
    for origin in (SLOW, FAST):
        world.apply([Put(at("R/1.flac", origin), content(audio=origin)), Put(at("2.flac", origin), content(audio=9))])
    world.apply([Put(at("R/1.flac", THIRD), content(audio=FAST))])
    assert files(world) == {
        ".versions/2 [origin1].flac": SLOW, "2.flac": FAST,
        "R/.versions/1 (2) [origin3].flac": THIRD, "R/1 (2).flac": FAST, "R/1.flac": SLOW,
    }  # fmt: skip


def test_long_names_that_are_cut_to_one_are_numbered(make_world: MakeWorld) -> None:
    def hidden() -> list[bytes]:
        paths = Tree(world).by_path()
        return sorted(path[-1] for path in paths if b".versions" in path[:-1] and path[-1] not in MARKER_NAMES)

    world = make_world(VERSIONS)
    for origin in (SLOW, FAST):
        both = (("a", 1), ("b", 2))
        world.apply(
            [Put(at(f"{end}.flac", origin), song(origin, title="x" * 249 + end, audio=audio)) for end, audio in both]
        )
    assert hidden() == [b"x" * 236 + b" [origin1] (2).flac", b"x" * 240 + b" [origin1].flac"]
    world.rerank({FAST})
    assert hidden() == [b"x" * 236 + b" [origin2] (2).flac", b"x" * 240 + b" [origin2].flac"]
    world.apply([Remove(at("a.flac", FAST))])
    assert hidden() == [b"x" * 236 + b" [origin2] (2).flac"]


def test_ids_that_differ_in_case_are_numbered_for_windows(make_world: MakeWorld) -> None:
    world = make_world(TreeOptions(versions=True, ignore_case=True))
    with WriteTransaction(world.catalog) as tx:
        for origin_id, record in world.catalog.origins().items():
            tx.remove_origin(origin_id)
            tx.put_origin({1: "nas", 2: "usb", 3: "NAS"}[record.number], record)
    world.apply([Put(at("x.flac", origin), song(origin)) for origin in PRIORITIES])
    paths = {b"/".join(path) for path in Tree(world).by_path()}
    assert {b"K/A.flac", b"K/.versions/A [NAS].flac", b"K/.versions/A [nas] (2).flac"} <= paths


@given(st.sampled_from(("A", "A [x]", "a" * 250, "é" * 127, "東" * 85, "b" * 200 + " . . . . ." * 6, "." * 300)),
       st.sampled_from((".flac", "", ".x")), st.sampled_from(("n", "na.s-1_", "N" * 64)), st.integers(1, 99_999))  # fmt: skip
def test_names_of_versions_tell_their_origins(stem: str, suffix: str, origin_id: str, number: int) -> None:
    name = fit(stem, suffix)
    version = version_name(name, origin_id, number)
    assert len(version) <= MAX_NAME_BYTES
    assert version.startswith(versions_prefix(name))
    assert origin_of_version(version, name) == origin_id
    assert origin_of_version(name, name) == origin_of_version(version, b"other" + name[-5:]) == ""


def test_the_best_recording_is_served(make_world: MakeWorld) -> None:
    world = make_world(TreeOptions(versions=True, prefer_quality=True))
    world.apply([Put(at("x.flac", FAST), song(FAST)), Put(at("x.flac", THIRD), song(THIRD))])
    world.apply([Put(at("y.flac", SLOW), song(SLOW, audio=8, technical=STUDIO))])
    assert files(world) == {
        "K/.versions/A [origin2].flac": FAST, "K/.versions/A [origin3].flac": THIRD, "K/A.flac": SLOW,
    }  # fmt: skip
    world.rerank({SLOW})
    assert files(world) == {
        "K/.versions/A [origin1].flac": SLOW, "K/.versions/A [origin3].flac": THIRD, "K/A.flac": FAST,
    }  # fmt: skip


RANKED = (
    Technical(1, 1, 96_000, 2, 24, "flac"),
    Technical(1, 1, 48_000, 6, 24, "alac"),
    Technical(1, 1, 48_000, 2, 24, "pcm"),
    Technical(1, 1, 96_000, 2, 16, "flac"),
    Technical(1, 256_000, 44_100, 2, 0, "aac"),
    Technical(1, 128_000, 48_000, 2, 0, "opus"),
    Technical(1, 128_000, 44_100, 2, 0, "mp3"),
    Technical(1, 320_000, 44_100, 1, 0, "mp3"),
    Technical(),
)


@pytest.mark.parametrize(("better", "worse"), list(itertools.pairwise(RANKED)))
def test_quality(better: Technical, worse: Technical) -> None:
    assert quality_rank(better) < quality_rank(worse)


def test_how_well_lossless_audio_is_packed_says_nothing(make_world: MakeWorld) -> None:
    world = make_world(QUALITY)
    loose = msgspec.structs.replace(CD, bitrate=CD.bitrate + 1)
    world.apply([Put(at("x.flac", FAST), song(FAST)), Put(at("x.flac", SLOW), song(SLOW, technical=loose))])
    assert files(world) == {"K/A.flac": FAST}


def test_one_origin_has_no_versions_of_its_own(make_world: MakeWorld) -> None:
    world = make_world(QUALITY)
    world.apply([Put(at(f"{audio}.flac", SLOW), song(audio, audio=audio)) for audio in (7, 8)])
    assert files(world) == {"K/A.flac": SLOW, "K/A (2).flac": SLOW}
    studio = [Put(at(f"{9 - audio}.flac", FAST), song(audio, audio=audio, technical=STUDIO)) for audio in (8, 7)]
    world.apply(studio)  # in the other order
    assert files(world) == {"K/A.flac": FAST, "K/A (2).flac": FAST}
    assert [node_at(world, f"K/{name}.flac").size for name in ("A", "A (2)")] == [1007, 1008]


def test_files_without_tags_are_not_one_because_of_their_names(make_world: MakeWorld) -> None:
    world = make_world(QUALITY, folders=True)
    world.apply([Put(at("Track 1.flac", origin), content(audio=origin)) for origin in (SLOW, FAST)])
    assert files(world) == {"Track 1 (2).flac": SLOW, "Track 1.flac": FAST}


def test_both_options_derive_the_tree_anew(make_world: MakeWorld) -> None:
    world = make_world(TreeOptions())
    world.apply([Put(at("x.flac", origin), song(origin)) for origin in (SLOW, FAST)])
    world.rebuild()
    for options, is_same in ((TreeOptions(), True), (VERSIONS, False), (QUALITY, False)):
        builder = TreeBuilder(world.views, options, world.clock, fake_cover)
        assert is_current(world.catalog, builder) is is_same


@pytest.mark.parametrize(("audio", "others"), [(7, ["origin1"]), (8, []), (0, [])])
def test_a_reader_is_offered_no_other_recording(make_world: MakeWorld, audio: int, others: list[str]) -> None:
    world = make_world(QUALITY)
    world.apply(
        [Put(at("x.flac", FAST), song(1, audio=7 * bool(audio))), Put(at("x.flac", SLOW), song(1, audio=audio))]
    )
    assert files(world) == {"K/A.flac": FAST}
    opened: list[list[str]] = []

    class Opening(Sources):
        def __init__(self) -> None:
            """Nothing is read here."""

        def open(self, source: Source, start: int, size: int, others: tuple[Source, ...] = ()) -> Reader:
            opened.append([other.origin_id for other in others])
            return BlobReader(b"")

    Nodes(world.catalog, Opening(), 1 << 20, print).open(node_at(world, "K/A.flac"))
    assert opened == [others]
