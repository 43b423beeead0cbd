"""What a daemon can be asked about collections: the part of the :class:`~musicfs.api.backend.Backend` that keeps them."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

import msgspec

from musicfs.api.search import SearchHit
from musicfs.model import Rule

DEFAULT_ENTRIES = 1000
MAX_ENTRIES = 10_000  # in one answer
MAX_TRACKS = 10_000
MAX_RULE_DEPTH = 16


class CollectionSource(StrEnum):
    """Where a collection comes from. Only the user's can be replaced and deleted."""

    BUILT_IN = "built-in"
    CONFIG = "config"
    USER = "user"


class CollectionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a collection holds: what a query finds, or (``query`` empty) what a rule says.

    ``sort`` is artist, album, title, year, added, played, plays or duration, descending with a ``-`` before it; empty is
    artist. ``limit`` is how many tracks at most, up to :data:`MAX_TRACKS`; 0 is 1000.
    """

    query: str = ""
    rule: Rule | None = None
    sort: str = ""
    limit: int = 0


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """A collection as it is now.

    ``count`` is how many tracks its folder has, ``path`` the folder's virtual path, empty until there is one.
    ``changed_ms`` is when its settings were made or changed (since 1970 UTC); 0 for what no user made.
    """

    name: str
    settings: CollectionSettings
    source: CollectionSource
    count: int = 0
    path: str = ""
    changed_ms: int = 0


class CollectionPage(msgspec.Struct, frozen=True):
    """A collection and some of its tracks, in its order: where they are in the tree, not the links of its folder."""

    collection: Collection
    entries: tuple[SearchHit, ...] = ()


class CollectionsBackend(Protocol):
    """A running MusicFS that keeps collections. Called from several threads at once."""

    def collections(self) -> tuple[Collection, ...]:
        """All of them, in the order of their names."""
        ...

    def collection(self, name: str, start: int, stop: int) -> CollectionPage:
        """One, with its tracks ``[start, stop)``. NotFoundError for an unknown name."""
        ...

    def create_collection(self, name: str, settings: CollectionSettings, *, replace: bool) -> Collection:
        """Make a collection of the user's; its folder may follow a moment later. What is returned is on disk.

        Raises ConfigError for a name that no folder can have, and for settings that make no sense: a query (with the
        column), a rule, an unknown field to sort by. With ``replace`` a collection of the user's with that name is
        changed; without, and for one that is not the user's, ExistsError.
        """
        ...

    def delete_collection(self, name: str) -> None:
        """Forget a collection of the user's. NotFoundError for an unknown name, ConfigError for one that is not theirs."""
        ...
