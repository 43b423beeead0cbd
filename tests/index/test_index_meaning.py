"""The index finds exactly what a query means: compared with :mod:`musicfs.index.evaluate`, over made-up tracks and trees."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from musicfs.index.documents import TagDocument, number_reader
from musicfs.index.evaluate import compile_query
from musicfs.index.finding import Sort
from musicfs.index.reader import IndexReader
from musicfs.index.syntax import Fuzzy, Query, Words
from musicfs.index.writer import IndexWriter, open_writer
from tests.index.trees import DOCUMENTS, NOW_NS, TREES, parts_of

SORTABLE = st.sampled_from(["date", "added", "track", "bpm", "plays", "played", "duration", "compilation"])


class Bench:
    """An index that is filled again and again; ids are never the same."""

    def __init__(self, folder: str) -> None:
        self.writer: IndexWriter = open_writer(folder, "catalog")
        self.reader = IndexReader(folder)
        self._next_id = 1
        self._ids: list[int] = []

    def fill(self, documents: Sequence[TagDocument]) -> dict[int, TagDocument]:
        """Replace all there is."""
        for object_id in self._ids:
            self.writer.remove(object_id)
        self._ids = list(range(self._next_id, self._next_id + len(documents)))
        self._next_id += len(documents)
        tracks = dict(zip(self._ids, documents, strict=True))
        for object_id, document in reversed(tracks.items()):  # the order of the ids is not that of the index
            self.writer.put(object_id, document)
        self.writer.commit(self._next_id)
        return tracks


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    folder = tempfile.mkdtemp(prefix="musicfs-index-", dir="/dev/shm")
    found = Bench(folder)
    yield found
    found.reader.close()
    found.writer.close()
    shutil.rmtree(folder, ignore_errors=True)  # tantivy may be at a file of it for a moment yet


def expected(query: Query, tracks: dict[int, TagDocument]) -> list[int]:
    matches = compile_query(query, NOW_NS)
    return [object_id for object_id, document in tracks.items() if matches(document)]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(DOCUMENTS, min_size=1, max_size=8), st.lists(TREES, min_size=1, max_size=12))
def test_it_finds_exactly_what_a_query_means(bench: Bench, documents: list[TagDocument], queries: list[Query]) -> None:
    tracks = bench.fill(documents)
    for query in queries:
        compare(bench, query, tracks)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(DOCUMENTS, min_size=1, max_size=8), st.data())
def test_it_finds_the_words_of_values_where_they_are_and_nowhere_else(
    bench: Bench, documents: list[TagDocument], data: st.DataObject
) -> None:
    tracks = bench.fill(documents)
    for query in data.draw(st.lists(parts_of(documents), min_size=5, max_size=15)):
        compare(bench, query, tracks)


def compare(bench: Bench, query: Query, tracks: dict[int, TagDocument]) -> None:
    """The matches, their number, any part of them, and their order."""
    wanted = expected(query, tracks)
    assert sorted(bench.reader.ids(query, now_ns=NOW_NS)) == wanted, query
    everything = bench.reader.search(query, now_ns=NOW_NS, limit=100)
    assert sorted(hit.object_id for hit in everything.hits) == wanted, query
    order = [(-hit.score, hit.object_id) for hit in everything.hits]
    assert order == sorted(order), query
    some = bench.reader.search(query, now_ns=NOW_NS, limit=5, offset=1)
    assert some.total == everything.total == len(wanted), query
    assert some.hits == everything.hits[1:6], query


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(DOCUMENTS, min_size=1, max_size=8),
    st.lists(
        st.tuples(TREES, st.builds(Sort, SORTABLE, st.booleans()), st.integers(0, 4), st.integers(1, 5)),
        min_size=1,
        max_size=8,
    ),
)
def test_it_sorts_by_the_first_number_of_a_field_and_then_by_id(
    bench: Bench, documents: list[TagDocument], asked: list[tuple[Query, Sort, int, int]]
) -> None:
    tracks = bench.fill(documents)
    for query, sort, offset, limit in asked:
        wanted = sorted(expected(query, tracks), key=lambda one: _sort_key(sort, tracks[one], one))
        found = bench.reader.search(query, now_ns=NOW_NS, limit=limit, offset=offset, sort=sort)
        assert found.total == len(wanted)
        assert [hit.object_id for hit in found.hits] == wanted[offset : offset + limit], (query, sort)


def _sort_key(sort: Sort, document: TagDocument, object_id: int) -> tuple[bool, float, int]:
    numbers = number_reader(sort.field)(document)
    sign = -1 if sort.is_descending else 1
    return not numbers, sign * numbers[0] if numbers else 0, object_id


def test_fuzzy_words_meet_neither_marks_nor_other_tags(bench: Bench) -> None:
    """Beside the words, an index has their beginnings and the names of custom tags: no edit leads from one to another."""
    documents = [
        TagDocument(tags={"title": ("jazz",), "moods": ("blue",), "mood": ("red",)}),
        TagDocument(tags={"title": ("ja",), "moo": ("blue",), "mo": ("odblue",), "moodb": ("lue",)}),
    ]
    tracks = bench.fill(documents)
    for field in ("title", "", "custom:mood", "custom:moods", "custom:moo", "custom:mo", "custom:moodb"):
        for text in ("aj", "jj", "jab", "ajj", "jaz", "ja", "blue", "bl", "lue", "odblue", "dblue", "r", "re"):
            for distance in (0, 1, 2):
                compare(bench, Fuzzy(field, text, distance), tracks)


@pytest.mark.parametrize("prefix", ["a", "ab", "abc", "abcd"])
def test_a_phrase_may_end_in_how_a_word_begins_however_many_there_are(bench: Bench, prefix: str) -> None:
    letters = "abcdefghijklmnop"
    ends = [f"abcd{one}{other}" for one in letters for other in letters]
    documents = [
        TagDocument(tags={"title": (f"{'one' if at % 3 else 'two'} {end} {end}",)}) for at, end in enumerate(ends)
    ]
    tracks = bench.fill(documents)
    found = bench.reader.ids(Words("", f"one {prefix}", True), now_ns=NOW_NS)
    assert sorted(found) == expected(Words("", f"one {prefix}", True), tracks)
    assert len(found) == 170
