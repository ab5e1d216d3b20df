"""What leaves for Teams: one attempt for each call, what its outcome means, and who may see it."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from bot.cards import lines, say
from bot.chat import AmbiguousSend, Card, Heard, Receipt, Reply, SendError
from bot.platforms.teams import connector
from bot.platforms.teams.connector import Lanes, outcome
from bot.platforms.teams.trust import Cloud
from tests.fakes.teams import Went
from tests.platforms.teams_front import ANSWER, NOTED, NUDGE, Bot, StubFront, bot, settings, teams_for

__all__ = ["bot"]

CHAT = "a:chat-bea"
LONG = Card(
    "digest",
    say("Stand-up"),
    lines([say("Line {n} of a stand-up that is far too long for one message.", n=n) for n in range(600)]),
)


def last(bot: Bot) -> Heard:
    return bot.front.heard[-1]


# --- the outbox --------------------------------------------------------------------------------------------------------------


def test_a_card_is_one_message_that_can_be_edited_where_it_stands(bot: Bot) -> None:
    """Lost: a nudge that changed is posted a second time, or stays as it was."""
    receipt = bot.teams.send(CHAT, NUDGE, "N1:1")
    [posted] = bot.fake.chat_of("bea")
    assert receipt == Receipt(CHAT, posted.id)
    assert posted.activity["channelData"]["holdfast"] == "N1:1"
    assert posted.activity["summary"]
    assert posted.card["refresh"]["userIds"] == ["29:bea"]
    bot.teams.update(receipt, NOTED)
    [edited] = bot.fake.chat_of("bea")
    assert (edited.id, edited.edits) == (posted.id, 1)
    assert "Noted" in str(edited.card)


@pytest.mark.parametrize(
    "change", [{"kind": "exception"}, {"kind": "review"}, {"kind": "digest"}, {"ref": ""}, {"buttons": ()}]
)
def test_only_an_open_nudge_asks_for_its_readers_view(bot: Bot, change: dict[str, Any]) -> None:
    """Lost: opening the chat puts another card in the place of an exception to decide, or of several nudges in one."""
    bot.teams.send(CHAT, replace(NUDGE, **change), "N1:1")
    assert "refresh" not in bot.fake.chat_of("bea")[0].card


def test_a_long_card_is_several_messages_and_edited_as_one(bot: Bot) -> None:
    """Lost: the end of a stand-up, or its old end below a new beginning."""
    receipt = bot.teams.send(CHAT, LONG, "digest:oak")
    parts = bot.fake.chat_of("bea")
    assert len(parts) > 1
    assert "Line 599" in str(parts[-1].card)
    bot.teams.update(receipt, NOTED)
    assert [p.id for p in bot.fake.chat_of("bea")] == [parts[0].id]
    bot.teams.update(Receipt(CHAT, parts[0].id), LONG)
    assert "Line 599" in str(bot.fake.chat_of("bea")[-1].card)


@pytest.mark.parametrize("went", ["reset", "close", "500", "garbled"])
def test_what_teams_may_have_taken_is_ambiguous_and_sent_once(bot: Bot, went: Went) -> None:
    """Lost: a nudge that was accepted without an answer arrives twice."""
    bot.fake.trouble(went)
    with pytest.raises(AmbiguousSend):
        bot.teams.send(CHAT, NUDGE, "N1:1")
    assert len(bot.fake.chat_of("bea")) == 1
    assert [method for method, _ in bot.fake.requests] == ["POST"]
    with pytest.raises(AmbiguousSend):
        bot.teams.find(CHAT, "N1:1", datetime.now(UTC))


def test_an_answer_that_never_comes_is_ambiguous(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost: one hanging request holds a sender for ever."""
    bot.teams._connector._http.timeout = 0.3
    bot.fake.trouble("hang")
    with pytest.raises(AmbiguousSend, match="ReadTimeout"):
        bot.teams.send(CHAT, NUDGE, "N1:1")


