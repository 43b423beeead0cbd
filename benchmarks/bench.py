"""What every benchmark is given: a folder of its own, sizes, rounds, and servers that are stopped whatever happens."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import ROUNDS
from benchmarks.servers import PEERS, MusicFS, Peer, Server, peer


@dataclass(frozen=True, slots=True)
class Bench:
    """One run. ``null`` puts bindfs in the place of MusicFS: what it then shows beside 1.0x is noise."""

    folder: Path
    quick: bool = False
    null: bool = False
    rounds: int = ROUNDS

    def size(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    @contextlib.contextmanager
    def room(self, name: str) -> Iterator[Path]:
        """A folder that is deleted at the end."""
        folder = self.folder / name
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    def musicfs(self, source: Path, folder: Path, settings: str = "") -> Server:
        if self.null:
            return Peer("musicfs", PEERS["bindfs"], source, folder / "musicfs")
        return MusicFS(source, folder / "musicfs", settings)

    def peers(self, source: Path, folder: Path, *names: str) -> list[Peer]:
        """Those of the named peers that are installed."""
        return [found for name in names if (found := peer(name, source, folder)) is not None]

    @contextlib.contextmanager
    def serving(self, *servers: Server) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for server in servers:
                stack.callback(server.stop)
                server.start()
            yield


class NotMeasurable(Exception):
    """A row cannot be measured here; the message says why."""
