"""The life of a nudge, and the only place its state changes; the evidence is written in the same transaction.

    held ──► open ──► sent ──► acknowledged ──► said_done ──► (verified)
                ▲        │          │                │
                │        └─ escalated: open, one rung up
                ├────────── snoozed, until its instant
                ├────────── contradicted: said done, and the source did not show it
                └────────── exception_asked ──► excepted, until it expires

A nudge ends verified, overtaken, wrong or reviewed; the source, which gives the first two, may take them back. Every change is
an UPDATE that names the states it may leave, and whoever finds no row left to change has come second. `next_at` says when time
must act on it; an indexed query asks only for those.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import func, select, update
from sqlmodel import Session, col

from bot import cards, evidence, items, people, phi
from bot.cards import NudgeView, StepQuote, Token
from bot.chat import Card, Receipt
from bot.evidence import Event
from bot.hours import Site, due_at, parse_clock
from bot.practice import MANAGER, Person, Practice, Role
from bot.records import AccountClaim, Delivery, ExceptionAsked, Item, ItemKey, Note, Nudge, insert_new, new_ref
from bot.rules import Finding, Loaded, Snapshot

WAITING = ("open", "sent", "acknowledged", "said_done")
"""States in which the source decides what comes next: nothing happens to them while their feed is stale."""
ACTIVE = (*WAITING, "held", "snoozed", "exception_asked", "excepted")
NUDGES = "nudges"
"""What a write transaction that changes nudges holds alone, from its start: then nudges and ledger are locked in one order."""
REVIEW = "review:"
"""Rule prefix of the one nudge that asks the manager about a first import's backlog."""
EXCEPTION_LASTS = timedelta(days=14)
DECIDE_WITHIN = parse_clock("same day")

Outcome = Literal["done", "already", "closed", "refused", "unknown"]


@dataclass(frozen=True)
class House:
    """What stands outside the tables: people, rules with their live steps, the library's step texts, where people are reached.

    step     (sop, version, step) -> the quoted step, or None
    address  person -> (platform, address), or None when no chat platform knows them
    patients the names that the feeds bring, so that they are known where staff type them
    """

    practice: Practice
    rules: Mapping[str, Loaded]
    step: Callable[[str, int, str], StepQuote | None]
    address: Callable[[Person], tuple[str, str] | None]
    patients: phi.Known = phi.NOBODY

    def site(self, site: str) -> Site:
        return self.practice.sites[site]

    def rule_of(self, nudge: Nudge) -> Loaded | None:
        return self.rules.get(nudge.rule.removeprefix(REVIEW))

    def role(self, role: str) -> Role:
        return self.practice.roles.get(role) or Role(role, "Manager" if role == MANAGER else role, "")

    def person(self, person: str) -> Person | None:
        return self.practice.people.get(person)


# --- opening -------------------------------------------------------------------------------------------------------------


def open_new(session: Session, loaded: Loaded, s: Snapshot, finding: Finding, now: datetime, *, held: bool) -> Nudge | None:
    """The nudge of this item, rule and window, new or opened again; None when it is under way or people have ended it.

    held   the stillness is older than the feed's first import: the manager reviews it, nobody is nudged
    """
    anchor = loaded.anchor
    as_found: dict[str, Any] = {
        "role": anchor.role, "state": "held" if held else "open", "next_at": None if held else now,
        "sop": anchor.sop, "sop_version": anchor.version, "step": anchor.step, "rule_version": loaded.version,
        "snapshot": s.digest(), "amount_cents": finding.amount_cents, "since_at": finding.since,
        "due_at": max(finding.due, due_at(now, parse_clock("4 open h"), s.site)),
        "level": 0, "acknowledged_by": "", "said_done_by": "", "review": "", "ending": "",
    }  # fmt: skip
    which = {"item": s.ref, "rule": loaded.rule.id, "window": finding.window}
    made = {"id": new_ref(), "site": s.site.id, "opened_at": now, "person": "", "sends": 0, "contradicted": 0}
    is_new = insert_new(session, Nudge, **which, **made, **as_found)
    if not is_new and not _open_again(session, which, as_found):
        return None
    nudge = session.scalars(select(Nudge).filter_by(**which).execution_options(populate_existing=True)).one()
    what = "nudge found" if is_new else "nudge reopened"
    _record(session, nudge, what, now, detail={"since": finding.window, "held": held})
    if held:
        _into_review(session, loaded, nudge, now)
    return nudge


def _open_again(session: Session, which: Mapping[str, str], as_found: Mapping[str, Any]) -> bool:
    """Take back the end that the source gave this nudge, where it now says that the same stillness goes on.

    A report that lacked half its rows, or a posting that was taken back, would otherwise silence an item for ever.
    """
    changed = session.execute(
        update(Nudge)
        .filter_by(**which, state="closed")
        .where(col(Nudge.ending).in_(("verified", "overtaken")))
        .values(**as_found, closed_at=None, acknowledged_at=None, said_done_at=None, snoozed_until=None)
        .execution_options(synchronize_session=False)
    )
    return _changed(changed)


