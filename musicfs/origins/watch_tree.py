"""Which inotify watch stands for which folder: a tree, so that a renamed folder takes all below it along. No I/O.

About 0.35 KB a folder. Not for several threads.
"""

from __future__ import annotations

from collections.abc import Iterator


class WatchedFolder:
    """A folder with a watch. ``parent`` is None for the root and for what was cut off the tree."""

    __slots__ = ("children", "name", "parent", "watch")

    def __init__(self, watch: int, name: bytes, parent: WatchedFolder | None) -> None:
        self.watch = watch
        self.name = name
        self.parent = parent
        self.children: dict[bytes, WatchedFolder] | None = None  # most folders have none


class WatchTree:
    """The folders by watch and by place."""

    def __init__(self) -> None:
        self._by_watch: dict[int, WatchedFolder] = {}
        self.root: WatchedFolder | None = None

    def __len__(self) -> int:
        return len(self._by_watch)

    def get(self, watch: int) -> WatchedFolder | None:
        """The folder of ``watch``; None for one that has been dropped."""
        return self._by_watch.get(watch)

    def holds(self, folder: WatchedFolder) -> bool:
        """Whether ``folder`` is still part of the tree."""
        return self._by_watch.get(folder.watch) is folder

    def path(self, folder: WatchedFolder) -> bytes:
        """The path relative to the root; empty for the root."""
        names = []
        at: WatchedFolder | None = folder
        while at is not None and at is not self.root:
            names.append(at.name)
            at = at.parent
        return b"/".join(reversed(names))

    def attach(self, watch: int, parent: WatchedFolder | None, name: bytes) -> WatchedFolder:
        """Put the folder of ``watch`` below ``parent`` (None: as the root); it keeps its children if it was elsewhere."""
        folder = self._by_watch.get(watch)
        if folder is None:
            folder = self._by_watch[watch] = WatchedFolder(watch, name, parent)
        else:
            self._unlink(folder)
            folder.name, folder.parent = name, parent
        if parent is None:
            self.root = folder
        else:
            if parent.children is None:
                parent.children = {}
            parent.children[name] = folder
        return folder

    def child(self, folder: WatchedFolder, name: bytes) -> WatchedFolder | None:
        """The watched folder ``name`` in ``folder``."""
        return folder.children.get(name) if folder.children else None

    def drop(self, folder: WatchedFolder) -> list[int]:
        """Cut off ``folder`` and all below it; their watches."""
        self._unlink(folder)
        folder.parent = None
        if folder is self.root:
            self.root = None
        dropped = list(_walk(folder))
        for each in dropped:
            self._by_watch.pop(each.watch, None)
        return [each.watch for each in dropped]

    def _unlink(self, folder: WatchedFolder) -> None:
        siblings = folder.parent.children if folder.parent is not None else None
        if siblings and siblings.get(folder.name) is folder:
            del siblings[folder.name]


def _walk(folder: WatchedFolder) -> Iterator[WatchedFolder]:
    pending = [folder]
    while pending:
        at = pending.pop()
        yield at
        if at.children:
            pending.extend(at.children.values())
