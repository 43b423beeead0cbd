"""Reading a file through a plan."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from musicfs.formats.oggrenumber import Renumbering
from musicfs.formats.plans import Extra, Literal, Plan, Range, ReadOriginal
from musicfs.formats.source import RangeReader


class Spliced:
    """The bytes a :class:`~musicfs.formats.plans.Plan` makes. Holds no file: whoever reads says how the original is read.

    ``extra`` is that of the plan, wherever it is kept. Safe from any thread.
    """

    __slots__ = ("_extra", "_pieces", "_renumbering", "_starts", "size")

    def __init__(self, plan: Plan, extra: bytes | memoryview | None = None) -> None:
        self._pieces = plan.pieces
        self._extra = plan.extra if extra is None else extra
        self._starts = [0, *accumulate(piece.size for piece in plan.pieces)]
        self._renumbering = Renumbering()
        self.size = self._starts[-1]

    def original(self, start: int, stop: int) -> tuple[int, int] | None:
        """Where ``[start, stop)`` lies in the original if it is all as it was; None otherwise. Costs nearly nothing."""
        index = bisect_right(self._starts, start) - 1
        if index >= len(self._pieces):
            return None
        piece = self._pieces[index]
        if not isinstance(piece, Range) or stop > self._starts[index + 1]:
            return None
        shift = piece.start - self._starts[index]
        return start + shift, stop + shift

    def fill(self, view: memoryview, start: int, read: ReadOriginal) -> None:
        """Fill ``view`` with what lies at ``start``, which must be within ``size``; raises what ``read`` raises.

        ``read(start, stop)`` gives exactly those bytes of the original, and may overwrite what it gave before.
        """
        stop = start + len(view)
        index = bisect_right(self._starts, start) - 1
        while start < stop:
            piece, begin, end = self._pieces[index], self._starts[index], min(self._starts[index + 1], stop)
            part = view[len(view) - (stop - start) : len(view) - (stop - end)]
            if isinstance(piece, Literal):
                part[:] = piece.data[start - begin : end - begin]
            elif isinstance(piece, Range):
                shift = piece.start - begin
                part[:] = read(start + shift, end + shift)
            elif isinstance(piece, Extra):
                shift = piece.start - begin
                part[:] = self._extra[start + shift : end + shift]
            else:
                self._renumbering.fill(part, piece, piece.start + start - begin, read)
            start = end
            index += 1


class SplicedSource:
    """A plan over its original as a file that parsers can read."""

    def __init__(self, plan: Plan, original: RangeReader) -> None:
        self._spliced = Spliced(plan)
        self._original = original
        self.size = self._spliced.size

    def read(self, start: int, stop: int) -> bytes:
        """Exactly the bytes ``[start, stop)``."""
        data = bytearray(stop - start)
        self._spliced.fill(memoryview(data), start, self._original.read)
        return bytes(data)
