"""The S3 origin against a real store."""

from __future__ import annotations

import itertools
import logging
import os
import random
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import obstore
import pytest
from obstore.store import S3Store

from musicfs.config.settings import OriginSettings
from musicfs.errors import ChangedError, DeniedError, GoneError, OriginError, UnreachableError
from musicfs.origins.objects import S3Origin
from musicfs.origins.registry import open_origin
from musicfs.testing.origin_suite import NAMES, OriginSuite, Subject
from musicfs.testing.proxy import CountingProxy
from tests.servers.weed import WeedServer

_numbers = itertools.count()


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WeedServer]:
    server = WeedServer(tmp_path_factory.mktemp("weed"))
    server.start()
    try:
        yield server
    finally:
        server.stop()


class StoreSubject:
    """A prefix of its own in the store's bucket."""

    def __init__(self, weed: WeedServer, **options: int) -> None:
        self.weed = weed
        self.prefix = f"own/{next(_numbers)}"
        self.origin = S3Origin(weed.settings(prefix=f"/{self.prefix}/"), **options)

    def put(self, path: str, data: bytes) -> None:
        self.weed.put(f"{self.prefix}/{path}", data)

    def remove(self, path: str) -> None:
        self.weed.remove(f"{self.prefix}/{path}")


class StoreSuite(OriginSuite):
    surrogate_names = ()  # keys are UTF-8
    names = tuple(name for name in NAMES if "\\" not in name)  # this store takes a backslash for a slash
    options: ClassVar[dict[str, int]] = {}

    @pytest.fixture(autouse=True)
    def _store(self, weed: WeedServer) -> None:
        self.weed = weed

    def open_subject(self, tmp_path: Path) -> Subject:
        return StoreSubject(self.weed, **self.options)


class TestStore(StoreSuite):
    pass


class TestStoreWithTooMuchForOneListing(StoreSuite):
    """Every folder with more than two files is too large to be listed at once."""

    options: ClassVar[dict[str, int]] = {"keys_max": 2}


@pytest.fixture
def subject(weed: WeedServer) -> Iterator[StoreSubject]:
    subject = StoreSubject(weed)
    yield subject
    subject.origin.close()


def test_through_the_registry(subject: StoreSubject) -> None:
    subject.put("a/1.flac", b"12345")
    origin = open_origin(subject.weed.settings(prefix=subject.prefix))
    (entry,) = (entry for folder in origin.list() for entry in folder.files)
    assert origin.read(entry.path, 1, 4, entry.version) == b"234"
    origin.close()


def test_opening_does_nothing(weed: WeedServer) -> None:
    with CountingProxy(weed.port) as proxy:
        origin = S3Origin(weed.settings(endpoint=f"http://127.0.0.1:{proxy.port}", access_key_id="file:/nowhere"))
        assert proxy.snapshot().connections == 0
        with pytest.raises(DeniedError, match="/nowhere cannot be read"):
            origin.check()
        origin.close()


def test_a_bucket_without_a_prefix(weed: WeedServer) -> None:
    assert weed.request("PUT", "/whole")[0] == 200
    for key in ("top.flac", "a/1.flac"):
        assert weed.request("PUT", f"/whole/{key}", body=b"12345")[0] == 200
    origin = S3Origin(weed.settings(bucket="whole"))
    assert [(folder.path, len(folder.files)) for folder in origin.list()] == [("", 1), ("a", 1)]
    assert origin.read("top.flac", 0, 5, "") == b"12345"
    origin.close()


def test_a_prefix_without_keys_is_empty_and_a_folder_without_keys_is_gone(subject: StoreSubject) -> None:
    assert [(folder.path, folder.files) for folder in subject.origin.list()] == [("", ())]
    with pytest.raises(GoneError, match="no folder"):
        list(subject.origin.list("missing"))


def test_folder_markers_and_names_taken_twice(subject: StoreSubject) -> None:
    for key in ("empty/", "a/", "a/1.flac", "twice", "twice/1.flac"):
        subject.put(key, b"" if key.endswith("/") else b"1")
    folders = {folder.path: folder for folder in subject.origin.list()}
    assert set(folders) == {"", "empty", "a", "twice"}
    assert folders[""].skipped == (("twice", "a folder has the same name"),)
    assert [entry.path for entry in folders["a"].files] == ["a/1.flac"]


