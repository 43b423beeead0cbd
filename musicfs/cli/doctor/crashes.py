"""What crashes have left."""

from __future__ import annotations

import time
from collections.abc import Iterator

from musicfs.cli.doctor.finding import Examination, Finding, ok, warn


def crashes(examination: Examination) -> Iterator[Finding]:
    """No process has crashed in the last month."""
    from musicfs.daemon.crashes import RECENT_DAYS, crashes_folder, recent_crashes

    found = recent_crashes(crashes_folder(examination.settings.state_dir), time.time_ns())
    if not found:
        yield ok("crashes", f"none in {RECENT_DAYS} days")
        return
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(found[0].time_ns // 1_000_000_000))
    yield warn(
        "crashes",
        f"{len(found)} in {RECENT_DAYS} days, the last one on {when} ({found[0].process} process)",
        f"read {found[0].path}, and report it with what was going on; delete it then",
    )
