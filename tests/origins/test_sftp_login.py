"""Who is let in by the sftp origin's server, and which server is believed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from musicfs.errors import DeniedError, OriginError
from musicfs.origins.sftp import open_sftp_origin
from tests.servers.sshd import Sshd, make_key

SECRET = "correct horse battery staple"


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    server = Sshd()
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _bare_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home without keys and known hosts, and no agent."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


Check = Callable[..., None]


@pytest.fixture
def check(sshd: Sshd) -> Check:
    """Opens an origin with other settings, and checks it; what it says holds no secret."""

    def check_and_close(**changes: object) -> None:
        origin = open_sftp_origin(sshd.settings(**changes), anchor=b"", debounce_s=0.05)  # type: ignore[arg-type]  # by name
        try:
            origin.check()
        except OriginError as error:
            assert SECRET not in f"{error!r} {error} {error.remedy}"
            raise
        finally:
            origin.close()

    return check_and_close


def test_a_key_file(check: Check) -> None:
    check()


def test_a_key_nobody_trusts(check: Check, tmp_path: Path) -> None:
    key = make_key(tmp_path / "stranger")
    with pytest.raises(DeniedError, match="stranger") as caught:
        check(key_file=str(key))
    assert "key_file" in caught.value.remedy


def test_a_key_with_a_passphrase(sshd: Sshd, check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = str(make_key(tmp_path / "locked", SECRET))
    sshd.trust(Path(key))
    monkeypatch.setenv("KEY_PASSPHRASE", SECRET)
    check(key_file=key, key_passphrase="env:KEY_PASSPHRASE")
    with pytest.raises(DeniedError, match="locked") as caught:
        check(key_file=key)
    assert "key_passphrase" in caught.value.remedy
    monkeypatch.setenv("KEY_PASSPHRASE", SECRET + "!")
    with pytest.raises(DeniedError, match="locked"):
        check(key_file=key, key_passphrase="env:KEY_PASSPHRASE")
    with pytest.raises(DeniedError, match="NOT_THERE"):
        check(key_file=key, key_passphrase="env:NOT_THERE")


@pytest.mark.parametrize("content", [None, "no key"], ids=["missing", "no key"])
def test_a_key_file_that_is_none(check: Check, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DeniedError, match=str(path)):
        check(key_file=str(path))


def test_a_key_in_its_usual_place(sshd: Sshd, check: Check, tmp_path: Path) -> None:
    for suffix in ("", ".pub"):
        source = sshd.key_file.with_name(sshd.key_file.name + suffix)
        target = tmp_path / "home" / ".ssh" / f"id_ed25519{suffix}"
        target.write_bytes(source.read_bytes())
        target.chmod(0o600)
    check(key_file="")


def test_a_key_of_the_agent(sshd: Sshd, check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        with pytest.raises(DeniedError, match="agent"):
            check(key_file="")  # it holds no key yet
        subprocess.run(["ssh-add", "-q", str(sshd.key_file)], check=True, timeout=10)
        check(key_file="")
    finally:
        os.kill(agent.pid, signal.SIGTERM)
        agent.wait(10)


def test_a_password_the_server_does_not_want(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", SECRET)
    with pytest.raises(DeniedError, match="the password"):
        check(key_file="", password="env:PASSWORD")


def test_an_unknown_host_key(sshd: Sshd, check: Check, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(DeniedError, match="SHA256:") as caught:
        check(known_hosts=str(tmp_path / "empty"))
    assert f"ssh-keyscan -p {sshd.port} 127.0.0.1 >> {tmp_path}/empty" in caught.value.remedy
    with pytest.raises(DeniedError, match=r"\.ssh/known_hosts"):
        check(known_hosts="")  # the usual files, which are not there


def test_known_hosts_in_its_usual_place(sshd: Sshd, check: Check, tmp_path: Path) -> None:
    (tmp_path / "home" / ".ssh" / "known_hosts").write_bytes(sshd.known_hosts.read_bytes())
    check(known_hosts="")


def test_a_changed_host_key(sshd: Sshd, check: Check, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other").with_name("other.pub").read_text()
    (tmp_path / "known").write_text(f"[127.0.0.1]:{sshd.port} {other}")
    with pytest.raises(DeniedError, match="another host key") as caught:
        check(known_hosts=str(tmp_path / "known"))
    assert f"ssh-keygen -R '[127.0.0.1]:{sshd.port}'" in caught.value.remedy


def test_a_revoked_host_key(sshd: Sshd, check: Check, tmp_path: Path) -> None:
    (tmp_path / "known").write_text("".join(marker + sshd.known_hosts.read_text() for marker in ("", "@revoked ")))
    with pytest.raises(DeniedError, match="revokes"):
        check(known_hosts=str(tmp_path / "known"))


def test_a_host_key_of_another_type(sshd: Sshd, check: Check, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(tmp_path / "ecdsa")], check=True, timeout=30)
    (tmp_path / "known").write_text(f"[127.0.0.1]:{sshd.port} {(tmp_path / 'ecdsa.pub').read_text()}")
    with pytest.raises(OriginError) as caught:  # OpenSSH hangs up
        check(known_hosts=str(tmp_path / "known"))
    assert "ssh-keyscan" in caught.value.remedy


@pytest.mark.parametrize("content", [None, "[127.0.0.1]:1 ssh-ed25519 AAAA\n"], ids=["missing", "damaged"])
def test_known_hosts_that_cannot_be_used(check: Check, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "known"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DeniedError) as caught:
        check(known_hosts=str(path))
    assert "known" in str(caught.value)


def test_a_user_that_is_not_there(check: Check) -> None:
    with pytest.raises(DeniedError, match="somebody-else"):
        check(username="somebody-else")
