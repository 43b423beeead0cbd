"""Optional packages: those that configured origins need, and those that would add something."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from musicfs.cli.doctor.finding import Examination, Finding, fail, ok, warn

# Module, name and use of each extra, and the command that installs it.
_EXTRAS = (("PIL", "Pillow", "PNG and WebP pictures as cover.jpg", "pip install 'musicfs[artwork]'"),)
# Extra of an origin type -> the module that it brings.
_MODULES = {"sftp": "asyncssh", "smb": "smbprotocol"}


def extras(_examination: Examination) -> Iterator[Finding]:
    """What could be done with a package that is not there."""
    for module, name, use, command in _EXTRAS:
        if importlib.util.find_spec(module) is not None:
            yield ok("extras", f"{name} ({use})")
        else:
            yield warn("extras", f"{name} is not installed: no {use}", f"run `{command}`")


def origin_extras(examination: Examination) -> Iterator[Finding]:
    """The packages that the configured types of origins and places of secrets need."""
    from musicfs.cli.doctor.secrets import references
    from musicfs.origins.registry import KINDS, kind_of

    needed: dict[str, list[str]] = {}
    for origin in examination.settings.origins:
        if not origin.enabled:
            continue
        extra = KINDS[kind_of(origin)].extra
        if extra:
            needed.setdefault(extra, []).append(origin.id)
        if any(reference.startswith("keyring:") for _, reference in references(origin)):
            needed.setdefault("keyring", []).append(origin.id)
    for extra, origins in needed.items():
        module = _MODULES.get(extra, extra)
        if importlib.util.find_spec(module) is not None:
            yield ok("extras", f"{module} (for {', '.join(origins)})")
        else:
            message = f"{module} is not installed: {', '.join(origins)} cannot be read"
            yield fail("extras", message, f"run `pip install 'musicfs[{extra}]'`")
