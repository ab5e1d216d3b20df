"""Business time against a slow oracle that walks minute by minute, and the cases a practice would name."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.hours import (
    Clock,
    DayHours,
    NeverOpen,
    Site,
    Span,
    Week,
    add_open,
    closing,
    digest_at,
    digest_day,
    due_at,
    is_open,
    iso_week_end,
    local_day,
    midnight,
    next_open,
    open_between,
    opening,
    parse_clock,
    parse_hours,
    public_holidays,
)

US_ZONES = (
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Phoenix",
    "America/Los_Angeles",
    "America/Anchorage",
    "Pacific/Honolulu",
)
SPRING, FALL = date(2026, 3, 8), date(2026, 11, 1)
MINUTE, QUARTER, DAY = timedelta(minutes=1), timedelta(minutes=15), timedelta(days=1)
FEDERAL_2026 = {date(2026, 2, 16), date(2026, 10, 12), date(2026, 11, 11), date(2026, 11, 26)}
NINE_TO_FIVE = parse_hours("09:00-17:00")


def week(*hours: str) -> Week:
    mon, tue, wed, thu, fri, sat, sun = (parse_hours(text) for text in hours)
    return mon, tue, wed, thu, fri, sat, sun


def weekdays(hours: str) -> Week:
    return week(*[hours] * 5, "", "")


def site(zone: str = "America/New_York", hours: Week | None = None, **more: object) -> Site:
    return Site("harbor", "Harbor", ZoneInfo(zone), hours or weekdays("09:00-17:00"), **more)  # type: ignore[arg-type]


def at(text: str, zone: str = "America/New_York") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


# --- the oracle ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wall:
    """Minute by minute over eight weeks around a clock change: the local date, and the latest wall time that day has shown.

    "The latest shown" is what makes the repeated hour and the missing hour come out: a door opens when the wall clock first
    reaches its time or passes it, and it does not open again when the clock is set back.
    """

    start: datetime
    dates: list[date]
    shown: array[int]


@cache
def wall(zone: str, night: date) -> Wall:
    info = ZoneInfo(zone)
    start = datetime.combine(night - timedelta(days=28), time(12), UTC)
    dates: list[date] = []
    shown = array("i")
    for n in range(60 * 24 * 60):
        local = (start + n * MINUTE).astimezone(info)
        minute = local.hour * 60 + local.minute
        is_new = not dates or dates[-1] != local.date()
        dates.append(dates[-1] if not is_new else local.date())
        shown.append(minute if is_new else max(shown[-1], minute))
    return Wall(start, dates, shown)


@dataclass(frozen=True)
class Oracle:
    """The same questions answered by walking. Its answers are minute numbers."""

    wall: Wall
    hours: dict[date, DayHours]
    pauses: Sequence[Span]

    def number(self, instant: datetime) -> int:
        return (instant - self.wall.start) // MINUTE

    def is_open(self, n: int) -> bool:
        shown = self.wall.shown[n]
        for start, end in self.hours[self.wall.dates[n]]:
            if start.hour * 60 + start.minute <= shown < (end.hour * 60 + end.minute or 24 * 60):
                return True
        return False

    def is_paused(self, n: int) -> bool:
        """Whether the clock stands during the minute that begins with number n."""
        instant = self.wall.start + n * MINUTE
        return any(stops <= instant < resumes for stops, resumes in self.pauses)

    def due(self, began: int, clock: Clock) -> int:
        match clock.unit:
            case "open h":
                return self._walk(began, clock.amount * 60, self.is_open)
            case "h":
                return self._settle(self._walk(began, clock.amount * 60, self._is_on_an_open_day))
            case "min":
                return self._settle(self._walk(began, clock.amount, lambda n: True))
        return self._by_days(began, clock)

    def _is_on_an_open_day(self, n: int) -> bool:
        return bool(self.hours[self.wall.dates[n]])

    def _walk(self, n: int, minutes: int, counts: object) -> int:
        while minutes:
            minutes -= counts(n) and not self.is_paused(n)  # type: ignore[operator]
            n += 1
        return n

    def _settle(self, n: int) -> int:
        if self.is_open(n) or self.is_open(n - 1):
            return n
        while not self.is_open(n) or self.is_paused(n):
            n += 1
        return n

    def _by_days(self, began: int, clock: Clock) -> int:
        """Step through day ends; an open day ends when it closes for the last time, a closed day at midnight."""
        left, today = clock.amount, self.wall.dates[began]
        n = bisect_left(self.wall.dates, today)
        while True:
            day = self.wall.dates[n]
            past = bisect_left(self.wall.dates, day + DAY)
            open_minutes = [m for m in range(n, past) if self.is_open(m)]
            ends = open_minutes[-1] + 1 if open_minutes else past
            runs = not self.is_paused(ends - 1)
            if day > today and runs and (open_minutes or clock.unit == "d"):
                left -= 1
            if left <= 0 and runs and open_minutes and ends > began:
                return ends
            n = past


HOURS = st.sampled_from(
    [
        "",
        "",
        "08:00-17:00",
        "08:00-12:00 13:00-17:00",
        "00:00-24:00",
        "01:30-02:30",
        "02:15-10:00",
        "22:00-24:00",
        "00:00-01:15 01:45-05:00",
    ]
)
CLOCKS = st.one_of(
    st.builds(Clock, st.integers(1, 72), st.just("h")),
    st.builds(Clock, st.integers(1, 12), st.just("open h")),
    st.builds(Clock, st.integers(1, 12), st.just("d")),
    st.builds(Clock, st.integers(1, 4), st.just("open d")),
    st.builds(Clock, st.integers(1, 200).map(lambda n: n * 15), st.just("min")),
    st.just(Clock(0, "same day")),
)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Site, Oracle, datetime]:
    zone, night = draw(st.sampled_from(US_ZONES)), draw(st.sampled_from([SPRING, FALL]))
    texts = draw(st.lists(HOURS, min_size=7, max_size=7).filter(lambda texts: sum(map(bool, texts)) >= 2))
    near = st.integers(-8, 8).map(lambda n: night + n * DAY)
    closed = draw(st.frozensets(near, max_size=3))
    special = draw(st.dictionaries(near, HOURS.map(parse_hours), max_size=2))
    keeps = draw(st.booleans())
    where = site(zone, week(*texts), closed=closed, holidays="US" if keeps else "", days=tuple(special.items()))
    table = wall(zone, night)
    hours = {}
    for day in dict.fromkeys(table.dates):
        is_off = day in closed or (keeps and day in FEDERAL_2026)
        hours[day] = special.get(day, () if is_off else parse_hours(texts[day.weekday()]))
    # Quarters of an hour, so that beginnings, pauses, openings and closings often meet exactly.
    began = datetime.combine(night, time(7), UTC) + draw(st.integers(-6 * 96, 4 * 96)) * QUARTER
    offsets = st.tuples(st.integers(-130, 400), st.integers(0, 260))
    pauses = [(began + a * QUARTER, began + (a + b) * QUARTER) for a, b in draw(st.lists(offsets, max_size=3))]
    return where, Oracle(table, hours, pauses), began


@settings(max_examples=300, deadline=None)
@given(situations(), CLOCKS)
def test_every_clock_agrees_with_walking_minute_by_minute(situation: tuple[Site, Oracle, datetime], clock: Clock) -> None:
    """A deadline that is an hour or a day off on a clock-change night blames somebody for being late who was not."""
    where, oracle, began = situation
    due = due_at(began, clock, where, oracle.pauses)
    assert oracle.number(due) == oracle.due(oracle.number(began), clock), (clock, due)
    assert is_open(where, due) or is_open(where, due - MINUTE)


@settings(max_examples=150, deadline=None)
@given(situations(), st.integers(1, 900), st.integers(0, 6000))
def test_open_time_agrees_with_walking_minute_by_minute(
    situation: tuple[Site, Oracle, datetime], amount: int, length: int
) -> None:
    """Ladders, gaps and figures all stand on these four; each must know the repeated and the missing hour."""
    where, oracle, start = situation
    n = oracle.number(start)
    assert is_open(where, start) == oracle.is_open(n)
    minutes = [m for m in range(n, n + length) if oracle.is_open(m)]
    assert open_between(where, start, start + length * MINUTE) == len(minutes) * MINUTE
    m = n
    while not oracle.is_open(m):
        m += 1
    assert oracle.number(next_open(where, start)) == m
    bare = Oracle(oracle.wall, oracle.hours, ())
    assert oracle.number(add_open(where, start, amount * MINUTE)) == bare._walk(n, amount, bare.is_open)
    assert open_between(where, start, add_open(where, start, amount * MINUTE)) == amount * MINUTE


@settings(max_examples=60, deadline=None)
@given(situations())
def test_a_day_opens_and_closes_when_the_walk_says(situation: tuple[Site, Oracle, datetime]) -> None:
    """The stand-up and every closing-time deadline start from these two instants."""
    where, oracle, start = situation
    for n in range(-3, 4):
        day = local_day(where, start) + n * DAY
        first = bisect_left(oracle.wall.dates, day)
        minutes = [m for m in range(first, bisect_left(oracle.wall.dates, day + DAY)) if oracle.is_open(m)]
        opens, closes = opening(where, day), closing(where, day)
        assert oracle.number(midnight(where, day)) == first
        assert (opens and oracle.number(opens)) == (minutes[0] if minutes else None)
        assert (closes and oracle.number(closes)) == (minutes[-1] + 1 if minutes else None)


# --- clocks, as a person would say them --------------------------------------------------------------------------------------


def test_forty_eight_hours_run_through_nights_but_not_through_the_weekend() -> None:
    """The 48 h of a rejection found on Friday morning must not run out while the office is shut."""
    assert due_at(at("2026-03-06T10:00"), Clock(48, "h"), site()) == at("2026-03-10T10:00")


def test_forty_eight_hours_that_end_at_night_are_due_at_the_next_opening() -> None:
    """A deadline at 20:00 would be missed with nobody there to miss it."""
    assert due_at(at("2026-03-02T20:00"), Clock(48, "h"), site()) == at("2026-03-05T09:00")


def test_hours_begun_on_a_closed_day_start_with_the_next_open_one() -> None:
    """An ERA that arrives on Sunday has not used up any time by Monday."""
    assert due_at(at("2026-03-01T15:00"), Clock(12, "h"), site()) == at("2026-03-02T12:00")


def test_open_hours_count_only_while_somebody_is_there_and_end_at_closing_rather_than_at_the_next_opening() -> None:
    """Four open hours from 13:00 end today at five, not tomorrow at nine."""
    assert due_at(at("2026-03-02T13:00"), Clock(4, "open h"), site()) == at("2026-03-02T17:00")
    assert due_at(at("2026-03-02T13:00"), Clock(5, "open h"), site()) == at("2026-03-03T10:00")


def test_lunch_is_not_open_time() -> None:
    """Two open hours from eleven, with an hour of lunch, are two o'clock."""
    where = site(hours=weekdays("08:00-12:00 13:00-17:00"))
    assert due_at(at("2026-03-02T11:00"), Clock(2, "open h"), where) == at("2026-03-02T14:00")


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("30 d", "2026-03-11T17:00"),
        ("45 d", "2026-03-26T17:00"),
        ("31 d", "2026-03-12T17:00"),
        ("5 open d", "2026-02-17T17:00"),
        ("1 open d", "2026-02-10T17:00"),
        ("same day", "2026-02-09T17:00"),
    ],
)
def test_clocks_in_days_are_due_at_closing_time(text: str, due: str) -> None:
    """The 30 and 45 days of a claim end when that day's work ends; Presidents' Day is no open day."""
    assert due_at(at("2026-02-09T11:20"), parse_clock(text), site(holidays="US")) == at(due)


