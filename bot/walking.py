"""Going through a procedure one step at a time: where somebody stands is a row, and having gone through it is evidence.

A step is read anew at each press: whoever may no longer read the SOP, or finds that it changed, is told so and goes no further.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, select, update
from sqlmodel import Session, col

from bot import cards, evidence, people, replies
from bot.cards import NOTICES, Token, say
from bot.chat import Card, Press, Reply
from bot.evidence import Event
from bot.nudges import House
from bot.practice import Person
from bot.records import PressSeen, Walk, insert_new, new_ref, read, write
from knowledge.library import Library, Principal, Walkable

LASTS = timedelta(hours=8)
"""How long a walk waits for its next step when it is gone on by words; its buttons work as long as its SOP is in force."""


def reader(house: House, person: Person, site: str, at: datetime) -> Principal | None:
    """As whom somebody reads now: for `site` where they work there, else for their own; None where they hold no role today."""
    asker = people.principal_of(house.practice, person, at)
    if not asker.roles:
        return None
    there = site in house.practice.sites and (site in asker.sites or people.EVERYWHERE in asker.sites)
    return Principal(person.id, asker.roles, site if there else asker.site)


def begin(
    engine: Engine, house: House, library: Library, person: Person, where: tuple[str, str], sop: str, step: str, now: datetime
) -> Reply:
    """Start going through an SOP, at the step after `step` or at its first; another walk in the same thread ends.

    where   the thread and the site
    """
    thread, site = where
    asker = reader(house, person, site, now)
    whole = library.procedure(sop, asker, now) if asker else None
    if asker is None or whole is None:
        return _told("no_steps" if asker else "no_role_today")
    ids = [each.step for each in whole.steps]
    place = ids.index(step) + 1 if step in ids else 0
    if place >= len(ids):
        return Reply(cards.reply(say("That was the last step of {sop}.", sop=whole.title)))
    with write(engine) as session:
        stop(session, person, thread, now)
        row = Walk(
            id=new_ref(), person=person.id, thread=thread, sop=sop, version=whole.version, site=asker.site, place=place,
            started_at=now, at=now,
        )  # fmt: skip
        session.add(row)
        session.flush()
        _record(session, row, "procedure begun", whole.steps[place].step, now, {"steps": len(ids)})
        return Reply(_card(row, whole))


def current(session: Session, person: Person, thread: str, now: datetime) -> Walk | None:
    """The walk that words in this thread go on with."""
    query = select(Walk).where(col(Walk.person) == person.id, col(Walk.thread) == thread, col(Walk.state) == "walking")
    return session.scalar(query.where(col(Walk.at) > now - LASTS).order_by(col(Walk.at).desc()).limit(1))


def stop(session: Session, person: Person, thread: str, now: datetime) -> bool:
    """End what is walked in this thread; whether there was anything."""
    mine = (col(Walk.person) == person.id) & (col(Walk.thread) == thread) & (col(Walk.state) == "walking")
    changed: Any = session.execute(update(Walk).where(mine).values(state="stopped", ended_at=now, at=now))
    return int(changed.rowcount) > 0


def press(engine: Engine, house: House, library: Library, person: Person, pressed: Press) -> Reply:
    """Done, Next, Back or Stop on a step; the card becomes the step that follows. The same press acts once."""
    with read(engine) as session:
        row = session.get(Walk, pressed.target)
    if row is None or row.person != person.id:
        return _told("gone")
    return go(engine, house, library, person, row, pressed.verb.removeprefix("walk_"), pressed.key, pressed.at)


def go(engine: Engine, house: House, library: Library, person: Person, row: Walk, how: str, key: str, now: datetime) -> Reply:
    """One move of a walk. `how`: done, next, back, stop. `key` names the press or the message: it moves once."""
    asker = reader(house, person, row.site, now)
    whole = library.procedure(row.sop, asker, now) if asker else None
    with write(engine) as session:
        walk = session.get_one(Walk, row.id, with_for_update=True, populate_existing=True)
        if whole is None:
            _end(session, walk, "stopped", now)
            return Reply(cards.reply(say(NOTICES["not_any_more"])), took=True)
        if walk.state != "walking":
            return Reply(_ended(walk, whole), took=True)
        if walk.version != whole.version:
            _end(session, walk, "overtaken", now)
            return Reply(replies.overtaken(whole.title, whole.version, walk.id), took=True)
        seen = {"key": key, "person": person.id, "verb": f"walk_{how}", "target": walk.id, "at": now, "outcome": "done"}
        if insert_new(session, PressSeen, **seen):
            _move(session, walk, whole, how, now)
        return Reply(_ended(walk, whole) if walk.state != "walking" else _card(walk, whole), took=True)


def _move(session: Session, walk: Walk, whole: Walkable, how: str, now: datetime) -> None:
    here, last = whole.steps[walk.place].step, len(whole.steps) - 1
    walk.at = now
    if how == "done" and here not in walk.done:
        walk.done = [*walk.done, here]
    session.add(walk)
    if how == "stop":
        _end(session, walk, "stopped", now)
    elif how == "back":
        walk.place = max(walk.place - 1, 0)
    elif walk.place < last:
        walk.place += 1
    else:
        _end(session, walk, "finished", now)
    session.flush()
    if walk.state == "walking":
        return
    missed = [each.step for each in whole.steps if each.step not in walk.done]
    detail: dict[str, str | int | bool | None] = {
        "steps": len(whole.steps),
        "done": len(walk.done),
        "not_done": " ".join(missed) or None,
        "source": whole.steps[0].sha256,
        "since": walk.started_at.isoformat(),
    }
    _record(session, walk, "procedure walked" if walk.state == "finished" else "procedure stopped", here, now, detail)


def _end(session: Session, walk: Walk, state: str, now: datetime) -> None:
    if walk.state == "walking":
        walk.state, walk.ended_at, walk.at = state, now, now
        session.add(walk)


def _record(
    session: Session, walk: Walk, what: str, step: str, now: datetime, detail: dict[str, str | int | bool | None]
) -> None:
    evidence.append(
        session,
        Event(
            what=what, at=now, subject=f"walk:{walk.id}", actor=walk.person, sop=walk.sop, sop_version=walk.version, step=step,
            detail=detail,
        ),
    )  # fmt: skip


def _card(walk: Walk, whole: Walkable) -> Card:
    here = whole.steps[walk.place]
    return replies.checklist(replies.quoted(here), walk.id, walk.place + 1, len(whole.steps), _numbers(whole, walk.done))


def _numbers(whole: Walkable, steps: Sequence[str]) -> list[Token]:
    return [Token(each.number) for each in whole.steps if each.step in steps and each.number]


def _ended(walk: Walk, whole: Walkable) -> Card:
    missed = [Token(each.number) for each in whole.steps if each.step not in walk.done and each.number]
    done = len(whole.steps) - sum(each.step not in walk.done for each in whole.steps)
    return replies.walked(whole.title, walk.version, len(whole.steps), done, missed, stopped=walk.state != "finished")


def _told(code: str) -> Reply:
    return Reply(cards.reply(say(NOTICES[code])))
