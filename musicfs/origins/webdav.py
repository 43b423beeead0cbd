"""An origin on a WebDAV server: a folder that is reached with HTTP.

``version`` is the server's ETag if it is a strong one, else size and time in whole seconds; what a read brings is compared
with it. A strong ETag of common servers is made of size and time too, so it proves nothing about the bytes. Folders are
listed one by one, as servers refuse to describe a whole tree: a listing costs a request a folder, of which a few are under
way at once, in threads that end with it. The user's name and password are sent as they are (Basic authentication): that is
for https, or for a network of one's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from musicfs.config.settings import OriginSettings
from musicfs.errors import ConfigError, DeniedError
from musicfs.model import Entry
from musicfs.origins.contract import Caps, Folder, RangeCost
from musicfs.origins.failures import changed, gone, gone_folder, no_bytes
from musicfs.origins.http_pool import parse_endpoint
from musicfs.origins.paths import encode_path, is_entered, is_path, is_served, reject_name
from musicfs.origins.selection import Selection, is_junk
from musicfs.origins.walk_ahead import Listed, walk_ahead
from musicfs.origins.webdav_client import Resource, WebdavClient

CAPS = Caps(parallel=16, range_cost=RangeCost.ROUND_TRIP, stable_version=False, slow_stat=True, case_sensitive=True)
# Longer ones exist nowhere (NAME_MAX of every server's system), and servers answer them in many ways.
_NAME_BYTES_MAX: Final = 255
_PATH_BYTES_MAX: Final = 4096
_AHEAD: Final = 4  # folders asked for before their turn


class WebdavOrigin:
    """A WebDAV folder as an :class:`~musicfs.origins.contract.Origin`. Constructing it does no I/O."""

    def __init__(self, settings: OriginSettings) -> None:
        """Raises ConfigError for settings that can lead nowhere."""
        endpoint = parse_endpoint(settings.url, f"origin {settings.id!r}: url")
        if ":" in settings.login:
            raise ConfigError(f"origin {settings.id!r}: a user's name has no colon here")
        self._id = settings.id
        self._selection = Selection(settings.include, settings.exclude)
        self._client = WebdavClient(settings, endpoint)

    @property
    def id(self) -> str:
        return self._id

    @property
    def caps(self) -> Caps:
        return CAPS

    def check(self) -> None:
        self._client.prove()

    def list(self, prefix: str = "") -> Iterator[Folder]:
        if prefix and not (_can_be(prefix) and is_entered(self._selection, prefix)):
            self._client.prove()
            raise gone_folder(self._id, prefix)
        found = self._client.list_folder(prefix)
        if found is None:
            raise gone_folder(self._id, prefix)
        first = self._sort_out(prefix, found)
        for _, folder in walk_ahead(prefix, first, self._list_below, ahead=_AHEAD, name=f"list-{self._id}"):
            yield folder

    def stat(self, path: str) -> Entry | None:
        found = self._stat(path) if is_served(self._selection, path) else None
        return _entry(found) if found is not None else None

    def read(self, path: str, start: int, stop: int, version: str) -> bytes:
        if _can_be(path) and 0 <= start < stop:
            return self._client.get(path, start, stop, version)
        found = self._stat(path)
        if found is None:
            raise gone(self._id, path)
        if version not in {"", found.version}:
            raise changed(self._id, path)
        if not 0 <= start <= stop <= found.size:
            raise no_bytes(self._id, path, start, stop, found.size)
        return b""

    def close(self) -> None:
        self._client.close()

    def _list_below(self, path: str) -> Listed[str] | None:
        """A folder that its parent's listing named; without its files where it is refused; None when it is gone."""
        try:
            found = self._client.list_folder(path)
        except DeniedError as error:
            self._client.prove()  # it is this folder that is refused, not the user
            return Listed(Folder(path, (), (("", str(error)),), complete=False), ())
        return None if found is None else self._sort_out(path, found)

    def _stat(self, path: str) -> Resource | None:
        if not _can_be(path):
            self._client.prove()
            return None
        found = self._client.stat(path)
        return None if found is None or found.is_folder or found.problem else found

    def _sort_out(self, path: str, found: Sequence[Resource]) -> Listed[str]:
        files: list[Entry] = []
        children: list[str] = []
        skipped: list[tuple[str, str]] = []
        complete = True
        for each in sorted(found, key=lambda each: encode_path(each.path)):
            folder, _, name = each.path.rpartition("/")
            if is_junk(name):
                continue
            if folder != path or reject_name(name):
                skipped.append((each.path, "the server names it where it is not"))
            elif each.is_folder and not each.problem:
                if self._selection.enters_folder(each.path):
                    children.append(each.path)
            elif self._selection.serves_file(each.path):
                if each.problem:
                    skipped.append((name, each.problem))
                    complete = False
                else:
                    files.append(_entry(each))
        return Listed(Folder(path, tuple(files), tuple(skipped), complete=complete), children)


def open_webdav_origin(settings: OriginSettings, *, anchor: bytes, debounce_s: float) -> WebdavOrigin:
    """A :class:`WebdavOrigin` as the configuration describes it; there is nothing to anchor or to watch."""
    return WebdavOrigin(settings)


def _entry(found: Resource) -> Entry:
    return Entry(found.path, found.size, found.mtime_ns, found.version)


def _can_be(path: str) -> bool:
    """Whether a server could have something at ``path``."""
    if not is_path(path):
        return False
    whole = encode_path(path)
    return len(whole) <= _PATH_BYTES_MAX and all(len(name) <= _NAME_BYTES_MAX for name in whole.split(b"/"))
