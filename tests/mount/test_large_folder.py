"""SPEC 1: a folder of very many entries lists completely, also while it is walked by others and changes."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tests.faults.living import accept_originals, wait_for
from tests.mounting import mount

CHANGES = 8


def test_it_lists_completely_while_it_changes(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    entries = 100_000 if pytestconfig.getoption("--soak") else 20_000
    root = tmp_path / "origin"
    (root / "flat").mkdir(parents=True)
    for number in range(entries):
        (root / "flat" / f"{number:06}.txt").write_bytes(b"%d" % number)
    mounted = mount({"o": root}, tmp_path / "home", "[tree]\nfolders = true")
    try:
        folder = mounted.point / "flat"
        wanted = {f"{number:06}.txt" for number in range(entries)}
        assert set(os.listdir(folder)) == wanted
        stopped = threading.Event()
        wrong: list[str] = []
        rounds = [0, 0]

        def walk(mine: int) -> None:
            """What was there all the time is in every listing, once."""
            while not stopped.is_set():
                names = os.listdir(folder)
                found = set(names)
                if len(found) != len(names):
                    wrong.append("a name twice")
                if not wanted <= found:
                    wrong.append(f"{len(wanted - found)} names missing")
                for name in names[:: entries // 200]:
                    if name in wanted and (folder / name).read_bytes() != b"%d" % int(name[:6]):
                        wrong.append(f"{name} has other bytes")
                rounds[mine] += 1

        walkers = [threading.Thread(target=walk, args=(mine,)) for mine in range(2)]
        for walker in walkers:
            walker.start()
        for number in range(CHANGES):
            new = root / "flat" / f"new {number}.txt"
            new.write_text("new")
            shown = folder / new.name
            wait_for("the new file", shown.exists, 20)
            if number % 2:
                new.unlink()
                wait_for("its end", lambda shown=shown: not os.path.exists(shown), 20)  # type: ignore[misc] # a Path
        stopped.set()
        for walker in walkers:
            walker.join(60)
        assert not wrong, wrong[:5]
        assert min(rounds) >= 2
        assert len(os.listdir(folder)) == entries + CHANGES // 2
        accept_originals(mounted)
    finally:
        mounted.close()
