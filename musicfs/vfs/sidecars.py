"""Where files that are not audio go: they follow the tracks of their origin folder.

An origin folder's *home* is the directory in which most of its tracks lie. A folder without tracks that has disc folders
(``CD1``, ``Disc 2``) has the home of most of them; any other folder without tracks below one with a home
(``Scans``, ``Artwork``) appears as a sub-folder of it. What has no home is not shown. A ``.lrc`` named like a track takes
the track's folder and name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set

from musicfs.library.classify import is_audio_name, is_disc_folder, parent_of
from musicfs.store.records import ObjectKind, ObjectRecord
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs.directories import Directories, Path
from musicfs.vfs.items import Item
from musicfs.vfs.names import split_suffix
from musicfs.vfs.placing import Placer
from musicfs.vfs.views import View, Wish


class Sidecars:
    """Where the sidecars of origin folders belong in one view."""

    def __init__(self, tx: WriteTransaction, view: View, directories: Directories) -> None:
        self._tx = tx
        self._view = view
        self._directories = directories
        self._gone: Set[int] = frozenset()
        self._homes: dict[int, Path | None] = {}

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

    def settle(self, folders: Iterable[int], gone: Set[int], renumbered: Set[int], placer: Placer) -> None:
        """Put every sidecar of the folders where it belongs now that all tracks have their places.

        ``folders`` come in the order in which names are given; those whose holders leave are free for all of them.
        ``gone`` are leaving, though the catalog has them yet. ``renumbered`` are tracks that lost their numbers: a number
        of their lyrics was the track's, and goes with it.
        """
        self._gone = gone
        arriving: list[tuple[Item, Wish]] = []
        for folder_id in folders:
            files = self._files(folder_id)
            sidecars = [object_id for name, object_id in files.items() if not is_audio_name(name)]
            tracks = _by_stem(files) if sidecars else {}
            for object_id in sidecars:
                record = self._tx.object(object_id)
                if record is None or record.kind != ObjectKind.SIDECAR:
                    continue
                item, wish = Item(object_id, record, None), self._wish(record, tracks)
                follows = _track_of(record, tracks) in renumbered
                if wish is not None and not follows and placer.keeps(item, wish, record):
                    continue
                placer.withdraw(object_id, record)
                if wish is not None:
                    arriving.append((item, wish))
        for item, wish in arriving:
            placer.put(item, wish)

    def wish_of(self, item: Item) -> Wish | None:
        """Where a sidecar belongs now that all tracks have their places; None if it is not shown."""
        record = item.record
        return self._wish(record, _by_stem(self._files(record.folder)) if _is_lyrics(record) else {})

    def _files(self, folder_id: int) -> dict[bytes, int]:
        """Name -> object id of the files that remain in a folder."""
        files = self._tx.files_of(folder_id)
        return {name: object_id for name, (object_id, _) in files.items() if object_id not in self._gone}

    def _home_of(self, folder_id: int) -> Path | None:
        if folder_id not in self._homes:
            record = self._tx.folder(folder_id)
            self._homes[folder_id] = self.home(record.origin, record.path)
        return self._homes[folder_id]

    def _wish(self, record: ObjectRecord, tracks: dict[str, int]) -> Wish | None:
        track = _track_of(record, tracks)
        if track:
            node = self._tx.placed(track, self._view.number)
            if node is not None:
                track_stem = split_suffix(node.name.decode("utf-8", "surrogateescape"))[0]
                return Wish(self._directories.path_of(node.parent), track_stem, ".lrc")
        home = self._home_of(record.folder)
        return None if home is None else self._view.wish_in(home, record.name)


def _is_lyrics(record: ObjectRecord) -> bool:
    return record.name[-4:].lower() == b".lrc"


def _track_of(record: ObjectRecord, tracks: Mapping[str, int]) -> int:
    """The track that a sidecar is the lyrics of, 0 if it is none's."""
    if not _is_lyrics(record):
        return 0
    return tracks.get(split_suffix(record.name.decode("utf-8", "surrogateescape"))[0], 0)


def _by_stem(files: Mapping[bytes, int]) -> dict[str, int]:
    """Tracks by their names without suffix: the first of those that have one stem."""
    tracks: dict[str, int] = {}
    for name, object_id in files.items():
        if is_audio_name(name):
            tracks.setdefault(split_suffix(name.decode("utf-8", "surrogateescape"))[0], object_id)
    return tracks
