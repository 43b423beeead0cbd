"""Which collections there are: those built in, the configuration's, and the user's, who makes and deletes them."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence

import msgspec
import xxhash

from musicfs.api.collections import CollectionSettings, CollectionSource
from musicfs.clock import Clock
from musicfs.config.settings import CollectionsSettings
from musicfs.errors import ConfigError, ExistsError, NotFoundError
from musicfs.library.rules import Plan, plan, rule_from
from musicfs.model import Rule
from musicfs.store.overlays import StoredCollection
from musicfs.store.state import State

log = logging.getLogger(__name__)

_RECENT_DAYS = 30
_BUILT_IN = {
    "Recently Added": Rule(recently_added=_RECENT_DAYS),
    "80s Music": Rule(date=("1980", "1989")),
    "90s Music": Rule(date=("1990", "1999")),
}
_NAME_BYTES = 255 - len(".m3u8")

_encode = msgspec.msgpack.encode
_decode_rule = msgspec.msgpack.Decoder(Rule).decode


class Definition(msgspec.Struct, frozen=True):
    """A collection as somebody defined it, and how it is filled."""

    id: int
    name: str
    source: CollectionSource
    settings: CollectionSettings
    plan: Plan
    changed_ns: int = 0

    @property
    def is_built_in(self) -> bool:
        """Whether nobody asked for it: it appears once something is in it."""
        return self.source is CollectionSource.BUILT_IN


class Definitions:
    """Safe from any thread."""

    def __init__(self, settings: CollectionsSettings, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._complained: set[int] = set()
        self._fixed = self._of_config(settings)
        configured = {one.name for one in self._fixed}
        if settings.builtin:  # one of the configuration's stands for a built-in one of its name
            self._fixed = [*(one for one in _built_in() if one.name not in configured), *self._fixed]

    def all(self) -> list[Definition]:
        """All of them, in the order in which they come to their names: who was there first."""
        stored = sorted(self._state.collections(), key=lambda one: (one.added_ns, one.id))
        users = (self._of_user(one) for one in stored)
        return [*self._fixed, *(one for one in users if one is not None)]

    def lookup(self, name: str) -> Definition:
        """The one of this name. NotFoundError if there is none."""
        for definition in self.all():
            if definition.name == name:
                return definition
        raise NotFoundError(f"there is no collection {name!r}", remedy="see 'musicfs collection list'")

    def create(self, name: str, settings: CollectionSettings, *, replace: bool) -> Definition:
        """See CollectionsBackend."""
        _require_name(name)
        found = plan(settings.query, settings.rule, settings.sort, settings.limit)
        before = next((one for one in self.all() if one.name == name), None)
        if before is not None and (before.source is not CollectionSource.USER or not replace):
            whose = "" if before.source is CollectionSource.USER else f" of the {_WHOSE[before.source]}"
            remedy = "" if whose else "replace it, or take another name"
            raise ExistsError(f"there is a collection {name!r}{whose}", remedy=remedy or "take another name")
        stored = StoredCollection(
            id=before.id if before is not None else secrets.randbits(62) + 1,
            name=name,
            query=settings.query,
            rule=_encode(settings.rule) if settings.rule is not None else b"",
            sort=settings.sort,
            limit=settings.limit,
            added_ns=self._clock.time_ns(),
        )
        try:
            self._state.put_collection(stored)
        except ValueError:  # somebody else was faster
            raise ExistsError(f"there is a collection {name!r}", remedy="replace it, or take another name") from None
        return Definition(stored.id, name, CollectionSource.USER, settings, found, stored.added_ns)

    def delete(self, name: str) -> None:
        """See CollectionsBackend."""
        source = self.lookup(name).source
        if source is not CollectionSource.USER:
            raise ConfigError(
                f"the collection {name!r} is one of the {_WHOSE[source]}",
                remedy="take it out of the configuration"
                if source is CollectionSource.CONFIG
                else "set collections.builtin = false, or give another one this name in the configuration",
            )
        self._state.remove_collection(name)

    @staticmethod
    def _of_config(settings: CollectionsSettings) -> list[Definition]:
        found = []
        for one in settings.custom:
            rule = rule_from(one.rule) if one.rule else None
            asked = CollectionSettings(query=one.query, rule=rule, sort=one.sort, limit=one.limit)
            found.append(
                Definition(
                    _id_of("config", one.name),
                    one.name,
                    CollectionSource.CONFIG,
                    asked,
                    plan(one.query, rule, one.sort, one.limit),
                )
            )
        return found

    def _of_user(self, stored: StoredCollection) -> Definition | None:
        """None, which is logged once, for what this version cannot understand."""
        try:
            rule = _decode_rule(stored.rule) if stored.rule else None
            found = plan(stored.query, rule, stored.sort, stored.limit)
        except (ConfigError, msgspec.MsgspecError) as error:
            if stored.id not in self._complained:
                self._complained.add(stored.id)
                log.warning("the collection %r is not shown: %s", stored.name, error)
            return None
        settings = CollectionSettings(query=stored.query, rule=rule, sort=stored.sort, limit=stored.limit)
        return Definition(stored.id, stored.name, CollectionSource.USER, settings, found, stored.added_ns)


_WHOSE = {CollectionSource.BUILT_IN: "built-in ones", CollectionSource.CONFIG: "configuration's"}


def _built_in() -> Sequence[Definition]:
    return [
        Definition(
            _id_of("built-in", name),
            name,
            CollectionSource.BUILT_IN,
            CollectionSettings(rule=rule),
            plan(rule=rule),
        )
        for name, rule in _BUILT_IN.items()
    ]


def _id_of(source: str, name: str) -> int:
    return xxhash.xxh3_64_intdigest(f"{source}\0{name}".encode("utf-8", "surrogateescape")) >> 1 or 1


def _require_name(name: str) -> None:
    """ConfigError for a name that no folder can have. Names that Windows refuses are made fit for it."""
    wrong = ""
    if not name.strip():
        wrong = "is empty"
    elif "/" in name or "\0" in name:
        wrong = "contains a slash or NUL"
    elif name.startswith("."):
        wrong = "begins with a dot"
    elif len(name.encode("utf-8", "surrogateescape")) > _NAME_BYTES:
        wrong = f"is longer than {_NAME_BYTES} bytes"
    if wrong:
        raise ConfigError(f"the collection name {name!r} {wrong}", remedy="a collection is one folder")