def _into_review(session: Session, loaded: Loaded, nudge: Nudge, now: datetime) -> None:
    """Put a held nudge under the waiting review of its rule and site, opening one if there is none."""
    name = REVIEW + loaded.rule.id
    waiting = session.scalar(
        select(Nudge).where(col(Nudge.rule) == name, col(Nudge.site) == nudge.site, col(Nudge.closed_at).is_(None))
    )
    if waiting is None:
        waiting = Nudge(
            id=new_ref(), item=f"{REVIEW}{nudge.site}", rule=name, window=now.isoformat(), site=nudge.site, role=MANAGER,
            state="open", sop=nudge.sop, sop_version=nudge.sop_version, step=nudge.step, rule_version=nudge.rule_version,
            snapshot="", since_at=nudge.since_at, opened_at=now, due_at=nudge.due_at, next_at=now,
        )  # fmt: skip
        session.add(waiting)
        session.flush()
        _record(session, waiting, "review opened", now)
    nudge.review = waiting.id
    session.flush()


# --- what the source shows -----------------------------------------------------------------------------------------------


def active(session: Session, refs: Iterable[str]) -> dict[tuple[str, str], list[Nudge]]:
    """The nudges of these items that have not ended, by item and rule."""
    found: dict[tuple[str, str], list[Nudge]] = {}
    for nudge in session.scalars(select(Nudge).where(col(Nudge.item).in_(list(refs)), col(Nudge.closed_at).is_(None))):
        found.setdefault((nudge.item, nudge.rule), []).append(nudge)
    return found


def settle(session: Session, loaded: Loaded, s: Snapshot, open_ones: Iterable[Nudge], now: datetime) -> list[Nudge]:
    """Close those nudges of this item and rule that the source has answered: verified by proof, or overtaken by events."""
    closed = []
    for nudge in open_ones:
        ending = verdict(loaded, s, nudge, now)
        if ending and close(session, nudge, ending, now, snapshot=s.digest()):
            closed.append(nudge)
    return closed


def verdict(loaded: Loaded, s: Snapshot, nudge: Nudge, now: datetime) -> str:
    """How the source answers this nudge now: "verified", "overtaken", or "" while it still stands."""
    if loaded.proof(s, nudge.since_at):
        return "verified"
    found = loaded.find(s, now)
    return "" if found and found.window == nudge.window else "overtaken"


def close(session: Session, nudge: Nudge, ending: str, now: datetime, *, snapshot: str = "", actor: str = "") -> bool:
    """End a nudge, once."""
    if not _move(session, nudge, ACTIVE, "closed", closed_at=now, ending=ending, next_at=None):
        return False
    _withdraw(session, nudge, now)
    said = {"said_done": bool(nudge.said_done_at), "contradicted": nudge.contradicted}
    _record(session, nudge, f"nudge {ending}", now, actor=actor, snapshot=snapshot, detail=said)
    _redraw(session, nudge)
    return True


# --- what time does ------------------------------------------------------------------------------------------------------


def due(session: Session, now: datetime, stalled_rules: Iterable[tuple[str, tuple[str, ...]]], limit: int = 500) -> list[Nudge]:
    """The nudges whose moment has come, oldest first.

    stalled_rules   (site, rules) whose feed is stale: of those, only what does not hang on the source
    """
    query = select(Nudge).where(col(Nudge.next_at).is_not(None), col(Nudge.next_at) <= now, col(Nudge.closed_at).is_(None))
    for site, rules in stalled_rules:
        query = query.where((col(Nudge.site) != site) | col(Nudge.rule).not_in(rules) | col(Nudge.state).not_in(WAITING))
    return list(session.scalars(query.order_by(col(Nudge.next_at)).limit(limit)))


def advance(session: Session, house: House, nudge: Nudge, now: datetime, known_until: datetime | None) -> None:
    """Do what time asks of one nudge.

    known_until   up to when the feeds know this kind of item; None where no feed brings it, and silence is all there is
    """
    match nudge.state:
        case "open":
            _give(session, house, nudge, now)
        case "sent":
            _escalate(session, house, nudge, now, "unanswered" if now < nudge.due_at else "overdue")
        case "acknowledged":
            _remind(session, house, nudge, now)
        case "said_done":
            _doubt(session, house, nudge, now, known_until)
        case "snoozed" if nudge.snoozed_until and nudge.snoozed_until > nudge.due_at:  # put off past its deadline, once
            _escalate(session, house, nudge, now, "overdue")
        case "snoozed":
            if _move(session, nudge, ("snoozed",), "open", next_at=now, snoozed_until=None):
                _record(session, nudge, "nudge woke", now)
                _redraw(session, nudge)
                _give(session, house, nudge, now)
        case "exception_asked":
            _press_for_decision(session, house, nudge, now)
        case "excepted":
            _expire(session, house, nudge, now)


