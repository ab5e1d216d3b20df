"""Business time: when a site is open, when a person works, when a clock runs out. Pure; nothing here reads the clock.

Wall time becomes UTC in one place (`_instant`). A wall time that comes twice in autumn means the first one; a wall time that
spring leaves out means the moment after the gap. So later wall times are never earlier instants, and days of 23 and 25 hours
need no case of their own.

    NeverOpen   nothing opens within 60 days, so no deadline could be kept
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Literal, Protocol, cast
from zoneinfo import ZoneInfo

Span = tuple[datetime, datetime]
"""From the first instant to the first instant after, aware UTC."""
DayHours = tuple[tuple[time, time], ...]
"""Wall times of one day, in order; an end of 00:00 is the midnight that ends the day."""
Week = tuple[DayHours, DayHours, DayHours, DayHours, DayHours, DayHours, DayHours]
"""Monday to Sunday."""
Unit = Literal["h", "open h", "d", "open d", "min", "same day"]

SEARCH_DAYS = 60
_DAY = timedelta(days=1)
_MIDNIGHT = time(0, 0)


class NeverOpen(Exception):
    """Nothing opens within 60 days."""


class Windows(Protocol):
    """Whatever is open at some times: a site, or a person's shift there."""

    @property
    def zone(self) -> ZoneInfo: ...

    def spans_on(self, day: date) -> tuple[Span, ...]:
        """The open spans of one local day, in order, none touching another day."""
        ...


@dataclass(frozen=True)
class Site:
    """One office: its zone, its week, and the days that are different.

    closed    days it is closed beside its week and the public holidays
    holidays  country, or country and region, of the public holidays it keeps: "US", "US-MA"; empty for none
    days      days with hours of their own; these outrank closed, holidays and week
    """

    id: str
    name: str
    zone: ZoneInfo
    week: Week
    closed: frozenset[date] = frozenset()
    holidays: str = ""
    days: tuple[tuple[date, DayHours], ...] = ()

    def hours_on(self, day: date) -> DayHours:
        """The wall times it is open on `day`; empty when closed."""
        special = self.special_on(day)
        if special is not None:
            return special
        usual = self.week[day.weekday()]
        return () if usual and self.is_day_off(day) else usual

    def special_on(self, day: date) -> DayHours | None:
        """The hours of its own that `day` has, or None on a usual day."""
        return next((hours for special, hours in self.days if special == day), None)

    def is_day_off(self, day: date) -> bool:
        """Whether `day` is a public holiday or a listed closed day, whatever the weekday."""
        return day in self.closed or bool(self.holidays and day in public_holidays(self.holidays, day.year))

    def spans_on(self, day: date) -> tuple[Span, ...]:
        return spans(self.zone, day, self.hours_on(day))


@dataclass(frozen=True)
class Clock:
    """An amount of business time as an SOP writes it. `str()` gives that writing back."""

    amount: int
    unit: Unit

    def __str__(self) -> str:
        return self.unit if self.unit == "same day" else f"{self.amount} {self.unit}"

    def elapsed(self) -> timedelta:
        """The same amount on a wall clock, for what does not care who is open (a feed's age).

        raises ValueError   open time and "same day" have no fixed length
        """
        match self.unit:
            case "h":
                return timedelta(hours=self.amount)
            case "d":
                return timedelta(days=self.amount)
            case "min":
                return timedelta(minutes=self.amount)
        raise ValueError(f'"{self}" depends on opening hours: write h, d or min here.')


_CLOCK = re.compile(r"([0-9]{1,5}) *(h|open +h|d|open +d|min)")


def parse_clock(text: str) -> Clock:
    """The clock an SOP, rule or role names: `48 h`, `4 open h`, `30 d`, `5 open d`, `30 min` or `same day`.

    raises ValueError   a sentence on what may stand there
    """
    plain = " ".join(text.split())
    if plain == "same day":
        return Clock(0, "same day")
    match = _CLOCK.fullmatch(plain)
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{text!r} is not a clock: write 48 h, 4 open h, 30 d, 5 open d, 30 min or same day.")
    return Clock(int(match[1]), cast(Unit, match[2]))


_HOURS = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])\s*[-–]\s*([01]?[0-9]|2[0-4]):([0-5][0-9])")


def parse_hours(text: str) -> DayHours:
    """Opening hours of one day, `08:00-12:00 13:00-17:00`; an empty text is a closed day.

    raises ValueError   a sentence: not hours, an end before its start, or two that overlap
    """
    rest = _HOURS.sub("", text)
    if rest.replace(",", "").strip():
        raise ValueError(f"{text!r} are not hours: write them like 08:00-12:00 13:00-17:00.")
    minutes = [tuple(int(h) * 60 + int(m) for h, m in ((f[0], f[1]), (f[2], f[3]))) for f in _HOURS.findall(text)]
    for start, end in minutes:
        if end > 24 * 60:
            raise ValueError(f"{text!r}: a day ends at 24:00.")
        if start >= end:
            raise ValueError(f"{text!r}: the end is not after the start; hours over midnight are written on both days.")
    for before, after in pairwise(minutes):
        if after[0] < before[1]:
            raise ValueError(f"{text!r}: two of these hours overlap or stand in the wrong order.")
    return tuple((_wall(start), _wall(end)) for start, end in minutes)


