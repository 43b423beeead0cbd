"""``python -m musicfs.cli.manual``: writes ``dist/man/musicfs.1`` and ``dist/completions/`` from the commands.

The page is in the man macros, which groff and mandoc both know (groff_man(7), mandoc's man(7)). What the commands say in
``--help`` is all that it says of them; the words around that are here.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import textwrap
from collections.abc import Iterator

import click

from musicfs import __version__
from musicfs.cli.completion import SCRIPTS
from musicfs.cli.main import cli
from musicfs.index.help import QUERY_HELP

PAGE = "man/musicfs.1"
COMPLETIONS = {"bash": "completions/musicfs.bash", "zsh": "completions/_musicfs", "fish": "completions/musicfs.fish"}
_DATE = "2026-11-21"  # of the page's last larger change
_WIDTH = 78
_CODE = re.compile(r"`([^`]+)`")
_LITERAL = "\b"  # as click marks a paragraph that keeps its lines

_DESCRIPTION = """\
MusicFS mounts a music library as a read-only filesystem that is organised by its tags, however the files are named and
wherever they lie. The files themselves are never touched.

A daemon serves the mount; most commands ask it over a socket. On a terminal they print tables, in a pipe plain columns,
and with --json what programs can rely on; what that is, each command says below. Options that every command takes may stand
before the command or behind it.
"""
_EXIT_CODES = (
    ("0", "It is done."),
    ("1", "It failed."),
    ("2", "The command line or the configuration is wrong."),
    ("3", "No daemon is running."),
    ("4", "What was named is not there, or nothing was found."),
    ("130", "It was interrupted."),
)
_ENVIRONMENT = (
    ("MUSICFS_CONFIG", "The configuration file, as --config."),
    ("MUSICFS_ENDPOINT", "Where the daemon listens, as --endpoint."),
    ("MUSICFS_KEY, MUSICFS_TABLE__KEY", "Any setting of the configuration; beats the file, and is beaten by a flag."),
    ("MUSICFS_TRACEBACK", "Set to 1, errors that nobody foresaw are printed in full."),
    ("NO_COLOR", "Set, nothing is coloured."),
)
_FILES = (
    ("~/.config/musicfs/config.toml, /etc/musicfs/config.toml", "The configuration: the first that exists."),
    ("~/.cache/musicfs", "What can be rebuilt: the catalog, the content cache, the search index."),
    ("~/.local/share/musicfs", "What you made: corrected tags, collections, pins, what was played."),
)


def page() -> str:
    """The manual page, in the man macros."""
    return "\n".join([line for line in _lines() if line]) + "\n"


def main(folder: str | None = None) -> int:
    """Write everything below ``folder``, the ``dist`` of this checkout if None."""
    root = folder or os.path.join(os.path.dirname(__file__), "..", "..", "dist")
    texts = {PAGE: page()} | {place: SCRIPTS[shell] for shell, place in COMPLETIONS.items()}
    for place, text in texts.items():
        path = os.path.join(root, place)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
    return 0


def _lines() -> Iterator[str]:
    yield '.\\" Made from the commands by python -m musicfs.cli.manual: change those instead.'
    yield f'.TH MUSICFS 1 {_DATE} "musicfs {__version__}" "User Commands"'
    yield from (".ad l", ".nh")  # justified text and broken words are hard to read, and to copy
    yield from (".SH NAME", "musicfs \\- mount a music library as a filesystem organised by its tags")
    yield ".SH SYNOPSIS"
    yield "\\fBmusicfs\\fR [\\fIOPTION\\fR]... \\fICOMMAND\\fR [\\fIARGUMENT\\fR]..."
    yield ".SH DESCRIPTION"
    yield from _body(_DESCRIPTION)
    with click.Context(cli, info_name="musicfs", **cli.context_settings) as context:
        yield ".SH OPTIONS"
        yield from _options(cli, context)
        yield ".SH COMMANDS"
        yield from _commands(cli, context)
    yield ".SH QUERIES"
    yield from _queries()
    yield from _list("EXIT STATUS", _EXIT_CODES)
    yield from _list("ENVIRONMENT", _ENVIRONMENT)
    yield from _list("FILES", _FILES)
    yield ".SH SEE ALSO"
    yield "\\fBfusermount\\fR(1), \\fBmount.fuse\\fR(8), \\fBfuse\\fR(4)"


def _commands(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        with click.Context(command, info_name=name, parent=context) as inner:
            yield from _command(command, inner)
            if isinstance(command, click.Group):
                yield from _commands(command, inner)


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f".SS {_escape(context.command_path)}"
    words = " ".join(command.collect_usage_pieces(context))
    yield f"\\fB{_escape(context.command_path)}\\fR {_escape(words)}".rstrip()
    yield ".PP"
    yield from _body(inspect.cleandoc(command.help or ""))
    yield from _options(command, context)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is None:
            continue  # hidden, or an argument, which the line above has
        yield from (".TP", f"\\fB{_escape(record[0])}\\fR", *_filled(record[1]))


def _queries() -> Iterator[str]:
    """The page about queries: its table as it is, the rest as paragraphs."""
    table, _, rest = QUERY_HELP.partition("\n\n")
    _, _, rows = table.partition("\n")
    yield from _literal(textwrap.dedent(rows))
    yield ".PP"
    yield from _body(rest)


def _list(title: str, items: tuple[tuple[str, str], ...]) -> Iterator[str]:
    yield f".SH {title}"
    for name, text in items:
        yield from (".TP", f"\\fB{_escape(name)}\\fR", *_filled(text))


def _body(text: str) -> Iterator[str]:
    """Paragraphs, and the blocks that keep their lines."""
    for number, paragraph in enumerate(part for part in text.split("\n\n") if part.strip()):
        if number:
            yield ".PP"
        if not paragraph.lstrip("\n").startswith(_LITERAL):
            yield from _filled(paragraph)
            continue
        _, _, block = paragraph.partition("\n")
        heading, _, rows = block.partition("\n")
        yield _escape(heading)
        yield from _literal(textwrap.dedent(rows))


def _literal(block: str) -> Iterator[str]:
    yield from (".RS 2", ".EX")
    yield from (_escape(row) or "\\&" for row in block.splitlines())
    yield from (".EE", ".RE")


def _filled(text: str) -> list[str]:
    """Lines of running text, with what stands in backticks in bold."""
    lines = textwrap.wrap(" ".join(text.split()), _WIDTH, break_long_words=False, break_on_hyphens=False)
    marked = _CODE.sub(lambda found: f"\0{found[1]}\1", "\n".join(lines)).split("\n")
    return [_escape(line).replace("\0", "\\fB").replace("\1", "\\fR") for line in marked]


def _escape(line: str) -> str:
    """Text as roff takes it: no macro, no escape, and hyphens and quotes that can be copied (groff_char(7))."""
    escaped = line.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    escaped = escaped.replace("^", "\\(ha").replace("~", "\\(ti")
    return "\\&" + escaped if escaped.startswith(".") else escaped


if __name__ == "__main__":
    sys.exit(main())
