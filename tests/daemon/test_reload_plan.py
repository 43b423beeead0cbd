"""What another configuration takes, setting by setting."""

from __future__ import annotations

import msgspec
import pytest

from musicfs.config.schema import leaves
from musicfs.config.settings import OriginSettings, Settings
from musicfs.daemon.reload import TAKES, Takes, plan_reload, takes_of

LOCAL = OriginSettings(id="disk", path="/srv/music")
REMOTE = OriginSettings(id="nas", origin_type="sftp", host="nas", path="/music")
SETTINGS = Settings(mount_point="/mnt", cache_dir="/c", state_dir="/s", origins=(LOCAL,))
GB = 1 << 30


def changed(**values: object) -> Settings:
    """``SETTINGS`` with ``table__key`` or ``key`` set."""
    found = SETTINGS
    for name, value in values.items():
        table, _, key = name.partition("__")
        inner = {table: msgspec.structs.replace(getattr(found, table), **{key: value}) if key else value}
        found = msgspec.structs.replace(found, **inner)
    return found


def test_every_setting_is_classified() -> None:
    paths = {leaf.path for leaf in leaves()}
    for path in paths:
        assert takes_of(path), path
    known = paths | {path[:1] for path in paths}
    assert set(TAKES) <= known, "a setting that there is no more"


def test_nothing_changed() -> None:
    plan = plan_reload(SETTINGS, changed())
    assert (plan.takes, plan.applied, plan.needs_restart) == (Takes(0), (), ())


@pytest.mark.parametrize(
    ("new", "takes", "said"),
    [
        (changed(tree__template="$title"), Takes.KEEPER, "tree.template"),
        (changed(logging__level="debug"), Takes.LOG, "logging.level"),
        (changed(mount__drain_timeout_s=1.0), Takes.MOUNT, "mount.drain_timeout_s"),
        (changed(tree__show_hidden=True), Takes.MOUNT, "tree.show_hidden"),
        (changed(prefetch__push=False), Takes.MOUNT, "prefetch.push"),
        (changed(collections__plays=False), Takes.MOUNT | Takes.KEEPER, "collections.plays"),
        (changed(health__failover="proven"), Takes.READING | Takes.KEEPER, "health.failover"),
        (changed(cache__content_cache_gb=1.0), Takes.READING | Takes.KEEPER, "cache.content_cache_gb"),
        (changed(origins=()), Takes.READING | Takes.KEEPER, "origin disk: removed"),
        (
            changed(origins=(msgspec.structs.replace(LOCAL, priority=1, watch=False),)),
            Takes.READING | Takes.KEEPER,
            "origin disk: priority, watch",
        ),
    ],
)
def test_what_can_be_applied(new: Settings, takes: Takes, said: str) -> None:
    plan = plan_reload(SETTINGS, new)
    assert (plan.takes, plan.applied, plan.needs_restart) == (takes, (said,), ())
    assert plan.settings == new


def test_what_needs_a_restart_keeps_its_old_value_beside_what_is_applied() -> None:
    plan = plan_reload(SETTINGS, changed(cache_dir="/other", mount__allow_other=True, tree__template="$title"))
    assert plan.needs_restart == ("cache_dir", "mount.allow_other")
    assert plan.applied == ("tree.template",)
    assert plan.settings == changed(tree__template="$title")


def test_origins_are_named_and_their_order_counts() -> None:
    both = changed(origins=(LOCAL, REMOTE))
    plan = plan_reload(SETTINGS, both)
    assert plan.applied == ("origin nas: added",)
    assert plan.needs_restart == ("mount.workers (as many as suit these origins)",)
    assert plan.settings.origins == (LOCAL, REMOTE)
    assert plan_reload(both, changed(origins=(REMOTE, LOCAL))).applied == ("origins: their order",)


def test_the_limit_of_an_open_store_stays_within_its_map() -> None:
    old = changed(origins=(REMOTE,), cache__content_cache_gb=10.0)
    near, far = (
        changed(origins=(REMOTE,), cache__content_cache_gb=12.0),
        changed(origins=(REMOTE,), cache__content_cache_gb=500.0),
    )
    assert plan_reload(old, near, store_limit_bytes=10 * GB).settings == near
    assert plan_reload(old, far).settings == far, "no store is open yet"
    plan = plan_reload(old, far, store_limit_bytes=10 * GB)
    assert plan.settings.cache.content_cache_gb == 10.0
    assert (plan.applied, plan.needs_restart) == ((), ("cache.content_cache_gb",))
