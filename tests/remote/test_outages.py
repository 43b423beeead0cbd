"""A server that is killed or hangs: reads of it fail in time or succeed, everything else goes on, and it comes back."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from musicfs.origins.wrappers.wrapper import RETRY_DELAYS_S
from tests.faults.living import wait_for
from tests.mounting import Mounted, Place, mount
from tests.remote.lines import KINDS, Line, Servers
from tests.remote.noise import FOLDERS, count_entries, make_noise
from tests.remote.watching import PIECE_BYTES, Answer, Walker, check_answers, read_pieces, read_timed

READ_TIMEOUT_S = 2.0
DEADLINE_S = READ_TIMEOUT_S + 1.0
UNAFFECTED_S = 1.0
BACK_S = 5.0  # until reads succeed again: an origin that failed would be left alone for ten
LARGE_BYTES = 6_000_000
SMALL_BYTES = 900_000  # more than a scan has read and kept
CROWD = 16
PAIRS = (("sftp", "smb"), ("nfs", "s3"))
FRESH = tuple(f"{which}-{'-'.join(pair)}" for pair in PAIRS for which in ("first", "second"))  # read once each
RATE = 8_000_000  # bytes a second: a large file takes long enough for something to happen in the middle
SETTINGS = (
    f"{FOLDERS}[cache]\nread_timeout_s = {READ_TIMEOUT_S}\n[health]\ncheck_interval_secs = 1\ntimeout_ms = 500\n"
    "[prefetch]\nnext_track = false\n"
)
WORDS = "cannot be read|no answer|left alone|read: |in use|wait"


@dataclass(frozen=True, slots=True)
class World:
    mounted: Mounted
    lines: Mapping[str, Line]
    roots: Mapping[str, Path]

    def path(self, kind: str, name: str) -> Path:
        return self.mounted.point / kind / name

    def original(self, kind: str, name: str) -> bytes:
        return (self.roots[kind] / kind / name).read_bytes()

    def health(self, kind: str) -> str:
        for origin in self.mounted.status().get("origins", ()):
            if origin["id"] == kind:
                return str(origin["health"])
        return ""


@pytest.fixture(scope="module")
def world(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    base = tmp_path_factory.mktemp("outages")
    with contextlib.ExitStack() as stack:
        lines = {kind: stack.enter_context(servers.line(kind, "outages", bytes_per_s=RATE)) for kind in KINDS}
        roots = {kind: line.root for kind, line in lines.items()} | {"local": base / "local"}
        for seed, (kind, root) in enumerate(roots.items()):
            for number, name in enumerate(("killed", "stalled", "back")):
                make_noise(root / kind / f"{name}.wav", LARGE_BYTES, seed * 100 + number)
            for number, name in enumerate((*FRESH, *(f"many-{index}" for index in range(CROWD)))):
                make_noise(root / kind / f"{name}.wav", SMALL_BYTES, seed * 100 + 50 + number)
        servers.upload(lines["s3"].root)
        places: dict[str, Path | Place] = {kind: line.place for kind, line in lines.items()}
        mounted = mount({**places, "local": roots["local"]}, base / "home", SETTINGS)
        mounted.allow_log(WORDS)
        yield World(mounted, lines, roots)
        mounted.close()


@pytest.fixture(autouse=True)
def walker(world: World) -> Iterator[Walker]:
    """Somebody who counts the entries of the tree during every test, and asks about each."""
    walker = Walker(world.mounted.point, count_entries(world.mounted.point))
    walker.start()
    yield walker
    walker.stop()


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        with contextlib.suppress(OSError):  # of a test that failed: the mount has ended before
            os.close(descriptor)


def _comes_back(descriptor: int, wanted: bytes) -> float:
    """Wait until the whole file can be read through the old handle; how long it took until it could."""
    begun = time.monotonic()
    answers = wait_for("reads succeed again", partial(_read_whole, descriptor, len(wanted)), 30)
    check_answers(answers, wanted, DEADLINE_S, frozenset())
    return time.monotonic() - begun


def _read_whole(descriptor: int, size: int) -> list[Answer]:
    """All pieces of a file; none if one of them failed."""
    answers = read_pieces(descriptor, 0, size)
    return [] if any(answer.error for answer in answers) else answers


class Reader(threading.Thread):
    """Reads one file, piece by piece, and keeps the answers."""

    def __init__(self, path: Path) -> None:
        super().__init__(name=f"reader of {path.name}", daemon=True)
        self._path = path
        self.answers: list[Answer] = []

    def run(self) -> None:
        with opened(self._path) as descriptor:
            self.answers = read_pieces(descriptor, 0, os.fstat(descriptor).st_size)


def test_all_servers_are_killed_in_the_middle_of_reads(world: World) -> None:
    """Reads fail in time or succeed, the origin of this machine is read on, and old handles go on when they are back."""
    with contextlib.ExitStack() as stack:
        descriptors = {kind: stack.enter_context(opened(world.path(kind, "killed.wav"))) for kind in KINDS}
        wanted = {kind: world.original(kind, "killed.wav") for kind in KINDS}
        for kind, descriptor in descriptors.items():
            check_answers(read_pieces(descriptor, 0, 1 << 19), wanted[kind], DEADLINE_S, frozenset())
        readers = [Reader(world.path(kind, "killed.wav")) for kind in KINDS]
        for kind in KINDS:
            world.lines[kind].server.kill()
        try:
            for reader in readers:
                reader.start()
            assert world.path("local", "killed.wav").read_bytes() == world.original("local", "killed.wav")
            wait_for("it is noticed", lambda: all(world.health(kind) == "unhealthy" for kind in KINDS), 10)
            for reader in readers:
                reader.join(30)
                assert not reader.is_alive(), "a read hangs"
        finally:
            for kind in KINDS:
                world.lines[kind].server.start()
        for kind, reader in zip(KINDS, readers, strict=True):
            check_answers(reader.answers, wanted[kind], DEADLINE_S, frozenset({"EIO"}))
            assert reader.answers[-1].error, "everything was read before"
        wait_for("they are healthy again", lambda: all(world.health(kind) == "healthy" for kind in KINDS), 10)
        for kind, descriptor in descriptors.items():
            assert _comes_back(descriptor, wanted[kind]) <= BACK_S
            assert world.path(kind, "killed.wav").read_bytes() == wanted[kind]


def test_an_origin_that_is_back_is_read_at_once(world: World) -> None:
    """After failures it is left alone for ten seconds, but not when it is known to be back before."""
    kind, proxy = "sftp", world.lines["sftp"].proxy
    path, wanted = world.path(kind, "back.wav"), world.original(kind, "back.wav")
    # Far apart, and each once: what was lost just now is not asked for again.
    places = iter(range(1 << 20, len(wanted), 4 * PIECE_BYTES))
    with opened(path) as descriptor:
        proxy.refuse()
        proxy.cut()
        try:
            wait_for("it is noticed", lambda: world.health(kind) != "healthy", 10)
            wait_for("it is left alone", lambda: read_timed(descriptor, next(places)).took_s < 0.1, 20)
            # What was on its way before fails too, by the last of its attempts, and does not end the rest by succeeding.
            time.sleep(sum(RETRY_DELAYS_S))
        finally:
            proxy.resume()
        assert _comes_back(descriptor, wanted) <= BACK_S


def _check_others(world: World, stalled: Sequence[str], name: str) -> None:
    """Every other origin answers quickly, with what nobody has read before."""
    for other in world.roots:
        if other not in stalled:
            begun = time.monotonic()
            assert world.path(other, f"{name}.wav").read_bytes() == world.original(other, f"{name}.wav")
            took_s = time.monotonic() - begun
            assert took_s < UNAFFECTED_S, f"{other} took {took_s:.2f} s while {stalled} hang"


@pytest.mark.parametrize("kinds", PAIRS)
def test_stalled_in_the_middle_of_a_read(kinds: tuple[str, ...], world: World) -> None:
    """One listens to a large file, and a media server looks at many others, when two servers stop to answer."""
    wanted = {kind: world.original(kind, "stalled.wav") for kind in kinds}
    crowd = {
        (kind, f"many-{number}.wav"): Reader(world.path(kind, f"many-{number}.wav"))
        for kind in kinds
        for number in range(CROWD)
    }
    listeners = {(kind, "stalled.wav"): Reader(world.path(kind, "stalled.wav")) for kind in kinds}
    with contextlib.ExitStack() as stack:
        descriptors = {kind: stack.enter_context(opened(world.path(kind, "stalled.wav"))) for kind in kinds}
        for kind, descriptor in descriptors.items():
            check_answers(read_pieces(descriptor, 0, 1 << 20), wanted[kind], DEADLINE_S, frozenset())
            world.lines[kind].server.pause()
        try:
            for reader in (*crowd.values(), *listeners.values()):
                reader.start()
            _check_others(world, kinds, f"first-{'-'.join(kinds)}")
            wait_for("it is noticed", lambda: all(world.health(kind) == "unhealthy" for kind in kinds), 12)
            _check_others(world, kinds, f"second-{'-'.join(kinds)}")
            for reader in (*crowd.values(), *listeners.values()):
                reader.join(60)
                assert not reader.is_alive(), "a read hangs"
        finally:
            for kind in kinds:
                world.lines[kind].server.resume()
        for (kind, name), reader in (crowd | listeners).items():
            check_answers(reader.answers, world.original(kind, name), DEADLINE_S, frozenset({"EIO"}))
            assert reader.answers[-1].error or name != "stalled.wav", "everything was read before"
        wait_for("they are healthy again", lambda: all(world.health(kind) == "healthy" for kind in kinds), 10)
        for kind, descriptor in descriptors.items():
            assert _comes_back(descriptor, wanted[kind]) <= BACK_S
            assert world.path(kind, "stalled.wav").read_bytes() == wanted[kind]
