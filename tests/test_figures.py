"""Figures: each one run again by a slow query of its own over all rows; the stand-up shows exactly those."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlmodel import Session, SQLModel

from bot import digest, evidence, figures, items, rules
from bot.chat import Card
from bot.evidence import Event
from bot.figures import Figure
from bot.hours import parse_clock
from bot.items import FeedConfig
from bot.nudges import House
from bot.practice import load_practice, load_roles
from bot.records import Delivery, ExceptionAsked, Feed, LedgerBody, Nudge, read, write
from bot.rules import Anchor

NOW = datetime(2026, 3, 3, 14, tzinfo=UTC)  # a Tuesday, nine in the morning at Harbor, eight at Pine
SAMPLE = Path(digest.__file__).parent / "sample"
STATES = ["held", "open", "sent", "acknowledged", "said_done", "snoozed", "exception_asked", "excepted"] + ["closed"] * 5
ROLES = ["front_desk", "billing_coordinator", "sterilization_lead"]
ENDINGS = ["verified", "overtaken", "wrong", "reviewed", "expired"]
OWED = {"open", "sent", "acknowledged", "said_done", "snoozed", "exception_asked"}


@pytest.fixture(scope="module")
def house() -> House:
    def anchor(step: str) -> Anchor:
        sop, _, name = step.partition("#")
        return Anchor(sop, 1, name, "billing_coordinator", parse_clock("48 h"))

    loaded, _ = rules.load(anchor)
    practice = load_practice(SAMPLE / "practice.toml", load_roles())
    return House(practice, loaded, lambda *_: None, lambda person: ("console", person.id))


def nudge(number: int, chance: random.Random, **values: object) -> Nudge:
    state = chance.choice(STATES)
    closed = state == "closed"
    about = timedelta(hours=chance.randint(-100, 60))
    made: dict[str, Any] = {
        "id": f"N{number:07d}", "item": f"K{number:07d}", "rule": chance.choice(["claim_untouched", "era_unposted"]),
        "window": str(number), "site": chance.choice(["harbor", "pine"]), "role": chance.choice(ROLES), "state": state,
        "level": chance.choice([0, 0, 1]), "sop": "billing-claims", "sop_version": 1, "step": "s", "rule_version": "v",
        "snapshot": "", "amount_cents": chance.choice([0, 12_345, 250_000]), "since_at": NOW + about - timedelta(days=4),
        "opened_at": NOW - timedelta(days=2), "due_at": chance.choice([NOW, NOW + about]), "person": chance.choice(["", "bea"]),
        "closed_at": NOW + about - timedelta(hours=40) if closed else None, "ending": chance.choice(ENDINGS) if closed else "",
    }  # fmt: skip
    return Nudge(**{**made, **values})


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """300 nudges in every state, some contradicted, some asked about; reviews; messages that failed."""
    chance = random.Random(11)
    rows: list[SQLModel] = [nudge(n, chance) for n in range(300)]
    rows += [
        nudge(n, chance, rule=f"review:claim_untouched{n}", item="review:harbor", state="open", closed_at=None)
        for n in range(300, 303)
    ]
    for n in range(0, 300, 7):
        state = chance.choice(["waiting", "granted", "refused"])
        rows.append(
            ExceptionAsked(id=f"E{n:07d}", nudge=f"N{n:07d}", reason="other", asked_by="bea", asked_at=NOW, state=state)
        )
    for n in range(40):
        state, ended = chance.choice([("dead", -1), ("dead", -9), ("ambiguous", None), ("sent", -1), ("pending", None)])
        at = NOW + timedelta(days=ended) if ended is not None else None
        rows.append(Delivery(marker=f"m{n}", kind="nudge", person=chance.choice(["bea", "nobody"]), platform="console",
                             address="bea", card={}, state=state, not_before=NOW, created_at=NOW, ended_at=at))  # fmt: skip
    with write(engine) as session:
        session.add_all(rows)
        for n in range(0, 300, 11):
            at = NOW - timedelta(hours=chance.randint(0, 60))
            for _ in range(chance.randint(1, 2)):
                evidence.append(session, Event(what="done contradicted", at=at, subject=f"N{n:07d}"))
    return engine


def slowly(session: Session, keep: Callable[[Nudge], bool], sites: Iterable[str]) -> dict[tuple[str, str], tuple[int, int]]:
    """(site, role) -> (number, money), one row after the other."""
    out: dict[tuple[str, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for each in session.scalars(select(Nudge)):
        if each.site in sites and not each.rule.startswith("review:") and keep(each):
            n, cents = out[each.site, each.role]
            out[each.site, each.role] = (n + 1, cents + each.amount_cents)
    return dict(out)


START, END = datetime(2026, 3, 2, 5, tzinfo=UTC), datetime(2026, 3, 3, 5, tzinfo=UTC)


def contradicted_in(session: Session) -> set[str]:
    bodies = session.scalars(select(LedgerBody))
    return {b.subject for b in bodies if b.what == "done contradicted" and START <= b.at < END}


QUERIES: list[tuple[str, Callable[[Session, list[str]], Figure], Callable[[Session, Nudge], bool]]] = [
    ("verified", lambda s, sites: figures.verified(s, sites, START, END),
     lambda _, n: n.ending == "verified" and n.closed_at is not None and START <= n.closed_at < END),
    ("unproven", figures.said_unproven, lambda _, n: n.state == "said_done"),
    ("contradicted", lambda s, sites: figures.contradicted(s, sites, START, END), lambda s, n: n.id in contradicted_in(s)),
    ("due", lambda s, sites: figures.due_between(s, sites, NOW, END + timedelta(days=1)),
     lambda _, n: n.state in OWED and NOW <= n.due_at < END + timedelta(days=1)),
    ("at risk", lambda s, sites: figures.at_risk(s, sites, NOW),
     lambda _, n: n.state in OWED and (n.due_at < NOW or n.level > 0)),
    ("stalled", figures.stalled, lambda _, n: n.state in OWED),
]  # fmt: skip


@pytest.mark.parametrize("fast, keep", [q[1:] for q in QUERIES], ids=[q[0] for q in QUERIES])
def test_a_figure_run_again_row_by_row_is_the_same(
    filled: Engine, fast: Callable[[Session, list[str]], Figure], keep: Callable[[Session, Nudge], bool]
) -> None:
    """Lost: a manager acts on a number that nobody can find again in the rows."""
    with read(filled) as session:
        for sites in (["harbor"], ["pine"], ["harbor", "pine"], list[str]()):
            figure = fast(session, sites)
            rows = slowly(session, lambda n: keep(session, n), sites)
            assert {(line.site, line.role): (line.n, line.cents) for line in figure.lines} == rows
            assert len(figure.lines) == len(rows), "one line for each role and site"
            assert (figure.n, figure.cents) == (sum(n for n, _ in rows.values()), sum(c for _, c in rows.values()))
        assert fast(session, ["harbor", "pine"]).n > 1, "a figure of nothing would prove nothing"


def test_at_risk_and_due_today_count_nothing_twice_at_the_first_rung(filled: Engine) -> None:
    """Lost: the same claim is both "due today" and "overdue", and the two do not add up."""
    with write(filled) as session:
        for each in session.scalars(select(Nudge)):
            each.level = 0
        session.flush()
        owed = figures.stalled(session, ["harbor"]).n
        later = figures.due_between(session, ["harbor"], NOW, NOW + timedelta(days=999)).n
        assert figures.at_risk(session, ["harbor"], NOW).n + later == owed


def test_what_waits_and_what_failed(filled: Engine) -> None:
    """Lost: a question that nobody decides, or a message that never came, is on no list."""
    with read(filled) as session:
        site = {n.id: n.site for n in session.scalars(select(Nudge))}
        waiting = {e.id for e in session.scalars(select(ExceptionAsked)) if e.state == "waiting" and site[e.nudge] == "harbor"}
        assert {e.id for e in figures.exceptions_waiting(session, ["harbor"])} == waiting
        assert len(figures.reviews_waiting(session, ["harbor", "pine"])) == 3
        failed = [d for d in session.scalars(select(Delivery)) if d.state in ("dead", "ambiguous")]
        recent = [d for d in failed if d.person == "bea" and (d.ended_at is None or d.ended_at >= START)]
        assert {d.marker for d in figures.undelivered(session)} == {d.marker for d in failed}
        assert {d.marker for d in figures.undelivered(session, ["bea"], START)} == {d.marker for d in recent}
        ended = [n for n in session.scalars(select(Nudge)) if n.closed_at and START <= n.closed_at < END and n.site == "pine"]
        wrong = sum(n.ending == "wrong" for n in ended)
        assert figures.wrong_share(session, ["pine"], START, END) == (wrong, len(ended))


def test_yesterday_is_the_last_open_day_and_the_month_is_the_sites_own(house: House) -> None:
    """Lost: Monday's stand-up reports a Sunday on which nobody worked, and the first of a month still counts the last."""
    harbor = house.site("harbor")
    monday = datetime(2026, 3, 2, 13, tzinfo=UTC)
    start, end = figures.day_before(harbor, monday)
    assert (start.astimezone(harbor.zone).day, end) == (27, datetime(2026, 3, 2, 5, tzinfo=UTC))
    assert figures.month_of(harbor, monday) == datetime(2026, 3, 1, 5, tzinfo=UTC)
    after = datetime(2026, 3, 20, 13, tzinfo=UTC)  # the clocks have changed since the first
    assert figures.month_of(harbor, after) == datetime(2026, 3, 1, 5, tzinfo=UTC)
    assert figures.day_of(harbor, datetime(2026, 3, 8, 12, tzinfo=UTC)) == (
        datetime(2026, 3, 8, 5, tzinfo=UTC), datetime(2026, 3, 9, 4, tzinfo=UTC),
    )  # fmt: skip


