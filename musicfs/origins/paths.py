"""Which texts are paths of an origin, for stores that take any text for a name. Pure."""

from __future__ import annotations

from musicfs.origins.selection import Selection, is_junk

NO_PATH = "a name that no path can have"


def reject_name(name: str) -> str:
    """Why no component of a path can be called ``name``; empty when it can."""
    return NO_PATH if name in {"", ".", ".."} or "\0" in name or "/" in name else ""


def is_path(path: str) -> bool:
    """Whether a file can be served under ``path``: relative, and nothing in it that leads elsewhere."""
    return not any(map(reject_name, path.split("/")))


def is_entered(selection: Selection, folder: str) -> bool:
    """Whether a listing from the root would come to ``folder``, which is no junk and not below any."""
    ends = [at for at, char in enumerate(folder) if char == "/"]
    above = (folder[:end] for end in (*ends, len(folder)))
    return not folder or all(not is_junk(each.rpartition("/")[2]) and selection.enters_folder(each) for each in above)


def is_served(selection: Selection, path: str) -> bool:
    """Whether a listing from the root would show a file at ``path``."""
    folder, _, name = path.rpartition("/")
    return not is_junk(name) and selection.serves_file(path) and is_entered(selection, folder)
