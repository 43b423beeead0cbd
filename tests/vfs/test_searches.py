"""``/.search``: what a name finds, how links are called and where they lead, and what stays while the index changes."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import pytest

from musicfs.errors import ChangedError, IndexNotReadyError, NameTooLongError, StoreError
from musicfs.store.records import Node, NodeKind
from musicfs.store.schema import ROOT_INODE
from musicfs.vfs import results, searches
from musicfs.vfs.entries import SEARCH_ROOT
from musicfs.vfs.inodes import FIRST_MADE_UP, is_search, search_inode
from musicfs.vfs.links import link_name, link_position, number_width, relative_target
from musicfs.vfs.mirror import is_mirrored
from musicfs.vfs.paths import find
from musicfs.vfs.probes import is_probe
from musicfs.vfs.searches import Searches
from musicfs.vfs.tree import TreeOptions
from musicfs.vfs.views import View
from tests.vfs.finding import CatalogFinder
from tests.vfs.world import SECOND_NS, Key, Put, Remove, World, content

VIEW = View(0, "", "$artist/$album/$track - $title.$format", folders=False, names="posix")
TOP = SEARCH_ROOT.inode


def key(name: str, origin: int = 1) -> Key:
    return origin, b"m", name.encode()


class Place:
    """A library with a search folder, whose lock can be looked at."""

    def __init__(self, world: World, names: str = "posix") -> None:
        self.world = world
        self.finder = CatalogFinder(world.catalog)
        self.let_go = 0
        self.searches = Searches(world.catalog, self.finder, names, self._released, world.clock)

    @contextlib.contextmanager
    def _released(self) -> Iterator[None]:
        self.let_go += 1
        yield

    def folder(self, *names: str, inode: int = TOP) -> Node:
        """The folder that is found by walking these names."""
        node: Node | None = SEARCH_ROOT
        for name in names:
            node = self.searches.get(inode, name.encode())
            assert node is not None, name
            inode = node.inode
        assert node is not None
        assert node.kind == NodeKind.FOLDER
        return node

    def names(self, *query: str) -> list[str]:
        return [
            name.decode("utf-8", "surrogateescape") for name, _, _ in self.searches.listing(self.folder(*query).inode)
        ]

    def check(self, *query: str) -> list[str]:
        """What a folder's links lead to; all that a folder must be is checked on the way."""
        folder = self.folder(*query)
        at = PurePosixPath("/.search", *(name.replace("/", "_") for name in query))
        listing = self.searches.listing(folder.inode)
        assert [name for name, _, _ in listing] == sorted({name for name, _, _ in listing})
        found = []
        for name, inode, kind in listing:
            link = self.searches.get(folder.inode, name)
            assert link is not None
            assert (link.inode, link.kind, link.parent, link.name) == (inode, kind, folder.inode, name)
            assert kind == NodeKind.LINK
            assert is_search(inode)
            assert len(name) <= 255
            assert self.searches.lookup(inode) == link
            target = self.searches.target(inode)
            assert link.size == len(target)
            parts: list[bytes] = [part.encode() for part in at.parts[1:]]
            for part in target.split(b"/"):
                if part == b"..":
                    parts.pop()
                else:
                    parts.append(part)
            path = b"/".join(parts)
            track = find(self.world.catalog, path)
            assert track is not None, path
            assert track.kind == NodeKind.OBJECT
            assert link.mtime_ns == track.mtime_ns
            found.append(path.decode("utf-8", "surrogateescape"))
        assert len({inode for _, inode, _ in listing}) == len(listing)
        return found


Make = Callable[..., Place]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[World] = []

    def build(*steps: Put, view: View = VIEW, names: str = "posix") -> Place:
        made.append(World(tmp_path / str(len(made)), (view,), TreeOptions()))
        made[-1].apply(steps)
        return Place(made[-1], names)

    yield build
    for world in made:
        world.close()


@pytest.fixture
def place(make: Make) -> Place:
    return make(
        Put(
            key("1.flac"),
            content(artist="Miles Davis", album="Blue", title="So What", genre="Jazz", date="1959", track="1"),
        ),
        Put(
            key("2.flac"),
            content(artist="Miles Davis", album="Blue", title="All", genre="Jazz", date="1959", track="2"),
        ),
        Put(
            key("3.flac"),
            content(artist="AC/DC", album="Back", title="Hells Bells", genre="Rock", date="1980", track="1"),
        ),
        Put(key("4.flac"), content(artist="Weather Report", album="8:30", title="Birdland", genre="Jazz", date="1979")),
    )


# Names.


