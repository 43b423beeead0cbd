"""An origin on a folder that a network filesystem is mounted at, whose calls may hang in the kernel for ever.

So everything that touches the folder runs in a child process (``mounted_child``), on the
:class:`~musicfs.origins.local.LocalOrigin` that would do it here. A call without an answer within the deadline fails, and
takes its child with it: that one is killed and, where not even that helps, left behind until its server answers. The next
call starts another one. How many are left behind on one mount is limited: a server that stays dead collects no processes.

The bytes come over a network: they are cached like those of any remote origin, and changes are found by listing.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from musicfs.clock import Clock, SystemClock
from musicfs.config.mounts import Mount, find_network_mount
from musicfs.config.settings import OriginSettings
from musicfs.errors import ConfigError, UnreachableError
from musicfs.model import Entry
from musicfs.origins import local
from musicfs.origins.contract import Caps, Folder, RangeCost
from musicfs.origins.failures import Server, closed
from musicfs.origins.mounted_link import (
    Answer,
    Call,
    Check,
    Data,
    Done,
    Failed,
    FileFound,
    FolderFound,
    Forget,
    Next,
    Read,
    Start,
    Stat,
    pack_text,
    unpack_error,
    unpack_file,
    unpack_folder,
)
from musicfs.origins.mounted_process import CHILD_COMMAND, ChildProcess, LostError, OverdueError, PendingCall
from musicfs.origins.selection import Selection

log = logging.getLogger(__name__)

A = TypeVar("A", bound=Answer)
T = TypeVar("T")

DEFAULT_PARALLEL = 16
LEFT_BEHIND_MAX = 4
_PULSES_A_DEADLINE = 3  # how often a folder that takes long may prove its headway
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0
_OFFSET_MAX = (1 << 63) - 1  # off_t: no file reaches beyond it
_REMEDY = "check path, that the share is mounted there and its server answers"


class _Former(msgspec.Struct, frozen=True):
    """A child that was given up, of which something is left, and what was mounted when it was started."""

    child: ChildProcess
    mount: Mount | None


class _Anchor:
    """What the last child that knew it said of the anchor. Its own object: a child holds no reference to the origin."""

    def __init__(self, saved: bytes) -> None:
        self.saved = saved

    def keep(self, anchor: bytes) -> None:
        self.saved = anchor


class MountedOrigin:
    """The folder as an :class:`~musicfs.origins.contract.Origin` that is Anchored. Constructing it does no I/O.

    Every call blocks for ``timeout_s`` at most, a listing for that long before each folder (or while the filesystem goes on
    answering within one), a large read before each part; and beside it for the start of the child, if it has to.
    """

    def __init__(
        self,
        origin_id: str,
        path: str | bytes | os.PathLike[str],
        *,
        timeout_s: float,
        parallel: int = DEFAULT_PARALLEL,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        anchor: bytes = b"",
        clock: Clock | None = None,
        command: Sequence[str] = CHILD_COMMAND,
    ) -> None:
        """``path`` is absolute; ``anchor`` what :meth:`anchor` returned in an earlier life. Raises ConfigError."""
        root = os.path.normpath(os.fsencode(path))
        if not root.startswith(b"/"):
            raise ConfigError(f"origin {origin_id!r}: the path {os.fsdecode(path)!r} is not absolute")
        Selection(include, exclude)  # raises here what the child would raise
        self._id = origin_id
        self._start = Start(
            pack_text(origin_id),
            root,
            tuple(map(pack_text, include)),
            tuple(map(pack_text, exclude)),
            anchor,
            parallel,
            timeout_s / _PULSES_A_DEADLINE,
        )
        self._caps = Caps(
            parallel=parallel,
            range_cost=RangeCost.ROUND_TRIP,
            stable_version=local.CAPS.stable_version,
            slow_stat=True,
            case_sensitive=local.CAPS.case_sensitive,
        )
        self._timeout_s = timeout_s
        self._clock = clock or SystemClock()
        self._command = command
        self._listing_numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._anchor = _Anchor(anchor)
        self._child: ChildProcess | None = None
        self._mount: Mount | None = None  # when the child was started
        self._former: list[_Former] = []
        self._deaths_in_a_row = 0
        self._rests_until = 0.0
        self._closed = False

    @property
    def id(self) -> str:
        return self._id

    @property
    def caps(self) -> Caps:
        return self._caps

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes of this origin, the one in use first; the others hang in the kernel, or are about to be reaped."""
        with self._lock:
            self._retire_lost()
            children = ([self._child] if self._child else []) + [former.child for former in self._former]
        return tuple(child.pid for child in children if child.pid)

    def check(self) -> None:
        with self._call(self._living_child(urgent=True)) as (child, call):
            self._ask(child, call, Check(call.number))

    def list(self, prefix: str = "") -> Iterator[Folder]:
        child = self._living_child()
        listing = next(self._listing_numbers)
        packed = pack_text(prefix)
        ended = False
        try:
            while True:
                with self._call(child) as (_, call):
                    answer, _data = self._ask(child, call, Next(call.number, listing, packed))
                    ended = isinstance(answer, Done)
                    if ended:
                        return
                    folder = self._unpack(child, answer, FolderFound, unpack_folder)
                yield folder
        finally:
            if not ended and not child.is_lost:
                self._forget(child, listing)

    def stat(self, path: str) -> Entry | None:
        with self._call(self._living_child()) as (child, call):
            answer, _data = self._ask(child, call, Stat(call.number, pack_text(path)))
            if isinstance(answer, Done):
                return None
            return self._unpack(child, answer, FileFound, lambda found: unpack_file(found.file))

    def read(self, path: str, start: int, stop: int, version: str) -> bytes:
        start, stop = (max(-1, min(offset, _OFFSET_MAX)) for offset in (start, stop))
        with self._call(self._living_child()) as (child, call):
            request = Read(call.number, pack_text(path), start, stop, pack_text(version))
            answer, data = self._ask(child, call, request)
            parts = [data]
            while not self._unpack(child, answer, Data, lambda part: part.last):
                answer, data = self._wait(child, call)
                parts.append(data)
            if sum(map(len, parts)) != stop - start:
                raise self._nonsense(child, "another number of bytes than was asked for")
            return parts[0] if len(parts) == 1 else b"".join(parts)

    def anchor(self) -> bytes:
        return self._anchor.saved

    def close(self) -> None:
        """Kill the child and fail what is under way; waits for a moment, and for no process that hangs.

        What cannot be reaped by then is reaped when the next process of this interpreter starts (subprocess does that).
        """
        with self._lock:
            self._closed = True
            self._retire()
            children = [former.child for former in self._former]
        for child in children:
            child.join()
        with self._lock:
            self._bury()

    def __del__(self) -> None:
        """One that was dropped without a close() takes its child with it; a call under way holds it until it is over."""
        child = getattr(self, "_child", None)  # none after a ConfigError
        if child is not None:
            child.give_up("was dropped")

    # Children

    def _living_child(self, *, urgent: bool = False) -> ChildProcess:
        """The child in use, or a new one; unless ``urgent``, not sooner than the last ones' fate allows."""
        with self._lock:
            if self._closed:
                raise closed(self._id)
            self._retire_lost()
            if self._child is not None:
                return self._child
            mount = find_network_mount(self._start.root)
            left_behind = sum(former.mount == mount for former in self._former)  # a remount is worth a try
            if left_behind >= LEFT_BEHIND_MAX:
                raise UnreachableError(
                    f"origin {self._id!r}: {left_behind} processes hang in {os.fsdecode(self._start.root)!r} already",
                    remedy=_REMEDY,
                )
            if not urgent and self._clock.monotonic() < self._rests_until:
                raise UnreachableError(
                    f"origin {self._id!r}: its last {self._deaths_in_a_row} processes ended too soon",
                    remedy="it is tried again by itself",
                )
            self._mount = mount
            start = msgspec.structs.replace(self._start, anchor=self._anchor.saved)
            try:
                self._child = ChildProcess(start, self._anchor.keep, timeout_s=self._timeout_s, command=self._command)
            except LostError as error:
                raise self._lost(error) from error
            return self._child

    def _retire_lost(self) -> None:
        """Bring what is known of the children up to date. With the lock held."""
        if self._child is not None and self._child.is_lost:
            self._retire()
        self._bury()

    def _retire(self) -> None:
        """The child in use is so no longer. With the lock held."""
        child, self._child = self._child, None
        if child is None:
            return
        child.give_up("was closed")
        self._former.append(_Former(child, self._mount))
        self._deaths_in_a_row = 1 if child.has_answered else self._deaths_in_a_row + 1
        if self._deaths_in_a_row > 1:
            pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(self._deaths_in_a_row - 2, 10))
            self._rests_until = self._clock.monotonic() + pause_s

    def _bury(self) -> None:
        """Forget the former children that are gone. With the lock held."""
        self._former = [former for former in self._former if not former.child.is_reaped()]

    # Calls

    @contextmanager
    def _call(self, child: ChildProcess) -> Iterator[tuple[ChildProcess, PendingCall]]:
        try:
            call = child.begin()
        except LostError as error:
            raise self._lost(error) from error
        try:
            yield child, call
        finally:
            child.finish(call)

    def _ask(self, child: ChildProcess, call: PendingCall, request: Call) -> tuple[Answer, bytes]:
        """Send the request, and wait for the (first) answer."""
        try:
            child.send(request)
        except LostError as error:
            raise self._lost(error) from error
        return self._wait(child, call)

    def _wait(self, child: ChildProcess, call: PendingCall) -> tuple[Answer, bytes]:
        """The next answer and its data; an answer that says which error is raised as that."""
        try:
            answer, data = call.wait(self._timeout_s)
        except LostError as error:
            raise self._lost(error) from error
        except OverdueError:
            child.give_up(f"was given up, for it gave no answer within {self._timeout_s:g} s to another call")
            folder = Server(self._id, os.fsdecode(self._start.root), "path, that the share is mounted there")
            raise folder.silent(self._timeout_s) from None
        if isinstance(answer, Failed):
            raise self._unpack(child, answer, Failed, unpack_error)
        return answer, data

    def _unpack(self, child: ChildProcess, answer: Answer, kind: type[A], unpack: Callable[[A], T]) -> T:
        """What ``answer`` holds, if it is of the right kind."""
        if not isinstance(answer, kind):
            raise self._nonsense(child, f"{type(answer).__name__} in place of {kind.__name__}")
        try:
            return unpack(answer)
        except ValueError as error:
            raise self._nonsense(child, str(error)) from error

    def _nonsense(self, child: ChildProcess, what: str) -> UnreachableError:
        child.give_up(f"talks nonsense: {what}")
        return self._lost(LostError(f"talks nonsense: {what}"))

    def _lost(self, error: LostError) -> UnreachableError:
        return UnreachableError(f"origin {self._id!r}: its process {error}", remedy=_REMEDY)

    def _forget(self, child: ChildProcess, listing: int) -> None:
        try:
            child.send(Forget(listing))
        except LostError:
            log.debug("origin %r: the process of an unfinished listing is lost", self._id)


def open_mounted_origin(settings: OriginSettings, *, anchor: bytes, debounce_s: float) -> MountedOrigin:
    """A :class:`MountedOrigin` as the configuration describes it; it is never watched, so ``debounce_s`` means nothing."""
    return MountedOrigin(
        settings.id,
        settings.folder,
        timeout_s=settings.timeout_s,
        parallel=settings.parallel or DEFAULT_PARALLEL,
        include=settings.include,
        exclude=settings.exclude,
        anchor=anchor,
    )
