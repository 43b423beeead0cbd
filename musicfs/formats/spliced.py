"""Reading a file through a plan."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate

from musicfs.formats.oggrenumber import Renumbering
from musicfs.formats.plans import Extra, Literal, Pages, Plan, Range, ReadOriginal
from musicfs.formats.source import RangeReader

_GAP_BYTES = 4096
_TOGETHER_BYTES = 1 << 17


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
        near: bytes | memoryview = b""  # of the original, from ``near_start`` to ``near_stop``
        near_start = near_stop = 0
        while start < stop:
            piece, begin, end = self._pieces[index], self._starts[index], min(self._starts[index + 1], stop)
            part = view[len(view) - (stop - start) : len(view) - (stop - end)]
            if isinstance(piece, Literal):
                part[:] = piece.data[start - begin : end - begin]
            elif isinstance(piece, Range):
                first, last = start + piece.start - begin, end + piece.start - begin
                if first < near_start or last > near_stop:
                    near_start, near_stop = first, self._reach(index, first, last, stop)
                    near = read(near_start, near_stop)
                part[:] = near[first - near_start : last - near_start]
            elif isinstance(piece, Extra):
                shift = piece.start - begin
                part[:] = self._extra[start + shift : end + shift]
            else:
                self._renumbering.fill(part, piece, piece.start + start - begin, read)
                near_start = near_stop = 0  # reads overwrite it
            start = end
            index += 1

    def _reach(self, index: int, first: int, last: int, stop: int) -> int:
        """How far to read on, beyond ``last``, for the pieces behind ``index`` that begin before ``stop``.

        In a header what is kept and what is new alternate, a few bytes each.
        """
        for number in range(index + 1, bisect_left(self._starts, stop)):
            piece = self._pieces[number]
            if isinstance(piece, Pages):
                break
            if isinstance(piece, Range):
                until = min(piece.stop, piece.start + stop - self._starts[number])
                if not 0 <= piece.start - last <= _GAP_BYTES or until - first > _TOGETHER_BYTES:
                    break
                last = until
        return last


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
