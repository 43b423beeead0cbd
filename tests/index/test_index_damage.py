"""Damage: whatever happened to a file of the index, nothing wrong is found, nothing crashes, and it is built anew."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from musicfs.errors import IndexNotReadyError, StoreError
from musicfs.index.parser import parse
from musicfs.index.reader import IndexReader
from musicfs.index.writer import IndexWriter, open_writer
from tests.index.test_index import titled
from tests.index.trees import NOW_NS

QUERIES = ("metallica", "song", "-x", "date:1990", "so*", '"song 7"')
Answers = list[list[int]]


def fill(writer: IndexWriter) -> None:
    for number in range(1, 31):
        writer.put(number, titled(f"Song {number}", artist="Metallica", date="1990"))
    writer.commit(1)
    writer.put(31, titled("x"))
    writer.remove(3)
    writer.commit(2)


def answers(reader: IndexReader) -> Answers:
    return [sorted(reader.ids(parse(query), now_ns=NOW_NS)) for query in QUERIES]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with two segments and a track that was removed. Do not change it."""
    folder = tmp_path_factory.mktemp("whole") / "search.idx"
    writer = open_writer(str(folder), "catalog")
    fill(writer)
    writer.close()
    return folder


def cut(size: int) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, size)


def flip(at: int, bit: int) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[at] ^= 1 << bit
        path.write_bytes(data)

    return apply


def damages(path: Path) -> list[Callable[[Path], None]]:
    """The file is gone, cut, or has a wrong bit."""
    size = path.stat().st_size
    random_ = random.Random(path.suffix)
    flips = 30 if path.name == "meta.json" else 2
    return [
        Path.unlink,
        *(cut(one) for one in sorted({0, 1, size // 2, size - 1}) if 0 <= one < size),
        *(flip(random_.randrange(size), random_.randrange(8)) for _ in range(flips) if size),
    ]


def test_whatever_is_damaged_is_noticed_and_built_anew(whole: Path, tmp_path: Path) -> None:
    reader = IndexReader(str(whole))
    expected = answers(reader)
    reader.close()
    assert len(expected[0]) == 29
    noticed = 0
    for name in sorted(path.name for path in whole.iterdir()):
        for number, damage in enumerate(damages(whole / name)):
            folder = tmp_path / f"{name}-{number}"  # each its own: tantivy still tidies up in it after the end
            shutil.copytree(whole, folder)
            damage(folder / name)
            noticed += examine(folder, expected, f"{name}, damage {number}")
    assert noticed > 100


def examine(folder: Path, expected: Answers, what: str) -> bool:
    """Whether the damage was noticed; fails if anything wrong is found, before or after a writer was there."""
    told: list[StoreError] = []
    reader = IndexReader(str(folder), told.append)
    noticed = False
    try:
        assert answers(reader) == expected, what
    except IndexNotReadyError:
        noticed = True
        assert told == [], what
    except StoreError as error:
        noticed = True
        assert told == [error], what
    writer = open_writer(str(folder), "catalog")
    assert writer.sequence in (-1, 2), what
    if writer.sequence == -1:
        fill(writer)
    writer.put(99, titled("y"))
    writer.commit(3)
    writer.remove(99)
    writer.commit(4)
    assert answers(reader) == expected, what
    writer.close()
    reader.close()
    return noticed


@pytest.mark.parametrize("suffix", ["idx", "pos", "term", "fast"])
def test_a_file_that_is_cut_while_it_is_in_use_is_noticed_before_it_is_read(
    whole: Path, tmp_path: Path, suffix: str
) -> None:
    folder = tmp_path / "search.idx"
    shutil.copytree(whole, folder)
    told: list[StoreError] = []
    reader = IndexReader(str(folder), told.append)
    answers(reader)
    # A byte is left, and with it the page that is mapped: tantivy's own first look, in a thread of its own, may still be
    # under way, and would end this process. Whoever reads the file now sees zeros instead of what was there.
    os.truncate(next(folder.glob(f"*.{suffix}")), 1)
    with pytest.raises(StoreError, match="cut short"):
        answers(reader)
    assert len(told) == 1
    with pytest.raises(StoreError):
        answers(reader)


def test_a_large_index_that_was_not_closed_is_read_whole(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("musicfs.index.writer._CHECKED_BYTES", 0)
    for was_closed in (True, False):
        folder = tmp_path / f"closed-{was_closed}"
        shutil.copytree(whole, folder)
        if not was_closed:
            (folder / "in-use").touch()
        flip(40, 3)(next(folder.glob("*.pos")))
        writer = open_writer(str(folder), "catalog")
        assert writer.sequence == (2 if was_closed else -1)
        writer.close()
