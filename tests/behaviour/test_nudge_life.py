"""A claim lies still: who hears of it, what they can press, and what the source makes of their answer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot import assistant, sweep
from bot.chat import Card, Press, Receipt
from tests.behaviour.chat import Chat
from tests.behaviour.small import STALLED, START, Claim, at
from tests.fakes import Troubled, check_all

FIVE = ["On it", "Done", "Snooze", "Can't", "Wrong"]


def still(chat: Chat) -> None:
    """Claim C-1 of Harbor is touched on Monday morning and then by nobody; it is Wednesday, 8:30."""
    chat.small.report("harbor", Claim("C-1", START - timedelta(minutes=30)))
    chat.small.report("pine")
    chat.small.until(STALLED)


def test_the_nudge_reaches_the_person_on_duty_and_stands_alone(chat: Chat) -> None:
    """Without this nobody hears of the claim, or hears without what, why now, the step, the deadline and the buttons."""
    still(chat)
    assert [m.title for m in chat.inbox("bea")] == ["Claim not touched · $1,250.00"]
    nudge = chat.inbox("bea")[0]
    assert nudge.text == "Nobody has moved this claim since Mon Mar 2, 8:30 AM."
    assert "move every claim on it" in nudge.quotes[0]
    assert nudge.facts["Put right by"] == "Thu Mar 5, 5:00 PM"
    assert nudge.facts["Then goes to"] == "RCM specialist"
    assert nudge.buttons == FIVE
    for somebody in ("tom", "rae", "olu"):
        assert chat.inbox(somebody) == []
    assert chat.small.told(chat.small.nudge().id) == ["nudge found", "nudge planned", "nudge sent"]


def test_one_stillness_gives_one_nudge_however_often_it_is_swept(chat: Chat) -> None:
    """Without this people are told the same thing twice and stop reading."""
    still(chat)
    for minutes in (0, 1, 5, 30):
        chat.small.clock.at = STALLED + timedelta(minutes=minutes)
        chat.small.report("harbor")
        chat.small.tick()
    assert len(chat.inbox("bea")) == 1
    assert len(chat.small.nudges()) == 1


def test_on_it_changes_the_card_and_leaves_one_more_row(chat: Chat) -> None:
    """Without this an acknowledgement is neither seen by others nor provable."""
    still(chat)
    before = len(chat.small.told())
    after = chat.press("bea", "On it")
    assert after.text.endswith("Bea Lindqvist is on it since Wed Mar 4, 8:30 AM.")
    assert after.buttons == ["Done", "Snooze", "Can't", "Wrong"]
    assert chat.inbox("bea")[0] == after
    assert chat.small.told()[before:] == ["nudge acknowledged"]


def test_on_it_and_not_moving_is_reminded_once_before_the_deadline(chat: Chat) -> None:
    """Without this "on it" is a way to make the matter disappear."""
    still(chat)
    chat.press("bea", "On it")
    chat.small.until(STALLED + timedelta(hours=4, minutes=-1))
    assert len(chat.inbox("bea")) == 1
    chat.small.until(STALLED + timedelta(hours=4))
    assert [m.buttons for m in chat.inbox("bea")][-1] == FIVE
    assert len(chat.inbox("bea")) == 2
    assert "nudge repeated" in chat.small.told()
    assert chat.inbox("rae") == []


def test_done_is_a_claim_until_the_source_shows_it(chat: Chat) -> None:
    """Without this the ledger would hold opinions instead of facts."""
    still(chat)
    said = chat.press("bea", "Done")
    assert "The source has not shown it yet" in said.text
    assert said.buttons == []
    chat.small.passes(hours=1)
    assert chat.small.nudge().state == "said_done"
    chat.small.touch("C-1", when=STALLED + timedelta(minutes=20))
    chat.small.passes(minutes=1)
    assert chat.small.nudge().ending == "verified"
    assert chat.inbox("bea")[0].text.splitlines()[-1] == "Verified: the source shows it was done. Wed Mar 4, 9:30 AM"
    assert chat.inbox("bea")[0].buttons == []
    assert chat.small.told()[-1] == "nudge verified"


def test_the_source_alone_is_enough(chat: Chat) -> None:
    """Without this people who did the work must also press for it."""
    still(chat)
    chat.small.touch("C-1", when=STALLED + timedelta(minutes=20))
    chat.small.passes(minutes=30)
    assert chat.small.nudge().ending == "verified"
    chat.small.passes(days=1)
    assert len(chat.inbox("bea")) == 1
    assert chat.inbox("rae") == []


def test_done_that_the_source_does_not_show_is_contradicted_and_open_again(chat: Chat) -> None:
    """Without this a wrong "done" looks exactly like a right one."""
    still(chat)
    chat.press("bea", "Done")
    limit = STALLED + timedelta(hours=4)
    chat.small.until(limit - timedelta(minutes=1))
    chat.small.report("harbor", when=limit + timedelta(minutes=2))
    chat.small.until(limit + timedelta(minutes=20))
    assert chat.small.nudge().contradicted == 1
    again = chat.inbox("bea")[-1]
    assert again.text.splitlines()[-1] == (
        "Contradicted: Bea Lindqvist said done Wed Mar 4, 8:30 AM, but the source does not show it. It is open again."
    )
    assert again.buttons == FIVE
    assert len(chat.inbox("bea")) == 2
    assert chat.small.told().count("done contradicted") == 1


def test_a_late_feed_contradicts_nobody(chat: Chat) -> None:
    """Without this people are called liars because an export failed."""
    still(chat)
    chat.press("bea", "Done")
    chat.small.until(at("2026-03-05", "16:00"))
    assert chat.small.nudge().state == "said_done"
    assert "done contradicted" not in chat.small.told()
    assert len(chat.inbox("bea")) == 1
    chat.small.touch("C-1", when=STALLED + timedelta(minutes=5))
    chat.small.passes(minutes=20)
    assert chat.small.nudge().ending == "verified"


def test_silence_goes_up_rung_by_rung_to_the_manager(chat: Chat) -> None:
    """Without this a nudge nobody answers is a nudge nobody owns."""
    still(chat)
    chat.small.until(STALLED + timedelta(hours=4))
    assert [m.title for m in chat.inbox("rae")] == ["Claim not touched · $1,250.00"]
    assert chat.inbox("rae")[0].text.splitlines()[-1] == "The Billing coordinator has not taken it on, so it has come up."
    assert [m for m in chat.inbox("mona") if "not touched" in m.title] == []
    chat.small.until(STALLED + timedelta(hours=8))
    assert [m.title for m in chat.inbox("mona") if "not touched" in m.title] == ["Claim not touched · $1,250.00"]
    chat.small.until(at("2026-03-05", "15:30"))
    assert len(chat.inbox("olu")) == 1
    chat.small.until(at("2026-03-06", "12:00"))
    assert [len([m for m in chat.inbox(p) if "not touched" in m.title]) for p in ("bea", "rae", "mona", "olu")] == [1, 1, 1, 1]
    assert chat.small.told().count("nudge escalated") == 3


def test_past_the_deadline_on_it_goes_up_too(chat: Chat) -> None:
    """Without this whoever says "on it" first can hold everybody else off for ever."""
    still(chat)
    chat.small.until(STALLED + timedelta(hours=3))
    chat.press("bea", "On it")
    chat.small.until(at("2026-03-05", "08:00"))
    chat.small.report("harbor")
    chat.press("bea", "On it")
    chat.small.until(at("2026-03-05", "14:00"))
    chat.press("bea", "On it")
    chat.small.until(at("2026-03-06", "08:00"))
    assert chat.inbox("rae")[-1].text.splitlines()[-1] == "Bea Lindqvist is on it, and it has not moved."


def test_snooze_asks_until_when_and_forgives_what_it_cannot_read(chat: Chat) -> None:
    """Without this a mistyped time silences a nudge for nobody knows how long, or ends in an error."""
    still(chat)
    card = chat.inbox("bea")[0]
    before = chat.small.told()
    for typed in ("", "soon", "2h and a bit", "25:99", "0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00", "99999d"):
        asked = chat.press("bea", "Snooze", typed)
        assert asked.text.endswith(card.text)
        assert asked.text != card.text
        assert asked.buttons == FIVE
    assert chat.press("bea", "Snooze", "2026-03-02T09:00").text.startswith("That time has passed.")
    assert chat.small.told() == before
    assert chat.small.nudge().state == "sent"


@pytest.mark.parametrize(
    ("typed", "wakes"),
    [
        ("2h", at("2026-03-04", "10:30")),
        ("until 10:15", at("2026-03-04", "10:15")),
        ("3 pm", at("2026-03-04", "15:00")),
        ("tomorrow", at("2026-03-05", "08:00")),
        ("tomorrow 9:30", at("2026-03-05", "09:30")),
        ("next opening", at("2026-03-05", "08:00")),
        ("2026-03-05T10:00", at("2026-03-05", "10:00")),
        ("friday 9:00", at("2026-03-05", "17:00")),
        ("3 weeks", at("2026-03-05", "17:00")),
    ],
)
def test_snooze_is_quiet_until_then_and_never_past_the_deadline(chat: Chat, typed: str, wakes: object) -> None:
    """Without this "snooze" is a way around the deadline."""
    still(chat)
    chat.press("bea", "Snooze", typed)
    nudge = chat.small.nudge()
    assert (nudge.state, nudge.snoozed_until) == ("snoozed", wakes)


def test_a_snoozed_nudge_comes_back_to_the_same_person(chat: Chat) -> None:
    """Without this a snooze loses the matter."""
    still(chat)
    chat.press("bea", "Snooze", "2h")
    chat.small.until(STALLED + timedelta(hours=2, minutes=-1))
    assert len(chat.inbox("bea")) == 1
    chat.small.until(STALLED + timedelta(hours=2))
    assert len(chat.inbox("bea")) == 2
    assert chat.inbox("bea")[-1].buttons == FIVE


def test_snoozed_past_its_deadline_it_goes_up_when_it_wakes(chat: Chat) -> None:
    """Without this a button pressed each morning keeps a claim from the lead for ever."""
    still(chat)
    chat.press("bea", "Snooze", "friday 9:00")
    chat.small.until(at("2026-03-06", "07:00"))
    chat.small.report()
    chat.small.until(at("2026-03-06", "08:05"))
    assert (chat.small.nudge().level, chat.small.nudge().state) == (0, "sent")
    chat.press("bea", "Snooze", "monday 9:00")
    chat.small.until(at("2026-03-09", "07:00"))
    chat.small.report()
    chat.small.until(at("2026-03-09", "09:05"))
    assert chat.small.nudge().level == 1


def test_wrong_asks_why_closes_and_is_counted(chat: Chat) -> None:
    """Without this a bad rule goes on annoying people, and nobody sees how bad it is."""
    still(chat)
    assert chat.press("bea", "Wrong").text.startswith("Why? Pick a reason: It has not stalled, It is not mine")
    closed = chat.press("bea", "Wrong", "done-elsewhere: the clearinghouse has it")
    assert closed.text.splitlines()[-1].startswith("Closed: it was reported wrong.")
    assert closed.buttons == []
    chat.small.until(at("2026-03-05", "12:00"))
    assert len(chat.inbox("bea")) == 1
    assert chat.ask("mona", "digest").facts["Reported wrong this month"] == "1 of 1 nudge"


def test_not_mine_goes_up_instead_of_away(chat: Chat) -> None:
    """Without this "not mine" makes it nobody's."""
    still(chat)
    chat.press("bea", "Wrong", "not-mine")
    assert [m.title for m in chat.inbox("rae")] == ["Claim not touched · $1,250.00"]
    assert chat.small.nudge().closed_at is None
    for _ in range(3):  # the card is still before her; saying it again changes nothing
        chat.press("bea", "Wrong", "not-mine")
    assert chat.small.nudge().level == 1
    assert [m for m in chat.inbox("mona") if "not touched" in m.title] == []


