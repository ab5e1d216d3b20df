"""All wording that leaves the building, and the one place that refuses patient data.

`say` fills a template of ours with typed values: money, counts, instants, our own people, roles, sites and references, and
approved SOP text. It takes no plain string, so nothing a connector read and nothing a person typed can become part of a card.
What people type goes through `redact` (`bot.phi`) before it is stored anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any, Literal, get_type_hints
from zoneinfo import ZoneInfo

from bot import phi
from bot.chat import Account, Button, Card, Choice, Fact, Form, Kind, Link, Source, UnsafeText, Wording
from bot.hours import Site
from bot.practice import Person, Role
from bot.rules import Rule
from knowledge.sops import SopText

REASONS: dict[str, str] = {
    "waiting-on-patient": "Waiting on the patient",
    "waiting-on-payer": "Waiting on the payer",
    "waiting-on-provider": "Waiting on the provider",
    "system-down": "System down",
    "not-staffed": "Not staffed",
    "clinical-judgement": "Clinical judgement",
    "patient-request": "Patient's request",
    "other": "Another reason",
}
"""Why a step cannot be done: the reason codes of the SOP "SOP exceptions"."""

WRONG: dict[str, str] = {
    "not-stalled": "It has not stalled",
    "not-mine": "It is not mine",
    "done-elsewhere": "It is already done elsewhere",
    "other": "Another reason",
}
"""Why a nudge is wrong."""

UNHELPFUL: dict[str, str] = {
    "wrong-sop": "The wrong SOP",
    "wrong-step": "The wrong step",
    "out-of-date": "It is out of date",
    "hard-to-read": "It is hard to read",
    "other": "Something else",
}
"""Why an answer did not help."""

REASONED = {"cant": REASONS, "wrong": WRONG, "unhelpful": UNHELPFUL}
"""The buttons that ask for a reason."""


# --- values that may stand in a sentence ---------------------------------------------------------------------------------


class _Typed:
    """A value that holds exactly what its fields say. raises UnsafeText from its making, where one holds anything else"""

    def __post_init__(self) -> None:
        own: Any = type(self)
        for name, kind in _fields(own).items():
            value = getattr(self, name)
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
                raise UnsafeText(f"{name} of {type(self).__name__} may not hold a {type(value).__name__}")


@cache
def _fields(of: Any) -> dict[str, Any]:
    return get_type_hints(of)


@dataclass(frozen=True)
class Money(_Typed):
    cents: int

    def __str__(self) -> str:
        sign, whole = ("-" if self.cents < 0 else ""), abs(self.cents)
        return f"{sign}${whole // 100:,}.{whole % 100:02d}"


@dataclass(frozen=True)
class Count(_Typed):
    """A number and its noun: `Count(1, "claim")` is "1 claim", `Count(3, "claim")` is "3 claims"."""

    n: int
    noun: str
    plural: str = ""

    def __str__(self) -> str:
        return f"{self.n:,} {self.noun if self.n == 1 else self.plural or self.noun + 's'}"


@dataclass(frozen=True)
class When(_Typed):
    """An instant as its reader sees it: "Thu Feb 26, 3:15 PM"."""

    at: datetime
    zone: ZoneInfo
    since: bool = False

    def __str__(self) -> str:
        local = self.at.astimezone(self.zone)
        return f"{local:%a %b} {local.day}, {local.hour % 12 or 12}:{local:%M %p}"


@dataclass(frozen=True)
class Day(_Typed):
    day: date

    def __str__(self) -> str:
        return f"{self.day:%a %b} {self.day.day}"


@dataclass(frozen=True)
class Dated(_Typed):
    """A day of any year: "Mar 3, 2026"."""

    day: date

    def __str__(self) -> str:
        return f"{self.day:%b} {self.day.day}, {self.day.year}"


@dataclass(frozen=True)
class Asked:
    """A question as it may be put before one other person, who owns its topic: redacted as it is said. `known`: as `redact`."""

    words: str
    known: tuple[str, ...] = ()

    def __str__(self) -> str:
        return redact(self.words, self.known)


_OF_FILES = frozenset({"mb"})
"""Words beside a number that say nothing of anybody."""


@dataclass(frozen=True)
class Filed:
    """Words out of a file that somebody sent us, or its name, as they are told what became of it: redacted, one line, cut."""

    words: str
    known: tuple[str, ...] = ()
    patients: phi.Known = phi.NOBODY
    most: int = 160

    def __str__(self) -> str:
        read_as = phi.clean(self.words, staff=self.known, known=self.patients, spoken=_OF_FILES)
        said = " ".join(read_as.text.split())
        return said if len(said) <= self.most else f"{said[: self.most - 1].rstrip()}…"


@dataclass(frozen=True)
class Age(_Typed):
    """A length of time in its largest sensible unit: "9 days", "5 hours"."""

    length: timedelta

    def __str__(self) -> str:
        minutes = max(int(self.length.total_seconds() // 60), 0)
        if minutes >= 48 * 60:
            return str(Count(minutes // (24 * 60), "day"))
        return str(Count(minutes // 60, "hour")) if minutes >= 60 else str(Count(minutes, "minute"))


@dataclass(frozen=True)
class Ref:
    """Our own opaque reference of an item, an exception or an error."""

    ref: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9A-HJKMNPQRSTVWXYZ]{8}", self.ref):
            raise UnsafeText("a reference is eight of our own letters and digits")

    def __str__(self) -> str:
        return self.ref


@dataclass(frozen=True)
class Token:
    """A word of a fixed small set of ours: a feed's id, a file's kind, a hash. Letters, digits and `-_.:/` only, no blanks."""

    word: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:/#-]{0,79}", self.word):
            raise UnsafeText("a token is one word of ours")

    def __str__(self) -> str:
        return self.word


Sayable = (
    Money
    | Count
    | When
    | Day
    | Dated
    | Age
    | Asked
    | Filed
    | Ref
    | Token
    | Person
    | Role
    | Site
    | Rule
    | SopText
    | Wording
    | int
)


def say(template: str, **values: Sayable) -> Wording:
    """The sentence of `template` with its {names} filled.

    template  a literal of ours (test_layout holds that), never text from outside
    raises    UnsafeText   a value is a plain string
    """
    return Wording(template.format(**{name: _spoken(value) for name, value in values.items()}))


def _spoken(value: Sayable) -> str:
    match value:
        case Wording() | SopText():
            return str(value)
        case Person() | Site():
            return value.name
        case Role() | Rule():
            return value.title
        case Money() | Count() | When() | Day() | Dated() | Age() | Asked() | Filed() | Ref() | Token():
            return str(value)
        case bool():
            raise UnsafeText("a truth value has no words")
        case int():
            return f"{value:,}"
    raise UnsafeText(f"text of type {type(value).__name__} may not leave the building")


def lines(parts: Iterable[Wording], between: str = "\n") -> Wording:
    """Several wordings as one. `between` is layout, not text."""
    if between.strip(" \n·•-,"):
        raise UnsafeText("only layout stands between wordings")
    said = list(parts)
    if not all(isinstance(part, Wording) for part in said):
        raise UnsafeText("only wordings are put together")
    return Wording(between.join(part for part in said if part))


NOTHING = Wording("")


# --- a step as a source --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StepQuote(_Typed):
    """The SOP step that a card stands on."""

    sop: Token
    version: int
    step: Token
    number: Token | None
    sop_title: SopText
    title: SopText
    text: SopText

    def source(self) -> Source:
        return Source(
            sop=say("{sop}", sop=self.sop),
            version=self.version,
            step=say("{step}", step=self.step),
            quote=say("{text}", text=self.text),
            title=self._where(),
        )

    def _where(self) -> Wording:
        """The place in a reader's words; a passage outside the numbered steps stands under its heading."""
        if self.number is None:
            return say("{sop} v{v}: {title}", sop=self.sop_title, v=self.version, title=self.title)
        return say("{sop} v{v}, step {n}: {title}", sop=self.sop_title, v=self.version, n=self.number, title=self.title)


