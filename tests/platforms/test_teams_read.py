"""What Teams clients send, read without the SDK: real activities, odd ones, and any JSON at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as given_with
from hypothesis import strategies as st

from bot import cards
from bot.chat import Heard, heard_from_json
from bot.platforms.teams.read import Invoke, read

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
BOT = "28:app"
TENANT = "00000000-cccc-4ccc-8ccc-0000000000d0"
SERVICE = "https://smba.trafficmanager.net/emea/"
BASE: dict[str, Any] = {
    "type": "message",
    "id": "1700000000001",
    "channelId": "msteams",
    "serviceUrl": SERVICE,
    "from": {"id": "29:1bea", "name": "Bea", "aadObjectId": "aad-bea"},
    "recipient": {"id": BOT, "name": "Holdfast"},
    "conversation": {"id": "a:bea", "conversationType": "personal", "tenantId": TENANT},
    "channelData": {"tenant": {"id": TENANT}},
}
CHANNEL: dict[str, Any] = {
    "conversation": {
        "id": "19:billing@thread.tacv2;messageid=1699", "conversationType": "channel", "isGroup": True, "tenantId": TENANT,
    },
    "entities": [{"type": "mention", "text": "<at>Holdfast</at>", "mentioned": {"id": BOT}}],
}  # fmt: skip
DATA = {"v": 1, "target": "N1", "nonce": "0a1b2c3d", "needs": "", "n": 1}
EXECUTE = {"type": "Action.Execute", "verb": "done", "data": DATA}


def of(**change: Any) -> Heard | Invoke | None:
    return read({**BASE, **change}, NOW, cards.form)


def heard(**change: Any) -> Heard:
    found = of(**change)
    assert isinstance(found, Heard)
    return found


def invoke(value: Any, name: str = "adaptiveCard/action", **change: Any) -> Invoke:
    found = of(type="invoke", name=name, value=value, **change)
    assert isinstance(found, Invoke)
    return found


def pressed(value: Any, **change: Any) -> Heard:
    found = invoke(value, **change)
    assert found.way == "press"
    assert found.heard
    return found.heard


# --- messages ----------------------------------------------------------------------------------------------------------------


def test_a_message_in_ones_own_chat_is_a_question_that_can_be_answered() -> None:
    """Lost: the answer has no way back, or goes to somebody else."""
    found = heard(text="How do I post an ERA?")
    assert (found.act, found.text, found.account) == ("ask", "How do I post an ERA?", "aad-bea")
    assert (found.place.channel, found.place.surface, found.place.team) == ("a:bea", "dm", TENANT)
    assert found.key == "teams:a:bea:1700000000001"
    assert found.details == {
        "service_url": SERVICE, "bot": BOT, "conversation": "a:bea", "tenant": TENANT, "user": "29:1bea", "scope": "personal",
    }  # fmt: skip


def test_the_same_message_again_is_the_same_act() -> None:
    """Lost: Teams delivers a message twice when we are slow, and it is answered twice."""
    assert heard(text="hi").key == heard(text="hi").key
    nameless = {"id": None, "timestamp": "2026-03-02T15:00:00Z"}
    assert heard(text="hi", **nameless).key == heard(text="hi", **nameless).key
    assert heard(text="hi", **nameless).key != heard(text="ho", **nameless).key


@pytest.mark.parametrize(
    "text, change, said",
    [
        ("<at>Holdfast</at> how?", {}, "how?"),
        ("<at>Holdfast</at>&nbsp;how &amp; when?", {}, "how & when?"),
        ("ask <at>Holdfast</at> or <at>Cleo</at>", {}, "ask   or Cleo"),
        ("<at>Holdfast</at> how?", {"entities": []}, "how?"),
        ("<at>Holdfast</at> how?", {"entities": "none"}, "how?"),
        ('<at id="0">Holdfast</at> how?', {"entities": None}, "how?"),
        ("<at>Holdfast</at>", {}, ""),
    ],
)
def test_a_mention_in_a_channel_is_taken_off_the_question(text: str, change: dict[str, Any], said: str) -> None:
    """Lost: the bot's own name is searched for in the SOPs."""
    found = heard(text=text, **{**CHANNEL, **change})
    assert (found.text, found.place.surface) == (said, "channel")
    assert (found.place.channel, found.place.thread) == ("19:billing@thread.tacv2", "1699")
    assert found.details["conversation"] == "19:billing@thread.tacv2;messageid=1699"
    assert found.details["scope"] == "group"


