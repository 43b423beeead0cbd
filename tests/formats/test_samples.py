"""Every format as ffmpeg and mutagen write it: what was written is read, and mutagen agrees on the rest."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import mutagen.aac
import mutagen.aiff
import mutagen.flac
import mutagen.mp3
import mutagen.mp4
import mutagen.oggflac
import mutagen.oggopus
import mutagen.oggvorbis
import mutagen.wave
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from musicfs.formats import extract_picture, is_audio, probe
from musicfs.formats.source import LocalSource
from musicfs.model import FIELD_NAMES
from musicfs.testing.audio import KINDS, encoded, make_audio
from musicfs.testing.images import make_jpeg, make_png
from musicfs.testing.library import MadeLibrary, make_library, make_sample_library
from tests.formats.reading import read_bytes, read_path, read_remotely

FORMAT = {kind: kind if kind != "alac" else "m4a" for kind in KINDS}
CONTAINER = {
    "flac": "flac", "mp3": "mp3", "ogg": "ogg", "opus": "ogg", "oga": "ogg", "m4a": "mp4", "alac": "mp4", "m4b": "mp4",
    "aac": "adts", "wav": "wav", "aiff": "aiff",
}  # fmt: skip
CODEC = {
    "flac": "flac", "mp3": "mp3", "ogg": "vorbis", "opus": "opus", "oga": "flac", "m4a": "aac", "alac": "alac",
    "m4b": "aac", "aac": "aac", "wav": "pcm", "aiff": "pcm",
}  # fmt: skip
ORACLE = {
    "flac": mutagen.flac.FLAC, "mp3": mutagen.mp3.MP3, "ogg": mutagen.oggvorbis.OggVorbis,
    "opus": mutagen.oggopus.OggOpus, "oga": mutagen.oggflac.OggFLAC, "m4a": mutagen.mp4.MP4, "alac": mutagen.mp4.MP4,
    "m4b": mutagen.mp4.MP4, "aac": mutagen.aac.AAC, "wav": mutagen.wave.WAVE, "aiff": mutagen.aiff.AIFF,
}  # fmt: skip

# One value for each field that every container can hold; MP4 has numbers for some.
ALL_FIELDS = {field: f"{field} é 東" for field in FIELD_NAMES} | {
    "track": "3", "track_total": "12", "disc": "1", "disc_total": "2", "date": "2019-05-17", "compilation": "1",
    "bpm": "128", "mb_recording_id": "6a3f5c1e-0d0f-4f5c-8f7e-2b8a54a1f5aa", "mood": "calm", "catalognumber": "X-1",
}  # fmt: skip


def written(tags: dict[str, tuple[str, ...]], kind: str) -> dict[str, tuple[str, ...]]:
    """The tags without what ffmpeg itself writes into Ogg."""
    return {field: values for field, values in tags.items() if kind not in ("ogg", "opus", "oga") or field != "encoder"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_comes_back(kind: str, folder: Path) -> None:
    path = make_audio(folder / f"x.{KINDS[kind].suffix}", kind, tags=ALL_FIELDS, seconds=0.2)
    facts = read_path(path)
    assert facts.tags == {field: (value,) for field, value in ALL_FIELDS.items()}
    assert facts.format == FORMAT[kind]
    assert facts.layout.container == CONTAINER[kind]
    assert facts.technical.codec == CODEC[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_several_values_stay_several(kind: str, folder: Path) -> None:
    tags = {"artist": ("A/B", "C; D", "Ø"), "genre": ("Rock", "Pop"), "remixer": ("x", "y")}
    path = make_audio(folder / f"x.{KINDS[kind].suffix}", kind, tags=tags, seconds=0.2)
    assert written(read_path(path).tags, kind) == tags


@pytest.mark.parametrize("kind", KINDS)
def test_technical_data_agree_with_mutagen(kind: str, folder: Path) -> None:
    path = make_audio(folder / f"x.{KINDS[kind].suffix}", kind, seconds=1.5, seed=3)
    technical, info = read_path(path).technical, ORACLE[kind](path).info
    assert abs(technical.duration_ms - info.length * 1000) <= 1
    assert technical.channels == info.channels == 2
    assert technical.sample_rate == getattr(info, "sample_rate", 48000)
    if CODEC[kind] in ("flac", "alac", "pcm"):
        assert technical.bits_per_sample == 16 == getattr(info, "bits_per_sample", 16)
    size = path.stat().st_size
    assert 0.5 * size <= technical.bitrate * technical.duration_ms / 8000 <= 1.01 * size


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("picture", ["jpeg", "png"])
def test_the_audio_range_is_the_same_with_and_without_tags(kind: str, picture: str, folder: Path) -> None:
    image = make_jpeg() if picture == "jpeg" else make_png(3)
    suffix = KINDS[kind].suffix
    path = make_audio(folder / f"x.{suffix}", kind, tags=ALL_FIELDS, picture=image, seconds=0.2, seed=5)
    plain, data = encoded(kind, seconds=0.2, seed=5), path.read_bytes()
    before, after = read_bytes(plain, f"x.{suffix}").layout, read_path(path).layout
    old, new = plain[before.audio_start : before.audio_stop], data[after.audio_start : after.audio_stop]
    if CONTAINER[kind] == "ogg" and len(old) == len(new):
        # More header pages change the number and the checksum of each page, and nothing else.
        assert sum(a != b for a, b in zip(old, new, strict=True)) <= 8 * old.count(b"OggS")
    else:
        assert old == new
    assert len(new) > 100


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("image", [make_jpeg(), make_png(1), make_png(2, width=220, height=220)], ids=["j", "p", "big"])
def test_pictures_are_noted_and_extracted(kind: str, image: bytes, folder: Path) -> None:
    path = make_audio(folder / f"x.{KINDS[kind].suffix}", kind, tags={"title": "t"}, picture=image, seconds=0.2)
    (picture,) = read_path(path).pictures
    assert picture.kind == 3
    assert picture.mime == ("image/jpeg" if image == make_jpeg() else "image/png")
    with LocalSource.open(path) as source:
        assert extract_picture(source, picture) == image


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_without_tags_has_none(kind: str, folder: Path) -> None:
    facts = read_path(make_audio(folder / f"x.{KINDS[kind].suffix}", kind, seconds=0.2))
    assert not written(facts.tags, kind)
    assert not facts.pictures


@pytest.mark.parametrize("kind", KINDS)
def test_probe_goes_by_content(kind: str) -> None:
    data = encoded(kind, seconds=0.2)
    assert probe(data, "") == probe(data, "lies.flac") == probe(data, "lies.mp3") == CONTAINER[kind]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    kind=st.sampled_from(list(KINDS)),
    tags=st.dictionaries(
        st.sampled_from(["title", "artist", "album", "composer", "isrc", "mb_album_id", "album_sort", "mood"]),
        st.lists(
            st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufeff\ufffe"), min_size=1)
            .filter(lambda text: not text.isspace()),
            min_size=1, max_size=3, unique=True,
        ).map(tuple),
        min_size=1,
    ),
)  # fmt: skip
def test_what_mutagen_writes_is_read(kind: str, tags: dict[str, tuple[str, ...]], folder: Path) -> None:
    path = make_audio(folder / f"x.{KINDS[kind].suffix}", kind, tags=tags, seconds=0.2)
    assert written(read_path(path).tags, kind) == tags


def test_a_made_library_reads_as_it_was_made(library: MadeLibrary) -> None:
    for track in library.tracks:
        facts = read_path(library.root / track.path)
        assert written(facts.tags, track.kind) == track.tags
        assert [picture.mime for picture in facts.pictures] == ([f"image/{track.picture}"] if track.picture else [])
        assert 480 <= facts.technical.duration_ms <= 600
    assert Counter(track.kind for track in library.tracks).keys() == KINDS.keys()
    assert len({(library.root / track.path).read_bytes() for track in library.tracks}) == len(library.tracks)


def test_a_library_over_the_network_is_read_the_same(library: MadeLibrary) -> None:
    for track in library.tracks:
        path = library.root / track.path
        data = path.read_bytes()
        facts, _ = read_remotely(data, path.name, head_bytes=65536, tail_bytes=8192)
        assert facts == read_path(path)


def test_libraries_are_reproducible(tmp_path: Path) -> None:
    one, two = make_library(tmp_path / "1", 30, 3), make_library(tmp_path / "2", 30, 3)
    assert one.tracks == two.tracks
    for path in (*(track.path for track in one.tracks), *one.sidecars):
        assert (one.root / path).read_bytes() == (two.root / path).read_bytes()


def test_the_sample_library_has_one_of_everything(tmp_path: Path) -> None:
    sample = make_sample_library(tmp_path, seconds=0.2)
    assert {track.kind for track in sample.tracks} == KINDS.keys()
    for track in sample.tracks:
        assert is_audio(track.path)
        assert written(read_path(sample.root / track.path).tags, track.kind) == track.tags
    assert {Path(path).suffix for path in sample.sidecars} == {".jpg", ".png", ".lrc", ".cue", ".log"}
    assert not any(is_audio(path) for path in sample.sidecars)