def _give(session: Session, house: House, nudge: Nudge, now: datetime) -> None:
    """Hand the nudge to whoever is on duty for its rung, or wait for them, or tell the manager that nobody is."""
    role = _rung(house, nudge, nudge.level)
    until = max(nudge.due_at, due_at(now, parse_clock("1 open d"), house.site(nudge.site)))
    if role == MANAGER:
        at, duty = people.manager_on_duty(house.practice, nudge.site, now, until)
    else:
        found = people.next_duty(house.practice, role, nudge.site, now, until)
        if found is None:
            _nobody(session, house, nudge, role, now)
            return
        at, duty = found
    if at > now:
        _move(session, nudge, ("open",), "open", next_at=at)
        return
    _post(session, house, nudge, duty.person, now, "covering" if duty.instead_of else "on duty")


def give_again(session: Session, nudge: Nudge, now: datetime) -> None:
    """Its send did not go out: look again for whoever is on duty."""
    _move(session, nudge, ("open",), "open", next_at=now)


def _nobody(session: Session, house: House, nudge: Nudge, role: str, now: datetime) -> None:
    """Nobody can be found for the role in time: it goes to the manager, and the evidence says why."""
    rungs = _rungs(house, nudge)
    managers = rungs.index(MANAGER) + 1 if MANAGER in rungs[nudge.level :] else len(rungs)
    _record(session, nudge, "nobody on duty", now, detail={"for": role})
    if _move(session, nudge, ("open",), "open", level=managers, next_at=now):
        at, duty = people.manager_on_duty(house.practice, nudge.site, now, nudge.due_at)
        if at > now:
            _move(session, nudge, ("open",), "open", next_at=at)
        else:
            _post(session, house, nudge, duty.person, now, "nobody on duty")


def _post(session: Session, house: House, nudge: Nudge, person: Person, now: datetime, why: str) -> None:
    """Put one numbered send into the outbox. The nudge waits until the outbox knows how it went."""
    number = nudge.sends + 1
    if not _move(session, nudge, ("open",), "open", sends=number, person=person.id, next_at=None):
        return
    kind = "review" if nudge.rule.startswith(REVIEW) else "escalation" if nudge.level else "nudge"
    post(session, house, f"{nudge.id}:{number}", kind, person, now, nudge=nudge.id)
    _record(session, nudge, "nudge planned", now, detail={"to": person.id, "send": number, "why": why})
    if house.address(person) is None:
        _unreachable(session, house, nudge, person.id, now)


def post(session: Session, house: House, marker: str, kind: str, person: Person, now: datetime, *, nudge: str = "",
         card: Card | None = None, where: tuple[str, str] | None = None) -> bool:  # fmt: skip
    """An intent to send, in the caller's transaction; False when this marker was used before.

    card    what to send; None for a nudge's card, which is drawn when it goes out
    where   (platform, address) of a channel, instead of where the person is reached
    """
    where = where or house.address(person)
    platform, address = where or ("", "")
    return insert_new(
        session, Delivery, marker=marker, kind=kind, nudge=nudge, person=person.id, platform=platform, address=address,
        card=card.as_json() if card else {}, state="pending" if where else "dead", attempts=0, not_before=now, created_at=now,
        ended_at=None if where else now, channel="", message="", reason="" if where else "no chat address", repeated=False,
        bundle="", redraw=False,
    )  # fmt: skip


def sent(session: Session, house: House, delivery: Delivery, receipt: Receipt, now: datetime) -> None:
    """A delivery arrived: note where, and start the nudge's next clock."""
    _end(session, delivery, "sent", now, channel=receipt.channel, message=receipt.message)
    nudge = session.get(Nudge, delivery.nudge) if delivery.nudge else None
    if nudge is None or delivery.kind == "exception":
        return
    number = int(delivery.marker.rpartition(":")[2])
    _record(session, nudge, "nudge sent", now, detail={"to": delivery.person, "platform": delivery.platform, "send": number})
    if nudge.state == "open" and delivery.marker == f"{nudge.id}:{nudge.sends}":
        _move(session, nudge, ("open",), "sent", next_at=_escalation_at(house, nudge, now))
    else:
        _redraw(session, nudge)  # answered while it was on its way: the card that arrived is out of date already


def perhaps(session: Session, house: House, delivery: Delivery, now: datetime) -> None:
    """Nobody will ever know whether it arrived. It is not sent again; silence moves the nudge on as if it had."""
    _end(session, delivery, "unknown", now, reason="nobody knows whether it arrived")
    nudge = session.get(Nudge, delivery.nudge) if delivery.nudge else None
    if nudge is None or delivery.kind == "exception":
        return
    _record(session, nudge, "send unknown", now, detail={"to": delivery.person, "marker": delivery.marker})
    if nudge.state == "open" and delivery.marker == f"{nudge.id}:{nudge.sends}":
        _move(session, nudge, ("open",), "sent", next_at=_escalation_at(house, nudge, now))


