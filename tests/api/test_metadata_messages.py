"""Values of tags on their way through messages: everything arrives as it was, whatever it is."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicfs.api import metadata_messages as messages
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.metadata import (
    MAX_COVER_BYTES,
    ChangeResult,
    Cover,
    FieldChange,
    HistoryItem,
    MetadataChange,
    Served,
    TrackMetadata,
)
from musicfs.api.metadata_scalars import scalar_changes, set_scalars
from musicfs.errors import ConfigError
from musicfs.model import FIELDS, Technical

texts = st.text(max_size=20)  # without surrogates: what is UTF-8 arrives as it is
names = st.text(min_size=1, max_size=10) | st.sampled_from(sorted(FIELDS))
values = st.lists(texts, max_size=4).map(tuple)
fields = st.dictionaries(names, values, max_size=5)
u32 = st.integers(0, 2**32 - 1)
int64 = st.integers(-(2**63), 2**63 - 1)
ids = st.integers(1, 2**63 - 1)
field_changes = st.lists(st.builds(FieldChange, names, values, values), max_size=3).map(tuple)
technicals = st.builds(
    Technical,
    duration_ms=st.integers(0, 2**64 - 1),
    bitrate=st.integers(0, 2**64 - 1),
    sample_rate=u32,
    channels=u32,
    bits_per_sample=u32,
    codec=texts,
)
tracks = st.builds(
    TrackMetadata,
    file_id=int64,
    path=texts,
    origin_id=texts,
    origin_path=texts,
    format=texts,
    technical=technicals,
    own=fields,
    effective=fields,
    overlay=fields,
    cover=st.sampled_from(Cover),
    served=st.sampled_from(Served),
    reason=texts,
    unfit=st.dictionaries(names, texts, max_size=3),
    changed_ms=int64,
    author=texts,
)
results = st.builds(
    ChangeResult,
    index=u32,
    file_id=int64,
    path=texts,
    new_path=texts,
    changes=field_changes,
    cover_changed=st.booleans(),
    reason=texts,
    error=texts,
    remedy=texts,
    total=u32,
)
items = st.builds(
    HistoryItem,
    sequence=int64,
    time_ms=int64,
    author=texts,
    action=texts,
    path=texts,
    origin_id=texts,
    origin_path=texts,
    changes=field_changes,
    cover=texts,
)


@st.composite
def changes(draw: st.DrawFn) -> MetadataChange:
    given = draw(fields)
    cover = draw(st.sampled_from(["", "set", "remove", "revert"]))
    return MetadataChange(
        file_id=draw(ids),
        path=draw(texts.filter(lambda path: "\0" not in path)),
        match=draw(st.dictionaries(names, texts, max_size=3)),
        set=given,
        revert=tuple(draw(st.lists(names.filter(lambda name: name not in given), max_size=3))),
        revert_all=draw(st.booleans()),
        cover=draw(st.binary(min_size=1, max_size=20)) if cover == "set" else None,
        remove_cover=cover == "remove",
        revert_cover=cover == "revert",
    )


@given(tracks)
def test_a_track_arrives_as_it_was(track: TrackMetadata) -> None:
    data = messages.track_message(track).SerializeToString()
    assert messages.track_value(pb.MetadataResponse.FromString(data)) == track


@given(changes())
def test_a_change_arrives_as_it_was(change: MetadataChange) -> None:
    data = messages.change_message(change).SerializeToString()
    assert messages.change_value(pb.UpdateMetadataRequest.FromString(data)) == change


@given(results)
def test_a_result_arrives_as_it_was(result: ChangeResult) -> None:
    data = messages.result_message(result).SerializeToString()
    assert messages.result_value(pb.TrackChange.FromString(data)) == result


@given(items)
def test_history_arrives_as_it_was(item: HistoryItem) -> None:
    data = messages.history_message(item).SerializeToString()
    assert messages.history_value(pb.MetadataLogEntry.FromString(data)) == item


def test_what_a_newer_daemon_knows_is_no_error() -> None:
    value = messages.track_value(pb.MetadataResponse(cover="framed", served="by hand"))
    assert (value.cover, value.served) == (Cover.OWN, Served.ORIGINAL)


SCALARS: Mapping[str, tuple[object, str, tuple[str, ...]]] = {
    **{
        name: ("Ü 1", name, ("Ü 1",))
        for name in (
            *(
                "title",
                "artist",
                "album",
                "album_artist",
                "date",
                "genre",
                "composer",
                "comment",
                "lyrics",
                "copyright",
            ),
            *("artist_sort", "album_artist_sort", "album_sort", "title_sort", "mb_recording_id", "mb_album_id"),
            *("mb_artist_id", "label"),
        )
    },
    "track_number": (7, "track", ("7",)),
    "disc_number": (2, "disc", ("2",)),
    "compilation": (True, "compilation", ("1",)),
    "replaygain_track_gain": (-6.54, "replaygain_track_gain", ("-6.54 dB",)),
    "replaygain_track_peak": (0.988553, "replaygain_track_peak", ("0.988553",)),
    "replaygain_album_gain": (3.2, "replaygain_album_gain", ("3.20 dB",)),
    "replaygain_album_peak": (1.25, "replaygain_album_peak", ("1.250000",)),
    "album_type": ("ep", "releasetype", ("ep",)),
}


def test_every_scalar_of_the_contract_is_one_here() -> None:
    described = {field.name for field in pb.UpdateMetadataRequest.DESCRIPTOR.fields if 1 < field.number < 50}
    assert described == {*SCALARS, "cover_url"}


@pytest.mark.parametrize("name", SCALARS)
def test_a_scalar_sets_its_field(name: str) -> None:
    value, field, written = SCALARS[name]
    assert scalar_changes(pb.UpdateMetadataRequest(**{name: value})) == {field: written}  # type: ignore[arg-type]  # any


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("title", "", ()),
        ("track_number", 0, ()),
        ("compilation", False, ()),
        ("album_type", "", ()),
        ("replaygain_track_gain", 0.0, ("0.00 dB",)),
        ("replaygain_track_gain", -0.001, ("0.00 dB",)),
        ("replaygain_track_peak", 0.0, ("0.000000",)),
    ],
)
def test_a_scalar_that_says_nothing_removes_its_field(name: str, value: object, written: tuple[str, ...]) -> None:
    request = pb.UpdateMetadataRequest(**{name: value})  # type: ignore[arg-type]  # as above
    assert scalar_changes(request) == {SCALARS[name][1]: written}


def test_what_is_not_given_is_not_changed() -> None:
    assert scalar_changes(pb.UpdateMetadataRequest(file_id=1)) == {}


def test_custom_tags_are_set_and_removed_under_names_in_lower_case() -> None:
    request = pb.UpdateMetadataRequest(custom_tags={"MOOD": "calm", "key": ""})
    assert scalar_changes(request) == {"mood": ("calm",), "key": ()}


@pytest.mark.parametrize(
    "request_",
    [
        pb.UpdateMetadataRequest(cover_url="https://example.com/a.jpg"),
        pb.UpdateMetadataRequest(cover_url=""),
        pb.UpdateMetadataRequest(replaygain_track_gain=float("nan")),
        pb.UpdateMetadataRequest(replaygain_album_gain=float("inf")),
        pb.UpdateMetadataRequest(replaygain_track_peak=-0.5),
        pb.UpdateMetadataRequest(replaygain_album_peak=float("nan")),
        pb.UpdateMetadataRequest(title="a", custom_tags={"TITLE": "b"}),
        pb.UpdateMetadataRequest(custom_tags={"MOOD": "a", "mood": "b"}),
        pb.UpdateMetadataRequest(custom_tags={"": "a"}),
        pb.UpdateMetadataRequest(title="a", set=[pb.FieldValues(name="title", values=["b"])]),
        pb.UpdateMetadataRequest(set=[pb.FieldValues(name="x"), pb.FieldValues(name="x")]),
        pb.UpdateMetadataRequest(set=[pb.FieldValues(values=["b"])]),
        pb.UpdateMetadataRequest(title="a", revert=["title"]),
        pb.UpdateMetadataRequest(revert=[""]),
        pb.UpdateMetadataRequest(cover=b""),
        pb.UpdateMetadataRequest(cover=b"a", remove_cover=True),
        pb.UpdateMetadataRequest(remove_cover=True, revert_cover=True),
        pb.UpdateMetadataRequest(cover=bytes(MAX_COVER_BYTES + 1)),
        pb.UpdateMetadataRequest(path="/a\0b"),
    ],
    ids=lambda request: str(request)[:60],
)
def test_changes_that_make_no_sense_are_refused(request_: pb.UpdateMetadataRequest) -> None:
    with pytest.raises(ConfigError):
        messages.change_value(request_, 1)


@pytest.mark.parametrize("file_id", [0, -1])
def test_a_change_of_nothing_is_refused(file_id: int) -> None:
    with pytest.raises(ConfigError, match="file_id"):
        messages.change_value(pb.UpdateMetadataRequest(file_id=file_id, title="a"))


def test_an_item_names_its_track_once() -> None:
    request = pb.UpdateMetadataRequest(file_id=7, title="a")
    assert messages.change_value(request).file_id == 7
    assert messages.change_value(request, 7).file_id == 7
    with pytest.raises(ConfigError, match="two tracks"):
        messages.change_value(request, 8)


@given(st.floats(min_value=-60, max_value=60, width=32), st.floats(min_value=0, max_value=4, width=32))
def test_gains_and_peaks_come_back_as_written(gain: float, peak: float) -> None:
    request = pb.UpdateMetadataRequest(replaygain_track_gain=gain, replaygain_track_peak=peak)
    message = pb.MetadataResponse()
    set_scalars(message, scalar_changes(request))
    assert message.replaygain_track_gain == pytest.approx(gain, abs=0.00501)
    assert message.replaygain_track_peak == pytest.approx(peak, abs=0.000001)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3", 3),
        ("03", 3),
        (" 3 ", 3),
        ("3/12", 3),
        ("0", 0),
        ("A1", None),
        ("", None),
        ("-1", None),
        ("4294967296", None),
    ],
)
def test_numbers_are_read_from_text(text: str, number: int | None) -> None:
    message = pb.MetadataResponse()
    set_scalars(message, {"track": (text,), "disc_total": (text,)})
    assert (message.track if message.HasField("track") else None) == number
    assert (message.disc_total if message.HasField("disc_total") else None) == number


@pytest.mark.parametrize(
    ("date", "year"),
    [("1993", 1993), ("1993-07-05", 1993), ("05.07.1993", 1993), ("19930705", 1993), ("93", None), ("", None)],
)
def test_the_year_is_that_of_the_date(date: str, year: int | None) -> None:
    message = pb.MetadataResponse()
    set_scalars(message, {"date": (date,)})
    assert (message.year if message.HasField("year") else None) == year
    assert message.date == date


@pytest.mark.parametrize(
    ("text", "gain"),
    [
        ("-6.54 dB", -6.54),
        ("+1.5", 1.5),
        ("-6,54 DB", -6.54),
        ("0 dB", 0.0),
        ("loud", None),
        ("nan", None),
        ("1e99", None),
    ],
)
def test_gains_are_read_from_text(text: str, gain: float | None) -> None:
    message = pb.MetadataResponse()
    set_scalars(message, {"replaygain_album_gain": (text,)})
    found = message.replaygain_album_gain if message.HasField("replaygain_album_gain") else None
    assert found == (None if gain is None else struct.unpack("f", struct.pack("f", gain))[0])


@given(fields)
def test_every_tag_is_seen_by_clients_that_know_scalars_only(effective: dict[str, tuple[str, ...]]) -> None:
    message = pb.MetadataResponse()
    set_scalars(message, effective)
    shown = {field.name for field, _ in message.ListFields()} | set(message.custom_tags)
    for name, found in effective.items():
        if not found or name in {"track", "track_total", "disc", "disc_total"} or name.startswith("replaygain"):
            continue  # removed, or perhaps no number
        assert {"releasetype": "album_type"}.get(name, name) in shown


def test_custom_tags_are_those_without_a_field_of_their_own() -> None:
    message = pb.MetadataResponse()
    set_scalars(
        message,
        {"title": ("a", "b"), "mood": ("calm", "odd"), "isrc": ("x",), "releasetype": ("ep",), "compilation": ("1",)},
    )
    assert dict(message.custom_tags) == {"mood": "calm", "isrc": "x"}
    assert (message.title, message.album_type, message.compilation) == ("a", "ep", True)
    assert not message.HasField("cover_url")
