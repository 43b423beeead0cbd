"""From the text of a query to its tree, by recursive descent.

Grammar, white space between any two parts::

    query      = sequence { "OR" sequence }
    sequence   = unary { [ "AND" ] unary }         both bind tighter than OR
    unary      = { "NOT" | "-" } primary
    primary    = "(" query ")" | field ( "(" query ")" | value ) | text
    field      = name ":" | "custom:" ( word | phrase ) ":"
    value      = text | "*" | comparison value | ( "[" | "{" ) end "TO" end ( "]" | "}" )
    text       = ( word | phrase ) [ "*" | "~" [ "0" | "1" | "2" ] ]      no phrase is fuzzy
    comparison = ">=" | "<=" | ">" | "<" | "="

AND, OR, NOT and TO are upper case. Within ``field:( )`` the field is that of every part that names no other.
"""

from __future__ import annotations

import re

from musicfs.errors import QueryError
from musicfs.index.fields import (
    ANY,
    CUSTOM,
    KINDS,
    Kind,
    custom_field,
    find_field,
    has_order,
    kind_of,
    suggest_field,
)
from musicfs.index.scanner import Scanner, Token
from musicfs.index.syntax import Bound, Present, Query, Range, conjunction, disjunction, negation
from musicfs.index.terms import phrase_term, word_term
from musicfs.index.values import canonical, is_age, is_reversed

MAX_CHARACTERS = 256
MAX_DEPTH = 32

_OPERATORS = ("AND", "OR", "NOT")
_COMPARISONS = (">=", "<=", ">", "<", "=")
_LOOKS_LIKE_RANGE = re.compile(r"[\[{]\S*\sTO\s")


def parse(text: str, *, max_characters: int = MAX_CHARACTERS) -> Query:
    """The tree of a query. QueryError with the column of what is wrong."""
    if len(text) > max_characters:
        raise QueryError(
            f"the query has {len(text)} characters; {max_characters} are allowed",
            column=max_characters + 1,
            remedy="ask for less at once",
        )
    return _Parser(text).parse()


