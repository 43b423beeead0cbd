"""Readers of files whose tags are corrected: the original, read through a plan."""

from __future__ import annotations

import threading

from musicfs.content.readers import Reader
from musicfs.formats.plans import Plan, unpack_pieces
from musicfs.formats.spliced import Spliced

_BUFFER_BYTES = 1 << 17  # the kernel asks for 128 KiB at most


class SplicedReader:
    """Takes over ``original``, a reader of the whole file; frozen for as long as it is open, as that is."""

    def __init__(self, original: Reader, spliced: Spliced, buffers: threading.local) -> None:
        """``buffers`` is shared by readers of this kind, and by no others: one buffer a thread."""
        self._original = original
        self._spliced = spliced
        self._buffers = buffers
        self.size = spliced.size

    def read(self, start: int, stop: int) -> bytes | memoryview:
        as_is = self._spliced.original(start, stop)
        if as_is is not None:
            return self._original.read(*as_is)
        view = self._buffer(stop - start)
        self._spliced.fill(view, start, self._original.read)
        return view

    def _buffer(self, size: int) -> memoryview:
        buffer: memoryview | None = getattr(self._buffers, "buffer", None)
        if buffer is None or len(buffer) < size:
            buffer = self._buffers.buffer = memoryview(bytearray(max(size, _BUFFER_BYTES)))
        return buffer if len(buffer) == size else buffer[:size]

    def close(self) -> None:
        self._original.close()


def spliced(plan: bytes, extra: bytes) -> Spliced:
    """A plan as the catalog keeps it, ready to be read through."""
    return Spliced(Plan(unpack_pieces(plan)), extra)
