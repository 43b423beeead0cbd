"""What processes use, by proc(5): the mount process, the keeper, and all their other children together."""

from __future__ import annotations

import contextlib
import os
import threading

import msgspec

_TICKS = os.sysconf("SC_CLK_TCK")
# Places in /proc/PID/stat behind the name, which ends with the last ")".
_USER_TICKS, _SYSTEM_TICKS, _START_TICKS = 11, 12, 19

MOUNT = "mount"
KEEPER = "keeper"
WORKERS = "workers"


class Usage(msgspec.Struct, frozen=True):
    """What one process, or several together, use."""

    processes: int = 0
    cpu_s: float = 0.0  # since their start; of workers also those that have ended
    resident_bytes: int = 0
    anonymous_bytes: int = 0  # of these; the others are mapped files, which the kernel takes back when it needs room
    threads: int = 0
    open_files: int = 0


class Processes:
    """Safe from any thread."""

    def __init__(self, mount_pid: int, keeper_pid: int) -> None:
        self._mount_pid = mount_pid
        self._keeper_pid = keeper_pid
        self._lock = threading.Lock()
        self._worker_cpu_s: dict[tuple[int, int], float] = {}  # (pid, start) -> as last seen
        self._ended_cpu_s = 0.0

    def usage(self) -> dict[str, Usage]:
        """What is used now, by MOUNT, KEEPER and WORKERS. One that has ended uses nothing."""
        pids = {pid for parent in (self._mount_pid, self._keeper_pid) for pid in _children(parent)}
        with self._lock:
            workers = self._workers(pids - {self._mount_pid, self._keeper_pid})
        return {MOUNT: _usage(self._mount_pid)[0], KEEPER: _usage(self._keeper_pid)[0], WORKERS: workers}

    def _workers(self, pids: set[int]) -> Usage:
        """A counter must not fall because a worker has ended."""
        found = {(pid, start): usage for pid in pids for usage, start in (_usage(pid),) if usage.processes}
        for worker in [worker for worker in self._worker_cpu_s if worker not in found]:
            self._ended_cpu_s += self._worker_cpu_s.pop(worker)
        self._worker_cpu_s.update((worker, usage.cpu_s) for worker, usage in found.items())
        return Usage(
            processes=len(found),
            cpu_s=self._ended_cpu_s + sum(self._worker_cpu_s.values()),
            resident_bytes=sum(one.resident_bytes for one in found.values()),
            anonymous_bytes=sum(one.anonymous_bytes for one in found.values()),
            threads=sum(one.threads for one in found.values()),
            open_files=sum(one.open_files for one in found.values()),
        )


def _children(pid: int) -> list[int]:
    """The living children of a process; none if it has ended, or where the kernel does not say (CONFIG_PROC_CHILDREN)."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):  # a thread that has ended meanwhile
                found += map(int, _read(f"/proc/{pid}/task/{task}/children").split())
    return found


def _usage(pid: int) -> tuple[Usage, int]:
    """What a process uses, and when it was started, in ticks since the boot."""
    try:
        stat = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        status = dict(line.split(":", 1) for line in _read(f"/proc/{pid}/status").splitlines() if ":" in line)
    except OSError:
        return Usage(), 0
    open_files = 0
    with contextlib.suppress(OSError):  # of another user's process, such as a helper
        open_files = len(os.listdir(f"/proc/{pid}/fd"))
    usage = Usage(
        processes=1,
        cpu_s=(int(stat[_USER_TICKS]) + int(stat[_SYSTEM_TICKS])) / _TICKS,
        resident_bytes=_kilobytes(status.get("VmRSS", "")),
        anonymous_bytes=_kilobytes(status.get("RssAnon", "")),
        threads=int(status.get("Threads", "0")),
        open_files=open_files,
    )
    return usage, int(stat[_START_TICKS])


def _kilobytes(text: str) -> int:
    """``"  1234 kB"`` in bytes; 0 for a process without memory, which a zombie is."""
    number = text.split()
    return int(number[0]) * 1024 if number else 0


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
