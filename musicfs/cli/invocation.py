"""What the options before the command say, and what every command does with them: load settings, reach the daemon."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import click

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.api.client import Client
    from musicfs.cli.output import Output
    from musicfs.config.load import Loaded
    from musicfs.errors import Problem


@dataclass(slots=True)
class Invocation:
    """The options that every command understands. They may stand before the command or behind it; the last one counts."""

    level: str | None = None
    config_file: str | None = None
    endpoint: str | None = None
    json: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def load(self, flags: Mapping[str, object] | None = None, *, check_templates: bool = True) -> Loaded:
        """The effective settings, checked with all that a mount needs. Raises ConfigError."""
        from musicfs.config.load import load_with_sources

        return load_with_sources(
            self.config_file,
            environment=self.environment,
            flags={"logging.level": self.level, **(flags or {})},
            check_template=_check_template if check_templates else None,
        )

    def socket_paths(self) -> tuple[str, ...]:
        """Where the daemon's socket may be. Settings that only matter to a mount are not judged. Raises ConfigError."""
        from musicfs.api.paths import socket_candidates
        from musicfs.config.load import load

        settings = load(self.config_file, environment=self.environment, flags={}, on_disk=False)
        return socket_candidates(settings.instance, settings.state_dir, self.environment)

    def client(self) -> Client:
        """A connection to the running daemon. Raises NoDaemonError."""
        from musicfs.api.client import Client, find_socket, socket_of

        paths = (socket_of(self.endpoint),) if self.endpoint else self.socket_paths()
        return Client(find_socket(paths))

    def output(self) -> Output:
        """Where results go."""
        from musicfs.cli.output import Output

        return Output(json=self.json)


def current() -> Invocation:
    """The invocation of the command that runs."""
    return click.get_current_context().ensure_object(Invocation)


def _check_template(text: str) -> Problem | None:
    from musicfs.daemon.preview import check_template

    return check_template(text)
