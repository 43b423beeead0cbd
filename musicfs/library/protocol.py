"""What the keeper and its workers say to each other: length-prefixed msgpack frames over pipes."""

from __future__ import annotations

import struct

import msgspec

from musicfs.model import Picture

LENGTH = struct.Struct("<I")
MAX_FRAME_BYTES = 256 << 20


class ReadJob(msgspec.Struct, frozen=True, tag="read"):
    """Read the tags of files on this machine: (absolute path, size, mtime_ns) each."""

    files: list[tuple[bytes, int, int]]


class CoverJob(msgspec.Struct, frozen=True, tag="cover"):
    """Make a JPEG of an image file, or of a picture inside an audio file, or of ``data``, the image itself if not empty."""

    path: bytes
    size: int
    picture: Picture | None
    data: bytes = b""


class ReadResult(msgspec.Struct, frozen=True, array_like=True):
    """One file's facts as the catalog stores them, or why there are none.

    ``retry``: it changed while being read, or cannot be read now. ``moved``: the file it was before is gone, so it is that.
    """

    facts: bytes = b""
    reason: str = ""
    retry: bool = False
    moved: bool = False


Job = ReadJob | CoverJob
Reply = list[ReadResult] | bytes

_encoder = msgspec.msgpack.Encoder()
job_decoder = msgspec.msgpack.Decoder(Job)
results_decoder = msgspec.msgpack.Decoder(list[ReadResult])


def printable(reason: object) -> str:
    """A reason as it can travel: a file's name in it may hold bytes that are not UTF-8."""
    return str(reason).encode("utf-8", "backslashreplace").decode("utf-8")


def frame(value: object) -> bytes:
    """A value as it travels."""
    body = _encoder.encode(value)
    return LENGTH.pack(len(body)) + body
