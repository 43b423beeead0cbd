"""One child process of a mounted origin as its parent sees it: the process, the link, and the calls under way on it.

A thread starts the process, reads its answers until it ends or is given up, and then tries to reap it. A process that hangs
in the kernel cannot be killed: it is left to :meth:`ChildProcess.is_reaped`, and nothing waits for it.
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence

import msgspec

from musicfs.interpreter import module_command, plain_environment
from musicfs.origins.mounted_link import (
    Anchored,
    Answer,
    Busy,
    Call,
    Forget,
    Link,
    LinkError,
    Ready,
    Start,
    reply_decoder,
    unpack_text,
)

log = logging.getLogger(__name__)

CHILD_COMMAND = module_command("musicfs.origins.mounted_child")
REAP_TIMEOUT_S = 0.25  # a process that is not stuck in the kernel is gone within milliseconds of SIGKILL
_START_TIMEOUT_S = 20.0  # of an interpreter on a machine that is busy: the share has no part in it


class LostError(Exception):
    """The child cannot be started, has ended or was given up; its text is the end of a sentence about it."""


class OverdueError(Exception):
    """No answer in time."""


class PendingCall:
    """A call under way. Belongs to the thread that made it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.answers: queue.SimpleQueue[tuple[Answer | Busy, bytes] | LostError] = queue.SimpleQueue()

    def wait(self, timeout_s: float) -> tuple[Answer, bytes]:
        """The next answer, and the data behind it. Raises LostError or OverdueError."""
        while True:
            try:
                answer = self.answers.get(timeout=timeout_s)
            except queue.Empty:
                raise OverdueError from None
            if isinstance(answer, LostError):
                raise answer
            message, data = answer
            if not isinstance(message, Busy):
                return message, data


class ChildProcess:
    """A child from before its start to its end; never started again."""

    def __init__(
        self,
        start: Start,
        on_anchor: Callable[[bytes], None],
        *,
        timeout_s: float,
        command: Sequence[str] = CHILD_COMMAND,
    ) -> None:
        """Begins to start it; does not block. ``timeout_s`` is how long it may take to read a request. Raises LostError."""
        self._start = start
        self._on_anchor = on_anchor
        self._command = tuple(command)
        self._name = f"origin {unpack_text(start.origin_id)!r}"
        self._lock = (
            threading.RLock()
        )  # an origin that is collected gives up its child, on whatever thread that happens
        self._pending: dict[int, PendingCall] = {}
        self._last_number = 0
        self._why_lost = ""
        self._started = threading.Event()  # or lost
        self._process: subprocess.Popen[bytes] | None = None
        self.has_answered = False
        try:
            ours, self._theirs = socket.socketpair()
        except OSError as error:
            raise LostError(f"cannot be started: {error.strerror}") from error
        self._link = Link(ours, send_timeout_s=timeout_s)
        # Not joined at the interpreter's exit: an origin that nobody closed must not hold it up.
        self._thread = threading.Thread(target=self._run, name="mounted origin", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # no thread to spare
            self._link.close()
            self._theirs.close()
            raise LostError(f"cannot be started: {error}") from error

    @property
    def pid(self) -> int:
        """0 before it has one."""
        return self._process.pid if self._process else 0

    @property
    def is_lost(self) -> bool:
        """No call on it can succeed any more."""
        return bool(self._why_lost)

    def is_reaped(self) -> bool:
        """Nothing is left of it: neither process nor thread. Does not block."""
        return not self._thread.is_alive() and (self._process is None or self._process.poll() is not None)

    def begin(self) -> PendingCall:
        """Room for a call, to be given back with :meth:`finish`; blocks while the child starts. Raises LostError."""
        if not self._started.wait(_START_TIMEOUT_S):
            self.give_up("did not start in time")
        with self._lock:
            if self._why_lost:
                raise LostError(self._why_lost)
            self._last_number += 1
            call = self._pending[self._last_number] = PendingCall(self._last_number)
        return call

    def finish(self, call: PendingCall) -> None:
        """Drop what may still come for ``call``."""
        with self._lock:
            self._pending.pop(call.number, None)

    def send(self, request: Call | Forget) -> None:
        """Raises LostError."""
        try:
            self._link.send(request)
        except LinkError as error:
            self.give_up(str(error))
            raise LostError(self._why_lost) from error  # which may have been known before

    def give_up(self, why: str) -> None:
        """Kill it, and fail what is under way on it; does not block, and never mind what it does. ``why`` ends a sentence."""
        with self._lock:
            self._why_lost = self._why_lost or why
            pending = list(self._pending.values())
            self._pending.clear()
        for call in pending:
            call.answers.put(LostError(self._why_lost))
        self._started.set()
        self._link.hang_up()  # which ends the thread, which kills

    def join(self) -> None:
        """Wait for the thread of a child that was given up: some more than REAP_TIMEOUT_S at most."""
        self._thread.join(REAP_TIMEOUT_S * 4)

    def _run(self) -> None:
        """The thread. However it ends, the child is lost from then on."""
        why = "ended"
        try:
            with self._theirs as theirs:
                self._process = subprocess.Popen(
                    [*self._command, str(theirs.fileno())],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env=plain_environment(os.environ),
                )
            self._link.send(self._start)
            self._receive()
        except OSError as error:  # no memory or no process to spare: there may be some later
            why = f"cannot be started: {error.strerror}"
        except LinkError as error:
            why = str(error)
        except (msgspec.MsgspecError, RecursionError, MemoryError) as error:
            why = f"talks nonsense: {error}"
        finally:
            self.give_up(why)
            self._link.close()
            self._reap()

    def _receive(self) -> None:
        while (frame := self._link.receive()) is not None:
            reply = reply_decoder.decode(frame[0])
            match reply:
                case Ready():
                    self._started.set()
                case Anchored():
                    self._on_anchor(reply.anchor)
                case _:
                    self.has_answered = True
                    with self._lock:
                        call = self._pending.get(reply.number)
                    if call is not None:  # else nobody waits for it any more
                        call.answers.put((reply, frame[1]))

    def _reap(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        try:
            self._process.wait(REAP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            log.warning(
                "%s: process %d hangs in the kernel; it is left behind until the share answers or is unmounted",
                self._name,
                self._process.pid,
            )
