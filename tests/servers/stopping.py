"""Signals that have happened: for a moment after SIGSTOP or SIGKILL, long enough to answer a request, threads still run."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

TIMEOUT_S = 10.0


def processes_of(pid: int) -> list[int]:
    """``pid`` and its children, and theirs."""
    children = [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return [pid, *(each for child in children for each in processes_of(child))]


def stop_processes(pids: Iterable[int]) -> None:
    """SIGSTOP; returns once every thread stands still or has ended, or raises TimeoutError."""
    _signal_and_wait(list(pids), signal.SIGSTOP, "TZX")


def stop_family(find: Callable[[], list[int]]) -> None:
    """SIGSTOP to all that ``find`` finds, and to what those start before they stand still. Raises TimeoutError."""
    stopped: list[int] = []
    while (pids := find()) != stopped:
        stop_processes(pids)
        stopped = pids


def kill_processes(pids: Iterable[int]) -> None:
    """SIGKILL; returns once all have ended and let go of their sockets, or raises TimeoutError."""
    _signal_and_wait(list(pids), signal.SIGKILL, "ZX")


def _signal_and_wait(pids: list[int], number: signal.Signals, states: str) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.kill(pid, number)
    deadline = time.monotonic() + TIMEOUT_S
    while not all(_states_of(pid) <= set(states) for pid in pids):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{number.name} had no effect on {pids} within {TIMEOUT_S:g} s")
        time.sleep(0.005)


def _states_of(pid: int) -> set[str]:
    """The states of its threads. They stand behind the name, which is in brackets and may hold anything (proc(5))."""
    states = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended, or one of its threads has
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                states.add((task / "stat").read_text().rpartition(")")[2].split()[0])
    return states
