"""What a Slack payload must pass before a test lets it leave: the SDK's own models, and everything that they let through.

The models drop unknown properties, parse an unknown block to nothing, and know neither empty text, nor where mrkdwn is refused,
nor two equal ids, nor how many blocks there may be. Beyond Slack's rules it holds ours: addresses are never turned into links,
and no text holds a token that is not ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

MESSAGE_BLOCKS, VIEW_BLOCKS, MESSAGE_JSON, TEXT = 50, 100, 13_200, 4000
METADATA_JSON, PRIVATE_METADATA, CALLBACK_ID, VALUE, OPTION_VALUE = 16_000, 3000, 255, 2000, 150
UNFURLS = ("unfurl_links", "unfurl_media")

Json = Mapping[str, Any]
PLAIN = {
    ("header", "text"): 150, ("button", "text"): 75, ("option", "text"): 75, ("option", "description"): 75,
    ("option_group", "label"): 75, ("thumb", "text"): 75, ("input", "label"): 2000, ("input", "hint"): 2000,
    ("modal", "title"): 24, ("modal", "submit"): 24, ("modal", "close"): 24,
    ("static_select", "placeholder"): 150, ("plain_text_input", "placeholder"): 150, ("datepicker", "placeholder"): 150,
}  # fmt: skip
"""Where Slack takes plain_text only, and how much of it."""
COUNTS = {
    ("section", "fields"): 10, ("actions", "elements"): 25, ("context", "elements"): 10, ("context_actions", "elements"): 5,
    ("static_select", "options"): 100, ("static_select", "option_groups"): 100, ("option_group", "options"): 100,
    ("overflow", "options"): 5,
}  # fmt: skip
"""How many there may be, where there must be one."""
NEEDED: dict[str, tuple[str, ...]] = {
    "header": ("text",), "actions": ("elements",), "context": ("elements",), "context_actions": ("elements",),
    "input": ("label", "element"), "button": ("action_id", "text"), "static_select": ("action_id",),
    "feedback_buttons": ("action_id", "positive_button", "negative_button"), "plain_text_input": ("action_id",),
    "option": ("text", "value"), "thumb": ("text", "value"), "option_group": ("label", "options"),
}  # fmt: skip
MESSAGES_ONLY = {"context_actions", "markdown", "plan", "task_card", "file"}
VIEW_KEYS = {"type", "callback_id", "private_metadata", "blocks", "external_id"}
MODAL_KEYS = VIEW_KEYS | {"title", "submit", "close", "clear_on_close", "notify_on_close"}
TYPELESS = {"options": "option", "option_groups": "option_group", "positive_button": "thumb", "negative_button": "thumb"}


def check_message(payload: Json) -> None:
    """A body for chat.postMessage, chat.update, chat.postEphemeral or a response address.

    raises AssertionError   Slack would refuse it, draw it wrong, or take a part of its text for a token; says where
    """
    text, blocks = payload.get("text"), _read(payload.get("blocks") or [])
    assert isinstance(text, str) and text.strip(), "text: nothing for a notification and a screen reader"
    assert size(text) <= TEXT, f"text: {size(text)} characters, more than {TEXT}"
    _has_no_token(text, "text")
    assert isinstance(blocks, list), "blocks: no list"
    assert len(blocks) <= MESSAGE_BLOCKS, f"blocks: {len(blocks)}, more than {MESSAGE_BLOCKS}"
    weight = size(json.dumps(blocks, ensure_ascii=False))
    assert weight <= MESSAGE_JSON, f"blocks: {weight} characters, more than {MESSAGE_JSON}"
    assert not payload.get("attachments"), "attachments: not ours to use"
    is_post = "channel" in payload and not {"ts", "user"} & payload.keys()
    for flag in UNFURLS:
        wrong = payload.get(flag, None if is_post else False) not in (False, "false", "0")
        assert not wrong, f"{flag}: must be False, so that no address grows into a preview"
    assert payload.get("parse") in (None, "none"), f"parse: {payload['parse']!r} would make links and mentions of words"
    assert payload.get("link_names") in (None, False, "false", "0"), "link_names: would make mentions of words"
    if payload.get("metadata") is not None:
        _check_metadata(_read(payload["metadata"]))
    _check_blocks(blocks, "message")


def check_view(view: Json) -> None:
    """A modal or a home page. raises AssertionError, saying where Slack would refuse it or draw it wrong"""
    view = _read(view)
    kind = view.get("type")
    assert kind in ("modal", "home"), f"view: its type is {kind!r}"
    unknown = view.keys() - (MODAL_KEYS if kind == "modal" else VIEW_KEYS)
    assert not unknown, f"view: a {kind} has no {sorted(unknown)}"
    blocks = view.get("blocks")
    assert isinstance(blocks, list) and blocks, "view: has no blocks"
    assert len(blocks) <= VIEW_BLOCKS, f"blocks: {len(blocks)}, more than {VIEW_BLOCKS}"
    for key, limit in (("private_metadata", PRIVATE_METADATA), ("callback_id", CALLBACK_ID)):
        value = view.get(key, "")
        assert isinstance(value, str) and size(value) <= limit, f"{key}: no text of at most {limit} characters"
    if kind == "modal":
        has_input = any(block.get("type") == "input" for block in blocks if isinstance(block, Mapping))
        assert "title" in view, "modal: has no title"
        assert "submit" in view or not has_input, "modal: asks for input and has no submit"
        for key in ("title", "submit", "close"):
            _check_text(view.get(key, {"type": "plain_text", "text": "-"}), f"modal.{key}", PLAIN["modal", key])
    try:
        View(**{**view, "blocks": [{"type": "divider"}]}).to_dict()
    except (SlackObjectFormationError, TypeError, KeyError, AttributeError) as error:
        raise AssertionError(f"view: {error}") from error
    _check_blocks(blocks, str(kind))


def size(text: str) -> int:
    """In UTF-16 units."""
    return len(text.encode("utf-16-le")) // 2


def seen(payload: Json | Sequence[Json]) -> str:
    """What a reader sees of blocks, a message or a view, line by line, without formatting."""
    return "\n".join(_shown(text) for text in _texts(payload))


# --- blocks --------------------------------------------------------------------------------------------------------------


def _check_blocks(blocks: Sequence[Any], surface: str) -> None:
    ids: list[str] = []
    for n, block in enumerate(blocks):
        where = f"{surface}.blocks[{n}]"
        assert isinstance(block, Mapping), f"{where}: no object"
        kind = block.get("type")
        assert surface == "message" or kind not in MESSAGES_ONLY, f"{where}: a {kind} stands in messages only"
        assert surface != "message" or kind != "input", f"{where}: an input stands in views only"
        _check_by_models(block, f"{where} ({kind})")
        _check_node(block, str(kind), f"{where} ({kind})")
        ids += [block["block_id"]] if block.get("block_id") else []
        inner = [node["action_id"] for node in _nodes(block) if "action_id" in node]
        assert len(inner) == len(set(inner)), f"{where}: an action_id occurs twice"
    assert len(ids) == len(set(ids)), f"{surface}: a block_id occurs twice"


def _check_by_models(block: Json, where: str) -> None:
    try:
        parsed = Block.parse(dict(block))
        assert parsed is not None, f"{where}: an unknown kind of block"
        kept = parsed.to_dict()  # validates all that is in it
    except (SlackObjectFormationError, TypeError, KeyError, AttributeError, ValueError) as error:
        raise AssertionError(f"{where}: {error}") from error
    _same_keys(block, kept, where)


def _same_keys(raw: object, kept: object, where: str) -> None:
    """What the SDK dropped, Slack does not know, or it is empty."""
    if isinstance(raw, Mapping):
        assert isinstance(kept, Mapping), f"{where}: is unknown"
        lost = raw.keys() - kept.keys()
        assert not lost, f"{where}: {sorted(lost)} is unknown or empty"
        for key, value in raw.items():
            _same_keys(value, kept[key], f"{where}.{key}")
    elif isinstance(raw, list) and isinstance(kept, list):
        assert len(raw) == len(kept), f"{where}: an element is unknown"
        for n, (one, other) in enumerate(zip(raw, kept, strict=True)):
            _same_keys(one, other, f"{where}[{n}]")


def _check_node(node: Json, kind: str, where: str) -> None:
    missing = [key for key in NEEDED.get(kind, ()) if key not in node]
    assert not missing, f"{where}: has no {missing}"
    if kind == "section":
        assert "text" in node or "fields" in node, f"{where}: has neither text nor fields"
    if kind == "button":
        assert node.get("style") in (None, "primary", "danger"), f"{where}: its style is {node['style']!r}"
    if kind == "static_select":
        assert ("options" in node) != ("option_groups" in node), f"{where}: has not one of options and option_groups"
        values = [part["value"] for part in _nodes(node) if "value" in part]
        assert len(values) == len(set(values)), f"{where}: two options mean the same"
    limit = OPTION_VALUE if kind == "option" else VALUE
    value = node.get("value", "-")
    assert isinstance(value, str) and 0 < size(value) <= limit, f"{where}: its value is no text of 1 to {limit} characters"
    for key, part in node.items():
        most = COUNTS.get((kind, key))
        if most:
            least = 2 if kind == "overflow" else 1
            assert isinstance(part, list) and least <= len(part) <= most, f"{where}.{key}: not {least} to {most} of them"
        _check_part(part, kind, key, f"{where}.{key}")


def _check_part(part: object, kind: str, key: str, where: str) -> None:
    if isinstance(part, list):
        for n, one in enumerate(part):
            _check_part(one, kind, key, f"{where}[{n}]")
    elif isinstance(part, Mapping):
        if (kind, key) in PLAIN or part.get("type") in ("plain_text", "mrkdwn"):
            _check_text(part, where, PLAIN.get((kind, key)), 2000 if key == "fields" else 3000)
        else:
            _check_node(part, TYPELESS.get(key, str(part.get("type"))), where)


# --- text ----------------------------------------------------------------------------------------------------------------

_MENTION = re.compile(r"<@[UW][A-Z0-9]{2,20}>")
_QUOTED = re.compile(r"^>(?: |$)", re.MULTILINE)
_BOLD = re.compile(r"(?<![^\s(“])\*([^\s*](?:[^*\n]*[^\s*])?)\*(?![^\s.,;:!?)”])")
_ENTITY = re.compile(r"&(?:amp|lt|gt);")
_FORMATS = re.compile(r"[*_~`]|:[^\s:]+:|^\s*&gt;", re.MULTILINE)  # an escaped > yet opens a quote


def _check_text(node: object, where: str, plain_limit: int | None = None, limit: int = 3000) -> None:
    assert isinstance(node, Mapping), f"{where}: no text object"
    kind, text = node.get("type"), node.get("text")
    assert kind in ("plain_text", "mrkdwn"), f"{where}: its type is {kind!r}"
    assert kind == "plain_text" or plain_limit is None, f"{where}: must be plain_text"
    unknown = node.keys() - {"type", "text", "emoji" if kind == "plain_text" else "verbatim"}
    assert not unknown, f"{where}: {sorted(unknown)} is unknown"
    assert isinstance(text, str) and text.strip(), f"{where}: is empty"
    most = plain_limit or limit
    assert size(text) <= most, f"{where}: {size(text)} characters, more than {most}"
    if kind == "plain_text":
        return
    assert node.get("verbatim") is True, f"{where}: without verbatim, addresses and names would become links"
    _has_no_token(text, where)
    assert not _FORMATS.search(_BOLD.sub(r"\1", text)), f"{where}: holds formatting that is not ours"


def _has_no_token(text: str, where: str) -> None:
    """Nothing but a person's mention, a quote's mark and the three entities: no link, channel, group, date or command."""
    rest = _QUOTED.sub("", _MENTION.sub("", text))
    assert not re.search(r"[<>]", rest), f"{where}: holds a raw < or >"
    assert "&" not in _ENTITY.sub("", rest), f"{where}: holds a raw &"


def _shown(node: Json) -> str:
    text = str(node["text"])
    if node["type"] == "plain_text":
        return text.replace("\u2060", "")
    text = _BOLD.sub(r"\1", _QUOTED.sub("", text))
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


# --- reading -------------------------------------------------------------------------------------------------------------


def _check_metadata(metadata: object) -> None:
    assert isinstance(metadata, Mapping), "metadata: no object"
    assert metadata.keys() == {"event_type", "event_payload"}, "metadata: must hold event_type and event_payload alone"
    kind, payload = metadata["event_type"], metadata["event_payload"]
    assert isinstance(kind, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,255}", kind), "metadata: its event_type is no plain word"
    assert isinstance(payload, Mapping), "metadata: its event_payload is no object"
    assert size(json.dumps(payload)) <= METADATA_JSON, f"metadata: more than {METADATA_JSON} characters"


def _read(value: Any) -> Any:
    """The SDK sends some parts as JSON in a form field."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise AssertionError(f"a part of the payload is no JSON: {error}") from error


def _nodes(node: object) -> Iterator[Json]:
    if isinstance(node, Mapping):
        yield node
        for part in node.values():
            yield from _nodes(part)
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for part in node:
            yield from _nodes(part)


def _texts(node: object) -> Iterator[Json]:
    return (part for part in _nodes(node) if part.get("type") in ("plain_text", "mrkdwn") and isinstance(part.get("text"), str))
