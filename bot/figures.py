"""Every named query behind the digest, the page and counting questions. Read-only; each figure can be run again by its name.

A figure is rows of (site, role, number, money), so that sums by role equal the total by construction of the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlmodel import Session, col

from bot.hours import Site, midnight
from bot.nudges import REVIEW
from bot.records import Delivery, ExceptionAsked, Feed, Gap, Intake, LedgerBody, Nudge, Question

STALLED = ("open", "sent", "acknowledged", "said_done", "snoozed", "exception_asked")
"""States in which work is owed: everything that is not held back, excepted or closed."""


@dataclass(frozen=True)
class Line:
    """One row of a figure: how many nudges of a role at a site, what they are worth, and the oldest stillness among them."""

    site: str
    role: str
    n: int
    cents: int
    oldest: datetime | None = None


@dataclass(frozen=True)
class Figure:
    """A named figure: its rows, and their sum."""

    name: str
    lines: tuple[Line, ...]

    @property
    def n(self) -> int:
        return sum(line.n for line in self.lines)

    @property
    def cents(self) -> int:
        return sum(line.cents for line in self.lines)


@dataclass(frozen=True)
class FeedState:
    feed: str
    site: str
    as_of: datetime | None
    stale: bool
    quarantined: int = 0
    unread_rows: int = 0


def day_of(site: Site, at: datetime) -> tuple[datetime, datetime]:
    """The local day of a site that holds `at`, as instants: its first and the first of the next day."""
    day = at.astimezone(site.zone).date()
    return midnight(site, day), midnight(site, day + timedelta(days=1))


def day_before(site: Site, at: datetime) -> tuple[datetime, datetime]:
    """The last local day before today on which the site was open, to its end; a Monday's yesterday is Friday."""
    today = at.astimezone(site.zone).date()
    day = next((d for n in range(1, 15) if site.hours_on(d := today - timedelta(days=n))), today - timedelta(days=1))
    return midnight(site, day), midnight(site, today)


def month_of(site: Site, at: datetime) -> datetime:
    """The first instant of the site's local month that holds `at`."""
    return midnight(site, at.astimezone(site.zone).date().replace(day=1))


def verified(session: Session, sites: Sequence[str], start: datetime, end: datetime) -> Figure:
    """Nudges that the source proved done in [start, end)."""
    return _figure(session, "verified", sites, col(Nudge.ending) == "verified", _within(Nudge.closed_at, start, end))


def said_unproven(session: Session, sites: Sequence[str]) -> Figure:
    """Said done, and the source has not shown it yet."""
    return _figure(session, "said, not proven", sites, col(Nudge.state) == "said_done")


def contradicted(session: Session, sites: Sequence[str], start: datetime, end: datetime) -> Figure:
    """Said done in error: the source was read after the limit and did not show it, in [start, end)."""
    which = (
        select(col(LedgerBody.subject))
        .where(col(LedgerBody.what) == "done contradicted", _within(LedgerBody.at, start, end))
        .distinct()
    )
    return _figure(session, "contradicted", sites, col(Nudge.id).in_(which))


def due_between(session: Session, sites: Sequence[str], start: datetime, end: datetime) -> Figure:
    """Work owed whose deadline lies in [start, end)."""
    return _figure(session, "due", sites, col(Nudge.state).in_(STALLED), _within(Nudge.due_at, start, end))


def at_risk(session: Session, sites: Sequence[str], now: datetime) -> Figure:
    """Work owed that is past its deadline, or that has already gone up the ladder."""
    return _figure(session, "at risk", sites, col(Nudge.state).in_(STALLED), (col(Nudge.due_at) < now) | (col(Nudge.level) > 0))


def stalled(session: Session, sites: Sequence[str]) -> Figure:
    """All work owed, by role and site, with the oldest stillness."""
    return _figure(session, "stalled", sites, col(Nudge.state).in_(STALLED))


def open_of(session: Session, sites: Sequence[str], rules: Sequence[str], roles: Iterable[str] | None) -> Figure:
    """Work owed that these rules found, of these roles (None: of all)."""
    which = [col(Nudge.state).in_(STALLED), col(Nudge.rule).in_(rules)]
    if roles is not None:
        which.append(col(Nudge.role).in_(list(roles)))
    return _figure(session, "open", sites, *which)


def exceptions_waiting(session: Session, sites: Sequence[str]) -> list[ExceptionAsked]:
    """Exceptions that nobody has decided, oldest first."""
    query = (
        select(ExceptionAsked)
        .join(Nudge, col(Nudge.id) == col(ExceptionAsked.nudge))
        .where(col(ExceptionAsked.state) == "waiting", col(Nudge.site).in_(sites))
        .order_by(col(ExceptionAsked.asked_at))
    )
    return list(session.scalars(query))


def reviews_waiting(session: Session, sites: Sequence[str]) -> list[Nudge]:
    """First-import backlogs that the manager has not looked at."""
    query = select(Nudge).where(col(Nudge.rule).startswith(REVIEW), col(Nudge.site).in_(sites), col(Nudge.closed_at).is_(None))
    return list(session.scalars(query.order_by(col(Nudge.opened_at))))


