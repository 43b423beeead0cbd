"""How a track lies in the full-text index: its fields, and the tokens in them.

======================== ============================================================================================
field                    tokens
======================== ============================================================================================
a TEXT field's name      the words of its values, spread out (below)
``any``                  the same of the six default fields, each value once
``telling``              the same of title, artist and album artist: for ranking
``custom``               the same of all other tags, each token with the name of its tag before it (:func:`tag_code`);
                         and their numbers, in an order-preserving form (:func:`number_code`)
a KEYWORD field's name   each value as one token
``whole``                each title, artist, album and album artist as one token, its words joined: for ranking
``has``                  the names of the fields that have a value
a numeric field's name   no tokens, a fast column with its numbers
``id``                   the object id, also as a fast column
``about``                stored in document 0 only: what the index is (:class:`About`). That document has nothing else.
======================== ============================================================================================

Each word is four tokens in a row: itself, its first letter, its first two and its first three, behind marks that no word
contains. So a prefix of so many letters, which thousands of words may have, is one term; and it can end a phrase, whose
words are four positions apart. A mark has three signs or more, for a fuzzy search never bridges three. tantivy leaves a
position free between the values of a field, so phrases do not cross them. Keywords have the first two of these marks.
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Iterable

import msgspec
import tantivy

from musicfs.errors import StoreError
from musicfs.index.fields import KINDS, Kind
from musicfs.index.words import fold, words
from musicfs.model import FIELDS

INDEX_SCHEMA = 1  # takes the next number when anything in here changes, or what becomes words
ABOUT_ID = 0  # the id of the document that is no track

# Before the first letter of a word, its first two, its first three.
BEGINNING_MARKS = ("\x1e" * 3, "\x1e" * 4, "\x1e" * 5)
STRIDE = 1 + len(BEGINNING_MARKS)  # positions from a word to the next
KEYWORD_BEGINNINGS = 2  # letters: so many of the values of a keyword are unlike any other, that this is enough
_NAME_END = "\x1f" * 3  # after the name of a custom tag
_NUMBER = "\x1d"  # after that: what follows is a number, not a word
_TOKEN_LENGTH_MAX = 1000  # tantivy leaves out a token of more than 65,530 bytes
_INT64_MAX = (1 << 63) - 1
# What tantivy would cut at, what separates here, and what cannot be written.
_ESCAPED = {ord(sign): f"\x1c{index:x}" for index, sign in enumerate("\t\n\x0b\x0c\r \x1c\x1d\x1e\x1f")}

TEXT_FIELDS = tuple(field for field, kind in KINDS.items() if kind is Kind.TEXT)
KEYWORD_FIELDS = tuple(field for field, kind in KINDS.items() if kind is Kind.KEYWORD)
_PHRASE_FIELDS = ("any", "telling", "custom", *TEXT_FIELDS)
_LIST_FIELDS = ("whole", "has")
# For each of these, tantivy notes how much each document has in it.
NORMED_FIELDS = (*_PHRASE_FIELDS, *_LIST_FIELDS, "about", *KEYWORD_FIELDS)
# Tags say any number; what is measured, counted or a date is whole.
FLOAT_FIELDS = tuple(field for field, kind in KINDS.items() if kind is Kind.NUMBER and field in FIELDS)
INTEGER_FIELDS = tuple(field for field in KINDS if field not in {*TEXT_FIELDS, *KEYWORD_FIELDS, *FLOAT_FIELDS})


class About(msgspec.Struct, frozen=True):
    """What an index is, kept in the index itself: so it changes together with all else, or not at all."""

    identity: str  # of the catalog
    sequence: int  # of the last change of the catalog that is in the index
    is_complete: bool  # False while it is being filled for the first time
    layout: int  # as in musicfs.index.segments.Listing
    schema: int = INDEX_SCHEMA
    unicode: str = unicodedata.unidata_version  # on which words depend

    @property
    def is_current(self) -> bool:
        """Whether this program wrote it."""
        return self.schema == INDEX_SCHEMA and self.unicode == unicodedata.unidata_version


def build_schema() -> tantivy.Schema:
    """The fields, as tantivy has them."""
    builder = tantivy.SchemaBuilder()
    builder.add_integer_field("id", indexed=True, fast=True)
    for field in _PHRASE_FIELDS:
        builder.add_text_field(field, tokenizer_name="whitespace", index_option="position")
    for field in _LIST_FIELDS:
        builder.add_text_field(field, tokenizer_name="whitespace", index_option="basic")
    for field in ("about", *KEYWORD_FIELDS):
        builder.add_text_field(field, stored=field == "about", tokenizer_name="raw", index_option="basic")
    for field in INTEGER_FIELDS:
        builder.add_integer_field(field, fast=True)
    for field in FLOAT_FIELDS:
        builder.add_float_field(field, fast=True)
    return builder.build()


def register_tokenizers(index: tantivy.Index) -> None:
    """Make known what the schema names; an index that was opened has forgotten it."""
    analyzer = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
    index.register_tokenizer("whitespace", analyzer)


def about_entry(about: About) -> tantivy.Document:
    """The document that says what the index is."""
    entry = tantivy.Document()
    entry.add_integer("id", ABOUT_ID)
    entry.add_text("about", msgspec.json.encode(about).decode())
    return entry


def read_about(searcher: tantivy.Searcher, schema: tantivy.Schema) -> About:
    """What the index is. StoreError if it does not say so."""
    hits = searcher.search(tantivy.Query.term_query(schema, "id", ABOUT_ID), 2).hits
    if len(hits) != 1:
        raise StoreError("the search index does not say what it is")
    try:
        return msgspec.json.decode(str(searcher.doc(hits[0][1]).get_first("about")), type=About)
    except msgspec.DecodeError as error:
        raise StoreError(f"the search index says something else than what it is: {error}") from error


def tokens(value: str) -> tuple[str, ...]:
    """The words of a value, none of them too long for an index."""
    found = words(value)
    if len(value) > _TOKEN_LENGTH_MAX:
        return tuple(word[:_TOKEN_LENGTH_MAX] for word in found)
    return found


def keyword(value: str) -> str:
    """The one token of a value that is not cut."""
    folded = " ".join(fold(value).split())[:_TOKEN_LENGTH_MAX]
    return folded if folded.isascii() else writable(folded)


def tag_code(name: str) -> str:
    """What comes before each token of a custom tag, so different for any two names that no fuzzy search mixes them up.

    Signs are tripled, so no two edits lead to the code of another name.
    """
    return "".join(sign * 3 for sign in writable(name[:_TOKEN_LENGTH_MAX]).translate(_ESCAPED)) + _NAME_END


def number_code(number: float) -> str:
    """16 hexadecimal digits whose order is that of the numbers."""
    (bits,) = struct.unpack(">Q", struct.pack(">d", number + 0.0))  # + 0.0: no negative zero
    ordered = bits ^ ((1 << 64) - 1 if bits >> 63 else 1 << 63)
    return f"{ordered:016x}"


def number_mark(name: str) -> str:
    """What comes before the numbers of a custom tag."""
    return tag_code(name) + _NUMBER


def to_int64(number: float) -> int:
    """A whole number that a column can have."""
    return max(-_INT64_MAX, min(int(number), _INT64_MAX))


def whole_token(split: Iterable[str]) -> str:
    """The words of a value as one token."""
    return "\x1f".join(split)[:_TOKEN_LENGTH_MAX]


def has_token(field: str) -> str:
    """The token that says that a field has a value."""
    return writable(field).translate(_ESCAPED)


def writable(text: str) -> str:
    """``text`` without the lone surrogates that stand for bytes which are not UTF-8."""
    return text.encode(errors="backslashreplace").decode()
