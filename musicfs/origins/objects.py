"""An origin in an object store: the keys of a bucket below a prefix, taken for paths.

``version`` is the ETag, which differs when the bytes differ; every read asks for that version, so that bytes of two of them
are never mixed. There are no folders in S3: one exists while a key lies below it, and a prefix without keys is an empty
origin. Objects that an archive holds (Glacier) are listed, and refused when they are read.

Which access key is used, and from where, is said in :mod:`musicfs.origins.s3_access`.
"""

from __future__ import annotations

from collections.abc import Iterator

from musicfs.config.settings import OriginSettings
from musicfs.errors import ConfigError
from musicfs.model import Entry
from musicfs.origins.contract import Caps, Folder, RangeCost
from musicfs.origins.failures import changed, gone, gone_folder, no_bytes
from musicfs.origins.http_pool import parse_endpoint
from musicfs.origins.paths import is_entered, is_path, is_served
from musicfs.origins.s3_client import Page, S3Client, StoredObject
from musicfs.origins.s3_listing import KEYS_MAX, S3Listing
from musicfs.origins.selection import Selection

CAPS = Caps(parallel=32, range_cost=RangeCost.ROUND_TRIP, stable_version=True, slow_stat=True, case_sensitive=True)
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
_KEY_BYTES_MAX = 1024


class S3Origin:
    """A bucket as an :class:`~musicfs.origins.contract.Origin`. Constructing it does no I/O."""

    def __init__(self, settings: OriginSettings, *, keys_max: int = KEYS_MAX) -> None:
        """A listing buffers ``keys_max`` keys. Raises ConfigError for settings that can lead nowhere."""
        if not settings.bucket or "/" in settings.bucket:
            raise ConfigError(f"origin {settings.id!r}: {settings.bucket!r} is not the name of a bucket")
        if settings.endpoint:
            parse_endpoint(settings.endpoint, f"origin {settings.id!r}: endpoint")
        self._id = settings.id
        prefix = settings.prefix.strip("/")
        self._root = f"{prefix}/" if prefix else ""
        self._selection = Selection(settings.include, settings.exclude)
        self._client = S3Client(settings, self._root)
        self._keys_max = keys_max

    @property
    def id(self) -> str:
        return self._id

    @property
    def caps(self) -> Caps:
        return CAPS

    def check(self) -> None:
        self._client.prove()

    def list(self, prefix: str = "") -> Iterator[Folder]:
        if prefix and not self._enters(prefix):
            self._client.prove()
            raise gone_folder(self._id, prefix)
        yield from S3Listing(self._id, self._pages, self._root, self._selection, keys_max=self._keys_max).run(prefix)

    def stat(self, path: str) -> Entry | None:
        found = self._head(path) if is_served(self._selection, path) else None
        return Entry(path, found.size, found.mtime_ns, found.etag) if found is not None else None

    def read(self, path: str, start: int, stop: int, version: str) -> bytes:
        if self._can_be(path) and 0 <= start < stop:
            return self._client.get(self._root + path, start, stop, version)
        found = self._head(path)
        if found is None:
            raise gone(self._id, path)
        if version not in {"", found.etag}:
            raise changed(self._id, path)
        if not 0 <= start <= stop <= found.size:
            raise no_bytes(self._id, path, start, stop, found.size)
        return b""

    def close(self) -> None:
        self._client.close()

    def _head(self, path: str) -> StoredObject | None:
        if self._can_be(path):
            return self._client.head(self._root + path)
        self._client.prove()
        return None

    def _can_be(self, path: str) -> bool:
        """Whether the store could have an object at ``path``."""
        try:
            return is_path(path) and len((self._root + path).encode()) <= _KEY_BYTES_MAX
        except UnicodeEncodeError:
            return False

    def _enters(self, folder: str) -> bool:
        """Whether a listing from the root would come to ``folder``."""
        return self._can_be(folder) and is_entered(self._selection, folder)

    def _pages(self, prefix: str, delimiter: bool) -> Iterator[Page]:
        return self._client.pages(prefix, delimiter=delimiter)


def open_s3_origin(settings: OriginSettings, *, anchor: bytes, debounce_s: float) -> S3Origin:
    """An :class:`S3Origin` as the configuration describes it; there is nothing to anchor or to watch."""
    return S3Origin(settings)
