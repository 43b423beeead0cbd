"""Scans of changed files of which an old version is stored: read frugally, and understood all the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from musicfs.formats import HeadTail, LocalSource, read
from musicfs.library.ranges import Range
from musicfs.library.scan import Scanner
from musicfs.model import Entry, Facts
from musicfs.origins.memory import MemoryOrigin
from tests.formats.building import mp3_frames
from tests.library.collection import Collection, flac
from tests.library.test_scan_remote import CAPS, Ranged, facts_of, of_folder


class Compared:
    """One revision: asks for two ranges, and notes what came."""

    head_bytes = 512

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.facts: Facts | None = None
        self.pieces: tuple[tuple[int, bytes], ...] = ()

    def plan(self, source: HeadTail, facts: Facts) -> Sequence[Range]:
        self.facts = facts
        middle = source.size // 2
        return [(middle, middle + 1), (source.size - 1, source.size)] if source.size > 10_000 else ()

    def adopt(self, source: HeadTail) -> None:
        self.pieces = source.pieces


class Everything:
    """Finds that every changed file is worth comparing."""

    def __init__(self) -> None:
        self.begun: dict[str, Compared] = {}

    def begin(self, origin_id: str, object_id: int, entry: Entry) -> Compared:
        assert object_id
        return self.begun.setdefault(entry.path, Compared(entry))


class Setting:
    """A collection whose changed files are compared."""

    def __init__(self, path: Path, files: dict[str, bytes]) -> None:
        self.memory = MemoryOrigin("memory", files, caps=CAPS)
        self.origin = Ranged(self.memory)
        self.collection = Collection(path, self.origin)
        self.revisions = Everything()
        one = self.collection
        one.scanner = Scanner(one.publisher, one.pool, one.clock, 20, lambda *_: None, self.revisions)
        one.scan()
        assert not self.revisions.begun

    def change(self, files: dict[str, bytes]) -> None:
        for path, data in files.items():
            self.memory.put(path, data)
        self.origin.ranges.clear()
        self.collection.scan()

    def read_bytes(self, path: str) -> int:
        return sum(stop - start for start, stop in self.origin.ranges[path])


@pytest.fixture
def made() -> Iterator[list[Setting]]:
    settings: list[Setting] = []
    yield settings
    for one in settings:
        one.collection.close()


def test_files_of_every_format_say_the_same_when_little_of_them_is_read(
    tmp_path: Path, made: list[Setting], generated_library: Path
) -> None:
    files = of_folder(generated_library)
    setting = Setting(tmp_path / "catalog", files)
    made.append(setting)
    setting.change(files)
    compared = setting.revisions.begun
    assert compared.keys() == {path for path, facts in facts_of(setting.collection).items() if facts is not None}
    for path, facts in facts_of(setting.collection).items():
        if path in compared:
            with LocalSource.open(generated_library / path) as source:
                assert facts == read(source, path.rpartition("/")[2]) == compared[path].facts, path
            assert len(setting.origin.ranges[path]) <= 14, path
        assert setting.read_bytes(path) < 40_000, path


def test_what_is_asked_for_is_there_when_the_versions_are_compared(tmp_path: Path, made: list[Setting]) -> None:
    data = flac(title="1", album="A") + bytes(range(256)) * 1000
    setting = Setting(tmp_path / "catalog", {"A/1.flac": data})
    made.append(setting)
    setting.change({"A/1.flac": data})
    compared = setting.revisions.begun["A/1.flac"]
    middle = len(data) // 2
    pieces = dict(compared.pieces)
    assert pieces[middle] == data[middle : middle + 1]
    assert all(data[start : start + len(part)] == part for start, part in compared.pieces)
    assert setting.read_bytes("A/1.flac") < 1000


def test_a_file_that_little_does_not_explain_is_read_as_if_it_were_new(tmp_path: Path, made: list[Setting]) -> None:
    """Garbage before the first frame, and a name that does not help: only more of it shows what it is."""
    known = flac(title="1", album="A") + bytes(300_000)
    setting = Setting(tmp_path / "catalog", {"A/1.flac": known})
    made.append(setting)
    setting.change({"A/1.flac": bytes(3000) + mp3_frames(1000)})
    facts = facts_of(setting.collection)["A/1.flac"]
    assert facts is not None
    assert facts.format == "mp3"


def test_a_file_that_is_no_audio_any_more_is_served_unread(tmp_path: Path, made: list[Setting]) -> None:
    setting = Setting(tmp_path / "catalog", {"A/1.flac": flac(title="1", album="A")})
    made.append(setting)
    setting.change({"A/1.flac": b"no audio " * 50_000})
    assert facts_of(setting.collection)["A/1.flac"] is None
    assert setting.collection.catalog.count_problems() == 1
