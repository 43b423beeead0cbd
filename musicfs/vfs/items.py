"""The objects of one batch: what changes, what is looked at beside it, and in which order they come."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from musicfs.model import Technical
from musicfs.store.folders import folder_key
from musicfs.store.records import TRASH_ORIGIN, ObjectRecord, StoredFacts, unpack_stored
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs.views import album_key

# Added (also several times) to the priority of an origin that should serve nothing which another origin has too. Names are
# given by what remains without it: which origin is up has no part in them. Priorities lie within half of it around zero.
UNHEALTHY_PENALTY = 1 << 32
_TRASH_PRIORITY = UNHEALTHY_PENALTY // 2 - 1  # whatever is there comes first

_LOSSLESS = frozenset(("flac", "alac", "pcm"))

Quality = tuple[bool, int, int, int, int]
Serving = tuple[int, Quality, int, bytes, bytes]


class Item(msgspec.Struct, frozen=True, gc=False):
    """An object as it is served, with its facts unpacked, and the album it counts towards (0: none)."""

    object_id: int
    record: ObjectRecord
    facts: StoredFacts | None
    album: int = 0


class Items:
    """Objects by id, each unpacked once in a batch. ``changed`` are the ids of those that are new or were read anew."""

    def __init__(self, tx: WriteTransaction, affected: Iterable[Item], changed: Collection[int]) -> None:
        self._tx = tx
        self._known = {item.object_id: item for item in affected}
        self._changed = changed

    def get(self, object_id: int) -> Item | None:
        """The object as it is after the batch; None if the catalog does not have it."""
        item = self._known.get(object_id)
        if item is None:
            record = self._tx.served(object_id)
            if record is None:
                return None
            facts = unpack_stored(record.facts)
            item = Item(object_id, record, facts, album_key(facts.tags) if facts is not None else 0)
            self._known[object_id] = item
        return item

    def all_of(self, object_ids: Iterable[int]) -> list[Item]:
        """Those of the objects that there are."""
        return [item for item in map(self.get, object_ids) if item is not None]

    def is_changed(self, item: Item) -> bool:
        """True if the batch is about this object itself, and not only about its siblings."""
        return item.object_id in self._changed


class Ranks:
    """In what order files come to names, and which of a track's sources is served.

    Both go by priority, then by the order in which origins list. Ids have no part in it: they differ between machines.
    Where quality is preferred, what is served goes by that before, among the origins that are up.
    """

    def __init__(self, tx: WriteTransaction, priorities: Mapping[int, int], *, prefer_quality: bool = False) -> None:
        """``priorities`` by origin number; an :data:`UNHEALTHY_PENALTY` counts for serving alone."""
        self.prefer_quality = prefer_quality
        self._tx = tx
        self._priorities = priorities
        self._folders: dict[
            int, tuple[int, int, tuple[int, bytes]]
        ] = {}  # origin, priority for serving, order of names

    def naming_of_folder(self, folder_id: int) -> tuple[int, bytes]:
        """The folder's place in the order in which names are given."""
        return self._folder(folder_id)[2]

    def naming(self, item: Item) -> tuple[int, bytes, bytes]:
        """The file's place in the order in which names are given."""
        return *self._folder(item.record.folder)[2], item.record.name

    def serving(self, item: Item) -> Serving:
        """The lowest of a track's sources is served."""
        _, priority, (plain, key) = self._folder(item.record.folder)
        sound = quality_rank(item.facts.technical) if self.prefer_quality and item.facts is not None else _NO_QUALITY
        return priority - plain, sound, plain, key, item.record.name

    def origin(self, item: Item) -> int:
        """The number of the origin that has the object."""
        return self._folder(item.record.folder)[0]

    def _folder(self, folder_id: int) -> tuple[int, int, tuple[int, bytes]]:
        found = self._folders.get(folder_id)
        if found is None:
            folder = self._tx.folder(folder_id)
            priority = self._priorities.get(folder.origin, _TRASH_PRIORITY if folder.origin == TRASH_ORIGIN else 0)
            found = folder.origin, priority, (naming_priority(priority), folder_key(folder.origin, folder.path))
            self._folders[folder_id] = found
        return found


def quality_rank(technical: Technical) -> Quality:
    """The lower, the better it sounds, as far as the numbers say.

    Lossless audio comes first, by bits per sample, sample rate and channels: its bitrate tells how well it is packed.
    Lossy audio goes by channels and bitrate, and by its sample rate last, which Opus has the most of at any quality.
    """
    if technical.codec in _LOSSLESS:
        return False, -technical.bits_per_sample, -technical.sample_rate, -technical.channels, 0
    return True, 0, -technical.channels, -technical.bitrate, -technical.sample_rate


_NO_QUALITY = quality_rank(Technical())


def naming_priority(priority: int) -> int:
    """The priority without its :data:`UNHEALTHY_PENALTY`."""
    half = UNHEALTHY_PENALTY // 2
    return (priority + half) % UNHEALTHY_PENALTY - half
