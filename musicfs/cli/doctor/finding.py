"""What a check is given and what it gives back."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.api.client import Client
    from musicfs.config.settings import Settings


class Level(StrEnum):
    """``FAIL``: something does not work. ``WARN``: it works, but perhaps not as wished."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True):
    """One line of the report. ``remedy`` is for everything but ``OK``."""

    check: str
    level: Level
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class System:
    """The files in which Linux says how it is; tests put others in their place."""

    fuse_device: str = "/dev/fuse"
    fuse_conf: str = "/etc/fuse.conf"
    mountinfo: str = "/proc/self/mountinfo"
    inotify: str = "/proc/sys/fs/inotify"
    apparmor_profiles: str = "/sys/kernel/security/apparmor/profiles"
    search_path: str = field(default_factory=lambda: os.environ.get("PATH", os.defpath))
    is_root: bool = field(default_factory=lambda: os.geteuid() == 0)
    now_s: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class Examination:
    """All that checks look at. ``settings`` has defaults in place of what is wrong in the configuration."""

    settings: Settings
    connect: Callable[[], Client]
    environment: Mapping[str, str]
    system: System = field(default_factory=System)


Check = Callable[[Examination], Iterable[Finding]]


def ok(check: str, message: str) -> Finding:
    return Finding(check, Level.OK, message)


def warn(check: str, message: str, remedy: str) -> Finding:
    return Finding(check, Level.WARN, message, remedy)


def fail(check: str, message: str, remedy: str) -> Finding:
    return Finding(check, Level.FAIL, message, remedy)