def undelivered(session: Session, house: House, delivery: Delivery, reason: str, now: datetime) -> None:
    """A delivery cannot arrive: the nudge goes one rung up, and the digest lists it."""
    _end(session, delivery, "dead", now, reason=reason[:200])
    nudge = session.get(Nudge, delivery.nudge) if delivery.nudge else None
    if nudge is None or delivery.kind == "exception":
        return
    if delivery.marker == f"{nudge.id}:{nudge.sends}":
        _unreachable(session, house, nudge, delivery.person, now)


def _unreachable(session: Session, house: House, nudge: Nudge, person: str, now: datetime) -> None:
    """One rung up, because it cannot arrive where it went; at the top there is only trying again another day."""
    _record(session, nudge, "nudge undelivered", now, detail={"to": person})
    if nudge.level < len(_rungs(house, nudge)):
        _move(session, nudge, ("open",), "open", level=nudge.level + 1, next_at=now)
    else:
        _move(session, nudge, ("open",), "open", next_at=due_at(now, parse_clock("1 open d"), house.site(nudge.site)))


def dropped(session: Session, delivery: Delivery, reason: str, now: datetime) -> None:
    """A delivery is no longer right: it is not sent, and the reason is kept."""
    _end(session, delivery, "dropped", now, reason=reason)
    nudge = session.get(Nudge, delivery.nudge) if delivery.nudge else None
    if nudge is not None:
        _record(session, nudge, "send dropped", now, detail={"why": reason})


def _end(session: Session, delivery: Delivery, state: str, now: datetime, **values: Any) -> None:
    values |= {"state": state, "ended_at": now, "lease_until": None}
    session.execute(update(Delivery).where(col(Delivery.marker) == delivery.marker).values(**values))


def _escalation_at(house: House, nudge: Nudge, now: datetime) -> datetime | None:
    """When silence moves it up: the rung's open time, or the deadline if that is sooner. None at the top."""
    rungs = _rungs(house, nudge)
    if nudge.level >= len(rungs):
        return None
    site = house.site(nudge.site)
    after = due_at(now, house.role(nudge.role).ladder[nudge.level].after, site)
    return min(after, nudge.due_at) if nudge.due_at > now else after


def _escalate(session: Session, house: House, nudge: Nudge, now: datetime, why: str) -> None:
    rungs = _rungs(house, nudge)
    if nudge.level >= len(rungs):
        _move(session, nudge, (nudge.state,), nudge.state, next_at=None)
        return
    last = nudge.person
    if _move(session, nudge, (nudge.state,), "open", level=nudge.level + 1, next_at=now):
        _record(session, nudge, "nudge escalated", now, detail={"to": rungs[nudge.level - 1], "from": last, "why": why})
        _give(session, house, nudge, now)


def _remind(session: Session, house: House, nudge: Nudge, now: datetime) -> None:
    """Acknowledged and not moving: past the deadline it goes up, before it the same person hears again."""
    if now >= nudge.due_at:
        _escalate(session, house, nudge, now, "overdue")
        return
    if _move(session, nudge, ("acknowledged",), "open", next_at=now):
        _record(session, nudge, "nudge repeated", now, detail={"why": "acknowledged and not moving"})
        _give(session, house, nudge, now)


def _doubt(session: Session, house: House, nudge: Nudge, now: datetime, known_until: datetime | None) -> None:
    """Said done and not shown. Contradicted once the source was read after the limit; a late feed counts against nobody."""
    loaded = house.rule_of(nudge)
    said = nudge.said_done_at or now
    limit = due_at(said, loaded.verify if loaded else parse_clock("4 open h"), house.site(nudge.site))
    if known_until is not None and known_until < limit:
        _move(session, nudge, ("said_done",), "said_done", next_at=now + timedelta(minutes=15))
        return
    if _move(session, nudge, ("said_done",), "open", contradicted=nudge.contradicted + 1, next_at=now):
        _record(session, nudge, "done contradicted", now, detail={"said_by": nudge.said_done_by})
        _redraw(session, nudge)
        _give(session, house, nudge, now)


# --- what people do ------------------------------------------------------------------------------------------------------


def acknowledge(session: Session, house: House, nudge: Nudge, person: Person, now: datetime) -> Outcome:
    """On it: the person owns it from now; they hear again when it does not move."""
    loaded = house.rule_of(nudge)
    again = due_at(now, loaded.renudge if loaded else parse_clock("4 open h"), house.site(nudge.site))
    next_at = min(again, nudge.due_at) if nudge.due_at > now else again
    if not _move(
        session, nudge, ("open", "sent"), "acknowledged", acknowledged_by=person.id, acknowledged_at=now, next_at=next_at
    ):
        return _late(nudge)
    return _pressed(session, house, nudge, person, "nudge acknowledged", now)


