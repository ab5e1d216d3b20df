"""What time does: pull, judge, advance, announce, deliver. `tick` is one round; it may run twice, late, or be killed anywhere.

Every step reads what is due from rows and commits in small pieces, so the next tick goes on where this one stopped. Nothing is
sent inside a transaction: a delivery is leased, drawn and judged again in one transaction, sent, and recorded in another.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from sqlalchemy import Engine, case, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col

from bot import accounts, cards, digest, evidence, items, nudges, patients, people
from bot.cards import Token
from bot.chat import AmbiguousSend, Card, Platform, Receipt, SendError, card_from_json
from bot.evidence import Event
from bot.hours import NeverOpen, Site, digest_day
from bot.items import FeedConfig
from bot.metrics import Outcome
from bot.nudges import NUDGES, House
from bot.practice import MANAGER
from bot.records import (
    AccountClaim,
    Delivery,
    ExceptionAsked,
    Feed,
    Item,
    Mark,
    Nudge,
    Slot,
    alone,
    insert_new,
    new_ref,
    read,
    write,
)
from bot.rules import Loaded
from connectors import Batch, Connector, ConnectorError

log = logging.getLogger(__name__)

AHEAD = timedelta(days=1)
"""How far a file's instant may lie ahead: sources write local time without saying of which zone."""
LEASE = timedelta(seconds=60)
"""How long a send may take before somebody else looks what became of it."""
BEFORE_OPENING = timedelta(minutes=20)
TRIES = 5
"""How often a delivery may vanish without a trace before it counts as undelivered."""
GIVE_UP_AFTER = timedelta(hours=6)
"""A delivery whose fate stays unknown for so long is listed as undelivered."""
BLIND_AFTER = timedelta(minutes=20)
"""How long we try to learn what became of a delivery before it is sent once more, marked, or taken as it is."""
BUNDLE_FROM = 4
"""So many nudges due for one person at once go out as one message."""
LATE = timedelta(minutes=10)
"""A nudge that waits so long (the platform was away) goes out together with whatever else waits for that person."""
_PAUSES_S = (15.0, 30.0, 60.0, 120.0, 300.0)
_URGENT = ("escalation", "exception")
_ORDINARY = ("nudge", "bundle", "review", "claim")
_CHUNK = 200
_TOGETHER = 50
"""How many nudges move in one transaction: few enough that a press never waits long."""


@dataclass
class Swept:
    """What one tick did, for the log and for `python -m bot sweep`."""

    pulled: dict[str, int] = field(default_factory=dict)
    """Rows read, by feed."""
    problems: list[str] = field(default_factory=list)
    found: int = 0
    opened: int = 0
    closed: int = 0
    advanced: int = 0
    sent: int = 0
    undelivered: int = 0
    redrawn: int = 0
    stale: list[str] = field(default_factory=list)
    later_s: float | None = None
    """Seconds until the first of those deliveries may go that a rate limit holds back; None where none does."""

    @property
    def quiet(self) -> bool:
        """Whether nothing happened."""
        return not (self.pulled or self.found or self.closed or self.advanced or self.sent or self.redrawn)


@dataclass(frozen=True)
class Pause:
    """A platform is left alone until then, after so many failures in a row."""

    until: datetime
    failures: int


@dataclass(frozen=True)
class Round:
    """What a tick works with."""

    engine: Engine
    house: House
    feeds: Mapping[str, FeedConfig]
    connect: Callable[[FeedConfig], Connector]
    platforms: Mapping[str, Platform]
    unjudged: frozenset[tuple[str, str]] = frozenset()
    """(site, kind) on which nothing may be judged; worked out once for all that `deliver` sends."""
    pauses: dict[str, Pause] = field(default_factory=dict)
    """Platforms that are away: they are left alone until then, and what is due waits together."""
    bundle_from: int = BUNDLE_FROM
    count: Callable[[str, Outcome], None] = lambda *_: None
    """Told (platform, outcome) of every attempt to send."""


def tick(r: Round, now: datetime, only: Collection[str] | None = None, *, then_deliver: bool = True) -> Swept:
    """One round at `now`: everything that is due is done, or is left as a row for the next one.

    only           the feeds to pull, by id, where the caller knows that the others have nothing new
    then_deliver   False where somebody else sends what is due
    """
    done = Swept()
    pull(r, now, done, only)
    watch_feeds(r, now, done)
    expect(r, now)
    reconsider(r, now)
    judge(r, now, done)
    advance(r, now, done)
    announce(r, now, done)
    if then_deliver:
        deliver(r, now, done)
    with write(r.engine) as session:
        session.merge(Mark(name="last sweep", value=now.isoformat(), at=now))
    return done


# --- pull ------------------------------------------------------------------------------------------------------------------


def pull(r: Round, now: datetime, done: Swept, only: Collection[str] | None = None) -> None:
    """Read what is new in every feed, or in `only` these."""
    if only is not None and not only:
        return
    with read(r.engine) as session:
        rows = {row.id: row for row in session.scalars(select(Feed).where(col(Feed.id).in_(list(r.feeds))))}
    for feed in r.feeds.values():
        if only is not None and feed.id not in only:
            continue
        try:
            _pull(r, feed, rows.get(feed.id), now, done)
        except Exception as fault:  # a fault of ours with one source must not stop the others, nor what is due
            log.exception("feed %s could not be read", feed.id)
            done.problems.append(f"{feed.id}: a fault of ours ({type(fault).__name__})")
            _note_problem(r, feed, f"A fault of ours ({type(fault).__name__}); the log says more.", now)
    patients.forget(r.engine, now)


