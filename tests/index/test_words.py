"""What does not matter in text, and where words begin and end."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicfs.index.edits import allowed_edits, is_within
from musicfs.index.words import fold, has_letters, words
from tests.index.trees import edits


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Björk", "bjork"),
        ("BJO\u0308RK", "bjork"),
        ("Sigur Rós", "sigur ros"),
        ("Mø", "mo"),
        ("Łona", "lona"),
        ("Straße", "strasse"),
        ("STRASSE", "strasse"),
        ("Æther Œuvre Þór Ðe", "aether oeuvre thor de"),
        ("Đorđe", "dorde"),
        ("IŞIK ışık İstanbul", "isik isik istanbul"),
        ("Ｆｕｌｌ　Ｗｉｄｔｈ", "full width"),
        ("ﾊﾟﾌｭｰﾑ", "パフューム"),
        ("Ящик Чёрный", "ящик черныи"),
        ("Νίκος", "νικοσ"),
        ("ΝΙΚΟΣ", "νικοσ"),
        ("Ŧ ﬁn ²", "t fin 2"),
        ("فَيْرُوز", "فيروز"),
        ("שָׁלוֹם", "שלום"),
        ("がぎ", "がぎ"),
        ("한국", "한국"),
        ("Rock\u2019n\u2019Roll", "rock'n'roll"),
        ("so\u00adft", "soft"),
        ("☀\ufe0f", "☀"),
    ],
)
def test_what_does_not_matter(text: str, folded: str) -> None:
    assert fold(text) == folded
    assert fold(folded) == folded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Master of Puppets", "master of puppets"),
        ("don't Don\u2019t don\u00b4t dont", "dont dont dont dont"),
        ("they're I've we'll I'd I'm it's 80's", "theyre ive well id im its 80s"),
        ("L'amour d'Angelo O'Connor", "l amour d angelo o connor"),
        ("rock'n'roll Rock 'n' Roll", "rock n roll rock n roll"),
        ("Guns N' Roses 'Til", "guns n roses til"),
        ("AC/DC", "ac dc"),
        ("R.E.M. R.E.M REM N.W.A", "rem rem rem nwa"),
        ("J.S. Bach Dr. Dre will.i.am", "js bach dr dre will i am"),
        ("P!nk Ke$ha A$AP $uicideboy$ Bada$$ Too $hort", "pink kesha asap suicideboys badass too short"),
        ("Panic! At the Disco Wham! $100", "panic at the disco wham 100"),
        ("10,000 Maniacs 1,2 1,2345", "10000 maniacs 1 2 1 2345"),
        ("blink-182 4x4 7/11 U2 2.0", "blink 182 4x4 7 11 u2 2 0"),
        ("snake_case (live)", "snake case live"),
        ("東京事変", "東 京 事 変"),
        ("ゆらゆら帝国", "ゆ ら ゆ ら 帝 国"),
        ("B'zの歌2", "b z の 歌 2"),
        ("방탄소년단 아이유", "방탄소년단 아이유"),
        ("Кино — Группа", "кино группа"),
        ("हिन्दी गीत", "हिन्दी गीत"),
        ("!!!", "!!!"),
        ("÷", "÷"),
        ("+ / -", "+/-"),
        ("Simon & Garfunkel", "simon garfunkel"),
        ("", ""),
        (" \t\u200b\u0301", ""),
    ],
)
def test_words(text: str, expected: str) -> None:
    assert " ".join(words(text)) == expected


def test_marks_stay_with_their_letters() -> None:
    assert words("\u0e19\u0e49\u0e33 \u0e01") == ("\u0e19\u0e49\u0e4d", "\u0e32", "\u0e01")


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text())
def test_words_are_words_of_their_own(text: str) -> None:
    found = words(text)
    assert has_letters(text) == any(word.isalnum() or has_letters(word) for word in found)
    if not any("'" in word for word in found):
        assert words(" ".join(found)) == found or not has_letters(text)
    assert all(word and not any(sign.isspace() for sign in word) for word in found)


@given(st.text(), st.sampled_from([str.upper, str.lower, str.casefold]))
def test_ascii_case_does_not_matter(text: str, change: object) -> None:
    assert callable(change)
    plain = "".join(sign for sign in text if sign.isascii())
    assert words(change(plain)) == words(plain)


def test_every_character_there_is() -> None:
    every = [chr(code) for code in range(sys.maxunicode + 1)]
    assert [sign for sign in every if fold(fold(sign)) != fold(sign)] == []
    assert [sign for sign in every if has_letters(sign) and not words(sign)] == []


LETTERS = st.text(alphabet="abcd", max_size=6)


@given(LETTERS, LETTERS, st.integers(0, 2))
def test_edits(first: str, second: str, distance: int) -> None:
    assert is_within(first, second, distance) == (edits(first, second) <= distance)


@pytest.mark.parametrize(("word", "asked", "allowed"), [("a", 2, 0), ("ab", 2, 1), ("abc", 2, 2), ("abcd", 1, 1)])
def test_a_word_keeps_a_letter(word: str, asked: int, allowed: int) -> None:
    assert allowed_edits(word, asked) == allowed
