"""What a collection holds: from a query's text, or a tree of rules, to a plan that can be carried out.

A plan is a query, an order, and how many tracks. What is wrong with a definition is said with the key it stands under, as in
``rule.and[1].date``, so that it is found in a file of any depth; of a query also with the column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from musicfs.errors import ConfigError, Problem, QueryError
from musicfs.index.fields import Kind, kind_of
from musicfs.index.parser import parse
from musicfs.index.syntax import And, Bound, Not, Or, Query, Range, conjunction, disjunction, negation
from musicfs.index.values import canonical, is_age, is_reversed, limits
from musicfs.library.ordering import DEFAULT_ORDER, Order, parse_order
from musicfs.model import Rule

DEFAULT_LIMIT = 1000
# All of a collection is written in one transaction, for which scans and edits wait: some 20 microseconds a track. Players
# and file managers do not like longer folders either.
MAX_LIMIT = 10_000
MAX_DEPTH = 16

KeyPath = tuple[str | int, ...]
Wrong = tuple[KeyPath, Problem]  # the key below the definition, and what is wrong with its value

_KEYS = dict(zip(Rule.__struct_encode_fields__, Rule.__struct_fields__, strict=True))  # as written -> as in Python
_EXPECTED = {
    "match": "a query in quotes",
    "date": 'two dates, the first and the last: ["1980", "1989"]; "" for no end',
    "recently_added": "a number of days from 1 to 36500",
    "recently_played": "a number of days from 1 to 36500",
    "most_played": f"a number of tracks from 1 to {MAX_LIMIT}",
    "genre": "a genre in quotes",
    "and": "a list of rules",
    "or": "a list of rules",
    "not": "a rule",
}


class Age(msgspec.Struct, frozen=True):
    """A part of a query by which tracks come and go as time passes: a moment, and how long after it that happens."""

    field: str
    span_ns: int


class Plan(msgspec.Struct, frozen=True):
    """How to fill a collection: the first ``limit`` matches by ``picked_by``, then listed in ``order``.

    ``ages`` is empty if nothing but a change of a track can change the answer. ``only_expires``: time takes tracks out, and
    brings none in.
    """

    query: Query
    order: Order = DEFAULT_ORDER
    limit: int = DEFAULT_LIMIT
    picked_by: Order = DEFAULT_ORDER
    ages: tuple[Age, ...] = ()
    only_expires: bool = True

    @property
    def is_relative(self) -> bool:
        """Whether the answer changes as time passes."""
        return bool(self.ages)


def plan(query: str = "", rule: Rule | None = None, sort: str = "", limit: int = 0) -> Plan:
    """The plan of a definition: a query or a rule, the order's field, how many tracks (0: the default).

    Raises ConfigError with all that is wrong, QueryError if that is a query alone.
    """
    compiler = _Compiler()
    found = compiler.definition(query, rule)
    order = compiler.order(sort)
    if not 0 <= limit <= MAX_LIMIT:
        compiler.report(
            ("limit",), f"a limit of {limit} is not allowed", f"from 1 to {MAX_LIMIT}; 0 is {DEFAULT_LIMIT}"
        )
    if compiler.error is not None and len(compiler.wrong) == 1:
        raise compiler.error
    if compiler.wrong:
        raise _error(compiler.wrong)
    assert found is not None
    ages = tuple(_ages(found, is_negated=False))
    natural = compiler.natural or DEFAULT_ORDER
    count = limit or DEFAULT_LIMIT
    return Plan(
        query=found,
        order=order or natural,
        limit=min(count, compiler.most) if compiler.most else count,
        picked_by=natural if compiler.most else order or natural,
        ages=tuple(age for age, _ in ages),
        only_expires=all(expires for _, expires in ages),
    )


def rule_from(raw: object) -> Rule:
    """The rule that a table of TOML or an object of JSON is. Raises ConfigError with all that is wrong, key by key."""
    wrong = list(_wrong_in(raw, ("rule",)))
    if wrong:
        raise _error(wrong)
    return msgspec.convert(raw, Rule)


def check(query: str, rule: object, sort: str, limit: int) -> list[Wrong]:
    """Everything wrong with a definition as it is written in a file; an empty rule is none."""
    wrong = list(_wrong_in(rule, ("rule",))) if rule else []
    compiler = _Compiler()
    if not wrong:
        compiler.definition(query, msgspec.convert(rule, Rule) if rule else None)
    compiler.order(sort)
    return wrong + compiler.wrong


def dotted(path: KeyPath) -> str:
    """``("rule", "and", 1)`` as ``rule.and[1]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class _Compiler:
    """Compiles one definition. ``wrong`` collects; ``natural`` is the order that a rule brings with it."""

    def __init__(self) -> None:
        self.wrong: list[Wrong] = []
        self.error: ConfigError | None = None  # the query's own, where the definition is a query
        self.natural: Order | None = None
        self.most = 0

    def report(self, path: KeyPath, message: str, suggestion: str = "", place: str = "") -> None:
        self.wrong.append((path, Problem(place, message, suggestion)))

    def definition(self, query: str, rule: Rule | None) -> Query | None:
        if bool(query.strip()) == (rule is not None):
            message = "has both a query and a rule" if query.strip() else "has neither a query nor a rule"
            self.report(("query",), message, 'give one of them; the query "*" is every track')
            return None
        if rule is not None:
            return self._rule(rule, ("rule",), is_top=True)
        try:
            return parse(query)
        except QueryError as error:
            self.error = error
            self._bad_query(("query",), query, error)
            return None

    def order(self, sort: str) -> Order | None:
        try:
            return parse_order(sort) if sort else None
        except ConfigError as error:
            self.report(("sort",), str(error), error.remedy)
            return None

    def _bad_query(self, path: KeyPath, text: str, error: QueryError) -> None:
        where, _, message = str(error).partition(": ")
        self.report(path, f'query "{text}": {message}', error.remedy, where)

    def _rule(self, rule: Rule, path: KeyPath, *, is_top: bool) -> Query | None:
        """``is_top``: all that is found must match this rule."""
        if len(path) > 2 * MAX_DEPTH:
            self.report(path, f"rules are nested more than {MAX_DEPTH} deep")
            return None
        if rule.all_of is not None:
            parts = self._rules(rule.all_of, (*path, "and"), is_top=is_top)
            return conjunction(parts) if parts else None
        if rule.any_of is not None:
            parts = self._rules(rule.any_of, (*path, "or"), is_top=False)
            return disjunction(parts) if parts else None
        if rule.not_ is not None:
            child = self._rule(rule.not_, (*path, "not"), is_top=False)
            return negation(child) if child is not None else None
        return self._leaf(rule, path, is_top=is_top)

    def _rules(self, rules: tuple[Rule, ...], path: KeyPath, *, is_top: bool) -> list[Query]:
        found = (self._rule(rule, (*path, index), is_top=is_top) for index, rule in enumerate(rules))
        return [query for query in found if query is not None]

    def _leaf(self, rule: Rule, path: KeyPath, *, is_top: bool) -> Query | None:
        if rule.match is not None:
            try:
                return parse(rule.match)
            except QueryError as error:
                self._bad_query((*path, "match"), rule.match, error)
                return None
        if rule.date is not None:
            return self._dates(rule.date, (*path, "date"))
        if rule.genre is not None:
            return self._genre(rule.genre, (*path, "genre"))
        if rule.most_played is not None:
            return self._most_played(rule.most_played, (*path, "most_played"), is_top=is_top)
        field = "added" if rule.recently_added is not None else "played"
        if is_top and self.natural is None:
            self.natural = Order(field, is_descending=True)
        return Range(field, Bound(f"{rule.recently_added or rule.recently_played}d", is_inclusive=False))

    def _dates(self, dates: tuple[str, str], path: KeyPath) -> Query | None:
        bounds: list[Bound | None] = []
        for date in dates:
            try:
                bounds.append(Bound(canonical(Kind.DATE, date)) if date else None)
            except ValueError as error:
                self.report(path, str(error), _EXPECTED["date"])
                return None
        first, last = bounds
        if first is not None and last is not None and is_reversed(Kind.DATE, first.value, last.value):
            self.report(path, f"ends before it begins: {first.value} to {last.value}", "put the first date first")
            return None
        return Range("date", first, last)

    def _genre(self, genre: str, path: KeyPath) -> Query | None:
        quoted = genre.replace("\\", "\\\\").replace('"', '\\"')
        try:
            return parse(f'genre:"{quoted}"', max_characters=2000)
        except QueryError as error:
            self.report(path, f'"{genre}" is no genre: {str(error).partition(": ")[2]}', error.remedy)
            return None

    def _most_played(self, count: int, path: KeyPath, *, is_top: bool) -> Query | None:
        if not is_top or self.most:
            self.report(
                path,
                "most_played stands alone, or once in the outermost and: it counts among all that the rest finds",
                'for tracks that were played at all say { match = "plays:>=1" }',
            )
            return None
        self.most = count
        self.natural = Order("plays", is_descending=True)
        return Range("plays", Bound("1"))


