"""The settings as frozen structs: what the file may say, its types, ranges and defaults.

``load`` turns TOML, environment and flags into a :class:`Settings`; everything else in the house receives the few
values it needs from here, never this whole tree.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

DEFAULT_TEMPLATE = "$albumartist/$album< ($year)> [$format_upper]/<$disc->$track - $title.$format"

Percent = Annotated[int, msgspec.Meta(ge=1, le=100)]
PositiveInt = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=31_536_000)]  # at most a year: waits must not overflow
NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]
NamePolicy = Literal["posix", "windows"]
LogLevel = Literal["trace", "debug", "info", "warning", "error"]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file: keyword-only, frozen, and a key it does not know is an error."""


class OriginSettings(_Section, frozen=True, kw_only=True):
    """One ``[[origins]]`` table."""

    id: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z",
            description="1 to 64 letters, digits, dots, dashes, underscores",
        ),
    ]
    origin_type: Literal["local"] = "local"
    path: NonEmpty
    priority: int = 100  # lower is preferred
    enabled: bool = True
    scan_interval_s: Seconds = 3600.0  # full listing this often, beside what is watched; 0: only at start
    watch: bool = True
    watch_limit: Annotated[int, msgspec.Meta(ge=0)] = 100_000  # folders watched by inotify; the rest is polled
    poll_interval_s: Annotated[float, msgspec.Meta(ge=0.1, le=31_536_000)] = 60.0  # for folders that cannot be watched
    include: tuple[str, ...] = ()  # globs over origin paths; empty: everything
    exclude: tuple[str, ...] = ()


class TreeSettings(_Section, frozen=True, kw_only=True):
    """``[tree]``: the default view at the root, and what all views share."""

    template: str = DEFAULT_TEMPLATE
    names: NamePolicy = "posix"
    folders: bool = False  # the origin's own layout instead of the template
    sidecars: bool = True
    covers: bool = True
    m3u8: bool = False


class ViewSettings(_Section, frozen=True, kw_only=True):
    """One ``[[views]]`` table: a named folder with a tree of its own. With any view, the root holds only views."""

    name: NonEmpty
    template: str = DEFAULT_TEMPLATE
    folders: bool = False


class MountSettings(_Section, frozen=True, kw_only=True):
    """``[mount]``: how the mount presents itself."""

    allow_other: bool = False
    uid: Annotated[int, msgspec.Meta(ge=-1)] = -1  # -1: the mounting user
    gid: Annotated[int, msgspec.Meta(ge=-1)] = -1
    umask: Annotated[int, msgspec.Meta(ge=0, le=0o777)] = 0o022
    xattrs: bool = True  # false: `ls -l` and walks that ask for ACLs cost no request a file
    drain_timeout_s: Seconds = 30.0
    workers: Annotated[int, msgspec.Meta(ge=1, le=256)] = 16


class ScanSettings(_Section, frozen=True, kw_only=True):
    """``[scan]``: how the library is read."""

    workers: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0  # 0: one per CPU
    debounce_s: Annotated[float, msgspec.Meta(ge=0.01, le=60)] = 0.3
    mass_delete_guard: Percent = 20  # hold the removal when more than this share of an origin vanishes at once


class CacheSettings(_Section, frozen=True, kw_only=True):
    """``[cache]``: how much is kept in memory and on disk."""

    metadata_cache_mb: PositiveInt = 100


class LoggingSettings(_Section, frozen=True, kw_only=True):
    """``[logging]``."""

    level: LogLevel = "info"
    log_dir: str = ""  # of a mount in the background; empty: state_dir/log


class Settings(_Section, frozen=True, kw_only=True):
    """The whole file. Paths are absolute and expanded once loaded."""

    mount_point: str = ""
    cache_dir: str = "~/.cache/musicfs"
    state_dir: str = "~/.local/share/musicfs"
    # Names the control socket, the log file and so on; where the file does not set it, it is the file's stem.
    instance: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\Z", description="1 to 64 letters, digits, dots, dashes, @"
        ),
    ] = "musicfs"
    origins: tuple[OriginSettings, ...] = ()
    views: tuple[ViewSettings, ...] = ()
    tree: TreeSettings = msgspec.field(default_factory=TreeSettings)
    mount: MountSettings = msgspec.field(default_factory=MountSettings)
    scan: ScanSettings = msgspec.field(default_factory=ScanSettings)
    cache: CacheSettings = msgspec.field(default_factory=CacheSettings)
    logging: LoggingSettings = msgspec.field(default_factory=LoggingSettings)
