"""The system's limits against what the library needs."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator

from musicfs.cli.doctor.finding import Examination, Finding, ok, warn
from musicfs.cli.output import counted

_MIN_OPEN_FILES = 4096  # 1,500 files open at once, each with its origin's, the stores and the control socket
_MIN_QUEUED_EVENTS = 16384  # the kernel's default
_COUNT_DEADLINE_S = 3.0


def open_files(_examination: Examination) -> Iterator[Finding]:
    """Enough descriptors for many players and scanners at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    best = float("inf") if hard == resource.RLIM_INFINITY else hard
    if best < _MIN_OPEN_FILES:
        yield warn(
            "open files",
            f"a process may open {hard} files; {_MIN_OPEN_FILES} are advised",
            "raise `LimitNOFILE=` of the service, or `nofile` in /etc/security/limits.conf",
        )
    else:
        yield ok("open files", f"{soft} now, {'no limit' if hard == resource.RLIM_INFINITY else hard} at most")


def inotify(examination: Examination) -> Iterator[Finding]:
    """Enough watches for the folders of the watched origins, and room for their events."""
    origins = [origin for origin in examination.settings.origins if origin.enabled and origin.watch]
    if not origins:
        return
    watches = _number(os.path.join(examination.system.inotify, "max_user_watches"))
    events = _number(os.path.join(examination.system.inotify, "max_queued_events"))
    if watches is None or events is None:
        yield warn("inotify", f"{examination.system.inotify} cannot be read", "changes may have to be polled")
        return
    needed, is_all = _folders([(origin.folder, origin.watch_limit) for origin in origins if origin.folder], watches)
    folders = counted(needed, "folder") + ("" if is_all else " or more")
    if needed > watches:
        yield warn(
            "inotify",
            f"{folders} to watch, but the limit is {watches}; the rest is polled",
            f"run `sysctl fs.inotify.max_user_watches={_power_of_two(2 * needed)}`, and keep it in /etc/sysctl.d",
        )
    elif events < _MIN_QUEUED_EVENTS:
        yield warn(
            "inotify",
            f"the kernel queues only {events} events: a burst of changes costs a full scan",
            f"run `sysctl fs.inotify.max_queued_events={_MIN_QUEUED_EVENTS}`",
        )
    else:
        yield ok("inotify", f"{folders} to watch, {watches} watches allowed")


def _folders(origins: list[tuple[str, int]], enough: int) -> tuple[int, bool]:
    """How many folders are to be watched, and whether all were counted: it stops above ``enough`` and after some seconds."""
    stop = time.monotonic() + _COUNT_DEADLINE_S
    total = 0
    for root, limit in origins:
        count = 0
        for _ in os.walk(root):
            count += 1
            if count >= limit:
                break
            if total + count > enough or time.monotonic() > stop:
                return total + count, False
        total += count
    return total, True


def _number(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as stream:
            return int(stream.read())
    except (OSError, ValueError):
        return None


def _power_of_two(minimum: int) -> int:
    return 1 << (minimum - 1).bit_length()
