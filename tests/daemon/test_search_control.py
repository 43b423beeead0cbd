"""Searches over a real index and catalog: what clients are told of the tracks, pages, origins, and what is not there."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from musicfs.api.search import SearchHit
from musicfs.daemon import search_control
from musicfs.daemon.search_control import SearchControl
from musicfs.errors import IndexNotReadyError, NotFoundError, QueryError
from musicfs.index.documents import Document
from musicfs.index.reader import IndexReader
from musicfs.index.syntax import Query
from musicfs.index.writer import open_writer
from musicfs.library.searchable import SearchableTracks
from musicfs.model import Technical
from musicfs.vfs.tree import TreeOptions
from musicfs.vfs.views import View
from tests.vfs.world import Content, Put, Remove, Step, World, content

BY_TITLE = View(0, "", "$artist/$title.$format", folders=False, names="posix")
LONG = Technical(duration_ms=61_500)


def first_letters(_query: Query, document: Document) -> Mapping[str, str]:
    return {"title": document.values("title")[0][0]}


@dataclass
class Library:
    """A catalog, its index, and searches over both."""

    world: World
    index: Path

    def __post_init__(self) -> None:
        reader = IndexReader(str(self.index))
        self.control = SearchControl(reader, self.world.catalog, self.world.clock, first_letters)

    def add(self, *steps: Step) -> None:
        self.world.apply(steps)
        writer = open_writer(str(self.index), "this one")
        for one in SearchableTracks(self.world.catalog).all():
            if one.document is not None:
                writer.put(one.object_id, one.document)
        writer.commit(1)
        writer.close()

    def titles(self, query: str, origin_id: str = "", limit: int = 10, offset: int = 0) -> list[str]:
        return [hit.title for hit in self.control.search(query, origin_id, limit, offset).hits]

    def all_titles(self, query: str, origin_id: str = "", limit: int = 0, offset: int = 0) -> list[str]:
        return [hit.title for hit in self.control.search_all(query, origin_id, limit, offset) if hit is not None]


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    world = World(tmp_path / "catalog", (BY_TITLE,), TreeOptions())
    yield Library(world, tmp_path / "search.idx")
    world.close()


def many(count: int) -> list[Step]:
    return [Put((1, b"m", b"%d.flac" % number), content(title=f"T{number}", artist="Many")) for number in range(count)]


def test_what_clients_are_told(library: Library) -> None:
    library.add(
        Put((1, b"a", b"1.flac"), content(artist="X", title="One", album="Álbum", technical=LONG)),
        Put((1, b"a", b"Odd \xff.flac"), Content(None)),
    )
    page = library.control.search("album", "", 10, 0)
    (hit,) = page.hits
    assert (page.total, page.took_ms) == (1, 0)
    assert hit == SearchHit(
        file_id=hit.file_id,
        path="/X/One.flac",
        artist="X",
        album="Álbum",
        title="One",
        score=hit.score,
        highlights={"title": "O"},
        duration_ms=61_500,
    )
    assert hit.score > 0
    real = SearchControl(IndexReader(str(library.index)), library.world.catalog, library.world.clock)
    assert real.search("al*", "", 10, 0).hits[0].highlights == {"album": "<b>Álbum</b>"}
    (odd,) = library.control.search("odd", "", 10, 0).hits
    assert (odd.artist, odd.title, odd.path.rpartition("/")[2]) == ("", "Odd \udcff", "Odd \udcff.flac")
    assert library.control.search("*", "", 0, 0).hits == ()
    assert library.control.search("*", "", 0, 0).total == 2


def test_highlights_are_html(library: Library) -> None:
    library.add(Put((1, b"a", b"1.flac"), content(artist="<b>A&B</b>", title="1 < 2")))
    control = SearchControl(IndexReader(str(library.index)), library.world.catalog, library.world.clock)
    (hit,) = control.search("artist:b title:2", "", 10, 0).hits
    assert hit.highlights["title"] == "1 &lt; <b>2</b>"
    assert hit.highlights["artist"].startswith("&lt;<b>")
    assert html.unescape(re.sub("</?b>", "", hit.highlights["artist"])) == hit.artist == "<b>A&B</b>"


def test_of_one_origin(library: Library) -> None:
    same = content(artist="X", title="Both", audio=7)
    library.add(
        Put((1, b"a", b"1.flac"), content(artist="X", title="One")),
        Put((1, b"a", b"both.flac"), same),
        Put((2, b"b", b"both.flac"), same),
        Put((2, b"b", b"2.flac"), content(artist="X", title="Two")),
    )
    assert sorted(library.titles("artist:x OR title:two", "origin2")) == ["Both", "Two"], (
        "the origin goes with all of it"
    )
    assert sorted(library.all_titles("x", "origin1")) == ["Both", "One"]
    assert library.titles("one", "origin2") == []
    for ask in (library.titles, library.all_titles):
        with pytest.raises(NotFoundError, match="there is no origin 'origin9'") as caught:
            ask("x", "origin9")
        assert "origin1, origin2" in caught.value.remedy


def test_pages(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    library.add(*many(50))
    everything = library.titles("many", limit=50)
    assert sorted(everything) == sorted(f"T{number}" for number in range(50))
    assert [title for start in range(0, 60, 7) for title in library.titles("many", "", 7, start)] == everything
    assert library.control.search("many", "", 10, 48).total == 50
    assert library.control.search("many", "", 10, 4_000_000_000) == library.control.search("many", "", 0, 0), (
        "at no cost"
    )
    monkeypatch.setattr(search_control, "_PAGE_HITS", 7)
    assert library.all_titles("many") == everything
    assert library.all_titles("many", "", 20, 5) == everything[5:25]
    assert library.all_titles("many", "", 0, 45) == everything[45:]
    assert library.all_titles("many", "", 0, 50) == []
    assert library.all_titles("nothing") == []


def test_what_has_gone_since_it_was_indexed(library: Library) -> None:
    library.add(*many(3))
    library.world.apply([Remove((1, b"m", b"1.flac"))])
    assert sorted(library.titles("many")) == ["T0", "T2"]
    assert sorted(library.all_titles("many")) == ["T0", "T2"]
    assert library.control.search("many", "", 10, 0).total == 3, "as the index says until it has followed"


def test_what_makes_no_sense(library: Library) -> None:
    with pytest.raises(IndexNotReadyError):
        library.titles("x")
    library.add(*many(1))
    for ask in (library.titles, library.all_titles):
        with pytest.raises(QueryError) as caught:
            ask("artsit:x")
        assert caught.value.column == 1