def test_names_of_links() -> None:
    assert link_name(1, 3, "A - B", ".flac", "posix") == b"001. A - B.flac"
    assert link_name(1000, 4, "A", "", "posix") == b"1000. A"
    assert link_name(7, 3, "a/b\0", ".mp3", "posix") == b"007. a_b_.mp3"
    assert link_name(7, 3, "a?", ".mp3", "windows") == b"007. a_.mp3"
    assert link_name(7, 3, "nul", ".mp3", "windows") == b"007. nul.mp3"
    assert link_name(1, 3, "...", "", "posix") == b"001. ..."
    long = link_name(1, 3, "é" * 300, ".flac", "posix")
    assert len(long) <= 255
    assert long.endswith(b".flac")
    assert long.decode().startswith("001. éé")
    assert [number_width(count) for count in (0, 9, 999, 1000, 10_000)] == [3, 3, 3, 4, 5]
    assert [link_position(name) for name in (b"001. x", b"1000. x", b"01. x", b"001.x", b"x", b"000. x")] == [
        1,
        1000,
    ] + 4 * [0]
    assert relative_target(2, b"/A/B") == b"../../A/B"


def test_numbers_below_search_are_of_nobody_else() -> None:
    for name in (b"a", b"b"):
        inode = search_inode(TOP, name, b"")
        assert FIRST_MADE_UP < inode < 1 << 63
        assert is_search(inode)
        assert not is_mirrored(inode)
    assert not is_search(ROOT_INODE)
    assert not is_search(FIRST_MADE_UP - 1)
    assert not is_search((1 << 63) | ROOT_INODE)


@pytest.mark.parametrize(
    "name",
    [".git", ".Trash-1000", "._x", ".DS_Store", "..x", "desktop.ini", "Thumbs.db", "autorun.inf", "folder.jpg", "Cover.PNG",
     "AlbumArt_{B5020207}_Large.jpg", "AlbumArtSmall.jpg", "album.nfo", "CVS", "_darcs", "lost+found", "$RECYCLE.BIN"],
)  # fmt: skip
def test_what_programs_look_for_is_not_searched(place: Place, name: str) -> None:
    assert is_probe(name)
    assert place.searches.get(TOP, name.encode()) is None
    assert place.searches.get(place.folder("jazz").inode, name.encode()) is None
    assert len(place.finder.searched) == 1


@pytest.mark.parametrize(
    "name", ["jazz", "path:cover.jpg", '"cover.jpg"', "mr. blue", "-x", "*", "R.E.M.", "contents", "1979"]
)
def test_what_people_look_for_is(place: Place, name: str) -> None:
    assert place.folder(name).kind == NodeKind.FOLDER
    assert len(place.finder.searched) == 1


@pytest.mark.parametrize(
    "name", [b"artits:x", b"(", b"year:[1980", b"\xff", b"a\xc3", b'"', b"001. x.flac", b"1979. x"]
)
def test_what_cannot_be_asked_is_not_there(place: Place, name: bytes) -> None:
    assert place.searches.get(TOP, name) is None
    assert place.searches.get(place.folder("jazz").inode, name) is None
    assert len(place.finder.searched) == 1


# What is found.


def test_a_search_finds_links_to_tracks(place: Place) -> None:
    assert place.names("artist:miles") == ["001. Miles Davis - So What.flac", "002. Miles Davis - All.flac"]
    assert place.check("artist:miles") == ["Miles Davis/Blue/01 - So What.flac", "Miles Davis/Blue/02 - All.flac"]
    assert place.names("hells") == ["001. AC_DC - Hells Bells.flac"]
    assert place.check("nothing of the kind") == []
    assert place.searches.listing(TOP) == ()
    assert place.let_go == len(place.finder.searched) == 3


def test_best_comes_first(place: Place) -> None:
    place.finder.is_reversed = True
    assert place.names("genre:jazz")[0] == "001. Weather Report - Birdland.flac"


def test_nested_folders_narrow(place: Place) -> None:
    assert place.check("genre:jazz", "year:[1970 TO 1979]") == ["Weather Report/8:30/00 - Birdland.flac"]
    assert len(place.check("genre:jazz", "miles", "all")) == 1
    assert place.check("genre:jazz", "genre:rock") == []
    assert len(place.check("jazz OR rock", "miles")) == 2  # and not: jazz or (rock and miles)
    assert len(place.check("rock OR jazz", "bells OR miles")) == 3


def test_a_slash_and_a_percent_sign_can_be_asked(place: Place) -> None:
    assert place.names("ac%2Fdc") == place.names("ac%2fdc") == ["001. AC_DC - Hells Bells.flac"]
    assert place.names("artist:%22") == place.names("50%") == place.names("%252F") == []
    assert "%2F" in str(place.finder.searched[-1])


