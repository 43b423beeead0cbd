"""The WebDAV origin against a real server."""

from __future__ import annotations

import itertools
import logging
import os
import random
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from musicfs.config.settings import OriginSettings
from musicfs.errors import ChangedError, ConfigError, DeniedError, GoneError, OriginError, UnreachableError
from musicfs.origins.registry import open_origin
from musicfs.origins.webdav import WebdavOrigin
from musicfs.testing.origin_suite import OriginSuite, Subject
from musicfs.testing.proxy import CountingProxy
from tests.origins.answers import Answer, answering, say
from tests.origins.subjects import FolderSubject
from tests.servers.apache import ApacheServer

_numbers = itertools.count()


@pytest.fixture(scope="module")
def apache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheServer]:
    folder = tmp_path_factory.mktemp("apache")
    for each in (folder, *folder.parents):
        if each.name.startswith(("pytest", "apache")):
            each.chmod(0o755)
    server = ApacheServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class TestServer(OriginSuite):
    @pytest.fixture(autouse=True)
    def _server(self, apache: ApacheServer) -> None:
        self.apache = apache

    def open_subject(self, tmp_path: Path) -> Subject:
        name = f"own {next(_numbers)}"
        origin = WebdavOrigin(self.apache.settings(path=name.replace(" ", "%20") + "/"))
        return FolderSubject(self.apache.root / name, origin)


@pytest.fixture
def folder(apache: ApacheServer) -> FolderSubject:
    """A folder of the server, by the name of which it is reached."""
    return FolderSubject(apache.root / f"own{next(_numbers)}")


def path_of(folder: FolderSubject) -> str:
    return os.path.basename(os.fsdecode(folder.folder))


def proxied(apache: ApacheServer, folder: FolderSubject, proxy: CountingProxy) -> WebdavOrigin:
    url = f"http://127.0.0.1:{proxy.port}/{path_of(folder)}"
    return WebdavOrigin(apache.settings(url=url, timeout_s=0.5))


def test_through_the_registry(apache: ApacheServer, folder: FolderSubject) -> None:
    folder.put("a/1.flac", b"12345")
    origin = open_origin(apache.settings(path=path_of(folder), exclude=("*.iso",)))
    folder.put("a/1.iso", b"12345")
    (entry,) = (entry for each in origin.list() for entry in each.files)
    assert entry.path == "a/1.flac"
    assert entry.mtime_ns == os.stat(folder.full("a/1.flac")).st_mtime_ns
    assert origin.read(entry.path, 1, 4, entry.version) == b"234"
    assert origin.stat("a/1.iso") is None
    origin.close()


def test_a_young_file_and_the_same_file_later(apache: ApacheServer, folder: FolderSubject) -> None:
    """Apache's ETag of a file younger than a second is weak, and strong later: both versions can be read."""
    folder.put("file.flac", b"12345")
    os.utime(folder.full("file.flac"))
    origin = WebdavOrigin(apache.settings(path=path_of(folder)))
    (entry,) = (entry for each in origin.list() for entry in each.files)
    assert not entry.version.startswith('"')
    assert origin.read("file.flac", 0, 5, entry.version) == b"12345"
    os.utime(folder.full("file.flac"), ns=(entry.mtime_ns, entry.mtime_ns))
    deadline = time.monotonic() + 10
    while not (later := origin.stat("file.flac")) or not later.version.startswith('"'):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert origin.read("file.flac", 0, 5, later.version) == b"12345"
    assert origin.read("file.flac", 0, 5, entry.version) == b"12345"
    origin.close()


def test_requests_and_threads(apache: ApacheServer, folder: FolderSubject) -> None:
    data = random.Random(2).randbytes(1_000_000)
    for name in "abcd":
        folder.put(f"{name}/1.flac", data)
    with CountingProxy(apache.port) as proxy:
        threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
        origin = proxied(apache, folder, proxy)
        assert proxy.snapshot().connections == 0
        versions = {entry.path: entry.version for each in origin.list() for entry in each.files}
        assert proxy.snapshot().turns == 5  # a request a folder
        proxy.reset()

        def read(seed: int) -> None:
            rng = random.Random(seed)
            for _ in range(20):
                path, start = rng.choice(sorted(versions)), rng.randrange(len(data))
                stop = min(len(data), start + 1 + rng.randrange(65_536))
                assert origin.read(path, start, stop, versions[path]) == data[start:stop]

        with ThreadPoolExecutor(32) as pool:
            for done in [pool.submit(read, seed) for seed in range(32)]:
                done.result()
        assert proxy.snapshot().turns == 32 * 20
        assert proxy.snapshot().connections <= 32
        origin.close()
        deadline = time.monotonic() + 5
        while proxy.live and time.monotonic() < deadline:  # the proxy closes its ends when it sees ours closed
            time.sleep(0.01)
        assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == (threads, descriptors)


