"""``musicfs config``."""

from __future__ import annotations

import click

from musicfs.cli.command import Group
from musicfs.cli.invocation import Invocation
from musicfs.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from musicfs.cli.output import Output
    from musicfs.config.load import Loaded
    from musicfs.errors import Problem

_PREVIEW_LIMIT = 10


@click.group(cls=Group)
def config() -> None:
    """Check, show and reload the configuration.

    \b
    Example:
      musicfs config check
    """


@config.command()
@click.pass_obj
def check(invocation: Invocation) -> int:
    """Report everything wrong with the configuration, and show what its templates make of ten tracks.

    With --json, prints {ok: bool, file: str or null, problems: [{place, message, suggestion}], warnings: [the same], preview:
    [{origin_path, virtual_path}]}. The exit code is 2 when there are problems.

    \b
    Examples:
      musicfs config check
      musicfs --config new.toml config check
    """
    loaded = invocation.read()
    if not loaded.problems:
        loaded.warnings += _unusable_ports(invocation, loaded)
    if loaded.problems and not invocation.json:
        _print_warnings(invocation.output(), loaded.warnings)
        raise loaded.error()
    _report(invocation, loaded)
    return ConfigError.exit_code if loaded.problems else 0


@config.command("show")
@click.pass_obj
def show_(invocation: Invocation) -> int:
    """Show every setting as it applies, and where it comes from.

    With --json, prints {file: str or null, settings: {...}} with the settings in the shape of the file.

    \b
    Examples:
      musicfs config show
      MUSICFS_TREE__NAMES=windows musicfs config show
    """
    loaded = invocation.glance()
    if loaded.problems:
        raise loaded.error()
    if invocation.json:
        from musicfs.cli.output import plain

        invocation.output().json({"file": loaded.file, "settings": plain(loaded.settings)})
    else:
        from musicfs.config.show import show

        click.echo(show(loaded), nl=False)
    return 0


@config.command("reload")
@click.pass_obj
def reload_(invocation: Invocation) -> int:
    """Have the running daemon follow its changed configuration.

    Origins come and go, templates, limits and log levels change without unmounting, and files that are open play on. What
    needs unmounting is said and left as it is. With a mistake in the file nothing changes, and the exit code is 2.

    With --json, prints {file: str, applied: [str], needs_restart: [str], problems: [{place, message, suggestion}], warnings:
    [the same]}.

    \b
    Examples:
      musicfs config reload
      musicfs config check && musicfs config reload
    """
    with invocation.client() as client:
        try:
            outcome = client.reload_config()
        except ConfigError as error:
            if not invocation.json or not error.problems:
                raise
            problems = [_problem(problem) for problem in error.problems]
            document = {"file": "", "applied": [], "needs_restart": [], "problems": problems, "warnings": []}
            invocation.output().json(document)
            return error.exit_code
    output = invocation.output()
    if output.is_json:
        output.json(
            {
                "file": outcome.file,
                "applied": list(outcome.applied),
                "needs_restart": list(outcome.needs_restart),
                "problems": [],
                "warnings": [_problem(warning) for warning in outcome.warnings],
            }
        )
        return 0
    _print_warnings(output, outcome.warnings)
    if not outcome.applied and not outcome.needs_restart:
        output.line("nothing has changed")
    for text in outcome.applied:
        output.line(f"applied       {text}", style="green")
    for text in outcome.needs_restart:
        output.line(f"needs restart {text}", style="yellow")
    return 0


def _unusable_ports(invocation: Invocation, loaded: Loaded) -> tuple[Problem, ...]:
    """What keeps a daemon from answering where the configuration says, besides the configuration."""
    from musicfs.cli.doctor import network
    from musicfs.cli.doctor.finding import Examination, Level
    from musicfs.errors import Problem

    findings = network.ports(Examination(loaded.settings, invocation.client, invocation.environment))
    return tuple(Problem("grpc", one.message, one.remedy) for one in findings if one.level is not Level.OK)


def _report(invocation: Invocation, loaded: Loaded) -> None:
    pairs, note = ([], "") if loaded.problems else _preview(loaded)
    output = invocation.output()
    if output.is_json:
        document = {
            "ok": not loaded.problems,
            "file": loaded.file,
            "problems": [_problem(problem) for problem in loaded.problems],
            "warnings": [_problem(warning) for warning in loaded.warnings],
            "preview": [{"origin_path": origin, "virtual_path": virtual} for origin, virtual in pairs],
        }
        output.json(document)
        return
    _print_warnings(output, loaded.warnings)
    output.line(f"{loaded.file or 'no file, defaults only'}: no problems", style="green")
    if pairs:
        output.line()
        output.line("what the templates make of your files:")
    for origin, virtual in pairs:
        output.line(f"  {origin}")
        output.line(f"    {virtual}", style="bold")
    if note:
        output.line(note)


def _preview(loaded: Loaded) -> tuple[list[tuple[str, str]], str]:
    """Some files and their virtual paths, and what to say when there are none."""
    from musicfs.daemon.preview import preview
    from musicfs.errors import MusicFSError

    try:
        pairs = preview(loaded.settings, _PREVIEW_LIMIT)
    except MusicFSError as error:
        return [], f"no preview: {error}"
    return pairs, "" if pairs else "no tracks were found" if loaded.settings.origins else "no origins: nothing to show"


def _print_warnings(output: Output, warnings: Iterable[Problem]) -> None:
    for warning in warnings:
        output.line(f"warning: {warning}", style="yellow")


def _problem(problem: Problem) -> dict[str, str]:
    return {"place": problem.place, "message": problem.message, "suggestion": problem.suggestion}