def say_done(session: Session, house: House, nudge: Nudge, person: Person, now: datetime) -> Outcome:
    """Done is a claim: the source has until the rule's limit to show it."""
    loaded = house.rule_of(nudge)
    limit = due_at(now, loaded.verify if loaded else parse_clock("4 open h"), house.site(nudge.site))
    states = ("open", "sent", "acknowledged", "snoozed", "exception_asked")
    if not _move(
        session, nudge, states, "said_done", said_done_by=person.id, said_done_at=now, next_at=limit, snoozed_until=None
    ):
        return _late(nudge)
    _withdraw(session, nudge, now)
    return _pressed(session, house, nudge, person, "said done", now, {"verify_by": limit.isoformat()})


def snooze(session: Session, house: House, nudge: Nudge, person: Person, until: datetime, now: datetime) -> Outcome:
    """Quiet until then, never past the deadline; past the deadline, never past the next open day's close."""
    limit = nudge.due_at if nudge.due_at > now else due_at(now, parse_clock("1 open d"), house.site(nudge.site))
    until = min(until, limit)
    if not _move(session, nudge, ("open", "sent", "acknowledged"), "snoozed", snoozed_until=until, next_at=until):
        return _late(nudge)
    return _pressed(session, house, nudge, person, "nudge snoozed", now, {"until": until.isoformat()})


def report_wrong(
    session: Session, house: House, nudge: Nudge, person: Person, reason: str, note: str, now: datetime
) -> Outcome:
    """Wrong: closed and counted against the rule; "not mine" goes one rung up instead, because somebody's it is."""
    if reason == "not-mine" and nudge.level < len(_rungs(house, nudge)):
        is_theirs = nudge.person == person.id  # whoever's card it is: said again, or by others, it would climb the whole ladder
        if not is_theirs or not _move(
            session, nudge, ("sent", "acknowledged", "snoozed"), "open", level=nudge.level + 1, next_at=now, snoozed_until=None,
            acknowledged_by="", acknowledged_at=None,
        ):  # fmt: skip
            return _late(nudge)
        detail = {"reason": reason, "note": keep_note(session, note, person, now)[1]}
        outcome = _pressed(session, house, nudge, person, "nudge not mine", now, detail)
        _give(session, house, nudge, now)
        return outcome
    states = ("open", "sent", "acknowledged", "snoozed", "exception_asked")
    if not _move(session, nudge, states, "closed", closed_at=now, ending="wrong", next_at=None):
        return _late(nudge)
    _withdraw(session, nudge, now)
    detail = {"reason": reason, "note": keep_note(session, note, person, now)[1]}
    return _pressed(session, house, nudge, person, "nudge wrong", now, detail)


def ask_exception(
    session: Session, house: House, nudge: Nudge, person: Person, reason: str, note: str, now: datetime
) -> Outcome:
    """Can't: a reason and, if they like, a note. A manager decides by the close of the day; silence excuses nothing."""
    site = house.site(nudge.site)
    states = ("open", "sent", "acknowledged", "snoozed")
    if not _move(session, nudge, states, "exception_asked", next_at=due_at(now, DECIDE_WITHIN, site), snoozed_until=None):
        return _late(nudge)
    _withdraw(session, nudge, now)  # asked again before anybody decided: the newer reason counts
    note_id, commitment = keep_note(session, note, person, now)
    ask = ExceptionAsked(id=new_ref(), nudge=nudge.id, reason=reason, note=note_id, asked_by=person.id, asked_at=now)
    session.add(ask)
    session.flush()
    outcome = _pressed(
        session, house, nudge, person, "exception asked", now, {"exception": ask.id, "reason": reason, "note": commitment}
    )
    _ask_decider(session, house, nudge, ask, now, 1)
    return outcome


def decide(session: Session, house: House, ask: ExceptionAsked, person: Person, now: datetime, *, granted: bool) -> Outcome:
    """A manager's word on a "Can't"; nobody decides their own."""
    nudge = session.get_one(Nudge, ask.nudge)
    if ask.asked_by == person.id:
        return "refused"
    state, until = ("granted", now + EXCEPTION_LASTS) if granted else ("refused", None)
    changed = session.execute(
        update(ExceptionAsked)
        .where(col(ExceptionAsked.id) == ask.id, col(ExceptionAsked.state) == "waiting")
        .values(state=state, decided_by=person.id, decided_at=now, expires_at=until)
    )
    if not _changed(changed):
        session.refresh(ask)
        return "already"
    session.refresh(ask)
    if granted:
        states = ("exception_asked", "open", "sent", "acknowledged", "snoozed")
        _move(session, nudge, states, "excepted", next_at=until, snoozed_until=None)
        is_back = False
    else:  # where nobody had decided in time it is back already
        is_back = _move(session, nudge, ("exception_asked",), "open", next_at=now)
    detail = {"exception": ask.id, "reason": ask.reason, "expires": until.isoformat() if until else None}
    _pressed(session, house, nudge, person, f"exception {state}", now, detail)
    if is_back:
        _give(session, house, nudge, now)
    return "done"


