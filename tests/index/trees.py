"""Made-up trees in normal form, tracks they may match, and a second opinion on whether they do."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Sequence

from hypothesis import strategies as st

from musicfs.index.documents import TagDocument
from musicfs.index.fields import DEFAULT_FIELDS
from musicfs.index.syntax import (
    And,
    Bound,
    Fuzzy,
    Not,
    Or,
    Present,
    Query,
    Range,
    Words,
    conjunction,
    disjunction,
    negation,
)
from musicfs.index.words import fold, words
from musicfs.model import Technical

NOW = dt.datetime(2024, 6, 15, 12, tzinfo=dt.UTC)
SECOND_NS = 1_000_000_000
NOW_NS = int(NOW.timestamp()) * SECOND_NS
UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

# Few words, so that queries and tracks meet; the last ones need quotes, escapes or a script of their own.
VOCABULARY = ("jazz", "jaz", "Björk", "bjork", "don't", "R.E.M.", "AC/DC", "metal", "metallica", "東京", "99", "!!!", "OR",
              'a"b', "back\\slash", "(live)", "co:lon", "x*", "y~1")  # fmt: skip
TEXTS = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=3).map(" ".join)
ANY_TEXT = st.text(max_size=12).filter(lambda text: bool(words(text)))
TEXT_FIELDS = st.sampled_from(
    ["", "", "title", "artist", "genre", "lyrics", "path", "custom:mood", "custom:moods", 'custom:a "b:c']
)
KEYWORD_FIELDS = st.sampled_from(["format", "origin", "isrc", "codec"])
KEYWORDS = st.sampled_from(["flac", "FLAC", "nas-1", "my nas", "mp3"])
NUMBERS = st.integers(0, 12).map(str) | st.sampled_from(["-7.5", "0.25"])
DATES = st.sampled_from(["1990", "1991", "1991-08", "1991-08-12", "2024", "2024-06", "2024-06-15"])
AGES = st.builds("{}{}".format, st.integers(0, 40), st.sampled_from("smhdw"))
DURATIONS = st.sampled_from(["0", "59", "1:00", "3:45", "1:02:03"])


def _ranges(fields: list[str], values: st.SearchStrategy[str]) -> st.SearchStrategy[Query]:
    bounds = st.builds(Bound, values, st.booleans())
    chosen = st.sampled_from(fields)
    return (
        st.builds(Range, chosen, bounds)
        | st.builds(Range, chosen, st.none(), bounds)
        | st.builds(lambda field, value: Range(field, Bound(value), Bound(value)), chosen, values)
        | st.builds(_ordered, chosen, st.lists(values, min_size=2, max_size=2), st.booleans(), st.booleans())
    )


def _ordered(field: str, values: list[str], is_low_in: bool, is_high_in: bool) -> Range:
    """A range whose ends are in order, as the parser asks for."""
    low, high = sorted(values, key=lambda value: span(field, value))
    return Range(field, Bound(low, is_low_in), Bound(high, is_high_in))


TEXT_LEAVES: st.SearchStrategy[Words | Fuzzy] = st.one_of(
    st.builds(Words, TEXT_FIELDS, TEXTS | ANY_TEXT, st.booleans()),
    st.builds(Words, KEYWORD_FIELDS, KEYWORDS, st.booleans()),
    st.builds(Fuzzy, TEXT_FIELDS, TEXTS | ANY_TEXT, st.integers(0, 2)),
    st.builds(Fuzzy, KEYWORD_FIELDS, KEYWORDS, st.integers(0, 2)),
)
LEAVES: st.SearchStrategy[Query] = st.one_of(
    TEXT_LEAVES,
    st.builds(
        Present,
        TEXT_FIELDS | KEYWORD_FIELDS | st.sampled_from(["date", "duration", "compilation", "track", "plays", "played"]),
    ),
    _ranges(["track", "bitrate", "bpm", "custom:mood", "custom:moods", "plays"], NUMBERS),
    _ranges(["date"], DATES),
    _ranges(["added", "played"], DATES),
    _ranges(["added", "played"], AGES),
    _ranges(["duration"], DURATIONS),
    st.sampled_from(["yes", "no"]).map(lambda value: Range("compilation", Bound(value), Bound(value))),
)
TREES: st.SearchStrategy[Query] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(conjunction),
        st.lists(inner, min_size=1, max_size=3).map(disjunction),
        inner.map(negation),
    ),
    max_leaves=8,
)

_VALUES = st.lists(TEXTS, max_size=2).map(tuple)
DOCUMENTS: st.SearchStrategy[TagDocument] = st.builds(
    TagDocument,
    tags=st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("title", "artist", "genre", "lyrics", "mood", "composer"), _VALUES),
            "moods": st.lists(TEXTS | NUMBERS, max_size=2).map(tuple),
            'a "b:c': _VALUES,
            "track": NUMBERS.map(lambda value: (value,)),
            "bpm": NUMBERS.map(lambda value: (value + " dB",)),
            "isrc": KEYWORDS.map(lambda value: (value,)),
            "compilation": st.just(("1",)),
            "date": st.lists(DATES, min_size=1, max_size=2).map(tuple),
        },
    ),
    format=st.sampled_from(["flac", "mp3"]),
    technical=st.builds(
        Technical, st.sampled_from([0, 59_999, 60_000, 225_900, 3_723_000]), st.integers(0, 12).map(lambda k: k * 1000)
    ),
    added_ns=st.integers(0, 300 * 86_400).map(lambda seconds: NOW_NS - seconds * SECOND_NS),
    plays=st.integers(0, 4),
    played_ns=st.just(0) | st.integers(0, 60 * 86_400).map(lambda seconds: NOW_NS - seconds * SECOND_NS),
    origins=st.lists(KEYWORDS, max_size=2).map(tuple),
    paths=_VALUES,
)


@st.composite
def parts_of(draw: st.DrawFn, documents: Sequence[TagDocument]) -> Words | Fuzzy:
    """Words that stand beside each other in some value of the documents, the last one perhaps cut, or with a typo."""
    found = [(field, value) for document in documents for field in _READ for value in texts(field, document)]
    field, value = draw(st.sampled_from(found)) if found else ("title", "jazz")
    split = words(value)
    start = draw(st.integers(0, len(split) - 1))
    chosen = list(split[start : draw(st.integers(start + 1, len(split)))])
    asked = draw(st.sampled_from([field, field, "" if field in DEFAULT_FIELDS else field, "title"]))
    how = draw(st.sampled_from(["whole", "whole", "cut", "typo"]))
    last = chosen[-1]
    if how == "cut":
        chosen[-1] = last[: draw(st.integers(1, len(last)))]
    elif how == "typo":
        at = draw(st.integers(0, len(last)))
        chosen[-1] = last[:at] + draw(st.sampled_from(["", "z", "a"])) + last[at + draw(st.integers(0, 1)) :] or last
        return Fuzzy(asked, " ".join(chosen), draw(st.integers(0, 2)))
    return Words(asked, " ".join(chosen), how == "cut" or draw(st.booleans()))


_READ = ("title", "artist", "genre", "lyrics", "composer", "path", "custom:mood", "custom:moods", 'custom:a "b:c')


# A second opinion, by other means: text by searching joined words, dates as spans of calendar days.


def opinion(query: Query, document: TagDocument) -> bool:
    """Whether the track matches."""
    match query:
        case And(children):
            return not [child for child in children if not opinion(child, document)]
        case Or(children):
            return bool([child for child in children if opinion(child, document)])
        case Not(child):
            return not opinion(child, document)
        case Present(field):
            known = field in {"added", "played", "plays", "duration", "bitrate"}
            return field == "" or bool(numbers(field, document) if known else texts(field, document))
        case Range(field, lower, upper):
            return any(
                (lower is None or _is_above(number, span(field, lower.value), lower.is_inclusive))
                and (upper is None or _is_below(number, span(field, upper.value), upper.is_inclusive))
                for number in numbers(field, document)
            )
        case Words(field, text, is_prefix):
            wanted = _joined(field, text).removesuffix("\n") if is_prefix else _joined(field, text)
            return any(wanted in _joined(one, value) for one in _fields(field) for value in texts(one, document))
        case Fuzzy(field, text, distance):
            return any(
                all(
                    any(
                        edits(wanted, word) <= min(distance, len(wanted) - 1)
                        for value in texts(one, document)
                        for word in _split(one, value)
                    )
                    for wanted in _split(one, text)
                )
                for one in _fields(field)
            )


def _fields(field: str) -> tuple[str, ...]:
    return (field,) if field else DEFAULT_FIELDS


def _split(field: str, text: str) -> list[str]:
    return [" ".join(fold(text).split())] if field in {"format", "origin", "isrc", "codec"} else list(words(text))


def _joined(field: str, text: str) -> str:
    return "".join(f"\n{word}\n" for word in _split(field, text))


def texts(field: str, document: TagDocument) -> list[str]:
    known = {"format": [document.format], "codec": [], "origin": list(document.origins), "path": list(document.paths)}
    return known[field] if field in known else list(document.tags.get(field.removeprefix("custom:"), ()))


def numbers(field: str, document: TagDocument) -> list[float]:
    technical = document.technical
    known = {
        "added": document.added_ns,
        "played": document.played_ns,
        "duration": technical.duration_ms // 1000,
        "bitrate": technical.bitrate / 1000,
    }
    if field == "plays":
        return [document.plays]
    if field in known:
        return [known[field]] if known[field] else []
    if field == "compilation":
        return [1 if document.tags.get("compilation") else 0]
    values = texts(field, document)
    if field == "date":
        return [span(field, value)[0] for value in values]
    found = [value.split()[0] for value in values]
    return [float(value) for value in found if value[-1].isdigit() and set(value) <= set("-.0123456789")]


def _is_above(number: float, ends: tuple[float, float], is_inclusive: bool) -> bool:
    return number >= ends[0] if is_inclusive else number > ends[1]


def _is_below(number: float, ends: tuple[float, float], is_inclusive: bool) -> bool:
    return number <= ends[1] if is_inclusive else number < ends[0]


def span(field: str, value: str) -> tuple[float, float]:
    """The first and last number that a value covers."""
    if field == "duration":
        parts = [int(part) for part in reversed(value.split(":"))]
        seconds = sum(part * 60**power for power, part in enumerate(parts))
        return seconds, seconds
    if field == "compilation":
        return (1, 1) if value == "yes" else (0, 0)
    if field in {"added", "played"} and value[-1] in UNITS_S:
        then = NOW_NS - int(value[:-1]) * UNITS_S[value[-1]] * SECOND_NS
        return then, then
    if field == "date":
        digits = value.replace("-", "")
        return int(digits.ljust(8, "0")), int(digits.ljust(8, "9"))
    if field in {"added", "played"}:
        days = [day for day in _DAYS if day.isoformat().startswith(value)]
        first = dt.datetime.combine(days[0], dt.time(), dt.UTC)
        after = dt.datetime.combine(days[-1] + dt.timedelta(1), dt.time(), dt.UTC)
        return int(first.timestamp()) * SECOND_NS, int(after.timestamp()) * SECOND_NS - 1
    return float(value), float(value)


_DAYS = [dt.date(1990, 1, 1) + dt.timedelta(day) for day in range(366 * 40)]


@functools.cache
def edits(first: str, second: str) -> int:
    """The optimal string alignment distance, as it is defined."""
    if not first or not second:
        return len(first) + len(second)
    found = min(
        edits(first[:-1], second) + 1,
        edits(first, second[:-1]) + 1,
        edits(first[:-1], second[:-1]) + (first[-1] != second[-1]),
    )
    if first[-2:] == second[-2:][::-1] and len(first) > 1 and len(second) > 1:
        found = min(found, edits(first[:-2], second[:-2]) + 1)
    return found