def test_names_are_as_good_as_the_trees(make: Make) -> None:
    place = make(
        Put(key("1.flac"), content(artist="A", title="", album="K")),
        Put(key("own name.mp3"), content(title="", comment="x")),
        Put(key("3.flac"), content(artist="Ünï", title="Zoë \"x\" (y) [z] 'w' / ?", album="K")),
        Put(key("4.flac"), content(artist="ア" * 100, title="é" * 100, album="K")),
        Put(key("5.flac"), content(artist="A", title="Same", album="K")),
        Put(key("6.flac"), content(artist="A", title="Same", album="K")),
    )
    names = place.names("*")
    assert names[:3] == [
        "001. A - 1.flac",
        "002. Unknown Artist - own name.flac",
        "003. Ünï - Zoë \"x\" (y) [z] 'w' _ ?.flac",
    ]
    assert names[4:] == ["005. A - Same.flac", "006. A - Same.flac"]
    assert len(place.check("*")) == 6
    windows = Place(place.world, "windows")
    assert windows.names("*")[2] == "003. Ünï - Zoë _x_ (y) [z] 'w' _ _.flac"


def test_one_link_for_one_track(make: Make) -> None:
    same = content(artist="A", title="T", album="K", audio=7)
    place = make(Put(key("1.flac"), same), Put(key("1.flac", 2), same))
    place.finder.version = 1
    assert place.check("*") == ["A/K/00 - T.flac"]


def test_a_thousand_at_most(make: Make) -> None:
    steps = [Put(key(f"{number}.flac"), content(artist="A", album="K", title=f"T{number}")) for number in range(1005)]
    place = make(*steps)
    names = place.names("*")
    assert len(names) == 1000
    assert (names[0], names[-1]) == ("0001. A - T0.flac", "1000. A - T999.flac")
    assert len(place.check("*")) == 1000


def test_a_query_has_256_characters_at_most(place: Place) -> None:
    assert place.names("ü" * 256) == []
    assert place.names("%2F" + "a" * 255) == []  # a character when it is read
    for inode in (TOP, place.folder("jazz").inode):
        with pytest.raises(NameTooLongError) as error:
            place.searches.get(inode, b"a" * 257)
        assert error.value.errno == errno.ENAMETOOLONG


def test_searches_lie_in_each_other_to_some_depth(place: Place) -> None:
    inode = place.folder(*["jazz"] * 31).inode
    with pytest.raises(NameTooLongError):
        place.searches.get(inode, b"jazz")


# Sharing and keeping.


def test_equal_queries_are_searched_once(place: Place) -> None:
    first, second = place.folder("genre:jazz"), place.folder("GENRE:jazz")
    assert first.inode != second.inode  # the kernel wants a folder to have one name
    place.names("genre:jazz")
    place.folder("genre:jazz")
    place.folder(" genre:jazz ")
    assert len(place.finder.searched) == 1
    assert first.mtime_ns == second.mtime_ns == place.world.clock.now_ns


def test_a_result_is_kept_for_five_minutes(place: Place) -> None:
    made_ns = place.folder("jazz").mtime_ns
    place.world.clock.now_ns += 299 * SECOND_NS
    assert place.folder("jazz").mtime_ns == made_ns
    place.world.clock.now_ns += 2 * SECOND_NS
    inode = place.folder("jazz").inode
    assert place.searches.lookup(inode).mtime_ns == made_ns + 301 * SECOND_NS
    assert len(place.finder.searched) == 2


def test_a_new_index_is_searched_anew(place: Place) -> None:
    assert len(place.check("jazz")) == 3
    place.world.apply([Put(key("5.flac"), content(artist="Z", album="Z", title="Z", genre="Jazz"))])
    assert len(place.check("jazz")) == 3
    place.finder.version += 1
    assert len(place.check("jazz")) == 4


def test_who_asks_for_what_is_being_searched_waits_for_it(place: Place) -> None:
    place.finder.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(place.names, "jazz") for _ in range(8)]
        assert place.finder.entered.wait(10)
        assert place.searches.lookup(TOP) == SEARCH_ROOT  # nobody is locked out meanwhile
        place.finder.gate.set()
        assert {tuple(one.result(10)) for one in asked} == {tuple(place.names("jazz"))}
    assert len(place.finder.searched) == 1


def test_a_failure_reaches_all_who_wait_and_is_not_kept(place: Place) -> None:
    place.finder.gate.clear()
    place.finder.error = StoreError("the index is damaged")
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(place.folder, "jazz") for _ in range(4)]
        assert place.finder.entered.wait(10)
        place.finder.gate.set()
        for one in asked:
            with pytest.raises(StoreError, match="damaged"):
                one.result(10)
    place.finder.error = None
    assert len(place.names("jazz")) == 3


