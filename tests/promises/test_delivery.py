"""Messages arrive once, in order, and only where they still make sense, whatever the chat service does to them.

Each test prints its figure. HOLDFAST_SOAK=1 runs them at full length; without it they do a tenth of that.
"""

from __future__ import annotations

import os
import random
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from slack_sdk.web import WebClient
from starlette.applications import Starlette

from bot import cards, nudges, sweep
from bot.platforms.slack.client import Client
from bot.records import write
from tests.behaviour.slack import PEOPLE, SlackChat, on_fake_slack, pressables
from tests.behaviour.small import STALLED, START, Claim, Installation, Opens, Small, at, stalled
from tests.behaviour.teams import on_teams
from tests.fakes import teams as fake_teams
from tests.fakes.serving import serving
from tests.fakes.slack import How, Slack

SOAK = os.environ.get("HOLDFAST_SOAK") == "1"
ACCOUNT = {person: account for account, person in PEOPLE.items()}
LOST: tuple[How, ...] = ("reset", "close", "hang", "500")
"""The ways in which Slack takes a message and does not say so."""


def full(n: int) -> int:
    """`n` at full length, a tenth of it otherwise."""
    return n if SOAK else n // 10


@pytest.fixture
def chat(opens: Opens) -> Iterator[SlackChat]:
    with on_fake_slack(opens, "http") as made:
        yield made


def markers(slack: Slack, person: str = "bea") -> Counter[str]:
    """How many messages carry each delivery's mark, in a person's direct messages."""
    found = (
        m.get("metadata", {}).get("event_payload", {}).get("marker", "") for m in slack.messages(slack.dm(ACCOUNT[person]))
    )
    return Counter(marker for marker in found if marker)


def told(small: Small, came: Counter[str], ours: Sequence[str]) -> Counter[str]:
    """How many messages told of each nudge: those with its own mark, and those of the bundle that it went out with."""
    bundle_of = {d.marker: d.bundle for d in small.deliveries()}
    return Counter({marker: came[marker] + (came[bundle_of[marker]] if bundle_of[marker] else 0) for marker in ours})


def planned(small: Small, person: str = "bea") -> list[str]:
    """The marks of the first nudges to a person."""
    return [d.marker for d in small.deliveries() if d.kind == "nudge" and d.person == person and d.marker.endswith(":1")]


# --- answers that are lost --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", LOST)
def test_a_message_that_slack_took_without_saying_so_is_not_sent_again(
    chat: SlackChat, monkeypatch: pytest.MonkeyPatch, how: How
) -> None:
    """Without this every dropped connection is a nudge that comes twice, and people stop reading them."""
    assert Client.call.__kwdefaults__ is not None
    monkeypatch.setitem(Client.call.__kwdefaults__, "timeout_s", 0.2)
    count, small, slack = full(100), stalled(chat.small, full(100)), chat.slack
    assert isinstance(slack, Slack)
    trouble = slack.trouble("chat.postMessage", how, times=count, for_s=0.4)
    small.clock.at = STALLED
    small.tick()
    doubted = {d.marker: d.state for d in small.deliveries() if d.marker in planned(small)}
    for _ in range(8 + count // 5):
        small.clock.at += timedelta(seconds=15)
        small.tick()
    ours = planned(small)
    assert len(ours) == trouble.met == count
    uncertain = Counter(str(event.detail["marker"]) for event in small.events("send uncertain"))
    found = Counter(str(event.detail["marker"]) for event in small.events("send found"))
    assert {marker: markers(slack)[marker] for marker in ours} == dict.fromkeys(ours, 1)
    assert uncertain == found == dict.fromkeys(ours, 1)
    assert {d.state for d in small.deliveries() if d.marker in ours} == {"sent"}
    assert "ambiguous" in doubted.values()
    assert small.verify().ok
    print(f"{how}: {count} answers lost, {count} messages, {sum(uncertain.values())} passed through doubt")


def test_the_sdks_own_client_fails_at_what_ours_is_held_to() -> None:
    """Without this nobody knows that lost answers make a client post twice, and the figure above proves nothing."""
    count, slack, met = full(100), Slack(), set[str]()
    slack.person("Bea", id="U0BEA")

    def is_first(arguments: Any) -> bool:
        fresh = arguments["text"] not in met and arguments["text"].startswith(how)
        met.update([arguments["text"]] if fresh else [])
        return fresh

    def post(text: str) -> None:
        client = WebClient(slack.bot_token, base_url=slack.url)
        client.chat_postMessage(channel="U0BEA", text=text, unfurl_links=False, unfurl_media=False)

    how: How
    for how in ("reset", "close"):
        slack.trouble("chat.postMessage", how, times=None, only=is_first)
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(post, (f"{how} {n}" for n in range(count))))
        slack.calm()
    came = Counter(str(message["text"]) for message in slack.messages(slack.dm("U0BEA")))
    slack.close()
    assert sorted(came.values()) == [2] * 2 * count
    print(f"the SDK's default client: {2 * count} answers lost, {sum(came.values())} messages")


