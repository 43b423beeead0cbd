"""How text becomes words: the same for what is asked and for what is searched, here and in an index.

:func:`fold` takes out what should not matter: case, accents, width. :func:`words` cuts folded text:

* A word is a run of letters and digits with their marks. Everything else separates: ``AC/DC`` is *ac dc*, ``blink-182``
  *blink 182*. Who asks for ``AC/DC`` asks for these words in this order.
* Scripts written without spaces (Chinese characters, kana, Bopomofo, Thai, Lao, Khmer, Burmese) give one word for each
  character, so that any part of a name is found as a phrase. Hangul, which has spaces, gives words.
* An English ending keeps its word whole: ``don't`` is *dont*, ``80's`` *80s*; other apostrophes separate: ``L'amour``
  is *l amour*, ``rock'n'roll`` *rock n roll*.
* Initials are one word: ``R.E.M.`` is *rem*, ``N.W.A`` *nwa*; so are grouped digits: ``10,000`` is *10000*.
* ``!`` between letters is an *i* and ``$`` beside one an *s*: ``P!nk`` is *pink*, ``Ke$ha`` *kesha*, ``A$AP`` *asap*.
* Text without a letter or digit (``!!!``, ``÷``) is one word of its signs, so that it can be found at all.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

# What is left of an apostrophe in tags: typewriter, quotes, modifier letters, prime, grave and acute accent.
_APOSTROPHES = "\u2018\u2019\u02bc\u02bb\u2032`"
# Marks that are accents, by block; those of Indic scripts, Thai or Japanese are letters in all but name.
_ACCENTS = (
    (0x0300, 0x036F),  # Latin, Greek, Cyrillic
    (0x0483, 0x0489),  # Old Cyrillic
    (0x0591, 0x05BD),  # Hebrew points
    (0x05BF, 0x05BF),
    (0x05C1, 0x05C2),
    (0x05C4, 0x05C5),
    (0x05C7, 0x05C7),
    (0x0610, 0x061A),  # Arabic
    (0x0640, 0x0640),  # tatweel
    (0x064B, 0x065F),
    (0x0670, 0x0670),
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF),
    (0xFE20, 0xFE2F),
)
_INVISIBLE = ((0x00AD, 0x00AD), (0x200B, 0x200F), (0x2060, 0x2064), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF))
# Letters that Unicode does not take apart. The dotless i joins the dotted one: who types ``isik`` means ``ışık``.
_LETTERS = {
    "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ŋ": "n", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th",
    "ɫ": "l", "ƀ": "b", "ɨ": "i", "ʉ": "u",
}  # fmt: skip
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # iteration mark, closing mark, zero
    (0x3040, 0x312F),  # kana, Bopomofo
    (0x31A0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x1AFF0, 0x1B16F),  # further kana
    (0x20000, 0x3FFFF),
)


def _table() -> Mapping[int, str | None]:
    table: dict[int, str | None] = {ord(letter): plain for letter, plain in _LETTERS.items()}
    table |= dict.fromkeys(map(ord, _APOSTROPHES), "'")
    for first, last in _ACCENTS + _INVISIBLE:
        table |= dict.fromkeys(range(first, last + 1))
    return MappingProxyType(table)


_FOLDED = _table()
_WORD = re.compile(r"[a-z0-9]+")
_SPECIAL = re.compile(r"['.,$!]")
_ENDING = re.compile(r"(?<=[^\W_])'(?=(?:s|t|d|m|re|ve|ll)(?![\w']))")
_INITIALS = re.compile(r"(?<![^\W_])(?<!\.)(?:[^\W\d_]\.)+[^\W\d_](?![^\W_])\.?")
_GROUPED = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_DOLLAR = re.compile(r"(?<=[^\W\d_])\$+|\$+(?=[^\W\d_])")
_BANG = re.compile(r"(?<=[^\W\d_])!(?=[^\W\d_])")


def fold(text: str) -> str:
    """``text`` without what does not matter: case, accents, the width of letters, invisible characters."""
    if text.isascii():
        return text.lower().replace("`", "'")
    text = unicodedata.normalize("NFKD", text.replace("\u00b4", "'")).casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", text).translate(_FOLDED))


def words(text: str) -> tuple[str, ...]:
    """The words of ``text``, folded, in order. Empty only for text that shows nothing."""
    folded = fold(text)
    if _SPECIAL.search(folded):
        folded = _respell(folded)
    found = tuple(_WORD.findall(folded)) if folded.isascii() else _cut(folded)
    if found:
        return found
    signs = "".join(sign for sign in folded if sign.isprintable() and not sign.isspace())
    return (signs,) if signs else ()


def has_letters(text: str) -> bool:
    """Whether there is a letter or digit in ``text``: without one, it is a word only where it is all there is."""
    return any(character.isalnum() for character in fold(text))


def _respell(folded: str) -> str:
    if "'" in folded:
        folded = _ENDING.sub("", folded)
    if "." in folded:
        folded = _INITIALS.sub(lambda found: found[0].replace(".", ""), folded)
    if "," in folded:
        folded = _GROUPED.sub("", folded)
    if "$" in folded:
        folded = _DOLLAR.sub(lambda found: "s" * len(found[0]), folded)
    return _BANG.sub("i", folded) if "!" in folded else folded


def _cut(folded: str) -> tuple[str, ...]:
    """The words of folded text in any script."""
    found: list[str] = []
    word = ""  # that marks and, where it is spaced, letters go on
    for character in folded:
        if character.isalnum():
            if word and (_is_unspaced(character) or _is_unspaced(word[0])):
                found.append(word)
                word = ""
            word += character
        elif word and character > "\u02ff" and unicodedata.category(character)[0] == "M":
            word += character
        elif word:
            found.append(word)
            word = ""
    if word:
        found.append(word)
    return tuple(found)


def _is_unspaced(character: str) -> bool:
    if character < "\u0e00":
        return False
    code = ord(character)
    return any(first <= code <= last for first, last in _UNSPACED)