# --- the nudge -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NudgeView(_Typed):
    """Everything a nudge's card may say, typed. raises UnsafeText where a field holds anything else"""

    id: str
    ref: str
    rule: Rule
    site: Site
    role: Role
    state: str
    since: datetime
    due: datetime
    now: datetime
    zone: ZoneInfo
    amount_cents: int
    level: int
    quote: StepQuote | None
    next_role: Role | None = None
    addressee: Person | None = None
    acknowledged_by: Person | None = None
    acknowledged_at: datetime | None = None
    said_done_by: Person | None = None
    said_done_at: datetime | None = None
    snoozed_until: datetime | None = None
    contradicted: int = 0
    ending: str = ""
    closed_at: datetime | None = None
    exception_until: datetime | None = None
    week: Token | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = Ref(self.id), Ref(self.ref), Token(self.state), Token(self.ending or "none")

    def when(self, at: datetime) -> When:
        return When(at, self.zone)


def nudge(view: NudgeView) -> Card:
    """The card of a nudge in whatever state it is: what, why now, the step, the deadline, the buttons that make sense now."""
    title = say("{title}", title=view.rule)
    if view.amount_cents:
        title = say("{title} · {money}", title=title, money=Money(view.amount_cents))
    return Card(
        kind="escalation" if view.level else "nudge",
        title=title,
        text=lines([_why(view), _standing(view)]),
        facts=tuple(_facts(view)),
        sources=(view.quote.source(),) if view.quote and not view.closed_at else (),
        buttons=_buttons(view),
        ref=view.ref,
    )


