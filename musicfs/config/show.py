"""The effective settings as TOML, each with the place it came from; the result can be loaded again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from musicfs.config.toml_text import format_value

if TYPE_CHECKING:
    from musicfs.config.load import Loaded
    from musicfs.config.places import KeyPath


def show(loaded: Loaded) -> str:
    """Every setting, defaults too, as TOML with a comment that says where its value came from."""
    lines: list[str] = []
    _table(loaded, loaded.settings, (), lines)
    return "\n".join(lines).strip() + "\n"


def _table(loaded: Loaded, table: msgspec.Struct, path: KeyPath, lines: list[str]) -> None:
    tables: list[tuple[KeyPath, str, msgspec.Struct]] = []
    entries: list[tuple[str, str]] = []
    for name in table.__struct_fields__:
        value = getattr(table, name)
        inner = (*path, name)
        if isinstance(value, msgspec.Struct):
            tables.append((inner, "[" + ".".join(map(str, inner)) + "]", value))
        elif isinstance(value, tuple) and any(isinstance(element, msgspec.Struct) for element in value):
            header = f"[[{'.'.join(map(str, inner))}]]"
            tables.extend(((*inner, index), header, element) for index, element in enumerate(value))
        else:
            text = f"0o{value:03o}" if name == "umask" else format_value(value)
            entries.append((f"{name} = {text}", _comment(loaded, inner)))
    width = min(max((len(text) for text, _ in entries), default=0), 48)
    lines.extend(f"{text:<{width}}  # {comment}" for text, comment in entries)
    for inner, header, struct in tables:
        lines.extend(("", header))
        _table(loaded, struct, inner, lines)


def _comment(loaded: Loaded, path: KeyPath) -> str:
    source = loaded.source(path)
    return f"{source.kind} {source.place}".strip()
