"""What a running daemon says about itself."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from musicfs.cli.doctor.finding import Examination, Finding, fail, ok, warn
from musicfs.cli.output import counted
from musicfs.errors import ConfigError, MusicFSError, NoDaemonError

_LISTED = 100
_HELD_REMEDY = "they apply again when that file is back, or exactly one other has its audio and no corrections"


def daemon(examination: Examination) -> Iterator[Finding]:
    """Whether one answers, how its origins are, and which files it could not read."""
    try:
        with examination.connect() as client:
            status = client.status()
            origins = client.origins()
            page = client.problems("", 0, _LISTED)
            held = list(islice(client.held_metadata(), _LISTED))
    except NoDaemonError:
        yield ok("daemon", "none is running")
        return
    except ConfigError:
        yield warn(
            "daemon", "none was found", "correct the configuration, which says where to look, and run this again"
        )
        return
    except MusicFSError as error:
        yield fail("daemon", str(error), error.remedy or "look at its log")
        return
    message = f"pid {status.pid}, {status.state.value}, {status.mount_point}"
    if status.detail:
        yield warn("daemon", f"{message}: {status.detail}", "look at its log")
    else:
        yield ok("daemon", message)
    if status.keeper_restarts:
        yield warn("daemon", f"its scanner was restarted {counted(status.keeper_restarts, 'time')}", "look at its log")
    for origin in origins:
        if origin.health.value == "unhealthy":
            reason = origin.message or "it does not answer"
            yield fail("origins", f"{origin.id}: {reason}", f"`musicfs origin health {origin.id}` probes it again")
        if origin.held_removals:
            yield warn(
                "origins",
                f"{origin.id}: {counted(origin.held_removals, 'file', 'is', 'are')} gone, and still shown",
                f"`musicfs origin confirm {origin.id}` removes what is gone, if that was meant",
            )
    for track in held:
        fields = ", ".join([*track.overlay, *(("cover",) if track.cover.value != "own" else ())])
        place = f"{track.origin_id}:{track.origin_path}" if track.origin_path else "a file that is not known any more"
        yield warn("corrections", f"{place} is gone, and its corrected tags ({fields}) are kept", _HELD_REMEDY)
    yield from _unreadable(
        max(page.total, status.problems), [f"{item.origin_id}:{item.path} ({item.reason})" for item in page.problems]
    )


def _unreadable(total: int, files: list[str]) -> Iterator[Finding]:
    for file in files:
        yield warn("files", file, "it is shown and can be played as it is; its tags are not known")
    if total > len(files):
        more = f"{counted(total - len(files), 'more file')} could not be read"
        yield warn("files", more, "repair or remove those listed, and run this again")
    if not total:
        yield ok("files", "all could be read")
