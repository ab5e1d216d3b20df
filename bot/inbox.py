"""The inbox: what was heard is a row before the platform is told that we have it; workers take rows until none is due.

Many requests become rows in one transaction: whoever comes while another is writing waits for it, and the first of those who
waited then writes for all of them. So a database that was held up for two seconds has taken in everybody one commit later.

    CannotKeep (bot.chat)   it could not be stored in time
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

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
TURN = timedelta(minutes=1)
"""For how long somebody's earlier rows count against their next."""

log = logging.getLogger(__name__)


Kept = Literal["now", "before", "not ours"]
"""What became of something heard: stored; known, because the same act was stored before; or none of our business."""


@dataclass
class _Waiting:
    row: dict[str, Any]
    is_follow_up: bool
    done: bool = False
    kept: Kept = "before"
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

    def keep(self, heard: Heard, now: datetime, *, at_once: bool = False) -> Kept:
        """Store what was heard, already redacted. A follow-up in a thread where nobody had asked us anything is not stored.

        at_once   whoever keeps it answers it now; a worker takes it up only if that never happens
        raises    CannotKeep
        """
        row = _row(heard, now) | (_LEASED | {"lease_until": now + LEASE} if at_once else {})
        waiting = _Waiting(row, is_follow_up=bool(heard.details.get("follow_up")))
        with self._guard:
            self._queue.append(waiting)
        with self._writing:
            if not waiting.done:
                with self._guard:
                    batch, self._queue = self._queue, []
                self._store(batch)
        if waiting.failed is not None:
            raise CannotKeep("the inbox could not be written") from waiting.failed
        return waiting.kept

    def _store(self, batch: list[_Waiting]) -> None:
        """One transaction for all, in the order in which they came: a question opens its thread for what comes after it."""
        try:
            with write(self.engine) as session:
                for each in batch:
                    each.kept = _insert(session, each)
        except SQLAlchemyError as bad:
            # not log.exception: the error's text would hold the parameters, which are what people typed
            log.error("the inbox could not be written (%s); the platform is told and tries again", type(bad).__name__)  # noqa: TRY400
            for each in batch:
                each.failed = bad
        for each in batch:
            each.done = True


def _insert(session: Session, waiting: _Waiting) -> Kept:
    if waiting.is_follow_up and not _is_open(session, waiting.row["thread"]):
        return "not ours"
    return "now" if insert_new(session, Incoming, **waiting.row) else "before"


def _is_open(session: Session, thread: str) -> bool:
    """Whether somebody has asked us something in this thread."""
    query = select(col(Incoming.key)).where(col(Incoming.thread) == thread, col(Incoming.act) == "ask")
    return session.scalar(query.limit(1)) is not None


def _row(heard: Heard, now: datetime) -> dict[str, Any]:
    return {
        "key": heard.key, "platform": heard.place.platform, "act": heard.act, "account": heard.account,
        "thread": thread_of(heard), "heard": heard.as_json(), "state": "pending", "attempts": 0, "not_before": now,
        "received_at": now, "reason": "",
    }  # fmt: skip


_LEASED = {"state": "working", "attempts": 1}


def thread_of(heard: Heard) -> str:
    """The thread that this belongs to, as one word: what was typed first opens it. What was asked in private opens none."""
    if heard.place.surface == "command":
        return ""
    return f"{heard.place.channel}/{heard.place.thread or heard.place.message}"


def take(engine: Engine, now: datetime) -> Taken | None:
    """The row whose turn it is, leased; None where none is due. Rows whose worker died come back when their lease ends.

    People take turns: somebody's second row within a minute waits for everybody's first, so who sends forty at once holds up
    themselves alone.
    """
    waiting = or_(
        (col(Incoming.state) == "pending") & (col(Incoming.not_before) <= now),
        (col(Incoming.state) == "working") & (col(Incoming.lease_until) <= now),
    )
    due = col(Incoming.ended_at).is_(None) & waiting
    with read(engine) as session:
        if session.scalar(select(col(Incoming.key)).where(due).limit(1)) is None:
            return None
    whose = (col(Incoming.platform), col(Incoming.account))
    turn = func.row_number().over(partition_by=whose, order_by=(col(Incoming.received_at), col(Incoming.key))).label("turn")
    lately = col(Incoming.ended_at).is_(None) | (col(Incoming.received_at) > now - TURN)
    turns = select(col(Incoming.key), turn).where(lately).subquery()
    query = select(Incoming).join(turns, turns.c.key == col(Incoming.key)).where(due)
    query = query.order_by(turns.c.turn, col(Incoming.received_at), col(Incoming.key)).limit(1)
    with write(engine) as session:
        row = session.scalar(query.with_for_update(skip_locked=True, of=Incoming))
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
    heard = taken.heard
    files = tuple(replace(file, url="") for file in heard.files)  # a link that opens a file is a key, and is needed no longer
    told = {"heard": replace(heard, files=files).as_json()} if files else {}
    _set(session, taken, state=state, ended_at=now, lease_until=None, reason=reason[:200], **told)


@contextmanager
def holding(engine: Engine, taken: Taken, clock: Callable[[], datetime]) -> Iterator[None]:
    """Keep the lease of a row whose answer takes long, until the block ends."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(LEASE.total_seconds() / 3):
            try:
                with write(engine) as session:
                    _set(session, taken, lease_until=clock() + LEASE)
            except SQLAlchemyError as bad:  # the lease lasts for two more tries
                log.warning("a lease could not be renewed (%s)", type(bad).__name__)

    renewing = threading.Thread(target=renew, name="lease", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        over.set()
        renewing.join(timeout=5)


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
