"""What the options before the command say, and what every command does with them: load settings, reach the daemon."""

from __future__ import annotations

import os
import select
from collections.abc import Mapping
from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.api.client import Client
    from musicfs.cli.output import Output
    from musicfs.config.load import Loaded
    from musicfs.config.settings import CustomCollection
    from musicfs.errors import Problem

_RESTART_S = 5.0


@dataclass(slots=True)
class Invocation:
    """The options that every command understands. They may stand before the command or behind it; the last one counts."""

    level: str | None = None
    config_file: str | None = None
    endpoint: str | None = None
    token_file: str | None = None
    ca_file: str | None = None
    json: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def read(self, flags: Mapping[str, object] | None = None, working_folder: str | None = None) -> Loaded:
        """The effective settings and all that is wrong with them, looked at as closely as a mount does.

        Paths that were given on the command line are relative to ``working_folder``, None for the one of this process.
        """
        from musicfs.config.load import read

        return read(
            self.config_file,
            environment=self.environment,
            flags={"logging.level": self.level, **(flags or {})},
            check_template=_check_template,
            check_collection=_check_collection,
            working_folder=working_folder,
        )

    def glance(self) -> Loaded:
        """The effective settings without a look at any folder: enough to find the daemon, or to show them."""
        from musicfs.config.load import read

        return read(self.config_file, environment=self.environment, flags={"logging.level": self.level}, on_disk=False)

    def client(self) -> Client:
        """A connection to the running daemon: to --endpoint, else to its socket, else to its port.

        Raises NoDaemonError, or ConfigError if that may be the reason.
        """
        from musicfs.api.paths import socket_candidates
        from musicfs.api.unix_socket import wait_for_listener
        from musicfs.cli.endpoints import find_daemon, open_endpoint
        from musicfs.errors import NoDaemonError

        if self.endpoint:
            return open_endpoint(self.endpoint, self.token_file, self.ca_file, lambda: self.glance().settings)
        loaded = self.glance()
        settings = loaded.settings
        try:
            return find_daemon(settings, self.environment, self.token_file)
        except NoDaemonError:
            if loaded.problems:
                raise loaded.error() from None
            if not is_alive(settings.cache_dir):
                raise
        # It is mounted: the process that answers is just being started, or started again.
        paths = socket_candidates(settings.instance, settings.state_dir, self.environment)
        wait_for_listener(paths, _RESTART_S)
        return find_daemon(settings, self.environment, self.token_file)

    def output(self) -> Output:
        """Where results go."""
        from musicfs.cli.output import Output

        return Output(json=self.json)


def is_alive(cache_dir: str) -> bool:
    """Whether the process that last mounted with this cache lives, as far as its pid tells."""
    try:
        with open(os.path.join(cache_dir, "musicfs.pid"), encoding="ascii") as stream:
            process = os.pidfd_open(int(stream.read()))
    except (OSError, ValueError, OverflowError):
        return False
    try:
        ended, _, _ = select.select([process], [], [], 0)  # readable as soon as it has ended, reaped or not
    finally:
        os.close(process)
    return not ended


def _check_template(text: str) -> Problem | None:
    from musicfs.errors import Problem, TemplateError
    from musicfs.vfs.templates import parse

    try:
        parse(text)
    except TemplateError as error:
        return Problem("", str(error), error.remedy)
    return None


def _check_collection(collection: CustomCollection) -> list[tuple[tuple[str | int, ...], Problem]]:
    from musicfs.library.rules import check

    return check(collection.query, collection.rule, collection.sort, collection.limit)
