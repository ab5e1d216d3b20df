"""Every stall rule: when it fires, to the second; what proves it put right, and what does not; when it must be asked again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import rules
from bot.hours import Site, due_at, parse_clock, parse_hours
from bot.rules import Anchor, Loaded, Snapshot
from connectors import KINDS, Fact

DAY = parse_hours("08:00-17:00")
HARBOR = Site("harbor", "Harbor", ZoneInfo("America/New_York"), (DAY, DAY, DAY, DAY, DAY, (), ()), holidays="US")
SECOND = timedelta(seconds=1)
CLOCKS = {
    "billing-claims#work-claims-daily": "5 open d",
    "billing-claims#work-rejection": "48 h",
    "billing-claims#work-denial": "48 h",
    "billing-claims#follow-up-30": "30 d",
    "billing-claims#escalate-45": "45 d",
    "billing-claims#post-era": "2 open d",
    "treatment-follow-up#schedule-treatment": "2 open d",
    "infection-control#weekly-spore-test": "same day",
}


def anchor(step: str, clock: str = "") -> Anchor | None:
    sop, _, name = step.partition("#")
    return Anchor(sop, 3, name, "billing_coordinator", parse_clock(clock or CLOCKS[step])) if step in CLOCKS else None


RULES, REFUSED = rules.load(anchor)


def local(month: int, day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=HARBOR.zone).astimezone(UTC)


TUESDAY = local(2, 10, 10)  # the week after holds Presidents' Day, Monday the 16th
FRIDAY = local(2, 13, 16)


def snap(loaded: Loaded, facts: Mapping[str, Any], moved: datetime = TUESDAY, opened: datetime = TUESDAY, site: Site = HARBOR,
         *, gone: bool = False) -> Snapshot:  # fmt: skip
    return Snapshot("K7Q29F4M", loaded.rule.kind, site, dict(facts), opened, moved, gone, loaded.anchor)


@dataclass(frozen=True)
class Case:
    """Facts with which a rule fires at `fires`, and facts to add with which it does not (silent) or is proved (proof)."""

    rule: str
    facts: Mapping[str, Any]
    since: datetime
    fires: datetime
    amount_cents: int = 0
    moved: datetime = TUESDAY
    opened: datetime = TUESDAY
    silent: tuple[Mapping[str, Any], ...] = ()
    proofs: tuple[tuple[Mapping[str, Any], datetime], ...] = ()
    no_proofs: tuple[Mapping[str, Any], ...] = ()
    id: str = field(default="")


LATER = local(2, 20, 11)
CASES = [
    Case(
        "claim_untouched", {"status": "sent", "charge_cents": 12_000}, TUESDAY, local(2, 18, 17), 12_000,
        silent=({"status": "paid"}, {"status": "denied"}, {"status": "closed"}, {"status": "received"}),
        no_proofs=({"touched_at": LATER},), id="a sent claim, over a weekend and a holiday",
    ),
    Case("claim_untouched", {"status": "unsent"}, FRIDAY, local(2, 23, 17), moved=FRIDAY, id="a claim that never went out"),
    Case(
        "rejection_unworked", {"status": "rejected", "rejected_at": TUESDAY, "charge_cents": 500}, TUESDAY,
        local(2, 12, 10), 500,
        silent=({"status": "sent"}, {"worked_at": LATER}, {"sent_at": LATER}, {"resolved_at": LATER}),
        proofs=(({"worked_at": LATER}, LATER), ({"sent_at": LATER, "worked_at": LATER + SECOND}, LATER)),
        no_proofs=({"worked_at": TUESDAY}, {"sent_at": TUESDAY - SECOND}, {"touched_at": LATER}, {"escalated_at": LATER}),
        id="48 hours of days the site is open",
    ),
    Case(
        "rejection_unworked", {"status": "rejected", "rejected_at": FRIDAY}, FRIDAY, local(2, 18, 16),
        id="the weekend and the holiday do not count",
    ),
    Case(
        "denial_unworked", {"status": "denied", "denied_at": TUESDAY, "charge_cents": 700}, TUESDAY, local(2, 12, 10), 700,
        silent=({"status": "rejected"}, {"worked_at": LATER}, {"escalated_at": LATER}),
        proofs=(({"worked_at": LATER}, LATER), ({"escalated_at": LATER}, LATER), ({"sent_at": LATER}, LATER)),
        no_proofs=({"touched_at": LATER}, {"worked_at": TUESDAY - SECOND}), id="nobody triaged it",
    ),
    Case(
        "claim_unresolved_30", {"status": "sent", "sent_at": local(1, 8, 9), "charge_cents": 900}, local(1, 8, 9),
        local(2, 9, 17), 900,  # 30 days end on Saturday the 7th
        silent=({"status": "denied"}, {"touched_at": local(2, 10, 9)}, {"resolved_at": local(2, 10, 9)}),
        proofs=(({"touched_at": local(2, 10, 9)}, local(2, 10, 9)), ({"escalated_at": local(2, 11, 9)}, local(2, 11, 9))),
        no_proofs=({"touched_at": local(2, 9, 16)}, {"touched_at": local(1, 20, 9)}), id="a touch before counts for nothing",
    ),
    Case(
        "claim_unresolved_45", {"status": "sent", "sent_at": local(1, 8, 9), "charge_cents": 900}, local(1, 8, 9),
        local(2, 23, 17), 900,
        silent=({"status": "paid"}, {"escalated_at": local(2, 20, 9)}),
        proofs=(({"escalated_at": local(2, 20, 9)}, local(2, 20, 9)), ({"resolved_at": local(2, 24, 9)}, local(2, 24, 9))),
        no_proofs=({"touched_at": local(2, 24, 9)}, {"worked_at": local(2, 24, 9)}), id="one more touch is no hand-over",
    ),
    Case(
        "plan_unscheduled", {"presented_on": date(2026, 2, 12), "value_cents": 248_000}, local(2, 12, 8),
        local(2, 17, 17), 248_000,
        silent=({"status": "declined"}, {"status": "completed"}, {"scheduled_for": LATER, "scheduled_codes": 1}),
        proofs=(({"scheduled_for": LATER, "scheduled_codes": 2}, TUESDAY), ({"status": "declined"}, TUESDAY)),
        no_proofs=({"scheduled_for": LATER}, {"scheduled_for": LATER, "scheduled_codes": 0}, {"scheduled_codes": 2},
                   {"status": "accepted"}, {"contacted_at": LATER}),
        id="another appointment of the patient proves nothing",
    ),
    Case(
        "plan_unscheduled", {"presented_on": date(2026, 2, 12), "contacted_at": local(2, 17, 12)}, local(2, 17, 12),
        local(2, 19, 17), id="a dated contact starts the clock again",
    ),
    Case(
        "plan_unscheduled", {"presented_on": date(2026, 2, 12), "scheduled_codes": 0}, local(2, 19, 14),
        local(2, 23, 17), moved=local(2, 19, 14), id="an appointment taken off again starts a new stillness",
    ),
    Case(
        "plan_unscheduled", {"presented_on": date(2026, 2, 14), "status": "accepted"}, local(2, 14, 12), local(2, 18, 17),
        id="presented on a closed Saturday",
    ),
    Case(
        "era_unposted", {"received_at": FRIDAY, "paid_cents": 21_050}, FRIDAY, local(2, 18, 17), 21_050,
        silent=({"posted_at": LATER}, {"posted_at": LATER, "posted_cents": 21_050}),
        proofs=(({"posted_at": LATER}, LATER), ({"posted_at": LATER, "posted_cents": 21_050}, LATER)),
        no_proofs=({"posted_at": LATER, "posted_cents": 21_049}, {"posted_at": LATER, "posted_cents": 0},
                   {"posted_cents": 21_050}),
        id="posted in part is not posted",
    ),
    Case(
        "spore_log_missing", {}, local(2, 9, 0), local(2, 13, 17), opened=local(2, 9, 0),
        silent=({"tested_at": local(2, 11, 9)},), proofs=(({"tested_at": local(2, 11, 9)}, local(2, 11, 9)),),
        no_proofs=({"read_at": LATER}, {"result": "pass"}), id="no row at all",
    ),
    Case(
        "spore_log_missing", {}, local(3, 2, 0), local(3, 6, 17), opened=local(3, 2, 0), id="the week before the clocks change",
    ),
    Case("spore_log_missing", {}, local(3, 9, 0), local(3, 13, 17), opened=local(3, 9, 0), id="the week after"),
]  # fmt: skip
each_case = pytest.mark.parametrize("case", [pytest.param(c, id=f"{c.rule}: {c.id}") for c in CASES])


def test_all_rules_load_and_each_has_a_case() -> None:
    """Lost: a rule file could stop loading, or arrive untested, and nobody would miss its nudges."""
    assert REFUSED == []
    assert len(RULES) == 8
    assert {case.rule for case in CASES} == set(RULES)


@each_case
def test_a_rule_fires_at_its_second(case: Case) -> None:
    """Lost: nudges before their time, which nobody forgives, or a day late."""
    loaded = RULES[case.rule]
    s = snap(loaded, case.facts, case.moved, case.opened)
    assert loaded.find(s, case.fires - SECOND) is None
    found = loaded.find(s, case.fires)
    assert found is not None
    assert found == loaded.find(s, case.fires + timedelta(days=40)), "a finding does not change while nothing else does"
    assert (found.since, found.fired, found.amount_cents) == (case.since, case.fires, case.amount_cents)
    assert found.due == due_at(case.fires, parse_clock("1 open d"), HARBOR)
    assert found.since.tzinfo is UTC
    assert found.window == case.since.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert loaded.wake_at(s) == case.fires
    assert loaded.proof(s, found.since) is None


@each_case
def test_a_rule_is_silent_about_what_is_no_longer_owed(case: Case) -> None:
    """Lost: people would be nudged about work that is done, answered, or somebody else's rule."""
    loaded = RULES[case.rule]
    for more in case.silent:
        s = snap(loaded, {**case.facts, **more}, case.moved, case.opened)
        assert loaded.find(s, case.fires + timedelta(days=400)) is None, more
        assert loaded.wake_at(s) is None, more
    gone = snap(loaded, case.facts, case.moved, case.opened, gone=True)
    assert (loaded.find(gone, case.fires), loaded.wake_at(gone)) == (None, None)


