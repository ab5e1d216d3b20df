"""What people ask, and what they are told: ask(Ask) -> Reply, and the presses on the cards that answer. Never sends.

What a line wants is told by its words (`bot.intents`), never by a model. A question is searched before anything is written; the
answer goes out only if the library is still the one that was searched when the evidence of it is written, in one transaction.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, delete, func, select, update
from sqlmodel import Session, col

from bot import cards, digest, earlier, evidence, figures, intents, items, nudges, people, phi, replies, walking
from bot.cards import NOTICES, Asked, Count, Dated, Money, NudgeView, When, say
from bot.chat import Ask, Card, Press, Reply, Wording
from bot.evidence import Event
from bot.hours import midnight
from bot.nudges import House
from bot.practice import MANAGER, Person, Role
from bot.records import Conversation, Delivery, PressSeen, Question, Walk, insert_new, new_ref, read, write
from bot.replies import Standing
from knowledge.library import Answer, Library, Nearest, Place, Principal, Quote, Refusal
from knowledge.wording import Worded

LIMIT = 2000
"""Characters of a question that are read; the rest is cut before anything looks at it."""
TURNS = 4
"""How many earlier questions of a thread are kept."""
LASTS = timedelta(hours=8)
"""How long a conversation waits for its next question."""
MANY = 20
"""From so many questions within a minute on, their asker is told that they are answered in turn."""
TRIES = 3
"""How often a question is searched before it is given up, because the library changed each time."""

MET_BY = 5
"""With how many of its first letters a word of a follow-up is looked for in what is quoted."""

VERBS = frozenset({"pick", "ask_owner", "walk", "walk_done", "walk_next", "walk_back", "walk_stop"})
"""The buttons of the cards that answer a question."""

Found = Answer | Nearest | Refusal


@dataclass(frozen=True)
class _Turn:
    """One question on its way: who asks, as whom, of what site, and what it leans on."""

    house: House
    library: Library
    person: Person
    asker: Principal
    question: Ask
    text: str
    as_of: datetime | None = None
    last: Conversation | None = None
    notes: tuple[Wording, ...] = ()
    foreign: bool = False
    """In another language than the SOPs."""

    @property
    def at(self) -> datetime:
        return self.question.at


# --- asking ----------------------------------------------------------------------------------------------------------------


def ask(
    engine: Engine, house: House, library: Library, feeds: Mapping[str, items.FeedConfig], question: Ask, *, keep: bool = True
) -> Reply:
    """The answer to what a person typed: their day, the stand-up, a count, a quoted step, what comes near, or a refusal.

    keep      remember the question, redacted, so that its asker can go on from it and say whether the answer helped
    returns   open to everybody only where every SOP it quotes is
    """
    person = house.person(question.person)
    if person is None:
        return Reply(cards.reply(say("I do not know you yet: ask your manager to add you to the practice file.")))
    text = question.text[:LIMIT].strip()
    said = intents.read(text, intents.topics_of(loaded.rule.title for loaded in house.rules.values()))
    match said.intent:
        case "empty":
            return _told("nothing_asked")
        case "numbers" if sum(char.isdigit() for char in text) > 3:  # 835 and 837 are words here
            return _told("only_numbers")
        case "help":
            return Reply(cards.help_card(question.platform))
        case "thanks":
            return _told("you_are_welcome")
        case "small_talk":
            return _told("small_talk")
        case "my_items":
            with read(engine) as session:
                return Reply(digest.my_day(session, house, person, question.at))
        case "digest":
            return Reply(standup(engine, house, feeds, person, question.at))
        case "count":
            with read(engine) as session:
                return _counted(session, house, feeds, person, said.topics, question.at)
        case "start_over":
            _forget(engine, person, question)
            return _told("started_over")
        case "walk" | "next" | "back" | "done" | "stop":
            return _onward(engine, house, library, person, question, said.intent)
    return _asked(engine, house, library, person, replace(question, text=text), out=said.intent == "out_of_scope", keep=keep)


def _told(code: str) -> Reply:
    return Reply(cards.reply(say(NOTICES[code])))


def _asked(engine: Engine, house: House, library: Library, person: Person, question: Ask, *, out: bool, keep: bool) -> Reply:
    asker = people.principal_of(house.practice, person, question.at)
    if not asker.roles:
        return _told("no_role_today")
    tongue = intents.tongue(question.text)
    if tongue != "en" and not library.multilingual:
        return Reply(replies.declined(tongue, in_charge(house, person, question.at)))
    with read(engine) as session:
        last = _last(session, person, question)
        busy = _lately(session, person, question.at) + 1 >= MANY
    read_as = _without_patients(house, question.text)
    if read_as.withheld:
        return _told("withheld")
    turn = replace(_turn(house, library, person, asker, question, last, busy=busy), foreign=tongue != "en")
    turn = replace(turn, notes=(*turn.notes, cards.left_out(read_as.found))) if read_as.found else turn
    for _ in range(TRIES):
        found = _nothing(turn) if out else _worded(turn, _searched(turn))
        if not keep:
            return _shown(turn, found)
        with suppress(_Moved), write(engine) as session:
            ref = _keep(session, turn, found)
            shown = _shown(turn, found, ref, _mine(session, turn, found))
            _still(session, library, found.generation)
            return shown
    return _told("sop_moved")


class _Moved(Exception):
    """The library changed between the search and the answer: nothing is kept, and it is searched again."""


def _still(session: Session, library: Library, generation: int) -> None:
    if not library.stands(session, generation):
        raise _Moved


def _onward(engine: Engine, house: House, library: Library, person: Person, question: Ask, said: str) -> Reply:
    """A word that goes on with a procedure, or begins one at the step that was quoted last."""
    with read(engine) as session:
        walk = walking.current(session, person, question.thread, question.at)
        last = _last(session, person, question)
    if walk is not None and said != "walk":
        key = f"said:{person.id}:{question.at.isoformat()}:{said}"
        return replace(walking.go(engine, house, library, person, walk, said, key, question.at), took=False)
    if said in ("walk", "next") and last is not None and last.sop:
        after = last.step if said == "next" else ""
        return walking.begin(engine, house, library, person, (question.thread, last.site), last.sop, after, question.at)
    return _told("press_done" if said == "done" else "nothing_open")


def _turn(
    house: House,
    library: Library,
    person: Person,
    asker: people.Principal,
    question: Ask,
    last: Conversation | None,
    *,
    busy: bool,
) -> _Turn:
    """The question with what it leans on: its site, its day, and what was said before it."""
    site = _site_named(house, asker, question.text) or (last.site if last and intents.leans(question.text) else "")
    site = site if site in house.practice.sites and _may_ask_at(asker, site) else asker.site
    zone = house.site(site).zone
    today = question.at.astimezone(zone).date()
    then = earlier.earlier(question.text, today)
    notes: list[Wording] = []
    as_of = None
    if then is not None:
        as_of = midnight(house.site(site), then.day + timedelta(days=1)).astimezone(UTC) - timedelta(seconds=1)
        notes.append(say("As it was in force on {day}; what applies now may differ.", day=Dated(then.day)))
    if site != asker.site:
        notes.append(say("For {site}.", site=house.site(site)))
    if len(question.text) >= LIMIT:
        notes.append(say("Your question is very long: I read its first {n} characters.", n=LIMIT))
    if busy:
        notes.append(say("You ask a lot at once: I answer you in turn with everybody else, so that nobody waits long."))
    held = Principal(person.id, asker.roles, site)
    text = _without_patients(house, then.question if then else question.text).text.replace(phi.MARK, " ")
    return _Turn(house, library, person, held, question, text, as_of, last, tuple(notes))


def _searched(turn: _Turn) -> Found:
    """What the library says; a question that leans on the one before is asked together with it first."""

    def ask(text: str) -> Found:
        return turn.library.ask(text, turn.asker, turn.at, as_of=turn.as_of, foreign=turn.foreign)

    last = turn.last
    if turn.foreign or last is None or not last.sop or not intents.leans(turn.text):
        return ask(turn.text)
    if (found := _of_the_step(turn, last)) is not None:
        return found
    step = turn.library.step(f"{last.sop}#{last.step}", turn.as_of or turn.at)
    about = f"{step.title} {step.sop_title}" if step else ""
    before = last.turns[-1] if last.turns else ""
    carried = ask(f"{turn.text} {about or before}")
    if not isinstance(carried, Answer):
        alone = ask(turn.text) if len(intents.own_words(turn.text)) > 1 else carried
        return alone if isinstance(alone, Answer) else carried
    if _speaks_of(carried, turn.text):
        return carried
    # the topic was found, and what is asked of it was not: the words that met are those of the question before
    every, searched = (*carried.quotes[:1], *carried.also), _nothing(turn).searched
    told = Nearest(every, every[0].owner, searched, len(searched), generation=carried.generation, degraded=carried.degraded)
    return replace(told, instead=carried.instead)


def _of_the_step(turn: _Turn, last: Conversation) -> Answer | None:
    """The closing lines of the step that was quoted last, where the question asks for one of them: who, by when, its proof."""
    part = intents.asked_of_step(turn.text)
    if not part or turn.as_of is not None:
        return None
    generation = turn.library.generation()
    step = turn.library.step(f"{last.sop}#{last.step}", turn.at)
    if step is None or not {"who": step.role, "clock": step.clock, "proof": step.proof}[part]:
        return None
    lines = turn.library.closing(Place(last.sop, last.version, last.step, 0, 0), turn.asker, turn.at)
    return Answer((lines,), generation=generation) if lines else None


def _speaks_of(found: Answer, text: str) -> bool:
    """Whether what is quoted has the condition that the question turns on, or else one of its own words, if it has any."""
    said = " ".join(" ".join(f"{q.title} {q.step_title} {q.text}" for q in found.quotes).lower().split())
    if turns_on := intents.condition(text):
        return re.search(r"\W+".join(rf"\b{re.escape(word[:MET_BY])}\w*" for word in turns_on.split()), said) is not None
    own = intents.own_words(text)
    return not own or any(word[:MET_BY] in said for word in own)


def _worded(turn: _Turn, found: Found) -> Found:
    """An answer as a model words it, where one is configured; what leans on an earlier question is put to it with that."""
    if not isinstance(found, Answer):
        return found
    before = turn.last.turns[-1] if turn.last and turn.last.turns and intents.leans(turn.text) else ""
    return turn.library.word(found, f"{before} {turn.text}".strip(), turn.asker, turn.at)


def _nothing(turn: _Turn) -> Refusal:
    """What is no question to an SOP is refused like any that none answers."""
    found = turn.library.ask("", turn.asker, turn.at)
    assert isinstance(found, Refusal), "nothing was asked, so nothing was found"
    return found


# --- showing ---------------------------------------------------------------------------------------------------------------


def _shown(turn: _Turn, found: Found, ref: str = "", mine: Sequence[NudgeView] = ()) -> Reply:
    notes = [*turn.notes, *replies.searched_for(found.instead)]
    if found.degraded:
        notes.append(say("I search by words only just now, until the index is ready. Ask again in a minute if this misses."))
    if isinstance(found, Answer):
        return _answer(turn, found, ref, mine, notes)
    owner = owner_of(turn.house, turn.person, found.owner, turn.at)
    if isinstance(found, Refusal):
        return Reply(replies.refusal(found.searched, owner, ref, notes))
    leads = [replace(replies.quoted(q), text=q.lead) for q in found.candidates]
    return Reply(replies.nearest(leads, owner, ref, notes), private=not _open_to_all(turn.library, found.candidates))


def _answer(turn: _Turn, found: Answer, ref: str, mine: Sequence[NudgeView], notes: list[Wording]) -> Reply:
    every = (*found.quotes, *found.also)
    private = not _open_to_all(turn.library, every)
    rest: Sequence[Quote] = ()
    if private and turn.question.surface == "channel":
        found, rest = _for_everybody(turn.library, found)
        every, private = (*found.quotes, *found.also), not rest
    in_company = turn.question.surface == "channel" and not private
    first = found.quotes[0]
    overdue = dict.fromkeys(q.title for q in found.quotes if q.review_overdue)
    notes += [say("“{sop}” is past its review date; its owner knows.", sop=title) for title in overdue]
    card = replies.answer(
        first.lead,
        [replies.quoted(q) for q in every],
        notes,
        ref,
        standing_of(turn.house, found.quotes, turn.asker.site),
        () if in_company else mine,  # what is theirs is nobody else's to see
        can_walk=bool(first.number and turn.as_of is None and not in_company),
        claims=[claim.text for claim in found.worded.claims] if found.worded else (),
    )
    return Reply(card, private=private, rest=replies.rest([replies.quoted(q) for q in rest]) if rest else None)


def _for_everybody(library: Library, found: Answer) -> tuple[Answer, Sequence[Quote]]:
    """An answer in a channel as everybody there may read it, and what of it is for its asker alone; as it is and nothing, where
    not even its first quote may be read by everybody, or a model made one text of all."""
    if found.worded or not _open_to_all(library, found.quotes[:1]):
        return found, ()
    quotes = tuple(q for q in found.quotes if _open_to_all(library, [q]))
    also = tuple(q for q in found.also if _open_to_all(library, [q]))
    rest = [q for q in (*found.quotes, *found.also) if q not in (*quotes, *also)]
    return replace(found, quotes=quotes, also=also), rest


def _open_to_all(library: Library, quotes: Sequence[Quote]) -> bool:
    return library.is_open_to_all((q.sop, q.version) for q in quotes)


def standing_of(house: House, quotes: Sequence[Quote], site: str) -> Standing:
    """When and by whom the first of these was approved; and which is which, where a core SOP and a site's addendum answer."""
    first, zone = quotes[0], house.site(site).zone
    core = next((q for q in quotes if not q.local), None)
    local = next((q for q in quotes if q.local), None)
    both = core is not None and local is not None
    return Standing(
        on=first.published_at.astimezone(zone).date() if first.published_at else None,
        approver=house.practice.roles.get(first.approver),
        by=house.person(first.published_by),
        core=(core.title, core.version) if both and core else None,
        local=(local.title, local.version) if both and local else None,
        site=house.site(site),
    )


