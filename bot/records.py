"""The tables, the engine, and the two ways to open a session: `read` and `write`.

All instants are aware UTC, in and out. On SQLite every write transaction starts with BEGIN IMMEDIATE, so that two writers queue
instead of failing half-way; the file is in WAL mode with synchronous=FULL, so that what was committed survives a power cut.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Connection,
    Engine,
    Index,
    UniqueConstraint,
    create_engine,
    event,
    literal_column,
    make_url,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, Session, SQLModel

from knowledge.tables import Utc

_WRITE = "holdfast_write"
_SCHEMA_LOCK = 0x686F6C6466617374  # "holdfast"
_REFUSED = frozenset(
    {
        sqlite3.SQLITE_ALTER_TABLE,
        sqlite3.SQLITE_ATTACH,
        sqlite3.SQLITE_DETACH,
        sqlite3.SQLITE_CREATE_TRIGGER,
        sqlite3.SQLITE_CREATE_TEMP_TRIGGER,
        sqlite3.SQLITE_DROP_INDEX,
        sqlite3.SQLITE_DROP_TABLE,
        sqlite3.SQLITE_DROP_TRIGGER,
    }
)
_HARMLESS_PRAGMAS = frozenset(
    {
        "busy_timeout",
        "foreign_key_check",
        "foreign_key_list",
        "index_info",
        "index_list",
        "index_xinfo",
        "integrity_check",
        "quick_check",
        "table_info",
        "table_list",
        "table_xinfo",
        "wal_checkpoint",
    }
)
"""The only pragmas that may be given a value; any pragma may be read."""
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_ref() -> str:
    """An opaque random reference, readable aloud: 8 of 30 letters and digits, e.g. `K7Q29F4M`."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(8))


# --- what the sources said -------------------------------------------------------------------------------------------


class Feed(SQLModel, table=True):
    """One connector at one site, and the instant up to which it is known to be true."""

    id: str = Field(primary_key=True)
    connector: str
    site: str
    kinds: str = ""
    """The kinds it has brought, blank-separated; `!`: as snapshots, `@`: of another site: `claim! era claim@pine!`."""
    cursor: str | None = None
    as_of: datetime | None = Field(default=None, sa_type=Utc)
    first_as_of: datetime | None = Field(default=None, sa_type=Utc)
    pulled_at: datetime | None = Field(default=None, sa_type=Utc)
    problem: str = ""
    stale_since: datetime | None = Field(default=None, sa_type=Utc)
    """Set while the feed is stale and nothing is judged on it; cleared when it is fresh again."""


class Intake(SQLModel, table=True):
    """One file that was read, by the hash of its bytes: the same bytes as of the same instant are applied once."""

    feed: str = Field(primary_key=True)
    sha256: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    as_of: datetime = Field(sa_type=Utc, primary_key=True)
    covers: str
    """snapshot or delta, as Batch.covers"""
    name: str
    at: datetime = Field(sa_type=Utc)
    outcome: str
    detail: str = ""
    rows: int = 0


class Sighting(SQLModel, table=True):
    """What one feed said of one thing from one instant until another: a run of equal statements.

    Items are folded from these runs, so the order in which files arrive makes no difference.
    """

    __table_args__ = (
        UniqueConstraint("feed", "natural_key", "as_of"),
        Index("ix_sighting_item", "item"),
    )
    id: int | None = Field(default=None, primary_key=True)
    feed: str
    natural_key: str
    as_of: datetime = Field(sa_type=Utc)
    until: datetime = Field(sa_type=Utc)
    item: str
    facts: dict[str, Any] = Field(sa_type=JSON)
    sha: str
    """Of the facts; empty where a snapshot no longer names the thing."""
    gone: bool = False


class Item(SQLModel, table=True):
    """One real thing in the world, merged from every feed that knows it."""

    __table_args__ = (
        Index(
            "ix_item_wake", "wake_at", sqlite_where=text("wake_at IS NOT NULL"), postgresql_where=text("wake_at IS NOT NULL")
        ),
        Index("ix_item_site_kind", "site", "kind"),
    )
    ref: str = Field(primary_key=True)
    kind: str
    site: str
    facts: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    opened_at: datetime = Field(sa_type=Utc)
    moved_at: datetime = Field(sa_type=Utc)
    """The last change that matters (Fact.moves), not the last import."""
    gone: bool = False
    """No snapshot that once named it names it now."""
    wake_at: datetime | None = Field(default=None, sa_type=Utc)
    """The next instant at which a rule could fire; None when only a change of the source can make it stall."""
    open: bool = True
    merged_into: str = ""
    amount_cents: int = Field(default=0, sa_type=BigInteger)


