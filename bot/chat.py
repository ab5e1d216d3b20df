"""The neutral words of a chat: Ask, Press, Heard, Reply, Card, Fact, Source, Button, and the seams Platform, Chat and Front.

Every text on a Card is `Wording`: only `bot.cards` makes it, from our templates, typed values and approved SOP text. A plain
string is refused when the card is built, so text from a connector has no road to a reader.

    UnsafeText          a card was built from text that cards.py did not make: a fault of ours, never shown
    SendError           the platform did not take a card; `permanent` says whether trying again can help
    AmbiguousSend       the platform may or may not have taken it: look before sending again
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, BinaryIO, Literal, Protocol

Kind = Literal[
    "answer", "nearest", "refusal", "checklist", "nudge", "escalation", "exception", "review", "digest", "my_day", "notice",
    "reply",
]  # fmt: skip
Needs = Literal["", "until", "reason", "person", "words"]
Surface = Literal["dm", "channel", "pane", "home", "command"]
"""Where somebody is: alone with the bot, among others, in Slack's assistant pane, on the bot's home page, or at a command."""
Act = Literal["ask", "press", "home", "hello", "joined", "left"]
"""What somebody did: typed, pressed, opened the home page, opened a fresh pane, added the bot, removed or blocked it."""


class UnsafeText(TypeError):
    """A card field holds text that was not made by bot.cards."""


class SendError(Exception):
    """The platform refused, or could not be reached at all: it certainly did not take the card.

    permanent    the address is gone or the card is bad; otherwise trying later can help
    everywhere   nothing can be sent to anybody just now: the platform is away, or a token is no longer good
    """

    def __init__(self, reason: str, *, permanent: bool, retry_after_s: float | None = None, everywhere: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent
        self.retry_after_s = retry_after_s
        self.everywhere = everywhere


class AmbiguousSend(Exception):
    """No answer came after the card was handed over. It may have arrived."""


class Wording(str):
    """Text that may leave the building. Made by bot.cards alone (`test_layout` holds that)."""

    __slots__ = ()


class Account(Wording):
    """An account on a chat platform, as part of a text. A platform may draw its own accounts as a mention; others show the id.

    raises UnsafeText   the id is no id: letters, digits and `-_:.` only
    """

    __slots__ = ()

    def __new__(cls, account: str) -> Account:
        if not account or len(account) > 200 or not all(c.isascii() and (c.isalnum() or c in "-_:./@") for c in account):
            raise UnsafeText("an account is named by its id")
        return super().__new__(cls, account)


@dataclass(frozen=True)
class Fact:
    label: Wording
    value: Wording


@dataclass(frozen=True)
class Source:
    """Where a sentence stands: SOP, version, step, and the verbatim passage."""

    sop: Wording
    version: int
    step: Wording
    quote: Wording
    title: Wording = field(default_factory=lambda: Wording(""))


@dataclass(frozen=True)
class Button:
    """A verb on a target. `needs` names what the person must add: until when, why, who they are, or what to say."""

    verb: str
    target: str
    label: Wording
    needs: Needs = ""
    style: Literal["primary", "plain", "danger"] = "plain"


@dataclass(frozen=True)
class Link:
    """A way to our own page. Code makes the address; nothing that was read or typed is part of it.

    raises UnsafeText   it is not a plain https address (or http on this machine)
    """

    label: Wording
    url: str

    def __post_init__(self) -> None:
        if not _URL.fullmatch(self.url):
            raise UnsafeText("a link is a plain address of ours")


_URL = re.compile(r"(?:https://[a-z0-9.-]+|http://(?:localhost|127\.0\.0\.1|\[::1\]))(?::\d{1,5})?/[A-Za-z0-9/_.~=?&-]*")


@dataclass(frozen=True)
class Card:
    """One message, drawn by each platform in full or as text; never with a part missing.

    raises UnsafeText   any text is a plain str
    """

    kind: Kind
    title: Wording
    text: Wording = field(default_factory=lambda: Wording(""))
    facts: tuple[Fact, ...] = ()
    sources: tuple[Source, ...] = ()
    buttons: tuple[Button, ...] = ()
    ref: str = ""
    """The opaque reference of the item this card is about, or empty."""
    links: tuple[Link, ...] = ()

    def __post_init__(self) -> None:
        texts: list[str] = [self.title, self.text]
        for fact in self.facts:
            texts += [fact.label, fact.value]
        for source in self.sources:
            texts += [source.sop, source.step, source.quote, source.title]
        texts += [button.label for button in self.buttons]
        texts += [link.label for link in self.links]
        for text in texts:
            if not isinstance(text, Wording):
                raise UnsafeText(f"a {self.kind} card holds text that cards.py did not make")

    def as_json(self) -> dict[str, Any]:
        """The card as the command contract prints it: buttons numbered from 1."""
        return {
            "title": str(self.title),
            "text": str(self.text),
            "facts": [{"label": str(f.label), "value": str(f.value)} for f in self.facts],
            "sources": [
                {
                    "sop": str(s.sop),
                    "version": s.version,
                    "step": str(s.step),
                    "quote": str(s.quote),
                    "title": str(s.title),
                }
                for s in self.sources
            ],
            "buttons": [
                {"n": n, "label": str(b.label), "needs": b.needs, "verb": b.verb, "target": b.target, "style": b.style}
                for n, b in enumerate(self.buttons, start=1)
            ],
            "ref": self.ref,
            **({"links": [{"label": str(link.label), "url": link.url} for link in self.links]} if self.links else {}),
        }


@dataclass(frozen=True)
class Ask:
    """A person asks something. `text` is what they typed; `thread` names the conversation that it belongs to."""

    person: str
    text: str
    at: datetime
    surface: Surface = "dm"
    thread: str = "console"
    platform: str = "console"


@dataclass(frozen=True)
class Press:
    """A person presses a button. `key` is the platform's identity of this one press: the same key acts once."""

    person: str
    verb: str
    target: str
    key: str
    at: datetime
    note: str = ""
    platform: str = "console"