def owner_of(house: House, person: Person, role: str, now: datetime) -> Role | Person:
    """Whom to ask about a topic: the role that owns it, or who is in charge where nobody does."""
    return house.practice.roles.get(role) or in_charge(house, person, now)


def in_charge(house: House, person: Person, now: datetime) -> Person:
    """Who is in charge of this person's site now or next."""
    home = people.home_site(house.practice, person).id
    return people.manager_on_duty(house.practice, home, now, now + timedelta(days=1))[1].person


# --- what is kept ----------------------------------------------------------------------------------------------------------


def _keep(session: Session, turn: _Turn, found: Found) -> str:
    """Keep what was asked, redacted, with what it was answered with, and the evidence of an answer; its reference."""
    ref = new_ref()
    first = found.quotes[0] if isinstance(found, Answer) else None
    offered = found.candidates if isinstance(found, Nearest) else ()
    asked = redacted(turn.house, turn.question.text)
    session.add(
        Question(
            ref=ref, person=turn.person.id, asked=asked, at=turn.at, answered=first is not None, sop=first.sop if first else "",
            version=first.version if first else 0, step=first.step if first else "", outcome=type(found).__name__.lower(),
            thread=turn.question.thread, site=turn.asker.site, candidates=[[*astuple(q.place)] for q in offered],
            owner="" if isinstance(found, Answer) else found.owner,
        )
    )  # fmt: skip
    _go_on(session, turn.person, turn.question, asked, first, turn.asker.site)
    if isinstance(found, Answer):
        given(session, turn.person, ref, found.quotes, turn.at, also=found.also, as_of=turn.as_of, worded=found.worded)
    return ref


