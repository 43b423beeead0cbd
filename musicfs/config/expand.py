"""Paths of a configuration made absolute: ``~``, ``$VARIABLES``, and what they are relative to.

A path in the file is relative to the file's folder; one from a variable or a flag to the working directory. Variables are
expanded everywhere but in flags, where the shell has done it. Nothing here touches a disk but the look whether a path that
names an unknown variable exists under just that name: ``/music/A$AP Rocky`` is a folder like any other.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

import msgspec

from musicfs.config.layers import Layers
from musicfs.config.settings import Settings
from musicfs.errors import Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.config.places import KeyPath

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_GRPC_FILES = ("token_file", "tls_cert", "tls_key")


class Expander:
    """Expands the paths of one configuration; ``problems`` collects what cannot be expanded."""

    def __init__(self, layers: Layers, environment: Mapping[str, str], working_folder: str | None = None) -> None:
        """``working_folder`` None: that of this process."""
        self._working_folder = working_folder
        self.problems: list[Problem] = []
        self._layers = layers
        self._environment = environment

    def settings(self, settings: Settings) -> Settings:
        """``settings`` with every path absolute; a path that is empty stays empty."""
        origins = tuple(
            msgspec.structs.replace(
                origin,
                **{
                    name: self._path(getattr(origin, name), ("origins", index, name))
                    for name in (("path",) if origin.folder else ()) + ("key_file", "known_hosts")
                },
            )
            for index, origin in enumerate(settings.origins)
        )
        logging = msgspec.structs.replace(
            settings.logging, log_dir=self._path(settings.logging.log_dir, ("logging", "log_dir"))
        )
        grpc = msgspec.structs.replace(
            settings.grpc,
            **{name: self._path(getattr(settings.grpc, name), ("grpc", name)) for name in _GRPC_FILES},
            import_folders=tuple(
                self._path(folder, ("grpc", "import_folders", index))
                for index, folder in enumerate(settings.grpc.import_folders)
            ),
        )
        return msgspec.structs.replace(
            settings,
            mount_point=self._path(settings.mount_point, ("mount_point",)),
            cache_dir=self._path(settings.cache_dir, ("cache_dir",)),
            state_dir=self._path(settings.state_dir, ("state_dir",)),
            origins=origins,
            grpc=grpc,
            logging=logging,
        )

    def _path(self, text: str, key: KeyPath) -> str:
        if not text:
            return ""
        if "\0" in text:
            self._report(key, "contains a NUL character", "no path can")
            return ""
        source = self._layers.value_source(key)
        file = self._layers.file
        base = (
            os.path.dirname(os.path.abspath(file))
            if source.kind == "file" and file
            else self._working_folder or os.getcwd()
        )
        literal = os.path.join(base, self._home(text))
        if source.kind == "flag" or "$" not in text:
            return os.path.normpath(literal)
        expanded, unknown = self._variables(text)
        if not unknown:
            return os.path.normpath(os.path.join(base, self._home(expanded)))
        if os.path.lexists(literal):
            return os.path.normpath(literal)
        self._report(key, f"names ${unknown[0]}, which is not set", "set it, or write the path in full")
        return ""

    def _home(self, text: str) -> str:
        home = self._environment.get("HOME")
        if home and (text == "~" or text.startswith("~/")):
            return home + text[1:]
        return os.path.expanduser(text)

    def _variables(self, text: str) -> tuple[str, list[str]]:
        """``text`` with variables expanded, and the names of those that are not set."""
        unknown: list[str] = []

        def value(match: re.Match[str]) -> str:
            name = match.group(1) or match.group(2)
            if name not in self._environment:
                unknown.append(name)
                return match.group()
            return self._environment[name]

        return _VARIABLE.sub(value, text), unknown

    def _report(self, key: KeyPath, message: str, suggestion: str) -> None:
        from musicfs.config.schema import dotted

        name = dotted(self._layers.written(key))
        self.problems.append(Problem(self._layers.place(key), f"{name} {message}", suggestion))
