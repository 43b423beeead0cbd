"""What a name in an origin says by itself: audio or not, one disc of several or not."""

from __future__ import annotations

import re

from musicfs.formats import AUDIO_SUFFIXES

_DISC_FOLDER = re.compile(rb"(?:cd|dis[ck]|dvd|vinyl|lp|side)[ ._-]*(?:\d{1,3}|[a-h])(?:\D.*)?", re.IGNORECASE)
_SUFFIXES = frozenset(suffix.lstrip(".").encode() for suffix in AUDIO_SUFFIXES)


def is_audio_name(name: bytes) -> bool:
    """True if a file of this name is opened to look for tags; every other file is a sidecar and never opened."""
    return name.rpartition(b".")[2].lower() in _SUFFIXES


def is_disc_folder(path: bytes) -> bool:
    """True if a folder's name says that it is one disc of the album in its parent (``CD1``, ``Disc 2 - Live``)."""
    return _DISC_FOLDER.fullmatch(path.rpartition(b"/")[2]) is not None


def album_folder(path: bytes) -> bytes:
    """The folder whose discs appear together: the parent of a disc folder, and of one right below that (its scans)."""
    for folder in (path, parent_of(path)):
        if is_disc_folder(folder):
            return parent_of(folder)
    return path


def parent_of(path: bytes) -> bytes:
    """The folder that holds ``path``; the root's is the root."""
    return path.rpartition(b"/")[0]
