"""Names that are hard for a filesystem: every file is reachable, none hides another, none escapes."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from tests.conftest import MountLibrary
from tests.faults.living import check_everything, track
from tests.mounting import Mounted

HARD: dict[str, str] = {
    "slash": "AC/DC",
    "slashes": "///",
    "up": "../../../etc/passwd",
    "dot": ".",
    "dots": "..",
    "three dots": "...",
    "hidden": ".hidden",
    "only spaces": "   ",
    "trailing": "ends. . ",
    "long": "x" * 300,
    "long and wide": "é" * 300,
    "long emoji": "🎵" * 100,
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈",
    "nfd": unicodedata.normalize("NFD", "Ænimá Ñandú"),
    "nfc": unicodedata.normalize("NFC", "Ænimá Ñandú"),
    "right to left": "\u202eموسيقى\u202c",
    "override": "cod.\u202egnp.exe",
    "newline": "two\nlines\r\tand a tab",
    "control": "bell\x07escape\x1b[31mred",
    "upper": "SAME",
    "lower": "same",
    "device": "CON",
    "reserved": 'a\\b:c*d?e"f<g>h|i',
    "template": "$album ${title} <$year> $$",
    "number": "Twin (2)",
    "zero width": "\u200b\u200d\ufeff",
    "combining": "a" + "\u0301" * 200,
    "dash": "-rf",
    "tilde": "~root",
    "percent": "%2F%00",
}
NAMES: tuple[bytes, ...] = (
    b"plain", b"-rf", b" leading", b"trailing ", b"new\nline", b"\xff\xfe", b"latin1 \xe9\xe8", b"\xed\xa0\x80 lone",
    b"caf\xc3\xa9", b"cafe\xcc\x81", b"UPPER", b"upper", b"x" * 250, b"a\\b", b"quote'\"", b"*?", b"\xf0\x9f\x8e\xb5",
    b"...", b"$title", b"%s", b"semi;colon", b"\x01\x02\x7f", b"~", b"#", b"Twin", b"Twin (2)",
)  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every hard text as title, artist and album; the same one four times; every hard name on disk, tagged and not."""
    root = tmp_path_factory.mktemp("origin")
    for number, (kind, text) in enumerate(HARD.items()):
        track(root, f"tags/{kind}/title.mp3", title=text, seed=number)
        track(root, f"tags/{kind}/artist.mp3", title="T", artist=text, seed=number)
        track(root, f"tags/{kind}/album.mp3", title="T", album=text, seed=number)
    for number in range(4):
        track(root, f"twins/{number}.mp3", title="Twin", artist="Twins", album="Twins", seed=number)
        track(root, f"long twins/{number}.mp3", title="y" * 300, artist="Twins", album="Twins", seed=number)
    plain = track(root, "model.mp3", title="", seed=50).read_bytes()
    (root / "names").mkdir()
    for number, name in enumerate(NAMES):
        _write(root, b"names/" + name + b".mp3", plain + bytes([number]))
        _write(root, b"names/" + name + b".txt", b"sidecar %d" % number)
        _write(root, b"folders/" + name + b"/a.flac", b"not music %d" % number)
    return root


def _write(root: Path, path: bytes, data: bytes) -> None:
    full = os.path.join(os.fsencode(root), path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "wb") as stream:
        stream.write(data)


SETTINGS = {
    "default": "",
    "windows": '[tree]\nnames = "windows"',
    "flat": '[tree]\ntemplate = "$title"',
    "deep": '[tree]\ntemplate = "$title/$artist/$album/$title"',
    "as they lie": "[tree]\nfolders = true",
}


@pytest.mark.parametrize("settings", SETTINGS)
def test_every_file_is_reachable_once_and_inside(mount_library: MountLibrary, library: Path, settings: str) -> None:
    mounted = mount_library({"o": library}, settings=SETTINGS[settings])
    found = check_everything(mounted)
    assert set(found.values()) == {path for path in library.rglob("*") if path.is_file()}
    point = os.fsencode(mounted.point)
    for folder, folders, files in os.walk(point):
        assert os.path.realpath(folder).startswith(point)
        assert len(set(folders + files)) == len(folders + files)
        for name in folders + files:
            _check_name(name, settings)
            status = os.lstat(os.path.join(folder, name))
            assert status.st_ino
        if settings == "windows":
            folded = {name.decode("utf-8", "surrogateescape").casefold() for name in folders + files}
            assert len(folded) == len(folders + files), "two names that differ only in case"


def _check_name(name: bytes, settings: str) -> None:
    assert 0 < len(name) <= 255
    assert b"/" not in name and b"\0" not in name and name not in (b".", b"..")
    assert not name.startswith(b".") or settings == "as they lie"
    if settings == "windows":
        assert not set(name) & set(b'\\:*?"<>|') and not any(byte < 32 for byte in name)
        assert not name.endswith((b" ", b".")), name


def test_names_come_out_the_same_on_another_machine(mount_library: MountLibrary, library: Path) -> None:
    first = _names(mount_library({"o": library}))
    assert _names(mount_library({"o": library})) == first


def _names(mounted: Mounted) -> list[tuple[str, int]]:
    return sorted(
        (os.path.relpath(os.path.join(folder, name), mounted.point), os.lstat(os.path.join(folder, name)).st_ino)
        for folder, _, files in os.walk(mounted.point)
        for name in files
    )
