"""Collections follow the library: what is looked at again, when, and what is left alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest

from musicfs.api.collections import CollectionSettings, CollectionSource
from musicfs.config.settings import DEFAULT_TEMPLATE, CollectionsSettings, CustomCollection
from musicfs.daemon.collection_control import CollectionControl
from musicfs.daemon.collection_definitions import Definitions
from musicfs.daemon.collections import Collections
from musicfs.errors import ConfigError, DiskFullError, ExistsError, IndexNotReadyError, NotFoundError, QueryError
from musicfs.index.evaluate import compile_query
from musicfs.index.syntax import Query
from musicfs.library.collecting import Collector
from musicfs.library.track_query import CatalogTrack
from musicfs.model import Rule
from musicfs.store.records import NodeKind, unpack_stored
from musicfs.store.state import open_state
from musicfs.vfs.paths import find
from musicfs.vfs.tree import TreeOptions
from musicfs.vfs.views import View
from tests.vfs.world import SECOND_NS, START_NS, Content, Key, Put, Remove, World

DAY_S = 86_400
NO_BUILT_IN = CollectionsSettings(builtin=False)


class Index:
    """All matches, by the reference; ``asked`` counts the questions."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.asked: list[Query] = []
        self.error: Exception | None = None
        self.takes_s = 0.0

    def ids(self, query: Query, *, now_ns: int) -> Sequence[int]:
        self.asked.append(query)
        self._world.clock.now_ns += int(self.takes_s * SECOND_NS)
        if self.error is not None:
            raise self.error
        catalog = self._world.catalog
        matches = compile_query(query, now_ns)
        found = []
        for object_id, record in catalog.objects_from(0, 10_000):
            facts = unpack_stored(record.facts)
            if facts is None or catalog.track_of(object_id)[0] != object_id:
                continue
            if matches(CatalogTrack(catalog, {}, facts, partial(catalog.track_of, object_id), plays_of)):
                found.append(object_id)
        return found


def plays_of(audio_id: int) -> tuple[int, int]:
    return PLAYS.get(audio_id, (0, 0))


PLAYS = {7: (3, START_NS), 8: (5, START_NS)}


def _no_damage(error: Exception) -> None:
    raise AssertionError("nothing is damaged") from error


class Setting:
    """A world, and the collections in it."""

    def __init__(self, folder: Path, settings: CollectionsSettings, *, windows_names: bool = False) -> None:
        policy = "windows" if windows_names else "posix"
        self.world = World(
            folder / "catalog",
            (View(0, "", DEFAULT_TEMPLATE, folders=False, names=policy),),
            TreeOptions(ignore_case=windows_names),
        )
        self.state = open_state(str(folder / "state"))
        self.index = Index(self.world)
        self.commits = 0
        self.begin(settings, windows_names=windows_names)

    def begin(self, settings: CollectionsSettings, *, windows_names: bool = False) -> None:
        """As a new keeper does."""
        self.definitions = Definitions(settings, self.state, self.world.clock)
        self.collections = Collections(
            self.world.catalog,
            Collector(self.world.catalog, self.index, plays_of),
            self.definitions.all,
            settings.directory,
            self.world.clock,
            self._committed,
            _no_damage,
            windows_names=windows_names,
        )
        self.control = CollectionControl(self.definitions, self.world.catalog, self.collections.note_redefined)

    def _committed(self) -> None:
        self.commits += 1

    def apply(self, *steps: Put | Remove) -> None:
        """A scan writes, and the index follows."""
        before = {file.object_id for file in self.world.files.values()}
        self.world.apply(steps)
        keys = {step.key for step in steps}
        changed = {file.object_id for key, file in self.world.files.items() if key in keys}
        gone = before - {file.object_id for file in self.world.files.values()}
        self.collections.note_indexed(changed | gone)
        self.collections.follow()

    def wait(self, seconds: float) -> float:
        self.world.clock.now_ns += int(seconds * SECOND_NS)
        return self.collections.follow()

    def names(self, path: str) -> list[str]:
        """What a folder lists, markers left out; nothing if it is not there."""
        folder = find(self.world.catalog, path.encode())
        listing = self.world.catalog.list_folder(folder.inode) if folder is not None else []
        return [name.decode() for name, _, _ in listing if not name.startswith(b".")]

    def close(self) -> None:
        self.state.close()
        self.world.close()


