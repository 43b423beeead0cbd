"""The S3 origin against a real store."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from musicfs.origins.objects import S3Origin
from musicfs.testing.origin_suite import NAMES, OriginSuite, Subject
from tests.servers.weed import WeedServer

_numbers = itertools.count()


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WeedServer]:
    server = WeedServer(tmp_path_factory.mktemp("weed"))
    server.start()
    try:
        yield server
    finally:
        server.stop()


class StoreSubject:
    """A prefix of its own in the store's bucket."""

    def __init__(self, weed: WeedServer, **options: int) -> None:
        self.weed = weed
        self.prefix = f"own/{next(_numbers)}"
        self.origin = S3Origin(weed.settings(prefix=f"/{self.prefix}/"), **options)

    def put(self, path: str, data: bytes) -> None:
        self.weed.put(f"{self.prefix}/{path}", data)

    def remove(self, path: str) -> None:
        self.weed.remove(f"{self.prefix}/{path}")


class StoreSuite(OriginSuite):
    surrogate_names = ()  # keys are UTF-8
    names = tuple(name for name in NAMES if "\\" not in name)  # this store takes a backslash for a slash
    options: ClassVar[dict[str, int]] = {}

    @pytest.fixture(autouse=True)
    def _store(self, weed: WeedServer) -> None:
        self.weed = weed

    def open_subject(self, tmp_path: Path) -> Subject:
        return StoreSubject(self.weed, **self.options)


class TestStore(StoreSuite):
    pass


class TestStoreWithTooMuchForOneListing(StoreSuite):
    """Every folder with more than two files is too large to be listed at once."""

    options: ClassVar[dict[str, int]] = {"keys_max": 2}
