"""Corrected tags of files that are far away: what moves over the line, and what happens while it is cut."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import mutagen
import pytest

from musicfs.testing import tagging
from musicfs.testing.images import make_jpeg
from musicfs.testing.proxy import CountingProxy
from tests.correcting import Tagger
from tests.faults.living import FOLLOWS_S, digest, wait_for
from tests.mounting import Place, mount
from tests.players.programs import run
from tests.remote.lines import FAR_S
from tests.servers.sshd import Sshd

RATE = 44_100
QUIET = "[prefetch]\nnext_track = false\n[health]\n"  # nothing else uses the line
SECONDS = {"flac": 180, "oga": 180, "m4a": 180, "mp3": 60}
PICTURE = make_jpeg(width=640, height=640, size_bytes=300_000)
CODERS = {
    "flac": ("flac", "-compression_level", "0", "-f", "flac"),
    "oga": ("flac", "-compression_level", "0", "-f", "ogg"),
    "m4a": ("alac", "-f", "ipod"),
    "mp3": (
        "libmp3lame",
        "-b:a",
        "320k",
        "-compression_level",
        "9",
        "-write_xing",
        "0",
        "-id3v2_version",
        "0",
        "-f",
        "mp3",
    ),
}
HEAD_AND_TAIL_BYTES = 400_000  # the 256 KiB and 64 KiB that a scan reads, with what ssh and SFTP put around it
NEVER_PROBED = "check_interval_secs = 86400\n"
A_WORD_BYTES = 8_000  # a question and an answer, not a part of a file


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    server = Sshd()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Some 30 MB of noise in each format, with tags and a picture; the index of the M4A is its last part."""
    folder = tmp_path_factory.mktemp("large")
    raw = folder / "raw"
    raw.write_bytes(random.Random(1).randbytes(180 * RATE * 4))
    made = {}
    for suffix, coder in CODERS.items():
        made[suffix] = folder / f"{suffix}.{suffix}"
        source = ("-f", "s16le", "-ar", str(RATE), "-ac", "2", "-t", str(SECONDS[suffix]), "-i", str(raw))
        run("ffmpeg", "-nostdin", "-v", "error", *source, "-c:a", *coder, "-y", str(made[suffix]))
    made["mp3"].write_bytes(made["mp3"].read_bytes() * 12)
    for suffix, path in made.items():
        values = {"artist": ("A",), "album": ("B",), "title": (suffix,), "track": ("1",)}
        tagging.WRITERS[suffix](path, values, PICTURE if suffix in {"flac", "mp3"} else None)
        assert path.stat().st_size > 28_000_000
    assert made["m4a"].read_bytes().rindex(b"moov") > 28_000_000
    raw.unlink()
    return made


@dataclass
class Far:
    """A mount of large files on a server far away, whose line is counted."""

    tagger: Tagger
    proxy: CountingProxy
    root: Path

    def at(self, suffix: str, *, folder: str = "") -> Path:
        """Where the file of this format is now; there is one in each of the origin's folders."""
        wanted = f"{folder}{suffix}.{suffix}".encode()
        found = self.tagger.mounted.point.rglob(f"*.{suffix}")
        return next(path for path in found if os.getxattr(path, "user.musicfs.origin_path") == wanted)

    def moving(self, action: Callable[[], object]) -> int:
        """How many bytes the action and what it causes move."""
        before = self._settled()
        action()
        return self._settled() - before

    def _settled(self) -> int:
        """The count once it stands still, for longer than a question takes."""
        seen = [self._count()]

        def is_still() -> bool:
            seen.append(self._count())
            return len(seen) > 25 and len(set(seen[-25:])) == 1

        wait_for("the line is quiet", is_still, 30)
        return seen[-1]

    def _count(self) -> int:
        counts = self.proxy.snapshot()
        return counts.to_server_bytes + counts.to_client_bytes


@pytest.fixture
def far(sshd: Sshd, large: dict[str, Path], tmp_path: Path) -> Iterator[Callable[..., Far]]:
    with CountingProxy(sshd.port, delay_s=FAR_S) as proxy:
        sshd.trust_port(proxy.port)
        made: list[Far] = []

        def begin(settings: str = "", health: str = NEVER_PROBED, *, folders: tuple[str, ...] = ("",)) -> Far:
            root = sshd.root / tmp_path.name
            for folder in folders:
                (root / folder).mkdir(parents=True, exist_ok=True)
                for path in large.values():
                    shutil.copyfile(path, root / folder / path.name)
            place = Place(root, sshd.settings(origin_id="far", path=root, port=proxy.port))
            made.append(Far(Tagger(mount({"far": place}, tmp_path / "home", settings + QUIET + health)), proxy, root))
            return made[-1]

        try:
            yield begin
            for one in made:
                one.tagger.close()
                one.tagger.mounted.close()
        finally:
            for one in made:
                one.tagger.mounted._abandon()
                shutil.rmtree(one.root)