def test_an_answer_that_drips_is_ambiguous(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost: a server that sends a byte now and then holds a sender for ever."""
    bot.teams._connector.tokens.get()
    monkeypatch.setattr(connector, "TIMEOUT_S", -1.0)
    with pytest.raises(AmbiguousSend):
        bot.teams.send(CHAT, NUDGE, "N1:1")


@pytest.mark.parametrize(
    "went, permanent, reason",
    [("429", False, "slow down"), ("403", True, "uninstalled"), ("404", True, "uninstalled")],
)
def test_a_refusal_says_whether_trying_again_helps(bot: Bot, went: Went, permanent: bool, reason: str) -> None:
    """Lost: a leaver is written to for a day before the next in the ladder hears, or a busy minute loses a nudge."""
    bot.fake.trouble(went, retry_after_s=7)
    with pytest.raises(SendError, match=reason) as refused:
        bot.teams.send(CHAT, NUDGE, "N1:1")
    assert refused.value.permanent is permanent
    assert refused.value.retry_after_s == (7 if went == "429" else None)
    assert bot.fake.chat_of("bea") == []


def test_a_429_closes_its_lane_until_the_time_it_named(bot: Bot) -> None:
    """Lost: we call again too early, and Teams slows us down for longer."""
    bot.fake.trouble("429", retry_after_s=9)
    with pytest.raises(SendError):
        bot.teams.send(CHAT, NUDGE, "N1:1")
    assert 8 < bot.teams.busy_s(CHAT) <= 9


def test_somebody_who_blocked_the_bot_is_told_apart(bot: Bot) -> None:
    """Lost: nobody learns why a person is not reached."""
    bot.fake.members["29:bea"].blocked = True
    with pytest.raises(SendError, match=r"^blocked$"):
        bot.teams.send(CHAT, NUDGE, "N1:1")


def test_nobody_there_is_definite(bot: Bot) -> None:
    """Lost: while Teams cannot be reached at all, every nudge counts as perhaps delivered."""
    bot.front.references[CHAT] = {**bot.front.references[CHAT], "service_url": "http://127.0.0.1:9/"}
    with pytest.raises(SendError) as refused:
        bot.teams.send(CHAT, NUDGE, "N1:1")
    assert (refused.value.permanent, refused.value.everywhere) == (False, True)


def test_an_address_that_nobody_told_us_is_not_guessed(bot: Bot) -> None:
    """Lost: what is meant for one person is posted to a conversation that we know nothing of."""
    with pytest.raises(SendError, match="uninstalled") as refused:
        bot.teams.send("a:somebody", NUDGE, "N1:1")
    assert refused.value.permanent
    assert bot.fake.requests == []


def test_a_channel_of_the_practice_file_is_written_to_without_a_reference(bot: Bot) -> None:
    """Lost: the stand-up channel, in which nobody has mentioned the bot yet."""
    channel = bot.fake.add_channel("billing", ["bea"])
    receipt = bot.teams.send(channel.id, NOTED, "digest:1")
    [posted] = bot.fake.messages(channel.id)
    assert posted.id == receipt.message
    assert posted.activity["from"]["id"].startswith("28:")


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "https://smba.trafficmanager.net.evil.example/",
        "http://smba.trafficmanager.net/",
        "",
        "file:///x",
    ],
)
def test_no_token_goes_to_an_address_that_is_not_listed(bot: Bot, url: str) -> None:
    """Lost: a stored service URL that somebody changed gets the bot's token."""
    before = bot.fake.tokens_given
    bot.front.references[CHAT] = {**bot.front.references[CHAT], "service_url": url}
    bot.teams._seen_at = ""
    with pytest.raises(SendError):
        bot.teams.send(CHAT, NUDGE, "N1:1")
    assert (bot.fake.requests, bot.fake.tokens_given) == ([], before + (url == ""))


def test_the_token_is_fetched_once_and_again_when_it_is_refused(bot: Bot) -> None:
    """Lost: each message waits for the sign-in service; or a token that was revoked is sent for an hour."""
    bot.teams.send(CHAT, NUDGE, "1")
    bot.teams.send(CHAT, NUDGE, "2")
    assert bot.fake.tokens_given == 1
    bot.teams._connector.tokens._token = "worn.out.token"
    with pytest.raises(SendError) as refused:
        bot.teams.send(CHAT, NUDGE, "3")
    assert (refused.value.permanent, refused.value.everywhere) == (False, True)
    bot.teams.send(CHAT, NUDGE, "3")
    assert (bot.fake.tokens_given, len(bot.fake.chat_of("bea"))) == (2, 3)


ANSWERS = [
    (200, "", "", None, None),
    (201, "", "", None, None),
    (302, "", "", False, "elsewhere"),
    (400, "", '{"error":{"code":"BadSyntax","message":"What was said"}}', True, r"400, BadSyntax\)$"),
    (401, "", "", False, "token"),
    (403, "", '{"error":{"code":"BotNotInConversationRoster"}}', True, "^uninstalled$"),
    (403, "", '{"error":{"code":"ForbiddenOperationException","message":"x"}}', True, "^uninstalled$"),
    (403, "", '{"errorCode":209,"message":"{\\"subCode\\": \\"MessageWritesBlocked\\"}"}', True, "^blocked$"),
    (403, "", '{"error":{"code":"BlockedByUser"}}', True, "^blocked$"),
    (403, "", '{"error":{"code":"BotDisabledByAdmin"}}', True, "BotDisabledByAdmin"),
    (403, "", "", True, "no code"),
    (404, "", '{"error":{"code":"ConversationNotFound"}}', True, "^uninstalled$"),
    (404, "", '{"error":{"code":"ActivityNotFoundInConversation"}}', True, "message is gone"),
    (413, "", '{"error":{"code":"MessageSizeTooBig"}}', True, "MessageSizeTooBig"),
    (429, "3", "", False, "slow"),
    (408, "", "", None, "408"),
    (412, "", "", None, "412"),
    (500, "", "", None, "500"),
    (502, "", "", None, "502"),
    (504, "", "", None, "504"),
]


@pytest.mark.parametrize("status, retry_after, said, permanent, reason", ANSWERS)
def test_each_answer_means_one_thing(
    status: int, retry_after: str, said: str, permanent: bool | None, reason: str | None
) -> None:
    """Lost: one code read wrong loses nudges or doubles them."""
    found = outcome("POST", status, retry_after, said)
    if reason is None:
        assert found is None
        return
    with pytest.raises(AmbiguousSend if permanent is None else SendError, match=reason):
        raise found or AssertionError("nothing was wrong")
    assert permanent is None or (isinstance(found, SendError) and found.permanent is permanent)


@pytest.mark.parametrize(
    "told, least, most", [("3", 3, 3), ("0.5", 0.5, 0.5), ("soon", None, None), ("", None, None), ("-1", None, None)]
)
def test_retry_after_is_read(told: str, least: float | None, most: float | None) -> None:
    """Lost: a wait is taken for none."""
    found = outcome("POST", 429, told, "")
    assert isinstance(found, SendError)
    assert found.retry_after_s == least == most


def test_retry_after_as_a_date_is_read() -> None:
    """Lost: the other form that HTTP allows is taken for no wait at all."""
    found = outcome("POST", 429, format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True), "")
    assert isinstance(found, SendError)
    assert found.retry_after_s
    assert 25 < found.retry_after_s <= 30


