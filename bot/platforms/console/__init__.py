"""The console: a chat service of our own, kept in a table, for trying everything with neither Slack nor Teams.

It behaves as a real service does. It keeps what it is given, twice if given twice; it edits in place; it can be asked whether
a delivery arrived. Beside the deliveries it keeps each person's conversation: what they asked (already redacted) and what was
answered. The local page (`page`) and the plain terminal (`plain`) show it; `desk` says what they need from the rest.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import Engine, func
from sqlmodel import col, select

from bot.chat import Card, Kind, Receipt, SendError, card_from_json
from bot.records import ConsoleMessage, read, write

ASKED = "asked"
_POLL_S = 1.0
_JOINER = "\u200d"  # holds emoji together
_UNSEEN = ("Cc", "Cf", "Cs", "Cn", "Co")


@dataclass(frozen=True)
class Message:
    """One line of a person's conversation: their own words, or a card.

    id          grows with every message of anybody
    updated_at  when it was last replaced in place, or None
    card        None where this is what the person asked
    words       what the person asked, else empty
    delivered   True where the outbox brought it; False for questions and the answers to them
    """

    id: int
    at: datetime
    updated_at: datetime | None
    kind: str
    card: Card | None
    words: str = ""
    delivered: bool = False


class Console:
    """bot.chat.Platform over `console_message`, each call its own transaction. An address is a person's id.

    now   the clock that stamps messages (the demo's or the real one), read once per call
    """

    name = "console"
    may_repeat = True

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now
        self._changed = threading.Condition()

    def send(self, address: str, card: Card, marker: str) -> Receipt:
        """Keep the card as a new message. The same marker again is a second message, as it is on a real service."""
        return self._keep(ConsoleMessage(person=address, marker=marker, kind=card.kind, card=card.as_json(), at=self._now()))

    def update(self, receipt: Receipt, card: Card) -> None:
        """Replace a message in place. raises SendError (permanent) where there is no such message."""
        with write(self._engine) as session:
            row = session.get(ConsoleMessage, int(receipt.message)) if receipt.message.isdecimal() else None
            if row is None or row.person != receipt.channel:
                raise SendError("the console holds no such message", permanent=True)
            newest = session.exec(select(func.max(ConsoleMessage.updated_at))).one()
            row.kind, row.card = card.kind, card.as_json()
            row.updated_at = self._after(newest)
            session.add(row)
        self._tell()

    def busy_s(self, address: str) -> float:
        """Never: a table has no rate limit."""
        return 0.0

    def find(self, address: str, marker: str, since: datetime) -> Receipt | None:
        """The first message with this marker that reached this person, or None."""
        with read(self._engine) as session:
            query = select(ConsoleMessage.id).where(ConsoleMessage.person == address, ConsoleMessage.marker == marker)
            found = session.exec(query.order_by(col(ConsoleMessage.id)).limit(1)).first()
        return None if found is None else Receipt(channel=address, message=str(found))

    def hear(self, person: str, words: str) -> None:
        """Keep what a person asked, in their own conversation only. `words` come already redacted."""
        self._keep(ConsoleMessage(person=person, marker="", kind=ASKED, card={"words": clean(words)}, at=self._now()))

    def reply(self, person: str, card: Card) -> Receipt:
        """Keep an answer in the person's conversation, below what they asked."""
        return self.send(person, card, marker="")

    def inbox(self, person: str, after: int = 0) -> list[Message]:
        """The person's conversation, oldest first: the messages whose id is above `after`."""
        with read(self._engine) as session:
            query = select(ConsoleMessage).where(ConsoleMessage.person == person, col(ConsoleMessage.id) > after)
            return [_message(row) for row in session.exec(query.order_by(col(ConsoleMessage.id)))]

    def last(self) -> int:
        """The id of the newest message of anybody, 0 where there is none."""
        with read(self._engine) as session:
            return session.exec(select(func.max(ConsoleMessage.id))).one() or 0

    def version(self) -> str:
        """A word that changes whenever any message is added or replaced, by whichever process."""
        with read(self._engine) as session:
            newest, edited = session.exec(select(func.max(ConsoleMessage.id), func.max(ConsoleMessage.updated_at))).one()
        return f"{newest or 0}.{edited.timestamp() if edited else 0}"

    def wait(self, seen: str, timeout_s: float) -> str:
        """The version as soon as it differs from `seen`, or the same one after `timeout_s` seconds.

        Changes made in this process are told at once; another process's are found by looking every second.
        """
        left = timeout_s
        with self._changed:
            while (version := self.version()) == seen and left > 0:
                self._changed.wait(min(_POLL_S, left))
                left -= _POLL_S
        return version

    def _keep(self, row: ConsoleMessage) -> Receipt:
        with write(self._engine) as session:
            session.add(row)
            session.flush()
            receipt = Receipt(channel=row.person, message=str(row.id))
        self._tell()
        return receipt

    def _after(self, newest: datetime | None) -> datetime:
        """Now, but later than every edit so far: a demo clock stands still, and yet each edit must be noticed."""
        now = self._now()
        return now if newest is None or newest < now else newest + timedelta(microseconds=1)

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()


BOLD = re.compile(r"\*\*([^*\n]+)\*\*")
_SOFT = re.compile(r"(?<!\n)\n(?!\n|\s*(?:[-*+]|\d+[.)])\s|\s*\|)")


def flowing(text: str) -> str:
    """A quote as a reader sees it: line breaks that Markdown means as blanks are blanks; lists and paragraphs stay."""
    return _SOFT.sub(" ", text)


def without_marks(text: str) -> str:
    """A quote for a terminal: flowing, and without Markdown's stars for bold."""
    return BOLD.sub(r"\1", flowing(text))


def clean(text: str) -> str:
    """`text` without control, direction and half characters: what is left can be stored, shown and read aloud."""
    spaced = (" " if char.isspace() else char for char in text)
    return "".join(char for char in spaced if char == _JOINER or unicodedata.category(char) not in _UNSEEN).strip()


def _message(row: ConsoleMessage) -> Message:
    asked = row.kind == ASKED
    return Message(
        id=row.id or 0,
        at=row.at,
        updated_at=row.updated_at,
        kind=row.kind,
        card=None if asked else card_from_json(row.card, cast("Kind", row.kind)),
        words=str(row.card.get("words", "")) if asked else "",
        delivered=row.marker != "",
    )