def _pull(r: Round, feed: FeedConfig, row: Feed | None, now: datetime, done: Swept) -> None:
    """Read one feed file by file, each in one transaction. A feed that cannot be read says so and stays where it was."""
    taken = False
    try:
        for batch in r.connect(feed).fetch(row.cursor if row else None):
            _take(r, feed, batch, now, done)
            taken = True
    except ConnectorError as bad:
        done.problems.append(f"{feed.id}: {bad}")
        if row is None or row.problem != str(bad)[:500]:
            _note_problem(r, feed, str(bad), now)
        return
    if taken or (row is not None and (row.problem or (row.as_of and row.first_as_of is None))):
        with write(r.engine) as session:
            items.end_first_pull(session, feed)
            session.get_one(Feed, feed.id).problem = ""


def _take(r: Round, feed: FeedConfig, batch: Batch, now: datetime, done: Swept) -> None:
    if batch.as_of > now + AHEAD and not batch.unreadable:  # it would make the feed look fresh until then
        raise ConnectorError(f"{batch.name} says it is as of {batch.as_of:%Y-%m-%d}, which is still to come: correct its date.")
    patients.remember(r.engine, feed.id, batch.patients, now)  # first: a file that was merged is not read again
    with write(r.engine) as session:
        if batch.unreadable:
            if items.quarantine(session, feed, batch, now):
                done.problems.append(f"{feed.id}: {batch.name}: {batch.unreadable}")
                _record_pull(session, feed, batch, now, "file set aside", 0)
                _tell_manager(session, r.house, feed.site, f"aside:{feed.id}:{batch.sha256[:16]}", now,
                              cards.set_aside(Token(feed.id), r.house.site(feed.site), 1))  # fmt: skip
            return
        merged = items.merge(session, feed, batch, now)
        if merged.known:
            return
        done.pulled[feed.id] = done.pulled.get(feed.id, 0) + len(batch.rows)
        done.problems += [f"{feed.id}: {batch.name}: {p.where}: {p.what}" for p in batch.problems]
        _record_pull(session, feed, batch, now, "feed pulled", len(merged.changed))


def _record_pull(session: Session, feed: FeedConfig, batch: Batch, now: datetime, what: str, changed: int) -> None:
    detail: dict[str, str | int | bool | None] = {
        "sha256": batch.sha256, "kind": batch.kind, "as_of": batch.as_of.isoformat(), "rows": len(batch.rows),
        "changed": changed, "left_out": len(batch.problems), "site": feed.site,
    }  # fmt: skip
    evidence.append(session, Event(what=what, at=now, subject=feed.id, detail=detail))


def _note_problem(r: Round, feed: FeedConfig, problem: str, now: datetime) -> None:
    with write(r.engine) as session:
        row = session.get(Feed, feed.id) or Feed(id=feed.id, connector=feed.connector, site=feed.site)
        row.problem, row.pulled_at = problem[:500], now
        session.add(row)


# --- feeds that went quiet ---------------------------------------------------------------------------------------------------


def watch_feeds(r: Round, now: datetime, done: Swept) -> None:
    """Notice feeds that became too old to judge by, tell the manager once, and notice when they are back."""
    with read(r.engine) as session:
        old = {s.feed: s for s in items.stale(session, r.feeds, now)}
        noted = {f.id for f in session.scalars(select(Feed).where(col(Feed.stale_since).is_not(None)))}
    done.stale = sorted(old)
    if not (old.keys() ^ (noted & r.feeds.keys())):
        return
    with write(r.engine) as session:
        for feed in r.feeds.values():
            row = session.get(Feed, feed.id) or Feed(id=feed.id, connector=feed.connector, site=feed.site)
            session.add(row)
            if feed.id in old and row.stale_since is None:
                row.stale_since = now
                evidence.append(session, Event(what="feed stale", at=now, subject=feed.id, detail={"site": feed.site}))
                card = cards.stale_feed(Token(feed.id), r.house.site(feed.site), row.as_of)
                _tell_manager(session, r.house, feed.site, f"stale:{feed.id}:{now.isoformat()}", now, card)
            elif feed.id not in old and row.stale_since is not None:
                row.stale_since = None
                evidence.append(session, Event(what="feed fresh", at=now, subject=feed.id, detail={"site": feed.site}))


def _tell_manager(session: Session, house: House, site: str, marker: str, now: datetime, card: Card) -> None:
    """A card for whoever is in charge of the site, as soon as they are in."""
    try:
        at, duty = people.manager_on_duty(house.practice, site, now, now + timedelta(days=1))
    except people.Unstaffed:
        return  # `check` says so; the evidence holds what the card would have told
    if nudges.post(session, house, marker, card.kind, duty.person, now, card=card) and at > now:
        session.execute(update(Delivery).where(col(Delivery.marker) == marker).values(not_before=at))


# --- judge -----------------------------------------------------------------------------------------------------------------


