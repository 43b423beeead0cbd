"""The SMB origin against a real Samba server: the contract, names, links, permissions, credentials."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from musicfs.config.settings import OriginSettings
from musicfs.errors import ChangedError, DeniedError, GoneError, UnreachableError
from musicfs.origins.contract import Folder, Origin
from musicfs.origins.registry import open_origin as open_by_registry
from musicfs.origins.smb import SmbOrigin, open_smb_origin
from musicfs.testing.origin_suite import NAMES, OriginSuite, Subject
from tests.origins.subjects import FolderSubject
from tests.servers.samba import GUARDED_SHARE, PASSWORD_VARIABLE, SEALED_SHARE, USER, SambaServer

# SMB cannot say these: Samba makes up short names for them.
MANGLED = (
    " leading and trailing ",
    "quote\"'`$(x).flac",
    "back\\slash.flac",
    "new\nline\ttab.flac",
    "*?[glob].flac",
    "...",
)

Opener = Callable[[OriginSettings], SmbOrigin]


@pytest.fixture(scope="module")
def server() -> Iterator[SambaServer]:
    server = SambaServer()
    server.reveal_password()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def open_origin() -> Iterator[Opener]:
    opened: list[SmbOrigin] = []

    def open_and_remember(settings: OriginSettings) -> SmbOrigin:
        opened.append(open_smb_origin(settings, anchor=b"", debounce_s=0.3))
        return opened[-1]

    yield open_and_remember
    for origin in opened:
        origin.close()


@pytest.fixture
def folder(server: SambaServer, tmp_path: Path) -> Path:
    """A folder of the share for one test."""
    folder = server.root / tmp_path.name
    folder.mkdir()
    return folder


class SmbSuite(OriginSuite):
    """The contract over one of the server's shares. Samba finds ``UPPER.FLAC`` and ``upper.flac`` each by its own name."""

    names: ClassVar[tuple[str, ...]] = tuple(name for name in NAMES if name not in MANGLED)
    surrogate_names: ClassVar[tuple[str, ...]] = ()  # Samba does not show them at all

    @pytest.fixture(autouse=True)
    def _server(self, server: SambaServer) -> None:
        self.server = server

    def settings(self, path: str) -> OriginSettings:
        return self.server.settings(path=path)

    def open_subject(self, tmp_path: Path) -> Subject:
        origin = open_smb_origin(self.settings(tmp_path.name), anchor=b"", debounce_s=0.3)
        return FolderSubject(self.server.root / tmp_path.name, origin)


class TestSmb(SmbSuite):
    """With an account: requests are signed."""


class TestSmbSealed(SmbSuite):
    """A share that wants encryption."""

    def settings(self, path: str) -> OriginSettings:
        return self.server.settings(path=path, share=SEALED_SHARE)


class TestSmbAsGuest(SmbSuite):
    """Without an account: nothing is signed."""

    def settings(self, path: str) -> OriginSettings:
        return self.server.settings(path=path, username="")


# Names and links


def test_names_that_smb_cannot_say_do_no_harm(server: SambaServer, folder: Path, open_origin: Opener) -> None:
    (folder / "fine.flac").write_bytes(b"fine")
    for name in (*(os.fsencode(name) for name in MANGLED), b"stray \xff.flac", b"\xed\xa0\x80 surrogate.flac"):
        (folder / os.fsdecode(name)).write_bytes(b"odd")
    (folder / "R.E.M.").mkdir()
    (folder / "R.E.M." / "1.flac").write_bytes(b"1")
    origin = open_origin(server.settings(path=folder.name))
    folders = list(origin.list())
    entries = [entry for folder in folders for entry in folder.files]
    assert all(folder.complete for folder in folders)
    assert len(folders) == 2
    assert {"fine.flac"} == {entry.path for entry in entries if "~" not in entry.path}
    assert len([entry for entry in entries if entry.size == 3]) == len(MANGLED)
    for entry in entries:  # what is listed can be read, by the name it has here
        assert origin.stat(entry.path) == entry
        assert len(origin.read(entry.path, 0, entry.size, entry.version)) == entry.size


@pytest.mark.parametrize(
    "path", ["fine.flac:stream", "fine*", "f?ne.flac", "..\\fine.flac", "a\\b.flac", "\udcff.flac"]
)
def test_paths_that_smb_would_understand_in_another_way(
    path: str, server: SambaServer, folder: Path, open_origin: Opener
) -> None:
    (folder / "fine.flac").write_bytes(b"fine")
    (folder / "a").mkdir()
    (folder / "a" / "b.flac").write_bytes(b"b")
    origin = open_origin(server.settings(path=folder.name))
    assert origin.stat(path) is None
    with pytest.raises(GoneError):
        origin.read(path, 0, 1, "")


