"""The practice file and the role files: read, checked, and every mistake named with its line. The format is docs/practice.md.

PracticeError   the files cannot be used as they stand; `.findings` holds everything that is wrong at once
"""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bot.hours import Clock, DayHours, Site, Span, Week, parse_clock, parse_hours, public_holidays, spans

MANAGER = "manager"
"""In a ladder: whoever manages the site. Not a role that anybody is given."""
EVERYWHERE = "*"
LEARNING = ("temp", "new_hire")
"""Roles that say how somebody is here, and bring no work with them."""
IN_CHARGE = ("office_manager", "operations_lead", "regional_manager", "owner_dentist")
"""Roles that answer for a site when its manager and the manager's cover are away, in this order."""
BUNDLED_ROLES = Path(__file__).parent / "roles"

_DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_STERILIZER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:#-]{0,39}")
_MAX_BYTES = 1_000_000
_MAX_TEXT = 300
_Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Finding:
    """One thing to put right. `line` counts from 1; 0 is the file as a whole."""

    file: str
    line: int
    what: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}" if self.line else f"{self.file}: {self.what}"


class PracticeError(Exception):
    """The practice or role files cannot be used. The text is the first finding, with the number of the others."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        more = len(self.findings) - 1
        super().__init__(str(self.findings[0]) + (f" (and {more} more)" if more else ""))


@dataclass(frozen=True)
class Rung:
    """Where a nudge goes next: to which role, and after how long without an answer."""

    role: str
    after: Clock


@dataclass(frozen=True)
class Role:
    id: str
    title: str
    what: str
    ladder: tuple[Rung, ...] = ()


@dataclass(frozen=True)
class Post:
    """A role somebody holds at a site ("*": at every site), with its first and last day where it has them."""

    role: str
    site: str
    starts: date | None = None
    ends: date | None = None

    def holds(self, role: str, site: str, day: date) -> bool:
        return self.role == role and self.site in (site, EVERYWHERE) and _within(day, self.starts, self.ends)


@dataclass(frozen=True)
class Leave:
    """Whole local days away, first and last included."""

    first: date
    last: date
    why: str = ""


@dataclass(frozen=True)
class Shift:
    """When one person works at one site: their own week, or the site's; never on leave, on a day off or outside their dates."""

    site: Site
    week: Week | None
    leave: tuple[Leave, ...] = ()
    starts: date | None = None
    ends: date | None = None

    @property
    def zone(self) -> ZoneInfo:
        return self.site.zone

    def spans_on(self, day: date) -> tuple[Span, ...]:
        if not _within(day, self.starts, self.ends) or any(leave.first <= day <= leave.last for leave in self.leave):
            return ()
        if self.week is None:
            return self.site.spans_on(day)
        own = spans(self.zone, day, self.week[day.weekday()])
        if self.site.special_on(day) is not None:
            return tuple(_overlaps(own, self.site.spans_on(day)))
        return () if own and self.site.is_day_off(day) else own


@dataclass(frozen=True)
class Person:
    """Somebody of the practice.

    posts    the roles they hold
    shifts   site id -> when they act for it; every site where they hold a role, manage, or have hours of their own
    cover    who acts for them when they are away, in order
    email    as the chat platform knows them, in small letters; how their account there is found
    """

    id: str
    name: str
    posts: tuple[Post, ...] = ()
    cover: tuple[str, ...] = ()
    leave: tuple[Leave, ...] = ()
    starts: date | None = None
    ends: date | None = None
    shifts: Mapping[str, tuple[Shift, ...]] = field(default_factory=dict, compare=False)
    email: str = field(default="", repr=False)

    @cached_property
    def own_hours(self) -> tuple[Shift, ...]:
        """Every shift they have, whichever the site: outside all of them nothing reaches them."""
        return tuple(dict.fromkeys(shift for shifts in self.shifts.values() for shift in shifts))

    def is_here(self, day: date) -> bool:
        """Whether they belong to the practice on that day."""
        return _within(day, self.starts, self.ends)

    def is_on_leave(self, day: date) -> bool:
        return any(leave.first <= day <= leave.last for leave in self.leave)


