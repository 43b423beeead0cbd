"""From the tree of a query to tantivy's query, with the very same matches as :mod:`musicfs.index.evaluate` finds.

A compiled query belongs to the searcher it was made with: of what a phrase's last word may begin, only the words that this
searcher has are in it. Scores mean nothing here; what comes first is decided by :mod:`musicfs.index.ranking`.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Sequence

import tantivy
from tantivy import Occur

from musicfs.index.edits import allowed_edits
from musicfs.index.fields import ANY, CUSTOM, DEFAULT_FIELDS, Kind, kind_of
from musicfs.index.schema import (
    ABOUT_ID,
    BEGINNING_MARKS,
    FLOAT_FIELDS,
    KEYWORD_BEGINNINGS,
    STRIDE,
    has_token,
    keyword,
    number_code,
    number_mark,
    tag_code,
    to_int64,
    tokens,
)
from musicfs.index.syntax import And, Fuzzy, Not, Or, Present, Query, Range, Words
from musicfs.index.values import Limits, limits

_HEX = "0123456789abcdef"
_ANY_FIELD = "any"
_PATTERN_BYTES_MAX = 400  # tantivy takes patterns of up to 1000 states; few words begin alike for so long
_EXPANDED_MAX = 100  # words of a phrase that are tried without a further look
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$#&\-~]")


class Compiler:
    """Compiles queries for one searcher, with ages counted from ``now_ns`` and days of ``zone`` (None: of this machine)."""

    def __init__(
        self, searcher: tantivy.Searcher, schema: tantivy.Schema, now_ns: int, zone: dt.tzinfo | None = None
    ) -> None:
        self._searcher = searcher
        self._schema = schema
        self._now_ns = now_ns
        self._zone = zone

    def compile(self, query: Query) -> tantivy.Query:
        """What matches for tracks; the document that says what the index is never does."""
        compiled = self.part(query)
        return self.all_but(compiled, [self._term("id", ABOUT_ID)]) if _may_match_nothing(query) else compiled

    def part(self, query: Query) -> tantivy.Query:
        """The same for use inside another: about what is no track it says nothing."""
        if isinstance(query, And):
            asked = [self.part(child) for child in query.children if not isinstance(child, Not)]
            refused = [self.part(child.child) for child in query.children if isinstance(child, Not)]
            return self.all_but(all_of(asked), refused)
        if isinstance(query, Or):
            return any_of([self.part(child) for child in query.children])
        if isinstance(query, Not):
            return self.all_but(tantivy.Query.all_query(), [self.part(query.child)])
        if isinstance(query, Present):
            return self._present(query.field)
        if isinstance(query, Range):
            return self._range(query)
        if isinstance(query, Fuzzy):
            return self._fuzzy(query)
        return self._words(query)

    def whole(self, values: Sequence[str]) -> tantivy.Query:
        """Tracks of which one of these is a whole title, artist or album."""
        return any_of([self._term("whole", value) for value in dict.fromkeys(values)])

    def telling(self, query: Words) -> tantivy.Query:
        """Tracks with these words in the title or artist."""
        return self._phrase("telling", "", tokens(query.text), query.is_prefix)

    @staticmethod
    def all_but(asked: tantivy.Query, refused: Sequence[tantivy.Query]) -> tantivy.Query:
        """What matches and is not refused."""
        if not refused:
            return asked
        return tantivy.Query.boolean_query([(Occur.Must, asked), *((Occur.MustNot, one) for one in refused)])

    def _present(self, field: str) -> tantivy.Query:
        if field == ANY:
            return tantivy.Query.all_query()
        return self._term("has", has_token(field))

    def _words(self, query: Words) -> tantivy.Query:
        if kind_of(query.field) is Kind.KEYWORD:
            wanted = keyword(query.text)
            if not query.is_prefix:
                return self._term(query.field, wanted)
            if len(wanted) <= KEYWORD_BEGINNINGS:
                return self._term(query.field, BEGINNING_MARKS[len(wanted) - 1] + wanted)
            return self._beginning(query.field, wanted)
        field, code = _place(query.field)
        return self._phrase(field, code, tokens(query.text), query.is_prefix)

    def _phrase(self, field: str, code: str, wanted: tuple[str, ...], is_prefix: bool) -> tantivy.Query:
        """Words one after the other; of the last one perhaps only how it begins."""
        before = [(index * STRIDE, code + word) for index, word in enumerate(wanted[:-1])]
        last, at = wanted[-1], len(before) * STRIDE
        if not is_prefix:
            return self._sequence(field, [*before, (at, code + last)])
        marked = min(len(last), len(BEGINNING_MARKS))
        beginning = (at + marked, BEGINNING_MARKS[marked - 1] + code + last[:marked])
        if marked == len(last):
            return self._sequence(field, [*before, beginning])
        if not before:
            return self._beginning(field, code + last)
        found = self._searcher.terms_with_prefix(field, code + last)
        if len(found) > _EXPANDED_MAX:  # most of them stand elsewhere
            near = self._sequence(field, [*before, beginning])
            found = self._searcher.terms_with_prefix(field, code + last, filter_query=near)
        return any_of([self._sequence(field, [*before, (at, term)]) for term, _ in found])

    def _sequence(self, field: str, parts: Sequence[tuple[int, str]]) -> tantivy.Query:
        if len(parts) == 1:
            return self._term(field, parts[0][1])
        return tantivy.Query.phrase_query(self._schema, field, list(parts))

    def _beginning(self, field: str, prefix: str) -> tantivy.Query:
        """Tokens that begin so."""
        if len(prefix.encode()) > _PATTERN_BYTES_MAX:
            return any_of([self._term(field, term) for term, _ in self._searcher.terms_with_prefix(field, prefix)])
        return tantivy.Query.regex_query(self._schema, field, f"{_escaped(prefix)}.*")

    def _fuzzy(self, query: Fuzzy) -> tantivy.Query:
        if kind_of(query.field) is Kind.KEYWORD:
            return self._near(query.field, "", keyword(query.text), query.distance)
        wanted = tokens(query.text)
        if query.field != ANY:
            places = [_place(query.field)]
        elif len(wanted) == 1:
            places = [(_ANY_FIELD, "")]
        else:  # all in one field, whichever
            places = [(field, "") for field in DEFAULT_FIELDS]
        return any_of(
            [
                all_of([self._near(field, code, word, query.distance) for word in dict.fromkeys(wanted)])
                for field, code in places
            ]
        )

    def _near(self, field: str, code: str, word: str, distance: int) -> tantivy.Query:
        edits = allowed_edits(word, distance)
        if edits == 0:
            return self._term(field, code + word)
        return tantivy.Query.fuzzy_term_query(self._schema, field, code + word, edits, True)

    def _range(self, query: Range) -> tantivy.Query:
        found = limits(kind_of(query.field), query, self._now_ns, self._zone)
        if query.field.startswith(CUSTOM):
            return self._custom_range(number_mark(query.field.removeprefix(CUSTOM)), found)
        if query.field in FLOAT_FIELDS:
            return tantivy.Query.range_query(
                self._schema,
                query.field,
                tantivy.FieldType.Float,
                None if found.low is None else float(found.low),
                None if found.high is None else float(found.high),
                found.is_low_in,
                found.is_high_in,
            )
        low, high = _whole_limits(found)
        if low is not None and high is not None and low > high:
            return tantivy.Query.empty_query()
        return tantivy.Query.range_query(self._schema, query.field, tantivy.FieldType.Integer, low, high)

    def _custom_range(self, mark: str, found: Limits) -> tantivy.Query:
        low = int(number_code(-math.inf if found.low is None else found.low), 16) + (not found.is_low_in)
        high = int(number_code(math.inf if found.high is None else found.high), 16) - (not found.is_high_in)
        if low > high:
            return tantivy.Query.empty_query()
        first, last = f"{low:016x}", f"{high:016x}"
        if len(mark.encode()) <= _PATTERN_BYTES_MAX:
            pattern = _escaped(mark) + _digits_pattern(first, last)
            return tantivy.Query.regex_query(self._schema, "custom", pattern)
        terms = [term for term, _ in self._searcher.terms_with_prefix("custom", mark)]
        return any_of([self._term("custom", term) for term in terms if mark + first <= term <= mark + last])

    def _term(self, field: str, value: str | int) -> tantivy.Query:
        return tantivy.Query.term_query(self._schema, field, value, "basic")


def all_of(parts: Sequence[tantivy.Query]) -> tantivy.Query:
    """What all match; everything, of none."""
    if not parts:
        return tantivy.Query.all_query()
    return parts[0] if len(parts) == 1 else tantivy.Query.boolean_query([(Occur.Must, part) for part in parts])


def any_of(parts: Sequence[tantivy.Query]) -> tantivy.Query:
    """What one of them matches; nothing, of none."""
    if not parts:
        return tantivy.Query.empty_query()
    return parts[0] if len(parts) == 1 else tantivy.Query.boolean_query([(Occur.Should, part) for part in parts])


def _may_match_nothing(query: Query) -> bool:
    """Whether a document without any contents may match."""
    if isinstance(query, And):
        return all(_may_match_nothing(child) for child in query.children)
    if isinstance(query, Or):
        return any(_may_match_nothing(child) for child in query.children)
    return isinstance(query, Not) or query == Present(ANY)


def _place(field: str) -> tuple[str, str]:
    """The field of the index with the words of a field, and what is before each."""
    if field.startswith(CUSTOM):
        return "custom", tag_code(field.removeprefix(CUSTOM))
    return field or _ANY_FIELD, ""


def _whole_limits(found: Limits) -> tuple[int | None, int | None]:
    """The same limits, themselves in, for whole numbers."""
    low = high = None
    if found.low is not None and found.low != -math.inf:
        low = math.ceil(found.low) if found.low != math.inf else to_int64(1 << 64)
        low += not found.is_low_in and low == found.low
    if found.high is not None and found.high != math.inf:
        high = math.floor(found.high) if found.high != -math.inf else to_int64(-(1 << 64))
        high -= not found.is_high_in and high == found.high
    if low is None and high is None:
        low = to_int64(-(1 << 64))  # whatever it is, but there must be one
    return None if low is None else to_int64(low), None if high is None else to_int64(high)


def _digits_pattern(low: str, high: str) -> str:
    """A regular expression for the hexadecimal numbers of this many digits from ``low`` to ``high``."""
    if not low:
        return ""
    if low == "0" * len(low) and high == "f" * len(high):
        return f"[{_HEX}]{{{len(low)}}}"
    first, last = low[0], high[0]
    if first == last:
        return first + _digits_pattern(low[1:], high[1:])
    rest = len(low) - 1
    parts = [first + _digits_pattern(low[1:], "f" * rest), last + _digits_pattern("0" * rest, high[1:])]
    between = _HEX[_HEX.index(first) + 1 : _HEX.index(last)]
    if between:
        parts.append(f"[{between}]" + (f"[{_HEX}]{{{rest}}}" if rest else ""))
    return f"({'|'.join(parts)})"


def _escaped(text: str) -> str:
    """``text`` as a regular expression."""
    return _SPECIAL.sub(lambda found: "\\" + found[0], text)
