"""Values of ``backend`` about the content cache to protobuf messages and back."""

from __future__ import annotations

from musicfs.api.backend import (
    CacheStats,
    Cleared,
    PinChange,
    PinnedPath,
    PrefetchProgress,
    Tier,
    VerifyProgress,
)
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.wire import u32, u64, wire_text

_TIER_OF = {tier.value: tier for tier in Tier}


def stats_message(stats: CacheStats) -> pb.CacheStats:
    return pb.CacheStats(
        total_size_bytes=u64(stats.limit_bytes),
        used_size_bytes=u64(stats.used_bytes),
        size_limit_bytes=u64(stats.limit_bytes),
        chunk_count=u64(stats.chunk_count),
        chunks_unique=u64(stats.chunks_unique),
        dedup_ratio=stats.dedup_ratio,
        hit_count=u64(stats.hits),
        miss_count=u64(stats.misses),
        hit_ratio=stats.hit_ratio,
        metadata_entries=u64(stats.metadata_entries),
        metadata_bytes=u64(stats.metadata_bytes),
        l1_metadata=pb.TierStats(entries=u64(stats.metadata_entries), size_bytes=u64(stats.metadata_bytes)),
        l2_headers=pb.TierStats(size_bytes=u64(stats.edge_bytes)),
        l3_chunks=pb.TierStats(
            entries=u64(stats.chunks_unique),
            size_bytes=u64(max(stats.used_bytes - stats.edge_bytes, 0)),
            hits=u64(stats.hits),
            misses=u64(stats.misses),
        ),
        fetched_bytes=u64(stats.fetched_bytes),
        saved_bytes=u64(stats.saved_bytes),
        contents=u64(stats.contents),
        contents_complete=u64(stats.contents_complete),
        pins=u64(stats.pins),
        damaged=u64(stats.damaged),
        evictions=u64(stats.evictions),
        evicted_bytes=u64(stats.evicted_bytes),
    )


def stats_value(message: pb.CacheStats) -> CacheStats:
    return CacheStats(
        limit_bytes=message.size_limit_bytes,
        used_bytes=message.used_size_bytes,
        chunk_count=message.chunk_count,
        chunks_unique=message.chunks_unique,
        dedup_ratio=message.dedup_ratio,
        hits=message.hit_count,
        misses=message.miss_count,
        edge_bytes=message.l2_headers.size_bytes,
        contents=message.contents,
        contents_complete=message.contents_complete,
        fetched_bytes=message.fetched_bytes,
        saved_bytes=message.saved_bytes,
        pins=message.pins,
        damaged=message.damaged,
        metadata_entries=message.metadata_entries,
        metadata_bytes=message.metadata_bytes,
        evictions=message.evictions,
        evicted_bytes=message.evicted_bytes,
    )


def tier_value(text: str) -> Tier | None:
    """None for what is no tier."""
    return _TIER_OF.get(text)


def cleared_message(cleared: Cleared) -> pb.ClearCacheResponse:
    return pb.ClearCacheResponse(bytes_cleared=u64(cleared.size_bytes), chunks_cleared=u64(cleared.pieces))


def cleared_value(message: pb.ClearCacheResponse) -> Cleared:
    return Cleared(message.bytes_cleared, message.chunks_cleared)


def prefetch_message(progress: PrefetchProgress) -> pb.PrefetchProgress:
    return pb.PrefetchProgress(
        current_path=wire_text(progress.current_path),
        completed=u32(progress.completed),
        total=u32(progress.total),
        bytes_fetched=u64(progress.fetched_bytes),
        failed=u32(progress.failed),
    )


def prefetch_value(message: pb.PrefetchProgress) -> PrefetchProgress:
    return PrefetchProgress(
        current_path=message.current_path,
        completed=message.completed,
        total=message.total,
        failed=message.failed,
        fetched_bytes=message.bytes_fetched,
    )


def pin_message(change: PinChange) -> pb.PinResponse:
    return pb.PinResponse(files=u64(change.files), size_bytes=u64(change.size_bytes))


def pin_value(message: pb.PinResponse) -> PinChange:
    return PinChange(message.files, message.size_bytes)


def pins_message(pins: tuple[PinnedPath, ...]) -> pb.PinsResponse:
    return pb.PinsResponse(
        pins=[
            pb.PinnedPath(
                path=wire_text(pin.path),
                files=u64(pin.files),
                size_bytes=u64(pin.size_bytes),
                cached_bytes=u64(pin.cached_bytes),
                added_ms=pin.added_ms,
            )
            for pin in pins
        ]
    )


def pins_value(message: pb.PinsResponse) -> tuple[PinnedPath, ...]:
    return tuple(
        PinnedPath(
            path=pin.path,
            files=pin.files,
            size_bytes=pin.size_bytes,
            cached_bytes=pin.cached_bytes,
            added_ms=pin.added_ms,
        )
        for pin in message.pins
    )


def verify_message(progress: VerifyProgress) -> pb.VerifyProgress:
    return pb.VerifyProgress(
        checked=u64(progress.checked),
        total=u64(progress.total),
        damaged=u64(progress.damaged),
        complete=progress.complete,
    )


def verify_value(message: pb.VerifyProgress) -> VerifyProgress:
    return VerifyProgress(
        checked=message.checked, total=message.total, damaged=message.damaged, complete=message.complete
    )
