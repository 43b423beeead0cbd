"""Turning text from tags into names a filesystem can hold.

A name is at most 255 bytes of UTF-8 (Linux NAME_MAX), Unicode NFC, without ``/`` and NUL, never ``.`` or ``..`` and never
hidden. The ``windows`` policy adds what Windows and SMB clients refuse. Bytes of origin names that are not UTF-8 pass
through as surrogate escapes and come out as the same bytes.
"""

from __future__ import annotations

import re
import unicodedata

MAX_NAME_BYTES = 255
COLLECTIONS_NAME = b".collections"  # at the root, where the configuration hides them there
TRASH_NAME = b".trash"  # at the root
HIDDEN_NAMES = frozenset((COLLECTIONS_NAME, TRASH_NAME))
VERSIONS_NAME = b".versions"  # no file or folder of an origin has this name: those are never hidden

_POSIX_FORBIDDEN = str.maketrans({"/": "_", "\0": "_"})
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file: reserved characters, control characters, device names.
_WINDOWS_FORBIDDEN = str.maketrans(dict.fromkeys('/\x00\\:*?"<>|', "_") | {chr(c): "_" for c in range(1, 32)})
_WINDOWS_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"]
)
_MAX_NUMBER_BYTES = 10
_NUMBERED = re.compile(r" \((\d+)\)$")


def clean(text: str, policy: str) -> str:
    """One path component from any text: never empty, never hidden, never an escape. Length is not limited here."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if policy == "windows":
        text = text.translate(_WINDOWS_FORBIDDEN).rstrip(" .")
        if text.partition(".")[0].rstrip(" ").lower() in _WINDOWS_DEVICES:
            text = "_" + text
    elif "/" in text or "\0" in text:
        text = text.translate(_POSIX_FORBIDDEN)
    if text.startswith("."):
        text = "_" + text[1:]
    return text or "_"


def encode(text: str) -> bytes:
    """The filesystem's bytes for a name: UTF-8, with surrogate escapes undone and other lone surrogates replaced."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def fit(stem: str, suffix: str = "") -> bytes:
    """``stem + suffix`` in at most 255 bytes; the stem is cut at a character, the suffix kept."""
    tail = encode(suffix)
    raw = encode(stem)
    room = MAX_NAME_BYTES - len(tail)
    if len(raw) <= room:
        return raw + tail
    if room < 1:
        return (raw + tail)[:MAX_NAME_BYTES]
    cut = room
    while cut > room - 3 and (raw[cut] & 0xC0) == 0x80:  # do not cut inside a UTF-8 sequence
        cut -= 1
    return (raw[:cut].rstrip(b" .") or b"_") + tail


def split_suffix(name: str) -> tuple[str, str]:
    """(stem, suffix with its dot) of a file name; no suffix when there is none worth keeping."""
    stem, dot, suffix = name.rpartition(".")
    if not stem or not suffix or len(suffix) > 8 or " " in suffix:
        return name, ""
    return stem, dot + suffix


def numbered(stem: str, suffix: str, number: int) -> bytes:
    """The name for the ``number``-th holder of one path: number 1 is plain, the second gets `` (2)``."""
    return fit(stem, suffix) if number == 1 else fit(stem, f" ({number}){suffix}")


def variant_number(name: bytes, stem: str, suffix: str) -> int:
    """The number for which :func:`numbered` makes ``name`` of this stem and suffix; 0 if it does for none."""
    if name == fit(stem, suffix):
        return 1
    tail = encode(suffix)
    if not name.endswith(tail):
        return 0
    found = _NUMBERED.search(name[: len(name) - len(tail)].decode("utf-8", "surrogateescape"))
    if found is None or int(found[1]) < 2 or name != numbered(stem, suffix, int(found[1])):
        return 0
    return int(found[1])


def is_variant(name: bytes, stem: str, suffix: str) -> bool:
    """True if ``name`` is what :func:`numbered` makes of this stem and suffix for some number."""
    return variant_number(name, stem, suffix) > 0


def numbered_prefix(stem: str, suffix: str) -> bytes:
    """How every numbered name of this stem and suffix begins, whatever the number cuts off a long stem."""
    raw = encode(stem) + b" ("
    room = MAX_NAME_BYTES - len(encode(suffix)) - _MAX_NUMBER_BYTES
    # A cut takes up to three bytes more, so as not to part a character, and then blanks and dots.
    return raw if len(raw) <= room else raw[: max(0, room - 3)].rstrip(b" .")


def fold(name: bytes) -> bytes:
    """The form under which two names are one on a filesystem that ignores case."""
    return encode(name.decode("utf-8", "surrogateescape").casefold())
