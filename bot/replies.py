"""The cards that answer a question: what the SOPs say, what comes near, that they do not say, and a procedure step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from bot.cards import NOTHING, Asked, Count, Dated, NudgeView, Ref, StepQuote, Token, When, choices, lines, reply, say
from bot.chat import Button, Card, Fact, Wording
from bot.hours import Site
from bot.practice import Person, Role
from knowledge.library import Quote
from knowledge.sops import SopText

SEARCHED_SHOWN = 12
ITEMS_SHOWN = 3
"""How many of the asker's own open items stand below an answer; the others are on their day."""


@dataclass(frozen=True)
class Standing:
    """What stands below an answer about its source.

    core, local      titles with versions, where an SOP and a site's addendum to it both answer
    approver, on     the role that approves it, and the day on which it was
    by               who put it in force
    """

    on: date | None
    approver: Role | None = None
    by: Person | None = None
    core: tuple[SopText, int] | None = None
    local: tuple[SopText, int] | None = None
    site: Site | None = None


def answer(
    lead: SopText,
    quotes: Sequence[StepQuote],
    notes: Sequence[Wording] = (),
    ref: str = "",
    standing: Standing | None = None,
    mine: Sequence[NudgeView] = (),
    *,
    can_walk: bool = False,
    claims: Sequence[SopText] = (),
) -> Card:
    """The step's first paragraph, which stands alone, and the whole of it quoted with its source; further sources below.

    ref    of the kept question, so that its asker can say whether this helped and go on from it
    mine   the asker's own open items that the step is about, the most pressing first
    claims what a model chose from the quotes, a line each, in place of the lead
    """
    walk = (Button("walk", str(Ref(ref)), say("Step by step")),) if can_walk and ref else ()
    shown = tuple(Button("show", view.id, say("Show {n}", n=n)) for n, view in enumerate(mine[:ITEMS_SHOWN], start=1))
    return Card(
        kind="answer",
        title=say("{title}", title=quotes[0].title),
        text=lines([lines([say("{claim}", claim=claim) for claim in claims or (lead,)]), *notes], "\n\n"),
        facts=(*(_stands(standing) if standing else ()), *_yours(mine)),
        sources=tuple(q.source() for q in quotes),
        buttons=(*shown, *walk, *(feedback(ref) if ref else ())),
    )


def rest(quotes: Sequence[StepQuote]) -> Card:
    """The further sources of an answer that not everybody in its channel may read."""
    text = say("This belongs to the answer in the channel, and not everybody there may read it.")
    return Card("answer", say("For you alone"), text, sources=tuple(q.source() for q in quotes))


def _stands(standing: Standing) -> tuple[Fact, ...]:
    facts = []
    if standing.core and standing.local and standing.site:
        (core, n), (local, m) = standing.core, standing.local
        both = say("core: {core} v{n} + {site}: {local} v{m}", core=core, n=n, site=standing.site, local=local, m=m)
        facts.append(Fact(say("Both hold"), both))
    if standing.on is not None:
        day = Dated(standing.on)
        told = say("{day}", day=day)
        if standing.approver:
            told = say("{role}, {day}", role=standing.approver, day=day)
        if standing.by:
            told = say("{told}, by {who}", told=told, who=standing.by)
        facts.append(Fact(say("Approved"), told))
    return tuple(facts)


def _yours(mine: Sequence[NudgeView]) -> tuple[Fact, ...]:
    if not mine:
        return ()
    rows = [
        say("{n}. {title}, by {due}", n=n, title=view.rule, due=view.when(view.due))
        for n, view in enumerate(mine[:ITEMS_SHOWN], start=1)
    ]
    if len(mine) > ITEMS_SHOWN:
        rows.append(say("and {n} more on your day", n=len(mine) - ITEMS_SHOWN))
    label = say("You have {n} open on this", n=Count(len(mine), "item"))
    return (Fact(label, lines(rows)),)


def quoted(found: Quote) -> StepQuote:
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


def searched_for(instead: Sequence[SopText]) -> tuple[Wording, ...]:
    """That words of the question were taken for misspelt ones of the SOPs, if any were."""
    if not instead:
        return ()
    return (say("I searched for {words}.", words=lines([say("“{word}”", word=word) for word in instead], ", ")),)


def feedback(ref: str) -> tuple[Button, Button]:
    return (
        Button("helpful", str(Ref(ref)), say("This helped")),
        Button("unhelpful", str(Ref(ref)), say("It did not"), needs="reason"),
    )


