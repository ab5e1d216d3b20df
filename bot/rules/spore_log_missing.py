"""A sterilizer without a spore test on file when its ISO week ends. Fires with no row at all.

Source: SOP "Sterilization and infection control", step weekly-spore-test. The item is expected by the calendar, one for each
sterilizer and week, so silence is what it notices.
"""

from __future__ import annotations

from datetime import datetime

from bot.hours import iso_week_end, local_day
from bot.rules import Finding, Rule, Snapshot, fired_at

RULE = Rule(
    id="spore_log_missing",
    kind="sterilizer_week",
    step="infection-control#weekly-spore-test",
    title="Spore test not on file",
    why="The week has ended and no spore test of this sterilizer is on file.",
    done="The spore log has a row for this sterilizer and week.",
    safety=True,
)


def wake_at(s: Snapshot) -> datetime | None:
    return None if proof(s, s.opened_at) else _week_end(s)


def find(s: Snapshot, now: datetime) -> Finding | None:
    ended = wake_at(s)
    return fired_at(s, s.opened_at, ended) if ended and now >= ended else None


def proof(s: Snapshot, since: datetime) -> datetime | None:
    """A test of that week is on file; when it was done."""
    tested: datetime | None = s.facts.get("tested_at")
    return tested


def _week_end(s: Snapshot) -> datetime | None:
    year, week, _ = local_day(s.site, s.opened_at).isocalendar()
    return iso_week_end(s.site, year, week)
