"""Small real pictures, made without an image library."""

from __future__ import annotations

import random
import struct
import zlib
from functools import cache

from musicfs.testing.audio import run_ffmpeg


@cache
def make_jpeg(colour: str = "red", *, width: int = 64, height: int = 64, size_bytes: int = 0) -> bytes:
    """A JPEG of one colour (any colour name ffmpeg knows), padded with comment segments to at least ``size_bytes``."""
    arguments = ["-f", "lavfi", "-i", f"color=c={colour}:s={width}x{height}", "-frames:v", "1"]
    data = run_ffmpeg([*arguments, "-fflags", "+bitexact", "-flags:v", "+bitexact", "-f", "mjpeg", "-"])
    # ITU T.81 B.2.4.5: COM segments may stand right after SOI; a length counts itself and is at most 65535.
    comment = b"\xff\xfe" + struct.pack(">H", 65535) + bytes(65533)
    missing = max(0, size_bytes - len(data))
    return data[:2] + comment * -(-missing // len(comment)) + data[2:]


@cache
def make_png(seed: int = 0, *, width: int = 64, height: int = 64) -> bytes:
    """An RGB PNG (W3C PNG, 3rd edition) of noise, which does not compress: about ``3 * width * height`` bytes."""
    noise = random.Random(seed)
    rows = b"".join(b"\0" + noise.randbytes(3 * width) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