def given(
    session: Session,
    person: Person,
    ref: str,
    quotes: Sequence[Quote],
    at: datetime,
    *,
    also: Sequence[Quote] = (),
    as_of: datetime | None = None,
    worded: Worded | None = None,
) -> None:
    """Put on record that somebody was given these quotes: which step of which version, with hashes; not what was asked."""
    first = quotes[0]
    detail: dict[str, str | int | bool | None] = {
        "quote": _sha("\n\n".join(q.text for q in quotes)),
        "source": first.sha256,
        "further": " ".join(f"{q.sop}@{q.version}#{q.step}" for q in (*quotes[1:], *also)) or None,
        "as_of": as_of.isoformat() if as_of else None,
    }
    if worded:
        detail |= {
            "model": worded.model,
            "prompt": worded.prompt_sha256,
            "claims": " ".join(f"{c.quote.source}:{c.quote.start}-{c.quote.end}" for c in worded.claims),
        }
    evidence.append(
        session,
        Event(
            what="answer given", at=at, subject=f"question:{ref}", actor=person.id, sop=first.sop, sop_version=first.version,
            step=first.step, detail=detail,
        ),
    )  # fmt: skip


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _last(session: Session, person: Person, question: Ask) -> Conversation | None:
    """What was spoken about in this thread; or around it, where a client opened the thread below the answer."""
    for thread in dict.fromkeys((question.thread, _around(question))):
        row = session.get(Conversation, (person.id, thread))
        if row is not None and question.at - row.at <= LASTS:
            return row
    return None


