"""``python -m musicfs.store.probe FOLDER``: read through a catalog so that a crash happens here, not in the mount.

Exit status 0 when every table can be opened and its first, last and a thousand spread entries can be read.
"""

from __future__ import annotations

import sys

import lmdb

from musicfs.errors import StoreError
from musicfs.store.environment import open_environment

_SAMPLES = 1000


def main(path: str) -> int:
    """Probe the environment in ``path``; 0 or 1."""
    try:
        with open_environment(path, readonly=True) as env, env.begin() as txn:
            for name in env.dbs(txn):
                table = env.open_db(name, txn, create=False)
                with txn.cursor(table) as cursor:
                    _sample(cursor)
    except (lmdb.Error, StoreError) as error:
        sys.stderr.write(f"probe: {path}: {error}\n")
        return 1
    return 0


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
