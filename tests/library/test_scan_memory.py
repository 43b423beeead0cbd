"""Scans of an origin in memory: what is read, what appears together, and what is believed to be gone."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from musicfs.errors import DeniedError, UnreachableError
from musicfs.library import scan
from musicfs.origins.memory import CAPS, MemoryOrigin
from musicfs.origins.wrappers.wrapper import Operation
from musicfs.testing.faults import FaultyOrigin
from tests.library.collection import Collection, Hiding, flac

Open = Callable[..., Collection]

# So that a script's letters meet the files in their order.
ONE_AT_A_TIME = msgspec.structs.replace(CAPS, parallel=1)


@pytest.fixture
def collect(tmp_path: Path) -> Iterator[Open]:
    made: list[Collection] = []

    def make(memory: MemoryOrigin, script: Mapping[Operation, str] | None = None, reads: str = ".") -> Collection:
        made.append(Collection(tmp_path / str(len(made)), FaultyOrigin(memory, reads, script)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@functools.cache
def album(name: str, tracks: int = 3) -> Mapping[str, bytes]:
    return {f"{name}/{number}.flac": flac(title=str(number), album=name) for number in range(1, tracks + 1)}


def memory(**albums: int) -> MemoryOrigin:
    files: dict[str, bytes] = {}
    for name, tracks in albums.items():
        files |= album(name, tracks)
    return MemoryOrigin("memory", files, caps=ONE_AT_A_TIME)


def reads(collection: Collection) -> int:
    assert isinstance(collection.origin, FaultyOrigin)
    return sum(operation == Operation.READ for operation, _ in collection.origin.taken)


def test_a_first_scan_shows_everything(collect: Open) -> None:
    origin = memory(A=2, B=1)
    origin.put("A/cover.jpg", b"jpeg")
    collection = collect(origin)
    outcome = collection.scan()
    assert (outcome.listed, outcome.read, outcome.new, outcome.removed, outcome.held) == (4, 3, 4, 0, 0)
    assert collection.shown() == ["A/1.flac", "A/2.flac", "A/cover.jpg", "B/1.flac"]
    record = collection.record
    assert (record.files, record.last_listing_ns) == (4, collection.clock.now_ns)
    assert record.size_bytes == collection.catalog.totals().size_bytes


def test_an_unchanged_rescan_reads_and_writes_nothing(collect: Open) -> None:
    collection = collect(memory(A=3, B=3))
    collection.scan()
    before, commits = reads(collection), len(collection.commits)
    outcome = collection.scan()
    assert (outcome.listed, outcome.read, outcome.new) == (6, 0, 0)
    assert (reads(collection), len(collection.commits)) == (before, commits)


def test_a_changed_file_keeps_its_id(collect: Open) -> None:
    origin = memory(A=3)
    collection = collect(origin)
    collection.scan()
    ids = collection.ids()
    origin.put("A/1.flac", flac(title="new", album="A"))
    assert collection.scan().read == 1
    assert collection.ids() == ids
    assert collection.shown() == ["A/2.flac", "A/3.flac", "A/new.flac"]


def test_a_deleted_file_leaves_after_a_whole_listing(collect: Open) -> None:
    origin = memory(A=3, B=3)
    collection = collect(origin)
    collection.scan()
    origin.remove("A/1.flac")
    outcome = collection.scan()
    assert (outcome.removed, outcome.held, collection.record.files) == (1, 0, 5)
    assert "A/1.flac" not in collection.shown() and "A/1.flac" not in collection.ids()
    origin.remove("A")
    collection.scan()
    assert collection.catalog.folder(1, b"A") is None
    assert collection.scan().read == 0


def test_a_mass_deletion_waits_for_a_word(collect: Open, caplog: pytest.LogCaptureFixture) -> None:
    origin = memory(A=6, B=10)
    collection = collect(origin)
    collection.scan()
    shown = collection.shown()
    origin.remove("A")
    for _ in range(2):
        assert collection.scan().held == 6
        assert (collection.shown(), collection.record.held) == (shown, 6)
    assert "musicfs origin confirm memory" in caplog.text
    for name in ("A/1.flac", "A/2.flac"):
        origin.put(name, album("A", 6)[name])
    assert collection.scan().held == 0  # four are an everyday act
    assert collection.record.held == 0


def test_a_confirmed_deletion_happens(collect: Open, caplog: pytest.LogCaptureFixture) -> None:
    origin = memory(A=6, B=10)
    collection = collect(origin)
    collection.scan()
    origin.remove("A")
    collection.scan()
    outcome = collection.scan(confirmed=True)
    assert (outcome.removed, outcome.held, collection.record.held, collection.record.files) == (6, 0, 0, 10)
    assert len(collection.shown()) == 10


def test_an_empty_listing_is_always_held(collect: Open, caplog: pytest.LogCaptureFixture) -> None:
    origin = memory(A=1)
    collection = collect(origin)
    collection.scan()
    origin.remove("A")
    assert collection.scan().held == 1
    assert collection.shown() == ["A/1.flac"]


def test_a_listing_that_breaks_deletes_nothing_and_keeps_what_it_taught(collect: Open) -> None:
    origin = memory(A=2, B=2, C=2)
    collection = collect(origin, {Operation.LIST_NEXT: "RRRRRE."})
    collection.scan()
    origin.remove("A/1.flac")
    origin.put("A/9.flac", flac(title="9", album="A"))
    with pytest.raises(UnreachableError):
        collection.scan()  # root, A, B, then the error
    assert collection.shown() == ["A/1.flac", "A/2.flac", "A/9.flac", "B/1.flac", "B/2.flac", "C/1.flac", "C/2.flac"]
    assert collection.record.files == 7
    before = reads(collection)
    assert collection.scan().removed == 1
    assert reads(collection) == before  # 9 was learned


def test_what_may_not_be_seen_is_not_gone(collect: Open, tmp_path: Path) -> None:
    origin = memory(A=2, B=2)
    origin.put("A/in/x.flac", flac(title="x", album="A"))
    hiding = Hiding(origin)
    collection = Collection(tmp_path / "hiding", hiding)
    collection.scan()
    shown = collection.shown()
    hiding.hidden = frozenset({"A"})
    origin.remove("B/2.flac")
    assert collection.scan().removed == 1
    assert collection.shown() == [path for path in shown if path != "B/2.flac"]
    hiding.hidden = frozenset()
    origin.remove("A/in")
    assert collection.scan().removed == 1
    collection.close()


def test_a_file_that_changes_while_it_is_read_is_read_again(collect: Open) -> None:
    collection = collect(memory(A=2), reads="CR.")
    collection.scan()
    assert collection.shown() == ["A/2.flac"]
    assert collection.scan().read == 1
    assert collection.shown() == ["A/1.flac", "A/2.flac"]


def test_a_known_file_that_cannot_be_read_now_stays_as_it_was(collect: Open) -> None:
    origin = memory(A=2)
    collection = collect(origin)
    collection.scan()
    origin.put("A/1.flac", flac(title="new", album="A"))
    assert isinstance(collection.origin, FaultyOrigin)
    collection.origin = FaultyOrigin(origin, "T.")
    collection.scan()
    assert collection.shown() == ["A/1.flac", "A/2.flac"]
    collection.scan()
    assert collection.shown() == ["A/2.flac", "A/new.flac"]


def test_what_is_no_audio_or_denied_is_served_under_its_own_name(collect: Open) -> None:
    origin = memory(A=1)
    origin.put("A/odd.flac", b"hello")
    origin.put("A/secret.flac", flac(title="x", album="A"))
    collection = collect(origin, reads="RRD.")
    collection.scan()
    unknown = "Unknown Artist/Unknown Album"
    assert collection.shown() == ["A/1.flac", f"{unknown}/odd.flac", f"{unknown}/secret.flac"]
    ids = collection.ids()
    problems = dict(collection.catalog.problems())
    assert set(problems) == {ids["A/odd.flac"], ids["A/secret.flac"]}
    assert "permission denied" in problems[ids["A/secret.flac"]]
    assert collection.scan().read == 0
    origin.put("A/odd.flac", flac(title="fine", album="A"))
    collection.scan()
    assert collection.catalog.count_problems() == 1 and "A/fine.flac" in collection.shown()


def test_a_scan_told_to_stop_goes_on_where_it_was(collect: Open) -> None:
    collection = collect(memory(A=2, B=2, C=2))
    folders = iter((False, False, True))
    collection.scan(stopping=lambda: next(folders))
    assert collection.shown() == ["A/1.flac", "A/2.flac", "B/1.flac", "B/2.flac"]
    assert collection.record.last_listing_ns == 0
    assert collection.scan().read == 2
    assert len(collection.shown()) == 6


def test_a_killed_scan_loses_neither_files_nor_counts(collect: Open) -> None:
    collection = collect(memory(A=2, B=2, C=2))

    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    collection.publisher._on_commit = die
    collection.scanner._publisher._on_commit = die
    finish = scan._Run._finish
    try:
        scan._Run._finish = lambda *_, **__: None  # type: ignore[method-assign] # as if the process were gone
        with pytest.raises(Killed):
            collection.scan()
    finally:
        scan._Run._finish = finish  # type: ignore[method-assign]
    assert collection.record.files == collection.catalog.totals().files > 0
    collection.publisher._on_commit = lambda: None
    collection.scan()
    assert collection.record.files == collection.catalog.totals().files == 6
    assert collection.record.size_bytes == collection.catalog.totals().size_bytes


def test_one_folder_is_looked_at_alone(collect: Open) -> None:
    origin = memory(A=2, B=2, C=9)
    origin.put("A/in/x.flac", flac(title="x", album="A"))
    collection = collect(origin)
    collection.scan()
    origin.remove("A/1.flac")
    origin.remove("B/1.flac")
    origin.put("A/in/y.flac", flac(title="y", album="A"))
    outcome = collection.scan("A", recursive=False)
    assert (outcome.listed, outcome.removed, outcome.new) == (1, 1, 0)
    outcome = collection.scan("A")
    assert (outcome.listed, outcome.removed, outcome.new) == (3, 0, 1)
    assert "B/1.flac" in collection.ids()


@pytest.mark.parametrize("recursive", [True, False])
def test_a_folder_that_is_gone_takes_along_what_was_below(collect: Open, recursive: bool) -> None:
    origin = memory(A=1, B=12)
    origin.put("A/in/x.flac", flac(title="x", album="A"))
    collection = collect(origin)
    collection.scan()
    origin.remove("A")
    assert collection.scan("A", recursive=recursive).removed == 2
    assert set(collection.ids()) == {f"B/{number}.flac" for number in range(1, 13)}
    assert [path for _, path in collection.catalog.folders_under(1, b"A")] == []


def test_an_outage_is_no_deletion_of_the_folder(collect: Open) -> None:
    origin = memory(A=2, B=9)
    collection = collect(origin)
    collection.scan()
    origin.fail_with(UnreachableError("the network is gone"))
    for prefix in ("", "A"):
        with pytest.raises(UnreachableError):
            collection.scan(prefix)
    origin.fail_with(DeniedError("no"))
    with pytest.raises(DeniedError):
        collection.scan("A", recursive=False)
    assert len(collection.shown()) == 11


def discs(*folders: str) -> dict[str, bytes]:
    return {
        f"{folder}/1.flac": flac(title="A", album="K", disc=folder[-1]) for folder in folders if folder[-1].isdigit()
    }


@pytest.mark.parametrize("extra", ["K/CD1/Scans/x.pdf", "K/booklet.pdf"])
def test_discs_of_an_album_appear_together(collect: Open, monkeypatch: pytest.MonkeyPatch, extra: str) -> None:
    monkeypatch.setattr(scan, "_BATCH_FILES", 1)  # publish as early as may be
    files = {"A/1.flac": flac(title="1", album="A")} | discs("K/CD1", "K/CD2", "K/CD3") | {extra: b"x"}
    collection = collect(MemoryOrigin("memory", files | dict(album("Z", 1))))
    collection.scan()
    tracks = ["K/1-A.flac", "K/2-A.flac", "K/3-A.flac"]
    for commit in collection.commits:
        assert [path for path in commit if path.startswith("K/") and path.endswith("flac")] in ([], tracks)
    assert collection.commits[0] == ["A/1.flac"]
    assert [path for path in collection.shown() if path.endswith("flac")] == ["A/1.flac", *tracks, "Z/1.flac"]


def test_a_huge_folder_appears_in_slices(collect: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "_SLICE_FILES", 4)
    monkeypatch.setattr(scan, "_BATCH_FILES", 4)
    collection = collect(memory(A=10))
    collection.scan()
    assert [len(commit) for commit in collection.commits] == [4, 8, 10]
    assert collection.scan().read == 0
    found = collection.catalog.folder(1, b"A")
    assert found is not None and found[1]  # the last slice noted the listing


def test_folders_are_published_in_the_order_of_the_listing(collect: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "_BATCH_FILES", 1)
    same = flac(title="T", album="K")
    collection = collect(MemoryOrigin("memory", {"c/1.flac": same, "a/1.flac": same, "b/1.flac": same}))
    collection.scan()
    ids = collection.ids()
    names = {collection.catalog.node(inode).ref: name for name, inode, _ in listing(collection, b"K")}  # type: ignore[union-attr]
    assert names == {ids["a/1.flac"]: b"T.flac", ids["b/1.flac"]: b"T (2).flac", ids["c/1.flac"]: b"T (3).flac"}


def listing(collection: Collection, folder: bytes) -> list[tuple[bytes, int, int]]:
    node = collection.catalog.lookup(1, folder)
    assert node is not None
    return collection.catalog.list_folder(node.inode)


def test_names_that_no_key_can_hold_are_left_out(collect: Open, caplog: pytest.LogCaptureFixture) -> None:
    origin = memory(A=1)
    origin.put("A/" + "終" * 200 + ".flac", flac(title="long", album="A"))
    collection = collect(origin)
    collection.scan()
    assert collection.shown() == ["A/1.flac"]
    assert "too long" in caplog.text
    assert collection.scan().read == 0
