"""Federation: files of different origins that are one track, behind one name.

Files are *alike* when they are audio with one audio id, or files beside the audio (covers, booklets, lyrics, logs) with one
size. Alike files of different origins that wish for the same path share one entry, each as a *source* of it; two files of
one origin never do. Neither the audio id nor a size proves equal bytes: whoever mixes the bytes of two sources compares
them first. What is not alike is numbered, as within one origin.

Where quality is preferred, tagged audio is alike whatever its audio id: a path is then one track, and its best recording is
served. Files that say nothing about themselves agree in their paths by chance (``Track 01.flac``), and stay apart.

An origin may hold the same file twice, so several entries of one wished path can hold alike files. They are as few as can
be: as many as the origin with most copies has. A file joins the first that has no source of its origin; when a source's
end makes one superfluous, the sources of the one with the highest number go to the others.

Of the sources the one with the best rank is served (:meth:`~musicfs.vfs.items.Ranks.serving`): size, time and inode number
of the entry are its own. The name never depends on which that is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from musicfs.store.records import Node, NodeKind, ObjectKind
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs.directories import Directories
from musicfs.vfs.items import Item, Items, Ranks
from musicfs.vfs.names import is_variant
from musicfs.vfs.views import Wish, untagged

Likeness = tuple[int, int]
Shared = tuple[Node, list[int]]  # an entry, and the ids of its sources


def likeness(item: Item, *, by_path: bool) -> Likeness | None:
    """Equal for files that may be sources of one entry; None for one that stands alone.

    ``by_path``: a tagged file's path says which track it is.
    """
    if item.record.kind == ObjectKind.SIDECAR:
        return ObjectKind.SIDECAR, item.record.size
    if item.facts is None:
        return None
    if by_path and not untagged(item.facts.tags):
        return ObjectKind.AUDIO, 0
    return (ObjectKind.AUDIO, item.facts.audio_id) if item.facts.audio_id else None


class Federation:
    """Who shares an entry with whom, in one view while a batch is applied. It looks, and changes nothing.

    ``wish_of`` says where a file wants to be once the batch is through, None for nowhere. Ranks that prefer quality make
    audio of one path alike.
    """

    def __init__(
        self,
        tx: WriteTransaction,
        view: int,
        directories: Directories,
        items: Items,
        ranks: Ranks,
        wish_of: Callable[[Item], Wish | None],
    ) -> None:
        self.items = items
        self.ranks = ranks
        self.possible = tx.several_origins  # everything below costs nothing when there is but one
        self._tx = tx
        self._view = view
        self._directories = directories
        self.wish_of = wish_of
        self._staying: dict[int, bool] = {}

    def sources(self, node: Node) -> list[int]:
        """Ids of the entry's sources."""
        found = self._tx.sources(node.inode) if self.possible else []
        return found or [node.ref]

    def best(self, sources: Sequence[int]) -> Item | None:
        """The source to be served."""
        return min(self.items.all_of(sources), key=self.ranks.serving, default=None)

    def find(self, item: Item, directory: int, wish: Wish) -> Node | None:
        """The first entry for the wished path which the file can become a source of."""
        own = self._likeness(item) if self.possible else None
        if own is None:
            return None
        origin = self.ranks.origin(item)
        entries = self._entries(directory, wish, own)
        free = [(node, sources) for node, sources in entries if origin not in self.origins(sources)]
        # Those with its audio come first: an origin's two tracks of one path must not hide one another.
        same = (node for node, sources in free if any(map(partial(_same_audio, item), self.items.all_of(sources))))
        return next(same, free[0][0] if free else None)

    def alike(self, directory: int, name: bytes) -> list[Shared]:
        """All entries with files like the one that has this name, and the same wish, in the order of their numbers."""
        entry = self._tx.entry(directory, name)
        node = self.file(entry[0]) if entry is not None else None
        item = self.items.get(node.ref) if node is not None else None
        wish = self.wish_of(item) if item is not None else None
        own = self._likeness(item) if item is not None else None
        return list(self._entries(directory, wish, own)) if wish is not None and own is not None else []

    def origins(self, sources: Sequence[int]) -> list[int]:
        """The numbers of the origins that have these objects."""
        return [self.ranks.origin(item) for item in self.items.all_of(sources)]

    def stays(self, item: Item, node: Node, sources: Sequence[int]) -> bool:
        """Whether one of an entry's several sources remains one after the batch. It still wishes to be where it is.

        When sources no longer agree, those that the batch is not about keep the entry, else the first to be named does.
        """
        if item.object_id not in self._staying:
            self._staying.update(self._agreeing(node, sources))
        return self._staying[item.object_id]

    def _agreeing(self, node: Node, sources: Sequence[int]) -> dict[int, bool]:
        remaining = []
        for item in self.items.all_of(sources):
            wish = self.wish_of(item)
            if wish is None or not is_variant(node.name, wish.stem, wish.suffix):
                continue
            if self._directories.get(wish.folders) == node.parent:
                remaining.append((item, (wish.stem, wish.suffix, self._likeness(item))))
        remaining.sort(key=lambda found: (self.items.is_changed(found[0]), self.ranks.naming(found[0])))
        verdicts = dict.fromkeys(sources, False)
        origins: set[int] = set()
        for item, terms in remaining:
            origin = self.ranks.origin(item)
            agrees = terms == remaining[0][1] and terms[2] is not None and origin not in origins
            verdicts[item.object_id] = agrees or item is remaining[0][0]
            origins.add(origin)
        return verdicts

    def _likeness(self, item: Item) -> Likeness | None:
        return likeness(item, by_path=self.ranks.prefer_quality)

    def _entries(self, directory: int, wish: Wish, own: Likeness) -> Iterator[Shared]:
        for inode in self._directories.variants(directory, wish.stem, wish.suffix):
            node = self.file(inode)
            held = self.items.get(node.ref) if node is not None else None
            if node is None or held is None or self._likeness(held) != own:
                continue
            other = self.wish_of(held)  # the second "A" is named like the first "A (2)", and is not the same
            if other is not None and (other.stem, other.suffix) == (wish.stem, wish.suffix):
                yield node, self.sources(node)

    def file(self, inode: int) -> Node | None:
        """The inode if an origin's file is placed there: nothing that was made of one."""
        node = self._tx.node(inode)
        if node is None or node.kind != NodeKind.OBJECT or self._tx.place(node.ref, self._view) != inode:
            return None
        return node


def _same_audio(one: Item, other: Item) -> bool:
    return likeness(one, by_path=False) == likeness(other, by_path=False)