def test_calendar_days_that_end_on_a_closed_day_are_due_on_the_next_open_one() -> None:
    """Thirty days after a Thursday is a Saturday: the office has until Monday evening."""
    assert due_at(at("2026-02-05T11:00"), Clock(30, "d"), site()) == at("2026-03-09T17:00")


def test_same_day_begun_after_closing_or_on_sunday_means_the_next_open_day() -> None:
    """A visit ended at 17:10 leaves its claim to tomorrow; at closing itself it is already too late for today."""
    for began in ("2026-03-06T17:10", "2026-03-06T17:00", "2026-03-08T12:00"):
        assert due_at(at(began), Clock(0, "same day"), site()) == at("2026-03-09T17:00")


def test_a_pause_moves_the_deadline_by_the_time_it_took_and_no_more() -> None:
    """Waiting on the payer for two days must cost two days, wherever the pauses overlap."""
    pauses = [
        (at("2026-03-02T12:00"), at("2026-03-03T12:00")),
        (at("2026-03-03T09:00"), at("2026-03-04T12:00")),
        (at("2026-03-05T12:00"), at("2026-03-05T12:00")),
    ]
    assert due_at(at("2026-03-02T10:00"), Clock(4, "open h"), site(), pauses) == at("2026-03-04T14:00")
    assert due_at(at("2026-03-02T10:00"), Clock(24, "h"), site(), pauses) == at("2026-03-05T10:00")
    assert due_at(at("2026-03-02T10:00"), Clock(3, "open d"), site(), pauses) == at("2026-03-06T17:00")
    assert due_at(at("2026-03-02T10:00"), Clock(0, "same day"), site(), pauses) == at("2026-03-04T17:00")