def test_one_conversation_waits_a_second_and_all_together_a_fiftieth() -> None:
    """Lost: Teams slows us down, or one busy chat holds up all the others."""
    lanes = Lanes()
    assert lanes.busy_s("a") == 0
    lanes.used("a")
    assert 1.0 < lanes.busy_s("a") <= 1.02
    assert lanes.busy_s("b") <= 0.02
    for n in range(100):
        lanes.used(f"c{n}")
    assert 1.5 < lanes.busy_s("b") <= 2.02


# --- answers -----------------------------------------------------------------------------------------------------------------


def test_an_answer_in_ones_own_chat_is_a_new_message(bot: Bot) -> None:
    """Lost: a question ends in silence."""
    bot.fake.say("bea", "How?")
    receipt = bot.teams.show(last(bot), Reply(ANSWER, prompts=(say("How do I post an ERA?"),)), again=False)
    [posted] = bot.fake.chat_of("bea")
    assert receipt == Receipt(CHAT, posted.id)
    assert posted.activity["suggestedActions"]["actions"][0]["value"] == "How do I post an ERA?"
    assert bot.teams.show(last(bot), Reply(None), again=False) is None


def test_a_public_answer_stands_in_its_thread(bot: Bot) -> None:
    """Lost: the answer opens a thread of its own, far from the question."""
    channel = bot.fake.add_channel("billing", ["bea"])
    asked = bot.fake.mention("bea", channel, "How?")
    receipt = bot.teams.show(last(bot), Reply(ANSWER, private=False), again=False)
    [posted] = bot.fake.messages(channel.id)
    assert posted.conversation == f"{channel.id};messageid={asked.activity['id']}"
    assert receipt == Receipt(channel.id, posted.id)
    bot.teams.update(receipt, NOTED)
    assert bot.fake.messages(channel.id)[0].edits == 1


