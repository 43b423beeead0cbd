"""What this room asks of the origins that are configured: opened elsewhere, used here."""

from __future__ import annotations

from typing import Protocol

import msgspec

from musicfs.origins.contract import Origin


class Access(msgspec.Struct, frozen=True):
    """How an origin's files are read."""

    direct: bool  # by a descriptor of this machine
    keep: bool  # their content goes to the store
    stable_version: bool  # equal versions prove equal bytes


class ReadableOrigins(Protocol):
    """Where open origins come from. Safe from many threads."""

    def get(self, origin_id: str) -> Origin | None:
        """The origin, or None if there is none of this id."""
        ...

    def forget(self, origin_id: str) -> None:
        """It could not be reached: open it anew next time."""
        ...

    def access(self, origin_id: str) -> Access | None:
        """How its files are read; None if there is none of this id. No I/O: opening may wait for its first use."""
        ...
