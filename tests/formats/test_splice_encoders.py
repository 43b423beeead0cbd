"""Tags of files fresh from other people's encoders and taggers, changed; each is judged by programs that made none of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.formats.encoders import RECIPES, Bench
from tests.formats.proving import EDITS, Proof

# Programs that cannot read a file as it is, or find it damaged.
BLIND: Mapping[str, frozenset[str]] = {
    "ape-and-v1.mp3": frozenset({"validator"}),  # mutagen puts the APE tag behind ID3v1
    "ffmpeg-rf64.wav": frozenset({"mutagen"}),
}
_INFO_ALONE = ("ffprobe rest", "ffprobe composer", "ffprobe my tag", "ffprobe disc_total", "ffprobe lyrics")
# Where a program shows something else, and why.
DEVIATIONS: Mapping[str, tuple[str, ...]] = {
    # ffmpeg cuts off what the encoder filled up with, if the size of the file is about that of the Xing header: the tags
    # behind the audio count, and the lyrics are in one of these now. TagLib shows ID3v1 only where there is nothing else,
    # and now shows by the new ID3v2 tag what that alone said.
    "ape.mp3": ("audio",),
    "ape-and-v1.mp3": ("audio", "taglib rest"),
    # ffprobe takes the Latin-1 of ID3v1 for damaged UTF-8; the ID3v2 tag says which it is.
    "lame-v1.mp3": ("ffprobe rest",),
    # The new lyrics keep the old ones' description, which TagLib makes a part of their name.
    "mid3v2.mp3": ("taglib rest", "taglib lyrics"),
    # mutagen shows no picture blocks of Ogg FLAC, where the format has them.
    "flac.oga": ("mutagen pictures",),
    # ffprobe looks no further than INFO, which has no place for these, and no name for IMUS; TagLib has another name for
    # the encoder in INFO than in ID3.
    "ffmpeg.wav": (*_INFO_ALONE, "taglib rest"),
    # TagLib does not find the chunk behind RF64's data either.
    "ffmpeg-rf64.wav": (
        *_INFO_ALONE, "taglib artist", "taglib composer", "taglib genre", "taglib my tag", "taglib disc_total",
        "taglib lyrics",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.mark.parametrize("name", RECIPES)
def test_every_edit_is_made_and_nothing_else(name: str, bench: Bench, tmp_path: Path) -> None:
    RECIPES[name](bench, name)
    proof = Proof(bench.folder / name, tmp_path, DEVIATIONS.get(name, ()))
    assert proof.blind() == BLIND.get(name, frozenset())
    assert proof.prove(EDITS) == {}


@pytest.mark.real_music
def test_real_music(real_music: Path, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """A handful of the smallest; all of them with --soak."""
    files = sorted(real_music.rglob("*.ogg"), key=lambda path: path.stat().st_size)
    for path in files if pytestconfig.getoption("--soak") else files[:3]:
        proof = Proof(path, tmp_path)
        assert proof.blind() == set()
        assert proof.prove(EDITS) == {}
