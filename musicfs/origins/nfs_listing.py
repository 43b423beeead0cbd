"""One walk over an NFS export's folders: READDIRPLUS brings names, attributes and handles, some thousands in a round trip.

Folders are given out depth first; the next few of that order are fetched ahead by threads that end with the walk. Folders are
reached by the handles that their parents' listing gave, so nothing that takes a folder's place leads elsewhere.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator

import msgspec

from musicfs.errors import UnreachableError
from musicfs.model import Entry
from musicfs.origins import nfs_protocol as nfs
from musicfs.origins.anchor import accept_or_mount
from musicfs.origins.contract import Folder
from musicfs.origins.failures import gone_folder
from musicfs.origins.nfs_anchor import NfsAnchor
from musicfs.origins.nfs_protocol import FIRST_PAGE, Attributes, Node, Page
from musicfs.origins.nfs_rpc import StatusError
from musicfs.origins.nfs_server import NfsServer
from musicfs.origins.nfs_tree import Found, NfsTree, Unserved
from musicfs.origins.paths import encode_path, printable
from musicfs.origins.selection import Selection, is_junk
from musicfs.origins.unserved import kind_of_file
from musicfs.origins.walk_ahead import Listed, walk_ahead

AHEAD = 16  # folders fetched before they are asked for, and threads that do it
_ATTEMPTS = 3


class Place(msgspec.Struct, frozen=True):
    """What a listing works on. ``base`` is the origin's root, relative to the export."""

    origin_id: str
    server: NfsServer
    tree: NfsTree
    base: bytes
    selection: Selection

    def inside(self, path: str) -> bytes:
        """An origin path as one of the export."""
        below = encode_path(path)
        return self.base + b"/" + below if self.base and below else self.base or below


class _Child(msgspec.Struct, frozen=True):
    path: str
    found: Found
    outer_fsid: int


