"""What kind of image some bytes are: enough of each magic number to tell, no decoding."""

from __future__ import annotations

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
