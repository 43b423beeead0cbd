"""What a tree must be, worked out from the files alone, and a look at all of the catalog's tables to compare it with."""

from __future__ import annotations

from collections import Counter, defaultdict

import msgspec

from musicfs.library.classify import is_audio_name, is_disc_folder, parent_of
from musicfs.model import FIELDS, Tags, first
from musicfs.store.corrections import content_version
from musicfs.store.records import DISCS, ENTRY, U32, U64, U64_U64, Node, NodeKind, ObjectKind, StoredTags, unpack_node
from musicfs.store.schema import ROOT_INODE, ChangeOp
from musicfs.vfs import artwork, inodes
from musicfs.vfs.items import UNHEALTHY_PENALTY
from musicfs.vfs.names import VERSIONS_NAME, fit, fold, is_variant, split_suffix, variant_number
from musicfs.vfs.templates import Subject, disc_number
from musicfs.vfs.versions import MARKER_DATA, MARKER_NAMES
from musicfs.vfs.views import View, Wish, album_key
from tests.vfs.world import File, Key, World

Path = tuple[bytes, ...]
ENCODER_FIELDS = ("encoder", "encoded_by", "encodersettings", "encoder_settings", "tlen")


class Tree:
    """Everything in the tree's tables, read once."""

    def __init__(self, world: World) -> None:
        catalog, tables = world.catalog, world.catalog.tables
        with catalog.snapshot() as txn:
            self.nodes = {
                U64.unpack(key)[0]: unpack_node(U64.unpack(key)[0], raw) for key, raw in txn.cursor(tables.nodes)
            }
            self.entries = {
                (U64.unpack(key[:8])[0], bytes(key[8:])): ENTRY.unpack(raw) for key, raw in txn.cursor(tables.entries)
            }
            self.places = {
                (U64.unpack(key[:8])[0], key[8]): U64.unpack(raw)[0] for key, raw in txn.cursor(tables.places)
            }
            self.anchors = {
                (U32.unpack(key[:4])[0], key[4], U64.unpack(key[5:])[0]): U32.unpack(raw)[0]
                for key, raw in txn.cursor(tables.anchors)
            }
            self.albums = {U64_U64.unpack(key): DISCS.unpack(raw) for key, raw in txn.cursor(tables.albums)}
            self.art = {
                (U64.unpack(key[:8])[0], key[8], bytes(key[9:])): U64.unpack(raw)[0]
                for key, raw in txn.cursor(tables.art)
            }
            self.sources: defaultdict[int, set[int]] = defaultdict(set)
            for key, _ in txn.cursor(tables.sources):
                inode, source = U64_U64.unpack(key)
                self.sources[inode].add(source)
            self.blobs = {U64.unpack(key)[0]: bytes(raw) for key, raw in txn.cursor(tables.blobs)}
        self._paths: dict[int, Path] = {ROOT_INODE: ()}

    def path(self, inode: int) -> Path:
        if inode not in self._paths:
            node = self.nodes[inode]
            self._paths[inode] = (*self.path(node.parent), node.name)
        return self._paths[inode]

    def by_path(self) -> dict[Path, Node]:
        return {self.path(inode): node for inode, node in self.nodes.items() if inode != ROOT_INODE}

    def children(self, inode: int) -> dict[bytes, int]:
        return {name: child for (parent, name), (child, _) in self.entries.items() if parent == inode}


