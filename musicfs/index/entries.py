"""From a track to its entry in the full-text index; :mod:`musicfs.index.schema` says what is in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import tantivy

from musicfs.index.documents import Document, NumberReader, number_reader, text_reader
from musicfs.index.fields import CUSTOM, DEFAULT_FIELDS, Kind, kind_of
from musicfs.index.schema import (
    BEGINNING_MARKS,
    FLOAT_FIELDS,
    INTEGER_FIELDS,
    KEYWORD_BEGINNINGS,
    KEYWORD_FIELDS,
    TEXT_FIELDS,
    has_token,
    keyword,
    number_code,
    number_mark,
    tag_code,
    to_int64,
    tokens,
    whole_token,
)
from musicfs.model import FIELD_NAMES, FIELDS

_TELLING = frozenset({"title", "artist", "album_artist"})
_WHOLE = _TELLING | {"album"}
_REMEMBERED = 10_000  # values of fields that come again and again


class _Text(NamedTuple):
    """A value, as it lies in the index; empty if there is no word in it."""

    spread: str
    whole: str


class TrackEntries:
    """Makes entries, and remembers what became of values while it lives: artists and albums come many times."""

    def __init__(self) -> None:
        self._texts: dict[str, _Text] = {}
        columns = [_Column(field) for field in FIELD_NAMES if kind_of(field) not in {Kind.TEXT, Kind.KEYWORD}]
        self._columns = {column.field: column for column in columns}
        self._flags = [column for column in columns if kind_of(column.field) is Kind.FLAG]
        self._facts = [_Column(field) for field in (*INTEGER_FIELDS, *FLOAT_FIELDS) if field not in FIELDS]
        self._texts_of_facts = [
            (field, text_reader(field)) for field in (*TEXT_FIELDS, *KEYWORD_FIELDS) if field not in FIELDS
        ]

    def entry(self, object_id: int, document: Document) -> tantivy.Document:
        """The entry of one track."""
        entry = tantivy.Document()
        entry.add_integer("id", object_id)
        has: list[str] = []
        found: dict[str, None] = {}
        telling: dict[str, None] = {}
        whole: dict[str, None] = {}
        values_of = document.values
        for field in FIELD_NAMES:  # most tracks have few of them
            values = values_of(field)
            if values:
                has.append(field)
                column = self._columns.get(field)
                if column is None:
                    self._add_texts(entry, field, values, found, telling, whole)
                else:
                    column.add(entry, document)
        for column in self._flags:
            if not values_of(column.field):  # no is a value too
                column.add(entry, document)
        for field, read in self._texts_of_facts:
            values = read(document)
            if values:
                has.append(field)
                self._add_texts(entry, field, values, found, telling, whole)
        has += [column.field for column in self._facts if column.add(entry, document)]
        has += self._add_custom(entry, document)
        for spread in found:
            entry.add_text("any", spread)
        for spread in telling:
            entry.add_text("telling", spread)
        entry.add_text("whole", " ".join(whole))
        entry.add_text("has", " ".join(has))
        return entry

    def _add_texts(
        self,
        entry: tantivy.Document,
        field: str,
        values: Iterable[str],
        found: dict[str, None],
        telling: dict[str, None],
        whole: dict[str, None],
    ) -> None:
        if field in _KEYWORDS:
            for value in values:
                token = keyword(value)
                entry.add_text(field, token)
                for length, mark in enumerate(BEGINNING_MARKS[:KEYWORD_BEGINNINGS], 1):
                    entry.add_text(field, mark + token[:length])
            return
        for value in values:
            text = self._text(value)
            if text.spread:
                entry.add_text(field, text.spread)
                if field in _DEFAULT:
                    found[text.spread] = None
                if field in _TELLING:
                    telling[text.spread] = None
                if field in _WHOLE:
                    whole[text.whole] = None

    def _text(self, value: str) -> _Text:
        text = self._texts.get(value)
        if text is None:
            split = tokens(value)
            text = _Text(_spread("", split), whole_token(split))
            if len(self._texts) >= _REMEMBERED:
                self._texts.clear()
            self._texts[value] = text
        return text

    @staticmethod
    def _add_custom(entry: tantivy.Document, document: Document) -> list[str]:
        has: list[str] = []
        for name in document.custom_names:
            values = document.values(name)
            if not values:
                continue
            has.append(has_token(CUSTOM + name))
            code = tag_code(name)
            for value in values:
                split = tokens(value)
                if split:
                    entry.add_text("custom", _spread(code, split))
            for number in number_reader(CUSTOM + name)(document):
                entry.add_text("custom", number_mark(name) + number_code(number))
        return has


class _Column:
    """A field with numbers."""

    def __init__(self, field: str) -> None:
        self.field = field
        self._read: NumberReader = number_reader(field)
        self._is_float = field in FLOAT_FIELDS

    def add(self, entry: tantivy.Document, document: Document) -> bool:
        """Add the numbers of a track; whether there are any."""
        numbers = self._read(document)
        for number in numbers:
            if self._is_float:
                entry.add_float(self.field, number + 0.0)  # + 0.0: no negative zero
            else:
                entry.add_integer(self.field, to_int64(number))
        return bool(numbers)


_KEYWORDS = frozenset(KEYWORD_FIELDS)
_DEFAULT = frozenset(DEFAULT_FIELDS)


def _spread(code: str, split: Sequence[str]) -> str:
    """Each word and its beginnings."""
    one, two, three = BEGINNING_MARKS
    if not code:
        return " ".join([f"{word} {one}{word[0]} {two}{word[:2]} {three}{word[:3]}" for word in split])
    one, two, three = one + code, two + code, three + code
    return " ".join([f"{code}{word} {one}{word[0]} {two}{word[:2]} {three}{word[:3]}" for word in split])