def test_no_index_is_a_matter_of_time(place: Place) -> None:
    place.finder.version = 0
    with pytest.raises(IndexNotReadyError) as error:
        place.searches.get(TOP, b"jazz")
    assert error.value.errno == errno.EAGAIN
    assert place.searches.get(TOP, b".git") is None
    place.finder.version = 1
    assert len(place.names("jazz")) == 3


def test_what_was_listed_can_be_resolved_while_the_index_changes(place: Place) -> None:
    folder = place.folder("jazz").inode
    before = place.searches.listing(folder)
    place.world.apply([Remove(key("1.flac"))])
    place.finder.version += 1
    place.finder.is_reversed = True
    after = place.searches.listing(folder)
    assert len(after) == 2
    assert place.searches.get(folder, before[0][0]) is None  # this track is gone
    link = place.searches.get(folder, before[1][0])
    assert link is not None
    assert link.inode == before[1][1]
    assert place.searches.target(link.inode) == b"../../Miles Davis/Blue/02 - All.flac"
    searched = len(place.finder.searched)
    assert place.searches.get(folder, b"009. x.flac") is None
    assert len(place.finder.searched) == searched
    place.world.clock.now_ns += 601 * SECOND_NS
    place.searches.rest()
    assert place.searches.get(folder, before[2][0]) is None


def test_a_link_leads_to_where_its_track_is_now(place: Place) -> None:
    folder = place.folder("bells").inode
    ((name, inode, _),) = place.searches.listing(folder)
    old = place.searches.get(folder, name)
    assert old is not None
    place.world.apply(
        [Put(key("3.flac"), content(artist="AC/DC", album="Black", title="Hells Bells", track="1", size=5))]
    )
    link = place.searches.get(folder, name)
    assert link is not None
    assert link.inode != inode
    assert place.searches.target(link.inode) == b"../../AC_DC/Black/01 - Hells Bells.flac"
    assert link.size == len(place.searches.target(link.inode))


def test_what_is_forgotten_is_outdated(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searches, "_FOLDERS_KEPT", 2)
    monkeypatch.setattr(searches, "_LINKS_KEPT", 2)
    folder = place.folder("jazz").inode
    links = [place.searches.get(folder, name) for name, _, _ in place.searches.listing(folder)]
    assert links[0] is not None
    for ask in (place.searches.lookup, place.searches.target):
        with pytest.raises(ChangedError) as error:
            ask(links[0].inode)
        assert error.value.errno == errno.ESTALE
    again = place.searches.get(folder, links[0].name)
    assert again == links[0]
    place.folder("rock")
    place.folder("blue")
    forgotten: tuple[Callable[[int], object], ...] = (
        place.searches.lookup,
        place.searches.listing,
        place.searches.target,
    )
    for look in forgotten:
        with pytest.raises(ChangedError):
            look(folder)
    assert place.folder("jazz").inode == folder


def test_memory_is_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "_LINKS_KEPT", 100)
    for number in range(50):
        place.folder(f"jazz OR {number}")
    kept = place.searches._results._kept
    assert 3 < len(kept) < 10
    assert place.searches._results._links == sum(len(one.names) + 10 for found in kept.values() for one in found)
    folder = place.folder("jazz").inode
    link = place.searches.get(folder, b"001. Miles Davis - So What.flac")
    assert link is not None
    place.searches.rest()
    assert place.searches.lookup(link.inode) == link
    place.world.clock.now_ns += 3600 * SECOND_NS
    place.searches.rest()
    assert not kept
    with pytest.raises(ChangedError):
        place.searches.lookup(link.inode)
    assert place.searches._results._links == 0


def test_many_ask_many_things_at_once(place: Place) -> None:
    queries = [("jazz", f"-{number}x") for number in range(40)] + [("rock",)] * 10
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda query: len(place.check(*query)), queries))
    assert found == [3] * 40 + [1] * 10


def test_numbers_that_collide_are_told_apart(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def crowded(parent: int, name: bytes, what: bytes, salt: int = 0) -> int:
        return FIRST_MADE_UP | (2 + salt)

    monkeypatch.setattr(searches, "search_inode", crowded)
    jazz, rock = place.folder("jazz"), place.folder("rock")
    assert jazz.inode != rock.inode
    first = place.searches.get(jazz.inode, b"001. Miles Davis - So What.flac")
    assert first is not None
    assert len({jazz.inode, rock.inode, first.inode}) == 3
    assert place.folder("jazz") == jazz
    assert place.searches.lookup(first.inode) == first