def _why(view: NudgeView) -> Wording:
    return say(view.rule.why, since=view.when(view.since), age=Age(view.now - view.since), amount=Money(view.amount_cents))


def _standing(view: NudgeView) -> Wording:
    """One sentence on where the nudge stands."""
    if view.closed_at:
        return _ended(view)
    match view.state:
        case "acknowledged" if view.acknowledged_by and view.acknowledged_at:
            return say("{who} is on it since {at}.", who=view.acknowledged_by, at=view.when(view.acknowledged_at))
        case "said_done" if view.said_done_by and view.said_done_at:
            return say(
                "{who} said done {at}. The source has not shown it yet.",
                who=view.said_done_by,
                at=view.when(view.said_done_at),
            )
        case "snoozed" if view.snoozed_until:
            return say("Snoozed until {at}.", at=view.when(view.snoozed_until))
        case "exception_asked":
            return say("An exception was asked for. It waits for the manager; until then the deadline stands.")
        case "excepted" if view.exception_until:
            return say("Excepted until {at}.", at=view.when(view.exception_until))
    return _urgency(view)


def _urgency(view: NudgeView) -> Wording:
    if view.contradicted and view.said_done_by and view.said_done_at:
        return say(
            "Contradicted: {who} said done {at}, but the source does not show it. It is open again.",
            who=view.said_done_by,
            at=view.when(view.said_done_at),
        )
    if view.level and view.acknowledged_by:
        return say("{who} is on it, and it has not moved.", who=view.acknowledged_by)
    if view.level:
        return say("The {role} has not taken it on, so it has come up.", role=view.role)
    return NOTHING


_ENDINGS = {
    "verified": "Verified: the source shows it was done.",
    "overtaken": "Closed: the source has moved on.",
    "wrong": "Closed: it was reported wrong.",
    "reviewed": "Closed in the first review.",
    "expired": "Closed: it ran past its limit and is in the digest.",
}


def _ended(view: NudgeView) -> Wording:
    ended = say(_ENDINGS.get(view.ending, "Closed."))
    return say("{ended} {at}", ended=ended, at=view.when(view.closed_at)) if view.closed_at else ended


