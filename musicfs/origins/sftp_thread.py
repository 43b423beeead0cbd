"""The thread of an SFTP origin: one event loop, started on first use, that runs what blocking callers ask for.

asyncio is imported then too: it takes longer than all else that opening an origin does.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from musicfs.errors import OriginError, UnreachableError
from musicfs.origins.failures import closed

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")
CLOSE_TIMEOUT_S = 5.0


class LoopThread:
    """Runs coroutines for any number of threads. Every coroutine given to it must end by itself: it bounds its own waits."""

    def __init__(self, origin_id: str) -> None:
        self._origin_id = origin_id
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of ``work()``, run on the loop; blocks. UnreachableError once this is closed, also while waiting."""
        import asyncio
        from concurrent.futures import CancelledError

        coroutine: Coroutine[Any, Any, T] | None = None
        with self._lock:
            if not self._closed:
                coroutine = work()
                future = asyncio.run_coroutine_threadsafe(coroutine, self._started())
        if coroutine is None:
            raise self._is_closed()
        try:
            return future.result()
        except CancelledError:
            raise self._is_closed() from None
        except BaseException:
            future.cancel()  # the caller was interrupted: nobody waits for the answer any more
            raise

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Have ``callback`` called on the loop, unless it never ran or has ended. Does not block."""
        with self._lock:
            if self._loop is not None and not self._closed:
                self._loop.call_soon_threadsafe(callback)

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Cancel what runs, await ``last()`` on the loop, end the thread; idempotent, safe from many threads."""
        with self._lock:
            first, self._closed = not self._closed, True
            loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        if first:
            import asyncio

            asyncio.run_coroutine_threadsafe(self._finish(loop, last), loop)
        thread.join(CLOSE_TIMEOUT_S)

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            import asyncio

            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._main, args=(self._loop,), name=f"sftp {self._origin_id}", daemon=True
            )
            self._thread.start()
        return self._loop

    @staticmethod
    def _main(loop: asyncio.AbstractEventLoop) -> None:
        import asyncio

        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    @staticmethod
    async def _finish(loop: asyncio.AbstractEventLoop, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        import asyncio

        try:
            await _cancel_others(loop)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(last(), CLOSE_TIMEOUT_S / 2)
            await _cancel_others(loop)
        finally:
            loop.stop()

    def _is_closed(self) -> UnreachableError:
        return closed(self._origin_id)


async def _cancel_others(loop: asyncio.AbstractEventLoop) -> None:
    import asyncio

    tasks = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT_S / 5)


def as_new(error: OriginError) -> OriginError:
    """The same error for one more of those who waited for the same thing: a traceback belongs to one thread."""
    return type(error)(str(error), remedy=error.remedy)