@contextmanager
def setting(
    folder: Path, settings: CollectionsSettings = NO_BUILT_IN, *, windows_names: bool = False
) -> Iterator[Setting]:
    made = Setting(folder, settings, windows_names=windows_names)
    try:
        yield made
    finally:
        made.close()


def key(number: int) -> Key:
    return 1, b"f", b"%d.flac" % number


def put(number: int, artist: str = "X", title: str = "", audio: int = 0, **tags: str) -> Put:
    told = {"artist": artist, "title": title or f"T{number}", **tags}
    return Put(key(number), Content(tuple(told.items()), audio=audio))


def test_built_in_ones_appear_once_something_is_in_them(tmp_path: Path) -> None:
    with setting(tmp_path, CollectionsSettings()) as one:
        one.collections.follow()
        assert one.names("/") == []
        one.apply(put(1, date="1985"), put(2, date="1991-05", title="Later"))
        assert one.names("/") == [
            "80s Music", "80s Music.m3u8", "90s Music", "90s Music.m3u8", "Recently Added", "Recently Added.m3u8", "X",
        ]  # fmt: skip
        assert one.names("/80s Music") == ["001. T1.flac"]
        assert one.names("/90s Music") == ["001. Later.flac"]
        assert one.names("/Recently Added") == ["001. Later.flac", "002. T1.flac"], "equally new: by title"
        one.apply(put(1, date="1990"))
        assert one.names("/80s Music") == []
        assert "80s Music" not in one.names("/")
        assert one.names("/90s Music") == ["001. Later.flac", "002. T1.flac"]


def test_only_what_a_change_concerns_is_asked_again(tmp_path: Path) -> None:
    with setting(tmp_path, CollectionsSettings()) as one:
        one.apply(put(1, date="1985"), put(2, date="1995"))
        one.wait(100)
        one.index.asked.clear()
        one.apply(put(3, date="1986"))
        assert len(one.index.asked) == 2, "the eighties, and what is new"
        one.wait(100)
        one.index.asked.clear()
        commits = one.commits
        one.collections.note_indexed({12345})
        one.collections.follow()
        assert one.index.asked == []
        one.collections.note_indexed(None)
        one.wait(100)
        assert len(one.index.asked) == 3
        assert one.commits == commits, "nothing is other than it was"


def test_a_path_that_changes_changes_the_playlist(tmp_path: Path) -> None:
    with setting(
        tmp_path, CollectionsSettings(builtin=False, custom=(CustomCollection(name="All", query="*"),))
    ) as one:
        one.apply(put(1, album="Old"))
        one.apply(put(1, album="New"))
        playlist = find(one.world.catalog, b"/All.m3u8")
        assert playlist is not None
        assert b"X/New" in (one.world.catalog.blob(playlist.ref) or b"")


def test_time_takes_tracks_out(tmp_path: Path) -> None:
    with setting(tmp_path, CollectionsSettings()) as one:
        one.apply(put(1))
        wait_s = one.wait(0)
        assert 29 * DAY_S < wait_s <= 30 * DAY_S, "nothing is looked at before"
        assert one.names("/Recently Added") == ["001. T1.flac"]
        assert one.wait(wait_s - 5) <= 5
        assert one.names("/Recently Added") == ["001. T1.flac"]
        one.wait(6)
        assert one.names("/Recently Added") == []


def test_ages_are_looked_at_every_minute_at_most(tmp_path: Path) -> None:
    custom = CustomCollection(name="Rested", query="added:<10s")
    with setting(tmp_path, CollectionsSettings(builtin=False, custom=(custom,))) as one:
        one.apply(put(1))
        asked = len(one.index.asked)
        one.wait(30)
        assert len(one.index.asked) == asked
        one.wait(31)
        assert one.names("/Rested") == ["001. T1.flac"]


def test_a_library_that_changes_all_the_time_costs_a_tenth_at_most(tmp_path: Path) -> None:
    with setting(
        tmp_path, CollectionsSettings(builtin=False, custom=(CustomCollection(name="All", query="*"),))
    ) as one:
        one.index.takes_s = 2.0
        one.apply(put(1))
        asked = len(one.index.asked)
        one.apply(put(2))
        assert len(one.index.asked) == asked
        assert one.names("/All") == ["001. T1.flac"]
        assert 10 < one.wait(0) <= 20
        one.wait(20)
        assert one.names("/All") == ["001. T1.flac", "002. T2.flac"]


