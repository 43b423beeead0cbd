"""What every benchmark is given: a folder of its own, sizes, rounds, and servers that are stopped whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.libraries import make_empty_folders
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

    def catalog(self, tracks: int) -> Catalog:
        """A ready cache with that many tracks, made once for all rows, by the generator in a process of its own."""
        folder = self.folder / f"catalog-{tracks}"
        known = folder / "made.json"
        if not known.exists():
            generator = Path(__file__).with_name("catalog_generator.py")
            source = folder / "music"
            make_empty_folders(source, self.size(WATCHED_FOLDERS, 1_000))
            done = subprocess.run(
                [sys.executable, str(generator), "--tracks", str(tracks), "--cache-dir", str(folder / "cache"),
                 "--origin-path", str(source), "--json"],
                env={**os.environ, "PYTHONPATH": str(generator.parent.parent)}, capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode != 0:
                raise RuntimeError(f"the generator failed:\n{done.stderr[-4000:]}")
            known.write_text(done.stdout, encoding="utf-8")
        numbers: dict[str, float] = json.loads(known.read_text(encoding="utf-8"))
        return Catalog(tracks, folder / "cache", folder / "music", numbers["seconds"], numbers["bytes_per_track"])

    def forget_catalog(self, tracks: int) -> None:
        """Give the disk space back."""
        shutil.rmtree(self.folder / f"catalog-{tracks}", ignore_errors=True)


WATCHED_FOLDERS = 100_000


@dataclass(frozen=True, slots=True)
class Catalog:
    """A generated cache: where it lies, the folder it claims to have been scanned from, and what making it took."""

    tracks: int
    cache: Path
    source: Path
    seconds: float
    bytes_per_track: float

    def server(self, folder: Path) -> MusicFS:
        return MusicFS(self.source, folder, cache=self.cache)


class NotMeasurable(Exception):
    """A row cannot be measured here; the message says why."""