@dataclass(frozen=True)
class Practice:
    """One organisation: its sites, people and roles, as of one state of the file (`sha256` of its bytes).

    managers     site id -> person id
    sterilizers  site id -> the sterilizers that each owe a spore test every ISO week
    chat         platform -> account -> person id
    channels     platform -> site id -> the channel that gets its morning stand-up
    warnings     what is allowed and probably not meant
    """

    name: str
    sites: Mapping[str, Site]
    people: Mapping[str, Person]
    roles: Mapping[str, Role]
    managers: Mapping[str, str]
    sterilizers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    chat: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    channels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    sha256: str = ""
    file: str = ""
    warnings: tuple[Finding, ...] = ()
    lines: Mapping[_Path, int] = field(default_factory=dict, compare=False, repr=False)

    def finding(self, path: _Path, what: str, severity: Literal["error", "warning"] = "error") -> Finding:
        """A finding at the line where `path` (e.g. ("sites", "harbor", "manager")) stands."""
        return Finding(self.file, _line_of(self.lines, path), what, severity)


def load_roles(folder: Path = BUNDLED_ROLES) -> dict[str, Role]:
    """Every role of a folder, by id; the id is the file's name. raises PracticeError"""
    findings: list[Finding] = []
    roles: dict[str, Role] = {}
    notes: dict[str, _Notes] = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            data, notes[path.stem], _ = _read(path)
        except PracticeError as error:
            findings += error.findings
            continue
        roles[path.stem] = _role(path.stem, data, notes[path.stem])
    if not roles and not findings:
        raise PracticeError([Finding(str(folder), 0, "There is no role file in this folder.")])
    for role in roles.values():
        for n, rung in enumerate(role.ladder):
            if rung.role not in roles and rung.role != MANAGER:
                notes[role.id].wrong(("ladder", n, "role"), _unknown("role", rung.role, [*roles, MANAGER]))
        findings += notes[role.id].findings
    if findings:
        raise PracticeError(findings)
    return roles


def load_practice(path: Path, roles: Mapping[str, Role]) -> Practice:
    """The practice a file describes.

    raises PracticeError   with every mistake of the file, each at its line
    """
    data, notes, sha256 = _read(path)
    notes.only(data, (), ("organisation", "sites", "people", "chat", "channels"))
    organisation = notes.table(data, (), "organisation", needed=True)
    notes.only(organisation, ("organisation",), ("name",))
    name = notes.text(organisation, ("organisation",), "name", needed=True)
    site_tables = dict(notes.tables(data, "sites"))
    people_tables = dict(notes.tables(data, "people"))
    sites = {id: _site(id, table, notes) for id, table in site_tables.items()}
    managers = {id: notes.one_of(table, ("sites", id), "manager", "person", people_tables) for id, table in site_tables.items()}
    sterilizers = {id: _sterilizers(id, table, notes) for id, table in site_tables.items()}
    people = {id: _person(id, table, sites, managers, roles, people_tables, notes) for id, table in people_tables.items()}
    chat = _chat(notes.table(data, (), "chat"), people_tables, notes)
    channels = _channels(notes.table(data, (), "channels"), site_tables, notes)
    for id, person in people.items():
        if person.email and any(other.email == person.email for other in people.values() if other is not person):
            notes.wrong(("people", id, "email"), f"{person.email} belongs to more than one person: an account is one person's.")
    for circle in _closed_circles(people):
        notes.wrong(("people", circle[0], "cover"), _circle_sentence(circle, people))
    practice = Practice(name, sites, people, roles, managers, sterilizers, chat, channels, sha256, str(path), (), notes.lines)
    if not notes.errors:
        _warn(practice, people_tables, notes)
    if notes.errors:
        raise PracticeError(sorted(notes.errors, key=lambda finding: finding.line))
    return replace(practice, warnings=tuple(sorted(notes.findings, key=lambda finding: finding.line)))


# --- one table at a time ---------------------------------------------------------------------------------------------------


