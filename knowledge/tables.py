"""SOP, version, step and passage rows. Every function takes the caller's Session: evidence joins the same transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

from sqlalchemy import JSON, DateTime, Index, Text, func, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import defer
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, Session, SQLModel, col, select

from knowledge.sops import Branch, Sop, SopText


class Utc(TypeDecorator[datetime]):
    """An instant: refuses naive datetimes, gives back aware UTC on both databases."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime cannot be stored: instants are aware UTC")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class SopString(TypeDecorator[SopText]):
    """Text of an SOP: comes out of the database as the SopText that went in."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> SopText | None:
        return None if value is None else SopText(value)


AT_ONCE = 500
"""Values in one IN (…)."""

State = Literal["draft", "published", "superseded"]


class SopVersion(SQLModel, table=True):
    """One version of one SOP, with its whole source text. A published row never changes but for its state."""

    __tablename__ = "sop_version"
    __table_args__ = (Index("ix_sop_version_state", "state"),)
    sop: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    title: str = Field(sa_type=SopString)
    domain: str = ""
    state: str
    """draft, published, superseded"""
    owner: str
    """A role id; empty where the document names none."""
    approver: str
    effective: date
    review_by: date | None = None
    retention: str = ""
    roles: list[str] = Field(sa_type=JSON)
    """Role ids that may read it, or ["all"]."""
    sites: list[str] = Field(sa_type=JSON)
    sha256: str
    source: str = Field(sa_type=SopString)
    name: str
    """The file it came from, without its folder."""
    authored: bool = True
    """False for a document that is not in our SOP format and so names no owner, role or clock."""
    added_at: datetime = Field(sa_type=Utc)
    added_by: str
    published_at: datetime | None = Field(default=None, sa_type=Utc)
    published_by: str = ""
    superseded_at: datetime | None = Field(default=None, sa_type=Utc)


class StepRow(SQLModel, table=True):
    """One step of one version, with its verbatim text and where that stands in the source."""

    __tablename__ = "sop_step"
    sop: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    step: str = Field(primary_key=True)
    position: int
    number: str
    title: str = Field(sa_type=SopString)
    text: str = Field(sa_type=SopString)
    span_start: int
    span_end: int
    span_all: int
    """Where the step ends with its Who, Clock, Proof, If and Escalate lines."""
    role: str = ""
    clock: str = ""
    proof: str = Field(default="", sa_type=SopString)
    branches: list[list[str]] = Field(default_factory=list, sa_type=JSON)
    """[when, then] each."""
    escalation: str = Field(default="", sa_type=SopString)
    line: int


class PassageRow(SQLModel, table=True):
    """A step or two of one version: what is searched. `text` is the source from `span_start` to `span_end`."""

    __tablename__ = "sop_passage"
    __table_args__ = (Index("ix_sop_passage_version", "sop", "version"),)
    id: str = Field(primary_key=True)
    """`sop@version:position`"""
    sop: str
    version: int
    position: int
    step: str = ""
    heading: str = Field(sa_type=SopString)
    text: str = Field(sa_type=SopString)
    span_start: int
    span_end: int
    roles: list[str] = Field(sa_type=JSON)
    sites: list[str] = Field(sa_type=JSON)
    asked: list[str] = Field(default_factory=list, sa_type=JSON, sa_column_kwargs={"default": list})
    """What its step or section is asked as, by its author: searched by, never shown."""


class LibraryMark(SQLModel, table=True):
    """The library's generation number: raised with every change, compared by each process before it searches."""

    __tablename__ = "library_mark"
    name: str = Field(primary_key=True)
    generation: int = 0


class ModelDay(SQLModel, table=True):
    """What a model cost and what came of it on one UTC day: a row for the tokens (`outcome` empty) and one for each outcome."""

    __tablename__ = "model_day"
    day: date = Field(primary_key=True)
    outcome: str = Field(primary_key=True)
    n: int = 0


class VectorRow(SQLModel, table=True):
    """What one embedder made of one text: passages with the same words share it, whatever version they stand in."""

    __tablename__ = "sop_vector"
    text: str = Field(primary_key=True)
    """SHA-256 of the embedded text."""
    embedder: str = Field(primary_key=True)
    vector: bytes
    """float16, little-endian, of unit length."""


@dataclass(frozen=True)
class Cut:
    """A passage before it is stored: its step (or empty), the heading it stands under, and its span."""

    step: str
    heading: SopText
    start: int
    end: int
    asked: tuple[str, ...] = ()


# --- writing ----------------------------------------------------------------------------------------------------------------


