"""``benchmarks/run``: measure, print the table, write the numbers."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from types import FrameType

from benchmarks.bench import Bench, NotMeasurable
from benchmarks.measure import ROUNDS
from benchmarks.report import Result, machine, not_measured, table, write_json

# Module -> (its rows, needs more than a passthrough); in the order in which they run.
MODULES: dict[str, tuple[tuple[int, ...], bool]] = {
    "reads": ((1, 2, 3, 4), False),
    "chunks": ((1, 2, 3, 4), True),
    "walks": ((5, 6), False),
    "directories": ((7,), False),
    "startup": ((8,), True),
    "memory": ((9, 10), True),
    "interference": ((11,), True),
    "hanging": ((11,), True),
    "scans": ((12, 13), True),
    "bulk_build": ((15,), True),
    "remote_scans": ((14,), True),
    "search": ((16,), True),
    "remote_reads": ((17, 18), True),
    "ingest": ((19,), True),
    "overlays": ((20,), True),
    "retagging": ((21,), True),
    "commands": ((22,), True),
    "latencies": ((23,), True),
    "counting": ((24,), True),
}
RESULTS = Path(__file__).parent / "results"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="benchmarks/run", description="Measure what MusicFS promises, beside its peers."
    )
    parser.add_argument("--rows", help="only these rows of the table, as in 1,5,12", default="")
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it runs, not how fast")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds of each measurement (default {ROUNDS})")
    parser.add_argument("--null", action="store_true", help="bindfs in the place of MusicFS: shows how much is noise")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="where the libraries are made (20 GB)")
    chosen = parser.parse_args()
    rows = {int(row) for row in chosen.rows.split(",") if row}
    started = time.time()
    print("  ".join(f"{name}: {value}" for name, value in machine().items()), file=sys.stderr)
    results: list[Result] = []
    failed = False
    with tempfile.TemporaryDirectory(prefix="musicfs-bench-", dir=chosen.folder) as folder:
        bench = Bench(Path(folder), chosen.quick, chosen.null, chosen.rounds)
        for name, (promises, needs_musicfs) in MODULES.items():
            if (rows and not rows & set(promises)) or (chosen.null and needs_musicfs):
                continue
            print(f"-- {name} (load {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)
            label = ", ".join(map(str, promises))
            try:
                for result in importlib.import_module(f"benchmarks.{name}").measure(bench):
                    results.append(result)
                    print(
                        f"   {result.row}: {result.measured or result.beside} [{result.verdict}]",
                        file=sys.stderr,
                        flush=True,
                    )
            except NotMeasurable as reason:
                results.append(not_measured(label, name, "", str(reason)))
            except Exception as error:  # one broken measurement must not take the others' numbers with it
                traceback.print_exc()
                failed = True
                results.append(
                    not_measured(label, name, "", f"failed: {type(error).__name__}: {error}".splitlines()[0][:120])
                )
    print(table(results))
    where = write_json(results, RESULTS, started=started)
    counts = Counter(result.verdict for result in results)
    print(
        "\n" + ", ".join(f"{counts[verdict]} {verdict}" for verdict in counts) + f". Numbers: {where}", file=sys.stderr
    )
    return 1 if failed else 0


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)  # so that servers are ended and mounts go, as after Ctrl-C
    sys.exit(main())