def _facts(view: NudgeView) -> Iterable[Fact]:
    if not view.closed_at:
        late = view.now > view.due
        yield Fact(say("Overdue since") if late else say("Put right by"), say("{at}", at=view.when(view.due)))
    yield Fact(say("Still since"), say("{at} ({age})", at=view.when(view.since), age=Age(view.now - view.since)))
    yield Fact(say("Site"), say("{site}", site=view.site))
    yield Fact(say("For"), say("{role}", role=view.role))
    if view.week:
        yield Fact(say("Sterilizer and week"), say("{week}", week=view.week))
    if not view.closed_at:
        yield Fact(say("Closes when"), say(view.rule.done))
        if view.next_role:
            yield Fact(say("Then goes to"), say("{role}", role=view.next_role))
    yield Fact(say("Reference"), say("{ref}", ref=Ref(view.ref)))


def _buttons(view: NudgeView) -> tuple[Button, ...]:
    if view.closed_at or view.state in ("excepted", "held"):
        return ()
    done = Button("done", view.id, say("Done"), style="primary" if view.state == "acknowledged" else "plain")
    snooze = Button("snooze", view.id, say("Snooze"), needs="until")
    cannot = Button("cant", view.id, say("Can't"), needs="reason")
    wrong = Button("wrong", view.id, say("Wrong"), needs="reason")
    if view.state == "said_done":
        return ()
    if view.state == "exception_asked":
        return (done,)
    if view.state == "acknowledged":
        return (done, snooze, cannot, wrong)
    return (Button("on_it", view.id, say("On it"), style="primary"), done, snooze, cannot, wrong)


DECIDED: dict[str, str] = {
    "granted": "Approved by {who}, {at}.",
    "refused": "Refused by {who}, {at}.",
    "expired": "Expired; it was approved by {who}, {at}.",
}
"""How an exception was decided."""


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


def choices(verb: str) -> Wording:
    """The reasons a person may choose from, in a row."""
    if verb == "unhelpful":
        return lines([say(UNHELPFUL[code]) for code in UNHELPFUL], ", ")
    if verb == "wrong":
        return lines([say(WRONG[code]) for code in WRONG], ", ")
    return lines([say(REASONS[code]) for code in REASONS], ", ")


# --- exceptions and reviews ----------------------------------------------------------------------------------------------


def exception(
    view: NudgeView,
    ask_id: str,
    reason: str,
    asked_by: Person,
    asked_at: datetime,
    *,
    has_note: bool,
    decision: Wording = NOTHING,
) -> Card:
    """The card on which a manager decides a "Can't". With `decision` it only reports how it was decided."""
    facts = [
        Fact(say("Reason"), say(REASONS[reason])),
        Fact(say("Asked by"), say("{who}, {at}", who=asked_by, at=view.when(asked_at))),
        *(f for f in _facts(view) if f.label != "Then goes to"),
    ]
    if view.amount_cents:
        facts.insert(0, Fact(say("Worth"), say("{money}", money=Money(view.amount_cents))))
    if has_note:
        facts.insert(2 if view.amount_cents else 1, Fact(say("Note"), say("on file with the record")))
    buttons = (
        Button("approve", str(Ref(ask_id)), say("Approve for 14 days"), style="primary"),
        Button("refuse", str(Ref(ask_id)), say("Refuse"), style="danger"),
    )
    text = say("{who} cannot do this step and asks for an exception. Without a decision the step stands.", who=asked_by)
    return Card(
        kind="exception",
        title=say("Exception asked: {title}", title=view.rule),
        text=decision or text,
        facts=tuple(facts),
        sources=(view.quote.source(),) if view.quote else (),
        buttons=() if decision else buttons,
        ref=view.ref,
    )


