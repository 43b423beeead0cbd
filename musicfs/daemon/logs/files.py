"""Handlers that write lines: to standard error, and to a file a day.

A day's file is ``<instance>-YYYY-MM-DD.log``: nobody renames it, so both processes (and a file left open by a worker) agree
on where a line goes without speaking. Each line is one write to a file opened for appending, which the kernel keeps whole
(write(2)). Who opens a new day's file removes those that are too old.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
import time

_STANDARD_ERROR = 2


class StandardError(logging.Handler):
    """Lines on standard error. What cannot be written is dropped: there is nobody left to tell."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            write_line(_STANDARD_ERROR, self.format(record))


class DailyFile(logging.Handler):
    """Lines in the file of their day."""

    def __init__(self, folder: str, instance: str, keep_days: int, *, takes_standard_error: bool) -> None:
        """``takes_standard_error`` has the process's standard error go to the day's file too: what dies there says why.

        Nothing is opened before the first line.
        """
        super().__init__()
        self._folder = folder
        self._instance = instance
        self._keep_days = keep_days
        self._takes_standard_error = takes_standard_error
        self._opening = threading.Lock()
        self._descriptor = -1
        self._until = 0.0
        self.lost = 0  # lines that could not be written

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if record.created >= self._until:
                self._open(record.created)
            write_line(self._descriptor, self.format(record))
        except OSError:  # a full disk, a folder that is gone: the log is not what MusicFS is for
            self.lost += 1

    def _open(self, now: float) -> None:
        with self._opening:
            if now < self._until:
                return
            fresh = open_log(day_path(self._folder, self._instance, now))
            if self._takes_standard_error:
                os.dup2(fresh, _STANDARD_ERROR)
            old, self._descriptor = self._descriptor, fresh
            self._until = next_midnight(now)
            if old >= 0:
                os.close(old)
        remove_old(self._folder, self._instance, self._keep_days, now)

    def close(self) -> None:
        with self._opening:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor, self._until = -1, 0.0
        super().close()


def write_line(descriptor: int, text: str) -> None:
    """Write a line in one system call. Raises OSError."""
    os.write(descriptor, text.encode("utf-8", "backslashreplace") + b"\n")


def open_log(path: str) -> int:
    """A descriptor for appending to a log that only its user reads; its folder is made. Raises OSError."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def day_path(folder: str, instance: str, now: float) -> str:
    """The file for lines of this moment, in local time."""
    return os.path.join(folder, f"{instance}-{time.strftime('%Y-%m-%d', time.localtime(now))}.log")


def next_midnight(now: float) -> float:
    """When the local day of ``now`` ends; days of 23 and 25 hours included."""
    return _midnight(now, 1)


def _midnight(now: float, days: int) -> float:
    """When the local day so many days after that of ``now`` begins; mktime(3) knows how long each is."""
    local = time.localtime(now)
    return time.mktime((local.tm_year, local.tm_mon, local.tm_mday + days, 0, 0, 0, 0, 0, -1))


def remove_old(folder: str, instance: str, keep_days: int, now: float) -> None:
    """Remove files of this instance from more than ``keep_days`` days ago. What cannot be removed stays."""
    oldest = time.strftime("%Y-%m-%d", time.localtime(_midnight(now, -keep_days)))
    pattern = re.compile(re.escape(instance) + r"-(\d{4}-\d\d-\d\d)\.log")
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            found = pattern.fullmatch(name)
            if found and found[1] < oldest:
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(folder, name))
