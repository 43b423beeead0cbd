"""What the mount process tells its keeper about itself and not about the library: log, stacks, signs of life, its end."""

from __future__ import annotations

from collections.abc import Callable

from musicfs.daemon.crashes import CrashReports
from musicfs.daemon.dumping import dump
from musicfs.daemon.link import Dump, Link, Message, Ping, Reloaded, Relog, Unmounting
from musicfs.daemon.logs import Logs
from musicfs.daemon.reload_requests import ReloadRequests


class Orders:
    """Follows them, on the thread that reads the link."""

    def __init__(self, link: Link, logs: Logs, crashes: CrashReports) -> None:
        self._link = link
        self._logs = logs
        self.crashes = crashes
        self.reloads = ReloadRequests(link.send)
        self.on_unmounting: Callable[[], object] = lambda: None

    def follow(self, message: Message, state: Callable[[], object]) -> bool:
        """True if it was one of these. ``state`` is what is to be said of the process, when somebody asks."""
        match message:
            case Ping():
                self._link.send(message)
            case Relog():
                self._logs.apply(message.logs)
            case Dump():
                dump("keeper", state(), message.path)
            case Reloaded():
                self.reloads.note(message)
            case Unmounting():
                self.on_unmounting()
            case _:
                return False
        return True