class ItemKey(SQLModel, table=True):
    """A source's own name for an item. Shown at /r/REF to people on duty, never in a message."""

    __table_args__ = (Index("ix_item_key_item", "item"),)
    kind: str = Field(primary_key=True)
    site: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    value: str = Field(primary_key=True)
    item: str


class PatientMark(SQLModel, table=True):
    """One form of a patient's name that a feed brings, as a keyed hash (bot.patients): what staff type is compared with it."""

    __tablename__ = "patient_mark"
    __table_args__ = ({"sqlite_with_rowid": False},)
    mark: str = Field(primary_key=True)
    feed: str = Field(primary_key=True)
    seen_on: date
    """The day (UTC) on which a file of this feed was last read that has it."""


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
    amount_cents: int = Field(default=0, sa_type=BigInteger)
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
    first_tried_at: datetime | None = Field(default=None, sa_type=Utc)
    not_before: datetime = Field(sa_type=Utc)
    created_at: datetime = Field(sa_type=Utc)
    ended_at: datetime | None = Field(default=None, sa_type=Utc)
    channel: str = ""
    message: str = ""
    reason: str = ""
    repeated: bool = False
    """Sent once more without knowing whether the first arrived."""
    bundle: str = ""
    """The marker of the message that carried this one together with others."""
    redraw: bool = Field(default=False, index=True)
    """Set when what the sent card says is no longer so; cleared once the card was edited in place."""


