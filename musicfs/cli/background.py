"""Starts the daemon in the background, and waits until its mount answers.

The child is the same command with ``--foreground`` and the writing end of a pipe, on which it says in one line of JSON
how it went: ``{"ready": true, "pid": N}``, or ``{"error": ..., "remedy": ..., "exit_code": N}``. It runs in a session of
its own, with standard error in the file of the day, ``<instance>-YYYY-MM-DD.log`` in
``logging.log_dir``, else in ``state_dir/log``.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time

import msgspec

from musicfs.config.settings import Settings
from musicfs.daemon.logs.files import day_path, open_log
from musicfs.daemon.logs.setup import log_folder
from musicfs.errors import MountError, MusicFSError
from musicfs.interpreter import child_environment, module_command

_READY_TIMEOUT_S = 60.0
_TERMINATE_TIMEOUT_S = 10.0
_LOG_LINES = 10
_MAX_LINE_BYTES = 65536


class Answer(msgspec.Struct):
    """The line that the child writes. ``ready`` without ``error`` is success."""

    ready: bool = False
    pid: int = 0
    error: str = ""
    remedy: str = ""
    exit_code: int = 1


def start_in_background(settings: Settings, arguments: list[str], *, timeout_s: float = _READY_TIMEOUT_S) -> int:
    """Start the daemon with the command line ``arguments``; its pid, once the mount answers.

    Blocks for ``timeout_s`` at most. Raises the child's error as MountError with its exit code, or MountError with the end
    of its log when it dies without a word or is not ready in time; the child is then gone.
    """
    log_path = day_path(log_folder(settings), settings.instance, time.time())
    log_fd = _open_log(log_path)
    reading, writing = os.pipe()
    try:
        log_start = os.fstat(log_fd).st_size
        child = _spawn(arguments, writing, log_fd)
        os.close(writing)
        writing = -1
        try:
            line = _first_line(reading, timeout_s)
        except BaseException:
            _end(child)
            raise
        return _outcome(child, line, log_path, log_start, timeout_s)
    finally:
        for fd in (reading, writing, log_fd):
            if fd >= 0:
                os.close(fd)


def report_failure(fd: int, error: MusicFSError) -> None:
    """Tell the process that waits at the other end of ``fd``, if there still is one, why there will be no mount."""
    message = str(error)
    for problem in getattr(error, "problems", ()):
        message += f"\n  {problem}"
    answer = Answer(error=message, remedy=error.remedy, exit_code=error.exit_code)
    with contextlib.suppress(OSError):
        os.write(fd, msgspec.json.encode(answer) + b"\n")


class BackgroundError(MountError):
    """The background process failed. ``exit_code`` is the one it ended with."""

    def __init__(self, message: str, *, remedy: str, exit_code: int) -> None:
        super().__init__(message, remedy=remedy)
        self.exit_code = exit_code  # type: ignore[misc]  # the child's error decides, not its class here


def _spawn(arguments: list[str], ready_fd: int, log_fd: int) -> subprocess.Popen[bytes]:
    at = arguments.index("mount") + 1
    command = [*arguments[:at], "--foreground", "--ready-fd", str(ready_fd), *arguments[at:]]
    return subprocess.Popen(
        module_command("musicfs.cli.main", *command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=log_fd,
        pass_fds=(ready_fd,),
        start_new_session=True,
        env=child_environment(os.environ),
    )


def _open_log(path: str) -> int:
    try:
        return open_log(path)
    except OSError as error:
        raise MountError(
            f"cannot write the log {path}: {error.strerror}",
            remedy="check logging.log_dir or state_dir and its permissions",
        ) from error


def _first_line(fd: int, timeout_s: float) -> bytes | None:
    """What the child says, empty if it ended without a word; None when the time is over."""
    stop = time.monotonic() + timeout_s
    data = b""
    while b"\n" not in data and len(data) < _MAX_LINE_BYTES:
        ready, _, _ = select.select([fd], [], [], max(0.0, stop - time.monotonic()))
        if not ready:
            return None
        piece = os.read(fd, _MAX_LINE_BYTES)
        if not piece:
            break
        data += piece
    return data.partition(b"\n")[0]


def _outcome(
    child: subprocess.Popen[bytes], line: bytes | None, log_path: str, log_start: int, timeout_s: float
) -> int:
    if line is None:
        _end(child)
        raise MountError(f"the mount was not ready within {timeout_s:g} s", remedy=_log_end(log_path, log_start))
    try:
        answer = msgspec.json.decode(line, type=Answer)
    except msgspec.DecodeError:
        answer = Answer()
    if answer.ready and not answer.error:
        child.returncode = 0  # it lives on, and is not ours to wait for
        return answer.pid or child.pid
    _end(child)
    if answer.error:
        raise BackgroundError(answer.error, remedy=answer.remedy, exit_code=answer.exit_code)
    raise MountError(
        f"the daemon ended before the mount was ready (exit code {child.returncode})",
        remedy=_log_end(log_path, log_start),
    )


def _end(child: subprocess.Popen[bytes]) -> None:
    """See the child off: it is about to end by itself, or is asked to, or made to."""
    try:
        child.wait(timeout=1.0)
    except subprocess.TimeoutExpired:
        child.terminate()
        try:
            child.wait(timeout=_TERMINATE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(timeout=_TERMINATE_TIMEOUT_S)


def _log_end(path: str, start: int) -> str:
    """The last lines that this run logged."""
    with open(path, "rb") as stream:
        stream.seek(max(start, os.fstat(stream.fileno()).st_size - _MAX_LINE_BYTES))
        lines = stream.read().decode("utf-8", "backslashreplace").splitlines()[-_LOG_LINES:]
    return "\n  ".join([f"see {path}", *lines])