class _Parser:
    """One run over one text; each method takes what it is named after from the scanner."""

    def __init__(self, text: str) -> None:
        self._scanner = Scanner(text)
        self._depth = 0

    def parse(self) -> Query:
        scanner = self._scanner
        scanner.skip_space()
        if not scanner.next:
            raise scanner.error("the query is empty", 0, "a * alone finds everything")
        query = self._query(ANY)
        if scanner.next:
            raise scanner.error(
                "this ) closes nothing", scanner.at, "remove it, or put text with parentheses in quotes"
            )
        return query

    def _query(self, field: str) -> Query:
        parts = [self._sequence(field)]
        while self._scanner.take_keyword("OR"):
            parts.append(self._sequence(field))
        return disjunction(parts)

    def _sequence(self, field: str) -> Query:
        scanner = self._scanner
        parts = [self._unary(field)]
        while True:
            scanner.skip_space()
            if scanner.take_keyword("AND"):
                parts.append(self._unary(field))
            elif not scanner.next or scanner.next == ")" or self._peek_keyword("OR"):
                return conjunction(parts)
            else:
                parts.append(self._unary(field))

    def _unary(self, field: str) -> Query:
        scanner = self._scanner
        is_negated = False
        while True:
            scanner.skip_space()
            if scanner.take_keyword("NOT") or self._take_minus():
                is_negated = not is_negated
            else:
                query = self._primary(field)
                return negation(query) if is_negated else query

    def _take_minus(self) -> bool:
        """A minus directly before what it excludes; one that stands alone is only a sign: ``Artist - Title``."""
        after = self._scanner.text[self._scanner.at + 1 : self._scanner.at + 2]
        return bool(after) and not after.isspace() and after != ")" and self._scanner.take("-")

    def _primary(self, field: str) -> Query:
        scanner, start = self._scanner, self._scanner.at
        if not scanner.next or scanner.next == ")":
            self._raise_missing(start)
        for operator in _OPERATORS:
            if scanner.take_keyword(operator):
                raise scanner.error(
                    f"{operator} has nothing before it", start, f'put the word in quotes to look for it: "{operator}"'
                )
        if scanner.next == "(":
            return self._group(field)
        name = scanner.take_name()
        if name:
            return self._of_field(self._field(name, start), start)
        if field != ANY:
            return self._value(field)
        if _LOOKS_LIKE_RANGE.match(scanner.text, start):
            raise scanner.error("a range needs a field", start, "for example year:[1980 TO 1989]")
        return self._text(field)

    def _raise_missing(self, at: int) -> None:
        before = self._scanner.text[:at].rstrip()
        for operator in _OPERATORS:
            if before.endswith(operator):
                place = len(before) - len(operator)
                raise self._scanner.error(f"nothing follows {operator}", place, "write what it is to join or exclude")
        if before.endswith("("):
            raise self._scanner.error("there is nothing between the parentheses", len(before) - 1)
        raise self._scanner.error("something is missing here", at)

    def _group(self, field: str) -> Query:
        scanner, start = self._scanner, self._scanner.at
        scanner.at += 1
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise scanner.error(f"parentheses are nested more than {MAX_DEPTH} deep", start)
        query = self._query(field)
        self._depth -= 1
        if not scanner.take(")"):
            raise scanner.error("this ( is not closed", start, "put a ) behind what belongs together")
        return query

    # Fields and their values.

    def _field(self, name: str, start: int) -> str:
        scanner = self._scanner
        if name.lower() == CUSTOM[:-1]:
            token = scanner.take_token(ends=":")
            if not token.text or not scanner.take(":"):
                raise scanner.error(
                    "custom: is followed by the name of a tag and a colon", start, "for example custom:mood:happy"
                )
            return custom_field(token.text)
        field = find_field(name)
        if field is None:
            known = suggest_field(name)
            raise scanner.error(
                f'there is no field "{name}"',
                start,
                (f"did you mean {known}:?" if known else f"a tag of your own is custom:{name}:...")
                + " To look for a colon, put the text in quotes",
            )
        return field

    def _of_field(self, field: str, start: int) -> Query:
        scanner = self._scanner
        scanner.skip_space()
        if not scanner.next or scanner.next == ")" or any(map(self._peek_keyword, _OPERATORS)):
            raise scanner.error(f"{field}: has no value", start, 'put what you look for in quotes: title:"not"')
        if scanner.next == "(":
            return self._group(field)
        return self._value(field)

    def _value(self, field: str) -> Query:
        scanner, start = self._scanner, self._scanner.at
        if scanner.next in "[{":
            self._require_order(field, start)
            return self._range(field)
        for comparison in _COMPARISONS:
            if scanner.take(comparison):
                self._require_order(field, start)
                scanner.skip_space()
                return self._compared(field, comparison)
        if scanner.next == "-" and kind_of(field) in {Kind.TEXT, Kind.KEYWORD}:
            raise scanner.error("a - excludes what follows it", start, f"put it before the field: -{field}:...")
        if has_order(field) and not field.startswith(CUSTOM):
            return self._equal(field)
        return self._text(field)

    def _require_order(self, field: str, at: int) -> None:
        if not has_order(field):
            ordered = ", ".join(name for name in KINDS if kind_of(name) in {Kind.DATE, Kind.DURATION, Kind.MOMENT})
            raise self._scanner.error(
                f"{field} is text: it has no order", at, f"{ordered} have one, and numbers; text goes in quotes"
            )

    def _compared(self, field: str, comparison: str) -> Query:
        bound = Bound(self._canonical(field, self._scanner.take_token()), "=" in comparison)
        if comparison == "=":
            return self._within(field, bound)
        return Range(field, bound) if comparison[0] == ">" else Range(field, None, bound)

    def _equal(self, field: str) -> Query:
        token = self._scanner.take_token()
        if token.text == "*" and token.has_plain("*", 0):
            return Present(field)
        if token.has_plain("*", -1) or token.has_plain("~", -1):
            raise self._scanner.error(
                f"{field} is no text: only words have a * or ~", token.start, "give a range: year:[1990 TO 1999]"
            )
        return self._within(field, Bound(self._canonical(field, token)))

    @staticmethod
    def _within(field: str, bound: Bound) -> Query:
        """What a value alone means: all that it covers; of an age, all since then."""
        if kind_of(field) is Kind.MOMENT and is_age(bound.value):
            return Range(field, bound)
        return Range(field, bound, bound)

    def _range(self, field: str) -> Query:
        scanner, start = self._scanner, self._scanner.at
        is_low_in = scanner.next == "["
        scanner.at += 1
        lower = self._end(field, is_low_in)
        scanner.skip_space()
        if not scanner.take_keyword("TO"):
            raise scanner.error("a range has TO between its ends", start, "for example year:[1980 TO 1989]")
        upper = self._end(field, is_inclusive=True)
        scanner.skip_space()
        if scanner.next not in ("]", "}"):
            raise scanner.error("this range is not closed", start, "for example year:[1980 TO 1989]")
        if upper is not None and scanner.next == "}":
            upper = Bound(upper.value, is_inclusive=False)
        scanner.at += 1
        if lower is None and upper is None:
            return Present(field)
        if lower is not None and upper is not None and is_reversed(kind_of(field), lower.value, upper.value):
            raise scanner.error(
                f"the range ends before it begins: {lower.value} TO {upper.value}",
                start,
                f"{upper.value} TO {lower.value}",
            )
        return Range(field, lower, upper)

    def _end(self, field: str, is_inclusive: bool) -> Bound | None:
        self._scanner.skip_space()
        token = self._scanner.take_token(ends="]}")
        if token.text == "*" and token.has_plain("*", 0):
            return None
        return Bound(self._canonical(field, token), is_inclusive)

    def _canonical(self, field: str, token: Token) -> str:
        if not token.text:
            raise self._scanner.error("a value is missing", token.start)
        try:
            return canonical(kind_of(field), token.text)
        except ValueError as error:
            raise self._scanner.error(str(error), token.start) from None

    def _text(self, field: str) -> Query:
        scanner = self._scanner
        token = scanner.take_token()
        if not token.is_phrase:
            return word_term(field, token)
        is_prefix = scanner.take("*")
        if scanner.next == "~":
            raise scanner.error(
                "only a word can be fuzzy, not a phrase", scanner.at, "put a ~ behind each word, without quotes"
            )
        return phrase_term(field, token, is_prefix=is_prefix)

    def _peek_keyword(self, keyword: str) -> bool:
        at = self._scanner.at
        found = self._scanner.take_keyword(keyword)
        self._scanner.at = at
        return found
