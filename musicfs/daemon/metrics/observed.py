"""What there is to tell at one moment."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Protocol

import msgspec

from musicfs.api.backend import OriginInfo, Status
from musicfs.daemon.link import Counters
from musicfs.daemon.metrics.processes import Usage
from musicfs.daemon.scan_counts import ScanCount
from musicfs.origins.wrappers.trace import OperationCount
from musicfs.origins.wrappers.wrapper import Operation


class Told(Protocol):
    """Who knows how the mount is doing: a part of the API's Backend."""

    counters: Counters

    def status(self) -> Status:
        """The state of the mount and what it holds."""
        ...

    def origins(self) -> tuple[OriginInfo, ...]:
        """Every origin and what it holds."""
        ...


class Disk(msgspec.Struct, frozen=True):
    """Room on the disk that a folder lies on."""

    free_bytes: int  # for us, which may be less than for the superuser
    size_bytes: int


class WebhookCount(msgspec.Struct, frozen=True):
    """What has become of events for one webhook since the keeper was started."""

    delivered: int = 0  # events, several of which may go in one request
    failed: int = 0  # given up, or refused
    lost: int = 0  # never sent, as too many waited


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. ``counters.fuse`` is empty as long as the mount has told this keeper nothing."""

    status: Status
    origins: tuple[OriginInfo, ...]
    counters: Counters
    keeper_started_s: float  # since 1970 UTC
    mount_started_s: float
    keeper_hangs: int = 0  # of the restarts
    asked: Mapping[str, Mapping[Operation, OperationCount]] = {}  # of origins by the keeper, by id
    scans: Mapping[str, ScanCount] = {}
    usage: Mapping[str, Usage] = {}
    disks: Mapping[str, Disk] = {}  # by what lies there
    events: Mapping[str, int] = {}  # type -> published
    webhooks: Mapping[str, WebhookCount] = {}
    index_in_step: bool = True
    index_behind: int = 0  # writes to the library that it does not have yet
    index_bytes: int = 0
    crashes_s: Mapping[str, float] = {}  # process -> when its last report was written, since 1970 UTC
    certificate_stop_s: float | None = None  # when it expires; None without one


def disks(folders: Mapping[str, str]) -> dict[str, Disk]:
    """The disks that ``folders`` lie on, under the same names; one that cannot be asked is left out."""
    found = {}
    for name, folder in folders.items():
        with contextlib.suppress(OSError):
            there = os.statvfs(folder)
            found[name] = Disk(there.f_bavail * there.f_frsize, there.f_blocks * there.f_frsize)
    return found