def test_include_and_exclude(subject: StoreSubject) -> None:
    for key in ("a/1.flac", "a/1.iso", "podcasts/1.mp3"):
        subject.put(key, b"1")
    origin = S3Origin(subject.weed.settings(prefix=subject.prefix, exclude=("*.iso", "podcasts/")))
    assert [entry.path for folder in origin.list() for entry in folder.files] == ["a/1.flac"]
    assert origin.stat("a/1.iso") is None
    assert origin.stat("podcasts/1.mp3") is None
    with pytest.raises(GoneError):
        list(origin.list("podcasts"))
    origin.close()


def test_an_object_in_parts_that_another_client_wrote(subject: StoreSubject) -> None:
    """Its ETag is no MD5 but one of its parts' (it says how many there are), and a version like any other."""
    weed = subject.weed
    store = S3Store(
        weed.bucket, prefix=subject.prefix, endpoint=weed.endpoint, access_key_id=weed.access_key_id,
        secret_access_key=weed.secret_access_key, client_options={"allow_http": True},
    )  # fmt: skip
    data = random.Random(1).randbytes(12_000_000)
    obstore.put(store, "large/é +&%.flac", data, use_multipart=True, chunk_size=5 * 1024 * 1024)
    (entry,) = (entry for folder in subject.origin.list() for entry in folder.files)
    assert entry.path == "large/é +&%.flac"
    assert entry.size == len(data)
    assert entry.version.endswith("-3")
    assert subject.origin.stat(entry.path) == entry
    for start, stop in ((0, len(data)), (5_242_870, 5_242_890), (11_999_999, 12_000_000)):
        assert subject.origin.read(entry.path, start, stop, entry.version) == data[start:stop]


def test_an_object_that_is_replaced_while_it_is_read(subject: StoreSubject) -> None:
    subject.put("file.flac", b"a" * 100_000)
    (entry,) = (entry for folder in subject.origin.list() for entry in folder.files)
    assert subject.origin.read("file.flac", 0, 50_000, entry.version) == b"a" * 50_000
    subject.put("file.flac", b"b" * 100_000)
    with pytest.raises(ChangedError):
        subject.origin.read("file.flac", 50_000, 100_000, entry.version)


def test_requests(subject: StoreSubject) -> None:
    for number in range(1100):
        subject.put(f"{number // 10:03}/{number:04}.flac", b"1234")
    with CountingProxy(subject.weed.port) as proxy:
        origin = S3Origin(subject.weed.settings(prefix=subject.prefix, endpoint=f"http://127.0.0.1:{proxy.port}"))
        entries = [entry for folder in origin.list() for entry in folder.files]
        assert len(entries) == 1100
        assert proxy.snapshot().turns == 2  # a thousand keys a request
        proxy.reset()
        for entry in entries[:20]:
            assert origin.read(entry.path, 1, 3, entry.version) == b"23"
        assert proxy.snapshot().turns == 20
        assert proxy.snapshot().connections == 0  # the listing's is used again
        origin.close()


def test_many_threads(subject: StoreSubject) -> None:
    """A connection a thread at most, the right bytes in each, and nothing left after close."""
    data = random.Random(2).randbytes(2_000_000)
    subject.put("file.flac", data)
    version = next(entry.version for folder in subject.origin.list() for entry in folder.files)
    subject.origin.close()
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    with CountingProxy(subject.weed.port) as proxy:
        inside = len(os.listdir("/proc/self/fd"))
        origin = S3Origin(subject.weed.settings(prefix=subject.prefix, endpoint=f"http://127.0.0.1:{proxy.port}"))

        def read(seed: int) -> None:
            rng = random.Random(seed)
            for _ in range(20):
                start = rng.randrange(len(data))
                stop = min(len(data), start + 1 + rng.randrange(65_536))
                assert origin.read("file.flac", start, stop, version) == data[start:stop]

        with ThreadPoolExecutor(32) as pool:
            for done in [pool.submit(read, seed) for seed in range(32)]:
                done.result()
        counts = proxy.snapshot()
        assert counts.turns == 32 * 20
        assert counts.connections <= 32
        origin.close()
        deadline = time.monotonic() + 5
        while proxy.live and time.monotonic() < deadline:  # the proxy closes its ends when it sees ours closed
            time.sleep(0.01)
        assert len(os.listdir("/proc/self/fd")) == inside
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == (threads, descriptors)


