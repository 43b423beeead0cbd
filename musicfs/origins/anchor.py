"""The proof that a local origin is still the one it was: same filesystem under its root, and under each submount.

An unmounted disk leaves an empty folder behind, which looks like a library that was deleted. So the identity of the root
and of every mount point below it is noted at first use and after each complete listing, and compared before absence is
believed. Safe from many threads; every call may block as long as the filesystem does.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterable, Mapping

import msgspec

from musicfs.config.mounts import Mount, parse_mountinfo, read_mountinfo
from musicfs.errors import UnreachableError
from musicfs.origins.failures import no_root
from musicfs.origins.filesystems import filesystem_identity
from musicfs.origins.oserrors import is_absent, origin_error
from musicfs.origins.paths import encode_path, is_at_or_below, printable

ROOT = ""


class _Saved(msgspec.Struct, frozen=True, array_like=True):
    """The persisted form: folder -> identity, the root's under the empty path. Folders are hex, as names may be any bytes."""

    schema: int
    folders: dict[str, str]


class Anchor:
    """The identities of one origin's root and submounts."""

    def __init__(self, origin_id: str, root: bytes, saved: bytes = b"") -> None:
        """``saved`` is a former :meth:`dump`; anything else that it may be counts as empty. No I/O."""
        self._origin_id = origin_id
        self._root = root
        self._lock = threading.Lock()
        self._identities: dict[str, str] = unpack_identities(saved)
        self._table: tuple[bytes, tuple[Mount, ...]] = (b"", ())  # its text, and what it says

    def dump(self) -> bytes:
        """The identities, to be given to a later :class:`Anchor`; empty before the first use."""
        with self._lock:
            return pack_identities(self._identities)

    def prove(self, path: str = ROOT, *, below: bool = False) -> None:
        """Return if the root is the known one, and so is every submount on the way to ``path`` (and ``below`` it).

        The first use of an origin that knows no identity notes what it finds. Raises UnreachableError or DeniedError.
        """
        with self._lock:
            submounts = [folder for folder in self._identities if folder and _concerns(folder, path, below=below)]
        mounts = self._mounts()
        for folder in (ROOT, *submounts):
            identity = self._identify(folder, mounts)
            with self._lock:
                if self._identities.setdefault(folder, identity) != identity:
                    raise self._lost(folder, "is not on the filesystem it was on")

    def learn(self, prefix: str, mount_points: Mapping[str, int], unknown: Iterable[str]) -> None:
        """Replace what is known of submounts at and below ``prefix`` by what a complete listing found there.

        ``mount_points`` maps each to the device it was on; UnreachableError if one is not any more. What lies in the folders
        ``unknown``, which the listing could not see into, stays as it is.
        """
        mounts = self._mounts()
        found = {path: self._identify(path, mounts, device) for path, device in mount_points.items()}
        hidden = tuple(unknown)
        with self._lock:
            for path in [path for path in self._identities if path and is_at_or_below(path, prefix)]:
                if not any(is_at_or_below(path, folder) for folder in hidden):
                    del self._identities[path]
            self._identities.update(found)

    def _mounts(self) -> tuple[Mount, ...]:
        """The mount table, parsed again only when it reads differently.

        Identities are never kept: a disk that is unmounted and another one in its place can have the same line here, the
        same device number and the same inode.
        """
        text = read_mountinfo()
        known, mounts = self._table
        if text != known:
            mounts = parse_mountinfo(text)
            self._table = (text, mounts)
        return mounts

    def _identify(self, path: str, mounts: tuple[Mount, ...], device: int | None = None) -> str:
        absolute = self._absolute(path)
        try:
            status = os.stat(absolute)
            if device not in {None, status.st_dev}:
                raise self._lost(path, "was unmounted meanwhile")
            if stat.S_ISDIR(status.st_mode):
                return filesystem_identity(os.path.realpath(absolute), status, mounts)
        except OSError as error:
            if is_absent(error):
                raise self._missing(path) from error
            raise origin_error(error, self._origin_id, path) from error
        raise self._lost(path, "is not a folder")

    def _absolute(self, path: str) -> bytes:
        return self._root + b"/" + encode_path(path) if path else self._root

    def _missing(self, path: str) -> UnreachableError:
        return no_root(self._origin_id, f"folder {self._shown(path)}", self._remedy)

    def _lost(self, path: str, what: str) -> UnreachableError:
        return UnreachableError(f"origin {self._origin_id!r}: {self._shown(path)} {what}", remedy=self._remedy)

    def _shown(self, path: str) -> str:
        return printable(path) if path else os.fsdecode(self._root)

    @property
    def _remedy(self) -> str:
        return accept_or_mount(self._origin_id)


def accept_or_mount(origin_id: str, where: str = "") -> str:
    """What to do about an origin that is not the one it was; ``where`` goes on with the sentence."""
    return (
        f"check path, mount its disk{where and ' '}{where}, "
        f"or accept it as it is now with: musicfs origin confirm {origin_id}"
    )


def pack_identities(identities: Mapping[str, str]) -> bytes:
    """The persisted form of folder -> identity; empty for none."""
    if not identities:
        return b""
    folders = {encode_path(path).hex(): identity for path, identity in sorted(identities.items())}
    return msgspec.json.encode(_Saved(1, folders))


def unpack_identities(saved: bytes) -> dict[str, str]:
    """What :func:`pack_identities` has packed; nothing where ``saved`` is anything else."""
    if not saved:
        return {}
    try:
        document = msgspec.json.decode(saved, type=_Saved)
        return {bytes.fromhex(path).decode("utf-8", "surrogateescape"): name for path, name in document.folders.items()}
    except (msgspec.MsgspecError, ValueError):
        return {}


def _concerns(folder: str, path: str, *, below: bool) -> bool:
    return is_at_or_below(path, folder) or (below and is_at_or_below(folder, path))
