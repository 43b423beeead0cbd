"""How many failures make an origin unhealthy, from the file to the verdict."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec
import pytest

from musicfs.clock import SystemClock
from musicfs.config.load import load, read
from musicfs.config.settings import HealthSettings, HealthThresholds, OriginType
from musicfs.config.show import show
from musicfs.daemon.health import HealthMonitor, threshold_of
from musicfs.errors import UnreachableError
from musicfs.model import Health


@pytest.mark.parametrize(
    ("text", "origin_type", "threshold"),
    [
        ("", "local", 1),
        ("", "nfs", 3),
        ("unhealthy_threshold = 5", "nfs", 5),
        ("unhealthy_threshold = 5", "local", 1),
        ("unhealthy_threshold = 5\nper_origin_thresholds.nfs = 3", "nfs", 3),  # also where it is the usual number
        ("unhealthy_threshold = 5\nper_origin_thresholds.nfs = 3", "smb", 5),
        ("unhealthy_threshold = 5\nper_origin_thresholds.local = 0", "local", 5),
        ("per_origin_thresholds.webdav = 1", "webdav", 1),
    ],
)
def test_a_types_own_number_counts_before_the_general_one(
    text: str, origin_type: OriginType, threshold: int, tmp_path: Path
) -> None:
    file = tmp_path / "musicfs.toml"
    file.write_text(f"[health]\n{text}\n", encoding="utf-8")
    settings = load(str(file), environment={}, flags={})
    assert threshold_of(settings.health, origin_type) == threshold
    shown = tmp_path / "shown.toml"
    shown.write_text(show(read(str(file), environment={}, flags={})), encoding="utf-8")
    assert load(str(shown), environment={}, flags={}).health == settings.health


def test_every_type_can_have_a_number_of_its_own() -> None:
    assert set(get_args(OriginType)) == set(HealthThresholds.__struct_fields__)


@pytest.mark.expects_log("origin nas cannot be read")
def test_an_origin_is_unhealthy_after_so_many_failures_in_a_row() -> None:
    health = HealthSettings(per_origin_thresholds=msgspec.structs.replace(HealthThresholds(), nfs=2))
    changes: list[Health] = []
    monitor = HealthMonitor(
        {"nas": threshold_of(health, "nfs")}, SystemClock(), lambda _monitor, _id, now: changes.append(now)
    )
    failure = UnreachableError("origin 'nas': no answer")
    for error in (failure, None, failure, failure, None):
        monitor.note("nas", error)
    degraded, healthy, unhealthy = Health.DEGRADED, Health.HEALTHY, Health.UNHEALTHY
    assert changes == [degraded, healthy, degraded, unhealthy, healthy]