def test_whoever_may_not_press_is_refused_and_recorded(chat: Chat) -> None:
    """Without this anybody who sees a card can answer for somebody else."""
    still(chat)
    nudge = chat.small.nudge()
    for verb, note in (("on_it", ""), ("done", ""), ("snooze", "2h"), ("cant", "other"), ("wrong", "other"), ("approve", "")):
        said = chat.small.holdfast.press("tom", verb, nudge.id, note, f"tom-{verb}")
        sentences = ("This is for the Billing coordinator at Harbor.", "Only somebody in charge of Harbor")
        assert str(said.text).startswith(sentences)
    assert chat.small.nudge().state == "sent"
    refused = chat.small.events("press refused")
    assert [(e.actor, e.detail["verb"]) for e in refused] == [
        ("tom", verb) for verb in ("on_it", "done", "snooze", "cant", "wrong", "approve")
    ]


def test_a_press_on_what_is_no_longer_there_is_answered_in_one_sentence(chat: Chat) -> None:
    """Without this an old card in somebody's chat ends in an error."""
    still(chat)
    for target in ("ZZZZZZZZ", "", "../../etc", "x" * 200):
        assert "no longer exists" in str(chat.small.holdfast.press("bea", "done", target, "", f"k{target[:9]}").text)
    nudge = chat.small.nudge().id
    assert "does not belong" in str(chat.small.holdfast.press("bea", "explode", nudge, "", "k1").text)
    assert "do not know you" in str(chat.small.holdfast.press("nobody", "done", nudge, "", "k2").text)