def _wall(minutes: int) -> time:
    return time(minutes // 60 % 24, minutes % 60)


# --- open or not ---------------------------------------------------------------------------------------------------------


def local_day(windows: Windows, at: datetime) -> date:
    """The date on the wall calendar there."""
    return at.astimezone(windows.zone).date()


def midnight(windows: Windows, day: date) -> datetime:
    """The first instant of a local day."""
    return _instant(windows.zone, day, _MIDNIGHT)


def is_open(windows: Windows, at: datetime) -> bool:
    """Whether it is open at this instant. The instant of closing is closed."""
    return any(start <= at < end for start, end in windows.spans_on(local_day(windows, at)))


def opening(windows: Windows, day: date) -> datetime | None:
    """The first open instant of a local day; None when it stays closed."""
    that_day = windows.spans_on(day)
    return that_day[0][0] if that_day else None


def closing(windows: Windows, day: date) -> datetime | None:
    """The instant a local day's last opening ends; None when it stays closed."""
    that_day = windows.spans_on(day)
    return that_day[-1][1] if that_day else None


def next_open(windows: Windows, at: datetime) -> datetime:
    """`at` itself while open, else the next opening. raises NeverOpen"""
    return max(at, next(spans_from(windows, at))[0])


def open_between(windows: Windows, start: datetime, end: datetime) -> timedelta:
    """How long it is open between two instants; zero when `end` is not after `start`."""
    total = timedelta()
    day, last = local_day(windows, start), local_day(windows, end)
    while day <= last:
        for opens, closes in windows.spans_on(day):
            total += max(timedelta(), min(closes, end) - max(opens, start))
        day += _DAY
    return total


def add_open(windows: Windows, at: datetime, amount: timedelta) -> datetime:
    """The instant at which `amount` of open time has passed since `at`; the end of an opening rather than the next start.

    raises NeverOpen
    """
    return _elapse(spans_from(windows, at), at, amount, ())


def spans_from(windows: Windows, at: datetime) -> Iterator[Span]:
    """The open spans that are not over at `at`, in order, without end. raises NeverOpen after 60 days with none"""
    for day in _open_days(windows, local_day(windows, at)):
        yield from (span for span in windows.spans_on(day) if span[1] > at)


def iso_week_end(windows: Windows, year: int, week: int) -> datetime | None:
    """Closing time of the last open day of an ISO week; None when closed all week. raises ValueError for no such week"""
    days = (date.fromisocalendar(year, week, weekday) for weekday in range(7, 0, -1))
    return next((shut for shut in (closing(windows, day) for day in days) if shut), None)


def digest_at(windows: Windows, day: date, before: timedelta) -> datetime | None:
    """When the stand-up of a local day is sent: `before` its opening; None on a closed day."""
    opens = opening(windows, day)
    return opens - before if opens else None


def digest_day(windows: Windows, now: datetime, before: timedelta) -> date | None:
    """The local day whose stand-up belongs to `now`: from `before` its opening until its closing. None outside.

    A caller that was down looks late and still gets the day; who sends once per (site, day) misses none and repeats none.
    """
    today = local_day(windows, now)
    for day in (today + _DAY, today):  # an opening soon after midnight is announced the evening before
        starts, ends = digest_at(windows, day, before), closing(windows, day)
        if starts and ends and starts <= now < ends:
            return day
    return None


# --- deadlines -------------------------------------------------------------------------------------------------------------


def due_at(opened_at: datetime, within: Clock, site: Windows, pauses: Sequence[Span] = ()) -> datetime:
    """The instant by which something that began at `opened_at` must be done.

    opened_at  aware UTC
    within     48 h       hours of days on which the site opens, all of that day's hours; out of hours moves to the next opening
               4 open h   hours while the site is open
               30 min     minutes on the wall clock; out of hours moves to the next opening
               30 d       calendar days, then closing time of that day or of the next open one
               5 open d   closing time of the 5th open day after
               same day   closing time of the day it began, or of the next open day when it began after closing
    pauses     while one of these runs no time counts; a day counts unless it was paused when it closed
    returns    aware UTC, inside opening hours or exactly at their end
    raises     NeverOpen   no opening within 60 days
    source     docs/sops.md, Clock
    """
    pauses = _joined(pauses)
    match within.unit:
        case "open h":
            return _elapse(spans_from(site, opened_at), opened_at, timedelta(hours=within.amount), pauses)
        case "h":
            whole_days = _whole_days(site, local_day(site, opened_at))
            return _settle(site, _elapse(whole_days, opened_at, timedelta(hours=within.amount), pauses), pauses)
        case "min":
            ever = (opened_at, datetime.max.replace(tzinfo=UTC))
            return _settle(site, _elapse([ever], opened_at, timedelta(minutes=within.amount), pauses), pauses)
        case "d" | "open d" | "same day":
            return _close_of_business(site, opened_at, within, pauses)


def _elapse(counting: Iterable[Span], at: datetime, amount: timedelta, pauses: Sequence[Span]) -> datetime:
    """The instant at which `amount` has passed in `counting` outside `pauses`, from `at` on."""
    left = amount
    for whole in counting:
        for start, end in _unpaused((max(whole[0], at), whole[1]), pauses):
            if left <= end - start:
                return start + left
            left -= end - start
    raise NeverOpen("The clock never runs out: it is paused for good.")


def _unpaused(span: Span, pauses: Sequence[Span]) -> Iterator[Span]:
    start, end = span
    for stops, resumes in pauses:
        if start < min(stops, end):
            yield start, min(stops, end)
        start = max(start, resumes)
    if start < end:
        yield start, end


def _settle(site: Windows, at: datetime, pauses: Sequence[Span]) -> datetime:
    """`at` where it may stand (open, or just closing), else the next opening at which the clock runs."""
    today = local_day(site, at)
    if any(start <= at <= end for day in (today - _DAY, today) for start, end in site.spans_on(day)):
        return at  # yesterday too: a day that ends at midnight ends at an instant of today
    at = next_open(site, at)
    for stops, resumes in pauses:
        if stops <= at < resumes:
            at = next_open(site, resumes)
    return at


def _close_of_business(site: Windows, opened_at: datetime, within: Clock, pauses: Sequence[Span]) -> datetime:
    day, left = local_day(site, opened_at), within.amount
    if within.unit == "open d":
        closings = _closings(site, day + _DAY, pauses)
        return next(shut for n, shut in enumerate(closings, start=1) if n == left)
    while left:
        day += _DAY
        left -= not _is_paused(closing(site, day) or midnight(site, day + _DAY), pauses)
    return next(shut for shut in _closings(site, day, pauses) if shut > opened_at)


def _closings(site: Windows, first: date, pauses: Sequence[Span]) -> Iterator[datetime]:
    """Closing times from a day on, leaving out those at which the clock stood still."""
    for day in _open_days(site, first):
        shut = site.spans_on(day)[-1][1]
        if not _is_paused(shut, pauses):
            yield shut


def _is_paused(at: datetime, pauses: Sequence[Span]) -> bool:
    return any(stops < at <= resumes for stops, resumes in pauses)


def _joined(pauses: Sequence[Span]) -> list[Span]:
    """Pauses in order, overlapping ones made one, empty ones left out."""
    joined: list[Span] = []
    for start, end in sorted(pause for pause in pauses if pause[0] < pause[1]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _whole_days(site: Windows, first: date) -> Iterator[Span]:
    for day in _open_days(site, first):
        yield midnight(site, day), midnight(site, day + _DAY)


def _open_days(windows: Windows, first: date) -> Iterator[date]:
    day, closed_days = first, 0
    while closed_days <= SEARCH_DAYS:
        if windows.spans_on(day):
            yield day
            closed_days = 0
        else:
            closed_days += 1
        day += _DAY
    raise NeverOpen(f"Nothing opens in the {SEARCH_DAYS} days before {day.isoformat()}.")


# --- wall time to UTC ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=65536)
def spans(zone: ZoneInfo, day: date, hours: DayHours) -> tuple[Span, ...]:
    """Wall times of one local day as UTC spans. A span that a clock change swallows whole is left out."""
    made = []
    for start, end in hours:
        ends_on = day + _DAY if end == _MIDNIGHT else day
        span = (_instant(zone, day, start), _instant(zone, ends_on, end))
        if span[0] < span[1]:
            made.append(span)
    return tuple(made)


@lru_cache(maxsize=65536)
def _instant(zone: ZoneInfo, day: date, wall: time) -> datetime:
    """A wall time as UTC: the first of two, or the moment after the gap."""
    local = datetime.combine(day, wall, zone)
    after = local.astimezone(UTC)
    if after.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return after
    # In the gap the two folds give instants on both sides of it; the change itself lies between, on a whole second.
    low, high = int(local.replace(fold=1).timestamp()), int(after.timestamp())
    offset = datetime.fromtimestamp(high, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if datetime.fromtimestamp(middle, zone).utcoffset() == offset else (middle, high)
    return datetime.fromtimestamp(high, UTC)


@lru_cache(maxsize=1024)
def public_holidays(code: str, year: int) -> frozenset[date]:
    """Public holidays of a country ("US") or a region of it ("US-MA"), observed days included.

    raises ValueError   no such country or region
    """
    import holidays  # slow to import, and only needed where a site names a country

    country, _, region = code.partition("-")
    try:
        return frozenset(holidays.country_holidays(country, subdiv=region or None, years=year))
    except NotImplementedError:
        raise ValueError(f'{code!r} names no public holidays: write a country like "US" or a region like "US-MA".') from None
