"""A reader that goes on with another source when the file of this machine cannot be read any more."""

from __future__ import annotations

from collections.abc import Callable

from musicfs.content.readers import Reader
from musicfs.errors import ChangedError, OriginError


class FailoverReader:
    """Reads from ``first``; after a failure from what ``fallback`` opens, if that knows another source of these bytes."""

    def __init__(self, first: Reader, fallback: Callable[[], Reader | None], on_read: Callable[[int], object]) -> None:
        """``on_read`` is told how many bytes were read from ``first`` so far."""
        self._reader = first
        self._fallback: Callable[[], Reader | None] | None = fallback
        self._on_read = on_read
        self._read_bytes = 0
        self.size = first.size

    def read(self, start: int, stop: int) -> bytes | memoryview:
        try:
            data = self._reader.read(start, stop)
        except ChangedError:
            raise  # it is there, and another one
        except OriginError:
            other = self._fallback() if self._fallback is not None else None
            if other is None:
                raise
            self._reader.close()
            self._reader, self._fallback = other, None
            return other.read(start, stop)
        if self._fallback is not None:
            self._read_bytes += stop - start
            self._on_read(self._read_bytes)
        return data

    def close(self) -> None:
        self._reader.close()
