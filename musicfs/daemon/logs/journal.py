"""Records for systemd's journal in its native protocol: its readers can ask for fields (``MUSICFS_PROCESS=keeper``).

One datagram a record, ``NAME=value`` lines, or for values of several lines the name, their length in 64 bits and the value;
what is too large for a datagram goes into a sealed memory file whose descriptor is sent
(https://systemd.io/JOURNAL_NATIVE_PROTOCOL/).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import socket
import struct
from collections.abc import Iterable, Mapping

from musicfs.daemon.logs.forms import message_of, traceback_of

SOCKET = "/run/systemd/journal/socket"
_TOO_LARGE = frozenset((errno.EMSGSIZE, errno.ENOBUFS))
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


class Journal(logging.Handler):
    """Never waits for the journal: what it does not take at once is lost, and counted."""

    def __init__(self, process: str, instance: str, path: str = SOCKET) -> None:
        """Raises OSError when there is no journal."""
        super().__init__()
        self._always = {"SYSLOG_IDENTIFIER": "musicfs", "MUSICFS_PROCESS": process, "MUSICFS_INSTANCE": instance}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self._path = path
        try:
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise
        self.lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._send(encode_fields(self._fields(record)))
        except OSError:
            self.lost += 1

    def _fields(self, record: logging.LogRecord) -> Mapping[str, str]:
        lines = traceback_of(record)
        return {
            "MESSAGE": "\n".join((message_of(record), *lines)),
            "PRIORITY": str(priority_of(record.levelno)),
            **self._always,
            "MUSICFS_MODULE": record.name,
            "MUSICFS_THREAD": record.threadName or "",
            "MUSICFS_LEVEL": record.levelname.lower(),
            "CODE_FILE": record.pathname,
            "CODE_LINE": str(record.lineno),
            "CODE_FUNC": record.funcName or "",
        }

    def _send(self, data: bytes) -> None:
        try:
            self._socket.send(data)
        except OSError as error:
            if error.errno in _TOO_LARGE:
                self._send_large(data)
            elif error.errno in (errno.ECONNREFUSED, errno.ENOTCONN, errno.ECONNRESET):  # the journal was restarted
                self._socket.connect(self._path)
                self._socket.send(data)
            else:
                raise

    def _send_large(self, data: bytes) -> None:
        descriptor = os.memfd_create("musicfs-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", descriptor))
            self._socket.sendmsg([b""], [rights])
        finally:
            os.close(descriptor)

    def close(self) -> None:
        self._socket.close()
        super().close()


def priority_of(level: int) -> int:
    """The priority of syslog(3) for a level of logging."""
    for least, priority in ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6)):
        if level >= least:
            return priority
    return 7


def encode_fields(fields: Mapping[str, str]) -> bytes:
    """Fields as the journal's datagram has them; empty ones are left out."""
    return b"".join(_encode(fields.items()))


def _encode(fields: Iterable[tuple[str, str]]) -> Iterable[bytes]:
    for name, text in fields:
        value = text.encode("utf-8", "backslashreplace")
        if b"\n" in value:
            yield name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
        elif value:
            yield name.encode() + b"=" + value + b"\n"


def is_standard_error(environment: Mapping[str, str], descriptor: int = 2) -> bool:
    """Whether what is written to standard error goes to the journal anyway (systemd.exec(5), ``$JOURNAL_STREAM``)."""
    with contextlib.suppress(OSError, ValueError):
        device, inode = map(int, environment.get("JOURNAL_STREAM", "").split(":"))
        found = os.fstat(descriptor)
        return (found.st_dev, found.st_ino) == (device, inode)
    return False
