"""Who was involved: pairs of a role and a person in TIPL, TMCL and IPLS frames, of which some are to be others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from musicfs.formats.fields import ID3_ROLES
from musicfs.formats.id3frames import INVOLVED, split_text

FIELDS = frozenset({*ID3_ROLES.values(), "performer"})
_ROLE_OF_FIELD = {name: role for role, name in ID3_ROLES.items()} | {"djmixer": "DJ-mix"}
_PERFORMER = re.compile(r"(?P<person>.*) \((?P<role>.*)\)", re.DOTALL)

Pair = tuple[str, str]


@dataclass(slots=True)
class Involved:
    """The pairs of one frame called ``name``."""

    name: str
    pairs: list[Pair] = field(default_factory=list)

    @classmethod
    def of(cls, name: str, data: bytes) -> Involved:
        """Those that a frame's contents hold."""
        texts = split_text(data) if data else []
        return cls(name, list(zip(texts[::2], texts[1::2], strict=False)))

    def places(self, field: str) -> list[int]:
        """Where the pairs stand that are values of ``field``."""
        return [index for index, (role, _) in enumerate(self.pairs) if self._field(role) == field]

    def replace(self, field: str, values: Sequence[str]) -> bool:
        """Put ``values`` where the field's first pair stands, or at the end; whether anything is another now."""
        places = self.places(field)
        at = places[0] if places else len(self.pairs)
        role = self.pairs[at][0] if places else _ROLE_OF_FIELD.get(field, "")
        new = [_performer(value) if field == "performer" else (role, value) for value in values]
        kept = [pair for index, pair in enumerate(self.pairs) if index not in places]
        pairs = [*kept[:at], *new, *kept[at:]]
        changed = pairs != self.pairs
        self.pairs = pairs
        return changed

    def texts(self) -> list[str]:
        """The frame's strings."""
        return [text for pair in self.pairs for text in pair]

    def _field(self, role: str) -> str:
        return "performer" if self.name == "TMCL" else ID3_ROLES.get(role.lower(), "performer")


def home(field: str, version: int, present: Sequence[str]) -> str:
    """The frame that a field's first pair goes to, of those ``present`` if one will do."""
    fitting = ("TMCL",) if field == "performer" else ("TIPL",)
    for name in (*fitting, "IPLS"):
        if name in present:
            return name
    return fitting[0] if version == 4 else "IPLS"


def is_involved(name: str) -> bool:
    """Whether frames of this name hold pairs."""
    return name in INVOLVED


def _performer(value: str) -> Pair:
    found = _PERFORMER.fullmatch(value)
    return (found["role"], found["person"]) if found else ("", value)
