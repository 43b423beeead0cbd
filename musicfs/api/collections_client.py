"""The methods of a :class:`~musicfs.api.collections.CollectionsBackend` over a socket."""

from __future__ import annotations

from musicfs.api import collections_messages as messages
from musicfs.api.collections import DEFAULT_ENTRIES, Collection, CollectionPage, CollectionSettings
from musicfs.api.connection import Connection
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.wire import wire_text


class CollectionsClient(Connection):
    """Lists, makes and deletes collections."""

    def collections(self) -> tuple[Collection, ...]:
        """See ``CollectionsBackend.collections``."""
        answer = self._call("MusicFS", "ListCollections", pb.Empty(), pb.ListCollectionsResponse)
        return tuple(map(messages.collection_value, answer.collections))

    def collection(self, name: str, start: int = 0, stop: int = DEFAULT_ENTRIES) -> CollectionPage:
        """See ``CollectionsBackend.collection``; the entries are fewer, too, if more would not fit into a message."""
        request = pb.GetCollectionRequest(name=wire_text(name), limit=stop - start, offset=start)
        return messages.page_value(self._call("MusicFS", "GetCollection", request, pb.GetCollectionResponse))

    def create_collection(self, name: str, settings: CollectionSettings, *, replace: bool = False) -> Collection:
        """See ``CollectionsBackend.create_collection``."""
        rule = settings.rule
        request = pb.CreateCollectionRequest(
            name=wire_text(name),
            query=wire_text(settings.query) if rule is None else None,
            rule=messages.rule_message(rule) if rule is not None else None,
            sort=wire_text(settings.sort),
            limit=settings.limit,
            replace=replace,
        )
        return messages.collection_value(self._call("MusicFS", "CreateCollection", request, pb.Collection))

    def delete_collection(self, name: str) -> None:
        """See ``CollectionsBackend.delete_collection``."""
        self._call("MusicFS", "DeleteCollection", pb.DeleteCollectionRequest(name=wire_text(name)), pb.Empty)
