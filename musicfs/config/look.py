"""One look at one folder; as a program of its own where the folder may hang: ``python -I look.py FOLDER``.

Imports nothing of ours: as a program it is to start at once, wherever the package lies.
"""

from __future__ import annotations

import os
import sys


def look(path: str) -> tuple[str, str]:
    """``path`` with symbolic links resolved, and why it is no readable folder, as the end of a sentence (or empty)."""
    real = os.path.realpath(path)
    if not os.path.lexists(path):
        return real, "does not exist"
    if not os.path.isdir(path):
        return real, "is not a folder"
    return real, "" if os.access(path, os.R_OK | os.X_OK) else "cannot be read by this user"


if __name__ == "__main__":
    sys.stdout.buffer.write(b"\0".join(map(os.fsencode, look(sys.argv[1]))))
