"""What an SFTP origin asks about one path: what is there, and its bytes. Coroutines for the event loop's thread.

Whether a link is on the way is asked in the same round trip as the rest.
"""

from __future__ import annotations

from typing import cast

from musicfs.errors import OriginError, UnreachableError
from musicfs.model import Entry
from musicfs.origins.failures import changed, gone, no_bytes
from musicfs.origins.paths import encode_path
from musicfs.origins.sftp_connect import Connection, Link
from musicfs.origins.sftp_handles import OpenFiles
from musicfs.origins.sftp_messages import Attrs, Kind, StatusError
from musicfs.origins.sftp_place import (
    Place,
    is_inside,
    join,
    make_entry,
    make_version,
    real_path,
    resolve_link,
    size_of,
)
from musicfs.origins.sftp_session import SftpSession

_MAX_SUSPECTS = 1024


class Files:
    """Looks at and reads single files over whatever connection there is."""

    def __init__(self, place: Place, link: Link) -> None:
        self._place = place
        self._link = link
        self._open: OpenFiles | None = None
        self._suspects: set[str] = set()  # paths whose OPEN was never answered: the server may hang in it, on a FIFO

    async def check(self) -> None:
        """Prove that the server answers and the root can be listed."""
        session = (await self._link.get()).names
        opening = session.ask(Kind.OPENDIR, self._place.root)
        await self._place.prove(session)
        try:
            session.close_handle(cast("bytes", await opening))
        except StatusError as error:
            raise self._place.explain(error, "") from error

    async def stat(self, path: str) -> Entry | None:
        """The regular file at ``path``, in one round trip; two for a link, or to prove that it is not there."""
        session = (await self._link.get()).names
        place, parent = self._place, path.rpartition("/")[0]
        looking = session.attrs(Kind.LSTAT, place.full(path))
        resolving = [session.ask(Kind.REALPATH, place.full(each)) for each in ("", parent)]
        try:
            attrs = await looking
            real_root, real_parent = [real_path(await each) for each in resolving]
            if parent and real_parent != join(real_root, encode_path(parent)):
                return None  # a folder on the way is a link: nothing below it is served
            if attrs.is_link:
                target = await resolve_link(session, place.full(path), real_root)
                if isinstance(target, Attrs):
                    return make_entry(path, target)
                await place.prove(session)
                return None
        except StatusError as error:
            if not place.is_absent(error, path):
                raise place.explain(error, path) from error
            await place.prove(session)
            return None
        return make_entry(path, attrs) if attrs.is_file and attrs.complete else None

    async def read(self, path: str, start: int, stop: int, version: str) -> bytes:
        """What :meth:`~musicfs.origins.contract.Origin.read` promises.

        Two round trips for a version that a listing named, one for a file that is open already; one more without a version,
        since a FIFO must not be opened: the server would wait in it for a writer.
        """
        size = size_of(version)
        if size is None or path in self._suspects:
            entry = await self.stat(path)
            if entry is None:
                raise gone(self._place.origin_id, path)
            self._suspects.discard(path)
            if version and entry.version != version:
                raise changed(self._place.origin_id, path)
            size, version = entry.size, entry.version
        if not 0 <= start <= stop <= size:
            raise no_bytes(self._place.origin_id, path, start, stop, size)
        return await self._read_open(path, start, stop, version)

    async def _read_open(self, path: str, start: int, stop: int, version: str) -> bytes:
        """The bytes by way of an open file. One that was open before and disappoints is opened anew: it says nothing."""
        opened = self._files_of(await self._link.get())
        while True:
            file, fresh = await opened.acquire(path, version)
            failure: OriginError
            try:
                data, attrs = await opened.session.read(file.handle, start, stop)
            except StatusError as error:
                failure = self._place.explain(error, path)
            else:
                # FSTAT came after the bytes: as long as it finds the version, nothing was written before or between.
                if data is not None and attrs.is_file and make_version(attrs) == version:
                    return data
                failure = changed(self._place.origin_id, path) if attrs.is_file else gone(self._place.origin_id, path)
            finally:
                opened.release(file)
            opened.drop(file)
            if fresh:
                raise failure

    async def _open_file(self, session: SftpSession, path: str) -> bytes:
        """The handle of the file at ``path``, proven not to be reached through a link that leaves the origin."""
        place, parent = self._place, path.rpartition("/")[0]
        opening = session.open(place.full(path))
        looks = [session.ask(Kind.REALPATH, place.full(each)) for each in ("", parent, path)]
        try:
            handle = await opening
        except StatusError as error:
            if not place.is_absent(error, path):
                raise place.explain(error, path) from error
            await place.prove(session)
            raise gone(place.origin_id, path) from error
        except UnreachableError:
            if len(self._suspects) < _MAX_SUSPECTS:
                self._suspects.add(path)
            raise
        try:
            root, above, target = [real_path(await look) for look in looks]
            if target != join(root, encode_path(path)) and not (
                is_inside(target, root) and (not parent or above == join(root, encode_path(parent)))
            ):
                raise gone(place.origin_id, path)
        except StatusError as error:
            session.close_handle(handle)
            raise (gone(place.origin_id, path) if error.names_nothing else place.explain(error, path)) from error
        except OriginError:
            session.close_handle(handle)
            raise
        return handle

    def _files_of(self, connection: Connection) -> OpenFiles:
        """The open files of this connection; those of an earlier one went with it."""
        if self._open is None or self._open.session is not connection.files:
            self._open = OpenFiles(connection.files, self._open_file)
        return self._open
