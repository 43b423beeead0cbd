"""What the configuration asks of the log, and the handlers that do it. Both may change while the process lives."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from typing import Literal

import msgspec

from musicfs.config.settings import Settings
from musicfs.daemon.logs.files import DailyFile, StandardError
from musicfs.daemon.logs.filters import Levels, parse_filter
from musicfs.daemon.logs.forms import JsonForm, LineForm

log = logging.getLogger(__name__)


class LogSetup(msgspec.Struct, frozen=True):
    """Where the log goes and what is in it: the same for both processes."""

    level: str
    instance: str
    folder: str  # of the daily files; empty: there are none
    keep_days: int
    json: bool
    journal: Literal["auto", "on", "off"]
    in_background: bool  # standard error is the day's file


def plan_logs(settings: Settings, *, in_background: bool) -> LogSetup:
    """What the settings come to. In the background there is no terminal: the files then have a folder of their own."""
    wanted = settings.logging
    return LogSetup(
        level=wanted.level,
        instance=settings.instance,
        folder=wanted.log_dir or (log_folder(settings) if in_background else ""),
        keep_days=wanted.keep_days,
        json=wanted.json_output,
        journal=wanted.journald,
        in_background=in_background,
    )


def log_folder(settings: Settings) -> str:
    """Where daily files are: any user can write there, unlike to /var/log."""
    return settings.logging.log_dir or os.path.join(settings.state_dir, "log")


class Logs:
    """The log of this process."""

    def __init__(self, process: str, environment: Mapping[str, str] = os.environ) -> None:
        """``process`` is named in every line."""
        self._process = process
        self._environment = environment
        self._levels = Levels()
        self._applying = threading.Lock()
        self._handlers: list[logging.Handler] = []

    def apply(self, setup: LogSetup) -> None:
        """Log like this from now on, in the place of what was before."""
        with self._applying:
            handlers, missing = self._open(setup)
            form = JsonForm(self._process) if setup.json else LineForm(self._process)
            for handler in handlers:
                handler.setFormatter(form)
            root = logging.getLogger()
            old = self._handlers or list(root.handlers)
            root.handlers[:] = [one for one in root.handlers if one not in old] + handlers
            self._handlers = handlers
            for handler in old:
                handler.close()
            self._levels.apply(parse_filter(setup.level))
        if missing:
            log.warning("logging.journald is on, but %s; logging to standard error", missing)

    def _open(self, setup: LogSetup) -> tuple[list[logging.Handler], str]:
        handlers: list[logging.Handler] = []
        has_journal, missing = False, ""
        if setup.journal == "on" or (setup.journal == "auto" and "JOURNAL_STREAM" in self._environment):
            has_journal, missing = self._open_journal(setup, handlers)
        if setup.folder:
            handlers.append(
                DailyFile(setup.folder, setup.instance, setup.keep_days, takes_standard_error=setup.in_background)
            )
        if not setup.in_background and not has_journal:
            handlers.append(StandardError())
        return handlers, missing

    def _open_journal(self, setup: LogSetup, handlers: list[logging.Handler]) -> tuple[bool, str]:
        """Whether standard error may be left out, as it is the journal too, and why there is no journal that must be."""
        from musicfs.daemon.logs.journal import Journal, is_standard_error  # late: few mounts have one

        is_journal = is_standard_error(self._environment)
        if setup.journal == "auto" and not is_journal:
            return False, ""
        try:
            handlers.append(Journal(self._process, setup.instance))
        except OSError as error:
            return False, f"the journal cannot be reached: {error.strerror}" if setup.journal == "on" else ""
        return is_journal, ""
