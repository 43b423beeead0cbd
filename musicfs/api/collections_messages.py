"""Values of ``collections`` to protobuf messages and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from musicfs.api.collections import (
    MAX_RULE_DEPTH,
    Collection,
    CollectionPage,
    CollectionSettings,
    CollectionSource,
)
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.search_messages import fitting_messages, hit_value
from musicfs.api.wire import u32, u64, wire_text
from musicfs.errors import ConfigError
from musicfs.model import Rule

_SOURCES: dict[CollectionSource, pb.CollectionSource] = {
    CollectionSource.BUILT_IN: pb.COLLECTION_BUILT_IN,
    CollectionSource.CONFIG: pb.COLLECTION_CONFIG,
    CollectionSource.USER: pb.COLLECTION_USER,
}
_SOURCE_OF = {number: source for source, number in _SOURCES.items()}


def collection_message(collection: Collection) -> pb.Collection:
    settings = collection.settings
    return pb.Collection(
        name=wire_text(collection.name),
        query=wire_text(settings.query) or None,
        rule=rule_message(settings.rule) if settings.rule is not None else None,
        sort=wire_text(settings.sort),
        limit=u32(settings.limit),
        source=_SOURCES[collection.source],
        count=u64(collection.count),
        path=wire_text(collection.path),
        changed_ms=collection.changed_ms,
    )


def collection_value(message: pb.Collection) -> Collection:
    return Collection(
        name=message.name,
        settings=settings_value(message),
        source=_SOURCE_OF.get(message.source, CollectionSource.BUILT_IN),  # what is not known cannot be changed
        count=message.count,
        path=message.path,
        changed_ms=message.changed_ms,
    )


def settings_value(message: pb.Collection | pb.CreateCollectionRequest) -> CollectionSettings:
    """What a collection is to hold. Raises ConfigError for a rule that is none."""
    return CollectionSettings(
        query=message.query,
        rule=rule_value(message.rule) if message.HasField("rule") else None,
        sort=message.sort,
        limit=message.limit,
    )


def page_message(page: CollectionPage) -> pb.GetCollectionResponse:
    return pb.GetCollectionResponse(
        collection=collection_message(page.collection), entries=fitting_messages(page.entries)
    )


def page_value(message: pb.GetCollectionResponse) -> CollectionPage:
    return CollectionPage(collection_value(message.collection), tuple(map(hit_value, message.entries)))


def rule_message(rule: Rule, depth: int = 1) -> pb.CollectionRule:
    """A rule as a message. Raises ConfigError for one that is too deep to be sent."""
    _check_depth(depth)

    def each(rules: Iterable[Rule]) -> pb.CollectionRules:
        return pb.CollectionRules(rules=[rule_message(one, depth + 1) for one in rules])

    match rule:
        case Rule(all_of=tuple(rules)):
            return pb.CollectionRule(all_of=each(rules))
        case Rule(any_of=tuple(rules)):
            return pb.CollectionRule(any_of=each(rules))
        case Rule(not_=Rule() as other):
            return pb.CollectionRule(not_=rule_message(other, depth + 1))
        case Rule(date=(first, last)):
            return pb.CollectionRule(date=pb.CollectionDates(first=wire_text(first), last=wire_text(last)))
        case Rule(match=str(text)):
            return pb.CollectionRule(match=wire_text(text))
        case Rule(genre=str(text)):
            return pb.CollectionRule(genre=wire_text(text))
    return pb.CollectionRule(
        recently_added_days=_number(rule.recently_added),
        recently_played_days=_number(rule.recently_played),
        most_played_limit=_number(rule.most_played),
    )


def rule_value(message: pb.CollectionRule) -> Rule:
    """The rule that a message says. Raises ConfigError with the place in it for what is none, or too deep."""
    try:
        return msgspec.convert(_rule_document(message, 1), Rule)
    except msgspec.ValidationError as error:
        raise ConfigError(f"the rule is none: {error}", remedy="see `musicfs collection create --help`") from None


def _rule_document(message: pb.CollectionRule, depth: int) -> dict[str, Any]:
    """A rule as TOML and JSON have it."""
    _check_depth(depth)
    kind = message.WhichOneof("rule")
    if kind is None:
        return {}
    value = getattr(message, kind)
    if isinstance(value, pb.CollectionRules):
        return {_JSON_NAMES[kind]: tuple(_rule_document(one, depth + 1) for one in value.rules)}
    if isinstance(value, pb.CollectionRule):
        return {_JSON_NAMES[kind]: _rule_document(value, depth + 1)}
    if isinstance(value, pb.CollectionDates):
        return {_JSON_NAMES[kind]: (value.first, value.last)}
    return {_JSON_NAMES[kind]: value}


_JSON_NAMES = {
    "match": "match",
    "date": "date",
    "recently_added_days": "recently_added",
    "recently_played_days": "recently_played",
    "most_played_limit": "most_played",
    "genre": "genre",
    "all_of": "and",
    "any_of": "or",
    "not_": "not",
}


def _number(number: int | None) -> int | None:
    return None if number is None else u32(number)


def _check_depth(depth: int) -> None:
    if depth > MAX_RULE_DEPTH:
        raise ConfigError(
            f"the rule is more than {MAX_RULE_DEPTH} rules deep", remedy="say it with fewer rules inside each other"
        )
