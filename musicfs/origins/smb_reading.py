"""Reading files of an SMB origin: exactly the bytes asked for, of exactly the version asked for.

Behind each read its compound asks for the file's size and times, and the server works a compound off in order: nothing was
written before the bytes were read if the version is still the same after it. A file that is kept open may meanwhile be
another than the one of that name, so what does not fit is tried once more with a newly opened file.
"""

from __future__ import annotations

import collections
import struct

from musicfs.errors import ChangedError, GoneError, UnreachableError
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
    """What one call of ``read`` wants, and the proof that answers are that."""

    __slots__ = ("origin_id", "path", "start", "stop", "version")

    def __init__(self, origin_id: str, path: str, start: int, stop: int, version: str) -> None:
        self.origin_id = origin_id
        self.path = path
        self.start = start
        self.stop = stop
        self.version = version

    def prove(self, facts: Facts) -> None:
        """Raise unless ``facts`` are of a file that has this range, in this version."""
        if facts.is_folder or facts.deleted:
            raise gone(self.origin_id, self.path)
        if self.version and facts.version != self.version:
            raise changed(self.origin_id, self.path)
        if not 0 <= self.start <= self.stop <= facts.size_bytes:
            raise changed(self.origin_id, self.path, f"has no bytes {self.start} to {self.stop} in {facts.size_bytes}")

    def take(self, answers: list[Answer], size_bytes: int) -> memoryview:
        """The ``size_bytes`` in the answers to :func:`plan_part`, proven to be of the version."""
        *read, asked = answers
        if any(answer.status in STALE for answer in answers):
            raise gone(self.origin_id, self.path)
        self.prove(facts_in(asked, self.origin_id, self.path))
        if not read:
            return memoryview(b"")
        if read[0].status != SUCCESS:
            raise path_error(read[0].status, self.origin_id, self.path)
        data = messages.data_of(read[0].body)
        if len(data) != size_bytes:
            raise changed(self.origin_id, self.path, "was changed while it was read")
        return data


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
        data = _read_through(handle, wanted, wanted.start)
        stale = False
    except (ChangedError, GoneError):
        return None
    finally:
        pool.handles.give_back(handle, stale=stale)
    return data


def open_and_read(pool: Pool, wanted: WantedRange, server_path: str) -> bytes | int:
    """The range through a newly opened file, or the status with which the server refused to open it.

    Opening it, the first part and its version are one round trip.
    """
    connection = pool.pick()
    part_stop = max(wanted.start, min(wanted.stop, wanted.start + connection.read_bytes))
    opened, *answers = connection.ask(
        messages.open_file(server_path, for_data=True), *plan_part(wanted.start, part_stop)
    )
    if opened.status != SUCCESS:
        return opened.status
    handle = Handle(connection, wanted.path, messages.file_id_of(opened.body))
    stale = True
    try:
        first = wanted.take(answers, part_stop - wanted.start)
        pool.handles.keep(handle)
        data = bytes(first) if part_stop == wanted.stop else _read_through(handle, wanted, part_stop, first)
        stale = False
    finally:
        pool.handles.give_back(handle, stale=stale)
    return data


def _read_through(handle: Handle, wanted: WantedRange, start: int, *parts: memoryview) -> bytes:
    """``parts`` with the bytes ``[start, wanted.stop)`` behind them; requests do not wait for the answers before them."""
    connection = handle.connection
    taken = list(parts)
    waiting: collections.deque[tuple[Exchange, int]] = collections.deque()
    asked = collected = start
    try:
        while asked < wanted.stop or waiting or not taken:
            room = not waiting or asked - collected < AHEAD_BYTES
            if room and (asked < wanted.stop or not (taken or waiting)):
                part_stop = min(wanted.stop, asked + connection.read_bytes)
                requests = plan_part(asked, part_stop, handle.file_id)
                exchange = connection.send_now(*requests) if waiting else connection.send(*requests)
                if exchange is not None:
                    waiting.append((exchange, part_stop - asked))
                    asked = part_stop
                    continue
            exchange, size_bytes = waiting.popleft()
            taken.append(wanted.take(exchange.collect(), size_bytes))
            collected += size_bytes
    finally:
        for exchange, _ in waiting:
            exchange.abandon()
    return bytes(taken[0]) if len(taken) == 1 else b"".join(taken)
