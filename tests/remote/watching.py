"""Somebody who walks the mount all the time, and somebody who reads and takes the time."""

from __future__ import annotations

import errno
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

PIECE_BYTES = 128 * 1024


class Walker(threading.Thread):
    """Counts the entries of a mount in circles, until stopped: the tree may never shrink, and nobody may wait for it."""

    def __init__(self, point: Path, expected: int, slowest_s: float = 1.0) -> None:
        """``expected`` is the number of entries, and ``slowest_s`` how long a stat or a listing may take."""
        super().__init__(name="walker", daemon=True)
        self._point = point
        self._expected = expected
        self._limit_s = slowest_s
        self._ending = threading.Event()
        self.rounds = 0
        self.slowest_s = 0.0
        self.errors: list[str] = []

    def run(self) -> None:
        while not self._ending.wait(0.1):
            count = 0
            for folder, folders, files in self._walk():
                count += len(folders) + len(files)
                for name in files:
                    self._timed(os.path.join(folder, name))
            if count < self._expected:
                self.errors.append(f"{count} entries of {self._expected}")
            self.rounds += 1

    def _walk(self) -> list[tuple[str, list[str], list[str]]]:
        begun = time.monotonic()
        found = list(os.walk(self._point, onerror=lambda error: self.errors.append(str(error))))
        self._note((time.monotonic() - begun) / max(len(found), 1), "listing")
        return found

    def _timed(self, path: str) -> None:
        begun = time.monotonic()
        try:
            if not os.stat(path).st_size:
                self.errors.append(f"{path} is empty")
            os.getxattr(path, "user.musicfs.origin")  # which the kernel does not remember: we are asked
        except OSError as error:
            self.errors.append(str(error))
        self._note(time.monotonic() - begun, path)

    def _note(self, took_s: float, what: str) -> None:
        self.slowest_s = max(self.slowest_s, took_s)
        if took_s > self._limit_s:
            self.errors.append(f"{what} took {took_s:.2f} s")

    def stop(self) -> None:
        """End, and fail if anything was amiss."""
        self._ending.set()
        self.join(30)
        assert not self.is_alive(), "a stat or a listing hangs"
        assert self.rounds, "nothing was walked"
        assert not self.errors, f"{len(self.errors)} errors: {self.errors[:10]}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one read said: its bytes, or the name of its errno; and how long it took."""

    start: int
    data: bytes
    error: str
    took_s: float


def read_timed(descriptor: int, start: int, size: int = PIECE_BYTES) -> Answer:
    """One read of an open file."""
    begun = time.monotonic()
    try:
        data, error = os.pread(descriptor, size, start), ""
    except OSError as failed:
        data, error = b"", errno.errorcode[failed.errno or 0]
    return Answer(start, data, error, time.monotonic() - begun)


def read_pieces(descriptor: int, start: int, stop: int) -> list[Answer]:
    """The pieces of ``[start, stop)``, one after the other, whatever becomes of each; ends after three errors in a row."""
    answers: list[Answer] = []
    while start < stop:
        answers.append(read_timed(descriptor, start, min(PIECE_BYTES, stop - start)))
        start += PIECE_BYTES
        if len(answers) >= 3 and all(answer.error for answer in answers[-3:]):
            break
    return answers


def check_answers(answers: list[Answer], wanted: bytes, slowest_s: float, errors: frozenset[str]) -> None:
    """Each answer is right or one of ``errors``, and came in time."""
    for answer in answers:
        assert answer.took_s <= slowest_s, f"{answer.took_s:.1f} s at {answer.start}"
        if answer.error:
            assert answer.error in errors, answer.error
        else:
            assert answer.data == wanted[answer.start : answer.start + len(answer.data)], answer.start
            assert len(answer.data) == min(PIECE_BYTES, len(wanted) - answer.start), answer.start
