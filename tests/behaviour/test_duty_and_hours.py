"""Who is asked, and when: leave, cover, nobody, evenings, nights, two zones."""

from __future__ import annotations

from datetime import timedelta

from tests.behaviour.chat import ConsoleChat
from tests.behaviour.small import PRACTICE, START, Claim, Opens, at

LEAVE = PRACTICE.replace('cover = ["tom"]', 'cover = ["tom"]\nleave = [{ from = 2026-03-04, until = 2026-03-06 }]')
NOBODY = PRACTICE.replace('roles = ["billing_coordinator@harbor"]', 'roles = ["front_desk@harbor"]')
STERILIZERS = PRACTICE.replace('name = "Harbor"\n', 'name = "Harbor"\nsterilizers = ["H1"]\n')


def test_on_leave_the_cover_is_asked_and_may_press(opens: Opens) -> None:
    """Without this work lies until somebody is back from holiday."""
    chat = ConsoleChat(opens(practice=LEAVE))
    chat.small.report("harbor", Claim("C-1", START))
    chat.small.report("pine")
    chat.small.until(at("2026-03-04", "10:00"))
    assert chat.inbox("bea") == []
    assert [m.title for m in chat.inbox("tom")] == ["Claim not touched · $1,250.00"]
    chat.press("tom", "On it")
    assert chat.small.nudge().acknowledged_by == "tom"


def test_where_nobody_holds_the_role_the_manager_is_told(opens: Opens) -> None:
    """Without this a job that nobody has is a job that nobody hears of."""
    chat = ConsoleChat(opens(practice=NOBODY))
    chat.small.report("harbor", Claim("C-1", START))
    chat.small.report("pine")
    chat.small.until(at("2026-03-04", "10:00"))
    assert [m.title for m in chat.inbox("mona") if "Stand-up" not in m.title] == ["Claim not touched · $1,250.00"]
    assert [e.detail["for"] for e in chat.small.events("nobody on duty")] == ["billing_coordinator"]


def test_with_the_manager_away_it_goes_to_the_managers_cover(opens: Opens) -> None:
    """Without this a manager's holiday is the end of every ladder."""
    away = NOBODY.replace('cover = ["olu"]', 'cover = ["olu"]\nleave = [{ from = 2026-03-01, until = 2026-03-31 }]')
    chat = ConsoleChat(opens(practice=away))
    chat.small.report("harbor", Claim("C-1", START))
    chat.small.report("pine")
    chat.small.until(at("2026-03-04", "10:00"))
    assert chat.inbox("mona") == []
    assert [m.title for m in chat.inbox("olu") if "Stand-up" not in m.title] == ["Claim not touched · $1,250.00"]


def test_what_comes_up_in_the_evening_waits_for_the_morning(opens: Opens) -> None:
    """Without this people are written to at night, and learn to mute us."""
    chat = ConsoleChat(opens())
    chat.small.clock.at = at("2026-03-02", "16:59")
    chat.small.report("harbor", Claim("C-1", at("2026-03-02", "16:58")))
    chat.small.tick()
    chat.small.clock.at = at("2026-03-04", "18:00")
    chat.small.tick()
    assert chat.small.nudge().state == "open"
    chat.small.until(at("2026-03-05", "07:59"))
    assert chat.inbox("bea") == []
    chat.small.until(at("2026-03-05", "08:00"))
    assert len(chat.inbox("bea")) == 1


def test_a_message_that_was_late_finds_whoever_is_in_now(opens: Opens) -> None:
    """Without this a nudge written at five to five is read in somebody's evening."""
    from bot import sweep

    chat = ConsoleChat(opens())
    small = chat.small
    small.report("harbor", Claim("C-1", START))
    small.until(at("2026-03-04", "08:59"))
    swept, then = sweep.Swept(), at("2026-03-04", "16:59")
    sweep.judge(small.holdfast.round(), then, swept)
    sweep.advance(small.holdfast.round(), then, swept)
    small.clock.at = at("2026-03-04", "17:00")
    small.tick()
    assert chat.inbox("bea") == []
    small.until(at("2026-03-05", "08:00"))
    assert len(chat.inbox("bea")) == 1


