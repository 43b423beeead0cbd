"""Ports of a real mount: a new keeper has them again."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse

from musicfs.api.client import Client
from musicfs.api.tokens import load_token
from musicfs.errors import NoDaemonError, UnreachableError
from tests.api.network import free_port, watch
from tests.conftest import MountLibrary
from tests.faults.living import wait_for


def keeper_pid(address: str) -> int:
    """The process that answers; 0 while none does."""
    with Client(address) as client:
        try:
            return client.status().keeper_pid
        except (NoDaemonError, UnreachableError):
            return 0


def test_a_new_keeper_has_the_port_and_the_token_again(mount_library: MountLibrary, sample_library: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    mounted = mount_library({"sample": sample_library}, settings=f'[grpc]\naddresses = ["{address}"]')
    mounted.allow_log("keeper")
    before = keeper_pid(address)
    token = load_token(str(mounted.folder / "state" / "token"))
    os.kill(before, signal.SIGKILL)
    wait_for("another keeper", lambda: keeper_pid(address) not in {0, before}, 30)
    with Client(address, token=token) as client:
        assert client.confirm("sample") == 0
    assert token not in mounted.log


def test_who_watches_is_told_of_an_unmount(mount_library: MountLibrary, sample_library: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    mounted = mount_library({"sample": sample_library}, settings=f'[grpc]\naddresses = ["{address}"]')
    with grpc.insecure_channel(address) as channel:
        watched = watch(channel)
        assert next(watched).status == HealthCheckResponse.SERVING
        subprocess.run(["umount", str(mounted.point)], check=True, timeout=20)
        assert next(watched).status == HealthCheckResponse.NOT_SERVING
    assert mounted.process.wait(20) == 0