class Incoming(SQLModel, table=True):
    """The inbox: what was heard on a chat platform, redacted, before the platform was told that we have it."""

    __table_args__ = (
        Index(
            "ix_incoming_due",
            "not_before",
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("ix_incoming_received", "received_at"),
    )
    key: str = Field(primary_key=True)
    platform: str
    act: str
    account: str
    thread: str = Field(default="", index=True)
    heard: dict[str, Any] = Field(sa_type=JSON)
    state: str = "pending"
    """pending, working, done, failed"""
    attempts: int = 0
    lease_until: datetime | None = Field(default=None, sa_type=Utc)
    not_before: datetime = Field(sa_type=Utc)
    received_at: datetime = Field(sa_type=Utc)
    ended_at: datetime | None = Field(default=None, sa_type=Utc)
    reason: str = ""


class ChatAccount(SQLModel, table=True):
    """One account on a chat platform, and whose it is. The practice file goes before it where both say something."""

    __tablename__ = "chat_account"
    __table_args__ = (Index("ix_chat_account_person", "person"), Index("ix_chat_account_address", "platform", "address"))
    platform: str = Field(primary_key=True)
    account: str = Field(primary_key=True)
    team: str = ""
    person: str = ""
    """Empty: nobody knows yet whose it is."""
    how: str = ""
    """email, manager"""
    address: str = ""
    reference: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    asked_email_at: datetime | None = Field(default=None, sa_type=Utc)
    at: datetime = Field(sa_type=Utc)
    gone_at: datetime | None = Field(default=None, sa_type=Utc)
    gone_why: str = ""
    """blocked, uninstalled, deactivated"""


class AccountClaim(SQLModel, table=True):
    """Somebody on a chat platform says who they are; a manager says whether it is so."""

    __tablename__ = "account_claim"
    id: str = Field(primary_key=True)
    platform: str
    account: str
    person: str
    at: datetime = Field(sa_type=Utc)
    state: str = "waiting"
    """waiting, confirmed, refused"""
    decided_by: str = ""
    decided_at: datetime | None = Field(default=None, sa_type=Utc)


class Workspace(SQLModel, table=True):
    """A chat workspace that installed the app by OAuth. `sealed` holds its tokens, encrypted and bound to this row."""

    platform: str = Field(primary_key=True)
    team: str = Field(primary_key=True)
    user: str = Field(default="", primary_key=True)
    """Empty for the workspace's own (bot) installation."""
    sealed: str
    at: datetime = Field(sa_type=Utc)


class OAuthState(SQLModel, table=True):
    """One started installation: the random word that must come back with it, once, within minutes."""

    __tablename__ = "oauth_state"
    word: str = Field(primary_key=True)
    expires_at: datetime = Field(sa_type=Utc)


class SignIn(SQLModel, table=True):
    """A one-time code that the bot sent in chat, and the page session that it became. Only hashes are kept."""

    __tablename__ = "sign_in"
    code: str = Field(primary_key=True)
    person: str
    platform: str = ""
    """With `account`: by which chat account they signed in."""
    account: str = ""
    made_at: datetime = Field(sa_type=Utc)
    used_at: datetime | None = Field(default=None, sa_type=Utc)
    session: str = Field(default="", index=True)
    ends_at: datetime = Field(sa_type=Utc)


class Question(SQLModel, table=True):
    """A question and what was answered, redacted, so that its asker can say whether it helped."""

    __table_args__ = (Index("ix_question_at", "at"),)
    ref: str = Field(primary_key=True)
    person: str
    asked: str
    at: datetime = Field(sa_type=Utc)
    answered: bool
    sop: str = ""
    version: int = 0
    step: str = ""
    helped: bool | None = None
    said_at: datetime | None = Field(default=None, sa_type=Utc)
    outcome: str = ""
    """answer, nearest, refusal"""
    thread: str = ""
    site: str = ""
    """The site it was asked for."""
    candidates: list[list[Any]] = Field(default_factory=list, sa_type=JSON)
    """What was offered to pick from: [sop, version, step, start, end] each, as a knowledge.library.Place."""
    owner: str = ""
    """The role that owns the topic, or empty."""
    put_to: str = ""
    """The person it was put to, who can answer it."""
    put_at: datetime | None = Field(default=None, sa_type=Utc)
    judged: str = ""
    """Why its answer did not help: a code of bot.cards.UNHELPFUL."""
    note: str = ""
    """The Note with what its asker added to that."""


class Gap(SQLModel, table=True):
    """What a person answered where no SOP did: a change that waits for an SOP, with the question's thread as its source."""

    __table_args__ = (Index("ix_gap_state", "state"),)
    question: str = Field(primary_key=True)
    """The Question's reference."""
    reply: str
    """The Note with the answer, erasable like every note."""
    by: str
    at: datetime = Field(sa_type=Utc)
    sop: str = ""
    """The SOP that came nearest, or empty; `version` and `step` likewise."""
    version: int = 0
    step: str = ""
    thread: str = ""
    state: str = "open"
    """open, closed (an SOP says it now), left (it belongs in no SOP)"""
    ended_at: datetime | None = Field(default=None, sa_type=Utc)
    ended_by: str = ""
    fixed_in: str = ""
    """`sop@version#step` that says it now."""


class Golden(SQLModel, table=True):
    """A question of the organisation's own that must find its step, whatever is published: redacted, in its asker's words."""

    question: str = Field(primary_key=True)
    sop: str = Field(primary_key=True)
    step: str = Field(primary_key=True)
    site: str = ""
    """The site it was asked for; empty: any."""
    how: str
    """helpful (its asker said so), gap (it was answered by a fix), added (by hand)"""
    by: str
    at: datetime = Field(sa_type=Utc)


class Conversation(SQLModel, table=True):
    """What one person last spoke about in one thread, redacted: what a follow-up leans on. Over after some hours."""

    __table_args__ = (Index("ix_conversation_at", "at"),)
    person: str = Field(primary_key=True)
    thread: str = Field(primary_key=True)
    at: datetime = Field(sa_type=Utc)
    site: str = ""
    sop: str = ""
    version: int = 0
    step: str = ""
    turns: list[str] = Field(default_factory=list, sa_type=JSON)
    """What was asked, oldest first, redacted."""


class Walk(SQLModel, table=True):
    """One person going through a procedure one step at a time. `place` counts from 0; `done` are the steps ticked off."""

    __table_args__ = (Index("ix_walk_person", "person", "thread"),)
    id: str = Field(primary_key=True)
    person: str
    thread: str = ""
    sop: str
    version: int
    site: str
    place: int = 0
    done: list[str] = Field(default_factory=list, sa_type=JSON)
    state: str = "walking"
    """walking, finished, stopped, overtaken"""
    started_at: datetime = Field(sa_type=Utc)
    at: datetime = Field(sa_type=Utc)
    ended_at: datetime | None = Field(default=None, sa_type=Utc)


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
    """One link of a chain. Never changed, never deleted (triggers); the content lives beside it in LedgerBody.

    The primary key and UNIQUE(chain, prev_hash) each rule out a fork, even where a lock was forgotten.
    WITHOUT ROWID: on SQLite an INSERT OR REPLACE that names another row's rowid would put that row out of the way.
    """

    __tablename__ = "ledger"
    __table_args__ = (
        UniqueConstraint("chain", "prev_hash"),
        {"sqlite_with_rowid": False},
    )
    chain: str = Field(primary_key=True)
    seq: int = Field(primary_key=True)
    prev_hash: str
    leaf: str = Field(index=True, unique=True)
    hash: str


class LedgerBody(SQLModel, table=True):
    """The content of a leaf: canonical JSON of the event. Retention may erase it; the chain still verifies."""

    __tablename__ = "ledger_body"
    __table_args__ = ({"sqlite_with_rowid": False},)
    leaf: str = Field(primary_key=True)
    at: datetime = Field(sa_type=Utc, index=True)
    what: str = Field(index=True)
    subject: str = Field(default="", index=True)
    """The nudge, exception, SOP or feed it is about."""
    item: str = Field(default="", index=True)
    body: str | None = None
    erased_at: datetime | None = Field(default=None, sa_type=Utc)


# --- engine ------------------------------------------------------------------------------------------------------------


def open_engine(url: str, patience_s: float = 30.0) -> Engine:
    """The engine for `url`, with SQLite's pragmas and guard set on every connection. Creates no table: `migrate` does.

    patience_s   how long a statement waits for another writer before it fails
    """
    milliseconds = int(patience_s * 1000)
    if not url.startswith("sqlite"):
        waits = {} if patience_s >= 30 else {"connect_timeout": 2, "options": f"-c lock_timeout={milliseconds}"}
        return create_engine(url, pool_pre_ping=True, connect_args=waits, hide_parameters=True)
    file = make_url(url).database
    if file and file != ":memory:":
        Path(file).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": patience_s, "check_same_thread": False}, hide_parameters=True)
    polled_s = patience_s if patience_s < 30 else 0.0  # SQLite itself looks again ten times a second
    event.listen(engine, "connect", partial(_sqlite_connected, 5 if polled_s else milliseconds))
    event.listen(engine, "begin", partial(_sqlite_begin, polled_s))
    return engine


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


def is_write(session: Session) -> bool:
    """Whether `session` was opened by `write`: on SQLite, whether it holds the one write lock from its first statement."""
    return bool(session.connection().get_execution_options().get(_WRITE, False))


@contextmanager
def schema_change(engine: Engine) -> Iterator[Connection]:
    """One write transaction that may change tables and triggers, which every other connection of ours is refused.

    On PostgreSQL it holds an advisory lock, on SQLite the write lock, so that two processes take turns.
    """
    with engine.execution_options(**{_WRITE: True}).connect() as connection:
        raw: Any = connection.connection.driver_connection
        sqlite = connection.dialect.name == "sqlite"
        if sqlite:
            raw.set_authorizer(None)
        try:
            with connection.begin():
                if not sqlite:
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")
                yield connection
        finally:
            if sqlite:
                raw.set_authorizer(_guard)


def _sqlite_connected(patience_ms: int, connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={patience_ms}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "recursive_triggers=ON",
    ):
        _patiently(cursor, f"PRAGMA {pragma}")
    cursor.close()
    connection.set_authorizer(_guard)


def _patiently(cursor: Any, statement: str) -> None:
    """Run `statement`, waiting up to 30 s: SQLite's own busy timeout does not cover the first change to WAL mode."""
    for pause in [0.02] * 1500:
        try:
            cursor.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            time.sleep(pause)
    cursor.execute(statement)


def _sqlite_begin(polled_s: float, connection: Any) -> None:
    """Begin a transaction; a write waits `polled_s` for its turn, asking every hundredth of a second, where that is not 0."""
    if not connection.get_execution_options().get(_WRITE, False):
        connection.exec_driver_sql("BEGIN")
        return
    raw, until = connection.connection.driver_connection, time.monotonic() + polled_s
    while time.monotonic() < until:
        try:
            raw.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            time.sleep(0.01)
        else:
            return
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _guard(action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None) -> int:
    """SQLite's authorizer: what the running program may not do to its own file, so that no fault of ours can unlock the ledger.

    PostgreSQL has roles for this; here every connection is the owner.
    """
    sets_pragma = action == sqlite3.SQLITE_PRAGMA and second is not None
    allowed = action not in _REFUSED and (not sets_pragma or first in _HARMLESS_PRAGMAS)
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def alone(session: Session, name: str) -> None:
    """Make this write transaction the only one that holds `name` until it ends. SQLite's writers are alone already."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


def insert_new(session: Session, table: type[SQLModel], **values: Any) -> bool:
    """Insert a row unless one of its unique keys is taken already; whether it was inserted. Safe against another writer."""
    dialect = session.get_bind().dialect.name
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement: Any = insert(table).values(**values).on_conflict_do_nothing().returning(literal_column("1"))
    return session.execute(statement).first() is not None  # a row count would be -1 here on PostgreSQL