def test_a_listing_asks_ahead_and_leaves_no_threads(apache: ApacheServer, folder: FolderSubject) -> None:
    for number in range(30):
        folder.put(f"{number:02}/{number}/1.flac", b"1")
    threads = threading.active_count()
    origin = WebdavOrigin(apache.settings(path=path_of(folder)))
    listing = origin.list()
    assert next(listing).path == ""
    assert threading.active_count() == threads  # a caller that wants one folder pays for one
    assert [next(listing).path for _ in range(3)] == ["00", "00/0", "01"]
    assert threading.active_count() > threads
    listing.close()  # type: ignore[attr-defined]  # a generator
    assert threading.active_count() == threads
    with CountingProxy(apache.port) as proxy:
        through = proxied(apache, folder, proxy)
        assert len(list(through.list())) == 61
        assert proxy.snapshot().turns == 61
        assert 1 < proxy.snapshot().connections <= 5
        through.close()
    origin.close()


def test_a_server_that_stops_answering_or_is_killed(apache: ApacheServer, folder: FolderSubject) -> None:
    folder.put("file.flac", b"12345")
    origin = WebdavOrigin(apache.settings(path=path_of(folder), timeout_s=0.5))
    (entry,) = (entry for each in origin.list() for entry in each.files)
    calls = (origin.check, lambda: origin.read("file.flac", 0, 5, entry.version), lambda: origin.stat("file.flac"))
    apache.pause()
    try:
        for call in calls:
            with pytest.raises(UnreachableError, match=r"does not answer within 0\.5 s"):
                call()
    finally:
        apache.resume()
    assert origin.read("file.flac", 0, 5, entry.version) == b"12345"
    apache.kill()
    try:
        for call in calls:
            with pytest.raises(UnreachableError, match="onnection refused"):
                call()
    finally:
        apache.start()
    assert origin.read("file.flac", 0, 5, entry.version) == b"12345"
    origin.close()


def test_a_line_that_breaks(apache: ApacheServer, folder: FolderSubject) -> None:
    folder.put("file.flac", b"x" * 1_000_000)
    with CountingProxy(apache.port) as proxy:
        origin = proxied(apache, folder, proxy)
        proxy.cut_after(300_000)
        with pytest.raises(UnreachableError, match="before its answer was complete"):
            origin.read("file.flac", 0, 1_000_000, "")
        assert origin.read("file.flac", 0, 3, "") == b"xxx"
        proxy.cut()
        assert origin.read("file.flac", 0, 3, "") == b"xxx"
        origin.close()


