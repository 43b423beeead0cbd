"""``python -m benchmarks.uncounted ARGUMENTS``: the command, with a mount that counts no requests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import llfuse

from musicfs.cli.main import main
from musicfs.errors import MusicFSError
from musicfs.mount.operations import Operations


def uncount() -> int:
    """Have every handler called as it was written; how many there are."""
    handlers = {name: found for name in dir(Operations) if (found := _counted(getattr(Operations, name))) is not None}
    for name, handler in handlers.items():
        setattr(Operations, name, _plain(handler))
    return len(handlers)


def _counted(attribute: object) -> Callable[..., Any] | None:
    handler = getattr(attribute, "__wrapped__", None)
    return handler if callable(handler) else None


def _plain(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The boundary without the counting: our errors become their errno."""

    def call(self: Operations, *arguments: Any) -> Any:
        try:
            return handler(self, *arguments)
        except MusicFSError as error:
            raise llfuse.FUSEError(error.errno) from error

    return call


if __name__ == "__main__":
    if uncount() < 10:
        sys.exit("the handlers are not wrapped any more")
    sys.exit(main())
