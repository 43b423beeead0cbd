"""Which container some bytes are: by content; the name only decides what the content leaves open."""

from __future__ import annotations

from musicfs.errors import FormatError
from musicfs.formats import adts
from musicfs.formats.id3 import tag_stop
from musicfs.formats.mpeg import find_stream, parse_frame

# What a scan opens; every other file is a sidecar.
AUDIO_SUFFIXES: frozenset[str] = frozenset(
    {"flac", "mp3", "ogg", "oga", "opus", "m4a", "m4b", "m4r", "aac", "adts", "wav", "wave", "aiff", "aif", "aifc"}
)
_CONTAINER_OF_SUFFIX = {
    "flac": "flac", "mp3": "mp3", "ogg": "ogg", "oga": "ogg", "opus": "ogg", "m4a": "mp4", "m4b": "mp4", "m4r": "mp4",
    "aac": "adts", "adts": "adts", "wav": "wav", "wave": "wav", "aiff": "aiff", "aif": "aiff", "aifc": "aiff",
}  # fmt: skip
_OLD_QUICKTIME = (b"moov", b"mdat", b"wide", b"free", b"skip")
_MAX_TAGS = 16


def is_audio(name: str) -> bool:
    """Whether a file of this name is opened as audio."""
    return _suffix(name) in AUDIO_SUFFIXES


def probe(head: bytes, name: str = "") -> str | None:
    """The container: ``flac``, ``mp3``, ``ogg``, ``mp4``, ``adts``, ``wav``, ``aiff``; None if it is none of these.

    ``head`` is the file's first bytes, 64 KiB of them if it has so many. The suffix of ``name`` decides where an ID3 tag
    is larger than ``head``, or where the audio begins behind something unknown.
    """
    found = probe_at(head, name)
    return found[0] if found is not None else None


def probe_at(head: bytes, name: str) -> tuple[str, int] | None:
    """The container, and where it begins: behind ID3 tags that were put before one that has no place for them."""
    start = 0
    for _ in range(_MAX_TAGS):
        try:
            start = tag_stop(head[start : start + 10], start)
        except FormatError:
            break
    container = _by_magic(head[start : start + 12]) if start < len(head) else None
    if container in ("mp3", "adts"):
        return container, 0
    if container is not None:
        return container, start
    suffix = _CONTAINER_OF_SUFFIX.get(_suffix(name))
    if head[4:8] in _OLD_QUICKTIME and suffix == "mp4":
        return "mp4", 0
    if suffix in ("mp3", "adts"):
        return suffix, 0
    if start > len(head) - 12 and start:
        return (suffix, start) if suffix is not None else ("mp3", 0)
    if start or find_stream(head, 0, ends_file=False) is not None:
        return "mp3", 0
    return None


def _by_magic(head: bytes) -> str | None:
    if head[:4] == b"fLaC":
        return "flac"
    if head[:4] == b"OggS":
        return "ogg"
    if head[4:8] == b"ftyp":
        return "mp4"
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    # Both begin with 0xFFF; the two layer bits are 0 in ADTS and never in MPEG audio.
    if adts.is_header(int.from_bytes(head[:7])):
        return "adts"
    if len(head) >= 4 and parse_frame(int.from_bytes(head[:4])) is not None:
        return "mp3"
    return None


def _suffix(name: str) -> str:
    return name.rpartition(".")[2].lower() if "." in name else ""
