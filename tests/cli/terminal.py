"""What a person sees on a terminal, and types there."""

from __future__ import annotations

import os
import select
from collections.abc import Callable

_QUIET_S = 0.2


def watch_terminal(
    master: int, typed: str = "", *, interrupt_after: str = "", meanwhile: Callable[[], object] | None = None
) -> str:
    """All that is shown until the last process has left the terminal, whose ``master`` side is closed then.

    ``typed`` waits to be read. As soon as ``interrupt_after`` is seen, Ctrl-C is typed; until then, ``meanwhile`` is done
    whenever nothing is shown for a moment.
    """
    os.write(master, typed.encode())
    seen = b""
    is_awaited = bool(interrupt_after)
    while True:
        while is_awaited and meanwhile is not None and not select.select([master], [], [], _QUIET_S)[0]:
            meanwhile()
        try:
            piece = os.read(master, 65536)
        except OSError:  # EIO: the last process has closed the other side
            break
        if not piece:
            break
        seen += piece
        if is_awaited and interrupt_after.encode() in seen:
            is_awaited = False
            os.write(master, b"\x03")
    os.close(master)
    return seen.decode()
