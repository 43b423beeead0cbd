"""SIGSTOP that has happened: the signal alone leaves threads running for a moment, long enough to answer a request."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

TIMEOUT_S = 10.0


def processes_of(pid: int) -> list[int]:
    """``pid`` and its children, and theirs."""
    children = [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return [pid, *(each for child in children for each in processes_of(child))]


def stop_processes(pids: Iterable[int]) -> None:
    """SIGSTOP; returns once every thread stands still, or raises TimeoutError."""
    pids = list(pids)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + TIMEOUT_S
    while not all(_is_stopped(pid) for pid in pids):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{pids} did not stop within {TIMEOUT_S:g} s")
        time.sleep(0.005)


def _is_stopped(pid: int) -> bool:
    """The state stands behind the name, which is in brackets and may hold anything (proc(5))."""
    stats = [(task / "stat").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)
