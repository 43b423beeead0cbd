"""One walk over a local origin's folders. Its loop decides how fast a rescan is: a file costs two system calls and one value.

Folders are opened by descriptor without following links, so nothing that takes a folder's place leads out of the origin.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from operator import attrgetter

import msgspec

from musicfs.model import Entry
from musicfs.origins import unserved
from musicfs.origins.anchor import Anchor
from musicfs.origins.contract import Folder
from musicfs.origins.failures import gone_folder
from musicfs.origins.oserrors import is_absent, is_denied, names_nothing, origin_error
from musicfs.origins.paths import encode_path
from musicfs.origins.selection import JUNK_NAMES, JUNK_PREFIXES, Selection

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NAMES_ARE_UTF8 = sys.getfilesystemencoding() == "utf-8"
_by_name = attrgetter("name")


class Unserved(msgspec.Struct, frozen=True):
    """Why a name is not served; ``unknown`` is set when the filesystem would not even say what it is."""

    reason: str
    unknown: OSError | None = None


class LocalListing:
    """A single walk; not to be shared between threads."""

    def __init__(self, origin_id: str, root: bytes, selection: Selection, anchor: Anchor) -> None:
        self._origin_id = origin_id
        self._root = root
        self._real_root = os.path.realpath(root)
        self._selection = selection
        self._anchor = anchor
        self._mount_points: dict[str, int] = {}
        self._incomplete: list[str] = []

    def run(self, prefix: str) -> Iterator[Folder]:
        """Every folder at and below ``prefix``; at the end what is mounted there becomes part of the anchor."""
        if prefix and os.path.realpath(self._full(prefix)) != os.path.join(self._real_root, encode_path(prefix)):
            raise gone_folder(self._origin_id, prefix)  # a folder on the way is a link now
        outer = self._outer_device(prefix)
        pending: list[tuple[str, int]] = [(prefix, outer)]
        while pending:
            path, parent_device = pending.pop()
            folder, children = self._scan(path, parent_device, required=path == prefix)
            if folder is not None:
                if not folder.complete:
                    self._incomplete.append(path)
                yield folder
                pending.extend((child, folder.device) for child in reversed(children))
        self._anchor.prove(prefix, below=True)  # a disk that went away meanwhile left empty folders behind
        self._anchor.learn(prefix, self._mount_points, self._incomplete)

    def _outer_device(self, prefix: str) -> int:
        """The device of the folder around ``prefix``; of the root itself for the root."""
        try:
            return os.stat(self._full(prefix.rpartition("/")[0])).st_dev
        except OSError as error:
            if names_nothing(error):
                raise gone_folder(self._origin_id, prefix) from error
            raise origin_error(error, self._origin_id, prefix) from error

    def _scan(self, path: str, parent_device: int, *, required: bool) -> tuple[Folder | None, list[str]]:
        """One folder and the paths of its sub-folders in order; None if it is gone. ``required`` makes that an error."""
        try:
            descriptor = os.open(self._full(path), _FOLDER_FLAGS if path else _FOLDER_FLAGS & ~os.O_NOFOLLOW)
            try:
                status = os.fstat(descriptor)
                if status.st_dev != parent_device:
                    self._mount_points[path] = status.st_dev
                with os.scandir(descriptor) as entries:
                    return self._sort_out(path, list(entries), status.st_dev)
            finally:
                os.close(descriptor)
        except OSError as error:
            return self._explain(error, path, parent_device, required=required), []

    def _explain(self, error: OSError, path: str, device: int, *, required: bool) -> Folder | None:
        """What a folder that cannot be read means for the listing."""
        if is_absent(error) or error.errno == errno.ELOOP or (required and path and error.errno == errno.ENAMETOOLONG):
            # ENOTDIR or ELOOP: a file or a link took its place.
            self._anchor.prove(path)
            if required:
                raise gone_folder(self._origin_id, path) from error
            return None
        if path and (is_denied(error) or error.errno == errno.ENAMETOOLONG):
            return Folder(path, (), (("", os.strerror(error.errno or 0)),), complete=False, device=device)
        raise origin_error(error, self._origin_id, path) from error

    def _sort_out(self, path: str, found: list[os.DirEntry[str]], device: int) -> tuple[Folder, list[str]]:
        selection = None if self._selection.everything else self._selection
        prefix = path + "/" if path else ""
        files: list[Entry] = []
        children: list[str] = []
        others: list[os.DirEntry[str]] = []
        for entry in in_byte_order(found):
            name = entry.name
            if name in JUNK_NAMES or name.startswith(JUNK_PREFIXES):
                continue
            inner = prefix + (name if _NAMES_ARE_UTF8 else os.fsencode(name).decode("utf-8", "surrogateescape"))
            if entry.is_file(follow_symlinks=False):
                if selection is not None and not selection.serves_file(inner):
                    continue
                try:
                    files.append(make_entry(inner, entry.stat(follow_symlinks=False)))
                except OSError:
                    others.append(entry)
            elif entry.is_dir(follow_symlinks=False):
                if selection is None or selection.enters_folder(inner):
                    children.append(inner)
            elif selection is None or selection.serves_file(inner):
                others.append(entry)
        if not others:
            return Folder(path, tuple(files), device=device), children
        return self._with_others(path, files, others, device), children

    def _with_others(self, path: str, files: list[Entry], others: list[os.DirEntry[str]], device: int) -> Folder:
        """The folder when not everything in it is a file or a folder: links are resolved, the rest is told apart."""
        skipped: list[tuple[str, str]] = []
        complete = True
        for entry in others:
            name = os.fsencode(entry.name).decode("utf-8", "surrogateescape")
            inner = f"{path}/{name}" if path else name
            result = self._other(inner)
            if isinstance(result, os.stat_result):
                files.append(make_entry(inner, result))
            elif result is not None:
                skipped.append((name, result.reason))
                complete = complete and result.unknown is None
        files.sort(key=lambda file: encode_path(file.path))
        return Folder(path, tuple(files), tuple(skipped), complete=complete, device=device)

    def _other(self, path: str) -> os.stat_result | Unserved | None:
        """The status of a file to serve, why it is not, or None when it has vanished."""
        full = self._full(path)
        try:
            status = os.lstat(full)
        except OSError as error:
            if is_denied(error):
                return Unserved(os.strerror(error.errno or 0), error)
            if not is_absent(error):
                raise origin_error(error, self._origin_id, path) from error
            self._anchor.prove(path)
            return None
        if stat.S_ISREG(status.st_mode):
            return status
        if not stat.S_ISLNK(status.st_mode):
            return Unserved(unserved.kind_of_file(status.st_mode))
        target = resolve_link(full, self._real_root)
        if isinstance(target, Unserved) and target.unknown is not None and not is_denied(target.unknown):
            raise origin_error(target.unknown, self._origin_id, path) from target.unknown
        return target

    def _full(self, path: str) -> bytes:
        return self._root + b"/" + encode_path(path) if path else self._root


def in_byte_order(entries: list[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
    """``entries`` sorted by the bytes of their names.

    The order of code points is the order of UTF-8 bytes, except for the surrogates that stand for stray bytes: only when
    there are any (the join does not encode) is each name encoded.
    """
    try:
        "".join(map(_by_name, entries)).encode()
    except UnicodeEncodeError:
        entries.sort(key=lambda entry: os.fsencode(entry.name))
    else:
        entries.sort(key=_by_name)
    return entries


def make_version(status: os.stat_result) -> str:
    """Size and mtime in microseconds, in hexadecimal."""
    return f"{status.st_size:x}-{status.st_mtime_ns // 1000:x}"


def make_entry(path: str, status: os.stat_result) -> Entry:
    """The entry for a regular file; positional, for this is the listing's innermost line."""
    size, mtime_ns = status.st_size, status.st_mtime_ns
    return Entry(path, size, mtime_ns, f"{size:x}-{mtime_ns // 1000:x}", status.st_ino, status.st_ctime_ns)


def resolve_link(link: bytes, real_root: bytes) -> os.stat_result | Unserved:
    """The status of the regular file that the symbolic link leads to inside ``real_root``, or why it is not served."""
    try:
        target = os.path.realpath(link, strict=True)
        if not target.startswith(real_root.rstrip(b"/") + b"/"):
            return Unserved(unserved.LEAVES)
        status = os.stat(target)
    except OSError as error:
        if is_absent(error):
            return Unserved(unserved.BROKEN)
        if error.errno == errno.ELOOP:
            return Unserved(unserved.CIRCULAR)
        return Unserved(os.strerror(error.errno or 0), error)
    if stat.S_ISDIR(status.st_mode):
        return Unserved(unserved.TO_FOLDER)
    return status if stat.S_ISREG(status.st_mode) else Unserved(unserved.TO_NO_FILE)
