"""The syntax tree of a query: frozen values, made in one normal form by the functions at the end.

In normal form, which :func:`~musicfs.index.rendering.render` and every reader may rely on: no ``And`` directly in an
``And`` and no ``Or`` in an ``Or``, both with two children at least; no ``Not`` of a ``Not``; fields by their own names, with
``""`` for the default ones; every text has a word, and every value is the canonical one of :mod:`musicfs.index.values`.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from musicfs.index.fields import ANY
from musicfs.index.words import has_letters


class Words(msgspec.Struct, frozen=True, tag=True):
    """The words of ``text`` directly one after the other in one value; with ``is_prefix`` the last one only begins so.

    Of a field whose kind is ``keyword`` the whole value is the one word.
    """

    field: str
    text: str
    is_prefix: bool = False


class Fuzzy(msgspec.Struct, frozen=True, tag=True):
    """All words of ``text``, each within ``distance`` (0 to 2) edits, in the values of the field together.

    An edit inserts, removes or replaces a letter, or swaps two neighbours. A word of n letters allows n - 1 at most.
    """

    field: str
    text: str
    distance: int


class Present(msgspec.Struct, frozen=True, tag=True):
    """The field has a value. Of the default fields (an empty name): every track."""

    field: str


class Bound(msgspec.Struct, frozen=True, tag=True):
    """An end of a range. ``value`` stands for all that it covers: ``1990`` for the whole year."""

    value: str
    is_inclusive: bool = True


class Range(msgspec.Struct, frozen=True, tag=True):
    """A value lies between the bounds; at least one of them is there. ``year:1990`` has both, the same."""

    field: str
    lower: Bound | None = None
    upper: Bound | None = None


class Not(msgspec.Struct, frozen=True, tag=True):
    """The child does not match. Nothing else is asked: ``NOT x`` alone is everything but x."""

    child: Query


class And(msgspec.Struct, frozen=True, tag=True):
    """All children match."""

    children: tuple[Query, ...]


class Or(msgspec.Struct, frozen=True, tag=True):
    """At least one child matches."""

    children: tuple[Query, ...]


Query = Words | Fuzzy | Present | Range | Not | And | Or
EVERYTHING = Present(ANY)


def conjunction(queries: Iterable[Query]) -> Query:
    """All of them: the meaning of words beside each other, and of a search folder inside another.

    Words of signs alone, asked of the default fields, say nothing beside other words and are left out: in ``Simon &
    Garfunkel`` nobody asks for the ``&``.
    """
    flat = [part for query in queries for part in (query.children if isinstance(query, And) else (query,))]
    telling = [part for part in flat if not _is_noise(part)] or flat
    if not telling:
        return EVERYTHING
    return telling[0] if len(telling) == 1 else And(tuple(telling))


def disjunction(queries: Iterable[Query]) -> Query:
    """Any of them, at least one."""
    flat = [part for query in queries for part in (query.children if isinstance(query, Or) else (query,))]
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def negation(query: Query) -> Query:
    """Everything else."""
    return query.child if isinstance(query, Not) else Not(query)


def _is_noise(query: Query) -> bool:
    return isinstance(query, Words | Fuzzy) and query.field == ANY and not has_letters(query.text)
