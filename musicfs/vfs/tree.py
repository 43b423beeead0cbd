"""The tree's writing side: given files that changed, change the tree, in the same transaction.

A batch goes through in one order: siblings first (an album that becomes a multi-disc one renames all its tracks), then
everything that leaves, then everything that arrives in (priority, origin path) order, then names that files of several
origins need no longer, then sidecars in the same way, then versions, made files, and folders' times. Names therefore never
pass through a state that nobody asked for, and a name is free only when its holder has left.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import islice

import msgspec

from musicfs.clock import Clock
from musicfs.library.publish import Change
from musicfs.store.catalog import Catalog
from musicfs.store.records import Node, ObjectKind, ObjectRecord, StoredFacts, unpack_stored
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs import trash
from musicfs.vfs.artwork import Artwork, CoverMaker
from musicfs.vfs.collections import carry_over, drop_links
from musicfs.vfs.directories import Directories
from musicfs.vfs.federation import Federation
from musicfs.vfs.former import FormerNames
from musicfs.vfs.items import Item, Items, Ranks
from musicfs.vfs.names import split_suffix
from musicfs.vfs.placing import Placer
from musicfs.vfs.sidecars import Sidecars
from musicfs.vfs.templates import Subject
from musicfs.vfs.versions import Versions
from musicfs.vfs.views import View, Wish, album_key, discs, names_several_discs

# Raised when the same facts and templates would give another tree: a new generation is then built.
TREE_RULES = 2


class TreeOptions(msgspec.Struct, frozen=True):
    """What besides the views decides how the tree looks."""

    sidecars: bool = True
    covers: bool = True
    playlists: bool = False
    ignore_case: bool = False
    versions: bool = False
    prefer_quality: bool = False


class TreeBuilder:
    """Derives the tree of every view. Stateless between batches; used by the keeper's one writing thread."""

    def __init__(
        self, views: Sequence[View], options: TreeOptions, clock: Clock, make_cover: CoverMaker, *, fresh: bool = False
    ) -> None:
        self.views = tuple(views)
        self.options = options
        self._clock = clock
        self._make_cover = make_cover
        self._fresh = fresh

    def fingerprint(self) -> bytes:
        """Equal when the same facts give the same tree."""
        views = "\1".join(view.fingerprint() for view in self.views)
        return f"{TREE_RULES}\1{self.options}\1{views}".encode("utf-8", "surrogateescape")

    def apply(self, tx: WriteTransaction, changes: Sequence[Change], priorities: Mapping[int, int]) -> None:
        """Follow the changes, whose records are as they are served. New ones are in ``tx`` already; leaving ones still.

        ``priorities`` gives each origin number its priority: lower ones take the plain names of a batch, and serve the
        tracks that several origins have. An origin that is down has an
        :data:`~musicfs.vfs.items.UNHEALTHY_PENALTY` added.
        """
        albums = _Albums(tx)
        affected: dict[int, Item] = {}
        leaving: dict[int, ObjectRecord] = {}
        for change in changes:
            facts = unpack_stored(change.new.facts) if change.new is not None else None
            album = albums.note(change, facts)
            if change.old is not None:
                leaving[change.object_id] = change.old
            if change.new is not None:
                affected[change.object_id] = Item(change.object_id, change.new, facts, album)
        for object_id in albums.settle():
            record = tx.served(object_id) if object_id not in affected and object_id not in leaving else None
            if record is not None:
                facts = unpack_stored(record.facts)
                affected[object_id] = Item(object_id, record, facts, album_key(facts.tags) if facts is not None else 0)
        arrived = {change.object_id for change in changes if change.old is None}
        ranks = self._ranks(tx, priorities)
        items = Items(tx, affected.values(), arrived | leaving.keys())
        order = sorted(affected.values(), key=ranks.naming)
        for view in self.views:
            _ViewBatch(self, tx, view, albums, items, ranks).apply(affected, leaving, order, arrived)
        drop_links(tx, leaving, self._clock.time_ns())

    def correct(
        self, tx: WriteTransaction, changes: Sequence[Change], priorities: Mapping[int, int], until_ns: int
    ) -> None:
        """As :meth:`apply`, for changes that the user made: names that end by them lead to their files until then."""
        names = FormerNames(tx, [change.object_id for change in changes])
        self.apply(tx, changes, priorities)
        names.keep(until_ns)

    def carry_over(self, catalog: Catalog, tx: WriteTransaction) -> None:
        """Have the served tree's collections, and the trash, in the one that ``tx`` writes, whose tracks are all placed."""
        carry_over(catalog, tx, self._clock.time_ns(), ignore_case=self.options.ignore_case)
        trash.carry_over(tx, self._clock, ignore_case=self.options.ignore_case)

    def rerank(self, tx: WriteTransaction, priorities: Mapping[int, int], after: int = 0, limit: int = 1000) -> int:
        """Serve tracks with several sources from the best by ``priorities``, which changed; no name changes.

        Looks at up to ``limit`` such tracks with inode numbers above ``after``, and at nothing else. Returns what to pass
        as ``after`` with the next transaction, 0 at the end. May block where a cover has to be converted anew.
        """
        albums, items, ranks = _Albums(tx), Items(tx, (), ()), self._ranks(tx, priorities)
        shared = list(islice(tx.shared_inodes(after), limit))
        batches: dict[int, _ViewBatch] = {}
        views = {view.number: view for view in self.views}
        for inode, sources in shared:
            node = tx.node(inode)
            if node is None or node.view not in views:
                continue
            if node.view not in batches:
                batches[node.view] = _ViewBatch(self, tx, views[node.view], albums, items, ranks)
            batches[node.view].serve_best(node, sources)
        for batch in batches.values():
            batch.finish()
        return shared[-1][0] if len(shared) == limit else 0

    def _ranks(self, tx: WriteTransaction, priorities: Mapping[int, int]) -> Ranks:
        return Ranks(tx, priorities, prefer_quality=self.options.prefer_quality)

    def directories(self, tx: WriteTransaction, view: View) -> Directories:
        """The folders of a view for one batch."""
        return Directories(
            tx, view.number, self._clock.time_ns(), ignore_case=self.options.ignore_case, fresh=self._fresh
        )

    def artwork(self, tx: WriteTransaction, view: View, directories: Directories) -> Artwork:
        """The made files of a view for one batch."""
        return Artwork(tx, view.number, directories, self._make_cover)


