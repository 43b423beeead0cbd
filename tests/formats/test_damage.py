"""Damaged files of every format: facts or FormatError, within bounds that do not depend on what the file says."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicfs.errors import FormatError
from musicfs.formats import extract_picture, read
from musicfs.model import Facts
from musicfs.testing.audio import KINDS, make_audio
from musicfs.testing.images import make_jpeg
from tests.formats.building import (
    apic,
    box,
    chunk,
    flac_block,
    flac_file,
    id3_frame,
    id3_tag,
    mp3_frames,
    mp4_movie,
    unsync,
    vorbis_file,
    wav_file,
)  # fmt: skip
from tests.formats.reading import CountingSource, read_remotely

TAGS = {
    "title": "Title",
    "artist": ("One", "Two"),
    "track": "3",
    "track_total": "12",
    "lyrics": "la " * 50,
    "mood": "x",
}
MUTATIONS_PER_KIND = 1000
# One read of the head, and at most the budget that a view allows.
MAX_READ_BYTES = 33 * 1024 * 1024


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("originals")
    files: dict[str, bytes] = {}
    for kind, made in KINDS.items():
        path = make_audio(Path(folder, f"{kind}.{made.suffix}"), kind, tags=TAGS, picture=make_jpeg(), seconds=0.3)
        files[kind] = path.read_bytes()
    return files


def check(data: bytes, name: str) -> Facts | None:
    """Read ``data``; whatever comes out must be sound."""
    source = CountingSource(data)
    try:
        facts = read(source, name)
    except FormatError:
        return None
    finally:
        assert source.bytes_read <= MAX_READ_BYTES
        assert len(source.ranges) <= 200_000
    assert 0 <= facts.layout.audio_start <= facts.layout.audio_stop <= len(data)
    technical = facts.technical
    for number in (technical.duration_ms, technical.bitrate, technical.sample_rate, technical.channels):
        assert 0 <= number < 1 << 63
    for field, values in facts.tags.items():
        assert field
        assert values
        assert all(value.encode() for value in values)
    for picture in facts.pictures:
        assert 0 <= picture.start < picture.stop <= len(data)
        try:
            extract_picture(source, picture)
        except FormatError:
            continue
    return facts


def mutated(data: bytes, choice: random.Random) -> bytes:
    """``data`` with some bytes changed, removed, doubled or cut off, mostly near the beginning or the end."""
    kind = choice.randrange(10)
    if kind == 0:
        return data[: choice.randrange(len(data))]
    reach = min(len(data), choice.choice((64, 512, 4096, len(data))))
    at = choice.randrange(reach) if choice.randrange(4) else len(data) - 1 - choice.randrange(reach)
    size = choice.randrange(1, 200)
    if kind == 1:
        return data[:at] + data[at + size :]
    if kind == 2:
        return data[:at] + choice.randbytes(size) + data[at:]
    out = bytearray(data)
    for _ in range(choice.choice((1, 1, 2, 4, 16, 64))):
        value = choice.choice((0, 0xFF, 0x7F, 0x80, 1, choice.randrange(256)))
        for position in range(at, min(len(out), at + choice.choice((1, 1, 2, 4)))):
            out[position] = value
        at = choice.randrange(reach)
    return bytes(out)


@pytest.mark.parametrize("kind", KINDS)
def test_mutations(kind: str, originals: dict[str, bytes]) -> None:
    choice = random.Random(kind)
    name = f"x.{KINDS[kind].suffix}"
    read_well = 0
    for _ in range(MUTATIONS_PER_KIND):
        data = mutated(originals[kind], choice)
        facts = check(data, name)
        read_well += facts is not None
        if facts is not None and choice.randrange(10) == 0:
            assert read_remotely(data, name, head_bytes=65536, tail_bytes=1024)[0] == facts
    assert read_well > MUTATIONS_PER_KIND // 3


@pytest.mark.parametrize("kind", KINDS)
def test_every_short_beginning(kind: str, originals: dict[str, bytes]) -> None:
    data = originals[kind]
    for size in (*range(300), *range(300, len(data), len(data) // 100)):
        check(data[:size], f"x.{KINDS[kind].suffix}")


@settings(deadline=None)
@given(
    data=st.binary(max_size=300),
    name=st.sampled_from(["x.flac", "x.mp3", "x.ogg", "x.m4a", "x.aac", "x.wav", "x.aiff", "x"]),
)
@pytest.mark.parametrize(
    "magic", [b"", b"fLaC", b"OggS", b"ID3\4\0\0", b"\0\0\0\x18ftyp", b"RIFF    WAVE", b"\xff\xfb", b"\xff\xf1"]
)
def test_noise_behind_magic(magic: bytes, name: str, data: bytes) -> None:
    check(magic + data, name)


def endless_comments() -> bytes:
    body = (4).to_bytes(4, "little") + b"test" + b"\xff\xff\xff\x7f" + bytes(12_000_000)
    return flac_file(flac_block(4, body, last=True))


def many_values(separator: bytes) -> bytes:
    return separator.join(b"%x" % number for number in range(50_000))


def unsynchronised(*frames: bytes) -> bytes:
    return id3_tag(unsync(b"".join(frames)), version=3, flags=0x80) + mp3_frames()


def picture_frame(size: int) -> bytes:
    return id3_frame("APIC", apic(b"\xff" * size), version=3)


def many_tracks() -> bytes:
    track = box(b"trak", box(b"mdia", box(b"abcd", b"") * 500))
    return box(b"ftyp", b"M4A ") + box(b"moov", track * 9_000)


def many_items() -> bytes:
    item = box(b"\xa9nam", box(b"data", bytes(8) + b"a"))
    return box(b"ftyp", b"M4A ") + mp4_movie(*[item] * 100_000)


def tiny_chunks() -> bytes:
    return wav_file(*[chunk(b"LIST", b"INFO" + chunk(b"INAM", b"") * 20)] * 9_000)


def tiny_pages() -> bytes:
    """A comment packet in pages of 255 bytes that never ends."""
    ident = vorbis_file(b"")[:58]
    pages = (
        struct.pack("<4sBBqIIIB", b"OggS", 0, 1 if sequence > 1 else 0, -1, 1, sequence, 0, 1) + b"\xff" + bytes(255)
        for sequence in range(1, 9_000)
    )
    return ident + b"".join(pages)


CRAFTED = {
    "endless comments": ("x.flac", endless_comments),
    "many values": ("x.mp3", lambda: id3_tag(id3_frame("TPE1", b"\3" + many_values(b"\0"))) + mp3_frames()),
    "many frames": ("x.mp3", lambda: id3_tag(id3_frame("TPE1", b"\3a") * 100_000) + mp3_frames()),
    "all unsynchronised": ("x.mp3", lambda: unsynchronised(picture_frame(3_000_000))),
    "many pictures": ("x.mp3", lambda: unsynchronised(picture_frame(200) * 9_000)),
    "syncs without frames": ("x.mp3", lambda: b"\xff\xfb\x90\x00" * 200_000),
    "many tracks": ("x.m4a", many_tracks),
    "many items": ("x.m4a", many_items),
    "tiny chunks": ("x.wav", tiny_chunks),
    "tiny pages": ("x.ogg", tiny_pages),
}


@pytest.mark.parametrize("case", CRAFTED)
def test_crafted_files_are_bounded(case: str) -> None:
    name, build = CRAFTED[case]
    facts = check(build(), name)
    if facts is not None:
        assert len(facts.pictures) <= 100
        assert sum(len(values) for values in facts.tags.values()) <= 10_000