def test_links_are_followed_inside_the_share_and_end(server: SambaServer, folder: Path, open_origin: Opener) -> None:
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "file.flac").write_bytes(b"file")
    (folder / "link.flac").symlink_to("a/file.flac")
    (folder / "same").symlink_to("a")
    (folder / "a" / "loop").symlink_to(".")
    (folder / "a" / "b" / "up").symlink_to("../..")
    (folder / "out.flac").symlink_to("/etc/passwd")
    (folder / "outside").symlink_to("/etc")
    (folder / "broken.flac").symlink_to("nowhere")
    (folder / "self.flac").symlink_to("self.flac")
    origin = open_origin(server.settings(path=folder.name))
    folders = {each.path: each for each in origin.list()}
    assert list(folders) == ["", "a", "a/b", "same", "same/b"]
    assert [entry.path for entry in folders[""].files] == ["link.flac"]
    assert folders["a"].skipped == (("loop", "a link to a folder above it"),)
    assert folders["a/b"].skipped == (("up", "a link to a folder above it"),)
    assert origin.read("link.flac", 0, 4, "") == b"file"
    for path in ("out.flac", "outside/passwd", "broken.flac", "self.flac"):
        assert origin.stat(path) is None
        with pytest.raises(GoneError):
            origin.read(path, 0, 1, "")


def test_special_files_look_empty_and_hold_nobody(server: SambaServer, folder: Path, open_origin: Opener) -> None:
    """Samba shows them as empty files, which nothing in a listing tells from others."""
    os.mkfifo(folder / "fifo.flac")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(folder)  # the path of a socket is short
        try:
            listener.bind("socket.flac")
        finally:
            os.chdir(here)
    origin = open_origin(server.settings(path=folder.name))
    (root,) = origin.list()
    assert [(entry.path, entry.size) for entry in root.files] == [("fifo.flac", 0), ("socket.flac", 0)]
    with pytest.raises(ChangedError):
        origin.read("fifo.flac", 0, 1, "")
    with pytest.raises(DeniedError, match=r"socket\.flac"):
        origin.read("socket.flac", 0, 1, "")


def test_a_folder_larger_than_an_answer(server: SambaServer, folder: Path, open_origin: Opener) -> None:
    names = {f"{number:05d} {'long name ' * 15}.flac" for number in range(2500)}
    for name in names:
        (folder / name).touch()
    (root,) = open_origin(server.settings(path=folder.name)).list()
    assert [entry.path for entry in root.files] == sorted(names)


def test_case_is_the_servers_affair(server: SambaServer, folder: Path, open_origin: Opener) -> None:
    (folder / "File.flac").write_bytes(b"1")
    origin = open_origin(server.settings(path=folder.name))
    assert origin.stat("FILE.FLAC") is not None
    assert not origin.caps.case_sensitive


def test_hints_are_those_of_the_disk(server: SambaServer, folder: Path, open_origin: Opener) -> None:
    (folder / "file.flac").write_bytes(b"1")
    os.link(folder / "file.flac", folder / "same.flac")
    origin = open_origin(server.settings(path=folder.name))
    (root,) = origin.list()
    first, second = root.files
    status = (folder / "file.flac").stat()
    assert first.inode == second.inode != 0
    assert first.mtime_ns == status.st_mtime_ns // 100 * 100
    # Samba has no time of change but that of the last write; Windows has.
    assert first.ctime_ns == first.mtime_ns
    stat = origin.stat("file.flac")
    assert stat == first


def test_the_version_is_the_same_on_every_machine(server: SambaServer, folder: Path, open_origin: Opener) -> None:
    (folder / "file.flac").write_bytes(b"1")
    settings = server.settings(path=folder.name)
    assert list(open_origin(settings).list()) == list(open_origin(settings).list())


# Selection and permissions


