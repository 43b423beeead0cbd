"""Corrected tags in every format: the tree, the sizes, and what every reader of tags sees; the audio is the original's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mutagen
import pytest
import taglib
from mutagen.id3 import ID3

from musicfs.testing.audio import KINDS, make_audio
from musicfs.testing.images import make_jpeg
from tests.correcting import Tagger, overlay_names, tagging
from tests.mounting import Mounted, mount
from tests.players.programs import run

OWN = {
    "title": ("Before",), "artist": ("A",), "album_artist": ("A",), "album": ("Own",), "track": ("1",),
    "track_total": ("3",), "date": ("2001-02-03",), "genre": ("Rock", "Jazz"), "composer": ("C",),
    "comment": ("goes",), "shelf": ("calm",), "mb_album_id": ("5f2a7f0e-6d0e-4b5e-9a39-0a6f3f9f1c11",),
}  # fmt: skip
CHANGES = {
    "title": ("After, and länger",), "artist": ("A", "B"), "genre": ("Electronic",), "comment": (),
    "date": ("1999",), "track": ("7",), "shelf": ("calm", "wild"), "label": ("New",), "album": ("Corrected",),
}  # fmt: skip
COVER = make_jpeg("darkred", width=64, height=64)


@dataclass(frozen=True)
class Library:
    """A mount with one file of each kind, and beside it the files as their corrections make them, by mutagen."""

    mounted: Mounted
    tagger: Tagger
    origin: Path
    expected: Path


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    home = tmp_path_factory.mktemp("overlays")
    origin, expected = home / "origin", home / "expected"
    for seed, (kind, made) in enumerate(KINDS.items(), 1):
        own = OWN | {"album": (f"Own {kind}",)}
        changed = {field: values for field, values in (own | CHANGES).items() if values}
        changed["album"] = (f"Corrected {kind}",)
        make_audio(origin / f"{kind}.{made.suffix}", kind, seed=seed, tags=own, picture=COVER)
        make_audio(expected / f"{kind}.{made.suffix}", kind, seed=seed, tags=changed, picture=COVER)
    mounted = mount({"o": origin}, home, "[prefetch]\nnext_track = false\n")
    try:
        with tagging(mounted) as tagger:
            yield Library(mounted, tagger, origin, expected)
    finally:
        mounted.close()


def by_mutagen(path: Path) -> dict[str, list[str]]:
    """All tags, pictures among them, as mutagen reads them."""
    tags = ID3(path) if path.suffix == ".aac" else mutagen.File(path).tags
    assert tags is not None
    keys = {key for key, *_ in tags} if isinstance(tags, list) else set(tags.keys())
    return {key.upper(): [str(value) for value in _as_list(tags[key])] for key in keys}


def _as_list(value: object) -> list[object]:
    values = getattr(value, "text", value)
    return list(values) if isinstance(values, list | tuple) else [values]


def by_ffprobe(path: Path) -> dict[str, object]:
    asked = (
        "ffprobe",
        "-v",
        "error",
        "-show_entries",
        "format_tags:stream_tags:stream=codec_name,width,height,duration",
    )
    found: dict[str, object] = json.loads(run(*asked, "-of", "json", path))
    return found


def by_taglib(path: Path) -> dict[str, list[str]]:
    with taglib.File(path) as file:
        return dict(file.tags)


def decoded(path: Path) -> str:
    """The digests of the packets as they are, and of the samples."""
    read = ("ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i", path, "-map", "0:a")
    return run(*read, "-c", "copy", "-f", "hash", "-") + run(*read, "-f", "md5", "-")


@pytest.mark.parametrize("kind", KINDS)
def test_a_corrected_file_is_what_every_program_sees(library: Library, kind: str) -> None:
    suffix = KINDS[kind].suffix
    (before,) = library.mounted.point.glob(f"A/Own {kind} (2001) */0*")
    original, expected = library.origin / f"{kind}.{suffix}", library.expected / f"{kind}.{suffix}"
    plain, known = before.read_bytes(), before.stat()
    path = library.tagger.set(before, CHANGES | {"album": (f"Corrected {kind}",)})

    assert path.parent.name.startswith(f"Corrected {kind} (1999) [")
    assert path.name == f"07 - After, and länger.{suffix}"
    assert path.name in {entry.name for entry in path.parent.iterdir()}
    assert before.parent.name not in {entry.name for entry in before.parent.parent.iterdir()}
    status = path.stat()
    assert status.st_mtime_ns > known.st_mtime_ns
    assert status.st_ino != known.st_ino
    data = path.read_bytes()
    assert len(data) == status.st_size, "the size was exact before the first read"
    described = library.tagger.get(path)
    assert (described.served, described.reason, described.unfit) == ("corrected", "", {})
    assert overlay_names(path) == CHANGES.keys()
    assert by_mutagen(path) == by_mutagen(expected)
    assert by_taglib(path) == by_taglib(expected)
    assert by_ffprobe(path) == by_ffprobe(expected)
    assert decoded(path) == decoded(original)

    back = library.tagger.undo(path)
    assert back == before
    assert back.stat().st_ino == known.st_ino, "the same bytes have the same number"
    assert back.stat().st_mtime_ns > status.st_mtime_ns, "times never go back"
    assert back.read_bytes() == plain == original.read_bytes()
    assert overlay_names(back) == set()
