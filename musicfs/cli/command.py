"""The click classes of the command line: options that every command takes, and groups that import commands late."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from musicfs.cli.invocation import Invocation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])
LEVELS = ("trace", "debug", "info", "warning", "error")


class LevelType(click.ParamType[str]):
    """Levels as `logging.level` has them."""

    name = "LEVEL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        parts = [part.rpartition("=") for part in str(value).split(",")]
        for module, separator, level in parts:
            if level.lower() not in LEVELS or (separator and not module.replace(".", "_").isidentifier()):
                self.fail(f"'{value}' is none of {', '.join(LEVELS)}, nor MODULE=LEVEL,LEVEL.", param, ctx)
        return ",".join(f"{module}{separator}{level.lower()}" for module, separator, level in parts)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(level) for level in LEVELS if level.startswith(incomplete)]


def shared_options(*, hidden: bool) -> list[click.Option]:
    """What every command takes; each option sets its field of the :class:`Invocation`."""

    def store(context: click.Context, parameter: click.Parameter, value: object) -> None:
        if value is not None:
            setattr(context.ensure_object(Invocation), str(parameter.name), value)

    def option(*names: str, **attributes: Any) -> click.Option:
        return click.Option(names, callback=store, expose_value=False, hidden=hidden, default=None, **attributes)

    names = {"config_file": "CONFIG", "endpoint": "ENDPOINT", "token_file": "TOKEN_FILE", "ca_file": "CA_FILE"}
    envvars = {} if hidden else {name: f"MUSICFS_{variable}" for name, variable in names.items()}
    return [
        option(
            "-l",
            "--level",
            "level",
            type=LevelType(),
            help="Detail of the daemon's log: trace, debug, info, warning or error; musicfs.origins=debug,info for modules.",
        ),
        option(
            "--config",
            "config_file",
            type=click.Path(dir_okay=False),
            envvar=envvars.get("config_file"),
            help="Configuration file [default: ~/.config/musicfs/config.toml, else /etc/musicfs/config.toml].",
        ),
        option(
            "--endpoint",
            "endpoint",
            metavar="URL",
            envvar=envvars.get("endpoint"),
            help="Where the daemon answers: unix:///run/musicfs/musicfs.sock, 127.0.0.1:50052 or https://HOST:PORT.",
        ),
        option(
            "--token-file",
            "token_file",
            type=click.Path(dir_okay=False),
            envvar=envvars.get("token_file"),
            help="File with the token of a daemon that is reached over a network [default: state_dir/token].",
        ),
        option(
            "--ca-file",
            "ca_file",
            type=click.Path(dir_okay=False),
            envvar=envvars.get("ca_file"),
            help="Certificate, or that of who signed it, of a daemon at https://.",
        ),
        option("--json", "json", is_flag=True, flag_value=True, help="Print JSON."),
    ]


class Command(click.Command):
    """A command that takes the shared options too, without listing them."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.params.extend(shared_options(hidden=True))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text("Also takes --config, --endpoint, --json and --level: see `musicfs --help`.")


class Group(click.Group):
    """A group of commands that are written in its own file."""

    command_class = Command

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.params.extend(shared_options(hidden=True))


class LazyGroup(click.Group):
    """A group whose commands are imported when one is run; their names and one-line helps are a table.

    ``table`` maps a name to (``module:attribute``, short help). A test holds the helps to those of the commands.
    """

    def __init__(self, *args: Any, table: dict[str, tuple[str, str]], **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.table = table
        self.params.extend(shared_options(hidden=False))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = self.table.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place[0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the table, without importing a command."""
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=text) for name, (_, text) in self.table.items() if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.table and not name.startswith("-"):
            ctx.fail(f'no such command "{name}"{_suggest(name, list(self.table))}')
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the table, without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])


def _suggest(word: str, known: Sequence[str]) -> str:
    import difflib

    matches = difflib.get_close_matches(word, known, n=1)
    return f'; did you mean "{matches[0]}"?' if matches else ""
