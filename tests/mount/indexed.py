"""What is found in a mount, for tests of searches."""

from __future__ import annotations

import errno
import os

from musicfs.library.searchable import SearchableTracks
from musicfs.store.catalog import Catalog
from tests.faults.living import wait_for
from tests.mounting import Mounted


def wait_until_found(mounted: Mounted) -> None:
    """Return once searches find every track that the catalog has."""
    catalog = Catalog(str(mounted.folder / "cache/catalog"), readonly=True)
    try:
        tracks = sum(found.document is not None for found in SearchableTracks(catalog).all())
    finally:
        catalog.close()
    wait_for("everything is found", lambda: count_found(mounted, "*") == tracks)


def count_found(mounted: Mounted, query: str) -> int:
    """How many links a search lists; 0 while there is no index."""
    try:
        return len(os.listdir(mounted.point / ".search" / query))
    except BlockingIOError as error:
        assert error.errno == errno.EAGAIN
        return 0
