"""A site, two people and a nudge in any state, for the tests of cards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bot.cards import NudgeView, StepQuote, Token
from bot.hours import Clock, Site, parse_hours
from bot.practice import Person, Role, Rung
from bot.rules.claim_untouched import RULE as RULE
from knowledge.sops import SopText

DAY = parse_hours("08:00-17:00")
HARBOR = Site("harbor", "Harbor Dental", ZoneInfo("America/New_York"), (DAY, DAY, DAY, DAY, DAY, (), ()))
NOON = datetime(2026, 2, 26, 17, tzinfo=UTC)
FRONT_DESK = Role("front_desk", "Front desk", "Answers the phone.", (Rung("office_manager", Clock(4, "open h")),))
MANAGER = Role("office_manager", "Office manager", "Runs the office.")
BEA = Person("bea", "Bea Ortiz")
QUOTE = StepQuote(
    Token("billing-claims"), 3, Token("work-claims-daily"), Token("7"), SopText("Billing and claims playbook"),
    SopText("Work open claims"), SopText("Open every claim that nobody moved."),
)  # fmt: skip

STATES: dict[str, dict[str, Any]] = {
    "open": {},
    "sent": {},
    "escalated": {"state": "sent", "level": 1},
    "escalated, taken": {"state": "sent", "level": 1, "acknowledged_by": BEA, "acknowledged_at": NOON},
    "contradicted": {"state": "open", "contradicted": 1, "said_done_by": BEA, "said_done_at": NOON},
    "acknowledged": {"acknowledged_by": BEA, "acknowledged_at": NOON},
    "said_done": {"said_done_by": BEA, "said_done_at": NOON},
    "snoozed": {"snoozed_until": NOON + timedelta(hours=2)},
    "exception_asked": {},
    "excepted": {"exception_until": NOON + timedelta(days=14)},
    "held": {},
    "closed": {"ending": "verified", "closed_at": NOON},
}


def view(state: str = "open", **changes: Any) -> NudgeView:
    """A claim that lies still since Monday, nudged about on Thursday, in this state."""
    plain: dict[str, Any] = {
        "id": "N7Q29F4M", "ref": "K7Q29F4M", "rule": RULE, "site": HARBOR, "role": FRONT_DESK, "state": state,
        "since": NOON - timedelta(days=3), "due": NOON + timedelta(days=1), "now": NOON, "zone": HARBOR.zone,
        "amount_cents": 118_500, "level": 0, "quote": QUOTE, "next_role": MANAGER,
    }  # fmt: skip
    return NudgeView(**{**plain, **STATES[state], **changes})
