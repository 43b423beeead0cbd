"""The same situation in the same words, whichever origin it is, over the real servers of each."""

from __future__ import annotations

import ast
import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from musicfs.config.settings import OriginSettings
from musicfs.errors import ChangedError, DeniedError, GoneError, OriginError, UnreachableError
from musicfs.model import Entry
from musicfs.origins.compose import LOCAL_MANNERS
from musicfs.origins.contract import Origin
from musicfs.origins.registry import KINDS, open_origin
from tests.servers.apache import ApacheServer
from tests.servers.bindfs import Bindfs
from tests.servers.ganesha import GaneshaServer
from tests.servers.samba import SambaServer
from tests.servers.sshd import Sshd, make_key
from tests.servers.weed import WeedServer
from tests.test_structure import PACKAGE, label

# Nothing around them: what they say themselves, at the first try.
PLAIN = {name: msgspec.structs.replace(kind, manners=LOCAL_MANNERS) for name, kind in KINDS.items()}
Put = Callable[[str, bytes], object]


class Case(msgspec.Struct, frozen=True):
    """An origin that is well, how files get there, and the settings that are wrong in one way each."""

    good: OriginSettings
    put: Put
    away: OriginSettings | None  # nothing listens there; None where there is no server
    refused: OriginSettings | None  # the login is wrong; None where nobody logs in
    no_root: OriginSettings
    keys: dict[str, str]  # situation -> a setting that its remedy names


def put_below(root: Path) -> Put:
    root.chmod(0o755)

    def put(name: str, data: bytes) -> None:
        (root / name).write_bytes(data)
        stamp_ns = 1_600_000_000_000_000_000 + len(data) * 10**9  # another size, another time
        os.utime(root / name, ns=(stamp_ns, stamp_ns))

    return put


def changed(settings: OriginSettings, **changes: object) -> OriginSettings:
    return msgspec.structs.replace(settings, timeout_s=5.0, **changes)


