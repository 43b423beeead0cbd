"""Tags edited on a server: what moves over the line is what changed, and every byte in the mount is the new file's."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mutagen.id3 import ID3, TIT2

from musicfs.api.backend import CacheStats
from musicfs.api.client import Client, find_socket
from musicfs.api.paths import socket_candidates
from musicfs.testing.images import make_jpeg
from musicfs.testing.proxy import CountingProxy
from tests.faults.living import accept_originals, virtual_of, wait_for
from tests.mounting import Mounted, Place
from tests.servers.sshd import Sshd

SECONDS = 180
RATE = 44_100
QUIET = "[health]\ncheck_interval_secs = 86400\n"  # nothing else uses the line
WITHIN_PADDING_BYTES = 10_000  # beside the listing, with everything that ssh and SFTP put around it

MountLibrary = Callable[..., Mounted]


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    server = Sshd()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def large_flac(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 MB of noise, as the reference encoder writes it: with a seek table and 8 KiB of padding."""
    folder = tmp_path_factory.mktemp("flac")
    raw, path = folder / "noise.raw", folder / "noise.flac"
    raw.write_bytes(random.Random(1).randbytes(SECONDS * RATE * 4))
    shape = [
        "--force-raw-format",
        "--endian=little",
        "--sign=signed",
        "--channels=2",
        "--bps=16",
        f"--sample-rate={RATE}",
    ]
    tags = [f"--tag={tag}" for tag in ("ARTIST=A", "ALBUM=B", "TITLE=Before", "TRACKNUMBER=1")]
    run("flac", "--silent", "--fast", *shape, *tags, "-o", str(path), str(raw))
    raw.unlink()
    return path


@pytest.fixture(scope="module")
def large_mp3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """9 MB of an MP3 with an ID3 tag."""
    path = tmp_path_factory.mktemp("mp3") / "noise.mp3"
    source = f"anoisesrc=duration=240:sample_rate={RATE}:seed=1"
    run("ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", source, "-b:a", "320k", str(path))
    tags = ID3()
    tags.add(TIT2(encoding=3, text="Before"))
    tags.save(path)
    return path


def run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)


@dataclass
class Far:
    """A mount of one file on a server whose line is counted."""

    mounted: Mounted
    proxy: CountingProxy
    file: Path

    @property
    def moved_bytes(self) -> int:
        counts = self.proxy.snapshot()
        return counts.to_server_bytes + counts.to_client_bytes

    def rescan(self) -> None:
        answer = self.mounted.command("origin", "rescan", "far", "--wait")
        assert answer.returncode == 0, answer.stderr

    def edit(self, edit: Callable[[Path], object]) -> int:
        """Change the file, have the change noticed, and read the new file whole: the bytes moved beside the listing."""
        self.rescan()  # whatever else there was to do
        before = self.moved_bytes
        self.rescan()
        listing_bytes = self.moved_bytes - before
        edit(self.file)
        accept_originals(self.mounted)
        before = self.moved_bytes
        self.rescan()
        assert self.read() == self.file.read_bytes()
        return self.moved_bytes - before - listing_bytes

    def read(self) -> bytes:
        return virtual_of(self.mounted, self.file).read_bytes()

    def stats(self) -> CacheStats:
        candidates = socket_candidates("config", str(self.mounted.folder / "state"), self.mounted.environment)
        with Client(find_socket(candidates)) as client:
            return client.cache_stats()


@pytest.fixture
def far(sshd: Sshd, tmp_path: Path, mount_library: MountLibrary) -> Iterator[Callable[..., Far]]:
    """Mount a copy of a file from far away, and read it once."""
    with CountingProxy(sshd.port) as proxy:
        sshd.trust_port(proxy.port)

        def mount_and_read(original: Path, settings: str = "") -> Far:
            folder = sshd.root / tmp_path.name
            folder.mkdir()
            file = folder / original.name
            shutil.copyfile(original, file)
            place = Place(folder, sshd.settings(origin_id="far", path=folder, port=proxy.port))
            far = Far(mount_library({"far": place}, QUIET + settings), proxy, file)
            assert far.read() == file.read_bytes()
            wait_for("the file is kept", lambda: far.stats().contents_complete == 1)
            return far

        yield mount_and_read


