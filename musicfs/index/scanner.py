"""The characters of a query as tokens, taken one by one: what a character means depends on where it stands.

A *word* goes on to the next white space or parenthesis; a backslash takes the next character as it is. A *phrase* stands
between double quotes, in which a backslash does the same. A quote within a word is a character of it: ``12" mix``.
"""

from __future__ import annotations

import re

import msgspec

from musicfs.errors import QueryError

_NAME = re.compile(r"([^\W\d]\w*):")
_ENDS_WORD = "()"


class Token(msgspec.Struct, frozen=True):
    """A word or phrase. ``plain[i]`` says whether character ``i`` of ``text`` stood there without a backslash or quotes."""

    text: str
    plain: tuple[bool, ...]
    start: int
    is_phrase: bool = False

    def has_plain(self, character: str, at: int) -> bool:
        """Whether ``character`` stands at this index (negative: from the end), and means more than itself."""
        return -len(self.text) <= at < len(self.text) and self.text[at] == character and self.plain[at]


class Scanner:
    """A position in the text of a query. Offsets count from 0; errors say columns, from 1."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    @property
    def next(self) -> str:
        """The next character; empty at the end."""
        return self.text[self.at : self.at + 1]

    def error(self, message: str, at: int, remedy: str = "") -> QueryError:
        """An error at an offset."""
        return QueryError(message, column=at + 1, remedy=remedy)

    def skip_space(self) -> None:
        """Move to the next character that is not white space."""
        while self.next.isspace():
            self.at += 1

    def take(self, literal: str) -> bool:
        """Move behind ``literal`` if it is next."""
        found = self.text.startswith(literal, self.at)
        if found:
            self.at += len(literal)
        return found

    def take_keyword(self, keyword: str) -> bool:
        """Move behind ``keyword`` if it is the next word."""
        end = self.at + len(keyword)
        after = self.text[end : end + 1]
        found = self.text.startswith(keyword, self.at) and (not after or after.isspace() or after in '()"')
        if found:
            self.at = end
        return found

    def take_name(self) -> str:
        """Move behind a name and its colon, and return the name; empty if there is none next."""
        found = _NAME.match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found[1]

    def take_token(self, ends: str = "") -> Token:
        """A phrase if a quote is next, else a word, which may be empty; ``ends`` are further characters that end one."""
        return self._take_phrase() if self.next == '"' else self._take_word(_ENDS_WORD + ends)

    def _take_word(self, ends: str) -> Token:
        start, text, plain = self.at, [], []
        while self.next and not self.next.isspace() and self.next not in ends:
            is_plain = self.next != "\\"
            if not is_plain:
                self.at += 1
                if not self.next:
                    raise self.error(
                        "a backslash stands at the end", self.at - 1, "write \\\\ to mean the backslash itself"
                    )
            text.append(self.next)
            plain.append(is_plain)
            self.at += 1
        return Token("".join(text), tuple(plain), start)

    def _take_phrase(self) -> Token:
        start, text = self.at, []
        self.at += 1
        while self.next != '"':
            if self.next == "\\":
                self.at += 1
            if not self.next:
                raise self.error('the " is not closed', start, 'put another " behind it, or write \\" to mean the sign')
            text.append(self.next)
            self.at += 1
        self.at += 1
        return Token("".join(text), (False,) * len(text), start, is_phrase=True)
