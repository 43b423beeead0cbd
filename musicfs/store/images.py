"""Pictures the user gave, each in a file named by its hash. Never deleted: overlays and their history name them."""

from __future__ import annotations

import logging
import os
import re

import xxhash

from musicfs.store.journal import file_error
from musicfs.store.whole_file import write_whole

log = logging.getLogger(__name__)

_KEY = re.compile(r"[0-9a-f]{32}")


def image_key(data: bytes) -> str:
    """The name of a picture: 32 hex digits."""
    return xxhash.xxh3_128_hexdigest(data)


class Images:
    """The folder they are in. Safe from any thread."""

    def __init__(self, folder: str) -> None:
        """Create the folder. Raises StoreError."""
        self.folder = folder
        self._complained: set[str] = set()
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            for name in os.listdir(folder):
                if name.endswith(".new"):
                    os.unlink(os.path.join(folder, name))
        except OSError as error:
            raise file_error(folder, error) from error

    def put(self, data: bytes) -> str:
        """Keep a picture; returns its key (32 hex digits) once it is on disk. A damaged copy is replaced.

        Raises DiskFullError, StoreError.
        """
        key = image_key(data)
        path = os.path.join(self.folder, key)
        if self._read(path, key) is not None:
            return key
        write_whole(path, (data,))
        self._complained.discard(key)
        return key

    def get(self, key: str) -> bytes | None:
        """The picture, or None when it is missing or damaged, which is logged once."""
        if not _KEY.fullmatch(key):
            return None
        path = os.path.join(self.folder, key)
        data = self._read(path, key)
        if data is None and key not in self._complained:
            self._complained.add(key)
            what = "is damaged" if os.path.exists(path) else "is missing"
            log.warning("%s: this picture %s; give it again as a cover, or clear the cover", path, what)
        return data

    def _read(self, path: str, key: str) -> bytes | None:
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            return None
        return data if image_key(data) == key else None

    def missing(self, keys: set[str]) -> list[str]:
        """Those of these keys whose picture is missing or damaged, in order. Reads them all."""
        return [key for key in sorted(keys) if self._read(os.path.join(self.folder, key), key) is None]