def test_selection(server: SambaServer, folder: Path, open_origin: Opener) -> None:
    for path in ("a/1.flac", "a/1.iso", "Podcasts/2.flac", "@eaDir/3.flac", ".DS_Store", "4.flac"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(b"1")
    settings = server.settings(path=folder.name, include=("*.flac",), exclude=("Podcasts/", "4.flac"))
    origin = open_origin(settings)
    assert _paths(origin) == ["a/1.flac"]
    assert [each.path for each in origin.list()] == ["", "a"]
    for path in ("a/1.iso", "Podcasts/2.flac", "@eaDir/3.flac", ".DS_Store", "4.flac"):
        assert origin.stat(path) is None
    for prefix in ("Podcasts", "@eaDir"):
        with pytest.raises(GoneError):
            list(origin.list(prefix))


def test_what_the_user_may_not_see(server: SambaServer, folder: Path, open_origin: Opener) -> None:
    (folder / "open").mkdir()
    (folder / "open" / "1.flac").write_bytes(b"1")
    (folder / "closed").mkdir(mode=0o700)
    (folder / "closed" / "2.flac").write_bytes(b"2")
    (folder / "private.flac").write_bytes(b"3")
    (folder / "private.flac").chmod(0o600)
    origin = open_origin(server.settings(path=folder.name, share=GUARDED_SHARE))
    assert [(each.path, each.complete) for each in origin.list()] == [("", True), ("closed", False), ("open", True)]
    assert next(origin.list("closed")) == Folder("closed", (), (("", "the server refuses to read it"),), complete=False)
    private = origin.stat("private.flac")
    assert private is not None
    for path in ("private.flac", "closed/2.flac"):
        with pytest.raises(DeniedError, match=path):
            origin.read(path, 0, 1, "")
    folder.chmod(0o700)
    with pytest.raises(DeniedError, match="root folder"):
        origin.check()
    with pytest.raises(DeniedError, match="root folder"):
        list(origin.list())


# Credentials, share and root


@pytest.mark.parametrize("username", [USER, rf"WORKGROUP\{USER}", f"{USER}@WORKGROUP"])
def test_ways_to_write_a_user(username: str, server: SambaServer, open_origin: Opener) -> None:
    open_origin(server.settings(username=username)).check()


def test_wrong_password(
    server: SambaServer, open_origin: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WRONG_PASSWORD", "not the password")
    origin = open_origin(server.settings(password="env:WRONG_PASSWORD"))
    for call in _calls(origin):
        with pytest.raises(
            DeniedError, match=rf"127\.0\.0\.1 refuses the user '{USER}': .*password is wrong"
        ) as caught:
            call()
        assert "not the password" not in f"{caught.value!r} {caught.value.remedy} {caught.value.__cause__!r}"
    assert "not the password" not in caplog.text


def test_unknown_user(server: SambaServer, open_origin: Opener) -> None:
    """The server would let such a user in as a guest, who sees less: an account that was named must be that account."""
    with pytest.raises(DeniedError, match="knows them as a guest only"):
        open_origin(server.settings(username="nobody-knows-me")).check()


def test_a_guest_where_none_is_welcome(server: SambaServer, open_origin: Opener) -> None:
    with pytest.raises(DeniedError, match=f"share '{GUARDED_SHARE}'"):
        open_origin(server.settings(username="", share=GUARDED_SHARE)).check()


def test_the_password_is_looked_up_when_connecting(
    server: SambaServer, open_origin: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE)
    origin = open_origin(server.settings())
    with pytest.raises(DeniedError, match=PASSWORD_VARIABLE):
        origin.check()
    server.reveal_password()
    origin.check()


def test_missing_share(server: SambaServer, open_origin: Opener) -> None:
    origin = open_origin(server.settings(share="nowhere"))
    for call in _calls(origin):
        with pytest.raises(UnreachableError, match=r"there is no share 'nowhere' on 127\.0\.0\.1"):
            call()


@pytest.mark.parametrize("path", ["nowhere", "nowhere/deep", "a-file"])
def test_missing_root(path: str, server: SambaServer, open_origin: Opener) -> None:
    """Nothing is known about what it holds: a disk that is not mounted on the server must not delete a library."""
    (server.root / "a-file").touch()
    origin = open_origin(server.settings(path=path))
    for call in _calls(origin):
        with pytest.raises(UnreachableError, match=f"there is no folder {path} in the share 'music' on"):
            call()


def test_a_root_that_goes_away(server: SambaServer, folder: Path, open_origin: Opener) -> None:
    (folder / "file.flac").write_bytes(b"1")
    origin = open_origin(server.settings(path=folder.name))
    assert _paths(origin) == ["file.flac"]
    folder.rename(folder.with_name("elsewhere"))
    for call in _calls(origin):
        with pytest.raises(UnreachableError, match="no folder"):
            call()
    folder.with_name("elsewhere").rename(folder)
    assert _paths(origin) == ["file.flac"]


def test_by_the_registry(server: SambaServer, folder: Path) -> None:
    (folder / "1.flac").write_bytes(b"1")
    origin = open_by_registry(server.settings(path=folder.name))
    try:
        assert _paths(origin) == ["1.flac"]
    finally:
        origin.close()


@pytest.mark.parametrize("path", ["/deep/root/", "deep\\root", "deep//root"])
def test_ways_to_write_the_root(path: str, server: SambaServer, folder: Path, open_origin: Opener) -> None:
    (folder / "deep" / "root").mkdir(parents=True)
    (folder / "deep" / "root" / "1.flac").write_bytes(b"1")
    assert _paths(open_origin(server.settings(path=f"{folder.name}/{path}"))) == ["1.flac"]


def _paths(origin: Origin) -> list[str]:
    return [entry.path for folder in origin.list() for entry in folder.files]


def _calls(origin: Origin) -> list[Callable[[], object]]:
    """Everything that asks the server; the path is not there."""
    return [
        origin.check,
        lambda: list(origin.list()),
        lambda: list(origin.list("below")),
        lambda: origin.stat("below/file.flac"),
        lambda: origin.read("below/file.flac", 0, 1, ""),
    ]
