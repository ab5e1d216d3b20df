"""Appending evidence against bare inserts of rows of the same size, with the same promise to survive a power cut."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime

from sqlalchemy import Engine, text

from bot import evidence, records
from bot.evidence import Event
from tests.bench import Measure, compare

AT = datetime(2026, 2, 26, 20, 15, tzinfo=UTC)
_BARE_TABLE = "CREATE TABLE bench_bare (id VARCHAR PRIMARY KEY, body VARCHAR NOT NULL)"
_BARE_ROW = text("INSERT INTO bench_bare (id, body) VALUES (:id, :body)")
_BODY = "x" * 500  # what the canonical JSON of a nudge's event comes to


def measures(engine: Engine) -> Iterator[Measure]:
    """One append to a transaction, as a press makes it, and fifty, as a sweep does."""
    with engine.begin() as connection:
        connection.execute(text(_BARE_TABLE))
    for per_transaction, transactions in ((1, 200), (50, 10)):
        yield compare(
            f"evidence, {per_transaction} to a transaction",
            engine.dialect.name,
            per_transaction * transactions,
            lambda per=per_transaction, times=transactions: _append(engine, per, times),  # type: ignore[misc]
            lambda per=per_transaction, times=transactions: _insert(engine, per, times),  # type: ignore[misc]
        )


def _append(engine: Engine, per_transaction: int, transactions: int) -> None:
    for _ in range(transactions):
        with records.write(engine) as session:
            for _ in range(per_transaction):
                evidence.append(session, _event())


def _insert(engine: Engine, per_transaction: int, transactions: int) -> None:
    for _ in range(transactions):
        with records.write(engine) as session:
            for _ in range(per_transaction):
                session.execute(_BARE_ROW, {"id": secrets.token_hex(16), "body": _BODY})


def _event() -> Event:
    return Event(
        what="nudge acknowledged",
        at=AT,
        subject="K7Q29F4M",
        item="M4F92Q7K",
        actor="bea",
        role="billing_coordinator",
        sop="billing-claims",
        sop_version=1,
        step="work-claims-daily",
        rule="claim_untouched",
        rule_version="0123456789ab",
        snapshot="0" * 64,
        detail={"site": "harbor"},
    )