def _around(question: Ask) -> str:
    """A chat of one with the bot is one conversation, even where its client opens threads; a channel is not."""
    return question.thread.rpartition("/")[0] + "/" if question.surface == "dm" and "/" in question.thread else question.thread


def _go_on(session: Session, person: Person, question: Ask, asked: str, shown: Quote | None, site: str) -> None:
    """Note what was asked and shown last; what is long over is taken away. What is not answered leaves the topic as it was."""
    session.execute(delete(Conversation).where(col(Conversation.at) < question.at - LASTS))
    before = _last(session, person, question)
    row = session.get(Conversation, (person.id, question.thread))
    if row is None:
        row = Conversation(person=person.id, thread=question.thread, at=question.at)
        if before is not None:
            row.sop, row.version, row.step, row.turns = before.sop, before.version, before.step, [*before.turns]
    row.at, row.site, row.turns = question.at, site, [*row.turns, *([asked] if asked else [])][-TURNS:]
    if shown is not None:
        row.sop, row.version, row.step = shown.sop, shown.version, shown.step
    session.add(row)
    session.flush()


def _forget(engine: Engine, person: Person, question: Ask) -> None:
    with write(engine) as session:
        for thread in {question.thread, _around(question)}:
            row = session.get(Conversation, (person.id, thread))
            if row is not None:
                session.delete(row)
            walking.stop(session, person, thread, question.at)


