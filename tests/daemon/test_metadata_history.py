"""Changes of tags that are taken back, and looked back at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from musicfs.api.metadata import (
    FieldChange,
    MetadataChange,
)
from musicfs.errors import NotFoundError
from tests.daemon.tag_library import (
    COVER,
    ONE,
    SONGS,
    THREE,
    TWO,
    A,
    C,
    Library,
    given,
    listed,
)
from tests.vfs.world import Put, Remove, content


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    library = Library(tmp_path / "world")
    yield library
    library.events.close()
    library.world.close()


# Undoing.


def titles(library: Library, *actions: Callable[[], object]) -> list[str]:
    found = []
    for act in actions:
        act()
        found.append(library.title(A))
    return found


def path_of(library: Library) -> str:
    return library.world.path_of(A).decode()


def test_a_chain_of_undoing(library: Library) -> None:
    def setting(title: str) -> Callable[[], object]:
        return lambda: library.set(path_of(library), title=title)

    def undo() -> object:
        return library.undo(path_of(library))

    assert titles(library, setting("1"), setting("2"), setting("3"), undo, undo, setting("4"), undo, undo, undo) == [
        "1", "2", "3", "2", "1", "4", "1", "One", "One",
    ]  # fmt: skip
    log = library.control.metadata_log("", 100)
    assert [item.action for item in log] == ["undo", "undo", "undo", "set", "undo", "undo", "set", "set", "set"][
        -len(log) :
    ]
    assert [item.author for item in log][:2] == ["you", "you"]


def test_several_steps_at_once(library: Library) -> None:
    for title in ("1", "One", "2"):
        library.set(path_of(library), title=title)
    [said] = library.undo(path_of(library), steps=2, dry_run=True)
    assert (said.changes, said.new_path) == ((FieldChange("title", ("2",), ("1",)),), "")
    results = library.undo(path_of(library), steps=2)
    assert [one.changes for one in results] == [
        (FieldChange("title", ("2",), ("One",)),),
        (FieldChange("title", ("One",), ("1",)),),
    ]
    assert library.title(A) == "1"
    assert len(library.undo(path_of(library), steps=100)) == 1
    assert library.title(A) == "One"
    assert library.undo(path_of(library), steps=0) == []


def test_undoing_through_a_state_that_is_the_present_one(library: Library) -> None:
    """From own to a title and back: undoing both is not to be taken for nothing to do."""
    library.set(ONE, title="1")
    library.set("/X/1.flac", title="One")
    library.undo(ONE, steps=2)
    assert library.title(A) == "One"
    assert library.undo(ONE) == [], "both are taken back"


def test_undoing_what_the_file_says_itself_by_now(library: Library) -> None:
    library.set(ONE, genre="Jazz")
    library.set(ONE, title="Eins")
    library.world.scan([Put(A, content(audio=1, artist="X", title="Eins", mtime_ns=SONGS[A].mtime_ns + 1))])
    [result] = library.undo(path_of(library))
    assert result.changes == ()
    [result] = library.undo(path_of(library))
    assert result.changes == (FieldChange("genre", ("Jazz",), ()),)
    assert library.control.metadata(path_of(library), 0).overlay == {}


def test_undoing_a_folder(library: Library) -> None:
    library.change(
        MetadataChange(path="/X", set=given(genre="Jazz"), cover=COVER),
        MetadataChange(path=THREE, set=given(genre="Jazz")),
    )
    results = library.undo("/X", THREE, "/X/One.flac")
    assert [(one.index, one.path, one.cover_changed) for one in results] == [
        (0, ONE, True),
        (0, TWO, True),
        (1, THREE, False),
    ]
    assert all(library.control.metadata(path, 0).overlay == {} for path in (ONE, TWO, THREE))
    with pytest.raises(NotFoundError):
        library.undo("/nowhere")


# Looking back.


def test_the_log(library: Library) -> None:
    library.change(MetadataChange(path=ONE, set=given(title="Eins"), cover=COVER), action="import")
    library.change(MetadataChange(path=THREE, remove_cover=True))
    library.change(MetadataChange(path="/X/Eins.flac", revert_all=True), action="clear")
    third, second, first = library.control.metadata_log("", 10)
    assert (first.action, second.action, third.action) == ("import", "set", "clear")
    assert first.sequence < second.sequence < third.sequence
    assert (first.path, first.origin_id, first.origin_path) == (ONE, "origin1", "m/a.flac"), "where it is now"
    assert (first.changes, first.cover) == ((FieldChange("title", (), ("Eins",)),), "set")
    assert (second.changes, second.cover) == ((), "removed")
    assert (third.changes, third.cover) == ((FieldChange("title", ("Eins",), ()),), "own")
    assert library.control.metadata_log("/X", 10) == (third, first)
    assert library.control.metadata_log("/X/One.flac", 1) == (third,)
    assert library.control.metadata_log("/X/Two.flac", 10) == ()
    assert library.control.metadata_log("", 1) == (third,)
    library.world.scan([Remove(C)])
    assert library.control.metadata_log("", 10)[1].path == ""
    with pytest.raises(NotFoundError):
        library.control.metadata_log("/nowhere", 10)


def test_corrections_whose_files_are_gone(library: Library) -> None:
    library.set(ONE, title="Eins")
    library.set(TWO, title="Zwei")
    assert listed(library.control.held_metadata()) == []
    library.world.scan([Remove(A)])
    [held] = [one for one in library.control.held_metadata() if one is not None]
    assert (held.file_id, held.origin_id, held.origin_path) == (0, "origin1", "m/a.flac")
    assert (held.overlay, held.author) == ({"title": ("Eins",)}, "me")
