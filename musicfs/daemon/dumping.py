"""What a process knows and what each of its threads is doing: for its log, and in a file for who reports a bug.

``state_dir/dumps/dump-TIME.json`` has one JSON object a process, each on a line; the newest five files are kept.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
import traceback

import msgspec

from musicfs import __version__
from musicfs.config.secrets import redact

log = logging.getLogger(__name__)

_KEPT = 5
_PREFIX = "dump-"


def new_dump_path(state_dir: str) -> str:
    """Where the next dump goes, for all processes. Removes the oldest; empty if there can be none."""
    folder = os.path.join(state_dir, "dumps")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        dumps = sorted(name for name in os.listdir(folder) if name.startswith(_PREFIX))
    except OSError as error:
        log.warning("no file for what was asked for in %s: %s", folder, error.strerror)
        return ""
    for name in dumps[: -_KEPT + 1 or None]:
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(folder, name))
    now = time.time()
    return os.path.join(
        folder, f"{_PREFIX}{time.strftime('%Y%m%dT%H%M%S', time.localtime(now))}.{int(now % 1 * 1000):03d}.json"
    )


def dump(process: str, state: object, path: str) -> None:
    """Log what is known of the process's state, and the stack of each of its threads, and add it to the file; on any thread.

    An empty ``path``: to the log alone.
    """
    threads = _threads()
    log.warning("asked for: state %s", state)
    for name, stack in threads:
        log.warning("asked for: thread %s: %s", name, " < ".join(stack))
    if path:
        about = {
            "process": process,
            "pid": os.getpid(),
            "version": __version__,
            "python": sys.version.split()[0],
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "open_files": _count("/proc/self/fd"),
            "state": state,
            "threads": [{"name": name, "stack": stack} for name, stack in threads],
        }
        _append(path, msgspec.json.encode(about, enc_hook=str).decode())


def _threads() -> list[tuple[str, list[str]]]:
    """Every thread's name, and its stack with the innermost call first."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    found = []
    for ident, frame in sorted(sys._current_frames().items(), key=lambda pair: names.get(pair[0], "")):
        stack = [
            f"{line.name} ({line.filename.rpartition('/')[2]}:{line.lineno})"
            for line in reversed(traceback.extract_stack(frame))
        ]
        found.append((names.get(ident, str(ident)), stack))
    return found


def _append(path: str, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(descriptor, redact(text).encode("utf-8", "backslashreplace") + b"\n")
        finally:
            os.close(descriptor)
    except OSError as error:
        log.warning("%s cannot be written: %s", path, error.strerror)
    else:
        log.warning("asked for: all of this is in %s", path)


def _count(folder: str) -> int:
    try:
        return len(os.listdir(folder))
    except OSError:
        return -1