def _role(id: str, data: dict[str, Any], notes: _Notes) -> Role:
    notes.only(data, (), ("title", "what", "ladder"))
    title, what = notes.text(data, (), "title", needed=True), notes.text(data, (), "what", needed=True)
    if title and title.lower().replace(" ", "_") != id:
        notes.wrong(
            ("title",), f"The title {title!r} and the file's name do not agree: the name is the title with underscores."
        )
    rungs = []
    for n, table in enumerate(notes.list(data, (), "ladder")):
        where: _Path = ("ladder", n)
        if not isinstance(table, dict):
            notes.wrong(where, "A rung is a table with role and after.")
            continue
        notes.only(table, where, ("role", "after"))
        role = notes.text(table, where, "role", needed=True)
        after = notes.parsed(notes.text(table, where, "after", needed=True), (*where, "after"), parse_clock)
        if role == id:
            notes.wrong((*where, "role"), "A role cannot escalate to itself.")
        elif role and after:
            rungs.append(Rung(role, after))
    return Role(id, title, what, tuple(rungs))


def _sterilizers(id: str, table: dict[str, Any], notes: _Notes) -> tuple[str, ...]:
    """The sterilizers of a site, named as the spore log names them: a name with a blank would never be found there."""
    where = ("sites", id)
    names = notes.texts(table, where, "sterilizers")
    for n, name in enumerate(names):
        if not _STERILIZER.fullmatch(name):
            notes.wrong((*where, "sterilizers", n), f"{name!r} must be one word of letters, digits and -_.:#, such as H1.")
    return names


def _site(id: str, table: dict[str, Any], notes: _Notes) -> Site:
    where = ("sites", id)
    notes.only(table, where, ("name", "time_zone", "manager", "holidays", "closed", "days", "hours", "sterilizers"))
    holidays = notes.text(table, where, "holidays")
    if holidays and notes.parsed(holidays, (*where, "holidays"), lambda code: (public_holidays(code, 2026),)) is None:
        holidays = ""
    week = _week(notes.table(table, where, "hours", needed=True), (*where, "hours"), notes)
    if "hours" in table and not any(week):
        notes.wrong((*where, "hours"), "This site is never open: give hours for at least one day.")
    closed = frozenset(day for first, last in _date_ranges(table, where, "closed", notes) for day in _each_day(first, last))
    days = tuple(_special_days(notes.table(table, where, "days"), (*where, "days"), notes))
    for day, _ in days:
        if day in closed:
            notes.wrong(
                (*where, "days", day.isoformat()), f"{day.isoformat()} has hours of its own and is also listed as closed."
            )
    name = notes.text(table, where, "name", needed=True)
    return Site(id, name, _zone(table, where, notes), week, closed, holidays, days)


def _person(
    id: str,
    table: dict[str, Any],
    sites: Mapping[str, Site],
    managers: Mapping[str, str],
    roles: Mapping[str, Role],
    everybody: Mapping[str, Any],
    notes: _Notes,
) -> Person:
    where = ("people", id)
    notes.only(table, where, ("name", "email", "roles", "shifts", "cover", "leave", "starts", "ends"))
    name = notes.text(table, where, "name", needed=True)
    email = notes.text(table, where, "email").strip().lower()
    if email and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email):
        notes.wrong((*where, "email"), f"{id}'s email is no e-mail address.")
    starts, ends = notes.date(table, where, "starts"), notes.date(table, where, "ends")
    if starts and ends and ends < starts:
        notes.wrong((*where, "ends"), f"{id} ends before they start.")
    posts = tuple(
        post
        for n, entry in enumerate(notes.list(table, where, "roles"))
        if (post := _post(entry, (*where, "roles", n), sites, roles, notes))
    )
    leave = tuple(Leave(first, last, why) for first, last, why in _leave(table, where, notes))
    weeks: dict[str, Week] = {}
    shift_tables = notes.table(table, where, "shifts")
    for site in shift_tables:
        if site not in sites:
            notes.wrong((*where, "shifts", site), _unknown("site", site, sites))
        else:
            weeks[site] = _week(notes.table(shift_tables, (*where, "shifts"), site), (*where, "shifts", site), notes)
    cover = notes.texts(table, where, "cover")
    for n, other in enumerate(cover):
        if other not in everybody:
            notes.wrong((*where, "cover", n), _unknown("person", other, everybody))
    person = Person(id, name, posts, cover, leave, starts, ends, email=email)
    managed = {site for site, manager in managers.items() if manager == id}
    return replace(person, shifts=_shifts(person, weeks, managed, sites))


