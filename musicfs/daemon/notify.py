"""What systemd is told of the service: ready, reloading, stopping, alive, and a line for ``systemctl status`` (sd_notify(3)).

Only the mount process speaks. What its children inherit says nothing of the socket: a scan's worker must not be able to say
that the service is ready.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, MutableMapping

log = logging.getLogger(__name__)

_SEND_TIMEOUT_S = 1.0


class Notifier:
    """Speaks to the service manager; without one every method does nothing. Never raises, and hardly blocks."""

    def __init__(self, address: str = "", watchdog_s: float = 0.0) -> None:
        """``address`` is a socket's path, or its abstract name after an ``@``; ``watchdog_s`` 0: nobody waits for a sign of
        life.
        """
        self.watchdog_s = watchdog_s
        self._socket: socket.socket | None = None
        if address[:1] in {"/", "@"}:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.settimeout(_SEND_TIMEOUT_S)
            self._address = "\0" + address[1:] if address[0] == "@" else address

    @classmethod
    def take(cls, environment: MutableMapping[str, str], pid: int) -> Notifier:
        """As the variables say that systemd sets; they are removed, as what they are for is done."""
        address = environment.pop("NOTIFY_SOCKET", "")
        usec = environment.pop("WATCHDOG_USEC", "")
        meant = environment.pop("WATCHDOG_PID", "")
        is_watched = usec.isdecimal() and (not meant or meant == str(pid))
        return cls(address, int(usec) / 1_000_000 if is_watched else 0.0)

    @property
    def is_heard(self) -> bool:
        """Whether there is a service manager."""
        return self._socket is not None

    def ready(self, status: str) -> None:
        """The mount answers, or the new configuration is in force."""
        self._send("READY=1", f"STATUS={status}")

    def status(self, text: str) -> None:
        """One line for people."""
        self._send(f"STATUS={text}")

    def stopping(self, status: str) -> None:
        """The end has begun."""
        self._send("STOPPING=1", f"STATUS={status}")

    def alive(self) -> None:
        """The watchdog may wait anew: it was seen that we answer."""
        self._send("WATCHDOG=1")

    @contextlib.contextmanager
    def reloading(self, status: Callable[[], str]) -> Iterator[None]:
        """Around a reload: systemd waits for its end before it says that it is done. ``status`` is asked at the end."""
        usec = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={usec}", "STATUS=Reloading the configuration")
        try:
            yield
        finally:
            self.ready(status())

    def _send(self, *lines: str) -> None:
        if self._socket is None:
            return
        try:
            text = "\n".join(line.replace("\n", " ") for line in lines)
            self._socket.sendto(os.fsencode(text), self._address)
        except OSError as error:  # systemd may be in the middle of an upgrade of itself
            log.debug("the service manager cannot be told: %s", error.strerror)
