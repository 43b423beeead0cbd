"""What tantivy throws, as errors of MusicFS."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from musicfs.errors import DiskFullError, MusicFSError, StoreError

# tantivy's errors are ValueError and OSError with a text; a number of the operating system is in it, if there was one.
_OS_ERROR = re.compile(r"os error (\d+)|\bcode: (\d+)")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FULL_TEXT = re.compile(r"StorageFull|QuotaExceeded|FileTooLarge|No space left|Disk quota exceeded|File too large")
# What befell the thread that writes segments is not told with it.
_WRITER_KILLED = "index writer was killed"
_ROOM_BYTES = 16 << 20  # a segment of a few ten thousand tracks


@contextlib.contextmanager
def tantivy_errors(what: str, folder: Path | None = None) -> Iterator[None]:
    """Raise DiskFullError or StoreError in place of what tantivy raises, panics too; the message begins with ``what``.

    ``folder`` is what is being written to, if anything is.
    """
    try:
        yield
    except MusicFSError:
        raise
    except (ValueError, OSError) as error:
        if _is_full(error) or (folder is not None and _WRITER_KILLED in str(error) and not _has_room(folder)):
            raise DiskFullError(f"{what}: the disk is full", remedy="free some space on this disk") from error
        raise StoreError(f"{what}: {error}") from error
    except BaseException as error:  # a panic in Rust is no Exception, and its class cannot be imported
        if type(error).__name__ != "PanicException":
            raise
        raise StoreError(f"{what}: {error}") from error


def _is_full(error: Exception) -> bool:
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    text = str(error)
    numbers = [int(found[1] or found[2]) for found in _OS_ERROR.finditer(text)]
    return any(number in _FULL for number in numbers) or _FULL_TEXT.search(text) is not None


def _has_room(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, _ROOM_BYTES)
    except OSError as error:
        return error.errno not in _FULL
    return True
