"""The sftp origin against a real OpenSSH server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.origins.sftp import open_sftp_origin
from musicfs.testing.origin_suite import OriginSuite, Subject
from tests.origins.subjects import FolderSubject
from tests.servers.sshd import Sshd


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    server = Sshd()
    server.start()
    yield server
    server.stop()


class TestSftp(OriginSuite):
    @pytest.fixture(autouse=True)
    def _use(self, sshd: Sshd) -> None:
        self.sshd = sshd

    def open_subject(self, tmp_path: Path) -> Subject:
        folder = self.sshd.root / tmp_path.name
        origin = open_sftp_origin(self.sshd.settings(path=folder), anchor=b"", debounce_s=0.05)
        return FolderSubject(folder, origin)
