"""Mounted shares on real filesystems: healthy, killed, and hanging in the kernel."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from musicfs.config.mounts import is_network_filesystem
from musicfs.config.settings import Settings
from musicfs.daemon.opening import enabled_origins
from musicfs.errors import ConfigError, OriginError, UnreachableError
from musicfs.origins.compose import REMOTE_MANNERS, compose
from musicfs.origins.contract import Anchored, LocalPaths, Origin, RangeCost, Watchable
from musicfs.origins.local import LocalOrigin
from musicfs.origins.mounted import LEFT_BEHIND_MAX, MountedOrigin
from musicfs.origins.mounted_link import PART_BYTES
from musicfs.origins.mounted_process import REAP_TIMEOUT_S
from musicfs.origins.registry import kind_of, open_origin
from musicfs.origins.wrappers.trace import Tally
from musicfs.origins.wrappers.wrapper import Operation
from musicfs.testing.origin_suite import OriginSuite, Subject
from tests.origins.clocks import FakeClock
from tests.origins.subjects import FolderSubject
from tests.servers.bindfs import Bindfs
from tests.servers.slow_folder import SlowFolder

TIMEOUT_S = 1.0
# What a deadline may be missed by on a busy machine: the start of a child, and that of a thread here and there.
SLACK_S = 5.0
LEFT_BEHIND = "hangs in the kernel; it is left behind"


class TestMounted(OriginSuite):
    def open_subject(self, tmp_path: Path) -> Subject:
        return FolderSubject(tmp_path / "music", MountedOrigin("share", tmp_path / "music", timeout_s=60))


class TestMountedComposed(OriginSuite):
    def open_subject(self, tmp_path: Path) -> Subject:
        origin = MountedOrigin("share", tmp_path / "music", timeout_s=60, parallel=2)
        return FolderSubject(tmp_path / "music", compose(origin, REMOTE_MANNERS))


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Nothing of the process runs; its parent may still have to reap it."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
        states = [
            Path(f"/proc/{pid}/task/{thread}/stat").read_text().rpartition(")")[2].split()[0] for thread in threads
        ]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return set(states) <= {"Z", "X"}


def open_descriptors() -> set[str]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
    return {one for one in found if "/proc/" not in one}


@pytest.fixture
def share(tmp_path: Path) -> Iterator[MountedOrigin]:
    """A plain folder with a file of five bytes."""
    (tmp_path / "music").mkdir()
    (tmp_path / "music/five.flac").write_bytes(b"12345")
    origin = MountedOrigin("share", tmp_path / "music", timeout_s=60)
    yield origin
    origin.close()


@pytest.fixture
def nas(tmp_path: Path) -> Iterator[Bindfs]:
    """A filesystem whose server can be stopped, with a file of five bytes."""
    server = Bindfs(tmp_path / "disk", tmp_path / "nas")
    (server.root / "five.flac").write_bytes(b"12345")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def upper(nas: Bindfs, tmp_path: Path) -> Iterator[Bindfs]:
    """Another one on top of it: when that one is stopped, calls on this one survive SIGKILL."""
    server = Bindfs(nas.point, tmp_path / "upper")
    server.start()
    yield server
    nas.resume()
    server.stop()


def open_share(server: Bindfs, timeout_s: float = TIMEOUT_S) -> MountedOrigin:
    return MountedOrigin("nas", server.point, timeout_s=timeout_s)


def read_five(origin: Origin) -> bytes:
    return origin.read("five.flac", 0, 5, "")


# What it is


def test_its_powers_and_caps(share: MountedOrigin) -> None:
    assert isinstance(share, Anchored)
    assert not isinstance(share, LocalPaths)
    assert not isinstance(share, Watchable)
    caps = share.caps
    assert (caps.parallel, caps.range_cost, caps.stable_version, caps.slow_stat, caps.case_sensitive) == (
        16, RangeCost.ROUND_TRIP, False, True, True,
    )  # fmt: skip


def test_opening_and_closing_starts_no_process(share: MountedOrigin) -> None:
    assert share.pids == ()
    assert share.anchor() == b""
    share.close()
    assert share.pids == ()
    with pytest.raises(UnreachableError, match="closed"):
        share.check()


def test_settings_that_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not absolute"):
        MountedOrigin("share", "music", timeout_s=1)
    with pytest.raises(ConfigError):
        MountedOrigin("share", tmp_path, timeout_s=1, exclude=["../x"])


def test_globs_hold_in_the_child(tmp_path: Path) -> None:
    for name in ("a.flac", "b.iso"):
        (tmp_path / name).write_bytes(b"1")
    with contextlib.closing(MountedOrigin("share", tmp_path, timeout_s=60, exclude=["*.iso"])) as origin:
        assert [entry.path for folder in origin.list() for entry in folder.files] == ["a.flac"]
        assert origin.stat("b.iso") is None


@pytest.mark.parametrize("version", ["", "right"])
def test_a_read_of_many_parts_is_of_one_version(tmp_path: Path, version: str) -> None:
    data = os.urandom(3 * PART_BYTES + 7)
    (tmp_path / "a").write_bytes(data)
    with contextlib.closing(MountedOrigin("share", tmp_path, timeout_s=60)) as origin:
        entry = origin.stat("a")
        assert entry is not None
        version = entry.version if version else ""
        for start, stop in [(0, len(data)), (1, 2 * PART_BYTES + 1), (5, PART_BYTES + 5), (PART_BYTES, len(data))]:
            assert origin.read("a", start, stop, version) == data[start:stop]
        with pytest.raises(OriginError):
            origin.read("a", 0, len(data) + 1, version)
        with pytest.raises(OriginError):
            origin.read("a", 0, 1 << 100, version)


def test_the_environment_of_the_child_holds_no_secrets(share: MountedOrigin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_PASSWORD", "correct horse")
    share.check()
    (pid,) = share.pids
    assert b"correct horse" not in Path(f"/proc/{pid}/environ").read_bytes()
    assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")


# The anchor


def test_the_anchor_is_that_of_the_local_origin(tmp_path: Path) -> None:
    with contextlib.closing(MountedOrigin("share", tmp_path, timeout_s=60)) as origin:
        list(origin.list())
        local = LocalOrigin("share", tmp_path.as_posix())
        list(local.list())
        assert origin.anchor() == local.anchor() != b""


def test_the_anchor_outlives_the_child(tmp_path: Path, share: MountedOrigin) -> None:
    share.check()
    anchor = share.anchor()
    kill_child(share)
    (tmp_path / "music").rename(tmp_path / "unmounted")
    (tmp_path / "music").mkdir()  # what an unmounted share leaves behind
    for call in (share.check, lambda: share.stat("five.flac"), lambda: list(share.list())):
        with pytest.raises(UnreachableError, match="not on the filesystem it was on") as raised:
            call()
        assert "musicfs origin confirm share" in raised.value.remedy
    assert share.anchor() == anchor
    with contextlib.closing(MountedOrigin("share", tmp_path / "music", timeout_s=60, anchor=anchor)) as again:
        assert again.anchor() == anchor
        with pytest.raises(UnreachableError, match="not on the filesystem it was on"):
            again.check()


# A child that dies


def kill_child(origin: MountedOrigin) -> int:
    pid = origin.pids[0]
    os.kill(pid, signal.SIGKILL)
    until(lambda: pid not in origin.pids, "the end of a child is not noticed")
    return pid


def test_a_child_that_dies_between_calls_is_replaced(share: MountedOrigin) -> None:
    for _ in range(5):  # each answers: there is no reason to wait
        assert read_five(share) == b"12345"
        pid = kill_child(share)
        assert not Path(f"/proc/{pid}").exists()
    assert read_five(share) == b"12345"


def test_an_origin_that_is_dropped_takes_its_child_with_it(tmp_path: Path) -> None:
    origin = MountedOrigin("share", tmp_path, timeout_s=60)
    folders = origin.list()
    assert next(folders).path == ""
    (pid,) = origin.pids
    del origin
    assert list(folders) == []  # what is under way goes on
    del folders
    until(lambda: not Path(f"/proc/{pid}").exists(), "the child lives on")


def test_ctrl_c_is_for_the_parent(share: MountedOrigin) -> None:
    share.check()
    os.kill(share.pids[0], signal.SIGINT)
    before = share.pids
    assert read_five(share) == b"12345"
    assert share.pids == before


def test_a_listing_ends_with_the_child_it_was_begun_on(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).mkdir()
    with contextlib.closing(MountedOrigin("share", tmp_path, timeout_s=60)) as origin:
        folders = origin.list()
        assert next(folders).path == ""
        kill_child(origin)
        with pytest.raises(UnreachableError):
            next(folders)
        assert len(list(origin.list())) == 4


def test_a_listing_that_nobody_ends_is_forgotten(share: MountedOrigin) -> None:
    for _ in range(40):  # more than there are threads
        next(share.list())
    assert len(list(share.list())) == 1


def test_children_that_never_answer_are_started_ever_more_seldom(tmp_path: Path) -> None:
    (tmp_path / "starts").touch()
    command = (sys.executable, "-S", "-c", f"open({str(tmp_path / 'starts')!r}, 'a').write('x')")
    clock = FakeClock()
    with contextlib.closing(MountedOrigin("share", tmp_path, timeout_s=1, command=command, clock=clock)) as origin:

        def starts(call: Callable[[], object]) -> bool:
            before = (tmp_path / "starts").stat().st_size
            with pytest.raises(UnreachableError, match="ended"):
                call()
            until(lambda: not origin.pids, "a child that ended is not reaped")
            return (tmp_path / "starts").stat().st_size > before

        def stat() -> object:
            return origin.stat("a")

        assert starts(stat)
        assert starts(stat)
        for pause_s in (0.5, 1, 2, 4, 8, 10, 10):
            clock.now += pause_s - 0.01
            assert not starts(stat)
            clock.now += 0.01
            assert starts(stat)
        assert starts(origin.check)  # which does not wait
        assert not starts(stat)


def test_a_child_that_cannot_be_started(tmp_path: Path) -> None:
    with contextlib.closing(MountedOrigin("share", tmp_path, timeout_s=1, command=["/nowhere/python"])) as origin:
        with pytest.raises(UnreachableError, match="cannot be started: No such file"):
            origin.check()
        assert origin.pids == ()


def test_a_child_that_dies_during_a_call(nas: Bindfs) -> None:
    with contextlib.closing(open_share(nas, timeout_s=60)) as origin, ThreadPoolExecutor(1) as pool:
        origin.check()
        nas.pause()
        call = pool.submit(read_five, origin)
        until(lambda: waits_for_fuse(origin.pids[0]), "the read does not hang")
        started = time.monotonic()
        os.kill(origin.pids[0], signal.SIGKILL)
        with pytest.raises(UnreachableError, match="ended"):
            call.result()
        assert time.monotonic() - started < SLACK_S
        nas.resume()
        assert read_five(origin) == b"12345"


def waits_for_fuse(pid: int) -> bool:
    """Whether a thread of the process waits for a FUSE server; the kernel names the function that it sleeps in."""
    for task in Path(f"/proc/{pid}/task").glob("*/wchan"):
        with contextlib.suppress(FileNotFoundError):
            if task.read_text() == "request_wait_answer":
                return True
    return False


# A server that does not answer


def test_deadline_and_healing(nas: Bindfs) -> None:
    with contextlib.closing(open_share(nas)) as origin:
        origin.check()
        (pid,) = origin.pids
        nas.pause()
        calls: list[Callable[[], object]] = [
            origin.check, lambda: origin.stat("five.flac"), lambda: read_five(origin), lambda: list(origin.list())
        ]  # fmt: skip
        with ThreadPoolExecutor(len(calls)) as pool:
            started = time.monotonic()
            for call in [pool.submit(call) for call in calls]:
                with pytest.raises(UnreachableError, match=r"does not answer within 1 s|was given up") as raised:
                    call.result()
                assert raised.value.retryable
                assert "mounted" in raised.value.remedy
            assert TIMEOUT_S * 0.9 < time.monotonic() - started < TIMEOUT_S + SLACK_S
        until(lambda: not origin.pids, "a killed child is not reaped")
        assert not Path(f"/proc/{pid}").exists()
        nas.resume()
        origin.check()
        assert read_five(origin) == b"12345"
        assert [entry.path for folder in origin.list() for entry in folder.files] == ["five.flac"]


def test_the_deadline_of_a_listing_is_for_each_folder(nas: Bindfs) -> None:
    for name in "abc":
        (nas.root / name).mkdir()
    with contextlib.closing(open_share(nas)) as origin:
        folders = origin.list()
        assert next(folders).path == ""
        time.sleep(TIMEOUT_S * 1.5)  # the caller's own time does not count
        assert next(folders).path == "a"
        nas.pause()
        with pytest.raises(UnreachableError, match="does not answer within 1 s"):
            next(folders)


def test_other_calls_go_on_beside_those_that_hang(tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "music/five.flac").write_bytes(b"12345")
    inner = Bindfs(tmp_path / "disk", tmp_path / "music/slow")
    (inner.root / "a.flac").write_bytes(b"1")
    inner.start()
    try:
        with (
            contextlib.closing(MountedOrigin("share", tmp_path / "music", timeout_s=3)) as origin,
            contextlib.closing(MountedOrigin("other", tmp_path / "music", timeout_s=60)) as other,
            ThreadPoolExecutor(8) as pool,
        ):
            assert read_five(origin) == read_five(other) == b"12345"
            child = other.pids
            inner.pause()
            hanging = [pool.submit(origin.stat, "slow/a.flac") for _ in range(8)]
            reads = 0
            while not any(call.done() for call in hanging):
                with contextlib.suppress(UnreachableError):  # the last one, when the deadline strikes
                    assert read_five(origin) == b"12345"
                    reads += 1
            assert reads > 10
            for call in hanging:
                with pytest.raises(UnreachableError):
                    call.result()
            assert read_five(origin) == b"12345"  # at once: nothing of it lies on what hangs
            assert read_five(other) == b"12345"
            assert other.pids == child
    finally:
        inner.stop()


def test_a_folder_may_take_longer_than_the_deadline_while_the_server_answers(tmp_path: Path) -> None:
    server = SlowFolder(tmp_path / "slow", files=300, delay_s=0.005)
    server.start()
    try:
        with contextlib.closing(MountedOrigin("nas", server.point, timeout_s=0.5)) as origin:
            started = time.monotonic()
            (folder,) = origin.list()
            assert time.monotonic() - started > 1.5  # or this test shows nothing
            assert len(folder.files) == 300
            assert len(origin.pids) == 1
    finally:
        server.stop()


@pytest.mark.expects_log(LEFT_BEHIND)
def test_what_hangs_in_the_kernel_is_left_behind_in_bounded_number(nas: Bindfs, upper: Bindfs) -> None:
    with contextlib.closing(MountedOrigin("nas", upper.point, timeout_s=0.3)) as origin:
        origin.check()
        nas.pause()
        seen: set[int] = set()
        for _ in range(LEFT_BEHIND_MAX):
            started = time.monotonic()
            with pytest.raises(UnreachableError, match=r"does not answer within 0\.3 s"):
                origin.check()
            assert time.monotonic() - started < 0.3 + SLACK_S
            seen.update(origin.pids)
        assert len(seen) == len(origin.pids) == LEFT_BEHIND_MAX
        until(lambda: not any(thread.name == "mounted origin" for thread in threading.enumerate()), "threads stay")
        for call in (origin.check, lambda: origin.stat("five.flac"), lambda: list(origin.list())):
            started = time.monotonic()
            with pytest.raises(UnreachableError, match=f"{LEFT_BEHIND_MAX} processes hang"):
                call()
            assert time.monotonic() - started < 0.3
        assert set(origin.pids) == seen
        nas.resume()
        until(lambda: not origin.pids, "processes that hang no longer are not reaped")
        assert not any(Path(f"/proc/{pid}").exists() for pid in seen)
        origin.check()
        assert read_five(origin) == b"12345"


@pytest.mark.expects_log(LEFT_BEHIND)
def test_a_share_that_is_mounted_anew_is_tried_whatever_hangs_on_the_old_one(nas: Bindfs, upper: Bindfs) -> None:
    with (
        contextlib.closing(MountedOrigin("nas", upper.point, timeout_s=0.3)) as origin,
        contextlib.ExitStack() as stack,
    ):
        origin.check()
        nas.pause()
        stack.callback(nas.resume)
        for _ in range(LEFT_BEHIND_MAX):
            with pytest.raises(UnreachableError, match="does not answer"):
                origin.check()
        left_behind = origin.pids
        for old in (upper, nas):
            old.unmount()
        for anew in (Bindfs(nas.root, nas.point), Bindfs(upper.root, upper.point)):
            anew.start()
            stack.callback(anew.stop)
        origin.check()
        assert read_five(origin) == b"12345"
        assert origin.pids[1:] == left_behind
        nas.resume()
        until(lambda: len(origin.pids) == 1, "processes that hang no longer are not reaped")


@pytest.mark.expects_log(LEFT_BEHIND)
def test_closing_waits_for_no_child_that_hangs(nas: Bindfs, upper: Bindfs) -> None:
    before = open_descriptors()
    origin = open_share(upper, timeout_s=60)
    origin.check()
    (pid,) = origin.pids
    nas.pause()
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(call) for call in (origin.check, lambda: read_five(origin))]
        until(lambda: waits_for_fuse(upper.pid), "nothing hangs")
        started = time.monotonic()
        origin.close()
        origin.close()
        assert time.monotonic() - started < REAP_TIMEOUT_S + SLACK_S
        for call in calls:
            with pytest.raises(UnreachableError, match="closed"):
                call.result()
    assert open_descriptors() == before
    assert not any(thread.name == "mounted origin" for thread in threading.enumerate())
    assert not is_gone(pid)  # or this test shows nothing
    nas.resume()
    until(lambda: origin.pids == (), "it is not reaped once it can be")


PARENT = """
import sys, threading
from musicfs.origins.mounted import MountedOrigin
origin = MountedOrigin("nas", sys.argv[1], timeout_s=60)
origin.check()
print(origin.pids[0], flush=True)
sys.stdin.readline()
threading.Thread(target=lambda: list(origin.list())).start()
origin.read("five.flac", 0, 5, "")
print("read", flush=True)
sys.stdin.readline()
"""


@contextlib.contextmanager
def parent_of_a_child(server: Bindfs) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process with an origin on ``server``, and its child's pid; it begins to read when it is told a line."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(server.point)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        try:
            yield parent, int(parent.stdout.readline())
        finally:
            parent.kill()


def begin_to_read(parent: subprocess.Popen[str]) -> None:
    assert parent.stdin is not None
    parent.stdin.write("\n")
    parent.stdin.flush()


@pytest.mark.parametrize("hanging", [False, True])
def test_a_child_ends_with_its_parent(nas: Bindfs, *, hanging: bool) -> None:
    with parent_of_a_child(nas) as (parent, pid):
        if hanging:
            nas.pause()
            begin_to_read(parent)
            until(lambda: waits_for_fuse(pid), "the read does not hang")
        parent.kill()
        started = time.monotonic()
        until(lambda: is_gone(pid), "the child outlives its parent")
        assert time.monotonic() - started < 1


def test_a_child_that_hangs_in_the_kernel_ends_as_soon_as_it_can(nas: Bindfs, upper: Bindfs) -> None:
    with parent_of_a_child(upper) as (parent, pid):
        nas.pause()
        begin_to_read(parent)
        until(lambda: waits_for_fuse(upper.pid), "nothing hangs")
        assert parent.stdout is not None
        parent.kill()
        assert parent.stdout.read() == ""  # nobody waits for the end of what the dead child has open
        # It may be gone already: a read that waits for a page can be killed, an open that was sent cannot.
        nas.resume()
        until(lambda: is_gone(pid), "the child outlives its parent")


# The kind


def test_a_server_that_hangs_costs_one_deadline(nas: Bindfs) -> None:
    tally = Tally()
    with contextlib.closing(open_origin(nas.settings(timeout_s=0.3), tally=tally)) as origin:
        nas.pause()
        with pytest.raises(UnreachableError, match=r"does not answer within 0\.3 s"):
            read_five(origin)
        assert tally.snapshot()[Operation.READ].calls == 1


def test_the_registry_opens_it(nas: Bindfs) -> None:
    settings = nas.settings(timeout_s=TIMEOUT_S, parallel=3)
    assert kind_of(settings) == "mounted"
    with contextlib.closing(open_origin(settings)) as origin:
        assert origin.caps.parallel == 3
        assert isinstance(origin, Anchored)
        assert not isinstance(origin, LocalPaths)
        assert origin.read("five.flac", 0, 5, "") == b"12345"


def test_a_kind_is_found_out_without_the_server(nas: Bindfs, tmp_path: Path) -> None:
    (nas.root / "albums").mkdir()
    (tmp_path / "link").symlink_to(nas.point)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/relative").symlink_to("../link/albums")
    (tmp_path / "loop").symlink_to("loop")
    paths = {
        nas.point: True,
        nas.point / "albums": True,
        tmp_path / "link": True,
        tmp_path / "link/albums": True,
        tmp_path / "deep/relative": True,
        tmp_path / "deep/relative/below": True,
        tmp_path / "deep": False,
        tmp_path / "loop": False,
        tmp_path / "nowhere/at/all": False,
        Path("/"): False,
    }
    found: dict[Path, bool] = {}

    def look() -> None:
        for path in paths:
            found[path] = is_network_filesystem(path.as_posix())
        behind_a_link = nas.settings(path=str(tmp_path / "deep/relative"))
        found[Path("kind")] = kind_of(behind_a_link) == "mounted"
        found[Path("opening")] = enabled_origins(Settings(origins=(behind_a_link,))) == [behind_a_link]

    nas.pause()
    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(SLACK_S)
    in_time = not looking.is_alive()
    nas.resume()
    looking.join()
    assert in_time
    assert found == {**paths, Path("kind"): True, Path("opening"): True}
