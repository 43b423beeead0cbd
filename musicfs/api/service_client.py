"""The client's calls about the daemon as a service."""

from __future__ import annotations

from collections.abc import Iterator

from musicfs.api.connection import Connection
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.service import ReloadOutcome
from musicfs.errors import ConfigError, Problem


class ServiceClient(Connection):
    """See :class:`~musicfs.api.service.ServiceBackend`."""

    def reload_config(self) -> ReloadOutcome:
        """See ``ServiceBackend.reload_config``. The daemon's part that answers may be started anew right after."""
        answer = self._call("MusicFS", "ReloadConfig", pb.Empty(), pb.ReloadConfigResponse)
        if answer.problems:
            raise ConfigError(
                answer.refusal,
                remedy="correct them; `musicfs config check` lists them again",
                problems=tuple(map(_problem, answer.problems)),
            )
        warnings = tuple(map(_problem, answer.warnings))
        return ReloadOutcome(answer.file, tuple(answer.applied), tuple(answer.needs_restart), warnings)

    def backup(self) -> Iterator[bytes]:
        """See ``ServiceBackend.backup``; without a deadline."""
        for piece in self._stream("MusicFS", "BackupState", pb.Empty(), pb.BackupPiece):
            yield piece.data


def _problem(message: pb.ConfigProblem) -> Problem:
    return Problem(message.place, message.message, message.suggestion)
