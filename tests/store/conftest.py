"""A content store for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.chunk_world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An empty content store; at the end everything in it is counted."""
    world = World(tmp_path / "chunks")
    yield world
    world.check()
    world.close()
