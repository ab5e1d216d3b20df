"""What we write to Slack: once, where it was asked for, at Slack's pace, and with every outcome told apart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from bot.cards import reply, say
from bot.chat import AmbiguousSend, Button, Card, Heard, Place, Receipt, Reply, SendError
from bot.platforms.slack import Slack
from bot.platforms.slack.pace import Pace
from bot.settings import Settings
from tests.fakes import slack as fake
from tests.platforms.slack_rig import Ears, settings

CARD = Card("nudge", say("A claim has not moved."), buttons=(Button("done", "N7", say("Done")),))
LATER = Card("nudge", say("The claim has moved."))
ONE = Card("reply", say("Refunds take two signatures."))
LONG = reply(say("\n\n".join(f"Step {n}: " + "word " * 500 for n in range(12))))


@pytest.fixture
def cloud() -> Iterator[fake.Slack]:
    with fake.workspace() as cloud:
        yield cloud


@pytest.fixture
def ours(cloud: fake.Slack, tmp_path: Path, engine: Engine) -> Iterator[Slack]:
    made = Slack(_for(cloud, tmp_path), Ears(), engine)
    made._pace = made._client._pace = Pace(lambda: time.monotonic() * 20)  # 20 times as fast, where no test is about the pace
    yield made
    made.stop()


def _for(cloud: fake.Slack, home: Path, **more: Any) -> Settings:
    return settings(home, slack_bot_token=cloud.bot_token, slack_api_url=cloud.url, **more)


def _texts(cloud: fake.Slack, channel: str) -> list[str]:
    return [each["text"].split("\n")[0] for each in cloud.messages(channel)]


# --- outcomes ------------------------------------------------------------------------------------------------------------


def test_a_card_is_sent_once_found_by_its_marker_and_edited_in_place(cloud: fake.Slack, ours: Slack) -> None:
    """Lost: the basis of every delivery."""
    bea = cloud.person("Bea Ortiz")
    before = datetime.now(UTC)
    receipt = ours.send(bea, CARD, "n7:1")
    ours.send(bea, ONE, "n8:1")
    assert receipt.channel == cloud.dm(bea)
    assert ours.find(bea, "n7:1", before) == receipt
    assert ours.find(bea, "n9:1", before) is None
    ours.update(receipt, LATER)
    assert _texts(cloud, receipt.channel) == ["The claim has moved.", "Refunds take two signatures."]
    call = cloud.called("chat.postMessage")[0]
    assert (call.arguments["unfurl_links"], call.arguments["unfurl_media"]) == (False, False)
    assert len(cloud.called("conversations.open")) == 1
    assert ours.find(bea, "n7:1", before) == receipt, "an edit keeps the marker"


@pytest.mark.parametrize("how", ["reset", "close", "hang", "500", "refuse"])
def test_an_answer_that_does_not_come_is_unsure_and_looked_up(cloud: fake.Slack, ours: Slack, how: fake.How) -> None:
    """Lost: a nudge arrives twice, because a connection broke after Slack had taken it."""
    bea, before = cloud.person("Bea Ortiz"), datetime.now(UTC)
    cloud.trouble("chat.postMessage", how, for_s=0.2)
    with pytest.raises(AmbiguousSend):
        ours.send(bea, CARD, "n7:1")
    assert len(cloud.called("chat.postMessage")) == 1
    arrived = how != "refuse"
    assert len(cloud.messages(cloud.dm(bea))) == int(arrived)
    assert (ours.find(bea, "n7:1", before) is not None) is arrived


WORDS: dict[str, tuple[bool, bool, str]] = {
    "channel_not_found": (True, False, "gone"),
    "is_archived": (True, False, "archived"),
    "user_not_found": (True, False, "nobody"),
    "user_disabled": (True, False, "deactivated"),
    "cannot_dm_bot": (True, False, "bot"),
    "not_in_channel": (True, False, "invite"),
    "msg_too_long": (True, False, "too long"),
    "invalid_blocks": (True, False, "card"),
    "restricted_action": (True, False, "does not let"),
    "account_inactive": (False, True, "removed the app"),
    "token_revoked": (False, True, "taken back"),
    "invalid_auth": (False, True, "SLACK_BOT_TOKEN"),
    "not_authed": (False, True, "SLACK_BOT_TOKEN"),
    "token_expired": (False, True, "SLACK_BOT_TOKEN"),
    "missing_scope": (False, False, "scope"),
    "team_added_to_org": (False, False, "moved"),
    "something_nobody_knows": (False, False, "something_nobody_knows"),
}


@pytest.mark.parametrize("word", WORDS)
def test_what_slack_refuses_is_told_apart_by_what_helps(cloud: fake.Slack, ours: Slack, word: str) -> None:
    """Lost: a leaver is written to for ever, or a mistyped token makes everybody a leaver."""
    bea = cloud.person("Bea Ortiz")
    cloud.trouble("chat.postMessage", "error", word=word)
    with pytest.raises(SendError) as refused:
        ours.send(bea, CARD, "n7:1")
    permanent, everywhere, reason = WORDS[word]
    assert (refused.value.permanent, refused.value.everywhere) == (permanent, everywhere)
    assert reason in refused.value.reason and not refused.value.reason.endswith(".")


@pytest.mark.parametrize(
    "word", ["fatal_error", "internal_error", "service_unavailable", "request_timeout", "not a word at all"]
)
def test_a_fault_on_slacks_side_is_unsure(cloud: fake.Slack, ours: Slack, word: str) -> None:
    """Lost: Slack stumbles after it has posted, and we post again."""
    cloud.trouble("chat.postMessage", "error", word=word)
    with pytest.raises(AmbiguousSend):
        ours.send(cloud.person("Bea Ortiz"), CARD, "n7:1")


def test_nobody_listening_is_a_definite_no(tmp_path: Path, engine: Engine) -> None:
    """Lost: an outage of ours turns every delivery into one of unknown fate."""
    ours = Slack(settings(tmp_path), Ears(), engine)
    with pytest.raises(SendError) as refused:
        ours.send("C01", CARD, "n7:1")
    assert (refused.value.permanent, refused.value.everywhere) == (False, True)
    ours.stop()


def test_opening_a_conversation_sends_nothing_and_so_is_never_unsure(cloud: fake.Slack, ours: Slack) -> None:
    """Lost: deliveries that cannot have arrived are looked up instead of sent."""
    cloud.trouble("conversations.open", "reset")
    with pytest.raises(SendError):
        ours.send(cloud.person("Bea Ortiz"), CARD, "n7:1")
    cloud.trouble("chat.update", "reset")
    with pytest.raises(SendError):
        ours.update(Receipt(cloud.channel("front", []), "1.1"), CARD)


def test_a_look_that_fails_is_unsure_and_a_whole_one_is_sure(cloud: fake.Slack, ours: Slack) -> None:
    """Lost: “not found on the first page” is taken for “did not arrive”."""
    front, before = cloud.channel("front", []), datetime.now(UTC)
    receipt = ours.send(front, CARD, "n7:1")
    for n in range(450):
        cloud.channels[front].messages.append({"type": "message", "ts": f"{float(receipt.message) + 1 + n:.6f}", "text": "x"})
    assert ours.find(front, "n7:1", before) == receipt
    assert len(cloud.called("conversations.history")) == 3
    assert ours.find(front, "n7:1", before + timedelta(minutes=6)) is None
    for how in ("refuse", "reset", "429"):
        trouble = cloud.trouble("conversations.history", how, only=lambda given: bool(given.get("cursor")))
        with pytest.raises(AmbiguousSend):
            ours.find(front, "n9:1", before)
        trouble.times = 0


# --- pace ----------------------------------------------------------------------------------------------------------------


def test_a_channel_has_one_message_a_second_and_all_of_them_twenty() -> None:
    """Lost: Slack answers a busy morning with 429 after 429."""
    now = 100.0
    pace = Pace(lambda: now)
    assert pace.reserve("C1", 0) == 0
    assert pace.wait_s("C1") == pytest.approx(1.02) and pace.wait_s("C2") == 0
    assert pace.reserve("C1", 0.5) is None
    assert pace.reserve("C1", 2.5) == pytest.approx(1.02)
    assert pace.wait_s("C1") == pytest.approx(2.04)
    waits = [pace.reserve(f"D{n}", 60.0) or 0.0 for n in range(100)]
    assert waits == sorted(waits) and 4.5 < waits[-1] < 5.2


def test_nothing_is_sent_there_before_retry_after_has_ended(cloud: fake.Slack, tmp_path: Path, engine: Engine) -> None:
    """Lost: a bot that is told to wait and does not is told to wait longer, or cut off."""
    ours = Slack(_for(cloud, tmp_path), Ears(), engine)
    front, back = cloud.channel("front", []), cloud.channel("back", [])
    cloud.trouble("chat.postMessage", "429", for_s=7)
    with pytest.raises(SendError) as refused:
        ours.send(front, CARD, "n7:1")
    assert (refused.value.permanent, refused.value.retry_after_s) == (False, 7.0)
    assert 6 < ours.busy_s(front) <= 7
    with pytest.raises(SendError) as again:
        ours.send(front, CARD, "n7:1")
    assert not again.value.permanent and 5 < (again.value.retry_after_s or 0) <= 7
    assert len(cloud.called("chat.postMessage")) == 1
    assert ours.busy_s(back) == 0
    ours.send(back, CARD, "n8:1")
    assert cloud.too_early == []
    cloud.trouble("users.info", "429", for_s=9)
    with pytest.raises(SendError):
        ours.who("T1", "U1")
    with pytest.raises(SendError):
        ours.who("T1", "U2")
    assert len(cloud.called("users.info")) == 1
    ours.stop()


def test_a_channel_is_written_to_at_slacks_pace(cloud: fake.Slack, tmp_path: Path, engine: Engine) -> None:
    """Lost: the pace that we keep is not the one that is asked for."""
    ours = Slack(_for(cloud, tmp_path), Ears(), engine)
    cloud.limits = True
    front = cloud.channel("front", [])
    for n in range(3):
        ours.send(front, ONE, f"n{n}:1")
    assert [each.outcome for each in cloud.called("chat.postMessage")] == ["ok"] * 3
    assert 0.5 < ours.busy_s(front) <= 1.02
    ours.stop()


def test_what_does_not_fit_goes_on_in_the_thread(cloud: fake.Slack, ours: Slack) -> None:
    """Lost: the end of a long answer."""
    front = cloud.channel("front", [])
    receipt = ours.send(front, LONG, "n7:1")
    first, *rest = cloud.messages(front)
    assert first["ts"] == receipt.message and rest
    assert all(each["thread_ts"] == first["ts"] for each in rest)
    assert [bool(each.get("metadata")) for each in cloud.messages(front)] == [True, *(False for _ in rest)]


# --- answers -------------------------------------------------------------------------------------------------------------


def _heard(cloud: fake.Slack, user: str, channel: str, **more: Any) -> Heard:
    place = {name: more.pop(name) for name in ("thread", "message", "surface") if name in more}
    where = Place("slack", cloud.team, channel, **place)
    return Heard(**{"key": f"slack:{channel}", "act": "ask", "account": user, "place": where, "at": datetime.now(UTC), **more})


def test_an_answer_stands_where_it_was_asked_for(cloud: fake.Slack, ours: Slack) -> None:
    """Lost: a private answer is read by the whole channel, or a public one stands in the way of everybody."""
    bea = cloud.person("Bea Ortiz")
    front, dm = cloud.channel("front", [bea]), cloud.dm(bea)
    asked = cloud.channels[front].messages
    asked.append({"type": "message", "user": bea, "text": "?", "ts": "17.000001"})
    public = Reply(ONE, private=False)
    said = ours.show(_heard(cloud, bea, front, message="17.000001", surface="channel"), public, again=False)
    assert asked[-1]["thread_ts"] == "17.000001" and said == Receipt(front, asked[-1]["ts"])
    assert ours.show(_heard(cloud, bea, front, message="17.000001", surface="channel"), Reply(ONE), again=False) is None
    assert [each["text"] for each in cloud.ephemerals[bea]] == [asked[-1]["text"]]
    assert len(asked) == 2
    said = ours.show(_heard(cloud, bea, dm), Reply(ONE), again=False)
    assert said is not None and "thread_ts" not in cloud.messages(dm)[-1]
    assert ours.show(_heard(cloud, bea, dm), Reply(None), again=False) is None
    assert len(cloud.messages(dm)) == 1


def test_an_answer_that_may_have_been_shown_is_looked_for_first(cloud: fake.Slack, ours: Slack) -> None:
    """Lost: a worker that died after its answer answers twice."""
    bea = cloud.person("Bea Ortiz")
    dm, front = cloud.dm(bea), cloud.channel("front", [bea])
    cloud.channels[front].messages.append({"type": "message", "user": bea, "text": "?", "ts": f"{time.time():.6f}"})
    root = cloud.messages(front)[0]["ts"]
    for heard in (_heard(cloud, bea, dm), _heard(cloud, bea, front, message=root, surface="channel")):
        public = Reply(ONE, private=False)
        first = ours.show(heard, public, again=False)
        assert ours.show(heard, public, again=True) == first
        assert ours.show(replace(heard, key="slack:other"), public, again=True) != first


def test_a_command_is_answered_to_its_person_wherever_it_was_typed(cloud: fake.Slack, ours: Slack) -> None:
    """Lost: /sop in a channel without the bot is answered by silence."""
    bea = cloud.person("Bea Ortiz")
    inside, outside = cloud.channel("in", [bea]), cloud.channel("out", [bea], with_bot=False)
    ours.show(_heard(cloud, bea, inside, surface="command"), Reply(ONE, private=False), again=False)
    url = {"response_url": cloud._hook(bea, outside)}
    ours.show(_heard(cloud, bea, outside, surface="command", details=url), Reply(ONE), again=False)
    assert [each["channel"] for each in cloud.ephemerals[bea]] == [inside, outside]
    elsewhere = {"response_url": "https://evil.example.com/actions/1"}
    ours.show(_heard(cloud, bea, outside, surface="command", details=elsewhere), Reply(ONE), again=False)
    assert [each["text"] for each in cloud.messages(cloud.dm(bea))] == [ONE.title]


def test_a_press_that_took_changes_its_message_and_one_that_did_not_is_told_beside_it(cloud: fake.Slack, ours: Slack) -> None:
    """Lost: a card still asks for what is done, or a refused press changes what everybody sees."""
    bea = cloud.person("Bea Ortiz")
    front = cloud.channel("front", [bea])
    receipt = ours.send(front, CARD, "n7:1")
    press = _heard(cloud, bea, front, message=receipt.message, surface="channel", act="press", verb="done", target="N7")
    assert ours.show(press, Reply(ONE), again=False) is None
    assert _texts(cloud, front) == ["A claim has not moved."] and len(cloud.ephemerals[bea]) == 1
    assert ours.show(press, Reply(LATER, took=True), again=False) == receipt
    assert _texts(cloud, front) == ["The claim has moved."]
    hidden = {"ephemeral": "1", "response_url": cloud._hook(bea, front, cloud.ephemerals[bea][0]["ts"], hidden=True)}
    ours.show(replace(press, details=hidden), Reply(LATER, took=True), again=False)
    assert [each["text"] for each in cloud.ephemerals[bea]] == ["The claim has moved."]


def test_an_answer_to_what_was_deleted_meanwhile_still_reaches_its_person(cloud: fake.Slack, ours: Slack) -> None:
    """Lost: somebody tidies up, and whoever asked or pressed waits for ever."""
    bea = cloud.person("Bea Ortiz")
    front, dm = cloud.channel("front", [bea]), cloud.dm(bea)
    asked = _heard(cloud, bea, front, message="17.000001", surface="channel")
    assert ours.show(asked, Reply(ONE, private=False), again=False) is None
    pressed = replace(asked, act="press", verb="done", key="slack:p")
    assert ours.show(pressed, Reply(LATER, took=True), again=False) is None
    assert [each["text"] for each in cloud.ephemerals[bea]] == [ONE.title, LATER.title]
    pane = _heard(cloud, bea, dm, thread="17.000001", surface="pane")
    for again in (False, True):
        assert ours.show(pane, Reply(ONE), again=again) is not None
    assert [each["text"] for each in cloud.messages(dm)] == [ONE.title]


def test_the_home_page_and_the_pane_are_set_up(cloud: fake.Slack, ours: Slack) -> None:
    """Lost: “my day” stays as it was after a press on it, or a fresh pane is empty."""
    bea = cloud.person("Bea Ortiz")
    home = _heard(cloud, bea, "", surface="home", act="home")
    ours.show(home, Reply(CARD), again=False)
    ours.show(replace(home, act="press", verb="done"), Reply(LATER, took=True), again=False)
    assert "The claim has moved." in str(cloud.homes[bea])
    pane = _heard(cloud, bea, cloud.dm(bea), surface="pane", thread="17.0", act="hello")
    ours.show(pane, Reply(None, prompts=tuple(say("Question {n}", n=n) for n in range(6))), again=False)
    assert len(cloud.prompts[cloud.dm(bea), "17.0"]["prompts"]) == 4
    assert cloud.titles
    cloud.trouble("assistant.threads.setSuggestedPrompts", "refuse")
    ours.show(pane, Reply(None, prompts=(say("Question"),)), again=False)


# --- people and health -----------------------------------------------------------------------------------------------------


def test_only_colleagues_are_known(cloud: fake.Slack, ours: Slack) -> None:
    """Lost: a guest, a bot or a leaver is matched to somebody of the practice."""
    bea = cloud.person("Bea Ortiz", "bea@example.com")
    guest, bot = cloud.person("Gast", "g@example.com", guest=True), cloud.person("Bot", bot=True)
    gone = cloud.person("Left", "left@example.com")
    cloud.users[gone].deleted = True
    found = ours.who(cloud.team, bea)
    assert found is not None and (found.account, found.team, found.email, found.address) == (
        bea,
        cloud.team,
        "bea@example.com",
        bea,
    )
    assert [ours.who(cloud.team, each) for each in (guest, bot, gone, "U0NOBODY", "USLACKBOT")] == [None] * 5
    known = ours.by_email("bea@example.com")
    assert known is not None and (known.account, known.address) == (bea, bea)
    assert [ours.by_email(each) for each in ("g@example.com", "left@example.com", "x@example.com")] == [None] * 3


def test_the_check_names_what_is_missing(cloud: fake.Slack, tmp_path: Path, engine: Engine) -> None:
    """Lost: an operator is told that it does not work, and not what to do."""
    front = Ears()

    def problems(**more: Any) -> list[str]:
        made = Slack(replace(_for(cloud, tmp_path, url="https://hf.example.com"), **more), front, engine)
        said = list(made.probe())
        made.stop()
        return said

    assert problems() == []
    cloud.scopes = tuple(scope for scope in cloud.scopes if scope != "im:write")
    (missing,) = problems()
    assert "im:write" in missing and "SLACK_BOT_TOKEN" in missing
    (wrong,) = problems(slack_bot_token="xoxb-wrong")
    assert "SLACK_BOT_TOKEN" in wrong and "invalid_auth" in wrong and "xoxb-wrong" not in wrong
    (away,) = problems(slack_api_url="http://127.0.0.1:9/api/")
    assert "http://127.0.0.1:9/api/" in away
    assert "SLACK_APP_TOKEN" in problems(slack_app_token="xapp-wrong")[-1]
    assert "HOLDFAST_URL" in problems(url="")[-1]


def test_no_token_shows_when_things_are_printed(tmp_path: Path, engine: Engine) -> None:
    """Lost: a crash report holds the key to a workspace."""
    ours = Slack(settings(tmp_path, slack_bot_token="xoxb-secret", slack_app_token="xapp-secret"), Ears(), engine)
    shown = "".join(repr(each) for each in (ours, ours._client, ours._edge, ours._settings, vars(ours._client)))
    assert "secret" not in shown.replace("slack_client_secret", "")
    ours.stop()
