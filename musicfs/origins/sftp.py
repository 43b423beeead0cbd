"""An origin on a server reached with ssh: a folder, read over SFTP version 3.

Regular files are served, and links to regular files whose real path stays inside the root. ``version`` is size and mtime in
whole seconds, for the protocol has no finer: an edit in place that keeps the size within one second of the last one does not
show. What the server leaves out of a folder without a word (OpenSSH does so with names whose status the disk would not
give) is not there for the listing either.

Nothing but this module is for others. Inside, ``sftp_thread`` runs an event loop, ``sftp_connect`` logs in,
``sftp_session`` and ``sftp_messages`` speak the protocol, ``sftp_place`` knows what answers mean, and ``sftp_files``,
``sftp_handles`` and ``sftp_listing`` ask. asyncssh is imported on first use, by that thread, not when the origin is opened.
Every wait for the server ends after ``timeout_s`` of silence.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING

from musicfs.config.settings import OriginSettings
from musicfs.model import Entry
from musicfs.origins.contract import Caps, Folder, RangeCost
from musicfs.origins.failures import gone, gone_folder
from musicfs.origins.paths import is_entered, is_path, is_served
from musicfs.origins.selection import Selection
from musicfs.origins.sftp_thread import LoopThread

if TYPE_CHECKING:
    from musicfs.origins.sftp_files import Files
    from musicfs.origins.sftp_listing import SftpListing

if importlib.util.find_spec("asyncssh") is None:  # said when the origin is opened, not at its first read
    raise ModuleNotFoundError("No module named 'asyncssh'", name="asyncssh")

CAPS = Caps(parallel=32, range_cost=RangeCost.ROUND_TRIP, stable_version=False, slow_stat=True, case_sensitive=True)


class SftpOrigin:
    """A folder of an ssh server as an :class:`~musicfs.origins.contract.Origin`. Constructing it does no I/O."""

    def __init__(self, settings: OriginSettings) -> None:
        """Raises ConfigError for globs that can match nothing."""
        self._settings = settings
        self._selection = Selection(settings.include, settings.exclude)
        self._thread = LoopThread(settings.id)
        self._state: _State | None = None  # belongs to the thread

    @property
    def id(self) -> str:
        return self._settings.id

    @property
    def caps(self) -> Caps:
        return CAPS

    def check(self) -> None:
        """Prove that the server answers, the login works and the root is a folder that can be listed."""
        self._thread.run(self._check)

    def list(self, prefix: str = "") -> Iterator[Folder]:
        if prefix and not (is_path(prefix) and is_entered(self._selection, prefix)):
            self.check()
            raise gone_folder(self.id, prefix)
        listing = self._thread.run(lambda: self._begin_listing(prefix))
        try:
            while folders := self._thread.run(listing.next_folders):
                yield from folders
        finally:
            self._thread.call_soon(listing.cancel)

    def stat(self, path: str) -> Entry | None:
        if not (is_path(path) and is_served(self._selection, path)):
            return None
        return self._thread.run(lambda: self._stat(path))

    def read(self, path: str, start: int, stop: int, version: str) -> bytes:
        if not is_path(path):
            raise gone(self.id, path)
        return self._thread.run(lambda: self._read(path, start, stop, version))

    def close(self) -> None:
        """End the connection, the loop and its thread; idempotent. Calls that wait raise UnreachableError."""
        self._thread.close(self._close)

    # On the thread

    def _ready(self) -> _State:
        """What works on the loop; its first use imports asyncssh, which takes some tenths of a second."""
        if self._state is None:
            self._state = _State(self._settings)
        return self._state

    async def _check(self) -> None:
        await self._ready().files.check()

    async def _stat(self, path: str) -> Entry | None:
        return await self._ready().files.stat(path)

    async def _read(self, path: str, start: int, stop: int, version: str) -> bytes:
        return await self._ready().files.read(path, start, stop, version)

    async def _begin_listing(self, prefix: str) -> SftpListing:
        from musicfs.origins.sftp_listing import SftpListing

        state = self._ready()
        return SftpListing(state.place, state.link, self._selection, prefix)

    async def _close(self) -> None:
        if self._state is not None:
            await self._state.link.close()


class _State:
    """What lives on the loop: made there on first use."""

    def __init__(self, settings: OriginSettings) -> None:
        from musicfs.origins.sftp_connect import Link
        from musicfs.origins.sftp_files import Files
        from musicfs.origins.sftp_place import Place

        self.place = Place(settings.id, settings.path, settings.host)
        self.link = Link(settings)
        self.files: Files = Files(self.place, self.link)


def open_sftp_origin(settings: OriginSettings, *, anchor: bytes, debounce_s: float) -> SftpOrigin:
    """An :class:`SftpOrigin` as the configuration describes it. ``anchor`` and ``debounce_s`` are for other kinds."""
    return SftpOrigin(settings)