def test_two_sites_keep_their_own_wall_clocks(opens: Opens) -> None:
    """Without this Denver is asked on New York's time."""
    chat = ConsoleChat(opens())
    small = chat.small
    for site in ("harbor", "pine"):
        small.clock.at = at("2026-03-02", "08:10", site)
        small.report(site, Claim(f"{site[0].upper()}-1", at("2026-03-02", "08:00", site)))
        small.tick()
    small.until(at("2026-03-04", "08:00"))
    assert (len(chat.inbox("bea")), len(chat.inbox("tom"))) == (1, 0)
    small.until(at("2026-03-04", "08:00", "pine"))
    assert (len(chat.inbox("bea")), len(chat.inbox("tom"))) == (1, 1)
    assert chat.inbox("bea")[0].facts["Put right by"] == "Thu Mar 5, 5:00 PM"
    assert chat.inbox("tom")[0].facts["Put right by"] == "Thu Mar 5, 5:00 PM"
    assert chat.inbox("tom")[0].facts["Site"] == "Pine"


def test_a_missing_spore_log_is_noticed_with_no_row_at_all(opens: Opens) -> None:
    """Without this an obligation that leaves no trace is never missed."""
    chat = ConsoleChat(opens(practice=STERILIZERS))
    chat.small.until(at("2026-03-06", "17:00"))
    assert [n.rule for n in chat.small.nudges()] == ["spore_log_missing"]
    chat.small.until(at("2026-03-09", "08:00"))
    told = next(m for m in chat.inbox("mona") if m.title == "Spore test not on file")  # nobody here is sterilization lead
    assert told.facts["Sterilizer and week"] == "H1/2026-W10"
    assert "spore" in told.quotes[0].lower()


def test_somebody_who_has_left_hears_nothing_and_presses_nothing(opens: Opens) -> None:
    """Without this a former employee keeps a way in."""
    gone = PRACTICE.replace('cover = ["tom"]', 'cover = ["tom"]\nends = 2026-03-03')
    chat = ConsoleChat(opens(practice=gone))
    chat.small.report("harbor", Claim("C-1", START))
    chat.small.report("pine")
    chat.small.until(at("2026-03-04", "10:00"))
    assert chat.inbox("bea") == []
    said = chat.small.holdfast.press("bea", "done", chat.small.nudge().id, "", "left")
    assert str(said.text).startswith("This is for the Billing coordinator at Harbor.")
    assert len(chat.inbox("tom")) == 1
    chat.small.holdfast.ask("bea", "How do I post an ERA?")  # no error, and nothing quoted
    assert chat.ask("bea", "How do I post an ERA?").quotes == []


def test_a_site_that_never_opens_holds_up_nobody(opens: Opens) -> None:
    """Without this one closed office stops the nudges of all others."""
    shut = PRACTICE.replace('name = "Pine"\n', 'name = "Pine"\nclosed = [{ from = 2026-03-01, until = 2026-12-31 }]\n')
    chat = ConsoleChat(opens(practice=shut))
    chat.small.report("harbor", Claim("C-1", START))
    chat.small.report("pine", Claim("P-1", START))
    chat.small.until(at("2026-03-04", "09:00"))
    assert len(chat.inbox("bea")) == 1


def test_a_broken_practice_file_changes_nothing_while_it_is_broken(opens: Opens) -> None:
    """Without this one mistyped line in an editor stops every nudge."""
    chat = ConsoleChat(opens())
    chat.small.report("harbor", Claim("C-1", START))
    chat.small.until(at("2026-03-03", "09:00"))
    file = chat.small.home / "practice.toml"
    file.write_text(PRACTICE + "\n[people.bea\n")
    chat.small.until(at("2026-03-04", "09:00") + timedelta(minutes=1))
    assert len(chat.inbox("bea")) == 1
    health = chat.small.holdfast.health()
    assert not health["ok"]
    assert "practice.toml" in str(health["files"])
    file.write_text(PRACTICE.replace("Bea Lindqvist", "Bea Lindquist"))
    assert chat.small.holdfast.practice.people["bea"].name == "Bea Lindquist"
    assert chat.small.holdfast.health()["files"] == ""
