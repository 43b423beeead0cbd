"""What a backend can do about itself as a service: follow another configuration, hand out a backup of what the user made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec

from musicfs.errors import Problem


class ReloadOutcome(msgspec.Struct, frozen=True):
    """What a reload did, for people: one line each. ``file`` is empty where there is none."""

    file: str
    applied: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()
    warnings: tuple[Problem, ...] = ()  # what applies, but perhaps not as wished


class ServiceBackend(Protocol):
    """Part of :class:`musicfs.api.backend.Backend`."""

    def reload_config(self) -> ReloadOutcome:
        """Read the configuration again and apply what can be. ConfigError with every problem: then nothing has changed."""
        ...

    def backup(self) -> Iterator[bytes]:
        """A tar of the user's state as it is now, in pieces of 256 KiB at most. Raises StoreError, also in the middle."""
        ...