@dataclass(frozen=True)
class Place:
    """Where something was typed or pressed: enough to answer there.

    team      Slack workspace or Teams tenant; empty on a platform that has one only
    channel   the conversation
    thread    the thread in it, or empty
    message   the message that was typed or that held the button, or empty
    """

    platform: str
    team: str
    channel: str
    thread: str = ""
    message: str = ""
    surface: Surface = "dm"


@dataclass(frozen=True)
class Attached:
    """A file that came with something heard: enough to fetch it later.

    name  as its sender called it; kept without what could name a patient
    id    the platform's id of it, where it has one
    url   where it can be fetched, where the platform says so; forgotten when the answer is given
    size  bytes; 0 where nobody said
    """

    name: str
    id: str = ""
    url: str = field(default="", repr=False)
    size: int = 0


@dataclass(frozen=True)
class Heard:
    """Something a person did on a chat platform, as its edge understood it. Kept before the platform is answered.

    key       the identity of this one act (an event's id; for a press our own id of the drawn button and who pressed it): what
              has the same key is the same act and takes effect once
    account   the platform's id of the person
    text      what was typed; redacted when it is kept
    details   what this platform needs to answer, beyond the place: ids and addresses, never what a person typed
    files     what was sent along with it
    """

    key: str
    act: Act
    account: str
    place: Place
    at: datetime
    text: str = ""
    verb: str = ""
    target: str = ""
    note: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Attached, ...] = ()

    def as_json(self) -> dict[str, Any]:
        files = [asdict(file) for file in self.files]
        return {**asdict(self), "details": dict(self.details), "at": self.at.isoformat(), "files": files}


def heard_from_json(data: Mapping[str, Any]) -> Heard:
    """What `Heard.as_json` wrote."""
    files = tuple(Attached(**file) for file in data.get("files", ()))
    return Heard(**{**data, "place": Place(**data["place"]), "at": datetime.fromisoformat(data["at"]), "files": files})


@dataclass(frozen=True)
class Reply:
    """What to show for something heard.

    card      None: there is nothing to show
    private   only the person it answers may see it; False only where everybody in the channel may
    took      for a press: it took effect, so the pressed message becomes this card; False: show it beside, to them alone
    prompts   what this person might ask next, for a pane that offers suggestions
    nudge     the nudge that the card shows, so that it is edited in place wherever it stands
    rest      what belongs to the answer and is for who asked alone, where the card itself is for everybody in the channel
    """

    card: Card | None
    private: bool = True
    took: bool = False
    prompts: tuple[Wording, ...] = ()
    nudge: str = ""
    rest: Card | None = None


@dataclass(frozen=True)
class Choice:
    """One choice of a form. `code` is what the core reads."""

    code: str
    label: Wording


@dataclass(frozen=True)
class Form:
    """What a button asks for before it does anything.

    title         at most 24 characters
    ask           the label of the choices
    typed         the label of the field to type in, at most 500 characters long; empty: there is none
    needs_choice  one of the choices must be picked; else either part will do
    """

    title: Wording
    ask: Wording
    choices: tuple[Choice, ...]
    typed: Wording
    hint: Wording
    send: Wording
    needs_choice: bool

    def note(self, code: str, typed: str) -> str:
        """The note of a press: the choice and what was typed, or what was typed in its place."""
        return f"{code} {typed}".strip() if self.needs_choice else (typed.strip() or code)


@dataclass(frozen=True)
class Receipt:
    """Where a sent card lives on its platform, so that it can be edited or found again."""

    channel: str
    message: str


class Platform(Protocol):
    """One chat service. Sends exactly when told, never retries by itself."""

    name: str
    may_repeat: bool
    """Whether a delivery of unknown fate may be sent a second time, marked as such, when it cannot be looked up."""

    def busy_s(self, address: str) -> float:
        """Seconds until something may be sent there under the platform's rate limits; 0 when it may be sent now."""
        ...

    def send(self, address: str, card: Card, marker: str) -> Receipt:
        """Deliver; `marker` is our own opaque id of this delivery, findable later.

        raises SendError, AmbiguousSend
        """
        ...

    def update(self, receipt: Receipt, card: Card) -> None:
        """Replace a sent card in place. raises SendError"""
        ...

    def find(self, address: str, marker: str, since: datetime) -> Receipt | None:
        """The delivery with this marker if it arrived after `since`, else None. raises AmbiguousSend where nobody can know."""
        ...


