"""The NFS origin against servers that do what the protocol lets them, and against some that break it."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicfs.errors import ChangedError, DeniedError, GoneError, UnreachableError
from musicfs.model import Entry
from musicfs.origins import nfs_protocol as nfs
from musicfs.origins import nfs_server
from musicfs.origins.nfs import NfsOrigin
from musicfs.origins.nfs_rpc import Call, StatusError
from musicfs.origins.nfs_server import Address
from musicfs.origins.nfs_xdr import Reader, XdrError, opaque, uint
from tests.origins.fake_nfs import ROOT, FakeNfs

CONTENT = random.Random(1).randbytes(2_500_000)
READ, LOOKUP, READDIRPLUS = ((nfs.NFS_PROGRAM, procedure) for procedure in (6, 3, 17))


@pytest.fixture
def fake() -> Iterator[FakeNfs]:
    with FakeNfs({b"a.flac": CONTENT, b"b.flac": b"b", b"c.flac": b"c", b"d\xff": b"d", b"folder": None}) as fake:
        yield fake


@pytest.fixture
def origin(fake: FakeNfs) -> Iterator[NfsOrigin]:
    with contextlib.closing(open_at(fake)) as origin:
        yield origin


def open_at(fake: FakeNfs, *, export: str = "/music", mount_port: int | None = None, anchor: bytes = b"") -> NfsOrigin:
    port = fake.port if mount_port is None else mount_port
    return NfsOrigin("fake", Address("127.0.0.1", export, fake.port, port), timeout_s=2, anchor=anchor)


def entries(origin: NfsOrigin) -> list[Entry]:
    return [entry for folder in origin.list() for entry in folder.files]


@pytest.mark.parametrize("fragment_bytes", [1 << 30, 1000, 61])
@pytest.mark.parametrize("most_bytes", [1 << 20, 70_001])
@pytest.mark.parametrize("readdirplus", [True, False])
@pytest.mark.parametrize("attributes", [True, False])
def test_sparing_servers(
    fake: FakeNfs, origin: NfsOrigin, attributes: bool, readdirplus: bool, most_bytes: int, fragment_bytes: int
) -> None:
    """Attributes left out, no READDIRPLUS, short reads, answers in many fragments: the same is seen."""
    fake.attributes, fake.readdirplus, fake.most_bytes = attributes, readdirplus, most_bytes
    fake.fragment_bytes = fragment_bytes
    content = CONTENT if fragment_bytes > 1000 else CONTENT[:50_000]
    fake.files[b"a.flac"] = content
    listed = entries(origin)
    assert [(entry.path, entry.size) for entry in listed] == [
        ("a.flac", len(content)),
        ("b.flac", 1),
        ("c.flac", 1),
        ("d\udcff", 1),
    ]
    assert [origin.stat(entry.path) for entry in listed] == listed
    for start, stop in ((0, len(content)), (40_000, 40_001), (7, 49_999)):
        assert origin.read("a.flac", start, stop, listed[0].version) == content[start:stop]


@pytest.mark.parametrize("attributes", [True, False])
def test_a_file_that_became_shorter(fake: FakeNfs, origin: NfsOrigin, attributes: bool) -> None:
    version = entries(origin)[0].version
    fake.attributes = attributes
    fake.files[b"a.flac"] = CONTENT[:2_000_000]
    with pytest.raises(ChangedError):
        origin.read("a.flac", 0, 2_500_000, version)
    del fake.files[b"a.flac"]
    with pytest.raises(GoneError):
        origin.read("a.flac", 0, 2_500_000, version)


def test_a_deleted_file_that_the_server_still_holds_open(fake: FakeNfs, origin: NfsOrigin) -> None:
    version = entries(origin)[0].version
    fake.unlinked.add(b"a.flac")
    with pytest.raises(GoneError):
        origin.read("a.flac", 0, 10, version)


def test_a_server_that_asks_to_come_back(fake: FakeNfs, origin: NfsOrigin) -> None:
    version = entries(origin)[0].version
    fake.failures[READ] = [nfs.JUKEBOX]
    with pytest.raises(UnreachableError, match="come back later"):
        origin.read("a.flac", 0, 10, version)
    assert origin.read("a.flac", 0, 10, version) == CONTENT[:10]


def test_new_handles_for_everything(fake: FakeNfs, origin: NfsOrigin) -> None:
    """A server that was set up anew: every handle is stale, the root's too, and the files are what they were."""
    version = entries(origin)[0].version
    fake.generation = b"2"
    assert origin.read("a.flac", 0, 10, version) == CONTENT[:10]
    fake.generation = b"3"
    assert len(entries(origin)) == 4
    fake.generation = b"4"
    assert origin.stat("nowhere") is None
    fake.failures[LOOKUP] = [nfs.STALE] * 10
    with pytest.raises(UnreachableError, match="stale"):
        origin.stat("a.flac")


def test_a_listing_that_loses_its_place(fake: FakeNfs, origin: NfsOrigin) -> None:
    before = entries(origin)
    fake.failures[READDIRPLUS] = [nfs.BAD_COOKIE]
    assert entries(origin) == before
    fake.failures[READDIRPLUS] = [nfs.BAD_COOKIE] * 10
    with pytest.raises(UnreachableError, match="changes all the time"):
        entries(origin)
    fake.failures[READDIRPLUS] = [nfs.IO]
    with pytest.raises(UnreachableError, match="input/output error"):
        entries(origin)
    fake.names_per_page = 0  # no names, and no end
    fake.failures.clear()
    with pytest.raises(UnreachableError, match="changes all the time"):
        entries(origin)