def test_a_line_that_breaks_in_the_middle_of_an_answer(subject: StoreSubject) -> None:
    subject.put("file.flac", b"x" * 1_000_000)
    with CountingProxy(subject.weed.port) as proxy:
        origin = S3Origin(
            subject.weed.settings(prefix=subject.prefix, endpoint=f"http://127.0.0.1:{proxy.port}", timeout_s=0.5)
        )
        proxy.cut_after(300_000)
        with pytest.raises(UnreachableError, match="before its answer was complete"):
            origin.read("file.flac", 0, 1_000_000, "")
        assert origin.read("file.flac", 0, 3, "") == b"xxx"
        proxy.stall()
        with pytest.raises(UnreachableError, match=r"does not answer within 0\.5 s"):
            origin.read("file.flac", 0, 3, "")
        proxy.resume()
        assert origin.read("file.flac", 0, 3, "") == b"xxx"
        proxy.cut()  # what is kept is dead
        assert origin.read("file.flac", 0, 3, "") == b"xxx"
        origin.close()


def wrong_settings(weed: WeedServer, folder: Path) -> dict[str, OriginSettings]:
    other = folder / "other"
    other.touch(mode=0o600)
    other.write_text("another-but-secret-too")
    return {
        "refuses the access key: its secret is another one": weed.settings(secret_access_key=f"file:{other}"),
        "refuses the access key: it does not know it": weed.settings(access_key_id=f"file:{other}"),
        "refuses requests without an access key: none was found": weed.settings(access_key_id="", secret_access_key=""),
        "there is no bucket 'nowhere' on": weed.settings(bucket="nowhere"),
        "onnection refused": weed.settings(endpoint="http://127.0.0.1:1"),
        "its name is not known here": weed.settings(endpoint="http://nas.invalid"),
        "does not speak TLS": weed.settings(endpoint=weed.endpoint.replace("http:", "https:")),
    }


def test_what_is_wrong_is_said_in_words_and_without_secrets(
    weed: WeedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("HOME", str(tmp_path))
    weed.put("own/there.flac", b"1")
    for words, settings in wrong_settings(weed, tmp_path).items():
        origin = S3Origin(settings)
        kind = DeniedError if "access key" in words else UnreachableError
        for call in (
            origin.check,
            lambda origin=origin: list(origin.list()),
            lambda origin=origin: origin.read("own/there.flac", 0, 1, ""),
            lambda origin=origin: origin.read("nowhere.flac", 0, 1, ""),
            lambda origin=origin: origin.read("nowhere.flac", 0, 0, ""),
            lambda origin=origin: origin.stat("nowhere.flac"),
        ):
            with pytest.raises(OriginError) as raised:
                call()
            assert type(raised.value) is kind, (words, raised.value)
            text = "".join(traceback.format_exception(raised.value)) + raised.value.remedy + repr(origin)
            assert "'bucket'" in str(raised.value)
            for secret in (weed.secret_access_key, "another-but-secret-too", "Signature=", "AWS4"):
                assert secret not in text
                assert secret not in caplog.text
        with pytest.raises(OriginError, match=words):
            origin.check()
        origin.close()


def test_a_key_that_is_put_right_is_found_without_opening_again(weed: WeedServer, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text("wrong")
    origin = S3Origin(weed.settings(secret_access_key=f"file:{key}"))
    with pytest.raises(DeniedError):
        origin.check()
    key.write_text(weed.secret_access_key)
    origin.check()
    origin.close()


def test_a_store_that_stops_answering(subject: StoreSubject) -> None:
    weed = subject.weed
    subject.put("file.flac", b"12345")
    origin = S3Origin(weed.settings(prefix=subject.prefix, timeout_s=0.5))
    version = next(entry.version for folder in origin.list() for entry in folder.files)
    weed.pause()
    try:
        for call in (origin.check, lambda: origin.read("file.flac", 0, 5, version), lambda: list(origin.list())):
            begun = time.monotonic()
            with pytest.raises(UnreachableError, match=r"does not answer within 0\.5 s"):
                call()
            assert time.monotonic() - begun < 2
    finally:
        weed.resume()
    assert origin.read("file.flac", 0, 5, version) == b"12345"
    origin.close()


def test_a_store_that_is_killed_and_comes_back(subject: StoreSubject) -> None:
    weed = subject.weed
    subject.put("file.flac", b"12345")
    (entry,) = (entry for folder in subject.origin.list() for entry in folder.files)
    weed.kill()
    try:
        for call in (subject.origin.check, lambda: subject.origin.read("file.flac", 0, 5, entry.version)):
            with pytest.raises(UnreachableError, match="onnection refused"):
                call()
        with pytest.raises(UnreachableError):
            subject.origin.stat("file.flac")
    finally:
        weed.start()
    assert next(iter(subject.origin.list())).files == (entry,)
    assert subject.origin.read("file.flac", 0, 5, entry.version) == b"12345"
