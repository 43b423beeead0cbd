"""Writing and reading the full-text index: commits, crashes, other processes, a full disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from musicfs.errors import DiskFullError, IndexNotReadyError, StoreError
from musicfs.index.documents import TagDocument
from musicfs.index.finding import Finder, Sort
from musicfs.index.guarding import tantivy_errors
from musicfs.index.parser import parse
from musicfs.index.reader import IndexReader
from musicfs.index.rendering import render
from musicfs.index.schema import About
from musicfs.index.syntax import Words
from musicfs.index.writer import IndexWriter, open_writer
from tests.index.trees import NOW_NS

DEADLINE_S = 60


def titled(*titles: str, **tags: str) -> TagDocument:
    return TagDocument(tags={"title": titles, **{name: (value,) for name, value in tags.items()}})


def ids(finder: Finder, query: str, sort: Sort | None = None, limit: int = 100) -> list[int]:
    found = finder.search(parse(query, max_characters=5000), now_ns=NOW_NS, limit=limit, sort=sort)
    return [hit.object_id for hit in found.hits]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "search.idx")


@pytest.fixture
def writer(folder: str) -> Iterator[IndexWriter]:
    writer = open_writer(folder, "catalog")
    yield writer
    writer.close()


@pytest.fixture
def reader(folder: str) -> Iterator[IndexReader]:
    reader = IndexReader(folder)
    yield reader
    reader.close()


def test_a_reader_says_so_while_there_is_no_index(folder: str, reader: IndexReader) -> None:
    assert reader.version == 0
    with pytest.raises(IndexNotReadyError, match="being built"):
        ids(reader, "one")
    writer = open_writer(folder, "catalog")
    with pytest.raises(IndexNotReadyError):
        ids(reader, "one")
    writer.put(1, titled("One"))
    writer.commit(3, complete=False)
    with pytest.raises(IndexNotReadyError):
        reader.ids(parse("one"), now_ns=NOW_NS)
    writer.commit(4)
    assert ids(reader, "one") == [1]
    writer.close()


def test_what_is_committed_is_seen_and_nothing_else(writer: IndexWriter, reader: IndexReader) -> None:
    assert (writer.sequence, writer.is_complete) == (-1, False)
    writer.put(1, titled("One"))
    writer.put(2, titled("Two"))
    writer.commit(7)
    before = reader.version
    assert ids(reader, "*") == [1, 2]
    writer.put(1, titled("Uno"))
    writer.remove(2)
    writer.remove(99)
    assert reader.version == before
    assert ids(reader, "one") == [1]
    writer.commit(8)
    assert reader.version != before
    assert (ids(reader, "one"), ids(reader, "uno"), ids(reader, "*")) == ([], [1], [1])
    assert (writer.sequence, writer.is_complete) == (8, True)


def test_an_index_without_tracks_finds_nothing(writer: IndexWriter, reader: IndexReader) -> None:
    writer.commit(1)
    assert reader.search(parse("*"), now_ns=NOW_NS, limit=5).total == 0
    assert list(reader.ids(parse("-x"), now_ns=NOW_NS)) == []
    assert ids(reader, "*", Sort("plays")) == []


def test_it_is_opened_as_it_was_left(folder: str) -> None:
    writer = open_writer(folder, "catalog")
    writer.put(5, titled("Five"))
    writer.commit(12, complete=False)
    writer.put(6, titled("Six"))
    writer.close()
    writer = open_writer(folder, "catalog")
    assert (writer.sequence, writer.is_complete) == (12, False)
    writer.commit(13)
    assert ids(IndexReader(folder), "*") == [5]
    writer.close()


def test_it_rests_and_goes_on(writer: IndexWriter, reader: IndexReader) -> None:
    writer.put(1, titled("One"))
    writer.commit(1)
    writer.rest()
    writer.rest()
    writer.put(2, titled("Two"))
    writer.commit(2)
    assert ids(reader, "*") == [1, 2]


def test_of_another_catalog_it_is_begun_anew(folder: str, reader: IndexReader) -> None:
    writer = open_writer(folder, "catalog")
    writer.put(1, titled("One"))
    writer.commit(1)
    writer.close()
    assert ids(reader, "*") == [1]
    writer = open_writer(folder, "another")
    assert writer.sequence == -1
    with pytest.raises(IndexNotReadyError):
        ids(reader, "*")
    writer.put(9, titled("Nine"))
    writer.commit(1)
    assert ids(reader, "*") == [9]
    writer.close()


@pytest.mark.parametrize("changes", [{"schema": 0}, {"unicode": "1.0"}])
def test_of_another_version_it_is_begun_anew(folder: str, reader: IndexReader, changes: dict[str, object]) -> None:
    writer = open_writer(folder, "catalog")
    about: About = writer._about
    writer._about = msgspec.structs.replace(about, **changes)
    writer.commit(1)
    writer.close()
    with pytest.raises(IndexNotReadyError):
        ids(reader, "*")
    writer = open_writer(folder, "catalog")
    assert writer.sequence == -1
    writer.close()


def test_a_folder_that_is_replaced_is_read_as_it_is_then(tmp_path: Path, folder: str, reader: IndexReader) -> None:
    for place, object_id in ((folder, 1), (str(tmp_path / "new"), 2)):
        writer = open_writer(place, "catalog")
        writer.put(object_id, titled("One"))
        writer.commit(1)
        writer.close()
    assert ids(reader, "one") == [1]
    os.rename(folder, tmp_path / "old")
    with pytest.raises(IndexNotReadyError):
        ids(reader, "one")
    os.rename(tmp_path / "new", folder)
    assert ids(reader, "one") == [2]


def test_only_one_writes(folder: str, writer: IndexWriter) -> None:
    program = f"from musicfs.index.writer import open_writer\nopen_writer({folder!r}, 'catalog')"
    writer.rest()
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=DEADLINE_S, check=False)
    assert found.returncode == 1
    assert b"StoreError: another process writes" in found.stderr
    with pytest.raises(StoreError, match="another process"):
        open_writer(folder, "catalog")


KILLED = """
import sys
from musicfs.index.documents import TagDocument
from musicfs.index.writer import open_writer
writer = open_writer(sys.argv[1], "catalog")
round = writer.sequence
while True:
    round += 1
    for number in range(1, 31):
        writer.put(number, TagDocument(tags={"title": (f"round{round} song",)}))
    writer.commit(round)
    print(round, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 2, 3, 5, 8])