@dataclass(frozen=True)
class Known:
    """What a platform says of an account. `address` is where to write to it; `reference` what its edge needs to do so."""

    account: str
    team: str = ""
    email: str = ""
    address: str = ""
    reference: Mapping[str, str] = field(default_factory=dict)


class Chat(Platform, Protocol):
    """A chat service that people also talk to. Its edge turns what comes in into Heard and keeps it; a worker answers."""

    may_write_first: bool
    """Whether an account can be written to before it has added the bot."""

    def show(self, heard: Heard, reply: Reply, *, again: bool) -> Receipt | None:
        """Show an answer where it was asked for.

        again    an earlier attempt may have got through: look for it first
        returns  where the card now stands, if it can be edited there
        raises   SendError, AmbiguousSend
        """
        ...

    def who(self, team: str, account: str) -> Known | None:
        """What the platform knows of an account; None for a bot, a guest from outside, or nobody. raises SendError"""
        ...

    def by_email(self, email: str) -> Known | None:
        """The account with this e-mail address; None where there is none or the platform cannot tell. raises SendError"""
        ...

    def fetch(self, heard: Heard, file: Attached, into: BinaryIO, limit: int) -> None:
        """Write a file that came with something heard to `into`, if it has `limit` bytes at most. raises NotFetched"""
        ...

    def probe(self) -> Sequence[str]:
        """What keeps this platform from working, each in one sentence that says what to do: a token, a scope, an address."""
        ...

    def routes(self) -> list[Any]:
        """The HTTP routes (Starlette's) at which the service reaches us."""
        ...

    def start(self) -> None:
        """Open what listens (a socket connection, a pool). Returns at once."""
        ...

    def stop(self) -> None:
        """Close it again, letting what is under way end."""
        ...


class Front(Protocol):
    """What a chat's edge needs from the rest of the house. Every call may block and may come from any thread."""

    def hear(self, heard: Heard) -> bool:
        """Keep it where no crash can reach it; only then may the platform be told that it was received. A worker answers it.

        returns   False where it was kept before
        raises    CannotKeep
        """
        ...

    def answer(self, heard: Heard) -> Reply:
        """Keep it and do it now, for a platform that wants the answer in the same breath. Never raises for bad input.

        raises CannotKeep
        """
        ...

    def look(self, heard: Heard) -> Reply:
        """Like `answer` for what changes nothing and need not be kept: searching, a card redrawn for its reader."""
        ...

    def form(self, verb: str, platform: str) -> Form | None:
        """What the button with this verb asks for; None where it asks for nothing."""
        ...

    def objection(self, heard: Heard) -> Wording | None:
        """What is wrong with the note of a press, to be said in its form before it is sent; None where nothing is."""
        ...

    def sentence(self, code: str) -> Wording:
        """One of the sentences an edge may have to say by itself (`bot.cards.NOTICES`)."""
        ...

    def examples(self, platform: str, account: str) -> Sequence[Wording]:
        """Three questions this person might ask."""
        ...

    def links(self) -> Sequence[str]:
        """The hosts (with scheme) that a link in a card may lead to."""
        ...

    def reference(self, platform: str, address: str) -> Mapping[str, str]:
        """What `Known.reference` held for this address; empty where nothing is known."""
        ...


class NotFetched(Exception):
    """A file that was sent could not be had.

    why  gone: it is no longer there. forbidden: we may not read it. too_large. elsewhere: it stands where we do not fetch from.
         unreachable: no whole file came
    """

    def __init__(self, why: Literal["gone", "forbidden", "too_large", "elsewhere", "unreachable"]) -> None:
        super().__init__(why)
        self.why = why


class CannotKeep(Exception):
    """What was heard could not be stored: the platform must not be told that it was received."""


def card_from_json(data: Mapping[str, Any], kind: Kind) -> Card:
    """A stored card again, exactly as `Card.as_json` wrote it. For our own outbox rows only."""
    return Card(
        kind=kind,
        title=Wording(data["title"]),
        text=Wording(data["text"]),
        facts=tuple(Fact(Wording(f["label"]), Wording(f["value"])) for f in data["facts"]),
        sources=tuple(
            Source(Wording(s["sop"]), int(s["version"]), Wording(s["step"]), Wording(s["quote"]), Wording(s["title"]))
            for s in data["sources"]
        ),
        buttons=tuple(Button(b["verb"], b["target"], Wording(b["label"]), b["needs"], b["style"]) for b in data["buttons"]),
        ref=data["ref"],
        links=tuple(Link(Wording(link["label"]), link["url"]) for link in data.get("links", ())),
    )
