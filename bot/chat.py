"""The neutral words of a chat: Ask, Press, Card, Fact, Source, Button, and the Platform seam.

Every text on a Card is `Wording`: only `bot.cards` makes it, from our templates, typed values and approved SOP text. A plain
string is refused when the card is built, so text from a connector has no road to a reader.

    UnsafeText          a card was built from text that cards.py did not make: a fault of ours, never shown
    SendError           the platform did not take a card; `permanent` says whether trying again can help
    AmbiguousSend       the platform may or may not have taken it: look before sending again
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

Kind = Literal["answer", "refusal", "nudge", "escalation", "exception", "review", "digest", "my_day", "notice", "reply"]
Needs = Literal["", "until", "reason"]
Surface = Literal["dm", "channel"]


class UnsafeText(TypeError):
    """A card field holds text that was not made by bot.cards."""


class SendError(Exception):
    """The platform refused. `permanent`: the address is gone or the card is bad; otherwise trying later can help."""

    def __init__(self, reason: str, *, permanent: bool, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent
        self.retry_after_s = retry_after_s


class AmbiguousSend(Exception):
    """No answer came after the card was handed over. It may have arrived."""


class Wording(str):
    """Text that may leave the building. Made by bot.cards alone (`test_layout` holds that)."""

    __slots__ = ()


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
    """A verb on a target. `needs` names what the person must add: until when, or why."""

    verb: str
    target: str
    label: Wording
    needs: Needs = ""
    style: Literal["primary", "plain", "danger"] = "plain"


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

    def __post_init__(self) -> None:
        texts: list[str] = [self.title, self.text]
        for fact in self.facts:
            texts += [fact.label, fact.value]
        for source in self.sources:
            texts += [source.sop, source.step, source.quote, source.title]
        texts += [button.label for button in self.buttons]
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
        }


@dataclass(frozen=True)
class Ask:
    """A person asks something. `text` is what they typed, already redacted by whoever received it."""

    person: str
    text: str
    at: datetime
    surface: Surface = "dm"


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
class Receipt:
    """Where a sent card lives on its platform, so that it can be edited or found again."""

    channel: str
    message: str


class Platform(Protocol):
    """One chat service. Sends exactly when told, never retries by itself."""

    name: str

    def send(self, address: str, card: Card, marker: str) -> Receipt:
        """Deliver; `marker` is our own opaque id of this delivery, findable later.

        raises SendError, AmbiguousSend
        """
        ...

    def update(self, receipt: Receipt, card: Card) -> None:
        """Replace a sent card in place. raises SendError"""
        ...

    def find(self, address: str, marker: str) -> Receipt | None:
        """The delivery with this marker if it arrived, else None. raises AmbiguousSend where it cannot be known."""
        ...


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
    )
