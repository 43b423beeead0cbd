"""Templates: the table of variables, the grammar, and that values stay values."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicfs.config.settings import DEFAULT_TEMPLATE
from musicfs.errors import TemplateError
from musicfs.model import FIELDS
from musicfs.vfs.templates import Subject, Template, disc_number, parse

FULL = {
    "title": "Low Tide",
    "artist": "Ada",
    "album_artist": "Pixel Harbour",
    "album": "Salt",
    "date": "2019-05-17",
    "track": "1",
    "genre": "Rock",
    "composer": "Quist",
    "mood": "calm",
}


def subject(disc: str = "", stem: str = "file", fmt: str = "flac", **tags: str) -> Subject:
    return Subject({FIELDS.get(field, field): value for field, value in tags.items()}, stem, fmt, disc)


def render(template: str, **tags: str) -> str:
    return whole(parse(template), subject(**tags))


def whole(template: Template, what: Subject) -> str:
    return "/".join(filter(None, (template.render_folders(what), template.render_name(what))))


@pytest.mark.parametrize(
    ("variable", "full", "missing"),
    [
        ("$artist", "Ada", "Unknown Artist"),
        ("$albumartist", "Pixel Harbour", "Unknown Artist"),
        ("$album", "Salt", "Unknown Album"),
        ("$title", "Low Tide", "file"),
        ("$track", "01", "00"),
        ("$disc", "", ""),
        ("$year", "2019", ""),
        ("$genre", "Rock", "Unknown Genre"),
        ("$composer", "Quist", ""),
        ("$label", "", ""),
        ("$mood", "calm", ""),
        ("$format", "flac", "flac"),
        ("$format_upper", "FLAC", "FLAC"),
    ],
)
def test_every_variable_with_and_without_its_tag(variable: str, full: str, missing: str) -> None:
    assert render(variable, **FULL) == full
    assert render(variable) == missing
    assert render("${" + variable[1:] + "}", **FULL) == full


def test_album_artists_of_compilations_and_of_artists() -> None:
    assert render("$albumartist", artist="Ada") == "Ada"
    assert render("$albumartist", artist="Ada", compilation="1") == "Various Artists"
    assert render("$albumartist", artist="Ada", compilation="1", album_artist="Him") == "Him"


@pytest.mark.parametrize(
    ("date", "year"), [("1999", "1999"), ("17.5.2019", "2019"), ("99", ""), ("", ""), ("2001-08", "2001")]
)
def test_years(date: str, year: str) -> None:
    assert render("$title<$year>", title="", date=date) == f"file{year}"


@pytest.mark.parametrize(("track", "shown"), [("1", "01"), ("12", "12"), ("123", "123"), ("A1", "A1"), ("007", "007")])
def test_track_numbers_have_two_digits_at_least(track: str, shown: str) -> None:
    assert render("$track", track=track) == shown


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ('${label|composer|"none"}', "Quist"),
        ('${label|"none"}', "none"),
        ("${label|title}", "Low Tide"),
        ("${label|genre}", "Rock"),
        ('$title${label|""}', "Low Tide"),
        ("$title< ($year)>", "Low Tide (2019)"),
        ("$title< ($label)>", "Low Tide"),
        ("$title< [$year< - $label>]>", "Low Tide [2019]"),
        ("$title< [$label< - $year>]>", "Low Tide"),
        ("$title<text>", "Low Tidetext"),
        ("$$$title", "$Low Tide"),
        ("$<$title$>", "<Low Tide>"),
        ("${title}s", "Low Tides"),
    ],
)
def test_grammar(template: str, shown: str) -> None:
    assert render(template, **FULL) == shown


def test_the_last_choice_says_what_stands_for_nothing() -> None:
    assert render("${label|genre}") == "Unknown Genre"
    assert render("${genre|label}$title") == "file"


def test_the_default_template() -> None:
    template = parse(DEFAULT_TEMPLATE)
    assert whole(template, subject(**FULL)) == "Pixel Harbour/Salt (2019) [FLAC]/01 - Low Tide.flac"
    assert whole(template, subject(disc="2", **FULL)) == "Pixel Harbour/Salt (2019) [FLAC]/2-01 - Low Tide.flac"
    assert whole(template, subject()) == "Unknown Artist/Unknown Album [FLAC]/00 - file.flac"


@pytest.mark.parametrize(
    ("template", "column"),
    [
        ("", 1),
        ("plain", 1),
        ("$title>", 7),
        ("ab<$title", 3),
        ("a<b<$title>", 2),
        ("$title $", 8),
        ("$title $1", 8),
        ("${title", 1),
        ("${}", 3),
        ("${a|}", 5),
        ("${title|b c}", 9),
        ('${title|"x}', 9),
        ("$title/", 7),
        ("$title\0", 7),
        ("<" * 5000 + "$title" + ">" * 5000, None),
    ],
)
def test_errors_say_the_column(template: str, column: int | None) -> None:
    with pytest.raises(TemplateError) as caught:
        parse(template)
    if column is not None:
        assert caught.value.column == column
        assert f"column {column}:" in str(caught.value)
    assert caught.value.remedy or "\0" in template


SAFE = settings(max_examples=400, deadline=None, derandomize=True, database=None)
pieces = st.sampled_from(("$", "<", ">", "{", "}", "|", '"', "$title", "${", "/", "a", "$$", "\0", " ", "é", "_"))


@SAFE
@given(st.one_of(st.text(max_size=30), st.lists(pieces, max_size=30).map("".join)), st.text(max_size=5))
def test_parsing_raises_nothing_else_and_what_parses_renders(source: str, value: str) -> None:
    try:
        template = parse(source)
    except TemplateError as error:
        assert 1 <= error.column <= len(source) + 1
    else:
        assert isinstance(whole(template, subject(title=value)), str)


@SAFE
@given(st.text(st.sampled_from('$<>{}|"/year title..'), max_size=20))
def test_values_are_never_taken_for_template(value: str) -> None:
    shown = render("$album/$title", title=value, album=value)
    inner = value.replace("/", "_") or None
    assert shown == f"{inner or 'Unknown Album'}/{inner or 'file'}"


@pytest.mark.parametrize(
    ("text", "number"), [("2", 2), ("2/3", 2), ("CD 2", 2), ("", 0), ("x", 0), ("9" * 30, 65535), ("02", 2)]
)
def test_disc_numbers(text: str, number: int) -> None:
    assert disc_number(text) == number
