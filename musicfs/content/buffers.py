"""Buffers that reads are answered from: one a thread, used again and again.

They begin with a page of memory, or in the midst of one. Processors copy at a tenth of their speed when what is written lies
1 to 15 bytes behind what is read, counted within a page of 4 KiB (measured on AMD Zen, 128 KiB: 40 us instead of 5, in the
kernel's copying as well as in the C library's): the read of each piece waits for the write of the one before, which looks as
if it were the same. A file whose header became a few bytes shorter would be read like that from one end to the other.
"""

from __future__ import annotations

import mmap
import threading

_BUFFER_BYTES = 1 << 17  # the kernel asks for 128 KiB at most
_PAGE_BYTES = 4096
_MIDST_BYTES = _PAGE_BYTES // 2
_NEAR_BYTES = 128  # a little is lost up to there


class Buffers:
    """What one kind of readers shares. Readers that read through others must not share theirs."""

    def __init__(self) -> None:
        self._threads = threading.local()

    def view(self, size: int, source: int = 0) -> memoryview:
        """This thread's buffer, as long as asked; what was in it is gone.

        ``source`` is where in a file, or in memory, the bytes come from that are put there.
        """
        buffer: memoryview | None = getattr(self._threads, "buffer", None)
        if buffer is None or len(buffer) < size + _MIDST_BYTES:
            buffer = self._threads.buffer = memoryview(mmap.mmap(-1, max(size, _BUFFER_BYTES) + _MIDST_BYTES))
        start = _MIDST_BYTES if 0 < -source % _PAGE_BYTES < _NEAR_BYTES else 0
        return buffer[start : start + size]
