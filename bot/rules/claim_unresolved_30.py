"""A claim that was sent and has no answer after 30 days.

Source: SOP "Billing and claims playbook", step follow-up-30. Counted from the sending, whatever was touched since.
"""

from __future__ import annotations

from datetime import datetime

from bot.hours import due_at
from bot.rules import Finding, Rule, Snapshot, first_after, ran_out, when_clock_ran_out

RULE = Rule(
    id="claim_unresolved_30",
    kind="claim",
    step="billing-claims#follow-up-30",
    title="Claim unanswered for 30 days",
    why="The claim went out {since} and the payer has not answered.",
    done="The claim shows activity after the thirtieth day, or it is resolved.",
)


def wake_at(s: Snapshot) -> datetime | None:
    return ran_out(s, _since(s))


def find(s: Snapshot, now: datetime) -> Finding | None:
    return when_clock_ran_out(s, _since(s), now, amount_cents=s.facts.get("charge_cents", 0))


def proof(s: Snapshot, since: datetime) -> datetime | None:
    """Followed up after the thirtieth day, escalated, or resolved."""
    fired = due_at(since, s.clock, s.site)
    return first_after(s, fired, "touched_at", "escalated_at", "resolved_at")


def _since(s: Snapshot) -> datetime | None:
    since: datetime | None = s.facts.get("sent_at")
    if s.facts.get("status") != "sent" or since is None or proof(s, since):
        return None
    return since
