"""Names of an export to handles, and links to the files they lead to.

A walk asks for every name on the way, as each may have come to stand for something else; but where handles of folders are
known from before, it asks for all of them in one round trip, and believes each answer only if the one before gave the very
folder that was asked. Paths are bytes relative to the export, empty for its root. Safe from many threads.
"""

from __future__ import annotations

import stat
import threading
from collections import OrderedDict, deque
from collections.abc import Sequence

import msgspec

from musicfs.origins import nfs_protocol as nfs
from musicfs.origins import unserved
from musicfs.origins.nfs_protocol import Attributes, Node
from musicfs.origins.nfs_rpc import StatusError
from musicfs.origins.nfs_server import NfsServer
from musicfs.origins.paths import encode_path

HANDLES = 8192  # some two megabytes
_MAX_LINKS = 40  # as the kernel's (path_resolution(7))
_ATTEMPTS = 3


class Found(msgspec.Struct, frozen=True, gc=False):
    """What a name stands for now."""

    handle: bytes
    attributes: Attributes


class Unserved(msgspec.Struct, frozen=True):
    """Why a name is not served; ``hidden``: the server would not even say what it is."""

    reason: str
    hidden: bool = False


class Handles:
    """The handles used last, by path."""

    def __init__(self, limit: int = HANDLES) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, bytes] = OrderedDict()

    def get(self, path: bytes) -> bytes | None:
        with self._lock:
            handle = self._known.get(path)
            if handle is not None:
                self._known.move_to_end(path)
            return handle

    def put(self, path: bytes, handle: bytes) -> None:
        with self._lock:
            self._known[path] = handle
            self._known.move_to_end(path)
            if len(self._known) > self._limit:
                self._known.popitem(last=False)

    def drop(self, path: bytes) -> None:
        with self._lock:
            self._known.pop(path, None)

    def clear(self) -> None:
        with self._lock:
            self._known.clear()


class NfsTree:
    """The names below one export. Raises what the server says as StatusError, and else as :class:`NfsServer` does."""

    def __init__(self, server: NfsServer, export: str) -> None:
        self._server = server
        self._export = encode_path(export).rstrip(b"/")
        self.folders = Handles()
        self.files = Handles()  # by the path they are served under, links too

    def walk(self, path: bytes) -> Found:
        """What ``path`` is now; links are not followed, neither at its end nor on the way (they are no folders)."""
        names = path.split(b"/") if path else []
        for attempt in range(_ATTEMPTS):
            mount = self._server.mount()
            try:
                return self._with_attributes(self._descend(mount.root, names))
            except StatusError as error:
                if error.status not in nfs.STALE_HANDLE or attempt == _ATTEMPTS - 1:
                    raise
                # A folder that was removed meanwhile, a known handle that means nothing any more, or the root's itself.
                self.folders.clear()
                if attempt or not names:
                    self._server.forget(mount)
        raise AssertionError("unreachable")

    def resolve(self, path: bytes, link: bytes, inside: bytes) -> Found | Unserved:
        """The regular file that the symbolic link at ``path`` with the handle ``link`` leads to, in the folder ``inside``.

        An absolute target is a path of the server: it is followed if it lies in the export.
        """
        at = path.split(b"/")[:-1]
        pending = self._target(at, self._server.call(nfs.readlink(link)))
        links = 1
        found: Found | None = None
        while pending:
            name = pending.popleft()
            if name == b"..":
                if not at:
                    return Unserved(unserved.LEAVES)
                at.pop()
                found = None
                continue
            try:
                found = self.walk(b"/".join((*at, name)))
                if found.attributes.kind == stat.S_IFLNK:
                    links += 1
                    if links > _MAX_LINKS:
                        return Unserved(unserved.CIRCULAR)
                    further = self._target(at, self._server.call(nfs.readlink(found.handle)))
                    pending = further + pending
                    continue
            except StatusError as error:
                if error.status in nfs.ABSENT:
                    return Unserved(unserved.BROKEN)
                if error.status in nfs.DENIED:
                    return Unserved(nfs.STATUS_TEXTS[error.status], hidden=True)
                raise
            at.append(name)
        return _judge(at, found, inside)

    def _target(self, at: list[bytes], target: bytes) -> deque[bytes]:
        """The components of a link's target, to be followed from ``at``, which an absolute one empties."""
        if target.startswith(b"/"):
            if (target + b"/").startswith(self._export + b"/"):
                target = target[len(self._export) :]
                at.clear()
            else:
                return deque([b".."] * (len(at) + 1))  # leaves the export
        return deque(name for name in target.split(b"/") if name not in {b"", b"."})

    def _descend(self, root: bytes, names: Sequence[bytes]) -> Node:
        node = Node(root)
        done = 0
        while done < len(names):
            asked = [node.handle]
            for stop in range(done + 1, len(names)):
                known = self.folders.get(b"/".join(names[:stop]))
                if known is None:
                    break
                asked.append(known)
            calls = [nfs.lookup(folder, names[done + step]) for step, folder in enumerate(asked)]
            outcomes: list[Node | StatusError] = self._server.call_all(calls)
            for folder, outcome in zip(asked, outcomes, strict=True):
                if folder != node.handle:
                    break  # the folder that was asked is not there any more: go on from the one that is
                if isinstance(outcome, StatusError):
                    raise outcome
                node = outcome
                done += 1
                if done < len(names):
                    self._remember_folder(names[:done], node)
        return node

    def _remember_folder(self, names: Sequence[bytes], node: Node) -> None:
        if node.attributes is not None and node.attributes.kind != stat.S_IFDIR:
            raise StatusError(nfs.NOTDIR)
        self.folders.put(b"/".join(names), node.handle)

    def _with_attributes(self, node: Node) -> Found:
        attributes = node.attributes or self._server.call(nfs.getattr_(node.handle))
        return Found(node.handle, attributes)


def _judge(at: Sequence[bytes], found: Found | None, inside: bytes) -> Found | Unserved:
    """Whether what a link leads to is served."""
    if inside and not (b"/".join(at) + b"/").startswith(inside + b"/"):
        return Unserved(unserved.LEAVES)
    if found is None or found.attributes.kind == stat.S_IFDIR:
        return Unserved(unserved.TO_FOLDER)
    if found.attributes.kind != stat.S_IFREG:
        return Unserved(unserved.TO_NO_FILE)
    return found