def _shifts(
    person: Person, weeks: Mapping[str, Week], managed: set[str], sites: Mapping[str, Site]
) -> dict[str, tuple[Shift, ...]]:
    """Where a site is not named under `shifts`: the site's own hours; for somebody of every site, the hours that are named."""

    def shift(site: str) -> Shift:
        return Shift(sites[site], weeks.get(site), person.leave, person.starts, person.ends)

    held = {post.site for post in person.posts}
    shifts: dict[str, tuple[Shift, ...]] = {}
    for site in sites:
        if site in weeks or site in held or site in managed:
            shifts[site] = (shift(site),)
        elif EVERYWHERE in held:
            shifts[site] = tuple(shift(named) for named in weeks) or (shift(site),)
    return shifts


def _post(entry: object, where: _Path, sites: Mapping[str, Site], roles: Mapping[str, Role], notes: _Notes) -> Post | None:
    starts = ends = None
    if isinstance(entry, dict):
        notes.only(entry, where, ("role", "from", "until"))
        starts, ends = notes.date(entry, where, "from"), notes.date(entry, where, "until")
        if starts and ends and ends < starts:
            notes.wrong(where, "This role ends before it starts.")
        entry = notes.text(entry, where, "role", needed=True)
    role, at, site = entry.partition("@") if isinstance(entry, str) else ("", "", "")
    if not at:
        notes.wrong(where, 'Write a role as "role@site", or "role@*" for every site.')
    elif role == MANAGER:
        notes.wrong(where, f"A site's manager is named under [sites.{site}], as manager = …, not as a role.")
    elif role not in roles:
        notes.wrong(where, _unknown("role", role, roles))
    elif site != EVERYWHERE and site not in sites:
        notes.wrong(where, _unknown("site", site, sites))
    else:
        return Post(role, site, starts, ends)
    return None


def _zone(table: dict[str, Any], where: _Path, notes: _Notes) -> ZoneInfo:
    name = notes.text(table, where, "time_zone", needed=True)
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        notes.wrong(
            (*where, "time_zone"), f'{name!r} is not a time zone: write one like "America/New_York" or "America/Phoenix".'
        )
        return ZoneInfo("UTC")


def _week(table: dict[str, Any], where: _Path, notes: _Notes) -> Week:
    """Hours by weekday; a key is a day (`mon`) or a run of days (`mon-thu`)."""
    week: list[DayHours | None] = [None] * 7
    for key, value in table.items():
        first, _, last = key.partition("-")
        if first not in _DAY_NAMES or (last or first) not in _DAY_NAMES:
            notes.wrong(
                (*where, key), f"{key!r} is not a day: write mon, tue, wed, thu, fri, sat, sun, or a run such as mon-thu."
            )
            continue
        run = range(_DAY_NAMES.index(first), _DAY_NAMES.index(last or first) + 1)
        hours = _day_hours(value, (*where, key), notes)
        if not run:
            notes.wrong((*where, key), f"{key!r} runs backwards: a week goes from mon to sun.")
        for weekday in run:
            if week[weekday] is not None:
                notes.wrong((*where, key), f"{_DAY_NAMES[weekday]} is given twice.")
            week[weekday] = hours
    return cast(Week, tuple(hours or () for hours in week))


def _day_hours(value: object, where: _Path, notes: _Notes) -> DayHours:
    if not isinstance(value, str):
        notes.wrong(where, 'Hours are a text such as "08:00-12:00 13:00-17:00"; "" is a closed day.')
        return ()
    return notes.parsed(value, where, parse_hours) or ()