def end_review(session: Session, house: House, review: Nudge, person: Person, now: datetime, *, nudge_them: bool) -> Outcome:
    """The manager's word on a first import's backlog: nudge the team about it, or leave it."""
    if not _move(session, review, ("open", "sent"), "closed", closed_at=now, ending="reviewed", next_at=None):
        return _late(review)
    held = list(session.scalars(select(Nudge).where(col(Nudge.review) == review.id, col(Nudge.state) == "held")))
    _pressed(session, house, review, person, "review ended", now, {"nudge_them": nudge_them, "items": len(held)})
    for nudge in held:
        if not nudge_them:
            close(session, nudge, "reviewed", now, actor=person.id)
        elif _move(
            session, nudge, ("held",), "open", next_at=now, due_at=due_at(now, parse_clock("1 open d"), house.site(nudge.site))
        ):
            _record(session, nudge, "nudge released", now, actor=person.id)
    return "done"


def refuse(session: Session, nudge: Nudge, person: Person, verb: str, now: datetime) -> Outcome:
    """Somebody pressed who may not: nothing changes, and it is on record."""
    _record(session, nudge, "press refused", now, actor=person.id, detail={"verb": verb})
    return "refused"


def _late(nudge: Nudge) -> Outcome:
    return "closed" if nudge.closed_at else "already"


def _pressed(
    session: Session,
    house: House,
    nudge: Nudge,
    person: Person,
    what: str,
    now: datetime,
    detail: evidence.Detail | None = None,
) -> Outcome:
    _record(session, nudge, what, now, actor=person.id, role=_role_held(house, nudge, person, now), detail=detail)
    _redraw(session, nudge)
    return "done"


def _role_held(house: House, nudge: Nudge, person: Person, now: datetime) -> str:
    """The role in which this person acts here: the one asked for if they hold it, else the rung, else their own."""
    held = people.principal_of(house.practice, person, now).roles
    for role in (nudge.role, *_rungs(house, nudge)):
        if role in held:
            return role
    if house.practice.managers.get(nudge.site) == person.id:
        return MANAGER
    return min(held, default="")


# --- exceptions in time --------------------------------------------------------------------------------------------------


def _ask_decider(session: Session, house: House, nudge: Nudge, ask: ExceptionAsked, now: datetime, number: int) -> None:
    """Put the question before the manager in charge; nobody is asked about their own."""
    at, duty = people.manager_on_duty(house.practice, nudge.site, now, due_at(now, DECIDE_WITHIN, house.site(nudge.site)))
    person = duty.person
    if person.id == ask.asked_by:
        person, at = _another_in_charge(house, nudge.site, person, now)
    marker = f"exception:{ask.id}:{number}"
    if post(session, house, marker, "exception", person, now, nudge=nudge.id) and at > now:
        session.execute(update(Delivery).where(col(Delivery.marker) == marker).values(not_before=at))


def _another_in_charge(house: House, site: str, person: Person, now: datetime) -> tuple[Person, datetime]:
    """Somebody else in charge; the same person where there is nobody (their own press is then refused and stays visible)."""
    day = now.astimezone(house.site(site).zone).date()
    for role in people.IN_CHARGE:
        for other in people.holders(house.practice, role, site, day):
            at = people.reachable_at(house.practice, other, now)
            if other.id != person.id and at is not None:
                return other, at
    return person, now


def _press_for_decision(session: Session, house: House, nudge: Nudge, now: datetime) -> None:
    """Nobody decided in time: that excuses nothing, so the nudge goes out again and the question is put once more."""
    ask = exception_of(session, nudge)
    if not _move(session, nudge, ("exception_asked",), "open", next_at=now):
        return
    if ask is not None:
        markers = col(Delivery.marker).startswith(f"exception:{ask.id}:")
        asked = session.scalar(select(func.count()).select_from(Delivery).where(markers))
        _record(session, nudge, "exception undecided", now, detail={"exception": ask.id})
        _redraw(session, nudge)
        _ask_decider(session, house, nudge, ask, now, int(asked or 0) + 1)
    _give(session, house, nudge, now)


def _expire(session: Session, house: House, nudge: Nudge, now: datetime) -> None:
    """The exception has run out: the step is owed again."""
    session.execute(
        update(ExceptionAsked)
        .where(col(ExceptionAsked.nudge) == nudge.id, col(ExceptionAsked.state) == "granted")
        .values(state="expired")
    )
    due = due_at(now, parse_clock("1 open d"), house.site(nudge.site))
    if _move(session, nudge, ("excepted",), "open", level=0, due_at=due, next_at=now):
        _record(session, nudge, "exception expired", now)
        _redraw(session, nudge)
        _give(session, house, nudge, now)


