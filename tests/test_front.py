"""The front of the house with a chat service that only remembers: who is let in, what is answered, what goes out together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.chat import Card, Chat, Heard, Known, Place, Receipt, Reply
from bot.records import Incoming, read
from tests.behaviour.small import PRACTICE, START, Claim, Small, at, published_home

STALLED = at("2026-03-04", "08:30")
EMAIL = PRACTICE.replace('name = "Bea Lindqvist"', 'name = "Bea Lindqvist"\nemail = "bea@two.example"')
NAMED = PRACTICE + '\n[chat.slack]\nU0BEA = "bea"\nU0MONA = "mona"\nU0OLU = "olu"\n'


class Remembers:
    """A chat service of which all that was sent and shown can be read."""

    name = "slack"
    may_repeat = True
    may_write_first = True

    def __init__(self) -> None:
        self.sent: list[tuple[str, Card]] = []
        self.edited: list[Card] = []
        self.shown: list[Reply] = []
        self.emails: dict[str, str] = {}

    def busy_s(self, address: str) -> float:
        return 0.0

    def send(self, address: str, card: Card, marker: str) -> Receipt:
        self.sent.append((address, card))
        return Receipt(address, str(len(self.sent)))

    def update(self, receipt: Receipt, card: Card) -> None:
        self.edited.append(card)

    def find(self, address: str, marker: str, since: datetime) -> Receipt | None:
        return None

    def show(self, heard: Heard, reply: Reply, *, again: bool) -> Receipt | None:
        self.shown.append(reply)
        return Receipt(heard.place.channel, f"shown-{len(self.shown)}")

    def who(self, team: str, account: str) -> Known | None:
        return Known(account, team, self.emails.get(account, ""), account)

    def by_email(self, email: str) -> Known | None:
        return next((Known(a, "T1", email, a) for a, known in self.emails.items() if known == email), None)

    def probe(self) -> Sequence[str]:
        return ()

    def routes(self) -> list[Any]:
        return []

    def start(self) -> None:
        """Nothing to open."""

    def stop(self) -> None:
        """Nothing to close."""


Opened = tuple[Small, Remembers]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("published")
    published_home(home)
    return home


@pytest.fixture
def opens(published: Path, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    opened: list[Small] = []

    def open_one(practice: str = NAMED, **settings: Any) -> Opened:
        small = Small.open(published, tmp_path / "home", practice=practice)
        chat = Remembers()
        small.holdfast.settings = replace(small.holdfast.settings, **settings)
        chats: Mapping[str, Chat] = {"slack": chat}
        small.holdfast.__dict__["_chats"] = chats
        opened.append(small)
        return small, chat

    yield open_one
    for small in opened:
        small.holdfast.close()


def heard(
    small: Small, account: str, act: Any = "ask", *, key: str, after_s: float = 0.0, team: str = "T1", **more: Any
) -> Heard:
    place = Place("slack", team, f"D-{account}", message=more.pop("message", ""))
    return Heard(key, act, account, place, small.clock.now() + timedelta(seconds=after_s), **more)


def told(small: Small, chat: Remembers, what: Heard) -> Card | None:
    """What is shown for one thing heard; None where nothing is."""
    before = len(chat.shown)
    small.holdfast.front.hear(what)
    small.holdfast.work()
    return chat.shown[-1].card if len(chat.shown) > before else None


def test_an_account_with_a_known_address_is_its_person_at_once(opens: Callable[..., Opened]) -> None:
    """Without this everybody of the practice must be typed into a file by account id."""
    small, chat = opens(EMAIL)
    chat.emails["U9"] = "bea@two.example"
    card = told(small, chat, heard(small, "U9", key="e1", text="my day"))
    assert card is not None
    assert card.kind == "my_day"
    assert [what for what in small.told() if what.startswith("account")] == ["account linked"]


def test_a_stranger_is_shown_nothing_until_a_manager_confirms_who_it_is(opens: Callable[..., Opened]) -> None:
    """Without this anybody in the workspace could read the SOPs and press buttons in another's name."""
    small, chat = opens(PRACTICE + '\n[chat.slack]\nU0MONA = "mona"\n')
    card = told(small, chat, heard(small, "U9", key="e1", text="How do I post an ERA?"))
    assert card is not None
    assert (card.title, card.sources, [b.verb for b in card.buttons]) == ("Who are you?", (), ["claim"])
    told(small, chat, heard(small, "U9", "press", key="p1", verb="claim", target="U9", note="bea"))
    address, asked = chat.sent[-1]
    assert (address, asked.title) == ("U0MONA", "Is this Bea Lindqvist?")
    confirm = asked.buttons[0]
    told(small, chat, heard(small, "U0MONA", "press", key="p2", verb=confirm.verb, target=confirm.target))
    assert chat.sent[-1][0] == "U9"
    card = told(small, chat, heard(small, "U9", key="e2", text="How do I post an ERA?"))
    assert card is not None
    assert card.kind == "answer"
    assert "account claimed" in small.told()