def add_draft(session: Session, sop: Sop, cuts: Sequence[Cut], *, version: int, name: str, at: datetime, by: str) -> SopVersion:
    """Store one version with its steps and passages as a draft, in place of an older draft of that number."""
    remove_draft(session, sop.id, version)
    row = SopVersion(
        sop=sop.id,
        version=version,
        title=sop.title,
        domain=sop.domain,
        state="draft",
        owner=sop.owner,
        approver=sop.approver,
        effective=sop.effective or at.astimezone(UTC).date(),
        review_by=sop.review_by,
        retention=sop.retention,
        roles=list(sop.roles),
        sites=list(sop.sites),
        sha256=sop.sha256,
        source=sop.source,
        name=name,
        authored=sop.authored,
        added_at=at,
        added_by=by,
    )
    session.add(row)
    session.flush()
    session.add_all(_step_rows(sop, version))
    session.add_all(_passage_rows(sop, cuts, version))
    session.flush()
    return row


def remove_draft(session: Session, sop: str, version: int) -> None:
    """Take out a draft of this number with all that hangs on it. A published version is never taken out."""
    row = session.get(SopVersion, (sop, version))
    if row is None:
        return
    if row.state != "draft":
        raise ValueError(f"{sop} version {version} is {row.state} and stays")
    for table in (StepRow, PassageRow):
        for found in session.exec(select(table).where(table.sop == sop, table.version == version)):
            session.delete(found)
    session.delete(row)
    session.flush()


def _step_rows(sop: Sop, version: int) -> list[StepRow]:
    return [
        StepRow(
            sop=sop.id,
            version=version,
            step=step.id,
            position=position,
            number=step.number,
            title=step.title,
            text=step.text,
            span_start=step.start,
            span_end=step.end,
            span_all=step.end_all,
            role=step.role,
            clock=step.clock,
            proof=step.proof,
            branches=[[str(branch.when), str(branch.then)] for branch in step.branches],
            escalation=step.escalation,
            line=step.line,
        )
        for position, step in enumerate(sop.steps)
    ]


def _passage_rows(sop: Sop, cuts: Sequence[Cut], version: int) -> list[PassageRow]:
    return [
        PassageRow(
            id=f"{sop.id}@{version}:{position}",
            sop=sop.id,
            version=version,
            position=position,
            step=cut.step,
            heading=cut.heading,
            text=SopText(sop.source[cut.start : cut.end]),
            span_start=cut.start,
            span_end=cut.end,
            roles=list(sop.roles),
            sites=list(sop.sites),
            asked=list(cut.asked),
        )
        for position, cut in enumerate(cuts)
    ]


def publish(session: Session, sop: str, version: int, *, at: datetime, by: str) -> tuple[int, ...]:
    """Draft -> published; the older published versions become superseded and are returned.

    A superseded version stays in force until its successor's effective day: what is in force goes by dates, not by state.
    """
    changed = session.exec(
        update(SopVersion)
        .where(col(SopVersion.sop) == sop, col(SopVersion.version) == version, col(SopVersion.state) == "draft")
        .values(state="published", published_at=at, published_by=by)
    )
    if changed.rowcount != 1:
        raise ValueError(f"{sop} version {version} is no draft")
    older = session.exec(
        select(SopVersion.version).where(SopVersion.sop == sop, SopVersion.version < version, SopVersion.state == "published")
    ).all()
    session.exec(
        update(SopVersion)
        .where(col(SopVersion.sop) == sop, col(SopVersion.version).in_(older))
        .values(state="superseded", superseded_at=at)
    )
    return tuple(sorted(older))


def raise_generation(session: Session) -> None:
    """Say that the library changed: every process rebuilds its index before its next search."""
    changed = session.exec(
        update(LibraryMark).where(col(LibraryMark.name) == "library").values(generation=LibraryMark.generation + 1)
    )
    if changed.rowcount == 0:
        session.add(LibraryMark(name="library", generation=1))
        session.flush()


def take_tokens(session: Session, day: date, tokens: int, limit: int) -> bool:
    """Set tokens of the day's limit aside; False where they are no longer left. Every process counts on the same row."""
    _count(session, day, "", 0)
    row = update(ModelDay).where(col(ModelDay.day) == day, col(ModelDay.outcome) == "", col(ModelDay.n) + tokens <= limit)
    return session.exec(row.values(n=ModelDay.n + tokens)).rowcount == 1


def settle_tokens(session: Session, day: date, difference: int, outcome: str) -> None:
    """Count one question's outcome, and what it used beyond (or, negative, below) what was set aside."""
    _count(session, day, "", difference)
    _count(session, day, outcome, 1)


def _count(session: Session, day: date, outcome: str, by: int) -> None:
    more = update(ModelDay).where(col(ModelDay.day) == day, col(ModelDay.outcome) == outcome).values(n=ModelDay.n + by)
    if session.exec(more).rowcount == 0:
        try:
            with session.begin_nested():
                session.add(ModelDay(day=day, outcome=outcome, n=by))
        except IntegrityError:  # another process was first
            session.exec(more)