def test_of_a_writer_that_is_killed_the_last_commit_stays(folder: str, lines: int) -> None:
    said = -1
    for extra_lines in (0, 3):  # killed at about a line's time, so somewhere in what comes after it
        child = subprocess.Popen([sys.executable, "-c", KILLED, folder], stdout=subprocess.PIPE)
        assert child.stdout is not None
        for _ in range(lines + extra_lines):
            said = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        said = int((child.stdout.read().split() or [b"%d" % said])[-1])
        child.wait(DEADLINE_S)
        child.stdout.close()
        writer = open_writer(folder, "catalog")
        assert writer.sequence in (said, said + 1)  # killed after a commit, it had no time to say so
        reader = IndexReader(folder)
        assert ids(reader, f"round{writer.sequence}") == list(range(1, 31)) == ids(reader, "*")
        reader.close()
        writer.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    point = tmp_path / "disk"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(point)], check=True)
    yield point
    subprocess.run(["umount", str(point)], check=True)


def test_on_a_full_disk_the_last_commit_stays_and_it_goes_on_when_there_is_room(small_disk: Path) -> None:
    folder = str(small_disk / "search.idx")
    writer = open_writer(folder, "catalog")
    writer.put(1, titled("One"))
    writer.commit(1)
    ballast = small_disk / "ballast"
    room = os.statvfs(small_disk)
    ballast.write_bytes(bytes((room.f_bavail - 4) * room.f_frsize))
    with pytest.raises(DiskFullError):
        for number in range(2, 2000):
            writer.put(number, titled(f"song {number} {'x' * number}"))
        writer.commit(2)
    reader = IndexReader(folder)
    assert (writer.sequence, ids(reader, "*")) == (1, [1])
    ballast.unlink()
    writer.put(2, titled("Two"))
    writer.commit(2)
    assert ids(reader, "*") == [1, 2]
    writer.close()
    reader.close()
    writer = open_writer(folder, "catalog")
    assert writer.sequence == 2
    writer.close()


