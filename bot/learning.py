"""How Holdfast learns from what staff ask: whether an answer helped, what a person answered where no SOP did.

A thumbs-down keeps its reason; an answer by a person reaches whoever asked as that person's words, and waits as a change for
the SOP (a Gap). Never sends: what is to reach somebody is put into the outbox in the same transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, select
from sqlmodel import Session, col

from bot import asking, cards, evidence, figures, golden, nudges, people, replies
from bot.cards import NOTICES, Asked, When, say
from bot.chat import Card, Press, Reply, Wording
from bot.evidence import Event
from bot.nudges import House
from bot.practice import Person
from bot.records import Gap, Note, PressSeen, Question, insert_new, write
from knowledge import alike, tables
from knowledge.calibration import Case
from knowledge.embedding import Embedder
from knowledge.library import Library, Weighed

VERBS = frozenset({"helpful", "unhelpful", "reply_asker"})
"""The buttons by which people say what an answer was worth, and give one of their own."""


def press(engine: Engine, house: House, pressed: Press) -> Reply:
    """Do what a button says, once, and give the card as it is now."""
    person = house.person(pressed.person)
    if person is None:
        return Reply(cards.reply(say("I do not know you yet: ask your manager to add you to the practice file.")))
    with write(engine) as session:
        question = session.get(Question, pressed.target)
        if question is None:
            return Reply(cards.reply(say(NOTICES["gone"])))
        if pressed.verb == "reply_asker":
            return _answered(session, house, person, question, pressed)
        return _judged(session, house, person, question, pressed)


def objection(pressed: Press) -> Wording | None:
    """What is wrong with what was filled in, before it is sent; None where nothing is."""
    if pressed.verb == "reply_asker" and not cards.redact(pressed.note):
        return say(NOTICES["say_answer"])
    if pressed.verb == "unhelpful" and not pressed.note.strip():
        return say("Pick one: {what}.", what=cards.choices("unhelpful"))
    return None


# --- whether it helped -----------------------------------------------------------------------------------------------------


def _judged(session: Session, house: House, person: Person, question: Question, pressed: Press) -> Reply:
    """Whether an answer helped, by the word of whoever asked; the last word counts."""
    if question.person != person.id:
        return Reply(cards.reply(say(NOTICES["gone"])))
    helped, code, note = pressed.verb == "helpful", "", ""
    if not helped:
        if not pressed.note.strip():
            return Reply(replies.judge_again(question.ref))
        code, rest = cards.parse_reason(pressed.note, cards.UNHELPFUL)
        note = cards.redact(rest, asking.names_of(house), patients=house.patients)
    if (question.helped, question.judged) != (helped, code) or note:
        if not insert_new(session, PressSeen, **_seen(pressed, person)):
            return Reply(cards.reply(say(NOTICES["thanks"])))
        kept, commitment = nudges.keep_note(session, note, person, pressed.at)
        question.helped, question.judged, question.note, question.said_at = helped, code, kept, pressed.at
        session.add(question)
        detail: evidence.Detail = {
            "helped": helped,
            "answered": question.answered,
            "reason": code or None,
            "note": commitment or None,
        }
        _record(session, question, "answer judged", person, pressed, detail)
        asked, sop, step, by = question.asked, question.sop, question.step, person.id
        if helped:
            golden.keep(session, asked, sop, step, site=question.site, how="helpful", by=by, at=pressed.at)
        else:
            golden.give_up(session, asked, sop, step, how="helpful", by=by, at=pressed.at)
    return Reply(cards.reply(say(NOTICES["thanks"])))


# --- what a person answers -------------------------------------------------------------------------------------------------


def _answered(session: Session, house: House, person: Person, question: Question, pressed: Press) -> Reply:
    """A person's answer to a question that was put to them: kept as a gap, and on its way to whoever asked."""
    if not question.put_to:
        return Reply(cards.reply(say(NOTICES["gone"])))
    if not _may_answer(house, person, question, pressed):
        detail: evidence.Detail = {"verb": pressed.verb}
        _record(session, question, "press refused", person, pressed, detail)
        return Reply(cards.reply(say(NOTICES["not_yours"])))
    known = tuple(asking.names_of(house))
    said = cards.redact(pressed.note, known, patients=house.patients)
    if session.get(Gap, question.ref) is None and not said:
        return Reply(cards.again(_card(session, house, question), say(NOTICES["say_answer"])))
    if session.get(Gap, question.ref) is None and insert_new(session, PressSeen, **_seen(pressed, person)):
        asker = house.person(question.person)
        sop, version, step = _nearest(question)
        note, commitment = nudges.keep_note(session, said, person, pressed.at)
        session.add(
            Gap(
                question=question.ref, reply=note, by=person.id, at=pressed.at, sop=sop, version=version, step=step,
                thread=question.thread,
            )
        )  # fmt: skip
        session.flush()
        detail = {"to": question.person, "note": commitment, "sop": sop or None, "step": step or None}
        _record(session, question, "question answered", person, pressed, detail)
        if asker is not None and house.address(asker) is not None:
            card = replies.from_owner(person, Asked(question.asked, known), Asked(said, known))
            nudges.post(session, house, f"question:{question.ref}:2", "notice", asker, pressed.at, card=card)
    return Reply(_card(session, house, question), took=True)


