"""Opening the configured origins, in the same way in both processes."""

from __future__ import annotations

import glob
import os
import threading

import msgspec

from musicfs.config.settings import OriginSettings, Settings
from musicfs.content.origins import Access
from musicfs.origins.contract import LocalPaths, Origin
from musicfs.origins.registry import KINDS, kind_of, open_origin
from musicfs.origins.wrappers.trace import OperationCount, Tally
from musicfs.origins.wrappers.wrapper import Operation
from musicfs.store.catalog import Catalog


def enabled_origins(settings: Settings) -> list[OriginSettings]:
    """The origins in use, best priority first. Where our own folders lie inside one, it does not show them."""
    own = [os.path.realpath(folder) for folder in (settings.cache_dir, settings.state_dir) if folder]
    enabled = sorted((one for one in settings.origins if one.enabled), key=lambda one: one.priority)
    return [_without(one, own) for one in enabled]


def _without(origin: OriginSettings, folders: list[str]) -> OriginSettings:
    if not origin.folder:
        return origin
    # A share that hangs must not be asked where its links lead.
    resolve = os.path.realpath if kind_of(origin) == "local" else os.path.normpath
    root = resolve(origin.folder).rstrip("/") + "/"
    inside = tuple(f"/{glob.escape(folder[len(root) :])}/" for folder in folders if folder.startswith(root))
    return msgspec.structs.replace(origin, exclude=origin.exclude + inside) if inside else origin


def access_of(settings: OriginSettings) -> Access:
    """How an origin's files are read: in place from a disk of this machine, else kept as they come."""
    kind = kind_of(settings)
    is_local = kind == "local"
    keep = settings.cache == "on" or (settings.cache == "auto" and not is_local)
    return Access(direct=is_local and not keep, keep=keep, stable_version=KINDS[kind].stable_version)


class Tallies:
    """What this process has asked of every origin, however often it was opened. Safe from any thread."""

    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}

    def of(self, origin_id: str) -> Tally:
        """Where an origin leaves its counts."""
        return self._tallies.setdefault(origin_id, Tally())

    def snapshot(self) -> dict[str, dict[Operation, OperationCount]]:
        """The counts as they are now, by the ids of the origins that were opened."""
        return {origin_id: dict(tally.snapshot()) for origin_id, tally in tuple(self._tallies.items())}


class CatalogedOrigins:
    """Origins for reading, opened when first asked for, each anchored to what its last complete listing stood on.

    The keeper learns of new submounts while we live: an origin whose anchor has changed since is opened anew, which costs
    no I/O. Without that a disk that came later, and went, would be absence and not an outage. Safe from many threads.
    """

    def __init__(self, settings: Settings, catalog: Catalog, tallies: Tallies) -> None:
        self._settings = {one.id: one for one in enabled_origins(settings)}
        self._access = {one.id: access_of(one) for one in self._settings.values()}
        self._catalog = catalog
        self._tallies = tallies
        self._lock = threading.Lock()
        self._open: dict[str, tuple[bytes, Origin]] = {}

    def access(self, origin_id: str) -> Access | None:
        """How the origin's files are read; None if the configuration has none of this id."""
        return self._access.get(origin_id)

    @property
    def remote(self) -> tuple[str, ...]:
        """The origins that are not read in place."""
        return tuple(origin_id for origin_id, access in self._access.items() if not access.direct)

    def get(self, origin_id: str) -> Origin | None:
        """The origin, or None if the configuration has none of this id."""
        settings = self._settings.get(origin_id)
        if settings is None:
            return None
        record = self._catalog.origins().get(origin_id)
        anchor = record.identity if record is not None else b""
        found = self._open.get(origin_id)
        if found is not None and found[0] == anchor:
            return found[1]
        with self._lock:
            found = self._open.get(origin_id)
            if found is not None and found[0] == anchor:
                return found[1]
            opened = open_origin(settings, anchor=anchor, tally=self._tallies.of(origin_id))
            self._open[origin_id] = (anchor, opened)
        if found is not None:
            found[1].close()
        return opened

    def opened(self, origin_id: str) -> Origin | None:
        """The origin if it is open."""
        found = self._open.get(origin_id)
        return None if found is None else found[1]

    def forget(self, origin_id: str) -> None:
        """Open it anew next time if what it stands on may be another by then: a confirmed change is in the catalog."""
        found = self._open.get(origin_id)
        if found is not None and isinstance(found[1], LocalPaths):
            self._open.pop(origin_id, None)

    def close(self) -> None:
        """Close what is open."""
        for _, origin in self._open.values():
            origin.close()
        self._open.clear()
