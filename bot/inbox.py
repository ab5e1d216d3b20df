"""The inbox: what was heard is a row before the platform is told that we have it; workers take rows until none is due.

Many requests become rows in one transaction: whoever comes while another is writing waits for it, and the first of those who
waited then writes for all of them. So a database that was held up for two seconds has taken in everybody one commit later.

    CannotKeep (bot.chat)   it could not be stored in time
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, func, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col

from bot.chat import CannotKeep, Heard, heard_from_json
from bot.records import Incoming, insert_new, read, write

LEASE = timedelta(seconds=60)
"""How long an answer may take before another worker takes the row up again."""
PATIENCE_S = 2.3
"""How long a row may wait for the database: platforms want their 2xx within three seconds."""
TRIES = 6

log = logging.getLogger(__name__)


@dataclass
class _Waiting:
    row: dict[str, Any]
    done: bool = False
    is_new: bool = False
    failed: Exception | None = None


@dataclass(frozen=True)
class Taken:
    """A row that this worker may answer. `attempt` counts from 1; above 1 an earlier worker may have got through."""

    heard: Heard
    attempt: int


@dataclass
class Inbox:
    """The rows of one installation. `engine` should give up on a locked database within PATIENCE_S."""

    engine: Engine
    _queue: list[_Waiting] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, heard: Heard, now: datetime, *, at_once: bool = False) -> bool:
        """Store what was heard, already redacted. False where the same act was stored before.

        at_once   whoever keeps it answers it now; a worker takes it up only if that never happens
        raises    CannotKeep
        """
        waiting = _Waiting(_row(heard, now) | (_LEASED | {"lease_until": now + LEASE} if at_once else {}))
        with self._guard:
            self._queue.append(waiting)
        with self._writing:
            if not waiting.done:
                with self._guard:
                    batch, self._queue = self._queue, []
                self._store(batch)
        if waiting.failed is not None:
            raise CannotKeep("the inbox could not be written") from waiting.failed
        return waiting.is_new

    def _store(self, batch: list[_Waiting]) -> None:
        try:
            with write(self.engine) as session:
                for each in batch:
                    each.is_new = insert_new(session, Incoming, **each.row)
        except SQLAlchemyError as bad:
            # not log.exception: the error's text would hold the parameters, which are what people typed
            log.error("the inbox could not be written (%s); the platform is told and tries again", type(bad).__name__)  # noqa: TRY400
            for each in batch:
                each.failed = bad
        for each in batch:
            each.done = True


def _row(heard: Heard, now: datetime) -> dict[str, Any]:
    return {
        "key": heard.key, "platform": heard.place.platform, "act": heard.act, "account": heard.account,
        "thread": thread_of(heard), "heard": heard.as_json(), "state": "pending", "attempts": 0, "not_before": now,
        "received_at": now, "reason": "",
    }  # fmt: skip


_LEASED = {"state": "working", "attempts": 1}


def thread_of(heard: Heard) -> str:
    """The thread that this belongs to, as one word: what was typed first opens it."""
    return f"{heard.place.channel}/{heard.place.thread or heard.place.message}"


def is_ours(session: Session, heard: Heard) -> bool:
    """Whether somebody asked us something in this thread before."""
    query = select(col(Incoming.key)).where(col(Incoming.thread) == thread_of(heard), col(Incoming.act) == "ask")
    return session.scalar(query.where(col(Incoming.key) != heard.key, col(Incoming.reason) != NOT_OURS).limit(1)) is not None


NOT_OURS = "not for us"
"""Why a row was ended without an answer: a message in a thread in which nobody had asked us anything."""


def take(engine: Engine, now: datetime) -> Taken | None:
    """The oldest row that is due, leased; None where there is none. Rows whose worker died come back when their lease ends."""
    waiting = or_(
        (col(Incoming.state) == "pending") & (col(Incoming.not_before) <= now),
        (col(Incoming.state) == "working") & (col(Incoming.lease_until) <= now),
    )
    query = select(Incoming).where(col(Incoming.ended_at).is_(None), waiting).order_by(col(Incoming.received_at)).limit(1)
    with read(engine) as session:
        if session.scalar(query) is None:
            return None
    with write(engine) as session:
        row = session.scalar(query.with_for_update(skip_locked=True))
        if row is None:
            return None
        row.state, row.lease_until, row.attempts = "working", now + LEASE, row.attempts + 1
        session.add(row)
        return Taken(replace(heard_from_json(row.heard), key=row.key), row.attempts)


def finish(engine: Engine, taken: Taken, now: datetime, reason: str = "") -> None:
    """It was answered, or `reason` says why nothing was to be answered."""
    with write(engine) as session:
        _end(session, taken, "done", now, reason)


def put_off(engine: Engine, taken: Taken, now: datetime, reason: str, after_s: float | None = None) -> bool:
    """It could not be answered yet: try again later. False where it has been tried often enough and is given up."""
    with write(engine) as session:
        if taken.attempt >= TRIES:
            _end(session, taken, "failed", now, reason)
            return False
        wait = timedelta(seconds=after_s if after_s is not None else min(2.0**taken.attempt, 60))
        _set(session, taken, state="pending", not_before=now + wait, lease_until=None, reason=reason[:200])
    return True


def give_up(engine: Engine, taken: Taken, now: datetime, reason: str) -> None:
    """It can never be answered."""
    with write(engine) as session:
        _end(session, taken, "failed", now, reason)


def _end(session: Session, taken: Taken, state: str, now: datetime, reason: str) -> None:
    _set(session, taken, state=state, ended_at=now, lease_until=None, reason=reason[:200])


def _set(session: Session, taken: Taken, **values: object) -> None:
    """Change the row of this lease; a later lease of the same row is left alone."""
    mine = (col(Incoming.key) == taken.heard.key) & (col(Incoming.attempts) == taken.attempt)
    session.execute(update(Incoming).where(mine, col(Incoming.ended_at).is_(None)).values(**values))


def pending(session: Session) -> tuple[int, datetime | None]:
    """How many rows wait, and since when the oldest does."""
    query = select(func.count(), func.min(Incoming.received_at)).where(col(Incoming.ended_at).is_(None))
    count, oldest = session.execute(query).one()
    return int(count), oldest


def next_moment(session: Session, now: datetime) -> datetime | None:
    """The next instant at which a row can be taken."""
    due = func.coalesce(col(Incoming.lease_until), col(Incoming.not_before))
    return session.scalar(select(due).where(col(Incoming.ended_at).is_(None)).order_by(due).limit(1))


def failed_since(session: Session, since: datetime) -> Mapping[str, int]:
    """How many acts of each platform could not be answered."""
    query = select(col(Incoming.platform), func.count()).where(col(Incoming.state) == "failed", col(Incoming.ended_at) >= since)
    return {platform: int(n) for platform, n in session.execute(query.group_by(col(Incoming.platform))).all()}
