"""Who may make which call: on the socket, on a port of this machine, and on any other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from musicfs.api.access import CALLS, Access, access_of
from musicfs.api.client import Client
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.unix_socket import target
from musicfs.config.addresses import Address
from musicfs.errors import DeniedError
from musicfs.events import Event, EventType
from tests.api.backend import ORIGINS, STATUS, FakeBackend
from tests.api.network import ANY_PORT, METHODS, SHOWN, TOKEN, Certificate, call, listening, make_certificate, same

# Resolves to 127.0.0.1, and is not seen to be of this machine alone: what other machines meet can be tried without them.
FAR = Address("127.1", 0)


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def channel(backend: FakeBackend, tmp_path: Path) -> Iterator[grpc.Channel]:
    """To a port of this machine."""
    with listening(backend, tmp_path) as server, grpc.insecure_channel(str(server.addresses[0])) as channel:
        yield channel


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


def asked(backend: FakeBackend) -> list[object]:
    """All that has reached the backend."""
    return [*backend.calls, *backend.asked, *backend.asked_for]


def test_the_table_has_every_call_of_the_contract_and_no_other() -> None:
    ours = {
        service.full_name: {method.name for method in service.methods}
        for service in pb.DESCRIPTOR.services_by_name.values()
    }
    assert {name: set(calls) for name, calls in CALLS.items() if name.startswith("musicfs.")} == ours


def test_what_the_table_does_not_know_takes_the_token() -> None:
    assert access_of("/musicfs.v1.MusicFS/Erase") is Access.TOKEN
    assert access_of("/another.Service/Search") is Access.TOKEN
    assert access_of("nonsense") is Access.TOKEN


@pytest.mark.parametrize("method", METHODS)
def test_without_the_token(method: str, channel: grpc.Channel, backend: FakeBackend) -> None:
    answer = call(channel, method)
    if access_of(method) is Access.OPEN:
        assert answer.code is not grpc.StatusCode.UNAUTHENTICATED
        return
    assert answer.code is grpc.StatusCode.UNAUTHENTICATED
    assert "token" in answer.details
    assert "authorization: Bearer" in answer.remedy
    assert asked(backend) == []


@pytest.mark.parametrize("method", METHODS)
def test_with_the_token(method: str, channel: grpc.Channel) -> None:
    assert call(channel, method, metadata=SHOWN).code is not grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("method", METHODS)
def test_the_socket_takes_no_token(method: str, backend: FakeBackend, tmp_path: Path) -> None:
    with listening(backend, tmp_path), grpc.insecure_channel(target(str(tmp_path / "s.sock"))) as channel:
        assert call(channel, method).code is not grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    "shown",
    [
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Basic {TOKEN}",
        TOKEN,
        "",
        "Bearer " + "x" * 4000,
    ],
)
def test_a_wrong_token_is_worse_than_none(shown: str, channel: grpc.Channel, backend: FakeBackend) -> None:
    for method in ("/musicfs.v1.MusicFS/GetStatus", "/musicfs.v1.MusicFS/Shutdown"):
        answer = call(channel, method, metadata=(("authorization", shown),))
        assert answer.code is grpc.StatusCode.UNAUTHENTICATED
        assert TOKEN not in answer.details + answer.remedy
    assert asked(backend) == []


@pytest.mark.parametrize("shown", [f"bearer {TOKEN}", f"BEARER  {TOKEN}", f" Bearer {TOKEN} "])
def test_the_scheme_in_any_case(shown: str, channel: grpc.Channel) -> None:
    answer = call(channel, "/musicfs.v1.MusicFS/Shutdown", metadata=(("authorization", shown),))
    assert answer.code is grpc.StatusCode.OK


def test_without_a_token_of_its_own_a_daemon_takes_none(backend: FakeBackend, tmp_path: Path) -> None:
    with (
        listening(backend, tmp_path, token="") as server,
        grpc.insecure_channel(str(server.addresses[0])) as channel,
    ):
        for metadata in ((), (("authorization", "Bearer "),), (("authorization", "Bearer"),)):
            answer = call(channel, "/musicfs.v1.MusicFS/Shutdown", metadata=metadata)
            assert answer.code is grpc.StatusCode.UNAUTHENTICATED
    assert asked(backend) == []


def test_what_there_is_not_is_said_to_be_missing(channel: grpc.Channel) -> None:
    """Clients try versions of a service until one is there."""
    method = channel.unary_unary("/musicfs.v9.MusicFS/GetStatus", same, same)
    with pytest.raises(grpc.RpcError) as caught:
        method(b"", timeout=10)
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


class Played(FakeBackend):
    """One event of each type."""

    def events(self, types: object, origin_id: str) -> Iterator[Event | None]:
        assert isinstance(types, list)
        self.calls.append(("events", *types))
        for one in EventType:
            if not types or one in types:
                yield Event(type=one, time_ms=1)


def test_strangers_do_not_hear_what_is_played(tmp_path: Path) -> None:
    method = "/musicfs.v1.MusicFS/SubscribeEvents"
    played = pb.EventFilter(event_types=[EventType.FILE_ACCESSED])
    everything = {one.value for one in EventType}
    with listening(Played(), tmp_path) as server, grpc.insecure_channel(str(server.addresses[0])) as channel:
        heard = {event.event_type for event in call(channel, method).messages}
        assert heard == everything - {EventType.FILE_ACCESSED.value}
        assert {event.event_type for event in call(channel, method, metadata=SHOWN).messages} == everything
        assert call(channel, method, played).code is grpc.StatusCode.UNAUTHENTICATED
        assert len(call(channel, method, played, metadata=SHOWN).messages) == 1
        with Client(str(tmp_path / "s.sock")) as client:
            assert {event.type for event in client.events()} == set(EventType)


def test_other_machines_need_the_token_for_every_call(
    backend: FakeBackend, tmp_path: Path, certificate: Certificate
) -> None:
    trusted = grpc.ssl_channel_credentials(certificate.path.read_bytes())
    with listening(backend, tmp_path, FAR, tls=certificate) as server:
        [address] = server.addresses
        with grpc.secure_channel(f"127.0.0.1:{address.port}", trusted) as channel:
            for method in METHODS:
                answer = call(channel, method)
                assert answer.code is grpc.StatusCode.UNAUTHENTICATED, method
                assert answer.remedy
            assert asked(backend) == []
            assert call(channel, "/musicfs.v1.MusicFS/GetStatus", metadata=SHOWN).code is grpc.StatusCode.OK
        endpoint = f"https://127.0.0.1:{address.port}"
        with Client(endpoint, token=TOKEN, ca_file=str(certificate.path)) as client:
            assert client.status() == STATUS
            assert client.origins() == ORIGINS
        with Client(endpoint, ca_file=str(certificate.path)) as client, pytest.raises(DeniedError, match="token"):
            client.status()


def test_who_does_not_trust_the_certificate_is_told(
    backend: FakeBackend, tmp_path: Path, certificate: Certificate
) -> None:
    with listening(backend, tmp_path, FAR, tls=certificate) as server:
        endpoint = f"https://127.0.0.1:{server.addresses[0].port}"
        with Client(endpoint, token=TOKEN) as client, pytest.raises(DeniedError) as caught:
            client.status()
        assert "--ca-file" in caught.value.remedy
    assert asked(backend) == []


def test_without_tls_or_token_no_other_machine_is_answered(
    backend: FakeBackend, tmp_path: Path, certificate: Certificate
) -> None:
    with listening(backend, tmp_path, FAR, ANY_PORT) as server:
        assert [address.host for address in server.addresses] == ["127.0.0.1"]
        assert [trouble.address for trouble in server.troubles] == [FAR]
    with listening(backend, tmp_path, FAR, token="", tls=certificate) as server:
        assert server.addresses == ()
        assert "token" in server.troubles[0].message


def test_a_renewed_certificate_is_used_without_a_restart(
    backend: FakeBackend, tmp_path: Path, certificate: Certificate
) -> None:
    (tmp_path / "new").mkdir()
    old, new = make_certificate(tmp_path), make_certificate(tmp_path / "new")
    with listening(backend, tmp_path, FAR, tls=old) as server:
        endpoint = f"https://127.0.0.1:{server.addresses[0].port}"

        def is_trusted(ca: Path) -> bool:
            with Client(endpoint, token=TOKEN, ca_file=str(ca)) as client:
                try:
                    return client.status() == STATUS
                except DeniedError:
                    return False

        kept = tmp_path / "kept.pem"
        kept.write_bytes(old.path.read_bytes())
        assert is_trusted(kept)
        new.key_path.replace(old.key_path)
        new.path.replace(old.path)
        assert is_trusted(old.path)
        assert not is_trusted(kept)


@pytest.mark.parametrize("name", ["cert.pem", "key.pem"])
def test_a_certificate_that_is_none_is_said_in_words(backend: FakeBackend, tmp_path: Path, name: str) -> None:
    made = make_certificate(tmp_path)
    for spoil in (lambda path: path.write_text("nonsense"), Path.unlink):
        spoil(tmp_path / name)
        with listening(backend, tmp_path, FAR, tls=made) as server:
            [trouble] = server.troubles
            assert name in trouble.message and ("PEM" in trouble.remedy or "grpc.tls" in trouble.remedy)
            with Client(str(tmp_path / "s.sock")) as client:
                assert client.status() == STATUS


def test_a_key_of_another_certificate(backend: FakeBackend, tmp_path: Path, certificate: Certificate) -> None:
    made = make_certificate(tmp_path)
    with listening(backend, tmp_path, FAR, tls=Certificate(made.path, certificate.key_path)) as server:
        assert "key values mismatch" in server.troubles[0].message
