"""Corrections as values: what is set is what is read, and what is taken back is what was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicfs.errors import ConfigError
from musicfs.library.overlays import (
    NO_COVER,
    OWN_COVER,
    Wanted,
    changed_cover,
    changed_fields,
    effective_tags,
    field_name,
    normal_fields,
    tags_digest,
)

NAMES = ("title", "artist", "track", "track_total", "disc", "date", "compilation", "genre", "mood")
texts = st.one_of(
    st.sampled_from(("", " ", "A", "B", "1", "3/12", "3 / 12", "/", "a/b", "1/2/3", "1980")),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
)
several = st.lists(texts, max_size=3).map(tuple)
flags = st.sampled_from(((), ("1",), ("0",), ("yes",), ("No",), (" true ",)))
given_fields = st.dictionaries(
    st.sampled_from([name for name in NAMES if name != "compilation"]), several, max_size=4
).flatmap(lambda found: flags.map(lambda flag: {**found, "compilation": flag} if len(flag) else found))
own_tags = given_fields.map(lambda found: {name: values for name, values in normal_fields(found).items() if values})
before_fields = st.tuples(own_tags, given_fields).map(lambda both: changed_fields(both[0], {}, Wanted(both[1])))


@given(given_fields)
def test_normal_fields_are_normal(fields: dict[str, tuple[str, ...]]) -> None:
    settled = normal_fields(fields)
    assert normal_fields(settled) == settled
    for values in settled.values():
        assert len(set(values)) == len(values)
        assert not any(not value or value.isspace() for value in values)


@given(own_tags, before_fields, given_fields)
def test_what_is_set_is_what_is_read(
    own: dict[str, tuple[str, ...]], before: dict[str, tuple[str, ...]], fields: dict[str, tuple[str, ...]]
) -> None:
    wanted = Wanted(fields)
    after = changed_fields(own, before, wanted)
    read = effective_tags(own, after)
    for field, values in normal_fields(fields).items():
        assert read.get(field, ()) == values
    untouched = effective_tags(own, before)
    for field in {*read, *untouched} - normal_fields(fields).keys():
        assert read.get(field) == untouched.get(field), "what is not named stays"
    assert not any(values == own.get(field, ()) for field, values in after.items()), "the file says so itself"
    assert changed_fields(own, after, wanted) == after, "twice is once"
    assert effective_tags(read, after) == read


@given(own_tags, before_fields, given_fields, given_fields)
def test_of_two_changes_the_last_counts(
    own: dict[str, tuple[str, ...]],
    before: dict[str, tuple[str, ...]],
    first: dict[str, tuple[str, ...]],
    second: dict[str, tuple[str, ...]],
) -> None:
    both = changed_fields(own, changed_fields(own, before, Wanted(first)), Wanted(second))
    assert both == changed_fields(own, before, Wanted({**normal_fields(first), **normal_fields(second)}))


@given(own_tags, before_fields, given_fields)
def test_what_is_reverted_is_the_files_own(
    own: dict[str, tuple[str, ...]], before: dict[str, tuple[str, ...]], fields: dict[str, tuple[str, ...]]
) -> None:
    after = changed_fields(own, before, Wanted(fields))
    assert changed_fields(own, after, Wanted(revert_all=True)) == {}
    assert changed_fields(own, after, Wanted(revert=tuple(after))) == {}
    assert effective_tags(own, {}) == own
    # Back to a layer, whatever came between: what an undo asks for.
    clean = changed_fields(own, before, Wanted())
    assert changed_fields(own, after, Wanted(before, revert_all=True)) == clean
    assert changed_fields(own, before, Wanted(revert=("title",), fields={"title": ("New",)})).get("title") in (
        ("New",),
        None if own.get("title") == ("New",) else ("New",),
    )


@given(own_tags)
def test_what_the_file_says_itself_is_not_kept(own: dict[str, tuple[str, ...]]) -> None:
    assert changed_fields(own, {}, Wanted(own)) == {}
    assert changed_fields(own, {"mood": ("x",)}, Wanted(own)).keys() <= {"mood"} - own.keys()


@given(own_tags, own_tags)
def test_a_digest_tells_tags_apart(one: dict[str, tuple[str, ...]], other: dict[str, tuple[str, ...]]) -> None:
    assert (tags_digest(one) == tags_digest(other)) == (one == other)
    assert tags_digest(dict(reversed(one.items()))) == tags_digest(one)
    assert bool(tags_digest(one)) == bool(one)


def test_names_of_fields() -> None:
    assert field_name(" Year ") == "date"
    assert field_name("TrackNumber") == "track"
    assert field_name("My Own Tag") == "my own tag"
    for wrong in ("", "  ", "a=b", "a\nb", "x" * 101):
        with pytest.raises(ConfigError, match="cannot be called") as caught:
            field_name(wrong)
        assert caught.value.remedy


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("title", ("x" * 65_537,)),
        ("comment", ("a\0b",)),
        ("artist", ("\udcff",)),
        ("genre", tuple(map(str, range(501)))),
        ("compilation", ("perhaps",)),
        ("compilation", ("1/2",)),
    ],
    ids=["long", "nul", "not unicode", "many", "flag", "flag 2"],
)
def test_what_no_file_can_say_is_refused_by_the_name_of_the_field(field: str, values: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=f"^{field}: ") as caught:
        normal_fields({"album": ("fine",), field: values})
    assert caught.value.remedy


def test_numbers_and_flags() -> None:
    assert normal_fields({"track": ("3/12",)}) == {"track": ("3",), "track_total": ("12",)}
    assert normal_fields({"track": ("3/12",), "track_total": ("10",)}) == {"track": ("3",), "track_total": ("10",)}
    assert normal_fields({"disc": ("1 / 2",)}) == {"disc": ("1",), "disc_total": ("2",)}
    assert normal_fields({"track": ("a/b",)}) == {"track": ("a/b",)}
    assert normal_fields({"track": ()}) == {"track": ()}
    for values, settled in ((("YES",), ("1",)), (("f",), ()), ((), ()), ((" ",), ())):
        assert normal_fields({"compilation": values}) == {"compilation": settled}
    assert changed_fields({"compilation": ("1",)}, {}, Wanted({"compilation": ("no",)})) == {"compilation": ()}
    assert changed_fields({}, {}, Wanted({"compilation": ("no",)})) == {}


def test_covers() -> None:
    assert changed_cover("key", Wanted()) == "key"
    assert changed_cover("key", Wanted(revert_all=True)) == OWN_COVER
    assert changed_cover("key", Wanted(revert_all=True, cover=NO_COVER)) == NO_COVER
    assert changed_cover(NO_COVER, Wanted(cover="key")) == "key"
    assert changed_cover("key", Wanted(cover=OWN_COVER)) == OWN_COVER