# --- the stand-up --------------------------------------------------------------------------------------------------------


def standup(engine: Engine, house: House, feeds: dict[str, FeedConfig] | None = None) -> tuple[Card, dict[str, str]]:
    with read(engine) as session:
        card = digest.card(session, house, feeds or {}, ["harbor", "pine"], NOW)
    return card, {str(f.label): str(f.value) for f in card.facts}


def test_the_stand_up_shows_exactly_the_figures(filled: Engine, house: House) -> None:
    """Lost: the card and the queries drift apart, and the queries are what was tested."""
    _, said = standup(filled, house)
    with read(filled) as session:
        figure = digest.standup(session, house, {}, ["harbor", "pine"], NOW)

    def spoken(each: Figure) -> str:
        items_ = "1 item" if each.n == 1 else f"{each.n} items"
        return f"{items_} · ${each.cents / 100:,.2f}" if each.cents else items_

    sums = {
        "Verified yesterday": figure.verified, "Said done, not shown yet": figure.unproven,
        "Contradicted yesterday": figure.contradicted, "Due today": figure.due_today,
    }  # fmt: skip
    for label, each in sums.items():
        assert said.get(label) == (spoken(each) if each.n else None), label
    assert said["At risk"].split("\n")[0] == spoken(figure.at_risk)
    by_role = said["Stalled, by role and site"].split("\n")
    assert len(by_role) == len(figure.stalled.lines) == 6
    assert sum(int(line.split(": ")[1].split()[0]) for line in by_role) == figure.stalled.n
    assert said["Exceptions waiting"] == str(figure.exceptions)
    assert said["Backlogs to review"] == "3"
    assert said["Undelivered messages"] == str(figure.undelivered)
    assert said["Reported wrong this month"].startswith(f"{figure.wrong[0]} of {figure.wrong[1]} ")
    zero = [label for label, each in sums.items() if not each.n]
    zero += ["Questions nobody could answer this week"] if not figure.unanswered else []
    assert said.get("At zero") == (" · ".join(zero) or None)
    assert figure.ledger[1][:16] in said["Evidence"]


