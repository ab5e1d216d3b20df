"""A small practice behind the Desk seam, in memory, with real messages: it answers, nudges, escalates and keeps a trail.

`python -m tests.desk [PORT]` serves its page; `python -m tests.desk plain [--json]` its terminal.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Engine

from bot import records
from bot.cards import REASONS, WRONG
from bot.chat import Button, Card, Fact, Receipt, Source, Wording
from bot.migrations import migrate
from bot.platforms.console import Console, Message
from bot.platforms.console.desk import FeedView, Look, NoticeCode, PersonView, Reason, Status, TrailRow
from bot.platforms.console.when import stamp, tomorrow_at_nine

START = datetime(2026, 2, 23, 20, 15, tzinfo=UTC)
"""Monday, 3:15 pm in New York."""

PEOPLE = (
    PersonView("bea", "Bea Lindqvist", ("Billing coordinator",), "Harbor", "America/New_York", on_shift=True),
    PersonView("mona", "Mona Reyes", ("Office manager",), "Harbor", "America/New_York", on_shift=True),
    PersonView("hal", "Hal Osei", ("Sterilization lead", "Dental assistant"), "Harbor", "America/New_York", on_shift=True),
    PersonView("priya", "Priya Nair", ("RCM specialist",), "Harbor", "America/New_York", on_shift=False),
    PersonView("tom", "Tom Whitaker", ("Treatment coordinator",), "Pine", "America/Denver", on_shift=True),
    PersonView("tess", "Tess Moreau", ("Temp", "Front desk"), "Pine", "America/Denver", on_shift=True),
    PersonView("cass", "Tessa Castellano", ("Hygienist",), "Pine", "America/Denver", on_shift=False),
    PersonView("tessa2", "Tessa Brandt", ("New hire",), "Pine", "America/Denver", on_shift=False),
)

STEP = Source(
    sop=Wording("billing-claims"),
    version=1,
    step=Wording("work-claims-daily"),
    quote=Wording(
        "Open the list of claims that nobody has touched for two open days. Take the oldest first: check its status with the "
        "payer, write what you learned, and set the next date."
    ),
    title=Wording("Billing and claims playbook v1, step 6: Work the claims list every day"),
)

SENTENCES: dict[NoticeCode, str] = {
    "no_such_person": "Nobody here goes by that name: `people` shows who works here.",
    "several_people": "More than one person has that name: use the whole name or the short one that `people` shows.",
    "no_card": "No card with a button has reached you yet.",
    "no_button": "That card has no button {n}: its buttons go from 1 to {last}.",
    "press_what": "After press comes the number of a button, such as press 1.",
    "when_unclear": "That is no time I can read: try 2h, tomorrow 9:00, next opening, or 2026-03-02T09:00.",
    "skip_unclear": "That is no time to skip to: try skip 2h, or skip until 2026-03-02T09:00.",
    "skip_back": "The clock only goes forward.",
    "skip_far": "One skip goes at most {days} days.",
    "cannot_skip": "This is the real clock: only the demo can skip.",
    "too_long": "That is too long: one line may have {limit} characters.",
    "inbox_empty": "Nothing has reached you yet.",
    "no_record": "No record has that reference.",
    "sign_in_first": "Say page to Holdfast, and open its link.",
    "link_over": "That link is over: say page for a new one.",
    "too_many_tries": "Too many tries: wait a minute.",
    "file_too_large": "It is too large.",
    "no_file": "Choose a file first.",
    "failed": "That did not work; the log says why.",
}


@dataclass
class Work:
    """One nudge of the fake practice: whose it is, where it is shown, and what became of it."""

    ref: str
    person: str
    card: Card
    shown: list[Receipt] = field(default_factory=list)
    state: str = "open"
    since: datetime = START


class FakeDesk:
    """Desk as the page and the terminal know it. Time moves only when skipped."""

    practice_name = "Harbor & Pine Dental"

    def __init__(self, engine: Engine, *, can_skip: bool = True) -> None:
        self.can_skip = can_skip
        self.clock = START
        self.console = Console(engine, lambda: self.clock)
        self.pressed: list[tuple[str, str, str, str]] = []
        self.brought: list[tuple[str, str, bytes, str]] = []
        self._keys: dict[str, Card] = {}
        self._work: dict[str, Work] = {}
        self._trail: dict[str, list[TrailRow]] = {}
        self._nudge(
            "n1",
            "bea",
            "K7Q29F4M",
            "Claim untouched · $1,250.00",
            "Nobody has touched this claim since Thu, Feb 19.",
            "$1,250.00",
        )
        self._nudge(
            "n2", "tom", "P3W8RT6H", "Treatment plan unscheduled · $2,480.00", "It was presented on Fri, Feb 20.", "$2,480.00"
        )

    def _nudge(self, id: str, person: str, ref: str, title: str, text: str, amount: str) -> None:
        facts = (
            ("Amount", amount),
            ("Still since", "Thu, Feb 19 (3 open days)"),
            ("Put right by", "today, 4:30 pm"),
            ("Then goes to", "RCM specialist"),
        )
        card = Card(
            kind="nudge",
            title=Wording(title),
            text=Wording(text),
            facts=tuple(Fact(Wording(label), Wording(value)) for label, value in facts),
            sources=(STEP,),
            buttons=(
                Button("on_it", id, Wording("On it"), style="primary"),
                Button("done", id, Wording("Done")),
                Button("snooze", id, Wording("Snooze"), needs="until"),
                Button("cant", id, Wording("Can't"), needs="reason"),
                Button("wrong", id, Wording("Wrong"), needs="reason"),
            ),
            ref=ref,
        )
        self._work[id] = Work(ref, person, card, since=self.clock)
        self._send(self._work[id], person, card)

    def _send(self, work: Work, person: str, card: Card) -> None:
        work.shown.append(self.console.send(person, card, f"{work.ref}:{len(work.shown)}"))
        self._note(work.ref, "Holdfast", f"Sent to {person}.")

    def _note(self, ref: str, who: str, what: str) -> None:
        rows = self._trail.setdefault(ref, [])
        mark = sha256(f"{ref}{len(rows)}{what}".encode()).hexdigest()[:8]
        step = str(STEP.step)
        rows.append(TrailRow(self.clock, who, what, seq=len(rows) + 1, hash=mark, sop="billing-claims", version=1, step=step))

    # --- Desk --------------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        return self.clock

    def people(self) -> Sequence[PersonView]:
        return PEOPLE

    def next_opening(self, person: str) -> datetime:
        return tomorrow_at_nine(self.clock, self._zone(person)) - timedelta(hours=1)

    def welcome(self, person: str) -> Wording:
        who = self._named(person)
        return Wording(
            f"You are {who.name}, {who.roles[0].lower()} at {who.site}. Holdfast found work that has stopped moving and "
            "brought it to whoever is on duty. Press a button, or ask how something is done."
        )

    def examples(self, person: str) -> Sequence[Wording]:
        asked = ("What do I do with a denied claim?", "How often is a spore test due?", "Who may approve an exception?")
        return [Wording(question) for question in asked]

    def reasons(self, verb: str) -> Sequence[Reason]:
        return [Reason(code, label) for code, label in (REASONS if verb == "cant" else WRONG).items()]

    def messages(self, person: str, after: int = 0) -> Sequence[Message]:
        return self.console.inbox(person, after)

    def wait(self, seen: str, timeout_s: float) -> str:
        return self.console.wait(seen, timeout_s)

    def ask(self, person: str, text: str) -> Card:
        if text == "break":
            raise RuntimeError("a fault of ours")
        self.console.hear(person, text)
        if "denied" in text or "denial" in text:
            said = Wording("Work a denial within 48 hours: read the reason code, correct or appeal, and write what you did.")
            card = Card("answer", Wording("Work every denial within 48 hours"), said, sources=(STEP,))
        else:
            card = Card(
                "refusal", Wording("Not in our SOPs"), Wording("I searched 6 SOPs that you may read. Ask your manager.")
            )
        self.console.reply(person, card)
        return card

    def may_bring(self, person: str) -> bool:
        return person == "mona"

    def bring(self, person: str, name: str, path: Path, key: str) -> Card:
        self.brought.append((person, name, path.read_bytes(), key))
        self.console.hear(person, "A file")
        card = Card("reply", Wording("Draft: Opening the office"), Wording("Nobody is answered from a draft."))
        self.console.reply(person, card)
        return card

    def press(self, person: str, verb: str, target: str, note: str, key: str) -> Card:
        work = self._work.get(target)
        if work is None:
            return self._reply("That card is no longer here.")
        if key in self._keys:
            return self._keys[key]
        self.pressed.append((person, verb, target, note))
        if verb in ("snooze", "cant", "wrong") and not note:
            asks = "Until when? Add a time." if verb == "snooze" else "Say why: choose a reason."
            return replace(work.card, text=Wording(f"{asks}\n{work.card.text}"))
        self._keys[key] = self._settle(work, person, verb, note)
        return self._keys[key]

    def _settle(self, work: Work, person: str, verb: str, note: str) -> Card:
        who = self._named(person).name
        ends = {
            "on_it": f"{who} is on it since {stamp(self.clock, self._zone(person))}.",
            "done": f"{who} said done. The source has not shown it yet.",
            "snooze": f"Snoozed until {stamp(datetime.fromisoformat(note), self._zone(person)) if verb == 'snooze' else ''}.",
            "cant": "An exception was asked for. It waits for the manager; until then the deadline stands.",
            "wrong": "Closed: it was reported wrong.",
            "approve": "Approved.",
        }
        left = {"on_it": work.card.buttons[1:], "snooze": work.card.buttons[:2]}.get(verb, ())
        work.state = verb
        work.card = replace(work.card, text=Wording(ends[verb]), buttons=left)
        self._note(work.ref, who, {"on_it": "Took it on.", "done": "Said done."}.get(verb, f"Pressed {verb}."))
        for receipt in work.shown:
            self.console.update(receipt, work.card)
        if verb == "cant":
            self._ask_manager(work, who)
        return work.card

    def _ask_manager(self, work: Work, who: str) -> None:
        id = f"x-{work.ref}"
        buttons = (
            Button("approve", id, Wording("Approve"), style="primary"),
            Button("refuse", id, Wording("Refuse"), needs="reason", style="danger"),
        )
        title, text = Wording("Exception asked: claim untouched"), Wording(f"{who} cannot do this step.")
        card = Card(
            "exception", title, text, (Fact(Wording("Reason"), Wording("Waiting on the payer")),), (STEP,), buttons, work.ref
        )
        self._work[id] = Work(work.ref, "mona", card, since=self.clock)
        self._send(self._work[id], "mona", card)

    def my_day(self, person: str) -> Card:
        mine = [work.card for work in self._work.values() if work.person == person and work.card.buttons]
        text = Wording("\n".join(f"{n}. {card.title}" for n, card in enumerate(mine, start=1)) or "Nothing is open.")
        return Card("my_day", Wording(f"{len(mine)} open today"), text)

    def digest(self, person: str) -> Card:
        if person != "mona":
            return self._reply("The stand-up of Harbor is read by its manager, Mona Reyes.")
        facts = (("Verified yesterday", "4"), ("Due today", "3"), ("At risk", "$3,730.00"), ("Undelivered", "0"))
        shown = tuple(Fact(Wording(label), Wording(value)) for label, value in facts)
        return Card("digest", Wording("Harbor, Monday"), Wording("One exception waits for you."), shown)

    def trail(self, person: str, ref: str) -> Sequence[TrailRow]:
        return self._trail.get(ref, ())

    def look(self, person: str, ref: str) -> Look | None:
        if ref not in self._trail:
            return None
        if not self._named(person).on_shift:
            return Look(refusal="This record opens for the role on duty only.")
        self._note(ref, self._named(person).name, "Looked at the record.")
        return Look("Claim", "Harbor", (("claim_no", "C-1042"),), (("Status", "sent"), ("Charge", "$1,250.00")))

    def status(self) -> Status:
        feeds = (
            FeedView("Harbor claims", self.clock - timedelta(minutes=12), stale=False),
            FeedView("Pine ERA", None, stale=True),
        )
        rows = [row for trail in self._trail.values() for row in trail]
        return Status(feeds, self.clock, 0, len(rows), rows[-1].hash, "6, all approved")

    def skip(self, to: datetime) -> None:
        self.clock = to
        for work in list(self._work.values()):
            if work.state == "open" and work.person != "mona" and to - work.since >= timedelta(hours=4):
                work.state = "escalated"
                escalated = replace(work.card, kind="escalation", text=Wording("Nobody has answered, so it comes to you."))
                self._send(work, "mona", escalated)
            if work.state == "done" and to - work.since >= timedelta(days=1):
                work.state = "contradicted"
                card = replace(work.card, text=Wording("Bea said done, but the source does not show it."))
                self._send(work, work.person, card)

    def notice(self, code: NoticeCode, **typed: int) -> Card:
        return self._reply(SENTENCES[code].format(**typed))

    def _reply(self, text: str) -> Card:
        return Card("reply", Wording("Holdfast"), Wording(text))

    def _named(self, person: str) -> PersonView:
        return next(one for one in PEOPLE if one.id == person)

    def _zone(self, person: str) -> str:
        return self._named(person).zone


def main(arguments: list[str]) -> None:
    """Serve the fake practice until interrupted, its messages in a temporary folder."""
    from bot.platforms.console.page import serve
    from bot.platforms.console.plain import plain

    with tempfile.TemporaryDirectory() as folder:
        engine = records.open_engine(f"sqlite:///{Path(folder) / 'desk.sqlite'}")
        migrate(engine)
        desk = FakeDesk(engine)
        if arguments[:1] == ["plain"]:
            plain(desk, sys.stdin, sys.stdout, json="--json" in arguments)
            return
        port = int(arguments[0]) if arguments else 0
        serve(desk, "127.0.0.1", port, "a-token-for-tests-only", lambda address: print(address, flush=True))


if __name__ == "__main__":
    main(sys.argv[1:])