def expect(r: Round, now: datetime) -> None:
    """Make the items that must exist by the calendar: one for each sterilizer and week since the installation's first sweep."""
    with read(r.engine) as session:
        newest = session.get(Mark, "expected until")
    week = now.date().isocalendar()
    today = f"{week.year}-W{week.week:02d}-{week.weekday} {r.house.practice.sha256[:12]}"
    if newest is not None and newest.value == today:
        return
    with write(r.engine) as session:
        insert_new(session, Mark, name="expecting since", value="", at=now)
        since = session.get_one(Mark, "expecting since").at
        for site, sterilizers in r.house.practice.sterilizers.items():
            items.expect_weeks(session, r.house.site(site), sterilizers, since, now)
        session.merge(Mark(name="expected until", value=today, at=now))


def reconsider(r: Round, now: datetime) -> None:
    """Wake every item when a rule, its SOP step or the practice file has changed since the last sweep: clocks may differ."""
    rules = sorted(repr((each.rule.id, each.version, each.anchor)) for each in r.house.rules.values())
    standard = hashlib.sha256(repr((rules, r.house.practice.sha256)).encode()).hexdigest()
    with read(r.engine) as session:
        before = session.get(Mark, "judged by")
    if before is not None and before.value == standard:
        return
    with write(r.engine) as session:
        if before is not None:
            session.execute(update(Item).where(col(Item.merged_into) == "", ~col(Item.gone)).values(wake_at=now))
        session.merge(Mark(name="judged by", value=standard, at=now))


def judge(r: Round, now: datetime, done: Swept) -> None:
    """Ask the rules about every item whose moment has come, a few hundred in one transaction."""
    by_kind: dict[str, list[Loaded]] = {}
    for loaded in r.house.rules.values():
        by_kind.setdefault(loaded.rule.kind, []).append(loaded)
    while True:
        with read(r.engine) as session:
            held_back = items.unjudged(session, r.feeds, now)
            if not items.due(session, now, held_back, limit=1):
                return
        with write(r.engine) as session:
            alone(session, NUDGES)
            past = items.past_until(session, r.feeds)
            batch = items.due(session, now, held_back, _CHUNK)
            active = nudges.active(session, [item.ref for item in batch])
            for item in batch:
                _judge(session, r.house, item, by_kind.get(item.kind, ()), active, past.get((item.site, item.kind)), now, done)
        if len(batch) < _CHUNK:
            return


def _judge(
    session: Session,
    house: House,
    item: Item,
    rules: Iterable[Loaded],
    active: Mapping[tuple[str, str], list[Nudge]],
    past: datetime | None,
    now: datetime,
    done: Swept,
) -> None:
    """Settle what this item's source has answered, open what has stalled, and note when to look again."""
    wakes: list[datetime] = []
    for loaded in rules if item.site in house.practice.sites else ():
        try:
            s = items.snapshot(item, house.site(item.site), loaded.anchor)
            standing = active.get((item.ref, loaded.rule.id), [])
            done.closed += len(nudges.settle(session, loaded, s, standing, now))
            wake = loaded.wake_at(s)
            finding = loaded.find(s, now)
        except NeverOpen:
            continue  # the site opens on no day of the next two months: nothing can be owed there
        if wake is not None and wake > now:
            wakes.append(wake)
        if finding is None or any(n.window == finding.window for n in standing):
            continue
        done.found += 1
        held = past is not None and finding.fired <= past
        if nudges.open_new(session, loaded, s, finding, now, held=held):
            done.opened += 1
    item.wake_at = min(wakes, default=None)


# --- advance ---------------------------------------------------------------------------------------------------------------


def advance(r: Round, now: datetime, done: Swept) -> None:
    """Do what time asks of every nudge that is due; those that hang on a stale feed wait."""
    with read(r.engine) as session:
        held_back = _held_back(session, r, now)
        waiting = [n.id for n in nudges.due(session, now, held_back)]
        kinds = {each.rule.kind for each in r.house.rules.values()} if waiting else set()
        sites = r.house.practice.sites
        known = {(site, kind): items.known_until(session, r.feeds, site, kind) for site in sites for kind in kinds}
    for start in range(0, len(waiting), _TOGETHER):
        failed: list[tuple[str, Exception]] = []
        with write(r.engine) as session:
            alone(session, NUDGES)
            for nudge_id in waiting[start : start + _TOGETHER]:
                try:
                    with session.begin_nested():
                        _advance(session, r, nudge_id, known, now, done)
                except SQLAlchemyError:
                    raise
                except Exception as bad:  # noqa: BLE001 one nudge that cannot be handled must not hold up all others
                    failed.append((nudge_id, bad))
        for nudge_id, why in failed:
            _put_off(r, nudge_id, why, now, done)


def _advance(
    session: Session, r: Round, nudge_id: str, known: Mapping[tuple[str, str], datetime | None], now: datetime, done: Swept
) -> None:
    nudge = session.get_one(Nudge, nudge_id)
    if nudge.closed_at or nudge.next_at is None or nudge.next_at > now:
        return
    loaded = r.house.rule_of(nudge)
    if loaded is None:
        nudge.next_at = now + timedelta(days=1)  # its rule does not run; `check` says so
        return
    nudges.advance(session, r.house, nudge, now, known[nudge.site, loaded.rule.kind])
    done.advanced += 1


