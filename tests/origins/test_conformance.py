"""The conformance suite on every origin and every wrapper."""

from __future__ import annotations

from pathlib import Path

from musicfs.origins.compose import REMOTE_MANNERS, compose
from musicfs.origins.contract import Origin
from musicfs.origins.memory import MemoryOrigin, WatchableMemoryOrigin
from musicfs.origins.wrappers.breaker import Breaker
from musicfs.origins.wrappers.limit import Limit
from musicfs.origins.wrappers.retry import Retry
from musicfs.origins.wrappers.trace import Tally, Trace
from musicfs.origins.wrappers.wrapper import Wrapper
from musicfs.testing.faults import FaultyOrigin
from musicfs.testing.origin_suite import OriginSuite, Subject
from tests.origins.subjects import FolderSubject, MemorySubject


class TestLocal(OriginSuite):
    def open_subject(self, tmp_path: Path) -> Subject:
        return FolderSubject(tmp_path / "music")


class TestLocalBehindALink(OriginSuite):
    """The configured path is a symbolic link."""

    def open_subject(self, tmp_path: Path) -> Subject:
        (tmp_path / "real").mkdir()
        (tmp_path / "music").symlink_to("real")
        return FolderSubject(tmp_path / "music")


class TestMemory(OriginSuite):
    def open_subject(self, tmp_path: Path) -> Subject:
        return MemorySubject(MemoryOrigin("memory"))


class TestWatchableMemory(OriginSuite):
    def open_subject(self, tmp_path: Path) -> Subject:
        return MemorySubject(WatchableMemoryOrigin("memory"))


class WrappedLocal(OriginSuite):
    """A local origin in a wrapper: shows that optional powers come through."""

    def wrap(self, origin: Origin) -> Origin:
        raise NotImplementedError

    def open_subject(self, tmp_path: Path) -> Subject:
        plain = FolderSubject(tmp_path / "music")
        return FolderSubject(tmp_path / "music", self.wrap(plain.origin))


class TestPlainWrapper(WrappedLocal):
    def wrap(self, origin: Origin) -> Origin:
        return Wrapper(origin)


class TestRetry(WrappedLocal):
    def wrap(self, origin: Origin) -> Origin:
        return Retry(origin)


class TestLimit(WrappedLocal):
    def wrap(self, origin: Origin) -> Origin:
        return Limit(origin, parallel=4, bandwidth_limit=10**9)


class TestBreaker(WrappedLocal):
    def wrap(self, origin: Origin) -> Origin:
        return Breaker(origin)


class TestTrace(WrappedLocal):
    def wrap(self, origin: Origin) -> Origin:
        return Trace(origin, Tally())


class TestFaulty(WrappedLocal):
    def wrap(self, origin: Origin) -> Origin:
        return FaultyOrigin(origin)


class TestComposed(WrappedLocal):
    def wrap(self, origin: Origin) -> Origin:
        return compose(origin, REMOTE_MANNERS, tally=Tally())


class TestComposedMemory(OriginSuite):
    def open_subject(self, tmp_path: Path) -> Subject:
        memory = WatchableMemoryOrigin("memory")
        return MemorySubject(memory, compose(memory, REMOTE_MANNERS, tally=Tally()))
