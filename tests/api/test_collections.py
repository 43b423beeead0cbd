"""Collections through a real socket: values, rules in every form, and statuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import grpc
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicfs.api.client import Client
from musicfs.api.collections import Collection, CollectionSettings, CollectionSource
from musicfs.api.collections_messages import rule_message, rule_value
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.errors import ConfigError, ExistsError, NotFoundError, QueryError
from musicfs.model import Rule
from tests.api.backend import FakeBackend, call
from tests.api.search_backend import COLLECTIONS, HITS, RULE, many

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
RULES = st.recursive(
    st.builds(Rule, match=TEXTS)
    | st.builds(Rule, genre=TEXTS)
    | st.builds(Rule, recently_added=st.integers(1, 36_500))
    | st.builds(Rule, recently_played=st.integers(1, 36_500))
    | st.builds(Rule, most_played=st.integers(1, 10_000))
    | st.builds(lambda first, last: Rule(date=(first, last)), st.just("1980"), st.sampled_from(["", "1989-12"])),
    lambda rules: (
        st.builds(lambda some: Rule(all_of=tuple(some)), st.lists(rules, min_size=1, max_size=3))
        | st.builds(lambda some: Rule(any_of=tuple(some)), st.lists(rules, min_size=1, max_size=3))
        | st.builds(lambda one: Rule(not_=one), rules)
    ),
    max_leaves=12,
)


def test_values_arrive_as_they_were_sent(client: Client, backend: FakeBackend) -> None:
    assert client.collections() == COLLECTIONS
    page = client.collection("80s Music")
    assert (page.collection, page.entries) == (COLLECTIONS[0], HITS)
    assert client.collection("80s Music", 1, 2).entries == HITS[1:]
    assert client.collection("80s Music", 0, 0).entries == ()
    settings = CollectionSettings(rule=RULE, sort="-added", limit=7)
    made = client.create_collection("Mine\udcff", settings)
    assert made == Collection(
        name="Mine\\xff", settings=settings, source=CollectionSource.USER, count=2, path="/Mine\\xff"
    )
    other = CollectionSettings(query="genre:jazz")
    assert client.create_collection("Mine's", other, replace=True).settings == other
    client.delete_collection("Mine's")
    assert backend.asked_for[1:] == [
        ("collection", "80s Music", 0, 1000),
        ("collection", "80s Music", 1, 2),
        ("collection", "80s Music", 0, 0),
        ("create_collection", "Mine\\xff", settings, False),
        ("create_collection", "Mine's", other, True),
        ("delete_collection", "Mine's"),
    ]


@given(RULES)
def test_every_rule_comes_back(rule: Rule) -> None:
    assert rule_value(pb.CollectionRule.FromString(rule_message(rule).SerializeToString())) == rule
    assert msgspec.json.decode(msgspec.json.encode(rule), type=Rule) == rule


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (pb.CollectionRule(), "exactly one of .* this one has none"),
        (pb.CollectionRule(all_of=pb.CollectionRules()), "a rule's and is empty"),
        (pb.CollectionRule(any_of=pb.CollectionRules(rules=[pb.CollectionRule()])), r"at `\$.or\[0\]`"),
        (pb.CollectionRule(date=pb.CollectionDates()), "a rule's date is empty"),
        (pb.CollectionRule(not_=pb.CollectionRule(recently_added_days=0)), r">= 1 - at `\$.not.recently_added`"),
        (pb.CollectionRule(recently_played_days=40_000), r"<= 36500 - at `\$.recently_played`"),
        (pb.CollectionRule(most_played_limit=4_000_000_000), r"<= 10000 - at `\$.most_played`"),
    ],
    ids=str,
)
def test_rules_that_are_none(socket: Path, backend: FakeBackend, message: pb.CollectionRule, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        rule_value(message)
    with pytest.raises(grpc.RpcError) as refused:
        call(socket, "CreateCollection", pb.CreateCollectionRequest(name="x", rule=message), pb.Collection)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert backend.asked_for == []


def test_rules_have_a_depth(client: Client, socket: Path, backend: FakeBackend) -> None:
    rule, message = Rule(match="a"), pb.CollectionRule(match="a")
    for _ in range(15):
        rule, message = Rule(all_of=(rule,)), pb.CollectionRule(all_of=pb.CollectionRules(rules=[message]))
    assert client.create_collection("deep", CollectionSettings(rule=rule)).settings.rule == rule
    backend.asked_for.clear()
    with pytest.raises(ConfigError, match="more than 16 rules deep"):
        client.create_collection("deeper", CollectionSettings(rule=Rule(not_=rule)))
    for _ in range(20):
        message = pb.CollectionRule(not_=message)
    with pytest.raises(grpc.RpcError) as refused:
        call(socket, "CreateCollection", pb.CreateCollectionRequest(name="x", rule=message), pb.Collection)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert backend.asked_for == []


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 256, "ü" * 128], ids=repr)
def test_names_that_no_folder_can_have(client: Client, backend: FakeBackend, name: str) -> None:
    attempts: list[Callable[[], object]] = [
        lambda: client.collection(name),
        lambda: client.delete_collection(name),
        lambda: client.create_collection(name, CollectionSettings(query="a")),
    ]
    for attempt in attempts:
        with pytest.raises(ConfigError, match="1 to 255 bytes"):
            attempt()
    assert backend.asked_for == []


def test_what_goes_wrong(client: Client, socket: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no collection 'x'"):
        client.collection("x")
    with pytest.raises(NotFoundError, match="there is no collection 'x'"):
        client.delete_collection("x")
    with pytest.raises(ConfigError, match="is built in"):
        client.delete_collection("80s Music")
    with pytest.raises(ExistsError, match="there is a collection") as caught:
        client.create_collection("80s Music", CollectionSettings(query="a"))
    assert caught.value.remedy == "--replace changes it"
    with pytest.raises(QueryError) as wrong:
        client.create_collection("x", CollectionSettings(query="a )"))
    assert wrong.value.column == 3
    with pytest.raises(QueryError, match="the query is empty"):
        client.create_collection("x", CollectionSettings())
    both = pb.CreateCollectionRequest(name="x", query="a", rule=pb.CollectionRule(match="a"))
    for request in (both, pb.CreateCollectionRequest(name="x")):
        with pytest.raises(grpc.RpcError) as refused:
            call(socket, "CreateCollection", request, pb.Collection)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    taken = pb.CreateCollectionRequest(name="80s Music", query="a")
    with pytest.raises(grpc.RpcError) as refused:
        call(socket, "CreateCollection", taken, pb.Collection)
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS


def test_limits(socket: Path, backend: FakeBackend) -> None:
    backend.found = many(12_000)
    request = pb.GetCollectionRequest(name="80s Music")
    assert len(call(socket, "GetCollection", request, pb.GetCollectionResponse).entries) == 1_000
    request = pb.GetCollectionRequest(name="80s Music", limit=4_000_000_000, offset=3)
    entries = call(socket, "GetCollection", request, pb.GetCollectionResponse).entries
    assert (len(entries), entries[0].file_id) == (10_000, 4)
