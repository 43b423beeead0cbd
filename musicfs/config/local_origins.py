"""Origins from nothing but folders, as a flag or a variable gives them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_ID_LENGTH = 64


def origins_of_paths(paths: Iterable[str]) -> list[dict[str, Any]]:
    """Local origins for folders; each id is derived from its folder's name and unique among them."""
    origins: list[dict[str, Any]] = []
    taken: set[str] = set()
    for path in paths:
        identifier = _unused(_id_of(path), taken)
        taken.add(identifier)
        origins.append({"id": identifier, "origin_type": "local", "path": path})
    return origins


def _id_of(path: str) -> str:
    import unicodedata

    name = os.path.basename(os.path.abspath(os.path.expanduser(path)))
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    text = "".join(character if character in _ID_CHARACTERS else "-" for character in plain)
    return text.strip("-._")[:_ID_LENGTH] or "origin"


def _unused(name: str, taken: set[str]) -> str:
    candidate = name
    number = 2
    while candidate in taken:
        suffix = f"-{number}"
        candidate = name[: _ID_LENGTH - len(suffix)] + suffix
        number += 1
    return candidate