def _put_off(r: Round, nudge_id: str, bad: Exception, now: datetime, done: Swept) -> None:
    """Try a nudge again in an hour, and say why: nobody in charge of its site, a site without hours, or a fault of ours."""
    meant = isinstance(bad, people.Unstaffed | NeverOpen)
    done.problems.append(f"nudge {nudge_id}: {bad if meant else type(bad).__name__}")
    log.error("nudge %s could not be handled and is tried again in an hour", nudge_id, exc_info=None if meant else bad)
    with write(r.engine) as session:
        session.execute(
            update(Nudge).where(col(Nudge.id) == nudge_id, col(Nudge.next_at) <= now).values(next_at=now + timedelta(hours=1))
        )


def _held_back(session: Session, r: Round, now: datetime) -> list[tuple[str, tuple[str, ...]]]:
    """(site, rules) on which nothing may be judged now."""
    out = []
    for site, kind in sorted(items.unjudged(session, r.feeds, now)):
        out.append((site, tuple(each.rule.id for each in r.house.rules.values() if each.rule.kind == kind)))
    return out


# --- announce --------------------------------------------------------------------------------------------------------------


def announce(r: Round, now: datetime, done: Swept) -> None:
    """The morning stand-up of each site, once per local day, to whoever is in charge that day."""
    for site in r.house.practice.sites.values():
        day = digest_day(site, now, BEFORE_OPENING)
        if day is None:
            continue
        with read(r.engine) as session:
            if session.get(Slot, (f"digest:{site.id}", day)) is not None:
                continue
        try:
            _announce(r, site, day, now)
        except people.Unstaffed as nobody:  # the other sites still have their stand-up
            done.problems.append(str(nobody))


def _announce(r: Round, site: Site, day: date, now: datetime) -> None:
    with write(r.engine) as session:
        if not insert_new(session, Slot, schedule=f"digest:{site.id}", day=day, at=now):
            return
        card = digest.card(session, r.house, r.feeds, [site.id], now)
        at, duty = people.manager_on_duty(r.house.practice, site.id, now, now + timedelta(hours=12))
        marker = f"digest:{site.id}:{day.isoformat()}"
        channel = _channel(r, site.id)
        nudges.post(session, r.house, marker, "digest", duty.person, now, card=card, where=channel)
        if at > now and channel is None:
            session.execute(update(Delivery).where(col(Delivery.marker) == marker).values(not_before=at))
        head = evidence.head(session)
        detail = {"site": site.id, "to": duty.person.id, "head": head.hash if head else ""}
        evidence.append(session, Event(what="digest posted", at=now, subject=marker, role=MANAGER, detail=detail))


def _channel(r: Round, site: str) -> tuple[str, str] | None:
    """The channel that gets this site's stand-up, where the practice file names one on a platform that is here."""
    named = ((platform, channels[site]) for platform, channels in r.house.practice.channels.items() if site in channels)
    return next((where for where in named if where[0] in r.platforms), None)


# --- deliver ---------------------------------------------------------------------------------------------------------------


def deliver(r: Round, now: datetime, done: Swept | None = None) -> Swept:
    """Send what is due, look after what became uncertain, and edit the cards that are out of date.

    One lane for each address: what its rate limit holds back stays where it is, and `Swept.later_s` says until when.
    """
    done = done or Swept()
    _doubt_expired_leases(r, now)
    waiting = _waiting(r, now)
    if any(_is_nudge(w.kind) for w in waiting) and _bundle(r, waiting, now):
        waiting = _waiting(r, now)
    if waiting:
        with read(r.engine) as session:
            r = replace(r, unjudged=frozenset(items.unjudged(session, r.feeds, now)))
    for each in waiting:
        if _is_away(r, each.platform, now) or _is_busy(r, each, done):
            continue
        try:
            (_reconcile if each.state == "ambiguous" else _send)(r, each.marker, now, done)
        except SQLAlchemyError:
            raise
        except Exception:  # one delivery that cannot be handled must not hold up all others
            log.exception("delivery %s could not be handled and is tried again in an hour", each.marker)
            with write(r.engine) as session:
                _set(session, each.marker, not_before=now + timedelta(hours=1))
    _redraw(r, now, done)
    return done


@dataclass(frozen=True)
class _Waiting:
    marker: str
    state: str
    kind: str
    platform: str
    address: str
    person: str
    since: datetime


def _waiting(r: Round, now: datetime) -> list[_Waiting]:
    """What is due, the most urgent first, then the oldest; the stand-up after what somebody must act on."""
    rank = case((col(Delivery.kind).in_(_URGENT), 0), (col(Delivery.kind).in_(_ORDINARY), 1), else_=2)
    columns = (
        col(getattr(Delivery, name)) for name in ("marker", "state", "kind", "platform", "address", "person", "created_at")
    )
    query = select(*columns).where(col(Delivery.ended_at).is_(None), col(Delivery.not_before) <= now)
    query = query.where(col(Delivery.state).in_(("pending", "ambiguous")))
    with read(r.engine) as session:
        rows = session.execute(query.order_by(rank, col(Delivery.created_at), col(Delivery.marker)).limit(1000))
        return [_Waiting(*row) for row in rows]


def _is_nudge(kind: str) -> bool:
    return kind in ("nudge", "escalation")


def _is_away(r: Round, platform: str, now: datetime) -> bool:
    pause = r.pauses.get(platform)
    return pause is not None and now < pause.until


