"""What a local listing makes of everything that is not a plain file, and of folders that cannot be read."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicfs.errors import ChangedError, ConfigError, GoneError, UnreachableError
from musicfs.origins.contract import Folder
from musicfs.origins.local import LocalOrigin


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    return folder


def _open(music: Path, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> LocalOrigin:
    return LocalOrigin("disk", str(music), include=include, exclude=exclude)


def _paths(folders: Iterator[Folder]) -> list[str]:
    return [entry.path for folder in folders for entry in folder.files]


def test_special_files_are_skipped_and_never_opened(music: Path) -> None:
    os.mkfifo(music / "pipe.flac")
    (music / "good.flac").write_bytes(b"1")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(music / "socket.flac"))
        os.mknod(music / "null.flac", 0o20666, os.makedev(1, 3))
        origin = _open(music)
        (folder,) = origin.list()
        assert [entry.path for entry in folder.files] == ["good.flac"]
        assert folder.complete
        assert dict(folder.skipped) == {
            "pipe.flac": "a FIFO",
            "socket.flac": "a socket",
            "null.flac": "a character device",
        }
        for name in ("pipe.flac", "socket.flac", "null.flac"):
            assert origin.stat(name) is None
            with pytest.raises(GoneError):
                origin.read(name, 0, 0, "")
            with pytest.raises(GoneError):
                origin.open_local(name, "")


def test_links(music: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.flac").write_bytes(b"secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file.flac").write_bytes(b"secret")
    (music / "a").mkdir()
    (music / "a" / "file.flac").write_bytes(b"inside")
    links = {
        "good.flac": "a/file.flac",
        "chain.flac": "good.flac",
        "absolute.flac": str(music / "a/file.flac"),
        "escape.flac": "../outside.flac",
        "escape": "../outside",
        "folder": "a",
        "up": ".",
        "broken.flac": "nowhere.flac",
        "loop1.flac": "loop2.flac",
        "loop2.flac": "loop1.flac",
        "device.flac": "/dev/zero",
    }
    for name, target in links.items():
        (music / name).symlink_to(target)
    (music / "a" / "pipe").symlink_to("fifo")
    os.mkfifo(music / "a" / "fifo")
    origin = _open(music)
    top, below = origin.list()
    assert [entry.path for entry in top.files] == ["absolute.flac", "chain.flac", "good.flac"]
    assert dict(top.skipped) == {
        "escape.flac": "a link that leaves the origin",
        "escape": "a link that leaves the origin",
        "device.flac": "a link that leaves the origin",
        "folder": "a link to a folder",
        "up": "a link that leaves the origin",  # to the root itself, which is not inside the root
        "broken.flac": "a broken link",
        "loop1.flac": "a link that leads to itself",
        "loop2.flac": "a link that leads to itself",
    }
    assert dict(below.skipped) == {"fifo": "a FIFO", "pipe": "a link to something that is not a file"}
    assert top.complete
    for entry in top.files:
        assert origin.stat(entry.path) == entry
        assert origin.read(entry.path, 0, 6, entry.version) == b"inside"
    for path in (*dict(top.skipped), "escape/file.flac", "folder/file.flac", "up/good.flac", "a/pipe"):
        assert origin.stat(path) is None, path
        with pytest.raises(GoneError):
            origin.read(path, 0, 0, "")
        with pytest.raises(GoneError):
            list(origin.list(path))


def test_a_file_that_became_a_link_out_of_the_origin(music: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"12345")
    (music / "file.flac").write_bytes(b"12345")
    origin = _open(music)
    (folder,) = origin.list()
    (music / "file.flac").unlink()
    (music / "file.flac").symlink_to("../secret")
    with pytest.raises(GoneError):
        origin.read("file.flac", 0, 5, "")
    with pytest.raises(GoneError):
        origin.open_local("file.flac", folder.files[0].version)


def test_an_unlinked_file_stays_readable_through_its_descriptor(music: Path) -> None:
    (music / "file.flac").write_bytes(b"12345")
    origin = _open(music)
    descriptor = origin.open_local("file.flac", "")
    (music / "file.flac").unlink()
    assert os.pread(descriptor, 5, 0) == b"12345"
    os.close(descriptor)


def test_junk_is_not_served(music: Path) -> None:
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._01.flac", "lost+found"):
        (music / name).write_bytes(b"")
    for name in (".git", "@eaDir", "#recycle", ".Trash-1000"):
        (music / name).mkdir()
        (music / name / "inside.flac").write_bytes(b"")
    (music / ".hidden.flac").write_bytes(b"")
    origin = _open(music)
    (folder,) = origin.list()
    assert [entry.path for entry in folder.files] == [".hidden.flac"]
    assert folder.skipped == ()
    assert origin.stat("@eaDir/inside.flac") is None
    with pytest.raises(GoneError):
        list(origin.list("@eaDir"))


def test_globs(music: Path) -> None:
    for path in ("a/1.flac", "a/1.iso", "b/c/2.mp3", "b/c/2.log", "podcasts/x/3.mp3"):
        (music / path).parent.mkdir(parents=True, exist_ok=True)
        (music / path).write_bytes(b"")
    assert _paths(_open(music, exclude=("*.iso", "podcasts")).list()) == ["a/1.flac", "b/c/2.log", "b/c/2.mp3"]
    assert _paths(_open(music, include=("**/*.mp3",), exclude=("podcasts/**",)).list()) == ["b/c/2.mp3"]
    assert _paths(_open(music, include=("b",)).list()) == ["b/c/2.log", "b/c/2.mp3"]
    origin = _open(music, exclude=("podcasts",))
    assert [folder.path for folder in origin.list()] == ["", "a", "b", "b/c"]
    assert origin.stat("podcasts/x/3.mp3") is None


_AS_NOBODY = """
import json, os, sys
from musicfs.errors import OriginError
from musicfs.origins.local import LocalOrigin
import musicfs.origins.local_listing
os.setgid(65534)
os.setuid(65534)
origin = LocalOrigin("disk", sys.argv[1])
try:
    for f in origin.list():
        print(json.dumps([f.path, [e.path for e in f.files], f.skipped, f.complete]))