def test_a_private_answer_goes_to_ones_own_chat_and_the_channel_is_told(bot: Bot) -> None:
    """Lost: a whole channel reads what one person may see."""
    channel = bot.fake.add_channel("billing", ["bea"])
    bot.fake.mention("bea", channel, "My claims?")
    bot.teams.show(last(bot), Reply(ANSWER), again=False)
    assert "Open the ERA" in str(bot.fake.chat_of("bea")[-1].card)
    [told] = bot.fake.messages(channel.id)
    assert "our own chat" in told.activity["text"]
    assert told.card == {}


def test_a_private_answer_reaches_its_asker_even_if_the_channel_cannot_be_told(bot: Bot) -> None:
    """Lost: the answer is sent a second time because a sentence beside it failed."""
    channel = bot.fake.add_channel("billing", ["bea"])
    asked = bot.fake.mention("bea", channel, "My claims?")
    bot.fake.trouble("429", conversation=f"{channel.id};messageid={asked.activity['id']}")
    assert bot.teams.show(last(bot), Reply(ANSWER), again=False)


@pytest.mark.parametrize("known", [{}, {"scope": "group"}])
def test_without_an_own_chat_a_private_answer_is_not_shown(bot: Bot, known: dict[str, str]) -> None:
    """Lost: where there is no private way the answer is posted for all to see."""
    bot.fake.add("cleo")
    channel = bot.fake.add_channel("billing", ["bea", "cleo"])
    bot.fake.mention("cleo", channel, "My claims?")
    bot.front.references["aad-cleo"] = {**last(bot).details, **known} if known else {}
    assert bot.teams.show(last(bot), Reply(ANSWER), again=False) is None
    [told] = bot.fake.messages(channel.id)
    assert "add Holdfast" in told.activity["text"]
    assert "ERA" not in str(told.activity)


def test_an_answer_that_teams_may_have_is_not_repeated_and_one_it_refused_is(bot: Bot) -> None:
    """Lost: a slow minute of Teams brings an answer six times, or a busy one none at all."""
    bot.fake.say("bea", "How?")
    bot.fake.trouble("500")
    with pytest.raises(AmbiguousSend):
        bot.teams.show(last(bot), Reply(ANSWER), again=False)
    assert bot.teams.show(last(bot), Reply(ANSWER), again=True) is None
    assert len(bot.fake.chat_of("bea")) == 1
    bot.fake.say("bea", "And how?")
    bot.fake.trouble("429", retry_after_s=0)
    with pytest.raises(SendError):
        bot.teams.show(last(bot), Reply(ANSWER), again=False)
    assert bot.teams.show(last(bot), Reply(ANSWER), again=True)
    assert len(bot.fake.chat_of("bea")) == 2


