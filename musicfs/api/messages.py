"""Values of ``backend`` to protobuf messages and back; with the other ``messages`` modules, nothing else knows both."""

from __future__ import annotations

from musicfs.api.backend import (
    MountState,
    OriginHealth,
    OriginInfo,
    OriginStatus,
    Phase,
    ProblemFile,
    ProblemPage,
    Status,
    SyncedFile,
    SyncProgress,
    Work,
)
from musicfs.api.cache_messages import stats_message, stats_value
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.wire import u32, u64, wire_text
from musicfs.events import Event, EventType
from musicfs.model import Health

_STATES: dict[MountState, pb.MountState] = {
    MountState.UNKNOWN: pb.MOUNT_UNKNOWN,
    MountState.MOUNTING: pb.MOUNT_MOUNTING,
    MountState.READY: pb.MOUNT_READY,
    MountState.SYNCING: pb.MOUNT_SYNCING,
    MountState.DEGRADED: pb.MOUNT_DEGRADED,
    MountState.UNMOUNTING: pb.MOUNT_UNMOUNTING,
}
_HEALTH: dict[Health, pb.HealthStatus] = {
    Health.UNKNOWN: pb.HEALTH_UNKNOWN,
    Health.HEALTHY: pb.HEALTH_HEALTHY,
    Health.DEGRADED: pb.HEALTH_DEGRADED,
    Health.UNHEALTHY: pb.HEALTH_UNHEALTHY,
}
_EVENT_TYPE_OF = {kind.value: kind for kind in EventType}
_STATE_OF = {number: state for state, number in _STATES.items()}
_HEALTH_OF = {number: health for health, number in _HEALTH.items()}


def status_message(status: Status) -> pb.StatusResponse:
    return pb.StatusResponse(
        version=wire_text(status.version),
        uptime_secs=u64(status.uptime_s),
        mount_point=wire_text(status.mount_point),
        state=_STATES[status.state],
        open_file_handles=u32(status.open_file_handles),
        fuse_ops_total=u64(status.fuse_ops_total),
        files_indexed=u64(status.files_indexed),
        cache_size_bytes=u64(status.cache_size_bytes),
        origins=[
            pb.OriginStatus(
                id=wire_text(origin.id),
                origin_type=wire_text(origin.origin_type),
                health=_HEALTH[origin.health],
                files_count=u64(origin.files_count),
            )
            for origin in status.origins
        ],
        work=[
            pb.Work(
                name=wire_text(work.name),
                done=u64(work.done),
                total=u64(work.total),
                unit=wire_text(work.unit),
                detail=wire_text(work.detail),
            )
            for work in status.work
        ],
        pid=u32(status.pid),
        keeper_pid=u32(status.keeper_pid),
        keeper_restarts=u32(status.keeper_restarts),
        crash_reports=u32(status.crash_reports),
        problems=u64(status.problems),
        tracks=u64(status.tracks),
        instance=wire_text(status.instance),
        detail=wire_text(status.detail),
        cache=stats_message(status.cache),
    )


def status_value(message: pb.StatusResponse) -> Status:
    return Status(
        version=message.version,
        instance=message.instance,
        uptime_s=message.uptime_secs,
        mount_point=message.mount_point,
        state=_STATE_OF.get(message.state, MountState.UNKNOWN),
        pid=message.pid,
        keeper_pid=message.keeper_pid,
        keeper_restarts=message.keeper_restarts,
        crash_reports=message.crash_reports,
        open_file_handles=message.open_file_handles,
        fuse_ops_total=message.fuse_ops_total,
        files_indexed=message.files_indexed,
        tracks=message.tracks,
        problems=message.problems,
        cache_size_bytes=message.cache_size_bytes,
        cache=stats_value(message.cache),
        detail=message.detail,
        origins=tuple(
            OriginStatus(origin.id, origin.origin_type, _health(origin.health), origin.files_count)
            for origin in message.origins
        ),
        work=tuple(Work(work.name, work.done, work.total, work.unit, work.detail) for work in message.work),
    )


