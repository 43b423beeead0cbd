from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MountState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MOUNT_UNKNOWN: _ClassVar[MountState]
    MOUNT_MOUNTING: _ClassVar[MountState]
    MOUNT_READY: _ClassVar[MountState]
    MOUNT_SYNCING: _ClassVar[MountState]
    MOUNT_DEGRADED: _ClassVar[MountState]
    MOUNT_UNMOUNTING: _ClassVar[MountState]

class HealthStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HEALTH_UNKNOWN: _ClassVar[HealthStatus]
    HEALTH_HEALTHY: _ClassVar[HealthStatus]
    HEALTH_DEGRADED: _ClassVar[HealthStatus]
    HEALTH_UNHEALTHY: _ClassVar[HealthStatus]

class CollectionSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COLLECTION_UNKNOWN: _ClassVar[CollectionSource]
    COLLECTION_BUILT_IN: _ClassVar[CollectionSource]
    COLLECTION_CONFIG: _ClassVar[CollectionSource]
    COLLECTION_USER: _ClassVar[CollectionSource]
MOUNT_UNKNOWN: MountState
MOUNT_MOUNTING: MountState
MOUNT_READY: MountState
MOUNT_SYNCING: MountState
MOUNT_DEGRADED: MountState
MOUNT_UNMOUNTING: MountState
HEALTH_UNKNOWN: HealthStatus
HEALTH_HEALTHY: HealthStatus
HEALTH_DEGRADED: HealthStatus
HEALTH_UNHEALTHY: HealthStatus
COLLECTION_UNKNOWN: CollectionSource
COLLECTION_BUILT_IN: CollectionSource
COLLECTION_CONFIG: CollectionSource
COLLECTION_USER: CollectionSource

class Empty(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SearchRequest(_message.Message):
    __slots__ = ("query", "limit", "offset", "origin_id")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    query: str
    limit: int
    offset: int
    origin_id: str
    def __init__(self, query: _Optional[str] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ..., origin_id: _Optional[str] = ...) -> None: ...

class SearchResponse(_message.Message):
    __slots__ = ("results", "total_matches", "query_time_ms")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_MATCHES_FIELD_NUMBER: _ClassVar[int]
    QUERY_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SearchResult]
    total_matches: int
    query_time_ms: int
    def __init__(self, results: _Optional[_Iterable[_Union[SearchResult, _Mapping]]] = ..., total_matches: _Optional[int] = ..., query_time_ms: _Optional[int] = ...) -> None: ...

class SearchResult(_message.Message):
    __slots__ = ("file_id", "virtual_path", "artist", "album", "title", "score", "highlights", "duration_ms", "path_bytes")
    class HighlightsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    VIRTUAL_PATH_FIELD_NUMBER: _ClassVar[int]
    ARTIST_FIELD_NUMBER: _ClassVar[int]
    ALBUM_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    HIGHLIGHTS_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    PATH_BYTES_FIELD_NUMBER: _ClassVar[int]
    file_id: int
    virtual_path: str
    artist: str
    album: str
    title: str
    score: float
    highlights: _containers.ScalarMap[str, str]
    duration_ms: int
    path_bytes: bytes
    def __init__(self, file_id: _Optional[int] = ..., virtual_path: _Optional[str] = ..., artist: _Optional[str] = ..., album: _Optional[str] = ..., title: _Optional[str] = ..., score: _Optional[float] = ..., highlights: _Optional[_Mapping[str, str]] = ..., duration_ms: _Optional[int] = ..., path_bytes: _Optional[bytes] = ...) -> None: ...

class Collection(_message.Message):
    __slots__ = ("name", "query", "rule", "sort", "limit", "source", "count", "path", "changed_ms")
    NAME_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    SORT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    CHANGED_MS_FIELD_NUMBER: _ClassVar[int]
    name: str
    query: str
    rule: CollectionRule
    sort: str
    limit: int
    source: CollectionSource
    count: int
    path: str
    changed_ms: int
    def __init__(self, name: _Optional[str] = ..., query: _Optional[str] = ..., rule: _Optional[_Union[CollectionRule, _Mapping]] = ..., sort: _Optional[str] = ..., limit: _Optional[int] = ..., source: _Optional[_Union[CollectionSource, str]] = ..., count: _Optional[int] = ..., path: _Optional[str] = ..., changed_ms: _Optional[int] = ...) -> None: ...

class CollectionRule(_message.Message):
    __slots__ = ("match", "date", "recently_added_days", "recently_played_days", "most_played_limit", "genre", "all_of", "any_of", "not_")
    MATCH_FIELD_NUMBER: _ClassVar[int]
    DATE_FIELD_NUMBER: _ClassVar[int]
    RECENTLY_ADDED_DAYS_FIELD_NUMBER: _ClassVar[int]
    RECENTLY_PLAYED_DAYS_FIELD_NUMBER: _ClassVar[int]
    MOST_PLAYED_LIMIT_FIELD_NUMBER: _ClassVar[int]
    GENRE_FIELD_NUMBER: _ClassVar[int]
    ALL_OF_FIELD_NUMBER: _ClassVar[int]
    ANY_OF_FIELD_NUMBER: _ClassVar[int]
    NOT__FIELD_NUMBER: _ClassVar[int]
    match: str
    date: CollectionDates
    recently_added_days: int
    recently_played_days: int
    most_played_limit: int
    genre: str
    all_of: CollectionRules
    any_of: CollectionRules
    not_: CollectionRule
    def __init__(self, match: _Optional[str] = ..., date: _Optional[_Union[CollectionDates, _Mapping]] = ..., recently_added_days: _Optional[int] = ..., recently_played_days: _Optional[int] = ..., most_played_limit: _Optional[int] = ..., genre: _Optional[str] = ..., all_of: _Optional[_Union[CollectionRules, _Mapping]] = ..., any_of: _Optional[_Union[CollectionRules, _Mapping]] = ..., not_: _Optional[_Union[CollectionRule, _Mapping]] = ...) -> None: ...

class CollectionDates(_message.Message):
    __slots__ = ("first", "last")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    first: str
    last: str
    def __init__(self, first: _Optional[str] = ..., last: _Optional[str] = ...) -> None: ...