def add_vectors(session: Session, embedder: str, vectors: Mapping[str, bytes]) -> None:
    """Keep vectors by the hash of their text, in place of what stood there."""
    dialect = session.get_bind().dialect.name
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    rows = [{"text": name, "embedder": embedder, "vector": vector} for name, vector in vectors.items()]
    if rows:
        fresh = insert(VectorRow)
        session.execute(
            fresh.on_conflict_do_update(index_elements=["text", "embedder"], set_={"vector": fresh.excluded.vector}), rows
        )


# --- reading ----------------------------------------------------------------------------------------------------------------


def generation(session: Session, *, hold: bool = False) -> int:
    """The library's generation number; 0 before the first change.

    hold   nobody changes the library before this transaction ends (on SQLite a write transaction is alone anyway)
    """
    query = select(LibraryMark.generation).where(LibraryMark.name == "library")
    return session.exec(query.with_for_update(read=True) if hold else query).first() or 0


def model_day(session: Session, day: date) -> dict[str, int]:
    """How many questions had each outcome on this UTC day; under "" the tokens."""
    return {row.outcome: row.n for row in session.exec(select(ModelDay).where(ModelDay.day == day))}


@dataclass(frozen=True)
class Edition:
    """What is known of one version without its text; a value, free of any session."""

    sop: str
    version: int
    title: SopText
    state: str
    owner: str
    approver: str
    effective: date
    review_by: date | None
    roles: frozenset[str]
    sites: frozenset[str]
    sha256: str
    published_at: datetime
    published_by: str
    authored: bool


def editions(session: Session) -> tuple[Edition, ...]:
    """Every version that was ever published, by SOP and version."""
    whole = select(SopVersion).where(col(SopVersion.published_at).is_not(None))
    query = whole.options(defer(SopVersion.source))  # type: ignore[arg-type]  # sqlmodel types a column as its value
    return tuple(
        Edition(
            sop=row.sop,
            version=row.version,
            title=SopText(row.title),
            state=row.state,
            owner=row.owner,
            approver=row.approver,
            effective=row.effective,
            review_by=row.review_by,
            roles=frozenset(row.roles),
            sites=frozenset(row.sites),
            sha256=row.sha256,
            published_at=row.published_at,
            published_by=row.published_by,
            authored=row.authored,
        )
        for row in session.exec(query.order_by(col(SopVersion.sop), col(SopVersion.version)))
        if row.published_at
    )


def source(session: Session, sop: str, version: int) -> SopText | None:
    """The whole text of one version, or None where there is no such version."""
    row = session.get(SopVersion, (sop, version))
    return SopText(row.source) if row else None


def passages(session: Session, wanted: Collection[tuple[str, int]]) -> list[PassageRow]:
    """The passages of these versions, in the order of SOP, version and place."""
    sops = {sop for sop, _ in wanted}
    found = session.exec(select(PassageRow).where(col(PassageRow.sop).in_(sops)))
    return sorted((row for row in found if (row.sop, row.version) in wanted), key=lambda r: (r.sop, r.version, r.position))


def vectors(session: Session, embedder: str, texts: Collection[str]) -> dict[str, bytes]:
    """The vectors of those texts (by their hash) that this embedder has made already."""
    names, found = sorted(texts), dict[str, bytes]()
    for start in range(0, len(names), AT_ONCE):
        some = col(VectorRow.text).in_(names[start : start + AT_ONCE])
        found.update(
            session.execute(select(VectorRow.text, VectorRow.vector).where(VectorRow.embedder == embedder, some)).all()
        )
    return {name: bytes(vector) for name, vector in found.items()}


def embedded(session: Session, embedder: str, texts: Collection[str], size: int) -> set[str]:
    """Which of those texts (by their hash) have a vector of this embedder, of `size` bytes."""
    names, found = sorted(texts), set[str]()
    for start in range(0, len(names), AT_ONCE):
        some = col(VectorRow.text).in_(names[start : start + AT_ONCE])
        whole = func.length(VectorRow.vector) == size
        found.update(session.exec(select(VectorRow.text).where(VectorRow.embedder == embedder, some, whole)))
    return found


def versions(session: Session, sop: str) -> list[SopVersion]:
    """All versions of one SOP, oldest first."""
    return list(session.exec(select(SopVersion).where(SopVersion.sop == sop).order_by(col(SopVersion.version))))


def steps(session: Session, sop: str, version: int) -> list[StepRow]:
    """The steps of one version in their order."""
    found = session.exec(select(StepRow).where(StepRow.sop == sop, StepRow.version == version))
    return sorted(found, key=lambda row: row.position)


def branches(row: StepRow) -> tuple[Branch, ...]:
    return tuple(Branch(SopText(when), SopText(then)) for when, then in row.branches)


def text(stored: str) -> SopText:
    """Stored SOP text with its type again: rows carry plain strings for the type checker."""
    return SopText(stored)
