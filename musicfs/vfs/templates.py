"""Path templates: ``$albumartist/$album< ($year)> [$format_upper]/<$disc->$track - $title.$format``.

Grammar::

    template    = { text | variable | conditional | escape }
    variable    = "$" name | "${" name { "|" ( name | '"' text '"' ) } "}"
    conditional = "<" template ">"          left out when a variable in it is empty; may be nested
    escape      = "$$" | "$<" | "$>"        the character itself
    name        = letter or "_", then letters, digits, "_"

A template is parsed once. Values are inserted as they are, except that a ``/`` in a value becomes ``_``: only the template
makes folders. Rendering is pure and costs a few microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import msgspec

from musicfs.errors import TemplateError
from musicfs.model import Tags, first

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_YEAR = re.compile(r"\d{4}")
_MAX_DEPTH = 32
_DIGITS = re.compile(r"\d+")


class Subject(msgspec.Struct, frozen=True, gc=False):
    """What a template is rendered for."""

    tags: Tags
    stem: str  # the origin file's name without suffix
    format: str  # flac, mp3, ...
    disc: str = ""  # set only when the album has more than one disc


Getter = Callable[[Subject], str]


def _albumartist(subject: Subject) -> str:
    tags = subject.tags
    return (
        first(tags, "album_artist")
        or ("Various Artists" if first(tags, "compilation") else "")
        or first(tags, "artist")
    )


def _track(subject: Subject) -> str:
    value = first(subject.tags, "track")
    return value.zfill(2) if value.isdigit() else value


def _year(subject: Subject) -> str:
    found = _YEAR.search(first(subject.tags, "date"))
    return found[0] if found else ""


# Variables that are more than a tag's first value.
_DERIVED: Mapping[str, Getter] = {
    "albumartist": _albumartist,
    "track": _track,
    "disc": lambda subject: subject.disc,
    "year": _year,
    "format": lambda subject: subject.format,
    "format_upper": lambda subject: subject.format.upper(),
}
# What stands for a variable that is empty.
_FALLBACK: Mapping[str, Getter] = {
    "artist": lambda _: "Unknown Artist",
    "albumartist": lambda _: "Unknown Artist",
    "album": lambda _: "Unknown Album",
    "title": lambda subject: subject.stem,
    "track": lambda _: "00",
    "genre": lambda _: "Unknown Genre",
}


def _getter(name: str) -> Getter:
    derived = _DERIVED.get(name)
    return derived if derived is not None else lambda subject: first(subject.tags, name)


class _Text:
    """Literal text."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def render(self, _subject: Subject) -> str:
        return self.text


class _Variable:
    """``$name`` or ``${a|b|"text"}``: the first non-empty of the choices, else the last one's fallback."""

    __slots__ = ("choices", "fallback")

    def __init__(self, choices: list[Getter], fallback: Getter | None) -> None:
        self.choices = choices
        self.fallback = fallback

    def render(self, subject: Subject) -> str:
        for choice in self.choices:
            value = choice(subject)
            if value:
                return value.replace("/", "_") if "/" in value else value
        return self.fallback(subject).replace("/", "_") if self.fallback is not None else ""


class _Conditional:
    """``<...>``."""

    __slots__ = ("parts",)

    def __init__(self, parts: list[_Part]) -> None:
        self.parts = parts

    def render(self, subject: Subject) -> str:
        out = []
        for part in self.parts:
            value = part.render(subject)
            if not value and isinstance(part, _Variable):
                return ""
            out.append(value)
        return "".join(out)


_Part = _Text | _Variable | _Conditional


class Template:
    """A parsed template."""

    def __init__(self, source: str, parts: list[_Part]) -> None:
        self.source = source
        self._parts = parts

    def render(self, subject: Subject) -> str:
        """The path as the template says it, ``/``-separated, not yet cleaned for a filesystem."""
        return "".join([part.render(subject) for part in self._parts])


def parse(source: str) -> Template:
    """Parse a template; TemplateError with the column of what is wrong."""
    parts, position = _parse_parts(source, 0, depth=0)
    if position < len(source):
        raise TemplateError("'>' without '<'", column=position + 1, remedy="write $> for a literal '>'")
    if not any(isinstance(part, _Variable | _Conditional) for part in parts):
        raise TemplateError("no variable: every track would have one name", column=1, remedy="add $title for instance")
    if source.rstrip().endswith("/"):
        raise TemplateError("ends with '/': the file's own name is missing", column=len(source), remedy="add $title")
    return Template(source, parts)


def _parse_parts(source: str, position: int, depth: int) -> tuple[list[_Part], int]:
    parts: list[_Part] = []
    text: list[str] = []

    def flush() -> None:
        if text:
            parts.append(_Text("".join(text)))
            text.clear()

    while position < len(source):
        char = source[position]
        if char == "$" and source[position + 1 : position + 2] in ("$", "<", ">"):
            text.append(source[position + 1])
            position += 2
        elif char == "$":
            flush()
            variable, position = _parse_variable(source, position)
            parts.append(variable)
        elif char == "<":
            flush()
            if depth == _MAX_DEPTH:
                raise TemplateError(
                    f"more than {_MAX_DEPTH} '<' in each other", column=position + 1, remedy="nest less"
                )
            inner, stop = _parse_parts(source, position + 1, depth + 1)
            if source[stop : stop + 1] != ">":
                raise TemplateError("'<' is never closed", column=position + 1, remedy="add '>' or write $<")
            parts.append(_Conditional(inner))
            position = stop + 1
        elif char == ">":
            flush()
            if not depth:
                return parts, position
            return parts, position
        elif char == "\0":
            raise TemplateError("NUL cannot stand in a path", column=position + 1)
        else:
            text.append(char)
            position += 1
    flush()
    return parts, position


def _parse_variable(source: str, position: int) -> tuple[_Variable, int]:
    start = position + 1
    if source[start : start + 1] == "{":
        stop = source.find("}", start)
        if stop < 0:
            raise TemplateError("'${' is never closed", column=position + 1, remedy="add '}'")
        return _parse_choices(source, start + 1, stop), stop + 1
    found = _NAME.match(source, start)
    if found is None:
        raise TemplateError("'$' without a variable name", column=position + 1, remedy="write $$ for a literal '$'")
    name = found[0]
    return _Variable([_getter(name)], _FALLBACK.get(name)), found.end()


def _parse_choices(source: str, start: int, stop: int) -> _Variable:
    choices: list[Getter] = []
    fallback: Getter | None = None
    column = start
    for choice in source[start:stop].split("|"):
        fallback = None
        if len(choice) >= 2 and choice[0] == choice[-1] == '"':
            choices.append(_literal(choice[1:-1]))
        elif _NAME.fullmatch(choice):
            choices.append(_getter(choice))
            fallback = _FALLBACK.get(choice)
        else:
            raise TemplateError(
                f"{choice!r} is neither a variable name nor a quoted text",
                column=column + 1,
                remedy='write ${a|b|"text"}',
            )
        column += len(choice) + 1
    return _Variable(choices, fallback)


def _literal(text: str) -> Getter:
    return lambda _: text


def disc_number(tags: Tags, field: str = "disc") -> int:
    """The number in a disc field (``2``, ``2/3``, ``CD 2``), 0 when there is none; at most 65,535."""
    found = _DIGITS.search(first(tags, field))
    return min(int(found[0][:6]), 65535) if found else 0
