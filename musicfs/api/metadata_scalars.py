"""Tags as other clients know them: one value a field, numbers as numbers, in the fields below 50 of the messages.

Files hold text. Numbers are written as taggers write them: gains and peaks in the format of ReplayGain 2.0
(https://wiki.hydrogenaud.io/index.php?title=ReplayGain_2.0_specification, "Metadata format"), a compilation as ``1``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from google.protobuf.descriptor import FieldDescriptor

from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.metadata import Fields
from musicfs.api.wire import wire_text
from musicfs.errors import ConfigError
from musicfs.model import first

_FIRST_OTHER = 50  # the fields of both messages from here on are no scalars of tags
# What the messages call otherwise.
_FIELD_OF: Mapping[str, str] = {"track_number": "track", "disc_number": "disc", "album_type": "releasetype"}
# Fields of MetadataResponse below 50 that are not read from a tag of the same name.
_NO_TAGS = frozenset(
    {"file_id", "year", "format", "duration_ms", "bitrate", "channels", "bits_per_sample", "cover_url"}
)
_NUMBER = re.compile(r"\s*(\d{1,10})\s*(?:/.*)?", re.ASCII | re.DOTALL)
_YEAR = re.compile(r"\d{4}", re.ASCII)  # as the variable $year of templates
_DECIBELS = re.compile(r"\s*([+-]?\d{1,9}(?:[.,]\d{1,20})?)\s*(?:dB)?\s*", re.ASCII | re.IGNORECASE)


def set_scalars(message: pb.MetadataResponse, effective: Fields) -> None:
    """Fill in what ``effective`` says; a text that is not the number it should be is left out."""
    described = set()
    for field in message.DESCRIPTOR.fields:
        if field.number >= _FIRST_OTHER or field.name in _NO_TAGS:
            continue
        name = _FIELD_OF.get(field.name, field.name)
        described.add(name)
        value = _parsed(field.type, first(effective, name)) if effective.get(name) else None
        if value is not None:
            setattr(message, field.name, value)
    year = _YEAR.search(first(effective, "date"))
    if year:
        message.year = int(year[0])
    for name, values in effective.items():
        if values and name not in described:
            message.custom_tags[wire_text(name)] = wire_text(values[0])


def scalar_changes(request: pb.UpdateMetadataRequest) -> dict[str, tuple[str, ...]]:
    """What the fields below 100 of ``request`` change. ConfigError for a field given twice, and for values that are none."""
    changes: dict[str, tuple[str, ...]] = {}
    for field, value in request.ListFields():
        if not 1 < field.number < _FIRST_OTHER:
            continue
        if field.name == "cover_url":
            raise ConfigError(
                "cover_url is not supported: MusicFS fetches nothing from an address that a client names",
                remedy="send the image itself, as `cover`",
            )
        text = _written(field.name, value)
        changes[_FIELD_OF.get(field.name, field.name)] = (text,) if text else ()
    for given, text in request.custom_tags.items():
        name = given.lower()
        if not name or name in changes:
            raise ConfigError(f'custom_tags: the name "{given}" {"is given twice" if name else "is empty"}')
        changes[name] = (text,) if text else ()
    return changes


def _parsed(kind: int, text: str) -> object:
    """``text`` as a value of a field of this type, None where it is no such value."""
    if kind == FieldDescriptor.TYPE_UINT32:
        number = _NUMBER.fullmatch(text)
        return int(number[1]) if number and int(number[1]) <= 0xFFFF_FFFF else None
    if kind == FieldDescriptor.TYPE_FLOAT:
        decibels = _DECIBELS.fullmatch(text)
        return float(decibels[1].replace(",", ".")) if decibels else None
    if kind == FieldDescriptor.TYPE_BOOL:
        return text == "1"
    return wire_text(text)


def _written(name: str, value: object) -> str:
    """``value`` as taggers write it, empty where it removes the field."""
    match value:
        case bool():
            return "1" if value else ""
        case int():
            return str(value) if value else ""
        case float():
            return _gain(name, value) if name.endswith("_gain") else _peak(name, value)
    return str(value)


def _gain(name: str, value: float) -> str:
    if not math.isfinite(value):
        raise ConfigError(f"{name}: {value} is no gain in dB")
    return f"{round(value, 2) + 0.0:.2f} dB"  # the sum makes -0.0 a plain zero


def _peak(name: str, value: float) -> str:
    if not (math.isfinite(value) and value >= 0):
        raise ConfigError(f"{name}: {value} is no peak: a share of full scale, 0 or more")
    return f"{value:.6f}"
