"""Instants as people type and read them, in their site's time zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

FURTHEST = timedelta(days=366)
"""How far ahead an instant may lie."""

_SPAN = re.compile(r"(\d{1,5})\s*(m|min|minutes?|h|hours?|d|days?)")
_DAY_TIME = re.compile(r"(today|tomorrow|(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6})(?:\s+(?:at\s+)?(.+))?")
_TIME = re.compile(r"(\d{1,2})(?::(\d{2}))?\s*(am|pm)?")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FULL_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def instant(text: str, now: datetime, zone: str, opening: datetime) -> datetime | None:
    """The instant that `text` names, or None where it names none.

    text     `2h`, `90m`, `3d` (same time of day, three days on), `next opening`, `tomorrow 9:00`, `monday 2 pm`,
             `2026-03-02T09:00` (with an offset if wanted), `2026-03-02 9:00`; a day without a time means 9:00
    zone     IANA name; times of day are read in it
    returns  aware UTC; may lie before `now`, which is for the caller to refuse
    """
    words = " ".join(text.lower().split()).removeprefix("until ")
    if words in ("next opening", "opening"):
        return opening
    local = now.astimezone(ZoneInfo(zone))
    try:
        found = _span(words, local) or _day_time(words, local) or _iso(words, ZoneInfo(zone))
        return found.astimezone(UTC) if found else None
    except (ValueError, OverflowError):
        return None


def tomorrow_at_nine(now: datetime, zone: str) -> datetime:
    """9:00 of the next local day."""
    local = now.astimezone(ZoneInfo(zone))
    return datetime.combine(local.date() + timedelta(days=1), time(9), local.tzinfo).astimezone(UTC)


def clock(at: datetime, zone: str) -> str:
    """`9:14 am`"""
    local = at.astimezone(ZoneInfo(zone))
    return f"{(local.hour - 1) % 12 + 1}:{local.minute:02} {'am' if local.hour < 12 else 'pm'}"


def day(at: datetime, zone: str) -> str:
    """`Mon, Mar 2`"""
    local = at.astimezone(ZoneInfo(zone))
    return f"{_DAYS[local.weekday()].title()}, {_MONTHS[local.month - 1]} {local.day}"


def stamp(at: datetime, zone: str) -> str:
    """`Mon, Mar 2, 9:14 am`"""
    return f"{day(at, zone)}, {clock(at, zone)}"


def local_minutes(at: datetime, zone: str) -> str:
    """`2026-03-02T09:14`, as a date-time field of a form wants it."""
    return at.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%dT%H:%M")


def _span(words: str, local: datetime) -> datetime | None:
    found = _SPAN.fullmatch(words)
    if found is None:
        return None
    count, unit = int(found[1]), found[2][0]
    if unit == "d":
        return local + timedelta(days=count)  # wall-clock arithmetic: the same time of day, also over a DST night
    return local.astimezone(UTC) + (timedelta(hours=count) if unit == "h" else timedelta(minutes=count))


def _day_time(words: str, local: datetime) -> datetime | None:
    found = _DAY_TIME.fullmatch(words)
    if found is None:
        return None
    on, at = _day_named(found[1], local.date()), _time(found[2] or "9:00")
    return datetime.combine(on, at, local.tzinfo) if on and at else None


def _day_named(name: str, today: date) -> date | None:
    if name in ("today", "tomorrow"):
        return today + timedelta(days=int(name == "tomorrow"))
    if name not in _DAYS and name not in _FULL_DAYS:
        return None
    ahead = (_DAYS.index(name[:3]) - today.weekday() - 1) % 7 + 1
    return today + timedelta(days=ahead)


def _time(text: str) -> time | None:
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    hour = int(found[1])
    if found[3]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (found[3] == "pm")
    return time(hour, int(found[2] or 0))


def _iso(words: str, zone: ZoneInfo) -> datetime | None:
    found = re.fullmatch(r"(\d{4}-\d{2}-\d{2})(?:[t ](\d{1,2}:\d{2}.*))?", words)
    if found is None:
        return None
    of_day = found[2] or "9:00"
    at = datetime.fromisoformat(f"{found[1]}T{of_day if of_day[1] != ':' else '0' + of_day}".upper())
    return at if at.tzinfo else at.replace(tzinfo=zone)
