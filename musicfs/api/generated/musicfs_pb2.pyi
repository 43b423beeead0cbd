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

class Empty(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusResponse(_message.Message):
    __slots__ = ("version", "uptime_secs", "mount_point", "state", "open_file_handles", "fuse_ops_total", "files_indexed", "cache_size_bytes", "origins", "work", "pid", "keeper_pid", "keeper_restarts", "problems", "tracks", "instance", "detail")
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
    def __init__(self, version: _Optional[str] = ..., uptime_secs: _Optional[int] = ..., mount_point: _Optional[str] = ..., state: _Optional[_Union[MountState, str]] = ..., open_file_handles: _Optional[int] = ..., fuse_ops_total: _Optional[int] = ..., files_indexed: _Optional[int] = ..., cache_size_bytes: _Optional[int] = ..., origins: _Optional[_Iterable[_Union[OriginStatus, _Mapping]]] = ..., work: _Optional[_Iterable[_Union[Work, _Mapping]]] = ..., pid: _Optional[int] = ..., keeper_pid: _Optional[int] = ..., keeper_restarts: _Optional[int] = ..., problems: _Optional[int] = ..., tracks: _Optional[int] = ..., instance: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

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
