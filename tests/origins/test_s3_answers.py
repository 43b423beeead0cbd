"""What the S3 origin makes of answers that a store should not give, or gives seldom."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from musicfs.config.settings import OriginSettings
from musicfs.errors import ChangedError, DeniedError, GoneError, OriginError, UnreachableError
from musicfs.origins.objects import S3Origin
from tests.origins.answers import Answer, AnsweringServer, answering, say

LISTING = (
    b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a.flac</Key><ETag>e</ETag><Size>4</Size>"
    b"<LastModified>2026-11-21T06:07:47.123Z</LastModified></Contents></ListBucketResult>"
)
ENDLESS = b"<NextContinuationToken>t</NextContinuationToken></ListB"


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def open_at(server: AnsweringServer, timeout_s: float = 5.0) -> S3Origin:
    return S3Origin(OriginSettings(id="x", origin_type="s3", bucket="music", endpoint=server.url, timeout_s=timeout_s))


def error_document(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>hush</Message></Error>".encode()


def plainly(status: int, body: bytes = b"", *, length: int | None = None, **headers: str) -> Answer:
    return lambda _line, _headers, connection: say(connection, status, body, length=length, **headers)


READS: list[tuple[type[OriginError], str, Answer]] = [
    (UnreachableError, "whole objects, not with ranges", plainly(200, b"1234", ETag='"e"')),
    (UnreachableError, "whole objects, not with ranges", plainly(200, b"", length=1 << 40, ETag='"e"')),
    (UnreachableError, "another range", plainly(206, b"12", Content_Range="bytes 0-1/9", ETag='"e"')),
    (UnreachableError, "another range", plainly(206, b"1234", Content_Range="bytes 1-4/9", ETag='"e"')),
    (UnreachableError, "another range", plainly(206, b"123", Content_Range="bytes 0-3/9", ETag='"e"')),
    (UnreachableError, "another range", plainly(206, b"1234", ETag='"e"')),
    (UnreachableError, "which version", plainly(206, b"1234", Content_Range="bytes 0-3/9")),
    (ChangedError, "not the version", plainly(206, b"1234", Content_Range="bytes 0-3/9", ETag='"other"')),
    (ChangedError, "not the version", plainly(412)),
    (ChangedError, "no bytes 0 to 4 in 3", plainly(206, b"123", Content_Range="bytes 0-2/3", ETag='"e"')),
    (ChangedError, "no bytes 0 to 4", plainly(416)),
    (GoneError, "not there", plainly(404, error_document("NoSuchKey"))),
    (UnreachableError, "there is no bucket 'music' on", plainly(404, error_document("NoSuchBucket"))),
    (UnreachableError, "there is no bucket 'music' on", plainly(404, b"<html>not found")),
    (DeniedError, "refuses requests without an access key: none was found", plainly(403, error_document("AccessDenied"))),
    (UnreachableError, "which version", plainly(206, b"1234", Content_Range="bytes 0-3/9", ETag='"\xe9"')),
    (DeniedError, "an archive holds it", plainly(403, error_document("InvalidObjectState"))),
    (DeniedError, "in another region", plainly(400, error_document("AuthorizationHeaderMalformed"))),
    (UnreachableError, "answered 503 SlowDown", plainly(503, error_document("SlowDown"))),
    (UnreachableError, "answered 500", plainly(500, b"hush")),
    (UnreachableError, "in the region mars-1", plainly(301, x_amz_bucket_region="mars-1")),
    (UnreachableError, "before its answer was complete", lambda _l, _h, c: not say(c, 206, b"12", length=4, ETag="e")),
    (UnreachableError, "before its answer was complete", lambda _l, _h, _c: False),
    (UnreachableError, "does not answer in HTTP", lambda _l, _h, c: c.send(b"SSH-2.0-hush\r\n") == 0),
]  # fmt: skip


@pytest.mark.parametrize(("error", "words", "answer"), READS, ids=[words for _, words, _ in READS])
def test_reads(error: type[OriginError], words: str, answer: Answer) -> None:
    with answering(answer) as server:
        origin = open_at(server)
        with pytest.raises(OriginError, match=words) as raised:
            origin.read("a.flac", 0, 4, "e")
        assert type(raised.value) is error
        assert "hush" not in f"{raised.value} {raised.value.remedy}"
        origin.close()


LISTS: list[tuple[str, Answer]] = [
    ("as an S3 store does", plainly(200, b"<html><body>Welcome to this hotel</body></html>")),
    ("as an S3 store does", plainly(200, b"")),
    ("as an S3 store does", plainly(200, LISTING.replace(b"<Size>4</Size>", b""))),
    ("as an S3 store does", plainly(200, LISTING.replace(b"false", b"true"))),
    ("as an S3 store does", plainly(200, LISTING[:-30])),
    ("does not come to an end", plainly(200, LISTING.replace(b"false", b"true").replace(b"</ListB", ENDLESS))),
    ("there is no bucket", plainly(404, error_document("NoSuchBucket"))),
    ("answered 500", plainly(500)),
]  # fmt: skip


@pytest.mark.parametrize(("words", "answer"), LISTS)
def test_what_is_no_listing_is_never_an_empty_one(words: str, answer: Answer) -> None:
    with answering(answer) as server:
        origin = open_at(server)
        with pytest.raises(UnreachableError, match=words):
            list(origin.list())
        origin.close()


def test_a_bucket_that_is_not_there_makes_nothing_gone() -> None:
    with answering(plainly(404, error_document("NoSuchBucket"))) as server:
        origin = open_at(server)
        for call in (origin.check, lambda: origin.stat("a.flac"), lambda: origin.read("..", 0, 0, "")):
            with pytest.raises(UnreachableError, match="there is no bucket"):
                call()
        origin.close()


def test_times_have_whole_seconds_everywhere() -> None:
    def answer(line: str, _headers: dict[str, str], connection: socket.socket) -> bool:
        if line.startswith("HEAD"):
            when = "Sat, 21 Nov 2026 06:07:47 GMT"
            return say(connection, 200, length=4, ETag='"e"', Last_Modified=when)
        return say(connection, 200, LISTING)

    with answering(answer) as server:
        origin = open_at(server)
        (folder,) = origin.list()
        assert origin.stat("a.flac") == folder.files[0]
        assert server.connections == 1
        origin.close()


def test_a_kept_connection_that_the_server_closed_is_not_missed() -> None:
    """Both before it is used again, and (a race in life) while the next request is sent."""
    seen = threading.Semaphore(0)

    def answer(_line: str, _headers: dict[str, str], connection: socket.socket) -> bool:
        seen.release()
        if len(server.requests) in {2, 4}:
            return False  # in place of an answer
        say(connection, 200, LISTING)
        return len(server.requests) != 5

    with answering(answer) as server:
        origin = open_at(server)
        for _ in range(5):
            origin.check()
        assert len(server.requests) == 7
        origin.close()


def test_a_server_that_is_silent_or_drips_is_given_up() -> None:
    released = threading.Event()

    def answer(line: str, _headers: dict[str, str], connection: socket.socket) -> bool:
        if "silent" in line:
            return released.wait(10)
        say(connection, 206, b"", length=1000, Content_Range="bytes 0-999/1000", ETag='"e"')
        while not released.wait(0.02):
            connection.sendall(b"x")
        return False

    with answering(answer) as server:
        origin = open_at(server, timeout_s=0.3)
        for path in ("silent", "drips"):
            begun = time.monotonic()
            with pytest.raises(UnreachableError, match=r"does not answer within 0\.3 s"):
                origin.read(path, 0, 1000, "e")
            assert time.monotonic() - begun < 2
        released.set()
        origin.close()


def test_close_ends_what_is_under_way() -> None:
    begun, released = threading.Event(), threading.Event()

    def answer(_line: str, _headers: dict[str, str], _connection: socket.socket) -> bool:
        begun.set()
        return released.wait(10)

    with answering(answer) as server:
        origin = open_at(server, timeout_s=60)
        failures: list[Exception] = []

        def read() -> None:
            try:
                origin.read("a.flac", 0, 4, "e")
            except UnreachableError as error:
                failures.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        assert begun.wait(10)
        origin.close()
        reader.join(5)
        assert [str(error) for error in failures] == ["origin 'x' is closed"]
        with pytest.raises(UnreachableError, match="is closed"):
            origin.check()
        released.set()


def test_a_line_that_went_dead_costs_one_timeout() -> None:
    """All kept connections are dropped with the first that does not answer."""
    dead = threading.Event()
    together = threading.Barrier(4)
    old: set[int] = set()

    def answer(_line: str, _headers: dict[str, str], connection: socket.socket) -> bool:
        if not dead.is_set():
            old.add(connection.fileno())
            together.wait(10)
            return say(connection, 200, LISTING)
        if connection.fileno() in old:
            return True  # as if it had never come
        return say(connection, 200, LISTING)

    with answering(answer) as server:
        origin = open_at(server, timeout_s=0.5)
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(origin.check) for _ in range(4)]:
                done.result()
        dead.set()
        with pytest.raises(UnreachableError, match="does not answer"):
            origin.check()
        origin.check()
        assert server.connections == 5
        origin.close()


def test_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    names = ["-subj", "/CN=store", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*make, *names, *files], check=True, capture_output=True, timeout=60)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with answering(plainly(200, LISTING), tls) as server:
        origin = open_at(server)
        with pytest.raises(UnreachableError, match="a certificate that cannot be trusted: self-signed"):
            origin.check()
        origin.close()
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        origin = open_at(server)
        origin.check()
        origin.close()
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "nowhere"))
        origin = open_at(server)
        with pytest.raises(UnreachableError, match="nowhere cannot be used: No such file"):
            origin.check()
        origin.close()


def test_requests_stay_below_the_prefix() -> None:
    """An access key may be good for a part of the bucket only."""
    with answering(plainly(200, LISTING.replace(b"a.flac", b"my/own/a.flac"))) as server:
        settings = OriginSettings(id="x", origin_type="s3", bucket="music", endpoint=server.url, prefix="/my/own/")
        origin = S3Origin(settings)
        origin.check()
        assert [entry.path for folder in origin.list() for entry in folder.files] == ["a.flac"]
        assert all("prefix=my%2Fown%2F" in request for request in server.requests)
        origin.close()
