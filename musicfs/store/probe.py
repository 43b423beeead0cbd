"""``python -m musicfs.store.probe FOLDER``: read through a catalog so that a crash happens here, not in the mount.

Exit status 0 when every table can be opened and read: the small ones all through, the large ones' first, last and a thousand
spread entries.
"""

from __future__ import annotations

import sys

import lmdb

from musicfs.errors import StoreError
from musicfs.store.environment import open_environment

_SAMPLES = 1000
_WALKED_BYTES = 64 << 20  # some 80,000 tracks, half a second


def main(path: str) -> int:
    """Probe the environment in ``path``; 0 or 1."""
    try:
        with open_environment(path, readonly=True) as env, env.begin(buffers=True) as txn:
            tables = [env.open_db(bytes(name), txn, create=False) for name in env.dbs(txn)]
            left = _WALKED_BYTES
            for size, table in sorted(((_size(txn, table), table) for table in tables), key=lambda pair: pair[0]):
                left -= size
                with txn.cursor(table) as cursor:
                    (_walk if left >= 0 else _sample)(cursor)
    except (lmdb.Error, StoreError) as error:
        sys.stderr.write(f"probe: {path}: {error}\n")
        return 1
    return 0


def _size(txn: lmdb.Transaction[memoryview], table: lmdb._Database) -> int:
    """Bytes of the pages of a table."""
    found = txn.stat(table)
    return int(found["psize"]) * sum(int(found[kind]) for kind in ("branch_pages", "leaf_pages", "overflow_pages"))


def _walk(cursor: lmdb.Cursor[memoryview]) -> None:
    """Touch everything."""
    for _ in cursor:
        pass


def _sample(cursor: lmdb.Cursor[memoryview]) -> None:
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