@pytest.mark.parametrize("error", [IndexNotReadyError("it is being built"), None])
def test_without_an_index_everything_stays(tmp_path: Path, error: Exception | None) -> None:
    with setting(tmp_path, CollectionsSettings()) as one:
        one.apply(put(1, date="1985"))
        one.index.error = error
        one.begin(CollectionsSettings())
        one.collections.note_indexed(None)
        one.wait(100)
        assert one.names("/80s Music") == ["001. T1.flac"]


def test_what_a_restart_finds_in_order_it_does_not_write(tmp_path: Path) -> None:
    with setting(tmp_path, CollectionsSettings()) as one:
        one.apply(put(1, date="1985"))
        before, commits = one.world.catalog.last_change(), one.commits
        one.begin(CollectionsSettings())
        one.collections.follow()
        assert (one.world.catalog.last_change(), one.commits) == (before, commits)


def test_the_configuration_moves_and_ends_them(tmp_path: Path) -> None:
    with setting(tmp_path, CollectionsSettings()) as one:
        one.apply(put(1, date="1985"))
        one.begin(CollectionsSettings(directory=".collections"))
        one.collections.follow()
        assert one.names("/") == ["X"]
        assert one.names("/.collections/80s Music") == ["001. T1.flac"]
        one.begin(NO_BUILT_IN)
        one.collections.follow()
        assert find(one.world.catalog, b"/.collections") is None


def test_a_custom_one_stands_for_the_built_in_one_of_its_name(tmp_path: Path) -> None:
    custom = CustomCollection(name="80s Music", rule={"date": ["1979", "1989"]}, sort="-year")
    with setting(tmp_path, CollectionsSettings(custom=(custom,))) as one:
        one.apply(put(1, date="1979"), put(2, date="1985"))
        assert one.names("/80s Music") == ["001. T2.flac", "002. T1.flac"]
        assert [found.name for found in one.control.collections()] == ["80s Music", "90s Music", "Recently Added"]


def test_the_most_played_come_first(tmp_path: Path) -> None:
    custom = CustomCollection(name="Top", rule={"most_played": 2})
    with setting(tmp_path, CollectionsSettings(builtin=False, custom=(custom,))) as one:
        one.apply(put(1), put(2, audio=7), put(3, audio=8))
        assert one.names("/Top") == ["001. T3.flac", "002. T2.flac"]


def test_users_make_show_change_and_delete_them(tmp_path: Path) -> None:
    with setting(tmp_path) as one:
        one.apply(put(1, genre="Jazz", album="A"), put(2, genre="Rock"))
        made = one.control.create_collection("Mine", CollectionSettings(query="genre:jazz"), replace=False)
        assert (made.source, made.count, made.path) == (CollectionSource.USER, 0, "")
        one.collections.follow()
        assert one.names("/Mine") == ["001. T1.flac"]
        page = one.control.collection("Mine", 0, 10)
        assert [(hit.title, hit.path) for hit in page.entries] == [("T1", "/X/A [FLAC]/00 - T1.flac")]
        assert (page.collection.count, page.collection.path) == (1, "/Mine")
        with pytest.raises(ExistsError):
            one.control.create_collection("Mine", CollectionSettings(query="a"), replace=False)
        inode = find(one.world.catalog, b"/Mine")
        one.control.create_collection("Mine", CollectionSettings(rule=Rule(genre="rock")), replace=True)
        one.wait(1)
        assert one.names("/Mine") == ["001. T2.flac"]
        after = find(one.world.catalog, b"/Mine")
        assert inode is not None and after is not None and inode.inode == after.inode
        one.begin(NO_BUILT_IN)
        one.collections.follow()
        assert one.names("/Mine") == ["001. T2.flac"], "it is kept"
        one.control.delete_collection("Mine")
        one.collections.follow()
        assert one.names("/") == ["X"]
        with pytest.raises(NotFoundError):
            one.control.collection("Mine", 0, 10)


