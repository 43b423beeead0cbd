"""The audio's identity: the same under any tags, another for any other audio, and learned without further requests."""

from __future__ import annotations

from pathlib import Path

import pytest
from mutagen import apev2, id3

from musicfs.formats.identity import EDGE_BYTES
from musicfs.testing.audio import KINDS, encoded, make_audio
from musicfs.testing.images import make_jpeg
from musicfs.testing.tagging import WRITERS
from tests.formats.building import flac_block, flac_file, vorbis_comments, vorbis_file, wav_file
from tests.formats.reading import CountingSource, read_bytes, read_path, read_remotely

WORDY = {"title": ("t" * 200_000,), "artist": ("a",)}  # more than an Ogg page, and more than any usual padding
SPARSE = {"title": ("u",)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seconds", [0.2, 4])
def test_tags_do_not_change_it(kind: str, seconds: float, folder: Path) -> None:
    path = make_audio(folder / f"x.{KINDS[kind].suffix}", kind, seconds=seconds)
    ids, starts = [read_path(path).audio_id], set()
    for values, picture in ((SPARSE, None), (WORDY, make_jpeg(size_bytes=30_000)), (SPARSE, make_jpeg())):
        WRITERS[kind](path, values, picture)
        facts = read_path(path)
        ids.append(facts.audio_id)
        starts.add(facts.layout.audio_start)
    assert len(set(ids)) == 1
    assert ids[0]
    if kind not in ("wav", "aiff", "m4a", "m4b", "alac"):  # their tags lie behind the audio
        assert len(starts) > 1, "the headers were to differ in size"


@pytest.mark.parametrize("kind", KINDS)
def test_other_audio_has_another(kind: str) -> None:
    name = f"x.{KINDS[kind].suffix}"
    several = [encoded(kind, seconds=0.5, seed=seed) for seed in (1, 2, 3)] + [encoded(kind, seconds=1, seed=4)]
    ids = {read_bytes(data, name).audio_id for data in several}
    assert len(ids) == 4
    assert 0 not in ids


@pytest.mark.parametrize("kind", KINDS)
def test_over_the_network_it_costs_no_further_request(kind: str, folder: Path) -> None:
    path = make_audio(folder / f"x.{KINDS[kind].suffix}", kind, tags=SPARSE, picture=make_jpeg(), seconds=40)
    data = path.read_bytes()
    facts, fetched = read_remotely(data, path.name, head_bytes=256 * 1024, tail_bytes=64 * 1024)
    assert facts.audio_id == read_path(path).audio_id
    assert len(fetched) <= 1  # head and tail make it three


def test_the_checksum_of_flac_spares_every_read(folder: Path) -> None:
    source = CountingSource(make_audio(folder / "x.flac", tags=SPARSE, seconds=4).read_bytes())
    from_md5 = read_bytes(source.data, "x.flac").audio_id
    _, fetched = read_remotely(source.data, "x.flac", head_bytes=65536, tail_bytes=128)
    assert not fetched
    start = read_bytes(source.data, "x.flac").layout.audio_start
    changed = bytearray(source.data)
    changed[start + 100] ^= 1
    assert read_bytes(bytes(changed), "x.flac").audio_id == from_md5
    changed[8 + 18] ^= 1  # in the checksum itself
    assert read_bytes(bytes(changed), "x.flac").audio_id != from_md5


def test_flac_without_a_checksum_goes_by_its_edges() -> None:
    audio = b"\xff\xf8" + bytes(5000)
    plain = read_bytes(flac_file(audio=audio), "x.flac").audio_id
    padded = read_bytes(flac_file(flac_block(1, bytes(700), last=True), audio=audio), "x.flac").audio_id
    assert plain == padded != 0
    for position in (EDGE_BYTES - 1, len(audio) - EDGE_BYTES):
        other = audio[:position] + b"\1" + audio[position + 1 :]
        assert read_bytes(flac_file(audio=other), "x.flac").audio_id != plain


def test_tags_behind_an_mp3_do_not_change_it(folder: Path) -> None:
    path = make_audio(folder / "x.mp3", seconds=2)
    plain = read_path(path).audio_id
    tags = apev2.APEv2()
    tags["Title"] = "t" * 3000
    tags.save(path)
    assert read_path(path).audio_id == plain
    frames = id3.ID3()
    frames.add(id3.TIT2(text="t"))
    frames.save(path, v1=2)
    assert path.read_bytes()[-128:-125] == b"TAG"
    assert read_path(path).audio_id == plain


def test_ogg_goes_by_payloads_and_the_last_position() -> None:
    short, long = vorbis_comments(b"title=t"), vorbis_comments(b"title=" + bytes(100_000))
    one, other = vorbis_file(short), vorbis_file(long, serial=7)  # other page numbers, another stream's number
    assert read_bytes(one, "x.ogg").audio_id == read_bytes(other, "x.ogg").audio_id != 0
    at = one.rindex(b"OggS")
    later = one[: at + 6] + b"\xff" + one[at + 7 :]  # the granule position
    assert read_bytes(later, "x.ogg").audio_id != read_bytes(one, "x.ogg").audio_id


def test_a_file_without_audio_has_none() -> None:
    assert read_bytes(wav_file(data=b""), "x.wav").audio_id == 0