class Oracle:
    """Where every file belongs."""

    def __init__(self, world: World, tree: Tree) -> None:
        self.world = world
        self.tree = tree
        self.options = world.options
        self._albums: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for file in world.files.values():
            key = self.album(file)
            if key:
                self._albums[key].append(_discs(self.tags(file)))

    @staticmethod
    def tags(file: File) -> Tags:
        facts = file.content.facts()
        return facts.tags if facts is not None and is_audio_name(file.key[2]) else {}

    def album(self, file: File) -> int:
        return album_key(_stored(self.tags(file)))

    def several_discs(self, file: File) -> bool:
        members = self._albums[self.album(file)] if self.album(file) else [_discs(self.tags(file))]
        named = {disc for disc, _ in members if disc} if self.album(file) else set()
        return any(total > 1 for _, total in members) or len(named) > 1

    def wish(self, view: View, file: File) -> Wish | None:
        """Where a file wants to be; None for a sidecar without a home."""
        _, folder, name = file.key
        if view.folders:
            return view.wish_in(view.origin_folders(folder), name)
        if file.record.kind == ObjectKind.SIDECAR:
            return self.sidecar_wish(view, file)
        facts = file.content.facts()
        if facts is None:
            return view.wish_for_opaque(name)
        disc = _discs(facts.tags)[0]
        stem = split_suffix(name.decode())[0]
        number = str(disc) if disc and self.several_discs(file) else ""
        return view.wish_for_track(Subject(_stored(facts.tags), stem, facts.format, number), name)

    def node(self, view: View, file: File) -> Node | None:
        return self.tree.nodes.get(self.tree.places.get((file.object_id, view.number), 0))

    # Files that share a name.

    def likeness(self, file: File) -> tuple[str, int] | None:
        """Files of several origins that are equal in this, and wish for one path, are one."""
        if file.record.kind == ObjectKind.SIDECAR:
            return "size", file.content.size
        if self.options.prefer_quality and any(field not in ENCODER_FIELDS for field in self.tags(file)):
            return "track", 0
        audio = file.content.audio if file.content.facts() is not None else 0
        return ("audio", audio) if audio else None

    def sharing(self, view: View, file: File) -> list[File]:
        """All files under the name of this one, which must have one; the one to be served comes first."""
        inode = self.tree.places[file.object_id, view.number]
        found = [
            one for one in self.world.files.values() if self.tree.places.get((one.object_id, view.number)) == inode
        ]
        return sorted(found, key=self._rank)

    def _rank(self, file: File) -> tuple[bool, list[int], int, int, bytes, bytes]:
        origin, folder, name = file.key
        priority = self.world.priorities[origin]
        quality = _worse(file) if self.options.prefer_quality else []
        return priority > UNHEALTHY_PENALTY // 2, quality, priority, origin, folder.replace(b"/", b"\0"), name

    def versions(self, view: View) -> dict[Path, File]:
        """What is not served of tracks that several origins have, by path."""
        found: dict[Path, File] = {}
        for file in self.world.files.values():
            node = self.node(view, file)
            if node is None or file.record.kind != ObjectKind.AUDIO or node.ref == file.object_id:
                continue
            stem, dot, suffix = node.name.rpartition(b".")
            name = b"%s [origin%d]%s%s" % (stem, file.key[0], dot, suffix)
            path = (*self.tree.path(node.parent), VERSIONS_NAME, name)
            assert path not in found
            found[path] = file
        return found

    # Sidecars.

    def sidecar_wish(self, view: View, file: File) -> Wish | None:
        origin, folder, name = file.key
        if not self.options.sidecars:
            return None
        stem, suffix = split_suffix(name.decode())
        if suffix.lower() == ".lrc":
            for other in sorted(self.tracks_of(origin, folder), key=lambda one: one.key[2]):
                if split_suffix(other.key[2].decode())[0] == stem:
                    node = self.node(view, other)
                    assert node is not None
                    return Wish(self.tree.path(node.parent), split_suffix(node.name.decode())[0], ".lrc")
        home = self.home(view, origin, folder)
        return None if home is None else view.wish_in(home, name)

    def tracks_of(self, origin: int, folder: bytes) -> list[File]:
        return [
            file
            for (number, path, name), file in self.world.files.items()
            if (number, path) == (origin, folder) and is_audio_name(name)
        ]

    def own_home(self, view: View, origin: int, folder: bytes) -> Path | None:
        """The directory of most of a folder's tracks, the first by path among equals."""
        held: Counter[Path] = Counter()
        for file in self.tracks_of(origin, folder):
            node = self.node(view, file)
            assert node is not None
            held[self.tree.path(node.parent)] += 1
        return _most(held)

    def home(self, view: View, origin: int, folder: bytes) -> Path | None:
        own = self.own_home(view, origin, folder)
        if own is not None or not folder:
            return own
        folders = {path for number, path, _ in self.world.files if number == origin}
        shared: Counter[Path] = Counter()
        for path in folders:
            if path != folder and parent_of(path) == folder and is_disc_folder(path):
                below = self.own_home(view, origin, path)
                if below is not None:
                    shared[below] += 1
        if shared:
            return _most(shared)
        if not parent_of(folder):
            return None
        above = self.home(view, origin, parent_of(folder))
        return None if above is None else (*above, view.origin_folders(folder)[-1])

    # What is made.

    def cover(self, directory: int) -> tuple[int, bytes | int] | None:
        """(start, object id) of a range, or (size, bytes) of a blob, for the best cover among a directory's files."""
        found: list[tuple[int, bytes, File]] = []
        for name, inode in self.tree.children(directory).items():
            file = self.file_at(inode)
            if file is None:
                continue
            if file.record.kind == ObjectKind.SIDECAR:
                rank = artwork.folder_image_rank(name)
            else:
                rank = artwork.picture_rank(file.content.stored())
            if rank is not None:
                found.append((rank, name, file))
        for _, _, file in sorted(found, key=lambda one: one[:2]):
            made = self._cover_of(file)
            if made is not None:
                return made
        return None

    def _cover_of(self, file: File) -> tuple[int, bytes | int] | None:
        from tests.vfs.world import fake_cover

        origin, folder, name = file.key
        path = (folder + b"/" if folder else b"") + name
        if file.record.kind == ObjectKind.SIDECAR:
            if name.lower().endswith((b".jpg", b".jpeg")):
                return (0, file.object_id) if file.content.size else None
            data = fake_cover(origin, path, file.content.size, None)
            return (len(data), data) if data else None
        facts = file.content.stored()
        assert facts is not None
        picture = artwork.best_picture(facts)
        assert picture is not None
        if picture.coding == "raw" and picture.mime == "image/jpeg":
            return picture.start, file.object_id
        data = fake_cover(origin, path, file.content.size, picture)
        return (len(data), data) if data else None

    def playlist(self, directory: int) -> bytes:
        lines = [b"#EXTM3U"]
        for name, inode in sorted(self.tree.children(directory).items()):
            file = self.file_at(inode)
            if file is None or file.record.kind != ObjectKind.AUDIO:
                continue
            tags = self.tags(file)
            label = " - ".join(tags[field][0] for field in ("artist", "title") if field in tags)
            lines += [f"#EXTINF:61,{label}".encode(), name]
        return b"\n".join([*lines, b""]) if len(lines) > 1 else b""

    def file_at(self, inode: int) -> File | None:
        """The file that is placed at this inode; None for a folder and what was made."""
        node = self.tree.nodes[inode]
        if node.kind != NodeKind.OBJECT or self.tree.places.get((node.ref, node.view)) != inode:
            return None
        return next(file for file in self.world.files.values() if file.object_id == node.ref)


