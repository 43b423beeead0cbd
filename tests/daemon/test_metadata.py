"""What clients ask of tags and change of them, as the API's Protocol promises it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.api.metadata import (
    Cover,
    FieldChange,
    MetadataChange,
    Served,
)
from musicfs.errors import ConfigError, DiskFullError, NotFoundError
from musicfs.events import EventType
from musicfs.store.transaction import WriteTransaction
from tests.daemon.tag_library import (
    COVER,
    ONE,
    OPAQUE,
    PICTURE,
    THREE,
    TWO,
    A,
    B,
    C,
    Library,
    given,
    listed,
)
from tests.vfs.corrected import REFUSED
from tests.vfs.oracle import check_tree
from tests.vfs.world import Remove


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    library = Library(tmp_path / "world")
    yield library
    library.events.close()
    library.world.close()


# One track.


def test_everything_known_about_a_track(library: Library) -> None:
    own = library.control.metadata(ONE, 0)
    assert own == library.control.metadata("", library.world.ids[A])
    assert (own.path, own.origin_id, own.origin_path, own.format) == (ONE, "origin1", "m/a.flac", "flac")
    assert own.own == own.effective
    assert (own.overlay, own.cover, own.served, own.changed_ms, own.author) == ({}, Cover.OWN, Served.ORIGINAL, 0, "")
    library.change(MetadataChange(path=ONE, set={"title": ("Eins", "Uno"), "date": ()}, cover=COVER))
    now = library.control.metadata("/X/Eins.flac", 0)
    assert now.own == own.own
    assert now.overlay == {"title": ("Eins", "Uno"), "date": ()}
    assert now.effective == {**{k: v for k, v in own.own.items() if k != "date"}, "title": ("Eins", "Uno")}
    assert (now.cover, now.served, now.reason, now.author) == (Cover.SET, Served.CORRECTED, "", "me")
    assert now.changed_ms == library.world.clock.now_ns // 10**6


def test_what_is_no_track(library: Library) -> None:
    for path, file_id in (("/X", 0), ("/X/nothing.flac", 0), ("", 99), ("", library.world.ids[PICTURE])):
        with pytest.raises(NotFoundError):
            library.control.metadata(path, file_id)


def test_how_it_is_served(library: Library) -> None:
    library.set(ONE, title=REFUSED)
    found = library.control.metadata("", library.world.ids[A])
    assert (found.served, REFUSED in found.reason) == (Served.PLAIN, True)
    library.world.renderer.down = {2}
    result = library.set(THREE, title="Drei")
    found = library.control.metadata(result.new_path, 0)
    assert (found.served, found.reason, result.reason) == (Served.PENDING, "the origin is down", "the origin is down")
    [result] = library.change(MetadataChange(file_id=library.world.ids[OPAQUE], set=given(title="Noise")))
    assert result.reason == "its own tags could not be read"
    assert library.control.metadata(result.new_path, 0).served == Served.PLAIN
    [result] = library.change(MetadataChange(file_id=library.world.ids[A], revert_all=True))
    found = library.control.metadata(result.new_path, 0)
    assert (found.served, found.reason, result.new_path) == (Served.ORIGINAL, "", ONE)


# Many.


def test_tracks_and_queries(library: Library) -> None:
    everything = listed(library.control.tracks((), ""))
    assert everything == ["/Unknown Artist/Unknown Album/broken.mp3", ONE, TWO, THREE]
    assert listed(library.control.tracks(("/Y", "/X/Two.flac", "/X"), "")) == [THREE, TWO, ONE]
    assert listed(library.control.tracks((), "year:1990")) == [ONE, THREE]
    assert listed(library.control.tracks(("/X",), "year:1990")) == [ONE]
    library.set(ONE, date="2001")
    assert listed(library.control.tracks((), "year:2001")) == [ONE], "by what it reads now"
    assert listed(library.control.tracks((), "year:1990")) == [THREE]
    with pytest.raises(ConfigError, match="column"):
        list(library.control.tracks((), "year:["))
    with pytest.raises(NotFoundError):
        list(library.control.tracks(("/X", "/nowhere"), ""))


def test_a_change_of_a_folder(library: Library) -> None:
    results = library.change(
        MetadataChange(path="/X", set=given(artist="Z")), MetadataChange(path=THREE, set=given(artist="Z"))
    )
    assert [(one.index, one.path, one.new_path, one.error) for one in results] == [
        (0, ONE, "/Z/One.flac", ""),
        (0, TWO, "/Z/Two.flac", ""),
        (1, THREE, "/Z/Three.flac", ""),
    ]
    assert results[0].changes == (FieldChange("artist", ("X",), ("Z",)),)
    assert [one.file_id for one in results] == [library.world.ids[key] for key in (A, B, C)]
    assert library.world.state.history(None, 10)[0].action == "set"


def test_a_query_narrows_what_paths_mean(library: Library) -> None:
    results = library.change(MetadataChange(path="/", set=given(genre="Jazz")), query="year:1990")
    assert [one.path for one in results] == [ONE, THREE]
    with pytest.raises(ConfigError, match="column"):
        library.change(MetadataChange(path="/", set=given(genre="Jazz")), query="year:[")


def test_one_track_several_times(library: Library) -> None:
    results = library.change(
        MetadataChange(path=ONE, set=given(title="Eins")),
        MetadataChange(path=TWO, set=given(title="Zwei")),
        MetadataChange(
            file_id=library.world.ids[A], set=given(title="One")
        ),  # as the file says: nothing, before the first
        MetadataChange(file_id=library.world.ids[A], set=given(genre="Jazz")),
        MetadataChange(path="/X", set=given(artist="Z")),
    )
    assert [(one.index, one.new_path) for one in results] == [
        (0, "/X/Eins.flac"), (1, "/X/Zwei.flac"), (2, ONE), (3, ONE), (4, "/Z/One.flac"), (4, "/Z/Zwei.flac"),
    ]  # fmt: skip
    assert results[2].changes == (FieldChange("title", ("Eins",), ("One",)),)
    assert (library.title(A), library.title(B)) == ("One", "Zwei")


def test_a_track_by_the_name_that_an_earlier_change_gives_it(library: Library) -> None:
    results = library.change(
        MetadataChange(path=ONE, set=given(title="Eins")), MetadataChange(path="/X/Eins.flac", set=given(genre="Jazz"))
    )
    assert [one.error for one in results] == ["", ""]
    assert library.control.metadata("/X/Eins.flac", 0).overlay == {"title": ("Eins",), "genre": ("Jazz",)}


def test_errors_do_not_stop_the_rest(library: Library) -> None:
    results = library.change(
        MetadataChange(path="/nowhere", set=given(title="x")),
        MetadataChange(path=ONE, set={"title": ("a\0b",)}),
        MetadataChange(path="/X", set={"compilation": ("perhaps",)}),
        MetadataChange(file_id=99, set=given(title="x")),
        MetadataChange(path=ONE, cover=b"no image"),
        MetadataChange(set=given(title="x")),
        MetadataChange(match={"title": "One", "mood": "calm"}, set=given(title="x")),
        MetadataChange(path=TWO, set=given(title="Zwei")),
    )
    assert [(one.index, bool(one.error)) for one in results] == [
        (0, True), (1, True), (2, True), (2, True), (3, True), (4, True), (5, True), (6, True), (7, False),
    ]  # fmt: skip
    assert results[1].path == ONE
    assert results[1].error.startswith("title: ")
    assert results[4].error.endswith("id 99")
    assert "cover" in results[5].error
    assert "title, mood" in results[7].error
    assert all(one.remedy for one in (results[1], results[5], results[6], results[7]))
    assert library.title(B) == "Zwei"
    assert len(library.world.state.history(None, 10)) == 1


def test_a_dry_run_says_all_and_does_nothing(library: Library) -> None:
    images = library.world.path.parent / "state" / "images"
    change = MetadataChange(path="/X", set=given(title="Same", date=""), cover=COVER)
    sequence = library.world.state.sequence
    said = library.change(change, dry_run=True)
    assert (library.world.state.sequence, list(images.iterdir())) == (sequence, [])
    assert [one.new_path for one in said] == ["", ""]
    assert listed(library.control.tracks(("/X",), "")) == [ONE, TWO]
    done = library.change(change)
    assert [(one.index, one.file_id, one.path, one.changes, one.cover_changed) for one in said] == [
        (one.index, one.file_id, one.path, one.changes, one.cover_changed) for one in done
    ]
    assert done[0].cover_changed
    assert [field.field for field in done[0].changes] == ["date", "title"]


def test_what_changes_nothing_is_a_result_without_changes(library: Library) -> None:
    events = library.events.subscribe()
    result = library.set(ONE, title="One")
    assert (result.changes, result.cover_changed, result.error, result.new_path) == ((), False, "", ONE)
    assert library.world.state.history(None, 10) == []
    library.set(ONE, title="Eins")
    library.change(MetadataChange(file_id=library.world.ids[A], remove_cover=True))
    told = [(one.type, one.path, one.details["fields"]) for one in iter(lambda: events.wait(0.0), None)]
    events.close()
    assert told == [
        (EventType.METADATA_CHANGED, "/X/Eins.flac", "title"),
        (EventType.METADATA_CHANGED, "/X/Eins.flac", "cover"),
    ]


def test_covers(library: Library) -> None:
    states = []
    for change in (
        MetadataChange(path=ONE, cover=COVER),
        MetadataChange(path=ONE, set=given(genre="Jazz")),
        MetadataChange(path=ONE, remove_cover=True),
        MetadataChange(path=ONE, revert_cover=True),
        MetadataChange(path=ONE, cover=COVER),
        MetadataChange(path=ONE, revert_all=True),
    ):
        [result] = library.change(change)
        states.append((library.control.metadata(ONE, 0).cover, result.cover_changed))
    assert states == [
        (Cover.SET, True), (Cover.SET, False), (Cover.REMOVED, True), (Cover.OWN, True), (Cover.SET, True),
        (Cover.OWN, True),
    ]  # fmt: skip


def test_only_so_much_is_done_as_is_asked_for(library: Library) -> None:
    changes = [MetadataChange(path=path, set=given(title=f"{path[3:]} 2")) for path in (ONE, TWO)]
    again = [MetadataChange(file_id=library.world.ids[A], set=given(title="3"))]
    stream = library.control.change_metadata([*changes, *again], query="", action="set", author="me", dry_run=False)
    assert next(stream) is not None
    stream.close()  # type: ignore[attr-defined] # a generator, though the Protocol does not say so
    assert library.title(A) == "One.flac 2"


def test_a_full_disk_ends_it(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise DiskFullError("no room")

    monkeypatch.setattr(library.world.state, "put_overlays", full)
    with pytest.raises(DiskFullError):
        library.set(ONE, title="Eins")
    assert library.title(A) == "One"


def test_a_track_that_goes_while_it_is_changed(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    apply = library.world.corrector.apply

    def late(*arguments: object, **options: object) -> object:
        library.world.scan([Remove(A)])
        return apply(*arguments, **options)  # type: ignore[arg-type] # what it was given

    monkeypatch.setattr(library.world.corrector, "apply", late)
    results = library.change(MetadataChange(path="/X", set=given(genre="Jazz")))
    assert [(one.index, bool(one.error), bool(one.changes)) for one in results] == [(0, True, False), (0, False, True)]


def test_a_catalog_that_has_no_room(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise DiskFullError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(WriteTransaction, "put_correction", full)
        with pytest.raises(DiskFullError):
            list(library.control.change_metadata(
                [MetadataChange(path=ONE, set=given(title="Eins"))],
                query="", action="set", author="me", dry_run=False,
            ))  # fmt: skip
    library.world.corrector.catch_up()
    library.world.look()
    assert library.world.path_of(A) == b"/X/Eins.flac"
    check_tree(library.world)