class NfsListing:
    """A single walk; not to be shared between threads."""

    def __init__(self, place: Place, anchor: NfsAnchor) -> None:
        self._place = place
        self._anchor = anchor

    def run(self, prefix: str, outer_fsid: int, found: Found) -> Iterator[Folder]:
        """Every folder at and below ``prefix``, which was ``found`` below a folder on ``outer_fsid``."""
        submounts: dict[str, int] = {}
        incomplete: list[str] = []
        first = _Child(prefix, found, outer_fsid)
        scanned = self._scan(first)
        if scanned is None:
            raise gone_folder(self._place.origin_id, prefix)
        name = f"list-{self._place.origin_id}"
        for child, folder in walk_ahead(first, scanned, self._scan, ahead=AHEAD, name=name):
            if not folder.complete:
                incomplete.append(child.path)
            if folder.device != child.outer_fsid:
                submounts[child.path] = folder.device
            yield folder
        lost = self._anchor.learn(prefix, submounts, incomplete)
        if lost is not None:
            raise UnreachableError(
                f"origin {self._place.origin_id!r}: {printable(lost)} is not on the filesystem it was on",
                remedy=accept_or_mount(self._place.origin_id, "on the server"),
            )

    def _scan(self, child: _Child) -> Listed[_Child] | None:
        """One folder; None if it is gone. Runs in any thread."""
        found = child.found
        for _ in range(_ATTEMPTS):
            try:
                names, attributes = self._names(found.handle)
            except StatusError as error:
                if error.status in nfs.DENIED and child.path:
                    text = nfs.STATUS_TEXTS[error.status]
                    folder = Folder(child.path, (), (("", text),), complete=False, device=found.attributes.fsid)
                    return Listed(folder, [])
                if error.status not in nfs.STALE_HANDLE | nfs.ABSENT | {nfs.BAD_COOKIE}:
                    raise self._place.server.refusal(error, child.path) from error
                again = self._look_again(child.path)
                if again is None:
                    break
                found = again
            else:
                # Its own words count: a parent shows the folder that another filesystem was mounted over.
                return self._sort_out(child.path, Found(found.handle, attributes or found.attributes), names)
        else:
            raise UnreachableError(
                f"origin {self._place.origin_id!r}: {printable(child.path)} changes all the time",
                remedy="list it again when nobody writes there",
            )
        return None

    def _look_again(self, path: str) -> Found | None:
        try:
            found = self._place.tree.walk(self._place.inside(path))
        except StatusError as error:
            if error.status in nfs.ABSENT:
                return None
            raise self._place.server.refusal(error, path) from error
        return found if found.attributes.kind == stat.S_IFDIR else None

    def _names(self, handle: bytes) -> tuple[dict[bytes, Node | None], Attributes | None]:
        """Everything in a folder, and itself; a name that comes twice, as it may while the folder changes, is one."""
        server = self._place.server
        names: dict[bytes, Node | None] = {}
        page: Page = FIRST_PAGE
        ask = nfs.readdirplus
        while not page.end:
            try:
                following = server.call(ask(handle, page, server.mount().limits.folder))
            except StatusError as error:
                if error.status != nfs.NOTSUPP or ask is nfs.readdir:
                    raise
                ask = nfs.readdir
                continue
            if not following.names and not following.end:
                raise StatusError(nfs.BAD_COOKIE)  # no progress
            names.update((name.name, name.node) for name in following.names)
            page = following
        return names, page.attributes

    def _sort_out(self, path: str, found: Found, names: dict[bytes, Node | None]) -> Listed[_Child]:
        place = self._place
        prefix = path + "/" if path else ""
        files: list[Entry] = []
        children: list[_Child] = []
        skipped: list[tuple[str, str]] = []
        complete = True
        for raw in sorted(names):
            name = raw.decode("utf-8", "surrogateescape")
            if name in {".", ".."} or is_junk(name):
                continue
            if not raw or b"/" in raw or b"\0" in raw:
                skipped.append((name, "a name that no file can have"))
                continue
            inner = prefix + name
            node = self._known(inner, found.handle, raw, names[raw])
            if node is None:
                continue
            if isinstance(node, Found) and node.attributes.kind == stat.S_IFDIR:
                if place.selection.enters_folder(inner):
                    place.tree.folders.put(place.inside(inner), node.handle)
                    children.append(_Child(inner, node, found.attributes.fsid))
                continue
            if not place.selection.serves_file(inner):
                continue
            if isinstance(node, Found) and node.attributes.kind == stat.S_IFLNK:
                node = self._resolve(inner, node)
            if isinstance(node, Found) and node.attributes.kind == stat.S_IFREG:
                place.tree.files.put(place.inside(inner), node.handle)
                files.append(make_entry(inner, node.attributes))
            elif isinstance(node, Found):
                skipped.append((name, kind_of_file(node.attributes.kind)))
            else:
                skipped.append((name, node.reason))
                complete = complete and not node.hidden
        folder = Folder(path, tuple(files), tuple(skipped), complete=complete, device=found.attributes.fsid)
        return Listed(folder, children)

    def _known(self, path: str, folder: bytes, name: bytes, node: Node | None) -> Found | Unserved | None:
        """The node of a name, asked for where the listing did not tell; None when it has vanished."""
        if node is not None and node.attributes is not None:
            return Found(node.handle, node.attributes)
        try:
            node = node or self._place.server.call(nfs.lookup(folder, name))
            attributes = node.attributes or self._place.server.call(nfs.getattr_(node.handle))
        except StatusError as error:
            if error.status in nfs.ABSENT | nfs.STALE_HANDLE:
                return None
            if error.status in nfs.DENIED:
                return Unserved(nfs.STATUS_TEXTS[error.status], hidden=True)
            raise self._place.server.refusal(error, path) from error
        return Found(node.handle, attributes)

    def _resolve(self, path: str, link: Found) -> Found | Unserved:
        try:
            return self._place.tree.resolve(self._place.inside(path), link.handle, self._place.base)
        except StatusError as error:
            raise self._place.server.refusal(error, path) from error


def make_version(attributes: Attributes) -> str:
    """Size and mtime in microseconds, in hexadecimal: the same as where the export is mounted (see ``local``)."""
    return f"{attributes.size:x}-{attributes.mtime_ns // 1000:x}"


def make_entry(path: str, attributes: Attributes) -> Entry:
    return Entry(
        path, attributes.size, attributes.mtime_ns, make_version(attributes), attributes.fileid, attributes.ctime_ns
    )
