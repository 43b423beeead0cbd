"""Reading files of an SMB origin: exactly the bytes asked for, of exactly the version asked for.

Every part of a range is a compound of its own that opens the file, reads, and closes it: one round trip, and the server
works it off in order. The version is taken from the answer to the opening and from the answer to the closing, and must be
the same in both and in all parts, so that nothing was written in between.

No file is kept open from one read to the next, though that would save the server some work: as long as a file is open, Samba
tells every client the time of the last write that it had when it was opened, whoever writes to it on the server itself.
"""

from __future__ import annotations

import collections

from musicfs.origins import smb_messages as messages
from musicfs.origins.failures import changed, changed_meanwhile, gone, no_bytes
from musicfs.origins.smb_connection import Answer, Exchange
from musicfs.origins.smb_errors import ABSENT, SUCCESS, path_error, sensible
from musicfs.origins.smb_messages import Facts, Message
from musicfs.origins.smb_pool import Pool

# On the way at a time: one stream on a line of 1 Gbit/s and 50 ms holds 6 MB.
AHEAD_BYTES = 8 << 20


class RangeRead:
    """One call of ``read`` for ``[start, stop)``, ``0 <= start <= stop``. Blocks for the timeout per answer.

    :meth:`run` raises what an origin's ``read`` raises; GoneError is for the caller to doubt.
    """

    def __init__(self, origin_id: str, path: str, server_path: str, start: int, stop: int, version: str) -> None:
        self._origin_id = origin_id
        self._path = path
        self._server_path = server_path
        self._start = start
        self._stop = stop
        self._version = version  # empty until the first answer, if any will do

    def run(self, pool: Pool) -> bytes:
        """Ask for all parts, a few ahead of the one whose answer is awaited."""
        connection = pool.pick()
        parts: list[memoryview] = []
        waiting: collections.deque[tuple[Exchange, int]] = collections.deque()
        asked = collected = self._start
        try:
            while not parts or asked < self._stop or waiting:
                nothing_asked = not (parts or waiting)  # an empty range too is one of a version
                if nothing_asked or (asked < self._stop and asked - collected < AHEAD_BYTES):
                    part_stop = min(self._stop, asked + connection.read_bytes)
                    requests = plan_part(self._server_path, asked, part_stop)
                    exchange = connection.send_now(*requests) if waiting else connection.send(*requests)
                    if exchange is not None:
                        waiting.append((exchange, part_stop - asked))
                        asked = part_stop
                        continue
                exchange, size_bytes = waiting.popleft()
                parts.append(self._take(exchange.collect(), size_bytes))
                collected += size_bytes
        finally:
            for exchange, _ in waiting:
                exchange.abandon()
        return bytes(parts[0]) if len(parts) == 1 else b"".join(parts)

    def _take(self, answers: list[Answer], size_bytes: int) -> memoryview:
        """The ``size_bytes`` in the answers to :func:`plan_part`, proven to be of the version."""
        opened, *read, closed = answers
        if opened.status in ABSENT:
            raise gone(self._origin_id, self._path)
        self._prove(opened)
        if read and read[0].status != SUCCESS:
            raise path_error(read[0].status, self._origin_id, self._path)
        if closed.status == SUCCESS and messages.has_facts(closed.body):  # they are optional there
            self._prove(closed)
        with sensible(self._origin_id, self._path):
            data = messages.data_of(read[0].body) if read else memoryview(b"")
        if len(data) != size_bytes:
            raise changed_meanwhile(self._origin_id, self._path)
        return data

    def _prove(self, answer: Answer) -> None:
        """Raise unless the file is one of the version, with this range."""
        facts = facts_in(answer, self._origin_id, self._path)
        if self._version and facts.version != self._version:
            raise changed(self._origin_id, self._path)
        if self._stop > facts.size_bytes:
            raise no_bytes(self._origin_id, self._path, self._start, self._stop, facts.size_bytes)
        self._version = facts.version


def plan_part(server_path: str, start: int, stop: int) -> tuple[Message, ...]:
    """The requests for the bytes ``[start, stop)`` and the version before and behind them."""
    read = (messages.read_file(start, stop),) if start < stop else ()
    return messages.open_file(server_path, for_data=True), *read, messages.close_file(with_facts=True)


def facts_in(answer: Answer, origin_id: str, path: str) -> Facts:
    """The facts in the answer to the opening or the closing of a file. Raises OriginError."""
    if answer.status != SUCCESS:
        raise path_error(answer.status, origin_id, path)
    with sensible(origin_id, path):
        return messages.facts_of(answer.body)
