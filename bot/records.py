"""The tables, the engine, and the two ways to open a session: `read` and `write`.

All instants are aware UTC, in and out. On SQLite every write transaction starts with BEGIN IMMEDIATE, so that two writers queue
instead of failing half-way; the file is in WAL mode with synchronous=FULL, so that what was committed survives a power cut.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, Engine, Index, UniqueConstraint, create_engine, event, text
from sqlmodel import Field, Session, SQLModel

from knowledge.tables import Utc

_WRITE = "holdfast_write"
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_ref() -> str:
    """An opaque random reference, readable aloud: 8 of 30 letters and digits, e.g. `K7Q29F4M`."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(8))


# --- what the sources said -------------------------------------------------------------------------------------------


class Feed(SQLModel, table=True):
    """One connector at one site, and the instant up to which it is known to be true."""

    id: str = Field(primary_key=True)
    connector: str
    kind: str
    site: str
    cursor: str | None = None
    as_of: datetime | None = Field(default=None, sa_type=Utc)
    first_as_of: datetime | None = Field(default=None, sa_type=Utc)
    pulled_at: datetime | None = Field(default=None, sa_type=Utc)
    problem: str = ""
    stale_since: datetime | None = Field(default=None, sa_type=Utc)
    """Set while the feed is stale and nothing is judged on it; cleared when it is fresh again."""


class Intake(SQLModel, table=True):
    """One file that was read, by the hash of its bytes: the same bytes are never applied twice."""

    feed: str = Field(primary_key=True)
    sha256: str = Field(primary_key=True)
    name: str
    at: datetime = Field(sa_type=Utc)
    outcome: str
    detail: str = ""
    rows: int = 0


class Sighting(SQLModel, table=True):
    """What one feed said of one thing as of one instant. Items are folded from these, in any order of arrival."""

    __table_args__ = (
        UniqueConstraint("feed", "natural_key", "as_of"),
        Index("ix_sighting_item", "item"),
    )
    id: int | None = Field(default=None, primary_key=True)
    feed: str
    natural_key: str
    as_of: datetime = Field(sa_type=Utc)
    item: str
    facts: dict[str, Any] = Field(sa_type=JSON)
    keys: list[list[str]] = Field(sa_type=JSON)
    gone: bool = False


class Item(SQLModel, table=True):
    """One real thing in the world, merged from every feed that knows it."""

    __table_args__ = (
        Index("ix_item_wake", "wake_at", sqlite_where=text("open"), postgresql_where=text("open")),
        Index("ix_item_site_kind", "site", "kind"),
    )
    ref: str = Field(primary_key=True)
    kind: str
    site: str
    facts: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    opened_at: datetime = Field(sa_type=Utc)
    moved_at: datetime = Field(sa_type=Utc)
    """The last change that matters (Fact.moves), not the last import."""
    seen_at: datetime = Field(sa_type=Utc)
    wake_at: datetime | None = Field(default=None, sa_type=Utc)
    """The next instant at which a rule could fire; None when only a change of the source can make it stall."""
    open: bool = True
    merged_into: str = ""
    amount_cents: int = 0


class ItemKey(SQLModel, table=True):
    """A source's own name for an item. Shown at /r/REF to people on duty, never in a message."""

    __table_args__ = (Index("ix_item_key_item", "item"),)
    kind: str = Field(primary_key=True)
    site: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    value: str = Field(primary_key=True)
    item: str


# --- nudges and what people did ----------------------------------------------------------------------------------------


