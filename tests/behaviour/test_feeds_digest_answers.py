"""Feeds that fall silent, the first import, the stand-up, my day, and what people may ask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.items import FeedConfig
from bot.records import Feed, read
from connectors import Batch, Connector, ConnectorError
from tests.behaviour.chat import Chat, ConsoleChat, Shown
from tests.behaviour.small import (
    PUBLISHED,
    START,
    STARTER,
    Claim,
    Installation,
    MovableClock,
    Opens,
    Small,
    at,
    furnish,
    settings_of,
)


def titled(messages: list[Shown], start: str) -> list[Shown]:
    return [message for message in messages if message.title.startswith(start)]


def test_a_stale_feed_nudges_nobody_and_is_noticed_once(opens: Opens) -> None:
    """Without this people are nudged about work that was done after the last export."""
    chat = ConsoleChat(opens(stale_after="26 h"))
    small = chat.small
    small.report("harbor", Claim("C-1", START - timedelta(minutes=30)))
    small.report("pine")
    small.until(at("2026-03-05", "12:00"))
    assert chat.inbox("bea") == []
    assert small.nudges() == []
    assert len(titled(chat.inbox("mona"), "A feed has gone quiet · Harbor")) == 1
    feeds = chat.ask("mona", "digest").facts["Feeds"]
    assert "harbor-claims: as of Mon Mar 2, 9:00 AM, too old; nothing is judged on it" in feeds
    small.report("harbor")
    small.passes(minutes=1)
    assert len(chat.inbox("bea")) == 1
    assert small.told().count("feed stale") == 2  # Harbor's and Pine's, once each
    assert small.told().count("feed fresh") == 1


def test_a_stale_feed_closes_nothing_either(opens: Opens) -> None:
    """Without this a broken export verifies or contradicts what nobody has seen."""
    chat = ConsoleChat(opens(stale_after="50 h"))
    chat.small.report("harbor", Claim("C-1", START - timedelta(minutes=30)))
    chat.small.until(at("2026-03-04", "09:00"))
    chat.press("bea", "Done")
    chat.small.until(at("2026-03-06", "12:00"))
    assert (chat.small.nudge().state, chat.small.nudge().contradicted) == ("said_done", 0)
    assert chat.inbox("rae") == []


def test_an_unreadable_file_is_set_aside_whole_and_told_once(chat: Chat) -> None:
    """Without this half a file counts as the whole truth."""
    small = chat.small
    small.report("harbor", Claim("C-1", START))
    small.tick()
    folder = small.home / "exports" / "harbor-claims"
    for hours in (1, 2):  # what cannot be read is known by the time that its file was written
        file, written = folder / f"claims_2026-03-02T{9 + hours}00.csv", (START + timedelta(hours=hours)).timestamp()
        file.write_bytes(b"PK\x03\x04" + bytes(range(256)) * 8)
        os.utime(file, (written, written))
        small.until(START + timedelta(hours=hours + 1))
    assert len(titled(chat.inbox("mona"), "A file was set aside · Harbor")) == 1
    with read(small.holdfast.engine) as session:
        assert session.get_one(Feed, "harbor-claims").as_of == START
    assert small.holdfast.health()["set_aside"]


def backlog(chat: Chat) -> Shown:
    """The first report brings three claims that stalled long before Holdfast was there."""
    old = [Claim(f"C-{n}", START - timedelta(days=7 + n), sent=START - timedelta(days=20)) for n in (1, 2, 3)]
    chat.small.report("harbor", *old)
    chat.small.passes(minutes=10)
    return titled(chat.inbox("mona"), "Claim not touched: backlog to review")[0]


def test_the_first_import_is_one_review_not_a_hundred_nudges(chat: Chat) -> None:
    """Without this the first day with Holdfast is also the last."""
    review = backlog(chat)
    assert review.facts["Found"] == "3 items"
    assert review.facts["Worth"] == "$3,750.00"
    assert review.buttons == ["Nudge the team about these", "Leave them"]
    assert chat.inbox("bea") == []
    assert len(titled(chat.inbox("mona"), "Claim not touched")) == 1


def test_started_the_review_nudges_the_team(chat: Chat) -> None:
    """Without this a backlog that the manager wants worked stays where it is."""
    backlog(chat)
    said = chat.press("mona", "Nudge the team about these")
    assert said.buttons == []
    chat.small.passes(minutes=1)
    assert len(titled(chat.inbox("bea"), "Claim not touched")) == 3


def test_left_the_review_closes_quietly(chat: Chat) -> None:
    """Without this a manager who says "leave them" is asked again."""
    backlog(chat)
    chat.press("mona", "Leave them")
    chat.small.until(at("2026-03-05", "12:00"))
    assert chat.inbox("bea") == []
    assert {n.ending for n in chat.small.nudges()} == {"reviewed"}
    chat.small.report("harbor")
    chat.small.passes(hours=1)
    assert chat.inbox("bea") == []


def test_only_somebody_in_charge_ends_a_review(chat: Chat) -> None:
    """Without this the person who let things lie can make them disappear."""
    backlog(chat)
    review = next(n for n in chat.small.nudges() if n.rule.startswith("review:"))
    for verb in ("start_review", "leave_review", "done", "wrong", "snooze"):
        chat.small.holdfast.press("bea", verb, review.id, "2h" if verb == "snooze" else "other", f"b-{verb}")
    assert next(n for n in chat.small.nudges() if n.id == review.id).closed_at is None
    assert len(chat.small.events("press refused")) == 5


def test_the_stand_up_comes_once_a_day_with_the_figures(chat: Chat) -> None:
    """Without this a manager reads the same thing twice, or counts by hand."""
    small = chat.small
    claims = [Claim("C-1", START - timedelta(minutes=30)), Claim("C-2", START - timedelta(minutes=30), fee="800.50")]
    small.report("harbor", *claims)
    small.report("pine")
    small.until(at("2026-03-04", "08:30"))
    chat.press("bea", "Done", about="$800.50")
    small.touch("C-1", when=at("2026-03-04", "09:00"))
    small.until(at("2026-03-05", "07:40"))
    small.report("harbor")
    for minutes in range(0, 60, 15):
        small.clock.at = at("2026-03-05", "07:40") + timedelta(minutes=minutes)
        small.tick()
    thursday = titled(chat.inbox("mona"), "Stand-up · Harbor · Thu Mar 5")
    assert len(thursday) == 1
    facts = thursday[0].facts
    assert facts["Verified yesterday"] == "1 item · $1,250.00"
    assert facts["Due today"] == "1 item · $800.50"
    assert {"Exceptions waiting", "Undelivered messages"} <= set(facts["At zero"].split(" · "))
    assert "as of Wed Mar 4, 8:30 AM" in facts["Feeds"]
    assert "rows, head" in facts["Evidence"]
    assert len(small.events("digest posted")) == 7  # four mornings at Harbor, three at Pine
    assert "head" in small.events("digest posted")[-1].detail


def test_the_stand_up_is_for_those_in_charge(chat: Chat) -> None:
    """Without this everybody reads how everybody is doing."""
    assert "for the people in charge" in chat.ask("bea", "digest").text
    assert chat.ask("mona", "digest").title == "Stand-up · Harbor · Pine · Mon Mar 2"


def test_my_day_is_in_order_and_opens_each_card(chat: Chat) -> None:
    """Without this people choose by themselves which of nine messages comes first."""
    fees = {"C-1": "100.00", "C-2": "900.00", "C-3": "500.00"}
    claims = [Claim(number, START - timedelta(minutes=30), fee=fee) for number, fee in fees.items()]
    chat.small.report("harbor", *claims, Claim("C-4", START, fee="50.00"))
    chat.small.until(at("2026-03-04", "08:30"))
    day = chat.ask("bea", "my day")
    assert [line.rsplit(" · ", 1)[1] for line in day.text.splitlines()] == ["$900.00", "$500.00", "$100.00"]
    card = chat.press("bea", "Show 1")
    assert card.title == "Claim not touched · $900.00"
    assert chat.ask("tom", "my day").text == "Nothing is waiting for you."


def test_a_question_is_answered_with_the_step_quoted(chat: Chat) -> None:
    """Without this people ask the loudest colleague instead of the SOP."""
    said = chat.ask("bea", "When does a claim go to appeals?")
    assert said.quotes
    assert said.quotes[0].splitlines()[0][:60] in said.text


def test_what_is_in_no_sop_is_refused_and_says_whom_to_ask(chat: Chat) -> None:
    """Without this a made-up answer becomes practice."""
    said = chat.ask("bea", "What is the wifi password of the coffee machine?")
    assert said.title == "Not in our SOPs"
    assert "Ask " in said.text
    assert "6 SOPs" in said.text


def test_odd_questions_end_in_a_sentence(chat: Chat) -> None:
    """Without this a stray key press ends in an error."""
    for words in ("", "   ", "????", "🦷", "\x00\x01", "a" * 5000, "my day " * 400):
        assert chat.ask("bea", words).text


def test_a_reference_is_resolved_for_people_on_duty_and_each_look_is_recorded(chat: Chat) -> None:
    """Without this either nobody can find the claim, or everybody can, unseen."""
    chat.small.report("harbor", Claim("C-77", START - timedelta(minutes=30)))
    chat.small.until(at("2026-03-04", "08:30"))
    ref = chat.inbox("bea")[0].facts["Reference"]
    assert "C-77" not in chat.inbox("bea")[0].all
    found = chat.small.holdfast.look("bea", ref)
    assert found is not None
    assert ("claim_no", "C-77") in found.keys
    refused = chat.small.holdfast.look("tom", ref)
    assert refused is not None
    assert refused.refusal
    assert not refused.keys
    looks = chat.small.events("record looked at")
    assert [(e.actor, e.detail["allowed"]) for e in looks] == [("bea", True), ("tom", False)]


def test_a_first_import_that_broke_off_is_the_past_all_the_same(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this one file that is locked on the first day means a hundred nudges about old work."""
    connect = chat.small.holdfast._connect

    class BreaksOff:
        name = "csv_file"

        def __init__(self, feed: FeedConfig) -> None:
            self.whole = connect(feed)

        def fetch(self, cursor: str | None) -> Iterator[Batch]:
            yield from self.whole.fetch(cursor)
            raise ConnectorError("Not opened, tried again next time: claims.csv.")

    monkeypatch.setattr(chat.small.holdfast, "_connect", BreaksOff)
    backlog(chat)
    assert chat.inbox("bea") == []


