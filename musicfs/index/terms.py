"""From one word or phrase of a query to its part of the tree: whole, the beginning of a word, or nearly a word."""

from __future__ import annotations

import re

from musicfs.errors import QueryError
from musicfs.index.scanner import Token
from musicfs.index.syntax import Fuzzy, Present, Words
from musicfs.index.words import words

_FUZZY = re.compile(r"~(\d*)", re.ASCII)


def phrase_term(field: str, token: Token, *, is_prefix: bool) -> Words:
    """What a phrase means. QueryError for one that has no word."""
    _require_words(token.text, token)
    return Words(field, token.text, is_prefix)


def word_term(field: str, token: Token) -> Words | Fuzzy | Present:
    """What a word with its ``*`` or ``~`` means. QueryError for one that has no word, or has them in another place."""
    if token.text == "*" and token.has_plain("*", 0):
        return Present(field)
    fuzzy = _fuzzy_suffix(token)
    text = token.text if fuzzy is None else token.text[: fuzzy.start()]
    is_prefix = token.has_plain("*", len(text) - 1)
    text = text[:-1] if is_prefix else text
    if any(token.has_plain("*", at) for at in range(len(text))):
        raise _error("a * stands at the end of a word only", token, 'write \\* or "..." to mean the sign itself')
    found = _require_words(text, token)
    if fuzzy is None:
        return Words(field, text, is_prefix)
    if is_prefix:
        raise _error("a word has either a * or a ~", token)
    if fuzzy[1] not in {"", "0", "1", "2"}:
        raise _error(f"a word can be 0, 1 or 2 edits away, not {fuzzy[1]}", token, f"for example {text}~1")
    return Fuzzy(field, text, int(fuzzy[1]) if fuzzy[1] else default_distance(found))


def default_distance(found: tuple[str, ...]) -> int:
    """What ``~`` without a number means: 1 for words of up to five letters, else 2."""
    return 1 if max(map(len, found)) <= 5 else 2


def _fuzzy_suffix(token: Token) -> re.Match[str] | None:
    """The ``~N`` at the end of a word that has more than that."""
    at = token.text.rfind("~")
    if at < 1 or not all(token.plain[at:]):
        return None
    return _FUZZY.fullmatch(token.text, at)


def _require_words(text: str, token: Token) -> tuple[str, ...]:
    found = words(text)
    if not found:
        message = "there is nothing between the quotes" if token.is_phrase else "there is no word here to look for"
        raise _error(message, token)
    return found


def _error(message: str, token: Token, remedy: str = "") -> QueryError:
    return QueryError(message, column=token.start + 1, remedy=remedy)
