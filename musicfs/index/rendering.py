"""From a tree to text for people that parses to an equal tree."""

from __future__ import annotations

import re

from musicfs.index.fields import ANY, CUSTOM, Kind, kind_of
from musicfs.index.syntax import And, Fuzzy, Not, Or, Present, Query, Range, Words
from musicfs.index.values import is_age

_SAFE_WORD = re.compile(r"\w[\w'./&+!,-]*")
_SAFE_NAME = re.compile(r"\w+")
_OPERATORS = frozenset({"AND", "OR", "NOT", "TO"})


def render(query: Query) -> str:
    """The text of a query in normal form. It can be longer than what was typed, so parse it without the limit."""
    if isinstance(query, Or):
        return " OR ".join(map(render, query.children))
    if isinstance(query, And):
        return " ".join(_grouped(child) if isinstance(child, Or) else render(child) for child in query.children)
    if isinstance(query, Not):
        return "-" + (_grouped(query.child) if isinstance(query.child, And | Or) else render(query.child))
    return _name(query.field) + _value(query)


def _grouped(query: Query) -> str:
    return f"({render(query)})"


def _name(field: str) -> str:
    if field == ANY:
        return ""
    if not field.startswith(CUSTOM):
        return field + ":"
    name = field.removeprefix(CUSTOM)
    return f"{CUSTOM}{name if _SAFE_NAME.fullmatch(name) else _quoted(name)}:"


def _value(query: Words | Fuzzy | Present | Range) -> str:
    if isinstance(query, Present):
        return "*"
    if isinstance(query, Words):
        text = query.text if _is_safe(query.text) else _quoted(query.text)
        return text + "*" * query.is_prefix
    if isinstance(query, Fuzzy):
        text = query.text if _is_safe(query.text) else "".join(_escaped(sign) for sign in query.text)
        return f"{text}~{query.distance}"
    return _range(query)


def _range(query: Range) -> str:
    lower, upper = query.lower, query.upper
    if lower is not None and upper is None:
        return (">=" if lower.is_inclusive else ">") + lower.value
    if upper is not None and lower is None:
        return ("<=" if upper.is_inclusive else "<") + upper.value
    assert lower is not None
    assert upper is not None
    if lower == upper and lower.is_inclusive:
        if query.field.startswith(CUSTOM):
            return "=" + lower.value  # the value alone would be a word
        if kind_of(query.field) is not Kind.MOMENT or not is_age(lower.value):  # an age alone has no end
            return lower.value
    return f"{'[' if lower.is_inclusive else '{'}{lower.value} TO {upper.value}{']' if upper.is_inclusive else '}'}"


def _is_safe(text: str) -> bool:
    return _SAFE_WORD.fullmatch(text) is not None and text not in _OPERATORS


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escaped(sign: str) -> str:
    return sign if sign.isalnum() else "\\" + sign
