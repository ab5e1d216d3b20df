"""What managers read each morning, and everyone's own day. Built from system facts; nobody types a status.

Decisions come first, at most three of them, with buttons. Every number is a query of bot.figures that anybody can run again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlmodel import Session

from bot import cards, evidence, figures, items, nudges, people
from bot.cards import Count, Day, Money, Token, When, lines, say
from bot.chat import Button, Card, Fact, Wording
from bot.figures import Figure
from bot.nudges import House
from bot.practice import Person
from bot.records import Nudge

DECISIONS = 3
ASKED_LATELY = timedelta(days=7)
"""How far back questions that nobody could answer are counted."""
DAY_LENGTH = 8
"""How many lines of my day are shown; the rest is counted."""


@dataclass(frozen=True)
class Standup:
    """Every figure of one digest, before it is worded."""

    sites: tuple[str, ...]
    verified: Figure
    unproven: Figure
    contradicted: Figure
    due_today: Figure
    at_risk: Figure
    stalled: Figure
    exceptions: int
    reviews: int
    undelivered: int
    wrong: tuple[int, int]
    unanswered: int
    feeds: tuple[figures.FeedState, ...]
    ledger: tuple[int, str]


def standup(
    session: Session, house: House, feeds: Mapping[str, items.FeedConfig], sites: Sequence[str], now: datetime
) -> Standup:
    """The figures of these sites (at least one) as of `now`; "yesterday" is the last open day of each site."""
    parts = [_of_site(session, house, site, now) for site in sites]
    old = {s.feed for s in items.stale(session, feeds, now)}
    here = [(f.id, f.site) for f in feeds.values() if f.site in sites]
    yesterday = min(figures.day_before(house.site(site), now)[0] for site in sites)
    head = evidence.head(session)
    return Standup(
        sites=tuple(sites),
        verified=_joined("verified", (p[0] for p in parts)),
        contradicted=_joined("contradicted", (p[1] for p in parts)),
        due_today=_joined("due", (p[2] for p in parts)),
        unproven=figures.said_unproven(session, sites),
        at_risk=figures.at_risk(session, sites, now),
        stalled=figures.stalled(session, sites),
        exceptions=len(figures.exceptions_waiting(session, sites)),
        reviews=len(figures.reviews_waiting(session, sites)),
        undelivered=len(figures.undelivered(session, [p.id for p in _staff(house, sites)], yesterday)),
        wrong=figures.wrong_share(session, sites, figures.month_of(house.site(sites[0]), now), now),
        unanswered=len(figures.unanswered(session, sites, now - ASKED_LATELY)),
        feeds=tuple(figures.feeds(session, here, old)),
        ledger=(head.seq, head.hash) if head else (0, ""),
    )


def _of_site(session: Session, house: House, site: str, now: datetime) -> tuple[Figure, Figure, Figure]:
    yesterday = figures.day_before(house.site(site), now)
    today = figures.day_of(house.site(site), now)
    return (
        figures.verified(session, [site], *yesterday),
        figures.contradicted(session, [site], *yesterday),
        figures.due_between(session, [site], now, today[1]),
    )


def _joined(name: str, parts: Iterable[Figure]) -> Figure:
    return Figure(name, tuple(line for part in parts for line in part.lines))


def _staff(house: House, sites: Sequence[str]) -> list[Person]:
    wanted = set(sites)
    return [p for p in house.practice.people.values() if wanted & {*p.shifts, *(post.site for post in p.posts)} or not p.posts]


# --- the stand-up ----------------------------------------------------------------------------------------------------------


def card(session: Session, house: House, feeds: Mapping[str, items.FeedConfig], sites: Sequence[str], now: datetime) -> Card:
    """The stand-up of these sites: decisions on top, then what was proved, what is owed, what is at risk, and as of when."""
    figure = standup(session, house, feeds, sites, now)
    zone = house.site(sites[0]).zone
    buttons, asked = _decisions(session, house, sites, now)
    names = lines([say("{site}", site=house.site(site)) for site in sites], " · ")
    title = say("Stand-up · {names} · {day}", names=names, day=Day(now.astimezone(zone).date()))
    text = lines([*asked, _nothing(figure, asked)])
    return Card(kind="digest", title=title, text=text, facts=tuple(_facts(house, figure, zone)), buttons=buttons)


def _nothing(figure: Standup, asked: Sequence[Wording]) -> Wording:
    """What else to look at, or that there is nothing."""
    old = sum(feed.stale for feed in figure.feeds)
    below = [
        say("{n} at risk", n=Count(figure.at_risk.n, "item")) if figure.at_risk.n else cards.NOTHING,
        say("{n} too old to judge by", n=Count(old, "feed")) if old else cards.NOTHING,
        say("{n} undelivered", n=Count(figure.undelivered, "message")) if figure.undelivered else cards.NOTHING,
    ]
    if asked:
        return cards.NOTHING
    if any(below):
        return say("Nothing waits for your decision. Below: {what}.", what=lines(below, ", "))
    return say("Nothing needs you today.")


def _decisions(session: Session, house: House, sites: Sequence[str], now: datetime) -> tuple[tuple[Button, ...], list[Wording]]:
    """At most three things only the manager can decide, each in one line and one or two buttons."""
    buttons: list[Button] = []
    asked: list[Wording] = []
    for ask in figures.exceptions_waiting(session, sites)[:DECISIONS]:
        nudge = session.get_one(Nudge, ask.nudge)
        who, loaded = house.person(ask.asked_by), house.rule_of(nudge)
        if who is None or loaded is None:
            continue
        n = len(asked) + 1
        asked.append(
            say(
                "Decide {n}: {who} asks for 14 days on “{what}”{worth} ({why}), {ref}.",
                n=n,
                who=who,
                what=loaded.rule,
                worth=say(", {money}", money=Money(nudge.amount_cents)) if nudge.amount_cents else cards.NOTHING,
                why=say(cards.REASONS[ask.reason]),
                ref=cards.Ref(nudge.item),
            )
        )
        buttons.append(Button("approve", ask.id, say("{n}: Approve", n=n), style="primary"))
        buttons.append(Button("refuse", ask.id, say("{n}: Refuse", n=n), style="danger"))
    for review in figures.reviews_waiting(session, sites)[: DECISIONS - len(asked)]:
        loaded = house.rule_of(review)
        if loaded is None:
            continue
        n = len(asked) + 1
        what = loaded.rule
        asked.append(say("Decide {n}: the backlog of “{what}” at {site}.", n=n, what=what, site=house.site(review.site)))
        buttons.append(Button("show", review.id, say("{n}: Look at it", n=n)))
    return tuple(buttons), asked


def _facts(house: House, figure: Standup, zone: ZoneInfo) -> Iterable[Fact]:
    """A line for each figure that is not zero. The others are named in one line: they were counted."""
    wrong, ended = figure.wrong
    counted = (
        (say("Verified yesterday"), figure.verified.n, _sum(figure.verified)),
        (say("Said done, not shown yet"), figure.unproven.n, _sum(figure.unproven)),
        (say("Contradicted yesterday"), figure.contradicted.n, _sum(figure.contradicted)),
        (say("Due today"), figure.due_today.n, _sum(figure.due_today)),
        (say("At risk"), figure.at_risk.n, lines([_sum(figure.at_risk), *by_role(house, figure.at_risk, zone)])),
        (say("Stalled, by role and site"), figure.stalled.n, lines(by_role(house, figure.stalled, zone))),
        (say("Exceptions waiting"), figure.exceptions, say("{n}", n=figure.exceptions)),
        (say("Backlogs to review"), figure.reviews, say("{n}", n=figure.reviews)),
        (say("Undelivered messages"), figure.undelivered, say("{n}", n=figure.undelivered)),
        (say("Questions nobody could answer this week"), figure.unanswered, say("{n}", n=figure.unanswered)),
        (say("Reported wrong this month"), wrong, say("{n} of {all}", n=wrong, all=Count(ended, "nudge"))),
    )
    yield from (Fact(label, value) for label, n, value in counted if n)
    zero = [label for label, n, _ in counted if not n]
    if zero:
        yield Fact(say("At zero"), lines(zero, " · "))
    yield Fact(say("Feeds"), _feeds(figure.feeds, zone))
    length, head = figure.ledger
    ledger = say("{n}, head {head}", n=Count(length, "row"), head=Token(head[:16])) if head else say("empty")
    yield Fact(say("Evidence"), ledger)


def _sum(figure: Figure) -> Wording:
    if figure.cents:
        return say("{n} · {money}", n=Count(figure.n, "item"), money=Money(figure.cents))
    return say("{n}", n=Count(figure.n, "item"))


def by_role(house: House, figure: Figure, zone: ZoneInfo) -> list[Wording]:
    """A line for each role and site of a figure, the most money first."""
    out = []
    for line in sorted(figure.lines, key=lambda each: (-each.cents, -each.n)):
        part = say("{role}, {site}: {n}", role=house.role(line.role), site=house.site(line.site), n=Count(line.n, "item"))
        if line.cents:
            part = say("{part} · {money}", part=part, money=Money(line.cents))
        if line.oldest:
            oldest = Day(line.oldest.astimezone(zone).date())
            part = say("{part} · since {day}", part=part, day=oldest)
        out.append(part)
    return out


def _feeds(feeds: Sequence[figures.FeedState], zone: ZoneInfo) -> Wording:
    """Those with something wrong one by one, the others in one line with the oldest of them."""
    odd = [feed for feed in feeds if feed.stale or feed.as_of is None or feed.quarantined]
    fine = [(feed.as_of, feed.feed) for feed in feeds if feed not in odd and feed.as_of]
    said = [_feed(feed, zone) for feed in odd]
    if fine:
        as_of, oldest = min(fine)
        said.append(
            say("{n} fresh; oldest {feed}, as of {at}", n=Count(len(fine), "feed"), feed=Token(oldest), at=When(as_of, zone))
        )
    return lines(said) or say("none")


def _feed(feed: figures.FeedState, zone: ZoneInfo) -> Wording:
    name = Token(feed.feed)
    if feed.as_of is None:
        said = say("{feed}: nothing received yet; nothing is judged on it", feed=name)
    elif feed.stale:
        said = say("{feed}: as of {at}, too old; nothing is judged on it", feed=name, at=When(feed.as_of, zone))
    else:
        said = say("{feed}: as of {at}", feed=name, at=When(feed.as_of, zone))
    return say("{said}; {n} set aside unread", said=said, n=Count(feed.quarantined, "file")) if feed.quarantined else said


# --- my day ----------------------------------------------------------------------------------------------------------------


def my_day(session: Session, house: House, person: Person, now: datetime) -> Card:
    """One person's ordered list: safety, deadline, money, age of stillness; done and waiting below."""
    mine = plate(session, house, person)
    owed = sorted((n for n in mine if n.state in ("open", "sent", "acknowledged")), key=lambda n: rank(house, n))
    rest: dict[str, list[Nudge]] = defaultdict(list)
    for nudge in mine:
        rest[nudge.state].append(nudge)
    zone = people.home_site(house.practice, person).zone
    text = [_day_line(house, n, nudge, zone) for n, nudge in enumerate(owed[:DAY_LENGTH], start=1)]
    if len(owed) > DAY_LENGTH:
        text.append(say("and {n} more", n=Count(len(owed) - DAY_LENGTH, "item")))
    facts = [Fact(label, say("{n}", n=Count(len(rest[state]), "item"))) for state, label in _RESTING if rest[state]]
    buttons = [Button("show", nudge.id, say("Show {n}", n=n)) for n, nudge in enumerate(owed[:DAY_LENGTH], start=1)]
    if not owed:
        text = [say("Nothing is waiting for you.")]
    title = say("My day · {who} · {day}", who=person, day=Day(now.astimezone(zone).date()))
    return Card(kind="my_day", title=title, text=lines(text), facts=tuple(facts), buttons=tuple(buttons))