def _worse(file: File) -> list[int]:
    """Grows with what a recording lacks."""
    facts = file.content.facts()
    if file.record.kind == ObjectKind.SIDECAR or facts is None:
        return []
    is_lossless = facts.technical.codec in ("flac", "alac", "pcm")
    one = facts.technical
    best_first = (one.bits_per_sample, one.sample_rate, one.channels) if is_lossless else (one.channels, one.bitrate)
    return [int(not is_lossless), *(-number for number in best_first), -one.sample_rate]


def _discs(tags: Tags) -> tuple[int, int]:
    return disc_number(first(tags, "disc")), disc_number(first(tags, "disc_total"))


def _stored(tags: Tags) -> StoredTags:
    return {FIELDS.get(field, field): values[0] for field, values in tags.items()}


def _most(counted: Counter[Path]) -> Path | None:
    return min(counted, key=lambda path: (-counted[path], path)) if counted else None


def check_tree(world: World) -> Tree:
    """Every promise about one state of the tree."""
    tree = Tree(world)
    oracle = Oracle(world, tree)
    _check_entries(world, tree)
    live = {(file.object_id, view.number) for file in world.files.values() for view in world.views}
    assert set(tree.places) <= live, "places of files that are gone"
    assert all(len(sources) > 1 and inode in tree.nodes for inode, sources in tree.sources.items())
    for view in world.views:
        _check_places(world, tree, oracle, view)
        _check_sharing(world, tree, oracle, view)
        _check_made(world, tree, oracle, view)
    _check_counts(world, tree, oracle)
    return tree


