"""Who acts: role, site and instant in; the person on duty out. Pure; `bot.practice` reads the files this stands on.

Unstaffed   nobody in charge of a site will be in within 60 days: `check_staffing` reports it before it happens
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from bot.hours import (
    SEARCH_DAYS,
    NeverOpen,
    Site,
    Span,
    Windows,
    is_open,
    local_day,
    midnight,
    next_open,
    spans_from,
)
from bot.practice import (
    BUNDLED_ROLES,
    EVERYWHERE,
    IN_CHARGE,
    MANAGER,
    Finding,
    Leave,
    Person,
    Post,
    Practice,
    PracticeError,
    Role,
    Rung,
    Shift,
    load_practice,
    load_roles,
)

__all__ = [
    "BUNDLED_ROLES",
    "EVERYWHERE",
    "IN_CHARGE",
    "MANAGER",
    "Duty",
    "Finding",
    "Gap",
    "Leave",
    "Person",
    "Post",
    "Practice",
    "PracticeError",
    "Principal",
    "Role",
    "Rung",
    "Shift",
    "Unstaffed",
    "Why",
    "address_of",
    "check_staffing",
    "coverage_gaps",
    "find",
    "holders",
    "home_site",
    "load_practice",
    "load_roles",
    "manager_on_duty",
    "may_act",
    "next_duty",
    "on_duty",
    "person_at",
    "principal_of",
    "reachable_at",
    "sites_managed_by",
    "staff_today",
]

Why = Literal["holder", "off_shift", "leave", "left", "in_charge"]
"""holder: it is their own role. off_shift, leave, left: why the one covered is away. in_charge: next in line."""


class Unstaffed(Exception):
    """Nobody in charge of this site will be in within 60 days."""


@dataclass(frozen=True)
class Duty:
    """Who acts, for whom, and why it is them."""

    person: Person
    instead_of: Person | None
    why: Why


@dataclass(frozen=True)
class Gap:
    """Open hours of a site in which nobody acts for a role that somebody holds there."""

    role: str
    site: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Principal:
    """What a person may read: their roles, their sites ("*" among them: every site), and the site they are asked at."""

    person: str
    roles: frozenset[str]
    site: str
    sites: frozenset[str]


# --- who acts now ----------------------------------------------------------------------------------------------------------


def on_duty(practice: Practice, role: str, site: str, at: datetime) -> Duty | None:
    """Who acts for a role at a site at this instant; None when nobody is in.

    role      a role id, or "manager" for the site's manager
    returns   a holder within their hours there (the site's own before those of every site); else the holders' cover, in order,
              then the cover's cover. A cover acts only within their own hours, and for somebody who is merely off shift only
            while the site is open: what comes up in the evening waits for the morning's own people
    """
    if site not in practice.sites:
        return None
    day = local_day(practice.sites[site], at)
    here = holders(practice, role, site, day)
    for person in here:
        if _is_in(person.shifts.get(site, ()), at):
            return Duty(person, None, "holder")
    for cover, absent in _covers(practice, here or _leavers(practice, role, site, day)):
        why = _absence(absent, day)
        is_evening = why == "off_shift" and not is_open(practice.sites[site], at)
        if _is_in(cover.own_hours, at) and not is_evening:
            return Duty(cover, absent, why)
    return None


def next_duty(practice: Practice, role: str, site: str, at: datetime, until: datetime) -> tuple[datetime, Duty] | None:
    """The first instant from `at` to `until` (included) at which somebody acts for the role, and who; None when nobody does."""
    if site not in practice.sites:
        return None
    moment: datetime | None = at
    candidates = _candidates(practice, role, site)
    while moment is not None and moment <= until:
        duty = on_duty(practice, role, site, moment)
        if duty:
            return moment, duty
        moment = _next_change(practice.sites[site], candidates, moment)
    return None


def reachable_at(practice: Practice, person: Person, at: datetime) -> datetime | None:
    """The next instant (`at` itself, if so) within this person's own hours at any site; None within 60 days."""
    moments = []
    for shift in person.own_hours:
        try:
            moments.append(next_open(shift, at))
        except NeverOpen:
            continue
    return min(moments, default=None)


def manager_on_duty(practice: Practice, site: str, at: datetime, until: datetime) -> tuple[datetime, Duty]:
    """The person in charge of a site, and when they are in: the manager or their cover if in by `until`, else the next in line.

    Next in line are those of IN_CHARGE, in that order, who are in by `until`; then whoever of all these is in first.

    raises Unstaffed   nobody of them within 60 days
    """
    line = (MANAGER, *IN_CHARGE)
    for role in line:
        found = next_duty(practice, role, site, at, until)
        if found:
            return _in_line(practice, site, role, found)
    latest = at + timedelta(days=SEARCH_DAYS)
    later = [(found, role) for role in line if (found := next_duty(practice, role, site, at, latest))]
    if not later:
        raise Unstaffed(f"Nobody in charge of {site} is in for {SEARCH_DAYS} days: name a manager or cover who is.")
    found, role = min(later, key=lambda each: each[0][0])
    return _in_line(practice, site, role, found)


def _in_line(practice: Practice, site: str, role: str, found: tuple[datetime, Duty]) -> tuple[datetime, Duty]:
    at, duty = found
    if role == MANAGER:
        return found
    return at, Duty(duty.person, practice.people.get(practice.managers[site]), "in_charge")


def may_act(practice: Practice, person: Person, role: str, site: str, at: datetime) -> bool:
    """Whether a person may press a button meant for a role at a site.

    Those who may: who holds the role there, on shift or not; who covers for it now; who holds or now covers a rung of its
    ladder; the site's manager and those next in line. Somebody who has left never may.
    """
    where = practice.sites.get(site)
    if where is None or not person.is_here(local_day(where, at)):
        return False
    ladder = practice.roles[role].ladder if role in practice.roles else ()
    acting = dict.fromkeys((role, *(rung.role for rung in ladder), MANAGER, *IN_CHARGE))
    return any(_acts_for(practice, person, each, site, at) for each in acting)


def _acts_for(practice: Practice, person: Person, role: str, site: str, at: datetime) -> bool:
    day = local_day(practice.sites[site], at)
    here = holders(practice, role, site, day)
    if person in here:
        return True
    duty = on_duty(practice, role, site, at)
    if duty:
        return duty.person == person
    # After hours nobody is on duty; a cover who was given the card may still answer it in their own time.
    return any(cover == person for cover, _ in _covers(practice, here or _leavers(practice, role, site, day)))


# --- people ----------------------------------------------------------------------------------------------------------------


def find(practice: Practice, text: str) -> Person | None:
    """The one person meant by an id, a full name or a first name, in any case; None when nobody or more than one is."""
    wanted = " ".join(text.split()).removeprefix("@").casefold()
    by_id = [person for person in practice.people.values() if person.id == wanted]
    by_name = [person for person in practice.people.values() if person.name.casefold() == wanted]
    by_first = [person for person in practice.people.values() if _first_name(person) == wanted]
    matches = by_id or by_name or by_first
    return matches[0] if len(matches) == 1 else None


def _first_name(person: Person) -> str:
    words = person.name.casefold().split()
    return words[1] if len(words) > 1 and words[0] in ("dr", "dr.") else words[0]


def holders(practice: Practice, role: str, site: str, day: date) -> list[Person]:
    """Who holds a role at a site on a local day, on shift or not: the site's own people first, then those of every site."""
    people = [person for person in practice.people.values() if person.is_here(day)]
    if role == MANAGER:
        return [person for person in people if practice.managers.get(site) == person.id]
    own: list[Person] = []
    everywhere: list[Person] = []
    for person in people:
        posts = [post for post in person.posts if post.holds(role, site, day)]
        if posts:
            (own if any(post.site == site for post in posts) else everywhere).append(person)
    return own + everywhere


def home_site(practice: Practice, person: Person) -> Site:
    """The site whose wall clock a person lives by: their first role's, else one they manage or work at, else the first."""
    named = [post.site for post in person.posts if post.site != EVERYWHERE]
    for site in (*named, *sites_managed_by(practice, person), *person.shifts, *practice.sites):
        return practice.sites[site]
    raise ValueError("a practice has at least one site")


def principal_of(practice: Practice, person: Person, at: datetime) -> Principal:
    """What the library may show this person: nothing (no roles) before their first and after their last day."""
    home = home_site(practice, person)
    day = local_day(home, at)
    posts = [post for post in person.posts if person.is_here(day) and post.holds(post.role, post.site, day)]
    managed = sites_managed_by(practice, person) if person.is_here(day) else ()
    return Principal(
        person.id, frozenset(post.role for post in posts), home.id, frozenset([*(post.site for post in posts), *managed])
    )


def sites_managed_by(practice: Practice, person: Person) -> tuple[str, ...]:
    """The sites this person is the manager of."""
    return tuple(site for site, manager in practice.managers.items() if manager == person.id)


def person_at(practice: Practice, platform: str, address: str, at: datetime) -> Person | None:
    """Whose chat address this is; None for an unknown one and for somebody who is not, or no longer, of the practice."""
    known = practice.chat.get(platform, {})
    person = practice.people.get(known.get(address, address if platform == "console" else ""))
    if person is None or not person.is_here(local_day(home_site(practice, person), at)):
        return None
    return person


def address_of(practice: Practice, platform: str, person: Person) -> str | None:
    """Where a person is written to on a platform; on the console that is their id."""
    for address, owner in practice.chat.get(platform, {}).items():
        if owner == person.id:
            return address
    return person.id if platform == "console" else None


def staff_today(practice: Practice, site: str, day: date) -> tuple[tuple[Person, tuple[Span, ...]], ...]:
    """Who works at a site on a local day, and when. People of every site are among them."""
    found = []
    for person in practice.people.values():
        spans = tuple(span for shift in person.shifts.get(site, ()) for span in shift.spans_on(day))
        if spans:
            found.append((person, tuple(sorted(spans))))
    return tuple(found)


# --- what is missing -------------------------------------------------------------------------------------------------------


def coverage_gaps(practice: Practice, start: datetime, end: datetime) -> tuple[Gap, ...]:
    """Open hours from `start` to `end` in which a role held at the site has nobody acting for it, by time.

    Roles without a ladder (temp, new hire, owner) are not asked after.
    """
    gaps: list[Gap] = []
    for id, site in practice.sites.items():
        roles = {post.role for person in practice.people.values() for post in person.posts if post.site in (id, EVERYWHERE)}
        for role in sorted(role for role in roles if practice.roles[role].ladder):
            gaps += _gaps(practice, role, site, start, end)
    return tuple(sorted(gaps, key=lambda gap: (gap.start, gap.site, gap.role)))


def check_staffing(practice: Practice, now: datetime) -> tuple[Finding, ...]:
    """What the calendar makes wrong: a site with nobody in charge (error), a manager who is not here (warning)."""
    found = []
    for id, site in practice.sites.items():
        manager = practice.people[practice.managers[id]]
        place = ("sites", id, "manager")
        if not manager.is_here(local_day(site, now)):
            found.append(practice.finding(place, f"{manager.id}, the manager of {id}, is not here now.", "warning"))
        try:
            manager_on_duty(practice, id, now, now)
        except Unstaffed as error:
            found.append(practice.finding(place, str(error)))
    return tuple(found)


def _gaps(practice: Practice, role: str, site: Site, start: datetime, end: datetime) -> Iterator[Gap]:
    candidates = _candidates(practice, role, site.id)
    edges = sorted({start, end, *_edges([site, *(s for p in candidates for s in p.own_hours)], start, end)})
    since: datetime | None = None
    for edge in edges:
        is_gap = edge < end and is_open(site, edge) and on_duty(practice, role, site.id, edge) is None
        if is_gap and since is None:
            since = edge
        elif not is_gap and since is not None:
            yield Gap(role, site.id, since, edge)
            since = None


def _edges(windows: Iterable[Site | Shift], start: datetime, end: datetime) -> Iterator[datetime]:
    for each in windows:
        day = local_day(each, start)
        while day <= local_day(each, end):
            yield from (edge for span in each.spans_on(day) for edge in span if start < edge < end)
            day += timedelta(days=1)


# --- below -----------------------------------------------------------------------------------------------------------------


def _is_in(shifts: Iterable[Shift], at: datetime) -> bool:
    return any(is_open(shift, at) for shift in shifts)


def _leavers(practice: Practice, role: str, site: str, day: date) -> list[Person]:
    """Who held the role here to their last day: their cover stands in until somebody new holds it."""
    gone = [person for person in practice.people.values() if person.ends and person.ends < day]
    if role == MANAGER:
        return [person for person in gone if practice.managers.get(site) == person.id]
    return [person for person in gone if any(post.holds(role, site, person.ends) for post in person.posts if person.ends)]


def _covers(practice: Practice, absent: Iterable[Person]) -> Iterator[tuple[Person, Person]]:
    """Cover and whom they stand in for: everybody's cover in order, then the cover of those, nobody twice."""
    waiting = deque((person, person) for person in absent)
    seen = {person.id for person, _ in waiting}
    while waiting:
        person, root = waiting.popleft()
        for id in person.cover:
            if id not in seen:
                seen.add(id)
                yield practice.people[id], root
                waiting.append((practice.people[id], root))


def _absence(person: Person, day: date) -> Why:
    if not person.is_here(day):
        return "left"
    return "leave" if person.is_on_leave(day) else "off_shift"


def _candidates(practice: Practice, role: str, site: str) -> list[Person]:
    """Everybody who could act for the role here on some day."""
    if role == MANAGER:
        first = [person for person in practice.people.values() if practice.managers.get(site) == person.id]
    else:
        first = [
            person
            for person in practice.people.values()
            if any(post.role == role and post.site in (site, EVERYWHERE) for post in person.posts)
        ]
    return [*first, *(cover for cover, _ in _covers(practice, first))]


def _next_change(site: Site, people: Iterable[Person], at: datetime) -> datetime | None:
    """The next instant after `at` at which one of these people comes in, or their role or time here begins or ends."""
    moments = []
    for person in people:
        every: list[Windows] = [*person.own_hours, site]
        for windows in every:
            try:
                moments.append(next(start for start, _ in spans_from(windows, at) if start > at))
            except NeverOpen:
                continue
        firsts = [person.starts, *(post.starts for post in person.posts)]
        lasts = [person.ends, *(post.ends for post in person.posts)]
        days = [day for day in firsts if day] + [day + timedelta(days=1) for day in lasts if day]
        moments += [start for day in days if (start := midnight(site, day)) > at]
    return min(moments, default=None)