_RESTING = (
    ("said_done", say("Said done, waiting for the source")),
    ("snoozed", say("Snoozed")),
    ("exception_asked", say("Waiting for the manager's decision")),
    ("excepted", say("Excepted for now")),
)


def plate(session: Session, house: House, person: Person) -> list[Nudge]:
    """Everything that is one person's to see to, or waits for the source or the manager after they did."""
    acting = [(post.role, post.site) for post in person.posts if post.site in house.practice.sites]
    everywhere = [(post.role, site) for post in person.posts if post.site == people.EVERYWHERE for site in house.practice.sites]
    return [n for n in figures.of_person(session, person.id, [*acting, *everywhere]) if house.rule_of(n)]


def rank(house: House, nudge: Nudge) -> tuple[bool, datetime, int, datetime]:
    """The order of everybody's work: safety first, then deadline, money, and how long it has lain still."""
    loaded = house.rule_of(nudge)
    return (not (loaded and loaded.rule.safety), nudge.due_at, -nudge.amount_cents, nudge.since_at)


def _day_line(house: House, n: int, nudge: Nudge, zone: ZoneInfo) -> Wording:
    loaded = house.rule_of(nudge)
    title = say("{title}", title=loaded.rule) if loaded else cards.NOTHING
    if nudge.rule.startswith(nudges.REVIEW):
        title = say("{title}: backlog to review", title=title)
    line = say("{n}. {title} · by {due}", n=n, title=title, due=When(nudge.due_at, zone))
    if nudge.amount_cents:
        line = say("{line} · {money}", line=line, money=Money(nudge.amount_cents))
    return say("{line} · on it", line=line) if nudge.state == "acknowledged" else line