def test_a_library_that_comes_after_the_reports_judges_what_is_there(tmp_path: Path) -> None:
    """Without this what was imported before the SOPs were published is never looked at by any rule."""
    furnish(tmp_path)
    clock = MovableClock(START)
    small = Small(tmp_path, Installation(settings_of(tmp_path), clock), clock)
    small.report("harbor", Claim("C-1", START - timedelta(minutes=30)))
    small.tick()
    assert len(small.holdfast.standing().refused) > 0
    small.holdfast.ingest([STARTER], publish=True, by="olu", now=START)
    small.until(at("2026-03-04", "08:30"))
    assert [n.state for n in small.nudges()] == ["sent"]
    small.holdfast.close()


def test_rules_load_on_the_day_their_step_comes_into_force(tmp_path: Path) -> None:
    """Without this a version that takes effect on Monday takes effect at the next restart."""
    furnish(tmp_path)
    clock = MovableClock(PUBLISHED - timedelta(days=4))
    holdfast = Installation(settings_of(tmp_path), clock)
    holdfast.ingest([STARTER], publish=True, by="olu", now=clock.at)
    assert len(holdfast.standing().refused) > 0
    clock.at = PUBLISHED
    assert holdfast.standing().refused == ()
    holdfast.close()


def test_a_fault_in_one_feed_leaves_the_others_and_what_is_due(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this one odd file stops every nudge of the whole practice, and only the log knows."""
    small, connect = chat.small, chat.small.holdfast._connect

    def faulty(feed: FeedConfig) -> Connector:
        if feed.site == "pine":
            raise RuntimeError("a fault")
        return connect(feed)

    monkeypatch.setattr(small.holdfast, "_connect", faulty)
    small.report("harbor", Claim("C-1", START - timedelta(minutes=30)))
    small.until(at("2026-03-04", "08:30"))
    assert len(chat.inbox("bea")) == 1
    assert "pine-claims" in small.holdfast.health()["problems"]


def test_a_file_name_that_is_not_utf_8_is_read_like_any_other(chat: Chat) -> None:
    """Without this a report out of a zip file from Windows stops every sweep from then on."""
    folder = chat.small.home / "exports" / "harbor-claims"
    named = os.fsencode(folder) + b"/Ansp\xfcche_2026-03-02T0900.csv"
    Path(os.fsdecode(named)).write_text(
        "Claim #,Status,Sent,Last activity,Fee\nC-1,Sent,2026-02-27 09:00,2026-03-02 08:30,5.00\n"
    )
    assert chat.small.tick().pulled == {"harbor-claims": 1}
    assert chat.small.tick().pulled == {}


def test_a_file_dated_ahead_does_not_keep_its_feed_fresh(chat: Chat) -> None:
    """Without this one mistyped year has everything judged on old reports for decades."""
    small = chat.small
    small.report("harbor", Claim("C-1", START - timedelta(minutes=30)))
    small.report("harbor", when=at("2062-03-02", "09:00"))
    small.until(START + timedelta(days=7))
    assert "harbor-claims" in small.tick().stale
    assert "still to come" in small.holdfast.health()["problems"]["harbor-claims"]
    small.report("harbor")
    assert small.tick().pulled == {"harbor-claims": 1}


def test_a_feed_is_named_in_one_word(chat: Chat) -> None:
    """Without this a blank in a feed's name stops every sweep once that feed goes quiet."""
    file = chat.small.home / "feeds.toml"
    file.write_text(file.read_text().replace("[feeds.harbor-claims]", '[feeds."Harbor claims"]'))
    assert "its name must be one word" in " ".join(str(finding) for finding in chat.small.holdfast.check())
