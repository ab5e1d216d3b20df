"""Slack's payloads, and what each of them means; whatever else comes means nothing and raises nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.cards import say
from bot.chat import Attached, Button, Heard, Place
from bot.platforms.slack.blocks import button_value, form
from bot.platforms.slack.read import FormSent, FormWanted, carried, plain, read
from tests.platforms.slack_rig import Ears, event

NOW = datetime(2026, 2, 26, 17, tzinfo=UTC)
URL = "https://hooks.slack.com/actions/T01/1/x"
DONE = button_value(Button("done", "N7", say("Done")), "a1b2c3d4")
SNOOZE = button_value(Button("snooze", "N7", say("Snooze"), needs="until"), "a1b2c3d4")


def message(**more: Any) -> dict[str, Any]:
    plain = {"type": "message", "user": "U01", "channel": "D01", "channel_type": "im", "ts": "17.1", "text": "how do I refund?"}
    return event({**plain, **more})


def pressed(action: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "block_actions", "team": {"id": "T01"}, "user": {"id": "U01"}, "trigger_id": "1.2.x", "response_url": URL,
        "container": {"type": "message", "message_ts": "17.5", "channel_id": "C01", "is_ephemeral": False},
        "channel": {"id": "C01", "name": "x"}, "message": {"ts": "17.5", "thread_ts": "17.0"},
        "actions": [dict(action)], **more,
    }  # fmt: skip


def in_channel(**more: Any) -> dict[str, Any]:
    return message(**{"channel": "C01", "channel_type": "channel", "thread_ts": "17.0", **more})


def command(name: str, text: str) -> dict[str, Any]:
    return {
        "command": name, "text": text, "team_id": "T01", "user_id": "U01", "channel_id": "C01", "trigger_id": "9.9.z",
        "response_url": URL,
    }  # fmt: skip


ABOUT = {
    "type": "message_action", "callback_id": "ask_about", "team": {"id": "T01"}, "user": {"id": "U01"}, "trigger_id": "8.8.y",
    "channel": {"id": "C01"}, "message": {"ts": "17.7", "user": "U02", "text": "is this &lt;ok&gt;?"}, "response_url": URL,
}  # fmt: skip
PANE = {"user_id": "U01", "channel_id": "D01", "thread_ts": "17.0", "context": {}}


def heard(act: Any, **more: Any) -> Heard:
    place: dict[str, Any] = {
        name: more.pop(name) for name in ("team", "channel", "thread", "message", "surface") if name in more
    }
    plain: dict[str, Any] = {"key": "slack:Ev001", "account": "U01", "at": NOW}
    where: dict[str, Any] = {"platform": "slack", "team": "T01", "channel": "", **place}
    return Heard(act=act, place=Place(**where), **{**plain, **more})


MEANT: dict[str, tuple[dict[str, Any], Heard]] = {
    "a question in a DM": (
        message(), heard("ask", channel="D01", message="17.1", text="how do I refund?"),
    ),
    "a question in the pane": (
        message(thread_ts="17.0"),
        heard("ask", channel="D01", message="17.1", thread="17.0", surface="pane", text="how do I refund?"),
    ),
    "a file with a question": (
        message(subtype="file_share"), heard("ask", channel="D01", message="17.1", text="how do I refund?"),
    ),
    "files without a word": (
        message(subtype="file_share", text="", files=[
            {"id": "F01", "name": "Opening.docx", "size": 900, "url_private_download": "https://files.slack.com/x"},
            {"id": "F02", "mode": "tombstone"}, {"id": "no id!"}, {"id": "F03", "name": 7, "size": -1}, "F04",
        ]),
        heard("ask", channel="D01", message="17.1", files=(Attached("Opening.docx", "F01", size=900), Attached("", "F03"))),
    ),
    "a mention": (
        event({"type": "app_mention", "user": "U01", "channel": "C01", "ts": "17.1", "text": "<@U0BOT> how do I refund?"}),
        heard("ask", channel="C01", message="17.1", surface="channel", text="how do I refund?"),
    ),
    "a mention in a thread": (
        event({"type": "app_mention", "user": "U01", "channel": "C01", "ts": "17.1", "thread_ts": "16.0",
               "text": "<@U0BOT|hf>, and?"}),
        heard("ask", channel="C01", message="17.1", thread="16.0", surface="channel", text="and?"),
    ),
    "a follow-up in a thread": (
        in_channel(),
        heard("ask", channel="C01", message="17.1", thread="17.0", surface="channel", text="how do I refund?",
              details={"follow_up": "1"}),
    ),
    "the home page": (
        event({"type": "app_home_opened", "user": "U01", "channel": "D01", "tab": "home"}), heard("home", surface="home"),
    ),
    "a fresh pane": (
        event({"type": "assistant_thread_started", "assistant_thread": PANE}),
        heard("hello", channel="D01", thread="17.0", surface="pane"),
    ),
    "the app removed": (
        event({"type": "app_uninstalled"}), heard("left", account="", details={"why": "uninstalled"}),
    ),
    "its token revoked": (
        event({"type": "tokens_revoked", "tokens": {"oauth": [], "bot": ["U0BOT"]}}),
        heard("left", account="", details={"why": "uninstalled"}),
    ),
    "somebody deactivated": (
        event({"type": "user_change", "user": {"id": "U07", "deleted": True}}),
        heard("left", account="U07", details={"why": "deactivated"}),
    ),
    "/sop": (
        command("/sop", "what is a payload?"),
        heard("ask", key="slack:9.9.z", channel="C01", surface="command", text="what is a payload?",
              details={"response_url": URL}),
    ),
    "/sop with nothing": (
        command("/sop", "  "),
        heard("ask", key="slack:9.9.z", channel="C01", surface="command", text="help", details={"response_url": URL}),
    ),
    "/myday": (
        command("/myday", "please"),
        heard("ask", key="slack:9.9.z", channel="C01", surface="command", text="my day", details={"response_url": URL}),
    ),
    "/standup": (
        command("/standup", ""),
        heard("ask", key="slack:9.9.z", channel="C01", surface="command", text="standup", details={"response_url": URL}),
    ),
    "/holdfast page": (
        command("/holdfast", "page"),
        heard("ask", key="slack:9.9.z", channel="C01", surface="command", text="page", details={"response_url": URL}),
    ),
    "the message shortcut": (
        ABOUT,
        heard("ask", key="slack:8.8.y", channel="C01", message="17.7", surface="command", text="is this <ok>?",
              details={"response_url": URL}),
    ),
    "a button": (
        pressed({"type": "button", "action_id": "hf:0:done", "value": DONE, "action_ts": "18.0"}),
        heard("press", key="slack:U01:a1b2c3d4:done:N7", channel="C01", thread="17.0", message="17.5", surface="channel",
              verb="done", target="N7", details={"response_url": URL, "pressed_at": "18.0"}),
    ),
    "a feedback button": (
        pressed({"type": "feedback_buttons", "action_id": "hf:0:feedback", "value": DONE}),
        heard("press", key="slack:U01:a1b2c3d4:done:N7", channel="C01", thread="17.0", message="17.5", surface="channel",
              verb="done", target="N7", details={"response_url": URL}),
    ),
    "a button of an ephemeral card": (
        pressed({"value": DONE}, container={"message_ts": "17.5", "channel_id": "D01", "is_ephemeral": True}, message={}),
        heard("press", key="slack:U01:a1b2c3d4:done:N7", channel="D01", message="17.5", verb="done", target="N7",
              details={"response_url": URL, "ephemeral": "1"}),
    ),
    "a button of the home page": (
        pressed({"value": DONE}, container={"type": "view", "view_id": "V1"}, channel=None, message=None, response_url=None),
        heard("press", key="slack:U01:a1b2c3d4:done:N7", surface="home", verb="done", target="N7"),
    ),
    "a button of an old version": (
        pressed({"type": "button", "action_id": "ack", "value": "1", "action_ts": "18.0"}),
        heard("press", key="slack:U01:stale:18.0", channel="C01", thread="17.0", message="17.5", surface="channel",
              verb="stale", details={"response_url": URL}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MEANT)
def test_a_payload_is_read_for_what_it_means(name: str) -> None:
    """Lost: something that people do in Slack is taken for something else, or answered in the wrong place."""
    payload, expected = MEANT[name]
    assert read(payload, NOW) == expected


NOTHING: dict[str, Any] = {
    "our own message": message(bot_id="B01"),
    "another bot's message": message(subtype="bot_message", bot_id="B02"),
    "an edited question": message(subtype="message_changed", message={"text": "x"}, hidden=True),
    "a deleted question": message(subtype="message_deleted", hidden=True),
    "a message of Slackbot": message(user="USLACKBOT"),
    "a message of nobody": message(user=None),
    "a message in a channel": in_channel(thread_ts=None),
    "the first of a thread": in_channel(thread_ts="17.1"),
    "a reply that mentions us comes twice": in_channel(text="so <@U0BOT>?"),
    "a reply to somebody else": in_channel(text="<@U05> is that so?"),
    "the messages tab": event({"type": "app_home_opened", "user": "U01", "tab": "messages"}),
    "the pane's context": event({"type": "assistant_thread_context_changed", "assistant_thread": PANE}),
    "somebody renamed": event({"type": "user_change", "user": {"id": "U07", "deleted": False}}),
    "another's token revoked": event({"type": "tokens_revoked", "tokens": {"oauth": ["U01"], "bot": []}}),
    "an event nobody asked for": event({"type": "reaction_added", "user": "U01"}),
    "an event without an id": {**message(), "event_id": None},
    "a command of another app": command("/giphy", "cat"),
    "another shortcut": {**ABOUT, "callback_id": "other"},
    "a link button": pressed({"type": "button", "action_id": "hf:3:open"}),
    "a press without an action": {**pressed({}), "actions": []},
    "a form closed": {"type": "view_closed", "user": {"id": "U01"}, "view": {}},
    "no object": [1, 2],
    "nothing": None,
}


@pytest.mark.parametrize("name", NOTHING)
def test_what_is_not_meant_for_us_means_nothing(name: str) -> None:
    """Lost: the bot answers itself, answers an edit, or breaks into a conversation between others."""
    assert read(NOTHING[name], NOW) is None


def test_a_button_that_needs_more_wants_its_form_and_a_form_brings_the_press_back() -> None:
    """Lost: what was typed into a form belongs to no nudge, or to somebody else's."""
    wanted = read(pressed({"value": SNOOZE}), NOW)
    assert isinstance(wanted, FormWanted) and wanted.trigger == "1.2.x"
    asked = Ears().form("snooze", "slack")
    assert asked is not None
    view = form(asked, carried(wanted.press))
    values = {"choice": {"choice": {"selected_option": None}}, "typed": {"typed": {"value": "tomorrow 9:00"}}}
    sent = {
        "type": "view_submission",
        "team": {"id": "T01"},
        "user": {"id": "U01"},
        "view": {**view, "state": {"values": values}},
    }
    back = read(sent, NOW)
    assert back == FormSent(wanted.press, "", "tomorrow 9:00", ("choice", "typed"))
    assert read({**sent, "user": {"id": "U02"}}, NOW) is None