def _wrong_in(raw: object, path: KeyPath) -> Iterator[Wrong]:
    """What keeps a table from being a rule, before any query in it is looked at."""
    if not isinstance(raw, Mapping):
        yield path, Problem("", f"{dotted(path)} is no rule", 'write { KEY = VALUE }, such as { genre = "Jazz" }')
        return
    if len(path) > 2 * MAX_DEPTH:
        yield path, Problem("", f"rules are nested more than {MAX_DEPTH} deep")
        return
    known = ", ".join(_KEYS)
    for key in raw:
        if key not in _KEYS:
            yield (*path, str(key)), Problem("", f"{dotted((*path, str(key)))} is no rule", f"a rule is one of {known}")
    if len(raw) != 1:
        found = " and ".join(map(str, raw)) or "nothing"
        yield path, Problem("", f"{dotted(path)} has {found}", f"a rule is exactly one of {known}; join several by and")
        return
    for key, value in raw.items():
        if key in _KEYS:
            yield from _wrong_value(str(key), value, (*path, str(key)))


def _wrong_value(key: str, value: object, path: KeyPath) -> Iterator[Wrong]:
    if key == "not":
        yield from _wrong_in(value, path)
    elif key in {"and", "or"} and isinstance(value, list | tuple) and value:
        for index, child in enumerate(value):
            yield from _wrong_in(child, (*path, index))
    else:
        try:
            msgspec.convert({key: value}, Rule)
        except msgspec.ValidationError:
            yield path, Problem("", f"{dotted(path)} = {value!r} is not allowed", f"it is {_EXPECTED[key]}")


def _ages(query: Query, *, is_negated: bool) -> Iterator[tuple[Age, bool]]:
    """The parts of a query that depend on the time, and whether that takes tracks out rather than bringing them in."""
    if isinstance(query, Not):
        yield from _ages(query.child, is_negated=not is_negated)
    elif isinstance(query, And | Or):
        for child in query.children:
            yield from _ages(child, is_negated=is_negated)
    elif isinstance(query, Range) and kind_of(query.field) is Kind.MOMENT:
        for bound, is_lower in ((query.lower, True), (query.upper, False)):
            if bound is not None and is_age(bound.value):
                moment = limits(Kind.MOMENT, Range(query.field, bound), 0).low
                assert moment is not None
                yield Age(query.field, -int(moment)), is_lower != is_negated


def _error(wrong: list[Wrong]) -> ConfigError:
    problems = tuple(Problem(dotted(path), problem.message, problem.suggestion) for path, problem in wrong)
    path, first = wrong[0]
    where = f"{first.place}: " if first.place else ""
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    return ConfigError(f"{dotted(path)}: {where}{first.message}{more}", remedy=first.suggestion, problems=problems)
