"""The units of systemd: sound, hardened, and without what would hide the mount from the machine."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DIST = Path(__file__).parent.parent.parent / "dist"
UNITS = ("musicfs.service", "musicfs@.service", "musicfs-user.service")

# systemd.exec(5) of systemd 252 to 257, sections Paths, Sandboxing, Logging and Credentials: each gives the service a mount
# namespace of its own, in which the machine does not see what is mounted, or needs one to work.
MOUNT_NAMESPACE = {
    "PrivateTmp", "PrivateDevices", "PrivateMounts", "PrivateIPC", "PrivateUsers", "PrivatePIDs", "PrivateNetwork",
    "NetworkNamespacePath", "ProtectSystem", "ProtectHome", "ProtectKernelTunables", "ProtectKernelModules",
    "ProtectKernelLogs", "ProtectControlGroups", "ProtectProc", "ProcSubset", "ReadWritePaths", "ReadOnlyPaths",
    "InaccessiblePaths", "ExecPaths", "NoExecPaths", "TemporaryFileSystem", "BindPaths", "BindReadOnlyPaths", "MountAPIVFS",
    "MountFlags", "RootDirectory", "RootImage", "RootEphemeral", "RootHash", "MountImages", "ExtensionImages",
    "ExtensionDirectories", "DynamicUser", "LogNamespace", "LoadCredential", "LoadCredentialEncrypted", "SetCredential",
    "ImportCredential", "SetCredentialEncrypted", "RootImageOptions", "RootVerity", "RootHashSignature", "RootImagePolicy",
    "MountImagePolicy", "ExtensionImagePolicy", "BindLogSockets", "PrivateBPF", "DelegateNamespaces", "ProtectHostname",
    "ProtectClock", "IPCNamespacePath", "StandardInput",
}  # fmt: skip
# The same page on NoNewPrivileges=: set by itself, or implied by these where the service has not CAP_SYS_ADMIN, as a user's
# has not: fusermount, which is setuid, could then not mount.
NO_NEW_PRIVILEGES = {
    "NoNewPrivileges", "SystemCallFilter", "SystemCallLog", "SystemCallArchitectures", "RestrictAddressFamilies",
    "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "LockPersonality", "MemoryDenyWriteExecute",
    "RestrictFileSystems", "SecureBits",
}  # fmt: skip
FORBIDDEN_TO_USERS = {"CapabilityBoundingSet", "AmbientCapabilities", "DevicePolicy", "DeviceAllow", "User", "Group"}

# The lowest threshold that passes with systemd 252.
EXPOSURE = {"musicfs.service": 81, "musicfs@.service": 81, "musicfs-user.service": 97}


class _Unit(configparser.RawConfigParser):
    """Directives are case-sensitive, and may stand several times."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def directives(name: str) -> dict[str, dict[str, str]]:
    unit = _Unit(strict=False, delimiters=("=",), comment_prefixes=("#", ";"), interpolation=None)
    unit.read(DIST / name)
    return {section: dict(unit[section]) for section in unit.sections()}


@pytest.mark.parametrize("name", UNITS)
def test_the_machine_sees_the_mount_and_fusermount_works(name: str) -> None:
    service = directives(name)["Service"]
    assert not set(service) & (MOUNT_NAMESPACE | NO_NEW_PRIVILEGES)
    if name == "musicfs-user.service":
        assert not set(service) & FORBIDDEN_TO_USERS


@pytest.mark.parametrize("name", UNITS)
def test_it_lives_and_ends_as_the_daemon_does(name: str) -> None:
    service = directives(name)["Service"]
    expected = {"Type": "notify", "NotifyAccess": "main", "KillMode": "mixed", "Restart": "on-failure"}
    assert {key: service[key] for key in expected} == expected
    from musicfs.config.settings import MountSettings

    assert int(service["TimeoutStopSec"]) > MountSettings().drain_timeout_s + 5 + 12 + 15, (
        "drain, margin, keeper, closing"
    )
    assert "--foreground" in service["ExecStart"]
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert int(service["WatchdogSec"]) >= 30
    assert "ExecStop" not in service
    assert "ExecStopPost" not in service, (
        "what a crash leaves is not uncovered: an empty folder looks like an empty library"
    )


def test_the_template_differs_from_the_unit_in_its_instance_only() -> None:
    plain, template = directives("musicfs.service"), directives("musicfs@.service")
    assert plain["Service"]["ExecStart"].replace("config.toml", "%i.toml") == template["Service"]["ExecStart"]
    different = {
        f"{section}.{key}"
        for section in plain
        for key in plain[section].keys() | template[section].keys()
        if plain[section].get(key) != template[section].get(key)
    }
    assert different == {"Unit.Description", "Service.ExecStart", "Service.CacheDirectory", "Service.StateDirectory"}


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with the program where it is on this machine."""
    program = tmp_path / "musicfs"
    program.write_text(f"#!{sys.executable}\n")
    program.chmod(0o755)
    for name in UNITS:
        text = (
            (DIST / name)
            .read_text()
            .replace("/usr/bin/musicfs", str(program))
            .replace("%h/.local/bin/musicfs", str(program))
        )
        (tmp_path / name.replace("@.", "@home.")).write_text(
            text.replace("man:musicfs(1)", "https://example.org/musicfs")
        )
    return tmp_path


def analyze(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    assert program, "systemd-analyze is missing: apt-get install systemd"
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder), "SYSTEMD_LOG_LEVEL": "warning"}
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=folder, env=environment
    )


@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_nothing_wrong(name: str, units: Path) -> None:
    whose = ["--user"] if name == "musicfs-user.service" else []
    done = analyze(
        *whose, "verify", "--man=no", "--recursive-errors=no", str(units / name.replace("@.", "@home.")), folder=units
    )
    ours = [line for line in (done.stderr + done.stdout).splitlines() if "musicfs" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


@pytest.mark.parametrize("name", UNITS)
def test_what_can_be_hardened_is(name: str, units: Path) -> None:
    """The score is what systemd makes of what is left (ten times what it prints); it must not get worse unnoticed."""
    path = units / name.replace("@.", "@home.")
    whose = ["--user"] if name == "musicfs-user.service" else []
    done = analyze(*whose, "security", "--offline=yes", f"--threshold={EXPOSURE[name]}", str(path), folder=units)
    assert done.returncode == 0, done.stdout + done.stderr
