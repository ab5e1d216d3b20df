"""What people do with a button: press(Press) -> Reply. Never sends; whoever called shows the card.

A press is one transaction: the press itself is remembered by its key, rights are checked, the state changes, the evidence is
written, and the card that replaces the pressed one is drawn.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from typing import Any

from sqlalchemy import Engine, select, update
from sqlmodel import Session, col

from bot import accounts, asking, cards, digest, evidence, items, learning, nudges, people, phi
from bot.cards import NOTICES, REASONS, WRONG, Ref, say
from bot.chat import Card, Press, Reply, Wording
from bot.evidence import Event
from bot.hours import NeverOpen, Site, next_open
from bot.nudges import NUDGES, REVIEW, House, Outcome
from bot.practice import Person
from bot.records import (
    AccountClaim,
    Delivery,
    ExceptionAsked,
    Item,
    Nudge,
    PressSeen,
    alone,
    insert_new,
    read,
    write,
)
from knowledge.library import Library

# --- pressing --------------------------------------------------------------------------------------------------------------


def press(engine: Engine, house: House, library: Library, pressed: Press) -> Reply:
    """Do what a button says, once, and give the card as it is now."""
    if pressed.verb in asking.VERBS:
        return asking.press(engine, house, library, pressed)
    if pressed.verb in learning.VERBS:
        return learning.press(engine, house, pressed)
    with write(engine) as session:
        alone(session, NUDGES)
        return _press(session, house, pressed)


def _press(session: Session, house: House, pressed: Press) -> Reply:
    person = house.person(pressed.person)
    if person is None:
        return Reply(cards.reply(say("I do not know you yet: ask your manager to add you to the practice file.")))
    match pressed.verb:
        case "my_day":
            return Reply(digest.my_day(session, house, person, pressed.at))
        case "confirm_claim" | "refuse_claim":
            return _claim_decided(session, house, person, pressed)
    ask = session.get(ExceptionAsked, pressed.target)
    nudge = session.get(Nudge, ask.nudge if ask else pressed.target)
    if nudge is None or house.rule_of(nudge) is None:
        return Reply(cards.reply(say(NOTICES["gone"])))
    if pressed.verb == "show":
        return _shown(session, house, nudge, person, pressed)
    note = _Note.read(pressed, house.site(nudge.site), house.patients)
    if isinstance(note, Card):
        return Reply(cards.again(_card(session, house, nudge, ask, pressed.at), note.text))
    values = {"person": person.id, "verb": pressed.verb, "target": pressed.target, "at": pressed.at, "outcome": ""}
    if not insert_new(session, PressSeen, key=pressed.key, **values):
        return Reply(_card(session, house, nudge, ask, pressed.at), took=True)
    outcome = _act(session, house, nudge, ask, person, pressed, note)
    seen = session.get_one(PressSeen, pressed.key)
    seen.outcome = outcome
    session.flush()
    return Reply(_told(session, house, nudge, ask, pressed, outcome), took=outcome == "done", nudge=nudge.id)


def objection(engine: Engine, house: House, pressed: Press) -> Wording | None:
    """What is wrong with the note of a press, before it is pressed; None where nothing is, or the press itself will say."""
    if pressed.verb in learning.VERBS:
        return learning.objection(pressed)
    with read(engine) as session:
        nudge = session.get(Nudge, pressed.target)
        if nudge is None:
            return None
        note = _Note.read(pressed, house.site(nudge.site), house.patients)
    return note.text if isinstance(note, Card) else None


def _claim_decided(session: Session, house: House, person: Person, pressed: Press) -> Reply:
    """A manager's word on who an account is; it is put on record, and every card that asks shows it."""
    claim = session.get(AccountClaim, pressed.target)
    whose = house.person(claim.person) if claim else None
    if claim is None or whose is None:
        return Reply(cards.reply(say(NOTICES["gone"])))
    site = people.home_site(house.practice, whose).id
    if whose.id == person.id or not _may_decide(house, person, site, pressed.at):
        seen = {"person": person.id, "verb": pressed.verb, "target": claim.id, "at": pressed.at, "outcome": "refused"}
        if insert_new(session, PressSeen, key=pressed.key, **seen):
            detail: evidence.Detail = {"verb": pressed.verb, "claim": claim.id}
            refused = Event(what="press refused", at=pressed.at, subject=f"account:{whose.id}", actor=person.id, detail=detail)
            evidence.append(session, refused)
        return Reply(cards.reply(say(NOTICES["claim_yours"])))
    took = accounts.decide(session, claim, whose, person, pressed.at, confirmed=pressed.verb == "confirm_claim")
    markers = col(Delivery.marker).startswith(f"claim:{claim.id}:", autoescape=True)
    session.execute(update(Delivery).where(markers, col(Delivery.state) == "sent").values(redraw=True))
    card = nudges.claim_card(house, claim)
    return Reply(card, took=True) if took else Reply(cards.again(card, say(NOTICES["claim_decided"])))


