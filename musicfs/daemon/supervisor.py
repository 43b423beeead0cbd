"""Keeping a keeper: spawned, watched, and spawned again when it dies, with growing pauses.

Runs on one thread of the mount process. A keeper that lived a while is replaced at once, so that its death is over before
anybody notices; one that dies at birth again and again is given more and more time.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence

from musicfs.clock import Clock
from musicfs.config.settings import Settings
from musicfs.daemon.link import Link, Look, Message, Start, Unmounting, Up
from musicfs.daemon.logs import LogSetup
from musicfs.interpreter import child_environment, module_command

log = logging.getLogger(__name__)

KEEPER_COMMAND = module_command("musicfs.daemon.keeper")
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 30.0
_HEALTHY_AFTER_S = 20.0
_END_TIMEOUT_S = 10.0


class Supervisor:
    """The thread that owns the keeper process."""

    def __init__(
        self,
        settings: Settings,
        mount_pid: int,
        started_ns: int,
        clock: Clock,
        on_message: Callable[[Message], None],
        command: Sequence[str] = KEEPER_COMMAND,
        logs: LogSetup | None = None,
        *,
        wants_status: bool = False,
    ) -> None:
        """``command`` is run with one more argument, the number of the descriptor that is its end of the link."""
        self._settings = settings
        self._mount_pid = mount_pid
        self._started_ns = started_ns
        self._clock = clock
        self._on_message = on_message
        self._stopping = threading.Event()
        self._link: Link | None = None
        self._command = tuple(command)
        self._logs = logs
        self._wants_status = wants_status
        self._hurry = threading.Event()
        self._is_up = threading.Event()
        self._replacing = threading.Lock()
        self._is_replaced = False
        self._is_unmounting = False
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self.restarts = 0  # of keepers that ended unasked
        self.hangs = 0  # of these, who were ended because they did not answer
        self.started = 0

    def start(self) -> None:
        """Spawn the first keeper, on the supervisor's thread."""
        self._thread.start()

    def send(self, message: Message) -> bool:
        """Tell the keeper; False if there is none at the moment."""
        link = self._link
        return link is not None and link.send(message)

    def follow(self, settings: Settings, logs: LogSetup | None, *, restart: bool) -> None:
        """Have keepers work with these from now on; with ``restart`` another one at once. Does not block; on any thread."""
        with self._replacing:
            self._settings, self._logs = settings, logs
            self._is_replaced = self._is_replaced or restart
            if restart:
                self._is_up.clear()
            link = self._link
        if restart:
            self._hurry.set()
            if link is not None:
                link.close()

    def note_unmounting(self) -> None:
        """Tell the keeper, and any that follows, that the mount has begun to end. Does not block; idempotent."""
        with self._replacing:
            was_noted, self._is_unmounting = self._is_unmounting, True
        if not was_noted:  # on a thread of its own: a keeper that was stopped takes nothing for ten seconds
            threading.Thread(target=self.send, args=(Unmounting(),), name="unmounting", daemon=True).start()

    def wait_until_up(self, timeout_s: float) -> bool:
        """Wait until a keeper with the last settings answers clients, or the end; False if neither comes in time."""
        return self._is_up.wait(timeout_s)

    def replace_hung(self, number: int, silent_s: float) -> None:
        """End a keeper that does not answer; ``number`` is what ``started`` was with it. Does not block; on any thread."""
        with self._replacing:
            process = self._process
            if number != self.started or process is None or self._stopping.is_set():
                return
            self.hangs += 1
            log.error("the keeper (pid %d) has not answered for %.0f s: it is replaced", process.pid, silent_s)
            process.kill()  # the kernel keeps the pid for us until somebody has waited, so it is nobody else's

    def stop(self) -> bool:
        """End the keeper by closing the link; kill it if it does not follow. Blocks up to ten seconds.

        False if it could not be seen to end. Also right before :meth:`start`.
        """
        self._stopping.set()
        self._hurry.set()
        self._is_up.set()
        if self._link is not None:
            self._link.close()
        if self._thread.ident is None:
            return True
        self._thread.join(_END_TIMEOUT_S + 2)
        return not self._thread.is_alive()

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            self._hurry.clear()
            if self._stopping.is_set():  # it may have been set just before
                return
            born = self._clock.monotonic()
            code, came_up = self._live_through_one()
            if self._stopping.is_set():
                return
            if self._is_replaced:
                pause_s = _FIRST_PAUSE_S
                continue  # it was asked to go
            self.restarts += 1
            lived_s = self._clock.monotonic() - born
            pause_s = _FIRST_PAUSE_S if lived_s > _HEALTHY_AFTER_S else min(pause_s * 2, _LONGEST_PAUSE_S)
            if code == -signal.SIGKILL and came_up:
                pause_s = _FIRST_PAUSE_S  # killed from outside: nothing is wrong with it
            log.warning(
                "the keeper ended with status %d after %.1f s; the next one starts in %.2f s", code, lived_s, pause_s
            )
            self._clock.wait(self._hurry, pause_s)

    def _note_up(self) -> None:
        with self._replacing:
            if not self._is_replaced:  # else it goes, and the next one is waited for
                self._is_up.set()

    def _live_through_one(self) -> tuple[int, bool]:
        """Spawn a keeper and receive from it until it ends: its exit status (negative: a signal), and whether it spoke."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = subprocess.Popen(
                    [*self._command, str(theirs.fileno())],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    env=child_environment(os.environ),  # all of it: origins find their secrets there
                )
        except OSError as error:  # no memory or no process to spare: there may be some later
            ours.close()
            log.error("the keeper cannot be started: %s", error.strerror)
            return 1, False
        link = Link(ours)
        with self._replacing:
            self._is_replaced = False
            self._process = process
            if not self._stopping.is_set():
                self._is_up.clear()
            self.started += 1
            # Before anybody else can tell it something.
            link.send(
                Start(
                    self._settings, self._mount_pid, self._started_ns, self.restarts, self._logs, self.hangs,
                    self._wants_status,
                )
            )  # fmt: skip
            if self._is_unmounting:
                link.send(Unmounting())
            self._link = link
        if self._stopping.is_set():  # stop() may have looked for a link just before there was one
            link.close()
        self._on_message(Look())  # what the last keeper committed and could not tell
        came_up = False
        while (message := link.receive()) is not None:
            came_up = True
            if isinstance(message, Up):
                self._note_up()
            self._on_message(message)
        link.close()
        try:
            return process.wait(_END_TIMEOUT_S), came_up
        except subprocess.TimeoutExpired:
            log.warning("the keeper (pid %d) did not end; it is killed", process.pid)
            process.kill()
            return process.wait(), came_up