class Nudge(SQLModel, table=True):
    """A finding on its way through people. One per item, rule and window; its state changes only in bot.nudges."""

    __table_args__ = (
        UniqueConstraint("item", "rule", "window"),
        Index(
            "ix_nudge_next",
            "next_at",
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
        Index("ix_nudge_site", "site", "role"),
        Index("ix_nudge_item", "item"),
    )
    id: str = Field(primary_key=True)
    item: str
    rule: str
    window: str
    site: str
    role: str
    """The role the SOP step names; the ladder starts here."""
    state: str
    level: int = 0
    """How far up the ladder: 0 is the role itself."""
    person: str = ""
    """Whom the last send went to."""
    sends: int = 0
    sop: str
    sop_version: int
    step: str
    rule_version: str
    snapshot: str
    """Hash of the item's facts when the finding was made."""
    amount_cents: int = 0
    since_at: datetime = Field(sa_type=Utc)
    opened_at: datetime = Field(sa_type=Utc)
    due_at: datetime = Field(sa_type=Utc)
    next_at: datetime | None = Field(default=None, sa_type=Utc)
    """When time must act on it next; None while it waits for a person or the source."""
    acknowledged_by: str = ""
    acknowledged_at: datetime | None = Field(default=None, sa_type=Utc)
    said_done_by: str = ""
    said_done_at: datetime | None = Field(default=None, sa_type=Utc)
    snoozed_until: datetime | None = Field(default=None, sa_type=Utc)
    contradicted: int = 0
    """How often "done" proved false."""
    review: str = ""
    """Set where the nudge is held back by a first-import review."""
    closed_at: datetime | None = Field(default=None, sa_type=Utc)
    ending: str = ""
    """How it ended: verified, overtaken, wrong, excepted, reviewed, expired."""


class ExceptionAsked(SQLModel, table=True):
    """A "Can't": asked with a reason, decided by somebody who may, ended by its expiry."""

    __tablename__ = "exception_asked"
    id: str = Field(primary_key=True)
    nudge: str = Field(index=True)
    reason: str
    note: str = ""
    asked_by: str
    asked_at: datetime = Field(sa_type=Utc)
    state: str = "waiting"
    """waiting, granted, refused, expired"""
    decided_by: str = ""
    decided_at: datetime | None = Field(default=None, sa_type=Utc)
    expires_at: datetime | None = Field(default=None, sa_type=Utc)


class Note(SQLModel, table=True):
    """What a person typed, redacted before it came here. Erasable; only its commitment is in the chain."""

    id: str = Field(primary_key=True)
    text: str
    salt: str
    commitment: str
    by: str
    at: datetime = Field(sa_type=Utc)
    erased_at: datetime | None = Field(default=None, sa_type=Utc)


class PressSeen(SQLModel, table=True):
    """Every press that reached us, by the platform's identity of it: the same press acts once."""

    __tablename__ = "press_seen"
    key: str = Field(primary_key=True)
    person: str
    verb: str
    target: str
    at: datetime = Field(sa_type=Utc)
    outcome: str = ""


# --- what leaves and when --------------------------------------------------------------------------------------------


class Delivery(SQLModel, table=True):
    """The outbox: intent to send, written in the transaction that decided it; leased by whoever sends."""

    __table_args__ = (
        Index(
            "ix_delivery_due",
            "not_before",
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("ix_delivery_person", "person"),
        Index("ix_delivery_nudge", "nudge"),
    )
    marker: str = Field(primary_key=True)
    """Ours, unique, opaque to the reader: `<nudge>:<number>`, `digest:<site>:<day>`, …"""
    kind: str
    nudge: str = ""
    person: str
    platform: str
    address: str
    card: dict[str, Any] = Field(sa_type=JSON)
    state: str = "pending"
    """pending, sending, sent, ambiguous, dead, dropped"""
    attempts: int = 0
    lease_until: datetime | None = Field(default=None, sa_type=Utc)
    not_before: datetime = Field(sa_type=Utc)
    created_at: datetime = Field(sa_type=Utc)
    ended_at: datetime | None = Field(default=None, sa_type=Utc)
    channel: str = ""
    message: str = ""
    reason: str = ""


class Slot(SQLModel, table=True):
    """A daily thing that was started for a local day: the row is the promise that it happens once."""

    schedule: str = Field(primary_key=True)
    day: date = Field(primary_key=True)
    at: datetime = Field(sa_type=Utc)


class ConsoleMessage(SQLModel, table=True):
    """The console platform's own store: what it was given, as a chat service would keep it."""

    __tablename__ = "console_message"
    id: int | None = Field(default=None, primary_key=True)
    person: str = Field(index=True)
    marker: str = Field(index=True)
    kind: str
    card: dict[str, Any] = Field(sa_type=JSON)
    at: datetime = Field(sa_type=Utc)
    updated_at: datetime | None = Field(default=None, sa_type=Utc)


class Mark(SQLModel, table=True):
    """One named value of the installation: last sweep, current practice hash, lock holder."""

    name: str = Field(primary_key=True)
    value: str
    at: datetime = Field(sa_type=Utc)


# --- evidence ----------------------------------------------------------------------------------------------------------


class LedgerRow(SQLModel, table=True):
    """One link of a chain. Never changed, never deleted (triggers); the content lives beside it in LedgerBody."""

    __tablename__ = "ledger"
    __table_args__ = (UniqueConstraint("chain", "seq"), UniqueConstraint("chain", "prev_hash"))
    chain: str = Field(primary_key=True)
    seq: int = Field(primary_key=True)
    prev_hash: str
    leaf: str = Field(index=True)
    hash: str


class LedgerBody(SQLModel, table=True):
    """The content of a leaf: canonical JSON of the event. Retention may erase it; the chain still verifies."""

    __tablename__ = "ledger_body"
    leaf: str = Field(primary_key=True)
    at: datetime = Field(sa_type=Utc, index=True)
    what: str = Field(index=True)
    subject: str = Field(default="", index=True)
    """The nudge, exception, SOP or feed it is about."""
    item: str = Field(default="", index=True)
    body: str | None = None
    erased_at: datetime | None = Field(default=None, sa_type=Utc)


# --- engine ------------------------------------------------------------------------------------------------------------


def open_engine(url: str) -> Engine:
    """The engine for `url`, with SQLite's pragmas set on every connection. Creates no table: `migrate` does."""
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": 30.0, "check_same_thread": False})
    event.listen(engine, "connect", _sqlite_connected)
    event.listen(engine, "begin", _sqlite_begin)
    return engine


def _sqlite_connected(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "recursive_triggers=ON",
        "busy_timeout=30000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_begin(connection: Any) -> None:
    immediate = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


@contextmanager
def write(engine: Engine) -> Iterator[Session]:
    """One write transaction: committed at the end of the block, rolled back when it raises."""
    with Session(engine.execution_options(**{_WRITE: True}), expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def read(engine: Engine) -> Iterator[Session]:
    """One read transaction: a consistent view, nothing kept."""
    with Session(engine, expire_on_commit=False) as session:
        yield session
