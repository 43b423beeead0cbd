"""Images: kinds, conversion, and pictures that are not there."""

from __future__ import annotations

import io
import struct
import sys
import zlib

import pytest
from PIL import Image

from musicfs.errors import FormatError, MusicFSError
from musicfs.formats import extract_picture, image_kind, to_jpeg
from musicfs.model import Picture
from musicfs.testing.images import make_jpeg, make_png
from tests.formats.reading import CountingSource


def encoded(kind: str, mode: str = "RGB", colour: object = (255, 0, 0)) -> bytes:
    out = io.BytesIO()
    Image.new(mode, (20, 10), colour).save(out, kind)  # type: ignore[arg-type]  # colours differ by mode
    return out.getvalue()


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "webp", "bmp"])
def test_kinds_and_conversion(kind: str) -> None:
    data = encoded(kind)
    assert image_kind(data[:12]) == kind
    converted = to_jpeg(data)
    assert image_kind(converted) == "jpeg"
    assert converted == to_jpeg(data)
    with Image.open(io.BytesIO(converted)) as image:
        assert image.size == (20, 10)
        red, green, blue = image.convert("RGB").resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]  # RGB has three
        assert (red > 240, green < 20, blue < 20) == (True, True, True)


def test_a_jpeg_is_left_alone() -> None:
    assert to_jpeg(make_jpeg()) is make_jpeg()


@pytest.mark.parametrize(
    ("mode", "colour"), [("RGBA", (0, 0, 0, 0)), ("LA", (0, 0)), ("P", 0), ("L", 255), ("1", 1), ("I;16", 65535)]
)
def test_every_mode_and_transparency_on_white(mode: str, colour: object) -> None:
    with Image.open(io.BytesIO(to_jpeg(encoded("png", mode, colour)))) as image:
        assert image.mode == "RGB"
        if mode in ("RGBA", "LA"):
            assert image.getpixel((5, 5)) == (255, 255, 255)


def bomb() -> bytes:
    """A PNG that says 60,000 x 60,000."""

    def part(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(bytes(1000))) + part(b"IEND", b"")


def large() -> bytes:
    """Below Pillow's own limit, above ours."""
    data = bytearray(bomb())
    data[16:24] = struct.pack(">II", 8000, 8000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"text", make_png(1)[:100], make_png(1)[:20], b"GIF89a", b"BM", b"RIFF\0\0\0\0WEBP", bomb(), large()],
    ids=["empty", "text", "cut", "no header", "gif", "bmp", "webp", "bomb", "large"],
)
def test_damage_and_bombs_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        to_jpeg(data)


def test_every_cut_and_flip_of_a_png_is_a_picture_or_an_error() -> None:
    data = make_png(2, width=16, height=16)
    for at in range(8, len(data), 7):
        for changed in (data[:at], data[:at] + bytes((data[at] ^ 0x55,)) + data[at + 1 :]):
            try:
                assert image_kind(to_jpeg(changed)) == "jpeg"
            except FormatError:
                continue


def test_without_pillow_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MusicFSError) as caught:
        to_jpeg(make_png(1))
    assert "musicfs[artwork]" in caught.value.remedy
    assert to_jpeg(make_jpeg()) == make_jpeg()


@pytest.mark.parametrize(
    "picture",
    [
        Picture(3, "image/jpeg", 5, 5), Picture(3, "image/jpeg", -1, 5), Picture(3, "image/jpeg", 0, 1001),
        Picture(3, "image/jpeg", 0, 50, "ogg"), Picture(3, "image/jpeg", 0, 50, "ogg64"), Picture(3, "", 0, 5, "other"),
    ],
)  # fmt: skip
def test_a_picture_that_is_not_there(picture: Picture) -> None:
    for data in (bytes(1000), (b"OggS" + bytes(23)).ljust(1000, b"x")):
        if picture.coding == "ogg" and data[0] == 0:
            continue  # a raw range of a file that is not Ogg
        with pytest.raises(FormatError):
            extract_picture(CountingSource(data), picture)
