"""What a query means: whether one track matches. The reference for every index, and a filter of its own.

Only the fields that are asked for are read, and what was found out about a value or word is remembered while the same query
goes on: artists and albums come many times. A compiled query may be called from any thread.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import TypeVar

from musicfs.index.documents import Document, TextReader, number_reader, text_reader
from musicfs.index.edits import allowed_edits, is_within
from musicfs.index.fields import ANY, DEFAULT_FIELDS, Kind, kind_of
from musicfs.index.syntax import And, Fuzzy, Not, Or, Present, Query, Range, Words
from musicfs.index.values import limits
from musicfs.index.words import fold, words
from musicfs.model import FIELDS

Matches = Callable[[Document], bool]
V = TypeVar("V")

_REMEMBERED = 100_000  # values or words


def compile_query(query: Query, now_ns: int, zone: dt.tzinfo | None = None) -> Matches:
    """What says whether a track matches, with ages counted from ``now_ns`` and days of ``zone`` (None: of this machine)."""
    return _Compiler(now_ns, zone).compile(query)


class _Compiler:
    """Makes a function of each node; they share the words of values."""

    def __init__(self, now_ns: int, zone: dt.tzinfo | None) -> None:
        self._now_ns = now_ns
        self._zone = zone
        self._words_of = _remembering(words)

    def compile(self, query: Query) -> Matches:
        if isinstance(query, And):
            return _all_of([self.compile(child) for child in query.children])
        if isinstance(query, Or):
            return _any_of([self.compile(child) for child in query.children])
        if isinstance(query, Not):
            child = self.compile(query.child)
            return lambda document: not child(document)
        if isinstance(query, Range):
            return self._range(query)
        if query.field == ANY:
            if isinstance(query, Present):
                return lambda _: True
            return self._text(query, [text_reader(field) for field in DEFAULT_FIELDS], Kind.TEXT)
        if isinstance(query, Present):
            return _present(query.field)
        return self._text(query, [text_reader(query.field)], kind_of(query.field))

    def _range(self, query: Range) -> Matches:
        read = number_reader(query.field)
        admits = limits(kind_of(query.field), query, self._now_ns, self._zone).admits
        return lambda document: any(map(admits, read(document)))

    def _text(self, query: Words | Fuzzy, readers: Sequence[TextReader], kind: Kind) -> Matches:
        split = _remembering(_keyword) if kind is Kind.KEYWORD else self._words_of
        wanted = split(query.text)
        if isinstance(query, Fuzzy):
            return _fuzzy(wanted, query.distance, readers, split)
        is_there = _remembering(_sequence(wanted, query.is_prefix, split))

        def matches(document: Document) -> bool:
            for read in readers:  # plain loops: this runs for every track
                for value in read(document):
                    if is_there(value):
                        return True
            return False

        return matches


def _all_of(parts: list[Matches]) -> Matches:
    return lambda document: all(part(document) for part in parts)


def _any_of(parts: list[Matches]) -> Matches:
    return lambda document: any(part(document) for part in parts)


def _present(field: str) -> Matches:
    """A tag is present whatever it says: ``A1`` is no number, but a track."""
    if field in FIELDS or kind_of(field) in {Kind.TEXT, Kind.KEYWORD}:
        read_text = text_reader(field)
        return lambda document: bool(read_text(document))
    read = number_reader(field)
    return lambda document: bool(read(document))


def _keyword(value: str) -> tuple[str, ...]:
    """The one word of a value that is not cut."""
    return (" ".join(fold(value).split()),)


def _sequence(
    wanted: tuple[str, ...], is_prefix: bool, split: Callable[[str], tuple[str, ...]]
) -> Callable[[str], bool]:
    """Whether the wanted words stand in a value one after the other."""
    first, last = wanted[0], wanted[-1]
    if len(wanted) == 1 and not is_prefix:
        return lambda value: first in split(value)
    if len(wanted) == 1:
        return lambda value: any(word.startswith(first) for word in split(value))
    length, before = len(wanted), wanted[:-1]

    def is_there(value: str) -> bool:
        found = split(value)
        for start in range(len(found) - length + 1):
            stop = start + length - 1
            if found[start:stop] == before and (found[stop].startswith(last) if is_prefix else found[stop] == last):
                return True
        return False

    return is_there


def _fuzzy(
    wanted: tuple[str, ...], distance: int, readers: Sequence[TextReader], split: Callable[[str], tuple[str, ...]]
) -> Matches:
    """Whether each wanted word is nearly one of the words in the values of a field."""
    nearly = [_remembering(_near(word, allowed_edits(word, distance))) for word in wanted]

    def matches(document: Document) -> bool:
        for read in readers:
            found = [split(value) for value in read(document)]
            if found and all(any(is_near(word) for value in found for word in value) for is_near in nearly):
                return True
        return False

    return matches


def _near(wanted: str, distance: int) -> Callable[[str], bool]:
    letters = frozenset(wanted)

    def is_near(word: str) -> bool:
        # Each kind of letter that the word lacks takes an edit of its own: most words end here, soon.
        return len(letters.difference(word)) <= distance and is_within(wanted, word, distance)

    return is_near


def _remembering(function: Callable[[str], V]) -> Callable[[str], V]:
    """``function``, with its last answers at hand."""
    known: dict[str, V] = {}

    def remembered(text: str) -> V:
        try:
            return known[text]
        except KeyError:
            if len(known) >= _REMEMBERED:
                known.clear()
            found = known[text] = function(text)
            return found

    return remembered
