"""A claim still without an answer after 45 days: it goes to appeals or central follow-up.

Source: SOP "Billing and claims playbook", step escalate-45. Only a hand-over or a resolution proves it, not one more touch.
"""

from __future__ import annotations

from datetime import datetime

from bot.rules import Finding, Rule, Snapshot, first_after, ran_out, when_clock_ran_out

RULE = Rule(
    id="claim_unresolved_45",
    kind="claim",
    step="billing-claims#escalate-45",
    title="Claim unanswered for 45 days",
    why="The claim went out {since} and has no answer: it belongs with appeals or central follow-up.",
    done="The claim is handed to appeals or central follow-up, or it is resolved.",
)


def wake_at(s: Snapshot) -> datetime | None:
    return ran_out(s, _since(s))


def find(s: Snapshot, now: datetime) -> Finding | None:
    return when_clock_ran_out(s, _since(s), now, amount_cents=s.facts.get("charge_cents", 0))


def proof(s: Snapshot, since: datetime) -> datetime | None:
    """Handed over or resolved, at any time after it was sent."""
    return first_after(s, since, "escalated_at", "resolved_at")


def _since(s: Snapshot) -> datetime | None:
    since: datetime | None = s.facts.get("sent_at")
    if s.facts.get("status") != "sent" or since is None or proof(s, since):
        return None
    return since