def _is_busy(r: Round, each: _Waiting, done: Swept) -> bool:
    platform = r.platforms.get(each.platform)
    wait = platform.busy_s(each.address) if platform is not None and each.state == "pending" else 0.0
    if wait > 0:
        done.later_s = wait if done.later_s is None else min(done.later_s, wait)
    return wait > 0


def _failing(r: Round, platform: str, now: datetime, patience: int) -> None:
    """One more failure that says something about the whole platform: from `patience` in a row on it is left alone a while."""
    failures = (r.pauses[platform].failures if platform in r.pauses else 0) + 1
    rest = failures - patience
    wait = _PAUSES_S[min(rest, len(_PAUSES_S) - 1)] if rest >= 0 else 0.0
    r.pauses[platform] = Pause(now + timedelta(seconds=wait), failures)
    if wait:
        log.warning("%s does not take messages; trying again in %d s", platform, wait)


def _bundle(r: Round, waiting: Sequence[_Waiting], now: datetime) -> bool:
    """Put many nudges for one person under one message; whether any were. Nothing is dropped: each stays a row of its own."""
    by_person: dict[tuple[str, str, str], list[_Waiting]] = {}
    for each in waiting:
        together = _is_nudge(each.kind) or each.kind == "bundle"
        if together and each.state == "pending" and not _is_away(r, each.platform, now):
            by_person.setdefault((each.platform, each.address, each.person), []).append(each)
    groups = []
    if not r.bundle_from:
        return False
    for key, group in by_person.items():
        is_late = min(each.since for each in group) < now - LATE or any(each.kind == "bundle" for each in group)
        if len(group) >= r.bundle_from or (len(group) > 1 and is_late):
            groups.append((key, group))
    for (platform, address, person), group in groups:
        with write(r.engine) as session:
            alone(session, NUDGES)
            marker = f"bundle:{new_ref()}"
            waits = (col(Delivery.marker).in_([each.marker for each in group]), col(Delivery.state) == "pending")
            joined = list(session.scalars(select(col(Delivery.marker)).where(*waits, col(Delivery.kind) == "bundle")))
            session.execute(update(Delivery).where(col(Delivery.bundle).in_(joined)).values(bundle=marker))
            session.execute(
                update(Delivery)
                .where(col(Delivery.marker).in_(joined))
                .values(state="dropped", ended_at=now, reason="went out with a later one")
            )
            session.execute(update(Delivery).where(*waits).values(state="bundled", bundle=marker))
            insert_new(
                session, Delivery, marker=marker, kind="bundle", nudge="", person=person, platform=platform, address=address,
                card={}, state="pending", attempts=0, not_before=now, created_at=min(each.since for each in group), channel="",
                message="", reason="", repeated=False, bundle="", redraw=False,
            )  # fmt: skip
    return bool(groups)


def _members(session: Session, marker: str) -> list[Delivery]:
    query = select(Delivery).where(col(Delivery.bundle) == marker).order_by(col(Delivery.created_at), col(Delivery.marker))
    return list(session.scalars(query))


def _doubt_expired_leases(r: Round, now: datetime) -> None:
    """A lease that ran out means a sender died between sending and telling: whether it arrived must be looked up."""
    with read(r.engine) as session:
        query = select(col(Delivery.marker)).where(col(Delivery.state) == "sending", col(Delivery.lease_until) <= now)
        if session.scalar(query.limit(1)) is None:
            return
    with write(r.engine) as session:
        expired = (col(Delivery.state) == "sending", col(Delivery.lease_until) <= now)
        for delivery in session.scalars(select(Delivery).where(*expired)).all():
            _told_of_send(session, delivery, "send uncertain", now)
        session.execute(update(Delivery).where(*expired).values(state="ambiguous", lease_until=None))


@dataclass(frozen=True)
class _Lease:
    """The right to send one delivery, once. `attempt` tells it from a later lease of the same delivery."""

    platform: str
    address: str
    card: Card
    attempt: int


def _send(r: Round, marker: str, now: datetime, done: Swept) -> None:
    try:
        with write(r.engine) as session:
            alone(session, NUDGES)
            lease = _lease(session, r, marker, now)
    except SQLAlchemyError:
        raise
    except Exception:  # a card that cannot be drawn must not hold up the others
        log.exception("delivery %s cannot be drawn", marker)
        _give_up(r, marker, "it could not be drawn", now, done)
        return
    if lease is None:
        return
    try:
        receipt = r.platforms[lease.platform].send(lease.address, lease.card, marker)
    except SendError as refused:
        r.count(lease.platform, "refused")
        _refused(r, marker, lease, refused, now, done)
    except AmbiguousSend:
        r.count(lease.platform, "ambiguous")
        _failing(r, lease.platform, now, patience=10)
        _doubt(r, marker, lease.attempt, now)
    except Exception:  # whatever it was, the platform may have taken the card before it
        log.exception("delivery %s ended in a fault of ours", marker)
        r.count(lease.platform, "ambiguous")
        _doubt(r, marker, lease.attempt, now)
    else:
        r.count(lease.platform, "sent")
        r.pauses.pop(lease.platform, None)
        _arrived(r, marker, receipt, now, done)


