"""A claim that the clearinghouse or the payer rejected and that nobody has worked.

Source: SOP "Billing and claims playbook", step work-rejection (48 h). Denials have a rule of their own beside this one.
"""

from __future__ import annotations

from datetime import datetime

from bot.rules import Finding, Rule, Snapshot, first_after, ran_out, when_clock_ran_out

RULE = Rule(
    id="rejection_unworked",
    kind="claim",
    step="billing-claims#work-rejection",
    title="Rejected claim not worked",
    why="The claim was rejected {since} and nobody has corrected or resent it.",
    done="The claim is marked worked, or it is sent again.",
)


def wake_at(s: Snapshot) -> datetime | None:
    return ran_out(s, _since(s))


def find(s: Snapshot, now: datetime) -> Finding | None:
    return when_clock_ran_out(s, _since(s), now, amount_cents=s.facts.get("charge_cents", 0))


def proof(s: Snapshot, since: datetime) -> datetime | None:
    """Worked, or sent again, after the rejection."""
    return first_after(s, since, "worked_at", "sent_at", "resolved_at")


def _since(s: Snapshot) -> datetime | None:
    since: datetime | None = s.facts.get("rejected_at")
    if s.facts.get("status") != "rejected" or since is None or proof(s, since):
        return None
    return since