@each_case
def test_only_the_work_itself_proves_it(case: Case) -> None:
    """Lost: "done" would be verified by something that merely happened near it."""
    loaded = RULES[case.rule]
    for more, proved in case.proofs:
        assert loaded.proof(snap(loaded, {**case.facts, **more}, case.moved, case.opened), case.since) == proved, more
    for more in case.no_proofs:
        assert loaded.proof(snap(loaded, {**case.facts, **more}, case.moved, case.opened), case.since) is None, more


def test_movement_proves_a_touched_claim_and_starts_a_new_stillness() -> None:
    """Lost: a claim that moved once would never be found again, or "done" could not be proved."""
    loaded = RULES["claim_untouched"]
    before = snap(loaded, {"status": "sent"})
    after = replace(before, moved_at=LATER)
    first, again = (loaded.find(s, LATER + timedelta(days=30)) for s in (before, after))
    assert loaded.proof(after, TUESDAY) == LATER
    assert loaded.proof(before, TUESDAY) is None
    assert first and again
    assert (first.window, again.window) == ("2026-02-10T15:00:00Z", "2026-02-20T16:00:00Z")


def test_a_spore_week_that_is_closed_on_its_friday_ends_on_its_last_open_day() -> None:
    """Lost: in a holiday week the missing test would be noticed after everybody had gone home for four days."""
    loaded = RULES["spore_log_missing"]
    thanksgiving = datetime(2026, 11, 23, tzinfo=HARBOR.zone).astimezone(UTC)
    site = replace(HARBOR, closed=frozenset({date(2026, 11, 27)}))
    s = snap(loaded, {}, opened=thanksgiving, site=site)
    assert loaded.wake_at(s) == datetime(2026, 11, 25, 17, tzinfo=HARBOR.zone)
    closed = replace(s, site=replace(HARBOR, week=((), (), (), (), (), (), ())))
    assert (loaded.wake_at(closed), loaded.find(closed, thanksgiving + timedelta(days=90))) == (None, None)