def _doubt(r: Round, marker: str, attempt: int, now: datetime) -> None:
    with write(r.engine) as session:
        delivery = session.get_one(Delivery, marker)
        if delivery.state == "sending" and delivery.attempts == attempt:
            _set(session, marker, state="ambiguous", lease_until=None, not_before=now)
            _told_of_send(session, delivery, "send uncertain", now)


def _told_of_send(session: Session, delivery: Delivery, what: str, now: datetime) -> None:
    """A row of evidence on what is known of a send, so that a message that came twice, or never, can be explained."""
    detail: evidence.Detail = {"to": delivery.person, "attempt": delivery.attempts, "marker": delivery.marker}
    subject = delivery.nudge or delivery.marker
    evidence.append(session, Event(what=what, at=now, subject=subject, detail=detail))


def _give_up(r: Round, marker: str, reason: str, now: datetime, done: Swept) -> None:
    with write(r.engine) as session:
        alone(session, NUDGES)
        delivery = session.get_one(Delivery, marker)
        if delivery.ended_at is None:
            _lost(session, r, delivery, reason, now)
            done.undelivered += 1


def _lost(session: Session, r: Round, delivery: Delivery, reason: str, now: datetime) -> None:
    """A delivery cannot arrive: each nudge in it goes up its ladder, a channel's stand-up goes to whoever is in charge."""
    r.count(delivery.platform, "gone")
    for why in ("blocked", "uninstalled", "deactivated"):
        if why in reason:
            accounts.gone(session, r.house.practice, delivery.platform, delivery.address, why, now)
    for each in _members(session, delivery.marker) if delivery.kind == "bundle" else ():
        if each.ended_at is None:
            nudges.undelivered(session, r.house, each, reason, now)
    nudges.undelivered(session, r.house, delivery, reason, now)
    person = r.house.person(delivery.person)
    if delivery.kind == "digest" and person and _is_channel(r, delivery):
        card = card_from_json(delivery.card, "digest")
        if nudges.post(session, r.house, f"{delivery.marker}:own", "digest", person, now, card=card):
            log.warning("the stand-up channel of %s is gone; it goes to whoever is in charge instead", delivery.platform)


def _is_channel(r: Round, delivery: Delivery) -> bool:
    return delivery.address in r.house.practice.channels.get(delivery.platform, {}).values()


def _lease(session: Session, r: Round, marker: str, now: datetime) -> _Lease | None:
    """Take one delivery, drawn as it must be now; None where somebody else has it or it is no longer right."""
    delivery = session.get(Delivery, marker)
    if delivery is None or delivery.state != "pending":
        return None
    person = r.house.person(delivery.person)
    if person is None or delivery.platform not in r.platforms:
        nudges.undelivered(session, r.house, delivery, "no such person" if person is None else "no such chat platform", now)
        return None
    reachable = now if _is_channel(r, delivery) else people.reachable_at(r.house.practice, person, now)
    nudge = session.get(Nudge, delivery.nudge) if delivery.nudge else None
    if reachable is None or reachable > now:
        _not_now(session, r, delivery, nudge, reachable, now)
        return None
    card = _drawn(session, r, delivery, nudge, now)
    if card is None:
        return None
    if delivery.repeated:
        card = cards.repeat(card)
    taken = session.execute(
        update(Delivery)
        .where(col(Delivery.marker) == marker, col(Delivery.state) == "pending")
        .values(
            state="sending",
            lease_until=now + LEASE,
            first_tried_at=delivery.first_tried_at or now,
            attempts=delivery.attempts + 1,
            card=card.as_json(),
            kind=card.kind if delivery.kind in ("nudge", "escalation") else delivery.kind,
        )
    )
    if getattr(taken, "rowcount", 0) != 1:
        return None
    session.refresh(delivery)
    return _Lease(delivery.platform, delivery.address, card, delivery.attempts)


def _not_now(
    session: Session, r: Round, delivery: Delivery, nudge: Nudge | None, reachable: datetime | None, now: datetime
) -> None:
    """The person is not in any more: a nudge finds its next person, anything else waits for them."""
    if delivery.kind == "bundle":
        for each in _members(session, delivery.marker):
            inside = session.get(Nudge, each.nudge)
            if each.ended_at is None and inside is not None:
                _not_now(session, r, each, inside, reachable, now)
        nudges.dropped(session, delivery, "the person had gone home", now)
    elif nudge is not None and delivery.kind in ("nudge", "escalation", "review"):
        nudges.dropped(session, delivery, "the person had gone home", now)
        nudges.give_again(session, nudge, now)
    else:
        _set(session, delivery.marker, not_before=reachable or now + timedelta(days=1))


