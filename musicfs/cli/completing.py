"""What a shell is answered when its user presses Tab: the words before the cursor in, what may follow out.

The scripts of :mod:`musicfs.cli.completion` run ``musicfs`` with ``_MUSICFS_COMPLETE`` set to the shell, and give it what
was typed on standard input, each part ended by a NUL: zsh and fish the words up to the cursor, unquoted; bash the line up
to the cursor and its ``COMP_WORDBREAKS``, as only whoever has split the line knows how to put a name with spaces into it.

Every line that comes back is a candidate, or says where to get some: ``files`` and ``folders`` are left to the shell. For
zsh and fish it is ``word`` or ``open`` (more may follow without a space), a tab, the candidate, a tab, what it is; for bash
the same word, a tab, and what is to be inserted, with its quotes. A name with a tab or a line break is not offered.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import click
from click.shell_completion import CompletionItem, ShellComplete

VARIABLE = "_MUSICFS_COMPLETE"
SHELLS = ("bash", "zsh", "fish")
_UNQUOTED_SPECIAL = frozenset(" \"'\\$`!*?[]{}()<>|&;#~")
_QUOTED_SPECIAL = frozenset('"\\$`')
_FROM_SHELL = {"file": "files", "dir": "folders"}


class Typed(NamedTuple):
    """A command line up to the cursor.

    ``words`` come before the one at the cursor, which is ``current``; both are without quotes. The shell leaves the first
    ``kept`` characters of it as they are, and replaces the rest. ``quote`` is open at the cursor.
    """

    words: Sequence[str]
    current: str
    kept: int = 0
    quote: str = ""


def answer(cli: click.Command, shell: str) -> int:
    """Answer on standard output what ``shell`` asks on standard input; the exit code. Says nothing if it makes no sense."""
    parts = sys.stdin.buffer.read().decode("utf-8", "surrogateescape").split("\0")[:-1]
    if shell not in SHELLS or not parts:
        return 1
    if shell == "bash":
        typed = read_bash_line(parts[0], parts[1] if len(parts) > 1 else "")
        lines = [_bash_line(item, typed) for item in candidates(cli, typed)]
    else:
        typed = Typed(parts[1:-1], parts[-1])
        lines = [_plain_line(item) for item in candidates(cli, typed)]
    text = "".join(line + "\n" for line in lines if line)
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    return 0


def candidates(cli: click.Command, typed: Typed) -> Iterator[CompletionItem]:
    """What the word at the cursor may become."""
    # `--origin=na` is one word for a shell, while its value alone is completed.
    option, equals, _ = typed.current.partition("=")
    before = option + equals if equals and option.startswith("--") else ""
    for item in ShellComplete(cli, {}, "musicfs", VARIABLE).get_completions(list(typed.words), typed.current):
        if item.type == "plain" and before and not item.value.startswith(before):
            yield CompletionItem(before + item.value, help=item.help)
        else:
            yield item


def read_bash_line(line: str, word_breaks: str) -> Typed:  # noqa: PLR0912  # a scanner: one branch a kind of character
    """A line that bash and readline complete: readline replaces what follows the last unquoted break, or an open quote."""
    words: list[str] = []
    current: list[str] = []
    is_word = False
    quote = ""
    kept = kept_before = 0
    characters = iter(line)
    for character in characters:
        if quote:
            if character == quote:
                quote, kept = "", kept_before  # readline replaces a quoted part that has ended as a whole
            elif character == "\\" and quote == '"':
                follower = next(characters, "")
                current += follower if follower in _QUOTED_SPECIAL else "\\" + follower
            else:
                current.append(character)
        elif character in " \t\n":
            if is_word:
                words.append("".join(current))
            current, is_word, kept = [], False, 0
        else:
            is_word = True
            if character in "\"'":
                quote, kept, kept_before = character, len(current), kept
            elif character == "\\":
                current += next(characters, "")
            else:
                current.append(character)
                if character in word_breaks:
                    kept = len(current)
    while words and "=" in words[0]:  # variables for this command alone
        words.pop(0)
    return Typed(words[1:], "".join(current), kept, quote)


def quoted(text: str, quote: str) -> str:
    """``text`` for bash, behind the open ``quote`` or without one."""
    if quote == "'":
        return text.replace("'", "'\\''")
    special = _QUOTED_SPECIAL if quote else _UNQUOTED_SPECIAL
    return "".join("\\" + character if character in special else character for character in text)


def _bash_line(item: CompletionItem, typed: Typed) -> str:
    if item.type in _FROM_SHELL:
        return _FROM_SHELL[item.type]
    if not _is_offered(item.value) or not item.value.startswith(typed.current[: typed.kept]):
        return ""
    return f"{_kind(item)}\t{quoted(item.value[typed.kept :], typed.quote)}"


def _plain_line(item: CompletionItem) -> str:
    if item.type in _FROM_SHELL:
        return _FROM_SHELL[item.type]
    if not _is_offered(item.value):
        return ""
    return f"{_kind(item)}\t{item.value}\t{' '.join((item.help or '').split())}"


def _kind(item: CompletionItem) -> str:
    return "open" if item.value.endswith(("/", "custom:")) else "word"


def _is_offered(value: str) -> bool:
    return not any(character in value for character in "\t\n")