def review(
    nudge_id: str,
    rule: Rule,
    site: Site,
    role: Role,
    count: int,
    cents: int,
    oldest: datetime,
    quote: StepQuote | None,
    ended: Wording = NOTHING,
) -> Card:
    """The one card about a backlog that a feed's first import brought: start on it, or leave it."""
    facts = [
        Fact(say("Site"), say("{site}", site=site)),
        Fact(say("Found"), say("{n}", n=Count(count, "item"))),
        Fact(say("Oldest since"), say("{at}", at=When(oldest, site.zone))),
        Fact(say("Would go to"), say("{role}", role=role)),
    ]
    if cents:
        facts.insert(2, Fact(say("Worth"), say("{money}", money=Money(cents))))
    text = say(
        "The first import found {n} that stalled before Holdfast was watching. Nobody was nudged about them.",
        n=Count(count, "item"),
    )
    return Card(
        kind="review",
        title=say("{title}: backlog to review", title=rule),
        text=ended or text,
        facts=tuple(facts),
        sources=(quote.source(),) if quote and not ended else (),
        buttons=()
        if ended
        else (
            Button("start_review", str(Ref(nudge_id)), say("Nudge the team about these"), style="primary"),
            Button("leave_review", str(Ref(nudge_id)), say("Leave them")),
        ),
    )


# --- short replies -------------------------------------------------------------------------------------------------------


def reply(text: Wording, *, title: Wording = NOTHING, ref: str = "", kind: Kind = "reply") -> Card:
    return Card(kind=kind, title=title or say("Holdfast"), text=text, ref=str(Ref(ref)) if ref else "")


def again(card: Card, text: Wording) -> Card:
    """The same card, with what was missing said on top of its text."""
    return replace(card, text=lines([text, card.text]))


def stale_feed(feed: Token, site: Site, as_of: datetime | None) -> Card:
    """The one notice that a feed is too old to judge by."""
    if as_of is None:
        text = say("The feed {feed} has brought nothing yet. Nothing is judged on it until it does.", feed=feed)
    else:
        at = When(as_of, site.zone)
        text = say("The feed {feed} is as of {at}. Nothing is judged on it until it is fresh again.", feed=feed, at=at)
    return reply(text, title=say("A feed has gone quiet · {site}", site=site), kind="notice")


def set_aside(feed: Token, site: Site, number: int) -> Card:
    """A file of a feed could not be read and was set aside whole."""
    text = say(
        "{n} of the feed {feed} could not be read and was set aside whole; nothing of it was used. "
        "Run “python -m bot health” to see which and why, then send a readable copy.",
        n=Count(number, "file"),
        feed=feed,
    )
    return reply(text, title=say("A file was set aside · {site}", site=site), kind="notice")


# --- who is who ----------------------------------------------------------------------------------------------------------


def link_account(account: str) -> Card:
    """For somebody we do not know: how they come to be known."""
    text = say(
        "I do not know this account yet, so I may show you nothing. Press the button and say who you are; "
        "your manager is asked whether it is so."
    )
    me = Button("claim", str(Account(account)), say("Say who I am"), needs="person", style="primary")
    return replace(reply(text, title=say("Who are you?")), buttons=(me,))


PLATFORMS: dict[str, str] = {"slack": "Slack", "teams": "Teams", "console": "the local page"}


def account_claim(claim: str, platform: str, account: str, person: Person, ended: Wording = NOTHING) -> Card:
    """The card on which a manager says whether an account is who it says it is."""
    facts = (Fact(say("Account"), Account(account)), Fact(say("On"), say(PLATFORMS[platform])))
    text = say(
        "This account says that it is {who}. Confirm only if you know it: from then on it gets their cards and may press "
        "their buttons.",
        who=person,
    )
    buttons = (
        Button("confirm_claim", str(Ref(claim)), say("It is {who}", who=person), style="primary"),
        Button("refuse_claim", str(Ref(claim)), say("It is not"), style="danger"),
    )
    return Card("exception", say("Is this {who}?", who=person), ended or text, facts, buttons=() if ended else buttons)


def welcome(person: Person) -> Card:
    """The first words to somebody whose account was just found or confirmed."""
    text = say(
        "Hello {who}. Ask me how something is done, and I quote the step from your SOPs. When work that is yours stands still "
        "I tell you once, with the step and the buttons. Type “my day” for your list, or “help”.",
        who=person,
    )
    return replace(reply(text, title=say("Holdfast")), buttons=(Button("my_day", "me", say("My day")),))


