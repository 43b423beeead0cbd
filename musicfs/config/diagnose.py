"""Everything wrong with the types and names of a configuration, at once.

``load`` converts the whole document in one step; only when that fails is it walked here, key by key, to say what is
wrong with each. What is right is kept, so that the checks on meaning can run on the rest.
"""

from __future__ import annotations

from typing import Any

import msgspec

from musicfs.config.layers import Layers, Raw
from musicfs.config.schema import Field, describe, dotted, fields, leaves, nearest
from musicfs.config.settings import SecretReference, Settings
from musicfs.config.toml_text import format_value
from musicfs.errors import Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.config.places import KeyPath

_SHOWN_LENGTH = 60


def diagnose(layers: Layers) -> tuple[Settings, list[Problem]]:
    """The settings without what is wrong with them, and one problem for each thing that is."""
    walk = _Walk(layers)
    kept = walk.table(Settings, layers.raw, ())
    for name, indexes in walk.kept_elements.items():
        layers.keep_elements(name, indexes)
    return msgspec.convert(kept if kept is not None else {}, Settings), walk.problems


class _Walk:
    """One walk over a document. ``kept_elements`` says which elements of each list of tables are usable."""

    def __init__(self, layers: Layers) -> None:
        self.problems: list[Problem] = []
        self.kept_elements: dict[str, list[int]] = {}
        self._layers = layers
        self._known = [leaf.path for leaf in leaves()]

    def table(self, kind: type[msgspec.Struct], raw: object, path: KeyPath) -> Raw | None:
        """What of ``raw`` can be kept; None when a required key is missing or wrong."""
        if not isinstance(raw, dict):
            self._report(path, f"{_shown(raw)} stands where a table is expected", f"write [{dotted(path)}]")
            return None
        known = fields(kind)
        kept: Raw = {}
        for key, value in raw.items():
            field = known.get(key)
            if field is None:
                self._unknown(key, path, list(known))
            else:
                self._keep(field, value, (*path, key), kept)
        for field in known.values():
            if field.required and field.name not in raw:
                self._report(path, f"{dotted((*path, field.name))} is missing", f"allowed: {describe(field.type)}")
        return kept if all(field.name in kept for field in known.values() if field.required) else None

    def _keep(self, field: Field, value: object, path: KeyPath, kept: Raw) -> None:
        if field.table is not None:
            table = self.table(field.table, value, path)
            if table is not None:
                kept[field.name] = table
        elif field.element is not None:
            kept[field.name] = self._elements(field.element, value, path)
        elif self._is_valid(field, value, path):
            kept[field.name] = value

    def _elements(self, kind: type[msgspec.Struct], value: object, path: KeyPath) -> list[Raw]:
        if not isinstance(value, list):
            self._report(path, f"{dotted(path)} is a list of tables", f"write [[{dotted(path)}]] before each")
            return []
        tables = [self.table(kind, element, (*path, index)) for index, element in enumerate(value)]
        self.kept_elements[dotted(path)] = [index for index, table in enumerate(tables) if table is not None]
        return [table for table in tables if table is not None]

    def _is_valid(self, field: Field, value: object, path: KeyPath) -> bool:
        try:
            msgspec.convert(value, field.type)
        except msgspec.ValidationError:
            if field.type is SecretReference:  # what was written there may be the secret itself
                self._report(path, f"{dotted(path)} is no reference to a secret", f"allowed: {describe(field.type)}")
            else:
                self._report(path, f"{dotted(path)} = {_shown(value)} is not allowed", _allowed(field, value))
            return False
        return True

    def _unknown(self, key: str, table: KeyPath, known: list[str]) -> None:
        path = (*table, key)
        suggestion = nearest(key, known) or self._elsewhere(key, table) or "allowed here: " + ", ".join(known)
        self._report(path, f"{dotted(path)} is not a setting", suggestion)

    def _elsewhere(self, key: str, table: KeyPath) -> str:
        """A key of this very name in another table."""
        matches = [dotted(path) for path in self._known if path[-1] == key and path[:-1] != table]
        return f'did you mean "{matches[0]}"?' if matches else ""

    def _report(self, path: KeyPath, message: str, suggestion: str = "") -> None:
        self.problems.append(Problem(self._layers.place(path), message, suggestion))


def _allowed(field: Field, value: object) -> str:
    allowed = describe(field.type)
    choices: Any = getattr(msgspec.inspect.type_info(field.type), "values", ())
    close = nearest(value, list(choices)) if isinstance(value, str) and choices else ""
    return f"{close} Allowed: {allowed}" if close else f"allowed: {allowed}"


def _shown(value: object) -> str:
    text = format_value(value)
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 3] + "..."
