"""Optional packages."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from musicfs.cli.doctor.finding import Examination, Finding, ok, warn

# Module, name and use of each extra, and the command that installs it.
_EXTRAS = (("PIL", "Pillow", "PNG and WebP pictures as cover.jpg", "pip install 'musicfs[artwork]'"),)


def extras(_examination: Examination) -> Iterator[Finding]:
    """What could be done with a package that is not there."""
    for module, name, use, command in _EXTRAS:
        if importlib.util.find_spec(module) is not None:
            yield ok("extras", f"{name} ({use})")
        else:
            yield warn("extras", f"{name} is not installed: no {use}", f"run `{command}`")
