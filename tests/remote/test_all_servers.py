"""One mount over every kind of server at once, each with its own part of one library."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from musicfs.testing.library import make_library
from tests.faults.living import digest, tree
from tests.mounting import Mounted, Place, mount
from tests.players.programs import run
from tests.remote.lines import KINDS, Line, Servers
from tests.remote.noise import count_entries

AUDIO_SUFFIXES = frozenset({".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".m4b", ".aac", ".wav", ".aiff"})


@dataclass(frozen=True, slots=True)
class World:
    """The mount, and its lines by kind; the origin ``local`` has none."""

    mounted: Mounted
    lines: Mapping[str, Line]

    def received(self) -> dict[str, int]:
        """Bytes that came from each server so far."""
        return {kind: line.received_bytes for kind, line in self.lines.items()}


def _spread(library: Path, roots: Mapping[str, Path]) -> None:
    """Every folder that has files to another root, in turn."""
    folders = sorted({path.parent for path in library.rglob("*") if path.is_file()})
    for number, folder in enumerate(folders):
        root = list(roots.values())[number % len(roots)]
        target = root / folder.relative_to(library)
        target.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if path.is_file():
                shutil.copy2(path, target)


@pytest.fixture(scope="module")
def world(servers: Servers, sample_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    base = tmp_path_factory.mktemp("all-servers")
    generated = base / "generated"
    make_library(generated, 44, seed=7)
    with contextlib.ExitStack() as stack:
        lines = {kind: stack.enter_context(servers.line(kind, "all")) for kind in KINDS}
        roots = {kind: line.root for kind, line in lines.items()} | {"local": base / "local"}
        _spread(sample_library, roots)
        _spread(generated, roots)
        servers.upload(lines["s3"].root)
        places: dict[str, Path | Place] = {kind: line.place for kind, line in lines.items()}
        mounted = mount({**places, "local": roots["local"]}, base / "home")
        yield World(mounted, lines)
        mounted.close()


def test_a_recursive_listing_is_complete(world: World) -> None:
    listed = run("ls", "-R", "-A", "-1", world.mounted.point).splitlines()
    names = [line for line in listed if line and not line.endswith(":")]
    assert len(names) == count_entries(world.mounted.point)
    originals = {origin.name for origin in tree(world.mounted).values() if origin.suffix in AUDIO_SUFFIXES}
    assert sum(Path(name).suffix in AUDIO_SUFFIXES for name in names) >= len(originals)


def test_every_file_is_its_original(world: World) -> None:
    mounted = world.mounted
    served = tree(mounted)
    stored = {path for root in mounted.roots.values() for path in root.rglob("*") if path.suffix in AUDIO_SUFFIXES}
    audio = {virtual: origin for virtual, origin in served.items() if origin.suffix in AUDIO_SUFFIXES}
    assert set(audio.values()) == stored
    assert len(audio) == len(stored), "an original is served twice"
    for virtual, origin in served.items():
        path = mounted.point / virtual
        assert path.stat().st_size == origin.stat().st_size, virtual
        assert digest(path) == digest(origin), virtual
    assert {origin.suffix for origin in audio.values()} >= AUDIO_SUFFIXES - {".m4b"}


def test_a_second_read_comes_from_the_store(world: World) -> None:
    mounted = world.mounted
    served = tree(mounted)
    for virtual in served:
        digest(mounted.point / virtual)
    before = world.received()
    for virtual in served:
        descriptor = os.open(mounted.point / virtual, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)  # not what the kernel remembers
        finally:
            os.close(descriptor)
        assert digest(mounted.point / virtual) == digest(served[virtual])
    after = world.received()
    assert {kind: after[kind] - before[kind] for kind in KINDS} == dict.fromkeys(KINDS, 0)