def test_a_pause_that_begins_or_ends_exactly_at_closing_counts_what_ran_before_it() -> None:
    """Pausing as the doors close leaves the day counted; resuming as they close gives nobody a chance that day."""
    closes, next_closes = at("2026-03-02T17:00"), at("2026-03-03T17:00")
    assert due_at(at("2026-03-02T10:00"), Clock(0, "same day"), site(), [(closes, next_closes)]) == closes
    pause = [(at("2026-03-02T11:00"), closes)]
    assert due_at(at("2026-03-02T10:00"), Clock(0, "same day"), site(), pause) == next_closes
    overnight = [(at("2026-03-03T09:00"), at("2026-03-03T11:00"))]
    assert due_at(at("2026-03-02T16:50"), Clock(30, "min"), site(), overnight) == at("2026-03-03T11:00")


def test_a_deadline_exactly_at_a_closing_at_midnight_stays_there() -> None:
    """Midnight belongs to the next day on the wall, and to the closing day in the deadline."""
    where = site(hours=weekdays("09:00-24:00"))
    assert due_at(at("2026-03-02T23:30"), Clock(30, "min"), where) == at("2026-03-03T00:00")


def test_a_day_of_its_own_outranks_week_holiday_and_closing() -> None:
    """A practice that works Presidents' Day or closes early on Christmas Eve says so once and every clock follows."""
    where = site(holidays="US", days=((date(2026, 2, 16), parse_hours("10:00-14:00")), (date(2026, 2, 18), ())))
    assert opening(where, date(2026, 2, 16)) == at("2026-02-16T10:00")
    assert closing(where, date(2026, 2, 18)) is None
    assert due_at(at("2026-02-16T10:00"), Clock(0, "same day"), where) == at("2026-02-16T14:00")


