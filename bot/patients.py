"""The patients that the feeds name, known by keyed hashes alone: does a text that staff typed name one of them?

A connector hands each name it reads to `Patients.seal`, which makes its marks (`phi.marks_of`) and of each mark an HMAC-SHA256
under the installation's own key. Those are kept with the feed that brought them and the day. No name is stored, and none leaves
the connector. The key is a row beside them, so that every process has the same one and a backup is whole: whoever holds the
database can try names, one after the other, and cannot read them.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

from sqlalchemy import ARRAY, Date, Engine, Select, String, cast, delete, func, literal, select, true
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col

from bot import phi
from bot.records import Mark, PatientMark, insert_new, read, write

PATIENCE_S = 1.0
"""How long a lookup may wait for the database. It fails then, and what was typed is withheld (`phi.clean`)."""
KEPT = timedelta(days=730)
"""A patient whom no feed has named for two years is forgotten; practices call a patient inactive after 18 to 24 months."""

_KEY = "patient key"
_AGED = "patients aged"
_TOGETHER = 5000
"""Rows in one transaction: some hundredths of a second, so that nobody who presses a button waits for a file of patients."""
_NOBODY = frozenset("patient subscriber insured guarantor unknown anonymous testpatient".split())  # noqa: SIM905
_NOBODY_ALONE = frozenset("self same spouse child parent other none new test member dependent".split())  # noqa: SIM905
"""What stands where there is no name, with another word or by itself: it would take ordinary words out of every question."""


@dataclass(frozen=True)
class Patients:
    """The patients of one installation (`phi.Known`).

    engine  connections for lookups; should give up within PATIENCE_S
    key     32 bytes, the same for as long as the table stands
    """

    engine: Engine
    key: bytes = field(repr=False)

    def seal(self, name: str) -> Iterable[str]:
        """All that is kept of a patient's name (`connectors.Seal`); nothing of what only stands in a name's place."""
        marks = phi.marks_of(name)
        words = {word for mark in marks for kind, _, word in [mark.partition(":")] if kind in "sg"}
        if words & _NOBODY or (len(words) == 1 and words <= _NOBODY_ALONE):
            return ()
        return [self._sealed(mark) for mark in marks]

    def among(self, marks: Collection[str]) -> Collection[str]:
        """Which of these marks are a patient's, by one query. raises SQLAlchemyError: then nobody knows"""
        asked = {self._sealed(mark): mark for mark in marks}
        if not asked:
            return ()
        with read(self.engine) as session:
            query = select(col(PatientMark.mark)).where(col(PatientMark.mark).in_(_listed(session, asked))).distinct()
            return [asked[mark] for mark in session.scalars(query)]

    def _sealed(self, mark: str) -> str:
        made = self._keyed.copy()
        made.update(mark.encode())
        return made.hexdigest()[:32]

    @cached_property
    def _keyed(self) -> hmac.HMAC:
        return hmac.new(self.key, digestmod="sha256")


def key(engine: Engine, now: datetime) -> bytes:
    """The installation's key, made at first use."""
    with read(engine) as session:
        found = session.get(Mark, _KEY)
    if found is None:
        with write(engine) as session:
            insert_new(session, Mark, name=_KEY, value=secrets.token_hex(32), at=now)
            found = session.get_one(Mark, _KEY)
    return bytes.fromhex(found.value)


def remember(engine: Engine, feed: str, sealed: Collection[str], now: datetime) -> None:
    """Keep that this feed names these patients today, in transactions of its own. What it named today costs no write."""
    if not sealed:
        return
    today = now.astimezone(UTC).date()
    with read(engine) as session:
        mark = col(PatientMark.mark)
        here = (mark.in_(_listed(session, sealed)), col(PatientMark.feed) == feed, col(PatientMark.seen_on) >= today)
        news = sorted(set(sealed) - set(session.scalars(select(mark).where(*here))))
    for at in range(0, len(news), _TOGETHER):
        with write(engine) as session:
            session.execute(_put(session, feed, news[at : at + _TOGETHER], today))


def forget(engine: Engine, now: datetime) -> None:
    """Once a day, drop whom no feed has named for KEPT."""
    today = now.astimezone(UTC).date()
    with read(engine) as session:
        last = session.get(Mark, _AGED)
    if last is not None and last.value == today.isoformat():
        return
    with write(engine) as session:
        session.execute(delete(PatientMark).where(col(PatientMark.seen_on) < today - KEPT))
        session.merge(Mark(name=_AGED, value=today.isoformat(), at=now))


def _put(session: Session, feed: str, sealed: Collection[str], today: date) -> Any:
    """One statement that leaves each of these with this day; a later day stays."""
    insert = postgresql.insert if _is_postgres(session) else sqlite.insert
    listed = _listed(session, sealed).subquery()
    rows = select(listed.c.mark, literal(feed), literal(today, Date)).where(true())  # SQLite: else ON would be a join's
    statement: Any = insert(PatientMark).from_select(["mark", "feed", "seen_on"], rows)
    later = statement.excluded.seen_on > col(PatientMark.seen_on)
    return statement.on_conflict_do_update(
        index_elements=["mark", "feed"], set_={"seen_on": statement.excluded.seen_on}, where=later
    )


def _listed(session: Session, marks: Iterable[str]) -> Select[tuple[str]]:
    """These marks as a table of one column `mark`, in one parameter however many they are."""
    if _is_postgres(session):
        return select(func.unnest(cast(list(marks), ARRAY(String))).label("mark"))
    return select(func.json_each(json.dumps(list(marks))).table_valued("value").c.value.label("mark"))


def _is_postgres(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"
