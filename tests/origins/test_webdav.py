"""The WebDAV origin against a real server."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.origins.webdav import WebdavOrigin
from musicfs.testing.origin_suite import OriginSuite, Subject
from tests.origins.subjects import FolderSubject
from tests.servers.apache import ApacheServer

_numbers = itertools.count()


@pytest.fixture(scope="module")
def apache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheServer]:
    folder = tmp_path_factory.mktemp("apache")
    for each in (folder, *folder.parents):
        if each.name.startswith(("pytest", "apache")):
            each.chmod(0o755)
    server = ApacheServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class TestServer(OriginSuite):
    @pytest.fixture(autouse=True)
    def _server(self, apache: ApacheServer) -> None:
        self.apache = apache

    def open_subject(self, tmp_path: Path) -> Subject:
        name = f"own {next(_numbers)}"
        origin = WebdavOrigin(self.apache.settings(path=name.replace(" ", "%20") + "/"))
        return FolderSubject(self.apache.root / name, origin)