def _withdraw(session: Session, nudge: Nudge, now: datetime) -> None:
    """An exception that waits has lost its question."""
    session.execute(
        update(ExceptionAsked)
        .where(col(ExceptionAsked.nudge) == nudge.id, col(ExceptionAsked.state) == "waiting")
        .values(state="withdrawn", decided_at=now)
    )


def exception_of(session: Session, nudge: Nudge) -> ExceptionAsked | None:
    """The exception asked for this nudge that nobody has decided yet."""
    query = select(ExceptionAsked).where(col(ExceptionAsked.nudge) == nudge.id, col(ExceptionAsked.state) == "waiting")
    return session.scalar(query.order_by(col(ExceptionAsked.asked_at).desc()).limit(1))


# --- cards ---------------------------------------------------------------------------------------------------------------


def card(session: Session, house: House, nudge: Nudge, now: datetime) -> Card:
    """The nudge as its reader should see it now."""
    if nudge.rule.startswith(REVIEW):
        return _review_card(session, house, nudge)
    return cards.nudge(view(session, house, nudge, now))


def exception_card(session: Session, house: House, ask: ExceptionAsked, now: datetime) -> Card:
    """The exception as its decider should see it now."""
    nudge = session.get_one(Nudge, ask.nudge)
    shown = view(session, house, nudge, now)
    who = house.person(ask.asked_by)
    by = house.person(ask.decided_by)
    decided = cards.NOTHING
    if ask.state in ("granted", "refused", "expired") and by and ask.decided_at:
        decided = cards.say(cards.DECIDED[ask.state], who=by, at=shown.when(ask.decided_at))
    elif ask.state == "withdrawn" or nudge.closed_at:
        decided = cards.say("No longer needed: the work was reported done or the item is closed.")
    if who is None:
        return cards.reply(cards.say("The person who asked for this exception has left the practice file."))
    return cards.exception(shown, ask.id, ask.reason, who, ask.asked_at, has_note=bool(ask.note), decision=decided)


def claim_card(house: House, claim: AccountClaim) -> Card:
    """A claim of an account as its decider should see it now."""
    whose = house.person(claim.person)
    if whose is None:
        return cards.reply(cards.say("The person this was about has left the practice file."))
    by, ended = house.person(claim.decided_by), cards.NOTHING
    if claim.state in ("confirmed", "refused") and by and claim.decided_at:
        at = cards.When(claim.decided_at, people.home_site(house.practice, whose).zone)
        ended = cards.say("{who} said that it is, {at}.", who=by, at=at)
        if claim.state == "refused":
            ended = cards.say("{who} said that it is not, {at}.", who=by, at=at)
    elif claim.state != "waiting":
        ended = cards.say("No longer asked: this account says something else now.")
    return cards.account_claim(claim.id, claim.platform, claim.account, whose, ended)


def ask_about_claim(session: Session, house: House, claim: AccountClaim, now: datetime) -> None:
    """Put a claim before whoever is in charge; nobody is asked about themselves."""
    whose = house.practice.people[claim.person]
    site = people.home_site(house.practice, whose).id
    at, duty = people.manager_on_duty(house.practice, site, now, now + timedelta(days=1))
    person = duty.person
    if person.id == whose.id:
        person, at = _another_in_charge(house, site, person, now)
    marker = f"claim:{claim.id}:1"
    if post(session, house, marker, "claim", person, now, card=claim_card(house, claim)) and at > now:
        session.execute(update(Delivery).where(col(Delivery.marker) == marker).values(not_before=at))


def _review_card(session: Session, house: House, review: Nudge) -> Card:
    loaded = house.rule_of(review)
    if loaded is None:
        return cards.reply(cards.say("This review's rule no longer runs."))
    count, cents, oldest = session.execute(
        select(func.count(), func.coalesce(func.sum(Nudge.amount_cents), 0), func.min(Nudge.since_at)).where(
            col(Nudge.review) == review.id
        )
    ).one()
    ended = cards.NOTHING
    if review.closed_at:
        ended = cards.say("Reviewed {at}.", at=cards.When(review.closed_at, house.site(review.site).zone))
    quote = house.step(review.sop, review.sop_version, review.step)
    role = house.role(loaded.anchor.role)
    since = oldest or review.since_at
    return cards.review(review.id, loaded.rule, house.site(review.site), role, count, int(cents), since, quote, ended)


