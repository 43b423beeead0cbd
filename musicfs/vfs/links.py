"""Symbolic links into the tree: how they are called, and where they lead.

Links of a list (what a search has found, what is in a collection) are numbered, so that the order of names is that of the
list: ``001. Artist - Title.flac`` in a search, ``001. Title.flac`` in a collection. No two of a list have one name.
"""

from __future__ import annotations

import re

from musicfs.vfs.names import clean, fit

_LEAST_DIGITS = 3
_NUMBERED = re.compile(rb"(\d{3,9})\. ")


def number_width(count: int) -> int:
    """How many digits the numbers of a list of ``count`` links have."""
    return max(_LEAST_DIGITS, len(str(count)))


def link_name(position: int, width: int, stem: str, suffix: str, policy: str) -> bytes:
    """The name of the link at ``position`` (from 1) of a list whose numbers have ``width`` digits.

    ``suffix`` is that of the file, with its dot or empty, and is kept; of a long ``stem`` as much as there is room for.
    ``policy`` is the names' (see :func:`~musicfs.vfs.names.clean`).
    """
    return fit(clean(f"{position:0{width}d}. {stem}", policy), clean(f"_{suffix}", policy)[1:])


def link_position(name: bytes) -> int:
    """The ``position`` that :func:`link_name` was given; 0 for what it cannot have made."""
    found = _NUMBERED.match(name)
    return int(found[1]) if found is not None else 0


def relative_target(depth: int, path: bytes) -> bytes:
    """What a link says that leads to a virtual path, and lies ``depth`` folders below the root of the mount."""
    return b"../" * depth + path.lstrip(b"/")