def help_card(platform: str) -> Card:
    """What can be typed and where."""
    facts = [
        Fact(say("Ask"), say("Type a question: how do I post an ERA?")),
        Fact(say("Go on"), say("Ask on: “who signs that?”, “and after hours?”; “start over” for another matter")),
        Fact(say("Step by step"), say("After an answer, “next” takes you through the procedure one step at a time")),
        Fact(say("As it was"), say("What applied on 3 March? names a day, and quotes what was in force then")),
        Fact(say("My day"), say("Type “my day”: everything that waits for you")),
        Fact(say("How many"), say("How many denials are open? counts what stands still")),
        Fact(say("Stand-up"), say("Type “standup”: for those in charge of a site")),
        Fact(say("Page"), say("Type “page”: a link that signs you in to the practice's page")),
    ]
    if platform == "slack":
        facts.append(Fact(say("Commands"), say("/sop, /myday, /standup, /holdfast help")))
        facts.append(Fact(say("About a message"), say("its menu, then “Ask Holdfast about this”")))
    if platform == "teams":
        facts.append(Fact(say("Search"), say("the Holdfast button below the box you type in")))
        facts.append(Fact(say("About a message"), say("its menu, More actions, then “Ask Holdfast about this”")))
    text = say("I quote your own SOPs and nothing else, and I tell people when their work stands still.")
    return replace(reply(text, title=say("Holdfast on {platform}", platform=say(PLATFORMS[platform]))), facts=tuple(facts))


def page_link(url: str) -> Card:
    """The one-time link that signs its reader in to the page. `url` is made by us."""
    text = say("This link signs you in once, within ten minutes. It is yours alone: do not pass it on.")
    return replace(reply(text, title=say("Your page")), links=(Link(say("Open the page"), url),))


FORMS: dict[str, str] = {
    "snooze": "Until when?",
    "cant": "Why can it not be done?",
    "wrong": "What is wrong?",
    "claim": "Who are you?",
    "unhelpful": "What was wrong with it?",
    "reply_asker": "Your answer",
}
_QUICK = {"next opening": "Next opening", "1h": "In 1 hour", "2h": "In 2 hours", "tomorrow 9:00": "Tomorrow at 9:00"}


def form(verb: str, roster: Iterable[Person] = ()) -> Form | None:
    """What the button with this verb asks for; None where it asks for nothing."""
    if verb not in FORMS:
        return None
    ask, send = say(FORMS[verb]), say("Send")
    if verb == "snooze":
        quick = tuple(Choice(code, say(_QUICK[code])) for code in _QUICK)
        hint = say("For example: friday 14:00, 2h, or 2026-03-02T09:00")
        return Form(say("Snooze"), ask, quick, say("Or another time"), hint, send, needs_choice=False)
    if verb == "claim":
        people = tuple(Choice(person.id, say("{who}", who=person)) for person in roster)
        return Form(say("Who are you?"), ask, people, NOTHING, NOTHING, send, needs_choice=True)
    if verb == "reply_asker":
        hint = say("It goes to whoever asked, as your words. No names, dates or numbers of patients")
        return Form(say("Answer"), ask, (), say("Your answer"), hint, send, needs_choice=False)
    if verb == "unhelpful":
        picks = tuple(Choice(code, say(UNHELPFUL[code])) for code in UNHELPFUL)
        hint = say("No names, dates or numbers of patients")
        return Form(say("It did not help"), ask, picks, say("Anything to add"), hint, send, needs_choice=True)
    title = say("Can't") if verb == "cant" else say("Wrong")
    picks = tuple(Choice(code, say(WRONG[code])) for code in WRONG)
    if verb == "cant":
        picks = tuple(Choice(code, say(REASONS[code])) for code in REASONS)
    hint = say("No names, dates or numbers of patients")
    return Form(title, ask, picks, say("Anything to add"), hint, send, needs_choice=True)


# --- several at once -----------------------------------------------------------------------------------------------------

BUNDLE_LISTED = 8


