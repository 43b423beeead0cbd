"""The command: runs every check and prints what it found."""

from __future__ import annotations

import click

from musicfs.cli.command import Command
from musicfs.cli.invocation import Invocation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.cli.doctor.finding import Examination, Finding
    from musicfs.cli.output import Output
    from musicfs.config.settings import Settings


@click.command(cls=Command)
@click.pass_obj
def doctor(invocation: Invocation) -> int:
    """Look for anything that keeps MusicFS from working.

    Each finding comes with what to do about it. Works with and without a running daemon. The exit code is 1 when something
    fails; warnings do not count.

    With --json, prints an array of {check, level (ok, warn, fail), message, remedy}.

    \b
    Examples:
      musicfs doctor
      musicfs --json doctor | jq '.[] | select(.level != "ok")'
    """
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
    from musicfs.cli.doctor import cache, crashes, daemon, extras, fuse, limits, mounts, network, secrets, storage

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
