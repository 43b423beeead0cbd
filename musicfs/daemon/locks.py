"""One MusicFS a folder: a lock on it that ends with its process, and beside it that process's pid for who is refused."""

from __future__ import annotations

import fcntl
import logging
import os
from typing import IO

from musicfs.errors import AlreadyRunningError, StoreError

log = logging.getLogger(__name__)


def hold_folder(folder: str, name: str, noun: str, remedy: str) -> IO[str]:
    """Hold the lock on a folder until what is returned is closed; the folder is made if it is not there.

    Raises AlreadyRunningError with the holder's pid, StoreError.
    """
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the folder {folder} cannot be made: {error.strerror}", remedy="check cache_dir and state_dir"
        ) from error
    pid_path = os.path.join(folder, f"{name}.pid")
    try:
        lock = open(os.path.join(folder, f"{name}.lock"), "a")  # noqa: SIM115 # held until the process ends
    except OSError as error:
        raise StoreError(
            f"the {noun} {folder} cannot be written: {error.strerror}", remedy=f"check {noun}_dir and its permissions"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        pid = _read_pid(pid_path)
        raise AlreadyRunningError(
            f"another MusicFS (pid {pid or 'unknown'}) uses the {noun} {folder}",
            pid=pid,
            remedy=f"stop it with 'musicfs shutdown', or give this one {remedy}",
        ) from None
    try:
        with open(pid_path, "w") as file:
            file.write(f"{os.getpid()}\n")
    except OSError as error:  # a full disk must not keep the library from being served
        log.warning("%s cannot be written: %s", pid_path, error.strerror)
    return lock


def _read_pid(path: str) -> int:
    try:
        with open(path) as file:
            return int(file.read())
    except (FileNotFoundError, ValueError):
        return 0