def test_a_press_after_the_end_changes_nothing(chat: Chat) -> None:
    """Without this a claim that is proved done can be taken back by an old card."""
    still(chat)
    nudge = chat.small.nudge().id
    chat.small.touch("C-1", when=STALLED + timedelta(minutes=5))
    chat.small.passes(minutes=10)
    rows = chat.small.told(nudge)
    for verb, note in (("on_it", ""), ("done", ""), ("snooze", "2h"), ("cant", "other"), ("wrong", "other")):
        assert "Somebody was here first" in str(chat.small.holdfast.press("bea", verb, nudge, note, f"late-{verb}").text)
    assert chat.small.told(nudge) == rows
    assert chat.small.nudge().ending == "verified"


def test_what_was_put_right_before_the_message_left_is_not_sent(chat: Chat) -> None:
    """Without this people are interrupted for what they did a minute ago."""
    chat.small.clock.at = at("2026-03-02", "16:40")
    chat.small.report("harbor", Claim("C-1", at("2026-03-02", "16:30")))
    chat.small.until(at("2026-03-04", "16:29"))
    chat.small.clock.at = at("2026-03-04", "17:30")  # it stalls at 16:30; the sweep comes after closing
    chat.small.tick()
    assert chat.small.nudge().state == "open"
    chat.small.touch("C-1", when=at("2026-03-04", "17:20"))
    chat.small.until(at("2026-03-05", "12:00"))
    assert chat.small.nudge().ending == "verified"
    assert chat.inbox("bea") == []


