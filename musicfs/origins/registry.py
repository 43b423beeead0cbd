"""From settings to an origin: an explicit table, whose modules are imported only when such an origin is opened."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Protocol, cast

import msgspec

from musicfs.config.mounts import is_network_filesystem
from musicfs.config.settings import OriginSettings
from musicfs.errors import ConfigError
from musicfs.origins.compose import LOCAL_MANNERS, MOUNTED_MANNERS, REMOTE_MANNERS, Manners, compose
from musicfs.origins.contract import Origin
from musicfs.origins.wrappers.trace import Tally


class Factory(Protocol):
    """What a kind's module offers: it builds the origin without touching it."""

    def __call__(self, settings: OriginSettings, *, anchor: bytes, debounce_s: float) -> Origin: ...


class Kind(msgspec.Struct, frozen=True):
    """Where one kind of origin lives, and how it is treated. ``extra`` is the dependency it needs, empty for none."""

    module: str
    factory: str
    extra: str = ""  # of the package
    hint: str = ""
    manners: Manners = LOCAL_MANNERS
    stable_version: bool = False  # as in its Caps: equal versions prove equal bytes


KINDS: Mapping[str, Kind] = {
    "local": Kind("musicfs.origins.local", "open_local_origin", hint="a folder of this machine"),
    "mounted": Kind("musicfs.origins.mounted", "open_mounted_origin", manners=MOUNTED_MANNERS),
    "nfs": Kind("musicfs.origins.nfs", "open_nfs_origin", hint="an NFS export", manners=REMOTE_MANNERS),
    "smb": Kind("musicfs.origins.smb", "open_smb_origin", "smb", "a Windows or Samba share", REMOTE_MANNERS),
    "s3": Kind("musicfs.origins.objects", "open_s3_origin", "", "a bucket of an S3 store", REMOTE_MANNERS, True),
    "sftp": Kind("musicfs.origins.sftp", "open_sftp_origin", "sftp", "a folder reached with ssh", REMOTE_MANNERS),
    "webdav": Kind("musicfs.origins.webdav", "open_webdav_origin", "", "a WebDAV folder", REMOTE_MANNERS),
}
"""Kind of origin -> where it lives. ``mounted`` is no type of its own: a folder that a network filesystem is mounted at."""


def kind_of(settings: OriginSettings) -> str:
    """The key into :data:`KINDS` for these settings. Looks at the table of mounts and at local links; never hangs."""
    if settings.folder and (settings.origin_type != "local" or is_network_filesystem(settings.folder)):
        return "mounted"
    return settings.origin_type


def open_origin(
    settings: OriginSettings,
    *,
    anchor: bytes = b"",
    debounce_s: float = 0.3,
    tally: Tally | None = None,
    kinds: Mapping[str, Kind] = KINDS,
) -> Origin:
    """The origin that ``settings`` describe, in the wrappers of its kind. No I/O on it: one that is down opens too.

    ``anchor`` is what the origin's :class:`~musicfs.origins.contract.Anchored` power returned last time; ``debounce_s`` how
    long a folder must be quiet before its change is reported; ``tally`` counts what is asked of the origin. Raises
    ConfigError for an unknown type or a missing extra.
    """
    kind = kinds.get(kind_of(settings))
    if kind is None:
        known = ", ".join(f"{name} ({kind.hint})" for name, kind in kinds.items() if kind.hint)
        raise ConfigError(
            f"origin {settings.id!r}: unknown origin_type {settings.origin_type!r}", remedy=f"use one of: {known}"
        )
    try:
        module = importlib.import_module(kind.module)
    except ModuleNotFoundError as error:
        if not kind.extra or (error.name or "").split(".")[0] == "musicfs":
            raise  # a broken installation, not a missing extra
        raise ConfigError(
            f"origin {settings.id!r}: the type {settings.origin_type!r} needs the package {error.name!r}",
            remedy=f"pip install 'musicfs[{kind.extra}]'",
        ) from error
    origin = cast("Factory", getattr(module, kind.factory))(settings, anchor=anchor, debounce_s=debounce_s)
    manners = msgspec.structs.replace(
        kind.manners,
        parallel=settings.parallel or kind.manners.parallel,
        bandwidth_limit=settings.bandwidth_limit,
    )
    return compose(origin, manners, tally=tally)