def test_a_region_keeps_its_own_holidays_too() -> None:
    """Patriots' Day closes Boston and not New York."""
    assert date(2026, 4, 20) in public_holidays("US-MA", 2026)
    assert date(2026, 4, 20) not in public_holidays("US", 2026)


@pytest.mark.parametrize("code", ["XX", "US-XX", "America"])
def test_an_unknown_country_is_refused_in_a_sentence(code: str) -> None:
    """A typo must not quietly mean "no holidays"."""
    with pytest.raises(ValueError, match="names no public holidays: write a country"):
        public_holidays(code, 2026)


def test_a_site_that_never_opens_raises_instead_of_searching_for_ever() -> None:
    """A site closed for a rebuild must stop its own sweep, not hang everybody's."""
    shut = site(hours=week(*[""] * 7))
    for clock in ("48 h", "4 open h", "30 d", "5 open d", "same day", "30 min"):
        with pytest.raises(NeverOpen):
            due_at(at("2026-03-02T10:00"), parse_clock(clock), shut)
    with pytest.raises(NeverOpen):
        next_open(shut, at("2026-03-02T10:00"))
    with pytest.raises(NeverOpen):
        add_open(shut, at("2026-03-02T10:00"), DAY)


def test_sixty_closed_days_are_waited_out_and_sixty_one_are_not() -> None:
    """The limit is where docs say it is."""
    first = date(2026, 3, 3)
    for closed, opens in ((60, True), (61, False)):
        days = frozenset(first + n * DAY for n in range(closed))
        where = site(hours=week(*["09:00-17:00"] * 7), closed=days)
        if opens:
            assert local_day(where, next_open(where, at("2026-03-03T10:00"))) == first + closed * DAY
        else:
            with pytest.raises(NeverOpen):
                next_open(where, at("2026-03-03T10:00"))