def _check_entries(world: World, tree: Tree) -> None:
    if not tree.nodes:
        assert not tree.entries
        return
    reached = {ROOT_INODE}
    for (parent, name), (inode, kind) in tree.entries.items():
        if parent == 0:
            continue  # the root's own
        node = tree.nodes[inode]
        assert (node.parent, node.name, node.kind) == (parent, name, kind)
        assert tree.nodes[parent].kind == NodeKind.FOLDER
        assert inode not in reached, "two names for one number"
        assert 0 < len(name) <= 255 and name not in (b".", b"..") and b"/" not in name
        if name.startswith(b"."):
            assert world.options.versions and (name == VERSIONS_NAME) == (kind == NodeKind.FOLDER)
            assert kind == NodeKind.FOLDER or tree.nodes[parent].name == VERSIONS_NAME, "only what is made is hidden"
        reached.add(inode)
    assert reached == set(tree.nodes), "numbers without a name"
    roots = {view.root for view in world.views}
    for inode, node in tree.nodes.items():
        path = tree.path(inode)  # ends at the root
        if node.kind == NodeKind.FOLDER and path not in roots and path:
            assert tree.children(inode), f"{path} is empty"
            assert inode == _derived(node.view, path, b"/"), f"the number of {path} is not derived from its path"
    for inode in tree.nodes:
        names = list(tree.children(inode))
        if world.options.ignore_case:
            assert len(names) == len({fold(name) for name in names}), f"names that differ in case only: {names}"


def _derived(view: int, path: Path, version: bytes) -> int:
    return inodes.entry_inode(inodes.folder_key(view, path[:-1]), path[-1], version)


def _check_places(world: World, tree: Tree, oracle: Oracle, view: View) -> None:
    for file in world.files.values():
        wish, node = oracle.wish(view, file), oracle.node(view, file)
        assert (node is None) == (wish is None), f"{file.key}: wished {wish}, placed {node}"
        if node is None or wish is None:
            continue
        where = tree.path(node.inode)
        served = oracle.sharing(view, file)[0]
        assert (node.kind, node.view, node.ref, node.start) == (NodeKind.OBJECT, view.number, served.object_id, 0)
        assert (node.size, node.mtime_ns) == (served.content.size, served.content.mtime_ns), f"{file.key} at {where}"
        assert node.inode == _derived(view.number, where, content_version(served.record)), f"number of {where}"
        assert is_variant(node.name, wish.stem, wish.suffix), f"{file.key}: {where} instead of {wish}"
        assert _same_folder(where[:-1], wish.folders, ignore_case=world.options.ignore_case), f"{where}: {wish}"


def _check_sharing(world: World, tree: Tree, oracle: Oracle, view: View) -> None:
    """Only what is the same shares a name, all that can does, and the catalog knows who."""
    alike: defaultdict[tuple[int, str, str, tuple[str, int]], list[File]] = defaultdict(list)
    for file in world.files.values():
        wish, node, own = oracle.wish(view, file), oracle.node(view, file), oracle.likeness(file)
        if wish is None or node is None:
            continue
        group = oracle.sharing(view, file)
        listed = tree.sources.get(node.inode, {file.object_id})
        assert listed == {one.object_id for one in group}, f"sources of {tree.path(node.inode)}"
        assert world.catalog.sources_of(node.inode, node.ref)[0] == group[0].object_id
        assert set(world.catalog.sources_of(node.inode, node.ref)) == listed
        assert len({one.key[0] for one in group}) == len(group), "two files of one origin are one"
        if len(group) > 1:
            assert own is not None
            assert all(oracle.likeness(one) == own for one in group), f"{file.key} is unlike what it shares a name with"
            assert all(oracle.wish(view, one) == wish for one in group if not world.options.ignore_case)
        if own is not None:
            alike[node.parent, wish.stem, wish.suffix, own].append(file)
    for files in alike.values():
        names = {tree.places[file.object_id, view.number] for file in files}
        copies = Counter(file.key[0] for file in files)
        assert len(names) == max(copies.values()), f"more names than there are copies: {[file.key for file in files]}"


def _same_folder(found: Path, wanted: Path, *, ignore_case: bool) -> bool:
    def same(one: bytes, other: bytes) -> bool:
        return is_variant(one, other.decode(), "") or (ignore_case and fold(one) == fold(other))

    return len(found) == len(wanted) and all(map(same, found, wanted))


