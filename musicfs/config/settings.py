"""The settings as frozen structs: what the file may say, its types, ranges and defaults.

``load`` turns TOML, environment and flags into a :class:`Settings`; everything else in the house receives the few
values it needs from here, never this whole tree.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

ENVIRONMENT_PREFIX = "MUSICFS_"  # of the variables that are settings
DEFAULT_TEMPLATE = "$albumartist/$album< ($year)> [$format_upper]/<$disc->$track - $title.$format"
# Of these two one that is in use, or that the machine does not have, is left out with a warning.
DEFAULT_GRPC_ADDRESSES = ("127.0.0.1:50052", "[::1]:50052")
# If it is in use, a warning says so; if another one is, an error.
DEFAULT_METRICS_ADDRESS = "127.0.0.1:50053"

Percent = Annotated[int, msgspec.Meta(ge=1, le=100)]
PositiveInt = Annotated[int, msgspec.Meta(ge=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=31_536_000)]  # at most a year: waits must not overflow
NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]
NamePolicy = Literal["posix", "windows"]
# A level for everything, and others for single modules: "musicfs.origins=debug,info".
LogFilter = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(?:[A-Za-z_][A-Za-z0-9_.]*=)?(?:trace|debug|info|warning|error)"
        r"(?:,(?:[A-Za-z_][A-Za-z0-9_.]*=)?(?:trace|debug|info|warning|error))*\Z",
        description="trace, debug, info, warning or error, and of modules MODULE=LEVEL, with commas between",
    ),
]
OriginType = Literal["local", "nfs", "smb", "s3", "sftp", "webdav"]
Switch = Literal["auto", "on", "off"]
Preference = Literal["priority", "quality"]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
# A secret is never written down here, only where it is kept.
SecretReference = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(|env:[A-Za-z_][A-Za-z0-9_]*|file:.+|keyring:[^/]+/.+)\Z",
        description="env:NAME, file:PATH or keyring:SERVICE/USER",
    ),
]

# An address with a token in it is a secret itself.
WebhookUrl = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(https?://[^\s/?#]+\S*|env:[A-Za-z_][A-Za-z0-9_]*|file:.+|keyring:[^/]+/.+)\Z",
        description="http://..., https://..., or where that is kept: env:NAME, file:PATH or keyring:SERVICE/USER",
    ),
]
# The types of events, by the names of musicfs.events.EventType.
EventName = Literal[
    "file_added", "file_removed", "file_modified", "file_accessed", "metadata_changed", "origin_connected",
    "origin_disconnected", "origin_health_changed", "sync_started", "sync_completed", "cache_eviction",
]  # fmt: skip


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
    origin_type: OriginType = "local"
    # local: the folder; nfs and smb: where the share is mounted, or with host the folder in it; sftp: the folder there.
    path: str = ""
    host: str = ""
    port: Port = 0  # 0: the protocol's own
    username: str = ""
    user: str = ""  # the same as username
    password: SecretReference = ""
    share: str = ""  # smb
    export: str = ""  # nfs, as the one below
    mount_port: Port = 0  # of the MOUNT service; 0: ask the server's port mapper
    bucket: str = ""  # s3, as the four below
    prefix: str = ""
    region: str = ""
    endpoint: str = ""
    profile: str = ""
    access_key_id: SecretReference = ""
    secret_access_key: SecretReference = ""
    url: str = ""  # webdav
    key_file: str = ""  # sftp, as the two below
    key_passphrase: SecretReference = ""
    known_hosts: str = ""
    priority: int = 100  # lower is preferred
    enabled: bool = True
    cache: Switch = "auto"  # auto: what comes over a network
    bandwidth_limit: Annotated[int, msgspec.Meta(ge=0)] = 0  # bytes per second; 0: no limit
    parallel: Annotated[int, msgspec.Meta(ge=0, le=256)] = 0  # calls at a time; 0: what suits the type
    timeout_s: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] = 10.0  # for one answer of a server
    scan_interval_s: Seconds = 3600.0  # full listing this often, beside what is watched; 0: only at start
    watch: bool = True
    watch_limit: Annotated[int, msgspec.Meta(ge=0)] = 100_000  # folders watched by inotify; the rest is polled
    poll_interval_s: Annotated[float, msgspec.Meta(ge=0.1, le=31_536_000)] = 60.0  # for folders that cannot be watched
    include: tuple[str, ...] = ()  # globs over origin paths; empty: everything
    exclude: tuple[str, ...] = ()

    @property
    def login(self) -> str:
        """The user's name on the server; empty: the server's or the system's default."""
        return self.username or self.user

    @property
    def folder(self) -> str:
        """The folder of this machine that the origin is; empty when it is reached over a protocol of its own."""
        return self.path if self.origin_type == "local" or (self.origin_type in _MOUNTABLE and not self.host) else ""

    @property
    def address(self) -> str:
        """Where the origin is, in one line and without secrets: another address is another library."""
        if self.folder:
            return self.folder
        port = f":{self.port}" if self.port else ""
        match self.origin_type:
            case "s3":
                return f"s3://{self.bucket}/{self.prefix.strip('/')}" + (
                    f" at {self.endpoint}" if self.endpoint else ""
                )
            case "webdav":
                return self.url
            case "smb":
                return f"smb://{self.host}{port}/{self.share}/{self.path.strip('/')}".rstrip("/")
            case "nfs":
                return f"nfs://{self.host}{port}/{self.export.strip('/')}/{self.path.strip('/')}".rstrip("/")
        user = f"{self.login}@" if self.login else ""
        return f"{self.origin_type}://{user}{self.host}{port}/{self.path.lstrip('/')}"


