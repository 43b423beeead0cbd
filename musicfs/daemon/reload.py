"""What another configuration means to a running MusicFS: what can be applied, by whom, and what needs a restart.

Every setting is classified here. The mount process applies what is its own while it serves; for the rest the keeper is ended
and started with the new settings, which takes less than a second and which nobody who plays or browses notices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Flag, auto

import msgspec

from musicfs.config.settings import OriginSettings, Settings
from musicfs.daemon.reading import content_limit_bytes, workers_of
from musicfs.store.chunks_tables import map_size_bytes

_LIMIT = ("cache", "content_cache_gb")


class Takes(Flag):
    """Who has to do something for a setting to apply."""

    LOG = auto()  # the log of both processes
    MOUNT = auto()  # the mount process, while it serves
    READING = auto()  # the same, and files are opened in another way from then on
    KEEPER = auto()  # a new keeper
    RESTART = auto()  # both processes anew: the kernel, or what others hold, knows the old value


# Of a whole table, unless one of its keys has a line of its own. Lists of tables count as one key.
TAKES: Mapping[tuple[str, ...], Takes] = {
    ("mount_point",): Takes.RESTART,
    ("cache_dir",): Takes.RESTART,
    ("state_dir",): Takes.RESTART,
    ("instance",): Takes.RESTART,
    ("origins",): Takes.READING | Takes.KEEPER,
    ("views",): Takes.KEEPER,
    ("tree",): Takes.KEEPER,
    ("tree", "names"): Takes.RESTART,  # names of search folders are made by the mount, and the kernel knows them
    ("tree", "show_hidden"): Takes.MOUNT,
    ("collections",): Takes.KEEPER,
    ("collections", "plays"): Takes.MOUNT | Takes.KEEPER,
    ("mount",): Takes.RESTART,
    ("mount", "drain_timeout_s"): Takes.MOUNT,
    ("scan",): Takes.KEEPER,
    ("cache",): Takes.KEEPER,
    ("cache", "metadata_cache_mb"): Takes.MOUNT | Takes.KEEPER,
    _LIMIT: Takes.READING | Takes.KEEPER,  # within the map of a store that is open
    ("cache", "read_timeout_s"): Takes.READING | Takes.KEEPER,
    ("health",): Takes.KEEPER,
    ("health", "failover"): Takes.READING | Takes.KEEPER,
    ("prefetch",): Takes.MOUNT,
    ("trash",): Takes.KEEPER,
    ("grpc",): Takes.KEEPER,
    ("metrics",): Takes.KEEPER,
    ("webhooks",): Takes.KEEPER,
    ("logging",): Takes.LOG,
    ("logging", "trace_sample_rate"): Takes.MOUNT,
}


class ReloadPlan(msgspec.Struct, frozen=True):
    """What is to be done. ``settings`` are the new ones, with the old values of what needs a restart."""

    settings: Settings
    takes: Takes
    applied: tuple[str, ...]  # for people: "tree.template", "origin nas: added"
    needs_restart: tuple[str, ...]


def takes_of(path: tuple[str, ...]) -> Takes:
    """What a change of this setting takes. KeyError for one that is not classified."""
    found = TAKES.get(path)
    return found if found is not None else TAKES[path[:1]]


def plan_reload(old: Settings, new: Settings, *, store_limit_bytes: int = 0) -> ReloadPlan:
    """How to get from ``old`` to ``new``. Pure, but that it asks where folders really are.

    ``store_limit_bytes`` is the limit for which the content store was opened, 0 if there is none yet.
    """
    effective, takes = new, Takes(0)
    applied: list[str] = []
    restart: list[str] = []
    for path in changed(old, new):
        needed = takes_of(path)
        if needed & Takes.RESTART:
            effective = _with(effective, path, _value(old, path))
            restart.append(".".join(path))
        else:
            takes |= needed
            applied += _said(old, new, path)
    limit_bytes = content_limit_bytes(effective)
    if store_limit_bytes and limit_bytes and map_size_bytes(limit_bytes) != map_size_bytes(store_limit_bytes):
        # Its file is mapped in both processes, for good and by the limit: what was opened decides.
        effective = _with(effective, _LIMIT, store_limit_bytes / (1 << 30))
        restart.append(".".join(_LIMIT))
        applied = [one for one in applied if one != ".".join(_LIMIT)]
    if takes & Takes.READING and not new.mount.workers and workers_of(effective) != workers_of(old):
        restart.append("mount.workers (as many as suit these origins)")
    return ReloadPlan(effective, takes, tuple(applied), tuple(restart))


def changed(old: msgspec.Struct, new: msgspec.Struct, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The settings that differ; a list of tables is one of them."""
    for name in old.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        if isinstance(before, msgspec.Struct):
            yield from changed(before, after, (*path, name))
        elif before != after:
            yield (*path, name)


def _value(settings: msgspec.Struct, path: tuple[str, ...]) -> object:
    for name in path:
        settings = getattr(settings, name)
    return settings


def _with(settings: Settings, path: tuple[str, ...], value: object) -> Settings:
    if len(path) == 1:
        return msgspec.structs.replace(settings, **{path[0]: value})
    table = msgspec.structs.replace(getattr(settings, path[0]), **{path[1]: value})
    return msgspec.structs.replace(settings, **{path[0]: table})


def _said(old: Settings, new: Settings, path: tuple[str, ...]) -> list[str]:
    if path != ("origins",):
        return [".".join(path)]
    before = {one.id: one for one in old.origins}
    after = {one.id: one for one in new.origins}
    return [
        *(f"origin {name}: added" for name in after if name not in before),
        *(f"origin {name}: removed" for name in before if name not in after),
        *(
            f"origin {name}: {', '.join(_differences(before[name], after[name]))}"
            for name in after
            if name in before and before[name] != after[name]
        ),
    ] or ["origins: their order"]


def _differences(old: OriginSettings, new: OriginSettings) -> list[str]:
    return [".".join(path) for path in changed(old, new)]
