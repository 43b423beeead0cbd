"""Collects the values of one file's tags, and settles what the containers leave open."""

from __future__ import annotations

from collections.abc import Sequence

from musicfs.formats.fields import VORBIS, VORBIS_ALIASES
from musicfs.model import FIELDS

# What one file may say about itself: longer values are pictures in disguise, or damage.
MAX_VALUE_BYTES = 256 * 1024
MAX_TEXT_CHARS = 1024 * 1024
MAX_ITEMS = 10_000
MAX_VALUES_PER_FIELD = 500

_TRUE = frozenset({"1", "true", "yes", "t", "y"})


class TagSet:
    """Values by field in the file's order, each once; blank values and what exceeds the limits are left out."""

    __slots__ = ("_aliases", "_items", "_room", "_values")

    def __init__(self) -> None:
        self._values: dict[str, list[str]] = {}
        self._aliases: dict[str, list[str]] = {}
        self._room = MAX_TEXT_CHARS
        self._items = MAX_ITEMS

    def add(self, field: str, value: str) -> None:
        """Add one value of ``field``, a field's name or a custom tag's."""
        if "\0" in value:
            for part in value.split("\0", MAX_VALUES_PER_FIELD):
                self.add(field, part)
            return
        self._room -= len(field) + len(value)
        self._items -= 1
        if self._room < 0 or self._items < 0 or not value or value.isspace():
            return
        values = self._values.get(field)
        if values is None:
            self._values[field] = [value]
        elif len(values) < MAX_VALUES_PER_FIELD and value not in values:
            values.append(value)

    def add_alias(self, name: str, value: str) -> None:
        """Add a value under a Vorbis name, lower-cased, that yields to the container's own name for the same field."""
        if not name:
            return
        self._room -= len(name) + len(value)
        if self._room >= 0 and value:
            self._aliases.setdefault(name, []).append(value)

    def add_named(self, name: str, value: str) -> None:
        """Add a value under a Vorbis name, lower-cased: of a field, an alias, or a custom tag."""
        field = VORBIS.get(name)
        if field is not None:
            self.add(field, value)
        elif name in VORBIS_ALIASES:
            self.add_alias(name, value)
        elif name:
            self.add(name, value)

    def fill_from(self, other: TagSet) -> None:
        """Take the fields that are absent here from a lesser source of the same file."""
        self._settle_aliases()
        other._settle_aliases()
        for field, values in other._values.items():
            self._values.setdefault(field, values)

    def finish(self) -> dict[str, tuple[str, ...]]:
        """The tags as :class:`musicfs.model.Facts` holds them."""
        if self._aliases:
            self._settle_aliases()
        tags = {field: tuple(values) for field, values in self._values.items()}
        for number in ("track", "disc"):
            if number in tags:
                _split_total(tags, number)
        if "date" in tags:
            _drop_empty_dates(tags)
        if "compilation" in tags:
            if tags["compilation"][0].strip().lower() in _TRUE:
                tags["compilation"] = ("1",)
            else:
                del tags["compilation"]
        return tags

    def _settle_aliases(self) -> None:
        aliases, self._aliases = self._aliases, {}
        for name, values in aliases.items():
            field = VORBIS.get(name) or VORBIS_ALIASES.get(name) or name
            primary = self._values.get(field)
            # A year beside its date, or the same words twice, says nothing new; the rest stays under its own name.
            if primary is None or (name not in FIELDS and not says_all(primary, values)):
                for value in values:
                    self.add(field if primary is None else name, value)


def says_all(primary: Sequence[str], values: Sequence[str]) -> bool:
    """Whether each of ``values`` is, or begins, one of ``primary``: an alias that echoes the container's own name."""
    return all(any(own.startswith(value) for own in primary) for value in values)


def _split_total(tags: dict[str, tuple[str, ...]], number: str) -> None:
    """``3/12`` is a number and a total; a total of its own wins, and anything else after a slash stays."""
    values = []
    for value in tags[number]:
        own, slash, total = (part.strip() for part in value.partition("/"))
        if not slash or (total and not total.isdigit()):
            own = value
        elif total:
            tags.setdefault(f"{number}_total", (total,))
        if own and own not in values:
            values.append(own)
    if values:
        tags[number] = tuple(values)
    else:
        del tags[number]


def _drop_empty_dates(tags: dict[str, tuple[str, ...]]) -> None:
    """A date without any digit but zero is what some programs write for an unknown one."""
    dates = tuple(date for date in tags["date"] if any(digit in "123456789" for digit in date))
    if dates:
        tags["date"] = dates
    else:
        del tags["date"]
