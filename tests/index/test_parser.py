"""The grammar: what parses to what, what does not and where, and that no text does harm."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from musicfs.errors import ConfigError, QueryError
from musicfs.index.fields import ALIASES, KINDS
from musicfs.index.parser import MAX_CHARACTERS, MAX_DEPTH, parse
from musicfs.index.rendering import render
from musicfs.index.syntax import (
    EVERYTHING,
    And,
    Bound,
    Fuzzy,
    Not,
    Or,
    Present,
    Query,
    Range,
    Words,
    conjunction,
)
from musicfs.model import FIELDS
from tests.index.trees import TREES

A, B, C, D = (Words("", name) for name in "abcd")


def year(value: str, *, field: str = "date") -> Range:
    return Range(field, Bound(value), Bound(value))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a", A),
        ("  a\t", A),
        ("a b", And((A, B))),
        ("a AND b", And((A, B))),
        ("a\nAND(b)", And((A, B))),
        ("a OR b", Or((A, B))),
        ("a b OR c d", Or((And((A, B)), And((C, D))))),
        ("a AND b OR c AND d", Or((And((A, B)), And((C, D))))),
        ("a (b OR c) d", And((A, Or((B, C)), D))),
        ("((a)) (b c)", And((A, B, C))),
        ("a OR (b OR c)", Or((A, B, C))),
        ("NOT a b", And((Not(A), B))),
        ("NOT a OR b", Or((Not(A), B))),
        ("-a -b", And((Not(A), Not(B)))),
        ("-(a b)", Not(And((A, B)))),
        ("NOT NOT a", A),
        ("--a", A),
        ("NOT -(NOT a)", Not(A)),
        ("a AND NOT b", And((A, Not(B)))),
        ("a -b", And((A, Not(B)))),
        ("a-b", Words("", "a-b")),
        ("a - b", And((A, B))),
        ("and or not", And((Words("", "and"), Words("", "or"), Words("", "not")))),
        ("ANDy ORB NOTE", And((Words("", "ANDy"), Words("", "ORB"), Words("", "NOTE")))),
        ('"AND" "x y"', And((Words("", "AND"), Words("", "x y")))),
        ('"a \\"b\\" \\\\"', Words("", 'a "b" \\')),
        ("a\\ b", Words("", "a b")),
        ("\\-a", Words("", "-a")),
        ("\\(a\\)", Words("", "(a)")),
        ('12" mix', And((Words("", '12"'), Words("", "mix")))),
        ("a(b)", And((A, B))),
        ('a"b', Words("", 'a"b')),
        ("AC/DC P!nk don't R.E.M.", And(tuple(Words("", text) for text in ("AC/DC", "P!nk", "don't", "R.E.M.")))),
        ("Simon & Garfunkel", And((Words("", "Simon"), Words("", "Garfunkel")))),
        ("!!!", Words("", "!!!")),
        ("artist:!!! a", And((Words("artist", "!!!"), A))),
        ("& OR a", Or((Words("", "&"), A))),
        ("[live] {x}", And((Words("", "[live]"), Words("", "{x}")))),
        ("12:30", Words("", "12:30")),
        ("Mission\\: a", And((Words("", "Mission:"), A))),
        # Fields.
        ("artist:Metallica", Words("artist", "Metallica")),
        ("ARTIST:x", Words("artist", "x")),
        ("artist: x", Words("artist", "x")),
        ("artist:x:y", Words("artist", "x:y")),
        ('artist:"x y" a', And((Words("artist", "x y"), A))),
        ("artist:(a OR b)", Or((Words("artist", "a"), Words("artist", "b")))),
        ("artist:(a -b title:c) d", And((Words("artist", "a"), Not(Words("artist", "b")), Words("title", "c"), D))),
        ("-artist:x", Not(Words("artist", "x"))),
        ("albumartist:x", Words("album_artist", "x")),
        ("lyrics:*", Present("lyrics")),
        ("year:*", Present("date")),
        ("year:[* TO *]", Present("date")),
        ("artist:(*)", Present("artist")),
        ("*", EVERYTHING),
        ("\\*", Words("", "*")),
        ("custom:mood:happy", Words("custom:mood", "happy")),
        ('custom:"Album Type":live', Words("custom:album type", "live")),
        ("custom:album\\ type:live", Words("custom:album type", "live")),
        ("custom:rating:>=4.0", Range("custom:rating", Bound("4"))),
        ("custom:rating:=4", year("4", field="custom:rating")),
        ("custom:artist:x", Words("artist", "x")),
        ("custom:mood:*", Present("custom:mood")),
        # Words that are not whole.
        ("metal*", Words("", "metal", True)),
        ('"master of pup"*', Words("", "master of pup", True)),
        ("artist:AC/D*", Words("artist", "AC/D", True)),
        ("metal\\*", Words("", "metal*")),
        ("metalica~1", Fuzzy("", "metalica", 1)),
        ("metalica~", Fuzzy("", "metalica", 2)),
        ("jaz~", Fuzzy("", "jaz", 1)),
        ("x~0", Fuzzy("", "x", 0)),
        ("artist:x~2", Fuzzy("artist", "x", 2)),
        ("a~b ~ ~1 x\\~1", And((Words("", "a~b"), Words("", "~1"), Words("", "x~1")))),
        # Values.
        ("year:1990", year("1990")),
        ("date:1990-8-2", year("1990-08-02")),
        ("year:１９９０", year("1990")),
        ("year:[1980 TO 1989]", Range("date", Bound("1980"), Bound("1989"))),
        ("year:{1980 TO 1989}", Range("date", Bound("1980", False), Bound("1989", False))),
        ("year:[ 1980  TO 1989 }", Range("date", Bound("1980"), Bound("1989", False))),
        ("year:[1980 TO *]", Range("date", Bound("1980"))),
        ("year:{* TO 1989}", Range("date", None, Bound("1989", False))),
        ("year:>=1990", Range("date", Bound("1990"))),
        ("year:>1990", Range("date", Bound("1990", False))),
        ("year:<= 1990", Range("date", None, Bound("1990"))),
        ("year:<1990", Range("date", None, Bound("1990", False))),
        ("year:=1990", year("1990")),
        ("year:(1990 OR >1995)", Or((year("1990"), Range("date", Bound("1995", False))))),
        ("added:>30d", Range("added", Bound("30d", False))),
        ("added:30d", Range("added", Bound("30d"))),
        ("added:[2w TO 07d]", Range("added", Bound("2w"), Bound("7d"))),
        ("added:2024-05", year("2024-05", field="added")),
        ("added:<2024", Range("added", None, Bound("2024", False))),
        ("duration:3:45", year("3:45", field="duration")),
        ("duration:225", year("3:45", field="duration")),
        ("length:>1h", Range("duration", Bound("1:00:00", False))),
        ("duration:<90s", Range("duration", None, Bound("1:30", False))),
        ("bitrate:320", year("320", field="bitrate")),
        ("sample_rate:44.1k", year("44100", field="sample_rate")),
        ("track:007", year("7", field="track")),
        ("replaygain_track_gain:<-7.50", Range("replaygain_track_gain", None, Bound("-7.5", False))),
        ("replaygain_track_gain:-7", year("-7", field="replaygain_track_gain")),
        ("compilation:TRUE", year("yes", field="compilation")),
        ("compilation:0", year("no", field="compilation")),
        ("format:FLAC", Words("format", "FLAC")),
        ('origin:"my nas"', Words("origin", "my nas")),
    ],
)
def test_what_is_read(text: str, tree: Query) -> None:
    assert parse(text) == tree
    assert parse(render(tree)) == tree


@pytest.mark.parametrize(
    ("text", "column", "message", "remedy"),
    [
        ("", 1, "the query is empty", "*"),
        (" \t", 1, "the query is empty", "*"),
        ("artsit:x", 1, 'no field "artsit"', "did you mean artist:?"),
        ("a yaer:1990", 3, 'no field "yaer"', "did you mean year:?"),
        ("a Mission: b", 3, 'no field "Mission"', "quotes"),
        ("zzzzqq:x", 1, 'no field "zzzzqq"', "custom:zzzzqq:"),
        ("(a", 1, "this ( is not closed", ""),
        ("a (b (c) ", 3, "this ( is not closed", ""),
        ("a)", 2, "closes nothing", ""),
        ("()", 1, "nothing between the parentheses", ""),
        ("artist:()", 8, "nothing between the parentheses", ""),
        ('a "b', 3, "not closed", '\\"'),
        ('""', 1, "nothing between the quotes", ""),
        ('artist:" "', 8, "nothing between the quotes", ""),
        ("a\\", 2, "a backslash stands at the end", "\\\\"),
        ("\u0301", 1, "no word here", ""),
        ("AND a", 1, "AND has nothing before it", '"AND"'),
        ("a OR OR b", 6, "OR has nothing before it", '"OR"'),
        ("a OR", 3, "nothing follows OR", ""),
        ("a AND ", 3, "nothing follows AND", ""),
        ("a (b NOT) c", 6, "nothing follows NOT", ""),
        ("artist:", 1, "artist: has no value", ""),
        ("a title: ", 3, "title: has no value", ""),
        ("artist: AND b", 1, "artist: has no value", "quotes"),
        ("(artist:)", 2, "artist: has no value", ""),
        ("artist:-x", 8, "excludes what follows", "-artist:"),
        ("*etal", 1, "at the end of a word only", '"..."'),
        ("M*A*S*H", 1, "at the end of a word only", '"..."'),
        ("metal**", 1, "at the end of a word only", ""),
        ("metal*~1", 1, "either a * or a ~", ""),
        ("metal~3", 1, "0, 1 or 2 edits away, not 3", "metal~1"),
        ("metal~1 x~10", 9, "not 10", ""),
        ('"a b"~1', 6, "not a phrase", ""),
        ("[1980 TO 1989]", 1, "a range needs a field", "year:"),
        ("title:[a TO b]", 7, "title is text: it has no order", "date"),
        ("artist:>x", 8, "artist is text: it has no order", ""),
        ("format:>x", 8, "format is text: it has no order", ""),
        ("year:[1980 1989]", 6, "TO between its ends", ""),
        ("year:[1980 TO 1989", 6, "this range is not closed", ""),
        ("year:[1980", 6, "TO between its ends", ""),
        ("year:[ TO 1989]", 8, '"TO" is not a year', ""),
        ("year:[1989 TO 1980]", 6, "ends before it begins", "1980 TO 1989"),
        ("added:[1w TO 2w]", 7, "ends before it begins", "2w TO 1w"),
        ("year:abc", 6, '"abc" is not a year', ""),
        ("year:199*", 6, "only words have a *", "[1990 TO 1999]"),
        ("year:1990~1", 6, '"1990~1" is not a year', ""),
        ("year:90", 6, '"90" is not a year', ""),
        ("date:1990-13", 6, "is not a year, or a date", ""),
        ("date:2023-02-29", 6, "is not a year, or a date", ""),
        ("date:0000", 6, "is not a year", ""),
        ("added:30y", 7, '"30y" is not an age', "" ),
        ("added:30", 7, '"30" is not an age', ""),
        ("year:>", 7, "a value is missing", ""),
        ("year:(1990 OR x)", 15, '"x" is not a year', ""),
        ("duration:3:99", 10, "is not seconds", ""),
        ("duration:1:60:00", 10, "is not seconds", ""),
        ("bitrate:fast", 9, '"fast" is not a number', ""),
        ("compilation:maybe", 13, "is not yes or no", ""),
        ("custom:mood", 1, "followed by the name of a tag and a colon", "custom:mood:happy"),
        ("custom::x", 1, "followed by the name of a tag", ""),
        ("custom:rating:>x", 16, '"x" is not a number', ""),
        ("x" * 257, 257, "257 characters; 256", ""),
        ("(" * 33 + "a" + ")" * 33, 33, "nested more than 32 deep", ""),
    ],
)  # fmt: skip
def test_what_is_wrong(text: str, column: int, message: str, remedy: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(text)
    error = caught.value
    assert (error.column, str(error).partition(": ")[0]) == (column, f"column {column}")
    assert message in str(error)
    assert remedy in error.remedy
    assert isinstance(error, ConfigError)
    assert error.exit_code == 2


def test_limits() -> None:
    assert parse("x" * MAX_CHARACTERS) == Words("", "x" * MAX_CHARACTERS)
    nested = "(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH
    assert parse(nested) == A
    assert parse(f"{nested} {nested} b") == And((A, A, B)), "beside each other is not nested"
    assert parse("-" * 255 + "a") == Not(A)


def test_every_field_can_be_asked_for() -> None:
    assert set(FIELDS) <= set(KINDS)
    for name in (*KINDS, *ALIASES):
        assert parse(f"{name}:*") == parse(f"{name.upper()}:*") == Present(ALIASES.get(name, name))


@given(TREES)
def test_rendered_text_parses_to_an_equal_tree(tree: Query) -> None:
    assert parse(render(tree), max_characters=100_000) == tree


SIGNS = st.text(
    alphabet=st.sampled_from("abAZ09 \t()[]{}\":~*\\-><=!&/.,'東ö\u0301\ud800") | st.characters(),
    max_size=40,
)
PIECES = st.sampled_from(
    ["artist:", "year:", "added:", "custom:", " AND ", " OR ", "NOT ", "(", ")", "[", "{", " TO ", "]", "}", '"', "~1", "*",
     ">=", "<", "-", " ", "\\", "a", "1990", "30d", "3:45", "x y"]
)  # fmt: skip


@given(SIGNS | st.lists(PIECES, max_size=12).map("".join))
@example("\\" * 256)
@example("(" * 256)
@example("NOT " * 64)
@example("artist:" * 36)
@example("9" * 250 + "k")
@example("bitrate:" + "9" * 240 + "k")
@example("added:>" + "9" * 240 + "w")
@example("duration:" + "9" * 240 + "h")
@example("a.b." * 64)
def test_no_text_does_harm(text: str) -> None:
    try:
        tree = parse(text)
    except QueryError as error:
        assert 1 <= error.column <= len(text) + 1
    else:
        assert parse(render(tree), max_characters=100_000) == tree


@pytest.mark.parametrize(
    "piece", ["(", "a.", "-", "NOT ", "\\a", "[a TO ", "a~", "a*", '"', "custom:", "[", "$", "a'", "x "]
)
def test_no_text_takes_long(piece: str) -> None:
    text = (piece * MAX_CHARACTERS)[:MAX_CHARACTERS]
    begun = time.process_time()
    with contextlib.suppress(QueryError):
        parse(text)
    assert time.process_time() - begun < 0.1


def test_folders_in_each_other_narrow() -> None:
    inner = conjunction([parse("genre:jazz"), parse("year:[1960 TO 1969]"), parse("a b")])
    assert inner == parse("genre:jazz year:[1960 TO 1969] a b")
    assert conjunction([parse("a OR b"), parse("c")]) == parse("(a OR b) c")
    assert conjunction([]) == EVERYTHING