def _check_made(world: World, tree: Tree, oracle: Oracle, view: View) -> None:
    held = {tree.places.get((file.object_id, view.number)) for file in world.files.values()}
    made = {
        tree.path(inode)
        for inode, node in tree.nodes.items()
        if node.view == view.number and node.kind != NodeKind.FOLDER and inode not in held
    }
    wanted = _check_versions(world, tree, oracle, view)
    for inode, folder in tree.nodes.items():
        if view.folders or folder.kind != NodeKind.FOLDER or (folder.view != view.number and inode != ROOT_INODE):
            continue
        path = tree.path(inode)
        cover = oracle.cover(inode) if world.options.covers else None
        if cover is not None and not _is_real(tree, oracle, inode, artwork.COVER_NAME, world.options.ignore_case):
            wanted.add((*path, artwork.COVER_NAME))
            node = tree.nodes[tree.entries[inode, artwork.COVER_NAME][0]]
            if isinstance(cover[1], bytes):
                assert (node.kind, node.size, tree.blobs[node.ref]) == (NodeKind.BLOB, *cover)
            else:
                assert (node.kind, node.start, node.ref) == (NodeKind.OBJECT, *cover)
        playlist = oracle.playlist(inode) if world.options.playlists and path else b""
        if playlist:
            name = fit(path[-1].decode(), ".m3u8")
            if not _is_real(tree, oracle, inode, name, world.options.ignore_case):
                wanted.add((*path, name))
                node = tree.nodes[tree.entries[inode, name][0]]
                assert (node.kind, node.size, tree.blobs[node.ref]) == (NodeKind.BLOB, len(playlist), playlist)
    assert made == wanted


def _check_versions(world: World, tree: Tree, oracle: Oracle, view: View) -> set[Path]:
    """What lies in ``.versions`` folders; returns the paths of all that belongs there."""
    wanted: set[Path] = set()
    if not world.options.versions:
        return wanted
    by_path = tree.by_path()
    for path, file in oracle.versions(view).items():
        node = by_path[path]
        assert (node.kind, node.view, node.ref, node.start) == (NodeKind.OBJECT, view.number, file.object_id, 0)
        assert (node.size, node.mtime_ns) == (file.content.size, file.content.mtime_ns)
        assert node.inode == _derived(view.number, path, content_version(file.record))
        assert world.catalog.sources_of(node.inode, node.ref) == [node.ref], "another source must not step in"
        wanted.add(path)
        for name in MARKER_NAMES:
            marker = by_path[*path[:-1], name]
            assert (marker.kind, tree.blobs[marker.ref]) == (NodeKind.BLOB, MARKER_DATA)
            wanted.add((*path[:-1], name))
    return wanted


def _is_real(tree: Tree, oracle: Oracle, directory: int, name: bytes, ignore_case: bool) -> bool:
    """True if a file or folder of the origins stands where something would be made."""
    for other, inode in tree.children(directory).items():
        same = other == name or (ignore_case and fold(other) == fold(name))
        if same and (tree.nodes[inode].kind == NodeKind.FOLDER or oracle.file_at(inode) is not None):
            return True
    return False


def _check_counts(world: World, tree: Tree, oracle: Oracle) -> None:
    anchors: Counter[tuple[int, int, int]] = Counter()
    art: dict[tuple[int, int, bytes], int] = {}
    albums: dict[tuple[int, int], tuple[int, int]] = {}
    for file in world.files.values():
        if oracle.album(file):
            albums[oracle.album(file), file.object_id] = _discs(oracle.tags(file))
        for view in world.views:
            node = oracle.node(view, file)
            if node is None:
                continue
            if file.record.kind == ObjectKind.SIDECAR:
                rank = artwork.folder_image_rank(node.name)
            else:
                anchors[file.record.folder, view.number, node.parent] += 1
                rank = artwork.picture_rank(file.content.stored())
            if rank is not None and node.ref == file.object_id:
                art[node.parent, rank, node.name] = file.object_id
    assert tree.anchors == anchors
    assert tree.albums == albums
    assert tree.art == art
    referred = {node.ref for node in tree.nodes.values() if node.kind == NodeKind.BLOB}
    assert referred == {blob for blob, data in tree.blobs.items() if data}, (
        "blobs without a file, or files without a blob"
    )
    totals = world.catalog.totals()
    files = world.files.values()
    assert (totals.files, totals.size_bytes) == (len(files), world.size_bytes)
    assert totals.tracks == sum(file.record.kind != ObjectKind.SIDECAR for file in files)


class Noted(msgspec.Struct):
    """What the change log tells the mount."""

    entries: set[tuple[int, bytes]]
    inodes: set[int]
    contents: set[int]
    swapped: bool