def _special_days(table: dict[str, Any], where: _Path, notes: _Notes) -> Iterator[tuple[date, DayHours]]:
    for key, value in table.items():
        day = notes.parsed(key, (*where, key), _plain_date)
        if day:
            yield day, _day_hours(value, (*where, key), notes)


def _plain_date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a date: write it like 2026-02-20.") from None


def _date_ranges(table: dict[str, Any], where: _Path, key: str, notes: _Notes) -> Iterator[tuple[date, date]]:
    for n, entry in enumerate(notes.list(table, where, key)):
        place = (*where, key, n)
        if isinstance(entry, dict):
            notes.only(entry, place, ("from", "until"))
            found = _range(entry, place, notes)
            if found:
                yield found
        elif type(entry) is date:
            yield entry, entry
        else:
            notes.wrong(place, "This is not a day: write it like 2026-02-20, without quotes.")


def _leave(table: dict[str, Any], where: _Path, notes: _Notes) -> Iterator[tuple[date, date, str]]:
    for n, entry in enumerate(notes.list(table, where, "leave")):
        place = (*where, "leave", n)
        if not isinstance(entry, dict):
            notes.wrong(place, 'Leave is written { from = 2026-02-24, until = 2026-02-27, why = "vacation" }.')
            continue
        notes.only(entry, place, ("from", "until", "why"))
        found = _range(entry, place, notes)
        if found:
            yield *found, notes.text(entry, place, "why")


def _range(entry: dict[str, Any], where: _Path, notes: _Notes) -> tuple[date, date] | None:
    if "from" not in entry:
        notes.wrong(where, "from = the first day is missing here.")
        return None
    first = notes.date(entry, where, "from")
    last = notes.date(entry, where, "until") if "until" in entry else first
    if first is None or last is None:
        return None
    if last < first:
        notes.wrong((*where, "until"), f"until {last.isoformat()} lies before from {first.isoformat()}.")
        return None
    if last - first > timedelta(days=3660):
        notes.wrong(
            (*where, "until"), "This lasts more than ten years: somebody who is gone for good has an ends = day instead."
        )
        return None
    return first, last


def _each_day(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=n) for n in range((last - first).days + 1))


def _chat(table: dict[str, Any], everybody: Mapping[str, Any], notes: _Notes) -> dict[str, dict[str, str]]:
    chat: dict[str, dict[str, str]] = {}
    for platform in table:
        addresses = notes.table(table, ("chat",), platform)
        where = ("chat", platform)
        chat[platform] = {address: notes.one_of(addresses, where, address, "person", everybody) for address in addresses}
    return chat


def _channels(table: dict[str, Any], sites: Mapping[str, Any], notes: _Notes) -> dict[str, dict[str, str]]:
    channels: dict[str, dict[str, str]] = {}
    for platform in table:
        where = ("channels", platform)
        named = notes.table(table, ("channels",), platform)
        channels[platform] = {site: notes.text(named, where, site, needed=True) for site in named}
        for site in named.keys() - sites.keys():
            notes.wrong((*where, site), _unknown("site", site, sites))
    return channels


# --- what only the whole shows ---------------------------------------------------------------------------------------------


def _closed_circles(people: Mapping[str, Person]) -> list[list[str]]:
    """Groups of people who cover only each other, so that nobody is left when all are away; each in cover order."""
    reach = {id: _covers_of(id, people) for id in people}
    circles: list[list[str]] = []
    for id in people:
        group = reach[id]
        if any(id in circle for circle in circles):
            continue
        if id in group and all(reach[other] == group for other in group):
            circles.append([id, *(other for other in group if other != id)])
    return circles


def _covers_of(id: str, people: Mapping[str, Person]) -> dict[str, None]:
    """Everybody reached through cover and cover's cover, in the order they would be asked."""
    found: dict[str, None] = {}
    waiting = [id]
    for person in waiting:
        for cover in people[person].cover:
            if cover in people and cover not in found:
                found[cover] = None
                waiting.append(cover)
    return found


