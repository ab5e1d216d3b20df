"""What the page and the plain terminal need from the rest of the house: Desk, and the views it gives.

`bot.app` implements it. Every call may block (database, a sweep while time is skipped) and may come from any thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from bot.chat import Card, Wording
from bot.platforms.console import Message

NoticeCode = Literal[
    "no_such_person",  # `as` names nobody of the roster
    "several_people",  # `as` names more than one
    "no_card",  # nothing with a button has reached this person
    "no_button",  # n, last: there is no button n; the card's buttons go from 1 to last
    "press_what",  # `press` was not followed by the number of a button
    "when_unclear",  # a time we cannot read: what can be typed instead
    "skip_unclear",  # the same, after `skip`
    "skip_back",  # the clock only goes forward
    "skip_far",  # days: further ahead than one skip goes
    "cannot_skip",  # this is not the demo: the clock is the real one
    "too_long",  # limit: characters one line may have
    "inbox_empty",  # nothing has reached this person
    "no_record",  # no item has that reference
    "sign_in_first",  # how to sign in to the page
    "link_over",  # a one-time link that opens nothing any more, or never did
    "too_many_tries",  # so many of them that none is looked up for a moment
    "file_too_large",  # a file that is not even received
    "no_file",  # a form for a file that came without one
    "failed",  # a fault of ours; it is in the log
]
"""Everything the page or the terminal may have to say by itself. The sentences are written in bot.cards."""


KINDS = {
    "answer": "Answer",
    "nearest": "Nearest found",
    "refusal": "Not in the SOPs",
    "checklist": "Step by step",
    "nudge": "Needs you",
    "escalation": "Escalated to you",
    "exception": "Exception",
    "review": "Review",
    "digest": "Stand-up",
    "my_day": "My day",
    "notice": "Notice",
    "reply": "Holdfast",
}
"""What a card is, in a reader's words."""


@dataclass(frozen=True)
class PersonView:
    """One person of the roster. `zone` is the IANA time zone of their site."""

    id: str
    name: str
    roles: tuple[str, ...]
    site: str
    zone: str
    on_shift: bool


@dataclass(frozen=True)
class Reason:
    """One choice where a button asks why. `code` is what the core reads at the start of a note."""

    code: str
    label: str


@dataclass(frozen=True)
class TrailRow:
    """One row of the evidence about an item, in a sentence. `hash` is the short form; `sop` is empty where no step applies."""

    at: datetime
    who: str
    what: str
    seq: int
    hash: str
    sop: str = ""
    version: int = 0
    step: str = ""


@dataclass(frozen=True)
class Look:
    """What a reference stands for, for a person on duty; otherwise only `refusal`, one sentence."""

    kind: str = ""
    site: str = ""
    keys: tuple[tuple[str, str], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    refusal: str = ""


@dataclass(frozen=True)
class FeedView:
    name: str
    as_of: datetime | None
    stale: bool


@dataclass(frozen=True)
class Status:
    """How the installation is: feeds, last sweep, what could not be delivered, ledger length and short head, library level."""

    feeds: tuple[FeedView, ...]
    swept_at: datetime | None
    undelivered: int
    ledger: int
    head: str
    library: str


class Desk(Protocol):
    """The practice as one person at a screen sees it."""

    can_skip: bool

    @property
    def practice_name(self) -> str: ...

    def now(self) -> datetime:
        """Aware UTC: the demo's clock, or the real one."""
        ...

    def people(self) -> Sequence[PersonView]:
        """Everybody who works here. The first is whom a newcomer starts as."""
        ...

    def next_opening(self, person: str) -> datetime:
        """The next instant after now at which this person's site opens."""
        ...

    def welcome(self, person: str) -> Wording:
        """Who you are and what to do first, for somebody who sees this for the first time."""
        ...

    def examples(self, person: str) -> Sequence[Wording]:
        """Three questions this person might ask."""
        ...

    def reasons(self, verb: str) -> Sequence[Reason]:
        """The choices where a button with this verb asks why."""
        ...

    def messages(self, person: str, after: int = 0) -> Sequence[Message]:
        """The conversation of one person, oldest first: `Console.inbox`."""
        ...

    def wait(self, seen: str, timeout_s: float) -> str:
        """`Console.wait`: the version of all messages once it is not `seen`."""
        ...

    def ask(self, person: str, text: str) -> Card:
        """The answer. Keeps the redacted words (`Console.hear`) and the answer (`Console.reply`) in the conversation."""
        ...

    def may_bring(self, person: str) -> bool:
        """Whether this person may send SOP files to be imported."""
        ...

    def bring(self, person: str, name: str, path: Path, key: str) -> Card:
        """The report on an SOP file: kept as a draft, or why not. Keeps its redacted name and the report in the conversation.

        name   as the sender called it; `path` is where it stands meanwhile. The same `key` is on record once
        """
        ...

    def press(self, person: str, verb: str, target: str, note: str, key: str) -> Card:
        """The card that replaces the pressed one, here and wherever else it is shown. The same `key` acts once.

        note   until: an instant as ISO 8601 in UTC; reason: a Reason's code, then what was typed, or only what was typed
        """
        ...

    def my_day(self, person: str) -> Card: ...

    def digest(self, person: str) -> Card:
        """The stand-up of the sites this person manages; for others a card that says who may read it."""
        ...

    def trail(self, person: str, ref: str) -> Sequence[TrailRow]:
        """The evidence about one item, oldest first; empty where the reference is unknown."""
        ...

    def look(self, person: str, ref: str) -> Look | None:
        """What the reference stands for. The look itself is recorded. None where the reference is unknown."""
        ...

    def status(self) -> Status: ...

    def skip(self, to: datetime) -> None:
        """Move the demo's clock forward to `to`, doing on the way everything that falls due."""
        ...

    def notice(self, code: NoticeCode, **typed: int) -> Card:
        """One clear sentence, as a card of kind "reply"."""
        ...