@pytest.mark.parametrize(
    ("name", "asked", "error"),
    [
        ("a/b", CollectionSettings(query="x"), ConfigError),
        (".a", CollectionSettings(query="x"), ConfigError),
        (" ", CollectionSettings(query="x"), ConfigError),
        ("ä" * 126, CollectionSettings(query="x"), ConfigError),
        ("a", CollectionSettings(query="(x"), QueryError),
        ("a", CollectionSettings(), ConfigError),
        ("a", CollectionSettings(query="x", sort="y"), ConfigError),
        ("a", CollectionSettings(query="x", limit=10_001), ConfigError),
        ("80s Music", CollectionSettings(query="x"), ExistsError),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, name: str, asked: CollectionSettings, error: type[Exception]
) -> None:
    with setting(tmp_path, CollectionsSettings()) as one:
        with pytest.raises(error):
            one.control.create_collection(name, asked, replace=True)
        assert one.state.collections() == []
        with pytest.raises(ConfigError):
            one.control.delete_collection("80s Music")
        with pytest.raises(NotFoundError):
            one.control.delete_collection("none")


@pytest.mark.expects_log("the collection 'Odd' is not shown")
def test_what_another_version_stored_is_kept(tmp_path: Path) -> None:
    with setting(tmp_path) as one:
        one.control.create_collection("Odd", CollectionSettings(query="x"), replace=False)
        stored = one.state.collections()[0]
        one.state.put_collection(msgspec.structs.replace(stored, query="no:such"))
        one.collections.note_redefined()
        one.collections.follow()
        assert one.names("/") == []
        assert len(one.state.collections()) == 1


def test_an_artist_takes_a_name_and_gives_it_back(tmp_path: Path) -> None:
    custom = CustomCollection(name="Jazz", query="genre:jazz")
    with setting(tmp_path, CollectionsSettings(builtin=False, custom=(custom,)), windows_names=True) as one:
        one.apply(put(1, genre="Jazz"))
        one.apply(put(2, artist="JAZZ"))
        assert one.names("/") == ["JAZZ", "Jazz (2)", "Jazz (2).m3u8", "X"]
        assert one.control.collections()[0].path == "/Jazz (2)"
        one.apply(Remove(key(2)))
        assert one.names("/") == ["Jazz", "Jazz.m3u8", "X"]


def test_a_limit_keeps_the_first(tmp_path: Path) -> None:
    custom = CustomCollection(name="Few", query="*", sort="-title", limit=2)
    with setting(tmp_path, CollectionsSettings(builtin=False, custom=(custom,))) as one:
        one.apply(*(put(number) for number in range(5)))
        assert one.names("/Few") == ["001. T4.flac", "002. T3.flac"]
        one.apply(Remove(key(4)))
        assert one.names("/Few") == ["001. T3.flac", "002. T2.flac"]
        links = find(one.world.catalog, b"/Few")
        assert links is not None
        assert sum(kind == NodeKind.LINK for _, _, kind in one.world.catalog.list_folder(links.inode)) == 2


class Waiting:
    """The real thread waits for a real event, at most this long."""

    def __init__(self, world: World) -> None:
        self._clock = world.clock
        self.waited = threading.Semaphore(0)

    def time_ns(self) -> int:
        return self._clock.time_ns()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.waited.release()
        return event.wait(10)


@pytest.mark.expects_log("collections wait for room")
@pytest.mark.expects_log("collections stay as they are for now")
def test_the_thread_survives_what_fails(tmp_path: Path) -> None:
    with setting(
        tmp_path, CollectionsSettings(builtin=False, custom=(CustomCollection(name="All", query="*"),))
    ) as one:
        one.world.apply([put(1)])
        clock = Waiting(one.world)
        collector = Collector(one.world.catalog, one.index, plays_of)
        service = Collections(one.world.catalog, collector, one.definitions.all, "", clock, lambda: None, _no_damage)
        one.index.error = DiskFullError("the disk is full")
        service.start()
        try:
            assert clock.waited.acquire(timeout=10)
            one.index.error = RuntimeError("a bug")
            service.note_indexed(None)
            assert clock.waited.acquire(timeout=10)
            one.index.error = None
            service.note_indexed(None)
            assert clock.waited.acquire(timeout=10)
            assert one.names("/All") == ["001. T1.flac"]
        finally:
            service.close()