def undelivered(session: Session, people: Iterable[str] | None = None, since: datetime | None = None) -> list[Delivery]:
    """Messages that could not be delivered (given up since `since`), or of which nobody knows, newest first."""
    query = select(Delivery).where(col(Delivery.state).in_(("dead", "ambiguous")))
    if people is not None:
        query = query.where(col(Delivery.person).in_(list(people)))
    if since is not None:
        query = query.where(col(Delivery.ended_at).is_(None) | (col(Delivery.ended_at) >= since))
    return list(session.scalars(query.order_by(col(Delivery.created_at).desc())))


def unanswered(session: Session, sites: Sequence[str], since: datetime) -> list[Question]:
    """Questions asked since then that no SOP answered, oldest first; nothing was picked of what came near."""
    return _asked(session, sites, since, col(Question.outcome).in_(("nearest", "refusal")), col(Question.step) == "")


def disliked(session: Session, sites: Sequence[str], since: datetime) -> list[Question]:
    """Questions asked since then whose answer did not help, oldest first."""
    return _asked(session, sites, since, col(Question.helped).is_(False))


def _asked(session: Session, sites: Sequence[str], since: datetime, *where: ColumnElement[bool]) -> list[Question]:
    ended = select(col(Gap.question)).where(col(Gap.state) != "open")
    mine = col(Question.site).in_([*sites, ""])
    query = select(Question).where(col(Question.at) >= since, mine, col(Question.ref).not_in(ended), *where)
    return list(session.scalars(query.order_by(col(Question.at), col(Question.ref))))


def stalled_on(session: Session, sites: Sequence[str], sop: str) -> tuple[int, int]:
    """How much work stands still on the steps of an SOP at these sites, and its worth in cents."""
    where = [col(Nudge.site).in_(sites), col(Nudge.state).in_(STALLED), col(Nudge.sop) == sop]
    where.append(~col(Nudge.rule).startswith(REVIEW))
    n, cents = session.execute(select(func.count(), func.coalesce(func.sum(Nudge.amount_cents), 0)).where(*where)).one()
    return int(n), int(cents)


def wrong_share(session: Session, sites: Sequence[str], start: datetime, end: datetime) -> tuple[int, int]:
    """(contested, opened): how many of the nudges that ended in [start, end) people reported wrong. Our own precision."""
    ended = (col(Nudge.site).in_(sites), _within(Nudge.closed_at, start, end), ~col(Nudge.rule).startswith(REVIEW))
    rows = session.execute(select(col(Nudge.ending), func.count()).where(*ended).group_by(col(Nudge.ending))).all()
    count = {str(ending): int(n) for ending, n in rows}
    return count.get("wrong", 0), sum(count.values())


def feeds(session: Session, known: Iterable[tuple[str, str]], stale: Iterable[str]) -> list[FeedState]:
    """Every configured feed (id, site): up to when it is known, whether it is too old to judge by, files set aside."""
    too_old = set(stale)
    rows = {row.id: row for row in session.scalars(select(Feed))}
    aside = dict(
        session.execute(
            select(col(Intake.feed), func.count()).where(col(Intake.outcome) == "quarantined").group_by(col(Intake.feed))
        ).all()
    )
    return [
        FeedState(feed, site, rows[feed].as_of if feed in rows else None, feed in too_old, int(aside.get(feed, 0)))
        for feed, site in known
    ]


def of_person(session: Session, person: str, role_sites: Iterable[tuple[str, str]]) -> list[Nudge]:
    """What is on one person's plate: sent to them, taken by them, or owed by a role they act for and not sent yet."""
    mine = (col(Nudge.person) == person) | (col(Nudge.acknowledged_by) == person)
    for role, site in role_sites:
        mine = mine | ((col(Nudge.role) == role) & (col(Nudge.site) == site) & (col(Nudge.person) == ""))
    query = select(Nudge).where(mine, col(Nudge.closed_at).is_(None), col(Nudge.state) != "held")
    return list(session.scalars(query))


def of_item(session: Session, item: str) -> list[Nudge]:
    return list(session.scalars(select(Nudge).where(col(Nudge.item) == item).order_by(col(Nudge.opened_at))))


def _figure(session: Session, name: str, sites: Sequence[str], *where: ColumnElement[bool]) -> Figure:
    query = (
        select(
            col(Nudge.site),
            col(Nudge.role),
            func.count(),
            func.coalesce(func.sum(Nudge.amount_cents), 0),
            func.min(Nudge.since_at),
        )
        .where(col(Nudge.site).in_(sites), ~col(Nudge.rule).startswith(REVIEW), *where)
        .group_by(col(Nudge.site), col(Nudge.role))
        .order_by(col(Nudge.site), col(Nudge.role))
    )
    return Figure(name, tuple(Line(s, r, int(n), int(c), oldest) for s, r, n, c, oldest in session.execute(query)))


def _within(column: Any, start: datetime, end: datetime) -> ColumnElement[bool]:
    return (col(column) >= start) & (col(column) < end)
