"""One walk over an SFTP origin's folders: depth first for its reader, while the next folders are already on their way.

A folder costs two round trips (open; names with attributes, and their end), so many are asked for at once: those that come
next in the listing's order, never more than a bounded number of entries ahead of the reader. Links are resolved when their
folder is read. Coroutines for the event loop's thread.
"""

from __future__ import annotations

import asyncio
import heapq
from typing import cast

from musicfs.errors import OriginError
from musicfs.model import Entry
from musicfs.origins.contract import Folder
from musicfs.origins.failures import gone_folder
from musicfs.origins.paths import encode_path, walk_order
from musicfs.origins.selection import Selection, is_junk
from musicfs.origins.sftp_connect import Link
from musicfs.origins.sftp_messages import Attrs, Kind, StatusError
from musicfs.origins.sftp_place import Place, join, make_entry, real_path, resolve_link
from musicfs.origins.sftp_session import SftpSession
from musicfs.origins.unserved import kind_of_file

MAX_FOLDERS_AT_ONCE = 128  # and no more than half of the handles a server gives
MAX_ENTRIES_AHEAD = 20_000  # a folder counts as one too
_MAX_BATCH = 256
_MAX_READDIRS = 16

_Listed = tuple[Folder | None, list[str]]


class SftpListing:
    """A single walk. ``next_folders`` is called until it returns nothing; then, or before, ``cancel``."""

    def __init__(self, place: Place, link: Link, selection: Selection, prefix: str) -> None:
        self._place = place
        self._link = link
        self._selection = selection
        self._prefix = prefix
        self._loop = asyncio.get_running_loop()
        self._to_yield = [prefix]  # a stack: the folder that comes next is the last
        self._to_ask: list[tuple[bytes, str]] = [(walk_order(prefix), prefix)]  # a heap in the listing's order
        self._asked: dict[str, asyncio.Task[_Listed]] = {}
        self._running = 0
        self._ahead = 0  # entries that nobody has taken yet
        self._eager = False
        self._at_once = 1
        self._failure: OriginError | None = None

    async def next_folders(self) -> list[Folder]:
        """The next folders in order, as many as are there; empty at the end. Raises OriginError."""
        folders: list[Folder] = []
        while self._to_yield and len(folders) < _MAX_BATCH:
            if self._failure is not None:
                raise self._failure  # wherever it is: the listing will not be complete
            path = self._to_yield[-1]
            if folders and not (path in self._asked and self._asked[path].done()):
                break
            self._ask_more()
            folder, children = await self._asked.pop(path)
            self._to_yield.pop()
            self._to_yield.extend(reversed(children))
            if folder is not None:
                self._ahead -= _weight(folder)
                folders.append(folder)
        self._eager = True  # who asks for a single folder gets one without those below
        return folders

    def cancel(self) -> None:
        """Stop what is on its way."""
        self._to_ask.clear()
        for task in self._asked.values():
            task.cancel()

    def _ask_more(self) -> None:
        """Begin with the folders that come next; with the very next one in any case."""
        while self._to_ask:
            path = self._to_ask[0][1]
            if path != self._to_yield[-1] and not self._may_run_ahead():
                return
            heapq.heappop(self._to_ask)
            self._running += 1
            task = self._asked[path] = self._loop.create_task(self._ask(path))
            task.add_done_callback(_see_failure)

    def _may_run_ahead(self) -> bool:
        return self._eager and self._running < self._at_once and self._ahead <= MAX_ENTRIES_AHEAD

    async def _ask(self, path: str) -> _Listed:
        """List one folder, and go on with those in it."""
        try:
            folder, children = await self._list(path)
        except OriginError as error:
            self._failure = error
            raise
        finally:
            self._running -= 1
        if folder is not None:
            self._ahead += _weight(folder)
        for child in children:
            heapq.heappush(self._to_ask, (walk_order(child), child))
        if self._eager:
            self._ask_more()
        return folder, children

    async def _list(self, path: str) -> _Listed:
        """One folder and the paths of its sub-folders in order; no folder if it has vanished."""
        session = (await self._link.get()).names
        self._at_once = min(MAX_FOLDERS_AT_ONCE, session.limits.open_handles // 2)
        try:
            handle = cast("bytes", await session.ask(Kind.OPENDIR, self._place.full(path)))
        except StatusError as error:
            return await self._explain(session, error, path), []
        try:
            found = await self._read_names(session, handle, path)
        except StatusError as error:
            return await self._explain(session, error, path), []
        finally:
            session.close_handle(handle)
        if found is None:
            await self._vanished(session, path)
            return None, []
        return await self._sort_out(session, path, *found)

    async def _read_names(
        self, session: SftpSession, handle: bytes, path: str
    ) -> tuple[dict[bytes, Attrs], bytes] | None:
        """Everything READDIR says, and the real root; None if the folder is behind a link."""
        looks = [session.ask(Kind.REALPATH, self._place.full(each)) for each in ("", path)]
        found: dict[bytes, Attrs] = {}
        at_once = 2  # most folders fit into one answer, and the second says that this was all
        at_end = False
        while not at_end:
            asked = [session.ask(Kind.READDIR, handle) for _ in range(at_once)]
            for answer in await asyncio.gather(*asked, return_exceptions=True):
                if isinstance(answer, StatusError) and answer.is_end:
                    at_end = True
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    found.update(cast("list[tuple[bytes, Attrs]]", answer))
            at_once = min(2 * at_once, _MAX_READDIRS)
        root, target = [real_path(await look) for look in looks]
        return (found, root) if target == (join(root, encode_path(path)) if path else root) else None

    async def _sort_out(
        self, session: SftpSession, path: str, found: dict[bytes, Attrs], real_root: bytes
    ) -> tuple[Folder, list[str]]:
        files: list[Entry] = []
        children: list[str] = []
        others: list[tuple[str, Attrs]] = []
        skipped: list[tuple[str, str]] = []
        searchable = found.pop(b".", None) is not None or await self._is_searchable(session, path)
        found.pop(b"..", None)
        for raw in sorted(found):
            attrs, name = found[raw], raw.decode("utf-8", "surrogateescape")
            inner = f"{path}/{name}" if path else name
            if is_junk(name):
                continue
            if not name or "/" in name or "\0" in name:
                skipped.append((name, "not a name"))
            elif attrs.is_folder:
                if self._selection.enters_folder(inner):
                    children.append(inner)
            elif not self._selection.serves_file(inner):
                continue
            elif attrs.is_file and attrs.complete:
                files.append(make_entry(inner, attrs))
            else:
                others.append((inner, attrs))
        complete = searchable
        if not searchable:
            skipped.append(("", "Permission denied"))
        if others:
            complete = await self._add_others(session, others, real_root, files, skipped, children) and complete
        return Folder(path, tuple(files), tuple(skipped), complete=complete), children

    async def _is_searchable(self, session: SftpSession, path: str) -> bool:
        """Whether names in the folder can be looked at. OpenSSH leaves out those that cannot, ``.`` too."""
        try:
            await session.attrs(Kind.LSTAT, join(self._place.full(path), b"."))
        except StatusError as error:
            return not error.is_denied
        return True

    async def _add_others(
        self,
        session: SftpSession,
        others: list[tuple[str, Attrs]],
        real_root: bytes,
        files: list[Entry],
        skipped: list[tuple[str, str]],
        children: list[str],
    ) -> bool:
        """Resolve links and ask again where too little was said, all at once; whether everything could be told."""
        complete = True
        answers = await asyncio.gather(*(self._look_at(session, path, attrs, real_root) for path, attrs in others))
        for (path, _), answer in zip(others, answers, strict=True):
            name = path.rpartition("/")[2]
            if isinstance(answer, str):
                skipped.append((name, answer))
            elif isinstance(answer, StatusError):
                skipped.append((name, str(answer)))
                complete = False
            elif answer is None:
                continue
            elif answer.is_folder:
                if self._selection.enters_folder(path):
                    children.append(path)
            else:
                files.append(make_entry(path, answer))
        files.sort(key=lambda file: encode_path(file.path))
        children.sort(key=walk_order)
        return complete

    async def _look_at(
        self, session: SftpSession, path: str, attrs: Attrs, real_root: bytes
    ) -> Attrs | str | StatusError | None:
        """What a name is that is neither clearly a file nor a folder: None if it has vanished, StatusError if refused."""
        full = self._place.full(path)
        try:
            if not attrs.complete:
                attrs = await session.attrs(Kind.LSTAT, full)
            if attrs.is_link:
                return await resolve_link(session, full, real_root)
        except StatusError as error:
            if error.is_denied:
                return error
            if not error.names_nothing:
                raise self._place.explain(error, path) from error
            await self._place.prove(session)
            return None
        if (attrs.is_file and attrs.complete) or attrs.is_folder:
            return attrs
        return kind_of_file(max(attrs.mode, 0))

    async def _explain(self, session: SftpSession, error: StatusError, path: str) -> Folder | None:
        """What a folder that cannot be read means for the listing."""
        if self._place.is_absent(error, path):
            await self._vanished(session, path)
            return None
        if error.is_denied and path:
            return Folder(path, (), (("", str(error)),), complete=False)
        raise self._place.explain(error, path) from error

    async def _vanished(self, session: SftpSession, path: str) -> None:
        """The folder is not there, or a link is: GoneError for the one that was asked for, once the root is proven."""
        await self._place.prove(session)
        if path == self._prefix:
            raise gone_folder(self._place.origin_id, path)


def _see_failure(task: asyncio.Task[_Listed]) -> None:
    """A listing that ended early takes no more answers: their failures are nobody's."""
    if not task.cancelled():
        task.exception()


def _weight(folder: Folder) -> int:
    return 1 + len(folder.files)
