"""What scans have found since the keeper was started, by origin."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import msgspec

from musicfs.library.scan import Outcome


class ScanCount(msgspec.Struct, frozen=True):
    """What the scans of one origin, or of folders of it, have found."""

    completed: int = 0
    failed: int = 0
    added: int = 0
    modified: int = 0
    removed: int = 0
    last_changed: int = 0  # files that the last scan found new, changed or gone
    last_s: float = 0.0  # how long the last one took


class ScanCounts:
    """Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, ScanCount] = {}

    def snapshot(self) -> Mapping[str, ScanCount]:
        """The counts as they are now, of all origins that were scanned."""
        with self._lock:
            return dict(self._counts)

    def note(self, origin_id: str, outcome: Outcome) -> None:
        """A scan has come to its end."""
        modified = max(outcome.read - outcome.new, 0)
        with self._lock:
            seen = self._counts.get(origin_id, ScanCount())
            self._counts[origin_id] = ScanCount(
                completed=seen.completed + 1,
                failed=seen.failed,
                added=seen.added + outcome.new,
                modified=seen.modified + modified,
                removed=seen.removed + outcome.removed,
                last_changed=outcome.new + modified + outcome.removed,
                last_s=outcome.seconds,
            )

    def note_failure(self, origin_id: str) -> None:
        """A scan has not."""
        with self._lock:
            seen = self._counts.get(origin_id, ScanCount())
            self._counts[origin_id] = msgspec.structs.replace(seen, failed=seen.failed + 1)
