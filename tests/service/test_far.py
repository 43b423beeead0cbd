"""A mount that another machine reaches, over a cable: with TLS and the token, and in no other way."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.network import make_certificate
from tests.faults.living import album
from tests.mounting import Mounted, mount, musicfs_command
from tests.servers.cable import SERVER, Cable

FAR, NEAR = f"{SERVER}:50052", "127.0.0.1:50052"


class Far:
    """The mount, and the other machine."""

    def __init__(self, mounted: Mounted, cable: Cable, certificate: Path) -> None:
        self.mounted = mounted
        self.certificate = str(certificate)
        self.token = str(mounted.folder / "state" / "token")
        self._cable = cable

    def run(self, *command: str, at_server: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a command on the other machine, or on that of the mount; does not raise when it fails."""
        at = self._cable.at_server if at_server else self._cable.at_client
        # The socket of the mount is out of reach there, as it is on another machine.
        environment = self.mounted.environment | {"XDG_RUNTIME_DIR": "/nonexistent"}
        return subprocess.run([*at, *command], env=environment, capture_output=True, text=True, timeout=60, check=False)

    def musicfs(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run our command there."""
        return self.run(*musicfs_command(), *arguments)


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    folder = tmp_path_factory.mktemp("far")
    album(folder / "music", "One", 2)
    made = make_certificate(folder, SERVER)
    cable = Cable()
    try:
        cable.start()
        grpc = f'addresses = ["{NEAR}", "{FAR}"]\ntls_cert = "{made.path}"\ntls_key = "{made.key_path}"'
        mounted = mount({"music": folder / "music"}, folder / "home", f"[grpc]\n{grpc}", cable.at_server)
        try:
            yield Far(mounted, cable, made.path)
        finally:
            mounted.close()
    finally:
        cable.stop()


def test_with_the_token_everything_works(far: Far) -> None:
    options = ("--endpoint", f"https://{FAR}", "--ca-file", far.certificate, "--token-file", far.token)
    done = far.musicfs(*options, "status", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["tracks"] == 2
    done = far.musicfs(*options, "origin", "rescan", "music", "--wait")
    assert done.returncode == 0, done.stderr


def test_without_the_token_nothing_works(far: Far, tmp_path: Path) -> None:
    """Nor what is open to everybody on the machine itself."""
    wrong = tmp_path / "wrong"
    wrong.write_text("x" * 43)
    wrong.chmod(0o600)
    options = ("--endpoint", f"https://{FAR}", "--ca-file", far.certificate)
    for given, said in (((), "every call here takes the token"), (("--token-file", str(wrong)), "not the one")):
        for command in (("status",), ("origin", "list"), ("search", "x"), ("shutdown",)):
            done = far.musicfs(*options, *given, *command)
            assert done.returncode == 1, done
            assert said in done.stderr
    assert far.mounted.process.poll() is None


def test_who_it_is_must_be_known_before_the_token_is_shown(far: Far) -> None:
    done = far.musicfs("--endpoint", f"https://{FAR}", "--token-file", far.token, "status")
    assert done.returncode == 1 and "has not shown that it is the daemon" in done.stderr
    done = far.musicfs("--endpoint", f"http://{FAR}", "--token-file", far.token, "status")
    assert done.returncode == 2 and "can be read by others" in done.stderr


def test_other_programs(far: Far) -> None:
    grpcurl = shutil.which("grpcurl")
    assert grpcurl is not None
    bare = far.run(grpcurl, "-max-time", "10", "-plaintext", FAR, "list")
    assert bare.returncode != 0 and "musicfs" not in bare.stdout
    near = far.run(grpcurl, "-max-time", "10", "-plaintext", NEAR, "list")
    assert near.returncode != 0, "ports of the loopback interface end there"
    known = far.run(grpcurl, "-max-time", "10", "-cacert", far.certificate, FAR, "list")
    assert known.returncode != 0 and "takes the token" in known.stderr
    token = Path(far.token).read_text().strip()
    shown = far.run(
        grpcurl, "-max-time", "10", "-cacert", far.certificate, "-H", f"authorization: Bearer {token}", FAR, "list"
    )
    assert "musicfs.v1.MusicFS" in shown.stdout.split()


def test_the_machine_itself_looks_without_the_token(far: Far) -> None:
    grpcurl = shutil.which("grpcurl")
    assert grpcurl is not None
    looked = far.run(grpcurl, "-max-time", "10", "-plaintext", NEAR, "musicfs.v1.MusicFS/GetStatus", at_server=True)
    assert json.loads(looked.stdout)["instance"] == "config"
