"""Row 22: how long a user waits for a command, from its start until it has ended, all its output read."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.bench import Bench
from benchmarks.libraries import make_tiny_library
from benchmarks.measure import Samples
from benchmarks.report import Result, Verdict, met
from benchmarks.servers import MusicFS

GOAL_MS = 350
REPEATS = 3
# Row -> command. The first two are promised; --help is what it costs to start, the others are for comparison.
COMMANDS: Mapping[str, Sequence[str]] = {
    "22a": ("status",),
    "22b": ("search", "title:*"),
    "22c": ("trash", "list"),
    "22d": ("collection", "list"),
    "22e": ("--help",),
}
PROMISED = ("22a", "22b")
_INDEX_TIMEOUT_S = 60.0


def measure(bench: Bench) -> Iterator[Result]:
    with bench.room("commands") as room:
        make_tiny_library(room / "music", 200)
        server = MusicFS(room / "music", room / "musicfs")
        with bench.serving(server):
            _await_index(server)
            samples: dict[str, Samples] = {row: Samples() for row in COMMANDS}
            rows = list(COMMANDS)
            for number in range(bench.rounds * REPEATS + 1):
                turn = number % len(rows)
                for row in [*rows[turn:], *rows[:turn]]:
                    wall_s, cpu_s = _run(server, COMMANDS[row])
                    if number > 0:
                        samples[row].wall_s.append(wall_s)
                        samples[row].cpu_s.append(cpu_s)
    for row, command in COMMANDS.items():
        yield _result(row, command, samples[row])


def _await_index(server: MusicFS) -> None:
    deadline = time.monotonic() + _INDEX_TIMEOUT_S
    while server.run(*COMMANDS["22b"]).returncode != 0:
        if time.monotonic() > deadline:
            raise RuntimeError("nothing is found by searching")
        time.sleep(0.1)


def _run(server: MusicFS, command: Sequence[str]) -> tuple[float, float]:
    """Seconds that passed, and seconds of CPU that the command took itself."""
    before = _cpu_of_children_s()
    began = time.perf_counter()
    done = server.run(*command)
    wall_s = time.perf_counter() - began
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {done.stderr}")
    return wall_s, _cpu_of_children_s() - before


def _cpu_of_children_s() -> float:
    """Of those that have been waited for: the daemon is none of them yet."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _result(row: str, command: Sequence[str], samples: Samples) -> Result:
    median_ms, cpu_ms = samples.median_s * 1000, samples.mean_cpu_s * 1000
    p95_ms = statistics.quantiles(samples.wall_s, n=20, method="inclusive")[-1] * 1000
    is_promised = row in PROMISED
    return Result(
        row,
        f"musicfs {' '.join(command)}, exec to output",
        f"<= {GOAL_MS} ms" if is_promised else "-",
        f"{median_ms:.0f} ms, 95 % within {p95_ms:.0f} ms",
        f"{cpu_ms:.0f} ms of CPU; {len(samples.wall_s)} rounds",
        met(median_ms <= GOAL_MS) if is_promised else Verdict.INFORMATION,
        {"median_ms": median_ms, "p95_ms": p95_ms, "cpu_ms": cpu_ms},
    )
