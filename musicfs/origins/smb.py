"""An origin on a Windows or Samba share, reached over SMB 2 or 3 without a kernel mount.

Served are regular files. Samba follows symbolic links itself, where they stay inside the share, and shows what they lead to;
a folder that links to one above it is left out, as it has no end. Links that Windows leaves to its clients, and junctions,
are not followed. Names are matched by the server's rules, usually without regard to case. ``version`` is size and time of
the last write in 100 ns, as every client of the share sees it. The entry's hints are the file's id and the server's time of
change, which Windows keeps like a ctime; Samba says the time of the last write there too.

Samba shows FIFOs and sockets as empty files, and does not show names at all that are not UTF-8.

Requests travel in compounds: a stat, the listing of a folder and a read of any length cost one round trip each. That a path
is missing is believed once the root has been seen.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from msgspec import structs

from musicfs.config.settings import OriginSettings
from musicfs.errors import GoneError
from musicfs.model import Entry
from musicfs.origins import smb_messages as messages
from musicfs.origins.contract import Caps, Folder, RangeCost
from musicfs.origins.failures import gone, gone_folder, no_bytes, no_root
from musicfs.origins.paths import is_entered, is_served
from musicfs.origins.selection import Selection
from musicfs.origins.smb_errors import ABSENT, SUCCESS, path_error, sensible
from musicfs.origins.smb_listing import SmbListing
from musicfs.origins.smb_names import can_exist, split_root, to_server
from musicfs.origins.smb_pool import Pool
from musicfs.origins.smb_reading import RangeRead, facts_in

CAPS = Caps(parallel=32, range_cost=RangeCost.ROUND_TRIP, stable_version=False, slow_stat=True, case_sensitive=False)

_OFFSET_MAX = (1 << 63) - 1  # servers take offsets as signed numbers


class SmbOrigin:
    """A folder of a share as an :class:`~musicfs.origins.contract.Origin`. Constructing it does no I/O.

    Its threads: one per connection that receives, and one that keeps connections alive. A call blocks for the
    timeout of an answer, per answer; a call that has to connect first, for that too.
    """

    def __init__(self, settings: OriginSettings) -> None:
        self._id = settings.id
        self._settings = settings
        self._root = split_root(settings.path)
        self._selection = Selection(settings.include, settings.exclude)
        self._pool = Pool(settings)

    @property
    def id(self) -> str:
        return self._id

    @property
    def caps(self) -> Caps:
        return CAPS

    def check(self) -> None:
        """Prove that server, credentials, share and root folder are all right, and that the root can be listed."""
        opened, listed, _closed = self._pool.pick().ask(
            messages.open_folder(self._root), messages.list_folder(messages.CREDIT_BYTES), messages.close_file()
        )
        if opened.status in ABSENT:
            settings = self._settings
            raise no_root(
                self._id,
                f"folder {settings.path} in the share {settings.share!r} on {settings.host}",
                "check path, and that its disk is mounted on the server",
            )
        for answer in (opened, listed):
            if answer.status != SUCCESS:
                raise path_error(answer.status, self._id, "")

    def list(self, prefix: str = "") -> Iterator[Folder]:
        if prefix and not (can_exist(prefix) and is_entered(self._selection, prefix)):
            self.check()
            raise gone_folder(self._id, prefix)
        yield from SmbListing(self._id, self._root, self._selection, self._pool, self.check).run(prefix)

    def stat(self, path: str) -> Entry | None:
        if not (can_exist(path) and is_served(self._selection, path)):
            return None
        opened, asked, _closed = self._pool.pick().ask(
            messages.open_file(to_server(self._root, path), for_data=False),
            messages.query_id(),
            messages.close_file(),
        )
        if opened.status in ABSENT:
            self.check()
            return None
        facts = facts_in(opened, self._id, path)
        with sensible(self._id, path):
            inode = messages.id_of(asked.body) if asked.status == SUCCESS else 0
        return None if facts.is_folder else structs.replace(facts, file_id=inode).entry(path)

    def read(self, path: str, start: int, stop: int, version: str) -> bytes:
        if not can_exist(path):
            raise gone(self._id, path)
        if not 0 <= start <= stop <= _OFFSET_MAX:
            raise no_bytes(self._id, path, start, stop)
        try:
            return RangeRead(self._id, path, to_server(self._root, path), start, stop, version).run(self._pool)
        except GoneError:
            self.check()
            raise

    def close(self) -> None:
        self._pool.close()


def open_smb_origin(settings: OriginSettings, *, anchor: bytes, debounce_s: float) -> SmbOrigin:
    """An :class:`SmbOrigin` as the configuration describes it. ``anchor`` and ``debounce_s`` mean nothing here."""
    _keep_quiet()
    return SmbOrigin(settings)


def _keep_quiet() -> None:
    """What the library warns of, a broken connection, is raised as an error anyway: not in the log if nobody asked for it."""
    logger = logging.getLogger("smbprotocol")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)
