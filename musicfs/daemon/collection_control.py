"""What clients may do with collections: the CollectionsBackend of the API over their definitions and the tree."""

from __future__ import annotations

import os
from collections.abc import Callable

from musicfs.api.collections import Collection, CollectionPage, CollectionSettings
from musicfs.daemon.collection_definitions import Definition, Definitions
from musicfs.daemon.listed_tracks import document_of, listed, origin_ids
from musicfs.store.catalog import Catalog
from musicfs.store.records import Node, NodeKind
from musicfs.vfs.collection_names import folder_inode


class CollectionControl:
    """Answers clients, on gRPC's threads."""

    def __init__(self, definitions: Definitions, catalog: Catalog, on_change: Callable[[], object]) -> None:
        """``on_change`` is called when a definition is on disk, and must not block."""
        self._definitions = definitions
        self._catalog = catalog
        self._on_change = on_change

    def collections(self) -> tuple[Collection, ...]:
        """See CollectionsBackend."""
        found = sorted(self._definitions.all(), key=lambda one: (one.name.casefold(), one.name))
        return tuple(self._described(one, self._links(one.id)) for one in found)

    def collection(self, name: str, start: int, stop: int) -> CollectionPage:
        """See CollectionsBackend."""
        definition = self._definitions.lookup(name)
        links = self._links(definition.id)
        ids = origin_ids(self._catalog)
        entries = []
        for inode in links[start:stop]:
            link = self._catalog.node(inode)
            track = document_of(self._catalog, ids, link.ref) if link is not None else None
            if link is not None and track is not None:
                entries.append(listed(self._catalog, link.ref, track))
        return CollectionPage(self._described(definition, links), tuple(entries))

    def create_collection(self, name: str, settings: CollectionSettings, *, replace: bool) -> Collection:
        """See CollectionsBackend."""
        definition = self._definitions.create(name, settings, replace=replace)
        self._on_change()
        return self._described(definition, self._links(definition.id))

    def delete_collection(self, name: str) -> None:
        """See CollectionsBackend."""
        self._definitions.delete(name)
        self._on_change()

    def _folder(self, collection_id: int) -> Node | None:
        return self._catalog.node(folder_inode(self._catalog, collection_id))

    def _links(self, collection_id: int) -> list[int]:
        folder = self._folder(collection_id)
        entries = self._catalog.list_folder(folder.inode) if folder is not None else ()
        return [inode for _, inode, kind in entries if kind == NodeKind.LINK]

    def _described(self, definition: Definition, links: list[int]) -> Collection:
        folder = self._folder(definition.id)
        path = self._catalog.path_of(folder.inode) if folder is not None else None
        return Collection(
            name=definition.name,
            settings=definition.settings,
            source=definition.source,
            count=len(links),
            path=os.fsdecode(path or b""),
            changed_ms=definition.changed_ns // 1_000_000,
        )
