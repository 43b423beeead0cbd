"""One server of each kind for all of these tests, and mounts over lines to them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.remote.lines import Servers
from tests.servers.ganesha import GaneshaServer
from tests.servers.samba import SambaServer
from tests.servers.sshd import Sshd
from tests.servers.weed import WeedServer


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """All four, running; a test that ends one starts it again."""
    scratch = tmp_path_factory.mktemp("remote")
    with contextlib.ExitStack() as stack:
        sshd, samba = Sshd(), SambaServer()
        ganesha, weed = GaneshaServer(tmp_path_factory.mktemp("ganesha")), WeedServer(tmp_path_factory.mktemp("weed"))
        for server in (sshd, samba, ganesha, weed):
            stack.callback(server.stop)
            server.start()
        password_file = scratch / "smb_password"
        password_file.touch(mode=0o600)
        password_file.write_text(samba.password)
        yield Servers(sshd, samba, ganesha, weed, scratch, password_file)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where a mount keeps what it has."""
    return tmp_path / "home"