def _may_answer(house: House, person: Person, question: Question, pressed: Press) -> bool:
    if question.put_to == person.id:
        return True
    asked_at = question.site or people.home_site(house.practice, person).id
    return asked_at in asking.in_charge_of(house, person, pressed.at)


def _card(session: Session, house: House, question: Question) -> Card:
    """The card of a question that was put to somebody, as it stands."""
    known = tuple(asking.names_of(house))
    asker, owner = house.person(question.person), house.person(question.put_to)
    if asker is None or owner is None:
        return cards.reply(say(NOTICES["gone"]))
    role = house.practice.roles.get(question.owner)
    role = role if role and any(post.role == role.id for post in owner.posts) else None
    zone = (house.site(question.site) if question.site else people.home_site(house.practice, asker)).zone
    gap = session.get(Gap, question.ref)
    by = house.person(gap.by) if gap else None
    said = cards.NOTHING
    if gap is not None and by is not None:
        reached = asker if house.address(asker) is not None else None
        said = replies.replied(by, Asked(_words(session, gap.reply), known), reached)
    return replies.put_to_owner(Asked(question.asked, known), asker, role, When(question.at, zone), question.ref, said)


def _words(session: Session, note: str) -> str:
    row = session.get(Note, note)
    return row.text if row else ""


def _nearest(question: Question) -> tuple[str, int, str]:
    """SOP, version and step that came nearest to a question, or empty."""
    if question.sop:
        return question.sop, question.version, question.step
    for sop, version, step, *_ in question.candidates:
        return str(sop), int(version), str(step)
    return "", 0, ""


def _seen(pressed: Press, person: Person) -> dict[str, Any]:
    values = {"verb": pressed.verb, "target": pressed.target, "at": pressed.at, "outcome": "done"}
    return {"key": pressed.key, "person": person.id, **values}


def _record(session: Session, question: Question, what: str, person: Person, pressed: Press, detail: evidence.Detail) -> None:
    sop, version, step = _nearest(question)
    evidence.append(
        session,
        Event(
            what=what, at=pressed.at, subject=f"question:{question.ref}", actor=person.id, sop=sop, sop_version=version or None,
            step=step, detail=detail,
        ),
    )  # fmt: skip


# --- what nobody could answer ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cluster:
    """Questions that are alike and that the SOPs did not answer, or not well.

    refs, asked   the questions, oldest first, by reference and in their askers' words
    sop, step     what came nearest most often, or empty
    disliked      how many of them had an answer that did not help
    replies       what people answered, as (question's reference, words)
    stalled, cents   the work that stands still on that SOP's steps at these sites, and its worth
    """

    refs: tuple[str, ...]
    asked: tuple[str, ...]
    sop: str
    step: str
    roles: tuple[str, ...]
    sites: tuple[str, ...]
    people: int
    disliked: int
    reasons: tuple[str, ...]
    replies: tuple[tuple[str, str], ...]
    stalled: int
    cents: int


