""" "Can't": asked with a reason, decided by somebody in charge, over at its expiry. Silence excuses nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.records import Nudge
from tests.behaviour.chat import Chat
from tests.behaviour.small import STALLED, START, Claim, at

ASKED = at("2026-03-04", "09:30")


def asked(chat: Chat, note: str = "waiting-on-payer: they are down") -> Nudge:
    """Bea has said at 9:30 on Wednesday that she cannot work claim C-1."""
    chat.small.report("harbor", Claim("C-1", START - timedelta(minutes=30)))
    chat.small.report("pine")
    chat.small.until(ASKED)
    chat.press("bea", "Can't", note)
    return chat.small.nudge()


def decisions(chat: Chat, person: str) -> list[str]:
    return [m.title for m in chat.inbox(person) if m.title.startswith("Exception asked")]


def reports_daily(chat: Chat, first: str, days: int) -> None:
    """Both sites' software goes on exporting every morning, and nobody touches the claim."""
    for n in range(days):
        for site in ("harbor", "pine"):
            chat.small.report(site, when=at(first, "07:30") + timedelta(days=n))


def test_cannot_asks_why_and_waits_for_the_manager(chat: Chat) -> None:
    """Without this anybody can excuse themselves, or excuse nobody knows what."""
    chat.small.report("harbor", Claim("C-1", START - timedelta(minutes=30)))
    chat.small.until(ASKED)
    assert chat.press("bea", "Can't").text.startswith("Why? Pick a reason: Waiting on the patient, Waiting on the payer")
    said = chat.press("bea", "Can't", "Waiting on the payer")
    assert said.text.splitlines()[-1] == (
        "An exception was asked for. It waits for the manager; until then the deadline stands."
    )
    assert said.buttons == ["Done"]
    card = chat.inbox("mona")[-1]
    assert card.title == "Exception asked: Claim not touched"
    assert card.facts["Reason"] == "Waiting on the payer"
    assert card.facts["Asked by"] == "Bea Lindqvist, Wed Mar 4, 9:30 AM"
    assert card.buttons == ["Approve for 14 days", "Refuse"]


def test_approved_is_quiet_until_its_expiry(chat: Chat) -> None:
    """Without this an approved exception goes on nagging."""
    nudge = asked(chat)
    chat.small.passes(minutes=10)
    decided = chat.press("mona", "Approve for 14 days")
    assert decided.text == "Approved by Mona Ferris, Wed Mar 4, 9:40 AM."
    assert decided.buttons == []
    assert chat.inbox("bea")[0].text.splitlines()[-1] == "Excepted until Wed Mar 18, 10:40 AM."
    before = len(chat.inbox("bea"))
    chat.small.until(at("2026-03-12", "12:00"))
    assert len(chat.inbox("bea")) == before
    assert chat.small.told(nudge.id)[-2:] == ["exception asked", "exception granted"]
    ask = chat.small.exceptions()[0]
    assert (ask.reason, ask.asked_by, ask.decided_by) == ("waiting-on-payer", "bea", "mona")


@pytest.mark.parametrize("early", [timedelta(seconds=1), timedelta(microseconds=1)])
def test_an_expired_exception_silences_nothing(chat: Chat, early: timedelta) -> None:
    """Without this one approval silences a step for ever."""
    asked(chat)
    chat.press("mona", "Approve for 14 days")
    expires = chat.small.exceptions()[0].expires_at
    assert expires == ASKED + timedelta(days=14)
    chat.small.clock.at = expires - timedelta(hours=1)
    chat.small.report("harbor")
    chat.small.clock.at = expires - early
    chat.small.tick()
    assert len(chat.inbox("bea")) == 1
    chat.small.clock.at = expires
    chat.small.tick()
    assert len(chat.inbox("bea")) == 2
    assert chat.small.nudge().state == "sent"
    assert chat.small.exceptions()[0].state == "expired"


def test_refused_comes_back_to_the_person(chat: Chat) -> None:
    """Without this a refused excuse works like an approved one."""
    nudge = asked(chat)
    chat.press("mona", "Refuse")
    assert len(chat.inbox("bea")) == 2
    assert chat.inbox("bea")[-1].buttons[0] == "On it"
    assert chat.inbox("mona")[-1].text == "Refused by Mona Ferris, Wed Mar 4, 9:30 AM."
    assert "exception refused" in chat.small.told(nudge.id)


def test_nobody_decides_their_own(chat: Chat) -> None:
    """Without this the four-eyes rule ends at the manager."""
    chat.small.report("harbor", Claim("C-1", START - timedelta(minutes=30)))
    chat.small.report("pine")
    chat.small.until(STALLED + timedelta(hours=8))  # it has gone up to Mona
    chat.press("mona", "Can't", "not-staffed", about="Claim not touched")
    assert decisions(chat, "mona") == []
    assert decisions(chat, "olu") == ["Exception asked: Claim not touched"]
    ask = chat.small.exceptions()[0]
    said = chat.small.holdfast.press("mona", "approve", ask.id, "", "own")
    assert "nobody decides their own" in str(said.text)
    assert chat.small.exceptions()[0].state == "waiting"
    assert [e.actor for e in chat.small.events("press refused")] == ["mona"]
    chat.press("olu", "Approve for 14 days")
    assert chat.small.nudge().state == "excepted"


