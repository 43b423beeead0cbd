"""The scripts of ``dist/``: they parse, say what is wrong and what to do, and quickstart mounts.

Installing system packages and building the environment is proven by ``dist/verify-clean-root``, which needs root and
a network; here quickstart finds an environment that is already made.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.mounting import REPOSITORY, is_mount_point, musicfs_command

DIST = REPOSITORY / "dist"
SCRIPTS = [DIST / name for name in ("install.sh", "quickstart", "test", "verify-clean-root")]
MANAGERS = ("apt", "dnf", "pacman")


def run(
    *command: str | Path, environment: Mapping[str, str] | None = None, timeout_s: float = 120
) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    done = subprocess.run(
        [str(part) for part in command],
        env=None if environment is None else dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def shell(function: str) -> str:
    """What a command says in a shell that has sourced ``dist/install.sh``."""
    code, output, errors = run("bash", "-c", f"set -euo pipefail; cd {REPOSITORY}; source dist/install.sh; {function}")
    assert code == 0, errors
    return output.strip()


@pytest.fixture
def home() -> Iterator[dict[str, str]]:
    """An environment whose home is empty, and whose virtual environment is this interpreter's, under another name."""
    with tempfile.TemporaryDirectory(prefix="musicfs-home-") as folder:  # short: sockets lie below it
        venv = Path(folder) / "venv"
        (venv / "bin").mkdir(parents=True)
        for name, command in (("python", [sys.executable]), ("musicfs", musicfs_command())):
            script = venv / "bin" / name
            words = " ".join(f"'{word}'" for word in command)
            script.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
            script.chmod(0o755)
        digest = hashlib.sha256((REPOSITORY / "pyproject.toml").read_bytes()).hexdigest()
        (venv / ".musicfs-all").write_text(digest + "\n", encoding="utf-8")
        runtime = Path(folder) / "run"
        runtime.mkdir(mode=0o700)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "MUSICFS_"))}
        yield {
            **inherited,
            "HOME": folder,
            "XDG_RUNTIME_DIR": str(runtime),
            "MUSICFS_VENV": str(venv),
            "PYTHONPATH": str(REPOSITORY),
        }


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_it_is_shell(script: Path) -> None:
    assert run("bash", "-n", script)[0] == 0


@pytest.mark.parametrize("name", ["quickstart", "test", "verify-clean-root"])
def test_help_says_how(name: str) -> None:
    code, output, _errors = run(DIST / name, "--help")
    assert code == 0
    assert output.startswith("usage: ")


def test_the_build_needs_are_known_to_every_package_manager() -> None:
    for manager in MANAGERS:
        for name in ("python3-venv", "python3-dev", "gcc", "libc6-dev", "pkg-config", "libfuse-dev", "fuse3", "ffmpeg"):
            assert shell(f"translate {manager} {name}"), f"{manager} {name}"


def test_nothing_is_ever_removed() -> None:
    text = (DIST / "install.sh").read_text(encoding="utf-8")
    assert "--no-remove" in text
    for word in (
        "apt-get remove",
        "apt-get purge",
        "autoremove",
        "dnf remove",
        "dnf swap",
        "pacman -R",
        "--allowerasing",
    ):
        assert word not in text


def test_an_old_python_is_told_from_a_new_one() -> None:
    assert shell(f"python_is_recent '{sys.executable}' && echo recent") == "recent"
    assert shell("python_is_recent /bin/false || echo old") == "old"


@pytest.mark.parametrize(
    ("arguments", "complaint", "remedy"),
    [
        (["/nonexistent/music"], "there is no folder /nonexistent/music", "name the folder"),
        (["/etc/hostname"], "is not a folder", "not a file in it"),
        (["/usr/share", "/usr/share/mounted"], "lies inside the music", "choose a folder outside"),
        (["/usr/share/doc", "/usr/share"], "lies inside the mount point", "choose another mount point"),
    ],
)
def test_quickstart_says_what_is_wrong(arguments: list[str], complaint: str, remedy: str, home: dict[str, str]) -> None:
    code, _output, errors = run(DIST / "quickstart", *arguments, environment=home)
    assert code == 1
    assert complaint in errors and remedy in errors