def test_a_missing_wall_time_is_the_moment_after_the_gap_and_a_repeated_one_the_first() -> None:
    """Half past two does not exist on 8 March in New York; half past one comes twice on 1 November."""
    where = site(hours=week(*["02:30-09:00"] * 7))
    assert opening(where, SPRING) == datetime(2026, 3, 8, 7, 0, tzinfo=UTC)
    assert opening(site(hours=week(*["01:30-09:00"] * 7)), FALL) == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    swallowed = site(hours=week(*["02:00-03:00"] * 7))
    assert (opening(swallowed, SPRING), closing(swallowed, SPRING)) == (None, None)


def test_days_of_23_and_25_hours_count_as_long_as_they_are() -> None:
    """Twenty-four hours from noon before the change end at one o'clock in spring and at eleven in autumn."""
    where = site(hours=week(*["00:00-24:00"] * 7))
    assert due_at(at("2026-03-07T12:00"), Clock(24, "h"), where) == at("2026-03-08T13:00")
    assert due_at(at("2026-10-31T12:00"), Clock(24, "h"), where) == at("2026-11-01T11:00")
    assert open_between(where, midnight(where, SPRING), midnight(where, SPRING + DAY)) == timedelta(hours=23)
    assert open_between(where, midnight(where, FALL), midnight(where, FALL + DAY)) == timedelta(hours=25)


def test_a_gap_at_midnight_still_gives_every_day_a_beginning() -> None:
    """Some zones change at midnight; the day then begins at one."""
    havana = site("America/Havana", week(*["00:00-08:00"] * 7))
    assert midnight(havana, date(2026, 3, 8)) == datetime(2026, 3, 8, 5, 0, tzinfo=UTC)
    assert opening(havana, date(2026, 3, 8)) == datetime(2026, 3, 8, 5, 0, tzinfo=UTC)


# --- ISO weeks and stand-ups -----------------------------------------------------------------------------------------------


def test_an_iso_week_ends_when_its_last_open_day_closes() -> None:
    """The spore test of a week with a closed Friday is owed by Thursday evening."""
    where = site(closed=frozenset([date(2026, 2, 20)]))
    assert iso_week_end(where, 2026, 8) == at("2026-02-19T17:00")
    assert iso_week_end(where, 2026, 9) == at("2026-02-27T17:00")
    shut = site(closed=frozenset(date(2026, 2, 16) + n * DAY for n in range(7)))
    assert iso_week_end(shut, 2026, 8) is None
    with pytest.raises(ValueError, match="week"):
        iso_week_end(where, 2025, 53)


def test_the_stand_up_comes_before_opening_and_not_on_closed_days() -> None:
    """Twenty minutes before the doors open, in the site's own time."""
    before = timedelta(minutes=20)
    assert digest_at(site("America/Denver"), date(2026, 3, 2), before) == at("2026-03-02T08:40", "America/Denver")
    assert digest_at(site(), date(2026, 3, 1), before) is None
    assert digest_day(site(), at("2026-03-02T08:39"), before) is None
    assert digest_day(site(), at("2026-03-02T08:40"), before) == date(2026, 3, 2)
    assert digest_day(site(), at("2026-03-02T16:59"), before) == date(2026, 3, 2)
    assert digest_day(site(), at("2026-03-02T17:00"), before) is None


def test_an_opening_just_after_midnight_is_announced_the_evening_before() -> None:
    """An emergency office that opens at 00:10 gets its stand-up at 23:50."""
    where = site(hours=week(*["00:10-08:00"] * 7))
    assert digest_day(where, at("2026-03-02T23:50"), timedelta(minutes=20)) == date(2026, 3, 3)


