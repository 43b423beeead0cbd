"""The shape of the settings as data: which keys there are, of what type, and what may be written for them.

Derived from the structs of ``settings``, so that a key is declared once. Nothing here is imported by a load that finds
no problem and no environment variable.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import msgspec.inspect
import msgspec.structs

from musicfs.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a table. Exactly one of ``table`` and ``element`` may be set: a table, or an array of tables."""

    name: str
    type: typing.Any
    required: bool
    default: object
    table: type[msgspec.Struct] | None
    element: type[msgspec.Struct] | None


@dataclass(frozen=True, slots=True)
class Leaf:
    """A setting that is not a table, with its full path from the root."""

    path: tuple[str, ...]
    field: Field


def fields(table: type[msgspec.Struct]) -> dict[str, Field]:
    """The keys of ``table`` in the order in which they are declared."""
    return {info.name: _field(info) for info in msgspec.structs.fields(table)}


def leaves(table: type[msgspec.Struct] = Settings, prefix: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Every setting below ``table``; an array of tables is one setting."""
    for field in fields(table).values():
        if field.table is not None:
            yield from leaves(field.table, (*prefix, field.name))
        else:
            yield Leaf((*prefix, field.name), field)


def describe(kind: object) -> str:
    """What may be written for a setting of this type, in words."""
    return _describe(msgspec.inspect.type_info(kind))


def dotted(path: tuple[str | int, ...]) -> str:
    """``("origins", 0, "path")`` as ``origins[0].path``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _field(info: msgspec.structs.FieldInfo) -> Field:
    default: object = None if info.default is msgspec.NODEFAULT else info.default
    if info.default_factory is not msgspec.NODEFAULT:
        default = info.default_factory()
    table = info.type if _is_struct(info.type) else None
    element: type[msgspec.Struct] | None = None
    if typing.get_origin(info.type) is tuple:
        inner = typing.get_args(info.type)[0]
        element = inner if _is_struct(inner) else None
    return Field(info.name, info.type, info.required, default, table, element)


def _is_struct(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _describe(info: msgspec.inspect.Type) -> str:
    if isinstance(info, msgspec.inspect.Metadata):
        words = (info.extra_json_schema or {}).get("description")
        if isinstance(words, str):
            return words
        return _describe(info.type)
    if isinstance(info, msgspec.inspect.BoolType):
        return "true or false"
    if isinstance(info, msgspec.inspect.LiteralType):
        return "one of " + ", ".join(f'"{value}"' for value in info.values)
    if isinstance(info, msgspec.inspect.IntType):
        return "a whole number" + _bounds(info.ge, info.le)
    if isinstance(info, msgspec.inspect.FloatType):
        return "a number" + _bounds(info.ge, info.le)
    if isinstance(info, msgspec.inspect.StrType):
        return "text that is not empty" if info.min_length else "text"
    if isinstance(info, msgspec.inspect.VarTupleType):
        return f"a list, each {_describe(info.item_type)}"
    return "a table"


def _bounds(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {_number(low)} to {_number(high)}"
    if low is not None:
        return f" of at least {_number(low)}"
    return f" of at most {_number(high)}" if high is not None else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def nearest(word: str, known: Sequence[str]) -> str:
    """``did you mean "names"?`` for a misspelt word, or an empty string."""
    import difflib

    matches = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return f'did you mean "{matches[0]}"?' if matches else ""
