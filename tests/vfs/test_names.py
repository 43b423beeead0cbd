"""Names: whatever text comes in, a filesystem can hold what comes out."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicfs.vfs.names import MAX_NAME_BYTES, clean, encode, fit, fold, is_variant, numbered, split_suffix

NAMES = settings(max_examples=300, deadline=None, derandomize=True, database=None)

# Any text, and what a path of stray bytes decodes to: surrogate escapes. Long runs of one character find the limits.
characters = st.one_of(
    st.characters(codec="utf-8"),
    st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF),
    st.sampled_from('/\0.\\:*?"<>| \t\né\u0301e終🚉'),
)
texts = st.one_of(
    st.text(characters, max_size=12),
    st.builds(lambda text, times: text * times, st.text(characters, min_size=1, max_size=3), st.integers(80, 300)),
    st.sampled_from(
        ("con", "CON", "Lpt1.txt", "aux .x", "com¹", "nul", ".", "..", "...", " ", "a ", "a.", ". .", "_con"),
    ),
    st.sampled_from((" " * 300, "\udc80" * 300, "x" * 254 + ".", "x" * 253 + " .", "x" * 250 + "    yyyy")),
)
suffixes = st.sampled_from(("", ".flac", ".lrc", ".é"))
policies = st.sampled_from(("posix", "windows"))

DEVICES = {"con", "prn", "aux", "nul", "conin$", "conout$"} | {
    f"{p}{d}" for p in ("com", "lpt") for d in "0123456789¹²³"
}


def held(name: bytes, policy: str) -> None:
    """A filesystem can hold the name, and shows it."""
    assert 0 < len(name) <= MAX_NAME_BYTES
    assert name not in (b".", b"..") and not name.startswith(b".")
    assert b"/" not in name and b"\0" not in name
    text = name.decode("utf-8", "surrogateescape")
    if policy == "windows":
        assert not set(text) & set('\\:*?"<>|' + "".join(map(chr, range(32))))
        assert not text.endswith((" ", "."))
        assert text.partition(".")[0].rstrip(" ").lower() not in DEVICES


@NAMES
@given(texts, policies)
def test_a_folder_has_a_name_that_can_be_held(text: str, policy: str) -> None:
    held(fit(clean(text, policy)), policy)


@NAMES
@given(texts, suffixes, policies, st.integers(1, 1200))
def test_a_file_has_a_name_that_can_be_held_and_keeps_its_suffix(
    text: str, suffix: str, policy: str, number: int
) -> None:
    stem = clean(text, policy)
    name = numbered(stem, suffix, number)
    held(name, policy)
    assert name.endswith(suffix.encode())
    assert is_variant(name, stem, suffix)
    if number > 1:
        assert name.endswith(f" ({number}){suffix}".encode())
        assert name != numbered(stem, suffix, 1)


@NAMES
@given(st.text(st.characters(codec="utf-8"), max_size=300), policies)
def test_names_are_nfc_and_cut_between_characters(text: str, policy: str) -> None:
    name = fit(clean(text, policy), ".mp3").decode("utf-8")  # decodes: no character was cut in two
    assert unicodedata.is_normalized("NFC", name)


@NAMES
@given(st.binary(max_size=40))
def test_stray_bytes_come_out_as_they_were(raw: bytes) -> None:
    raw = raw.replace(b"/", b"").replace(b"\0", b"")
    text = raw.decode("utf-8", "surrogateescape")
    if raw and not raw.startswith(b".") and unicodedata.is_normalized("NFC", text):
        assert fit(clean(text, "posix")) == raw


@NAMES
@given(texts, policies)
def test_cleaning_twice_changes_nothing(text: str, policy: str) -> None:
    once = clean(text, policy)
    assert clean(once, policy) == once


@NAMES
@given(texts, suffixes, texts)
def test_only_numbers_make_variants(text: str, suffix: str, other: str) -> None:
    stem, another = clean(text, "posix"), clean(other, "posix")
    name = fit(another, suffix)
    if is_variant(name, stem, suffix) and name != fit(stem, suffix):
        number = int(name.removesuffix(suffix.encode()).rpartition(b"(")[2].rstrip(b")"))
        assert number > 1 and name == numbered(stem, suffix, number)


@pytest.mark.parametrize(
    ("text", "posix", "windows"),
    [
        ("AC/DC", "AC_DC", "AC_DC"),
        ("What?", "What?", "What_"),
        ('a\\b:c*d"e<f>g|h', 'a\\b:c*d"e<f>g|h', "a_b_c_d_e_f_g_h"),
        (".hidden", "_hidden", "_hidden"),
        ("..", "_.", "_"),
        ("", "_", "_"),
        ("Vol. ", "Vol. ", "Vol"),
        ("R.E.M.", "R.E.M.", "R.E.M"),
        ("Nul", "Nul", "_Nul"),
        ("COM1.live", "COM1.live", "_COM1.live"),
        ("Console", "Console", "Console"),
        ("a\nb", "a\nb", "a_b"),
        ("e\u0301", "é", "é"),
    ],
)
def test_what_each_policy_changes(text: str, posix: str, windows: str) -> None:
    assert clean(text, "posix") == posix
    assert clean(text, "windows") == windows


@pytest.mark.parametrize(
    ("name", "stem", "suffix"),
    [
        ("a.flac", "a", ".flac"),
        ("a", "a", ""),
        (".flac", ".flac", ""),
        ("a.", "a.", ""),
        ("Vol. 2 of it", "Vol. 2 of it", ""),
        ("a.b.mp3", "a.b", ".mp3"),
        ("a.averylongsuffix", "a.averylongsuffix", ""),
    ],
)
def test_suffixes_worth_keeping(name: str, stem: str, suffix: str) -> None:
    assert split_suffix(name) == (stem, suffix)


def test_a_long_title_is_cut_before_its_number() -> None:
    name = numbered("終" * 200, ".flac", 12)
    assert len(name) <= MAX_NAME_BYTES
    assert name.decode().endswith("終 (12).flac")


def test_case_folds() -> None:
    assert fold(b"STRASSE") == fold("Straße".encode()) == b"strasse"
    assert fold(b"\xff") == b"\xff"
    assert encode("\udcff") == b"\xff"
