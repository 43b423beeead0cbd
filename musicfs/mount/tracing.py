"""A share of the kernel's requests in the log, each with what was asked and how long the answer took.

Laid around the handlers of one :class:`~musicfs.mount.operations.Operations` only while it is wanted, so that it costs
nothing otherwise.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import llfuse

from musicfs.model import TRACE_LEVEL
from musicfs.mount.operations import Operations

log = logging.getLogger(__name__)

TRACED = (
    "lookup", "getattr", "opendir", "readdir", "releasedir", "open", "read", "release", "statfs", "getxattr", "listxattr",
    "readlink",
)  # fmt: skip


class Tracing:
    """Call :meth:`set_rate` where no handler runs (:func:`~musicfs.mount.session.handlers_paused`)."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._rate = 0.0
        self._due = 0.0

    def set_rate(self, rate: float) -> None:
        """Log this share (0 to 1) of requests, evenly spread. They are at level trace: who wants them sets that too."""
        for name in TRACED:
            if rate and not self._rate:
                # llfuse looks handlers up on the object, where these come before those of its class.
                setattr(self._operations, name, self._traced(name, getattr(self._operations, name)))
            elif self._rate and not rate:
                delattr(self._operations, name)
        self._rate = rate

    def _traced(self, name: str, handler: Callable[..., Any]) -> Callable[..., Any]:
        def traced(*arguments: Any) -> Any:
            self._due += self._rate  # handlers start one at a time
            if self._due < 1.0:
                return handler(*arguments)
            self._due -= 1.0
            began_ns = time.perf_counter_ns()
            outcome = "ok"
            try:
                return handler(*arguments)
            except llfuse.FUSEError as error:
                outcome = str(error)
                raise
            finally:
                took_us = (time.perf_counter_ns() - began_ns) // 1000
                log.log(TRACE_LEVEL, "%s %s: %s, %d us", name, _shown(arguments), outcome, took_us)

        return traced


def _shown(arguments: tuple[Any, ...]) -> str:
    """Inodes, handles, offsets and names; not who asked."""
    return " ".join(repr(one) for one in arguments if isinstance(one, int | bytes))
