"""The command: runs every check and prints what it found."""

from __future__ import annotations

import click

from musicfs.cli.candidates import complete_origin
from musicfs.cli.command import Command
from musicfs.cli.invocation import Invocation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.cli.doctor.finding import Examination, Finding
    from musicfs.cli.output import Output
    from musicfs.config.settings import Settings


@click.command(cls=Command)
@click.option("--library", is_flag=True, help="Look at the music instead: a running daemon looks it over.")
@click.option(
    "--all", "tell_all", is_flag=True, help="With --library: tell everything, not only the first ten of a kind."
)
@click.option("--origin", "origin_id", default="", metavar="ID", help="With --library: only what this origin has.",
              shell_complete=complete_origin)  # fmt: skip
@click.pass_obj
def doctor(invocation: Invocation, library: bool, tell_all: bool, origin_id: str) -> int:
    """Look for anything that is wrong with MusicFS or with the music.

    Each finding comes with what to do about it. Works with and without a running daemon. The exit code is 1 when something
    fails; warnings do not count.

    With --json, prints an array of {check, level (ok, warn, fail), message, remedy}.

    With --library, finds files that could not be read, or have no tags; recordings that one origin has twice; albums that
    are shown in pieces because their tracks disagree about artist or year, or have no cover; files that have changed since
    they were scanned (of origins on this machine); and corrections whose files are gone, and not in the trash. With --json,
    prints {files (looked at), counts: {kind: how many}, unchecked: {origin: why it was not compared with what was scanned},
    issues: [{kind (unreadable, no_tags, split_album, duplicate, no_cover, drifted, held), origin_id, paths (in the origin;
    without one, in the mount), detail, files}]}.

    \b
    Examples:
      musicfs doctor
      musicfs --json doctor | jq '.[] | select(.level != "ok")'
      musicfs doctor --library
      musicfs --json doctor --library --all | jq '.issues[] | select(.kind == "duplicate").paths'
    """
    if library:
        from musicfs.cli.doctor.library import examine_library

        return examine_library(invocation, origin_id=origin_id, tell_all=tell_all)
    if tell_all or origin_id:
        raise click.UsageError("--all and --origin are for --library")
    from musicfs.cli.doctor.finding import Examination, Level

    settings, findings = _configuration(invocation)
    examination = Examination(settings, invocation.client, invocation.environment)
    output = invocation.output()
    findings += examine(examination)
    if output.is_json:
        from musicfs.cli.output import plain

        output.json(plain(findings))
    else:
        for finding in findings:
            _print(output, finding)
    return 1 if any(finding.level is Level.FAIL for finding in findings) else 0


def examine(examination: Examination) -> list[Finding]:
    """The findings of all checks, in the order of the report."""
    from musicfs.cli.doctor import (
        cache,
        crashes,
        daemon,
        extras,
        fuse,
        limits,
        mounts,
        network,
        secrets,
        storage,
        webhooks,
    )

    checks = (
        fuse.device,
        fuse.helper,
        fuse.binding,
        fuse.allow_other,
        fuse.apparmor,
        mounts.stale_mounts,
        mounts.mount_point,
        storage.folders,
        cache.content,
        cache.put_aside,
        limits.open_files,
        limits.inotify,
        extras.extras,
        extras.origin_extras,
        secrets.secrets,
        webhooks.webhooks,
        network.ports,
        crashes.crashes,
        daemon.daemon,
    )
    return [finding for check in checks for finding in check(examination)]


def _configuration(invocation: Invocation) -> tuple[Settings, list[Finding]]:
    """The settings, as far as they are right, and what is to say about them."""
    from musicfs.cli.doctor.finding import fail, ok, warn

    loaded = invocation.read()
    findings = [
        fail(
            "configuration", f"{item.place}: {item.message}", item.suggestion or "`musicfs config show` shows the rest"
        )
        for item in loaded.problems
    ]
    if not findings:
        findings.append(ok("configuration", loaded.file or "no file, defaults only"))
    findings += [warn("configuration", f"{item.place}: {item.message}", item.suggestion) for item in loaded.warnings]
    return loaded.settings, findings


def _print(output: Output, finding: Finding) -> None:
    from musicfs.cli.doctor.finding import Level
    from musicfs.cli.output import STYLES

    level = finding.level.value
    output.columns([(f"{level:<4}", STYLES[level]), (f"{finding.check:<13}", "bold"), (finding.message, "")])
    if finding.level is not Level.OK and finding.remedy:
        output.columns([(" " * 4, ""), (" " * 13, ""), (finding.remedy, "dim")])
