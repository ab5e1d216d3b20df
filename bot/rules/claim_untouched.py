"""A claim that is waiting to go out or waiting for the payer, and that nobody has moved.

Source: SOP "Billing and claims playbook", step work-claims-daily. Its clock starts at the last movement of the claim.
"""

from __future__ import annotations

from datetime import datetime

from bot.rules import Finding, Rule, Snapshot, ran_out, when_clock_ran_out

RULE = Rule(
    id="claim_untouched",
    kind="claim",
    step="billing-claims#work-claims-daily",
    title="Claim not touched",
    why="Nobody has moved this claim since {since}.",
    done="The practice-management system shows new activity on the claim.",
)


def wake_at(s: Snapshot) -> datetime | None:
    return ran_out(s, _still_since(s))


def find(s: Snapshot, now: datetime) -> Finding | None:
    return when_clock_ran_out(s, _still_since(s), now, amount_cents=s.facts.get("charge_cents", 0))


def proof(s: Snapshot, since: datetime) -> datetime | None:
    return s.moved_at if s.moved_at > since else None


def _still_since(s: Snapshot) -> datetime | None:
    return s.moved_at if s.facts.get("status") in ("unsent", "sent") else None
