"""The three layers of a configuration, laid over each other, and for every value the one it came from.

Keys are paths from the root, ``("tree", "names")``. A list given by a higher layer replaces the whole list of the lower.

Environment: ``MUSICFS_<KEY>`` for a top-level key, ``MUSICFS_<TABLE>__<KEY>`` for a key of a table
(``MUSICFS_CACHE_DIR``, ``MUSICFS_TREE__TEMPLATE``). ``MUSICFS_ORIGINS`` is either folders separated by ``:`` or a TOML array
of inline tables; ``MUSICFS_VIEWS`` is such an array; addresses stand between commas. An empty variable counts as unset.

Flags come as ``{"cache_dir": "/x", "mount.allow_other": True, "origins": ("/a", "/b")}``; a value of None was not given.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from musicfs.config.local_origins import origins_of_paths
from musicfs.config.settings import ENVIRONMENT_PREFIX
from musicfs.errors import Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.config.places import KeyPath

# Variables of the command line itself; they are not settings.
_NOT_SETTINGS = frozenset(
    {"MUSICFS_CONFIG", "MUSICFS_ENDPOINT", "MUSICFS_TOKEN_FILE", "MUSICFS_CA_FILE", "MUSICFS_TRACEBACK"}
)
_FLAG_NAMES = {
    "mount_point": "MOUNTPOINT",
    "origins": "--origin",
    "logging.level": "--level",
    "grpc.addresses": "--grpc-port",
}

Raw = dict[str, Any]


class Source(msgspec.Struct, frozen=True):
    """Where a value came from. ``place`` is ``FILE:LINE``, a variable or a flag; empty for a default."""

    kind: str  # default, file, env, flag
    place: str = ""


class Layers:
    """What file, environment and flags say together: ``raw`` in the shape of the file, before it is checked.

    ``problems`` and ``warnings`` are those of laying the layers together: a variable that is no setting, or not of its type.
    """

    def __init__(
        self, file: str | None, text: str, document: Raw, environment: Mapping[str, str], flags: Mapping[str, object]
    ) -> None:
        self.file = file
        self.raw = document
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._text = text
        self._lines: Mapping[KeyPath, int] | None = None
        self._overrides: dict[KeyPath, Source] = {}
        self._kept: dict[str, list[int]] = {}
        self._lay_environment(environment)
        self._lay_flags(flags)

    def source(self, path: KeyPath) -> Source:
        """Where the value at ``path`` came from; for a path that is not set, the nearest table above it that is."""
        path = self.written(path)
        # An override replaces all that the file says below its key, however deep.
        for stop in range(len(path), 0, -1):
            override = self._overrides.get(path[:stop])
            if override is not None:
                return override
        for stop in range(len(path), 0, -1):
            line = self._line(path[:stop])
            if line:
                return Source("file", f"{self.file}:{line}")
        return Source("default")

    def value_source(self, path: KeyPath) -> Source:
        """Like :meth:`source`, but a value that nobody set is a default even when its table was set."""
        value: Any = self.raw
        for part in self.written(path):
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return Source("default")
        return self.source(path)

    def place(self, path: KeyPath) -> str:
        """A place to print before a problem with ``path``."""
        return self.source(path).place or self.file or "settings"

    def keep_elements(self, name: str, indexes: list[int]) -> None:
        """From now on element ``i`` of list ``name`` means the one written at ``indexes[i]``: the others were unusable."""
        self._kept[name] = indexes

    def written(self, path: KeyPath) -> KeyPath:
        """``path`` with the index that the element has in the document."""
        for stop in range(1, len(path)):
            indexes = self._kept.get(".".join(map(str, path[:stop])))
            if indexes is not None:
                return (*path[:stop], indexes[int(path[stop])], *path[stop + 1 :])
        return path

    def _line(self, path: KeyPath) -> int:
        if self._lines is None:
            self._lines = _index(self._text)
        return self._lines.get(path, 0)

    def _lay_environment(self, environment: Mapping[str, str]) -> None:
        names = [name for name in environment if name.startswith(ENVIRONMENT_PREFIX) and environment[name]]
        names = [name for name in names if name not in _NOT_SETTINGS]
        if not names:
            return
        from musicfs.config.variables import Variables

        variables = Variables()
        for name in sorted(names):
            found = variables.parse(name, environment[name])
            if isinstance(found, Problem):
                is_unknown = variables.key(name) is None
                (self.warnings if is_unknown else self.problems).append(found)
            else:
                path, value = found
                self._set(path, value, Source("env", name))

    def _lay_flags(self, flags: Mapping[str, object]) -> None:
        for name, value in flags.items():
            if value is None or value == ():
                continue
            place = _FLAG_NAMES.get(name, "--" + name.rpartition(".")[2].replace("_", "-"))
            if name == "origins":
                value = origins_of_paths(os.fspath(path) for path in value)  # type: ignore[attr-defined]  # noqa: PLW2901 - a sequence of paths by contract
            self._set(tuple(name.split(".")), value, Source("flag", place))

    def _set(self, path: tuple[str, ...], value: object, source: Source) -> None:
        table = self.raw
        for name in path[:-1]:
            inner = table.get(name)
            if not isinstance(inner, dict):
                inner = {}
                table[name] = inner
            table = inner
        table[path[-1]] = value
        for known in [known for known in self._overrides if known[: len(path)] == path]:
            del self._overrides[known]
        self._overrides[path] = source


def _index(text: str) -> Mapping[KeyPath, int]:
    if not text:
        return {}
    from musicfs.config.places import index_lines

    try:
        return index_lines(text)
    except RecursionError:  # nesting that tomllib could just bear: problems are still reported, without their lines
        return {}
