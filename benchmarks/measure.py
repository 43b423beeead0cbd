"""Timing: interleaved rounds, medians, and the CPU seconds and memory of other processes."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROUNDS = 5
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Samples:
    """What the rounds of one contender gave."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)  # of the server

    @property
    def median_s(self) -> float:
        return statistics.median(self.wall_s)

    @property
    def mean_cpu_s(self) -> float:
        """A mean, because the kernel counts in hundredths of a second: single rounds are too short for a median."""
        return statistics.fmean(self.cpu_s)

    @property
    def spread(self) -> float:
        """(slowest - fastest) / median: how far to trust the median."""
        return (max(self.wall_s) - min(self.wall_s)) / self.median_s


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do the work: ``prepare`` is not timed, ``work`` is; ``pids`` are the processes whose CPU counts."""

    name: str
    work: Callable[[], object]
    prepare: Callable[[], object] = lambda: None
    pids: Callable[[], Iterable[int]] = lambda: ()


def interleaved(contenders: Sequence[Contender], rounds: int = ROUNDS) -> Mapping[str, Samples]:
    """Time all contenders, round by round, each round beginning with another one; one untimed round comes first."""
    samples = {contender.name: Samples() for contender in contenders}
    for number in range(rounds + 1):
        turn = number % len(contenders)
        for contender in [*contenders[turn:], *contenders[:turn]]:
            contender.prepare()
            pids = list(contender.pids())
            cpu_before = cpu_seconds(pids)
            began = time.perf_counter()
            contender.work()
            wall_s = time.perf_counter() - began
            cpu_s = cpu_seconds(pids) - cpu_before
            if number > 0:
                samples[contender.name].wall_s.append(wall_s)
                samples[contender.name].cpu_s.append(cpu_s)
    return samples


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time that these processes have used, all their threads and reaped children included."""
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended, and its parent counts it among the reaped
        # proc(5): fields 14 to 17 are utime, stime, cutime, cstime; field 3 is the first after the name
        total += sum(int(ticks) for ticks in text.rpartition(")")[2].split()[11:15])
    return total / _TICKS_PER_S


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes, from the kernel's own sums over all mappings."""

    pss: int
    anonymous: int


def memory_of(pids: Iterable[int]) -> Memory:
    """Proportional set size and anonymous memory of these processes together."""
    pss = anonymous = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        values = {
            line.split(":")[0]: int(line.split()[1]) * 1024 for line in text.splitlines()[1:] if line.endswith("kB")
        }
        pss += values["Pss"]
        anonymous += values["Anonymous"]
    return Memory(pss, anonymous)


def reads_of(pid: int) -> int:
    """How many read calls a process has made: for a FUSE server, the requests it took from the kernel among them."""
    for line in Path(f"/proc/{pid}/io").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name == "syscr":
            return int(value)
    raise RuntimeError("the kernel was built without task I/O accounting")


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` (0 to 1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * len(ordered) * 1000) // 1000) - 1))]
