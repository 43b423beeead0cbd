"""The SMB origin against a real Samba server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from musicfs.origins.smb import open_smb_origin
from musicfs.testing.origin_suite import NAMES, OriginSuite, Subject
from tests.origins.subjects import FolderSubject
from tests.servers.samba import SambaServer

# SMB cannot say these: Samba makes up short names for them.
MANGLED = (" leading and trailing ", "quote\"'`$(x).flac", "back\\slash.flac", "new\nline\ttab.flac", "*?[glob].flac", "...")


@pytest.fixture(scope="module")
def server() -> Iterator[SambaServer]:
    server = SambaServer()
    server.reveal_password()
    try:
        server.start()
        yield server
    finally:
        server.stop()


class TestSmb(OriginSuite):
    names: ClassVar[tuple[str, ...]] = tuple(name for name in NAMES if name not in MANGLED)
    surrogate_names: ClassVar[tuple[str, ...]] = ()
    server: SambaServer

    @pytest.fixture(autouse=True)
    def _server(self, server: SambaServer) -> None:
        self.server = server

    def open_subject(self, tmp_path: Path) -> Subject:
        folder = self.server.root / tmp_path.name
        settings = self.server.settings(path=tmp_path.name)
        return FolderSubject(folder, open_smb_origin(settings, anchor=b"", debounce_s=0.3))