@pytest.fixture(scope="module")
def nobody() -> Iterator[int]:
    """A port where nothing listens, and nothing will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture(scope="module")
def wrong_secret(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("secret") / "wrong"
    file.touch(mode=0o600)
    file.write_text("not-the-secret")
    return f"file:{file}"


def local_case(folder: Path, nobody: int, wrong_secret: str) -> Iterator[Case]:
    good = OriginSettings(id="x", path=str(folder))
    yield Case(good, put_below(folder), None, None, changed(good, path=str(folder / "none")), {"no_root": "path"})


def mounted_case(folder: Path, nobody: int, wrong_secret: str) -> Iterator[Case]:
    server = Bindfs(folder / "disk", folder / "nas")
    server.start()
    try:
        good = changed(server.settings(), id="x")
        missing = changed(good, path=str(server.point / "none"))
        yield Case(good, put_below(server.root), None, None, missing, {"no_root": "path"})
    finally:
        server.stop()


def nfs_case(folder: Path, nobody: int, wrong_secret: str) -> Iterator[Case]:
    server = GaneshaServer(folder)
    server.start()
    try:
        good = changed(server.settings(), id="x")
        away, refused = changed(good, port=nobody), changed(good, export=str(server.refused))
        keys = {"away": "host", "refused": "sec=sys", "no_root": "path"}
        yield Case(good, put_below(server.root), away, refused, changed(good, path="none"), keys)
    finally:
        server.stop()


def smb_case(folder: Path, nobody: int, wrong_secret: str) -> Iterator[Case]:
    server = SambaServer()
    server.reveal_password()
    try:
        server.start()
        good = changed(server.settings(), id="x")
        away, refused = changed(good, port=nobody), changed(good, password=wrong_secret)
        keys = {"away": "host", "refused": "password", "no_root": "path"}
        yield Case(good, put_below(server.root), away, refused, changed(good, path="none"), keys)
    finally:
        server.stop()


def sftp_case(folder: Path, nobody: int, wrong_secret: str) -> Iterator[Case]:
    server = Sshd()
    server.start()
    try:
        good = changed(server.settings(), id="x")
        refused = changed(good, key_file=str(make_key(folder / "other")))
        keys = {"away": "host", "refused": "key_file", "no_root": "path"}
        missing = changed(good, path=str(server.root / "none"))
        yield Case(good, put_below(server.root), changed(good, port=nobody), refused, missing, keys)
    finally:
        server.stop()


def s3_case(folder: Path, nobody: int, wrong_secret: str) -> Iterator[Case]:
    server = WeedServer(folder)
    server.start()
    try:
        good = changed(server.settings(), id="x")
        away = changed(good, endpoint=f"http://127.0.0.1:{nobody}")
        refused = changed(good, secret_access_key=wrong_secret)
        keys = {"away": "endpoint", "refused": "secret_access_key", "no_root": "bucket"}
        yield Case(good, server.put, away, refused, changed(good, bucket="none"), keys)
    finally:
        server.stop()


def webdav_case(folder: Path, nobody: int, wrong_secret: str) -> Iterator[Case]:
    for each in (folder, *folder.parents):
        if each.name.startswith(("pytest", "webdav")):
            each.chmod(0o755)  # the server has a user of its own
    server = ApacheServer(folder)
    server.start()
    try:
        good = changed(server.settings(), id="x")
        away, refused = changed(good, url=f"http://127.0.0.1:{nobody}/"), changed(good, password=wrong_secret)
        keys = {"away": "url", "refused": "password", "no_root": "url"}
        yield Case(good, put_below(server.root), away, refused, changed(good, url=f"{server.url}/none"), keys)
    finally:
        server.stop()


CASES = {
    "local": local_case, "mounted": mounted_case, "nfs": nfs_case, "smb": smb_case, "s3": s3_case, "sftp": sftp_case,
    "webdav": webdav_case,
}  # fmt: skip
WORDS = {
    "away": r"origin 'x': \S+ cannot be reached: Connection refused",
    "refused": r"origin 'x': \S+ (refuses|wants) .+",
    "no_root": r"origin 'x': there is no (folder|bucket) .*none.*",
}
KINDS_OF_ERRORS = {"away": UnreachableError, "refused": DeniedError, "no_root": UnreachableError}


def test_every_kind_of_origin_is_held_to_it() -> None:
    assert set(CASES) == set(KINDS)


@pytest.fixture(scope="module", params=CASES)
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, nobody: int, wrong_secret: str
) -> Iterator[Case]:
    yield from CASES[request.param](tmp_path_factory.mktemp(request.param), nobody, wrong_secret)


@pytest.fixture
def opened() -> Iterator[Callable[[OriginSettings], Origin]]:
    origins: list[Origin] = []

    def open_and_remember(settings: OriginSettings) -> Origin:
        origins.append(open_origin(settings, kinds=PLAIN))
        return origins[-1]

    yield open_and_remember
    for origin in origins:
        origin.close()


@pytest.mark.parametrize("situation", WORDS)
def test_what_is_wrong_with_the_settings(
    situation: str, case: Case, opened: Callable[[OriginSettings], Origin]
) -> None:
    settings: OriginSettings | None = getattr(case, situation)
    if settings is None:
        assert case.good.folder and situation != "no_root"
        return
    origin = opened(settings)
    calls: list[Callable[[], object]] = [
        origin.check,
        lambda: origin.stat("a.flac"),
        lambda: list(origin.list()),
        lambda: origin.read("a.flac", 0, 1, ""),
    ]
    for call in calls[:1] if situation == "no_root" else calls:
        with pytest.raises(OriginError) as caught:
            call()
        assert re.fullmatch(WORDS[situation], str(caught.value)), str(caught.value)
        assert type(caught.value) is KINDS_OF_ERRORS[situation]
        assert case.keys[situation] in caught.value.remedy, caught.value.remedy
        assert "not-the-secret" not in f"{caught.value!r} {caught.value.remedy}"


def test_what_is_wrong_with_a_file(case: Case, opened: Callable[[OriginSettings], Origin]) -> None:
    origin = opened(case.good)
    case.put("old.flac", b"12345")
    known = origin.stat("old.flac")
    assert isinstance(known, Entry)
    case.put("old.flac", b"1234567")
    expected: list[tuple[Callable[[], object], type[OriginError], str]] = [
        (lambda: origin.read("old.flac", 0, 5, known.version), ChangedError, "old.flac is not the version it was"),
        (lambda: origin.read("old.flac", 0, 9, ""), ChangedError, "old.flac has no bytes 0 to 9( in 7)?"),
        (lambda: origin.read("none.flac", 0, 5, known.version), GoneError, "none.flac is not there"),
        (lambda: origin.read("none.flac", 0, 5, ""), GoneError, "none.flac is not there"),
        (lambda: list(origin.list("none")), GoneError, "there is no folder none"),
    ]
    for call, kind, words in expected:
        with pytest.raises(OriginError) as caught:
            call()
        assert re.fullmatch(f"origin 'x': {words}", str(caught.value)), str(caught.value)
        assert type(caught.value) is kind
        assert caught.value.remedy.endswith("musicfs origin rescan x")


@pytest.mark.parametrize("path", sorted((PACKAGE / "origins").glob("*.py")), ids=label)
def test_nothing_fails_without_saying_what_to_do(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            remedied = any(keyword.arg == "remedy" for keyword in node.keywords)
            assert node.func.id not in {"UnreachableError", "DeniedError"} or remedied, f"{label(path)}:{node.lineno}"
