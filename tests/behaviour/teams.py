"""The driver for Teams: what a person does at a Teams client, and what they read there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from bot.platforms.teams import Teams
from bot.platforms.teams.trust import Cloud
from tests.behaviour.chat import Shown
from tests.behaviour.small import PRACTICE, Opens, Small
from tests.fakes.teams import Answer, FakeTeams, Json, NotSent, Posted, Pressable, aad, elements, pressables

PEOPLE = ("bea", "tom", "rae", "mona", "olu")
ADDRESSES = "\n[chat.teams]\n" + "".join(f'"{aad(person)}" = "{person}"\n' for person in PEOPLE)
"""The lines of a practice file that say whose the accounts are."""


@contextmanager
def on_teams(opens: Opens) -> Iterator[TeamsChat]:
    """A practice on our own loopback Teams. raises AssertionError at its end   something was sent that the gate refuses"""
    with closing(FakeTeams()) as fake:
        small = opens(practice=PRACTICE + ADDRESSES, settings={**fake.settings, "bundle_from": 0})
        microsoft = Teams.cloud
        Teams.cloud = Cloud(login=fake.url, openid=fake.openid_metadata_url)
        try:
            yield TeamsChat(small, fake)
        finally:
            Teams.cloud = microsoft


@dataclass
class _Read:
    """A card as it is read from top to bottom."""

    title: str = ""
    text: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    quotes: list[str] = field(default_factory=list)
    buttons: list[str] = field(default_factory=list)

    def shown(self) -> Shown:
        return Shown(self.title, "\n".join(self.text), self.facts, self.quotes, self.buttons)


class TeamsChat:
    """People of the practice at their Teams clients, each in the personal chat with the bot.

    small   a practice whose settings hold `fake.settings` and whose practice file ends with `ADDRESSES`; its Teams edge is
            built here, while `Teams.cloud` leads to the fake
    fake    a FakeTeams that is connected to nothing yet; whoever made it closes it
    """

    def __init__(self, small: Small, fake: FakeTeams) -> None:
        self.small = small
        self.fake = fake
        self._answers: set[str] = set()
        edge: Any = small.holdfast.chats["teams"]
        edge.busy_s = lambda address: 0.0  # lanes go by the real clock, and the clock of a test stands still
        fake.at_close.append(edge.stop)
        fake.connect(edge.routes())
        for person in small.holdfast.practice.people.values():
            fake.add(person.id, person.name, email=person.email)
            fake.install(person.id)
            self._work()
            self._answers |= {posted.id for posted in fake.chat_of(person.id)}

    def ask(self, person: str, words: str) -> Shown:
        return self._after(person, words, lambda: self.fake.say(person, words))

    def ask_among(self, person: str, others: Sequence[str], words: str) -> tuple[str, str]:
        channel = self.fake.add_channel("front-desk", [person, *others])
        before = {posted.id for posted in (*self.fake.chat_of(person), *self.fake.messages(channel.id))}
        self.fake.mention(person, channel, words)
        self._work()
        open_to_all, alone = self.fake.messages(channel.id), self.fake.chat_of(person)
        return _all(open_to_all, before), _all(alone, before)

    def send(self, person: str, name: str, data: bytes) -> Shown:
        return self._after(person, name, lambda: self.fake.share(person, name, data))

    def _after(self, person: str, words: str, act: Callable[[], Answer]) -> Shown:
        before = {posted.id for posted in self.fake.chat_of(person)}
        answer = act()
        assert answer.status in (200, 202), f"{person} sent {words[:40]!r}, and the bot answered {answer.status}"
        self._work()
        fresh = [posted for posted in self.fake.chat_of(person) if posted.id not in before]
        assert fresh, f"nothing came back to {words[:40]!r}"
        self._answers |= {posted.id for posted in fresh}
        return self._messages(person, fresh)[0]

    def press(self, person: str, label: str, note: str = "", *, about: str = "") -> Shown:
        for posted in reversed(self.fake.chat_of(person)):
            card = self.fake.seen(person, posted)
            button = next((each for each in pressables(card) if each.label == label), None)
            if button and about in read_cards([card]).all:
                return self._pressed(person, posted, button, note)
        raise AssertionError(f"{person} sees no button {label!r}")

    def inbox(self, person: str) -> list[Shown]:
        brought = [posted for posted in self.fake.chat_of(person) if posted.id not in self._answers]
        return self._messages(person, brought)

    def _pressed(self, person: str, posted: Posted, button: Pressable, note: str) -> Shown:
        before = {each.id for each in self.fake.chat_of(person)}
        answer = self._send(person, posted, button, note)
        assert answer.status == 200, f"{person} pressed {button.label!r}, and the bot answered {answer.status}"
        self._work()
        if answer.body.get("type") == "application/vnd.microsoft.activity.message":
            stands = read_cards([self.fake.seen(person, posted)])  # the sentence is shown beside it, and the form stays open
            return replace(stands, text="\n".join([answer.body["value"], stands.text]))
        fresh = [each for each in self.fake.chat_of(person) if each.id not in before]
        self._answers |= {each.id for each in fresh if each.activity.get("replyToId") == posted.id}
        return read_cards([answer.body["value"]])

    def _send(self, person: str, posted: Posted, button: Pressable, note: str) -> Answer:
        """Fill in the form and send it. Where the client would not send it, a client that does not check sends it after all."""
        inputs = fill_in(button, note)
        try:
            return self.fake.press(person, posted, button, inputs)
        except NotSent as refused:
            assert str(refused), f"{button.label!r} does not say which input is missing"
            return self.fake.press(person, posted, button, inputs, checked=False)

    def _messages(self, person: str, posted: Sequence[Posted]) -> list[Shown]:
        """Messages as they stand before a person; what continues a card belongs to it."""
        cards = [self.fake.seen(person, each) for each in posted]
        groups: list[list[Json]] = []
        for card in cards:
            if groups and _continues(card):
                groups[-1].append(card)
            else:
                groups.append([card])
        return [read_cards(group) for group in groups]

    def _work(self) -> None:
        self.small.holdfast.work()
        assert not self.fake.faults, "\n".join(self.fake.faults)


def _all(posted: Sequence[Posted], before: set[str]) -> str:
    """Everything that can be read on the messages that were not there before."""
    fresh = [each for each in posted if each.id not in before]
    return "\n".join(each.activity.get("text", "") + (read_cards([each.card]).all if each.card else "") for each in fresh)


def fill_in(button: Pressable, note: str) -> dict[str, str]:
    """A note as somebody enters it: the choice that it begins with is picked and the rest is typed; else all of it is typed."""
    picks = [each for each in button.inputs if each["type"] == "Input.ChoiceSet"]
    types = [each for each in button.inputs if each["type"] == "Input.Text"]
    filled, rest = {}, note
    for each in picks:
        words = {word: c["value"] for c in each["choices"] for word in (c["value"], c["title"], c["value"].replace("-", " "))}
        for word in sorted(words, key=len, reverse=True):
            after = note[len(word) :]
            if note.lower().startswith(word.lower()) and (not after or (each.get("isRequired") and not after[0].isalnum())):
                filled[each["id"]], rest = words[word], after.lstrip(" :,;-")
                break
    if types and rest:
        filled[types[0]["id"]] = rest
    return filled


# --- reading a card --------------------------------------------------------------------------------------------------------


def read_cards(cards: Sequence[Json]) -> Shown:
    """An Adaptive Card, with those that continue it, as a reader sees it."""
    read = _Read()
    for card in cards:
        _read_body(card, read, is_first=card is cards[0])
        for button in pressables(card):
            read.buttons += [button.label] if button.label not in read.buttons or not button.in_form else []
    return read.shown()


def _read_body(card: Json, read: _Read, *, is_first: bool) -> None:
    blocks = [element for element in card.get("body", []) if element.get("isVisible") is not False]
    fact = ""
    for element in blocks:
        kind, runs = element["type"], list(_runs(element))
        text = "".join(run["text"] for run in runs)
        if kind == "FactSet":
            read.facts |= {each["title"]: each["value"] for each in element["facts"]}
        elif kind == "Container":
            _read_source(element, read)
        elif not runs or all(run.get("isSubtle") for run in runs):
            continue  # buttons; or what only guides the eye: the reference, “continues below”
        elif _is_title(runs):
            read.title = (read.title + text) if is_first else read.title
        elif fact and element.get("spacing") == "none":
            read.facts[fact] = "\n".join(part for part in (read.facts[fact], text) if part)
            continue
        elif _is_bold(runs[0]) and len(runs) > 1 and (label := _bold_start(runs)).endswith(": "):
            read.facts[label.removesuffix(": ")] = text.removeprefix(label)
        elif all(_is_bold(run) for run in runs) and "spacing" not in element:
            fact = text
            read.facts[fact] = ""
            continue
        else:
            read.text.append(text)
        fact = ""


def _read_source(container: Json, read: _Read) -> None:
    """One quoted passage: the lines below the place that it stands at."""
    lines: list[str] = []
    is_new = False
    for element in container["items"]:
        runs = list(_runs(element))
        if runs and all(run.get("isSubtle") for run in runs):
            is_new = True
            lines.clear()  # what stood above it was the title
            continue
        lines.append("".join(run["text"] for run in runs).replace("\u2003", "  "))
    if is_new or not read.quotes:
        read.quotes.append("\n".join(lines))
    else:
        read.quotes[-1] += "\n" + "\n".join(lines)


def _runs(element: Json) -> Iterator[Json]:
    """The pieces of text of one element, each with how it is drawn."""
    if element["type"] == "TextBlock":
        yield element
    elif element["type"] == "RichTextBlock":
        yield from ({"text": run} if isinstance(run, str) else run for run in element["inlines"])


def _is_title(runs: Sequence[Json]) -> bool:
    return all(run.get("size") == "large" for run in runs)


def _is_bold(run: Json) -> bool:
    return run.get("weight") == "bolder" and "color" not in run


def _bold_start(runs: Sequence[Json]) -> str:
    said = ""
    for run in runs:
        if not _is_bold(run):
            break
        said += run["text"]
    return said


def _continues(card: Json) -> bool:
    """Whether this card goes on with what did not fit into the one before it."""
    return any(_is_subtle(element, "Continued") for element in elements(card))


def _is_subtle(element: Json, text: str) -> bool:
    runs: list[Any] = list(_runs(element))
    return bool(runs) and all(run.get("isSubtle") for run in runs) and "".join(run["text"] for run in runs) == text
