"""What a definition of a collection means, and that what is wrong with one is said where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicfs.errors import ConfigError, QueryError
from musicfs.index.documents import TagDocument as Track
from musicfs.index.evaluate import compile_query
from musicfs.index.parser import parse
from musicfs.library.ordering import SORT_FIELDS, Order, in_order, orderable, parse_order
from musicfs.library.rules import DEFAULT_LIMIT, MAX_DEPTH, MAX_LIMIT, Age, check, plan, rule_from
from musicfs.model import Rule, Technical

DAY_NS = 86_400 * 10**9
NOW_NS = 1_700_000_000 * 10**9


def track(
    *, added_days: float = 100, played_days: float | None = None, plays: int = 0, seconds: int = 60, **tags: str
) -> Track:
    return Track(
        tags={field: (value,) for field, value in tags.items()},
        technical=Technical(duration_ms=seconds * 1000),
        added_ns=NOW_NS - int(added_days * DAY_NS),
        plays=plays,
        played_ns=0 if played_days is None else NOW_NS - int(played_days * DAY_NS),
    )


@pytest.mark.parametrize(
    ("rule", "query"),
    [
        ({"match": "metallica -live"}, "metallica -live"),
        ({"genre": "Hip Hop"}, 'genre:"Hip Hop"'),
        ({"genre": 'a "b" \\c'}, 'genre:"a \\"b\\" \\\\c"'),
        ({"date": ["1980", "1989"]}, "date:[1980 TO 1989]"),
        ({"date": ["1991-08-12", ""]}, "date:>=1991-08-12"),
        ({"date": ["", "1979"]}, "date:<=1979"),
        ({"recently_added": 30}, "added:>30d"),
        ({"recently_played": 7}, "played:>7d"),
        ({"most_played": 5}, "plays:>=1"),
        ({"and": [{"genre": "Jazz"}, {"match": "a OR b"}]}, "genre:Jazz (a OR b)"),
        ({"or": [{"genre": "Jazz"}, {"not": {"match": "a"}}]}, "genre:Jazz OR -a"),
        ({"not": {"not": {"genre": "Jazz"}}}, "genre:Jazz"),
        ({"and": [{"and": [{"genre": "a"}, {"genre": "b"}]}, {"genre": "c"}]}, "genre:a genre:b genre:c"),
    ],
)
def test_a_rule_is_a_query(rule: Mapping[str, Any], query: str) -> None:
    assert plan(rule=rule_from(rule)).query == parse(query)
    assert check("", rule, "", 0) == []


def test_what_is_not_said_is_by_default() -> None:
    found = plan("jazz")
    assert (found.order, found.picked_by, found.limit) == (Order("artist"), Order("artist"), DEFAULT_LIMIT)
    assert not found.is_relative
    assert plan("jazz", sort="-year", limit=7).order == Order("year", is_descending=True)
    assert plan("jazz", limit=7).limit == 7


def test_rules_bring_their_order() -> None:
    newest = plan(rule=Rule(recently_added=30))
    assert newest.order == newest.picked_by == Order("added", is_descending=True)
    heard = plan(rule=rule_from({"and": [{"genre": "Jazz"}, {"recently_played": 30}]}))
    assert heard.order == Order("played", is_descending=True)
    assert plan(rule=Rule(recently_added=30), sort="title").order == Order("title")
    assert plan(rule=rule_from({"or": [{"recently_added": 1}, {"genre": "x"}]})).order == Order("artist")


def test_the_most_played_are_picked_before_they_are_sorted() -> None:
    found = plan(rule=rule_from({"and": [{"most_played": 50}, {"genre": "Jazz"}]}), sort="artist")
    assert (found.limit, found.order) == (50, Order("artist"))
    assert found.picked_by == Order("plays", is_descending=True)
    assert plan(rule=Rule(most_played=50), limit=10).limit == 10


@pytest.mark.parametrize(
    ("query", "ages", "only_expires"),
    [
        ("added:>30d", (Age("added", 30 * DAY_NS),), True),
        ("added:30d", (Age("added", 30 * DAY_NS),), True),
        ("-added:>30d", (Age("added", 30 * DAY_NS),), False),
        ("added:<30d", (Age("added", 30 * DAY_NS),), False),
        ("-added:<30d", (Age("added", 30 * DAY_NS),), True),
        ("jazz OR (played:>1w added:<1h)", (Age("played", 7 * DAY_NS), Age("added", DAY_NS // 24)), False),
        ("added:>2020-01-01 year:1980", (), True),
    ],
)
def test_it_is_known_what_time_changes(query: str, ages: tuple[Age, ...], only_expires: bool) -> None:
    found = plan(query)
    assert (found.ages, found.only_expires, found.is_relative) == (ages, only_expires, bool(ages))


@pytest.mark.parametrize(
    ("written", "key", "message"),
    [
        ({"query": "artist:"}, ("query",), "artist: has no value"),
        ({"query": ""}, ("query",), "neither a query nor a rule"),
        ({"query": "a", "rule": {"genre": "b"}}, ("query",), "both a query and a rule"),
        ({"rule": {"genr": "b"}}, ("rule", "genr"), "rule.genr is no rule"),
        ({"rule": {"genre": "b", "match": "c"}}, ("rule",), "has genre and match"),
        ({"rule": {"and": []}}, ("rule", "and"), "rule.and = [] is not allowed"),
        ({"rule": {"and": [{"genre": "a"}, 7]}}, ("rule", "and", 1), "rule.and[1] is no rule"),
        ({"rule": {"not": {"recently_added": 0}}}, ("rule", "not", "recently_added"), "= 0 is not allowed"),
        ({"rule": {"or": [{"match": "(a"}]}}, ("rule", "or", 0, "match"), "this ( is not closed"),
        ({"rule": {"date": ["198", "1989"]}}, ("rule", "date"), '"198" is not a year'),
        ({"rule": {"date": ["1990", "1989"]}}, ("rule", "date"), "ends before it begins"),
        ({"rule": {"date": "1980"}}, ("rule", "date"), "is not allowed"),
        ({"rule": {"genre": "!"}}, (), ""),
        ({"rule": {"not": {"most_played": 3}}}, ("rule", "not", "most_played"), "most_played stands alone"),
        ({"rule": {"or": [{"most_played": 3}]}}, ("rule", "or", 0, "most_played"), "most_played stands alone"),
        (
            {"rule": {"and": [{"most_played": 3}, {"most_played": 4}]}},
            ("rule", "and", 1, "most_played"),
            "most_played stands alone",
        ),
        ({"query": "a", "sort": "artst"}, ("sort",), 'no order by "artst"'),
        ({"query": "a", "sort": "random"}, ("sort",), 'no order by "random"'),
    ],
)
def test_what_is_wrong_is_said_with_its_key(written: dict[str, Any], key: tuple[str | int, ...], message: str) -> None:
    wrong = check(written.get("query", ""), written.get("rule", {}), written.get("sort", ""), 0)
    if not message:
        assert [problem for _, problem in wrong] == []
        return
    assert [found for found, _ in wrong] == [key]
    problem = wrong[0][1]
    assert message in problem.message
    assert problem.suggestion


def test_everything_wrong_is_said_at_once() -> None:
    rule = {"and": [{"match": "a:b"}, {"date": ["x", ""]}, {"or": [{"match": "NOT"}]}]}
    found = [key for key, _ in check("", rule, "loud", 0)]
    assert found == [
        ("rule", "and", 0, "match"), ("rule", "and", 1, "date"), ("rule", "and", 2, "or", 0, "match"), ("sort",),
    ]  # fmt: skip
    with pytest.raises(ConfigError) as error:
        plan(rule=rule_from(rule), sort="loud")
    assert [problem.place for problem in error.value.problems] == [
        "rule.and[0].match", "rule.and[1].date", "rule.and[2].or[0].match", "sort",
    ]  # fmt: skip
    assert str(error.value).startswith("rule.and[0].match: column 1: ")
    assert str(error.value).endswith("(and 3 more)")


def test_a_bad_query_alone_has_its_column() -> None:
    with pytest.raises(QueryError) as error:
        plan("jazz (a")
    assert error.value.column == 6


def test_limits_are_kept() -> None:
    assert plan("a", limit=MAX_LIMIT).limit == MAX_LIMIT
    for limit in (-1, MAX_LIMIT + 1):
        with pytest.raises(ConfigError, match="limit"):
            plan("a", limit=limit)


def test_deep_rules_are_refused() -> None:
    raw: dict[str, Any] = {"genre": "a"}
    for _ in range(2 * MAX_DEPTH):
        raw = {"not": raw}
    assert "nested" in check("", raw, "", 0)[0][1].message
    with pytest.raises(ConfigError, match="nested"):
        plan(rule=msgspec.convert(raw, Rule))


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 50_000) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*Rule.__struct_encode_fields__, "x"]), inner, max_size=2)
    ),
    max_leaves=8,
)


@given(anything)
def test_whatever_is_written_is_a_rule_or_wrong(raw: object) -> None:
    wrong = check("", raw, "", 0)
    try:
        plan(rule=rule_from(raw))
    except ConfigError:
        assert wrong
    else:
        assert wrong == []


def ordered(tracks: list[Track], text: str) -> list[int]:
    order = parse_order(text)
    return [one.object_id for one in in_order([orderable(at, one, order) for at, one in enumerate(tracks)], order)]


def test_orders() -> None:
    tracks = [
        track(artist="Björk", album="Debut", track="2", title="B", date="1993", plays=3, played_days=2, seconds=10),
        track(artist="abba", album="Arrival", track="10", title="a", date="1976-10", plays=1, played_days=1),
        track(artist="ABBA", album="arrival", track="2", title="c", date="1976-11", added_days=1, seconds=300),
        track(album="Zebra", title="d", seconds=0),
        track(artist="bjork", album="Debut", track="1", disc="2", title="e", date="1993"),
    ]
    assert ordered(tracks, "artist") == [2, 1, 0, 4, 3]
    assert ordered(tracks, "-artist") == [0, 4, 2, 1, 3]
    assert ordered(tracks, "album") == [2, 1, 0, 4, 3]
    assert ordered(tracks, "title") == [1, 0, 2, 3, 4]
    assert ordered(tracks, "year") == [1, 2, 0, 4, 3]
    assert ordered(tracks, "-plays") == [0, 1, 3, 2, 4], "never played: last, in the usual order"
    assert ordered(tracks, "-played") == [1, 0, 3, 2, 4]
    assert ordered(tracks, "-added")[0] == 2
    assert ordered(tracks, "-duration") == [2, 1, 4, 0, 3]


def test_a_compilation_stays_in_its_order_by_album() -> None:
    tracks = [
        track(artist=artist, album_artist="Various", album="Hits", track=str(9 - at)) for at, artist in enumerate("abc")
    ]
    assert ordered(tracks, "album") == [2, 1, 0]
    assert ordered(tracks, "-album") == [2, 1, 0]


@given(
    st.lists(
        st.builds(
            lambda artist, plays, added, year: track(artist=artist, plays=plays, added_days=added, date=year),
            st.sampled_from(("", "A", "b", "Ä")),
            st.integers(0, 3),
            st.integers(0, 3),
            st.sampled_from(("", "1980", "1990-05")),
        ),
        max_size=8,
    ),
    st.sampled_from(SORT_FIELDS),
)
def test_descending_turns_round_what_has_values(tracks: list[Track], field: str) -> None:
    up, down = ordered(tracks, field), ordered(tracks, f"-{field}")
    keys = [orderable(at, one, Order(field)).key for at, one in enumerate(tracks)]
    assert sorted(up) == sorted(down) == list(range(len(tracks)))
    having = [keys[at] for at in up if keys[at] is not None]
    assert having == sorted(key for key in keys if key is not None)
    assert [keys[at] for at in down if keys[at] is not None] == having[::-1]
    assert [at for at in up if keys[at] is None] == [at for at in down if keys[at] is None]


def test_recently_means_newer_than() -> None:
    matches = compile_query(plan(rule=Rule(recently_added=30)).query, NOW_NS)
    assert [matches(track(added_days=days)) for days in (29.9, 30, 30.1)] == [True, False, False]
