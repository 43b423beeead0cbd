"""Files that nobody can change safely: served byte for byte, where their corrections place them, and it is said why."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import mutagen
import pytest

from musicfs.testing.audio import make_audio
from tests.conftest import MountLibrary
from tests.correcting import Tagger, overlay_names
from tests.faults.living import accept_originals, digest, wait_for

OWN = {"artist": "A", "album": "B", "track": "1"}


def truncated_wav(path: Path) -> None:
    make_audio(path, seconds=2.0, tags=OWN | {"title": path.stem})
    os.truncate(path, 100_001)


def flac_with_damaged_blocks(path: Path) -> None:
    """A block that says it is longer than the file."""
    make_audio(path, tags=OWN | {"title": path.stem})
    data = bytearray(path.read_bytes())
    at = 4 + 4 + int.from_bytes(data[5:8], "big")
    data[at + 1 : at + 4] = b"\xff\xff\xff"
    path.write_bytes(data)


def noise(path: Path) -> None:
    """No audio at all, by its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(range(1, 256)) * 100)


def mp4_without_media(path: Path) -> None:
    make_audio(path, tags=OWN | {"title": path.stem})
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + 40])


def ogg_with_a_wrong_checksum(path: Path) -> None:
    make_audio(path, tags=OWN | {"title": path.stem})
    data = bytearray(path.read_bytes())
    second = data.index(b"OggS", 4)
    data[second + 22] ^= 0xFF
    path.write_bytes(data)


DAMAGED: dict[str, Callable[[Path], None]] = {
    "truncated.wav": truncated_wav,
    "blocks.flac": flac_with_damaged_blocks,
    "noise.mp3": noise,
    "cut.m4a": mp4_without_media,
    "checksum.ogg": ogg_with_a_wrong_checksum,
}


@pytest.fixture
def tagger(tmp_path: Path, mount_library: MountLibrary) -> Iterator[Tagger]:
    for name, make in DAMAGED.items():
        make(tmp_path / "origin" / name)
    tagger = Tagger(mount_library({"o": tmp_path / "origin"}))
    yield tagger
    tagger.close()


def test_damaged_files_keep_their_bytes_and_follow_in_the_tree(tagger: Tagger) -> None:
    mounted = tagger.mounted
    for name in DAMAGED:
        original = mounted.roots["o"] / name
        (before,) = (one for one in tagger.client.tracks() if one.origin_path == name)
        status = (mounted.point / before.path.lstrip("/")).stat()
        path = tagger.set(before.path, title="Right", artist="Z", album=name)
        assert path.parent.name.startswith(f"{name} ["), path
        assert path.parent.parent.name == "Z"
        assert path.name.endswith(f"Right{original.suffix}")
        found = tagger.get(path)
        print(f"{name}: {found.served}: {found.reason}")
        assert found.served in ("plain", "corrected")
        if found.served == "plain":
            assert found.reason
            assert path.read_bytes() == original.read_bytes(), name
            assert path.stat().st_size == original.stat().st_size
            said = json.loads(mounted.command("--json", "metadata", "get", str(path)).stdout.splitlines()[-1])
            assert said["reason"] == found.reason
            asked = mounted.command("metadata", "get", str(path))
            assert found.reason in " ".join((asked.stdout + asked.stderr).split())
        else:
            assert path.read_bytes() != original.read_bytes()
        assert overlay_names(path) == {"title", "artist", "album"}
        assert path.stat().st_mtime_ns > status.st_mtime_ns
        assert found.effective["title"] == ("Right",)
        back = tagger.clear(path)
        assert "/" + str(back.relative_to(mounted.point)) == before.path
        assert digest(back) == digest(original)
        assert tagger.get(back).reason == ""
        assert back.stat().st_mtime_ns > status.st_mtime_ns


def test_the_answer_to_a_change_says_why(tagger: Tagger) -> None:
    (wav,) = (one.path for one in tagger.client.tracks() if one.origin_path == "truncated.wav")
    (result,) = tagger.apply(wav, set={"title": ("Right",)})
    assert result.reason == tagger.get(result.new_path).reason != ""


def test_what_a_container_cannot_hold_is_said(tagger: Tagger) -> None:
    """The tree has it; the file keeps its own value, and everything else is corrected."""
    original = make_audio(tagger.mounted.roots["o"] / "fine.m4a", tags=OWN | {"title": "Fine"})
    accept_originals(tagger.mounted)
    path = wait_for("it is there", lambda: list(tagger.mounted.point.rglob("*Fine.m4a")))[0]
    (result,) = tagger.apply(path, set={"title": ("Right",), "track": ("A1",)})
    found = tagger.get(result.new_path)
    assert found.served == "corrected"
    assert found.unfit.keys() == {"track"}
    assert found.unfit["track"] in result.reason
    assert found.effective["track"] == ("A1",)
    corrected = tagger.mounted.point / result.new_path.lstrip("/")
    assert corrected.name == "A1 - Right.m4a"
    tags, own = mutagen.File(corrected).tags, mutagen.File(original).tags
    assert tags["\xa9nam"] == ["Right"]
    assert tags["trkn"] == own["trkn"]
