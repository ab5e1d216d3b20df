"""What a Teams payload must pass before a test lets it leave: the official Adaptive Cards 1.5 schema, and what it misses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import adaptive_cards
from jsonschema import Draft6Validator, ValidationError
from jsonschema.validators import extend

CONTENT_TYPE = "application/vnd.microsoft.card.adaptive"
ACTIVITY_BYTES = 28 * 1024
ACTIONS = 6
READERS = 60
VERSION = (1, 5)

Json = Mapping[str, Any]


def check_card(content: Any) -> None:
    """raises AssertionError   Teams would refuse this card, draw it wrong, or take a part of its text for markup; says where"""
    assert isinstance(content, Mapping), f"a card is an object, not a {type(content).__name__}"
    assert content.get("type") == "AdaptiveCard", f"the content is of type {content.get('type')!r}, not AdaptiveCard"
    version = _version(content.get("version"))
    assert version, f"the card's version is {content.get('version')!r}"
    assert version <= VERSION, f"the card's version is {content['version']}, above 1.5"
    host = content.get("msteams", {})
    assert host in ({}, {"width": "Full"}), f"msteams may hold the width alone, not {host!r}"
    _fits_the_schema({key: value for key, value in content.items() if key != "msteams"})
    nodes = list(_nodes(content, "card"))
    for where, node in nodes:
        _is_drawn(where, node, version)
    _ids_are_unique(nodes)
    _size_fits(content)
    assert content.get("body"), "the card is empty"


def check_activity(activity: Any) -> None:
    """raises AssertionError   a message to Teams is not whole, too large, or one of its cards fails `check_card`"""
    assert isinstance(activity, Mapping), f"an activity is an object, not a {type(activity).__name__}"
    assert activity.get("type") == "message", f"the activity is of type {activity.get('type')!r}, not message"
    text, attachments = activity.get("text", ""), activity.get("attachments", [])
    assert isinstance(attachments, list), "attachments are a list"
    assert text or attachments, "the activity says nothing"
    for attachment in attachments:
        assert attachment.get("contentType") == CONTENT_TYPE, f"an attachment is of type {attachment.get('contentType')!r}"
        check_card(attachment.get("content"))
    assert activity.get("summary") or text, "the activity has no summary: its notification would only say that a card was sent"
    for key in ("text", "summary"):
        found = _LIVE.search(activity.get(key) or "")
        assert not found or activity.get("textFormat") == "plain", f"{key} holds live markup: {found and found.group()!r}"
    _size_fits(activity)


def check_answer(answer: Any) -> None:
    """The body of the answer to an adaptiveCard/action invoke. raises AssertionError"""
    assert isinstance(answer, Mapping), f"an answer is an object, not a {type(answer).__name__}"
    assert answer.get("statusCode") == 200, f"the answer's statusCode is {answer.get('statusCode')!r}"
    if answer.get("type") == "application/vnd.microsoft.activity.message":
        assert isinstance(answer.get("value"), str), "a message is a string"
        assert answer["value"].strip(), "an empty message is a failed answer to Teams, which then invokes again"
        return
    assert answer.get("type") == CONTENT_TYPE, f"the answer is of type {answer.get('type')!r}"
    check_card(answer.get("value"))


# --- the official schema -------------------------------------------------------------------------------------------------


@cache
def _schema() -> dict[str, Any]:
    path = Path(adaptive_cards.__file__).parent / "schemas" / "schema-1.5.json"
    loaded: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return loaded


def _one_of(validator: Any, shapes: list[Any], thing: Any, schema: Any) -> Iterator[ValidationError]:
    """`anyOf`, but of shapes named for what they are only the one that `thing` says it is: quicker, and it says why."""
    named = {shape["allOf"][0]["$ref"].rpartition("/")[2]: shape for shape in shapes if "allOf" in shape}
    kind = thing.get("type") if isinstance(thing, Mapping) else None
    if not named or kind is None:
        yield from Draft6Validator.VALIDATORS["anyOf"](validator, shapes, thing, schema)
    elif kind in named:
        yield from validator.descend(thing, named[kind])
    else:
        yield ValidationError(f"nothing in Adaptive Cards 1.5 that may stand here is of type {kind!r}")


@cache
def _validator() -> Any:
    Draft6Validator.check_schema(_schema())
    by_kind = extend(Draft6Validator, {"anyOf": _one_of})  # type: ignore[no-untyped-call]
    return by_kind(_schema())


def _fits_the_schema(card: Json) -> None:
    for fault in _validator().iter_errors(card):
        raise AssertionError(f"card/{'/'.join(str(part) for part in fault.absolute_path)}: {fault.message[:200]}")


def fits_the_schema_as_shipped(card: Json) -> bool:
    """The same, by the official schema without our shortcut through it."""
    return Draft6Validator(_schema()).is_valid(card)


@cache
def _properties_of(kind: str) -> dict[str, Any]:
    return _properties(_schema()["definitions"][kind])


def _properties(shape: Json) -> dict[str, Any]:
    """What an element may hold, with what it inherits."""
    found: dict[str, Any] = {}
    for variant in shape.get("anyOf", ()):
        found |= variant.get("properties", {})
    for parent in shape.get("allOf", ()):
        found |= _properties(_schema()["definitions"][parent["$ref"].rpartition("/")[2]])
    return found | {name: {**found.get(name, {}), **about} for name, about in shape.get("properties", {}).items()}


# --- what the schema misses ------------------------------------------------------------------------------------------------

_LIVE = re.compile(
    r"\{\{|\$\{|\]\(|\]\[|\]:|</?[a-z!?]|&[#\w]|://|\bwww\.|(?<![*\\])\*(?=\S)|(?<=\S)\*|(?<!\w)_(?=\S)|`|~~|\\"
    r"|^\s*(?:[-+*]|\d+[.)])(?:\s|$)|^\s*(?:#+\s|#+$|>)|\r|\n",
    re.IGNORECASE,
)
"""What some client reads as markup, a link, a mention, an entity, a function or a template."""
_IN_ANY_TEXT = re.compile(r"\{\{|\$\{|</?at\b|://|\]\(|&[#\w]+;", re.IGNORECASE)
"""What some client may read as more than text even where Markdown is not read."""
_OURS = re.compile(r"https://[a-z0-9]|http://(?:localhost|127\.0\.0\.1|\[::1\])[:/]")
_TEXTS = {
    "TextBlock": ("text",),
    "Fact": ("title", "value"),
    "AdaptiveCard": ("fallbackText", "speak"),
    "Input.Choice": ("title",),
    "Input.ChoiceSet": ("label", "placeholder", "errorMessage"),
    "Input.Text": ("label", "placeholder", "errorMessage"),
    "Action.Execute": ("title", "tooltip"),
    "Action.ShowCard": ("title", "tooltip"),
    "Action.OpenUrl": ("title", "tooltip"),
}
_NEEDED = {"TextBlock": "text", "TextRun": "text", "Fact": "title", "Input.Choice": "title"}


def _is_drawn(where: str, node: Json, card: tuple[int, int]) -> None:
    kind = node["type"]
    about = _schema()["definitions"][kind]
    assert (_version(about.get("version")) or (1, 0)) <= card, f"{where}: {kind} is newer than the card's version"
    for name in node.keys() & _properties_of(kind).keys():
        newer = _version(_properties_of(kind)[name].get("version"))
        assert not newer or newer <= card, f"{where}: {name} of {kind} is newer than the card's version"
    if kind in _NEEDED:
        text = node.get(_NEEDED[kind])
        assert isinstance(text, str), f"{where}: {kind} has no text"
        assert text if kind == "TextRun" else text.strip(), f"{where}: {kind} is empty"
    _says_nothing_live(where, node)
    _collections_are_filled(where, node)
    if kind.startswith("Action."):
        _can_be_pressed(where, node)
    if kind.startswith("Input."):
        _can_be_filled_in(where, node)
    if kind == "Refresh":
        assert 0 < len(node.get("userIds", ())) <= READERS, f"{where}: Teams refreshes for 1 to {READERS} readers"
        assert "action" in node, f"{where}: a refresh without its action"


def _says_nothing_live(where: str, node: Json) -> None:
    for name in _TEXTS.get(node["type"], ()):
        found = _LIVE.search(str(node.get(name, "")))
        assert not found, f"{where}: {name} of {node['type']} holds live markup: {found and found.group()!r}"
    if node["type"] == "TextRun":
        found = _IN_ANY_TEXT.search(node["text"])
        assert not found, f"{where}: a TextRun holds live markup: {found and found.group()!r}"


def _collections_are_filled(where: str, node: Json) -> None:
    for name in ("items", "facts", "inlines", "actions", "columns"):
        if name in node and node["type"] != "AdaptiveCard":
            assert node[name], f"{where}: {node['type']} has no {name}"
    assert len(node.get("actions", ())) <= ACTIONS, f"{where}: Teams shows {ACTIONS} actions, not {len(node['actions'])}"


def _can_be_pressed(where: str, node: Json) -> None:
    kind = node["type"]
    assert kind != "Action.Submit", f"{where}: Action.Submit arrives as a message; use Action.Execute"
    assert str(node.get("title", "")).strip(), f"{where}: a button without a title"
    if kind == "Action.Execute":
        assert node.get("verb"), f"{where}: Action.Execute without a verb"
        assert isinstance(node.get("data"), Mapping), f"{where}: Action.Execute without data: the Teams SDK answers 500"
    if kind == "Action.OpenUrl":
        assert _OURS.match(str(node.get("url", ""))), f"{where}: a link that is neither https nor to this machine"
    if kind == "Action.ShowCard":
        assert "/card/" not in where, f"{where}: Teams shows no form inside a form"
        assert node["card"].get("actions"), f"{where}: a form that cannot be sent"


def _can_be_filled_in(where: str, node: Json) -> None:
    kind = node["type"]
    if kind == "Input.Choice":
        return
    assert node.get("id"), f"{where}: {kind} without an id"
    assert str(node.get("label", "")).strip(), f"{where}: {kind} without a label"
    if node.get("isRequired"):
        assert str(node.get("errorMessage", "")).strip(), f"{where}: {kind} is required and has no errorMessage"
    if kind == "Input.ChoiceSet":
        values = [choice["value"] for choice in node.get("choices", ())]
        assert values, f"{where}: nothing to choose from"
        assert len(set(values)) == len(values), f"{where}: two choices with one value"
        assert all(value and "," not in value for value in values), f"{where}: a choice's value is empty or holds a comma"


def _ids_are_unique(nodes: list[tuple[str, Json]]) -> None:
    seen: dict[str, str] = {}
    for where, node in nodes:
        if "id" in node:
            assert node["id"] not in seen, f"{where}: the id {node['id']!r} is taken by {seen[node['id']]}"
            seen[node["id"]] = where


def _size_fits(payload: Json) -> None:
    size = len(json.dumps(payload))
    assert size <= ACTIVITY_BYTES, f"{size} bytes; Teams takes {ACTIVITY_BYTES}"


def _version(text: Any) -> tuple[int, int] | None:
    found = re.fullmatch(r"(\d+)\.(\d+)", text) if isinstance(text, str) else None
    return (int(found[1]), int(found[2])) if found else None


# --- walking a card ------------------------------------------------------------------------------------------------------

_IMPLIED = {"facts": "Fact", "choices": "Input.Choice", "inlines": "TextRun", "refresh": "Refresh", "columns": "Column"}
"""What stands in these places needs not name its type."""


def _nodes(node: Json, where: str, implied: str = "") -> Iterator[tuple[str, Json]]:
    """Everything in a card that has a type, with the way to it."""
    whole = {"type": implied, **node} if implied else node
    yield where, whole
    for name, value in whole.items():
        if name in ("data", "msteams"):
            continue
        for n, each in enumerate(value if isinstance(value, list) else [value]):
            there = f"{where}/{name}/{n}" if isinstance(value, list) else f"{where}/{name}"
            if isinstance(each, str) and name == "inlines":
                yield there, {"type": "TextRun", "text": each}
            elif isinstance(each, Mapping):
                yield from _nodes(each, there, _IMPLIED.get(name, ""))
