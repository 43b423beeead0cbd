"""What in a track made it match: the values, with the words that were asked for marked.

A mark begins with :data:`START` and ends with :data:`STOP`, control characters that are taken out of the values: so nothing
in a value is mistaken for one, and who shows it chooses how. Values keep their spelling; nothing is escaped.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from musicfs.index.documents import Document, text_reader
from musicfs.index.edits import allowed_edits, is_within
from musicfs.index.fields import ANY, DEFAULT_FIELDS, Kind, kind_of
from musicfs.index.syntax import And, Fuzzy, Or, Query, Words
from musicfs.index.words import fold, words

START = "\x02"
STOP = "\x03"
SEPARATOR = "; "  # between the values of a field

_LENGTH_MAX = 240  # characters shown of a value: lyrics are long
_BEFORE = 60  # of these, before the first mark
_DROPPED = frozenset("'.,")  # signs that may be inside what becomes a word
_READ_AS = {"$": "s", "!": "i"}

_Split = Callable[[str], Sequence[str]]
_Spans = Mapping[tuple[str, int], list[tuple[int, int]]]  # field and number of the value -> what is marked in it


class _Word(NamedTuple):
    """A word, and where in its value it is written."""

    text: str
    start: int
    stop: int


def highlight(query: Query, document: Document) -> dict[str, str]:
    """The values with marks, by field: of a track that matches. Long values are cut to what is around the first mark.

    Words that must not be there mark nothing, nor do ranges. Empty if nothing is left to mark.
    """
    found = _marks(query, document, functools.cache(words))
    shown: dict[str, list[str]] = {}
    for (field, index), spans in sorted((found or {}).items()):
        shown.setdefault(field, []).append(_marked(text_reader(field)(document)[index], spans))
    return {field: SEPARATOR.join(values) for field, values in shown.items()}


def _marks(query: Query, document: Document, split: _Split) -> _Spans | None:
    """What a query marks; None if its words do not match. ``split`` remembers: parts of a query ask the same values."""
    if isinstance(query, And):
        parts = [_marks(child, document, split) for child in query.children]
        return None if None in parts else _together(parts)
    if isinstance(query, Or):
        parts = [_marks(child, document, split) for child in query.children]
        return _together(parts) if parts.count(None) < len(parts) else None
    if isinstance(query, Words | Fuzzy):
        return _text_marks(query, document, split)
    return {}  # a Not, a range, or a field that is there


def _together(parts: Sequence[_Spans | None]) -> _Spans:
    found: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for part in parts:
        for place, spans in (part or {}).items():
            found.setdefault(place, []).extend(spans)
    return found


def _text_marks(query: Words | Fuzzy, document: Document, split: _Split) -> _Spans | None:
    find = _fuzzy_runs if isinstance(query, Fuzzy) else _word_runs
    found: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for field in (query.field,) if query.field != ANY else DEFAULT_FIELDS:
        is_keyword = kind_of(field) is Kind.KEYWORD
        cut = _keyword if is_keyword else split
        values = text_reader(field)(document)
        for index, runs in enumerate(find(query, cut(query.text), [cut(value) for value in values])):
            if runs:  # where words are written is looked up for these values only: it takes ten times as long
                value = values[index]
                placed = [_Word("", 0, len(value))] if is_keyword else _placed(value)
                found[field, index] = [(placed[first].start, placed[last].stop) for first, last in runs]
    return found or None


def _word_runs(
    query: Words | Fuzzy, wanted: Sequence[str], values: Sequence[Sequence[str]]
) -> list[list[tuple[int, int]]]:
    """Of each value, where the words stand one after the other: the first and the last of each such run."""
    is_prefix = isinstance(query, Words) and query.is_prefix
    *before, last = wanted

    def runs(value: Sequence[str]) -> Iterator[tuple[int, int]]:
        for stop in range(len(before), len(value)):
            ends = value[stop].startswith(last) if is_prefix else value[stop] == last
            if ends and list(value[stop - len(before) : stop]) == before:
                yield stop - len(before), stop

    return [list(runs(value)) if is_prefix or last in value else [] for value in values]


def _fuzzy_runs(
    query: Words | Fuzzy, wanted: Sequence[str], values: Sequence[Sequence[str]]
) -> list[list[tuple[int, int]]]:
    """Of each value, the words that are nearly the wanted ones, if all of these are in the values together."""
    distance = query.distance if isinstance(query, Fuzzy) else 0
    missing = set(wanted)
    runs: list[list[tuple[int, int]]] = []
    for value in values:
        runs.append([])
        for index, word in enumerate(value):
            near = {one for one in wanted if is_within(one, word, allowed_edits(one, distance))}
            missing -= near
            if near:
                runs[-1].append((index, index))
    return [] if missing else runs


def _keyword(value: str) -> list[str]:
    return [" ".join(fold(value).split())]


def _placed(value: str) -> list[_Word]:
    """The words of a value and where they are written; all of it, for each word, where that cannot be told."""
    found = words(value)
    folded, places = _folded(value)
    if folded == fold(value):
        placed = _aligned(found, folded, places)
        if placed is not None:
            return placed
    return [_Word(word, 0, len(value)) for word in found]


def _folded(value: str) -> tuple[str, list[tuple[int, int]]]:
    """The folded text, made piece by piece, and of each of its characters where in ``value`` it is from."""
    if value.isascii() and len(plain := fold(value)) == len(value):
        return plain, [(at, at + 1) for at in range(len(value))]
    folded: list[str] = []
    places: list[tuple[int, int]] = []
    start = 0
    for stop in range(1, len(value) + 1):
        if stop < len(value) and unicodedata.category(value[stop])[0] == "M":
            continue  # a mark belongs to the letter before it
        piece = fold(value[start:stop])
        folded.append(piece)
        places += [(start, stop)] * len(piece)
        start = stop
    return "".join(folded), places


def _aligned(found: Sequence[str], folded: str, places: Sequence[tuple[int, int]]) -> list[_Word] | None:
    """Each word where it is written. None if one is not found."""
    placed: list[_Word] = []
    at = 0
    for word in found:
        stop = -1
        while at < len(folded) and (stop := _match(word, folded, at)) < 0:
            at += 1
        if stop < 0:
            return None
        placed.append(_Word(word, places[at][0], places[stop - 1][1]))
        at = stop
    return placed


def _match(word: str, folded: str, start: int) -> int:
    """Where the word, written from ``start`` on, ends; -1 if it is not written there."""
    at = start
    for index, letter in enumerate(word):
        is_inside = index > 0
        while at < len(folded) and folded[at] != letter and _is_skipped(folded[at], letter, is_inside):
            at += 1
        if at == len(folded) or letter not in (folded[at], _READ_AS.get(folded[at])):
            return -1
        at += 1
    return at


def _is_skipped(sign: str, letter: str, is_inside: bool) -> bool:
    """Whether a sign inside a word has no part in it: an apostrophe, or a blank among the signs of a word of signs."""
    return is_inside and (sign in _DROPPED or (sign.isspace() and not letter.isalnum()))


def _marked(value: str, spans: Sequence[tuple[int, int]]) -> str:
    """A value with marks, those that touch as one; a long one cut."""
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    first, last = 0, len(value)
    if len(value) > _LENGTH_MAX:
        first = max(0, joined[0][0] - _BEFORE)
        last = max(min(first + _LENGTH_MAX, len(value)), joined[0][1])
    parts = ["…"] if first else []
    at = first
    for start, stop in joined:
        if stop > last:
            break
        parts += [_plain(value[at:start]), START, _plain(value[start:stop]), STOP]
        at = stop
    parts += [_plain(value[at:last]), "…" if last < len(value) else ""]
    return "".join(parts)


def _plain(text: str) -> str:
    return text.replace(START, "").replace(STOP, "")
