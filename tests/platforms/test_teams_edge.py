"""The Teams edge over HTTP: what each request is answered with, and that nothing a client sends becomes a 5xx."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as given_with

from bot.cards import say
from bot.chat import Card, Reply
from bot.platforms.teams import BODY_LIMIT
from tests.fakes.teams import TENANT, Answer, Posted, Pressable, pressables
from tests.gates import teams as gate
from tests.platforms.teams_front import ANSWER, NOTED, NUDGE, Bot, bot, bot_on_teams
from tests.platforms.test_teams_read import ACTIVITIES, DATA, EXECUTE

__all__ = ["bot"]


def nudged(bot: Bot) -> Posted:
    """Bea has a nudge before her."""
    bot.teams.send("a:chat-bea", NUDGE, "N1:1")
    return bot.fake.chat_of("bea")[-1]


def button(posted: Posted, label: str) -> Pressable:
    return next(each for each in pressables(posted.card) if each.label == label)


def act(bot: Bot, kind: str = "invoke", **what: Any) -> Answer:
    return bot.fake.deliver(bot.fake._activity(bot.fake.members["29:bea"], type=kind, **what))


# --- messages ----------------------------------------------------------------------------------------------------------------


def test_a_message_is_kept_before_teams_is_told(bot: Bot) -> None:
    """Lost: a question that was never stored is acknowledged, and nobody answers it."""
    assert bot.fake.say("bea", "How do I post an ERA?").status == 202
    assert (bot.front.heard[-1].act, bot.front.heard[-1].text) == ("ask", "How do I post an ERA?")
    bot.front.is_down = True
    assert bot.fake.say("bea", "again").status == 503


def test_adding_the_bot_tells_where_its_person_can_be_written_to(bot: Bot) -> None:
    """Lost: nudges reach only those who spoke first."""
    joined = bot.front.heard[-1]
    assert (joined.act, joined.account, joined.place.channel) == ("joined", "aad-bea", "a:chat-bea")
    assert joined.details["service_url"] == bot.fake.service_url
    assert bot.fake.uninstall("bea").status == 202
    assert (bot.front.heard[-1].act, bot.front.heard[-1].details["why"]) == ("left", "uninstalled")


def test_an_edit_is_not_a_second_question(bot: Bot) -> None:
    """Lost: whoever corrects a typing error gets two answers."""
    said = bot.fake.say("bea", "How?")
    before = len(bot.front.heard)
    assert bot.fake.edit("bea", said, "How do I?").status == 200
    assert len(bot.front.heard) == before


# --- presses -----------------------------------------------------------------------------------------------------------------


def test_the_answer_to_a_press_is_the_card_in_its_place(bot: Bot) -> None:
    """Lost: Teams says that something went wrong, although it did not."""
    posted = nudged(bot)
    answer = bot.fake.press("bea", posted, button(posted, "Done"))
    assert answer.status == 200
    gate.check_answer(answer.body)
    assert "Noted" in json.dumps(bot.fake.seen("bea", posted))
    pressed = bot.front.answered[-1]
    assert (pressed.verb, pressed.target, pressed.place.message) == ("done", "N1", posted.id)


def test_a_replayed_press_has_the_same_key(bot: Bot) -> None:
    """Lost: Teams invokes again under another id, and one click acts twice."""
    posted = nudged(bot)
    bot.fake.replay(bot.fake.press("bea", posted, button(posted, "Done")))
    one, two = bot.front.answered
    assert one.key == two.key


def test_what_is_wrong_with_a_note_is_said_and_nothing_is_pressed(bot: Bot) -> None:
    """Lost: a reason that cannot be taken is taken, or the form is gone with all that was typed."""
    posted = nudged(bot)
    bot.front.objects = say("Say why in a few words.")
    answer = bot.fake.press("bea", posted, button(posted, "Can't"), {"choice-2": "other"})
    gate.check_answer(answer.body)
    assert answer.body["value"] == "Say why in a few words."
    assert bot.front.answered == []


def test_a_refusal_is_a_card_with_its_sentence(bot: Bot) -> None:
    """Lost: whoever may not press is told nothing, and Teams presses again by itself."""
    posted = nudged(bot)
    bot.front.reply = Reply(Card("reply", say("Not yours"), say("This one is for the front desk.")))
    answer = bot.fake.press("bea", posted, button(posted, "Done"))
    gate.check_answer(answer.body)
    assert "front desk" in json.dumps(answer.body)


def test_an_answer_is_never_empty(bot: Bot) -> None:
    """Lost: Teams takes an empty answer for a failure and sends the press again."""
    posted = nudged(bot)
    bot.front.reply = Reply(None, took=True)
    gate.check_answer(bot.fake.press("bea", posted, button(posted, "Done")).body)
    stale = Pressable("", "", {**EXECUTE, "data": {**DATA, "v": 0}})
    answer = bot.fake.press("bea", posted, stale)
    gate.check_answer(answer.body)
    assert "older message" in answer.body["value"]


def test_a_press_that_cannot_be_kept_fails_before_its_presser(bot: Bot) -> None:
    """Lost: "Done" is shown for what nobody stored."""
    posted = nudged(bot)
    bot.front.is_down = True
    answer = bot.fake.press("bea", posted, button(posted, "Done"))
    assert (answer.status, answer.body["statusCode"], answer.body["type"]) == (503, 503, "application/vnd.microsoft.error")
    assert "try again" in answer.body["value"]["message"]


def test_a_refresh_is_looked_at_and_sends_nothing(bot: Bot) -> None:
    """Lost: opening a chat presses its buttons, or each refresh posts a message that is refreshed again."""
    posted = nudged(bot)
    bot.front.reply = Reply(NUDGE)
    count = len(bot.fake.posted)
    answer = bot.fake.refresh("bea", posted)
    assert answer
    gate.check_answer(answer.body)
    assert [heard.verb for heard in bot.front.looked] == ["refresh"]
    assert (bot.front.answered, len(bot.fake.posted)) == ([], count)
    bot.front.reply = Reply(None)
    gone = bot.fake.refresh("bea", posted)
    assert gone
    gate.check_answer(gone.body)


def test_what_we_do_not_offer_is_no_fault_of_ours(bot: Bot) -> None:
    """Lost: an invoke of another feature is taken for a failure of ours, or for a success."""
    assert act(bot, name="made/up", value={}).status == 400
    nobody: dict[str, Any] = {"from": {}, "name": "adaptiveCard/action", "value": {"action": EXECUTE}}
    assert act(bot, **nobody).status == 400


# --- message extension -------------------------------------------------------------------------------------------------------


def test_a_search_shows_the_answer_without_buttons(bot: Bot) -> None:
    """Lost: the search is empty, or a card that is sent on holds buttons for everybody."""
    bot.front.reply = Reply(ANSWER)
    answer = bot.fake.search("bea", "post an ERA")
    result = answer.body["composeExtension"]
    assert (answer.status, result["type"]) == (200, "result")
    assert "Posting an ERA" in result["attachments"][0]["preview"]["content"]["title"]
    assert pressables(result["attachments"][0]["content"]) == []
    assert (bot.front.looked[-1].text, bot.front.looked[-1].place.surface) == ("post an ERA", "command")


def test_a_search_without_words_or_answer_says_so(bot: Bot) -> None:
    """Lost: an empty list, from which nobody learns what to do."""
    assert bot.fake.search("bea", "").body["composeExtension"]["type"] == "message"
    assert bot.front.looked == []
    bot.front.reply = Reply(Card("refusal", say("Not in our SOPs"), say("Ask whoever owns them.")))
    assert "Not in our SOPs" in bot.fake.search("bea", "lunch").body["composeExtension"]["text"]


def test_a_message_is_asked_about_for_the_asker_alone(bot: Bot) -> None:
    """Lost: the answer to a private question appears below somebody else's message."""
    bot.front.reply = Reply(ANSWER)
    count = len(bot.fake.posted)
    answer = bot.fake.about_message("bea", "<p>How do I post an <b>ERA</b>?</p>")
    assert answer.body["task"]["type"] == "continue"
    assert "Open the ERA" in json.dumps(answer.body)
    assert (bot.front.answered[-1].text, len(bot.fake.posted)) == ("How do I post an ERA?", count)


