"""A claim the payer denied that nobody has triaged: no work, no appeal, no resend since the denial.

Source: SOP "Billing and claims playbook", step work-denial (48 h). A denial may be seen first in an ERA (835 CLP04 is zero).
"""

from __future__ import annotations

from datetime import datetime

from bot.rules import Finding, Rule, Snapshot, first_after, ran_out, when_clock_ran_out

RULE = Rule(
    id="denial_unworked",
    kind="claim",
    step="billing-claims#work-denial",
    title="Denied claim not worked",
    why="The payer denied the claim {since} and nobody has triaged it.",
    done="The claim is marked worked, handed to appeals, or sent again.",
)


def wake_at(s: Snapshot) -> datetime | None:
    return ran_out(s, _since(s))


def find(s: Snapshot, now: datetime) -> Finding | None:
    return when_clock_ran_out(s, _since(s), now, amount_cents=s.facts.get("charge_cents", 0))


def proof(s: Snapshot, since: datetime) -> datetime | None:
    """Worked, appealed, resent or resolved after the denial."""
    return first_after(s, since, "worked_at", "escalated_at", "sent_at", "resolved_at")


def _since(s: Snapshot) -> datetime | None:
    since: datetime | None = s.facts.get("denied_at")
    if s.facts.get("status") != "denied" or since is None or proof(s, since):
        return None
    return since
