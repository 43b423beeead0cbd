"""What is served is what is stored: every byte, every size, and all of the originals."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.mounting import Mounted, ServedFile
from tests.players.conftest import AUDIO_SUFFIXES
from tests.players.programs import run

BLOCK_BYTES = 1 << 20


def measure(path: Path) -> tuple[int, str]:
    """Bytes read to the end of the file, and their digest."""
    digest, size = hashlib.blake2b(), 0
    with path.open("rb", buffering=0) as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


def test_every_original_is_served(mounted: Mounted, tracks: tuple[ServedFile, ...]) -> None:
    stored = (path for root in mounted.roots.values() for path in root.rglob("*"))
    wanted = {path for path in stored if path.suffix in AUDIO_SUFFIXES and path.is_file()}
    assert {track.origin for track in tracks} == wanted
    assert len(tracks) == len(wanted), "an original is served twice"


def test_size_is_exact_and_bytes_are_the_origins(served: tuple[ServedFile, ...]) -> None:
    for file in served:
        promised = file.virtual.stat().st_size
        size, digest = measure(file.virtual)
        assert promised == size, f"{file.virtual}: promised {promised} bytes, gave {size}"
        assert (size, digest) == measure(file.origin), f"{file.virtual} is not {file.origin}"


def test_files_without_an_original_are_as_long_as_they_say(mounted: Mounted, served: tuple[ServedFile, ...]) -> None:
    with_original = {file.virtual for file in served}
    made = [path for path in mounted.point.rglob("*") if path.is_file() and path not in with_original]
    assert any(path.name == "cover.jpg" for path in made), "no cover was taken from a track"
    assert any(path.suffix == ".m3u8" for path in made)
    for path in made:
        assert path.stat().st_size == measure(path)[0] > 0, path


def test_a_playlist_names_files_that_exist(mounted: Mounted) -> None:
    for playlist in mounted.point.rglob("*.m3u8"):
        entries = [
            line for line in playlist.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")
        ]
        assert entries, playlist
        for entry in entries:
            assert (playlist.parent / entry).is_file(), f"{playlist}: {entry}"


def test_rsync_finds_no_difference_to_the_originals(
    mounted: Mounted, served: tuple[ServedFile, ...], tmp_path: Path
) -> None:
    """By checksum and time: the mount beside a tree of links to the originals that is laid out like it."""
    expected = tmp_path / "expected"
    for file in served:
        link = expected / file.virtual.relative_to(mounted.point)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file.origin)
    compare = (
        "rsync",
        "--recursive",
        "--checksum",
        "--copy-links",
        "--times",
        "--omit-dir-times",
        "--modify-window=-1",
    )
    assert run(*compare, "--dry-run", "--itemize-changes", f"{expected}/", f"{mounted.point}/", timeout_s=300) == ""
