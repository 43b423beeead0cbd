"""The one place where wrappers are put around an origin, and their order decided.

From the outside in: breaker, retry, limit, trace. So the breaker counts one failure when all retries are used up, and
answers without any when it is open; a retry queues like any other call; the trace sees what the origin really gets.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from musicfs.clock import Clock
from musicfs.origins.contract import Origin
from musicfs.origins.wrappers.trace import Tally, Trace
from musicfs.origins.wrappers.wrapper import RETRY_DELAYS_S


class Manners(msgspec.Struct, frozen=True):
    """How an origin is treated; the defaults put nothing around it."""

    retry_delays_s: Sequence[float] = ()
    parallel: int = 0  # calls at a time; 0: no limit
    bandwidth_limit: int = 0  # bytes per second; 0: no limit
    breaker_threshold: int = 0  # failures in a row; 0: no breaker
    breaker_rest_s: float = 10.0


# A system call that fails on a local disk fails again: no wrapper earns its keep.
LOCAL_MANNERS = Manners()
REMOTE_MANNERS = Manners(retry_delays_s=RETRY_DELAYS_S, parallel=32, breaker_threshold=3)
# The kernel's client tries again by itself until the deadline: another try would only wait for another deadline.
MOUNTED_MANNERS = msgspec.structs.replace(REMOTE_MANNERS, retry_delays_s=())


def compose(origin: Origin, manners: Manners, *, tally: Tally | None = None, clock: Clock | None = None) -> Origin:
    """``origin`` in the wrappers that ``manners`` ask for, traced into ``tally`` if there is one.

    Wrappers are imported when one is asked for: a mount of a local disk starts without.
    """
    if tally is not None:
        origin = Trace(origin, tally, clock=clock)
    if manners.parallel or manners.bandwidth_limit:
        from musicfs.origins.wrappers.limit import Limit

        origin = Limit(origin, parallel=manners.parallel, bandwidth_limit=manners.bandwidth_limit, clock=clock)
    if manners.retry_delays_s:
        from musicfs.origins.wrappers.retry import Retry

        origin = Retry(origin, manners.retry_delays_s, clock=clock)
    if manners.breaker_threshold:
        from musicfs.origins.wrappers.breaker import Breaker

        origin = Breaker(origin, threshold=manners.breaker_threshold, rest_s=manners.breaker_rest_s, clock=clock)
    return origin
