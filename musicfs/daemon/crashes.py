"""Reports of what killed a process, or one of its threads: in ``state_dir/crashes``, the newest twenty.

``PROCESS-TIME-PID.txt`` is written for an exception that nobody caught; ``PROCESS-TIME-PID.fault`` is kept open by
:mod:`faulthandler`, which writes there while a process dies of a signal such as SIGSEGV: one that is empty belongs to
a process that lives, or that died of something else, and is not a report.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import platform
import sys
import threading
import time
import traceback
from typing import IO

import msgspec

from musicfs import __version__
from musicfs.config.secrets import redact

log = logging.getLogger(__name__)

RECENT_DAYS = 30
_KEPT = 20
_ENDINGS = (".txt", ".fault")


class CrashReport(msgspec.Struct, frozen=True):
    """One report. ``process`` is who died."""

    path: str
    process: str
    time_ns: int


def crashes_folder(state_dir: str) -> str:
    """Where reports are."""
    return os.path.join(state_dir, "crashes")


def list_crashes(folder: str) -> list[CrashReport]:
    """What is there, newest first. A folder that cannot be read has none."""
    found = []
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            with contextlib.suppress(OSError):  # it went meanwhile
                status = entry.stat(follow_symlinks=False)
                if entry.name.endswith(_ENDINGS) and status.st_size:
                    found.append(CrashReport(entry.path, entry.name.partition("-")[0], status.st_mtime_ns))
    return sorted(found, key=lambda one: one.time_ns, reverse=True)


def recent_crashes(folder: str, now_ns: int) -> list[CrashReport]:
    """Those of the last :data:`RECENT_DAYS` days, newest first."""
    since_ns = now_ns - RECENT_DAYS * 86_400 * 1_000_000_000
    return [one for one in list_crashes(folder) if one.time_ns >= since_ns]


class CrashReports:
    """The reports of this process, from :meth:`arm` on."""

    def __init__(self, folder: str, process: str) -> None:
        """``process`` is what it is called: "mount" or "keeper"."""
        self._folder = folder
        self._process = process
        self._fault: IO[bytes] | None = None

    def arm(self) -> None:
        """Have every way to die that Python can see leave a report. What cannot be written is not."""
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            self._tidy()
            self._fault = open(self._path(".fault"), "ab")  # noqa: SIM115 # for as long as the process lives
            faulthandler.enable(self._fault, all_threads=True)
        except OSError as error:
            log.warning("crashes leave no reports in %s: %s", self._folder, error.strerror)
        sys.excepthook = lambda kind, error, trace: self._uncaught(error, threading.current_thread())
        threading.excepthook = lambda given: self._uncaught(given.exc_value, given.thread)

    def disarm(self) -> None:
        """The process ends as it should."""
        if self._fault is not None:
            faulthandler.disable()
            self._fault.close()
            with contextlib.suppress(OSError):
                if not os.path.getsize(self._fault.name):
                    os.unlink(self._fault.name)
            self._fault = None
        sys.excepthook, threading.excepthook = sys.__excepthook__, threading.__excepthook__

    def report(self, error: BaseException, thread: threading.Thread | None = None) -> None:
        """Write down an exception that ends the process, or a thread of it. Does not raise."""
        where = (thread or threading.current_thread()).name
        lines = (
            f"MusicFS {__version__}, {self._process} (pid {os.getpid()}), thread {where}",
            f"{time.strftime('%Y-%m-%d %H:%M:%S %z')}, Python {platform.python_version()}, {platform.platform()}",
            "",
            "".join(traceback.format_exception(error)),
        )
        with contextlib.suppress(OSError):  # a full disk: the log has it too, perhaps
            descriptor = os.open(self._path(".txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, redact("\n".join(lines)).encode("utf-8", "backslashreplace"))
            finally:
                os.close(descriptor)

    def _uncaught(self, error: BaseException | None, thread: threading.Thread | None) -> None:
        if error is None or isinstance(error, SystemExit | KeyboardInterrupt):
            return
        self.report(error, thread)
        name = thread.name if thread is not None else "unknown"
        log.critical("the thread %s of the %s ended: a bug", name, self._process, exc_info=error)

    def _path(self, ending: str) -> str:
        return os.path.join(self._folder, f"{self._process}-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}{ending}")

    def _tidy(self) -> None:
        """Remove what is beyond the newest, and the empty files of processes that live no more."""
        for old in list_crashes(self._folder)[_KEPT - 1 :]:
            with contextlib.suppress(OSError):
                os.unlink(old.path)
        for entry in os.scandir(self._folder):
            pid = entry.name.rpartition("-")[2].removesuffix(".fault")
            if entry.name.endswith(".fault") and pid.isdecimal() and not os.path.exists(f"/proc/{pid}"):
                with contextlib.suppress(OSError):
                    if not entry.stat().st_size:
                        os.unlink(entry.path)