def test_names_that_no_file_can_have(fake: FakeNfs, origin: NfsOrigin) -> None:
    fake.files.update({b"..": b"1", b".": b"1", b"../../etc/passwd": b"1", b"nul\0": b"1", b"": b"1"})
    (root, _) = origin.list()
    assert len(root.files) == 4
    assert {name for name, _ in root.skipped} == {"../../etc/passwd", "nul\0", ""}


def test_another_filesystem_below(fake: FakeNfs) -> None:
    """Once known to be there, the origin is unreachable without it, also in another life."""
    with contextlib.closing(open_at(fake)) as origin:
        assert [folder.device for folder in origin.list()] == [1, 2]
        anchor = origin.anchor()
        fake.submount_fsid = 1
        with pytest.raises(UnreachableError, match="folder is not on the filesystem it was on"):
            list(origin.list())
    with contextlib.closing(open_at(fake, anchor=anchor)) as origin:
        with pytest.raises(UnreachableError, match="folder is not on the filesystem it was on"):
            list(origin.list())
        fake.submount_fsid = 2
        assert len(list(origin.list())) == 2
    with contextlib.closing(open_at(fake, anchor=b"garbage")) as origin:
        assert len(list(origin.list())) == 2


def test_where_the_mount_service_is_found(fake: FakeNfs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nfs_server, "PORTMAP_PORT", fake.port)
    with contextlib.closing(open_at(fake, mount_port=0)) as origin:
        origin.check()
    assert fake.calls[:2] == [(nfs.PORTMAP_PROGRAM, 3), (nfs.MOUNT_PROGRAM, 1)]
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setattr(nfs_server, "PORTMAP_PORT", nobody.getsockname()[1])
        with contextlib.closing(open_at(fake, mount_port=0)) as origin:
            origin.check()  # beside NFS itself


@pytest.mark.parametrize(
    ("export", "status", "error", "words"),
    [
        ("/shown/below", nfs.ACCES, DeniedError, "refuses the export '/shown/below'"),
        ("/music", nfs.ACCES, DeniedError, "has no export '/music' for this machine"),
        ("/music", nfs.NOENT, UnreachableError, "there is no export '/music' on "),
        ("/music", 10006, UnreachableError, "a fault of the server"),
        ("/music", 4711, UnreachableError, "error 4711"),
    ],
)
def test_refused_mounts(fake: FakeNfs, export: str, status: int, error: type[Exception], words: str) -> None:
    fake.failures[nfs.MOUNT_PROGRAM, 1] = [status]
    with contextlib.closing(open_at(fake, export=export)) as origin, pytest.raises(error, match=words):
        origin.check()


def test_an_export_for_kerberos_alone(fake: FakeNfs, origin: NfsOrigin) -> None:
    fake.flavors = (390003,)  # RFC 2623, section 2.3.2: krb5
    with pytest.raises(DeniedError, match="Kerberos"):
        origin.check()


def _record(message: bytes) -> bytes:
    return uint(0x8000_0000 | len(message)) + message


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "cannot be reached"),
        (b"\x80", "cannot be reached"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not answer as NFS version 3 does"),
        (uint(0xFFFF_FFFF), "announces an answer of"),
        (_record(b""), "the message ends"),
        (_record(uint(1) + uint(1)), "not asked"),
    ],
)
def test_what_is_no_nfs_server(fake: FakeNfs, origin: NfsOrigin, answer: bytes, words: str) -> None:
    origin.check()
    fake.raw = [answer] * 2  # a call on a connection that breaks is made once more
    with pytest.raises(UnreachableError, match=words):
        origin.check()
    fake.raw = []
    origin.check()


_CALLS = (
    nfs.getport(1, 1), nfs.mount(b"/"), nfs.exports(), nfs.getattr_(ROOT), nfs.lookup(ROOT, b"a"), nfs.readlink(ROOT),
    nfs.read(ROOT, 0, 1), nfs.readdir(ROOT, nfs.FIRST_PAGE, 1), nfs.readdirplus(ROOT, nfs.FIRST_PAGE, 1), nfs.fsinfo(ROOT),
)  # fmt: skip
_words = st.lists(st.sampled_from([0, 1, 2, 3, 8, 70, 0xFFFF_FFFF]) | st.integers(0, 0xFFFF_FFFF), max_size=60)


@given(st.binary() | _words.map(lambda words: b"".join(map(uint, words))), st.sampled_from(_CALLS))
def test_garbage_in_an_answer(answer: bytes, call: Call[object]) -> None:
    with contextlib.suppress(XdrError, StatusError):
        call.decode(Reader(memoryview(answer)))


@given(st.lists(st.binary(max_size=20)))
def test_opaque_values_come_back(values: list[bytes]) -> None:
    data = b"".join(map(opaque, values))
    assert len(data) % 4 == 0
    reader = Reader(memoryview(data))
    assert [reader.opaque() for _ in values] == values
    with pytest.raises(XdrError):
        reader.uint()