_MOUNTABLE = frozenset(("nfs", "smb"))


class TreeSettings(_Section, frozen=True, kw_only=True):
    """``[tree]``: the default view at the root, and what all views share."""

    template: str = DEFAULT_TEMPLATE
    names: NamePolicy = "posix"
    folders: bool = False  # the origin's own layout instead of the template
    sidecars: bool = True
    covers: bool = True
    m3u8: bool = False
    versions: bool = False  # what other origins have of a track, in .versions beside it
    prefer: Preference = "priority"  # which of several origins' files of one track is served
    old_names_s: Annotated[float, msgspec.Meta(ge=0)] = (
        600.0  # for how long the old names of edited files still lead to them
    )
    show_hidden: bool = False  # list the hidden folders at the root, such as .prefetch


class ViewSettings(_Section, frozen=True, kw_only=True):
    """One ``[[views]]`` table: a named folder with a tree of its own. With any view, the root holds only views."""

    name: NonEmpty
    template: str = DEFAULT_TEMPLATE
    folders: bool = False


class CustomCollection(_Section, frozen=True, kw_only=True):
    """One ``[[collections.custom]]`` table: what a folder of links holds, by a query or by a tree of rules."""

    name: NonEmpty
    query: str = ""
    rule: dict[str, Any] = {}  # as musicfs.model.Rule has it; what is wrong with one is said key by key
    sort: str = ""  # a field, descending with a - before it; empty: artist, album, disc, track
    limit: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0  # tracks at most; 0: 1000


class CollectionsSettings(_Section, frozen=True, kw_only=True):
    """``[collections]``: folders of links beside the regular ones."""

    directory: str = ""  # where they are in the mount; empty: at its root. ".collections" is not listed
    builtin: bool = True  # Recently Added, 80s Music, 90s Music
    plays: bool = True  # count what is played; false: neither noted nor told
    custom: tuple[CustomCollection, ...] = ()


class MountSettings(_Section, frozen=True, kw_only=True):
    """``[mount]``: how the mount presents itself."""

    allow_other: bool = False
    uid: Annotated[int, msgspec.Meta(ge=-1)] = -1  # -1: the mounting user
    gid: Annotated[int, msgspec.Meta(ge=-1)] = -1
    umask: Annotated[int, msgspec.Meta(ge=0, le=0o777)] = 0o022
    xattrs: bool = True  # false: `ls -l` and walks that ask for ACLs cost no request a file
    drain_timeout_s: Seconds = 30.0
    workers: Annotated[int, msgspec.Meta(ge=0, le=256)] = 0  # 0: as many as suit the origins


class ScanSettings(_Section, frozen=True, kw_only=True):
    """``[scan]``: how the library is read."""

    workers: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0  # 0: one per CPU
    debounce_s: Annotated[float, msgspec.Meta(ge=0.01, le=60)] = 0.3
    mass_delete_guard: Percent = 20  # hold the removal when more than this share of an origin vanishes at once


class CacheSettings(_Section, frozen=True, kw_only=True):
    """``[cache]``: how much is kept in memory and on disk."""

    metadata_cache_mb: PositiveInt = 100
    content_cache_gb: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] = 10.0  # 0: keep no content on disk
    edge_cache_gb: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] = (
        2.0  # of that, for first and last parts of files
    )
    read_timeout_s: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] = 30.0  # a read that waits longer fails
    # What changed files may take over from their stored old versions: FLAC whose STREAMINFO is as it was, every file whose
    # probes agree, or nothing.
    delta: Literal["auto", "probe", "off"] = "auto"
    delta_verify: bool = True  # compare what was taken over with the origin, when nothing else is fetched


