"""The files an SFTP session holds open, so that further reads of one cost a single round trip. For the loop's thread."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from musicfs.errors import OriginError
from musicfs.origins.sftp_session import SftpSession
from musicfs.origins.sftp_thread import as_new

# An open file keeps a deleted file's room on the server's disk: not for longer than it may be of use.
MAX_OPEN_FILES = 64
IDLE_S = 30.0

_Key = tuple[str, str]


class OpenFile:
    """One handle of the server, and how many reads use it now."""

    __slots__ = ("handle", "key", "used_at", "users")

    def __init__(self, key: _Key, handle: bytes) -> None:
        self.key = key  # path and version: a handle never serves another version than it was opened for
        self.handle = handle
        self.users = 0
        self.used_at = 0.0


class OpenFiles:
    """The least recently used are closed when others come, and all after a while without a read; never while in use."""

    def __init__(self, session: SftpSession, open_file: Callable[[SftpSession, str], Awaitable[bytes]]) -> None:
        self.session = session
        self._open_file = open_file
        self._loop = asyncio.get_running_loop()
        self._files: OrderedDict[_Key, OpenFile] = OrderedDict()
        self._opening: dict[_Key, asyncio.Task[OpenFile]] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def acquire(self, path: str, version: str) -> tuple[OpenFile, bool]:
        """An open file to be released, and whether it was opened just now. Whoever comes meanwhile shares the one opening."""
        key = (path, version)
        file = self._files.get(key)
        if file is not None:
            self._files.move_to_end(key)
            file.users += 1
            return file, False
        task = self._opening.get(key)
        if task is None:
            task = self._opening[key] = self._loop.create_task(self._open(key))
            task.add_done_callback(lambda done: self._opened(key, done))
        try:
            file = await asyncio.shield(task)
        except OriginError as error:
            raise as_new(error) from error
        file.users += 1
        return file, True

    def release(self, file: OpenFile) -> None:
        """The read that acquired ``file`` has ended."""
        file.users -= 1
        file.used_at = self._loop.time()
        if self._files.get(file.key) is not file:
            self._close_unused(file)

    def drop(self, file: OpenFile) -> None:
        """Have ``file`` serve no further read; it is closed when the last one ends."""
        if self._files.get(file.key) is file:
            del self._files[file.key]
            self._close_unused(file)

    async def _open(self, key: _Key) -> OpenFile:
        return OpenFile(key, await self._open_file(self.session, key[0]))

    def _opened(self, key: _Key, task: asyncio.Task[OpenFile]) -> None:
        """Keep what was opened. Called before those who wait for it go on: their tasks are scheduled after this."""
        del self._opening[key]
        if task.cancelled() or task.exception() is not None:
            return
        file = task.result()
        file.used_at = self._loop.time()
        self._files[key] = file
        while len(self._files) > MAX_OPEN_FILES:
            _, oldest = self._files.popitem(last=False)
            self._close_unused(oldest)
        if self._timer is None:
            self._timer = self._loop.call_later(IDLE_S, self._close_idle)

    def _close_unused(self, file: OpenFile) -> None:
        if not file.users:
            self.session.close_handle(file.handle)

    def _close_idle(self) -> None:
        self._timer = None
        if self.session.lost:
            return
        before = self._loop.time() - IDLE_S
        for file in [file for file in self._files.values() if not file.users and file.used_at <= before]:
            self.drop(file)
        if self._files:
            self._timer = self._loop.call_later(IDLE_S, self._close_idle)
