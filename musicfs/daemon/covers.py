"""Making covers: from files of this machine at once, from remote ones without keeping the catalog waiting.

A picture of a remote file that must be converted is not fetched while the catalog is being written: the tree is told that
it is pending, the write is given up, the pictures it lacked are fetched side by side, and the write is done again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from musicfs import formats
from musicfs.errors import FormatError, OriginError
from musicfs.formats import HeadTail, NeedRange
from musicfs.library.pool import WorkerPool
from musicfs.library.protocol import CoverJob
from musicfs.model import Picture
from musicfs.origins.contract import LocalPaths, Origin
from musicfs.store.corrections import GIVEN_CODING
from musicfs.vfs.artwork import PendingCover

log = logging.getLogger(__name__)

_MAX_BYTES = 32 << 20
_THREADS_MAX = 8
_OGG_PAGE_BYTES = 1 << 16

_Source = tuple[int, bytes, int, Picture | None]  # origin number, path there, size, picture or None for the file itself


class Covers:
    """Makes covers for the tree's builder and is the publisher's :class:`~musicfs.library.publish.Pictures`.

    Used from the keeper's writing thread; ``origins`` (by number) may change.
    """

    def __init__(self, origins: Mapping[int, Origin], pool: WorkerPool, given: Callable[[str], bytes | None]) -> None:
        """``given`` has the pictures that the user gave, by their keys."""
        self._given = given
        self._origins = origins
        self._pool = pool
        self._wanted: dict[_Source, None] = {}
        self._made: dict[_Source, bytes] = {}

    def make(self, origin: int, path: bytes, size: int, picture: Picture | None) -> bytes:
        """A JPEG, empty if there can be none; PendingCover if it takes a :meth:`fetch` to know."""
        if picture is not None and picture.coding.startswith(GIVEN_CODING):
            return self._jpeg(path, self._given(picture.coding[len(GIVEN_CODING) :]) or b"")
        found = self._origins.get(origin)
        if isinstance(found, LocalPaths):
            return self._pool.run(CoverJob(found.local_path(os.fsdecode(path)), size, picture))
        source = (origin, path, size, picture)
        if source not in self._made:
            self._wanted[source] = None
            raise PendingCover
        return self._made[source]

    @property
    def wanted(self) -> bool:
        return bool(self._wanted)

    def fetch(self) -> None:
        wanted = list(self._wanted)
        self._wanted.clear()
        with ThreadPoolExecutor(_THREADS_MAX, thread_name_prefix="covers") as threads:
            for source, image in zip(wanted, threads.map(self._image, wanted), strict=True):
                self._made[source] = self._jpeg(source[1], image)

    def forget(self) -> None:
        self._wanted.clear()
        self._made.clear()

    def _jpeg(self, path: bytes, image: bytes) -> bytes:
        if not image or formats.image_kind(image[:12]) == "jpeg":
            return image
        return self._pool.run(CoverJob(path, len(image), None, image))

    def _image(self, source: _Source) -> bytes:
        """The image as it is embedded, read through its origin; empty if that fails. On a thread of :meth:`fetch`."""
        number, path, size, picture = source
        origin = self._origins.get(number)
        if origin is None:
            return b""
        try:
            return _read_image(origin, os.fsdecode(path), size, picture)
        except (OriginError, FormatError, NeedRange) as error:
            log.info("origin %s: no cover is made of %r: %s", origin.id, path, error)
            return b""


def _read_image(origin: Origin, path: str, size: int, picture: Picture | None) -> bytes:
    start, stop = (picture.start, picture.stop) if picture is not None else (0, size)
    if picture is not None and picture.coding.startswith("ogg"):
        start, stop = 0, min(size, stop + _OGG_PAGE_BYTES)  # its pages are found from the first one on
    if not 0 <= start < stop <= size or stop - start > _MAX_BYTES:
        return b""
    data = origin.read(path, start, stop, "")
    if picture is None:
        return data
    source = HeadTail(size)
    source.add(start, data)
    return formats.extract_picture(source, picture)
