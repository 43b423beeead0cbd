"""Who may make which call: a table of all calls, and the guard that stands before them on a network.

Who can connect to the Unix socket is the user of the daemon, or root, and may do everything. On a port of this machine
everybody who has an account can connect: they may look at the library as it is, and what changes something, costs an
origin or the disk real work, or tells what people did takes the token. Other machines need the token for every call.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Any, NoReturn

import grpc

from musicfs.api.tokens import METADATA_KEY, shown_token
from musicfs.api.wire import REMEDY_KEY

_log = logging.getLogger(__name__)
_REMEDY = 'send the metadata "authorization: Bearer TOKEN"; with the command, --token-file'


class Access(StrEnum):
    """Who may make a call on a port of this machine."""

    OPEN = "open"
    TOKEN = "token"


# Every call there is: one that is missing takes the token, and a test finds it.
CALLS = {
    "musicfs.v1.MusicFS": {
        "Search": Access.OPEN,
        "SearchStream": Access.OPEN,
        "GetStatus": Access.OPEN,
        "Shutdown": Access.TOKEN,
        "ListOrigins": Access.OPEN,
        "GetOriginHealth": Access.OPEN,  # one probe at a time, and what any listing of the mount costs
        "RescanOrigin": Access.TOKEN,
        "ConfirmOrigin": Access.TOKEN,
        "ListProblems": Access.OPEN,
        "SubscribeEvents": Access.OPEN,  # but without the token nobody hears what is played
        "GetMetrics": Access.OPEN,  # as over HTTP; they count, and name nothing but origins
        "GetCacheStats": Access.OPEN,
        "ClearCache": Access.TOKEN,
        "Prefetch": Access.TOKEN,  # fills the disk from the origins
        "Pin": Access.TOKEN,
        "Unpin": Access.TOKEN,
        "ListPins": Access.OPEN,
        "VerifyCache": Access.TOKEN,  # reads all of it, and removes what is damaged
        "ListCollections": Access.OPEN,
        "GetCollection": Access.OPEN,
        "CreateCollection": Access.TOKEN,
        "DeleteCollection": Access.TOKEN,
        "LibraryHealth": Access.TOKEN,  # reads the whole catalog
        "ListTrash": Access.OPEN,
        "RestoreTrash": Access.TOKEN,
        "EmptyTrash": Access.TOKEN,
        "ReloadConfig": Access.TOKEN,
        "BackupState": Access.TOKEN,  # what somebody made, in a file of their choice
    },
    "musicfs.v1.MetadataService": {
        "GetMetadata": Access.OPEN,
        "UpdateMetadata": Access.TOKEN,
        "ClearOverlay": Access.TOKEN,
        "BatchUpdateMetadata": Access.TOKEN,
        "ImportMetadata": Access.TOKEN,
        "ExportMetadata": Access.TOKEN,  # the whole library, with who corrected what
        "UndoMetadata": Access.TOKEN,
        "ListHeldMetadata": Access.TOKEN,  # what somebody wrote about files that are gone
        "MetadataLog": Access.TOKEN,  # who did what, and when
    },
    "grpc.health.v1.Health": {"Check": Access.OPEN, "Watch": Access.OPEN},
    "grpc.reflection.v1.ServerReflection": {"ServerReflectionInfo": Access.OPEN},
    "grpc.reflection.v1alpha.ServerReflection": {"ServerReflectionInfo": Access.OPEN},
}

Metadata = Iterable[tuple[str, str | bytes]]


class TokenCheck:
    """Compares what callers show with ``token``; an empty one is shown by nobody."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def is_shown(self, metadata: Metadata) -> bool:
        """Whether a caller has shown the token."""
        return any(self._is_token(shown_token(text)) for text in _authorizations(metadata))

    def is_stranger(self, context: grpc.ServicerContext) -> bool:
        """Whether the caller of a call in progress came over a network without the token."""
        return not context.peer().startswith("unix:") and not self.is_shown(context.invocation_metadata() or ())

    def _is_token(self, shown: str) -> bool:
        # In constant time: how long it takes must not say how much of it was right.
        return bool(self._token) and hmac.compare_digest(shown.encode("utf-8", "surrogatepass"), self._token)


class Guard(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs alone
    """Stands before all calls of a server: refuses before anything of the request is read."""

    def __init__(self, check: TokenCheck, *, always: bool) -> None:
        """``always`` asks for the token whatever the table says."""
        self._check = check
        self._always = always

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """See grpc.ServerInterceptor."""
        metadata = handler_call_details.invocation_metadata or ()
        if self._check.is_shown(metadata):
            return continuation(handler_call_details)
        if any(True for _ in _authorizations(metadata)):
            # Also for what would be open: who shows a token believes that it counts.
            return _refusal("the token is not the one of this daemon")
        if self._always:
            return _refusal("every call here takes the token of the daemon")
        handler = continuation(handler_call_details)
        # Of calls that there are not everybody may be told so: clients find out that way what there is.
        is_open = handler is None or access_of(handler_call_details.method) is Access.OPEN
        return handler if is_open else _refusal("this call takes the token of the daemon")


def access_of(method: str) -> Access:
    """What the table says of ``/package.Service/Method``."""
    service, _, name = method.removeprefix("/").partition("/")
    return CALLS.get(service, {}).get(name, Access.TOKEN)


def refuse(context: grpc.ServicerContext, reason: str) -> NoReturn:
    """End a call of somebody who has not shown the token."""
    _log.info("refused a call from %s: %s", context.peer(), reason)
    context.set_trailing_metadata(((REMEDY_KEY, _REMEDY.encode()),))
    context.abort(grpc.StatusCode.UNAUTHENTICATED, reason)
    raise AssertionError("abort raises")


def _refusal(reason: str) -> grpc.RpcMethodHandler[Any, Any]:
    """For calls of every kind: what streams both ways reads nothing before it is asked to."""

    def behaviour(_requests: Iterator[bytes], context: grpc.ServicerContext) -> NoReturn:
        refuse(context, reason)

    return grpc.stream_stream_rpc_method_handler(behaviour)


def _authorizations(metadata: Metadata) -> Iterator[str]:
    for key, value in metadata:
        if key == METADATA_KEY and isinstance(value, str):
            yield value
