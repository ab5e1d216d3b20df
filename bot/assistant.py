"""What people do: ask(Ask) -> Card, press(Press) -> Card. Never sends; whoever called shows the card.

A press is one transaction: the press itself is remembered by its key, rights are checked, the state changes, the evidence is
written, and the card that replaces the pressed one is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

from sqlalchemy import Engine, select
from sqlmodel import Session, col

from bot import cards, digest, evidence, items, nudges, people
from bot.cards import REASONS, WRONG, Ref, StepQuote, Token, say
from bot.chat import Ask, Card, Press
from bot.evidence import Event
from bot.hours import NeverOpen, Site, next_open
from bot.nudges import NUDGES, REVIEW, House, Outcome
from bot.practice import MANAGER, Person
from bot.records import Delivery, ExceptionAsked, Item, Nudge, PressSeen, alone, insert_new, read, write
from knowledge.library import Answer, Library, Principal, Quote

LIMIT = 2000
"""Characters of a question that are read; the rest is cut before anything looks at it."""

_COMMANDS = {
    "my day": re.compile(r"(?:show )?my ?day[.!?]?|what(?:'s| is) (?:on )?my (?:list|plate|day)\??", re.IGNORECASE),
    "digest": re.compile(r"(?:the )?(?:daily )?(?:digest|stand-?up)(?: please)?[.!?]?", re.IGNORECASE),
}


# --- asking ----------------------------------------------------------------------------------------------------------------


def ask(engine: Engine, house: House, library: Library, feeds: Mapping[str, items.FeedConfig], question: Ask) -> Card:
    """The answer to what a person typed: their day, the stand-up, a quoted step, or "not in our SOPs" with whom to ask."""
    person = house.person(question.person)
    if person is None:
        return cards.reply(say("I do not know you yet: ask your manager to add you to the practice file."))
    text = question.text[:LIMIT].strip()
    if not any(c.isalnum() for c in text):
        return cards.reply(say("Ask me how something is done, or type “my day”."))
    if _COMMANDS["my day"].fullmatch(text):
        with read(engine) as session:
            return digest.my_day(session, house, person, question.at)
    if _COMMANDS["digest"].fullmatch(text):
        return standup(engine, house, feeds, person, question.at)
    return _answered(house, library, person, text, question.at)


def standup(engine: Engine, house: House, feeds: Mapping[str, items.FeedConfig], person: Person, now: datetime) -> Card:
    """The stand-up of the sites a person is in charge of; for others, who may read it."""
    sites = in_charge_of(house, person, now)
    if not sites:
        return cards.reply(say("The stand-up is for the people in charge of a site. Type “my day” for your own list."))
    with read(engine) as session:
        return digest.card(session, house, feeds, sites, now)


def in_charge_of(house: House, person: Person, now: datetime) -> list[str]:
    """The sites whose stand-up a person may read: those they manage, cover now, or hold a role in charge at."""
    out = []
    for site in house.practice.sites.values():
        day = now.astimezone(site.zone).date()
        held = any(person in people.holders(house.practice, role, site.id, day) for role in (MANAGER, *people.IN_CHARGE))
        duty = people.on_duty(house.practice, MANAGER, site.id, now)
        if held or (duty is not None and duty.person == person):
            out.append(site.id)
    return out


def _answered(house: House, library: Library, person: Person, text: str, now: datetime) -> Card:
    asker = people.principal_of(house.practice, person, now)
    if not asker.roles:
        return cards.reply(
            say("You hold no role here today, so I may show you nothing: ask your manager to look at the roster.")
        )
    principal = Principal(person.id, asker.roles, asker.site)
    found = library.ask(text, principal, now)
    if isinstance(found, Answer):
        quotes = [quote(q) for q in (*found.quotes, *found.also)]
        overdue = [q for q in found.quotes if q.review_overdue]
        notes = [say("“{sop}” is past its review date; its owner knows.", sop=overdue[0].title)] if overdue else []
        return cards.answer(found.quotes[0].lead, quotes, notes)
    _, in_charge = people.manager_on_duty(
        house.practice, people.home_site(house.practice, person).id, now, now + timedelta(days=1)
    )
    owner = house.practice.roles.get(found.owner) or in_charge.person
    return cards.refusal(found.searched, owner, [replace(quote(q), text=q.lead) for q in found.nearest[:2]])


def quote(found: Quote) -> StepQuote:
    """A quote of the library as cards speak of it."""
    return StepQuote(
        sop=Token(found.sop),
        version=found.version,
        step=Token(found.step or "text"),
        number=Token(found.number) if found.number else None,
        sop_title=found.title,
        title=found.step_title or found.title,
        text=found.text,
    )


# --- pressing --------------------------------------------------------------------------------------------------------------


def press(engine: Engine, house: House, pressed: Press) -> Card:
    """Do what a button says, once, and give the card as it is now."""
    with write(engine) as session:
        alone(session, NUDGES)
        return _press(session, house, pressed)


def _press(session: Session, house: House, pressed: Press) -> Card:
    person = house.person(pressed.person)
    if person is None:
        return cards.reply(say("I do not know you yet: ask your manager to add you to the practice file."))
    ask = session.get(ExceptionAsked, pressed.target)
    nudge = session.get(Nudge, ask.nudge if ask else pressed.target)
    if nudge is None or house.rule_of(nudge) is None:
        return cards.reply(say("That button belongs to something that no longer exists."))
    if pressed.verb == "show":
        return _shown(session, house, nudge, person, pressed)
    note = _Note.read(pressed, house.site(nudge.site))
    if isinstance(note, Card):
        return cards.again(_card(session, house, nudge, ask, pressed.at), note.text)
    if not insert_new(
        session,
        PressSeen,
        key=pressed.key,
        person=person.id,
        verb=pressed.verb,
        target=pressed.target,
        at=pressed.at,
        outcome="",
    ):
        return _card(session, house, nudge, ask, pressed.at)
    outcome = _act(session, house, nudge, ask, person, pressed, note)
    seen = session.get_one(PressSeen, pressed.key)
    seen.outcome = outcome
    session.flush()
    return _told(session, house, nudge, ask, pressed, outcome)


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
    return site in in_charge_of(house, person, now)


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


def _shown(session: Session, house: House, nudge: Nudge, person: Person, pressed: Press) -> Card:
    if not (_may_work(house, person, nudge, pressed.at) or _may_decide(house, person, nudge.site, pressed.at)):
        return cards.reply(say("This is for the {role} at {site}.", role=house.role(nudge.role), site=house.site(nudge.site)))
    return nudges.card(session, house, nudge, pressed.at)


# --- notes -----------------------------------------------------------------------------------------------------------------


class _Note:
    """What came with a press: an instant, or a reason code with what was typed, redacted."""

    def __init__(self, until: datetime | None = None, code: str = "", text: str = "") -> None:
        self.until, self.code, self.text = until, code, text

    @staticmethod
    def read(pressed: Press, site: Site) -> _Note | Card:
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
            code, rest = parse_reason(note, table)
            return _Note(code=code, text=cards.redact(rest))
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


def parse_reason(note: str, table: Mapping[str, str]) -> tuple[str, str]:
    """The reason code a note begins with (its code or its label, in any case), or "other"; and what is left to say."""
    plain = note.strip()
    lowered = re.sub(r"[-_ ]+", " ", plain.lower())
    for code, label in table.items():
        for start in (code, label):
            wanted = re.sub(r"[-_ ]+", " ", start.lower())
            if lowered == wanted or lowered.startswith((wanted + " ", wanted + ":", wanted + ",", wanted + ".")):
                return code, plain[len(start) :].strip(" :,.-")
    return "other", plain


# --- looking ---------------------------------------------------------------------------------------------------------------


def look(engine: Engine, house: House, person: Person, ref: str, now: datetime) -> items.Look | Card | None:
    """What stands behind a reference, for those who may act on it; each look is recorded. None: no such item. Card: refused."""
    with write(engine) as session:
        item = session.get(Item, ref)
        if item is None:
            return None
        roles = set(session.scalars(select(col(Nudge.role)).where(col(Nudge.item) == ref)))
        may = any(people.may_act(house.practice, person, role, item.site, now) for role in roles)
        allowed = may or item.site in in_charge_of(house, person, now)
        detail: evidence.Detail = {"allowed": allowed, "site": item.site}
        evidence.append(session, Event(what="record looked at", at=now, subject=ref, item=ref, actor=person.id, detail=detail))
        if not allowed:
            return cards.reply(say("{ref} is for the people on duty for it at its site.", ref=Ref(ref)))
        return items.look(session, ref)
