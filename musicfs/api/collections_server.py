"""The calls of the service ``MusicFS`` about collections."""

from __future__ import annotations

import grpc

from musicfs.api import collections_messages as messages
from musicfs.api.answering import Answering, Context, abort
from musicfs.api.collections import DEFAULT_ENTRIES, MAX_ENTRIES, CollectionsBackend
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.search_server import required_query
from musicfs.errors import ConfigError

_MAX_NAME_BYTES = 255  # as of any file name


class CollectionsCalls(Answering):
    """One method per RPC."""

    def __init__(self, backend: CollectionsBackend, answer_timeout_s: float) -> None:
        super().__init__(answer_timeout_s)
        self._backend = backend

    def ListCollections(self, _request: pb.Empty, context: Context) -> pb.ListCollectionsResponse:
        found = self.answer(context, self._backend.collections)
        return pb.ListCollectionsResponse(collections=[messages.collection_message(one) for one in found])

    def GetCollection(self, request: pb.GetCollectionRequest, context: Context) -> pb.GetCollectionResponse:
        name, start = _name(context, request.name), request.offset
        stop = start + (min(request.limit, MAX_ENTRIES) if request.HasField("limit") else DEFAULT_ENTRIES)
        return messages.page_message(self.answer(context, lambda: self._backend.collection(name, start, stop)))

    def CreateCollection(self, request: pb.CreateCollectionRequest, context: Context) -> pb.Collection:
        name = _name(context, request.name)
        if request.HasField("query") == request.HasField("rule"):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "give either a query or a rule")
        if request.HasField("query"):
            required_query(context, request.query)
        try:
            settings = messages.settings_value(request)
        except ConfigError as error:
            abort(context, error)
        made = self.answer(context, lambda: self._backend.create_collection(name, settings, replace=request.replace))
        return messages.collection_message(made)

    def DeleteCollection(self, request: pb.DeleteCollectionRequest, context: Context) -> pb.Empty:
        name = _name(context, request.name)
        self.answer(context, lambda: self._backend.delete_collection(name))
        return pb.Empty()


def _name(context: Context, name: str) -> str:
    if not name or "\0" in name or len(name.encode()) > _MAX_NAME_BYTES:
        reason = f"a collection's name has 1 to {_MAX_NAME_BYTES} bytes, none of them NUL"
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, reason)
    return name
