"""A server of the API with answers to set, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.api.client import Client
from tests.api.backend import FakeBackend, serving


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def client(backend: FakeBackend, tmp_path: Path) -> Iterator[Client]:
    with serving(backend, tmp_path / "test.sock") as client:
        yield client


@pytest.fixture
def socket(client: Client, tmp_path: Path) -> Path:
    """Where that server listens, for calls past the client."""
    return tmp_path / "test.sock"
