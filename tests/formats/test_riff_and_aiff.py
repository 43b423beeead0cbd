"""WAV and AIFF: chunks in any order, of any size, in any state."""

from __future__ import annotations

import struct

import pytest

from musicfs.errors import FormatError
from tests.formats.building import aiff_file, chunk, id3_tag, text_frame, wav_file
from tests.formats.reading import read_bytes


def info(*items: tuple[bytes, bytes]) -> bytes:
    return chunk(b"LIST", b"INFO" + b"".join(chunk(name, value) for name, value in items))


def test_info_fields() -> None:
    data = wav_file(
        info(
            (b"INAM", b"t\0"),
            (b"IART", "é".encode("cp1252")),
            (b"IPRD", "ö".encode()),
            (b"ITRK", b"3/9"),
            (b"XXXX", b"?"),
        )
    )
    assert read_bytes(data, "x.wav").tags == {
        "title": ("t",), "artist": ("é",), "album": ("ö",), "track": ("3",), "track_total": ("9",),
    }  # fmt: skip


def test_an_id3_chunk_goes_before_info() -> None:
    for name in (b"id3 ", b"ID3 "):
        data = wav_file(info((b"INAM", b"no"), (b"IART", b"a")), chunk(name, id3_tag(text_frame("TIT2", "t"))))
        assert read_bytes(data, "x.wav").tags == {"title": ("t",), "artist": ("a",)}


def test_rf64() -> None:
    sizes = chunk(b"ds64", struct.pack("<QQQI", 0, 4 * 44100, 44100, 0))
    fmt = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 2, 44100, 176400, 4, 16))
    head = b"RF64\xff\xff\xff\xffWAVE" + sizes + fmt
    data = head + b"data\xff\xff\xff\xff" + bytes(4 * 44100) + info((b"INAM", b"t"))
    facts = read_bytes(data, "x.wav")
    assert facts.technical.duration_ms == 1000
    assert facts.tags == {"title": ("t",)}
    assert (facts.layout.audio_start, facts.layout.audio_stop) == (len(head) + 8, len(head) + 8 + 4 * 44100)


def test_streams_without_a_size_and_files_cut_short() -> None:
    data = wav_file()
    at = data.index(b"data") + 4
    endless = data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :]
    assert read_bytes(endless, "x.wav").technical.duration_ms == 1000
    cut = read_bytes(data[: at + 4 + 2 * 44100], "x.wav")
    assert cut.technical.duration_ms == 500
    assert cut.layout.audio_stop == at + 4 + 2 * 44100


def test_extensible_and_float_formats() -> None:
    fmt = struct.pack("<HHIIHHHHI", 0xFFFE, 2, 48000, 384000, 8, 32, 22, 32, 3) + struct.pack("<H", 3) + bytes(14)
    data = b"RIFF\0\0\0\0WAVE" + chunk(b"fmt ", fmt) + chunk(b"data", bytes(384000))
    technical = read_bytes(data, "x.wav").technical
    assert (technical.codec, technical.bits_per_sample, technical.duration_ms) == ("pcm", 32, 1000)


@pytest.mark.parametrize("data", [b"RIFF\0\0\0\0WAVE", wav_file()[:30], b"RIFF\0\0\0\0WAVE" + chunk(b"data", b"1234")])
def test_no_wav_audio(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_bytes(data, "x.wav")


def test_aiff_text_and_id3() -> None:
    texts = [
        chunk(name, value, big_endian=True) for name, value in ((b"NAME", b"no"), (b"AUTH", "ö".encode("mac-roman")))
    ]
    data = aiff_file(*texts, chunk(b"ID3 ", id3_tag(text_frame("TIT2", "t")), big_endian=True))
    facts = read_bytes(data, "x.aiff")
    assert facts.tags == {"title": ("t",), "artist": ("ö",)}
    assert (facts.technical.sample_rate, facts.technical.duration_ms) == (44100, 1000)
    assert facts.layout.audio_stop - facts.layout.audio_start == 400


@pytest.mark.parametrize(
    ("compression", "codec"), [(b"NONE", "pcm"), (b"sowt", "pcm"), (b"ulaw", "mulaw"), (b"QDMC", "qdmc")]
)
def test_aifc_compressions(compression: bytes, codec: str) -> None:
    facts = read_bytes(aiff_file(kind=b"AIFC", compression=compression), "x.aifc")
    assert (facts.format, facts.technical.codec) == ("aiff", codec)


@pytest.mark.parametrize("rate", [bytes(10), b"\x7f\xff" + b"\xff" * 8, b"\xff" * 10])
def test_aiff_without_a_possible_rate(rate: bytes) -> None:
    data = aiff_file()
    at = data.index(b"\x40\x0e\xac\x44")
    with pytest.raises(FormatError):
        read_bytes(data[:at] + rate + data[at + 10 :], "x.aiff")