# --- asked again at the right instant ----------------------------------------------------------------------------------------

ZONES = ["America/New_York", "America/Chicago", "America/Phoenix", "America/Los_Angeles", "Pacific/Honolulu"]
HOURS = [parse_hours(text) for text in ("08:00-17:00", "07:30-12:00 13:00-16:30", "00:00-24:00", "01:00-03:00")]
NEAR_CLOCK_CHANGES = st.sampled_from([date(2026, 3, 8), date(2026, 11, 1), date(2026, 7, 4), date(2026, 12, 25)])


@st.composite
def instants(draw: st.DrawFn) -> datetime:
    """Around the nights the clocks change and public holidays."""
    day = draw(NEAR_CLOCK_CHANGES)
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=draw(st.integers(-50 * 86400, 5 * 86400)))


def _value(fact: Fact) -> st.SearchStrategy[Any]:
    match fact.type:
        case "instant":
            return instants()
        case "date":
            return instants().map(lambda at: at.date())
        case "enum":
            return st.sampled_from(fact.words)
        case "codes":
            return st.just(())
    return st.integers(0, 3)


@st.composite
def stalled_or_not(draw: st.DrawFn) -> tuple[Loaded, Snapshot]:
    loaded = draw(st.sampled_from(list(RULES.values())))
    clock = draw(st.sampled_from(["5 open d", "48 h", "30 d", "4 open h", "90 min", "same day"]))
    live = anchor(loaded.rule.step, clock)
    assert live
    loaded = replace(loaded, anchor=live)
    kind: Any = loaded.rule.kind
    hours = draw(st.sampled_from(HOURS))
    weekend = draw(st.sampled_from([(), hours]))
    site = Site("s", "S", ZoneInfo(draw(st.sampled_from(ZONES))), (hours,) * 5 + (weekend, ()), holidays="US")
    known = draw(st.sets(st.sampled_from(sorted(KINDS[kind]))))
    facts = {name: draw(_value(KINDS[kind][name])) for name in known}
    if kind == "claim" and draw(st.booleans()):
        facts["status"] = draw(st.sampled_from(["sent", "denied", "rejected"]))
    if kind == "treatment_plan" and draw(st.booleans()):
        facts["presented_on"] = date(2026, 3, 7)
    return loaded, snap(loaded, facts, draw(instants()), draw(instants()), site)