def nearest(candidates: Sequence[StepQuote], ask: Role | Person, ref: str = "", notes: Sequence[Wording] = ()) -> Card:
    """What comes near, to pick from, plainly no answer; and whom to ask. `ref`: as of `answer`."""
    picks = tuple(
        Button("pick", f"{Ref(ref)}:{n}", say("{n}: {title}", n=n, title=each.title))
        for n, each in enumerate(candidates if ref else (), start=1)
    )
    text = say(
        "No SOP that you may read says this outright. These come nearest, and may be about something else: pick one, or {ask}.",
        ask=_asking(ask),
    )
    return Card(
        kind="nearest",
        title=say("Nearest I found"),
        text=lines([text, *notes], "\n\n"),
        sources=tuple(each.source() for each in candidates),
        buttons=(*picks, *(_to_owner(ask, ref) if ref else ())),
    )


def refusal(searched: Sequence[SopText], ask: Role | Person, ref: str = "", notes: Sequence[Wording] = ()) -> Card:
    """ "Not in our SOPs", with what was searched and who to ask."""
    said = [say("None of the {n} you may read answers this.", n=Count(len(searched), "SOP"))]
    if isinstance(ask, Role):
        said.append(say("Ask the {role}, who owns the topic.", role=ask))
    else:
        said.append(say("Ask {who}; if it should be in an SOP, they can have it added.", who=ask))
    shown = lines([say("{title}", title=title) for title in searched[:SEARCHED_SHOWN]], ", ") or say("nothing")
    if len(searched) > SEARCHED_SHOWN:
        shown = say("{shown} and {n} more", shown=shown, n=len(searched) - SEARCHED_SHOWN)
    return Card(
        kind="refusal",
        title=say("Not in our SOPs"),
        text=lines([lines(said, " "), *notes], "\n\n"),
        facts=(Fact(say("Searched"), shown),),
        buttons=_to_owner(ask, ref) if ref else (),
    )


def _asking(ask: Role | Person) -> Wording:
    if isinstance(ask, Role):
        return say("ask the {role}, who owns the topic", role=ask)
    return say("ask {who}", who=ask)


def _to_owner(ask: Role | Person, ref: str) -> tuple[Button, ...]:
    label = say("Ask the {role}", role=ask) if isinstance(ask, Role) else say("Ask {who}", who=ask)
    return (Button("ask_owner", str(Ref(ref)), label, style="primary"),)


def put_to_owner(asked: Asked, asker: Person, role: Role | None, at: When, ref: str, reply: Wording = NOTHING) -> Card:
    """The question as it reaches whoever owns the topic. `reply`: what came of it; then it only reports that."""
    owns = say("You own this topic as {role}. ", role=role) if role else NOTHING
    text = say("“{asked}”\n\nNo SOP says it. {owns}Answer here: {who} has it as your words, and it waits as an SOP change.",
               asked=asked, owns=owns, who=asker)  # fmt: skip
    text = say("“{asked}”\n\n{reply}", asked=asked, reply=reply) if reply else text
    answer = Button("reply_asker", str(Ref(ref)), say("Answer"), needs="words", style="primary")
    facts = (Fact(say("Asked by"), say("{who}, {at}", who=asker, at=at)),)
    return Card("notice", say("A question for you"), text, facts, buttons=() if reply else (answer,))


def replied(by: Person, reply: Asked, asker: Person | None) -> Wording:
    """What a person answered, and what comes of it. `asker`: None where they cannot be written to."""
    said = say("{by} answered: “{reply}”", by=by, reply=reply)
    reached = say("{who} has it as these words.", who=asker) if asker else say("I cannot write to whoever asked: tell them.")
    return say("{said}\n\n{reached} It waits as a change to the SOP.", said=said, reached=reached)


def from_owner(by: Person, asked: Asked, reply: Asked) -> Card:
    """What the asker is shown: one person's words, plainly not an SOP's."""
    text = say("{by} answered; this is not from an SOP.\n\n“{reply}”", by=by, reply=reply)
    facts = (Fact(say("You asked"), say("“{asked}”", asked=asked)),)
    return Card("notice", say("An answer from {by}", by=by), text, facts)


def judge_again(ref: str) -> Card:
    """What an answer lacked is asked for once more, with the same buttons."""
    what = choices("unhelpful")
    return replace(reply(say("What was wrong with it? Pick one: {what}.", what=what)), buttons=feedback(ref))


def put(owner: Person, at: When | None) -> Card:
    """What the asker is told when their question is on its way to its owner. `at`: when they are in, if not now."""
    if at is None:
        return reply(say("I have put your question to {who}.", who=owner))
    return reply(say("I have put your question to {who}, who reads it when they are in: {at}.", who=owner, at=at))


def put_already(owner: Person) -> Card:
    return reply(say("Your question is with {who} already.", who=owner))


def out_of_reach(owner: Person, *, is_asker: bool = False) -> Card:
    """The owner cannot be written to, or asks their own question."""
    if is_asker:
        return reply(say("You own this topic yourself. If it belongs in an SOP, have it added."))
    return reply(say("I cannot write to {who}: speak to them yourself, please.", who=owner))


