"""What all tests share: the options, the rule about warnings, sample libraries, and a real mount."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.mounting import Mounted, Place, mount

GENERATED_TRACKS = 400
GENERATED_TRACKS_QUICK = 66
REAL_MUSIC = "usr/share/games/wesnoth/*/data/core/music"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="leave out what takes long or needs large packages")
    parser.addoption("--soak", action="store_true", help="also the long runs")


def pytest_configure(config: pytest.Config) -> None:
    # The same examples in every run, so that a red test is red again; --soak looks for new ones. How long one takes says how
    # busy the machine is, and no more: 200 ms of Hypothesis's own are over as soon as a test has to wait for its turn.
    patient = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
    hypothesis.settings.register_profile("searching", patient)
    hypothesis.settings.register_profile("steady", patient, derandomize=True, database=None)
    hypothesis.settings.load_profile("searching" if config.getoption("--soak") else "steady")
    config.addinivalue_line("markers", "expects_log(pattern): a warning that matches the pattern is expected here")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out what the options leave out. Deselected, not skipped: a skip would hide what was meant to run."""
    left_out = set()
    if not config.getoption("--soak"):
        left_out.add("soak")
    if config.getoption("--quick"):
        left_out.add("real_music")
    kept = [item for item in items if not any(item.get_closest_marker(name) for name in left_out)]
    if len(kept) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


class _Complaints(logging.Handler):
    """Keeps every record from WARNING on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test during which MusicFS logged a warning that nobody expected.

    Expected are those that match the marker ``expects_log(pattern)``, and all of them in a test that takes ``caplog``:
    it looks at the log itself.
    """
    complaints = _Complaints()
    logger = logging.getLogger("musicfs")
    logger.addHandler(complaints)
    try:
        result = yield
    finally:
        logger.removeHandler(complaints)
    if "caplog" in getattr(item, "fixturenames", ()):
        return result
    patterns = [re.compile(str(marker.args[0])) for marker in item.iter_markers("expects_log")]
    messages = [f"{record.name}: {record.getMessage()}" for record in complaints.records]
    unexpected = [text for text in messages if not any(pattern.search(text) for pattern in patterns)]
    if unexpected:
        pytest.fail("unexpected warnings:\n" + "\n".join(unexpected), pytrace=False)
    return result


@pytest.fixture(scope="session")
def quick(pytestconfig: pytest.Config) -> bool:
    """True when ``--quick`` asks for small sizes."""
    return bool(pytestconfig.getoption("--quick"))


@pytest.fixture(scope="session")
def sample_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of everything: some twenty tracks, every format, covers, discs, lyrics, one without tags. Do not change it."""
    from musicfs.testing.library import make_sample_library

    root = tmp_path_factory.mktemp("sample")
    make_sample_library(root)
    return root


@pytest.fixture(scope="session")
def generated_library(tmp_path_factory: pytest.TempPathFactory, quick: bool) -> Path:
    """Hundreds of tagged tracks in all formats. Do not change it."""
    from musicfs.testing.library import make_library

    root = tmp_path_factory.mktemp("generated")
    make_library(root, GENERATED_TRACKS_QUICK if quick else GENERATED_TRACKS, seed=1)
    return root


@pytest.fixture(scope="session")
def odd_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of mutagen's test files: a hundred, many of them damaged, and not all audio. Do not change it."""
    from tests.corpus import fetch

    return fetch(tmp_path_factory.mktemp("odd"))


@pytest.fixture(scope="session")
def real_music() -> Path:
    """The folder of Debian's wesnoth music: tagged Ogg Vorbis that people made. For tests marked ``real_music``."""
    folders = sorted(Path("/").glob(REAL_MUSIC))
    assert folders, "install wesnoth-1.16-music (dist/test does), or leave these tests out with --quick"
    return folders[-1]


MountLibrary = Callable[..., Mounted]


@pytest.fixture
def mount_library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MountLibrary]:
    """Mount any folders: ``mount_library({"music": path}, settings="[tree]\\nm3u8 = true")``; all are closed and checked."""
    with contextlib.ExitStack() as stack:

        def mount_and_remember(roots: Mapping[str, Path | Place], settings: str = "") -> Mounted:
            mounted = mount(roots, tmp_path_factory.mktemp("mounted"), settings)
            stack.callback(mounted.close)
            return mounted

        yield mount_and_remember


@pytest.fixture(scope="module")
def mounted(sample_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """The sample library, scanned and mounted by the real command; one for all tests of a module, who only read it."""
    mounted = mount({"sample": sample_library}, tmp_path_factory.mktemp("mounted"))
    try:
        yield mounted
    finally:
        mounted.close()