def test_decisions_come_first_and_are_at_most_three(filled: Engine, house: House) -> None:
    """Lost: the manager scrolls past the only lines that need them."""
    card, _ = standup(filled, house)
    asked = [line for line in card.text.split("\n") if line.startswith("Decide")]
    assert len(asked) == 3
    assert [b.verb for b in card.buttons] == ["approve", "refuse"] * 3
    assert str(card.text).startswith("Decide 1: ")


def test_an_empty_day_says_that_nothing_needs_anybody(engine: Engine, house: House) -> None:
    """Lost: silence that could mean "all well" or "broken"."""
    card, said = standup(engine, house)
    assert card.text == "Nothing needs you today."
    assert card.buttons == ()
    assert said == {
        "At zero": "Verified yesterday · Said done, not shown yet · Contradicted yesterday · Due today · At risk · "
        "Stalled, by role and site · Exceptions waiting · Backlogs to review · Undelivered messages · "
        "Questions nobody could answer this week · Reported wrong this month",
        "Feeds": "none",
        "Evidence": "empty",
    }


def test_a_dead_feed_or_a_lost_message_is_not_nothing(engine: Engine, house: House) -> None:
    """Lost: "nothing needs you today" on the very morning on which nothing could be judged."""
    feed = FeedConfig("harbor-claims", "csv_file", "harbor", timedelta(hours=26), {})
    with write(engine) as session:
        session.add(Feed(id=feed.id, connector="csv_file", site="harbor", kinds="claim!", as_of=NOW - timedelta(days=3)))
        session.add(Delivery(marker="m", kind="nudge", person="bea", platform="", address="", card={}, state="dead",
                             not_before=NOW, created_at=NOW, ended_at=NOW))  # fmt: skip
    card, _ = standup(engine, house, {feed.id: feed})
    assert card.text == "Nothing waits for your decision. Below: 1 feed too old to judge by, 1 message undelivered."


def test_my_day_is_ordered_by_safety_deadline_money_and_age(engine: Engine, house: House) -> None:
    """Lost: people start their day with whatever came last."""
    chance = random.Random(3)
    mine = {"site": "harbor", "role": "billing_coordinator", "person": "bea", "state": "sent", "closed_at": None}
    due = NOW + timedelta(hours=3)
    with write(engine) as session:
        session.add_all([
            nudge(1, chance, **mine, rule="claim_untouched", due_at=due, amount_cents=100, since_at=NOW),
            nudge(2, chance, **mine, rule="claim_untouched", due_at=due, amount_cents=900, since_at=NOW),
            nudge(3, chance, **mine, rule="claim_untouched", due_at=due - timedelta(hours=1), amount_cents=1, since_at=NOW),
            nudge(4, chance, **mine, rule="spore_log_missing", due_at=due + timedelta(days=1), amount_cents=0, since_at=NOW),
            nudge(5, chance, **mine, rule="claim_untouched", due_at=due, amount_cents=100, since_at=NOW - timedelta(days=1)),
        ])  # fmt: skip
    with read(engine) as session:
        card = digest.my_day(session, house, house.practice.people["bea"], NOW)
    assert [b.target[-1] for b in card.buttons] == ["4", "3", "2", "5", "1"]
    assert items.AMOUNT  # money is what an item is worth