# --- nobody can look --------------------------------------------------------------------------------------------------------


def test_while_slack_shows_no_history_a_nudge_comes_once_more_at_most_and_says_so(chat: SlackChat) -> None:
    """Without this an outage of the history turns each lost answer into a message every few minutes, for hours."""
    count, small, slack = full(100), stalled(chat.small, full(100)), chat.slack
    assert isinstance(slack, Slack)
    slack.trouble("chat.postMessage", "reset", times=None)
    slack.trouble("conversations.history", "refuse", times=None)
    small.clock.at = STALLED
    small.until(STALLED + timedelta(hours=2))
    slack.calm()
    small.until(STALLED + timedelta(hours=2, minutes=30))
    ours = planned(small)
    came = told(small, markers(slack), ours)
    assert len(ours) == count
    assert all(1 <= came[marker] <= 2 for marker in ours), came
    uncertain = Counter(str(event.detail["marker"]) for event in small.events("send uncertain"))
    repeated = Counter(str(event.detail["marker"]) for event in small.events("send repeated"))
    doubted = told(small, uncertain, ours)
    assert sum(marker in uncertain for marker in ours) >= 10
    assert {marker for marker in ours if not doubted[marker]} <= {marker for marker in ours if came[marker] == 1}
    assert {marker: came[marker] - 1 for marker in ours} == dict(told(small, repeated, ours))
    marked = [m for m in slack.messages(slack.dm(ACCOUNT["bea"])) if "You may have this already" in str(m["blocks"])]
    assert len(marked) == sum(repeated.values())
    assert {d.state for d in small.deliveries() if d.marker in ours} == {"sent"}
    assert small.verify().ok
    extra = sum(repeated[marker] for marker in ours)
    assert extra > 0
    print(f"no history for 2 h: {count} nudges, {extra} repeats, all of them marked and on record; at most 1 of a nudge")


def test_where_nobody_can_ever_look_a_nudge_is_not_repeated(opens: Opens) -> None:
    """Without this every lost answer of Teams is a nudge that comes twice and that no history explains."""
    count = full(100)
    with on_teams(opens) as chat:
        small, fake = stalled(chat.small, count), chat.fake
        bea = fake.members[fake_teams.account("bea")].chat
        before = len(fake.chat_of("bea"))
        fake.trouble("reset", times=10 * count, conversation=bea)
        small.clock.at = STALLED
        for minute in range(180):
            if minute == 120:
                fake.troubles.clear()
            small.tick()
            small.clock.at += timedelta(minutes=1)
        ours = planned(small)
        posted = Counter(str(each.activity["channelData"]["holdfast"]) for each in fake.chat_of("bea")[before:])
        unknown = Counter(str(event.detail["marker"]) for event in small.events("send unknown"))
        uncertain = Counter(str(event.detail["marker"]) for event in small.events("send uncertain"))
        assert len(ours) == count
        assert told(small, posted, ours) == dict.fromkeys(ours, 1)
        assert unknown == uncertain == dict.fromkeys(unknown, 1)
        assert len(unknown) >= 10
        assert small.events("send repeated") == []
        states = {d.marker: d.state for d in small.deliveries() if d.marker in ours}
        assert states == {marker: "unknown" if marker in unknown else "sent" for marker in ours}
        assert small.verify().ok
    print(f"Teams: {count} nudges, answers lost for 2 h: 0 repeats, {len(unknown)} on record as unknown")


