"""From settings to an origin: an explicit table, whose modules are imported only when such an origin is opened."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Protocol, cast

import msgspec

from musicfs.config.settings import OriginSettings
from musicfs.errors import ConfigError
from musicfs.origins.compose import LOCAL_MANNERS, Manners, compose
from musicfs.origins.contract import Origin
from musicfs.origins.wrappers.trace import Tally


class Factory(Protocol):
    """What a kind's module offers: it builds the origin without touching it."""

    def __call__(self, settings: OriginSettings, *, anchor: bytes, debounce_s: float) -> Origin: ...


class Kind(msgspec.Struct, frozen=True):
    """Where one kind of origin lives, and how it is treated. ``extra`` is the dependency it needs, empty for none."""

    module: str
    factory: str
    extra: str = ""
    hint: str = ""
    manners: Manners = LOCAL_MANNERS


KINDS: Mapping[str, Kind] = {
    "local": Kind("musicfs.origins.local", "open_local_origin", hint="a folder of this machine"),
}


def open_origin(
    settings: OriginSettings,
    *,
    anchor: bytes = b"",
    debounce_s: float = 0.3,
    tally: Tally | None = None,
    kinds: Mapping[str, Kind] = KINDS,
) -> Origin:
    """The origin that ``settings`` describe, in the wrappers of its kind. No I/O on it: one that is down opens too.

    ``anchor`` is what the origin's :class:`~musicfs.origins.contract.Anchored` power returned last time; ``debounce_s`` how
    long a folder must be quiet before its change is reported; ``tally`` counts what is asked of the origin. Raises
    ConfigError for an unknown type or a missing extra.
    """
    kind = kinds.get(settings.origin_type)
    if kind is None:
        known = ", ".join(f"{name} ({kind.hint})" for name, kind in kinds.items())
        raise ConfigError(
            f"origin {settings.id!r}: unknown origin_type {settings.origin_type!r}", remedy=f"use one of: {known}"
        )
    try:
        module = importlib.import_module(kind.module)
    except ModuleNotFoundError as error:
        if not kind.extra or (error.name or "").split(".")[0] == "musicfs":
            raise  # a broken installation, not a missing extra
        raise ConfigError(
            f"origin {settings.id!r}: the type {settings.origin_type!r} needs the package {error.name!r}",
            remedy=f"pip install 'musicfs[{kind.extra}]'",
        ) from error
    origin = cast("Factory", getattr(module, kind.factory))(settings, anchor=anchor, debounce_s=debounce_s)
    return compose(origin, kind.manners, tally=tally)