def test_a_channel_message_that_mentions_somebody_else_is_not_ours() -> None:
    """Lost: with the right to read a channel the bot would answer everything that is said there."""
    other = [{"type": "mention", "text": "<at>Cleo</at>", "mentioned": {"id": "29:1cleo"}}]
    assert of(text="<at>Cleo</at> lunch?", **{**CHANNEL, "entities": other}) is None
    assert of(text="lunch?", **{**CHANNEL, "entities": []}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"type": "messageUpdate", "text": "x", "channelData": {"eventType": "editMessage"}},
        {"type": "messageDelete", "channelData": {"eventType": "softDeleteMessage"}},
        {"type": "messageReaction", "reactionsAdded": [{"type": "like"}]},
        {"type": "typing"},
        {"type": "madeUp"},
        {"type": None},
        {"type": ["message"]},
        {"type": "message", "text": "x", "from": {"id": BOT}},
        {"type": "message", "text": "x", "from": {"id": "28:another-bot"}},
        {"type": "message", "text": "x", "from": {"id": "b", "role": "bot"}},
        {"type": "message", "text": "x", "from": None},
        {"type": "message", "text": "x", "from": {"id": "<not an id>"}},
        {"type": "message", "text": "x", "conversation": None},
        {"type": "message", "text": "x", "conversation": {"id": ["a"]}},
        {"type": "conversationUpdate", "membersAdded": [{"id": "29:1cleo"}]},
        {"type": "conversationUpdate", "topicName": "x"},
        {"type": "installationUpdate", "action": "made-up"},
        {"type": "installationUpdate"},
        {"type": "installationUpdate", "action": "add", **CHANNEL},
        {"type": "conversationUpdate", "membersAdded": [{"id": BOT}], **CHANNEL},
    ],
)
def test_what_is_nothing_for_us_is_nothing(change: dict[str, Any]) -> None:
    """Lost: an edit, a like or another bot's chatter is answered; a team's install makes a channel somebody's own chat."""
    assert of(**change) is None


@pytest.mark.parametrize(
    "change", [{}, {"text": None}, {"text": 7}, {"text": ""}, {"attachments": [{"contentType": "image/png"}]}]
)
def test_a_message_without_words_is_still_heard(change: dict[str, Any]) -> None:
    """Lost: a picture or a card sent to the bot ends in silence."""
    assert heard(**change).text == ""


def test_what_no_database_keeps_is_not_in_the_text() -> None:
    """Lost: half a character or a NUL makes the write fail, and Teams sees a 5xx."""
    assert heard(text="a\x00b\ud800c\nd").text == "abc\nd"


@pytest.mark.parametrize(
    "change, act",
    [
        ({"type": "installationUpdate", "action": "add"}, "joined"),
        ({"type": "installationUpdate", "action": "add-upgrade"}, "joined"),
        ({"type": "conversationUpdate", "membersAdded": [{"id": "29:1bea"}, {"id": BOT}]}, "joined"),
        ({"type": "installationUpdate", "action": "remove"}, "left"),
        ({"type": "installationUpdate", "action": "remove-upgrade"}, "left"),
        ({"type": "conversationUpdate", "membersRemoved": [{"id": BOT}]}, "left"),
    ],
)
def test_coming_and_going_is_told(change: dict[str, Any], act: str) -> None:
    """Lost: nobody can be written to before they speak first, or a leaver's nudges end nowhere."""
    found = heard(**change)
    assert (found.act, found.details["conversation"]) == (act, "a:bea")
    assert found.details.get("why", "") == ("uninstalled" if act == "left" else "")


# --- presses -----------------------------------------------------------------------------------------------------------------


def test_a_press_is_known_by_the_drawn_button_and_not_by_the_activity() -> None:
    """Lost: Teams repeats an invoke under a new activity id, and one press acts twice."""
    one = pressed({"action": EXECUTE, "trigger": "manual"}, id="1", replyToId="77")
    two = pressed({"action": EXECUTE}, id="2", replyToId="77")
    assert one.key == two.key == "teams:aad-bea:0a1b2c3d:done:N1"
    assert (one.act, one.verb, one.target, one.note, one.place.message) == ("press", "done", "N1", "", "77")


@pytest.mark.parametrize(
    "more",
    [{"id": None, "title": "Done"}, {"state": None}, {"trigger": "manual"}, {"trigger": 7}, {"authentication": {"token": "x"}}],
)
def test_odd_but_real_presses_are_presses(more: dict[str, Any]) -> None:
    """Lost: the buttons of one client do nothing, or the SDK's models answer it with 500."""
    assert pressed({"action": {**EXECUTE, **more}, **more}).verb == "done"


def test_a_form_becomes_the_note() -> None:
    """Lost: a reason that was given is not heard."""
    form = {**EXECUTE, "verb": "cant", "data": {**DATA, "needs": "reason", "choice-1": "system-down", "typed-1": "since noon"}}
    assert pressed({"action": form}).note == "system-down since noon"
    data = {**DATA, "needs": "until", "choice-1": "2h"}
    assert pressed({"action": {**EXECUTE, "verb": "snooze", "data": {**data, "typed-1": ""}}}).note == "2h"
    assert (
        pressed({"action": {**EXECUTE, "verb": "snooze", "data": {**data, "typed-1": "friday 14:00"}}}).note == "friday 14:00"
    )