# --- limits -----------------------------------------------------------------------------------------------------------------


def test_slacks_limits_are_kept_to_and_cost_no_time(chat: SlackChat) -> None:
    """Without this a busy morning gets the app locked out, loses messages, or takes far longer than it must."""
    count, small, slack = full(500), chat.small, chat.slack
    assert isinstance(slack, Slack)
    small.clock.at = at("2026-03-04", "12:00")
    small.report("harbor")
    small.report("pine")
    small.tick()
    platform: Any = small.holdfast.chats["slack"]
    platform._pace._clock = time.monotonic
    slack.calls.clear()
    slack.limits = True
    house, people = small.holdfast.house, sorted(ACCOUNT)
    began, noon = time.monotonic(), small.clock.at
    with write(small.holdfast.engine) as session:
        for n in range(count):
            person = small.holdfast.practice.people[people[n % 5]]
            nudges.post(session, house, f"notice:{n}", "notice", person, noon, card=cards.welcome(person))
    asked = (2.0, 3.0)
    for seconds in asked:
        slack.trouble("chat.postMessage", "429", for_s=seconds, only=lambda a: a["channel"] == slack.dm(ACCOUNT["bea"]))
    deadline = began + 3 * count / 5 + 30
    while len([call for call in slack.called("chat.postMessage") if call.outcome == "ok"]) < count:
        assert time.monotonic() < deadline, "they did not all go out"
        small.clock.at = noon + timedelta(seconds=time.monotonic() - began)
        later_s = sweep.deliver(small.holdfast.round(), small.clock.at).later_s
        time.sleep(0.02 if later_s is None else later_s)
    posts = [call for call in slack.called("chat.postMessage") if call.outcome in ("ok", "429")]
    took = posts[-1].at_s - posts[0].at_s
    ideal = (count / 5 - 1) * 1.0 + sum(asked)
    came = Counter[str]()
    for name in people:
        came += markers(slack, name)
    assert {marker: times for marker, times in came.items() if marker.startswith("notice:")} == {
        f"notice:{n}": 1 for n in range(count)
    }
    assert slack.too_early == []
    assert "ratelimited" not in {call.outcome for call in slack.calls}
    assert [call.outcome for call in slack.called("chat.postMessage")].count("429") == len(asked)
    print(f"{count} messages to 5 channels in {took:.2f} s; (n / 5 - 1) x 1.0 s + Retry-After of one: {ideal:.2f} s")
    assert took <= 1.05 * ideal


# --- presses ----------------------------------------------------------------------------------------------------------------


WRONG = ("tom", "hana", "nils", "nobody")
"""Who may not press what is Bea's: the other site's biller, a hygienist of hers, one who had her job and left, a stranger."""
ALL_OF_THEM = {**PEOPLE, **{f"U0{person.upper()}": person for person in WRONG}}
COLLEAGUES = """
[people.hana]
name = "Hana Sorel"
roles = ["hygienist@harbor"]

[people.nils]
name = "Nils Brandt"
roles = ["billing_coordinator@harbor"]
ends = 2026-02-27
"""