def _lately(session: Session, person: Person, now: datetime) -> int:
    """How many questions this person has asked within the last minute."""
    query = select(func.count()).select_from(Question).where(col(Question.person) == person.id)
    return int(session.scalar(query.where(col(Question.at) > now - timedelta(minutes=1), col(Question.at) <= now)) or 0)


def _mine(session: Session, turn: _Turn, found: Found) -> list[NudgeView]:
    """The asker's own open items on the steps that answer, the most pressing first."""
    if not isinstance(found, Answer) or turn.as_of is not None:
        return []
    steps = {(q.sop, q.step) for q in found.quotes if q.step}
    open_ones = digest.plate(session, turn.house, turn.person)
    concerned = [n for n in open_ones if (n.sop, n.step) in steps and not n.rule.startswith(nudges.REVIEW)]
    concerned = [n for n in concerned if n.state in ("open", "sent", "acknowledged")]
    ranked = sorted(concerned, key=lambda nudge: digest.rank(turn.house, nudge))
    return [nudges.view(session, turn.house, nudge, turn.at) for nudge in ranked]


# --- whose site ------------------------------------------------------------------------------------------------------------


def _site_named(house: House, asker: people.Principal, text: str) -> str:
    """The site that a question names, where the asker works there; else empty."""
    plain = f" {text.lower()} "
    named = [
        s.id for s in house.practice.sites.values() if re.search(rf"\b(?:at|in|for|about) {re.escape(s.name.lower())}\b", plain)
    ]
    return named[0] if len(named) == 1 and _may_ask_at(asker, named[0]) else ""


