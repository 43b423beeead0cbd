"""Where files that are not audio go: they follow the tracks of their origin folder.

An origin folder's *home* is the directory in which most of its tracks lie. A folder without tracks that has disc folders
(``CD1``, ``Disc 2``) has the home of most of them; any other folder without tracks below one with a home
(``Scans``, ``Artwork``) appears as a sub-folder of it. What has no home is not shown. A ``.lrc`` named like a track takes
the track's folder and name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Set

from musicfs.library.classify import is_audio_name, is_disc_folder, parent_of
from musicfs.store.records import ObjectKind
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs.directories import Directories, Path
from musicfs.vfs.names import split_suffix
from musicfs.vfs.placing import Item, Placer
from musicfs.vfs.views import View, Wish


class Sidecars:
    """Places the sidecars of origin folders in one view."""

    def __init__(self, tx: WriteTransaction, view: View, directories: Directories, placer: Placer) -> None:
        self._tx = tx
        self._view = view
        self._directories = directories
        self._placer = placer

    def own_home(self, folder_id: int) -> int:
        """The directory with most of the folder's own tracks (ties: the first by path), 0 without tracks."""
        anchors = self._tx.anchors(folder_id, self._view.number)
        if not anchors:
            return 0
        if len(anchors) == 1:
            return anchors[0][0]
        return min(anchors, key=lambda found: (-found[1], self._directories.path_of(found[0])))[0]

    def home(self, origin: int, path: bytes) -> Path | None:
        """The directory that a folder's sidecars belong to, or None."""
        folder_id = self._tx.folder_id(origin, path)
        own = self.own_home(folder_id) if folder_id is not None else 0
        if own:
            return self._directories.path_of(own)
        shared = self._home_of_discs(origin, path)
        if shared:
            return self._directories.path_of(shared)
        parent = parent_of(path)
        if not parent:
            return None
        above = self.home(origin, parent)
        return None if above is None else (*above, self._view.origin_folders(path)[-1])

    def _home_of_discs(self, origin: int, path: bytes) -> int:
        """The directory where most disc folders of ``path`` have their home, 0 if there is none."""
        if not path:
            return 0
        homes = Counter(
            self.own_home(folder_id)
            for folder_id, below in self._tx.folders_under(origin, path)
            if parent_of(below) == path and below != path and is_disc_folder(below)
        )
        del homes[0]
        if not homes:
            return 0
        return min(homes, key=lambda home: (-homes[home], self._directories.path_of(home)))

    def dependents(self, folder_id: int) -> set[int]:
        """Folders whose home may follow this one's: those without tracks below it, or beside it for a disc."""
        record = self._tx.folder(folder_id)
        top = (is_disc_folder(record.path) and parent_of(record.path)) or record.path
        if not top:
            return set()
        return {
            found
            for found, _ in self._tx.folders_under(record.origin, top)
            if not self._tx.anchors(found, self._view.number)
        }

    def settle(self, folder_id: int, gone: Set[int]) -> None:
        """Put every sidecar of the folder where it belongs now. ``gone`` are leaving, though the catalog has them yet."""
        record = self._tx.folder(folder_id)
        files = {name: found for name, found in self._tx.files_of(folder_id).items() if found[0] not in gone}
        sidecars = [(name, found[0]) for name, found in files.items() if not is_audio_name(name)]
        if not sidecars:
            return
        home = self.home(record.origin, record.path)
        tracks: dict[str, int] = {}
        for name, (object_id, _) in files.items():
            if is_audio_name(name):
                tracks.setdefault(split_suffix(name.decode("utf-8", "surrogateescape"))[0], object_id)
        for name, object_id in sidecars:
            self._settle_one(object_id, self._wish(name, home, tracks))

    def _settle_one(self, object_id: int, wish: Wish | None) -> None:
        record = self._tx.object(object_id)
        if record is None or record.kind != ObjectKind.SIDECAR:
            return
        item = Item(object_id, record, None)
        if wish is not None and self._placer.keeps(item, wish, record):
            return
        self._placer.withdraw(object_id, record)
        if wish is not None:
            self._placer.put(item, wish)

    def _wish(self, name: bytes, home: Path | None, tracks: dict[str, int]) -> Wish | None:
        stem, suffix = split_suffix(name.decode("utf-8", "surrogateescape"))
        if suffix.lower() == ".lrc" and stem in tracks:
            node = self._placer.current(tracks[stem])
            if node is not None:
                track_stem = split_suffix(node.name.decode("utf-8", "surrogateescape"))[0]
                return Wish(self._directories.path_of(node.parent), track_stem, ".lrc")
        return None if home is None else self._view.wish_in(home, name)
