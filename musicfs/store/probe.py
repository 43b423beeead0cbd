"""``python -m musicfs.store.probe FOLDER``: read through a catalog so that a crash happens here, not in the mount.

Exit status 0 when every table can be opened and read: all of it when the file is small, else its first, last and a thousand
spread entries.
"""

from __future__ import annotations

import os
import sys

import lmdb

from musicfs.errors import StoreError
from musicfs.store.environment import open_environment

_SAMPLES = 1000
_WALKED_BYTES = 64 << 20  # some 80,000 tracks, half a second


def main(path: str) -> int:
    """Probe the environment in ``path``; 0 or 1."""
    look = _walk if _size(path) <= _WALKED_BYTES else _sample
    try:
        with open_environment(path, readonly=True) as env, env.begin() as txn:
            for name in env.dbs(txn):
                table = env.open_db(name, txn, create=False)
                with txn.cursor(table) as cursor:
                    look(cursor)
    except (lmdb.Error, StoreError) as error:
        sys.stderr.write(f"probe: {path}: {error}\n")
        return 1
    return 0


def _size(path: str) -> int:
    try:
        return os.stat(os.path.join(path, "data.mdb")).st_size
    except FileNotFoundError:
        return 0


def _walk(cursor: lmdb.Cursor[bytes]) -> None:
    """Touch everything."""
    for _ in cursor:
        pass


def _sample(cursor: lmdb.Cursor[bytes]) -> None:
    """Touch both ends and keys spread over the key space by their first two bytes."""
    if not cursor.first():
        return
    cursor.item()
    cursor.last()
    cursor.item()
    step = 65536 // _SAMPLES
    for prefix in range(0, 65536, step):
        if cursor.set_range(prefix.to_bytes(2, "big")):
            cursor.item()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
