"""Opening the configured origins, in the same way in both processes."""

from __future__ import annotations

import glob
import os

import msgspec

from musicfs.config.settings import OriginSettings, Settings
from musicfs.origins.contract import Origin
from musicfs.origins.registry import kind_of, open_origin
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


class CatalogedOrigins:
    """Origins for reading, opened when first asked for, each anchored to what its last complete listing stood on.

    The keeper learns of new submounts while we live: an origin whose anchor has changed since is opened anew, which costs
    no I/O. Without that a disk that came later, and went, would be absence and not an outage.
    """

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings = {one.id: one for one in enabled_origins(settings)}
        self._catalog = catalog
        self._open: dict[str, tuple[bytes, Origin]] = {}

    def get(self, origin_id: str) -> Origin | None:
        """The origin, or None if the configuration has none of this id."""
        settings = self._settings.get(origin_id)
        if settings is None:
            return None
        record = self._catalog.origins().get(origin_id)
        anchor = record.identity if record is not None else b""
        found = self._open.get(origin_id)
        if found is None or found[0] != anchor:
            found = self._open[origin_id] = (anchor, open_origin(settings, anchor=anchor))
        return found[1]

    def forget(self, origin_id: str) -> None:
        """Open it anew next time: a confirmed change of what it stands on is in the catalog by then."""
        self._open.pop(origin_id, None)
