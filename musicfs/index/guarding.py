"""What tantivy throws, as errors of MusicFS."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterator

from musicfs.errors import DiskFullError, MusicFSError, StoreError

# tantivy's errors are ValueError and OSError with a text; a number of the operating system is in it, if there was one.
_OS_ERROR = re.compile(r"os error (\d+)|\bcode: (\d+)")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FULL_TEXT = re.compile(r"StorageFull|QuotaExceeded|FileTooLarge|No space left|Disk quota exceeded|File too large")


@contextlib.contextmanager
def tantivy_errors(what: str) -> Iterator[None]:
    """Raise DiskFullError or StoreError in place of what tantivy raises, panics too; the message begins with ``what``."""
    try:
        yield
    except MusicFSError:
        raise
    except (ValueError, OSError) as error:
        if _is_full(error):
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
