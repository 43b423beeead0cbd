"""A look at a library as clients get it: counts, limits, origins that cannot be compared, and what is held."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest

from musicfs.api.library import ISSUE_KINDS, LibraryIssue, LibraryReport
from musicfs.api.metadata import Cover, TrackMetadata
from musicfs.config.settings import OriginSettings
from musicfs.daemon.health import HealthMonitor
from musicfs.daemon.library_control import LibraryControl, problem_page
from musicfs.daemon.scanning import OriginState
from musicfs.errors import ConfigError, DiskFullError, NotFoundError, UnreachableError
from musicfs.library import repeats
from musicfs.origins.contract import RangeCost
from musicfs.origins.memory import CAPS, MemoryOrigin
from musicfs.store.records import ObjectKind, ObjectRecord
from musicfs.store.transaction import WriteTransaction
from tests.api.metadata_backend import track
from tests.library.collection import Collection, flac

HELD = msgspec.structs.replace(
    track(0, "", {}), origin_id="memory", origin_path="gone.flac", overlay={"title": ("x",)}, cover=Cover.SET
)


class Library:
    """A scanned origin, and looks at it."""

    def __init__(self, path: Path, memory: MemoryOrigin) -> None:
        self.memory = memory
        self.collection = Collection(path, memory)
        self.collection.scan()
        self.held: tuple[TrackMetadata | None, ...] = ()
        settings = OriginSettings(id="memory", path="/music")
        self.states = [OriginState(settings, lambda _: memory, self.collection.record)]
        self.monitor = HealthMonitor({"memory": 1}, self.collection.clock, lambda *_: None)

    def reports(self, *kinds: str, origin_id: str = "", limit: int = 10, covers: bool = True) -> list[LibraryReport]:
        control = LibraryControl(
            self.collection.catalog, self.states, self.monitor, lambda: iter(self.held), self.collection.clock,
            covers=covers,
        )  # fmt: skip
        found = list(control.library_health(kinds, origin_id, limit))
        assert [one.complete for one in found] == [False] * (len(found) - 1) + [True]
        assert found[-1].done == found[-1].total
        return found

    def look(self, *kinds: str, limit: int = 10) -> tuple[list[LibraryIssue], LibraryReport]:
        reports = self.reports(*kinds, limit=limit)
        return [one.issue for one in reports if one.issue is not None], reports[-1]


Make = Callable[[MemoryOrigin], Library]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Library] = []

    def library(memory: MemoryOrigin) -> Library:
        made.append(Library(tmp_path / str(len(made)), memory))
        return made[-1]

    yield library
    for one in made:
        one.collection.close()


def origin(same: int = 3, **kwargs: object) -> MemoryOrigin:
    files = {f"A/{number}.flac": flac(title=str(number), album="A") for number in range(2)}
    files |= {f"same{number}.flac": flac(title="Same") for number in range(same)}
    files["broken.mp3"] = b"nothing of the kind"
    return MemoryOrigin("memory", files, caps=msgspec.structs.replace(CAPS, **kwargs))


def test_counts_are_of_all_and_issues_of_the_first(make: Make) -> None:
    library = make(origin())
    issues, last = library.look()
    assert set(last.counts) == set(ISSUE_KINDS)
    assert (last.total, last.unchecked) == (6, {})
    assert {kind: count for kind, count in last.counts.items() if count} == {
        "unreadable": 1, "duplicate": 1, "no_cover": 1
    }  # fmt: skip
    [broken] = [one for one in issues if one.kind == "unreadable"]
    assert (broken.origin_id, broken.paths) == ("memory", ("broken.mp3",))
    [same] = [one for one in issues if one.kind == "duplicate"]
    assert (same.files, sorted(same.paths)) == (3, ["same0.flac", "same1.flac", "same2.flac"])
    issues, last = library.look("no_cover", limit=1)
    assert ([one.kind for one in issues], last.counts) == (["no_cover"], {"no_cover": 1})
    library.memory.put("B/0.flac", flac(title="0", album="B"))
    library.collection.scan()
    issues, last = library.look("no_cover", limit=1)
    assert (len(issues), last.counts) == (1, {"no_cover": 2})
    issues, _ = library.look("no_cover", limit=0)
    assert len(issues) == 2


def test_covers_nobody_wants_are_not_missed(make: Make) -> None:
    library = make(origin())
    assert "no_cover" not in library.reports(covers=False)[-1].counts


def test_what_changed_at_the_origin(make: Make) -> None:
    library = make(origin())
    library.memory.put("A/0.flac", b"other")
    issues, _ = library.look("drifted")
    assert [(one.origin_id, one.paths) for one in issues] == [("memory", ("A/0.flac",))]


def test_origins_that_are_not_compared(make: Make) -> None:
    library = make(origin(range_cost=RangeCost.ROUND_TRIP))
    _, last = library.look("drifted")
    assert list(last.unchecked) == ["memory"]
    assert "musicfs origin rescan memory" in last.unchecked["memory"]
    local = make(origin())
    local.memory.fail_with(UnreachableError("the cable is out"))
    _, last = local.look("drifted")
    assert last.unchecked == {"memory": "the cable is out"}


def test_held_corrections(make: Make) -> None:
    library = make(origin())
    library.held = (None, HELD, msgspec.structs.replace(HELD, origin_id="other"))
    issues, last = library.look("held")
    assert issues == [LibraryIssue("held", "memory", ("gone.flac",), "its file is gone; corrected were title, cover")]
    assert last.counts == {"held": 1}


def test_what_cannot_be_asked(make: Make) -> None:
    library = make(origin())
    with pytest.raises(ConfigError, match="no issues 'everything'") as caught:
        library.reports("held", "everything")
    assert "unreadable, no_tags" in caught.value.remedy
    with pytest.raises(NotFoundError, match="no origin 'nas'"):
        library.reports(origin_id="nas")
    assert library.reports("unreadable", origin_id="memory")[-1].counts == {"unreadable": 1}


def test_long_looks_say_how_far_they_are(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    library = make(origin())
    clock = library.collection.clock

    def later() -> float:
        clock.now_ns += 10**9
        return clock.now_ns / 1e9

    monkeypatch.setattr(clock, "monotonic", later)
    reports = library.reports("no_tags")
    assert len([one for one in reports if one.issue is None]) > 1


def test_a_full_disk_is_said(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> NoReturn:
        raise OSError(28, os.strerror(28))

    library = make(origin())
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    monkeypatch.setattr(repeats.Repeats.__init__, "__defaults__", (1,))
    with pytest.raises(DiskFullError, match="No space left"):
        library.reports("duplicate")


def test_files_that_could_not_be_read_are_all_counted_and_found(make: Make) -> None:
    catalog = make(MemoryOrigin("memory", {}, caps=CAPS)).collection.catalog
    ids = {1: "one", 2: "two"}
    with WriteTransaction(catalog) as tx:
        folders = {number: tx.add_folder(number, b"f") for number in ids}
        for number in [1] * 1500 + [2] * 3:
            name = b"%d" % tx.new_object_id()
            tx.put_object(0, ObjectRecord(folders[number], name, ObjectKind.AUDIO, 1, 1, b"v", 0, 0), 1, problem="odd")
    page = problem_page(catalog, ids, "", 1499, 1502)
    assert ([one.origin_id for one in page.problems], page.total) == (["one", "two", "two"], 1503)
    page = problem_page(catalog, ids, "two", 1, 10)
    assert ([one.origin_id for one in page.problems], page.total) == (["two", "two"], 3)
    assert problem_page(catalog, ids, "one", 1500, 1600).problems == ()