def test_the_item_is_judged_again_at_the_door(chat: Chat) -> None:
    """Without this a nudge that waited in the outbox tells people of a world that is over."""
    small = chat.small
    small.report("harbor", Claim("C-1", START - timedelta(minutes=30)))
    small.report("pine")
    small.until(STALLED - timedelta(minutes=1))
    small.clock.at = STALLED
    swept = sweep.Swept()
    sweep.judge(small.holdfast.round(), STALLED, swept)
    sweep.advance(small.holdfast.round(), STALLED, swept)
    assert [d.state for d in small.deliveries() if d.kind == "nudge"] == ["pending"]
    small.touch("C-1", when=STALLED)
    sweep.pull(small.holdfast.round(), STALLED, swept)
    sweep.deliver(small.holdfast.round(), STALLED, swept)
    assert chat.inbox("bea") == []
    assert small.nudge().ending == "verified"
    assert [(d.state, d.reason) for d in small.deliveries() if d.kind == "nudge"] == [("dropped", "put right meanwhile")]


def test_a_claim_that_leaves_the_report_is_closed_as_overtaken(chat: Chat) -> None:
    """Without this people chase claims that were deleted in their own software."""
    still(chat)
    chat.small.clock.at = STALLED + timedelta(minutes=10)
    chat.small.report("harbor", Claim("C-2", STALLED), gone=["C-1"])
    chat.small.passes(minutes=5)
    assert chat.small.nudge().ending == "overtaken"
    assert chat.inbox("bea")[0].text.splitlines()[-1].startswith("Closed: the source has moved on.")


