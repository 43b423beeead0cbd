"""``musicfs mount``."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import click

from musicfs.cli.command import Command
from musicfs.cli.invocation import Invocation
from musicfs.cli.report import sentence_of
from musicfs.errors import ConfigError, MusicFSError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.config.load import Loaded

_CONTROL_S = 5.0


@click.command(cls=Command)
@click.argument("mountpoint", required=False, type=click.Path())
@click.option("--origin", "origins", multiple=True, metavar="PATH", help="A folder with music; may be repeated.")
@click.option("--cache-dir", metavar="DIR", help="Where what can be rebuilt is kept.")
@click.option("--state-dir", metavar="DIR", help="Where what you made is kept.")
@click.option("--grpc-port", type=click.IntRange(0, 65535), metavar="PORT",
              help="Answer gRPC on this port of this machine, whatever grpc.addresses says; 0 for none.")  # fmt: skip
@click.option("--foreground", "-f", is_flag=True, help="Stay in the foreground, and log to standard error.")
@click.option("--allow-other", is_flag=True, default=None, help="Let other users read the mount.")
@click.option("--ready-fd", type=int, hidden=True, help="Descriptor to report on, for the command that waits.")
@click.pass_obj
def mount(
    invocation: Invocation,
    *,
    mountpoint: str | None,
    origins: tuple[str, ...],
    cache_dir: str | None,
    state_dir: str | None,
    grpc_port: int | None,
    foreground: bool,
    allow_other: bool | None,
    ready_fd: int | None,
) -> int:
    """Mount the library.

    Returns when the mount answers; scanning goes on in the background. What is not given here comes from the
    configuration.

    With --json, prints {"mount_point": str, "pid": int}.

    \b
    Examples:
      musicfs mount ~/Music-by-tag --origin /srv/music --origin /mnt/nas/music
      musicfs --config /etc/musicfs/home.toml mount --foreground
      musicfs mount ~/Music-by-tag --origin /srv/music --grpc-port 50152
    """
    flags: dict[str, object] = {
        "mount_point": mountpoint,
        "origins": origins,
        "cache_dir": cache_dir,
        "state_dir": state_dir,
        "mount.allow_other": allow_other,
        "grpc.addresses": None if grpc_port is None else _addresses(grpc_port),
    }
    if foreground:
        return _foreground(invocation, flags, ready_fd)
    settings = _load(invocation, flags).settings
    from musicfs.api.paths import socket_path
    from musicfs.api.unix_socket import wait_for_listener
    from musicfs.cli.background import start_in_background

    pid = start_in_background(settings, _arguments(invocation, flags))
    # The next command may be `musicfs status`: its answer comes from a process that starts after the mount is live.
    wait_for_listener((socket_path(settings.instance, settings.state_dir, invocation.environment),), _CONTROL_S)
    output = invocation.output()
    if output.is_json:
        output.json({"mount_point": settings.mount_point, "pid": pid})
    else:
        output.line(f"mounted {settings.mount_point} (pid {pid})")
    return 0


def _load(invocation: Invocation, flags: dict[str, object]) -> Loaded:
    loaded = invocation.read(flags)
    if loaded.problems:
        raise loaded.error()
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    if not loaded.settings.mount_point:
        raise ConfigError(
            "no mount point is given", remedy="name one, as in `musicfs mount ~/Music-by-tag`, or set mount_point"
        )
    if not any(origin.enabled for origin in loaded.settings.origins):
        raise ConfigError(
            "no origin is given", remedy="name a folder with music, as in `--origin /srv/music`, or add [[origins]]"
        )
    return loaded


def _foreground(invocation: Invocation, flags: dict[str, object], ready_fd: int | None) -> int:
    """Run the daemon in this process. Its errors also go to ``ready_fd``, where somebody may wait for a first line."""
    # The daemon closes its descriptor once it is ready, and its number may then be another file: errors have their own.
    report_fd = None if ready_fd is None else os.dup(ready_fd)
    try:
        loaded = _load(invocation, flags)
        read_again = _reader(invocation, flags, loaded.file)
        if ready_fd is not None:
            os.chdir("/")  # a daemon must not keep the filesystem of some shell busy
        from musicfs.daemon.run import run_foreground

        return run_foreground(loaded.settings, ready_fd, read_again)
    except (MusicFSError, OSError) as error:
        failure = error if isinstance(error, MusicFSError) else MusicFSError(sentence_of(error))
        if report_fd is not None:
            from musicfs.cli.background import report_failure

            report_failure(report_fd, failure)
        raise failure from error


def _reader(invocation: Invocation, flags: dict[str, object], file: str | None) -> Callable[[], Loaded]:
    """What reads the configuration as it was read now, also from another working folder."""
    invocation.config_file = file
    return partial(invocation.read, flags, os.getcwd())


def _addresses(port: int) -> list[str]:
    """The default addresses with another port; none for 0."""
    from musicfs.config.addresses import Address, parse_address
    from musicfs.config.settings import DEFAULT_GRPC_ADDRESSES

    hosts = [parse_address(text).host for text in DEFAULT_GRPC_ADDRESSES]
    return [str(Address(host, port)) for host in hosts] if port else []


def _arguments(invocation: Invocation, flags: dict[str, object]) -> list[str]:
    """The command line of the background process: the same flags, so that it comes to the same settings."""
    arguments: list[str] = []
    if invocation.level is not None:
        arguments += ["--level", invocation.level]
    if invocation.config_file is not None:
        arguments += ["--config", invocation.config_file]
    arguments.append("mount")
    for name in ("cache_dir", "state_dir"):
        if flags[name] is not None:
            arguments += ["--" + name.replace("_", "-"), str(flags[name])]
    origins = flags["origins"]
    assert isinstance(origins, tuple)
    for origin in origins:
        arguments += ["--origin", origin]
    addresses = flags["grpc.addresses"]
    if addresses is not None:
        assert isinstance(addresses, list)
        arguments += ["--grpc-port", addresses[0].rpartition(":")[2] if addresses else "0"]
    if flags["mount.allow_other"]:
        arguments.append("--allow-other")
    if flags["mount_point"] is not None:
        arguments += ["--", str(flags["mount_point"])]
    return arguments