except OriginError as error:
    print(json.dumps(type(error).__name__))
for path in sys.argv[2:]:
    try:
        print(json.dumps(origin.read(path, 0, 1, "").decode()))
    except OriginError as error:
        print(json.dumps(type(error).__name__))
"""


def _as_nobody(music: Path, *paths: str) -> list[object]:
    """What a user without rights sees: the folders of a listing and a byte of each of ``paths``. Root may read everything."""
    done = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY, str(music), *paths], capture_output=True, text=True, check=True, timeout=60
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def public_music() -> Iterator[Path]:
    """A folder that other users can reach, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="musicfs-test-") as folder:
        Path(folder).chmod(0o755)
        music = Path(folder, "music")
        music.mkdir()
        yield music


def test_unreadable_folders_are_incomplete(public_music: Path) -> None:
    for path in ("closed/inner/1.flac", "no search/2.flac", "open/3.flac", "open/4.flac"):
        (public_music / path).parent.mkdir(parents=True, exist_ok=True)
        (public_music / path).write_bytes(b"1")
    (public_music / "closed").chmod(0)
    (public_music / "no search").chmod(0o744)
    (public_music / "open" / "3.flac").chmod(0)
    denied = "Permission denied"
    assert _as_nobody(public_music, "open/3.flac", "open/4.flac", "closed/inner/1.flac") == [
        ["", [], [], True],
        ["closed", [], [["", denied]], False],
        ["no search", [], [["2.flac", denied]], False],
        ["open", ["open/3.flac", "open/4.flac"], [], True],
        "DeniedError",
        "1",
        "DeniedError",
    ]


