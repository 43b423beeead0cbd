"""Reading files of an SMB origin: exactly the bytes asked for, of exactly the version asked for.

Behind each read its compound asks for the file's size and times, and the server works a compound off in order: nothing was
written before the bytes were read if the version is still the same after it. A file that is kept open may meanwhile be
another than the one of that name, so what does not fit is tried once more with a newly opened file.
"""

from __future__ import annotations

import collections
import struct

from musicfs.errors import ChangedError, UnreachableError
from musicfs.origins import smb_messages as messages
from musicfs.origins.smb_connection import Answer, Exchange
from musicfs.origins.smb_errors import (
    BUFFER_OVERFLOW,
    STALE,
    SUCCESS,
    changed,
    gone,
    path_error,
    place,
)
from musicfs.origins.smb_messages import Facts, Message
from musicfs.origins.smb_pool import Handle, Pool

# On the way at a time: one stream on a line of 1 Gbit/s and 50 ms holds 6 MB.
AHEAD_BYTES = 8 << 20


class WantedRange:
    """What one call of ``read`` wants, ``0 <= start <= stop``, and the proof that answers are that."""

    __slots__ = ("origin_id", "path", "start", "stop", "version")

    def __init__(self, origin_id: str, path: str, start: int, stop: int, version: str) -> None:
        self.origin_id = origin_id
        self.path = path
        self.start = start
        self.stop = stop
        self.version = version

    def take(self, answers: list[Answer], size_bytes: int, *, kept: bool) -> memoryview:
        """The ``size_bytes`` in the answers to :func:`plan_part`, proven to be of a file with this range and version.

        ``kept`` says that the file was open before this call: then its name may have gone to another. A file that loses its
        name only after this call opened it is as good as any.
        """
        *read, asked = answers
        if kept and any(answer.status in STALE for answer in answers):
            raise _StaleError
        facts = facts_in(asked, self.origin_id, self.path)
        if kept and facts.deleted:
            raise _StaleError
        self._prove(facts)
        if not read:
            return memoryview(b"")
        if read[0].status != SUCCESS:
            raise path_error(read[0].status, self.origin_id, self.path)
        data = messages.data_of(read[0].body)
        if len(data) != size_bytes:
            raise changed(self.origin_id, self.path, "was changed while it was read")
        return data

    def _prove(self, facts: Facts) -> None:
        if facts.is_folder:
            raise gone(self.origin_id, self.path)
        if self.version and facts.version != self.version:
            raise changed(self.origin_id, self.path)
        if self.stop > facts.size_bytes:
            raise changed(self.origin_id, self.path, f"has no bytes {self.start} to {self.stop} in {facts.size_bytes}")


class _StaleError(Exception):
    """A file that was kept open is not the one of its name any more, or not open any more."""


def facts_in(answer: Answer, origin_id: str, path: str) -> Facts:
    """The facts that :func:`~musicfs.origins.smb_messages.query_facts` asked for. Raises OriginError."""
    if answer.status not in {SUCCESS, BUFFER_OVERFLOW}:
        raise path_error(answer.status, origin_id, path)
    try:
        return messages.facts_of(answer.body)
    except struct.error as error:
        raise UnreachableError(f"{place(origin_id, path)}: the server's answer makes no sense") from error


def plan_part(start: int, stop: int, file_id: bytes = messages.RELATED_FILE_ID) -> tuple[Message, ...]:
    """The requests for the bytes ``[start, stop)`` and the version behind them."""
    if start == stop:
        return (messages.query_facts(file_id),)
    return messages.read_file(start, stop, file_id), messages.query_facts()


def read_open_file(pool: Pool, wanted: WantedRange) -> bytes | None:
    """The range through a file that is kept open; None where none is, or it is not the file of that name any more."""
    handle = pool.handles.borrow(wanted.path)
    if handle is None:
        return None
    stale = True
    try:
        data = _read_through(handle, wanted, wanted.start, [], kept=True)
        stale = False
    except (ChangedError, _StaleError):
        return None
    finally:
        pool.handles.give_back(handle, stale=stale)
    return data


def open_and_read(pool: Pool, wanted: WantedRange, server_path: str) -> bytes | int:
    """The range through a newly opened file, or the status with which the server refused to open it.

    Opening it, the first part and its version are one round trip.
    """
    connection = pool.pick()
    part_stop = min(wanted.stop, wanted.start + connection.read_bytes)
    opened, *answers = connection.ask(
        messages.open_file(server_path, for_data=True), *plan_part(wanted.start, part_stop)
    )
    if opened.status != SUCCESS:
        return opened.status
    handle = Handle(connection, wanted.path, messages.file_id_of(opened.body))
    stale = True
    try:
        first = wanted.take(answers, part_stop - wanted.start, kept=False)
        pool.handles.keep(handle)
        data = _read_through(handle, wanted, part_stop, [first], kept=False)
        stale = False
    finally:
        pool.handles.give_back(handle, stale=stale)
    return data


def _read_through(handle: Handle, wanted: WantedRange, start: int, parts: list[memoryview], *, kept: bool) -> bytes:
    """``parts`` with the bytes ``[start, wanted.stop)`` behind them; requests do not wait for the answers before them."""
    connection = handle.connection
    waiting: collections.deque[tuple[Exchange, int]] = collections.deque()
    asked = collected = start
    version_unknown = not parts  # an empty range too is one of a version
    try:
        while version_unknown or asked < wanted.stop or waiting:
            if version_unknown or (asked < wanted.stop and asked - collected < AHEAD_BYTES):
                part_stop = min(wanted.stop, asked + connection.read_bytes)
                requests = plan_part(asked, part_stop, handle.file_id)
                exchange = connection.send_now(*requests) if waiting else connection.send(*requests)
                if exchange is not None:
                    waiting.append((exchange, part_stop - asked))
                    asked, version_unknown = part_stop, False
                    continue
            exchange, size_bytes = waiting.popleft()
            parts.append(wanted.take(exchange.collect(), size_bytes, kept=kept))
            collected += size_bytes
    finally:
        for exchange, _ in waiting:
            exchange.abandon()
    return bytes(parts[0]) if len(parts) == 1 else b"".join(parts)