def test_a_writer_that_died_of_a_full_disk_is_told_from_one_that_died(small_disk: Path, tmp_path: Path) -> None:
    killed = "An error occurred in a thread: 'An index writer was killed.. A worker thread encountered an error'"
    with pytest.raises(DiskFullError), tantivy_errors("it", small_disk):
        raise ValueError(killed)
    with pytest.raises(StoreError) as raised, tantivy_errors("it", tmp_path):
        raise ValueError(killed)
    assert not isinstance(raised.value, DiskFullError)


def test_better_matches_come_first(writer: IndexWriter, reader: IndexReader) -> None:
    writer.put(1, titled("Something", artist="Who", album="Money Talks"))
    writer.put(2, titled("Money Money Money", artist="Abba"))
    writer.put(3, titled("Time", artist="Pink Floyd"))
    writer.put(4, titled("Money", artist="Pink Floyd"))
    writer.put(5, titled("Pink Floyd Money", artist="Covers"))
    writer.commit(1)
    assert ids(reader, "money") == [4, 2, 5, 1]
    assert ids(reader, "pink floyd money") == [5, 4]
    assert ids(reader, "pink floyd") == [3, 4, 5]
    assert ids(reader, "mon*", limit=2) == [2, 4]


NAMES = ("東京ブルース", "Ο Έρωτας", "حُبّ كبير", "Кино и Ёлка", "AC/DC", "[Live] (2)", "Simon & Garfunkel", '"Heroes"',
         "a\\b", "100%", "~*^|", "÷", "R.E.M.", "Nº 5")  # fmt: skip


def test_names_in_any_script_are_found_by_themselves(writer: IndexWriter, reader: IndexReader) -> None:
    for number, name in enumerate(NAMES, 1):
        writer.put(number, titled(name))
    writer.commit(1)
    for number, name in enumerate(NAMES, 1):
        assert ids(reader, render(Words("", name))) == [number], name
    assert ids(reader, "ブルー") == [1]
    assert ids(reader, "ερωτ*") == [2]


def test_very_long_values_are_indexed_and_queries_of_them_answered(writer: IndexWriter, reader: IndexReader) -> None:
    word, name = "abcdefghij" * 100, "n" * 900
    writer.put(1, TagDocument(tags={"title": (word, "x" * 100_000), name: (word, "5")}, origins=("o" * 5000,)))
    writer.commit(1)
    for query in (f"{word[:999]}*", word, f"custom:{name}:{word[:999]}*", f"custom:{name}:[4 TO 6]",
                  f"origin:{'o' * 999}*", f"{'x' * 900}*"):  # fmt: skip
        assert ids(reader, query) == [1], query[:40]


def test_many_threads_may_ask_while_one_writes(writer: IndexWriter, reader: IndexReader) -> None:
    writer.put(1, titled("always"))
    writer.commit(0)
    stop = threading.Event()
    wrong: list[object] = []

    def ask() -> None:
        while not stop.is_set():
            try:
                if ids(reader, "always") != [1]:
                    wrong.append("not found")
            except StoreError as error:
                wrong.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for sequence in range(1, 60):
        writer.put(1 + sequence, titled(f"song {sequence}"))
        writer.commit(sequence)
    stop.set()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert wrong == []


def test_sorting_by_what_has_no_order_is_refused(reader: IndexReader) -> None:
    with pytest.raises(ValueError, match="sorted by title"):
        ids(reader, "x", Sort("title"))


def test_what_a_killed_writer_left_of_a_commit_is_in_nobodys_way(folder: str) -> None:
    """Killed after its files and before the list of them: the next writer's files get the same names."""
    meta = Path(folder) / "meta.json"

    def replace_one() -> None:
        writer = open_writer(folder, "a")
        try:
            writer.put(2, titled("other"))
            writer.commit(2)
        finally:
            writer.close()

    writer = open_writer(folder, "a")
    for number in range(1, 5):
        writer.put(number, titled("song"))
    writer.commit(1)
    writer.close()
    before = meta.read_bytes()
    replace_one()
    assert list(Path(folder).glob("*.del"))
    meta.write_bytes(before)
    replace_one()
    assert ids(IndexReader(folder), "song") == [1, 3, 4]