def _circle_sentence(circle: list[str], people: Mapping[str, Person]) -> str:
    if len(circle) == 1:
        return f"{circle[0]} is named as their own cover: name somebody else, or leave cover out."
    return (
        f"{' -> '.join([*circle, circle[0]])} cover only each other: when all are away nobody is left. Name somebody outside."
    )


def _warn(practice: Practice, people_tables: Mapping[str, Any], notes: _Notes) -> None:
    for person in practice.people.values():
        named = people_tables[person.id].get("shifts", {})
        for site in {post.site: None for post in person.posts if post.site != EVERYWHERE}:
            if named and site not in named:
                what = f"{person.id} has a role at {site}, but shifts does not name it: {site}'s opening hours are taken."
                notes.wrong(("people", person.id, "shifts"), what, "warning")
        if person.posts and all(post.role in LEARNING for post in person.posts):
            what = f"{person.id} is only {person.posts[0].role}, which brings no work: add the roles they fill in for."
            notes.wrong(("people", person.id, "roles"), what, "warning")
        if not person.own_hours:
            notes.wrong(
                ("people", person.id), f"{person.id} has no role, no site and no hours: nothing can reach them.", "warning"
            )
    for site in practice.sites:
        _warn_site(practice, site, notes)


def _warn_site(practice: Practice, site: str, notes: _Notes) -> None:
    held = {post.role for person in practice.people.values() for post in person.posts if post.site in (site, EVERYWHERE)}
    for role in sorted(held):
        for rung in practice.roles[role].ladder:
            if rung.role not in held and rung.role not in (MANAGER, *IN_CHARGE):  # those have others in line
                what = f"Nobody is {rung.role} at {site}, the next after {role}: what is not answered there goes on up."
                notes.wrong(("sites", site), what, "warning")
    manager = practice.people[practice.managers[site]]
    others = {
        person.id
        for person in practice.people.values()
        for post in person.posts
        if post.role in IN_CHARGE and post.site in (site, EVERYWHERE)
    }
    if not manager.cover and not others - {manager.id}:
        what = f"When {manager.id} is away nobody is in charge of {site}: give {manager.id} a cover."
        notes.wrong(("sites", site, "manager"), what, "warning")


# --- reading, with lines ---------------------------------------------------------------------------------------------------


