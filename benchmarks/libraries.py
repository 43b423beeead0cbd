"""Music to measure with: large files to read, and many small tagged ones to scan and walk.

The small ones are real FLAC and MP3 files of a tenth of a second, each with tags and an audio checksum of its own; they are
written from one encoded template each, so that a hundred thousand take seconds and half a gigabyte.
"""

from __future__ import annotations

import os
import random
import struct
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

TRACKS_PER_ALBUM = 10
ALBUMS_PER_ARTIST = 3
_WAV_HEADER_BYTES = 44


def make_wav_files(root: Path, count: int, size_bytes: int) -> list[Path]:
    """``count`` WAV files of exactly ``size_bytes`` each: 16 bit stereo noise without tags."""
    root.mkdir(parents=True, exist_ok=True)
    noise = random.Random(1)
    paths = []
    for number in range(count):
        path = root / f"{number:03d}.wav"
        data = size_bytes - _WAV_HEADER_BYTES
        # RIFF header, "fmt " chunk (PCM, 2 channels, 44,100 Hz, 176,400 bytes/s, 4 bytes a frame, 16 bits), "data" chunk
        header = struct.pack(
            "<4sI4s4sIHHIIHH4sI",
            b"RIFF",
            size_bytes - 8,
            b"WAVE",
            b"fmt ",
            16,
            1,
            2,
            44100,
            176400,
            4,
            16,
            b"data",
            data,
        )
        path.write_bytes(header + noise.randbytes(data))
        paths.append(path)
    return paths


def make_tiny_library(root: Path, tracks: int, *, size_bytes: int = 0) -> None:
    """``tracks`` small tagged files as artist/album folders, every second album FLAC, the others MP3.

    With ``size_bytes`` the audio is repeated until a file has about that size: what a reader of tags need not read.
    """
    streaminfo, frames = _flac_template()
    mp3 = _mp3_template()
    frames *= max(size_bytes // len(frames), 1)
    mp3 *= max(size_bytes // len(mp3), 1)
    for number, (folder, name, tags) in enumerate(_plan(tracks)):
        album = root / folder
        if number % TRACKS_PER_ALBUM == 0:
            album.mkdir(parents=True, exist_ok=True)
        if number // TRACKS_PER_ALBUM % 2 == 0:
            (album / f"{name}.flac").write_bytes(_flac(streaminfo, frames, tags, number))
        else:
            (album / f"{name}.mp3").write_bytes(_id3(tags) + mp3 + number.to_bytes(8, "big") * 2)


def make_flat_folder(root: Path, files: int) -> None:
    """``files`` small untagged files side by side in one folder."""
    streaminfo, frames = _flac_template()
    root.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        (root / f"{number:06d}.flac").write_bytes(_flac(streaminfo, frames, {}, number))


def make_empty_folders(root: Path, folders: int, *, fan_out: int = 100) -> None:
    """``folders`` folders with nothing in them, two levels deep."""
    for number in range(folders):
        (root / f"{number // fan_out:05d}" / f"{number % fan_out:03d}").mkdir(parents=True)


def _plan(tracks: int) -> Iterator[tuple[str, str, dict[str, str]]]:
    for number in range(tracks):
        album_number, track = divmod(number, TRACKS_PER_ALBUM)
        artist = f"Artist {album_number // ALBUMS_PER_ARTIST:06d}"
        album = f"Album {album_number:07d}"
        title = f"Title {number:08d}"
        year = str(1960 + album_number % 64)
        tags = {
            "artist": artist,
            "album": album,
            "title": title,
            "date": year,
            "genre": "Test",
            "tracknumber": str(track + 1),
        }
        yield f"{artist}/{year} - {album}", f"{track + 1:02d} - {title}", tags


def _encoded(kind: str) -> bytes:
    from musicfs.testing.audio import make_audio

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"template.{kind}"
        make_audio(path, kind, seconds=0.1, seed=1)
        return path.read_bytes()


def _flac_template() -> tuple[bytes, bytes]:
    """STREAMINFO's 34 bytes and the audio frames (RFC 9639, sections 8.1 and 8.2)."""
    data = _encoded("flac")
    assert data[:4] == b"fLaC"
    streaminfo, position, last = b"", 4, False
    while not last:
        last, kind = bool(data[position] & 0x80), data[position] & 0x7F
        length = int.from_bytes(data[position + 1 : position + 4], "big")
        if kind == 0:
            streaminfo = data[position + 4 : position + 4 + length]
        position += 4 + length
    return streaminfo, data[position:]


def _flac(streaminfo: bytes, frames: bytes, tags: Mapping[str, str], number: int) -> bytes:
    """A FLAC file whose MD5 field is ``number``: distinct audio, as far as anyone looks without decoding it."""
    comments = [f"{name.upper()}={value}".encode() for name, value in tags.items()]
    body = struct.pack("<I", 4) + b"test" + struct.pack("<I", len(comments))
    body += b"".join(struct.pack("<I", len(comment)) + comment for comment in comments)
    return b"".join(
        (
            b"fLaC",
            b"\x00" + len(streaminfo).to_bytes(3, "big") + streaminfo[:18] + number.to_bytes(16, "big"),
            b"\x84" + len(body).to_bytes(3, "big") + body,
            frames,
        )
    )


def _mp3_template() -> bytes:
    """The MPEG frames without the ID3v2 tag before them (its size is four bytes of seven bits, ID3v2.4 section 3.1)."""
    data = _encoded("mp3")
    if data[:3] != b"ID3":
        return data
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte
    return data[10 + size :]


_ID3_FRAMES = {
    "artist": "TPE1",
    "album": "TALB",
    "title": "TIT2",
    "date": "TDRC",
    "genre": "TCON",
    "tracknumber": "TRCK",
}


def _id3(tags: Mapping[str, str]) -> bytes:
    """An ID3v2.4 tag of UTF-8 text frames."""

    def syncsafe(value: int) -> bytes:
        return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))

    frames = b""
    for name, value in tags.items():
        text = b"\x03" + value.encode()
        frames += _ID3_FRAMES[name].encode() + syncsafe(len(text)) + b"\0\0" + text
    return b"ID3\x04\0\0" + syncsafe(len(frames)) + frames


def files_below(root: Path, suffix: str) -> list[Path]:
    """Every file below ``root`` with that suffix, in the order of names."""
    return sorted(
        Path(folder) / name for folder, _folders, names in os.walk(root) for name in names if name.endswith(suffix)
    )
