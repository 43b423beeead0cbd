"""What crashes have left."""

from __future__ import annotations

import time
from collections.abc import Iterator

from musicfs.cli.doctor.finding import Examination, Finding, ok, warn

_DAYS = 30


def crashes(examination: Examination) -> Iterator[Finding]:
    """No process has crashed in the last month."""
    from musicfs.daemon.crashes import crashes_folder, list_crashes

    folder = crashes_folder(examination.settings.state_dir)
    since_ns = time.time_ns() - _DAYS * 86_400 * 1_000_000_000
    found = [one for one in list_crashes(folder) if one.time_ns >= since_ns]
    if not found:
        yield ok("crashes", f"none in {_DAYS} days")
        return
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(found[0].time_ns // 1_000_000_000))
    yield warn(
        "crashes",
        f"{len(found)} in {_DAYS} days, the last one on {when} ({found[0].process} process)",
        f"read {found[0].path}, and report it with what was going on; delete it then",
    )
