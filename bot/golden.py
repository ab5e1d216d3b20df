"""The organisation's own questions that must go on finding their step, and what a publication does to them.

A question comes in by a thumbs-up, by the fix of a gap, or by hand. What was lost is named, one line a question.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path

from sqlalchemy import Engine, Select, delete, select
from sqlmodel import Session, SQLModel, col

from bot import evidence
from bot.evidence import Event
from bot.migrations import migrate
from bot.records import Gap, Golden, Question, insert_new, open_engine, read, write
from knowledge import tables
from knowledge.embedding import Embedder
from knowledge.library import Answer, Library, Principal, Report

READY_S = 120.0
"""How long a library may take until it can be searched by meaning; after that it is asked by words alone."""


@dataclass(frozen=True)
class Lost:
    """A golden question whose step is not in the answer any more. `now`: `sop#step` that answers instead, or empty."""

    question: str
    sop: str
    step: str
    now: str

    def __str__(self) -> str:
        instead = f"is answered with {self.now}" if self.now else "is not answered"
        return f"“{self.question}” should find {self.sop}#{self.step} and {instead}."


# --- which questions -------------------------------------------------------------------------------------------------------


def keep(session: Session, question: str, sop: str, step: str, *, site: str, how: str, by: str, at: datetime) -> bool:
    """Take a question in, redacted by the caller; False where it is there already, or says nothing."""
    if not (question.strip() and sop and step):
        return False
    row = {"question": question, "sop": sop, "step": step, "site": site, "how": how, "by": by, "at": at}
    if not insert_new(session, Golden, **row):
        return False
    _record(session, "golden kept", sop, step, by, at, how)
    return True


def give_up(session: Session, question: str, sop: str, step: str, *, by: str, at: datetime, how: str = "") -> bool:
    """Take a question out; with `how`, only where it came in that way. False where there is none."""
    where = [col(Golden.question) == question, col(Golden.sop) == sop, col(Golden.step) == step]
    where += [col(Golden.how) == how] if how else []
    if session.execute(delete(Golden).where(*where)).rowcount == 0:  # type: ignore[attr-defined]  # of a DELETE
        return False
    _record(session, "golden given up", sop, step, by, at, how)
    return True


def _record(session: Session, what: str, sop: str, step: str, by: str, at: datetime, how: str) -> None:
    evidence.append(session, Event(what=what, at=at, subject=f"sop:{sop}", actor=by, sop=sop, step=step, detail={"how": how}))


def questions(session: Session) -> list[Golden]:
    """All of them, by SOP, step and words."""
    return list(session.scalars(select(Golden).order_by(col(Golden.sop), col(Golden.step), col(Golden.question))))


def phrases(session: Session) -> dict[tuple[str, str], tuple[str, ...]]:
    """In what words each step was asked for and confirmed."""
    found: dict[tuple[str, str], list[str]] = {}
    for sop, step, question in session.execute(select(col(Golden.sop), col(Golden.step), col(Golden.question))):
        found.setdefault((sop, step), []).append(question)
    return {place: tuple(texts) for place, texts in found.items()}


# --- do they find their step -----------------------------------------------------------------------------------------------


def lost(library: Library, rows: Iterable[Golden], editions: Sequence[tables.Edition], at: datetime) -> list[Lost]:
    """Those of `rows` that do not find their step in the library as it is in force at `at`."""
    library.ready(at, READY_S)
    return [Lost(r.question, r.sop, r.step, now) for r in rows if (now := _instead(library, r, editions, at)) is not None]


def _instead(library: Library, row: Golden, editions: Sequence[tables.Edition], at: datetime) -> str | None:
    """None where it finds its step for somebody who may read all; else what answers instead, or empty."""
    first = ""
    for site in [row.site] if row.site else sorted({"all"}.union(*(e.sites for e in editions))):
        shown = answered(library, row.question, editions, site, at)
        if (row.sop, row.step) in shown:
            return None
        first = first or next((f"{sop}#{step}" for sop, step in shown), "")
    return first


def answered(
    library: Library, question: str, editions: Sequence[tables.Edition], site: str, at: datetime
) -> list[tuple[str, str]]:
    """The (sop, step) that answer a question for somebody in every role at a site, what is shown first before others."""
    found = library.ask(question, everybody(editions, site), at)
    return [(q.sop, q.step) for q in (*found.quotes, *found.also)] if isinstance(found, Answer) else []


def everybody(editions: Sequence[tables.Edition], site: str) -> Principal:
    """Somebody in every role at a site."""
    return Principal("golden", frozenset({"all"}).union(*(e.roles for e in editions)), site or "all")


# --- what a publication does -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Effect:
    """What a publication did: the questions that it lost, and the gaps that it closed, as (question's words, sop, step)."""

    lost: tuple[Lost, ...] = ()
    closed: tuple[tuple[str, str, str], ...] = ()


def publishing(
    engine: Engine, library: Library, publish: Callable[[], Report], by: str, now: datetime
) -> tuple[Report, Effect]:
    """Publish, and say what that did to the golden questions and to the gaps that wait for an SOP.

    A gap is closed where its question is answered by a step of what was published, and was not before.
    """
    with read(engine) as session:
        rows, before = questions(session), tables.editions(session)
        gaps = [(gap, session.get_one(Question, gap.question)) for gap in session.scalars(_open_gaps())]
    if not rows and not gaps:
        return publish(), Effect()
    already = {(one.question, one.sop, one.step) for one in lost(library, rows, before, now)}
    said = {gap.question: answered(library, asked.asked, before, asked.site, now)[:1] for gap, asked in gaps}
    report = publish()
    fresh = {file.sop for file in report.files if file.outcome == "published"}
    if not fresh:
        return report, Effect()
    with read(engine) as session:
        after = tables.editions(session)
    at = _in_force(after, fresh, now)
    gone = [one for one in lost(library, rows, after, at) if (one.question, one.sop, one.step) not in already]
    closed = []
    for gap, asked in gaps:
        first = answered(library, asked.asked, after, asked.site, at)[:1]
        if first and first != said[gap.question] and first[0][0] in fresh and first[0][1]:
            with write(engine) as session:
                if close(session, gap.question, *first[0], by=by, at=now):
                    closed.append((asked.asked, *first[0]))
    return report, Effect(tuple(gone), tuple(closed))


def _in_force(editions: Sequence[tables.Edition], sops: Iterable[str], now: datetime) -> datetime:
    """The first instant from now on at which the newest versions of these SOPs are in force."""
    wanted = set(sops)
    newest = {e.sop: e for e in editions if e.sop in wanted}  # versions come in rising order
    return max([now, *(datetime.combine(e.effective, time(), UTC) for e in newest.values())])


def close(session: Session, ref: str, sop: str, step: str, *, by: str, at: datetime) -> bool:
    """A gap is closed by a step that says it now: its question becomes golden. False where there is no such open gap."""
    gap, asked = session.get(Gap, ref), session.get(Question, ref)
    if gap is None or asked is None or gap.state != "open":
        return False
    newest = max((e.version for e in tables.editions(session) if e.sop == sop), default=0)
    gap.state, gap.ended_at, gap.ended_by, gap.fixed_in = "closed", at, by, f"{sop}@{newest}#{step}"
    session.add(gap)
    session.flush()
    evidence.append(
        session,
        Event(what="gap closed", at=at, subject=f"question:{ref}", actor=by, sop=sop, sop_version=newest or None, step=step),
    )
    keep(session, asked.asked, sop, step, site=asked.site, how="gap", by=by, at=at)
    return True


def leave(session: Session, ref: str, *, by: str, at: datetime) -> bool:
    """A question that belongs in no SOP is listed no more. False where it is not open."""
    gap, asked = session.get(Gap, ref), session.get(Question, ref)
    if asked is None or (gap is not None and gap.state != "open"):
        return False
    gap = gap or Gap(question=ref, reply="", by=by, at=at, thread=asked.thread)
    gap.state, gap.ended_at, gap.ended_by = "left", at, by
    session.add(gap)
    session.flush()
    evidence.append(session, Event(what="gap left", at=at, subject=f"question:{ref}", actor=by))
    return True


def _open_gaps() -> Select[Gap]:
    return select(Gap).where(col(Gap.state) == "open").order_by(col(Gap.at))


# --- a draft that is about to be published ---------------------------------------------------------------------------------

_COPIED: tuple[type[SQLModel], ...] = (
    tables.SopVersion,
    tables.StepRow,
    tables.PassageRow,
    tables.LibraryMark,
    tables.VectorRow,
)


@contextmanager
def rehearsed(
    engine: Engine, paths: Sequence[Path], embedder: Embedder | None, now: datetime, home: Path | None = None
) -> Iterator[tuple[Library, Report, list[tables.Edition], datetime]]:
    """The library as it would be with these files published, in a copy that is gone afterwards; and from when on."""
    with tempfile.TemporaryDirectory(prefix="holdfast-draft-") as folder:
        other = open_engine(f"sqlite:///{Path(folder) / 'draft.sqlite'}")
        migrate(other)
        with read(engine) as source, write(other) as target:
            confirmed = phrases(source)
            for table in _COPIED:
                target.add_all([table(**row.model_dump()) for row in source.scalars(select(table))])
        library = Library(
            lambda: read(other), lambda: write(other), embedder=embedder, folder=Path(folder) / "index",
            phrases=lambda _: confirmed, calibrated=home,
        )  # fmt: skip
        try:
            report = library.ingest(paths, publish=True, at=now, by="rehearsal")
            with read(other) as session:
                editions = list(tables.editions(session))
            fresh = [file.sop for file in report.files if file.outcome == "published"]
            yield library, report, editions, _in_force(editions, fresh, now)
        finally:
            library.close()
            other.dispose()
