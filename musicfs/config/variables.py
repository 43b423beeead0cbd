"""``MUSICFS_*`` variables as settings: which key each names, and its text as a value of that key's type."""

from __future__ import annotations

import tomllib
from typing import get_origin

import msgspec

from musicfs.config.local_origins import origins_of_paths
from musicfs.config.schema import Leaf, describe, leaves, nearest
from musicfs.config.settings import ENVIRONMENT_PREFIX
from musicfs.errors import Problem


def variable(path: tuple[str, ...]) -> str:
    """The name of the variable that sets the key at ``path``."""
    return ENVIRONMENT_PREFIX + "__".join(path).upper()


class Variables:
    """All variables that set something."""

    def __init__(self) -> None:
        self._leaves: dict[str, Leaf] = {variable(leaf.path): leaf for leaf in leaves()}

    def key(self, name: str) -> tuple[str, ...] | None:
        """The key that ``name`` sets; None for a variable that sets nothing."""
        leaf = self._leaves.get(name)
        return None if leaf is None else leaf.path

    def parse(self, name: str, text: str) -> tuple[tuple[str, ...], object] | Problem:
        """The key that ``name`` sets and its value, or what is wrong with it."""
        leaf = self._leaves.get(name)
        if leaf is None:
            # Foreign programs set variables with our prefix too (a service called musicfs in Kubernetes): not an error.
            suggestion = nearest(name, [known.lower() for known in self._leaves])
            return Problem(
                name,
                "no setting has this variable; it is ignored",
                suggestion.upper().replace("DID YOU MEAN", "did you mean"),
            )
        if leaf.field.element is not None:
            return self._tables(name, text, leaf)
        is_list = get_origin(leaf.field.type) is tuple
        value = _parts(leaf, text) if is_list else text
        try:
            return leaf.path, msgspec.convert(value, leaf.field.type, strict=False)
        except msgspec.ValidationError:
            return Problem(name, f'"{text}" is not allowed', f"allowed: {describe(leaf.field.type)}")

    def _tables(self, name: str, text: str, leaf: Leaf) -> tuple[tuple[str, ...], object] | Problem:
        if leaf.path == ("origins",) and not text.lstrip().startswith("["):
            return leaf.path, origins_of_paths(path for path in text.split(":") if path)
        try:
            return leaf.path, tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError) as error:
            return Problem(name, f"not a TOML array: {error}", f'write {name}=[{{ key = "value" }}]')


def _parts(leaf: Leaf, text: str) -> list[str]:
    """Folders are separated as in PATH. Addresses hold colons: commas or spaces stand between them; a comma alone is none."""
    if leaf.path[-1] == "addresses":
        return text.replace(",", " ").split()
    return [part for part in text.split(":") if part]
