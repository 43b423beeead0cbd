"""When a reader goes straight on, and how much to fetch before it gets there."""

from __future__ import annotations

from collections.abc import Callable

_BEGIN_BYTES = 128 * 1024  # one request of the kernel: a media server that looks at tags reads little more
_FIRST_BYTES = 256 * 1024
LARGEST_BYTES = 8 << 20  # 1 Gbit/s times 50 ms is 6.25 MB: what must be under way to fill such a line
_GROWTH = 4  # each step costs a round trip: a line that is far away is full after three
_STEP_BYTES = 1 << 20  # asked for at a time: with less under way than the window a line of that length runs dry
# The kernel reads ahead by itself and its requests overtake each other: so near is still straight on.
_SLACK_BYTES = 1 << 20


class ReadAhead:
    """One open file's way of reading. Not safe from several threads at once: the caller is the one handler that runs.

    The window grows while reads go on where the last ones ended, and closes with a jump.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._expected = 0  # where the next read begins if the reader goes straight on
        self._run_bytes = 0  # read straight on up to here
        self._window_bytes = 0
        self._asked_until = 0

    def note(self, start: int, stop: int, share: Callable[[], int] = lambda: LARGEST_BYTES) -> tuple[int, int] | None:
        """A read of ``[start, stop)`` comes in: the range to fetch beyond it, None if there is nothing to do now.

        ``share`` says how large the window may be now, in bytes; it is asked only when the window moves.
        """
        if abs(start - self._expected) > _SLACK_BYTES:
            self._expected, self._run_bytes, self._window_bytes = stop, stop - start, 0
            self._asked_until = stop
            return None
        self._expected = max(self._expected, stop)
        self._run_bytes += stop - start
        if self._run_bytes <= _BEGIN_BYTES:
            return None
        remaining = self._asked_until - self._expected
        if self._window_bytes and remaining > self._window_bytes - min(self._window_bytes // 2, _STEP_BYTES):
            return None
        self._window_bytes = min(max(self._window_bytes * _GROWTH, _FIRST_BYTES), share(), LARGEST_BYTES)
        begin = max(self._asked_until, self._expected)
        end = min(self._expected + self._window_bytes, self._size)
        if end <= begin:
            return None
        self._asked_until = end
        return begin, end