class HealthThresholds(_Section, frozen=True, kw_only=True):
    """``[health.per_origin_thresholds]``: ``unhealthy_threshold`` for origins of one type; 0: no other than for all."""

    local: Count = 1  # a disk that fails does not fail by chance
    nfs: Count = 0
    smb: Count = 0
    s3: Count = 0
    sftp: Count = 0
    webdav: Count = 0


class HealthSettings(_Section, frozen=True, kw_only=True):
    """``[health]``: how origins are watched over."""

    check_interval_secs: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 30.0
    timeout_ms: Annotated[int, msgspec.Meta(ge=10, le=600_000)] = 5000
    unhealthy_threshold: PositiveInt = 3  # failed probes in a row, where the type has no number of its own
    # Who may replace a source that fails in the middle of a read: one that agrees in size, ends and probes, or only one whose
    # checksums say so.
    failover: Literal["probable", "proven"] = "probable"
    per_origin_thresholds: HealthThresholds = msgspec.field(default_factory=HealthThresholds)


class MetricsSettings(_Section, frozen=True, kw_only=True):
    """``[metrics]``: where Prometheus finds them."""

    address: str = DEFAULT_METRICS_ADDRESS  # HOST:PORT; empty: nowhere
    allow_remote: bool = False  # let other machines reach it; there is no password


class WebhookSettings(_Section, frozen=True, kw_only=True):
    """One ``[[webhooks]]`` table: who is told what happens."""

    url: WebhookUrl
    secret: SecretReference = ""  # signs what is sent; empty: it is not signed
    events: tuple[EventName, ...] = ()  # empty: all
    origins: tuple[NonEmpty, ...] = ()  # ids; empty: events of all, and those of none
    timeout_s: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 10.0  # for one delivery


class PrefetchSettings(_Section, frozen=True, kw_only=True):
    """``[prefetch]``: what is fetched before it is asked for."""

    next_track: bool = True
    next_track_at: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5  # of the current one
    push: bool = True  # into the kernel's own cache
    learn: bool = True  # what was played after what


class TrashSettings(_Section, frozen=True, kw_only=True):
    """``[trash]``: what becomes of tracks whose files are gone from every origin."""

    enabled: bool = True  # false: they are forgotten at once
    keep: Annotated[
        str,
        msgspec.Meta(pattern=r"^(|[0-9]{1,5}[smhdw])\Z", description="a number and one of s, m, h, d, w, as in 30d"),
    ] = ""  # after which they are forgotten; empty: never


class GrpcSettings(_Section, frozen=True, kw_only=True):
    """``[grpc]``: where clients reach the daemon beside its socket, and what they may have done."""

    addresses: tuple[NonEmpty, ...] = DEFAULT_GRPC_ADDRESSES  # HOST:PORT each; beyond loopback only with TLS
    token_file: str = ""  # empty: state_dir/token, which is made
    tls_cert: str = ""  # PEM files, both or none
    tls_key: str = ""
    import_folders: tuple[NonEmpty, ...] = ()  # files with changes of tags are imported from these only


class LoggingSettings(_Section, frozen=True, kw_only=True):
    """``[logging]``."""

    level: LogFilter = "info"
    log_dir: str = ""  # of daily files; empty: state_dir/log for a mount in the background, none in the foreground
    keep_days: Annotated[int, msgspec.Meta(ge=0, le=3650)] = 14  # of daily files, beside today's
    json_output: bool = False  # an object a line
    journald: Switch = "auto"  # auto: where standard error goes there anyway
    trace_sample_rate: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0  # share of FUSE requests logged at level trace


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
    collections: CollectionsSettings = msgspec.field(default_factory=CollectionsSettings)
    mount: MountSettings = msgspec.field(default_factory=MountSettings)
    scan: ScanSettings = msgspec.field(default_factory=ScanSettings)
    cache: CacheSettings = msgspec.field(default_factory=CacheSettings)
    health: HealthSettings = msgspec.field(default_factory=HealthSettings)
    metrics: MetricsSettings = msgspec.field(default_factory=MetricsSettings)
    webhooks: tuple[WebhookSettings, ...] = ()
    prefetch: PrefetchSettings = msgspec.field(default_factory=PrefetchSettings)
    trash: TrashSettings = msgspec.field(default_factory=TrashSettings)
    grpc: GrpcSettings = msgspec.field(default_factory=GrpcSettings)
    logging: LoggingSettings = msgspec.field(default_factory=LoggingSettings)