def test_quickstart_mounts_a_sample_library_once(home: dict[str, str]) -> None:
    point = Path(home["HOME"]) / "Music-by-tag"
    try:
        code, output, errors = run(DIST / "quickstart", environment=home)
        assert code == 0, errors
        assert "[FLAC]/" in output and "cover.jpg" in output, output
        assert "mpv" in output and "shutdown" in output
        assert is_mount_point(point)
        code, again, errors = run(DIST / "quickstart", environment=home)
        assert code == 0, errors
        assert "already mounted" in errors
        assert "[FLAC]/" in again
    finally:
        code, _output, errors = run(Path(home["MUSICFS_VENV"]) / "bin" / "musicfs", "shutdown", environment=home)
    assert code == 0, errors
    assert not is_mount_point(point)


def test_quickstart_takes_a_folder_of_music(home: dict[str, str], sample_library: Path) -> None:
    point = Path(home["HOME"]) / "my music"
    try:
        code, output, errors = run(DIST / "quickstart", sample_library, point, environment=home)
        assert code == 0, errors
        assert f"\n{point}\n" in output
        assert is_mount_point(point)
    finally:
        code, _output, errors = run(Path(home["MUSICFS_VENV"]) / "bin" / "musicfs", "shutdown", environment=home)
    assert code == 0, errors


def without_services(policy: Path, script: str) -> subprocess.Popen[str]:
    """A command during which Debian's services must not start; ``$0`` in the script is the policy's file."""
    return subprocess.Popen(
        [
            # Under nohup the tests ignore SIGHUP, and a shell cannot trap what was ignored when it began.
            *("env", "--default-signal"),
            "bash",
            "-c",
            'cd "$1"; source dist/install.sh; exec bash -c "$WITHOUT_SERVICES" bash "$2" bash -c "$3" "$2"',
            *("bash", REPOSITORY, policy, script),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("code", [0, 7])
def test_services_are_forbidden_while_packages_are_installed(tmp_path: Path, code: int) -> None:
    policy = tmp_path / "policy-rc.d"
    process = without_services(policy, f'"$0" smbd start; echo "forbidden: $?"; exit {code}')
    assert process.communicate(timeout=20)[0] == "forbidden: 101\n"  # as invoke-rc.d(8) has it
    assert process.returncode == code
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_the_policy_is_gone_when_the_installation_is_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    policy = tmp_path / "policy-rc.d"
    # Not a shell's own wait: a signal that comes while bash prepares it is looked at when the wait is over.
    process = without_services(policy, 'echo "$PPID"; exec sleep 60')
    assert process.stdout is not None
    assert int(process.stdout.readline()) == process.pid
    assert policy.exists()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
    process.send_signal(number)
    for child in children:  # a terminal tells all of them
        os.kill(int(child), number)
    process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert list(tmp_path.iterdir()) == []


def test_a_policy_that_is_there_stays_and_decides(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    policy.chmod(0o755)
    process = without_services(policy, '"$0" smbd start && echo allowed')
    assert process.communicate(timeout=20)[0] == "allowed\n"
    assert policy.read_text(encoding="utf-8") == "#!/bin/sh\nexit 0\n"


def test_what_is_installed_off_is_disabled_and_nothing_else(tmp_path: Path) -> None:
    """The package manager and systemd are stand-ins that write down what they are asked."""
    log = tmp_path / "log"
    stand_ins = f"""
        package_manager() {{ echo apt; }}
        is_installed() {{ [[ $2 == openssh-server ]]; }}
        as_root() {{ echo "$*" >>{log}; }}
        have() {{ true; }}
        dpkg-query() {{
            printf '%s\\n' /usr/sbin/$2 /lib/systemd/system/$2.service /usr/lib/systemd/system/$2.socket \\
                /lib/systemd/system/$2@.service /lib/systemd/system/$2.service.d /usr/lib/systemd/user/$2.service
        }}
    """
    shell(f"{stand_ins}\ninstall_packages --off samba openssh-server rpcbind")
    asked = log.read_text(encoding="utf-8").splitlines()
    assert "policy-rc.d" in log.read_text(encoding="utf-8")
    assert asked[-1] == "systemctl disable --quiet samba.service samba.socket rpcbind.service rpcbind.socket"
    log.unlink()
    shell(f"{stand_ins}\ninstall_packages rpcbind")
    assert "policy-rc.d" not in log.read_text(encoding="utf-8")
    assert "systemctl" not in log.read_text(encoding="utf-8")
