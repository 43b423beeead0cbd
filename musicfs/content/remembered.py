"""Reading files that are gone from their origin: from what is stored, asking nobody."""

from __future__ import annotations

from musicfs.content.buffers import Buffers
from musicfs.content.fetch import Stored
from musicfs.content.keys import Source
from musicfs.errors import OriginError


class RememberedReader:
    """A range of the content of a deleted file. What is not stored can be had from nowhere: OriginError, EIO."""

    def __init__(self, source: Source, stored: Stored, start: int, size: int, buffers: Buffers) -> None:
        self._source = source
        self._stored = stored
        self._start = start
        self._buffers = buffers
        self.size = size

    def read(self, start: int, stop: int) -> memoryview:
        view = self._buffers.view(stop - start)
        if self._stored.read_into(view, self._start + start):
            raise not_kept(self._source)
        return view

    def close(self) -> None:
        """Nothing is held."""


def not_kept(source: Source) -> OriginError:
    """What to raise for bytes of a deleted file that are not stored."""
    return OriginError(
        f"origin {source.origin_id!r}: {source.path!r} was deleted there, and is not cached",
        remedy="put the file back to its origin, or forget it: see 'musicfs trash --help'",
    )
