"""What the user made, and nobody can make again: pins. An environment of its own in ``state_dir``, never wiped.

=========  ==============================  =========================================================================
table      key                             value
=========  ==============================  =========================================================================
meta       name                            ``schema``
pins       virtual path, hashed beyond     msgpack :class:`Pin`
           500 bytes
=========  ==============================  =========================================================================

Only the keeper opens it. Every write is on disk when it returns. A state that cannot be read is put aside, and said so; a
newer version's is refused and left as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import lmdb
import msgspec
import xxhash

from musicfs.errors import MusicFSError, StoreError
from musicfs.store import environment

SCHEMA = 1
_MAP_SIZE_BYTES = 4 << 30
_MAX_PLAIN_PATH = 500  # LMDB keys are at most 511 bytes
_TABLES = ("meta", "pins")


class Pin(msgspec.Struct, frozen=True, array_like=True):
    """Content that is kept whatever the limit: a file or folder of the tree, and the files it stood for when it was pinned.

    The files, (origin id, path there), stay pinned when the tree names them anew.
    """

    path: bytes  # virtual, from the root, with a leading slash
    added_ns: int
    files: tuple[tuple[str, bytes], ...] = ()


_decode_pin = msgspec.msgpack.Decoder(Pin).decode
_encode = msgspec.msgpack.encode


def prepare_state(path: str) -> str | None:
    """Make the state in ``path`` fit to be opened; returns where a damaged one was put aside, or None.

    Raises MusicFSError, and leaves everything as it is, when a newer version wrote it.
    """
    return environment.prepare(path, create=_create, check_schema=_check_schema)


def _create(path: str) -> None:
    with environment.open_environment(path, map_size_bytes=_MAP_SIZE_BYTES) as env:
        tables = {name: env.open_db(name.encode()) for name in _TABLES}
        with env.begin(tables["meta"], write=True) as txn:
            txn.put(b"schema", _encode(SCHEMA))


def _check_schema(path: str) -> None:
    with environment.open_environment(path, readonly=True, map_size_bytes=_MAP_SIZE_BYTES) as env:
        try:
            with env.begin(env.open_db(b"meta", create=False)) as txn:
                found = msgspec.msgpack.decode(txn.get(b"schema", b""), type=int)
        except (lmdb.Error, msgspec.MsgspecError) as error:
            raise StoreError(f"{path}: {error}") from error
    if found > SCHEMA:
        # Not a StoreError: what is newer is not damaged, and must not be put aside.
        raise MusicFSError(f"{path}: written by a newer version of MusicFS", remedy="install that version again")


class State:
    """The opened state. Safe from any thread."""

    def __init__(self, path: str) -> None:
        """Raises StoreError, DiskFullError."""
        self.path = path
        self._env = environment.open_environment(path, map_size_bytes=_MAP_SIZE_BYTES)
        self._pins = self._env.open_db(b"pins")

    def pins(self) -> list[Pin]:
        """Everything that is pinned, in the order of paths."""
        with self._env.begin() as txn, txn.cursor(self._pins) as cursor:
            return sorted((_decode_pin(value) for _, value in cursor), key=lambda pin: pin.path)

    def count_pins(self) -> int:
        """How many there are, without reading them."""
        with self._env.begin() as txn:
            return int(txn.stat(self._pins)["entries"])

    def put_pins(self, pins: Iterable[Pin]) -> None:
        """Pin, or pin again: all of them or, when it raises DiskFullError, none."""
        self._write((_pin_key(pin.path), _encode(pin)) for pin in pins)

    def remove_pins(self, paths: Iterable[bytes]) -> None:
        """Unpin all of these paths; one that is not pinned is passed over."""
        self._write((_pin_key(path), None) for path in paths)

    def _write(self, changes: Iterable[tuple[bytes, bytes | None]]) -> None:
        try:
            with self._env.begin(self._pins, write=True) as txn:
                for key, value in changes:
                    if value is None:
                        txn.delete(key)
                    else:
                        txn.put(key, value)
        except lmdb.Error as error:
            raise environment.store_error(self.path, error) from error

    def close(self) -> None:
        """Unmap the file."""
        self._env.close()


def _pin_key(path: bytes) -> bytes:
    return path if len(path) <= _MAX_PLAIN_PATH else path[: _MAX_PLAIN_PATH - 8] + xxhash.xxh64_digest(path)


def state_path(state_dir: str) -> str:
    """The folder of the environment."""
    return os.path.join(state_dir, "state")