def _drawn(session: Session, r: Round, delivery: Delivery, nudge: Nudge | None, now: datetime) -> Card | None:
    """The card as it must read now; None, with the reason on record, where it must not go out."""
    if delivery.kind == "exception":
        ask = session.get(ExceptionAsked, delivery.marker.split(":")[1])
        if ask is None or ask.state != "waiting":
            nudges.dropped(session, delivery, "decided meanwhile", now)
            return None
        return nudges.exception_card(session, r.house, ask, now)
    if delivery.kind == "bundle":
        return _bundle_drawn(session, r, delivery, now)
    if delivery.kind == "claim":
        claim = session.get(AccountClaim, delivery.marker.split(":")[1])
        if claim is None or claim.state != "waiting":
            nudges.dropped(session, delivery, "decided meanwhile", now)
            return None
        return nudges.claim_card(r.house, claim)
    if nudge is None:
        return card_from_json(delivery.card, delivery.kind)  # type: ignore[arg-type]
    if nudge.closed_at or nudge.state not in ("open", "sent"):
        nudges.dropped(session, delivery, "answered meanwhile", now)
        return None
    if delivery.marker != f"{nudge.id}:{nudge.sends}":
        nudges.dropped(session, delivery, "a later message took its place", now)
        return None
    if not nudge.rule.startswith(nudges.REVIEW) and not _still_stalled(session, r, delivery, nudge, now):
        return None
    return nudges.card(session, r.house, nudge, now)


def _bundle_drawn(session: Session, r: Round, delivery: Delivery, now: datetime) -> Card | None:
    """The message about many nudges, each judged once more; None where none of them still stands."""
    standing = []
    for each in _members(session, delivery.marker):
        nudge = session.get(Nudge, each.nudge)
        if each.ended_at is not None or nudge is None:
            continue
        if _drawn(session, r, each, nudge, now) is not None:
            standing.append(nudge)
        else:
            session.refresh(each)
            if each.ended_at is None:  # its feed has gone quiet: it waits alone
                _set(session, each.marker, state="pending", bundle="")
    if not standing:
        nudges.dropped(session, delivery, "nothing of it still stands", now)
        return None
    if len(standing) == 1:
        return nudges.card(session, r.house, standing[0], now)
    return cards.bundle([nudges.view(session, r.house, nudge, now) for nudge in sorted(standing, key=_age)])


def _age(nudge: Nudge) -> tuple[datetime, str]:
    """The longest still first."""
    return nudge.since_at, nudge.id


def _still_stalled(session: Session, r: Round, delivery: Delivery, nudge: Nudge, now: datetime) -> bool:
    """Judge the item once more before anybody is interrupted."""
    seen = nudges.snapshot_of(session, r.house, nudge)
    if seen is None:
        nudges.dropped(session, delivery, "its rule no longer runs", now)
        nudges.give_again(session, nudge, now)  # waits until the rule runs again
        return False
    loaded, s = seen
    if (nudge.site, loaded.rule.kind) in r.unjudged:
        _set(session, delivery.marker, not_before=now + timedelta(minutes=5))
        return False
    ending = nudges.verdict(loaded, s, nudge, now)
    if ending:
        nudges.dropped(session, delivery, "put right meanwhile", now)
        nudges.close(session, nudge, ending, now, snapshot=s.digest())
        return False
    return True


def _arrived(r: Round, marker: str, receipt: Receipt, now: datetime, done: Swept) -> None:
    with write(r.engine) as session:
        alone(session, NUDGES)
        delivery = session.get_one(Delivery, marker)
        if delivery.ended_at is None:
            if delivery.state == "ambiguous":
                _told_of_send(session, delivery, "send found", now)
            nudges.sent(session, r.house, delivery, receipt, now)
            for each in _members(session, marker) if delivery.kind == "bundle" else ():
                if each.ended_at is None:
                    nudges.sent(session, r.house, each, receipt, now)
            done.sent += 1


def _refused(r: Round, marker: str, lease: _Lease, refused: SendError, now: datetime, done: Swept) -> None:
    """The platform said no: for good, or not now, or to everybody."""
    if refused.everywhere:
        _failing(r, lease.platform, now, patience=1)
    with write(r.engine) as session:
        alone(session, NUDGES)
        delivery = session.get_one(Delivery, marker)
        if delivery.state != "sending" or delivery.attempts != lease.attempt:
            return  # it took longer than the lease, and somebody else is looking after it
        if refused.everywhere:  # no fault of this one: it waits with all the others
            _set(session, marker, state="pending", lease_until=None, attempts=delivery.attempts - 1, first_tried_at=None)
        elif refused.permanent or now - (delivery.first_tried_at or now) > GIVE_UP_AFTER:
            _lost(session, r, delivery, refused.reason, now)
            done.undelivered += 1
        else:
            wait = timedelta(seconds=refused.retry_after_s or min(30 * 2 ** min(delivery.attempts, 7), 1800))
            _set(session, marker, state="pending", lease_until=None, not_before=now + wait)


def _reconcile(r: Round, marker: str, now: datetime, done: Swept) -> None:
    """Look whether an uncertain delivery arrived, before anything is sent again."""
    with read(r.engine) as session:
        delivery = session.get_one(Delivery, marker)
    since = delivery.first_tried_at or delivery.created_at
    try:
        platform = r.platforms[delivery.platform]
        receipt = platform.find(delivery.address, marker, since)
    except KeyError:
        _give_up(r, marker, "no such chat platform", now, done)
    except (AmbiguousSend, SendError):
        _cannot_tell(r, delivery, platform, now, done)
    else:
        r.pauses.pop(delivery.platform, None)
        if receipt is not None:
            _arrived(r, marker, receipt, now, done)
        elif delivery.attempts >= TRIES:
            _give_up(r, marker, "it vanished each time it was sent", now, done)
        elif _again(r, marker, now):
            _send(r, marker, now, done)