class _Notes:
    """What was found wrong while reading one file, and typed access to its tables."""

    def __init__(self, file: str, lines: Mapping[_Path, int]) -> None:
        self.file = file
        self.lines = lines
        self.findings: list[Finding] = []

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == "error"]

    def wrong(self, path: _Path, what: str, severity: Literal["error", "warning"] = "error") -> None:
        finding = Finding(self.file, _line_of(self.lines, path), what, severity)
        if finding not in self.findings:
            self.findings.append(finding)

    def only(self, table: Mapping[str, Any], where: _Path, keys: tuple[str, ...]) -> None:
        for key in table:
            if key not in keys:
                self.wrong((*where, key), _unknown("key", key, keys))

    def table(self, table: Mapping[str, Any], where: _Path, key: str, *, needed: bool = False) -> dict[str, Any]:
        value = table.get(key)
        if isinstance(value, dict):
            return value
        if value is not None:
            self.wrong((*where, key), f"{key} is a table: write it as {{ … }} or under [{'.'.join(map(str, (*where, key)))}].")
        elif needed:
            self.wrong(where, f"{_place(where)} has no {key}.")
        return {}

    def tables(self, table: Mapping[str, Any], key: str) -> Iterator[tuple[str, dict[str, Any]]]:
        group = self.table(table, (), key)
        if key not in table:
            self.wrong((), f"There is no [{key}.…] in this file.")
        for id in group:
            if _ID.fullmatch(id) is None:
                self.wrong((key, id), f"{id!r} cannot be an id: write small letters, digits, - and _.")
            yield id, self.table(group, (key,), id)

    def list(self, table: Mapping[str, Any], where: _Path, key: str) -> list[Any]:
        value = table.get(key, [])
        if isinstance(value, list):
            return value
        self.wrong((*where, key), f"{key} is a list: write it between [ and ].")
        return []

    def texts(self, table: Mapping[str, Any], where: _Path, key: str) -> tuple[str, ...]:
        found: list[str] = []
        for n, value in enumerate(self.list(table, where, key)):
            if not isinstance(value, str) or not value.strip():
                self.wrong((*where, key, n), f'{key} takes texts, each like "this".')
            elif value in found:
                self.wrong((*where, key, n), f"{value} is listed twice.")
            else:
                found.append(value)
        return tuple(found)

    def text(self, table: Mapping[str, Any], where: _Path, key: str, *, needed: bool = False) -> str:
        value = table.get(key)
        if isinstance(value, str) and (value.strip() or not needed):
            if len(value) > _MAX_TEXT or not value.isprintable():
                self.wrong((*where, key), f"{key} is one line of at most {_MAX_TEXT} characters.")
            return value.strip()
        if value is not None:
            self.wrong((*where, key), f'{key} is a text: write it like {key} = "…".')
        elif needed:
            self.wrong(where, f"{_place(where)} has no {key}.")
        return ""

    def date(self, table: Mapping[str, Any], where: _Path, key: str) -> date | None:
        value = table.get(key)
        if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
            return value
        self.wrong((*where, key), f"{key} is a day: write it like 2026-02-20, without quotes.")
        return None

    def one_of(self, table: Mapping[str, Any], where: _Path, key: str, kind: str, known: Mapping[str, Any]) -> str:
        value = self.text(table, where, key, needed=True)
        if value and value not in known:
            self.wrong((*where, key), _unknown(kind, value, known))
        return value

    def parsed(self, text: str, where: _Path, parse: Callable[[str], Any]) -> Any:
        """What `parse` makes of a text; None, and a finding, when it refuses. An empty text is left to whoever needed it."""
        if not text:
            return None
        try:
            return parse(text)
        except ValueError as error:
            self.wrong(where, str(error))
            return None


def _read(path: Path) -> tuple[dict[str, Any], _Notes, str]:
    """The file as TOML, a sheet to note its mistakes on, and the hash of its bytes. raises PracticeError"""
    data, text, sha256 = read_toml(path)
    return data, _Notes(str(path), toml_lines(text)), sha256


def read_toml(path: Path) -> tuple[dict[str, Any], str, str]:
    """The file as TOML, its text, and the hash of its bytes.

    raises PracticeError   it is missing, too large, not UTF-8 or not TOML; with the line where there is one
    """
    file = str(path)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise PracticeError([Finding(file, 0, "There is no such file: begin with the example in docs/practice.md.")]) from None
    except OSError as error:
        raise PracticeError([Finding(file, 0, f"It cannot be read ({error.strerror}).")]) from None
    if len(raw) > _MAX_BYTES:
        raise PracticeError([Finding(file, 0, "It is larger than 1 MB: this is some other file.")])
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")  # Notepad writes a mark at the start
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise PracticeError([Finding(file, line, "This line is not UTF-8: save the file as UTF-8 text.")]) from None
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PracticeError([_syntax_finding(file, text, str(error))]) from None
    return data, text, hashlib.sha256(raw).hexdigest()


def _syntax_finding(file: str, text: str, message: str) -> Finding:
    at = re.search(r" \(at line (\d+), column \d+\)$", message)
    line = int(at[1]) if at else max(1, len(text.rstrip().split("\n")))
    reason = message[: at.start()] if at else message.removesuffix(" (at end of document)")
    if twice := re.match(r"Cannot declare \((.*)\) twice", reason):
        name = ".".join(re.findall(r"'([^']*)'", twice[1]))
        return Finding(file, line, f"[{name}] stands twice in this file: give one of them another id.")
    if reason == "Cannot overwrite a value":
        return Finding(file, line, "This name was already given a value above: every name stands once in its table.")
    return Finding(file, line, f"This line is not valid TOML: {reason[:1].lower()}{reason[1:]}.")


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(name.strip().lower().replace(" ", "_"), known, n=1)
    if near:
        return f"There is no {kind} {name!r}: did you mean {near[0]}?"
    choice = f": there {'is' if len(known) == 1 else 'are'} {', '.join(known)}" if 0 < len(known) <= 12 else ""
    return f"There is no {kind} {name!r}{choice}."


