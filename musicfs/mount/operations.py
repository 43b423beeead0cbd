"""FUSE requests, each a few lines: look at the tree, answer, or raise the right errno."""

from __future__ import annotations

import errno
import functools
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, ParamSpec, TypeVar, cast

import llfuse
import msgspec

from musicfs.content.readers import Reader
from musicfs.errors import MusicFSError
from musicfs.mount.counting import FIRST_BOUND_BITS, FUSE_OPERATIONS, UNCOUNTED, FuseCounts
from musicfs.store.environment import is_damage
from musicfs.store.records import Node, NodeKind
from musicfs.vfs.entries import Listing
from musicfs.vfs.former import is_lasting
from musicfs.vfs.inodes import FIRST_MADE_UP
from musicfs.vfs.listening import Hearing, Listening
from musicfs.vfs.nodes import Nodes

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

# The kernel is told about every change of the tree, so what it knows holds. What is absent, leads to another place, or no
# catalog holds, is asked for again soon.
_KNOWN_S = 86400.0
_SOON_S = 1.0
_COMPLAINT_EVERY_S = 30.0
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_TRUNC | os.O_CREAT | os.O_APPEND
_BLOCK_BYTES = 4096
_NEVER = 1 << 62
_FOLDER, _FILE, _LINK = stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK
_READDIR = FUSE_OPERATIONS.index("readdir")


class Presentation(msgspec.Struct, frozen=True):
    """Whose the files are and what everybody may do with them."""

    uid: int
    gid: int
    umask: int
    xattrs: bool = True


class OpenFile(msgspec.Struct, gc=False):
    """One open handle: what it was opened as, and its bytes. After ``unread_bytes`` more the next track is fetched.

    Bytes are counted, and not the place in the file: a media server that looks at the end of each plays none of them.
    """

    node: Node
    reader: Reader
    unread_bytes: int
    hearing: Hearing | None = None  # None: to play it is of no interest


def guarded(handler: Callable[P, R]) -> Callable[P, R]:
    """The one boundary: our errors become their errno, anything else a log line and EIO; llfuse's loop goes on.

    Here requests are counted too, but listings: those go on when their handler has returned.
    """
    name = handler.__name__
    number = UNCOUNTED if name == "readdir" else FUSE_OPERATIONS.index(name)
    clock_ns = time.perf_counter_ns

    @functools.wraps(handler)
    def guard(self: Operations, *args: Any) -> R:
        begun_ns = clock_ns()
        counts = self.counts
        try:
            return handler(self, *args)  # type: ignore[call-arg] # P is what came in: llfuse names no arguments
        except llfuse.FUSEError:
            raise
        except MusicFSError as error:
            if error.errno == errno.EIO:
                counts.errors[number] += 1
                self._complain(name, error)
            raise llfuse.FUSEError(error.errno) from error
        except Exception as error:  # an escaped exception would end the mount
            counts.errors[number] += 1
            if is_damage(error):
                self._on_damage(error)
            else:
                log.exception("%s failed", name)
            raise llfuse.FUSEError(errno.EIO) from error
        finally:
            took_ns = clock_ns() - begun_ns
            counts.slots[number][(took_ns >> FIRST_BOUND_BITS).bit_length()] += 1
            counts.total_ns[number] += took_ns

    return cast("Callable[P, R]", guard)


