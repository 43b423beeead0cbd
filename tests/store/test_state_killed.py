"""Killed at any moment, the state has every change that was acknowledged, and none by halves."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from musicfs.store.state import open_state

KILLED = """
import os, sys
from musicfs.store.overlays import Change
from musicfs.store.state import open_state
from tests.store.state_world import overlay
folder, begin = sys.argv[1], int(sys.argv[2])
state = open_state(folder)
print("open", flush=True)
for turn in range(begin, begin + 100_000):
    changes = [Change(overlay(number, str(turn))) for number in range(1, 2 + turn % 7)]
    state.put_overlays(changes, action="set", author="", time_ns=turn)
    state.put_image(b"%d" % (turn % 50))
    os.write(1, b"%d\\n" % turn)
"""


def test_killed_at_random(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Whatever was acknowledged is there, and nothing by halves."""
    choice = random.Random(1)
    begin = 0
    for _ in range(100 if pytestconfig.getoption("--soak") else 20):
        command = [sys.executable, "-c", KILLED, str(tmp_path / "user"), str(begin)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"open\n"
            for _ in range(choice.randrange(4)):
                process.stdout.readline()
            try:
                process.wait(choice.random() * 0.02)
            except subprocess.TimeoutExpired:
                process.kill()
            said = process.stdout.read().split(b"\n")
        acknowledged = int(said[-2]) if len(said) > 1 else begin - 1
        state = open_state(str(tmp_path / "user"))
        expected: dict[int, int] = {}
        entries = [entry for entry in state.history(None, 1 << 30) if entry.time_ns >= begin]
        turns = {entry.time_ns for entry in entries}
        last = max(turns, default=begin - 1)
        assert acknowledged <= last <= acknowledged + 4, "those before what was read here, and one at work"
        assert turns == set(range(begin, last + 1))
        for turn in range(begin, last + 1):
            for number in range(1, 2 + turn % 7):
                expected[number] = turn
        for number, turn in expected.items():
            found = state.overlay(number)
            assert found is not None and found.fields["title"] == (str(turn),)
        begin = last + 1
        assert not list(tmp_path.glob("user/*.damaged*"))
        state.close()
    print(f"{begin} changes")


POINTS = """
import os, shutil, signal, sys
from pathlib import Path
from musicfs.store import state_engine
from musicfs.store.overlays import Change, Pin, Played, StoredCollection
from musicfs.store.state import open_state
from musicfs.store.state_tables import StateWrite
from tests.store.state_world import overlay

def count_down(left):
    "Die at the nth of everything that reaches the disk; of a write, half has been done."
    def wrap(module, name):
        real = getattr(module, name)
        def wrapped(*args, **options):
            left -= 1
            if left == 0:
                if name == "pwrite":
                    real(args[0], args[1][: len(args[1]) // 2], args[2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **options)
        setattr(module, name, wrapped)
    for name in ("pwrite", "fdatasync", "fsync", "rename", "ftruncate", "open", "unlink", "link", "rmdir"):
        wrap(os, name)
    wrap(StateWrite, "commit")

def points(base, prepare, work, check):
    "Run work in a child that dies at the first point, at the second, and so on, until it is through."
    point, status = 0, 1
    while status:
        point += 1
        shutil.rmtree(base / "user", ignore_errors=True)
        prepare(base / "user")
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            count_down(point)
            work(base / "user", writer)
            os._exit(0)
        os.close(writer)
        said = b"".join(iter(lambda: os.read(reader, 1000), b""))
        os.close(reader)
        status = os.waitpid(child, 0)[1]
        assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL, status
        state = open_state(str(base / "user"))
        check(state, len(said))
        state.close()
        assert not list(base.glob("user/*.part")) and not list(base.glob("user/journal.kept"))
        assert not list(base.glob("user/*.new*")) and not list(base.glob("user/state.schema*")), os.listdir(base / "user")
    print(point, "points")
""".replace("            left -= 1", "            nonlocal left\n            left -= 1")

WRITING = """
state_engine._COMPACT_BYTES = 9000
base = Path(sys.argv[1])

def work(folder, done):
    state = open_state(str(folder))
    for turn in range(6):
        state.put_pins((Pin(b"/p", turn, (("nas", b"x" * 5000),)),))
        changes = [Change(overlay(number, str(turn))) for number in (1, 2)]
        state.put_overlays(changes, action="set", author="", time_ns=turn)
        state.put_image(b"%d" % turn)
        state.note_plays([Played(b"p" * 16, turn, ("nas", b"a"))] * 2)
        state.put_collection(StoredCollection(1, "c%d" % turn))
        os.write(done, b".")
    assert os.stat(folder / "journal").st_size < 25_000, "it was made smaller"
    state.close()

def check(state, acknowledged):
    titles = [found.fields["title"][0] for found in state.overlays()]
    last = int(titles[0]) if titles else -1
    assert titles in ([], [str(last)] * 2), titles
    assert acknowledged - 1 <= last <= acknowledged, (acknowledged, last)
    pins = [pin.added_ns for pin in state.pins()]
    assert pins in ([last], [last + 1]) or (last == -1 and pins == []), (pins, last)
    assert [entry.time_ns for entry in state.history(1, 99)] == list(range(last, -1, -1))
    plays = [(one.count, one.first_ns, one.last_ns) for one in state.plays()]
    assert plays in [[(2 * turn, 0, turn - 1)] if turn else [] for turn in (last, last + 1)], (plays, last)
    names = [one.name for one in state.collections()]
    assert names in [["c%d" % turn] if turn >= 0 else [] for turn in (last - 1, last)], (names, last)
    assert acknowledged <= sum(one.count for one in state.plays()) // 2
    assert not list(base.glob("user/*.damaged*"))

points(base, lambda folder: None, work, check)
"""

HEALING = """
base, damage = Path(sys.argv[1]), sys.argv[2]
from tests.store.test_state import old_state
from tests.store.test_state_faults import flip
import random

def prepare(folder):
    if damage == "old":
        folder.mkdir()
        old_state(folder, [Pin(b"/p", number) for number in range(1)])
        return
    shutil.copytree(base / "sound", folder)
    if "state" in damage:
        flip(folder / "state" / "data.mdb", random.Random(1), 1, 8192)
    if "journal" in damage:
        flip(folder / "journal", random.Random(2), 1)
    if "clean" not in damage:
        (folder / "state" / "clean").unlink()

def check(state, acknowledged):
    assert [pin.path for pin in state.pins()] == [b"/p"]
    if damage != "old":
        assert [len(state.history(one.id, 99)) for one in state.overlays()] == [7] * 20

if damage != "old":
    state = open_state(str(base / "sound"))
    for turn in range(7):
        state.put_pins((Pin(b"/p", turn),))
        changes = [Change(overlay(number, str(turn))) for number in range(1, 21)]
        state.put_overlays(changes, action="set", author="", time_ns=turn)
    state.close()
points(base, prepare, lambda folder, done: open_state(str(folder)).close(), check)
"""


def die_at_every_point(script: str, *arguments: str) -> int:
    command = [sys.executable, "-c", POINTS + script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return int(done.stdout.split()[-2])


def test_killed_at_every_point_of_writing(tmp_path: Path) -> None:
    assert die_at_every_point(WRITING, str(tmp_path)) > 80


@pytest.mark.parametrize("damage", ["old", "journal", "state", "state journal", "clean journal"])
def test_killed_at_every_point_of_healing(tmp_path: Path, damage: str) -> None:
    assert die_at_every_point(HEALING, str(tmp_path), damage) > 5
