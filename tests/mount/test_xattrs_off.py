"""``xattrs = false``: no extended attributes, and no request for them either."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.living import track
from tests.mounting import Mounted


def test_without_extended_attributes_none_is_asked_for(mount_library: Callable[..., Mounted], tmp_path: Path) -> None:
    root = tmp_path / "origin"
    track(root, "Album/1.mp3", title="One", album="Album")
    mounted = mount_library({"o": root}, settings="[mount]\nxattrs = false\n")
    (shown,) = mounted.point.rglob("*.mp3")
    for ask in (lambda: os.getxattr(shown, "user.musicfs.origin"), lambda: os.listxattr(shown)):
        with pytest.raises(OSError) as refused:
            ask()
        assert refused.value.errno == errno.EOPNOTSUPP
    assert shown.read_bytes() == (root / "Album" / "1.mp3").read_bytes()
