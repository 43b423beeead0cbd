"""What comes first when nothing else is asked for.

A few tiers, each in the order of the ids, which is that in which albums were found, so their tracks stay together:

1. what is asked for is a whole title, artist or album;
2. some of it is: ``pink floyd money`` finds the artist and the title;
3. it is all in titles and artists;
4. the rest.

Only words that must be there count. A tier costs a search, which is cheap as long as few tracks come before.
"""

from __future__ import annotations

from collections.abc import Sequence

import tantivy

from musicfs.index.compiling import Compiler, all_of
from musicfs.index.fields import ANY
from musicfs.index.schema import tokens, whole_token
from musicfs.index.syntax import And, Query, Words

_FIELDS = frozenset({ANY, "title", "artist", "album", "album_artist"})
_WORDS_MAX = 12  # of longer texts only the whole is tried


def tiers(query: Query, compiler: Compiler) -> list[tantivy.Query]:
    """What makes a match better, best first. Each is to be combined with the query; the rest comes after the last."""
    parts = query.children if isinstance(query, And) else (query,)
    leaves = [part for part in parts if isinstance(part, Words) and part.field in _FIELDS]
    if not leaves:
        return []
    wanted = [word for leaf in leaves for word in tokens(leaf.text)]
    found = [compiler.whole([whole_token(wanted)])]
    runs = _runs(wanted)
    if runs:
        found.append(compiler.whole(runs))
    if any(leaf.field == ANY for leaf in leaves) and not any(map(_is_costly, leaves)):
        found.append(all_of([compiler.telling(leaf) if leaf.field == ANY else compiler.part(leaf) for leaf in leaves]))
    return found


def _runs(wanted: Sequence[str]) -> list[str]:
    """Words beside each other, but not all."""
    count = len(wanted)
    if not 1 < count <= _WORDS_MAX:
        return []
    return [
        whole_token(wanted[start:stop])
        for start in range(count)
        for stop in range(start + 1, count + 1)
        if stop - start < count
    ]


def _is_costly(leaf: Words) -> bool:
    """A phrase whose last word could be nearly any: all its matches would be looked for twice."""
    wanted = tokens(leaf.text)
    return leaf.is_prefix and len(wanted) > 1 and len(wanted[-1]) < 3
