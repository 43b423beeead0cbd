"""An origin on an NFS server, reached with NFS version 3 over TCP by a client of its own: nothing is mounted, no root needed.

The client is ``nfs_xdr`` (notation), ``nfs_rpc`` (calls on a connection), ``nfs_protocol`` (the procedures), ``nfs_server``
(connections, mounting, healing), ``nfs_tree`` (names to handles), ``nfs_reading``, ``nfs_listing``; only this module is for
others. It stands on the standard library, as the packaged client nfs-rs 0.8 cannot do what the contract asks for: it turns
bytes of a name that are not UTF-8 into U+FFFD, after which no call can name the file; it opens by path only, a round trip for
every folder on the way; and it shows no attributes with what it read, so that a change meanwhile goes unnoticed.

- **Version** is size and mtime in microseconds, as for a folder of this machine: mounted or not, the same everywhere.
- **Reads**: a file whose handle is known costs one round trip. Every READ brings the attributes the file had after it; a
  range is given out only if each of them is of the version asked for. A handle that is stale or shows another version is
  looked up again before anything is said about the file. The bytes of a version are given out while its handle works, even
  if its name has gone over to another file meanwhile; ``stat``, listings and reads of any version go by the name.
- **Links** are followed to regular files inside the origin; a target that begins with the export's own path is inside.
- **Who is asking** is the process's own uid, gid and groups (AUTH_SYS). Ports above 1023 are used, so the export of a Linux
  server needs the option ``insecure``.
- **Time**: each answer of the server has ``timeout_s``, kept by the sockets. Resolving a host's name has its own patience.
- **Threads**: none but those of a running listing, which end with it.
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator

from musicfs.config.settings import OriginSettings
from musicfs.errors import ConfigError, UnreachableError
from musicfs.model import Entry
from musicfs.origins import nfs_protocol as nfs
from musicfs.origins.anchor import accept_or_mount
from musicfs.origins.contract import Caps, Folder, RangeCost
from musicfs.origins.failures import changed, changed_meanwhile, gone, gone_folder, no_bytes, no_root
from musicfs.origins.nfs_anchor import NfsAnchor
from musicfs.origins.nfs_listing import NfsListing, Place, make_entry, make_version
from musicfs.origins.nfs_reading import Outdated, read_range
from musicfs.origins.nfs_rpc import StatusError
from musicfs.origins.nfs_server import Address, NfsServer
from musicfs.origins.nfs_tree import Found, NfsTree, Unserved
from musicfs.origins.paths import encode_path, is_entered, is_path, is_served, printable
from musicfs.origins.selection import Selection

CONNECTIONS = 32
CAPS = Caps(parallel=16, range_cost=RangeCost.ROUND_TRIP, stable_version=False, slow_stat=True, case_sensitive=True)
_LOOKS = 3  # at a file that is replaced again and again


class NfsOrigin:
    """A folder of an NFS export as an :class:`~musicfs.origins.contract.Origin`. Constructing it does no I/O."""

    def __init__(
        self,
        origin_id: str,
        address: Address,
        path: str = "",
        *,
        timeout_s: float = 10.0,
        selection: Selection | None = None,
        anchor: bytes = b"",
        connections: int = CONNECTIONS,
    ) -> None:
        """``path`` is a folder in the export; ``anchor`` what :meth:`anchor` returned earlier. Raises ConfigError."""
        base = path.strip("/")
        if base and not is_path(base):
            raise ConfigError(f"origin {origin_id!r}: the path {path!r} is no path in an export")
        self._id = origin_id
        self._export = address.export
        self._server = NfsServer(origin_id, address, timeout_s=timeout_s, connections=connections)
        self._tree = NfsTree(self._server, address.export)
        self._selection = selection or Selection()
        self._place = Place(origin_id, self._server, self._tree, encode_path(base), self._selection)
        self._anchor = NfsAnchor(anchor)

    @property
    def id(self) -> str:
        return self._id

    @property
    def caps(self) -> Caps:
        return CAPS

    def check(self) -> None:
        """Prove that the root is there, is the known one, and can be listed."""
        root = self._prove()
        try:
            self._server.call(nfs.readdir(root.handle, nfs.FIRST_PAGE, self._server.mount().limits.folder))
        except StatusError as error:
            raise self._server.refusal(error, "") from error

    def list(self, prefix: str = "") -> Iterator[Folder]:
        root = self._prove()
        found = root
        outer_fsid = root.attributes.fsid
        if prefix:
            if not (is_path(prefix) and is_entered(self._selection, prefix)):
                raise gone_folder(self._id, prefix)
            parent = prefix.rpartition("/")[0]
            found = self._folder(prefix)
            if parent:
                outer_fsid = self._folder(parent).attributes.fsid
        yield from NfsListing(self._place, self._anchor).run(prefix, outer_fsid, found)

    def stat(self, path: str) -> Entry | None:
        if not (is_path(path) and is_served(self._selection, path)):
            return None
        found = self._find(path)
        if not isinstance(found, Found):
            return None
        self._tree.files.put(self._place.inside(path), found.handle)
        return make_entry(path, found.attributes)

    def read(self, path: str, start: int, stop: int, version: str) -> bytes:
        if not is_path(path):
            raise gone(self._id, path)
        inside = self._place.inside(path)
        known = self._tree.files.get(inside) if version and 0 <= start <= stop else None
        if known is not None:
            with contextlib.suppress(Outdated):
                return self._read(path, known, start, stop, version)
            self._tree.files.drop(inside)
        for _ in range(_LOOKS):
            found = self._find(path)
            if not isinstance(found, Found):
                raise gone(self._id, path)
            if version and make_version(found.attributes) != version:
                raise changed(self._id, path)
            if not 0 <= start <= stop or stop > found.attributes.size:
                raise no_bytes(self._id, path, start, stop, found.attributes.size)
            self._tree.files.put(inside, found.handle)
            with contextlib.suppress(Outdated):
                return self._read(path, found.handle, start, stop, make_version(found.attributes))
        raise changed_meanwhile(self._id, path)

    def anchor(self) -> bytes:
        return self._anchor.dump()

    def close(self) -> None:
        self._server.close()

    def _read(self, path: str, handle: bytes, start: int, stop: int, version: str) -> bytes:
        try:
            return read_range(self._server, handle, start, stop, version)
        except StatusError as error:
            raise self._server.refusal(error, path) from error

    def _find(self, path: str) -> Found | Unserved | None:
        """The regular file that is served as ``path`` now; None when there is nothing, which is proven."""
        inside = self._place.inside(path)
        try:
            found = self._tree.walk(inside)
            if found.attributes.kind == stat.S_IFREG:
                return found
            if found.attributes.kind != stat.S_IFLNK:
                return Unserved("not a file")
            resolved = self._tree.resolve(inside, found.handle, self._place.base)
        except StatusError as error:
            self._explain(error, path)
            return None
        if isinstance(resolved, Unserved) and resolved.hidden:
            raise self._server.refusal(StatusError(nfs.ACCES), path)
        if isinstance(resolved, Unserved):
            self._prove()
        return resolved

    def _folder(self, path: str) -> Found:
        try:
            found = self._tree.walk(self._place.inside(path))
        except StatusError as error:
            self._explain(error, path)
            raise gone_folder(self._id, path) from error
        if found.attributes.kind != stat.S_IFDIR:
            raise gone_folder(self._id, path)
        return found

    def _explain(self, error: StatusError, path: str) -> None:
        """Return if ``error`` means that nothing is at ``path``, and the origin itself is there; else raise."""
        if error.status not in nfs.ABSENT:
            raise self._server.refusal(error, path) from error
        self._prove()

    def _prove(self) -> Found:
        """The root folder, which is there and the known one."""
        try:
            root = self._tree.walk(self._place.base)
        except StatusError as error:
            if error.status not in nfs.ABSENT:
                raise self._server.refusal(error, "") from error
            raise no_root(self._id, f"folder {self._place_shown}", self._remedy) from error
        if root.attributes.kind != stat.S_IFDIR:
            raise self._lost("is not a folder")
        if not self._anchor.holds(root.attributes):
            raise self._lost("is not on the filesystem it was on")
        return root

    def _lost(self, what: str) -> UnreachableError:
        return UnreachableError(f"origin {self._id!r}: {self._place_shown} {what}", remedy=self._remedy)

    @property
    def _remedy(self) -> str:
        return accept_or_mount(self._id, "on the server")

    @property
    def _place_shown(self) -> str:
        base = printable(self._place.base.decode("utf-8", "surrogateescape")) or "/"
        return f"{base} in the export {self._export!r}"


def open_nfs_origin(settings: OriginSettings, *, anchor: bytes, debounce_s: float) -> NfsOrigin:
    """An :class:`NfsOrigin` as the configuration describes it. NFS tells of no changes: nothing is watched."""
    if not settings.export:
        raise ConfigError(f"origin {settings.id!r}: export is missing", remedy='write export = "/srv/music"')
    return NfsOrigin(
        settings.id,
        Address(settings.host, settings.export, settings.port, settings.mount_port),
        settings.path,
        timeout_s=settings.timeout_s,
        selection=Selection(settings.include, settings.exclude),
        anchor=anchor,
        connections=settings.parallel or CONNECTIONS,
    )
