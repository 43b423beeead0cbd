"""What all wrappers share: every operation goes through one method, and optional powers come through."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, Self, TypeVar, cast

from musicfs.model import Entry
from musicfs.origins.contract import Anchored, Caps, Change, Folder, LocalPaths, Origin, Watch, Watchable

T = TypeVar("T")

RETRY_DELAYS_S = (0.1, 0.5, 2.0)  # after each of which what failed is tried again, where that may help


class Operation(StrEnum):
    """What a call does to the origin."""

    CHECK = "check"
    LIST = "list"  # begin a listing, up to its first folder
    LIST_NEXT = "list_next"  # one more folder; cannot be repeated
    STAT = "stat"
    READ = "read"
    OPEN = "open"


class Wrapper:
    """An origin around an origin that changes nothing.

    ``isinstance`` tells the truth about the optional powers (LocalPaths, Anchored, Watchable): creating a wrapper makes an
    instance of a subclass with just those that the inner origin has.
    """

    def __new__(cls, inner: Origin, *_args: Any, **_options: Any) -> Self:
        powers = tuple(mixin for power, mixin in _POWERS if isinstance(inner, power))
        return cast("Self", object.__new__(_combined((*powers, cls))))

    def __init__(self, inner: Origin) -> None:
        self._inner = inner

    @property
    def id(self) -> str:
        return self._inner.id

    @property
    def caps(self) -> Caps:
        return self._inner.caps

    def check(self) -> None:
        self._call(Operation.CHECK, self._inner.check)

    def list(self, prefix: str = "") -> Iterator[Folder]:
        def begin() -> tuple[Iterator[Folder], Folder | None]:
            folders = self._inner.list(prefix)
            return folders, next(folders, None)

        folders, folder = self._call(Operation.LIST, begin)
        while folder is not None:
            yield folder
            folder = self._call(Operation.LIST_NEXT, lambda: next(folders, None))

    def stat(self, path: str) -> Entry | None:
        return self._call(Operation.STAT, lambda: self._inner.stat(path))

    def read(self, path: str, start: int, stop: int, version: str) -> bytes:
        return self._call(Operation.READ, lambda: self._inner.read(path, start, stop, version), size_bytes=stop - start)

    def close(self) -> None:
        self._inner.close()

    def _call(self, operation: Operation, action: Callable[[], T], *, size_bytes: int = 0) -> T:
        """Run ``action`` on the inner origin; ``size_bytes`` is what a read asks for. Wrappers override this."""
        return action()


class _LocalPathsThrough(Wrapper):
    def local_path(self, path: str) -> bytes:
        return cast("LocalPaths", self._inner).local_path(path)

    def open_local(self, path: str, version: str) -> int:
        return self._call(Operation.OPEN, lambda: cast("LocalPaths", self._inner).open_local(path, version))


class _AnchoredThrough(Wrapper):
    def anchor(self) -> bytes:
        return cast("Anchored", self._inner).anchor()


class _WatchableThrough(Wrapper):
    def watch(self, on_change: Callable[[Change], None]) -> Watch:
        return cast("Watchable", self._inner).watch(on_change)


_POWERS: tuple[tuple[type[Any], type[Wrapper]], ...] = (
    (LocalPaths, _LocalPathsThrough),
    (Anchored, _AnchoredThrough),
    (Watchable, _WatchableThrough),
)


@functools.cache
def _combined(classes: tuple[type[Wrapper], ...]) -> type[Wrapper]:
    """A wrapper's class with those of its powers; made once for each combination that occurs."""
    wrapper = classes[-1]
    return type(wrapper.__name__, classes, {"__module__": wrapper.__module__}) if len(classes) > 1 else wrapper