class _Albums:
    """Which albums have more than one disc, and whose tracks must be named anew because that changed."""

    def __init__(self, tx: WriteTransaction) -> None:
        self._tx = tx
        self._before: dict[int, bool] = {}
        self._several: dict[int, bool] = {}

    def note(self, change: Change, facts: StoredFacts | None) -> int:
        """Move a changed track from its old album to its new one; returns the new one's key."""
        old_key = 0
        if change.old is not None:
            old_facts = unpack_stored(change.old.facts)
            old_key = album_key(old_facts.tags) if old_facts is not None else 0
        new_key = album_key(facts.tags) if facts is not None else 0
        for key in {old_key, new_key} - {0}:
            if key not in self._before:
                self._before[key] = names_several_discs(self._tx.album_members(key))
        if old_key and old_key != new_key:
            self._tx.remove_album_member(old_key, change.object_id)
        if new_key and facts is not None:
            self._tx.set_album_member(new_key, change.object_id, *discs(facts.tags))
        return new_key

    def settle(self) -> list[int]:
        """Object ids of all tracks of the albums that became, or ceased to be, multi-disc."""
        renamed: list[int] = []
        for key, before in self._before.items():
            members = self._tx.album_members(key)
            self._several[key] = names_several_discs(members)
            if self._several[key] != before:
                renamed += (object_id for object_id, _, _ in members)
        return renamed

    def disc_of(self, item: Item, facts: StoredFacts) -> str:
        """``$disc`` for a track: its number if its album has more than one."""
        disc, total = discs(facts.tags)
        if not disc:
            return ""
        several = total > 1 if not item.album else self._several.get(item.album)
        if several is None:
            several = self._several[item.album] = names_several_discs(self._tx.album_members(item.album))
        return str(disc) if several else ""