def test_what_nobody_pressed_does_nothing() -> None:
    """Lost: opening a chat is enough to say "Done"."""
    assert invoke({"action": EXECUTE, "trigger": "automatic"}).way == "refresh"
    assert invoke({"action": {**EXECUTE, "verb": "refresh"}, "trigger": "manual"}).way == "refresh"


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "x",
        {},
        {"action": None},
        {"action": {"type": "Action.Execute", "verb": "done"}},
        {"action": {"type": "Action.Execute", "verb": "done", "data": None}},
        {"action": {"type": "Action.Execute", "data": DATA}},
        {"action": {**EXECUTE, "data": {**DATA, "v": 0}}},
        {"action": {**EXECUTE, "data": {**DATA, "target": "a b"}}},
        {"action": {**EXECUTE, "data": {"nudge": 7}}},
    ],
)
def test_a_button_of_another_time_is_stale(value: Any) -> None:
    """Lost: the buttons of last year's messages end in an error instead of a sentence."""
    assert invoke(value).way == "stale"


def test_a_submitted_card_is_a_press_too() -> None:
    """Lost: where a client sends what was pressed as a message, it is taken for an empty question."""
    found = heard(value={"verb": "done", **DATA}, text=None)
    assert (found.act, found.verb, found.key) == ("press", "done", "teams:aad-bea:0a1b2c3d:done:N1")


# --- message extension -------------------------------------------------------------------------------------------------------


def test_a_search_is_a_question_at_a_command() -> None:
    """Lost: the search box finds nothing, or makes another chat the person's own."""
    value = {"commandId": "sop", "parameters": [{"name": "query", "value": " post an ERA "}], "queryOptions": {"count": 25}}
    found = invoke(value, "composeExtension/query")
    assert found.way == "search"
    assert found.heard
    assert (found.heard.text, found.heard.place.surface, found.heard.details["scope"]) == ("post an ERA", "command", "command")
    first = invoke({"commandId": "sop", "parameters": [{"name": "initialRun", "value": "true"}]}, "composeExtension/query")
    assert first.heard
    assert first.heard.text == ""


@pytest.mark.parametrize("name", ["composeExtension/fetchTask", "composeExtension/submitAction"])
def test_a_message_is_asked_about_by_its_words(name: str) -> None:
    """Lost: HTML is searched for in the SOPs."""
    content = '<div><p>How do we post&nbsp;an <b>ERA</b>?</p><p>1 &lt; 2</p><![weird[<img src="x"></div>'
    value = {"commandId": "ask", "messagePayload": {"body": {"contentType": "html", "content": content}}}
    found = invoke(value, name)
    assert found.way == "about"
    assert found.heard
    assert found.heard.text.startswith("How do we post an ERA?\n1 < 2")


@pytest.mark.parametrize(
    "name, value",
    [
        ("made/up", {}),
        ("task/fetch", {}),
        ("signin/verifyState", {"state": "1"}),
        (None, None),
        ("composeExtension/query", {"commandId": "made-up"}),
        ("composeExtension/fetchTask", {"commandId": "sop"}),
        ("composeExtension/query", None),
    ],
)
def test_what_we_do_not_offer_is_unknown(name: Any, value: Any) -> None:
    """Lost: an invoke of another feature becomes a question or an error."""
    assert invoke(value, name) == Invoke("unknown")


# --- any JSON ----------------------------------------------------------------------------------------------------------------

FIELDS = [
    "type", "name", "id", "text", "value", "from", "recipient", "conversation", "channelData", "entities", "serviceUrl",
    "action", "membersAdded", "replyToId", "aadObjectId", "tenantId", "tenant", "conversationType", "isGroup", "mentioned",
    "data", "verb", "target", "nonce", "v", "n", "trigger", "commandId", "parameters", "messagePayload", "body", "content",
    "contentType", "role",
]  # fmt: skip
KINDS = ["message", "invoke", "installationUpdate", "conversationUpdate"]
NAMES = ["adaptiveCard/action", "composeExtension/query", "composeExtension/fetchTask"]
WORDS = [
    *KINDS,
    *NAMES,
    BOT,
    "add",
    "sop",
    "ask",
    "mention",
    "personal",
    "done",
    "N1",
    "29:1b",
    "<at>x</at>",
    "<![x[",
    "\ud800",
]
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(WORDS))
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(st.sampled_from(FIELDS), st.text(max_size=5)), inner, max_size=6)
    ),
    max_leaves=25,
)
ACTIVITIES = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=10)
SHAPED = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS)},
    optional={
        "value": JSON,
        "name": st.sampled_from(NAMES),
        "text": JSON,
        "entities": JSON,
        "conversation": JSON,
        "id": JSON,
    },
)


@given(st.one_of(ACTIVITIES, SHAPED.map(lambda change: {**BASE, **change})))
@given_with(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_json_is_too_odd(activity: dict[str, Any]) -> None:
    """Lost: one client's odd payload is answered with 5xx, and after some of them Teams falls silent for hours."""
    found = read(activity, NOW, cards.form)
    told = found.heard if isinstance(found, Invoke) else found
    if told is not None:
        kept = heard_from_json(json.loads(json.dumps(told.as_json())))
        assert kept == told
        json.dumps(told.as_json(), ensure_ascii=False).encode()
