"""An ERA that was received and not posted.

Source: SOP "Billing and claims playbook", step post-era. Posted means posted in full: 835 BPR02 against the posted sum.
"""

from __future__ import annotations

from datetime import datetime

from bot.rules import Finding, Rule, Snapshot, ran_out, when_clock_ran_out

RULE = Rule(
    id="era_unposted",
    kind="era",
    step="billing-claims#post-era",
    title="ERA received, not posted",
    why="The payment advice came {since} and its payments are not posted.",
    done="The posting log shows the whole amount of this ERA.",
)


def wake_at(s: Snapshot) -> datetime | None:
    return ran_out(s, _since(s))


def find(s: Snapshot, now: datetime) -> Finding | None:
    return when_clock_ran_out(s, _since(s), now, amount_cents=s.facts.get("paid_cents", 0))


def proof(s: Snapshot, since: datetime) -> datetime | None:
    """Posted, and the posted sum (where the log gives one) is the paid sum."""
    posted: datetime | None = s.facts.get("posted_at")
    if posted is None:
        return None
    whole = s.facts.get("posted_cents", s.facts.get("paid_cents")) == s.facts.get("paid_cents")
    return posted if whole else None


def _since(s: Snapshot) -> datetime | None:
    since: datetime | None = s.facts.get("received_at")
    return None if since is None or proof(s, since) else since