class Operations(llfuse.Operations):  # type: ignore[misc] # llfuse is not typed
    """The requests the kernel sends, answered from :class:`~musicfs.vfs.nodes.Nodes`."""

    def __init__(
        self,
        nodes: Nodes,
        presentation: Presentation,
        on_ready: Callable[[], None],
        on_damage: Callable[[Exception], None],
    ) -> None:
        """``on_ready`` is called once the kernel has said hello; ``on_damage`` whenever the catalog cannot be understood."""
        super().__init__()
        self._on_damage = on_damage
        self._on_following: Callable[[Node], object] | None = None
        self._listening: Listening | None = None
        self._nodes = nodes
        self._on_ready = on_ready
        self._uid = presentation.uid
        self._gid = presentation.gid
        self._xattrs = presentation.xattrs
        self._next_track_at = 0.0
        self._folder_mode = _FOLDER | (0o777 & ~presentation.umask)
        self._file_mode = _FILE | (0o666 & ~presentation.umask)
        self._files: dict[int, OpenFile] = {}
        self._listings: dict[int, Listing] = {}
        self._next_handle = 1
        self.counts = FuseCounts()
        self._quiet_until = 0.0
        self._unsaid = 0

    def follow_playing(
        self, next_track_at: float, on_following: Callable[[Node], object] | None, listening: Listening | None
    ) -> None:
        """What is done when files are played that are opened from now on. Call it where no handler runs.

        ``next_track_at`` is the share of a track after which the next one is fetched (0: never), ``on_following`` is called
        with that one and must not block, ``listening`` is told how tracks are read.
        """
        self._next_track_at, self._on_following, self._listening = next_track_at, on_following, listening

    @property
    def open_files(self) -> int:
        """Open handles."""
        return len(self._files)

    @property
    def next_handle(self) -> int:
        """The number that the next open file gets: they only grow."""
        return self._next_handle

    @property
    def oldest_file(self) -> int:
        """The number of the file that has been open for longest; that of the next one if there is none."""
        return min(tuple(self._files), default=self._next_handle)

    def _complain(self, request: str, error: MusicFSError) -> None:
        """Log one failure a while: a media server asks for all files of an origin that is away."""
        now = time.monotonic()
        if now < self._quiet_until:
            self._unsaid += 1
            return
        log.warning("%s: %s%s", request, error, f" ({self._unsaid} more failed before)" if self._unsaid else "")
        self._quiet_until, self._unsaid = now + _COMPLAINT_EVERY_S, 0

    def init(self) -> None:
        self._on_ready()

    def _attributes(self, node: Node) -> llfuse.EntryAttributes:
        entry = llfuse.EntryAttributes()
        entry.st_ino = node.inode
        entry.st_uid = self._uid
        entry.st_gid = self._gid
        is_lasting = node.inode < FIRST_MADE_UP and node.kind != NodeKind.LINK
        entry.entry_timeout = entry.attr_timeout = _KNOWN_S if is_lasting else _SOON_S
        entry.st_atime_ns = entry.st_mtime_ns = entry.st_ctime_ns = node.mtime_ns
        if node.kind == NodeKind.FOLDER:
            entry.st_mode = self._folder_mode
        elif node.kind == NodeKind.LINK:
            entry.st_mode = _LINK | 0o777  # symlink(7): what a link leads to says what is allowed
            entry.st_size = node.size
        else:
            entry.st_mode = self._file_mode
            entry.st_size = node.size
            entry.st_blocks = (node.size + 511) // 512
        return entry

    @guarded
    def lookup(self, parent_inode: int, name: bytes, ctx: object) -> llfuse.EntryAttributes:
        node = self._nodes.get(parent_inode, name)
        if node is None:
            absent = llfuse.EntryAttributes()
            absent.st_ino = 0
            absent.entry_timeout = _SOON_S
            return absent
        entry = self._attributes(node)
        if not is_lasting(node, parent_inode, name):
            entry.entry_timeout = entry.attr_timeout = _SOON_S
        return entry

    @guarded
    def getattr(self, inode: int, ctx: object) -> llfuse.EntryAttributes:
        try:
            node = self._nodes.lookup(inode)
        except MusicFSError:
            for file in self._files.values():  # fstat on a handle that outlived its name
                if file.node.inode == inode:
                    return self._attributes(file.node)
            raise
        return self._attributes(node)

    def forget(self, inode_list: object) -> None:
        pass  # inodes are derived from the catalog: nothing is held for the kernel

    @guarded
    def opendir(self, inode: int, ctx: object) -> int:
        handle = self._next_handle
        self._next_handle = handle + 1
        self._listings[handle] = self._nodes.listing(inode)
        return handle

    @guarded
    def readdir(self, handle: int, offset: int) -> Iterator[tuple[bytes, llfuse.EntryAttributes, int]]:
        return self._entries(self._listings[handle], offset)

    def _entries(self, listing: Listing, offset: int) -> Iterator[tuple[bytes, llfuse.EntryAttributes, int]]:
        begun_ns = time.perf_counter_ns()
        folder, file, link = (llfuse.EntryAttributes() for _ in range(3))
        folder.st_mode, file.st_mode, link.st_mode = _FOLDER, _FILE, _LINK
        try:
            for position in range(offset, len(listing)):
                name, inode, kind = listing[position]
                entry = folder if kind == NodeKind.FOLDER else link if kind == NodeKind.LINK else file
                entry.st_ino = inode
                yield name, entry, position + 1
        finally:  # llfuse lets go of it when its reply is full
            self.counts.note(_READDIR, time.perf_counter_ns() - begun_ns)

    @guarded
    def releasedir(self, handle: int) -> None:
        self._listings.pop(handle, None)

    @guarded
    def open(self, inode: int, flags: int, ctx: llfuse.RequestContext) -> int:
        if flags & _WRITE_FLAGS:
            raise llfuse.FUSEError(errno.EROFS)
        node = self._nodes.lookup(inode)
        reader = self._nodes.open(node)
        handle = self._next_handle
        self._next_handle = handle + 1
        may_play = node.kind == NodeKind.OBJECT and inode < FIRST_MADE_UP
        follows = may_play and self._next_track_at > 0
        hearing = self._listening.begin(node, ctx.pid) if may_play and self._listening is not None else None
        self._files[handle] = OpenFile(
            node, reader, int(node.size * self._next_track_at) if follows else _NEVER, hearing
        )
        return handle

    @guarded
    def read(self, handle: int, offset: int, size: int) -> bytes | memoryview:
        file = self._files[handle]
        reader = file.reader
        stop = offset + size
        if stop > reader.size:
            stop = reader.size
            if offset >= stop:
                return b""
        self.counts.read_bytes += stop - offset
        file.unread_bytes -= stop - offset
        if file.unread_bytes < 0:
            file.unread_bytes = _NEVER
            following = self._nodes.prefetch_after(file.node)
            if following is not None and self._on_following is not None:
                self._on_following(following)
        hearing = file.hearing
        if hearing is None:
            return reader.read(offset, stop)
        asked_at = time.monotonic()
        data = reader.read(offset, stop)
        hearing.note(offset, stop, time.monotonic() - asked_at)
        return data

    @guarded
    def release(self, handle: int) -> None:
        file = self._files.pop(handle, None)
        if file is not None:
            file.reader.close()
            if file.hearing is not None and self._listening is not None:
                self._listening.end(file.hearing)

    def flush(self, handle: int) -> None:
        pass

    def fsync(self, handle: int, datasync: bool) -> None:
        pass

    def fsyncdir(self, handle: int, datasync: bool) -> None:
        pass

    @guarded
    def statfs(self, ctx: object) -> llfuse.StatvfsData:
        files, size_bytes = self._nodes.totals()
        data = llfuse.StatvfsData()
        data.f_bsize = data.f_frsize = _BLOCK_BYTES
        data.f_blocks = max(-(-size_bytes // _BLOCK_BYTES), 1)
        data.f_bfree = data.f_bavail = 0
        data.f_files = max(files, 1)
        data.f_ffree = data.f_favail = 0
        data.f_namemax = 255
        return data

    @guarded
    def getxattr(self, inode: int, name: bytes, ctx: object) -> bytes:
        if not self._xattrs:  # the kernel remembers, and asks no more for any file
            raise llfuse.FUSEError(errno.ENOSYS)
        if not name.startswith(b"user.musicfs."):  # most callers ask for what no file here has
            raise llfuse.FUSEError(llfuse.ENOATTR)
        value = self._nodes.attributes(self._nodes.lookup(inode)).get(name)
        if value is None:
            raise llfuse.FUSEError(llfuse.ENOATTR)
        return value

    @guarded
    def listxattr(self, inode: int, ctx: object) -> Sequence[bytes]:
        if not self._xattrs:
            raise llfuse.FUSEError(errno.ENOSYS)
        return tuple(self._nodes.attributes(self._nodes.lookup(inode)))

    @guarded
    def readlink(self, inode: int, ctx: object) -> bytes:
        return self._nodes.target(inode)

    def _refuse(self, *_args: Any) -> NoReturn:
        raise llfuse.FUSEError(errno.EROFS)

    setattr = mknod = mkdir = unlink = rmdir = symlink = rename = link = setxattr = removexattr = create = write = (
        _refuse
    )
    # One answer for all of them: nothing can be changed through the mount.

    def close_files(self) -> None:
        """Close what is still open when the mount has ended."""
        for file in self._files.values():
            file.reader.close()
        self._files.clear()


def released() -> Any:
    """What a reader enters around a wait: llfuse's lock, let go."""
    return llfuse.lock_released