class _Wishes:
    """Where files want to be in one view, once the siblings of all that changed are known."""

    def __init__(self, tx: WriteTransaction, view: View, albums: _Albums, sidecars: Sidecars) -> None:
        self._tx = tx
        self._view = view
        self._albums = albums
        self._sidecars = sidecars

    def of(self, item: Item) -> Wish | None:
        """The file's place; None for a sidecar that is not shown. Sidecars can be asked for when all tracks are placed."""
        record = item.record
        if self._view.folders:
            folder = self._tx.folder(record.folder)
            return self._view.wish_in(self._view.origin_folders(folder.path), record.name)
        if record.kind == ObjectKind.SIDECAR:
            return self._sidecars.wish_of(item)
        if item.facts is None:
            return self._view.wish_for_opaque(record.name)
        stem = split_suffix(record.name.decode("utf-8", "surrogateescape"))[0]
        subject = Subject(item.facts.tags, stem, item.facts.format, self._albums.disc_of(item, item.facts))
        return self._view.wish_for_track(subject, record.name)


class _ViewBatch:
    """One batch in one view."""

    def __init__(
        self,
        builder: TreeBuilder,
        tx: WriteTransaction,
        view: View,
        albums: _Albums,
        items: Items,
        ranks: Ranks,
    ) -> None:
        self._tx = tx
        self._view = view
        self._ranks = ranks
        self._options = builder.options
        self._directories = builder.directories(tx, view)
        self._artwork = builder.artwork(tx, view, self._directories)
        self._sidecars = Sidecars(tx, view, self._directories)
        self._wishes = _Wishes(tx, view, albums, self._sidecars)
        federation = Federation(tx, view.number, self._directories, items, ranks, self._wishes.of)
        self._placer = Placer(tx, view, self._directories, federation, self._artwork.displace)
        self._versions = Versions(tx, view.number, self._directories, federation)

    def apply(
        self,
        affected: Mapping[int, Item],
        leaving: Mapping[int, ObjectRecord],
        order: Sequence[Item],
        arrived: Collection[int],
    ) -> None:
        """Place, settle, finish. ``arrived`` are ids the tree has never seen."""
        if self._view.name:
            self._directories.ensure(self._view.root)
        folders = {record.folder for record in leaving.values()} | {item.record.folder for item in affected.values()}
        by_template = not self._view.folders
        homes = {folder: self._sidecars.own_home(folder) for folder in folders} if by_template else {}
        self._move(affected, leaving, order, arrived)
        renumbered = self._placer.settle(sidecars=False)
        folders |= {item.record.folder for item in renumbered}  # for lyrics named like them
        self._placer.flush_anchors()
        if by_template and self._options.sidecars:
            for folder, home in homes.items():
                if self._sidecars.own_home(folder) != home:
                    folders |= self._sidecars.dependents(folder)
            self._sidecars.settle(
                sorted(folders, key=self._ranks.naming_of_folder),
                leaving.keys() - affected.keys(),
                {item.object_id for item in renumbered},
                self._placer,
            )
        self._placer.settle(sidecars=True)
        self.finish()

    def serve_best(self, node: Node, sources: Sequence[int]) -> None:
        """Serve an entry from the best of its sources."""
        self._placer.serve_best(node, sources)

    def finish(self) -> None:
        """Make what is made of the folders' files, and give the folders their times."""
        if self._options.versions:
            self._versions.settle(self._placer.changed, self._placer.read_anew)
        if not self._view.folders:
            self._make()
        self._directories.finish()

    def _move(
        self,
        affected: Mapping[int, Item],
        leaving: Mapping[int, ObjectRecord],
        order: Sequence[Item],
        arrived: Collection[int],
    ) -> None:
        arriving: list[tuple[Item, Wish]] = []
        for object_id, record in leaving.items():
            if object_id not in affected:
                self._placer.withdraw(object_id, record)
        for item in order:
            if item.record.kind == ObjectKind.SIDECAR and not self._view.folders:
                continue
            wish = self._wishes.of(item)
            if item.object_id not in arrived:
                old = leaving.get(item.object_id, item.record)
                if wish is not None and self._placer.keeps(item, wish, old):
                    continue
                self._placer.withdraw(item.object_id, old)
            if wish is not None:
                arriving.append((item, wish))
        for item, wish in arriving:
            self._placer.put(item, wish)

    def _make(self) -> None:
        for directory in self._directories.touched:
            if self._tx.node(directory) is None:
                continue
            if self._options.covers:
                self._artwork.settle_cover(directory)
            self._artwork.settle_playlist(directory, wanted=self._options.playlists)