# --- step by step ----------------------------------------------------------------------------------------------------------


def checklist(quote: StepQuote, walk: str, n: int, total: int, ticked: Sequence[Token]) -> Card:
    """One step of a procedure on its way.

    walk     its reference
    n        the number of this step in order, of `total`
    ticked   the printed numbers of those ticked off
    """
    said = [say("Step {n} of {total}.", n=n, total=total)]
    if ticked:
        said.append(say("Done: {ticked}.", ticked=lines([say("{n}", n=each) for each in ticked], ", ")))
    done = Button("walk_done", str(Ref(walk)), say("Done"), style="primary")
    onward = Button("walk_next", str(Ref(walk)), say("Next") if n < total else say("Finish"))
    back = (Button("walk_back", str(Ref(walk)), say("Back")),) if n > 1 else ()
    stop = Button("walk_stop", str(Ref(walk)), say("Stop"))
    title = say("{n} of {total}: {title}", n=n, total=total, title=quote.title)
    return Card("checklist", title, lines(said, " "), (), (quote.source(),), (done, onward, *back, stop))


def walked(title: SopText, version: int, total: int, done: int, skipped: Sequence[Token], *, stopped: bool = False) -> Card:
    """The end of a walk: what was ticked off and what was not."""
    text = say("{done} of {total} ticked off.", done=done, total=Count(total, "step"))
    kept = say("What was ticked off is kept.") if stopped else say("It is on record.")
    facts = (Fact(say("Not ticked off"), lines([say("{n}", n=each) for each in skipped], ", ")),) if skipped else ()
    name = say("{title} v{v}", title=title, v=version)
    name = say("Stopped: {name}", name=name) if stopped else say("Gone through: {name}", name=name)
    return Card("checklist", name, lines([text, kept], " "), facts)


def overtaken(title: SopText, version: int, ref: str) -> Card:
    """The SOP has changed, or gone out of reach, while somebody walked it."""
    text = say("Version {v} came into force while you were going through it. Start again from the new version.", v=version)
    start = Button("walk", str(Ref(ref)), say("Start again"), style="primary")
    return Card("checklist", say("{title} has changed", title=title), text, buttons=(start,))


# --- counting --------------------------------------------------------------------------------------------------------------


def counted(
    total: Count, worth: Wording, what: Sequence[Wording], rows: Sequence[Wording], as_of: When | None, *, mine: bool
) -> Card:
    """How much work stands open, from the figures.

    what   the rules that were counted; empty: all of them
    mine   only the asker's own roles were counted
    """
    text = say("{n} open", n=total)
    text = say("{text}, {worth}.", text=text, worth=worth) if worth else say("{text}.", text=text)
    if mine:
        text = say("{text} Counted for the roles you hold; whoever is in charge of a site sees all of it.", text=text)
    facts = [Fact(say("Counted"), lines(what, ", "))] if what else []
    facts += [Fact(say("By role and site"), lines(rows))] if rows else []
    facts += [Fact(say("As of"), say("{at}", at=as_of))] if as_of else []
    day = Button("my_day", "me", say("My day"))
    return replace(reply(text, title=say("Counted")), facts=tuple(facts), buttons=(day,))


# --- other languages -------------------------------------------------------------------------------------------------------

_DECLINED = {
    "es": say("Por ahora solo puedo buscar en inglés: pregúnteme en inglés, por favor."),
    "fr": say("Pour l'instant, je ne peux chercher qu'en anglais : posez-moi la question en anglais, s'il vous plaît."),
    "de": say("Ich kann vorerst nur auf Englisch suchen: Bitte fragen Sie mich auf Englisch."),
    "pt": say("Por enquanto só consigo procurar em inglês: pergunte-me em inglês, por favor."),
    "it": say("Per ora posso cercare solo in inglese: mi faccia la domanda in inglese, per favore."),
    "vi": say("Hiện tại tôi chỉ tìm được bằng tiếng Anh: xin hãy hỏi tôi bằng tiếng Anh."),
    "zh": say("目前我只能用英语查找：请用英语提问。"),
    "ja": say("今のところ英語でしか検索できません。英語で質問してください。"),
    "ko": say("지금은 영어로만 찾을 수 있습니다. 영어로 질문해 주세요."),
    "ru": say("Пока я умею искать только на английском: пожалуйста, спросите по-английски."),
    "ar": say("لا أستطيع البحث حاليًا إلا بالإنجليزية: من فضلك اسألني بالإنجليزية."),
}


def declined(tongue: str, ask: Person) -> Card:
    """That only English is understood here, in the asker's language and in English, and who can help."""
    english = say("I can only search in English so far: please ask me in English, or ask {who}.", who=ask)
    own = _DECLINED[tongue]
    return reply(lines([own, english], "\n\n"), title=say("In English, please"))
