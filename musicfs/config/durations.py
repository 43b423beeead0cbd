"""Durations as users write them: a number and a unit."""

from __future__ import annotations

import re

from musicfs.errors import ConfigError

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d{1,9})([smhdw])")
_MAX_S = 100 * 365 * 86_400  # times of day are ns in 64 bits


def parse_duration_s(text: str) -> int:
    """``90s``, ``15m``, ``12h``, ``30d`` or ``2w`` in seconds. Raises ConfigError for anything else, and beyond 100 years."""
    found = _DURATION.fullmatch(text.strip())
    seconds = int(found[1]) * _UNITS_S[found[2]] if found is not None else -1
    if not 0 <= seconds <= _MAX_S:
        raise ConfigError(
            f"{text!r} is no duration", remedy="write a number and one of s, m, h, d, w: 30d are thirty days"
        )
    return seconds