# --- any request at all ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "what, status, way",
    [
        ({"type": "invoke", "name": "adaptiveCard/action", "value": {"action": EXECUTE, "trigger": "automatic"}}, 200, "look"),
        ({"type": "invoke", "name": "adaptiveCard/action", "value": {"action": {**EXECUTE, "id": None}}}, 200, "answer"),
        ({"type": "invoke", "name": "adaptiveCard/action", "value": {"action": {**EXECUTE, "data": None}}}, 200, ""),
        ({"type": "invoke", "name": "adaptiveCard/action", "value": {"action": {"data": {}}}}, 200, ""),
        ({"type": "invoke", "name": "made/up", "value": {}}, 400, ""),
        ({"type": "madeUp"}, 200, ""),
        ({"type": "message"}, 202, "hear"),
        ({"type": "installationUpdate", "action": "add-upgrade"}, 202, "hear"),
        ({"type": "messageReaction", "reactionsAdded": [{"type": "like"}]}, 200, ""),
        ({"type": "message", "text": "x", "conversation": None}, 200, ""),
    ],
)
def test_what_the_sdk_answers_with_500_is_answered(bot: Bot, what: dict[str, Any], status: int, way: str) -> None:
    """Lost: payloads that real clients send trip the backoff in which Teams keeps the bot silent for hours."""
    bot.front.heard.clear()
    activity = {**bot.fake._activity(bot.fake.members["29:bea"]), **what}
    assert bot.fake.deliver(activity).status == status
    done = {"hear": bot.front.heard, "answer": bot.front.answered, "look": bot.front.looked}
    assert [name for name, acts in done.items() if acts] == ([way] if way else [])


