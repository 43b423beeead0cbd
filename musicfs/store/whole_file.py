"""Files that are there whole or not at all, whatever ends the process that writes them."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable

from musicfs.store.journal import file_error, sync_folder, write_all


def write_whole(path: str, pieces: Iterable[bytes]) -> int:
    """Have a file of these pieces on disk, which its user alone can read, in the place of what is there; its size in bytes.

    Raises DiskFullError, StoreError, and what ``pieces`` raises: then what was there is there still, unless the last step
    failed, which makes sure that the new one outlasts a power cut.
    """
    fresh = f"{path}.{secrets.token_hex(4)}.new"
    size = 0
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            for piece in pieces:
                size += write_all(descriptor, memoryview(piece), size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(fresh, path)
        sync_folder(os.path.dirname(path))
    except BaseException as error:  # also an interrupt must not leave half a file
        with contextlib.suppress(OSError):
            os.unlink(fresh)
        if isinstance(error, OSError):
            raise file_error(path, error) from error
        raise
    return size