def test_a_root_that_is_refused(public_music: Path) -> None:
    public_music.chmod(0)
    assert _as_nobody(public_music) == ["DeniedError"]


def test_a_path_longer_than_the_system_allows_is_incomplete(music: Path) -> None:
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    depth = 30
    try:
        os.chdir(music)
        for _ in range(depth):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        Path("unreachable.flac").write_bytes(b"")
        folders = list(_open(music).list())
        assert not folders[-1].complete
        assert all(folder.complete for folder in folders[:-1])
        assert len(folders) < depth
    finally:
        for _ in range(depth):
            os.chdir("..")
            Path("d" * 200, "unreachable.flac").unlink(missing_ok=True)
            Path("d" * 200).rmdir()
        os.fchdir(here)
        os.close(here)


def test_a_folder_that_vanishes_during_the_listing_is_gone(music: Path) -> None:
    for name in "abc":
        (music / name).mkdir()
    listing = _open(music).list()
    assert next(listing).path == ""
    (music / "b").rmdir()
    assert [folder.path for folder in listing] == ["a", "c"]


@pytest.mark.parametrize("replacement", ["file", "link"])
def test_a_folder_that_is_replaced_during_the_listing_is_gone(music: Path, replacement: str) -> None:
    (music / "a").mkdir()
    listing = _open(music).list()
    next(listing)
    (music / "a").rmdir()
    if replacement == "link":
        (music / "a").symlink_to("/etc")
    else:
        (music / "a").write_bytes(b"")
    assert list(listing) == []


def test_a_root_that_goes_away_is_unreachable(music: Path) -> None:
    (music / "a").mkdir()
    (music / "a" / "file.flac").write_bytes(b"1")
    origin = _open(music)
    assert _paths(origin.list()) == ["a/file.flac"]
    listing = origin.list()
    next(listing)
    music.rename(music.parent / "elsewhere")
    with pytest.raises(UnreachableError, match="there is no folder"):
        list(listing)
    for call in (
        origin.check,
        lambda: list(origin.list()),
        lambda: list(origin.list("a")),
        lambda: origin.stat("a/file.flac"),
    ):
        with pytest.raises(UnreachableError):
            call()
    with pytest.raises(UnreachableError):
        origin.read("a/file.flac", 0, 1, "")
    music.mkdir()  # an empty folder in its place is not the origin either
    with pytest.raises(UnreachableError, match="not on the filesystem it was on"):
        list(origin.list())
    assert _open(music).stat("a/file.flac") is None  # but may be, for somebody who never saw the other
    music.rmdir()
    (music.parent / "elsewhere").rename(music)
    assert _paths(origin.list()) == ["a/file.flac"]


def test_an_origin_that_was_never_there_opens_and_is_unreachable(tmp_path: Path) -> None:
    origin = _open(tmp_path / "nowhere")
    with pytest.raises(UnreachableError):
        origin.check()
    assert origin.anchor() == b""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnreachableError, match="not a folder"):
        _open(tmp_path / "file").check()


def test_a_relative_path_is_refused() -> None:
    with pytest.raises(ConfigError, match="not absolute"):
        LocalOrigin("disk", "music")


def test_an_edit_that_keeps_size_and_mtime_shows_in_ctime(music: Path) -> None:
    file = music / "file.flac"
    file.write_bytes(b"old")
    origin = _open(music)
    before = origin.stat("file.flac")
    assert before is not None
    status = file.stat()
    with open(file, "r+b") as edited:
        edited.write(b"new")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = origin.stat("file.flac")
    assert after is not None
    assert after.version == before.version
    assert after.inode == before.inode
    assert after.ctime_ns > before.ctime_ns