def test_what_is_wrong_is_said_in_words_and_without_secrets(
    apache: ApacheServer, folder: FolderSubject, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    folder.put("file.flac", b"1")
    path, other = path_of(folder), tmp_path / "other"
    other.touch(mode=0o600)
    other.write_text("another-but-secret-too")
    cases = {
        "the user name or the password is wrong": apache.settings(path=path, password=f"file:{other}"),
        "refuses requests without a user's name": apache.settings(path=path, username="", password=""),
        "there is no folder http": apache.settings(path="nowhere"),
        "answered 400 when asked for": apache.settings(path=f"{path}/file.flac"),
        "onnection refused": apache.settings(url="http://127.0.0.1:1"),
    }
    for words, settings in cases.items():
        origin = WebdavOrigin(settings)
        for call in (
            origin.check,
            lambda origin=origin: list(origin.list()),
            lambda origin=origin: origin.read("nowhere.flac", 0, 0, ""),
            lambda origin=origin: origin.read("nowhere.flac", 0, 1, ""),
            lambda origin=origin: origin.stat("nowhere.flac"),
        ):
            with pytest.raises(OriginError, match=words) as raised:
                call()
            assert isinstance(raised.value, DeniedError if "user" in words else UnreachableError)
            text = "".join(traceback.format_exception(raised.value)) + raised.value.remedy + repr(origin)
            for secret in (apache.password, "another-but-secret-too", "Basic "):
                assert secret not in text
                assert secret not in caplog.text
        origin.close()


@pytest.mark.parametrize("url", ["", "nas/music", "http://me:hush@nas/music", "http://nas/music?x=1"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        WebdavOrigin(OriginSettings(id="x", origin_type="webdav", url=url))
    assert "hush" not in str(raised.value)


def resource(href: str, *, folder: bool = False, status: str = "HTTP/1.1 200 OK", size: str = "4") -> str:
    kind = "<d:collection/>" if folder else ""
    return (
        f"<d:response><d:href>{href}</d:href><d:propstat><d:prop><d:resourcetype>{kind}</d:resourcetype>"
        f"<d:getcontentlength>{size}</d:getcontentlength><d:getetag>&quot;e&quot;</d:getetag>"
        f"</d:prop><d:status>{status}</d:status></d:propstat></d:response>"
    )


def described(*resources: str) -> Answer:
    body = f'<d:multistatus xmlns:d="DAV:">{"".join(resources)}</d:multistatus>'.encode()
    return lambda _line, _headers, connection: say(connection, 207, body)


TOP = resource("/dav/my%20music/", folder=True)


def open_at(url: str) -> WebdavOrigin:
    return WebdavOrigin(OriginSettings(id="x", origin_type="webdav", url=f"{url}/dav/my%20music", timeout_s=5.0))


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("as a WebDAV server does", described()),
        ("as a WebDAV server does", described(TOP, resource("/elsewhere/a.flac"))),
        ("as a WebDAV server does", described(resource("/dav/my%20music/a.flac"))),
        ("as a WebDAV server does", lambda _l, _h, c: say(c, 207, b"<html>")),
        ("does not speak WebDAV there", lambda _l, _h, c: say(c, 200, b"<html>Welcome to this hotel</html>")),
        ("does not speak WebDAV there", lambda _l, _h, c: say(c, 405)),
        ("says that .* is elsewhere", lambda _l, _h, c: say(c, 301, Location="https://nas/dav/")),
        ("answered 503", lambda _l, _h, c: say(c, 503)),
    ],
)
def test_what_is_no_listing_is_never_an_empty_one(words: str, answer: Answer) -> None:
    with answering(answer) as server:
        origin = open_at(server.url)
        with pytest.raises(UnreachableError, match=words):
            list(origin.list())
        origin.close()


def test_what_a_server_does_not_describe_is_not_gone() -> None:
    hidden = resource("/dav/my%20music/hidden.flac", status="HTTP/1.1 403 Forbidden")
    odd = resource("http://nas/dav/my%20music/odd.flac", size="")
    good = resource("/dav/my%20music/a%26b.flac")
    with answering(described(good, TOP, hidden, odd)) as server:
        origin = open_at(server.url)
        (top,) = origin.list()
        assert [entry.path for entry in top.files] == ["a&b.flac"]
        assert [name for name, _ in top.skipped] == ["hidden.flac", "odd.flac"]
        assert not top.complete
        origin.close()


def test_a_folder_that_is_refused_hides_nothing_else() -> None:
    def answer(line: str, headers: dict[str, str], connection: socket.socket) -> bool:
        if "/no/" in line:
            return say(connection, 403)
        return described(TOP, resource("/dav/my%20music/no/", folder=True))(line, headers, connection)

    with answering(answer) as server:
        origin = open_at(server.url)
        top, refused = origin.list()
        assert (top.complete, refused.path, refused.complete) == (True, "no", False)
        with pytest.raises(DeniedError):
            list(origin.list("no"))
        origin.close()


@pytest.mark.parametrize(
    ("error", "words", "answer"),
    [
        (UnreachableError, "whole files", lambda _l, _h, c: say(c, 200, b"1234", ETag='"e"')),
        (UnreachableError, "another range", lambda _l, _h, c: say(c, 206, b"123", Content_Range="bytes 0-3/4", ETag='"e"')),
        (ChangedError, "not the version", lambda _l, _h, c: say(c, 206, b"1234", Content_Range="bytes 0-3/4", ETag='"f"')),
        (ChangedError, "not the version", lambda _l, _h, c: say(c, 412)),
        (ChangedError, "has no bytes 0 to 4", lambda _l, _h, c: say(c, 416)),
        (GoneError, "is not there", lambda _l, _h, c: say(c, 404)),
        (GoneError, "is not there", lambda _l, _h, c: say(c, 301, Location="/dav/my%20music/a.flac/")),
        (DeniedError, "a.flac: permission denied", lambda _l, _h, c: say(c, 403)),
    ],
)  # fmt: skip
def test_reads(error: type[OriginError], words: str, answer: Answer) -> None:
    def reply(line: str, headers: dict[str, str], connection: socket.socket) -> bool:
        if line.startswith("GET"):
            assert headers["if-match"] == '"e"'
            return answer(line, headers, connection)
        itself = resource("/dav/my%20music/a.flac") if "a.flac" in line else TOP
        return described(itself)(line, headers, connection)

    with answering(reply) as server:
        origin = open_at(server.url)
        with pytest.raises(OriginError, match=words) as raised:
            origin.read("a.flac", 0, 4, '"e"')
        assert type(raised.value) is error
        origin.close()
