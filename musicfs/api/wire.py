"""What text and numbers must be to go over the wire.

Text must be UTF-8, so bytes of a name that are not are shown as ``\\xNN``; numbers are held within their field's range, as a
counter that does not fit must not make a status unanswerable.
"""

from __future__ import annotations

from collections.abc import Sequence

MAX_MESSAGE_BYTES = 4 * 1024 * 1024  # gRPC's own default for what is received, here for both ways
MAX_METADATA_MESSAGE_BYTES = 20 * 1024 * 1024  # room for a cover and 4 MiB of words
COLUMN_KEY = "musicfs-column"  # trailing metadata of an error: the character of a query, from 1, that it is about
REMEDY_KEY = "musicfs-remedy-bin"  # trailing metadata of an error: what a user can do about it


def wire_text(text: str) -> str:
    """``text`` as valid UTF-8; surrogate escapes become ``\\xNN``."""
    try:
        text.encode()
    except UnicodeEncodeError:
        data = (
            text.encode("utf-8", "surrogateescape") if _is_escaped(text) else text.encode("utf-8", "backslashreplace")
        )
        return data.decode("utf-8", "backslashreplace")
    return text


def wire_paths(paths: Sequence[str]) -> list[str]:
    """Paths as :func:`wire_text`."""
    return [wire_text(path) for path in paths]


def _is_escaped(text: str) -> bool:
    """Whether every surrogate stands for a byte; a tag may contain any."""
    return all("\udc80" <= character <= "\udcff" for character in text if "\ud800" <= character <= "\udfff")


def u32(number: int) -> int:
    """``number`` within the range of a uint32."""
    return min(max(number, 0), 0xFFFF_FFFF)


def u64(number: int) -> int:
    """``number`` within the range of a uint64."""
    return min(max(number, 0), 0xFFFF_FFFF_FFFF_FFFF)
