"""The front of the house with a chat service that only remembers: who is let in, what is answered, what goes out together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, BinaryIO

import pytest
from sqlmodel import select

from bot import signin
from bot.app import Holdfast
from bot.chat import Attached, Card, Chat, Heard, Known, NotFetched, Place, Receipt, Reply
from bot.records import Incoming, read
from bot.signin import SignedIn
from tests.behaviour.small import PRACTICE, STALLED, START, Claim, Opens, Small, at
from tests.fakes.serving import wait_for

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

    def fetch(self, heard: Heard, file: Attached, into: BinaryIO, limit: int) -> None:
        raise NotFetched("gone")

    def probe(self) -> Sequence[str]:
        return ()

    def routes(self) -> list[Any]:
        return []

    def start(self) -> None:
        """Nothing to open."""

    def stop(self) -> None:
        """Nothing to close."""


Opened = tuple[Small, Remembers]


@pytest.fixture
def opens(opens: Opens) -> Callable[..., Opened]:
    """Opens practices whose chat service only remembers."""

    def open_one(practice: str = NAMED, **settings: Any) -> Opened:
        small = opens(practice=practice)
        chat = Remembers()
        small.holdfast.settings = replace(small.holdfast.settings, **settings)
        chats: Mapping[str, Chat] = {"slack": chat}
        small.holdfast.__dict__["_chats"] = chats
        return small, chat

    return open_one


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


def test_a_refused_decision_is_on_record_once_a_press(opens: Callable[..., Opened]) -> None:
    """Lost: a platform that repeats itself fills the ledger with presses that nobody made."""
    small, chat = opens(PRACTICE + '\n[chat.slack]\nU0BEA = "bea"\nU0OLU = "olu"\n')
    told(small, chat, heard(small, "U9", "press", key="p1", verb="claim", target="U9", note="mona"))
    confirm, refuse = chat.sent[-1][1].buttons
    for key, button in (("p2", confirm), ("p2", confirm), ("p3", confirm), ("p4", refuse)):
        pressed = heard(small, "U0BEA", "press", key=key, verb=button.verb, target=button.target)
        card = small.holdfast.front.answer(pressed).card
        assert card is not None
        assert "Somebody in charge decides" in card.text
    assert [event.detail["verb"] for event in small.events("press refused")] == [confirm.verb, confirm.verb, refuse.verb]


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


def reply_in(small: Small, root: str, key: str, text: str, **details: str) -> Heard:
    """Bea writes something below a message of a channel, to nobody in particular."""
    place = Place("slack", "T1", "C-front", thread=root, message=f"m-{key}", surface="channel")
    return Heard(key, "ask", "U0BEA", place, small.clock.now(), text=text, details={"follow_up": "1", **details})


def kept(small: Small) -> list[str]:
    with read(small.holdfast.engine) as session:
        return sorted(session.exec(select(Incoming.key)))


def test_what_people_say_to_each_other_is_not_kept(opens: Callable[..., Opened]) -> None:
    """Lost: the inbox holds whatever is said in any thread of a channel, and two quick replies make the bot join in."""
    small, chat = opens()
    front = small.holdfast.front
    for key in ("r1", "r2"):
        assert not front.hear(reply_in(small, "17.1", key, "Jolene Quackenbush is back"))
    private = reply_in(small, "", "s1", "how do I post an ERA?")
    front.hear(replace(private, place=replace(private.place, message="17.1", surface="command"), details={}))
    assert not front.hear(reply_in(small, "17.1", "r3", "and again"))
    small.holdfast.work()
    assert kept(small) == ["s1"]
    assert len(chat.shown) == 1
    assert "Quackenbush" not in str(vars(front))


def test_a_thread_that_began_with_a_question_to_us_is_ours_even_for_a_reply_in_the_same_moment(
    opens: Callable[..., Opened],
) -> None:
    """Lost: whoever adds a word right after their question is left without an answer."""
    small, chat = opens()
    front, inbox, held = small.holdfast.front, small.holdfast.inbox, threading.Event()
    question = reply_in(small, "", "q", "how do I post an ERA?")
    question = replace(question, place=replace(question.place, message="17.1"), details={})
    store = inbox._store

    def slow(batch: list[Any]) -> None:
        held.wait(10)
        store(batch)

    inbox._store = slow  # type: ignore[method-assign]
    follow_ups = [reply_in(small, "17.1", f"f{n}", "and where do I find it?") for n in range(5)]
    threads = [threading.Thread(target=front.hear, args=(each,)) for each in (question, *follow_ups)]
    threads[0].start()
    wait_for(lambda: inbox._writing.locked() and not inbox._queue, "the question is not being written")
    for each in threads[1:]:
        each.start()
    wait_for(lambda: len(inbox._queue) == 5, "the replies do not wait")
    held.set()
    for each in threads:
        each.join(10)
    small.holdfast.work()
    assert kept(small) == ["f0", "f1", "f2", "f3", "f4", "q"]
    assert len(chat.shown) == 6


def session_of(small: Small, person: str) -> str:
    """A browser in which this person has signed in to the page."""
    engine, now = small.holdfast.engine, small.clock.now()
    word = signin.use(engine, signin.make(engine, person, now), now)
    assert word
    return word


@pytest.mark.parametrize("account", ["U0BEA", "U9"])
def test_whose_account_is_gone_is_signed_out(opens: Callable[..., Opened], account: str) -> None:
    """Lost: whoever was dismissed this morning reads the page until the evening."""
    small, chat = opens(NAMED if account == "U0BEA" else EMAIL)
    chat.emails["U9"] = "bea@two.example"
    told(small, chat, heard(small, account, key="e1", text="my day"))
    bea, mona = session_of(small, "bea"), session_of(small, "mona")
    code = signin.make(small.holdfast.engine, "bea", small.clock.now())
    told(small, chat, heard(small, account, "left", key="e2", details={"why": "deactivated"}))
    engine, now = small.holdfast.engine, small.clock.now()
    assert [signin.who(engine, word, now) for word in (bea, mona)] == [None, "mona"]
    assert signin.use(engine, code, now) is None


def test_an_account_that_changes_hands_signs_its_last_owner_out(opens: Callable[..., Opened]) -> None:
    """Lost: the one who had the account before goes on as themselves in the browser of the one who has it now."""
    ends = 'name = "Tom Achterberg"\nemail = "tom@two.example"\nends = 2026-03-03'
    practice = PRACTICE.replace('name = "Tom Achterberg"', ends).replace('cover = ["tom"]\n', "")
    small, chat = opens(practice + '\n[chat.slack]\nU0MONA = "mona"\n')
    chat.emails["U9"] = "tom@two.example"
    told(small, chat, heard(small, "U9", key="e1", text="my day"))
    small.clock.at = at("2026-03-04", "09:00")
    tom, mona = session_of(small, "tom"), session_of(small, "mona")
    told(small, chat, heard(small, "U9", "press", key="p1", verb="claim", target="U9", note="bea"))
    confirm = chat.sent[-1][1].buttons[0]
    told(small, chat, heard(small, "U0MONA", "press", key="p2", verb=confirm.verb, target=confirm.target))
    engine, now = small.holdfast.engine, small.clock.now()
    assert [signin.who(engine, word, now) for word in (tom, mona)] == [None, "mona"]


def followed(small: Small, account: str, key: str) -> str:
    """The code in the link that this account is given for "page"."""
    reply = small.holdfast.front.answer(heard(small, account, key=key, text="page"))
    assert reply.card is not None
    return reply.card.links[0].url.partition("code=")[2]


@pytest.mark.parametrize("restarts", [False, True])
def test_an_account_that_the_practice_file_gives_to_another_opens_the_page_as_nobody(
    opens: Callable[..., Opened], *, restarts: bool
) -> None:
    """Lost: two ids were mixed up in the file; it is put right, and a browser goes on as the manager until the evening."""
    small, _ = opens(NAMED, url="https://holdfast.example")
    at_page = SignedIn(small.holdfast.engine, small.clock.now, small.holdfast.whose)
    words = {}
    for account in ("U0MONA", "U0BEA", "U0OLU"):
        words[account] = at_page.use(followed(small, account, account)) or ""
    unused = followed(small, "U0MONA", "again")
    assert [at_page.who(word) for word in words.values()] == ["mona", "bea", "olu"]
    swapped = NAMED.replace('U0BEA = "bea"', 'U0BEA = "mona"').replace('U0MONA = "mona"', 'U0MONA = "bea"')
    (small.home / "practice.toml").write_text(swapped)
    if restarts:
        again = Holdfast(small.holdfast.settings, small.clock)
        at_page = SignedIn(again.engine, small.clock.now, again.whose)
    assert [at_page.who(word) for word in words.values()] == [None, None, "olu"]
    assert at_page.use(unused) is None
    (small.home / "practice.toml").write_text(NAMED)
    assert [at_page.who(word) for word in words.values()] == [None, None, "olu"], "what is over stays over"
    if restarts:
        again.close()


def test_an_account_that_was_linked_opens_the_page_until_the_practice_file_says_otherwise(opens: Callable[..., Opened]) -> None:
    """Lost: an address in the practice file was wrong; the file then names the account, and its first owner reads on."""
    small, chat = opens(EMAIL, url="https://holdfast.example")
    chat.emails["U9"] = "bea@two.example"
    at_page = SignedIn(small.holdfast.engine, small.clock.now, small.holdfast.whose)
    word = at_page.use(followed(small, "U9", "e1")) or ""
    (small.home / "practice.toml").write_text(EMAIL + '\n[chat.slack]\nU9 = "bea"\n')
    assert at_page.who(word) == "bea", "it says the same"
    (small.home / "practice.toml").write_text(EMAIL + '\n[chat.slack]\nU9 = "tom"\n')
    assert at_page.who(word) is None


def test_an_address_of_somebody_who_left_lets_nobody_in(opens: Callable[..., Opened]) -> None:
    """Lost: whoever left writes to the bot for the first time afterwards, and is let in by their old address."""
    ends = 'name = "Tom Achterberg"\nemail = "tom@two.example"\nends = 2026-03-01'
    small, chat = opens(PRACTICE.replace('name = "Tom Achterberg"', ends).replace('cover = ["tom"]\n', ""))
    chat.emails["U9"] = "tom@two.example"
    card = told(small, chat, heard(small, "U9", key="e1", text="my day"))
    assert card is not None
    assert card.title == "Who are you?"
    assert "account linked" not in small.told()


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
