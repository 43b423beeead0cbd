"""What is marked in the values of a track that matches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicfs.index.documents import TagDocument
from musicfs.index.evaluate import compile_query
from musicfs.index.highlights import START, STOP, highlight
from musicfs.index.parser import parse
from musicfs.index.syntax import Fuzzy, Query, Words
from musicfs.index.words import words
from tests.index.trees import DOCUMENTS, NOW_NS, TEXT_LEAVES, TREES, texts

TRACK = TagDocument(
    tags={
        "title": ("Enter Sandman",),
        "artist": ("Björk", "Sigur Rós & Friends"),
        "album": ("東京ブルース <b>live</b>",),
        "genre": ("Rock'n'Roll",),
        "composer": ("R.E.M.", "Ke$ha", "P!nk", "Straße", "Bjo\u0308rk", "Don’t Stop", "10,000 Days"),
        "comment": ("AC/DC [live] \x02at\x03 home",),
        "lyrics": ("la " * 300 + "needle " + "la " * 300,),
        "mood": ("Very  Happy",),
        "label": ("Ο Έρωτας", "Кино и Ёлка", "حُبّ كبير"),
    },
    format="flac",
    origins=("nas-1",),
    paths=("Music/Björk/Jóga.flac",),
)


@pytest.mark.parametrize(
    ("query", "field", "value"),
    [
        ("sandman", "title", "Enter [Sandman]"),
        ('"enter sandman"', "title", "[Enter Sandman]"),
        ("enter sandman", "title", "[Enter] [Sandman]"),
        ("sand*", "title", "Enter [Sandman]"),
        ("sandmen~1", "title", "Enter [Sandman]"),
        ("bjork", "artist", "[Björk]"),
        ("artist:ros", "artist", "Sigur [Rós] & Friends"),
        ("東京", "album", "[東京]ブルース <b>live</b>"),
        ("rem", "composer", "[R.E.M]."),
        ("kesha", "composer", "[Ke$ha]"),
        ("pink", "composer", "[P!nk]"),
        ("strasse", "composer", "[Straße]"),
        ("composer:bjork", "composer", "[Bjo\u0308rk]"),
        ("dont", "composer", "[Don’t] Stop"),
        ("10000", "composer", "[10,000] Days"),
        ("rock n roll", "genre", "[Rock]'[n]'[Roll]"),
        ("comment:AC/DC", "comment", "[AC/DC] [live] at home"),
        ("custom:mood:happy", "custom:mood", "Very  [Happy]"),
        ("format:FLAC", "format", "[flac]"),
        ("origin:nas*", "origin", "[nas-1]"),
        ("path:joga", "path", "Music/Björk/[Jóga].flac"),
        ("label:ερωτας", "label", "Ο [Έρωτας]"),
        ("label:елка", "label", "Кино и [Ёлка]"),
        ("label:حب", "label", "[حُبّ] كبير"),
    ],
)
def test_what_was_asked_for_is_marked_as_it_is_written(query: str, field: str, value: str) -> None:
    found = highlight(parse(query), TRACK)[field]
    assert found.replace(START, "[").replace(STOP, "]") == value


def test_only_what_made_it_match_is_marked() -> None:
    assert highlight(parse("-metallica -year:1990"), TRACK) == {}
    assert highlight(parse("*"), TRACK) == {}
    assert set(highlight(parse("sandman -enter"), TRACK)) <= {"title"}
    assert set(highlight(parse("(enter friday) OR bjork"), TRACK)) == {"artist", "composer"}
    assert set(highlight(parse("enter bjork"), TRACK)) == {"title", "artist", "composer"}


def test_a_long_value_is_cut_around_its_mark() -> None:
    found = highlight(parse("lyrics:needle"), TRACK)["lyrics"]
    assert len(found) < 300
    assert f"la {START}needle{STOP} la" in found
    assert found.startswith("…") and found.endswith("…")


@given(DOCUMENTS, TREES)
def test_without_its_marks_a_value_is_the_value(document: TagDocument, query: Query) -> None:
    for field, marked in highlight(query, document).items():
        assert START in marked
        for one in marked.replace(START, "").replace(STOP, "").split("; "):
            assert one in texts(field, document)


@given(st.text(max_size=30))
def test_each_word_is_marked_where_it_is_written(text: str) -> None:
    for word in words(text):
        document = TagDocument(tags={"title": (text,)})
        marked = highlight(Words("title", word), document)
        if not marked:  # a word that is another one when it stands alone
            assert words(word) != (word,)
            continue
        assert marked["title"].replace(START, "").replace(STOP, "") == text.replace(START, "").replace(STOP, "")


@given(DOCUMENTS, TEXT_LEAVES)
def test_words_that_match_are_marked_and_no_others(document: TagDocument, query: Words | Fuzzy) -> None:
    assert bool(highlight(query, document)) == compile_query(query, NOW_NS)(document)
