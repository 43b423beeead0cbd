"""The NFS origin against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.origins.nfs import open_nfs_origin
from musicfs.testing.origin_suite import OriginSuite, Subject
from tests.origins.subjects import FolderSubject
from tests.servers.ganesha import GaneshaServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GaneshaServer]:
    server = GaneshaServer(tmp_path_factory.mktemp("ganesha"))
    server.start()
    yield server
    server.stop()


class TestNfs(OriginSuite):
    @pytest.fixture(autouse=True)
    def _server(self, server: GaneshaServer) -> None:
        self.server = server

    def open_subject(self, tmp_path: Path) -> Subject:
        origin = open_nfs_origin(self.server.settings(tmp_path.name), anchor=b"", debounce_s=0.1)
        return FolderSubject(self.server.root / tmp_path.name, origin)