def _act(
    session: Session, house: House, nudge: Nudge, ask: ExceptionAsked | None, person: Person, pressed: Press, note: _Note
) -> Outcome:
    """Check the right to press, then do it."""
    now, verb = pressed.at, pressed.verb
    decides = verb in ("approve", "refuse", "start_review", "leave_review")
    if decides:
        allowed = _may_decide(house, person, nudge.site, now) or (ask is not None and _was_asked(session, ask, person))
    else:
        allowed = _may_work(house, person, nudge, now)
    if not allowed or (decides and ask is not None and ask.asked_by == person.id):
        return nudges.refuse(session, nudge, person, verb, now)
    match verb:
        case "on_it":
            return nudges.acknowledge(session, house, nudge, person, now)
        case "done":
            return nudges.say_done(session, house, nudge, person, now)
        case "snooze" if note.until:
            return nudges.snooze(session, house, nudge, person, note.until, now)
        case "cant":
            return nudges.ask_exception(session, house, nudge, person, note.code, note.text, now)
        case "wrong":
            return nudges.report_wrong(session, house, nudge, person, note.code, note.text, now)
        case "approve" | "refuse" if ask is not None:
            return nudges.decide(session, house, ask, person, now, granted=verb == "approve")
        case "start_review" | "leave_review" if nudge.rule.startswith(REVIEW):
            return nudges.end_review(session, house, nudge, person, now, nudge_them=verb == "start_review")
    return "unknown"


def _may_work(house: House, person: Person, nudge: Nudge, now: datetime) -> bool:
    if nudge.rule.startswith(REVIEW):
        return False
    return people.may_act(house.practice, person, nudge.role, nudge.site, now)


def _may_decide(house: House, person: Person, site: str, now: datetime) -> bool:
    return site in asking.in_charge_of(house, person, now)


def _was_asked(session: Session, ask: ExceptionAsked, person: Person) -> bool:
    """Whether this question was put to this person, who may have gone off shift since."""
    markers = col(Delivery.marker).startswith(f"exception:{ask.id}:", autoescape=True)
    return session.scalar(select(Delivery).where(markers, col(Delivery.person) == person.id).limit(1)) is not None


def _told(session: Session, house: House, nudge: Nudge, ask: ExceptionAsked | None, pressed: Press, outcome: Outcome) -> Card:
    """The card after the press, with one sentence where the press did not do what was meant."""
    card = _card(session, house, nudge, ask, pressed.at)
    match outcome:
        case "refused" if pressed.verb in ("approve", "refuse", "start_review", "leave_review"):
            return cards.again(card, say("Only somebody in charge of {site} decides this, and nobody decides their own.",
                                         site=house.site(nudge.site)))  # fmt: skip
        case "refused":
            return cards.again(
                card, say("This is for the {role} at {site}.", role=house.role(nudge.role), site=house.site(nudge.site))
            )
        case "unknown":
            return cards.again(card, say("That button does not belong to this card."))
        case "already" | "closed":
            return cards.again(card, say("Somebody was here first; this is how it stands."))
    return card


def _card(session: Session, house: House, nudge: Nudge, ask: ExceptionAsked | None, now: datetime) -> Card:
    return nudges.exception_card(session, house, ask, now) if ask else nudges.card(session, house, nudge, now)


def _shown(session: Session, house: House, nudge: Nudge, person: Person, pressed: Press) -> Reply:
    if not (_may_work(house, person, nudge, pressed.at) or _may_decide(house, person, nudge.site, pressed.at)):
        role, site = house.role(nudge.role), house.site(nudge.site)
        return Reply(cards.reply(say("This is for the {role} at {site}.", role=role, site=site)))
    return Reply(nudges.card(session, house, nudge, pressed.at), nudge=nudge.id)


# --- notes -----------------------------------------------------------------------------------------------------------------