def bundle(views: Sequence[NudgeView]) -> Card:
    """Many nudges for one person as one message, the oldest first; each can be opened."""
    listed = views[:BUNDLE_LISTED]
    rows = [_bundled(n, view) for n, view in enumerate(listed, start=1)]
    rest = len(views) - len(listed)
    if rest:
        rows.append(say("and {n} more on your day", n=rest))
    opened = tuple(
        Button("show", view.id, say("Open {n}", n=n)) for n, view in enumerate(listed, start=1) if not view.closed_at
    )
    waiting = sum(1 for view in views if not view.closed_at)
    title = say("{n} for you", n=Count(waiting, "matter")) if waiting else say("All of these are closed")
    day = Button("my_day", "me", say("My day"), style="primary")
    return Card("nudge", title, lines(rows), buttons=(day, *opened) if waiting else ())


def _bundled(number: int, view: NudgeView) -> Wording:
    named = say("{n}. {title}", n=number, title=view.rule)
    if view.amount_cents:
        named = say("{named} · {money}", named=named, money=Money(view.amount_cents))
    if view.closed_at:
        return say("{named}: {ended}", named=named, ended=_ended(view))
    standing = _standing(view)
    if standing:
        return say("{named}: {standing}", named=named, standing=standing)
    return say("{named}: still since {at}, by {due}", named=named, at=view.when(view.since), due=view.when(view.due))


def repeat(card: Card) -> Card:
    """A card that may have arrived before: nobody could tell us."""
    return again(card, say("You may have this already: the chat service did not say whether it arrived."))


# --- notes ---------------------------------------------------------------------------------------------------------------

NOTE_LIMIT = 500


def redact(text: str, known: Iterable[str] = (), *, patients: phi.Known = phi.NOBODY, mode: phi.Mode = "note") -> str:
    """What a person typed, without what could name a patient; `bot.phi` where it cannot be told.

    text      cut at NOTE_LIMIT characters
    known     names that may stay: our own people's, alone or in full; a first name of one with the surname of another goes
    patients  who is a patient, as far as the feeds say
    """
    return phi.clean(text[: NOTE_LIMIT * 4], mode=mode, staff=known, known=patients, most=NOTE_LIMIT).text


def left_out(found: Collection[phi.Kind]) -> Wording:
    """What a person is told whose words were redacted."""
    called: dict[phi.Kind, Wording] = {
        "name": say("a patient’s name"),
        "number": say("a number of somebody’s"),
        "date": say("a date of somebody’s"),
        "address": say("an address"),
        "age": say("somebody’s age"),
    }
    what = lines([called[kind] for kind in called if kind in found], ", ")
    return say("I left out what looked like {what}: I do not need it.", what=what)


Verb = Literal[
    "on_it", "done", "snooze", "cant", "wrong", "approve", "refuse", "start_review", "leave_review",
    "show", "my_day", "helpful", "unhelpful", "claim", "confirm_claim", "refuse_claim",
    "pick", "ask_owner", "reply_asker", "walk", "walk_done", "walk_next", "walk_back", "walk_stop",
]  # fmt: skip
"""Everything a button can do."""


