"""The proof that an NFS origin is still the one it was: the same root folder, and the same filesystems below it.

A server whose disk is not mounted exports the empty folder beneath. The numbers of the root (fsid, fileid) and the fsid of
every folder that lies on another filesystem than its parent are noted, and compared before absence is believed. Safe from
many threads; no I/O.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

from musicfs.origins.anchor import pack_identities, unpack_identities
from musicfs.origins.nfs_protocol import Attributes
from musicfs.origins.paths import is_at_or_below


class NfsAnchor:
    """The identities of one origin's root and of the filesystems below it."""

    def __init__(self, saved: bytes = b"") -> None:
        """``saved`` is a former :meth:`dump`; anything else that it may be counts as empty."""
        self._lock = threading.Lock()
        self._known = unpack_identities(saved)

    def dump(self) -> bytes:
        """Empty before the first use."""
        with self._lock:
            return pack_identities(self._known)

    def holds(self, root: Attributes) -> bool:
        """Whether this is the known root; the first one that is seen becomes it."""
        identity = f"{root.fsid:x}-{root.fileid:x}"
        with self._lock:
            return self._known.setdefault("", identity) == identity

    def learn(self, prefix: str, found: Mapping[str, int], unknown: Iterable[str]) -> str | None:
        """Note the filesystems that a listing of ``prefix`` found, folder -> fsid; the folder of one that is lost instead.

        What lies in the folders ``unknown``, which the listing could not see into, stays as it is.
        """
        hidden = tuple(unknown)
        identities = {path: f"{fsid:x}" for path, fsid in found.items()}
        with self._lock:
            for path, identity in self._known.items():
                seen = path and is_at_or_below(path, prefix) and not any(is_at_or_below(path, at) for at in hidden)
                if seen and identities.get(path) != identity:
                    return path
            self._known.update(identities)
        return None
