"""Fixtures of the formats' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from musicfs.testing.library import MadeLibrary, make_library


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> MadeLibrary:
    """Every format several times, with tags, a part with pictures."""
    return make_library(tmp_path_factory.mktemp("library"), 110, seed=7)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
