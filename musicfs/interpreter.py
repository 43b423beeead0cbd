"""How MusicFS starts another interpreter that runs a module of its own."""

from __future__ import annotations

import sys
from collections.abc import Mapping

_INHERITED = ("PYTHON", "LD_", "LC_")
_INHERITED_NAMES = frozenset({"PATH", "HOME", "LANG", "TZ", "TMPDIR"})


def module_command(module: str, *arguments: str) -> tuple[str, ...]:
    """The command line that runs ``module``.

    With -P: the folder that MusicFS happens to be started in, full of anybody's files, is no place to import from.
    """
    return (sys.executable, "-P", "-m", module, *arguments)


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` for such a process, which finds this package too where it runs from a checkout."""
    import sysconfig

    root = __file__.rpartition("/musicfs/")[0]
    search = environment.get("PYTHONPATH", "")
    if root in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *search.split(":")}:
        return dict(environment)
    return {**environment, "PYTHONPATH": f"{search}:{root}" if search else root}


def plain_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The same of what an interpreter needs and no more: nothing that may hold a secret."""
    return child_environment(
        {name: value for name, value in environment.items() if name in _INHERITED_NAMES or name.startswith(_INHERITED)}
    )
