"""A share of requests in the log: only while it is wanted, and with what was asked."""

from __future__ import annotations

import errno
import logging
from typing import Any

import llfuse
import pytest

from musicfs.model import TRACE_LEVEL
from musicfs.mount.tracing import TRACED, Tracing


class FakeOperations:
    """Handlers that answer, or not."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def lookup(self, parent: int, name: bytes, ctx: object) -> str:
        if name == b"gone":
            raise llfuse.FUSEError(errno.ENOENT)
        return f"{parent}"


for _name in TRACED:
    if _name != "lookup":
        setattr(FakeOperations, _name, lambda *_: None)


def test_a_share_is_traced_and_none_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(TRACE_LEVEL, "musicfs.mount.tracing")
    operations = FakeOperations()
    tracing = Tracing(operations)  # type: ignore[arg-type] # only its handlers are looked at
    tracing.set_rate(0.0)
    assert not vars(operations), "the handlers are those of the class"
    tracing.set_rate(0.25)
    for _ in range(100):
        assert operations.lookup(1, b"a\n", object()) == "1"
    assert len(caplog.messages) == 25
    assert caplog.messages[0].startswith("lookup 1 b'a\\n': ok, ")
    caplog.clear()
    tracing.set_rate(1.0)
    with pytest.raises(llfuse.FUSEError):
        operations.lookup(1, b"gone", object())
    assert "No such file" in caplog.messages[0]
    tracing.set_rate(0.0)
    assert not vars(operations)
    assert logging.getLevelName(TRACE_LEVEL)
