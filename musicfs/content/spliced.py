"""Readers of files whose tags are corrected: the original, read through a plan."""

from __future__ import annotations

from musicfs.content.buffers import Buffers
from musicfs.content.readers import Reader
from musicfs.formats.plans import Plan, unpack_pieces
from musicfs.formats.spliced import Spliced


class SplicedReader:
    """Takes over ``original``, a reader of the whole file; frozen for as long as it is open, as that is."""

    def __init__(self, original: Reader, spliced: Spliced, buffers: Buffers) -> None:
        """``buffers`` is shared by readers of this kind, and by no others."""
        self._original = original
        self._spliced = spliced
        self._buffers = buffers
        self.size = spliced.size

    def read(self, start: int, stop: int) -> bytes | memoryview:
        as_is = self._spliced.original(start, stop)
        if as_is is not None:
            return self._original.read(*as_is)
        view = self._buffers.view(stop - start)
        self._spliced.fill(view, start, self._original.read)
        return view

    def close(self) -> None:
        self._original.close()


def spliced(plan: bytes, extra: bytes | memoryview) -> Spliced:
    """A plan as the catalog keeps it, ready to be read through."""
    return Spliced(Plan(unpack_pieces(plan)), extra)