class _Note:
    """What came with a press: an instant, or a reason code with what was typed, redacted."""

    def __init__(self, until: datetime | None = None, code: str = "", text: str = "") -> None:
        self.until, self.code, self.text = until, code, text

    @staticmethod
    def read(pressed: Press, site: Site, patients: phi.Known) -> _Note | Card:
        """The note this button needs; a card with one sentence where it is missing or cannot be read."""
        note = pressed.note.strip()
        if pressed.verb == "snooze":
            if not note:
                return cards.reply(say("Until when? For example: next opening, 2h, tomorrow 9:00, or 2026-03-02T09:00."))
            until = parse_until(note, pressed.at, site)
            if until is None:
                return cards.reply(say("I cannot read that time. Try: next opening, 2h, tomorrow 9:00, or 2026-03-02T09:00."))
            if until <= pressed.at:
                return cards.reply(say("That time has passed. Give one that is still to come."))
            return _Note(until=until)
        if pressed.verb in ("cant", "wrong"):
            table = REASONS if pressed.verb == "cant" else WRONG
            if not note:
                return cards.reply(say("Why? Pick a reason: {reasons}.", reasons=cards.choices(pressed.verb)))
            code, rest = cards.parse_reason(note, table)
            return _Note(code=code, text=cards.redact(rest, patients=patients))
        return _Note()


_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(r"(?:in |for )?(\d{1,3}) ?(m|min|mins|minutes?|h|hrs?|hours?|d|days?|w|weeks?)")
_CLOCK = re.compile(r"(\d{1,2})(?::(\d{2}))? ?(am|pm)?")


def parse_until(note: str, now: datetime, site: Site) -> datetime | None:
    """The instant a person means: `next opening`, `2h`, `tomorrow 9:00`, `friday`, `4 pm`, or ISO (in the site's zone).

    returns   aware UTC, possibly past; None where it cannot be read
    """
    try:
        return _until(note, now, site)
    except (OverflowError, NeverOpen):  # the year 1, the year 9999, or a site that opens on no day
        return None


def _until(note: str, now: datetime, site: Site) -> datetime | None:
    words = " ".join(note.lower().removeprefix("until").split())
    if words in ("next opening", "opening", "next open", "tomorrow morning"):
        tonight = datetime.combine(now.astimezone(site.zone).date() + timedelta(days=1), time(0), site.zone)
        return next_open(site, tonight.astimezone(UTC))
    if found := _SPAN.fullmatch(words):
        unit = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}[found[2][0]]
        return now + timedelta(**{unit: int(found[1])})
    return _iso(note.strip(), site) or _named_day(words, now, site)


def _iso(text: str, site: Site) -> datetime | None:
    try:
        at = datetime.fromisoformat(text.removeprefix("until ").strip())
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=site.zone)
        if at.time() == time(0) and "T" not in text.upper() and ":" not in text:
            return next_open(site, at.astimezone(UTC))
    return at.astimezone(UTC)


def _named_day(words: str, now: datetime, site: Site) -> datetime | None:
    """`tomorrow`, `friday 14:00`, `4 pm`: a day without a time is its opening, a time without a day the next such time."""
    local = now.astimezone(site.zone)
    first, _, rest = words.partition(" ")
    if first in ("today", "tonight"):
        day, clock = local.date(), rest
    elif first == "tomorrow":
        day, clock = local.date() + timedelta(days=1), rest
    elif first[:3] in _DAYS and first.isalpha():
        day, clock = local.date() + timedelta(days=(_DAYS.index(first[:3]) - local.weekday() - 1) % 7 + 1), rest
    else:
        day, clock = local.date(), words
        at = _at(day, clock, site)
        return at + timedelta(days=1) if at is not None and at <= now else at
    clock = clock.removeprefix("at ").strip()
    if not clock:
        return next_open(site, datetime.combine(day, time(0), site.zone).astimezone(UTC))
    return _at(day, clock, site)


def _at(day: Any, clock: str, site: Site) -> datetime | None:
    found = _CLOCK.fullmatch(clock.removeprefix("at ").strip())
    if not found:
        return None
    hour, minute = int(found[1]), int(found[2] or 0)
    if found[3]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found[3] == "pm" else 0)
    if hour > 23 or minute > 59:
        return None
    return datetime.combine(day, time(hour, minute), site.zone).astimezone(UTC)


# --- looking ---------------------------------------------------------------------------------------------------------------


def look(engine: Engine, house: House, person: Person, ref: str, now: datetime) -> items.Look | Card | None:
    """What stands behind a reference, for those who may act on it; each look is recorded. None: no such item. Card: refused."""
    with write(engine) as session:
        item = session.get(Item, ref)
        if item is None:
            return None
        roles = set(session.scalars(select(col(Nudge.role)).where(col(Nudge.item) == ref)))
        may = any(people.may_act(house.practice, person, role, item.site, now) for role in roles)
        allowed = may or item.site in asking.in_charge_of(house, person, now)
        detail: evidence.Detail = {"allowed": allowed, "site": item.site}
        evidence.append(session, Event(what="record looked at", at=now, subject=ref, item=ref, actor=person.id, detail=detail))
        if not allowed:
            return cards.reply(say("{ref} is for the people on duty for it at its site.", ref=Ref(ref)))
        return items.look(session, ref)
