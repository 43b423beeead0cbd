"""Reads the configuration: finds the file, lays variables and flags over it, and says everything that is wrong at once.

The way of a load that finds no problem is short, as it is part of every mount: parse, convert in one step, expand paths,
check. The modules that explain problems are imported when there are some.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

import msgspec

from musicfs.config.layers import Layers, Raw, Source
from musicfs.config.settings import Settings
from musicfs.errors import ConfigError, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.config.checks import CollectionCheck, TemplateCheck
    from musicfs.config.expand import Expander
    from musicfs.config.places import KeyPath

_SYSTEM_FILE = "/etc/musicfs/config.toml"
_USER_FILE = ".config/musicfs/config.toml"
_SYSTEM_FOLDERS = {"cache_dir": "/var/cache/musicfs", "state_dir": "/var/lib/musicfs"}
_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_INSTANCE = re.compile(r"[^A-Za-z0-9._@-]")
# A configuration is a page of text; a limit keeps a wrong --config (a film, /dev/zero) from filling the memory.
_MAX_FILE_BYTES = 4 * 1024 * 1024


class Loaded:
    """Settings together with where each value came from, and what is wrong and doubtful about them.

    Where there are ``problems``, ``settings`` holds what is right and the defaults for the rest.
    """

    def __init__(self, settings: Settings, layers: Layers, problems: list[Problem], warnings: list[Problem]) -> None:
        self.settings = settings
        self.problems = tuple(sorted(problems, key=_order))
        self.warnings = tuple(warnings)
        self._layers = layers

    @property
    def file(self) -> str | None:
        """The absolute path of the file that was read; None when there was none."""
        return self._layers.file

    def error(self) -> ConfigError:
        """All problems as one error."""
        count = len(self.problems)
        noun = "problem" if count == 1 else "problems"
        where = f" in {self.file}" if self.file else ""
        return ConfigError(
            f"{count} {noun} with the configuration{where}",
            remedy="correct them; `musicfs config check` lists them again",
            problems=self.problems,
        )

    def source(self, path: KeyPath) -> Source:
        """Where the value at ``path`` came from, for example ``("origins", 0, "path")``."""
        return self._layers.value_source(path)


def load(
    path: str | None,
    *,
    environment: Mapping[str, str],
    flags: Mapping[str, object],
    check_template: TemplateCheck | None = None,
    check_collection: CollectionCheck | None = None,
    on_disk: bool = True,
) -> Settings:
    """The effective settings; the arguments are those of :func:`read`. Raises ConfigError with every problem found."""
    loaded = read(
        path,
        environment=environment,
        flags=flags,
        check_template=check_template,
        check_collection=check_collection,
        on_disk=on_disk,
    )
    if loaded.problems:
        raise loaded.error()
    return loaded.settings


def read(
    path: str | None,
    *,
    environment: Mapping[str, str],
    flags: Mapping[str, object],
    check_template: TemplateCheck | None = None,
    check_collection: CollectionCheck | None = None,
    on_disk: bool = True,
    working_folder: str | None = None,
) -> Loaded:
    """Read the file at ``path`` (or the user's, or the system's, or none) under ``environment`` and ``flags``.

    ``flags`` maps keys such as ``mount.allow_other`` to values, None meaning not given; ``origins`` is a sequence of folders.
    With ``on_disk`` the folders are looked at too, which takes two seconds at most when a server hangs; commands that only
    need the control socket leave that out. Paths of flags and variables are relative to ``working_folder``, None for that of
    this process. Raises nothing for what is wrong with the configuration.
    """
    file = os.path.abspath(path) if path is not None else find_file(environment)
    text, document, problems = _read(file)
    layers = Layers(file, text if not problems else "", document, environment, flags)
    problems += layers.problems
    settings, more = _convert(layers)
    settings = _placed(_named(settings, layers), layers)
    problems += more
    warnings = layers.warnings
    if file is None or document or not problems:
        from musicfs.config.expand import Expander

        settings, more, doubts = _check(
            settings, layers, Expander(layers, environment, working_folder), check_template, check_collection, on_disk
        )
        problems += more
        warnings += doubts
    return Loaded(settings, layers, problems, warnings)


def find_file(environment: Mapping[str, str]) -> str | None:
    """The user's configuration file, else the system's, else None."""
    home = environment.get("HOME") or os.path.expanduser("~")
    for candidate in (os.path.join(home, _USER_FILE), _SYSTEM_FILE):
        if os.path.exists(candidate):
            return candidate
    return None


def _read(file: str | None) -> tuple[str, Raw, list[Problem]]:
    if file is None:
        return "", {}, []
    try:
        with open(file, "rb") as stream:
            data = stream.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        suggestion = "check the path" if isinstance(error, FileNotFoundError) else "check its permissions"
        return "", {}, [Problem(file, f"cannot be read: {error.strerror}", suggestion)]
    if len(data) > _MAX_FILE_BYTES:
        return "", {}, [Problem(file, "is too large for a configuration", "check the path")]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return "", {}, [Problem(f"{file}:{line}", "is not UTF-8", "save the file as UTF-8")]
    import tomllib

    try:
        return text, tomllib.loads(text), []
    except RecursionError:
        return "", {}, [Problem(file, "is nested too deeply", "")]
    except ValueError as error:
        return "", {}, [_syntax_problem(file, text, str(error))]


def _syntax_problem(file: str, text: str, message: str) -> Problem:
    match = _POSITION.search(message)
    if match is None:
        return Problem(file, f"is not TOML: {message}")
    line, column = match.groups()
    if line is None:
        line, column = str(text.count("\n") + 1), str(len(text) - text.rfind("\n"))
    return Problem(f"{file}:{line}:{column}", f"is not TOML: {message[: match.start()]}", "see https://toml.io")


def _convert(layers: Layers) -> tuple[Settings, list[Problem]]:
    try:
        return msgspec.convert(layers.raw, Settings), []
    except msgspec.ValidationError:
        from musicfs.config.diagnose import diagnose

        return diagnose(layers)


def _named(settings: Settings, layers: Layers) -> Settings:
    """The instance is called like the file, unless something sets it."""
    if layers.file is None or layers.value_source(("instance",)).kind != "default":
        return settings
    stem = os.path.splitext(os.path.basename(layers.file))[0]
    name = _INSTANCE.sub("-", stem).lstrip("._@-")[:64]
    return msgspec.structs.replace(settings, instance=name or settings.instance)


def _placed(settings: Settings, layers: Layers) -> Settings:
    """What root runs by a file of the system, as a service does, keeps its own where services do (file-hierarchy(7))."""
    if layers.file is None or os.path.dirname(layers.file) != os.path.dirname(_SYSTEM_FILE) or os.geteuid() != 0:
        return settings
    for key, folder in _SYSTEM_FOLDERS.items():
        if layers.value_source((key,)).kind == "default":
            settings = msgspec.structs.replace(settings, **{key: os.path.join(folder, settings.instance)})
    return settings


def _check(
    settings: Settings,
    layers: Layers,
    expander: Expander,
    check_template: TemplateCheck | None,
    check_collection: CollectionCheck | None,
    on_disk: bool,
) -> tuple[Settings, list[Problem], list[Problem]]:
    from musicfs.config.checks import Checks
    from musicfs.config.reach import Reach

    written, settings = settings, expander.settings(settings)
    checks = Checks(layers, settings)
    checks.names()
    checks.origin_keys(written.origins)
    checks.reporting()
    if check_template is not None:
        checks.templates(check_template)
    checks.collections(check_collection)
    checks.listeners()
    if on_disk:
        own = (settings.mount_point, settings.cache_dir, settings.state_dir)
        reach = Reach((*own, *(origin.folder for origin in settings.origins if origin.enabled)))
        checks.places(reach)
        checks.existence(reach)
    else:
        checks.places(Reach())
    return settings, expander.problems + checks.problems, checks.warnings


def _order(problem: Problem) -> tuple[str, int]:
    """By file and line, as one would correct them."""
    file, _, line = problem.place.partition(":")
    return file, int(line.partition(":")[0] or 0) if line[:1].isdigit() else 0
