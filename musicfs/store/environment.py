"""Opening an LMDB environment so that nothing we find on disk can take the process down.

Paid-for rules: the map size is fixed, sparse and the same in every process (resizing a live map is a SIGBUS in the others);
the file's length is compared with what its meta pages promise before it is mapped (touching a page beyond the end is a
SIGBUS too); after an unclean stop the environment is probed in a child process first, because a damaged page can crash
the reader, and one that fails the probe is put aside, never deleted. LMDB has no checksums: a clean stop
seals a small file with one of ours, and whoever stumbles over damage later notes it for the next start.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import struct
import subprocess
import time
from collections.abc import Callable

import lmdb
import msgspec
import xxhash

from musicfs.errors import DiskFullError, StoreError
from musicfs.interpreter import module_command, plain_environment

log = logging.getLogger(__name__)

# 128 GiB of address space; the file itself is as long as its data. 10 M tracks need about 7 GiB.
MAP_SIZE_BYTES = 128 << 30
MAX_READERS = 1024
MAX_TABLES = 64
_LOCK_FILE_BYTES = 128 + 64 * MAX_READERS  # liblmdb 0.9 mdb.c: MDB_txninfo's header, and one cache line a reader

# liblmdb 0.9 mdb.c: MDB_page header of 16 bytes, then MDB_meta {magic u32, version u32, address u64, mapsize u64,
# two MDB_db of 48 bytes (the first one's md_pad is the page size), last page u64, transaction id u64}.
_META = struct.Struct("<16xIIQQ48s48sQQ")
_META_MAGIC = 0xBEEFC0DE
_PAGE_SIZES = frozenset((4096, 8192, 16384, 32768, 65536))
_CLEAN_MARK = "clean"
_DAMAGE_MARK = "damaged"
_SEALED_BYTES = 16 << 20  # some 20,000 tracks; hashing it takes two milliseconds, and a mount must be there at once
_FULL_BYTES = 16 << 20  # about what one transaction writes
_PROBE_TIMEOUT_S = 60.0


def open_environment(
    path: str,
    *,
    readonly: bool = False,
    durable: bool = True,
    readahead: bool = False,
    map_size_bytes: int = MAP_SIZE_BYTES,
) -> lmdb.Environment:
    """Open (and create, unless ``readonly``) the environment in the folder ``path``.

    ``durable=False`` leaves syncing to the caller, for bulk building. ``readahead`` is for large values read in order.
    ``map_size_bytes`` must be the same in every process that has it open; address space is all it costs (32 TiB: 0.1 ms and
    no memory). Raises StoreError when the file is shorter than its own meta pages say or is no LMDB file, DiskFullError when
    the disk is full. Blocks for a disk access or two.
    """
    check_length(path)
    _reserve_lock_file(path)
    try:
        return lmdb.open(
            path,
            map_size=map_size_bytes,
            subdir=True,
            readonly=readonly,
            create=not readonly,
            max_dbs=MAX_TABLES,
            max_readers=MAX_READERS,
            max_spare_txns=8,
            readahead=readahead,
            metasync=False,  # a power cut may lose the last transaction, never the file
            sync=durable,
            lock=True,
        )
    except lmdb.Error as error:
        raise store_error(path, error) from error


def store_error(path: str, error: lmdb.Error) -> StoreError:
    """What an error of LMDB means to us: no room (on the disk or in the map), or something else."""
    code = getattr(error, "code", 0)
    full = isinstance(error, lmdb.DiskError | lmdb.MapFullError) or code == errno.ENOSPC
    if full or (code == errno.EIO and _is_full(path)):  # liblmdb 0.9 mdb_page_flush: a short write is EIO
        return DiskFullError(f"{path}: the disk is full ({error})", remedy="free some space on this disk")
    return StoreError(f"{path}: {error}", remedy="stop MusicFS and delete this folder; it is rebuilt")


def _is_full(path: str) -> bool:
    try:
        found = os.statvfs(path)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _FULL_BYTES


def prepare(path: str, *, create: Callable[[str], None], check_schema: Callable[[str], None]) -> str | None:
    """Make the environment in ``path`` fit to be mapped: create it, or put a damaged or foreign one aside and create anew.

    ``check_schema`` raises StoreError for one that cannot be used. Returns where one was put aside, or None. Blocks; probes
    in a child process after an unclean stop only.
    """
    os.makedirs(path, mode=0o700, exist_ok=True)
    aside = None
    try:
        clean = take_clean_mark(path)
        check_damage(path)
        check_length(path)
        if not clean and not survives_probe(path):
            raise StoreError(f"{path}: the {noun(path)} could not be read after an unclean stop")
        if os.path.exists(os.path.join(path, "data.mdb")):
            check_schema(path)
            return None
    except DiskFullError:
        raise  # nothing is wrong with it
    except StoreError as error:
        aside = put_aside(path)
        os.makedirs(path, mode=0o700)
        log.warning("%s; put aside as %s and started anew", error, aside)
    create(path)
    return aside


def noun(path: str) -> str:
    """What the user calls the environment in that folder."""
    return {"chunks": "content store", "state": "state"}.get(os.path.basename(path), "catalog")


def _reserve_lock_file(path: str) -> None:
    """Give the lock file its blocks before LMDB maps and writes it: a hole that a full disk cannot fill is a SIGBUS."""
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        descriptor = os.open(os.path.join(path, "lock.mdb"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if os.fstat(descriptor).st_blocks * 512 < _LOCK_FILE_BYTES:
                os.posix_fallocate(descriptor, 0, _LOCK_FILE_BYTES)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(f"{path}: no space left", remedy="free some space on this disk") from error
        raise StoreError(f"{path}: {error.strerror}", remedy="check the folder and its permissions") from error


def check_length(path: str) -> None:
    """Raise StoreError if ``data.mdb`` in ``path`` is damaged in a way that mapping it would turn into a crash.

    A missing file is fine. Two meta pages alternate; the one with the higher transaction id is the valid one, and a crash
    between the two leaves the older one good, so the file must be as long as the newer readable one says.
    """
    data = os.path.join(path, "data.mdb")
    try:
        with open(data, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(_META.size)
            if size == 0:
                return
            meta = _parse_meta(head)
            if meta is None:
                raise StoreError(f"{data}: not a {noun(path)} file", remedy="delete the folder; it is rebuilt")
            page_size, last_page, txn = meta
            file.seek(page_size)
            second = _parse_meta(file.read(_META.size))
    except FileNotFoundError:
        return
    if second is not None and second[2] > txn:
        last_page = second[1]
    if size < (last_page + 1) * page_size:
        raise StoreError(
            f"{data}: truncated: {size} bytes, {(last_page + 1) * page_size} expected",
            remedy="delete the folder; it is rebuilt",
        )


def _parse_meta(raw: bytes) -> tuple[int, int, int] | None:
    """(page size, last page, transaction id) of one meta page, or None if it is none."""
    if len(raw) < _META.size:
        return None
    magic, _version, _address, _mapsize, free_db, _main_db, last_page, txn = _META.unpack(raw)
    (page_size,) = struct.unpack_from("<I", free_db)
    if magic != _META_MAGIC or page_size not in _PAGE_SIZES:
        return None
    return page_size, last_page, txn


def mark_clean(path: str) -> None:
    """Note that the environment was closed in order: the next start skips the probe, and a small file is sealed."""
    seal = _digest(path)
    with open(os.path.join(path, _CLEAN_MARK), "wb") as file:
        file.write(seal)


def take_clean_mark(path: str) -> bool:
    """True if the last stop was clean (or there is nothing yet); removes the mark. StoreError if a seal is broken."""
    mark = os.path.join(path, _CLEAN_MARK)
    try:
        with open(mark, "rb") as file:
            seal = file.read()
        os.unlink(mark)
    except FileNotFoundError:
        return not os.path.exists(os.path.join(path, "data.mdb"))
    if seal and seal != _digest(path):
        raise StoreError(f"{path}: the {noun(path)} is not as it was left", remedy="delete the folder; it is rebuilt")
    return True


def _digest(path: str) -> bytes:
    """The hash of the data file; empty when it is too large to be sealed, or not there."""
    try:
        with open(os.path.join(path, "data.mdb"), "rb") as file:
            if os.fstat(file.fileno()).st_size > _SEALED_BYTES:
                return b""
            return xxhash.xxh3_128_digest(file.read())
    except OSError:
        return b""


def is_damage(error: BaseException) -> bool:
    """True if an exception means that the environment holds what nobody wrote."""
    damage = lmdb.CorruptedError | lmdb.PageNotFoundError | lmdb.InvalidError | lmdb.PanicError | lmdb.BadTxnError
    if isinstance(error, StoreError) and error.__cause__ is not None:
        error = error.__cause__
    return isinstance(error, damage | msgspec.DecodeError | msgspec.ValidationError | struct.error)


def note_damage(path: str) -> None:
    """Have the next start put the environment aside. Does nothing on a disk that cannot be written."""
    with contextlib.suppress(OSError), open(os.path.join(path, _DAMAGE_MARK), "wb"):
        pass


def check_damage(path: str) -> None:
    """Raise StoreError if damage was noted."""
    if os.path.exists(os.path.join(path, _DAMAGE_MARK)):
        raise StoreError(f"{path}: the {noun(path)} was found damaged", remedy="delete the folder; it is rebuilt")


def survives_probe(path: str) -> bool:
    """Read through the environment in a child process; False if that fails or crashes. Blocks up to a minute."""
    return probe_status(path, "musicfs.store.probe") == 0


def probe_status(path: str, module: str) -> int:
    """The exit status of a module that looks at the environment in a child process, below 0 if it crashed.

    Blocks up to a minute; longer than that counts as a crash.
    """
    command = module_command(module, path)
    try:
        done = subprocess.run(
            command,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env=plain_environment(os.environ),
        )
        return done.returncode
    except subprocess.TimeoutExpired:
        return -1


def put_aside(path: str) -> str:
    """Rename a damaged environment's folder so that a new one can take its place; returns the new name."""
    aside = f"{path}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    os.rename(path, aside)
    return aside
