"""The house's floors and fences, held over the syntax tree: who may import whom, and what a module looks like.

Rooms and floors are drawn in ``musicfs/__init__.py``. An import is knowledge, so imports for type checkers and imports
inside functions count like any other.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
PACKAGE = REPOSITORY / "musicfs"
GENERATED = PACKAGE / "api" / "generated"  # written by protoc, held by no rule but the fences

FLOORS = {
    "errors": 0,
    "model": 0,
    "events": 0,
    "clock": 0,
    "interpreter": 0,
    "config": 1,
    "origins": 2,
    "store": 2,
    "formats": 2,
    "index": 2,
    "content": 3,
    "library": 3,
    "vfs": 4,
    "mount": 5,
    "api": 5,
    "web": 5,
    "plugins": 5,
    "daemon": 6,
    "cli": 7,
    "__main__": 8,
}
GROUND = 0

# Third-party package -> the rooms that may import it. A new dependency takes a line here, and a reason to have more rooms.
EVERYWHERE = frozenset(FLOORS)
FENCES: dict[str, frozenset[str]] = {
    "msgspec": EVERYWHERE,
    "xxhash": EVERYWHERE,
    "lmdb": frozenset({"store"}),
    "llfuse": frozenset({"mount"}),
    "mutagen": frozenset({"formats"}),
    "PIL": frozenset({"formats", "library"}),  # a PNG cover becomes a JPEG in the scan worker
    "grpc": frozenset({"api"}),
    "grpc_health": frozenset({"api"}),
    "grpc_reflection": frozenset({"api"}),
    "google": frozenset({"api"}),  # google.protobuf
    "click": frozenset({"cli"}),
    "rich": frozenset({"cli"}),
    "prometheus_client": frozenset({"daemon"}),
    "watchdog": frozenset({"origins", "library"}),
    "tantivy": frozenset({"index"}),
    "fastcdc": frozenset({"content"}),
    "asyncssh": frozenset({"origins"}),
    "smbprotocol": frozenset({"origins"}),
    "smbclient": frozenset({"origins"}),
    "spnego": frozenset({"origins"}),
    "keyring": frozenset({"config"}),
    "tomllib": frozenset({"config"}),  # of the standard library, and fenced all the same: only config reads TOML
}
FORBIDDEN_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "base", "misc", "manager"})
TOUCHES_THE_WORLD = frozenset({"io", "os", "pathlib", "shutil", "socket", "subprocess", "tempfile"})
MODULE_LINES_MAX = 400


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module, by its absolute dotted name."""

    target: str
    line: int

    @property
    def package(self) -> str:
        return self.target.partition(".")[0]


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if GENERATED not in path.parents)


def fenced_modules() -> list[Path]:
    """Every module but those of ``testing``, which is for tests and may use any room."""
    return [path for path in sorted(PACKAGE.rglob("*.py")) if room_of(path) != "testing"]


def room_of(path: Path) -> str:
    """The room a module belongs to; empty for the package's own ``__init__``."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imports_of(path: Path) -> Iterator[Import]:
    """Every import in a module, relative ones resolved; ``from musicfs import vfs`` names the room ``vfs``."""
    package = [*path.relative_to(REPOSITORY).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            if module == "musicfs":
                yield from (Import(f"musicfs.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield Import(module, node.lineno)


def label(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.mark.parametrize("path", fenced_modules(), ids=label)
def test_imports_go_down_only(path: Path) -> None:
    room = room_of(path)
    assert room == "" or room in FLOORS, f"{label(path)}: the room {room!r} has no floor in {label(Path(__file__))}"
    for found in imports_of(path):
        if found.package != "musicfs":
            continue
        other = found.target.partition(".")[2].partition(".")[0]
        if other in (room, "__version__", ""):
            continue
        where = f"{label(path)}:{found.line} imports {found.target}"
        assert room, f"{where}: the package itself imports no room"
        assert other in FLOORS, f"{where}: not a room that may be imported"
        ground = FLOORS[room] == FLOORS[other] == GROUND  # the words of the ground floor explain each other
        assert ground or FLOORS[other] < FLOORS[room], f"{where}: floor {FLOORS[other]} from floor {FLOORS[room]}"


@pytest.mark.parametrize("path", fenced_modules(), ids=label)
def test_third_party_packages_stay_behind_their_fences(path: Path) -> None:
    for found in imports_of(path):
        where = f"{label(path)}:{found.line} imports {found.target}"
        if found.package in FENCES:
            allowed = FENCES[found.package]
            assert room_of(path) in allowed, f"{where}: only {', '.join(sorted(allowed))} may"
        elif found.package not in ("musicfs", "__future__"):
            assert found.package in sys.stdlib_module_names, f"{where}: this dependency has no fence yet"


@pytest.mark.parametrize("path", [path for path in modules() if FLOORS.get(room_of(path)) == GROUND], ids=label)
def test_the_ground_floor_does_no_io(path: Path) -> None:
    for found in imports_of(path):
        assert found.package not in TOUCHES_THE_WORLD, f"{label(path)}:{found.line} imports {found.target}"


@pytest.mark.parametrize("path", modules(), ids=label)
def test_a_module_explains_itself_and_stays_small(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    assert ast.get_docstring(tree), f"{label(path)} has no docstring"
    lines = source.count("\n")
    assert lines <= MODULE_LINES_MAX, f"{label(path)} has {lines} lines: which noun wants to leave?"
    for part in path.relative_to(PACKAGE).with_suffix("").parts:
        assert part.strip("_") not in FORBIDDEN_NAMES, f"{label(path)}: {part!r} says nothing about what is in it"


@pytest.mark.parametrize(
    "path",
    [*modules(), *sorted((REPOSITORY / "tests").rglob("*.py")), *sorted((REPOSITORY / "benchmarks").rglob("*.py"))],
    ids=label,
)
def test_annotations_are_not_evaluated(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    statements = [node for node in tree.body if not isinstance(node, ast.Expr)]
    if not statements:
        return  # nothing but a docstring
    first = statements[0]
    assert isinstance(first, ast.ImportFrom) and first.module == "__future__", (
        f"{label(path)} lacks the __future__ import"
    )
    assert [alias.name for alias in first.names] == ["annotations"]


def test_no_room_imports_the_tests() -> None:
    for path in fenced_modules():
        for found in imports_of(path):
            assert found.package not in ("tests", "benchmarks"), f"{label(path)}:{found.line} imports {found.target}"
