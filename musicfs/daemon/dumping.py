"""What every thread of a process is doing, for its log."""

from __future__ import annotations

import logging
import sys
import threading
import traceback

log = logging.getLogger(__name__)


def log_stacks(state: object) -> None:
    """Log what is known of the process's state, and the stack of each of its threads. On any thread."""
    log.warning("asked for: state %s", state)
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sorted(sys._current_frames().items(), key=lambda pair: names.get(pair[0], "")):
        stack = " < ".join(
            f"{line.name} ({line.filename.rpartition('/')[2]}:{line.lineno})"
            for line in reversed(traceback.extract_stack(frame))
        )
        log.warning("asked for: thread %s: %s", names.get(ident, ident), stack)
