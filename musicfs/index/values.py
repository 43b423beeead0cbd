"""Values that have an order, as they are written in a query: numbers, durations, dates, ages, yes and no.

:func:`canonical` checks one and gives the one way in which the tree has it; :func:`limits` says which numbers it stands for.
The numbers of a track that these are compared with come from :mod:`musicfs.index.documents`:

======== ============================================= ======================================================
kind     written                                       number
======== ============================================= ======================================================
number   ``320``, ``-7.5``, ``44.1k``                  itself; a bitrate in kbit/s, a sample rate in Hz
flag     ``yes no true false 1 0``                     1, 0
duration ``225``, ``3:45``, ``1:02:03``, ``90s 5m 1h`` whole seconds
date     ``1991``, ``1991-08``, ``1991-08-12``         year * 10000 + month * 100 + day; 0 for what is not said
moment   a date, or an age: ``30d`` (``s m h d w``)    nanoseconds since 1970 UTC
======== ============================================= ======================================================

A date covers its whole year or month. A number of days is the moment that long ago, so ``>30d`` is later than that: newer.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal

import msgspec

from musicfs.index.fields import Kind
from musicfs.index.syntax import Range
from musicfs.index.words import fold

_NUMBER = re.compile(r"([+-]?)(\d+(?:\.\d+)?|\.\d+)(k?)", re.ASCII)
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d\d)", re.ASCII)
_DATE = re.compile(r"(\d{4})(?:-(\d\d?))?(?:-(\d\d?))?", re.ASCII)
_SPAN = re.compile(r"(\d+)([smhdw]?)", re.ASCII)
_UNIT_S = {"s": 1, "": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_FLAGS = {"yes": "yes", "true": "yes", "1": "yes", "no": "no", "false": "no", "0": "no"}
_FORMS = {
    Kind.NUMBER: "a number",
    Kind.FLAG: "yes or no",
    Kind.DURATION: "seconds, or a duration such as 3:45",
    Kind.DATE: "a year, or a date such as 1991-08-12",
    Kind.MOMENT: "an age such as 30d (s, m, h, d, w), or a date such as 2024-05-31",
    Kind.TEXT: "a number",  # of custom tags
    Kind.KEYWORD: "text",
}
_SECOND_NS = 1_000_000_000
# Nothing was added before, and no clock of a computer shows more: dates beyond are all one.
_FIRST_YEAR, _LAST_YEAR = 1970, 2200


class Limits(msgspec.Struct, frozen=True):
    """What a range admits: numbers from ``low`` (None: any) to ``high``, these themselves if they are ``in``."""

    low: float | None = None
    is_low_in: bool = True
    high: float | None = None
    is_high_in: bool = True

    def admits(self, number: float) -> bool:
        """Whether a number is in the range."""
        low, high = self.low, self.high
        if low is not None and (number < low or (number == low and not self.is_low_in)):
            return False
        return high is None or number < high or (number == high and self.is_high_in)


def canonical(kind: Kind, text: str) -> str:
    """The canonical form of a value. ValueError, with what it should look like, for one that is none."""
    folded = fold(text)
    found: str | None = None
    if kind in {Kind.NUMBER, Kind.TEXT}:
        found = _canonical_number(folded)
    elif kind is Kind.FLAG:
        found = _FLAGS.get(folded)
    elif kind is Kind.DURATION:
        found = _canonical_duration(folded)
    elif kind is Kind.DATE:
        found = _canonical_date(folded)
    elif kind is Kind.MOMENT:
        found = _canonical_age(folded) or _canonical_date(folded)
    if found is None:
        raise ValueError(f'"{text}" is not {_FORMS[kind]}')
    return found


def is_age(value: str) -> bool:
    """Whether a canonical moment is an age, not a date."""
    return value[-1] in "smhdw"


def limits(kind: Kind, query: Range, now_ns: int, zone: dt.tzinfo | None = None) -> Limits:
    """The numbers between the bounds of a range, at this moment; dates begin at midnight in ``zone`` (None: here)."""
    low = high = None
    if query.lower is not None:
        covered = _covered(kind, query.lower.value, now_ns, zone)
        low = covered[0] if query.lower.is_inclusive else covered[1]
    if query.upper is not None:
        covered = _covered(kind, query.upper.value, now_ns, zone)
        high = covered[1] if query.upper.is_inclusive else covered[0]
    return Limits(
        low,
        query.lower is None or query.lower.is_inclusive,
        high,
        query.upper is None or query.upper.is_inclusive,
    )


def is_reversed(kind: Kind, lower: str, upper: str) -> bool:
    """Whether nothing can lie between these canonical values, as far as they can be compared."""
    if kind is Kind.MOMENT and is_age(lower) != is_age(upper):
        return False
    return _covered(kind, lower, 0, dt.UTC)[0] > _covered(kind, upper, 0, dt.UTC)[1]


def _covered(kind: Kind, value: str, now_ns: int, zone: dt.tzinfo | None) -> tuple[float, float]:
    """The first and last number that a canonical value stands for."""
    if kind is Kind.DATE:
        year, month, day = _date_parts(value)
        return year * 10_000 + month * 100 + day, year * 10_000 + (month or 99) * 100 + (day or 99)
    if kind is Kind.MOMENT:
        if is_age(value):
            moment = now_ns - _span_s(value) * _SECOND_NS
            return moment, moment
        return _day_limits(value, zone)
    if kind is Kind.DURATION:
        seconds = 0
        for part in value.split(":"):
            seconds = seconds * 60 + int(part)
        return seconds, seconds
    if kind is Kind.FLAG:
        return (1, 1) if value == "yes" else (0, 0)
    number = float(value)
    return number, number


def _canonical_number(text: str) -> str | None:
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    number = Decimal(match[2]) * (1000 if match[3] else 1)
    plain = f"{number.normalize():f}"
    return f"-{plain}" if match[1] == "-" and number else plain


def _canonical_duration(text: str) -> str | None:
    span, clock = _SPAN.fullmatch(text), _CLOCK.fullmatch(text)
    if span is not None:
        seconds = _span_s(text)
    elif clock is not None and int(clock[3]) < 60 and (clock[1] is None or int(clock[2]) < 60):
        seconds = int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + int(clock[3])
    else:
        return None
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{seconds:02}"
    return f"{minutes}:{seconds:02}" if minutes else str(seconds)


def _canonical_age(text: str) -> str | None:
    match = _SPAN.fullmatch(text)
    return f"{int(match[1])}{match[2]}" if match is not None and match[2] else None


def _canonical_date(text: str) -> str | None:
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day = (int(part) if part else 0 for part in match.groups())
    try:
        dt.date(year, month if match[2] else 1, day if match[3] else 1)
    except ValueError:
        return None
    return f"{year:04}" + (f"-{month:02}" if match[2] else "") + (f"-{day:02}" if match[3] else "")


def _date_parts(value: str) -> tuple[int, int, int]:
    year, month, day = (*value.split("-"), "0", "0")[:3]
    return int(year), int(month), int(day)


def _span_s(value: str) -> int:
    unit = value[-1] if value[-1] in _UNIT_S else ""
    return int(value.removesuffix(unit)) * _UNIT_S[unit]


def _day_limits(value: str, zone: dt.tzinfo | None) -> tuple[int, int]:
    """The first and last nanosecond of a year, month or day."""
    year, month, day = _date_parts(value)
    if day:
        after = dt.date(year, month, day).toordinal() + 1
        following = dt.date.fromordinal(min(after, dt.date.max.toordinal()))
    elif month:
        following = dt.date(min(year + month // 12, dt.MAXYEAR), month % 12 + 1, 1)
    else:
        following = dt.date(min(year + 1, dt.MAXYEAR), 1, 1)
    return _midnight_ns(dt.date(year, month or 1, day or 1), zone), _midnight_ns(following, zone) - 1


def _midnight_ns(day: dt.date, zone: dt.tzinfo | None) -> int:
    if day.year < _FIRST_YEAR:
        return 0
    day = min(day, dt.date(_LAST_YEAR, 1, 1))
    moment = dt.datetime(day.year, day.month, day.day, tzinfo=zone)  # without a zone: here
    return int(moment.timestamp()) * _SECOND_NS