@settings(max_examples=400, deadline=None)
@given(stalled_or_not())
def test_a_rule_wakes_at_the_first_instant_at_which_it_fires(drawn: tuple[Loaded, Snapshot]) -> None:
    """Lost: the sweep asks a rule only at the instant it named; a rule that names a later one, or none, is never heard."""
    loaded, s = drawn
    wake = loaded.wake_at(s)
    if wake is None:
        assert loaded.find(s, datetime(2036, 1, 1, tzinfo=UTC)) is None
        return
    found = loaded.find(s, wake)
    assert loaded.find(s, wake - timedelta(microseconds=1)) is None
    assert found is not None
    assert found.fired == wake
    assert found.due > wake
    assert loaded.proof(s, found.since) is None, "what is proved has not stalled"


# --- loading ------------------------------------------------------------------------------------------


def test_a_rule_without_its_step_is_refused_in_a_sentence() -> None:
    """Lost: a practice that took a step out of its SOP would still be nudged about it, citing nothing."""
    loaded, refused = rules.load(lambda step: None if step.endswith("post-era") else anchor(step))
    assert "era_unposted" not in loaded
    assert [(r.rule, r.file, r.why) for r in refused] == [
        ("era_unposted", "era_unposted.py", "rule era_unposted: no published SOP has the step billing-claims#post-era; "
         "publish one, or take the rule out"),
    ]  # fmt: skip


def test_a_rule_whose_step_has_no_role_or_clock_is_refused_with_the_reason() -> None:
    """Lost: one half-written SOP step would stop every rule, or start one that reaches nobody."""

    def half(step: str) -> Anchor | None:
        if step.endswith("work-denial"):
            raise ValueError("it names no clock")
        return anchor(step)

    loaded, refused = rules.load(half)
    assert len(loaded) == 7
    why = "rule denial_unworked: the SOP step billing-claims#work-denial cannot carry it: it names no clock"
    assert [r.why for r in refused] == [why]


def test_the_clock_is_the_steps_own() -> None:
    """Lost: editing the SOP would change the text and not the practice."""
    slow, fast = (rules.load(lambda step, c=clock: anchor(step, c))[0]["era_unposted"] for clock in ("5 open d", "4 open h"))  # type: ignore[misc]
    s = snap(slow, {"received_at": TUESDAY})
    assert slow.wake_at(s) == local(2, 18, 17)
    assert fast.wake_at(replace(s, anchor=fast.anchor)) == local(2, 10, 14)


def test_a_rules_version_is_its_source() -> None:
    """Lost: the evidence could not say which version of a rule found what."""
    assert len({loaded.version for loaded in RULES.values()}) == len(RULES)
    assert all(len(loaded.version) == 12 for loaded in RULES.values())