NOTICES: dict[str, str] = {
    "no_such_person": "Nobody here has that name. Type “people” to see who there is.",
    "several_people": "More than one person has that name: use the id that “people” shows.",
    "no_card": "There is no card with a button here yet.",
    "no_button": "There is no button {n}: this card's buttons go from 1 to {last}.",
    "press_what": "Which button? Type “press 1”, and after it what the button asks for.",
    "when_unclear": "I cannot read that time. Try: next opening, 2h, tomorrow 9:00, or 2026-03-02T09:00.",
    "skip_unclear": "I cannot read that. Try: skip 2h, skip 3d, or skip until 2026-03-02T09:00.",
    "skip_back": "The clock only goes forward: give a time that is still to come.",
    "skip_far": "One skip goes at most {days} days ahead.",
    "cannot_skip": "This clock is the real one and cannot be moved.",
    "too_long": "That is too long: at most {limit} characters.",
    "inbox_empty": "Nothing has reached you yet.",
    "no_record": "No item has that reference.",
    "press_again": "That took too long and nothing was changed. Please press it again.",
    "answered_privately": "I answered you in our own chat: not everybody here may read it.",
    "add_the_app": "I may only answer this in our own chat: add Holdfast as an app, then ask me there.",
    "foreign": "This workspace does not belong to the organisation that Holdfast serves here, so I may show you nothing.",
    "stale_button": "This button is from an older message and does nothing any more. Type “my day” for what is open.",
    "not_kept": "Holdfast could not take this in just now, and nothing was changed. Please try again in a minute.",
    "unknown_command": "I do not know that command. Type “/holdfast help” for what there is.",
    "looking": "is looking in your SOPs…",
    "continued": "Continued below.",
    "sign_in_first": "Type “page” to Holdfast in your chat, and open the link that it sends.",
    "link_over": "This link was used already, or is too old. Type “page” to Holdfast in your chat, and open the new one.",
    "too_many_tries": "Too many links were tried just now. Wait a minute, then try yours again.",
    "no_page": "There is no page to sign in to: whoever runs Holdfast sets HOLDFAST_URL.",
    "thanks": "Thank you. It is noted, and whoever owns this SOP sees it.",
    "nothing_asked": "Ask me how something is done, or type “my day”.",
    "only_numbers": "A number alone tells me nothing: say in words what you would like to know about it.",
    "you_are_welcome": "You are welcome. Ask whenever something is unclear, or type “my day” for your list.",
    "small_talk": "I am Holdfast, a program. I quote your own SOPs, and I tell people when their work stands still.",
    "no_role_today": "You hold no role here today, so I may show you nothing: ask your manager to look at the roster.",
    "started_over": "Forgotten. What would you like to know?",
    "nothing_open": "There is no procedure open here. Ask how something is done first; then “next” takes you through it.",
    "press_done": "If this is about a card of work, press Done on that card: only then it counts.",
    "stopped": "Stopped. What you ticked off is kept.",
    "sop_moved": "The SOP was changed while I was looking. Please ask again.",
    "not_any_more": "This step is no longer in force, or no longer yours to read. Please ask again.",
    "no_steps": "This SOP has no steps to go through one by one.",
    "claim_sent": "Your manager is asked whether this is you. You will hear from me here.",
    "claim_known": "This account is known already. Type “my day” for your list.",
    "claim_nobody": "Nobody of the practice has that name, or they are known here already. Ask your manager.",
    "claim_decided": "Somebody has decided this already.",
    "claim_yours": "Somebody in charge decides this, and nobody decides about themselves.",
    "say_answer": "Type your answer first: it goes to whoever asked, as your words.",
    "not_yours": "This question was put to somebody else.",
    "withheld": "I could not make sure that your message names no patient, so I did not read it. Ask in other words.",
    "no_files": "SOP files are taken from the people who own or approve SOPs and from those in charge of a site. I did not "
    "open yours: please give it to one of them. You can ask me anything in words.",
    "no_file": "Choose a file first: Word (.docx), PDF, HTML, Markdown, text, or a zip of them.",
    "file_gone": "It is no longer where it was sent from. Please send it again.",
    "file_forbidden": "I was not let in to where it is kept. Please send it again; if that does not help, whoever runs "
    "Holdfast should run its check.",
    "file_too_large": "It is too large: at most 50 MB. Save it again with smaller pictures, or split it.",
    "file_elsewhere": "It is kept in a place that I fetch nothing from. Save it to your own computer, and send it from there.",
    "file_unreachable": "It could not be fetched in time. Please send it again in a minute.",
    "gone": "That button belongs to something that no longer exists.",
    "try_later": "Something went wrong on our side and I could not answer. It is in the log; please ask again.",
    "failed": "Something went wrong on our side, and nothing was changed. It is in the log; try again.",
}
"""What the page and the terminal may have to say by themselves."""


def notice(code: str, **typed: int) -> Card:
    """One clear sentence, as a card of kind "reply"."""
    return reply(say(NOTICES[code], **typed))
