"""The event types that clients can subscribe to, and the value that carries one. No bus here: see ``daemon``."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class EventType(StrEnum):
    """The eleven types of the wire contract; their values are what clients filter by."""

    FILE_ADDED = "file_added"
    FILE_REMOVED = "file_removed"
    FILE_MODIFIED = "file_modified"
    FILE_ACCESSED = "file_accessed"
    METADATA_CHANGED = "metadata_changed"
    ORIGIN_CONNECTED = "origin_connected"
    ORIGIN_DISCONNECTED = "origin_disconnected"
    ORIGIN_HEALTH_CHANGED = "origin_health_changed"
    SYNC_STARTED = "sync_started"
    SYNC_COMPLETED = "sync_completed"
    CACHE_EVICTION = "cache_eviction"


class Event(msgspec.Struct, frozen=True):
    """Something that happened. ``path`` is virtual for file events; ``detail`` holds short strings for people."""

    type: EventType
    time_ms: int
    origin_id: str = ""
    path: str = ""
    file_id: int = 0
    detail: dict[str, str] = msgspec.field(default_factory=dict)
