"""A chat as its people see it, the same for every platform: one driver for each of them, below `Chat`."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bot.chat import Card
from tests.behaviour.platforms import LACK
from tests.behaviour.small import Small


@dataclass(frozen=True)
class Shown:
    """A message as it stands before a reader now.

    buttons   the labels, in order
    facts     label -> value
    quotes    the passages quoted from SOPs
    """

    title: str
    text: str
    facts: Mapping[str, str]
    quotes: Sequence[str]
    buttons: Sequence[str]

    @property
    def all(self) -> str:
        """Everything that can be read on it."""
        lines = [self.title, self.text, *(f"{label}: {value}" for label, value in self.facts.items()), *self.quotes]
        return "\n".join([*lines, *self.buttons])


class Chat(Protocol):
    """One person after the other at their chat. `small` is the practice behind it."""

    small: Small

    def ask(self, person: str, words: str) -> Shown:
        """What comes back when a person types something."""
        ...

    def ask_among(self, person: str, others: Sequence[str], words: str) -> tuple[str, str]:
        """Ask in a channel with these others: what everybody there reads of the answer, and what its asker alone reads."""
        ...

    def send(self, person: str, name: str, data: bytes) -> Shown:
        """What comes back when a person sends a file without a word."""
        ...

    def press(self, person: str, label: str, note: str = "", *, about: str = "") -> Shown:
        """The card after pressing the button with this label on the newest card before this person that has it.

        note    what the person adds where the button asks
        about   press on the newest card that has this text, instead
        """
        ...

    def inbox(self, person: str) -> list[Shown]:
        """The messages that were brought to a person, oldest first, each as it stands now."""
        ...


class ConsoleChat:
    """The console platform, through the same calls as the page and the plain terminal."""

    def __init__(self, small: Small) -> None:
        self.small = small
        self._replied: dict[str, list[Card]] = {}

    def ask(self, person: str, words: str) -> Shown:
        card = self.small.holdfast.ask(person, words)
        self._replied.setdefault(person, []).append(card)
        return shown(card)

    def ask_among(self, person: str, others: Sequence[str], words: str) -> tuple[str, str]:
        raise NotImplementedError(LACK["channels"]["console"])

    def send(self, person: str, name: str, data: bytes) -> Shown:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "sent")
            path.write_bytes(data)
            return shown(self.small.holdfast.bring(person, name, path, secrets.token_hex(8)))

    def press(self, person: str, label: str, note: str = "", *, about: str = "") -> Shown:
        for card in reversed(self._cards(person)):
            button = next((b for b in card.buttons if b.label == label), None)
            if button and about in shown(card).all:
                after = self.small.holdfast.press(person, button.verb, button.target, note, secrets.token_hex(8))
                if after.kind in ("answer", "checklist"):  # no outbox holds these
                    self._replied.setdefault(person, []).append(after)
                return shown(after)
        raise AssertionError(f"{person} sees no button {label!r}")

    def inbox(self, person: str) -> list[Shown]:
        return [shown(message.card) for message in self.small.holdfast.messages(person) if message.delivered and message.card]

    def _cards(self, person: str) -> list[Card]:
        """What is before a person: what was brought, then what answered their own questions."""
        brought = [m.card for m in self.small.holdfast.messages(person) if m.delivered and m.card]
        return brought + self._replied.get(person, [])


def shown(card: Card) -> Shown:
    """A neutral card as a reader sees it."""
    return Shown(
        str(card.title),
        str(card.text),
        {str(fact.label): str(fact.value) for fact in card.facts},
        [str(source.quote) for source in card.sources],
        [str(button.label) for button in card.buttons],
    )
