"""What a benchmark says: rows with a goal, a number, a peer and a verdict; as a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path


class Verdict(StrEnum):
    """How a row ended."""

    MET = "met"
    MISSED = "MISSED"
    INFORMATION = "-"  # for orientation: no goal of ours
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table. ``numbers`` holds the raw figures, each with its unit in its name."""

    row: str  # the promise's number, with a letter where it has several parts
    promise: str
    goal: str
    measured: str
    beside: str
    verdict: Verdict
    numbers: dict[str, float] = field(default_factory=dict)


def met(condition: bool) -> Verdict:
    return Verdict.MET if condition else Verdict.MISSED


def not_measured(row: str, promise: str, goal: str, reason: str) -> Result:
    return Result(row, promise, goal, "", reason, Verdict.NOT_MEASURED)


def table(results: Sequence[Result]) -> str:
    """A Markdown table, its columns aligned so that it also reads well on a terminal."""
    head = ("#", "promise", "goal", "measured", "beside", "verdict")
    lines = [head, *((r.row, r.promise, r.goal, r.measured, r.beside, str(r.verdict)) for r in results)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]

    def render(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([render(head), rule, *(render(line) for line in lines[1:])])


def machine() -> dict[str, str]:
    """What a reader must know to compare: processor, kernel, Python, load at the start."""
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "processor": processor,
        "cpus": str(len(os.sched_getaffinity(0))),
        "memory_gb": str(round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }


def commit() -> str:
    """The commit that was measured; empty outside of a clone."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def write_json(results: Sequence[Result], folder: Path, *, started: float) -> Path:
    """Write everything to ``folder/DATE.json`` and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / time.strftime("%Y-%m-%d-%H%M%S.json", time.localtime(started))
    known = {
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(started)),
        "seconds": round(time.time() - started),
        "commit": commit(),
        "machine": machine(),
        "results": [asdict(result) for result in results],
    }
    path.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
