"""What the user changed of a track's tags, as values: pure functions, no I/O, no catalog."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
import xxhash

from musicfs.errors import ConfigError
from musicfs.model import Tags
from musicfs.store.corrections import NO_COVER, OWN_COVER

Fields = Mapping[str, tuple[str, ...]]

_TRUE = frozenset({"1", "true", "yes", "t", "y"})
_FALSE = frozenset({"0", "false", "no", "f", "n"})
_MAX_VALUE_CHARS = 64 * 1024
_MAX_VALUES = 500
_MAX_NAME_CHARS = 100
_ALIASES = {"year": "date", "tracknumber": "track", "discnumber": "disc", "albumartist": "album_artist"}


class Wanted(msgspec.Struct, frozen=True):
    """One change of one track, as it was asked for.

    ``fields`` have new values, none to remove one; ``revert`` get the file's own back, all of them with ``revert_all``.
    ``cover`` is as :class:`musicfs.store.overlays.Overlay` has it, None to leave it.
    """

    fields: Fields = {}
    revert: tuple[str, ...] = ()
    revert_all: bool = False
    cover: str | None = None


def field_name(name: str) -> str:
    """A field's name as it is stored; ConfigError for one that no container could hold."""
    plain = name.strip().lower()
    found = _ALIASES.get(plain, plain)
    if not found or len(found) > _MAX_NAME_CHARS or not found.isprintable() or "=" in found:
        raise ConfigError(f"a tag cannot be called {name!r}", remedy="use printable characters, no '=', at most 100")
    return found


def normal_fields(fields: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """Fields as files say them when they are read: names settled, blank and repeated values gone, ``3/12`` taken apart.

    ConfigError, which names the field, for what no file can say.
    """
    settled: dict[str, tuple[str, ...]] = {}
    for name, given in fields.items():
        field = field_name(name)
        values = tuple(dict.fromkeys(_value(field, value) for value in given if value and not value.isspace()))
        if len(values) > _MAX_VALUES:
            raise ConfigError(f"{field}: {len(values)} values are too many", remedy=f"give at most {_MAX_VALUES}")
        settled[field] = values
    for number in ("track", "disc"):
        _split_total(settled, number)
    if "compilation" in settled:
        settled["compilation"] = _flag(settled["compilation"])
    return settled


def _value(field: str, value: str) -> str:
    if len(value) > _MAX_VALUE_CHARS:
        raise ConfigError(f"{field}: a value of {len(value)} characters is too long", remedy="give at most 65,536")
    if "\0" in value:
        raise ConfigError(f"{field}: a value has a NUL character in it", remedy="give several values instead")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{field}: {value!r} is not Unicode text", remedy="give it in UTF-8") from None
    return value


def _split_total(fields: dict[str, tuple[str, ...]], number: str) -> None:
    if len(fields.get(number, ())) != 1:
        return
    own, slash, total = (part.strip() for part in fields[number][0].partition("/"))
    if slash and own and total.isdigit():
        fields[number] = (own,)
        fields.setdefault(f"{number}_total", (total,))


def _flag(values: tuple[str, ...]) -> tuple[str, ...]:
    text = values[0].strip().lower() if values else "0"
    if text not in _TRUE | _FALSE:
        raise ConfigError(f"compilation: {values[0]!r} is neither yes nor no", remedy="give 1 or 0")
    return ("1",) if text in _TRUE else ()


def changed_fields(own: Tags, before: Fields, wanted: Wanted) -> dict[str, tuple[str, ...]]:
    """The overlay's fields after a change. What would say the same as the file itself is not kept."""
    fields = {} if wanted.revert_all else dict(before)
    for name in wanted.revert:
        fields.pop(field_name(name), None)
    fields.update(normal_fields(wanted.fields))
    return {field: values for field, values in fields.items() if values != tuple(own.get(field, ()))}


def changed_cover(before: str, wanted: Wanted) -> str:
    """The overlay's cover after a change."""
    if wanted.cover is not None:
        return wanted.cover
    return OWN_COVER if wanted.revert_all else before


def effective_tags(own: Tags, fields: Fields) -> dict[str, tuple[str, ...]]:
    """The file's own tags with an overlay on top."""
    tags = {**{field: tuple(values) for field, values in own.items()}, **fields}
    return {field: tuple(values) for field, values in tags.items() if values}


def tags_digest(own: Tags) -> int:
    """Equal for files that say the same; 0 for one that says nothing."""
    if not own:
        return 0
    text = "\1".join(f"{field}\0" + "\0".join(own[field]) for field in sorted(own))
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")) or 1


__all__ = [
    "NO_COVER",
    "OWN_COVER",
    "Fields",
    "Wanted",
    "changed_cover",
    "changed_fields",
    "effective_tags",
    "field_name",
    "normal_fields",
    "tags_digest",
]
