"""Paths of an origin: which texts can be one, which the user wants, their bytes, their order, how they are shown. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from musicfs.origins.selection import Selection, is_junk

NO_PATH = "a name that no path can have"


def encode_path(path: str) -> bytes:
    """An origin path in the filesystem's bytes, whatever the locale says."""
    return path.encode("utf-8", "surrogateescape")


def printable(path: str) -> str:
    """``path`` with bytes that are not UTF-8 as escapes, fit for messages and logs."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def reject_name(name: str) -> str:
    """Why no component of a path can be called ``name``; empty when it can."""
    return NO_PATH if name in {"", ".", ".."} or "\0" in name or "/" in name else ""


def is_path(path: str) -> bool:
    """Whether a file can be served under ``path``: relative, nothing in it that leads elsewhere, and it has bytes."""
    try:
        encode_path(path)
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return False
    return not any(map(reject_name, path.split("/")))


def is_at_or_below(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` or lies in it; everything lies in the root."""
    return not folder or path == folder or path.startswith(folder + "/")


def walk_order(path: str) -> bytes:
    """Sorts as a listing does: component by component, by their bytes. No name holds a NUL."""
    return encode_path(path).replace(b"/", b"\0")


def shows_file(selection: Selection, path: str) -> bool:
    """Whether a listing of the folder around ``path`` would show a file there."""
    return not is_junk(path.rpartition("/")[2]) and selection.serves_file(path)


def shows_folder(selection: Selection, folder: str) -> bool:
    """Whether a listing of the folder around it would go into ``folder``."""
    return not is_junk(folder.rpartition("/")[2]) and selection.enters_folder(folder)


def is_entered(selection: Selection, folder: str) -> bool:
    """Whether a listing from the root would come to ``folder``, which is no junk and not below any."""
    return all(shows_folder(selection, each) for each in _with_all_above(folder))


def is_served(selection: Selection, path: str) -> bool:
    """Whether a listing from the root would show a file at ``path``."""
    return shows_file(selection, path) and is_entered(selection, path.rpartition("/")[0])


def _with_all_above(folder: str) -> Iterator[str]:
    """``folder`` and every folder on the way to it, but the root."""
    for at, char in enumerate(folder):
        if char == "/":
            yield folder[:at]
    if folder:
        yield folder
