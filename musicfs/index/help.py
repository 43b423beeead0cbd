"""The page that explains queries, as data: for ``--help``, the README, and a test that evaluates every example in it."""

from __future__ import annotations

import msgspec


class Syntax(msgspec.Struct, frozen=True):
    """One line of the table: what it is called, examples that parse, and what they find."""

    name: str
    examples: tuple[str, ...]
    meaning: str


SYNTAX: tuple[Syntax, ...] = (
    Syntax("words", ("metallica sandman",), "all of them, each in any of the default fields"),
    Syntax("field", ("artist:Metallica", "artist:(Björk OR Sjón)"), "in that field"),
    Syntax("phrase", ('album:"Master of Puppets"',), "these words in this order; so has AC/DC"),
    Syntax("prefix", ("metal*", '"master of pup"*'), "the last word begins so"),
    Syntax("fuzzy", ("metalica~1", "metalica~"), "0 to 2 letters wrong; without a number 1 or 2, by length"),
    Syntax("range", ("year:[1980 TO 1989]", "year:{1979 TO *]"), "[ ] with its ends, { } without, * no end"),
    Syntax("comparison", ("year:>=1990", "duration:<3:30", "bitrate:<256"), ">= > <= < ="),
    Syntax("age", ("added:>30d", "added:[2w TO 1w]"), "later than 30 days ago: newer; s m h d w, m for minutes"),
    Syntax("present", ("lyrics:*", "-genre:*", "*"), "there is a value; there is none; everything"),
    Syntax("and, or, not", ("genre:Metal AND NOT year:1985", "jazz OR blues -live", "-(a OR b) c"),
           "AND may be left out; NOT binds tighter than AND, AND tighter than OR"),
    Syntax("your own tags", ("custom:mood:happy", 'custom:"album type":live', "custom:rating:>=4"), "custom:NAME:"),
)  # fmt: skip

_FIELDS = """\
Default fields: title, artist, album, album_artist, genre, composer. Others: year (or date: 1991, 1991-08, 1991-08-12),
added and played (an age or a date), plays (how often), format, codec, origin, path (at the origin), bitrate (kbit/s),
duration (225, 3:45, 5m), sample_rate (44.1k), channels, bits_per_sample, track, disc, compilation (yes, no), label,
comment, lyrics, bpm, isrc, and every other tag by the name that `musicfs metadata get` shows.
"""
_RULES = r"""Case and accents do not matter: bjork finds Björk. Nor do signs: dont finds don't, rem R.E.M., kesha Ke$ha.
AND, OR, NOT and TO are upper case. Quotes take text as it is: "NOT", "Mission: Impossible"; a backslash takes one
character: \* \" \:. What a track lacks matches nothing, so -year:1990 finds what has no year, too. At most 256 characters.
"""


def _table() -> str:
    width = max(len(line.name) for line in SYNTAX)
    inner = max(len(example) for line in SYNTAX for example in line.examples)
    rows = []
    for line in SYNTAX:
        first, *others = line.examples
        rows.append(f"  {line.name:{width}}  {first:{inner}}  {line.meaning}")
        rows.extend(f"  {'':{width}}  {other}" for other in others)
    return "\n".join(rows)


QUERY_HELP = f"""\
Queries:
{_table()}

{_FIELDS}
{_RULES}"""


def markdown_table() -> str:
    """The table for the README."""
    rows = [
        f"| {line.name} | {' '.join(f'`{example}`' for example in line.examples)} | {line.meaning} |" for line in SYNTAX
    ]
    return "\n".join(["| | for example | finds |", "|---|---|---|", *rows])
