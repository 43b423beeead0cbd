"""The sftp origin against a second server, which is not OpenSSH's and asks for a password."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.errors import DeniedError
from musicfs.origins.sftp import open_sftp_origin
from musicfs.testing.origin_suite import OriginSuite, Subject
from tests.origins.subjects import FolderSubject
from tests.servers.asyncssh_server import PASSWORD_VARIABLE, AsyncsshServer

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AsyncsshServer]:
    server = AsyncsshServer(tmp_path_factory.mktemp("asyncssh"), PASSWORD)
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    monkeypatch.setenv("HOME", str(tmp_path))  # no keys there
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


class TestOtherServer(OriginSuite):
    @pytest.fixture(autouse=True)
    def _use(self, server: AsyncsshServer) -> None:
        self.server = server

    def open_subject(self, tmp_path: Path) -> Subject:
        folder = self.server.root / tmp_path.name
        return FolderSubject(folder, open_sftp_origin(self.server.settings(path=folder), anchor=b"", debounce_s=0.05))


def test_a_wrong_password_is_denied_and_not_told(server: AsyncsshServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "wrong " + PASSWORD)
    origin = open_sftp_origin(server.settings(), anchor=b"", debounce_s=0.05)
    with pytest.raises(DeniedError, match="the password") as caught:
        origin.check()
    origin.close()
    chain: list[BaseException | None] = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert all(PASSWORD not in f"{error!r} {error}" for error in chain)
    assert PASSWORD not in caught.value.remedy