def _may_ask_at(asker: people.Principal, site: str) -> bool:
    return site in asker.sites or people.EVERYWHERE in asker.sites


# --- counting --------------------------------------------------------------------------------------------------------------


def _counted(
    session: Session, house: House, feeds: Mapping[str, items.FeedConfig], person: Person, topics: frozenset[str], now: datetime
) -> Reply:
    """How much work stands open: of all roles where this person is in charge, else of the roles they hold."""
    every = house.rules.values()
    rules = [each.rule for each in every if not topics or topics <= intents.topics_of([each.rule.title])]
    rules = rules or [each.rule for each in every if topics & intents.topics_of([each.rule.title])]
    charged = in_charge_of(house, person, now)
    asker = people.principal_of(house.practice, person, now)
    sites = charged or [site for site in house.practice.sites if _may_ask_at(asker, site)]
    figure = figures.open_of(session, sites, [rule.id for rule in rules], None if charged else asker.roles)
    zone = people.home_site(house.practice, person).zone
    old = {each.feed for each in items.stale(session, feeds, now)}
    states = figures.feeds(session, [(f.id, f.site) for f in feeds.values() if f.site in sites], old)
    known = [state.as_of for state in states if state.as_of]
    worth = say("{money}", money=Money(figure.cents)) if figure.cents else cards.NOTHING
    rows = digest.by_role(house, figure, zone)
    what = [say("{title}", title=rule) for rule in rules] if topics else []
    as_of = When(min(known), zone) if known else None
    return Reply(replies.counted(Count(figure.n, "item"), worth, what, rows, as_of, mine=not charged))


# --- who may read what is counted ------------------------------------------------------------------------------------------


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


def redacted(house: House, text: str) -> str:
    """What was asked as it may be kept, logged and sent to a model."""
    return cards.redact(text, names_of(house), patients=house.patients, mode="question")


def _without_patients(house: House, text: str) -> phi.Cleaned:
    """What was asked as it may be searched for."""
    return phi.clean(text, mode="search", staff=names_of(house), known=house.patients)


def names_of(house: House) -> list[str]:
    """The names that may stay in what people type: our own people's and sites'."""
    practice = house.practice
    return [p.name for p in practice.people.values()] + [s.name for s in practice.sites.values()]


def examples(house: House, person: Person, now: datetime) -> tuple[Wording, ...]:
    """Three questions this person might ask, by the roles they hold."""
    held = people.principal_of(house.practice, person, now).roles
    return next((questions for role, questions in _EXAMPLES.items() if role in held), _EXAMPLES["office_manager"])


_EXAMPLES = {
    "billing_coordinator": (
        say("A claim was rejected by the clearinghouse, what do I do?"),
        say("When does a claim go to appeals?"),
        say("How do I post an ERA?"),
    ),
    "treatment_coordinator": (
        say("The patient wants time to think, what now?"),
        say("When must a treatment plan be scheduled?"),
        say("What do I do when the patient declines?"),
    ),
    "sterilization_lead": (
        say("How often do we spore test?"),
        say("What if a spore test fails?"),
        say("Somebody got a needle stick, what first?"),
    ),
    "office_manager": (
        say("Who approves an exception?"),
        say("What do I do about a suspected breach?"),
        say("A patient cancelled for tomorrow, how do I fill the slot?"),
    ),
}


# --- pressing --------------------------------------------------------------------------------------------------------------


def press(engine: Engine, house: House, library: Library, pressed: Press) -> Reply:
    """Do what a button on an answering card says. Whose it is, and what they may read, is looked at anew."""
    person = house.person(pressed.person)
    if person is None:
        return Reply(cards.reply(say("I do not know you yet: ask your manager to add you to the practice file.")))
    if pressed.verb.startswith("walk_"):
        return walking.press(engine, house, library, person, pressed)
    ref, _, number = pressed.target.partition(":")
    with read(engine) as session:
        row = session.get(Question, ref)
        walk = session.get(Walk, ref) if row is None else None
    if walk is not None and walk.person == person.id:
        return walking.begin(engine, house, library, person, (walk.thread, walk.site), walk.sop, "", pressed.at)
    if row is None or (row.person != person.id and pressed.verb != "pick"):
        return _told("gone")
    match pressed.verb:
        case "pick":
            return _picked(engine, house, library, person, row, number, pressed)
        case "ask_owner":
            return _put_to_owner(engine, house, person, row, pressed)
        case "walk" if row.sop:
            return walking.begin(engine, house, library, person, (row.thread, row.site), row.sop, "", pressed.at)
    return _told("gone")


