"""What users want kept whatever the limit, and which contents that is at the moment."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import msgspec

from musicfs.api.backend import PinChange, PinnedPath
from musicfs.api.wire import wire_text
from musicfs.clock import Clock
from musicfs.daemon.library_files import LibraryFile, LibraryFiles, normal
from musicfs.errors import NotFoundError
from musicfs.index.parser import parse
from musicfs.index.syntax import Query, negation
from musicfs.store.chunks_schema import Content
from musicfs.store.overlays import Pin
from musicfs.store.state import State

# A scan changes the catalog all the time. A new version of a pinned file may be without its pin this long: it was used last,
# and goes last.
_KEYS_FRESH_S = 30.0


class _Keys(msgspec.Struct, frozen=True):
    """The keys of pinned contents, and what they were made from."""

    pins: tuple[tuple[bytes, int], ...]
    sequence: int
    made_at: float
    keys: frozenset[bytes]


class Pins:
    """Safe from any thread."""

    def __init__(self, files: LibraryFiles, state: State, clock: Clock) -> None:
        self._files = files
        self._state = state
        self._clock = clock
        self._known: _Keys | None = None

    @property
    def count(self) -> int:
        """How many paths are pinned."""
        return self._state.count_pins()

    def keys(self) -> frozenset[bytes]:
        """The keys of all pinned contents: what the paths lead to now, at whatever origin, and led to when they were pinned;
        also of tracks that were deleted there, for as long as they are in the trash.

        Looked up again when pins have changed, or the catalog has and that was not just now.
        """
        pins = self._state.pins()
        mark = tuple((pin.path, pin.added_ns) for pin in pins)
        sequence, now, known = self._files.sequence, self._clock.monotonic(), self._known
        if (
            known is not None
            and known.pins == mark
            and (known.sequence == sequence or now < known.made_at + _KEYS_FRESH_S)
        ):
            return known.keys
        deleted = self._deleted(pins)
        keys = frozenset(
            one.content.key
            for pin in pins
            for file in self._files_of(pin, deleted.get(pin.path, ()))
            for one in (file, *file.others)
        )
        self._known = _Keys(mark, sequence, now, keys)
        return keys

    def _files_of(self, pin: Pin, deleted: Sequence[LibraryFile]) -> Iterator[LibraryFile]:
        """What a pin keeps; ``deleted`` are the tracks in the trash that were at its path."""
        seen = set()
        try:
            for file in self._files.below((pin.path,)):
                seen.add(file.object_id)
                yield file
        except NotFoundError:
            pass  # the tree names it otherwise by now, or it is away
        places = [(self._files.at_origin(*place), self._files.deleted_at(*place)) for place in pin.files]
        for file in (*deleted, *(one for living, gone in places for one in (living, *gone) if one is not None)):
            if file.object_id not in seen:
                seen.add(file.object_id)
                yield file

    def _deleted(self, pins: Collection[Pin]) -> dict[bytes, list[LibraryFile]]:
        """The tracks in the trash that were at or below the paths of pins, by these."""
        found: dict[bytes, list[LibraryFile]] = {}
        for path, file in self._files.deleted_below({pin.path for pin in pins}):
            found.setdefault(path, []).append(file)
        return found

    def pin(self, paths: Sequence[str], query: str = "") -> PinChange:
        """Keep what these paths lead to, and what will appear below them. NotFoundError: then nothing is pinned.

        With a query the tracks below the paths (none: all) that match it now are pinned, each by its own path.
        """
        resolved = list(dict.fromkeys(map(self._files.resolve, paths)))
        now_ns = self._clock.time_ns()
        if query:
            selection = self._files.selection(parse(query), now_ns)
            files = list(self._files.below(resolved or [b"/"], selection=selection))
            self._state.put_pins(Pin(file.path, now_ns, (_place(file),)) for file in files)
            return _change(iter(files))
        pins = [Pin(path, now_ns, tuple(map(_place, self._files.below((path,))))) for path in resolved]
        self._state.put_pins(pins)
        return _change(self._files.below(resolved))

    def unpin(self, paths: Sequence[str], query: str = "") -> PinChange:
        """Keep it no longer. NotFoundError for a path that is not pinned: then nothing is unpinned.

        With a query, of these paths (none: of all that is pinned) those that lead to nothing but tracks that match it now.
        """
        pins = self._state.pins()
        known = {wire_text(os.fsdecode(pin.path)): pin for pin in pins} | {os.fsdecode(pin.path): pin for pin in pins}
        found: dict[bytes, Pin] = {}
        for path in paths:
            pin = known.get(os.fsdecode(normal(os.fsencode(path))))
            if pin is None:
                raise NotFoundError(f"{path!r} is not pinned", remedy="see 'musicfs cache pins'")
            found[pin.path] = pin
        if query:
            found = self._selected(found if paths else {pin.path: pin for pin in pins}, parse(query))
        deleted = self._deleted(found.values())
        change = _change(file for pin in found.values() for file in self._files_of(pin, deleted.get(pin.path, ())))
        self._state.remove_pins(found)
        return change

    def _selected(self, pins: Mapping[bytes, Pin], query: Query) -> dict[bytes, Pin]:
        """The pins that have tracks, all of which match."""
        now_ns = self._clock.time_ns()
        matching, rest = (self._files.selection(one, now_ns) for one in (query, negation(query)))
        found = {}
        for path, pin in pins.items():
            files = list(self._files_of(pin, ()))
            if any(self._files.select(files, matching)) and not any(self._files.select(files, rest)):
                found[path] = pin
        return found

    def listed(self, cached_bytes: Callable[[Content], int]) -> tuple[PinnedPath, ...]:
        """Everything that is pinned, in the order of paths; ``cached_bytes`` tells what is stored of a content."""
        pins = self._state.pins()
        deleted = self._deleted(pins)
        return tuple(
            _described(pin, list(self._files_of(pin, deleted.get(pin.path, ()))), cached_bytes) for pin in pins
        )


def _described(pin: Pin, files: Sequence[LibraryFile], cached_bytes: Callable[[Content], int]) -> PinnedPath:
    return PinnedPath(
        path=os.fsdecode(pin.path),
        files=len(files),
        size_bytes=sum(file.source.size for file in files),
        cached_bytes=sum(cached_bytes(file.content) for file in files),
        added_ms=pin.added_ns // 1_000_000,
    )


def _place(file: LibraryFile) -> tuple[str, bytes]:
    return file.source.origin_id, os.fsencode(file.source.path)


def _change(files: Iterator[LibraryFile]) -> PinChange:
    sizes = {file.content.key: file.source.size for file in files}
    return PinChange(len(sizes), sum(sizes.values()))