def test_only_somebody_in_charge_decides(chat: Chat) -> None:
    """Without this colleagues excuse each other."""
    asked(chat)
    ask = chat.small.exceptions()[0]
    for person in ("bea", "tom", "rae"):
        said = chat.small.holdfast.press(person, "approve", ask.id, "", f"try-{person}")
        assert "Only somebody in charge of Harbor decides this" in str(said.text)
    assert chat.small.exceptions()[0].state == "waiting"
    assert [e.actor for e in chat.small.events("press refused")] == ["bea", "tom", "rae"]


def test_undecided_excuses_nothing(chat: Chat) -> None:
    """Without this a manager's silence is an approval."""
    nudge = asked(chat)
    chat.small.report("harbor", when=at("2026-03-04", "16:00"))
    chat.small.until(at("2026-03-05", "08:00"))
    assert len(chat.inbox("bea")) == 2
    assert chat.inbox("bea")[-1].buttons[0] == "On it"
    assert len(decisions(chat, "mona")) == 2
    assert "exception undecided" in chat.small.told(nudge.id)
    assert chat.small.exceptions()[0].state == "waiting"
    chat.press("mona", "Approve for 14 days")  # late, and still good
    assert chat.small.nudge().state == "excepted"


def test_a_late_refusal_sends_nothing_twice(chat: Chat) -> None:
    """Without this a refusal after the deadline puts a second copy of the same nudge before the same person."""
    asked(chat)
    chat.small.report("harbor", when=at("2026-03-04", "16:00"))
    chat.small.until(at("2026-03-05", "08:00"))
    chat.press("mona", "Refuse")
    chat.small.passes(minutes=5)
    assert len(chat.inbox("bea")) == 2


def test_a_late_approval_reaches_a_snoozed_nudge_too(chat: Chat) -> None:
    """Without this a snooze in between makes an approval that excuses nothing."""
    asked(chat)
    chat.small.report("harbor", when=at("2026-03-04", "16:00"))
    chat.small.until(at("2026-03-05", "08:00"))
    chat.press("bea", "Snooze", "2h")
    chat.press("mona", "Approve for 14 days")
    assert chat.small.nudge().state == "excepted"
    assert chat.small.nudge().snoozed_until is None


def test_asked_again_there_is_one_question(chat: Chat) -> None:
    """Without this two questions wait about one thing, and may be decided both ways."""
    asked(chat)
    chat.small.report("harbor", when=at("2026-03-04", "16:00"))
    chat.small.until(at("2026-03-05", "08:00"))
    chat.press("bea", "Can't", "system-down")
    assert [ask.state for ask in chat.small.exceptions()] == ["withdrawn", "waiting"]
    first = chat.small.exceptions()[0]
    assert "Somebody was here first" in str(chat.small.holdfast.press("mona", "approve", first.id, "", "old").text)
    assert chat.small.nudge().state == "exception_asked"


def test_done_withdraws_the_question(chat: Chat) -> None:
    """Without this a manager decides about work that is done."""
    asked(chat)
    chat.press("bea", "Done")
    assert chat.small.exceptions()[0].state == "withdrawn"
    chat.small.passes(minutes=1)
    assert chat.inbox("mona")[-1].text == "No longer needed: the work was reported done or the item is closed."
    assert chat.inbox("mona")[-1].buttons == []


def test_the_source_withdraws_the_question(chat: Chat) -> None:
    """Without this the stand-up asks for a decision about a closed item every morning."""
    asked(chat)
    chat.small.touch("C-1", when=ASKED + timedelta(minutes=1))
    chat.small.passes(minutes=5)
    assert chat.small.nudge().ending == "verified"
    assert chat.small.exceptions()[0].state == "withdrawn"
    assert "Exceptions waiting" in chat.ask("mona", "digest").facts["At zero"]


def test_the_stand_up_carries_the_decision(chat: Chat) -> None:
    """Without this a manager must look for the question among yesterday's messages."""
    asked(chat)
    stand_up = chat.ask("mona", "digest")
    assert "Decide 1: Bea Lindqvist asks for 14 days on “Claim not touched”, $1,250.00 (Waiting on the payer)" in stand_up.text
    assert stand_up.buttons == ["1: Approve", "1: Refuse"]
    chat.press("mona", "1: Approve")
    assert chat.small.nudge().state == "excepted"
    assert "Exceptions waiting" in chat.ask("mona", "digest").facts["At zero"]


def test_what_is_typed_as_a_reason_is_redacted_before_it_is_kept(chat: Chat) -> None:
    """Without this a patient's name typed in a hurry stays in our tables, and goes into the chain that nobody can erase."""
    from sqlmodel import select

    from bot.records import Note, read

    asked(chat, "waiting-on-patient: Zebulon Quarterstaff 555-867-5309 wants to call back on 3/14/1961")
    with read(chat.small.holdfast.engine) as session:
        notes = list(session.exec(select(Note)))
    assert len(notes) == 1
    assert notes[0].text.endswith("to call back on […]")
    assert not set("0123456789") & set(notes[0].text)
    event = chat.small.events("exception asked")[0]
    assert event.detail["note"] == notes[0].commitment
    for word in ("Zebulon", "Quarterstaff"):
        assert word not in notes[0].text + str(event)
