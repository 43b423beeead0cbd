"""Trying an origin out, step by step, for somebody who is setting it up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from musicfs.clock import Clock
from musicfs.errors import MusicFSError
from musicfs.model import Entry
from musicfs.origins.contract import Origin

_FOLDERS_MAX = 200  # how far to look for a file to read
_READ_BYTES = 64 * 1024


class Step(msgspec.Struct, frozen=True):
    """One thing that was tried: whether it went well, what was found or what went wrong, what to do about it."""

    name: str
    ok: bool
    message: str
    remedy: str = ""
    took_ms: int = 0


def examine(origin: Origin, clock: Clock) -> Iterator[Step]:
    """Reach the origin, list it, and read the beginning of a file; ends with the first step that fails. Blocks."""
    found: list[Entry] = []

    def reach() -> str:
        origin.check()
        return "it answers, lets us in, and the folder is there"

    def look() -> str:
        count = 0
        for folder in origin.list():
            count += 1
            found.extend(folder.files[: 1 if not found else 0])
            if found or count == _FOLDERS_MAX:
                break
        if not found:
            return f"no file in the first {count} folders" if count == _FOLDERS_MAX else "it is empty"
        return f"found {found[0].path!r}"

    def read() -> str:
        entry = found[0]
        data = origin.read(entry.path, 0, min(entry.size, _READ_BYTES), entry.version)
        return f"read {len(data)} of {entry.size} bytes of {entry.path!r}"

    for name, action in (("reachable", reach), ("listing", look), ("reading", read)):
        if name == "reading" and not found:
            return
        step = _try(name, action, clock)
        yield step
        if not step.ok:
            return


def _try(name: str, action: Callable[[], str], clock: Clock) -> Step:
    begun = clock.monotonic()
    try:
        message, ok, remedy = action(), True, ""
    except MusicFSError as error:
        message, ok, remedy = str(error), False, error.remedy
    return Step(name, ok, message, remedy, int((clock.monotonic() - begun) * 1000))
