"""What an image's header says, compared with Pillow."""

from __future__ import annotations

import io
import random

import pytest
from PIL import Image

from musicfs.errors import FormatError
from musicfs.formats.images import describe_image
from musicfs.testing.images import make_jpeg, make_png
from tests.formats.test_damage import mutated

DEPTHS = {"L": 8, "LA": 16, "RGB": 24, "RGBA": 32, "P": 24, "CMYK": 32}
CASES: list[tuple[str, str, dict[str, object]]] = [
    ("jpeg", "RGB", {}), ("jpeg", "L", {}), ("jpeg", "CMYK", {}), ("jpeg", "RGB", {"progressive": True}),
    ("jpeg", "RGB", {"comment": b"c" * 60_000, "exif": b"Exif\0\0" + bytes(5000)}),
    ("png", "RGB", {}), ("png", "RGBA", {}), ("png", "L", {}), ("png", "LA", {}), ("png", "P", {}), ("gif", "P", {}),
    ("webp", "RGB", {}), ("webp", "RGB", {"lossless": True}), ("webp", "RGBA", {"lossless": True}), ("webp", "RGBA", {}),
]  # fmt: skip


def saved(kind: str, mode: str, options: dict[str, object], size: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    image = Image.new("RGBA", size, (200, 10, 30, 100)).convert(mode)
    image.save(out, kind.upper(), **options)
    return out.getvalue()


@pytest.mark.parametrize(("kind", "mode", "options"), CASES)
@pytest.mark.parametrize("size", [(1, 1), (300, 17), (2049, 3)])
def test_size_and_depth(kind: str, mode: str, options: dict[str, object], size: tuple[int, int]) -> None:
    data = saved(kind, mode, options, size)
    image = describe_image(data)
    assert (image.mime, image.width, image.height, image.depth) == (f"image/{kind}", *size, DEPTHS[mode])
    assert image.data is data


@pytest.mark.parametrize(
    "data", [b"", b"text", b"BM" + bytes(60), make_png()[:20], make_jpeg()[:30], b"\xff\xd8\xff\xd9"]
)
def test_what_is_no_image(data: bytes) -> None:
    with pytest.raises(FormatError):
        describe_image(data)


def test_damaged_images() -> None:
    choice = random.Random(3)
    originals = [saved(kind, mode, options, (40, 30)) for kind, mode, options in CASES]
    for number in range(4000):
        damaged = mutated(originals[number % len(originals)], choice)
        try:
            image = describe_image(damaged)
        except FormatError:
            continue
        assert image.width > 0 < image.height
