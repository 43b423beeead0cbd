"""The pool of tag readers: workers die, hang and run out of memory, and only the file in their hands suffers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.library.pool import WorkerPool
from musicfs.library.protocol import CoverJob, ReadJob, ReadResult, Reply
from musicfs.store.records import unpack_facts
from musicfs.testing.images import make_jpeg
from tests.library.collection import flac
from tests.servers.stopping import stop_processes
from tests.vfs.world import Ticking

REPOSITORY = Path(__file__).parents[2]
# Runs in every worker before its own code: some names are poison.
POISON = """
import os, time
from musicfs import formats
read = formats.read
def poisoned(source, name):
    if "killer" in name:
        os.kill(os.getpid(), 9)
    if "hang" in name:
        time.sleep(3600)
    if "greedy" in name:
        bytearray(2 << 30)
    return read(source, name)
formats.read = poisoned
"""


class Pool(WorkerPool):
    """A pool whose clock leaps when a worker has a file in hand that hangs."""

    def __init__(self, size: int) -> None:
        self.clock = Ticking()
        super().__init__(size, self.clock)

    def poll(self, timeout_s: float) -> None:
        heads = [worker.tasks[0].job for worker in self._workers if worker.tasks]
        if any(isinstance(job, ReadJob) and any(b"hang" in path for path, _, _ in job.files) for job in heads):
            self.clock.now_ns += 61 * 10**9
        super().poll(timeout_s)

    @property
    def pids(self) -> list[int]:
        return [worker.process.pid for worker in self._workers]


@pytest.fixture
def pool(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    folder = tmp_path_factory.mktemp("poison")
    (folder / "sitecustomize.py").write_text(POISON)
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{REPOSITORY}")
    made = Pool(1)
    yield made
    made.close()


def job(folder: Path, *names: str) -> ReadJob:
    files = []
    for name in names:
        path = folder / name
        path.write_bytes(flac(title=name))
        found = path.stat()
        files.append((os.fsencode(path), found.st_size, found.st_mtime_ns))
    return ReadJob(files)


def results(reply: Reply) -> list[ReadResult]:
    assert isinstance(reply, list)
    return reply


def titles(reply: Reply) -> list[str]:
    """What was read of each file; empty where there was nothing."""
    found = [unpack_facts(result.facts) if result.facts else None for result in results(reply)]
    return [facts.tags["title"][0] if facts is not None else "" for facts in found]


def ask(pool: WorkerPool, *jobs: ReadJob) -> list[Reply]:
    answers: dict[int, Reply] = {}
    for number, one in enumerate(jobs):
        pool.submit(one, lambda reply, number=number: answers.__setitem__(number, reply))  # type: ignore[misc] # a default
    pool.drain()
    assert pool.unanswered == 0
    return [answers[number] for number in range(len(jobs))]


def test_jobs_are_answered_in_their_order(pool: Pool, tmp_path: Path) -> None:
    jobs = [job(tmp_path, f"{number}a.flac", f"{number}b.flac") for number in range(8)]
    assert [titles(reply) for reply in ask(pool, *jobs)] == [
        [f"{number}a.flac", f"{number}b.flac"] for number in range(8)
    ]
    assert len(pool.pids) == 1


def test_no_worker_is_started_for_nothing(pool: Pool) -> None:
    pool.drain()
    assert pool.pids == [] and not pool.saturated


def test_a_worker_killed_from_outside_costs_no_file(pool: Pool, tmp_path: Path) -> None:
    ask(pool, job(tmp_path, "0.flac"))
    (pid,) = pool.pids
    stop_processes([pid])  # so that the jobs are still in its hands
    answers: list[Reply] = []
    for number in range(3):
        pool.submit(job(tmp_path, f"{number}a.flac", f"{number}b.flac"), answers.append)
    os.kill(pid, signal.SIGKILL)
    pool.drain()
    assert sorted(map(titles, answers)) == [[f"{number}a.flac", f"{number}b.flac"] for number in range(3)]
    assert pool.pids != [pid]


@pytest.mark.parametrize("poison", ["killer.flac", "hang.flac", "greedy.flac"])
@pytest.mark.expects_log("the file is served unread")
def test_the_file_that_loses_its_worker_is_alone_unread(pool: Pool, tmp_path: Path, poison: str) -> None:
    first, second = ask(pool, job(tmp_path, "1.flac", poison, "2.flac"), job(tmp_path, "3.flac", "4.flac"))
    assert titles(first) == ["1.flac", "", "2.flac"]
    assert "the tag reader" in results(first)[1].reason and not results(first)[1].retry
    assert titles(second) == ["3.flac", "4.flac"]


@pytest.mark.expects_log("the file is served unread")
def test_long_paths_do_not_jam_the_pipe_of_a_worker_that_hangs(pool: Pool, tmp_path: Path) -> None:
    deep = "/".join(["x" * 250] * 11)
    jobs = [job(tmp_path, "hang.flac")]
    jobs += [ReadJob([(os.fsencode(f"{tmp_path}/{deep}/{n}.flac"), 1, 1) for n in range(32)]) for _ in range(3)]
    replies = ask(pool, *jobs)
    assert "did not answer" in results(replies[0])[0].reason
    assert all(result.retry for reply in replies[1:] for result in results(reply))


def test_what_cannot_be_read_says_why(pool: Pool, tmp_path: Path) -> None:
    fine = job(tmp_path, "1.flac").files[0]
    (tmp_path / "text.flac").write_text("hello")
    odd = os.fsencode(tmp_path) + b"/\xff.flac"
    Path(os.fsdecode(odd)).write_text("hello")
    os.mkfifo(tmp_path / "pipe.flac")
    text, weird = ((path, 5, os.stat(path).st_mtime_ns) for path in (os.fsencode(tmp_path / "text.flac"), odd))
    missing, resized, pipe = (
        (b"/nowhere/x.flac", 1, 1),
        (*fine[:1], 1, fine[2]),
        (os.fsencode(tmp_path / "pipe.flac"), 0, 0),
    )
    (reply,) = ask(pool, ReadJob([fine, text, weird, missing, resized, pipe]))
    assert [bool(result.facts) for result in results(reply)] == [True, False, False, False, False, False]
    assert [result.retry for result in results(reply)] == [False, False, False, True, True, True]
    assert all(result.reason for result in results(reply)[1:])
    assert len(pool.pids) == 1  # nobody died of it


def test_a_disk_that_fails_is_no_bad_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from musicfs.library import worker

    path, size, mtime_ns = job(tmp_path, "1.flac").files[0]

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", fail)
    assert worker._read_file(path, size, mtime_ns) == ReadResult(reason="Input/output error", retry=True)


def test_covers_come_before_what_waits(pool: Pool, tmp_path: Path) -> None:
    image = make_jpeg("navy")
    (tmp_path / "folder.jpg").write_bytes(image)
    answers: list[Reply] = []
    for number in range(6):
        pool.submit(job(tmp_path, f"{number}.flac"), answers.append)
    assert pool.run(CoverJob(os.fsencode(tmp_path / "folder.jpg"), len(image), None)) == image
    assert pool.unanswered + len(answers) == 6
    pool.drain()
    assert len(answers) == 6
    assert pool.run(CoverJob(b"/nowhere.png", 9, None)) == b""


def test_closing_ends_the_workers(pool: Pool, tmp_path: Path) -> None:
    ask(pool, job(tmp_path, "1.flac"))
    (pid,) = pool.pids
    pool.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
