"""The level of each module: ``"musicfs.origins=debug,info"`` as logging's loggers have it."""

from __future__ import annotations

import logging

import msgspec

from musicfs.model import TRACE_LEVEL

_LEVELS = {
    "trace": TRACE_LEVEL, "debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR,
}  # fmt: skip
_OURS = "musicfs"


class LevelFilter(msgspec.Struct, frozen=True):
    """From which level on records are wanted: ``default`` of MusicFS, and otherwise of each module (or package) named."""

    default: int
    modules: tuple[tuple[str, int], ...] = ()


def parse_filter(text: str) -> LevelFilter:
    """What a ``logging.level`` says; the last word about a module counts. The settings have checked its form."""
    default, modules = logging.INFO, {}
    for part in text.split(","):
        name, separator, level = part.rpartition("=")
        if separator:
            modules[name] = _LEVELS[level]
        else:
            default = _LEVELS[level]
    return LevelFilter(default, tuple(sorted(modules.items())))


class Levels:
    """The levels that are set now, so that others can take their place."""

    def __init__(self) -> None:
        self._named: tuple[str, ...] = ()

    def apply(self, wanted: LevelFilter) -> None:
        """Set them. Other packages log warnings unless named: what they say of their connections may be too much."""
        logging.addLevelName(TRACE_LEVEL, "TRACE")
        for name in self._named:
            logging.getLogger(name).setLevel(logging.NOTSET)
        self._named = tuple(name for name, _ in wanted.modules)
        logging.getLogger().setLevel(logging.WARNING)
        logging.getLogger(_OURS).setLevel(wanted.default)
        for name, level in wanted.modules:
            logging.getLogger(name).setLevel(level)