def test_a_second_stillness_is_a_second_nudge(chat: Chat) -> None:
    """Without this a claim that was touched once is never looked at again."""
    still(chat)
    chat.small.touch("C-1", when=STALLED + timedelta(minutes=30))
    chat.small.passes(hours=1)
    chat.small.until(at("2026-03-05", "12:00"))
    chat.small.report("harbor")
    chat.small.until(at("2026-03-06", "09:00"))
    assert [n.ending for n in chat.small.nudges()] == ["verified", ""]
    assert len(chat.inbox("bea")) == 2


def test_a_report_that_lacked_the_claim_silences_it_for_a_day_only(chat: Chat) -> None:
    """Without this one export that stopped half-way ends every nudge for good, and nobody hears of those claims again."""
    still(chat)
    whole = chat.small.claims["harbor"].pop("C-1")
    chat.small.report("harbor")
    chat.small.passes(minutes=30)
    assert chat.small.nudge().ending == "overtaken"
    chat.small.report("harbor", whole)
    chat.small.passes(minutes=1)
    assert (chat.small.nudge().state, chat.small.nudge().ending) == ("sent", "")
    assert len(chat.inbox("bea")) == 2
    assert chat.small.told(chat.small.nudge().id).count("nudge reopened") == 1
    check_all(chat.small.holdfast.engine)


def test_what_somebody_reported_wrong_is_not_opened_again(chat: Chat) -> None:
    """Without this the next report overrules the person who looked."""
    still(chat)
    chat.press("bea", "Wrong", "not-stalled")
    whole = chat.small.claims["harbor"].pop("C-1")
    chat.small.report("harbor")
    chat.small.passes(minutes=30)
    chat.small.report("harbor", whole)
    chat.small.passes(minutes=30)
    assert chat.small.nudge().ending == "wrong"
    assert len(chat.inbox("bea")) == 1


def test_not_mine_after_on_it_leaves_nobody_on_it(chat: Chat) -> None:
    """Without this the next person reads that somebody is on it who has just said that it is not theirs."""
    still(chat)
    chat.press("bea", "On it")
    chat.press("bea", "Wrong", "not mine")
    assert "is on it" not in chat.inbox("rae")[-1].text
    assert chat.ask("bea", "my day").text == "Nothing is waiting for you."


def test_a_card_that_was_answered_on_its_way_is_put_right(chat: Chat) -> None:
    """Without this a card with live buttons stays in the chat for something that is over."""
    small, real = chat.small, chat.small.writes_on
    small.report("harbor", Claim("C-1", START - timedelta(minutes=30)))
    small.report("pine")
    small.tick()

    class Slow(Troubled):
        def send(self, address: str, card: Card, marker: str) -> Receipt:
            receipt = real.send(address, card, marker)
            if card.kind == "nudge":
                press = Press("bea", "wrong", marker.split(":")[0], "on its way", small.clock.at, "not-stalled")
                assistant.press(small.holdfast.engine, small.holdfast.house, small.holdfast.library, press)
            return receipt

    small.holdfast.sends_to = Slow(real)
    small.until(STALLED)
    assert small.nudge().ending == "wrong"
    assert chat.inbox("bea")[-1].buttons == []
