"""Buffers that reads are answered from: one a thread, used again and again."""

from __future__ import annotations

import threading

_BUFFER_BYTES = 1 << 17  # the kernel asks for 128 KiB at most


class Buffers:
    """What one kind of readers shares. Readers that read through others must not share theirs."""

    def __init__(self) -> None:
        self._threads = threading.local()

    def view(self, size: int) -> memoryview:
        """This thread's buffer, as long as asked; what was in it is gone."""
        buffer: memoryview | None = getattr(self._threads, "buffer", None)
        if buffer is None or len(buffer) < size:
            buffer = self._threads.buffer = memoryview(bytearray(max(size, _BUFFER_BYTES)))
        return buffer if len(buffer) == size else buffer[:size]