def test_nobody_confirms_themselves(opens: Callable[..., Opened]) -> None:
    """Without this a stranger becomes the manager by saying so twice."""
    small, chat = opens(PRACTICE + '\n[chat.slack]\nU0BEA = "bea"\nU0OLU = "olu"\n')
    told(small, chat, heard(small, "U9", "press", key="p1", verb="claim", target="U9", note="mona"))
    address, asked = chat.sent[-1]
    assert address == "U0OLU"
    card = told(small, chat, heard(small, "U0BEA", "press", key="p2", verb="confirm_claim", target=asked.buttons[0].target))
    assert card is not None
    assert "Somebody in charge decides" in card.text
    assert "press refused" in small.told()


def test_a_foreign_workspace_is_told_nothing(opens: Callable[..., Opened]) -> None:
    """Without this whoever installs the app elsewhere is believed when they give a member of staff's address."""
    small, chat = opens(EMAIL, slack_client_id="1.2", slack_teams=("T1",))
    chat.emails["T9/U9"] = "bea@two.example"
    card = told(small, chat, heard(small, "T9/U9", key="e1", team="T9", text="my day"))
    assert card is not None
    assert "does not belong" in card.text
    assert [what for what in small.told() if what.startswith("account")] == []


def test_a_double_click_is_one_press_and_a_later_one_is_answered(opens: Callable[..., Opened]) -> None:
    """Without this a nervous finger acts twice, or a button stays mute for good."""
    small, chat = opens()
    for key, pressed_at, after_s, answers in (("p", "1", 0, 1), ("p", "2", 0.4, 1), ("p", "3", 60, 2)):
        told(small, chat, heard(small, "U0BEA", "press", key=key, verb="my_day", target="me", after_s=after_s,
                                details={"pressed_at": pressed_at}))  # fmt: skip
        assert len(chat.shown) == answers


def test_what_people_type_is_kept_without_names_and_numbers(opens: Callable[..., Opened]) -> None:
    """Without this the inbox is a list of patients."""
    small, chat = opens()
    told(small, chat, heard(small, "U0BEA", key="e1", text="Why was claim 55512345 of Jolene Quackenbush denied?"))
    with read(small.holdfast.engine) as session:
        kept = str(session.get_one(Incoming, "e1").heard)
    assert "Quackenbush" not in kept
    assert "55512345" not in kept


def test_many_at_once_are_one_message_and_each_can_be_opened(opens: Callable[..., Opened]) -> None:
    """Without this a bad morning is seven interruptions."""
    small, chat = opens()
    small.report("harbor", *(Claim(f"C-{n}", START - timedelta(minutes=30)) for n in range(1, 8)))
    small.report("pine")
    small.until(STALLED)
    mine = [card for address, card in chat.sent if address == "U0BEA"]
    assert [card.title for card in mine] == ["7 matters for you"]
    assert len(small.events("nudge sent")) == 7
    opened = next(b for b in mine[0].buttons if b.verb == "show")
    card = told(small, chat, heard(small, "U0BEA", "press", key="p1", verb="show", target=opened.target, message="1"))
    assert card is not None
    assert card.title == "Claim not touched · $1,250.00"
    done = next(b for b in card.buttons if b.verb == "done")
    told(small, chat, heard(small, "U0BEA", "press", key="p2", verb="done", target=done.target, message="shown-1"))
    assert any(edited.title == "7 matters for you" and "said done" in edited.text for edited in chat.edited)
    assert any(edited.title == card.title and "said done" in edited.text for edited in chat.edited)
