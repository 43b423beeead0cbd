"""Cutting content into chunks where the content says so (FastCDC), so that shifted bytes give the same chunks.

A chunk has at least 16 and at most 256 KiB, 64 on average. Only the compiled implementation of the package ``fastcdc`` is
used: without it the package turns to pure Python on its own, which is five hundred times slower (4 MB/s).
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

from musicfs.errors import MusicFSError

MIN_BYTES = 16 << 10
AVERAGE_BYTES = 64 << 10
MAX_BYTES = 256 << 10

_COMPILED = "fastcdc.fastcdc_cy"


class Chunker:
    """Cuts windows of a stream. Has no state: a window begins where the last one's last chunk ended."""

    def __init__(self) -> None:
        """Raises MusicFSError if fastcdc is not installed or not compiled for this Python."""
        self._cut = _compiled()

    def __call__(self, window: bytes | bytearray, final: bool) -> list[int]:
        """Where the chunks of ``window`` stop, ascending. Without ``final`` only those that more bytes would not change.

        A last window is cut to its end; another one that is shorter than :data:`MAX_BYTES` may have no chunk.
        """
        stops = [chunk.offset + chunk.length for chunk in self._cut(window, MIN_BYTES, AVERAGE_BYTES, MAX_BYTES)]
        if not final and stops and stops[-1] - (stops[-2] if len(stops) > 1 else 0) < MAX_BYTES:
            stops.pop()  # ended by the window, and not by its bytes or its length
        return stops


def _compiled() -> Callable[..., Iterator[Any]]:
    """The compiled function. Looks for it before the package is imported, which would speak of its slow one on stdout."""
    package = importlib.util.find_spec("fastcdc")
    where = package.submodule_search_locations if package is not None else None
    if not where or importlib.machinery.PathFinder.find_spec(_COMPILED, where) is None:
        raise _missing()
    try:
        module = importlib.import_module(_COMPILED)
    except ImportError as error:
        raise _missing() from error
    cut: Callable[..., Iterator[Any]] = module.fastcdc_cy
    return cut


def _missing() -> MusicFSError:
    return MusicFSError(
        "the package fastcdc has no compiled module for this Python, and would be five hundred times slower without",
        remedy="install a wheel of fastcdc for this Python, or a C compiler and then fastcdc anew",
    )
