"""The part of a fake backend that searches and that keeps collections, in lists, as the contract of the backend says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from musicfs.api.collections import Collection, CollectionPage, CollectionSettings, CollectionSource
from musicfs.api.search import SearchHit, SearchPage
from musicfs.errors import ConfigError, ExistsError, NotFoundError
from musicfs.index.parser import parse
from musicfs.model import Rule

HITS = (
    SearchHit(
        file_id=7,
        path="/Björk/Début/01 - One & Two.flac",
        artist="Björk",
        album="Début",
        title="One & Two",
        score=2.5,
        highlights={"artist": "<b>Björk</b>", "title": "One &amp; <b>Two</b>", "composer": "x &lt;b&gt; <b>y</b>"},
        duration_ms=241_400,
    ),
    SearchHit(file_id=1 << 62, path="/Other/a\udcff\x1b[2J.flac", score=1.0),
)
RULE = Rule(
    all_of=(
        Rule(match="artist:björk"),
        Rule(not_=Rule(any_of=(Rule(date=("1980", "")), Rule(genre="Härd"), Rule(most_played=10)))),
        Rule(recently_added=14),
        Rule(recently_played=7),
    )
)
COLLECTIONS = (
    Collection(
        name="80s Music",
        settings=CollectionSettings(query="year:[1980 TO 1989]"),
        source=CollectionSource.BUILT_IN,
        count=2,
        path="/80s Music",
    ),
    Collection(
        name="Mine's",
        settings=CollectionSettings(rule=RULE, sort="-year", limit=50),
        source=CollectionSource.USER,
        changed_ms=1_700_000_000_000,
    ),
)


@dataclass
class FakeSearch:
    """``found`` is what every query finds, ``kept`` the collections, each of which holds ``found``."""

    found: tuple[SearchHit, ...] = HITS
    kept: tuple[Collection, ...] = COLLECTIONS
    asked_for: list[tuple[object, ...]] = field(default_factory=list)
    search_error: BaseException | None = None

    def search(self, query: str, origin_id: str, limit: int, offset: int) -> SearchPage:
        self._ask("search", query, origin_id, limit, offset)
        self._check(query, origin_id)
        return SearchPage(hits=self.found[offset : offset + limit], total=len(self.found), took_ms=3)

    def search_all(self, query: str, origin_id: str, limit: int, offset: int) -> Iterator[SearchHit | None]:
        self._ask("search_all", query, origin_id, limit, offset)
        self._check(query, origin_id)
        for hit in self.found[offset : offset + limit if limit else None]:
            yield None
            yield hit

    def collections(self) -> tuple[Collection, ...]:
        self._ask("collections")
        return self.kept

    def collection(self, name: str, start: int, stop: int) -> CollectionPage:
        self._ask("collection", name, start, stop)
        return CollectionPage(self._one(name), self.found[start:stop])

    def create_collection(self, name: str, settings: CollectionSettings, *, replace: bool) -> Collection:
        self._ask("create_collection", name, settings, replace)
        if settings.rule is None:
            parse(settings.query)
        if name in {one.name for one in self.kept} and not replace:
            raise ExistsError(f"there is a collection {name!r}", remedy="--replace changes it")
        made = Collection(name=name, settings=settings, source=CollectionSource.USER, count=2, path=f"/{name}")
        self.kept = (*(one for one in self.kept if one.name != name), made)
        return made

    def delete_collection(self, name: str) -> None:
        self._ask("delete_collection", name)
        if self._one(name).source is not CollectionSource.USER:
            raise ConfigError(f"{name!r} is built in", remedy="set collections.builtin = false")
        self.kept = tuple(one for one in self.kept if one.name != name)

    def _ask(self, *call: object) -> None:
        self.asked_for.append(call)
        if self.search_error is not None:
            raise self.search_error

    @staticmethod
    def _check(query: str, origin_id: str) -> None:
        parse(query)
        if origin_id not in {"", "nas", "usb"}:
            raise NotFoundError(f"there is no origin {origin_id!r}", remedy="the origins are: nas, usb")

    def _one(self, name: str) -> Collection:
        for one in self.kept:
            if one.name == name:
                return one
        raise NotFoundError(f"there is no collection {name!r}", remedy="`musicfs collection list` shows them")


def many(count: int, padding: str = "") -> tuple[SearchHit, ...]:
    """So many tracks that can be told apart, with titles that end in ``padding``."""
    return tuple(
        msgspec.structs.replace(HITS[0], file_id=number + 1, path=f"/{number}", title=f"{number}{padding}")
        for number in range(count)
    )