@pytest.mark.parametrize("zone", US_ZONES)
@pytest.mark.parametrize("night", [SPRING, FALL], ids=["spring", "fall"])
def test_one_stand_up_per_site_and_local_day_whatever_the_opening_time(zone: str, night: date) -> None:
    """48 opening times, with and without a restart over the slot: 1,344 sequences in all zones and both nights.

    Schedulers that fire at wall times skip the day after spring forward or send twice in autumn.
    """
    before = timedelta(minutes=20)
    days = [night + n * DAY for n in (-1, 0, 1)]
    for half_hour in range(48):
        opens = time(half_hour // 2, half_hour % 2 * 30)
        hours = ((opens, time(0)),)
        where = Site("s", "S", ZoneInfo(zone), (hours,) * 7)
        first, last = midnight(where, days[0] - DAY), midnight(where, days[-1] + 2 * DAY)
        slot = digest_at(where, night, before)
        assert slot is not None
        for restarts in (False, True):
            sent: dict[date, datetime] = {}
            now = first
            while now < last:
                is_down = restarts and slot - timedelta(minutes=40) < now < slot + timedelta(minutes=10)
                day = None if is_down else digest_day(where, now, before)
                if day is not None:
                    sent.setdefault(day, now)
                now += timedelta(minutes=25)
            assert [day for day in sent if day in days] == days, (zone, opens, restarts)
            late = [sent[day] - (digest_at(where, day, before) or now) for day in days]
            assert all(timedelta() <= lateness < timedelta(minutes=40) for lateness in late), (zone, opens, restarts)


# --- what people write -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["48 h", "4 open h", "30 d", "5 open d", "30 min", "same day"])
def test_every_clock_of_the_docs_reads_and_writes_the_same(text: str) -> None:
    """The clock in an SOP, in a card and in the evidence is one text."""
    assert str(parse_clock(text)) == text
    assert parse_clock(f"  {text.replace(' ', '   ')} ") == parse_clock(text)
    assert parse_clock("48h") == Clock(48, "h")


@pytest.mark.parametrize(
    "text", ["", "48", "48 hours", "0 h", "-1 d", "1.5 h", "h", "open h", "999999 d", "٤٨ h", "same days", "48 h\n30 d"]
)
def test_what_is_no_clock_is_refused_with_what_may_stand_there(text: str) -> None:
    """An SOP author sees the six forms, not a traceback."""
    with pytest.raises(ValueError, match=r"is not a clock: write 48 h, 4 open h, 30 d, 5 open d, 30 min or same day\."):
        parse_clock(text)


def test_a_clock_on_the_wall_has_a_length_and_open_time_has_none() -> None:
    """A feed's age is wall time; measuring it in open hours would let a dead feed live over a holiday."""
    assert parse_clock("26 h").elapsed() == timedelta(hours=26)
    assert parse_clock("10 d").elapsed() == timedelta(days=10)
    assert parse_clock("30 min").elapsed() == timedelta(minutes=30)
    for text in ("4 open h", "5 open d", "same day"):
        with pytest.raises(ValueError, match="depends on opening hours"):
            parse_clock(text).elapsed()


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("", ()),
        ("08:00-17:00", ((time(8), time(17)),)),
        ("8:00 – 12:00, 13:00-17:00", ((time(8), time(12)), (time(13), time(17)))),
        ("22:00-24:00", ((time(22), time(0)),)),
        ("08:00-12:00 12:00-13:00", ((time(8), time(12)), (time(12), time(13)))),
    ],
)
def test_hours_are_read_as_people_write_them(text: str, hours: DayHours) -> None:
    """A dash from a word processor or a comma is no reason to refuse a roster."""
    assert parse_hours(text) == hours


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("8-17", "write them like"),
        ("25:00-26:00", "write them like"),
        ("closed", "write them like"),
        ("17:00-08:00", "the end is not after the start"),
        ("08:00-08:00", "the end is not after the start"),
        ("08:00-24:30", "a day ends at 24:00"),
        ("08:00-12:00 11:00-17:00", "overlap"),
        ("13:00-17:00 08:00-12:00", "overlap or stand in the wrong order"),
    ],
)
def test_hours_that_cannot_be_are_refused_in_a_sentence(text: str, sentence: str) -> None:
    """Negative and overlapping hours would make deadlines that nobody can explain."""
    with pytest.raises(ValueError, match=sentence):
        parse_hours(text)
