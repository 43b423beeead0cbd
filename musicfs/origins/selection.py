"""Which names of an origin are served: a table of junk, and the user's include and exclude globs.

Globs are matched against whole origin paths, case-sensitively:

======== ==============================================================================================
``*``    any characters but ``/``
``**``   as a component: any number of folders, none too
``?``    one character but ``/``
``[ab]`` one of these; ``[!ab]`` none of these; ranges as ``[a-z]``
======== ==============================================================================================

A pattern without ``/`` matches a name at any depth (``*.iso``); any other starts at the root (``Podcasts/**``), with or
without a leading slash. A pattern that matches a folder covers everything below it; a trailing slash restricts it to
folders. A path is served if no exclude matches, and an include does or there is none. No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from musicfs.errors import ConfigError

# Names that file managers, operating systems and NAS firmware leave behind; never music, often many.
JUNK_NAMES = frozenset(
    {
        ".DS_Store", ".AppleDouble", ".Spotlight-V100", ".Trashes", ".fseventsd", ".TemporaryItems",  # macOS
        "Thumbs.db", "desktop.ini", "Desktop.ini", "$RECYCLE.BIN", "System Volume Information",  # Windows
        "@eaDir", "#recycle", "@Recycle", "#snapshot", ".@__thumb",  # Synology, QNAP
        ".git", "lost+found", ".snapshots",
    }
)  # fmt: skip
# AppleDouble resource forks; trash folders of freedesktop.org at the top of a volume; files still being written by
# rsync-like tools have no fixed prefix and are seen as what they become.
JUNK_PREFIXES = ("._", ".Trash-", ".nfs0", ".fuse_hidden")


def is_junk(name: str) -> bool:
    """Whether ``name`` is in the table of junk, whatever kind of file it is."""
    return name in JUNK_NAMES or name.startswith(JUNK_PREFIXES)


class Selection:
    """The user's globs, compiled once."""

    __slots__ = ("_exclude", "_exclude_files", "_include", "everything")

    def __init__(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> None:
        """Raises ConfigError for a pattern that can match nothing (empty, or with ``..``)."""
        include, exclude = tuple(include), tuple(exclude)
        self._include = _compile(include, files=True)
        self._exclude_files = _compile(exclude, files=True)
        self._exclude = _compile(exclude, files=False)
        self.everything = not include and not exclude

    def serves_file(self, path: str) -> bool:
        """Whether the globs let the file at ``path`` through; junk is another matter."""
        if self._exclude_files is not None and self._exclude_files.fullmatch(path):
            return False
        return self._include is None or self._include.fullmatch(path) is not None

    def enters_folder(self, path: str) -> bool:
        """Whether anything below the folder at ``path`` may be served."""
        return self._exclude is None or self._exclude.fullmatch(path) is None


def _compile(patterns: tuple[str, ...], *, files: bool) -> re.Pattern[str] | None:
    if not patterns:
        return None
    return re.compile("|".join(_translate(pattern, files=files) for pattern in patterns), re.DOTALL)


def _translate(pattern: str, *, files: bool) -> str:
    """A regular expression for ``pattern`` and all below it, to match a file's path or a folder's."""
    folders_only = pattern.endswith("/")
    components = pattern.strip("/").split("/")
    if "" in components or ".." in components or "." in components:
        raise ConfigError(f"the glob {pattern!r} can match no path", remedy="write it like Podcasts/** or *.iso")
    anywhere = len(components) == 1 and not pattern.startswith("/")
    parts = ["(?:[^/]+/)*"] if anywhere else []
    for component in components[:-1]:
        parts.append("(?:[^/]+/)*" if component == "**" else _translate_component(component) + "/")
    last = components[-1]
    parts.append(".+" if last == "**" else _translate_component(last))
    parts.append("/.+" if folders_only and files else "(?:/.+)?")
    return "".join(parts)


def _translate_component(component: str) -> str:
    parts: list[str] = []
    at = 0
    while at < len(component):
        char = component[at]
        at += 1
        if char == "*":
            parts.append("[^/]*")
        elif char == "?":
            parts.append("[^/]")
        elif char == "[" and (stop := component.find("]", at + 2 if component[at : at + 1] == "!" else at + 1)) != -1:
            parts.append(_translate_set(component[at:stop]))
            at = stop + 1
        else:
            parts.append(re.escape(char))
    return "".join(parts)


def _translate_set(body: str) -> str:
    negated = body.startswith("!")
    text = re.sub(r"([\\\[\]^&~|])", r"\\\1", body[1:] if negated else body)
    try:
        re.compile(f"[{text}]")
    except re.error:  # a range that runs backwards, like [z-a]
        return "(?!)" if not negated else "[^/]"
    return f"[^/{text}]" if negated else f"[{text}]"
