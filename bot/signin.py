"""Signing in to the page: a one-time link that the bot sends in chat becomes a session of one browser.

Whoever can read the chat as a person is that person, for as long as that account is theirs. A code works once and for ten
minutes, and a new one ends the older ones; a session lasts twelve hours. Only hashes are kept, so that the database opens
nothing.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import Engine, delete, update
from sqlmodel import Session, col, select

from bot.records import SignIn, alone, read, write

CODE_LASTS = timedelta(minutes=10)
SESSION_LASTS = timedelta(hours=12)

Whose = Callable[[str, str], str]
"""(platform, account) -> the id of the person whose account it is now; empty where it is nobody's."""

_KEPT = timedelta(days=1)
"""How long a row stays after its end."""
_CODE = re.compile(r"[A-Za-z0-9_-]{22}")
_SESSION = re.compile(r"[A-Za-z0-9_-]{43}")


def make(where: Engine | Session, person: str, now: datetime, by: tuple[str, str] = ("", "")) -> str:
    """A new code for this person's link: 22 letters, digits, - or _. Their older unused ones are over.

    where   an engine, or the caller's own write transaction
    by      platform and account that the link is sent to; what comes of it lasts only while that account is theirs
    """
    code = secrets.token_urlsafe(16)
    with _writing(where) as session:
        alone(session, f"sign_in:{person}")
        unused = (col(SignIn.person) == person, col(SignIn.used_at).is_(None), col(SignIn.ends_at) > now)
        session.execute(update(SignIn).where(*unused).values(ends_at=now))
        session.execute(delete(SignIn).where(col(SignIn.ends_at) < now - _KEPT))
        made = SignIn(code=_hash(code), person=person, made_at=now, ends_at=now + CODE_LASTS)
        made.platform, made.account = by
        session.add(made)
        session.flush()
    return code


def use(engine: Engine, code: str, now: datetime) -> str | None:
    """The new session's word, for this browser alone; None where the code is wrong, used, ended or out of date."""
    if not _CODE.fullmatch(code):
        return None
    word = secrets.token_urlsafe(32)
    unused = (col(SignIn.code) == _hash(code), col(SignIn.used_at).is_(None), col(SignIn.ends_at) > now)
    begins = {"used_at": now, "session": _hash(word), "ends_at": now + SESSION_LASTS}
    with write(engine) as session:
        taken = session.execute(update(SignIn).where(*unused).values(begins))
    return word if taken.rowcount == 1 else None  # type: ignore[attr-defined]


def who(engine: Engine, word: str, now: datetime, whose: Whose | None = None) -> str | None:
    """The person whose session this is; None where there is none, or it has ended.

    whose   asked about the account they signed in by: where it has become another's, this person is signed out everywhere
    """
    if not _SESSION.fullmatch(word):
        return None
    with read(engine) as session:
        row = session.exec(select(SignIn).where(SignIn.session == _hash(word), col(SignIn.ends_at) > now)).first()
    if row is not None and whose is not None and row.account and whose(row.platform, row.account) != row.person:
        end_all(engine, row.person, now)
        return None
    return row.person if row is not None else None


def end(engine: Engine, word: str, now: datetime) -> None:
    """Sign out: the session is over, whoever has its word."""
    if _SESSION.fullmatch(word):
        with write(engine) as session:
            going = (col(SignIn.session) == _hash(word), col(SignIn.ends_at) > now)
            session.execute(update(SignIn).where(*going).values(ends_at=now))


def end_all(where: Engine | Session, person: str, now: datetime) -> None:
    """Every code and session of this person is over: they left, or their chat account proved to be another's."""
    with _writing(where) as session:
        going = (col(SignIn.person) == person, col(SignIn.ends_at) > now)
        session.execute(update(SignIn).where(*going).values(ends_at=now))


@dataclass(frozen=True)
class SignedIn:
    """Signing in as the page needs it: one database, one clock, and whose an account is."""

    engine: Engine
    now: Callable[[], datetime]
    whose: Whose | None = None

    def use(self, code: str) -> str | None:
        return use(self.engine, code, self.now())

    def who(self, word: str) -> str | None:
        return who(self.engine, word, self.now(), self.whose)

    def end(self, word: str) -> None:
        end(self.engine, word, self.now())


def _hash(word: str) -> str:
    """No salt and no stretching: these words are random, 128 bits and more."""
    return sha256(word.encode()).hexdigest()


@contextmanager
def _writing(where: Engine | Session) -> Iterator[Session]:
    if isinstance(where, Session):
        yield where
        return
    with write(where) as session:
        yield session
