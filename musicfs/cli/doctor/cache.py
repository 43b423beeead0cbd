"""The content cache, and what damage has left beside the stores."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator

from musicfs.cli.doctor.finding import Examination, Finding, ok, warn
from musicfs.cli.output import share, size

_ASIDE = ".damaged-"
# Folder -> which stores may be put aside in it, and what a user loses with one.
_REBUILT = "it has been replaced, and nothing in it is needed: "
_USERS = "it holds what you had pinned; when you have pinned that again: "
_STORES = {"cache_dir": (("chunks", _REBUILT), ("catalog", _REBUILT)), "state_dir": (("state", _USERS),)}


def content(examination: Examination) -> Iterator[Finding]:
    """The content store is within its limit, and the disk has room for what it may still take."""
    from musicfs.daemon.reading import content_limit_bytes, content_path

    limit = content_limit_bytes(examination.settings)
    path = content_path(examination.settings)
    used = _disk_bytes(path)
    if not limit:
        if used:
            yield warn(
                "cache", f"{path} takes {size(used)}, but no content is kept", f"run `rm -r {shlex.quote(path)}`"
            )
        return
    found = os.statvfs(_existing(path))
    free = found.f_bavail * found.f_frsize
    if used + free < limit:
        yield warn(
            "cache",
            f"content may take {size(limit)}, but has {size(used)} and the disk only {size(free)} more",
            "lower cache.content_cache_gb, or choose another cache_dir; when the disk is full, nothing more is kept",
        )
    else:
        yield ok("cache", f"{path}, {share(used, limit)}, {size(free)} free on its disk")


def put_aside(examination: Examination) -> Iterator[Finding]:
    """No damaged store takes up room."""
    for name, stores in _STORES.items():
        folder = getattr(examination.settings, name)
        try:
            entries = sorted(os.listdir(folder))
        except OSError:
            continue  # it is not there yet, or has a finding of its own
        for store, remark in stores:
            for entry in entries:
                path = os.path.join(folder, entry)
                if entry.startswith(store + _ASIDE) and os.path.isdir(path):
                    message = f"{path} was found damaged and put aside; it takes {size(_disk_bytes(path))}"
                    yield warn("cache", message, f"{remark}`rm -r {shlex.quote(path)}`")


def _disk_bytes(folder: str) -> int:
    """What the files of a store take; 0 if it is not there."""
    try:
        with os.scandir(folder) as entries:
            return sum(entry.stat().st_blocks * 512 for entry in entries if entry.is_file())
    except OSError:
        return 0


def _existing(path: str) -> str:
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path
