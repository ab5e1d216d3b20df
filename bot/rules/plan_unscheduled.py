"""A treatment plan that was presented and has no appointment holding one of its procedures.

Source: SOP "Treatment follow-up", step schedule-treatment. Any other appointment of the patient proves nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, time

from bot.hours import opening
from bot.rules import Finding, Rule, Snapshot, ran_out, when_clock_ran_out

RULE = Rule(
    id="plan_unscheduled",
    kind="treatment_plan",
    step="treatment-follow-up#schedule-treatment",
    title="Treatment plan not scheduled",
    why="None of this plan's procedures is on the schedule, and nothing has moved on it since {since}.",
    done="An appointment holds planned procedures of this plan, or the plan is declined or completed.",
)


def wake_at(s: Snapshot) -> datetime | None:
    return ran_out(s, _since(s))


def find(s: Snapshot, now: datetime) -> Finding | None:
    return when_clock_ran_out(s, _since(s), now, amount_cents=s.facts.get("value_cents", 0))


def proof(s: Snapshot, since: datetime) -> datetime | None:
    """Planned procedures are on the schedule, or the plan was answered; dated by the last movement seen."""
    scheduled = s.facts.get("scheduled_for") and s.facts.get("scheduled_codes", 0) > 0
    return s.moved_at if scheduled or s.facts.get("status") in ("declined", "completed") else None


def _since(s: Snapshot) -> datetime | None:
    """From the presentation, or from what moved since: a contact, an answer, an appointment that was taken off again."""
    presented = s.facts.get("presented_on")
    if presented is None or s.facts.get("status", "active") not in ("active", "accepted") or proof(s, s.opened_at):
        return None
    start = opening(s.site, presented) or datetime.combine(presented, time(12), s.site.zone).astimezone(UTC)
    moved = s.moved_at if s.moved_at > s.opened_at else start  # first seen is not yet movement
    contacted: datetime = s.facts.get("contacted_at", start)
    return max(start, moved, contacted)
