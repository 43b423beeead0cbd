"""Tiny real audio files in every format MusicFS knows, for tests and for trying things out.

Audio is encoded by ffmpeg once per process, format and length, many variations in one run; each file is then a tagged copy,
so a library of hundreds of files costs seconds. Files with different ``seed`` hold different audio; the same arguments
make the same bytes with the same ffmpeg and mutagen.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import pi, sin
from pathlib import Path

from musicfs.errors import MusicFSError
from musicfs.testing import tagging

SAMPLE_RATE = 44100
CHANNELS = 2

# One run of ffmpeg encodes this many seeds: the cost is in starting it.
BATCH = 8

TagValues = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True)
class Kind:
    """How one format is made: the file's suffix and ffmpeg's output options."""

    suffix: str
    options: tuple[str, ...]


KINDS: Mapping[str, Kind] = {
    "flac": Kind("flac", ("-c:a", "flac", "-f", "flac")),
    "mp3": Kind("mp3", ("-c:a", "libmp3lame", "-q:a", "6", "-id3v2_version", "0", "-f", "mp3")),
    "ogg": Kind("ogg", ("-c:a", "libvorbis", "-f", "ogg")),
    "opus": Kind("opus", ("-c:a", "libopus", "-b:a", "48k", "-f", "ogg")),
    "oga": Kind("oga", ("-c:a", "flac", "-f", "ogg")),
    "m4a": Kind("m4a", ("-c:a", "aac", "-aac_coder", "fast", "-b:a", "64k", "-f", "ipod")),
    "alac": Kind("m4a", ("-c:a", "alac", "-f", "ipod")),
    "m4b": Kind("m4b", ("-c:a", "aac", "-aac_coder", "fast", "-b:a", "64k", "-f", "ipod", "-brand", "M4B ")),
    "aac": Kind("aac", ("-c:a", "aac", "-aac_coder", "fast", "-b:a", "64k", "-f", "adts")),
    "wav": Kind("wav", ("-c:a", "pcm_s16le", "-f", "wav")),
    "aiff": Kind("aiff", ("-c:a", "pcm_s16be", "-f", "aiff")),
}


def make_audio(
    path: str | os.PathLike[str],
    kind: str = "",
    *,
    seconds: float = 1.0,
    tags: TagValues | None = None,
    picture: bytes | None = None,
    seed: int = 0,
) -> Path:
    """Write one audio file and return its path; missing folders are made.

    ``kind`` is a key of :data:`KINDS` (``alac`` is ALAC in ``.m4a``); by default it follows the path's suffix.
    ``tags`` has MusicFS's field names, any other name becomes a custom tag. Without ``tags`` and ``picture`` the file has
    no tag at all (Ogg keeps the empty comment header it must have). ``picture`` is a JPEG or PNG, stored as the front cover.
    """
    target = Path(path)
    name = kind or target.suffix.lstrip(".").lower()
    data = encoded(name, seconds=seconds, seed=seed)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    if tags or picture is not None:
        values = {field: (value,) if isinstance(value, str) else tuple(value) for field, value in (tags or {}).items()}
        tagging.WRITERS[name](target, values, picture)
    return target


def encoded(kind: str, *, seconds: float = 1.0, seed: int = 0) -> bytes:
    """The untagged file of one kind: two channels at 44.1 kHz (Opus: 48 kHz), a tone that differs by ``seed``."""
    if kind not in KINDS:
        raise ValueError(f"unknown kind of audio {kind!r}: use one of {', '.join(KINDS)}")
    return _encoded_batch(kind, seconds, seed // BATCH if seed else -1)[seed % BATCH if seed else 0]


@cache
def _encoded_batch(kind: str, seconds: float, batch: int) -> tuple[bytes, ...]:
    """One run of ffmpeg: seeds ``[batch * BATCH, (batch + 1) * BATCH)``, or seed 0 alone for batch -1."""
    seeds = (0,) if batch < 0 else range(batch * BATCH, (batch + 1) * BATCH)
    made = KINDS[kind]
    with tempfile.TemporaryDirectory(prefix="musicfs-audio-") as folder:
        source = Path(folder, "tones.raw")
        source.write_bytes(b"".join(_tone(seed, seconds) for seed in seeds))
        command = ["-f", "s16le", "-ar", str(SAMPLE_RATE), "-ac", str(CHANNELS), "-i", str(source)]
        outputs = [Path(folder, f"{index}.{made.suffix}") for index in range(len(seeds))]
        for index, output in enumerate(outputs):
            # Output options: the trim is exact to the sample.
            command += ["-ss", repr(index * seconds), "-t", repr(seconds), "-map_metadata", "-1", *made.options]
            command += ["-fflags", "+bitexact", "-flags:a", "+bitexact", str(output)]
        run_ffmpeg(command)
        return tuple(output.read_bytes() for output in outputs)


def _tone(seed: int, seconds: float) -> bytes:
    """A tone as interleaved 16-bit samples: one period, repeated; the left channel differs from the right."""
    period = 40 + seed * 3 % 397
    loudness = 3000 + seed * 61 % 6000
    frames = array("h")
    for step in range(period):
        wave = sin(2 * pi * step / period)
        frames.extend((int(loudness * wave), int(loudness * wave / 2) + seed % 50))
    count = round(seconds * SAMPLE_RATE)
    return (frames * (count // period + 1))[: count * CHANNELS].tobytes()


def run_ffmpeg(arguments: Sequence[str]) -> bytes:
    """Run ffmpeg quietly with ``arguments`` and return what it wrote to its standard output."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise MusicFSError(
            "ffmpeg is not installed, and it makes the audio files", remedy="install it: apt-get install ffmpeg"
        )
    done = subprocess.run(
        [program, "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *arguments], capture_output=True, check=False
    )
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip().splitlines()
        raise MusicFSError(
            f"ffmpeg failed: {reason[-1] if reason else done.returncode}",
            remedy="an ffmpeg with libmp3lame, libvorbis and libopus is needed",
        )
    return done.stdout
