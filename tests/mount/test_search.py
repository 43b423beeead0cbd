"""SPEC 6: ``/.search`` on a real mount, as programs that people use see it."""

from __future__ import annotations

import errno
import itertools
import os
import re
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mutagen
import pytest

from tests.faults.living import accept_originals, digest, keeper_of, track, wait_for
from tests.mount.indexed import count_found, wait_until_found
from tests.mounting import Mounted, mount
from tests.players.programs import run
from tests.players.test_file_managers import show_in_thunar
from tests.servers.stopping import stop_processes

MountLibrary = Callable[..., Mounted]

TITLES = (
    ("Simon & Garfunkel", 'It\'s "quoted" [live] (1966) {x}'),
    ("Björk", "Jóga ~ $HOME `x` \\ ; | *?"),
    ("AC/DC", "Back in Black"),
    ("美空ひばり", "川の流れのように"),
    ("Ωμέγα", "ἀρχή 🎵"),
    ("فيروز", "نسّم علينا الهوى"),
    ("Кино", "Группа крови / Ёж"),
    ("Long", "ü" * 150),
)

TRACKS = len(TITLES) + 8


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("origin")
    for number, (artist, title) in enumerate(TITLES):
        track(root, f"{number}.flac", title=title, artist=artist, album="Odd", genre="Odd", seed=number)
    for number, (album, suffix) in enumerate(itertools.product(("First", "Second"), ("mp3", "ogg", "flac", "m4a"))):
        date = str(1960 + number)
        track(
            root, f"{album}/{number}.{suffix}", title=f"Song {number}", artist="Miles Davis", album=album, genre="Jazz",
            date=date, seed=number, seconds=2,
        )  # fmt: skip
    return root