class CollectionRules(_message.Message):
    __slots__ = ("rules",)
    RULES_FIELD_NUMBER: _ClassVar[int]
    rules: _containers.RepeatedCompositeFieldContainer[CollectionRule]
    def __init__(self, rules: _Optional[_Iterable[_Union[CollectionRule, _Mapping]]] = ...) -> None: ...

class ListCollectionsResponse(_message.Message):
    __slots__ = ("collections",)
    COLLECTIONS_FIELD_NUMBER: _ClassVar[int]
    collections: _containers.RepeatedCompositeFieldContainer[Collection]
    def __init__(self, collections: _Optional[_Iterable[_Union[Collection, _Mapping]]] = ...) -> None: ...

class GetCollectionRequest(_message.Message):
    __slots__ = ("name", "limit", "offset")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    name: str
    limit: int
    offset: int
    def __init__(self, name: _Optional[str] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class GetCollectionResponse(_message.Message):
    __slots__ = ("collection", "entries")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    collection: Collection
    entries: _containers.RepeatedCompositeFieldContainer[SearchResult]
    def __init__(self, collection: _Optional[_Union[Collection, _Mapping]] = ..., entries: _Optional[_Iterable[_Union[SearchResult, _Mapping]]] = ...) -> None: ...

class CreateCollectionRequest(_message.Message):
    __slots__ = ("name", "query", "rule", "sort", "limit", "replace")
    NAME_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    SORT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    name: str
    query: str
    rule: CollectionRule
    sort: str
    limit: int
    replace: bool
    def __init__(self, name: _Optional[str] = ..., query: _Optional[str] = ..., rule: _Optional[_Union[CollectionRule, _Mapping]] = ..., sort: _Optional[str] = ..., limit: _Optional[int] = ..., replace: bool = ...) -> None: ...

class DeleteCollectionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class TrashSelection(_message.Message):
    __slots__ = ("paths", "origin_id", "pattern", "deleted_after_ms", "deleted_before_ms")
    PATHS_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    DELETED_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    DELETED_BEFORE_MS_FIELD_NUMBER: _ClassVar[int]
    paths: _containers.RepeatedScalarFieldContainer[str]
    origin_id: str
    pattern: str
    deleted_after_ms: int
    deleted_before_ms: int
    def __init__(self, paths: _Optional[_Iterable[str]] = ..., origin_id: _Optional[str] = ..., pattern: _Optional[str] = ..., deleted_after_ms: _Optional[int] = ..., deleted_before_ms: _Optional[int] = ...) -> None: ...

class ListTrashRequest(_message.Message):
    __slots__ = ("selection", "limit", "offset")
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    selection: TrashSelection
    limit: int
    offset: int
    def __init__(self, selection: _Optional[_Union[TrashSelection, _Mapping]] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class ListTrashResponse(_message.Message):
    __slots__ = ("entries", "total", "size_bytes")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[TrashEntry]
    total: int
    size_bytes: int
    def __init__(self, entries: _Optional[_Iterable[_Union[TrashEntry, _Mapping]]] = ..., total: _Optional[int] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class TrashEntry(_message.Message):
    __slots__ = ("path", "origin_id", "origin_path", "deleted_ms", "size_bytes", "cached_bytes", "artist", "album", "title", "duration_ms", "trash_path", "restored_ms")
    PATH_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_PATH_FIELD_NUMBER: _ClassVar[int]
    DELETED_MS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CACHED_BYTES_FIELD_NUMBER: _ClassVar[int]
    ARTIST_FIELD_NUMBER: _ClassVar[int]
    ALBUM_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    TRASH_PATH_FIELD_NUMBER: _ClassVar[int]
    RESTORED_MS_FIELD_NUMBER: _ClassVar[int]
    path: str
    origin_id: str
    origin_path: str
    deleted_ms: int
    size_bytes: int
    cached_bytes: int
    artist: str
    album: str
    title: str
    duration_ms: int
    trash_path: str
    restored_ms: int
    def __init__(self, path: _Optional[str] = ..., origin_id: _Optional[str] = ..., origin_path: _Optional[str] = ..., deleted_ms: _Optional[int] = ..., size_bytes: _Optional[int] = ..., cached_bytes: _Optional[int] = ..., artist: _Optional[str] = ..., album: _Optional[str] = ..., title: _Optional[str] = ..., duration_ms: _Optional[int] = ..., trash_path: _Optional[str] = ..., restored_ms: _Optional[int] = ...) -> None: ...

class EmptyTrashRequest(_message.Message):
    __slots__ = ("selection", "restored", "dry_run")
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    RESTORED_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    selection: TrashSelection
    restored: bool
    dry_run: bool
    def __init__(self, selection: _Optional[_Union[TrashSelection, _Mapping]] = ..., restored: bool = ..., dry_run: bool = ...) -> None: ...

class TrashProgress(_message.Message):
    __slots__ = ("done", "total", "passed_over", "freed_bytes", "complete")
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    PASSED_OVER_FIELD_NUMBER: _ClassVar[int]
    FREED_BYTES_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    done: int
    total: int
    passed_over: int
    freed_bytes: int
    complete: bool
    def __init__(self, done: _Optional[int] = ..., total: _Optional[int] = ..., passed_over: _Optional[int] = ..., freed_bytes: _Optional[int] = ..., complete: bool = ...) -> None: ...

class ReloadConfigResponse(_message.Message):
    __slots__ = ("file", "applied", "needs_restart", "problems", "refusal", "warnings")
    FILE_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    NEEDS_RESTART_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    file: str
    applied: _containers.RepeatedScalarFieldContainer[str]
    needs_restart: _containers.RepeatedScalarFieldContainer[str]
    problems: _containers.RepeatedCompositeFieldContainer[ConfigProblem]
    refusal: str
    warnings: _containers.RepeatedCompositeFieldContainer[ConfigProblem]
    def __init__(self, file: _Optional[str] = ..., applied: _Optional[_Iterable[str]] = ..., needs_restart: _Optional[_Iterable[str]] = ..., problems: _Optional[_Iterable[_Union[ConfigProblem, _Mapping]]] = ..., refusal: _Optional[str] = ..., warnings: _Optional[_Iterable[_Union[ConfigProblem, _Mapping]]] = ...) -> None: ...

class ConfigProblem(_message.Message):
    __slots__ = ("place", "message", "suggestion")
    PLACE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SUGGESTION_FIELD_NUMBER: _ClassVar[int]
    place: str
    message: str
    suggestion: str
    def __init__(self, place: _Optional[str] = ..., message: _Optional[str] = ..., suggestion: _Optional[str] = ...) -> None: ...

class BackupPiece(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class StatusResponse(_message.Message):
    __slots__ = ("version", "uptime_secs", "mount_point", "state", "open_file_handles", "fuse_ops_total", "files_indexed", "cache_size_bytes", "origins", "work", "pid", "keeper_pid", "keeper_restarts", "problems", "tracks", "instance", "detail", "cache", "crash_reports")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    UPTIME_SECS_FIELD_NUMBER: _ClassVar[int]
    MOUNT_POINT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    OPEN_FILE_HANDLES_FIELD_NUMBER: _ClassVar[int]
    FUSE_OPS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    FILES_INDEXED_FIELD_NUMBER: _ClassVar[int]
    CACHE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ORIGINS_FIELD_NUMBER: _ClassVar[int]
    WORK_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    KEEPER_PID_FIELD_NUMBER: _ClassVar[int]
    KEEPER_RESTARTS_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    TRACKS_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    CRASH_REPORTS_FIELD_NUMBER: _ClassVar[int]
    version: str
    uptime_secs: int
    mount_point: str
    state: MountState
    open_file_handles: int
    fuse_ops_total: int
    files_indexed: int
    cache_size_bytes: int
    origins: _containers.RepeatedCompositeFieldContainer[OriginStatus]
    work: _containers.RepeatedCompositeFieldContainer[Work]
    pid: int
    keeper_pid: int
    keeper_restarts: int
    problems: int
    tracks: int
    instance: str
    detail: str
    cache: CacheStats
    crash_reports: int
    def __init__(self, version: _Optional[str] = ..., uptime_secs: _Optional[int] = ..., mount_point: _Optional[str] = ..., state: _Optional[_Union[MountState, str]] = ..., open_file_handles: _Optional[int] = ..., fuse_ops_total: _Optional[int] = ..., files_indexed: _Optional[int] = ..., cache_size_bytes: _Optional[int] = ..., origins: _Optional[_Iterable[_Union[OriginStatus, _Mapping]]] = ..., work: _Optional[_Iterable[_Union[Work, _Mapping]]] = ..., pid: _Optional[int] = ..., keeper_pid: _Optional[int] = ..., keeper_restarts: _Optional[int] = ..., problems: _Optional[int] = ..., tracks: _Optional[int] = ..., instance: _Optional[str] = ..., detail: _Optional[str] = ..., cache: _Optional[_Union[CacheStats, _Mapping]] = ..., crash_reports: _Optional[int] = ...) -> None: ...

class OriginStatus(_message.Message):
    __slots__ = ("id", "origin_type", "health", "files_count")
    ID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_TYPE_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    FILES_COUNT_FIELD_NUMBER: _ClassVar[int]
    id: str
    origin_type: str
    health: HealthStatus
    files_count: int
    def __init__(self, id: _Optional[str] = ..., origin_type: _Optional[str] = ..., health: _Optional[_Union[HealthStatus, str]] = ..., files_count: _Optional[int] = ...) -> None: ...

class Work(_message.Message):
    __slots__ = ("name", "done", "total", "unit", "detail")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    name: str
    done: int
    total: int
    unit: str
    detail: str
    def __init__(self, name: _Optional[str] = ..., done: _Optional[int] = ..., total: _Optional[int] = ..., unit: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class ShutdownRequest(_message.Message):
    __slots__ = ("graceful", "timeout_secs")
    GRACEFUL_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECS_FIELD_NUMBER: _ClassVar[int]
    graceful: bool
    timeout_secs: int
    def __init__(self, graceful: bool = ..., timeout_secs: _Optional[int] = ...) -> None: ...

class OriginsResponse(_message.Message):
    __slots__ = ("origins",)
    ORIGINS_FIELD_NUMBER: _ClassVar[int]
    origins: _containers.RepeatedCompositeFieldContainer[OriginInfo]
    def __init__(self, origins: _Optional[_Iterable[_Union[OriginInfo, _Mapping]]] = ...) -> None: ...

class OriginInfo(_message.Message):
    __slots__ = ("id", "origin_type", "display_name", "root_path", "health", "files_count", "total_size_bytes", "held_removals", "last_scan_ms", "message")
    ID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_TYPE_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    ROOT_PATH_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    FILES_COUNT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    HELD_REMOVALS_FIELD_NUMBER: _ClassVar[int]
    LAST_SCAN_MS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    id: str
    origin_type: str
    display_name: str
    root_path: str
    health: HealthStatus
    files_count: int
    total_size_bytes: int
    held_removals: int
    last_scan_ms: int
    message: str
    def __init__(self, id: _Optional[str] = ..., origin_type: _Optional[str] = ..., display_name: _Optional[str] = ..., root_path: _Optional[str] = ..., health: _Optional[_Union[HealthStatus, str]] = ..., files_count: _Optional[int] = ..., total_size_bytes: _Optional[int] = ..., held_removals: _Optional[int] = ..., last_scan_ms: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class OriginRequest(_message.Message):
    __slots__ = ("origin_id", "subdir")
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    SUBDIR_FIELD_NUMBER: _ClassVar[int]
    origin_id: str
    subdir: str
    def __init__(self, origin_id: _Optional[str] = ..., subdir: _Optional[str] = ...) -> None: ...

class OriginHealthResponse(_message.Message):
    __slots__ = ("origin_id", "status", "message", "last_check_secs", "held_removals")
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    LAST_CHECK_SECS_FIELD_NUMBER: _ClassVar[int]
    HELD_REMOVALS_FIELD_NUMBER: _ClassVar[int]
    origin_id: str
    status: HealthStatus
    message: str
    last_check_secs: int
    held_removals: int
    def __init__(self, origin_id: _Optional[str] = ..., status: _Optional[_Union[HealthStatus, str]] = ..., message: _Optional[str] = ..., last_check_secs: _Optional[int] = ..., held_removals: _Optional[int] = ...) -> None: ...

class SyncProgress(_message.Message):
    __slots__ = ("phase", "current", "total", "current_path", "bytes_synced", "new_files", "added", "modified", "removed", "failed")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    CURRENT_PATH_FIELD_NUMBER: _ClassVar[int]
    BYTES_SYNCED_FIELD_NUMBER: _ClassVar[int]
    NEW_FILES_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    MODIFIED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    phase: str
    current: int
    total: int
    current_path: str
    bytes_synced: int
    new_files: _containers.RepeatedCompositeFieldContainer[SyncedFile]
    added: int
    modified: int
    removed: int
    failed: int
    def __init__(self, phase: _Optional[str] = ..., current: _Optional[int] = ..., total: _Optional[int] = ..., current_path: _Optional[str] = ..., bytes_synced: _Optional[int] = ..., new_files: _Optional[_Iterable[_Union[SyncedFile, _Mapping]]] = ..., added: _Optional[int] = ..., modified: _Optional[int] = ..., removed: _Optional[int] = ..., failed: _Optional[int] = ...) -> None: ...

class SyncedFile(_message.Message):
    __slots__ = ("path", "file_id", "virtual_path")
    PATH_FIELD_NUMBER: _ClassVar[int]
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    VIRTUAL_PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    file_id: int
    virtual_path: str
    def __init__(self, path: _Optional[str] = ..., file_id: _Optional[int] = ..., virtual_path: _Optional[str] = ...) -> None: ...

class ConfirmOriginRequest(_message.Message):
    __slots__ = ("origin_id",)
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    origin_id: str
    def __init__(self, origin_id: _Optional[str] = ...) -> None: ...

class ConfirmOriginResponse(_message.Message):
    __slots__ = ("removed",)
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    removed: int
    def __init__(self, removed: _Optional[int] = ...) -> None: ...

class ListProblemsRequest(_message.Message):
    __slots__ = ("origin_id", "limit", "offset")
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    origin_id: str
    limit: int
    offset: int
    def __init__(self, origin_id: _Optional[str] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class ListProblemsResponse(_message.Message):
    __slots__ = ("problems", "total")
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    problems: _containers.RepeatedCompositeFieldContainer[ProblemFile]
    total: int
    def __init__(self, problems: _Optional[_Iterable[_Union[ProblemFile, _Mapping]]] = ..., total: _Optional[int] = ...) -> None: ...

class ProblemFile(_message.Message):
    __slots__ = ("origin_id", "path", "reason")
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    origin_id: str
    path: str
    reason: str
    def __init__(self, origin_id: _Optional[str] = ..., path: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class LibraryHealthRequest(_message.Message):
    __slots__ = ("kinds", "origin_id", "limit")
    KINDS_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    kinds: _containers.RepeatedScalarFieldContainer[str]
    origin_id: str
    limit: int
    def __init__(self, kinds: _Optional[_Iterable[str]] = ..., origin_id: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class LibraryHealthReport(_message.Message):
    __slots__ = ("done", "total", "issue", "counts", "unchecked", "complete")
    class CountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class UncheckedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    ISSUE_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    UNCHECKED_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    done: int
    total: int
    issue: LibraryIssue
    counts: _containers.ScalarMap[str, int]
    unchecked: _containers.ScalarMap[str, str]
    complete: bool
    def __init__(self, done: _Optional[int] = ..., total: _Optional[int] = ..., issue: _Optional[_Union[LibraryIssue, _Mapping]] = ..., counts: _Optional[_Mapping[str, int]] = ..., unchecked: _Optional[_Mapping[str, str]] = ..., complete: bool = ...) -> None: ...

class LibraryIssue(_message.Message):
    __slots__ = ("kind", "origin_id", "paths", "detail", "files")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    kind: str
    origin_id: str
    paths: _containers.RepeatedScalarFieldContainer[str]
    detail: str
    files: int
    def __init__(self, kind: _Optional[str] = ..., origin_id: _Optional[str] = ..., paths: _Optional[_Iterable[str]] = ..., detail: _Optional[str] = ..., files: _Optional[int] = ...) -> None: ...

class TierStats(_message.Message):
    __slots__ = ("entries", "size_bytes", "hits", "misses")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    MISSES_FIELD_NUMBER: _ClassVar[int]
    entries: int
    size_bytes: int
    hits: int
    misses: int
    def __init__(self, entries: _Optional[int] = ..., size_bytes: _Optional[int] = ..., hits: _Optional[int] = ..., misses: _Optional[int] = ...) -> None: ...

class CacheStats(_message.Message):
    __slots__ = ("total_size_bytes", "used_size_bytes", "size_limit_bytes", "chunk_count", "chunks_unique", "dedup_ratio", "hit_count", "miss_count", "hit_ratio", "metadata_entries", "metadata_bytes", "l1_metadata", "l2_headers", "l3_chunks", "fetched_bytes", "saved_bytes", "contents", "contents_complete", "pins", "damaged", "evictions", "evicted_bytes")
    TOTAL_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    USED_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SIZE_LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    CHUNK_COUNT_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_UNIQUE_FIELD_NUMBER: _ClassVar[int]
    DEDUP_RATIO_FIELD_NUMBER: _ClassVar[int]
    HIT_COUNT_FIELD_NUMBER: _ClassVar[int]
    MISS_COUNT_FIELD_NUMBER: _ClassVar[int]
    HIT_RATIO_FIELD_NUMBER: _ClassVar[int]
    METADATA_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    METADATA_BYTES_FIELD_NUMBER: _ClassVar[int]
    L1_METADATA_FIELD_NUMBER: _ClassVar[int]
    L2_HEADERS_FIELD_NUMBER: _ClassVar[int]
    L3_CHUNKS_FIELD_NUMBER: _ClassVar[int]
    FETCHED_BYTES_FIELD_NUMBER: _ClassVar[int]
    SAVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    CONTENTS_FIELD_NUMBER: _ClassVar[int]
    CONTENTS_COMPLETE_FIELD_NUMBER: _ClassVar[int]
    PINS_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_FIELD_NUMBER: _ClassVar[int]
    EVICTIONS_FIELD_NUMBER: _ClassVar[int]
    EVICTED_BYTES_FIELD_NUMBER: _ClassVar[int]
    total_size_bytes: int
    used_size_bytes: int
    size_limit_bytes: int
    chunk_count: int
    chunks_unique: int
    dedup_ratio: float
    hit_count: int
    miss_count: int
    hit_ratio: float
    metadata_entries: int
    metadata_bytes: int
    l1_metadata: TierStats
    l2_headers: TierStats
    l3_chunks: TierStats
    fetched_bytes: int
    saved_bytes: int
    contents: int
    contents_complete: int
    pins: int
    damaged: int
    evictions: int
    evicted_bytes: int
    def __init__(self, total_size_bytes: _Optional[int] = ..., used_size_bytes: _Optional[int] = ..., size_limit_bytes: _Optional[int] = ..., chunk_count: _Optional[int] = ..., chunks_unique: _Optional[int] = ..., dedup_ratio: _Optional[float] = ..., hit_count: _Optional[int] = ..., miss_count: _Optional[int] = ..., hit_ratio: _Optional[float] = ..., metadata_entries: _Optional[int] = ..., metadata_bytes: _Optional[int] = ..., l1_metadata: _Optional[_Union[TierStats, _Mapping]] = ..., l2_headers: _Optional[_Union[TierStats, _Mapping]] = ..., l3_chunks: _Optional[_Union[TierStats, _Mapping]] = ..., fetched_bytes: _Optional[int] = ..., saved_bytes: _Optional[int] = ..., contents: _Optional[int] = ..., contents_complete: _Optional[int] = ..., pins: _Optional[int] = ..., damaged: _Optional[int] = ..., evictions: _Optional[int] = ..., evicted_bytes: _Optional[int] = ...) -> None: ...

class ClearCacheRequest(_message.Message):
    __slots__ = ("origin_id", "clear_metadata", "clear_chunks", "dry_run", "tier")
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    CLEAR_METADATA_FIELD_NUMBER: _ClassVar[int]
    CLEAR_CHUNKS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    origin_id: str
    clear_metadata: bool
    clear_chunks: bool
    dry_run: bool
    tier: str
    def __init__(self, origin_id: _Optional[str] = ..., clear_metadata: bool = ..., clear_chunks: bool = ..., dry_run: bool = ..., tier: _Optional[str] = ...) -> None: ...

class ClearCacheResponse(_message.Message):
    __slots__ = ("bytes_cleared", "chunks_cleared")
    BYTES_CLEARED_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_CLEARED_FIELD_NUMBER: _ClassVar[int]
    bytes_cleared: int
    chunks_cleared: int
    def __init__(self, bytes_cleared: _Optional[int] = ..., chunks_cleared: _Optional[int] = ...) -> None: ...

class PrefetchRequest(_message.Message):
    __slots__ = ("paths", "origin_id", "query")
    PATHS_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    paths: _containers.RepeatedScalarFieldContainer[str]
    origin_id: str
    query: str
    def __init__(self, paths: _Optional[_Iterable[str]] = ..., origin_id: _Optional[str] = ..., query: _Optional[str] = ...) -> None: ...

class PrefetchProgress(_message.Message):
    __slots__ = ("current_path", "completed", "total", "bytes_fetched", "failed")
    CURRENT_PATH_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    BYTES_FETCHED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    current_path: str
    completed: int
    total: int
    bytes_fetched: int
    failed: int
    def __init__(self, current_path: _Optional[str] = ..., completed: _Optional[int] = ..., total: _Optional[int] = ..., bytes_fetched: _Optional[int] = ..., failed: _Optional[int] = ...) -> None: ...

class PinRequest(_message.Message):
    __slots__ = ("paths", "query")
    PATHS_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    paths: _containers.RepeatedScalarFieldContainer[str]
    query: str
    def __init__(self, paths: _Optional[_Iterable[str]] = ..., query: _Optional[str] = ...) -> None: ...

class PinResponse(_message.Message):
    __slots__ = ("files", "size_bytes")
    FILES_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    files: int
    size_bytes: int
    def __init__(self, files: _Optional[int] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class PinsResponse(_message.Message):
    __slots__ = ("pins",)
    PINS_FIELD_NUMBER: _ClassVar[int]
    pins: _containers.RepeatedCompositeFieldContainer[PinnedPath]
    def __init__(self, pins: _Optional[_Iterable[_Union[PinnedPath, _Mapping]]] = ...) -> None: ...

class PinnedPath(_message.Message):
    __slots__ = ("path", "files", "size_bytes", "cached_bytes", "added_ms")
    PATH_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CACHED_BYTES_FIELD_NUMBER: _ClassVar[int]
    ADDED_MS_FIELD_NUMBER: _ClassVar[int]
    path: str
    files: int
    size_bytes: int
    cached_bytes: int
    added_ms: int
    def __init__(self, path: _Optional[str] = ..., files: _Optional[int] = ..., size_bytes: _Optional[int] = ..., cached_bytes: _Optional[int] = ..., added_ms: _Optional[int] = ...) -> None: ...

class VerifyProgress(_message.Message):
    __slots__ = ("checked", "total", "damaged", "complete")
    CHECKED_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    checked: int
    total: int
    damaged: int
    complete: bool
    def __init__(self, checked: _Optional[int] = ..., total: _Optional[int] = ..., damaged: _Optional[int] = ..., complete: bool = ...) -> None: ...

class EventFilter(_message.Message):
    __slots__ = ("event_types", "origin_id")
    EVENT_TYPES_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    event_types: _containers.RepeatedScalarFieldContainer[str]
    origin_id: str
    def __init__(self, event_types: _Optional[_Iterable[str]] = ..., origin_id: _Optional[str] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("event_type", "timestamp_ms", "origin_id", "path", "file_id", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    event_type: str
    timestamp_ms: int
    origin_id: str
    path: str
    file_id: int
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, event_type: _Optional[str] = ..., timestamp_ms: _Optional[int] = ..., origin_id: _Optional[str] = ..., path: _Optional[str] = ..., file_id: _Optional[int] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class MetricsResponse(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class FieldValues(_message.Message):
    __slots__ = ("name", "values")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...

class GetMetadataRequest(_message.Message):
    __slots__ = ("virtual_path", "file_id")
    VIRTUAL_PATH_FIELD_NUMBER: _ClassVar[int]
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    virtual_path: str
    file_id: int
    def __init__(self, virtual_path: _Optional[str] = ..., file_id: _Optional[int] = ...) -> None: ...

class MetadataResponse(_message.Message):
    __slots__ = ("file_id", "title", "artist", "album", "album_artist", "year", "track", "disc", "genre", "format", "duration_ms", "bitrate", "track_total", "disc_total", "date", "composer", "comment", "lyrics", "copyright", "compilation", "artist_sort", "album_artist_sort", "album_sort", "title_sort", "mb_recording_id", "mb_album_id", "mb_artist_id", "mb_album_artist_id", "mb_release_group_id", "replaygain_track_gain", "replaygain_track_peak", "replaygain_album_gain", "replaygain_album_peak", "channels", "bits_per_sample", "encoder", "label", "album_type", "cover_url", "custom_tags", "path", "origin_id", "origin_path", "codec", "sample_rate", "own", "overlay", "effective", "cover", "served", "reason", "unfit", "changed_ms", "author")
    class CustomTagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class UnfitEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    ARTIST_FIELD_NUMBER: _ClassVar[int]
    ALBUM_FIELD_NUMBER: _ClassVar[int]
    ALBUM_ARTIST_FIELD_NUMBER: _ClassVar[int]
    YEAR_FIELD_NUMBER: _ClassVar[int]
    TRACK_FIELD_NUMBER: _ClassVar[int]
    DISC_FIELD_NUMBER: _ClassVar[int]
    GENRE_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    BITRATE_FIELD_NUMBER: _ClassVar[int]
    TRACK_TOTAL_FIELD_NUMBER: _ClassVar[int]
    DISC_TOTAL_FIELD_NUMBER: _ClassVar[int]
    DATE_FIELD_NUMBER: _ClassVar[int]
    COMPOSER_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    LYRICS_FIELD_NUMBER: _ClassVar[int]
    COPYRIGHT_FIELD_NUMBER: _ClassVar[int]
    COMPILATION_FIELD_NUMBER: _ClassVar[int]
    ARTIST_SORT_FIELD_NUMBER: _ClassVar[int]
    ALBUM_ARTIST_SORT_FIELD_NUMBER: _ClassVar[int]
    ALBUM_SORT_FIELD_NUMBER: _ClassVar[int]
    TITLE_SORT_FIELD_NUMBER: _ClassVar[int]
    MB_RECORDING_ID_FIELD_NUMBER: _ClassVar[int]
    MB_ALBUM_ID_FIELD_NUMBER: _ClassVar[int]
    MB_ARTIST_ID_FIELD_NUMBER: _ClassVar[int]
    MB_ALBUM_ARTIST_ID_FIELD_NUMBER: _ClassVar[int]
    MB_RELEASE_GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    REPLAYGAIN_TRACK_GAIN_FIELD_NUMBER: _ClassVar[int]
    REPLAYGAIN_TRACK_PEAK_FIELD_NUMBER: _ClassVar[int]
    REPLAYGAIN_ALBUM_GAIN_FIELD_NUMBER: _ClassVar[int]
    REPLAYGAIN_ALBUM_PEAK_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    BITS_PER_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    ENCODER_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    ALBUM_TYPE_FIELD_NUMBER: _ClassVar[int]
    COVER_URL_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_TAGS_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_PATH_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_FIELD_NUMBER: _ClassVar[int]
    OWN_FIELD_NUMBER: _ClassVar[int]
    OVERLAY_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_FIELD_NUMBER: _ClassVar[int]
    COVER_FIELD_NUMBER: _ClassVar[int]
    SERVED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    UNFIT_FIELD_NUMBER: _ClassVar[int]
    CHANGED_MS_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    file_id: int
    title: str
    artist: str
    album: str
    album_artist: str
    year: int
    track: int
    disc: int
    genre: str
    format: str
    duration_ms: int
    bitrate: int
    track_total: int
    disc_total: int
    date: str
    composer: str
    comment: str
    lyrics: str
    copyright: str
    compilation: bool
    artist_sort: str
    album_artist_sort: str
    album_sort: str
    title_sort: str
    mb_recording_id: str
    mb_album_id: str
    mb_artist_id: str
    mb_album_artist_id: str
    mb_release_group_id: str
    replaygain_track_gain: float
    replaygain_track_peak: float
    replaygain_album_gain: float
    replaygain_album_peak: float
    channels: int
    bits_per_sample: int
    encoder: str
    label: str
    album_type: str
    cover_url: str
    custom_tags: _containers.ScalarMap[str, str]
    path: str
    origin_id: str
    origin_path: str
    codec: str
    sample_rate: int
    own: _containers.RepeatedCompositeFieldContainer[FieldValues]
    overlay: _containers.RepeatedCompositeFieldContainer[FieldValues]
    effective: _containers.RepeatedCompositeFieldContainer[FieldValues]
    cover: str
    served: str
    reason: str
    unfit: _containers.ScalarMap[str, str]
    changed_ms: int
    author: str
    def __init__(self, file_id: _Optional[int] = ..., title: _Optional[str] = ..., artist: _Optional[str] = ..., album: _Optional[str] = ..., album_artist: _Optional[str] = ..., year: _Optional[int] = ..., track: _Optional[int] = ..., disc: _Optional[int] = ..., genre: _Optional[str] = ..., format: _Optional[str] = ..., duration_ms: _Optional[int] = ..., bitrate: _Optional[int] = ..., track_total: _Optional[int] = ..., disc_total: _Optional[int] = ..., date: _Optional[str] = ..., composer: _Optional[str] = ..., comment: _Optional[str] = ..., lyrics: _Optional[str] = ..., copyright: _Optional[str] = ..., compilation: bool = ..., artist_sort: _Optional[str] = ..., album_artist_sort: _Optional[str] = ..., album_sort: _Optional[str] = ..., title_sort: _Optional[str] = ..., mb_recording_id: _Optional[str] = ..., mb_album_id: _Optional[str] = ..., mb_artist_id: _Optional[str] = ..., mb_album_artist_id: _Optional[str] = ..., mb_release_group_id: _Optional[str] = ..., replaygain_track_gain: _Optional[float] = ..., replaygain_track_peak: _Optional[float] = ..., replaygain_album_gain: _Optional[float] = ..., replaygain_album_peak: _Optional[float] = ..., channels: _Optional[int] = ..., bits_per_sample: _Optional[int] = ..., encoder: _Optional[str] = ..., label: _Optional[str] = ..., album_type: _Optional[str] = ..., cover_url: _Optional[str] = ..., custom_tags: _Optional[_Mapping[str, str]] = ..., path: _Optional[str] = ..., origin_id: _Optional[str] = ..., origin_path: _Optional[str] = ..., codec: _Optional[str] = ..., sample_rate: _Optional[int] = ..., own: _Optional[_Iterable[_Union[FieldValues, _Mapping]]] = ..., overlay: _Optional[_Iterable[_Union[FieldValues, _Mapping]]] = ..., effective: _Optional[_Iterable[_Union[FieldValues, _Mapping]]] = ..., cover: _Optional[str] = ..., served: _Optional[str] = ..., reason: _Optional[str] = ..., unfit: _Optional[_Mapping[str, str]] = ..., changed_ms: _Optional[int] = ..., author: _Optional[str] = ...) -> None: ...

class UpdateMetadataRequest(_message.Message):
    __slots__ = ("file_id", "title", "artist", "album", "album_artist", "track_number", "disc_number", "date", "genre", "composer", "comment", "lyrics", "copyright", "compilation", "artist_sort", "album_artist_sort", "album_sort", "title_sort", "mb_recording_id", "mb_album_id", "mb_artist_id", "replaygain_track_gain", "replaygain_track_peak", "replaygain_album_gain", "replaygain_album_peak", "label", "album_type", "cover_url", "custom_tags", "path", "match", "set", "revert", "revert_all", "cover", "remove_cover", "revert_cover", "author", "dry_run")
    class CustomTagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class MatchEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    ARTIST_FIELD_NUMBER: _ClassVar[int]
    ALBUM_FIELD_NUMBER: _ClassVar[int]
    ALBUM_ARTIST_FIELD_NUMBER: _ClassVar[int]
    TRACK_NUMBER_FIELD_NUMBER: _ClassVar[int]
    DISC_NUMBER_FIELD_NUMBER: _ClassVar[int]
    DATE_FIELD_NUMBER: _ClassVar[int]
    GENRE_FIELD_NUMBER: _ClassVar[int]
    COMPOSER_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    LYRICS_FIELD_NUMBER: _ClassVar[int]
    COPYRIGHT_FIELD_NUMBER: _ClassVar[int]
    COMPILATION_FIELD_NUMBER: _ClassVar[int]
    ARTIST_SORT_FIELD_NUMBER: _ClassVar[int]
    ALBUM_ARTIST_SORT_FIELD_NUMBER: _ClassVar[int]
    ALBUM_SORT_FIELD_NUMBER: _ClassVar[int]
    TITLE_SORT_FIELD_NUMBER: _ClassVar[int]
    MB_RECORDING_ID_FIELD_NUMBER: _ClassVar[int]
    MB_ALBUM_ID_FIELD_NUMBER: _ClassVar[int]
    MB_ARTIST_ID_FIELD_NUMBER: _ClassVar[int]
    REPLAYGAIN_TRACK_GAIN_FIELD_NUMBER: _ClassVar[int]
    REPLAYGAIN_TRACK_PEAK_FIELD_NUMBER: _ClassVar[int]
    REPLAYGAIN_ALBUM_GAIN_FIELD_NUMBER: _ClassVar[int]
    REPLAYGAIN_ALBUM_PEAK_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    ALBUM_TYPE_FIELD_NUMBER: _ClassVar[int]
    COVER_URL_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_TAGS_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    REVERT_FIELD_NUMBER: _ClassVar[int]
    REVERT_ALL_FIELD_NUMBER: _ClassVar[int]
    COVER_FIELD_NUMBER: _ClassVar[int]
    REMOVE_COVER_FIELD_NUMBER: _ClassVar[int]
    REVERT_COVER_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    file_id: int
    title: str
    artist: str
    album: str
    album_artist: str
    track_number: int
    disc_number: int
    date: str
    genre: str
    composer: str
    comment: str
    lyrics: str
    copyright: str
    compilation: bool
    artist_sort: str
    album_artist_sort: str
    album_sort: str
    title_sort: str
    mb_recording_id: str
    mb_album_id: str
    mb_artist_id: str
    replaygain_track_gain: float
    replaygain_track_peak: float
    replaygain_album_gain: float
    replaygain_album_peak: float
    label: str
    album_type: str
    cover_url: str
    custom_tags: _containers.ScalarMap[str, str]
    path: str
    match: _containers.ScalarMap[str, str]
    set: _containers.RepeatedCompositeFieldContainer[FieldValues]
    revert: _containers.RepeatedScalarFieldContainer[str]
    revert_all: bool
    cover: bytes
    remove_cover: bool
    revert_cover: bool
    author: str
    dry_run: bool
    def __init__(self, file_id: _Optional[int] = ..., title: _Optional[str] = ..., artist: _Optional[str] = ..., album: _Optional[str] = ..., album_artist: _Optional[str] = ..., track_number: _Optional[int] = ..., disc_number: _Optional[int] = ..., date: _Optional[str] = ..., genre: _Optional[str] = ..., composer: _Optional[str] = ..., comment: _Optional[str] = ..., lyrics: _Optional[str] = ..., copyright: _Optional[str] = ..., compilation: bool = ..., artist_sort: _Optional[str] = ..., album_artist_sort: _Optional[str] = ..., album_sort: _Optional[str] = ..., title_sort: _Optional[str] = ..., mb_recording_id: _Optional[str] = ..., mb_album_id: _Optional[str] = ..., mb_artist_id: _Optional[str] = ..., replaygain_track_gain: _Optional[float] = ..., replaygain_track_peak: _Optional[float] = ..., replaygain_album_gain: _Optional[float] = ..., replaygain_album_peak: _Optional[float] = ..., label: _Optional[str] = ..., album_type: _Optional[str] = ..., cover_url: _Optional[str] = ..., custom_tags: _Optional[_Mapping[str, str]] = ..., path: _Optional[str] = ..., match: _Optional[_Mapping[str, str]] = ..., set: _Optional[_Iterable[_Union[FieldValues, _Mapping]]] = ..., revert: _Optional[_Iterable[str]] = ..., revert_all: bool = ..., cover: _Optional[bytes] = ..., remove_cover: bool = ..., revert_cover: bool = ..., author: _Optional[str] = ..., dry_run: bool = ...) -> None: ...

class UpdateMetadataResponse(_message.Message):
    __slots__ = ("file_id", "success", "error_message", "result")
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    file_id: int
    success: bool
    error_message: str
    result: TrackChange
    def __init__(self, file_id: _Optional[int] = ..., success: bool = ..., error_message: _Optional[str] = ..., result: _Optional[_Union[TrackChange, _Mapping]] = ...) -> None: ...

class ClearOverlayRequest(_message.Message):
    __slots__ = ("file_id", "author")
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    file_id: int
    author: str
    def __init__(self, file_id: _Optional[int] = ..., author: _Optional[str] = ...) -> None: ...

class ClearOverlayResponse(_message.Message):
    __slots__ = ("file_id", "success", "error_message", "result")
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    file_id: int
    success: bool
    error_message: str
    result: TrackChange
    def __init__(self, file_id: _Optional[int] = ..., success: bool = ..., error_message: _Optional[str] = ..., result: _Optional[_Union[TrackChange, _Mapping]] = ...) -> None: ...

class BatchUpdateRequest(_message.Message):
    __slots__ = ("items", "query", "action", "author", "dry_run")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[BatchUpdateItem]
    query: str
    action: str
    author: str
    dry_run: bool
    def __init__(self, items: _Optional[_Iterable[_Union[BatchUpdateItem, _Mapping]]] = ..., query: _Optional[str] = ..., action: _Optional[str] = ..., author: _Optional[str] = ..., dry_run: bool = ...) -> None: ...

class BatchUpdateItem(_message.Message):
    __slots__ = ("file_id", "metadata")
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    file_id: int
    metadata: UpdateMetadataRequest
    def __init__(self, file_id: _Optional[int] = ..., metadata: _Optional[_Union[UpdateMetadataRequest, _Mapping]] = ...) -> None: ...

class BatchUpdateProgress(_message.Message):
    __slots__ = ("completed", "total", "current_file_id", "error_message", "result")
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FILE_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    completed: int
    total: int
    current_file_id: int
    error_message: str
    result: TrackChange
    def __init__(self, completed: _Optional[int] = ..., total: _Optional[int] = ..., current_file_id: _Optional[int] = ..., error_message: _Optional[str] = ..., result: _Optional[_Union[TrackChange, _Mapping]] = ...) -> None: ...

class TrackChange(_message.Message):
    __slots__ = ("index", "file_id", "path", "new_path", "changes", "cover_changed", "reason", "error", "remedy", "total")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    NEW_PATH_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    COVER_CHANGED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    index: int
    file_id: int
    path: str
    new_path: str
    changes: _containers.RepeatedCompositeFieldContainer[FieldChange]
    cover_changed: bool
    reason: str
    error: str
    remedy: str
    total: int
    def __init__(self, index: _Optional[int] = ..., file_id: _Optional[int] = ..., path: _Optional[str] = ..., new_path: _Optional[str] = ..., changes: _Optional[_Iterable[_Union[FieldChange, _Mapping]]] = ..., cover_changed: bool = ..., reason: _Optional[str] = ..., error: _Optional[str] = ..., remedy: _Optional[str] = ..., total: _Optional[int] = ...) -> None: ...

class FieldChange(_message.Message):
    __slots__ = ("field", "before", "after")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    field: str
    before: _containers.RepeatedScalarFieldContainer[str]
    after: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, field: _Optional[str] = ..., before: _Optional[_Iterable[str]] = ..., after: _Optional[_Iterable[str]] = ...) -> None: ...

class ImportMetadataRequest(_message.Message):
    __slots__ = ("source_path", "format", "author", "dry_run")
    SOURCE_PATH_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    source_path: str
    format: str
    author: str
    dry_run: bool
    def __init__(self, source_path: _Optional[str] = ..., format: _Optional[str] = ..., author: _Optional[str] = ..., dry_run: bool = ...) -> None: ...

class ImportProgress(_message.Message):
    __slots__ = ("imported", "total", "current_file", "error_message", "result")
    IMPORTED_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FILE_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    imported: int
    total: int
    current_file: str
    error_message: str
    result: TrackChange
    def __init__(self, imported: _Optional[int] = ..., total: _Optional[int] = ..., current_file: _Optional[str] = ..., error_message: _Optional[str] = ..., result: _Optional[_Union[TrackChange, _Mapping]] = ...) -> None: ...

class ExportMetadataRequest(_message.Message):
    __slots__ = ("paths", "query")
    PATHS_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    paths: _containers.RepeatedScalarFieldContainer[str]
    query: str
    def __init__(self, paths: _Optional[_Iterable[str]] = ..., query: _Optional[str] = ...) -> None: ...

class UndoMetadataRequest(_message.Message):
    __slots__ = ("paths", "steps", "author", "dry_run")
    PATHS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    paths: _containers.RepeatedScalarFieldContainer[str]
    steps: int
    author: str
    dry_run: bool
    def __init__(self, paths: _Optional[_Iterable[str]] = ..., steps: _Optional[int] = ..., author: _Optional[str] = ..., dry_run: bool = ...) -> None: ...

class MetadataLogRequest(_message.Message):
    __slots__ = ("path", "limit")
    PATH_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    path: str
    limit: int
    def __init__(self, path: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class MetadataLogEntry(_message.Message):
    __slots__ = ("sequence", "time_ms", "author", "action", "path", "origin_id", "origin_path", "changes", "cover")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_PATH_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    COVER_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    time_ms: int
    author: str
    action: str
    path: str
    origin_id: str
    origin_path: str
    changes: _containers.RepeatedCompositeFieldContainer[FieldChange]
    cover: str
    def __init__(self, sequence: _Optional[int] = ..., time_ms: _Optional[int] = ..., author: _Optional[str] = ..., action: _Optional[str] = ..., path: _Optional[str] = ..., origin_id: _Optional[str] = ..., origin_path: _Optional[str] = ..., changes: _Optional[_Iterable[_Union[FieldChange, _Mapping]]] = ..., cover: _Optional[str] = ...) -> None: ...
