"""The calls of the service ``MusicFS`` about the daemon as a service."""

from __future__ import annotations

from collections.abc import Iterator

from musicfs.api.answering import Answering, Context
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.service import ServiceBackend
from musicfs.api.wire import wire_text
from musicfs.errors import ConfigError, Problem


class ServiceCalls(Answering):
    """One method per RPC."""

    def __init__(self, backend: ServiceBackend, answer_timeout_s: float) -> None:
        super().__init__(answer_timeout_s)
        self._backend = backend

    def ReloadConfig(self, _request: pb.Empty, context: Context) -> pb.ReloadConfigResponse:
        return self.answer(context, self._reload)

    def _reload(self) -> pb.ReloadConfigResponse:
        """Problems are an answer: a status has no room for a list of them."""
        try:
            outcome = self._backend.reload_config()
        except ConfigError as error:
            if not error.problems:
                raise
            return pb.ReloadConfigResponse(problems=map(_problem, error.problems), refusal=wire_text(str(error)))
        return pb.ReloadConfigResponse(
            file=wire_text(outcome.file),
            applied=[wire_text(one) for one in outcome.applied],
            needs_restart=[wire_text(one) for one in outcome.needs_restart],
            warnings=map(_problem, outcome.warnings),
        )

    def BackupState(self, _request: pb.Empty, context: Context) -> Iterator[pb.BackupPiece]:
        for data in self.stream(context, self._backend.backup):
            yield pb.BackupPiece(data=data)


def _problem(one: Problem) -> pb.ConfigProblem:
    return pb.ConfigProblem(
        place=wire_text(one.place), message=wire_text(one.message), suggestion=wire_text(one.suggestion)
    )
