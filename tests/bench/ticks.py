"""A tick of the sweep over 100,000 open claims against the bare indexed query that finds the same due rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from sqlalchemy import Engine, insert, text

from bot import rules, sweep
from bot.chat import Card, Receipt
from bot.hours import parse_clock
from bot.items import FeedConfig
from bot.nudges import House
from bot.practice import load_practice, load_roles
from bot.records import Item, read, write
from bot.rules import Anchor, Loaded
from bot.sweep import Round
from connectors import Connector
from tests.bench import Measure, compare

OPEN = 100_000
PER_HUNDRED = OPEN // 100
NOON = datetime(2026, 2, 26, 17, 0, tzinfo=UTC)  # a Thursday at Harbor, everybody in
_PRACTICE = Path(rules.__file__).parent.parent / "sample" / "practice.toml"
_DUE = text("SELECT ref FROM item WHERE wake_at IS NOT NULL AND wake_at <= :now ORDER BY wake_at LIMIT :most")


class Sink:
    """A chat platform that takes everything at once."""

    name = "sink"
    may_repeat = True

    def __init__(self) -> None:
        self._numbers = count(1)

    def send(self, address: str, card: Card, marker: str) -> Receipt:
        return Receipt(address, str(next(self._numbers)))

    def update(self, receipt: Receipt, card: Card) -> None:
        """Taken."""

    def busy_s(self, address: str) -> float:
        return 0.0

    def find(self, address: str, marker: str, since: datetime) -> Receipt | None:
        return None


def measures(engine: Engine) -> Iterator[Measure]:
    """An idle tick, and one that finds one claim in a hundred stalled, nudges about it and sends."""
    rounds = 3
    _fill(engine, rounds)
    work = _round(engine)
    sweep.tick(work, NOON)  # makes the spore-test items of the week, as the first tick of any day does
    idle = NOON + timedelta(seconds=15)
    yield compare(
        f"idle tick, {OPEN:,} open items",
        engine.dialect.name,
        1,
        lambda: sweep.tick(work, idle),
        lambda: _find(engine, idle, 500),
        rounds=9,
    )
    minutes, bare_minutes = count(1), count(1)
    yield compare(
        f"tick with {PER_HUNDRED:,} of {OPEN:,} due",
        engine.dialect.name,
        PER_HUNDRED,
        lambda: sweep.tick(work, NOON + timedelta(minutes=next(minutes))),
        lambda: _find(engine, NOON + timedelta(days=30, minutes=next(bare_minutes)), PER_HUNDRED),
        rounds=rounds,
    )


def _fill(engine: Engine, rounds: int) -> None:
    """Claims that nobody moved for a week: a hundredth due in each of the next minutes, the rest in a month."""
    rows = [
        {
            "ref": f"B{number:07d}", "kind": "claim", "site": "harbor", "facts": {"status": "sent", "charge_cents": 12_500},
            "opened_at": NOON - timedelta(days=9), "moved_at": NOON - timedelta(days=7), "gone": False, "open": True,
            "merged_into": "", "amount_cents": 12_500, "wake_at": _wake(number, rounds),
        }
        for number in range(OPEN)
    ]  # fmt: skip
    with write(engine) as session:
        session.execute(insert(Item), rows)
        session.execute(text("ANALYZE"))


def _wake(number: int, rounds: int) -> datetime:
    if number < rounds * PER_HUNDRED:
        return NOON + timedelta(minutes=1 + number // PER_HUNDRED)
    return NOON + timedelta(days=30, seconds=number)


def _find(engine: Engine, now: datetime, most: int) -> int:
    with read(engine) as session:
        return len(session.execute(_DUE, {"now": _stored(engine, now), "most": most}).all())


def _stored(engine: Engine, at: datetime) -> object:
    return at.strftime("%Y-%m-%d %H:%M:%S.%f") if engine.dialect.name == "sqlite" else at


def _round(engine: Engine) -> Round:
    practice = load_practice(_PRACTICE, load_roles())
    house = House(
        practice=practice,
        rules=_claim_untouched(),
        step=lambda _sop, _version, _step: None,
        address=lambda person: ("sink", person.id),
    )
    return Round(engine=engine, house=house, feeds={}, connect=_no_feed, platforms={"sink": Sink()})


def _claim_untouched() -> dict[str, Loaded]:
    def anchor(step: str) -> Anchor | None:
        sop, _, name = step.partition("#")
        return Anchor(sop, 1, name, "billing_coordinator", parse_clock("2 open d")) if name == "work-claims-daily" else None

    loaded, _ = rules.load(anchor)
    return loaded


def _no_feed(_feed: FeedConfig) -> Connector:
    raise LookupError("this bench reads no feed")
