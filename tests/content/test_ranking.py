"""Sources in the order in which they are asked."""

from __future__ import annotations

from musicfs.content.keys import Source, content_of
from musicfs.content.ranking import Ranking
from musicfs.model import Health

NEAR, FAR, SPARE = (Source(name, "a", "v", 1) for name in ("near", "far", "spare"))


def test_healthy_then_preferred_then_quick() -> None:
    ranking = Ranking({"near": 10, "far": 10, "spare": 50})
    ranking.note_latency("near", 0.1)
    ranking.note_latency("far", 0.2)
    assert list(ranking.rank((SPARE, FAR, NEAR))) == [NEAR, FAR, SPARE]
    for _ in range(50):
        ranking.note_latency("near", 0.9)
    assert list(ranking.rank((SPARE, FAR, NEAR))) == [FAR, NEAR, SPARE]
    ranking.set_health({"near": Health.DEGRADED, "far": Health.UNHEALTHY, "spare": Health.HEALTHY})
    assert list(ranking.rank((NEAR, FAR, SPARE))) == [SPARE, NEAR, FAR]


def test_a_content_is_named_by_all_that_tells_versions_apart() -> None:
    names = {
        content_of(Source(origin, path, version, size), stable_version=False).key
        for origin in ("a", "b")
        for path in ("x", "y")
        for version in ("1", "2")
        for size in (1, 12)
    }
    assert len(names) == 16
    here, moved, elsewhere = Source("a", "x", "1", 5), Source("a", "y", "1", 5), Source("b", "x", "1", 5)
    assert content_of(here, stable_version=True) == content_of(moved, stable_version=True)
    assert content_of(here, stable_version=True) != content_of(elsewhere, stable_version=True)
