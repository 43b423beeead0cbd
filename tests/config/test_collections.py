"""Collections in a configuration: what is wrong with one is said with its line, as everything else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from musicfs.cli.invocation import Invocation
from musicfs.config.load import Loaded, read
from musicfs.config.settings import CollectionsSettings, CustomCollection
from musicfs.config.show import show


def loaded(folder: Path, text: str) -> Loaded:
    """As a command reads it."""
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return Invocation(config_file=str(path), environment={"HOME": str(folder)}).read()


def problems(folder: Path, text: str) -> list[str]:
    return [str(problem).removeprefix(f"{folder}/config.toml:") for problem in loaded(folder, text).problems]


GOOD = """\
[collections]
directory = "Lists/Mine"
builtin = false

[[collections.custom]]
name = "Long Jazz"
query = "genre:jazz duration:>10m"
sort = "-duration"
limit = 50

[[collections.custom]]
name = "Old Friends"
[[collections.custom.rule.and]]
genre = "Rock"
[[collections.custom.rule.and]]
not = { recently_played = 90 }
"""


def test_they_are_read_and_shown(tmp_path: Path) -> None:
    found = loaded(tmp_path, GOOD)
    assert found.problems == ()
    assert found.settings.collections == CollectionsSettings(
        directory="Lists/Mine",
        builtin=False,
        custom=(
            CustomCollection(name="Long Jazz", query="genre:jazz duration:>10m", sort="-duration", limit=50),
            CustomCollection(name="Old Friends", rule={"and": [{"genre": "Rock"}, {"not": {"recently_played": 90}}]}),
        ),
    )
    shown = tmp_path / "shown.toml"
    shown.write_text(show(found), encoding="utf-8")
    again = read(str(shown), environment={"HOME": str(tmp_path)}, flags={})
    assert again.settings.collections == found.settings.collections
    assert "[[collections.custom]]" in shown.read_text()


def custom(*lines: str) -> str:
    return "\n".join(("[[collections.custom]]", *lines, ""))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (custom('name = "a/b"', 'query = "x"'), '2: collection name "a/b" contains a slash or NUL'),
        (custom('name = ".a"', 'query = "x"'), '2: collection name ".a" begins with a dot'),
        (custom('name = ""', 'query = "x"'), '2: collections.custom[0].name = "" is not allowed'),
        (custom('query = "x"'), "1: collections.custom[0].name is missing"),
        (custom('name = "a"', 'query = "genre:"'), '3: collection "a": column 1: query "genre:": genre: has no value'),
        (custom('name = "a"', 'query = "(x"'), '3: collection "a": column 1: query "(x": this ( is not closed'),
        (custom('name = "a"'), '1: collection "a": has neither a query nor a rule'),
        (custom('name = "a"', 'query = "x"', 'rule = { genre = "y" }'), '3: collection "a": has both'),
        (custom('name = "a"', "rule = { gnre = 'x' }"), '3: collection "a": rule.gnre is no rule'),
        (
            custom('name = "a"', "rule = { and = [", "  { genre = 'x' },", "  { date = ['1990', '1980'] },", "] }"),
            '5: collection "a": ends before it begins: 1990 to 1980',
        ),
        (custom('name = "a"', 'query = "x"', 'sort = "-artst"'), '4: collection "a": there is no order by "-artst"'),
        (custom('name = "a"', 'query = "x"', "limit = 10001"), "4: collections.custom[0].limit = 10001 is not allowed"),
        ('[collections]\ndirectory = "../x"\n', '2: collections.directory "../x" begins with a dot'),
        ('[collections]\ndirectory = "/x"\n', '2: collections.directory "/x" begins with a slash'),
        ('[collections]\ndirectory = "a//b"\n', '2: collections.directory "a//b" has an empty part'),
        ('[collections]\ndirectory = ".hidden"\n', '2: collections.directory ".hidden" begins with a dot'),
    ],
)
def test_what_is_wrong_has_its_line(tmp_path: Path, text: str, expected: str) -> None:
    found = problems(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_names_differ(tmp_path: Path) -> None:
    twice = custom('name = "Jazz"', 'query = "x"') + custom('name = "Jazz"', 'query = "y"')
    assert problems(tmp_path, twice)[0].startswith('5: collection name "Jazz" is used twice')
    other = twice.replace('"Jazz"', '"JAZZ"', 1)
    assert problems(tmp_path, other) == []
    assert "is used twice" in problems(tmp_path, '[tree]\nnames = "windows"\n' + other)[0]


def test_lines_are_those_of_the_element_behind_an_unusable_one(tmp_path: Path) -> None:
    text = custom('query = "x"') + custom('name = "a"', 'query = "(x"')
    assert [found.partition(":")[0] for found in problems(tmp_path, text)] == ["1", "5"]


def test_the_hidden_folder_is_a_good_one(tmp_path: Path) -> None:
    assert problems(tmp_path, '[collections]\ndirectory = ".collections"\n') == []
