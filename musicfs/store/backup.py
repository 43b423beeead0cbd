"""A backup of the user's state: made while it is in use, and checked whole before it takes anything's place.

It is a tar (POSIX.1-2001) that any ``tar`` unpacks::

    journal         the state's journal up to the moment of the backup: everything the user made, in the order it was made
    images/HASH     the pictures he gave
    backup.json     last: the version of this form, and of every other member its size and SHA-256

The environment beside the journal is left out: it is made from the journal. A restored state is another lineage: nobody takes
it for the continuation of what was there.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import tarfile
import time
from collections.abc import Iterator
from typing import IO

import msgspec

from musicfs.errors import MusicFSError, NotFoundError, StoreError
from musicfs.store.images import image_key
from musicfs.store.journal import Journal, file_error, sync_folder
from musicfs.store.overlays import encode_records, lineage_record
from musicfs.store.state_build import Paths
from musicfs.store.state_lock import forget_writer, hold_state

VERSION = 1
_ABOUT = "backup.json"
_JOURNAL = "journal"
_IMAGE = re.compile(r"images/([0-9a-f]{32})")
_PIECE_BYTES = 256 << 10
_MAX_ABOUT_BYTES = 64 << 20
_BLOCK = tarfile.BLOCKSIZE


class Member(msgspec.Struct, frozen=True):
    """What a file of the backup must be."""

    size_bytes: int
    sha256: str


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself."""

    version: int = VERSION
    created_ns: int
    musicfs: str  # the version that made it
    members: dict[str, Member]


def backup_pieces(journal: int, size_bytes: int, images: str, musicfs: str) -> Iterator[bytes]:
    """A backup, in pieces. ``journal`` is a descriptor of the journal, which is closed; the first ``size_bytes`` count.

    Raises StoreError.
    """
    members: dict[str, Member] = {}
    now_ns = time.time_ns()
    with open(journal, "rb") as file:
        yield from _member(_JOURNAL, file, size_bytes, now_ns, members)
    for name in sorted(_names(images)):
        try:
            with open(os.path.join(images, name), "rb") as file:
                yield from _member(f"images/{name}", file, os.fstat(file.fileno()).st_size, now_ns, members)
        except OSError as error:
            raise file_error(os.path.join(images, name), error) from error
    about = msgspec.json.format(msgspec.json.encode(About(created_ns=now_ns, musicfs=musicfs, members=members)))
    yield _header(_ABOUT, len(about), now_ns) + about + _padding(len(about)) + bytes(2 * _BLOCK)


def backup_stopped(state_dir: str, musicfs: str) -> Iterator[bytes]:
    """The same of a state that nobody has open. StoreError if somebody has, NotFoundError if there is none."""
    paths = Paths(state_dir)
    if not os.path.exists(paths.journal):
        raise NotFoundError(f"{state_dir} holds nothing that could be backed up", remedy="check state_dir")
    lock = hold_state(state_dir)
    try:
        descriptor = os.open(paths.journal, os.O_RDONLY | os.O_CLOEXEC)
        yield from backup_pieces(descriptor, os.fstat(descriptor).st_size, os.path.join(state_dir, "images"), musicfs)
    finally:
        os.close(lock)


def check_backup(path: str) -> About:
    """Read a backup through, and compare everything in it. Raises MusicFSError for one that is not whole, or newer."""
    return _unpack(path, None)


