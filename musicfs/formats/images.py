"""What kind of image some bytes are, and how large it is: what their headers say, no decoding."""

from __future__ import annotations

import struct

from musicfs.errors import FormatError
from musicfs.formats.plans import Image

_MIME_OF_KIND = {kind: f"image/{kind}" for kind in ("jpeg", "png", "gif", "webp", "bmp")}
# Spellings met in tags; ID3v2.2 has three-letter formats.
_MIME_SPELLINGS = {"image/jpg": "image/jpeg", "jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png"}


def image_kind(head: bytes) -> str | None:
    """``jpeg``, ``png``, ``gif``, ``webp`` or ``bmp`` by the first 12 bytes; None for anything else."""
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"BM"):
        return "bmp"
    return None


def mime_type(declared: str, head: bytes) -> str:
    """The MIME type of a picture: by its bytes, as tags are often wrong about it; else as declared."""
    kind = image_kind(head)
    if kind is not None:
        return _MIME_OF_KIND[kind]
    declared = declared.strip("\0 ").lower()
    return _MIME_SPELLINGS.get(declared, declared)


def describe_image(data: bytes) -> Image:
    """``data`` as a picture to embed, with the size and depth that its header gives.

    FormatError if it is no JPEG, PNG, GIF or WebP. Depth is that of its colours: 24 for palettes.
    """
    kind = image_kind(data[:12])
    measure = _MEASURES.get(kind or "")
    if measure is None:
        raise FormatError("the picture is no JPEG, PNG, GIF or WebP")
    try:
        width, height, depth = measure(data)
    except (struct.error, IndexError, KeyError) as error:
        raise FormatError(f"the {kind} picture is damaged: its header is incomplete") from error
    if not width or not height:
        raise FormatError(f"the {kind} picture is damaged: its header says {width} x {height} pixels")
    return Image(data, f"image/{kind}", width, height, depth)


def _measure_jpeg(data: bytes) -> tuple[int, int, int]:
    """ITU T.81, B.2.2: the frame header, behind segments that tell their length."""
    at = 2
    while True:
        while data[at] == 0xFF and data[at + 1] == 0xFF:  # fill bytes (B.1.1.2)
            at += 1
        marker = data[at + 1]
        if data[at] != 0xFF or marker in (0xD9, 0xDA):
            raise IndexError(at)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            precision, height, width, components = struct.unpack_from(">BHHB", data, at + 4)
            return width, height, precision * components
        at += 2 if marker == 0x01 or 0xD0 <= marker <= 0xD8 else 2 + int(struct.unpack_from(">H", data, at + 2)[0])


_PNG_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
_PALETTE = 3
_PALETTE_DEPTH = 24  # of a palette's colours, which is what FLAC's picture blocks have for indexed images


def _measure_png(data: bytes) -> tuple[int, int, int]:
    """W3C PNG (3rd edition), 11.2.1."""
    name, width, height, depth, colour = struct.unpack_from(">4sIIBB", data, 12)
    if name != b"IHDR":
        raise IndexError(12)
    return width, height, _PALETTE_DEPTH if colour == _PALETTE else depth * _PNG_CHANNELS[colour]


def _measure_gif(data: bytes) -> tuple[int, int, int]:
    """GIF89a specification, 18."""
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height, _PALETTE_DEPTH


def _measure_webp(data: bytes) -> tuple[int, int, int]:
    """RFC 9649, 2.5 to 2.7 and 3.4; RFC 6386, 9.1."""
    name = data[12:16]
    if name == b"VP8X":
        flags, sizes = struct.unpack_from("<B3x6s", data, 20)
        width, height = int.from_bytes(sizes[:3], "little") + 1, int.from_bytes(sizes[3:], "little") + 1
        return width, height, 32 if flags & 0x10 else 24
    if name == b"VP8L":
        (packed,) = struct.unpack_from("<I", data, 21)
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1, 32 if packed >> 28 & 1 else 24
    start_code, width, height = struct.unpack_from("<3sHH", data, 23)
    if name != b"VP8 " or start_code != b"\x9d\x01\x2a":
        raise IndexError(12)
    return width & 0x3FFF, height & 0x3FFF, 24


_MEASURES = {"jpeg": _measure_jpeg, "png": _measure_png, "gif": _measure_gif, "webp": _measure_webp}