@pytest.fixture(scope="module")
def mounted(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    mounted = mount({"o": root}, tmp_path_factory.mktemp("mounted"))
    try:
        wait_until_found(mounted)
        yield mounted
    finally:
        mounted.close()


@pytest.fixture
def search(mounted: Mounted) -> Path:
    return mounted.point / ".search"


def tracks_of(mounted: Mounted) -> set[str]:
    """The paths of all tracks; the links of collections are none."""
    return {
        str(path.relative_to(mounted.point))
        for path in mounted.point.rglob("*")
        if path.suffix in (".mp3", ".ogg", ".flac", ".m4a") and not path.is_symlink()
    }


def check(mounted: Mounted, folder: Path) -> list[str]:
    """What the links of a search folder lead to; each is looked at on the way."""
    found = []
    for entry in sorted(os.scandir(folder), key=lambda one: one.name):
        path = Path(entry.path)
        status = path.lstat()
        assert entry.is_symlink()
        assert entry.inode() == status.st_ino
        assert stat.S_IMODE(status.st_mode) == 0o777
        target = os.readlink(os.fsencode(path))
        assert status.st_size == len(target)
        assert not target.startswith(b"/")
        real = Path(os.path.realpath(path, strict=True))
        assert real.is_relative_to(mounted.point)
        assert ".search" not in real.parts
        assert path.stat().st_ino == real.stat().st_ino
        assert status.st_mtime_ns == real.stat().st_mtime_ns
        assert os.listxattr(path, follow_symlinks=False) == []
        with pytest.raises(OSError, match=r".*") as refused:
            os.getxattr(path, "user.musicfs.origin", follow_symlinks=False)
        assert refused.value.errno in (errno.ENODATA, errno.EOPNOTSUPP, errno.EPERM)
        assert os.getxattr(path, "user.musicfs.origin") == b"o"
        found.append(str(real.relative_to(mounted.point)))
    return found


def test_a_search_lists_links_that_lead_to_tracks(mounted: Mounted, search: Path) -> None:
    tracks = tracks_of(mounted)
    assert len(tracks) == TRACKS
    assert set(check(mounted, search / "*")) == tracks
    assert len(check(mounted, search / "miles davis")) == 8
    assert len(check(mounted, search / "genre:jazz" / "year:[1964 TO 1966]")) == 3
    assert len(check(mounted, search / "genre:jazz" / "song" / "format:mp3")) == 2
    names = sorted(os.listdir(search / "genre:jazz AND 0"))
    assert names == ["001. Miles Davis - Song 0.mp3"]
    assert os.readlink(search / "song 0" / names[0]).startswith("../../Miles Davis/First (1960) [MP3]/")


def test_folders_and_links_look_as_they_should(mounted: Mounted, search: Path) -> None:
    for folder in (search, search / "jazz", search / "jazz" / "song"):
        status = folder.stat()
        assert stat.S_ISDIR(status.st_mode)
        assert stat.S_IMODE(status.st_mode) == 0o755
        assert (status.st_uid, status.st_gid) == (os.getuid(), os.getgid())
        assert os.listxattr(folder) == []
        assert os.statvfs(folder).f_blocks == os.statvfs(mounted.point).f_blocks > 0
    assert (search / "jazz").stat().st_mtime == pytest.approx((search / "jazz").stat().st_ctime)
    with pytest.raises(OSError) as error:
        os.readlink(search / "jazz")
    assert error.value.errno == errno.EINVAL


def test_a_walk_never_searches(mounted: Mounted, root: Path, mount_library: MountLibrary) -> None:
    assert ".search" not in os.listdir(mounted.point)
    assert not run("find", mounted.point, "-path", "*.search*")
    shown = mount_library({"o": root}, "[tree]\nshow_hidden = true\n")
    wait_until_found(shown)
    assert {".search", ".prefetch"} < set(os.listdir(shown.point))
    below = run("find", shown.point / ".search").splitlines()
    assert below == [str(shown.point / ".search")]
    assert "Song 1" in run("ls", "-lR", shown.point / ".search" / "song 1")
    assert run("find", shown.point / ".search").splitlines() == below


def test_what_is_not_there_and_what_is_too_long(search: Path) -> None:
    expected = {
        b".git": errno.ENOENT, b".hidden": errno.ENOENT, b"desktop.ini": errno.ENOENT, b"folder.jpg": errno.ENOENT,
        b"artits:x": errno.ENOENT, b"(": errno.ENOENT, b"\xff\xfe": errno.ENOENT, b"001. x.flac": errno.ENOENT,
        b"a" * 257: errno.ENAMETOOLONG, b"a" * 300: errno.ENAMETOOLONG, "ü".encode() * 257: errno.ENAMETOOLONG,
    }  # fmt: skip
    for folder, (name, code) in itertools.product((search, search / "jazz"), expected.items()):
        with pytest.raises(OSError) as error:
            os.stat(os.fsencode(folder) + b"/" + name)
        assert error.value.errno == code, name
    assert os.listdir(search / ("ü" * 256)) == []  # 512 bytes, and 256 characters
    assert os.listdir(search / "nothing of the kind") == []


def test_nothing_can_be_made_or_changed(search: Path) -> None:
    link = next((search / "jazz").iterdir())
    changes: tuple[Callable[[], object], ...] = (
        lambda: os.mkdir(search / "jazz" / "new"),
        lambda: os.mkdir(search / "%"),
        lambda: os.unlink(link),
        lambda: os.rename(link, link.with_name("x")),
        lambda: os.rmdir(search / "jazz"),
        lambda: os.symlink("x", search / ".new"),
        (search / "jazz" / ".new").touch,
        lambda: link.write_bytes(b"x"),
        lambda: os.chmod(search, 0o700),
    )
    for change in changes:
        with pytest.raises(OSError) as error:
            change()
        assert error.value.errno in (errno.EROFS, errno.EEXIST)


def test_a_slash_and_odd_names(mounted: Mounted, search: Path) -> None:
    assert check(mounted, search / "ac%2Fdc") == ["AC_DC/Odd [FLAC]/01 - Back in Black.flac"]
    assert len(check(mounted, search / "simon & garfunkel")) == 1
    assert len(check(mounted, search / 'title:"it\'s quoted"')) == 1
    assert len(check(mounted, search / "bjork")) == len(check(mounted, search / "Björk")) == 1
    assert len(check(mounted, search / "川の")) == 1
    assert len(check(mounted, search / "ωμεγα")) == 1
    assert len(check(mounted, search / "نسم الهوى")) == 1  # a sign of a doubled letter is left out by most who type
    assert len(check(mounted, search / "ГРУППА еж")) == 1
    assert len(check(mounted, search / "genre:odd")) == len(TITLES)
    (name,) = os.listdir(os.fsencode(search / "artist:long"))
    assert len(name) <= 255
    assert name.endswith("ü.flac".encode())


@pytest.mark.real_music
def test_the_words_of_real_music(real_music: Path, mount_library: MountLibrary) -> None:
    mounted = mount_library({"wesnoth": real_music})
    wait_until_found(mounted)
    words: dict[str, set[str]] = {}
    for path in real_music.rglob("*.ogg"):
        tags = mutagen.File(path).tags or {}
        texts = [text for field in ("title", "artist", "album", "albumartist", "genre", "composer")
                 for text in tags.get(field, ())]  # fmt: skip
        for word in re.findall(r"\w{2,}", " ".join(texts).lower().replace("'", "")):
            words.setdefault(word, set()).add(path.name)
    assert len(words) > 80
    for word, wanted in words.items():
        links = [os.path.realpath(link) for link in (mounted.point / ".search" / word).iterdir()]
        assert {os.path.basename(os.getxattr(link, "user.musicfs.origin_path").decode()) for link in links} == wanted


# Programs.


def test_shell_tools(mounted: Mounted, search: Path, tmp_path: Path) -> None:
    jazz = search / "genre:jazz"
    assert len(run("ls", jazz).splitlines()) == 8
    long = run("ls", "-lL", jazz).splitlines()
    assert len(long) == 9
    assert all(line.startswith("-rw-r--r--") for line in long[1:])
    assert len(run("find", jazz, "-type", "l").splitlines()) == 8
    assert len(run("find", "-L", jazz, "-type", "f").splitlines()) == 8
    assert not run("find", search / "*", "-xtype", "l")  # no link leads nowhere
    for link in jazz.iterdir():
        assert run("realpath", link).strip() == os.path.realpath(link)
        assert run("readlink", link).strip() == os.readlink(link)
    run("cp", "-L", *jazz.iterdir(), tmp_path)
    for link in jazz.iterdir():
        assert digest(tmp_path / link.name) == digest(link)
    run("cp", "-rL", search / "genre:odd", tmp_path / "odd")
    assert len(list((tmp_path / "odd").iterdir())) == len(TITLES)
    run("tar", "-chf", tmp_path / "tar", "-C", search, "genre:jazz")
    assert len(run("tar", "-tf", tmp_path / "tar").splitlines()) == 9


def test_bash_expands_names(search: Path) -> None:
    def said(script: str) -> list[str]:
        return run("bash", "-c", script, "bash", search).splitlines()

    assert len(said('printf "%s\\n" "$1"/genre:jazz/*.mp3')) == 2
    assert len(said('shopt -s nullglob globstar; printf "%s\\n" "$1"/song/**')) == 9
    assert said('shopt -s nullglob dotglob; echo "$1"/*') == [""]
    assert len(said('cd "$1/miles davis" && for f in *; do [ -f "$f" ] && [ -L "$f" ] && echo "$f"; done')) == 8
    assert said('cd "$1/jazz/song" && pwd && cd ../.. && pwd') == [f"{search}/jazz/song", str(search)]
    assert len(said('cd "$1/genre:odd" && for f in *; do cat "$f" > /dev/null && echo "${f@Q}"; done')) == len(TITLES)


def test_gio(mounted: Mounted, search: Path) -> None:
    listed = run("gio", "list", search / "genre:jazz").splitlines()
    assert sorted(listed) == sorted(os.listdir(search / "genre:jazz"))
    link = search / "genre:jazz" / min(listed)
    said = run("gio", "info", link)
    assert f"standard::symlink-target: {os.readlink(link)}" in said
    assert f"standard::size: {link.stat().st_size}" in said
    assert "standard::content-type: audio/" in said
    assert "type: directory" in run("gio", "info", search / "genre:jazz")


def test_thunar(search: Path, tmp_path: Path) -> None:
    show_in_thunar(search / "genre:jazz", tmp_path)


def test_players_follow_the_links(search: Path) -> None:
    for link in sorted((search / "genre:jazz").iterdir()):
        seconds = run("ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", link)
        assert float(seconds) == pytest.approx(2, abs=0.2)
        run("ffmpeg", "-v", "error", "-xerror", "-i", link, "-f", "null", "-")
    run(
        "mpv", "--no-config", "--ao=null", "--no-video", "--untimed", "--length=1", *sorted((search / "jazz").iterdir())
    )


# Under load, and while things change.


def test_a_hundred_readers_of_different_queries(mounted: Mounted, search: Path) -> None:
    def read(number: int) -> int:
        folder = search / f"miles -{number}x" if number % 3 else search / "jazz" / f"song -{number}x"
        for _ in range(3):
            names = os.listdir(folder)
            for name in names:
                with open(folder / name, "rb") as stream:
                    assert len(stream.read(100)) == 100
        return len(names)

    with ThreadPoolExecutor(100) as pool:
        assert set(pool.map(read, range(100))) == {8}


def test_every_spelling_of_a_query_is_a_folder_of_its_own(search: Path) -> None:
    """The kernel gives a folder one name: if two shared an inode, who works in one would find itself in the other."""
    spellings = ["jazz", "JAZZ", "Jazz", " jazz", "jazz ", "jAZZ"]

    def read(number: int) -> int:
        folder = search / spellings[number % len(spellings)]
        return len(os.listdir(folder)) + len(os.listdir(folder / "song"))

    with subprocess.Popen(["bash", "-c", "read -r && /bin/pwd"], cwd=search / "jazz", stdin=-1, stdout=-1) as shell:
        with ThreadPoolExecutor(24) as pool:
            assert set(pool.map(read, range(600))) == {16}
        said, _ = shell.communicate(b"\n", timeout=20)
    assert os.fsdecode(said).rstrip("\n") == str(search / "jazz")


def test_an_index_that_is_not_there_yet(mount_library: MountLibrary, root: Path) -> None:
    mounted = mount_library({"o": root})
    wait_until_found(mounted)
    keeper, index = keeper_of(mounted), mounted.folder / "cache/search.idx"
    stop_processes([keeper])
    try:
        index.rename(index.with_suffix(".away"))
        with pytest.raises(BlockingIOError):
            os.stat(mounted.point / ".search/jazz")
        assert not (mounted.point / ".search/.git").exists()
        assert os.listdir(mounted.point / ".search") == []
        index.with_suffix(".away").rename(index)
    finally:
        os.kill(keeper, signal.SIGCONT)
    assert len(os.listdir(mounted.point / ".search/jazz")) == 8


def test_lists_stay_whole_while_the_index_changes(mount_library: MountLibrary, tmp_path: Path) -> None:
    for number in range(5):
        track(tmp_path, f"{number}.flac", title=f"Song {number}", seed=number)
    mounted = mount_library({"o": tmp_path})
    wait_until_found(mounted)
    folder = mounted.point / ".search/song"
    with os.scandir(folder) as entries:
        first = next(entries)
        track(tmp_path, "0 new.flac", title="Song 9", seed=9)
        accept_originals(mounted)
        assert mounted.command("origin", "rescan", "o", "--wait").returncode == 0
        wait_for("the new track is found", lambda: len(os.listdir(folder)) == 6)
        names = [first.name, *(entry.name for entry in entries)]
    assert len(names) == 5
    for name in names:
        assert (folder / name).is_file()
        assert os.readlink(folder / name).endswith(f"{name.partition(' - ')[2]}")


def test_a_damaged_index_fails_and_nothing_else_does(mount_library: MountLibrary, root: Path) -> None:
    mounted = mount_library({"o": root})
    wait_until_found(mounted)
    mounted.allow_log(r"search\.idx/meta\.json is damaged")
    about = mounted.folder / "cache/search.idx/meta.json"
    sound = about.read_bytes()
    about.write_bytes(b"{}")  # the keeper builds no index anew that it has just built
    with pytest.raises(OSError) as error:
        os.listdir(mounted.point / ".search/miles")
    assert error.value.errno == errno.EIO
    assert len(tracks_of(mounted)) == TRACKS
    about.write_bytes(sound)
    assert count_found(mounted, "miles") == 8


def test_the_mirror_has_no_searches(mounted: Mounted) -> None:
    for inside in (".prefetch/.search", "Miles Davis/.search", ".search/jazz/.search", ".search/.search"):
        assert not (mounted.point / inside).exists()
    assert subprocess.run(["stat", mounted.point / ".search"], capture_output=True, check=False).returncode == 0