def test_a_press_that_came_as_a_message_changes_the_pressed_card(bot: Bot) -> None:
    """Lost: where a client submits a card, what was pressed stands there unchanged."""
    receipt = bot.teams.send(CHAT, NUDGE, "N1:1")
    bot.fake.say("bea", "x")
    said = last(bot)
    pressed = replace(said, act="press", place=replace(said.place, message=receipt.message))
    assert bot.teams.show(pressed, Reply(NOTED, took=True), again=False) == receipt
    assert "Noted" in str(bot.fake.chat_of("bea")[-1].card)


# --- who and whether ---------------------------------------------------------------------------------------------------------


def test_an_account_is_known_by_its_sign_in_name(bot: Bot) -> None:
    """Lost: nobody is found by e-mail, and everybody has to be linked by hand."""
    known = bot.teams.who("", "aad-bea")
    assert known
    assert (known.email, known.address, known.reference["conversation"]) == ("bea@practice.example", CHAT, CHAT)


def test_somebody_who_was_met_in_a_channel_is_asked_for_there(bot: Bot) -> None:
    """Lost: whoever first speaks in a channel stays unknown."""
    bot.fake.add("cleo")
    bot.fake.mention("cleo", bot.fake.add_channel("billing", ["bea", "cleo"]), "How?")
    known = bot.teams.who("", "aad-cleo")
    assert known
    assert (known.email, known.address) == ("cleo@practice.example", "")


@pytest.mark.parametrize(
    "member",
    [
        {"userRole": "guest"},
        {"userPrincipalName": "gil_other.example#EXT#@practice.onmicrosoft.com"},
        {"tenantId": "00000000-ffff-4fff-8fff-000000000000"},
        {"id": "28:a-bot"},
    ],
)
def test_nobody_from_outside_is_anybody(bot: Bot, member: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost: a guest with a colleague's e-mail address reads the colleague's cards."""
    told = {
        "id": "29:x",
        "userPrincipalName": "bea@practice.example",
        "tenantId": bot.fake.settings["teams_tenants"][0],
        **member,
    }
    monkeypatch.setattr(bot.teams._connector, "member", lambda *_: told)
    assert bot.teams.who("", "aad-bea") is None


def test_an_account_that_is_not_there_is_nobody(bot: Bot) -> None:
    """Lost: a stranger's press waits for an answer that never comes."""
    assert bot.teams.who("", "aad-nobody") is None
    bot.front.references["aad-gone"] = bot.front.references["aad-bea"]
    assert bot.teams.who("", "aad-gone") is None
    assert bot.teams.by_email("bea@practice.example") is None


def test_the_check_finds_nothing_where_all_is_well(bot: Bot) -> None:
    """Lost: an operator learns to ignore the check."""
    assert bot.teams.probe() == []


@pytest.mark.parametrize(
    "change, cloud, words",
    [
        ({"url": ""}, None, ["HOLDFAST_URL"]),
        ({"teams_client_secret": "wrong"}, None, ["TEAMS_CLIENT_SECRET is not the secret"]),
        ({}, Cloud(login="http://127.0.0.1:9", openid="http://127.0.0.1:9/x"), ["sign-in service cannot be", "keys cannot be"]),
    ],
)
def test_the_check_names_each_problem_in_a_sentence(
    bot: Bot, change: dict[str, Any], cloud: Cloud | None, words: list[str]
) -> None:
    """Lost: the first nudge does not arrive, and nothing says why."""
    here = Cloud(login=bot.fake.url, openid=bot.fake.openid_metadata_url)
    teams = teams_for(StubFront(), settings(**{**bot.fake.settings, **change}), cloud or here)
    found = teams.probe()
    teams.stop()
    assert len(found) == len(words)
    assert all(word in said and said.endswith(".") for word, said in zip(words, found, strict=True))
    assert "wrong" not in str(found)


def test_a_token_is_fetched_by_one_while_the_others_wait(bot: Bot) -> None:
    """Lost: a burst of nudges asks the sign-in service for a token each."""
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.append(bot.teams._connector.tokens.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (len(got), len(set(got)), bot.fake.tokens_given) == (8, 1, 1)