def _picked(
    engine: Engine, house: House, library: Library, person: Person, row: Question, number: str, pressed: Press
) -> Reply:
    """The candidate that was picked, in full, as it is in force now and if it is theirs to read."""
    if not number.isdecimal() or not 1 <= int(number) <= len(row.candidates):
        return _told("gone")
    asker = walking.reader(house, person, row.site, pressed.at)
    if asker is None:
        return _told("no_role_today")
    place = Place(*row.candidates[int(number) - 1])
    for _ in range(TRIES):
        generation = library.generation()
        found = library.quote(place, asker, pressed.at)
        if found is None:
            return _told("not_any_more")
        answer = Answer((found,), generation=generation)
        question = Ask(person.id, row.asked, pressed.at, thread=row.thread)
        turn = _Turn(house, library, person, asker, question, row.asked)
        mine = row.person == person.id
        with suppress(_Moved), write(engine) as session:
            if insert_new(session, PressSeen, **_seen(pressed, person)):
                given(session, person, row.ref, [found], pressed.at)
            if mine:
                kept = session.get_one(Question, row.ref)
                kept.sop, kept.version, kept.step = found.sop, found.version, found.step
                session.add(kept)
                _go_on(session, person, question, "", found, asker.site)
            shown = _answer(turn, answer, row.ref if mine else "", _mine(session, turn, answer) if mine else (), [])
            _still(session, library, generation)
            return shown
    return _told("sop_moved")


def _seen(pressed: Press, person: Person) -> dict[str, Any]:
    values = {"verb": pressed.verb, "target": pressed.target, "at": pressed.at, "outcome": "done"}
    return {"key": pressed.key, "person": person.id, **values}


def _put_to_owner(engine: Engine, house: House, person: Person, row: Question, pressed: Press) -> Reply:
    """Put a question before whoever is on duty for the role that owns its topic, once; the asker is told whom."""
    now = pressed.at
    site = row.site or people.home_site(house.practice, person).id
    role = house.practice.roles.get(row.owner)
    found = people.next_duty(house.practice, row.owner, site, now, now + timedelta(days=1)) if role else None
    if found and (found[1].person.id == person.id or house.address(found[1].person) is None):
        found = None  # the manager, always
    at, duty = found or people.manager_on_duty(house.practice, site, now, now + timedelta(days=1))
    owner, zone = duty.person, house.site(site).zone
    if owner.id == person.id:
        return Reply(replies.out_of_reach(owner, is_asker=True))
    if house.address(owner) is None:
        return Reply(replies.out_of_reach(owner))
    asked = Asked(row.asked, tuple(names_of(house)))
    card = replies.put_to_owner(asked, person, role if found else None, When(row.at, zone), row.ref)
    with write(engine) as session:
        if not nudges.post(session, house, f"question:{row.ref}:1", "notice", owner, now, card=card):
            put_to = house.person(session.get_one(Question, row.ref).put_to)
            return Reply(replies.put_already(put_to or owner))
        if at > now:
            marker = col(Delivery.marker) == f"question:{row.ref}:1"
            session.execute(update(Delivery).where(marker).values(not_before=at))
        kept = session.get_one(Question, row.ref)
        kept.put_to, kept.put_at = owner.id, now
        session.add(kept)
        detail: evidence.Detail = {"to": owner.id, "owner": row.owner}
        evidence.append(
            session, Event(what="question put", at=now, subject=f"question:{row.ref}", actor=person.id, detail=detail)
        )
    return Reply(replies.put(owner, When(at, zone) if at > now else None))