def read_head(path: Path) -> None:
    """The first 256 KiB and not a byte more: how much further the kernel reads by itself depends on the machine's load."""
    with path.open("rb", buffering=0) as stream:
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        for start in (0, 1 << 17):
            assert len(os.pread(stream.fileno(), 1 << 17, start)) == 1 << 17


def is_titled(path: Path, title: str) -> bool:
    """Whether the bytes say so, by another's eyes."""
    file = mutagen.File(path, easy=True)
    return file is not None and file["title"] == [title]


def test_what_the_scan_has_kept_is_not_fetched_for_a_correction(far: Callable[..., Far]) -> None:
    there = far()
    for suffix in CODERS:
        path = there.at(suffix)
        moved = there.moving(partial(there.tagger.set, path, title=f"Kept {suffix}", genre="G"))
        size = there.at(suffix).stat().st_size
        print(f"{suffix}: a correction moved {moved} bytes of {size}")
        assert there.tagger.get(there.at(suffix)).served == "corrected"
        # The scan reads over pictures, and the new file's pieces around one are looked at.
        assert moved <= A_WORD_BYTES + (150_000 if suffix in {"flac", "mp3"} else 0), suffix
        moved = there.moving(partial(is_titled, there.at(suffix), f"Kept {suffix}"))
        print(f"{suffix}: reading its tags moved {moved} bytes")


def test_without_a_cache_a_correction_costs_head_and_tail(far: Callable[..., Far]) -> None:
    there = far("[cache]\ncontent_cache_gb = 0\n")
    for suffix in CODERS:
        path, original = there.at(suffix), there.root / f"{suffix}.{suffix}"
        moved = there.moving(partial(there.tagger.set, path, title="Far away", album="Else"))
        size = original.stat().st_size
        print(f"{suffix}: without a cache a correction moved {moved} bytes of {size}, {100 * moved / size:.1f} %")
        with_picture = len(PICTURE) if suffix in {"flac", "mp3"} else 0
        assert moved <= 2 * (HEAD_AND_TAIL_BYTES + with_picture), suffix
        wait_for("its bytes", partial(is_titled, there.at(suffix), "Far away"))


def test_the_first_second_costs_what_it_costs_of_a_plain_file(far: Callable[..., Far]) -> None:
    there = far("[cache]\ncontent_cache_gb = 0\n", folders=("", "again/"))
    for suffix in CODERS:
        plain = there.moving(partial(read_head, there.at(suffix)))
        path = there.tagger.set(there.at(suffix, folder="again/"), title=f"Corrected {suffix}")
        corrected = there.moving(partial(read_head, path))
        print(f"{suffix}: the first 256 KiB moved {corrected} bytes, {plain} of the plain file")
        assert corrected <= 1.05 * plain, suffix


def test_corrections_made_while_the_line_is_cut(far: Callable[..., Far]) -> None:
    there = far("[cache]\ncontent_cache_gb = 0\n", "check_interval_secs = 1\ntimeout_ms = 500\n")
    tagger = there.tagger
    tagger.mounted.allow_log("far|cannot be read|open:|read:")
    there.proxy.refuse()
    there.proxy.cut()
    path = tagger.set(there.at("flac"), title="While away", album="Moved")
    assert path.parent.name == "Moved [FLAC]"
    assert path.name in {one.name for one in path.parent.iterdir()}
    found = tagger.get(path)
    assert (found.served, found.effective["title"]) == ("pending", ("While away",))
    assert found.reason
    said = tagger.mounted.command("metadata", "get", str(path))
    assert "pending" in said.stdout + said.stderr or found.reason in said.stdout + said.stderr
    there.proxy.resume()
    wait_for("it is corrected", lambda: tagger.get(path).served == "corrected", 30)
    assert tagger.get(path).reason == ""
    wait_for("its bytes", lambda: is_titled(path, "While away"))
    run("flac", "--test", "--silent", path)


def test_corrections_of_what_is_kept_need_no_line(far: Callable[..., Far]) -> None:
    there = far(health="check_interval_secs = 1\ntimeout_ms = 500\n")
    tagger = there.tagger
    tagger.mounted.allow_log("far|cannot be read|open:|read:")
    for suffix in ("flac", "oga"):
        digest(there.at(suffix))
    wait_for("all is kept", lambda: tagger.client.cache_stats().contents_complete >= 2, 30)
    there.proxy.refuse()
    there.proxy.cut()
    for suffix in ("flac", "oga"):
        path = tagger.set(there.at(suffix), title=f"Offline {suffix}", genre=("X", "Y"))
        assert tagger.get(path).served == "corrected"
        wait_for("its bytes", partial(is_titled, path, f"Offline {suffix}"), FOLLOWS_S)
        assert samples(path) == samples(there.root / f"{suffix}.{suffix}")
    there.proxy.resume()


def samples(path: Path) -> str:
    return run("ffmpeg", "-nostdin", "-v", "error", "-i", path, "-map", "0:a", "-c", "copy", "-f", "hash", "-")