def test_tags_edited_within_the_padding(far: Callable[..., Far], large_flac: Path) -> None:
    size = large_flac.stat().st_size
    there = far(large_flac)
    moved = there.edit(
        lambda path: run("metaflac", "--remove-tag=TITLE", "--set-tag=TITLE=After, and longer", str(path))
    )
    assert there.file.stat().st_size == size
    print(f"within padding: {moved} of {size} bytes")
    assert moved <= WITHIN_PADDING_BYTES


def test_tags_that_move_the_audio_beside_a_reader_of_the_old_version(far: Callable[..., Far], large_flac: Path) -> None:
    size, old = large_flac.stat().st_size, large_flac.read_bytes()
    there = far(large_flac)
    lyrics = "la " * 5000
    with virtual_of(there.mounted, there.file).open("rb", buffering=0) as reader:
        moved = there.edit(
            lambda path: run("metaflac", f"--set-tag=LYRICS={lyrics}", "--set-tag=TITLE=After", str(path))
        )
        os.posix_fadvise(reader.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert reader.readall() == old, "an open file is the version that was opened"
    assert there.file.stat().st_size > size
    print(f"beyond padding: {moved} of {size} bytes")
    assert moved <= size // 100
    assert there.stats().saved_bytes > size - 20_000


def test_a_cover_that_stays_is_not_fetched_again(far: Callable[..., Far], large_flac: Path, tmp_path: Path) -> None:
    covered = tmp_path / "covered.flac"
    shutil.copyfile(large_flac, covered)
    cover = tmp_path / "cover.jpg"
    cover.write_bytes(make_jpeg(width=640, height=640, size_bytes=300_000))
    run("metaflac", f"--import-picture-from=3|image/jpeg||640x640x24|{cover}", str(covered))
    there = far(covered)
    moved = there.edit(
        lambda path: run("metaflac", "--remove-tag=TITLE", "--set-tag=TITLE=After, and longer", str(path))
    )
    print(f"with a cover: {moved} of {covered.stat().st_size} bytes")
    assert moved <= 2 * WITHIN_PADDING_BYTES
    assert virtual_of(there.mounted, there.file).with_name("cover.jpg").read_bytes() == cover.read_bytes()


def test_an_mp3_is_compared_if_that_is_asked_for(far: Callable[..., Far], large_mp3: Path) -> None:
    size = large_mp3.stat().st_size
    there = far(large_mp3, '[cache]\ndelta = "probe"\n')
    moved = there.edit(lambda path: retitle(path, "After " * 4000))
    assert there.file.stat().st_size > size
    print(f"mp3: {moved} of {size} bytes")
    assert moved <= size // 50


def test_other_audio_under_the_same_name_is_fetched(far: Callable[..., Far], large_mp3: Path) -> None:
    size = large_mp3.stat().st_size
    there = far(large_mp3, '[cache]\ndelta = "probe"\n')
    moved = there.edit(lambda path: path.write_bytes(path.read_bytes()[: size // 2] + bytes(size - size // 2)))
    assert moved > size
    assert there.stats().saved_bytes == 0


def test_nothing_is_adopted_when_it_is_off(far: Callable[..., Far], large_flac: Path) -> None:
    there = far(large_flac, '[cache]\ndelta = "off"\n')
    moved = there.edit(lambda path: run("metaflac", "--set-tag=COMMENT=x", str(path)))
    assert moved > large_flac.stat().st_size
    assert there.stats().saved_bytes == 0


def retitle(path: Path, title: str) -> None:
    tags = ID3(path)
    tags.add(TIT2(encoding=3, text=title))
    tags.save(path)