def read_log(world: World, after: int) -> Noted:
    """Everything noted since the sequence number ``after``."""
    noted = Noted(set(), set(), set(), swapped=False)
    for _, changes in world.catalog.changes_after(after):
        for op, parent, name, inode in changes:
            if op == ChangeOp.ENTRY:
                noted.entries.add((parent, name))
            elif op == ChangeOp.INODE:
                noted.inodes.add(inode)
            elif op == ChangeOp.CONTENT:
                noted.contents.add(inode)
            else:
                noted.swapped = True
    return noted


def check_step(before: Tree, after: Tree, noted: Noted) -> None:
    """Every promise about the way from one state to the next: what the kernel is told, and folder times."""
    for (parent, name), (inode, kind) in before.entries.items():
        if parent and after.entries.get((parent, name), (0, 0))[0] != inode:
            assert (parent, name) in noted.entries, f"the kernel is not told that {name!r} changed"
            if kind != NodeKind.FOLDER and inode not in after.nodes:
                assert inode in noted.contents, f"the kernel keeps the pages of {name!r}"
    for parent, name in after.entries:
        if parent and (parent, name) not in before.entries and (parent in before.nodes or parent == ROOT_INODE):
            assert parent in noted.inodes, f"the folder of the new {name!r} keeps its old listing"
    for inode, node in after.nodes.items():
        old = before.nodes.get(inode)
        if old is None:
            continue
        if (old.size, old.mtime_ns) != (node.size, node.mtime_ns):
            assert inode in noted.inodes | noted.contents, f"the kernel keeps old attributes of {node.name!r}"
        if node.kind == NodeKind.FOLDER:
            assert node.mtime_ns >= old.mtime_ns, f"the time of {node.name!r} went back"
            if before.children(inode) != after.children(inode):
                assert node.mtime_ns > old.mtime_ns, f"the time of {node.name!r} hides a change"


class Held(msgspec.Struct, frozen=True):
    """What a file wished in a view, and where it was, and what those wished and were with which it shared the name."""

    file: File
    view: View
    wish: Wish | None
    where: Path
    shared: dict[int, tuple[Wish | None, tuple[str, int] | None]]


def check_holders(before: list[Held], world: World, tree: Tree) -> None:
    """A file that wishes what it wished keeps its name, whatever else happened.

    But one that shared its name leaves if it and the others no longer agree, and one with a number loses it by sharing.
    """
    oracle = Oracle(world, tree)
    live = {file.object_id: file for file in world.files.values()}
    for held in before:
        file = live.get(held.file.object_id)
        if file is None or held.wish is None or oracle.wish(held.view, file) != held.wish:
            continue
        node = oracle.node(held.view, file)
        assert node is not None
        if tree.path(node.inode) == held.where:
            continue
        now = {
            one: (oracle.wish(held.view, live[one]), oracle.likeness(live[one])) for one in held.shared if one in live
        }
        disagree = len(now) > 1 and (len(set(now.values())) > 1 or None in next(iter(now.values())))
        moved = file.key[0] != held.file.key[0] and len(held.shared) > 1  # to where another source of the name is
        number = variant_number(node.name, held.wish.stem, held.wish.suffix)
        lower = number < variant_number(held.where[-1], held.wish.stem, held.wish.suffix)
        merged = lower and len(oracle.sharing(held.view, file)) > 1
        assert disagree or moved or merged, f"{held.where} is given away while {file.key} lives"


def holders(world: World, tree: Tree) -> list[Held]:
    """What every file wishes now, and where it is."""
    oracle = Oracle(world, tree)
    found = []
    for view in world.views:
        for file in world.files.values():
            node = oracle.node(view, file)
            if node is not None:
                sharing = {
                    one.object_id: (oracle.wish(view, one), oracle.likeness(one)) for one in oracle.sharing(view, file)
                }
                found.append(Held(file, view, oracle.wish(view, file), tree.path(node.inode), sharing))
    return found


def keys_in_listing_order(world: World) -> list[Key]:
    """Every file's key, as origins list them: by folder, siblings in byte order."""
    return sorted(world.files, key=lambda key: (PRIORITY_ORDER[key[0]], key[1].replace(b"/", b"\0"), key[2]))


PRIORITY_ORDER = {2: 0, 1: 1, 3: 2}