def gaps(
    session: Session, house: House, sites: Sequence[str], since: datetime, embedder: Embedder | None = None
) -> list[Cluster]:
    """What was asked since then and not answered, or not well, in clusters: those with the most money at stake first."""
    rows = figures.unanswered(session, sites, since) + figures.disliked(session, sites, since)
    rows = sorted({row.ref: row for row in rows}.values(), key=lambda row: (row.at, row.ref))
    by_sop: dict[str, list[Question]] = {}
    for row in rows:
        by_sop.setdefault(_nearest(row)[0], []).append(row)
    found = [
        _cluster(session, house, [of_one[n] for n in group])
        for of_one in by_sop.values()
        for group in alike.groups([row.asked for row in of_one], embedder)
    ]
    return sorted(found, key=lambda each: (-each.cents, -len(each.refs), each.refs))


def _cluster(session: Session, house: House, rows: Sequence[Question]) -> Cluster:
    sop = _nearest(rows[0])[0]
    steps = Counter(step for row in rows if (step := _nearest(row)[2]))
    sites = tuple(sorted({row.site for row in rows if row.site}))
    kept = [gap for row in rows if (gap := session.get(Gap, row.ref)) is not None]
    stalled, cents = figures.stalled_on(session, sites, sop) if sop else (0, 0)
    return Cluster(
        refs=tuple(row.ref for row in rows),
        asked=tuple(row.asked for row in rows),
        sop=sop,
        step=steps.most_common(1)[0][0] if steps else "",
        roles=tuple(sorted({role for row in rows for role in _roles(house, row)})),
        sites=sites,
        people=len({row.person for row in rows}),
        disliked=sum(row.helped is False for row in rows),
        reasons=tuple(sorted({row.judged for row in rows if row.judged})),
        replies=tuple((gap.question, _words(session, gap.reply)) for gap in kept if gap.reply),
        stalled=stalled,
        cents=cents,
    )


def _roles(house: House, row: Question) -> set[str]:
    person = house.person(row.person)
    return {post.role for post in person.posts if post.site in (row.site, people.EVERYWHERE)} if person else set()


# --- what is known of questions that were judged -----------------------------------------------------------------------------


def judged(session: Session, library: Library, at: datetime) -> tuple[str, list[Case]]:
    """Every question that somebody has judged, as the library weighs it now by its search alone; and by which embedder.

    A golden question is spoken of, and stated where its own step is found first. What belongs in no SOP is not spoken of; what
    a person had to answer, and what found the wrong SOP or step and still finds it, is not stated.
    """
    editions = tables.editions(session)
    weighed: dict[tuple[str, str], Weighed] = {}

    def weigh(question: str, site: str) -> Weighed:
        if (question, site) not in weighed:
            weighed[question, site] = library.weigh(question, golden.everybody(editions, site), at)
        return weighed[question, site]

    cases: dict[str, Case] = {}
    gaps = {gap.question: gap for gap in session.scalars(select(Gap).where(col(Gap.state) != "closed"))}
    wrong = col(Question.judged).in_(("wrong-sop", "wrong-step"))
    for row in session.scalars(select(Question).where(wrong | col(Question.ref).in_(list(gaps)))):
        found = weigh(row.asked, row.site)
        left = row.ref in gaps and gaps[row.ref].state == "left"
        if row.ref in gaps or (found.sop, found.step) == (row.sop, row.step):
            cases[row.asked] = Case(found.topic, found.certainty, False if left else None, states=False)
    for each in golden.questions(session):
        found = weigh(each.question, each.site)
        cases[each.question] = Case(found.topic, found.certainty, True, (found.sop, found.step) == (each.sop, each.step))
    return next((found.embedder for found in weighed.values()), ""), [cases[asked] for asked in sorted(cases)]