@pytest.mark.parametrize(
    "body, status",
    [
        (b"", 400),
        (b"not json", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'"\\ud800"', 400),
        (b"\xff\xfe{}", 400),
        (b"[" * 100_000, 400),
        (b'{"n":' + b"1" * 5000 + b"}", 400),
        (b"{}", 401),
        (b" " * (BODY_LIMIT + 1), 413),
    ],
)
def test_a_body_that_is_no_activity_is_the_senders_fault(bot: Bot, body: bytes, status: int) -> None:
    """Lost: a few bytes make a 5xx, or fill the memory."""
    headers = {"authorization": f"Bearer {bot.fake.token()}", "content-type": "application/json"}
    assert bot.fake.deliver_raw(body, headers).status == status


@pytest.fixture(scope="module")
def shared() -> Iterator[Bot]:
    with bot_on_teams() as bot:
        yield bot


@given(activity=ACTIVITIES)
@given_with(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_no_signed_json_makes_a_5xx(shared: Bot, activity: dict[str, Any]) -> None:
    """Lost: what one odd client sends silences the bot for everybody."""
    placed = {**activity, "serviceUrl": shared.fake.service_url, "channelData": {"tenant": {"id": TENANT}}}
    placed["conversation"] = {"id": "a:chat-bea", "tenantId": TENANT}
    answer = shared.fake.deliver(placed)
    assert answer.status in (200, 202, 400, 401)


def test_the_replies_of_this_file_are_what_teams_takes() -> None:
    """Lost: the cards these tests use would not be cards."""
    assert {card.kind for card in (NOTED, NUDGE, ANSWER)} == {"reply", "nudge", "answer"}