def test_versions_are_equal_where_the_bytes_and_times_are(music: Path) -> None:
    """The same share seen by another machine: another inode, another ctime, and times of 100 ns at best over SMB."""
    for name, time_ns in (("a.flac", 1_600_000_000_123_456_789), ("b.flac", 1_600_000_000_123_456_700)):
        (music / name).write_bytes(b"same")
        os.utime(music / name, ns=(time_ns, time_ns))
    (folder,) = _open(music).list()
    one, other = folder.files
    assert one.version == other.version
    assert one.inode != other.inode


def test_a_file_that_shrinks_is_changed(music: Path) -> None:
    (music / "file.flac").write_bytes(b"x" * 100)
    origin = _open(music)
    entry = origin.stat("file.flac")
    assert entry is not None
    os.truncate(music / "file.flac", 50)
    with pytest.raises(ChangedError):
        origin.read("file.flac", 0, 100, entry.version)
    with pytest.raises(ChangedError):
        origin.read("file.flac", 0, 100, "")


def test_a_file_that_is_changed_while_it_is_read(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (music / "file.flac").write_bytes(b"x" * 100)
    origin = _open(music)
    real_pread = os.pread

    def pread_then_change(descriptor: int, size: int, start: int) -> bytes:
        data = real_pread(descriptor, size, start)
        with open(music / "file.flac", "ab") as file:
            file.write(b"y")
        return data

    monkeypatch.setattr(os, "pread", pread_then_change)
    with pytest.raises(ChangedError, match="while it was read"):
        origin.read("file.flac", 0, 100, "")


def test_a_file_that_is_cut_while_it_is_read(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (music / "file.flac").write_bytes(b"x" * 100)
    monkeypatch.setattr(os, "pread", lambda *_: b"")
    with pytest.raises(ChangedError):
        _open(music).read("file.flac", 0, 100, "")


@pytest.mark.parametrize(
    "number", [errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EMFILE]
)
def test_a_filesystem_that_fails_is_unreachable(music: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    (music / "a").mkdir()
    (music / "a" / "file.flac").write_bytes(b"1")
    origin = _open(music)
    real_open = os.open

    def fail(path: object, *arguments: object, **options: object) -> int:
        if path in {bytes(music / "a"), bytes(music / "a" / "file.flac")}:
            raise OSError(number, os.strerror(number))
        return real_open(path, *arguments, **options)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(UnreachableError, match=os.strerror(number)):
        list(origin.list())
    with pytest.raises(UnreachableError, match=r"a/file\.flac"):
        origin.read("a/file.flac", 0, 1, "")


def test_messages_show_stray_bytes(music: Path) -> None:
    with pytest.raises(GoneError) as raised:
        _open(music).read("stray \udcff byte", 0, 0, "")
    assert "stray \\udcff byte" in str(raised.value)
    str(raised.value).encode()


def test_offsets_beyond_four_gigabytes(music: Path) -> None:
    with open(music / "huge.wav", "wb") as file:
        file.seek(5_000_000_000)
        file.write(b"end")
    origin = _open(music)
    entry = origin.stat("huge.wav")
    assert entry is not None
    assert entry.size == 5_000_000_003
    assert origin.read("huge.wav", 4_999_999_999, 5_000_000_003, entry.version) == b"\0end"


def test_folders_say_their_device(music: Path) -> None:
    (music / "a").mkdir()
    assert {folder.device for folder in _open(music).list()} == {music.stat().st_dev}


@settings(max_examples=40, deadline=None)
@given(st.sets(st.binary(min_size=1, max_size=12).filter(lambda n: b"/" not in n and b"\0" not in n), max_size=12))
def test_any_bytes_are_a_name(tmp_path_factory: pytest.TempPathFactory, names: set[bytes]) -> None:
    music = tmp_path_factory.mktemp("names")
    names -= {b".", b".."}
    for name in names:
        with open(os.fsencode(music) + b"/" + name, "wb"):
            pass
    (folder,) = _open(music).list()
    listed = [entry.path.encode("utf-8", "surrogateescape") for entry in folder.files]
    assert listed == sorted(name for name in names if not name.startswith(b"._"))