def view(session: Session, house: House, nudge: Nudge, now: datetime) -> NudgeView:
    """The nudge as cards may speak of it."""
    loaded = house.rule_of(nudge)
    if loaded is None:
        raise LookupError(f"the rule of nudge {nudge.id} no longer runs")
    rungs = _rungs(house, nudge)
    excepted = session.scalar(
        select(col(ExceptionAsked.expires_at)).where(
            col(ExceptionAsked.nudge) == nudge.id, col(ExceptionAsked.state) == "granted"
        )
    )
    return NudgeView(
        id=nudge.id,
        ref=nudge.item,
        rule=loaded.rule,
        site=house.site(nudge.site),
        role=house.role(nudge.role),
        state=nudge.state,
        since=nudge.since_at,
        due=nudge.due_at,
        now=now,
        zone=house.site(nudge.site).zone,
        amount_cents=nudge.amount_cents,
        level=nudge.level,
        quote=house.step(nudge.sop, nudge.sop_version, nudge.step),
        next_role=house.role(rungs[nudge.level]) if nudge.level < len(rungs) else None,
        addressee=house.person(nudge.person),
        acknowledged_by=house.person(nudge.acknowledged_by),
        acknowledged_at=nudge.acknowledged_at,
        said_done_by=house.person(nudge.said_done_by),
        said_done_at=nudge.said_done_at,
        snoozed_until=nudge.snoozed_until,
        contradicted=nudge.contradicted,
        ending=nudge.ending,
        closed_at=nudge.closed_at,
        exception_until=excepted,
        week=_week(session, house, nudge),
    )


def _week(session: Session, house: House, nudge: Nudge) -> Token | None:
    """Which sterilizer and week, said only in names that the practice file itself gives."""
    sterilizers = house.practice.sterilizers.get(nudge.site, ())
    keys = session.scalars(
        select(col(ItemKey.value)).where(col(ItemKey.item) == nudge.item, col(ItemKey.kind) == "sterilizer_week")
    )
    for value in keys:
        name, _, week = value.partition("/")
        if name in sterilizers and week:
            return Token(value)
    return None


# --- below the surface ---------------------------------------------------------------------------------------------------


def _rungs(house: House, nudge: Nudge) -> tuple[str, ...]:
    """The roles above this nudge's own, lowest first. A review starts at the manager and has none."""
    return () if nudge.role == MANAGER else tuple(rung.role for rung in house.role(nudge.role).ladder)


def _rung(house: House, nudge: Nudge, level: int) -> str:
    rungs = _rungs(house, nudge)
    if level == 0:
        return nudge.role
    return rungs[min(level, len(rungs)) - 1] if rungs else MANAGER


def _move(session: Session, nudge: Nudge, leaving: tuple[str, ...], to: str, **values: Any) -> bool:
    """Change state only from one of `leaving`; False when somebody was here first. The object is fresh afterwards."""
    changed = session.execute(
        update(Nudge)
        .where(col(Nudge.id) == nudge.id, col(Nudge.state).in_(leaving), col(Nudge.closed_at).is_(None))
        .values(state=to, **values)
        .execution_options(synchronize_session=False)
    )
    session.refresh(nudge)
    return _changed(changed)


def _changed(result: Any) -> bool:
    return bool(result.rowcount == 1)


def _redraw(session: Session, nudge: Nudge) -> None:
    """Have every card of this nudge that is out there edited to what is now so."""
    session.execute(update(Delivery).where(col(Delivery.nudge) == nudge.id, col(Delivery.state) == "sent").values(redraw=True))


def _record(
    session: Session,
    nudge: Nudge,
    what: str,
    now: datetime,
    *,
    actor: str = "",
    role: str = "",
    snapshot: str = "",
    detail: evidence.Detail | None = None,
) -> None:
    is_item = not nudge.item.startswith(REVIEW)
    evidence.append(
        session,
        Event(
            what=what,
            at=now,
            subject=nudge.id,
            item=nudge.item if is_item else "",
            actor=actor,
            role=role or ("" if actor else nudge.role),
            sop=nudge.sop,
            sop_version=nudge.sop_version,
            step=nudge.step,
            rule=nudge.rule,
            rule_version=nudge.rule_version,
            snapshot=snapshot or nudge.snapshot,
            detail={"site": nudge.site, **(detail or {})},
        ),
    )


def keep_note(session: Session, note: str, person: Person, now: datetime) -> tuple[str, str]:
    """Store a redacted note where it can be erased; its id and its commitment, both empty without a note."""
    if not note:
        return "", ""
    salt = secrets.token_hex(16)
    commitment = evidence.commitment(note, salt)
    row = Note(id=new_ref(), text=note, salt=salt, commitment=commitment, by=person.id, at=now)
    session.add(row)
    session.flush()
    return row.id, commitment


def snapshot_of(session: Session, house: House, nudge: Nudge) -> tuple[Loaded, Snapshot] | None:
    """The nudge's item as its rule sees it now; None when the rule no longer runs or the item is gone for good."""
    loaded = house.rule_of(nudge)
    item = session.get(Item, nudge.item)
    if loaded is None or item is None:
        return None
    return loaded, items.snapshot(item, house.site(nudge.site), loaded.anchor)
