"""``python -m musicfs.store.state_probe FOLDER``: check all of a state, so that a crash happens here and not in the keeper.

Exit status 0 when every value is there as it was written, 1 when not; :data:`OLDER` and :data:`NEWER` for a schema's that
is not read as it is, of which an older one has been read through.
"""

from __future__ import annotations

import sys

from musicfs.errors import StoreError
from musicfs.store import probe
from musicfs.store.state_tables import OLDEST_SCHEMA, SCHEMA, StateTables, schema_of

OLDER, NEWER = 10, 11


def main(path: str) -> int:
    """Check the environment in ``path``."""
    try:
        schema = schema_of(path)
        if schema > SCHEMA:
            return NEWER
        if schema < OLDEST_SCHEMA:
            return probe.main(path) or OLDER
        with StateTables(path, readonly=True).reading() as read:
            if read.is_sound():
                return 0
        sys.stderr.write(f"probe: {path}: not as it was written\n")
    except StoreError as error:
        sys.stderr.write(f"probe: {path}: {error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