def _place(where: _Path) -> str:
    return f"[{'.'.join(map(str, where))}]" if where else "The file"


def _line_of(lines: Mapping[_Path, int], path: _Path) -> int:
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _within(day: date, first: date | None, last: date | None) -> bool:
    return (first is None or first <= day) and (last is None or day <= last)


def _overlaps(ours: Iterable[Span], theirs: tuple[Span, ...]) -> Iterator[Span]:
    for start, end in ours:
        for opens, closes in theirs:
            if max(start, opens) < min(end, closes):
                yield max(start, opens), min(end, closes)


def toml_lines(text: str) -> dict[_Path, int]:
    """Where each key of a valid TOML text stands: path -> line from 1. List elements have their number in the path."""
    return _Scan(text).lines


class _Scan:
    """Walks TOML that tomllib has already accepted, and only notes where things stand."""

    _KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
    _STRING = re.compile(r'''"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'''', re.DOTALL)
    _SCALAR = re.compile(r"[^,\]}#\n]+")
    _BLANK = re.compile(r"[ \t]*")
    _BLANK_LINES = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self.lines: dict[_Path, int] = {}
        self.rows: dict[_Path, int] = {}
        table: _Path = ()
        self._skip(self._BLANK_LINES)
        while self.at < len(text):
            if text.startswith("[", self.at):
                table = self._header()
            else:
                self._pair(table)
            self._skip(self._BLANK_LINES)

    def _header(self) -> _Path:
        is_row = self.text.startswith("[[", self.at)
        line = self._line()
        self.at += 2 if is_row else 1
        path: _Path = ()
        keys = self._keys()
        for n, key in enumerate(keys):
            path = (*path, key)
            if is_row and n == len(keys) - 1:
                self.rows[path] = self.rows.get(path, -1) + 1
                self.lines.setdefault(path, line)
            if path in self.rows:
                path = (*path, self.rows[path])
            self.lines.setdefault(path, line)
        self.at += 2 if is_row else 1
        return path

    def _keys(self) -> list[str]:
        keys: list[str] = []
        while True:
            self._skip(self._BLANK)
            match = self._KEY.match(self.text, self.at)
            assert match is not None, "tomllib accepted this text"
            self.at = match.end()
            raw = match[0]
            keys.append(str(tomllib.loads(f"k = {raw}")["k"]) if raw[0] in "\"'" else raw)
            self._skip(self._BLANK)
            if not self.text.startswith(".", self.at):
                return keys
            self.at += 1

    def _pair(self, table: _Path) -> None:
        line = self._line()
        path = table
        for key in self._keys():
            path = (*path, key)
            self.lines.setdefault(path, line)
        self.at += 1  # =
        self._skip(self._BLANK)
        self._value(path)

    def _value(self, path: _Path) -> None:
        opening = self.text[self.at]
        if opening == "[":
            self._members("]", path, is_list=True)
        elif opening == "{":
            self._members("}", path, is_list=False)
        else:
            pattern = self._STRING if opening in "\"'" else self._SCALAR
            self._skip(pattern)

    def _members(self, closing: str, path: _Path, *, is_list: bool) -> None:
        self.at += 1
        for n in range(len(self.text)):
            self._skip(self._BLANK_LINES)
            if self.text.startswith(closing, self.at):
                break
            if is_list:
                self.lines[(*path, n)] = self._line()
                self._value((*path, n))
            else:
                self._pair(path)
            self._skip(self._BLANK_LINES)
            if self.text.startswith(",", self.at):
                self.at += 1
        self.at += 1

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        assert match is not None, "tomllib accepted this text"
        self.at = match.end()

    def _line(self) -> int:
        return bisect_right(self.starts, self.at)