def restore_backup(path: str, state_dir: str) -> str:
    """Put a backup in the place of the state; where the old one is kept, empty if there was none.

    At every moment either the old state is there or the new one: a crash leaves no third. Raises MusicFSError for a backup
    that is not whole, StoreError if the state is in use, DiskFullError; the old state is then as it was.
    """
    check_backup(path)
    lock = hold_state(state_dir)
    staging = os.path.join(state_dir, "restore.new")
    try:
        shutil.rmtree(staging, ignore_errors=True)
        os.makedirs(os.path.join(staging, "images"), mode=0o700)
        _unpack(path, staging)
        _begin_lineage(os.path.join(staging, _JOURNAL))
        aside = _take_place(staging, Paths(state_dir))
        forget_writer(lock)
        return aside
    except OSError as error:
        raise file_error(state_dir, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        os.close(lock)


def _begin_lineage(path: str) -> None:
    """Check the journal, and say in it that it goes on from here and not from where it came."""
    journal = Journal(path)
    try:
        survey = journal.survey()
        if survey.newer:
            raise MusicFSError("the backup was made by a newer version of MusicFS", remedy="install that version")
        if not survey.whole or survey.tail_bytes or not survey.last:
            raise StoreError("the journal in the backup is damaged", remedy="use another backup")
        number = survey.last + 1
        journal.append([(number, encode_records([lineage_record(secrets.randbits(63), number)]))])
    finally:
        journal.close()


def _take_place(staging: str, paths: Paths) -> str:
    images = os.path.join(paths.folder, "images")
    os.makedirs(images, mode=0o700, exist_ok=True)
    for name in os.listdir(os.path.join(staging, "images")):  # named by what they hold: none replaces another
        os.replace(os.path.join(staging, "images", name), os.path.join(images, name))
    sync_folder(images)
    aside = ""
    if os.path.exists(paths.journal):
        aside = os.path.join(paths.folder, f"before-restore-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
        os.mkdir(aside, 0o700)
        os.link(paths.journal, os.path.join(aside, _JOURNAL))
        sync_folder(aside)
    if os.path.exists(paths.tables):  # it is made anew from either journal
        shutil.rmtree(paths.tables)
    os.rename(os.path.join(staging, _JOURNAL), paths.journal)
    sync_folder(paths.folder)
    return aside


def _unpack(path: str, folder: str | None) -> About:
    """Check every member, and with a ``folder`` write them there."""
    found: dict[str, Member] = {}
    about = None
    try:
        with tarfile.open(path, "r:") as archive:
            for info in archive:
                if not info.isreg() or about is not None or info.name in found:
                    raise _no_backup(path, f"{info.name!r} does not belong there")
                stream = archive.extractfile(info)
                assert stream is not None  # it is a regular file
                if info.name == _ABOUT:
                    about = _read_about(path, stream)
                elif info.name == _JOURNAL or _IMAGE.fullmatch(info.name):
                    found[info.name] = _copy(stream, info.name, folder)
                else:
                    raise _no_backup(path, f"{info.name!r} does not belong there")
    except (tarfile.TarError, EOFError) as error:
        raise _no_backup(path, str(error)) from error
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}", remedy="check the file, and the room on the disk") from error
    if about is None or _JOURNAL not in found:
        raise _no_backup(path, "it ends too early")
    wrong = sorted(name for name in {*found, *about.members} if found.get(name) != about.members.get(name))
    if wrong:
        raise _no_backup(path, f"{wrong[0]} is damaged")
    return about


def _read_about(path: str, stream: IO[bytes]) -> About:
    try:
        about = msgspec.json.decode(stream.read(_MAX_ABOUT_BYTES), type=About)
    except msgspec.DecodeError as error:
        raise _no_backup(path, f"{_ABOUT} cannot be understood") from error
    if about.version > VERSION:
        raise MusicFSError(f"{path}: a newer version of MusicFS made it", remedy=f"install {about.musicfs} or later")
    return about


def _no_backup(path: str, why: str) -> StoreError:
    return StoreError(f"{path} is no whole backup: {why}", remedy="use another backup; nothing was changed")


def _copy(stream: IO[bytes], name: str, folder: str | None) -> Member:
    digest, size = hashlib.sha256(), 0
    target = None if folder is None else open(os.path.join(folder, name), "xb", opener=_private)  # noqa: SIM115
    picture = bytearray()
    try:
        while piece := stream.read(_PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
            if target is not None:
                target.write(piece)
            if name != _JOURNAL:
                picture += piece
        if target is not None:
            target.flush()
            os.fsync(target.fileno())
    finally:
        if target is not None:
            target.close()
    found = _IMAGE.fullmatch(name)
    if found and image_key(bytes(picture)) != found[1]:
        return Member(-1, "")  # damaged before it came into the backup
    return Member(size, digest.hexdigest())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _names(images: str) -> list[str]:
    try:
        return [name for name in os.listdir(images) if _IMAGE.fullmatch(f"images/{name}")]
    except FileNotFoundError:
        return []


def _member(name: str, file: IO[bytes], size: int, now_ns: int, members: dict[str, Member]) -> Iterator[bytes]:
    """One file as a tar has it."""
    yield _header(name, size, now_ns)
    digest, position = hashlib.sha256(), 0
    while position < size:
        piece = os.pread(file.fileno(), min(_PIECE_BYTES, size - position), position)
        if not piece:
            raise StoreError(f"{name} became shorter during the backup", remedy="try again")
        digest.update(piece)
        position += len(piece)
        yield piece
    if padding := _padding(size):
        yield padding
    members[name] = Member(size, digest.hexdigest())


def _header(name: str, size: int, now_ns: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, now_ns // 1_000_000_000, 0o600
    return info.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)
