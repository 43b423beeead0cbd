"""A pool of spawned workers that read tags: each may crash, hang or run out of memory, and only its file suffers.

Used from one thread. A worker has at most a few jobs waiting in its pipe, so that a lost one costs little; jobs are
answered in order. A worker that does not answer in time is killed. The job of a lost worker is tried file by file, and the
file on which it is lost again is answered as unreadable.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import subprocess
from collections import deque
from collections.abc import Callable

import msgspec

from musicfs.clock import Clock
from musicfs.interpreter import module_command, plain_environment
from musicfs.library.protocol import LENGTH, CoverJob, ReadJob, ReadResult, Reply, frame, results_decoder

log = logging.getLogger(__name__)

WORKER_COMMAND = module_command("musicfs.library.worker")
FILES_PER_JOB = 32
_JOBS_PER_WORKER = 3
_DEADLINE_S = 60.0
_PIPE_READ_BYTES = 1 << 18
_PIPE_BYTES = 32 << 10  # half of what a pipe holds (pipe(7)): a write beyond it would wait for a worker that may hang

Answer = Callable[[Reply], None]


class _Task:
    """A job on its way, and whom to tell."""

    __slots__ = ("answer", "frame", "job", "sent_at")

    def __init__(self, job: ReadJob | CoverJob, answer: Answer) -> None:
        self.job = job
        self.frame = frame(job)
        self.answer = answer
        self.sent_at = 0.0


class _Worker:
    """One process and the jobs in its pipe."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            WORKER_COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=plain_environment(os.environ),  # it reads files that anybody may have made
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.stdin = self.process.stdin
        self.stdout_fd = self.process.stdout.fileno()
        self.tasks: deque[_Task] = deque()
        self.buffer = bytearray()

    def takes(self, task: _Task) -> bool:
        """True if the job can be written without blocking, whatever the worker does: the first one is in its hands."""
        if not self.tasks:
            return True
        waiting = sum(len(other.frame) for other in list(self.tasks)[1:])
        return len(self.tasks) < _JOBS_PER_WORKER and waiting + len(task.frame) <= _PIPE_BYTES

    def close(self) -> None:
        """End the process: closing its input is enough for a healthy one."""
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()
        try:
            self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


class WorkerPool:
    """``size`` workers, started when the first job comes; :meth:`close` ends them."""

    def __init__(self, size: int, clock: Clock) -> None:
        self._size = size
        self._clock = clock
        self._workers: list[_Worker] = []
        self._waiting: deque[_Task] = deque()
        self._selector = selectors.DefaultSelector()

    @property
    def unanswered(self) -> int:
        """Jobs submitted and not yet answered."""
        return len(self._waiting) + sum(len(worker.tasks) for worker in self._workers)

    @property
    def saturated(self) -> bool:
        """True when every worker has enough to do."""
        return self.unanswered >= self._size * _JOBS_PER_WORKER

    def submit(self, job: ReadJob | CoverJob, answer: Answer) -> None:
        """Queue a job; ``answer`` is called from a later :meth:`poll`, on its thread."""
        self._waiting.append(_Task(job, answer))
        self._dispatch()

    def poll(self, timeout_s: float) -> None:
        """Deliver answers; blocks up to ``timeout_s`` for the first one."""
        for key, _ in self._selector.select(timeout_s):
            worker: _Worker = key.data
            data = os.read(worker.stdout_fd, _PIPE_READ_BYTES)
            if data:
                worker.buffer += data
                self._deliver(worker)
            else:
                self._lose(worker, "ended")
        now = self._clock.monotonic()
        for worker in list(self._workers):
            if worker.tasks and now - worker.tasks[0].sent_at > _DEADLINE_S:
                worker.process.kill()
                self._lose(worker, f"did not answer within {_DEADLINE_S:.0f} s")
        self._dispatch()

    def drain(self) -> None:
        """Deliver until every job is answered."""
        while self.unanswered:
            self.poll(1.0)

    def run(self, job: CoverJob) -> bytes:
        """Run one job before all waiting ones and block for its answer; other answers are delivered meanwhile."""
        replies: list[Reply] = []
        self._waiting.appendleft(_Task(job, replies.append))
        self._dispatch()
        while not replies:
            self.poll(1.0)
        reply = replies[0]
        assert isinstance(reply, bytes)
        return reply

    def close(self) -> None:
        """End all workers; unanswered jobs are dropped."""
        self._waiting.clear()
        for worker in self._workers:
            self._selector.unregister(worker.stdout_fd)
            worker.close()
        self._workers.clear()

    def _dispatch(self) -> None:
        while self._waiting:
            worker = min(self._workers, key=lambda one: len(one.tasks), default=None)
            if worker is None or (worker.tasks and len(self._workers) < self._size):
                worker = _Worker()
                self._workers.append(worker)
                self._selector.register(worker.stdout_fd, selectors.EVENT_READ, worker)
            if not worker.takes(self._waiting[0]):
                return
            task = self._waiting.popleft()
            task.sent_at = self._clock.monotonic()
            worker.tasks.append(task)
            try:
                worker.stdin.write(task.frame)
                worker.stdin.flush()
            except BrokenPipeError:
                self._lose(worker, "ended")

    def _deliver(self, worker: _Worker) -> None:
        buffer = worker.buffer
        while len(buffer) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(buffer)
            if len(buffer) < LENGTH.size + length:
                return
            body = bytes(buffer[LENGTH.size : LENGTH.size + length])
            del buffer[: LENGTH.size + length]
            task = worker.tasks.popleft()
            if worker.tasks:
                worker.tasks[0].sent_at = self._clock.monotonic()
            task.answer(_decode(task.job, body))

    def _lose(self, worker: _Worker, why: str) -> None:
        self._workers.remove(worker)
        self._selector.unregister(worker.stdout_fd)
        worker.close()
        tasks = list(worker.tasks)
        if not tasks:
            return
        suspect = tasks[0]
        self._waiting.extendleft(reversed(tasks[1:]))
        if isinstance(suspect.job, ReadJob) and len(suspect.job.files) > 1:
            self._split(suspect.job, suspect.answer)
            return
        log.warning("a tag reader %s on %r; the file is served unread", why, _subject(suspect.job))
        suspect.answer([ReadResult(reason=f"the tag reader {why}")] if isinstance(suspect.job, ReadJob) else b"")

    def _split(self, job: ReadJob, answer: Answer) -> None:
        """Try the files of a lost job one by one, and answer once all are known."""
        results: list[ReadResult | None] = [None] * len(job.files)

        def collect(position: int) -> Answer:
            def one(reply: Reply) -> None:
                assert isinstance(reply, list)
                results[position] = reply[0]
                if all(result is not None for result in results):
                    answer([result for result in results if result is not None])

            return one

        for position, file in enumerate(job.files):
            self._waiting.append(_Task(ReadJob([file]), collect(position)))


def _decode(job: ReadJob | CoverJob, body: bytes) -> Reply:
    return results_decoder.decode(body) if isinstance(job, ReadJob) else msgspec.msgpack.decode(body, type=bytes)


def _subject(job: ReadJob | CoverJob) -> bytes:
    return job.files[0][0] if isinstance(job, ReadJob) else job.path
