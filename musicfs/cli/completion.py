"""``musicfs completion``."""

from __future__ import annotations

import click

from musicfs.cli.command import Command


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print the completion script of a shell.

    \b
    Examples:
      musicfs completion bash > ~/.local/share/bash-completion/completions/musicfs
      musicfs completion zsh > "${fpath[1]}/_musicfs"
      musicfs completion fish > ~/.config/fish/completions/musicfs.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "musicfs", "_MUSICFS_COMPLETE").source())
    return 0