def test_a_form_of_an_old_version_is_a_stale_press() -> None:
    """Lost: whoever had a form open during an upgrade sends it and hears nothing."""
    sent = {
        "type": "view_submission",
        "team": {"id": "T01"},
        "user": {"id": "U01"},
        "view": {"id": "V01", "private_metadata": "1"},
    }
    back = read(sent, NOW)
    assert isinstance(back, Heard) and (back.verb, back.key) == ("stale", "slack:U01:stale:V01")


@pytest.mark.parametrize(
    "raw, words",
    [
        ("see <https://a.example/x|the page>", "see the page"),
        ("<https://a.example/x>", "https://a.example/x"),
        ("<mailto:a@b.example|a@b.example> &amp; co", "a@b.example & co"),
        ("in <#C01|front-desk> ask <@U05>", "in #front-desk ask @U05"),
        ("<!here> &lt;b&gt; &amp;lt;", "@here <b> &lt;"),
        ("a < b", "a < b"),
    ],
)
def test_slacks_markup_becomes_words(raw: str, words: str) -> None:
    """Lost: the search looks for angle brackets, and the redaction for names inside of markup."""
    assert plain(raw) == words


def test_text_that_no_database_takes_is_mended_and_ids_are_ids() -> None:
    """Lost: one message with a NUL or half an emoji is refused by the database for ever, and with it all that came at once."""
    found = read(message(text="a\x00b\ud83d"), NOW)
    assert isinstance(found, Heard) and found.text == "ab?"
    assert read(message(user="U01\n"), NOW) is None
    assert read(message(channel="D" * 500), NOW) is None


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["U01", "D01", "im", DONE]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
SHAPES = [*(payload for payload, _ in MEANT.values()), *(each for each in NOTHING.values() if isinstance(each, dict))]


@given(shape=st.sampled_from(SHAPES), junk=JUNK, pick=st.randoms(use_true_random=False))
def test_no_payload_raises_however_broken_its_parts(shape: dict[str, Any], junk: Any, pick: Any) -> None:
    """Lost: one odd payload is answered with a fault of ours, and Slack delivers it again and again."""
    broken = json.loads(json.dumps(shape))
    inside = broken
    for _ in range(pick.randint(0, 3)):
        deeper = [value for value in inside.values() if isinstance(value, dict) and value]
        inside = pick.choice(deeper) if deeper else inside
    inside[pick.choice(list(inside))] = junk
    read(broken, NOW)
    read(junk, NOW)
