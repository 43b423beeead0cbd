"""What can be found in the library, in the keeper: the index, who asks it, and the collections that follow it."""

from __future__ import annotations

from collections.abc import Callable

from musicfs.clock import Clock
from musicfs.config.settings import Settings
from musicfs.daemon.collection_control import CollectionControl
from musicfs.daemon.collection_definitions import Definitions
from musicfs.daemon.collections import Collections
from musicfs.daemon.indexing import make_indexer
from musicfs.daemon.reading import index_path
from musicfs.daemon.search_control import SearchControl
from musicfs.index.highlights import highlight
from musicfs.index.reader import IndexReader
from musicfs.library.collecting import Collector
from musicfs.library.track_query import PlaysOf
from musicfs.store.catalog import Catalog
from musicfs.store.state import State


class Searching:
    """Built once a keeper, before anything is written to the catalog."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        state: State,
        plays_of: PlaysOf,
        clock: Clock,
        on_commit: Callable[[], object],
        on_failure: Callable[[Exception], object],
    ) -> None:
        """``on_commit`` is called when collections have changed; ``on_failure`` is told that the catalog is damaged."""
        reader = IndexReader(index_path(settings), lambda error: self.indexer.begin_anew(str(error)))
        definitions = Definitions(settings.collections, state, clock)
        self._collections = Collections(
            catalog,
            Collector(catalog, reader, plays_of),
            definitions.all,
            settings.collections.directory,
            clock,
            on_commit,
            on_failure,
            windows_names=settings.tree.names == "windows",
        )
        self.indexer = make_indexer(
            settings,
            catalog,
            state.lineage,
            plays_of,
            clock,
            on_indexed=self._collections.note_indexed,
            on_failure=on_failure,
        )
        self.control = SearchControl(reader, catalog, clock, highlight)
        self.collections = CollectionControl(definitions, catalog, self._collections.note_redefined)

    def start(self) -> None:
        """Begin: catch up, then follow. When the tree is what the configuration says."""
        self.indexer.start()
        self._collections.start()

    def close(self) -> bool:
        """End both threads; blocks some seconds at most. False if one goes on, and the catalog must not be unmapped."""
        return all([self._collections.close(), self.indexer.close()])