def origins_message(origins: tuple[OriginInfo, ...]) -> pb.OriginsResponse:
    return pb.OriginsResponse(
        origins=[
            pb.OriginInfo(
                id=wire_text(origin.id),
                origin_type=wire_text(origin.origin_type),
                display_name=wire_text(origin.display_name),
                root_path=wire_text(origin.root_path),
                health=_HEALTH[origin.health],
                files_count=u64(origin.files_count),
                total_size_bytes=u64(origin.total_size_bytes),
                held_removals=u64(origin.held_removals),
                last_scan_ms=origin.last_scan_ms,
                message=wire_text(origin.message),
            )
            for origin in origins
        ]
    )


def origins_value(message: pb.OriginsResponse) -> tuple[OriginInfo, ...]:
    return tuple(
        OriginInfo(
            id=origin.id,
            origin_type=origin.origin_type,
            display_name=origin.display_name,
            root_path=origin.root_path,
            health=_health(origin.health),
            files_count=origin.files_count,
            total_size_bytes=origin.total_size_bytes,
            held_removals=origin.held_removals,
            last_scan_ms=origin.last_scan_ms,
            message=origin.message,
        )
        for origin in message.origins
    )


def health_message(health: OriginHealth) -> pb.OriginHealthResponse:
    return pb.OriginHealthResponse(
        origin_id=wire_text(health.origin_id),
        status=_HEALTH[health.health],
        message=wire_text(health.message) if health.message else None,
        last_check_secs=u64(health.last_check_s),
        held_removals=u64(health.held_removals),
    )


def health_value(message: pb.OriginHealthResponse) -> OriginHealth:
    return OriginHealth(
        origin_id=message.origin_id,
        health=_health(message.status),
        message=message.message,
        last_check_s=message.last_check_secs,
        held_removals=message.held_removals,
    )


def progress_message(progress: SyncProgress) -> pb.SyncProgress:
    return pb.SyncProgress(
        phase=progress.phase.value,
        current=u32(progress.current),
        total=u32(progress.total),
        current_path=wire_text(progress.current_path),
        bytes_synced=u64(progress.bytes_synced),
        new_files=[
            pb.SyncedFile(path=wire_text(file.path), file_id=file.file_id, virtual_path=wire_text(file.virtual_path))
            for file in progress.new_files
        ],
        added=u64(progress.added),
        modified=u64(progress.modified),
        removed=u64(progress.removed),
        failed=u64(progress.failed),
    )


def progress_value(message: pb.SyncProgress) -> SyncProgress:
    known = message.phase in Phase._value2member_map_
    return SyncProgress(
        phase=Phase(message.phase) if known else Phase.SCANNING,
        current=message.current,
        total=message.total,
        current_path=message.current_path,
        bytes_synced=message.bytes_synced,
        added=message.added,
        modified=message.modified,
        removed=message.removed,
        failed=message.failed,
        new_files=tuple(SyncedFile(file.path, file.file_id, file.virtual_path) for file in message.new_files),
    )


def problems_message(page: ProblemPage) -> pb.ListProblemsResponse:
    return pb.ListProblemsResponse(
        problems=[
            pb.ProblemFile(
                origin_id=wire_text(problem.origin_id), path=wire_text(problem.path), reason=wire_text(problem.reason)
            )
            for problem in page.problems
        ],
        total=u64(page.total),
    )


def problems_value(message: pb.ListProblemsResponse) -> ProblemPage:
    return ProblemPage(
        tuple(ProblemFile(problem.origin_id, problem.path, problem.reason) for problem in message.problems),
        message.total,
    )


def event_message(event: Event) -> pb.Event:
    return pb.Event(
        event_type=event.type.value,
        timestamp_ms=event.time_ms,
        origin_id=wire_text(event.origin_id) or None,
        path=wire_text(event.path) or None,
        file_id=event.file_id or None,
        metadata={wire_text(name): wire_text(value) for name, value in event.details.items()},
    )


def event_value(message: pb.Event) -> Event | None:
    """None for a type of a newer daemon."""
    kind = _EVENT_TYPE_OF.get(message.event_type)
    if kind is None:
        return None
    return Event(
        type=kind,
        time_ms=message.timestamp_ms,
        origin_id=message.origin_id,
        path=message.path,
        file_id=message.file_id,
        details=dict(message.metadata),
    )


def _health(number: pb.HealthStatus) -> Health:
    return _HEALTH_OF.get(number, Health.UNKNOWN)  # a newer daemon may know more
