"""What the tree is derived by, as the configuration says, and the tree being made to follow a configuration that changed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from musicfs.clock import Clock
from musicfs.config.settings import Settings
from musicfs.daemon.covers import Covers
from musicfs.daemon.health import HealthMonitor
from musicfs.daemon.opening import enabled_origins
from musicfs.daemon.scanning import OriginState
from musicfs.library.publish import Publisher
from musicfs.model import Health
from musicfs.store.catalog import Catalog
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs.generation import is_current, rebuild
from musicfs.vfs.items import UNHEALTHY_PENALTY
from musicfs.vfs.tree import TreeBuilder, TreeOptions
from musicfs.vfs.views import build_views

log = logging.getLogger(__name__)

_REMOVE_FILES = 2000


def tree_builder(settings: Settings, covers: Covers, clock: Clock, *, fresh: bool) -> TreeBuilder:
    """What derives the tree; ``fresh`` as :class:`~musicfs.vfs.directories.Directories` has it."""
    tree = settings.tree
    options = TreeOptions(
        sidecars=tree.sidecars,
        covers=tree.covers,
        playlists=tree.m3u8,
        ignore_case=tree.names == "windows",
        versions=tree.versions,
        prefer_quality=tree.prefer == "quality",
    )
    return TreeBuilder(build_views(tree, settings.views), options, clock, covers.make, fresh=fresh)


def forget_unconfigured(settings: Settings, catalog: Catalog, publisher: Publisher) -> None:
    """Take origins out of the tree that the configuration no longer has."""
    configured = {one.id for one in enabled_origins(settings)}
    for origin_id, record in catalog.origins().items():
        if origin_id in configured:
            continue
        log.info("origin %s is no longer configured: its %d files leave the tree", origin_id, record.files)
        for folder_id, _ in catalog.folders_under(record.number, b""):
            objects = [object_id for object_id, _ in catalog.files_of(folder_id).values()]
            for first in range(0, max(len(objects), 1), _REMOVE_FILES):
                publisher.withdraw(objects[first : first + _REMOVE_FILES], (folder_id,))
        with WriteTransaction(catalog) as tx:
            tx.remove_origin(origin_id)


def bring_up_to_date(
    settings: Settings,
    catalog: Catalog,
    builder: TreeBuilder,
    covers: Covers,
    clock: Clock,
    priorities: Mapping[int, int],
) -> bool:
    """Derive the tree anew if templates, views or rules changed; True if another one is served since."""
    if is_current(catalog, builder):
        return False
    if catalog.totals().files:
        log.info("templates or views changed: deriving the tree anew")
        rebuild(catalog, tree_builder(settings, covers, clock, fresh=True), priorities, covers)
        return True
    with WriteTransaction(catalog) as tx:
        tx.set_fingerprint(builder.fingerprint())
    return False


def priorities_of(states: Sequence[OriginState], monitor: HealthMonitor) -> dict[int, int]:
    """The priority of each origin by its number; one that is unhealthy serves only what no other has."""
    return {
        state.number: state.settings.priority
        + (UNHEALTHY_PENALTY if monitor.verdict(state.id).health is Health.UNHEALTHY else 0)
        for state in states
    }
