"""The images in pictures that were noted while reading tags."""

from __future__ import annotations

import binascii
import io
from typing import TYPE_CHECKING

from musicfs.errors import FormatError, MusicFSError
from musicfs.formats.id3 import undo_unsync
from musicfs.formats.images import image_kind
from musicfs.formats.oggpages import CAPTURE, CONTINUED, Page
from musicfs.formats.source import MALFORMED, RangeReader, View
from musicfs.formats.vorbis import PictureHeader
from musicfs.model import Picture

if TYPE_CHECKING:
    from PIL import Image

MAX_PICTURE_BYTES = 64 * 1024 * 1024
MAX_PIXELS = 50_000_000
_MAX_PAGES = 8192
_JPEG_QUALITY = 90


def extract_picture(source: RangeReader, picture: Picture) -> bytes:
    """The image itself, as it was embedded. FormatError if the file no longer holds it there."""
    if not 0 <= picture.start < picture.stop <= source.size or picture.stop - picture.start > MAX_PICTURE_BYTES:
        raise FormatError(f"no picture can lie at bytes {picture.start} to {picture.stop}")
    try:
        return _extract(source, picture)
    except FormatError:
        raise
    except MALFORMED as error:
        raise FormatError(f"the picture at byte {picture.start} is damaged: {error}") from error


def _extract(source: RangeReader, picture: Picture) -> bytes:
    if picture.coding == "raw":
        return source.read(picture.start, picture.stop)
    if picture.coding == "unsync":
        return undo_unsync(source.read(picture.start, picture.stop))
    if picture.coding not in ("ogg", "ogg64"):
        raise FormatError(f"pictures coded as {picture.coding} are not known")
    view = View(source)
    is_ogg = view.head[:4] == CAPTURE
    payload = _ogg_payload(source, view, picture) if is_ogg else source.read(picture.start, picture.stop)
    if picture.coding == "ogg":
        return payload
    block = binascii.a2b_base64(payload)
    header = PictureHeader(block)
    return block[header.data_start : header.data_start + header.data_bytes]


def _ogg_payload(source: RangeReader, view: View, picture: Picture) -> bytes:
    """The payload of the picture's stream between two positions of the file."""
    parts: list[bytes] = []
    position, serial = 0, None
    for _ in range(_MAX_PAGES):
        page = Page(view, position)
        position = page.stop
        if page.stop <= picture.start or (serial is not None and page.serial != serial):
            continue
        if page.payload >= picture.stop:
            break
        if serial is not None and not page.flags & CONTINUED:
            raise FormatError(f"the picture breaks off at the Ogg page at byte {page.start}")
        serial = page.serial
        # Past the view, whose budget is for tags; the page is known to lie within the file.
        parts.append(source.read(max(page.payload, picture.start), min(page.stop, picture.stop)))
        if position >= picture.stop:
            return b"".join(parts)
    raise FormatError(f"the picture at byte {picture.start} spans too many Ogg pages")


def to_jpeg(data: bytes) -> bytes:
    """``data`` as a baseline JPEG: unchanged if it is one, else converted, transparent parts on white.

    The same input gives the same bytes with the same version of Pillow. FormatError if it is no picture, or has more than
    :data:`MAX_PIXELS`. Takes about 20 ms a megapixel. Needs the ``artwork`` extra: MusicFSError without it.
    """
    kind = image_kind(data[:12])
    if kind == "jpeg":
        return data
    if kind is None:
        raise FormatError("the picture is of no known kind")
    try:
        from PIL import Image as pillow
    except ImportError as error:
        raise MusicFSError(
            f"Pillow is not installed, and it converts {kind} pictures", remedy="pip install 'musicfs[artwork]'"
        ) from error
    # What Pillow's decoders raise on damage, beside its own bomb checks (which come before ours, on opening).
    damage = (
        OSError,
        SyntaxError,
        EOFError,
        pillow.DecompressionBombError,
        pillow.DecompressionBombWarning,
        *MALFORMED,
    )
    try:
        with pillow.open(io.BytesIO(data), formats=(kind.upper(),)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise FormatError(f"the picture has {image.width} x {image.height} pixels: too many")
            opaque = _opaque(image)
        out = io.BytesIO()
        opaque.save(out, "JPEG", quality=_JPEG_QUALITY)
        return out.getvalue()
    except FormatError:
        raise
    except damage as error:
        raise FormatError(f"the {kind} picture is damaged: {error}") from error


def _opaque(image: Image.Image) -> Image.Image:
    """The picture in RGB, transparent parts on white; decodes it."""
    from PIL import Image as pillow

    if not image.has_transparency_data:
        return image.convert("RGB")
    layered = image.convert("RGBA")
    white = pillow.new("RGBA", layered.size, "white")
    return pillow.alpha_composite(white, layered).convert("RGB")
