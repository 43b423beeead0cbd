"""What clients ask of the daemon as a service, answered by the keeper."""

from __future__ import annotations

from collections.abc import Iterator

from musicfs import __version__
from musicfs.api.service import ReloadOutcome
from musicfs.daemon.reload_requests import ReloadRequests
from musicfs.store.state import State


class ServiceControl:
    """See :class:`~musicfs.api.service.ServiceBackend`."""

    def __init__(self, reloads: ReloadRequests, state: State) -> None:
        self._reloads = reloads
        self._state = state

    def reload_config(self) -> ReloadOutcome:
        return self._reloads.reload()

    def backup(self) -> Iterator[bytes]:
        return self._state.backup(__version__)
