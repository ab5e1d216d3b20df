"""Fakes that behave, and what must hold of a practice's tables whatever happened to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Engine, select
from sqlmodel import Session, col

from bot import evidence
from bot.chat import AmbiguousSend, Card, Platform, Receipt, SendError
from bot.records import ConsoleMessage, Delivery, ExceptionAsked, Nudge, read


class Killed(BaseException):
    """The process died here: nothing that follows runs, whatever catches ordinary errors."""


class Troubled:
    """A chat platform with troubles, in front of a real one: it takes a card and does not say so, refuses, or is away.

    before   called ahead of each delivery; may raise SendError, or Killed
    after    called when the card was taken; may raise AmbiguousSend, or Killed
    """

    name = "console"
    may_repeat = True

    def __init__(self, real: Platform) -> None:
        self.real = real
        self.before: Callable[[str, str], None] = lambda address, marker: None
        self.after: Callable[[str, str], None] = lambda address, marker: None
        self.calls: list[tuple[str, str]] = []
        self.cannot_look = False

    def send(self, address: str, card: Card, marker: str) -> Receipt:
        self.calls.append((address, marker))
        self.before(address, marker)
        receipt = self.real.send(address, card, marker)
        self.after(address, marker)
        return receipt

    def update(self, receipt: Receipt, card: Card) -> None:
        self.real.update(receipt, card)

    def busy_s(self, address: str) -> float:
        return self.real.busy_s(address)

    def find(self, address: str, marker: str, since: datetime) -> Receipt | None:
        if self.cannot_look:
            raise AmbiguousSend
        return self.real.find(address, marker, since)


def once(raises: Callable[[], BaseException]) -> Callable[[str, str], None]:
    """Raise on the first call for each marker, never again."""
    seen: set[str] = set()

    def trouble(address: str, marker: str) -> None:
        if marker not in seen:
            seen.add(marker)
            raise raises()

    return trouble


def refuses(person: str, *, permanent: bool, retry_after_s: float | None = None) -> Callable[[str, str], None]:
    """Refuse every card for one person."""

    def trouble(address: str, marker: str) -> None:
        if address == person:
            raise SendError("refused by the test", permanent=permanent, retry_after_s=retry_after_s)

    return trouble


# --- what must hold --------------------------------------------------------------------------------------------------------

_LEADS_TO = {
    "nudge acknowledged": "acknowledged",
    "said done": "said_done",
    "nudge snoozed": "snoozed",
    "exception asked": "exception_asked",
    "exception granted": "excepted",
    **dict.fromkeys(("review opened", "nudge released", "nudge escalated", "nudge repeated", "done contradicted"), "open"),
    **dict.fromkeys(("nudge woke", "nudge not mine", "exception undecided", "exception expired"), "open"),
    **dict.fromkeys(("nudge verified", "nudge overtaken", "nudge wrong", "nudge reviewed", "review ended"), "closed"),
}
_CHANGES_NOTHING = {"nudge planned", "press refused", "send dropped", "nudge undelivered", "nobody on duty", "nudge sent"}
_CHANGES_NOTHING |= {"send uncertain", "send absent", "send found", "send repeated"}
_TIMED = ("acknowledged", "said_done", "snoozed", "exception_asked", "excepted")


def replayed(events: list[evidence.Event]) -> str:
    """The state that a nudge's evidence leads to, every state change having exactly one row."""
    state, send = "", 0
    for event in events:
        send = int(event.detail.get("send") or 0) if event.what == "nudge planned" else send
        if event.what == "nudge found":
            state = "held" if event.detail["held"] else "open"
        elif event.what == "nudge reopened":
            assert state == "closed"
            state = "held" if event.detail["held"] else "open"
        elif event.what == "nudge sent":
            is_current = event.detail["send"] == send  # of an earlier send it only says that it arrived after all
            state = "sent" if state == "open" and is_current else state
        elif event.what == "send unknown":
            state = "sent" if state == "open" else state
        elif event.what == "exception refused":
            state = "open" if state == "exception_asked" else state
        elif event.what in _LEADS_TO:
            assert state != "closed", f"{event.what} after the end"
            state = _LEADS_TO[event.what]
        else:
            assert event.what in _CHANGES_NOTHING, event.what
    return state


def check_all(engine: Engine, *, repeats: int = 0) -> None:
    """Assert what must hold at any moment between two steps, and after any crash. `repeats` were sent again, marked so."""
    with read(engine) as session:
        events: dict[str, list[evidence.Event]] = {}
        for entry in evidence.read(session):
            events.setdefault(entry.event.subject, []).append(entry.event)
        for nudge in session.scalars(select(Nudge)):
            _check_nudge(session, nudge, events[nudge.id])
        assert evidence.verify(session).ok
        messages = Counter(session.scalars(select(col(ConsoleMessage.marker)).where(col(ConsoleMessage.marker) != "")))
        assert sum(count - 1 for count in messages.values()) == repeats, "a message was sent twice"


def _check_nudge(session: Session, nudge: Nudge, events: list[evidence.Event]) -> None:
    assert replayed(events) == nudge.state, f"{[e.what for e in events]} leads elsewhere than {nudge.state}"
    kinds = ("nudge", "escalation", "review")
    deliveries = list(session.scalars(select(Delivery).where(col(Delivery.nudge) == nudge.id, col(Delivery.kind).in_(kinds))))
    live = [d for d in deliveries if d.ended_at is None and d.marker == f"{nudge.id}:{nudge.sends}"]
    old = [d for d in deliveries if d.ended_at is None and d.marker != f"{nudge.id}:{nudge.sends}"]
    assert not [d for d in old if d.state == "sending"]
    assert len({d.marker for d in deliveries}) == nudge.sends
    asks = list(session.scalars(select(ExceptionAsked).where(col(ExceptionAsked.nudge) == nudge.id)))
    assert sum(ask.state == "waiting" for ask in asks) <= 1
    if nudge.closed_at is not None:
        assert nudge.state == "closed" and nudge.ending and nudge.next_at is None
        assert not [ask for ask in asks if ask.state == "waiting"]
    elif nudge.state == "held":
        assert nudge.review
    elif nudge.state == "open":
        assert nudge.next_at is not None or live, "nobody will ever hear of it"
    elif nudge.state in _TIMED:
        assert nudge.next_at is not None, f"{nudge.state} for ever"
    if nudge.state == "excepted":
        granted = [ask for ask in asks if ask.state == "granted"]
        assert granted and all(ask.decided_by and ask.decided_by != ask.asked_by and ask.reason for ask in granted)


def in_hours(at: datetime, windows: list[tuple[str, str]]) -> bool:
    """Whether a local instant lies in one of these wall-clock windows, such as ("08:00", "17:00")."""
    return any(start <= f"{at:%H:%M}" < end for start, end in windows)