def wrong_pair(n: int) -> tuple[str, str]:
    """Two of those who may not press the nth nudge: over twelve nudges every two of them meet."""
    return WRONG[n % 4], WRONG[(n + 1 + n // 4 % 3) % 4]


def with_colleagues(opens: Opens, accounts: Mapping[str, str]) -> Opens:
    """The practice with a hygienist and somebody who left, whose accounts its file names: it says who they are."""
    named = "".join(f'"{account}" = "{person}"\n' for account, person in accounts.items() if person in ("hana", "nils"))

    def open_one(*, practice: str, **how: Any) -> Small:
        return opens(practice=practice + named + COLLEAGUES, **how)

    return open_one


def presses_of(small: Small, accounts: Mapping[str, str]) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """What the ledger holds of presses: by nudge how often it was taken on, by nudge and presser how often it was refused."""
    taken, refused = small.events("nudge acknowledged"), small.events("press refused")
    assert {event.actor for event in taken} == {"bea"}
    who = ((event.subject, event.actor or accounts[str(event.detail["account"])]) for event in refused)
    return Counter(event.subject for event in taken), Counter(who)


def test_a_hundred_presses_of_ten_nudges_have_ten_effects_and_every_wrong_one_is_on_record(opens: Opens) -> None:
    """Without this an impatient thumb, or somebody whom it is no business of, settles a nudge and nobody can tell."""
    with on_fake_slack(with_colleagues(opens, ALL_OF_THEM), "http") as chat:
        count, small, slack = full(100), stalled(chat.small, full(100)), chat.slack
        assert isinstance(slack, Slack)
        for account, person in ALL_OF_THEM.items():
            if person in ("hana", "nils", "nobody"):
                slack.person(person.title(), f"{person}@example.com", id=account)
        small.clock.at = STALLED
        small.tick()
        dm, accounts, ours = slack.dm(ACCOUNT["bea"]), {who: each for each, who in ALL_OF_THEM.items()}, planned(small)
        shown = {m.get("metadata", {}).get("event_payload", {}).get("marker", ""): m for m in slack.messages(dm)}
        wrong = {(marker.removesuffix(":1"), who): 1 for n, marker in enumerate(ours) for who in wrong_pair(n)}
        presses = [("bea", marker) for marker in ours for _ in range(8)]
        presses += [(who, f"{nudge}:1") for nudge, who in wrong]
        random.Random(9).shuffle(presses)

        def press(who: str, marker: str) -> int:
            message = shown[marker]
            button = next(each for each in pressables(message["blocks"]) if each.label == "On it")
            done = slack.press(accounts[who], message, button.element, channel=dm, value=button.value)
            return done.status if done else 0

        with ThreadPoolExecutor(10) as pool:
            statuses = list(pool.map(lambda each: press(*each), presses))
        small.holdfast.work()
        taken, refused = presses_of(small, ALL_OF_THEM)
        assert len(ours) == count and statuses == [200] * 10 * count
        assert taken == {marker.removesuffix(":1"): 1 for marker in ours}
        assert refused == wrong
        assert small.verify().ok
    kinds = Counter(who for _, who in refused)
    print(
        f"Slack: {len(presses)} presses of {count} nudges: {sum(taken.values())} effects; refused and on record: {dict(kinds)}"
    )


def test_an_invoke_that_teams_repeats_under_new_ids_is_one_press(opens: Opens) -> None:
    """Without this a slow answer makes Teams press for people, and each repeat counts as one more press."""
    count, accounts = full(100), {fake_teams.aad(person): person for person in (*PEOPLE.values(), *WRONG)}
    with on_teams(with_colleagues(opens, accounts)) as chat:
        small, fake = stalled(chat.small, count), chat.fake
        fake.add("nobody")
        fake.install("nobody")
        small.clock.at = STALLED
        small.tick()
        ours = {d.message: d.nudge for d in small.deliveries() if d.marker in planned(small)}
        wrong, again = dict[tuple[str, str], int](), list[fake_teams.Answer]()
        for n, posted in enumerate(each for each in fake.chat_of("bea") if each.id in ours):
            button = next(each for each in fake_teams.pressables(fake.seen("bea", posted)) if each.label == "On it")
            pair = wrong_pair(n)
            wrong |= {(ours[posted.id], who): 1 for who in pair}
            again += [fake.press(who, posted, button) for who in pair]
            again += [fake.press("bea", posted, button)] * 6
        statuses = {answer.status for answer in again}
        random.Random(9).shuffle(again)
        with ThreadPoolExecutor(4) as pool:
            statuses |= {answer.status for answer in pool.map(fake.replay, again)}
        small.holdfast.work()
        taken, refused = presses_of(small, accounts)
        assert len(ours) == count and statuses == {200}
        assert taken == dict.fromkeys(ours.values(), 1)
        assert refused == wrong
        assert small.verify().ok
    kinds, total = Counter(who for _, who in refused), 3 * count + len(again)
    print(f"Teams: {total} invokes of {count} nudges: {len(taken)} effects; refused, on record: {dict(kinds)}")


# --- poison -----------------------------------------------------------------------------------------------------------------


def test_messages_that_cannot_be_sent_hold_up_no_others(chat: SlackChat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this one bad card stops every message behind it, and nobody is told that it did not arrive."""
    count, small, slack = full(300), stalled(chat.small, full(300)), chat.slack
    assert isinstance(slack, Slack)
    claims = sorted((nudge for nudge in small.nudges()), key=lambda each: each.id)
    assert claims == []
    drawn, undrawable = nudges.card, set[str]()
    met = dict[str, str]()

    def card(session: Any, house: Any, nudge: Any, now: Any) -> Any:
        met.setdefault(
            nudge.id, ("undrawable", "invalid_blocks", "msg_too_long")[len(met) // 10 % 3] if len(met) % 10 == 0 else ""
        )
        if met[nudge.id] == "undrawable":
            undrawable.add(nudge.id)
            raise ValueError("a fault of ours")
        return drawn(session, house, nudge, now)

    def marked(word: str) -> Callable[[Any], bool]:
        def is_it(arguments: Any) -> bool:
            marker = ((arguments.get("metadata") or {}).get("event_payload") or {}).get("marker", "")
            return met.get(marker.rpartition(":")[0], "") == word

        return is_it

    monkeypatch.setattr(nudges, "card", card)
    for word in ("invalid_blocks", "msg_too_long"):
        slack.trouble("chat.postMessage", "error", times=None, word=word, only=marked(word))
    small.clock.at = STALLED
    small.tick()
    bad = {nudge for nudge, how in met.items() if how}
    came = markers(slack)
    ours = planned(small)
    assert (len(ours), len(bad)) == (count, count // 10)
    good = [marker for marker in ours if marker.removesuffix(":1") not in bad]
    assert {marker: came[marker] for marker in good} == dict.fromkeys(good, 1)
    for _ in range(30):
        small.clock.at += timedelta(minutes=2)
        small.tick()
    spoilt = [d for d in small.deliveries() if d.nudge in bad and d.marker.endswith(":1")]
    assert len(spoilt) == len(bad)
    assert {d.state for d in spoilt} == {"dead"}
    assert max(d.attempts for d in spoilt) <= 5
    listed = {str(fact.label): str(fact.value) for fact in small.holdfast.digest("mona").facts}["Undelivered messages"]
    assert int(listed) >= len(bad)
    assert small.holdfast.health()["undelivered"] >= len(bad)
    assert small.verify().ok
    tries = max(d.attempts for d in spoilt)
    print(f"{len(bad)} of {count} messages were bad: {len(good)} went out in that round; dead after {tries} tries")


# --- events that come again -------------------------------------------------------------------------------------------------


def test_events_that_come_again_and_again_are_answered_once(chat: SlackChat) -> None:
    """Without this a slow minute of ours makes Slack ask everything again, and people get every answer several times."""
    count, small, slack, chance = full(300), chat.small, chat.slack, random.Random(7)
    assert isinstance(slack, Slack)
    slack.holds = True
    dm = slack.dm(ACCOUNT["bea"])
    for n in range(count):
        slack.say(ACCOUNT["bea"], dm, f"help {n}")
    events = list(slack.held)
    told: list[tuple[Any, int]] = []
    for n, event in enumerate(events):
        first = 1 if n % 4 == 0 else 0
        told += [(event, retry) for retry in range(first, min(first + 1 + n % 4, 4))]
    chance.shuffle(told)
    for event, retry in told[: len(told) // 2]:
        slack.deliver(event, retry=retry)
    small.holdfast.front.work()
    for event, retry in told[len(told) // 2 : len(told) * 3 // 4]:
        slack.deliver(event, retry=retry)
    settings = small.holdfast.settings
    small.holdfast.close()
    second = Installation(settings, small.clock)
    platform: Any = second.chats["slack"]
    with serving(Starlette(routes=platform.routes())) as url:
        slack.request_url = url + "/slack/events"
        for event, retry in told[len(told) * 3 // 4 :]:
            slack.deliver(event, retry=retry)
        for event, retry in told[: len(told) // 4]:
            slack.deliver(event, retry=retry)
        second.work()
    answers = [m for m in slack.messages(dm) if m["user"] == slack.bot]
    second.close()
    assert len(answers) == count == len(events)
    print(f"{count} events in {len(told) + len(told) // 4} deliveries across a restart: {len(answers)} answers")


# --- an outage --------------------------------------------------------------------------------------------------------------


def test_six_hours_without_slack_end_quietly(chat: SlackChat) -> None:
    """Without this the end of an outage is a hundred messages at once, most of them about what was put right long ago."""
    count, small, slack = full(800), chat.small, chat.slack
    assert isinstance(slack, Slack)
    small.holdfast.settings = replace(small.holdfast.settings, bundle_from=sweep.BUNDLE_FROM)
    platform: Any = small.holdfast.chats["slack"]
    alive, claims = slack.url, {"harbor": list[Claim](), "pine": list[Claim]()}
    for n in range(count):
        site = ("harbor", "pine")[n % 2]
        touched = START - timedelta(minutes=30 - n * 29 // count)
        claims[site].append(Claim(f"C-{n}", touched, fee=f"{1000 + n}.00"))
    for site, lines in claims.items():
        small.report(site, *lines)
    small.tick()
    small.clock.at = STALLED - timedelta(minutes=1)
    small.tick()
    before = {person: len(slack.messages(slack.dm(account))) for account, person in PEOPLE.items()}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = taken.getsockname()[1]
    platform._client._api_url = f"http://127.0.0.1:{nobody}/api/"
    small.until(STALLED + timedelta(hours=5))
    opened = [nudge for nudge in small.nudges() if nudge.rule == "claim_untouched"]
    resolved = [f"C-{n}" for n in range(count) if n % 10 < 6]
    for site, lines in claims.items():
        paid = [replace(claim, status="Paid", touched=small.clock.at) for claim in lines if claim.number in resolved]
        small.report(site, *paid)
    small.until(STALLED + timedelta(hours=6))
    platform._client._api_url = alive
    for _ in range(60):
        small.clock.at += timedelta(minutes=1)
        small.tick()
    closed = {nudge.id for nudge in small.nudges() if nudge.closed_at is not None and nudge.rule == "claim_untouched"}
    assert (len(opened), len(closed)) == (count, len(resolved))
    said = []
    for account, person in PEOPLE.items():
        fresh = slack.messages(slack.dm(account))[before[person] :]
        moments = [float(message["ts"]) for message in fresh]
        assert all(later - earlier >= 600 for earlier, later in pairwise(moments)), (person, len(fresh))
        for message in fresh:
            fees = [int(fee.replace(",", "")) for fee in re.findall(r"\$(\d,\d{3})", str(message["blocks"]))]
            ages = [(fee - 1000) * 29 // count for fee in fees]
            assert ages == sorted(ages), "not by age"
            assert not {f"C-{fee - 1000}" for fee in fees} & set(resolved)
            said += [(person, len(fees))] if fees else []
    sent = [d for d in small.deliveries() if d.kind in ("nudge", "escalation") and d.state == "sent"]
    assert not {d.nudge for d in sent} & closed
    assert {d.nudge for d in sent} | closed == {nudge.id for nudge in opened}
    assert small.verify().ok
    print(f"down for 6 h: {count} nudges due, {len(closed)} put right meanwhile, {len(sent)} told of in {said} (person, lines)")