def _again(r: Round, marker: str, now: datetime, what: str = "send absent", **values: object) -> bool:
    """Make an uncertain delivery pending once more; False where somebody else was here first."""
    with write(r.engine) as session:
        again = update(Delivery).where(col(Delivery.marker) == marker, col(Delivery.state) == "ambiguous")
        changed = session.execute(again.values(state="pending", not_before=now, **values))
        if getattr(changed, "rowcount", 0) != 1:
            return False
        _told_of_send(session, session.get_one(Delivery, marker), what, now)
    return True


def _cannot_tell(r: Round, delivery: Delivery, platform: Platform, now: datetime, done: Swept) -> None:
    """Nobody can say whether it arrived: wait, then send it once more and say so, or take it as it is."""
    waited = now - (delivery.first_tried_at or now)
    if platform.may_repeat and not delivery.repeated and waited >= BLIND_AFTER:
        if _again(r, delivery.marker, now, "send repeated", repeated=True):
            _send(r, delivery.marker, now, done)
    elif waited >= BLIND_AFTER and (not platform.may_repeat or waited > GIVE_UP_AFTER):
        with write(r.engine) as session:
            alone(session, NUDGES)
            row = session.get_one(Delivery, delivery.marker)
            for each in (*(_members(session, row.marker) if row.kind == "bundle" else ()), row):
                if each.ended_at is None:
                    nudges.perhaps(session, r.house, each, now)
    else:
        with write(r.engine) as session:
            _set(session, delivery.marker, not_before=now + timedelta(minutes=2))


def _redraw(r: Round, now: datetime, done: Swept) -> None:
    """Edit in place the cards whose nudge has changed since they were sent; the note of it goes after the edit, not before."""
    with read(r.engine) as session:
        query = select(col(Delivery.marker)).where(col(Delivery.redraw), col(Delivery.state) == "sent")
        markers = list(session.scalars(query.limit(1000)))
    for marker in markers:
        try:
            _redraw_one(r, marker, now, done)
        except SQLAlchemyError:
            raise
        except Exception:  # one card that cannot be drawn must not keep the others as they were
            log.exception("the card of delivery %s could not be edited", marker)


def _redraw_one(r: Round, marker: str, now: datetime, done: Swept) -> None:
    with read(r.engine) as session:
        delivery = session.get_one(Delivery, marker)
        card = _current(session, r.house, delivery, now)
    if delivery.bundle:
        with write(r.engine) as session:
            _set(session, marker, redraw=False)
            _set(session, delivery.bundle, redraw=True)
        if not _is_away(r, delivery.platform, now):
            _redraw_one(r, delivery.bundle, now, done)
        return
    if _is_away(r, delivery.platform, now):
        return
    if card is not None and delivery.platform in r.platforms:
        wait = r.platforms[delivery.platform].busy_s(delivery.channel)
        if wait > 0:
            done.later_s = wait if done.later_s is None else min(done.later_s, wait)
            return
        try:
            r.platforms[delivery.platform].update(Receipt(delivery.channel, delivery.message), card)
            done.redrawn += 1
        except AmbiguousSend:
            return
        except SendError as refused:
            log.warning("a sent card could not be edited: %s", refused.reason)
            if refused.everywhere:
                _failing(r, delivery.platform, now, patience=1)
            if not refused.permanent:
                return
    with write(r.engine) as session:
        if _current(session, r.house, session.get_one(Delivery, marker), now) == card:  # else it changed again meanwhile
            _set(session, marker, redraw=False, **({"card": card.as_json()} if card else {}))


def _current(session: Session, house: House, delivery: Delivery, now: datetime) -> Card | None:
    if delivery.kind == "claim":
        claim = session.get(AccountClaim, delivery.marker.split(":")[1])
        return nudges.claim_card(house, claim) if claim else None
    if delivery.kind == "bundle":
        inside = [session.get(Nudge, each.nudge) for each in _members(session, delivery.marker) if each.state != "dropped"]
        standing = sorted((n for n in inside if n is not None and house.rule_of(n) is not None), key=_age)
        views = [nudges.view(session, house, nudge, now) for nudge in standing]
        return cards.bundle(views) if len(views) != 1 else cards.nudge(views[0])
    nudge = session.get(Nudge, delivery.nudge) if delivery.nudge else None
    if nudge is None or house.rule_of(nudge) is None:
        return None
    if delivery.kind == "exception":
        ask = session.get(ExceptionAsked, delivery.marker.split(":")[1])
        return nudges.exception_card(session, house, ask, now) if ask else None
    return nudges.card(session, house, nudge, now)


def _set(session: Session, marker: str, **values: object) -> None:
    session.execute(update(Delivery).where(col(Delivery.marker) == marker).values(**values))


# --- the next moment -------------------------------------------------------------------------------------------------------


def next_moment(engine: Engine, after: datetime) -> datetime | None:
    """The next instant at which a row falls due. For the demo's clock, which jumps from one to the next."""
    with read(engine) as session:
        moments = [
            session.scalar(select(column).where(column > after, *where).order_by(column).limit(1))
            for column, where in (
                (col(Item.wake_at), ()),
                (col(Nudge.next_at), (col(Nudge.closed_at).is_(None),)),
                (col(Delivery.not_before), (col(Delivery.ended_at).is_(None),)),
            )
        ]
    return min((at for at in moments if at is not None), default=None)
