"""A link in chat opens the page once, for one person, for a while; and nothing in the database opens it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, text
from sqlmodel import select

from bot import signin
from bot.records import SignIn, read, write

NOW = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
LATER = timedelta(seconds=1)


def signed_in(engine: Engine, person: str = "bea") -> str:
    word = signin.use(engine, signin.make(engine, person, NOW), NOW)
    assert word
    return word


def test_a_code_becomes_a_session_once(both_engines: Engine) -> None:
    """Lost: whoever finds the link in a history or a log would be that person."""
    code = signin.make(both_engines, "bea", NOW)
    word = signin.use(both_engines, code, NOW + LATER)
    assert word
    assert signin.who(both_engines, word, NOW + LATER) == "bea"
    assert signin.use(both_engines, code, NOW + LATER) is None
    assert signin.who(both_engines, word, NOW + LATER) == "bea"


def test_of_many_at_once_one_wins(both_engines: Engine) -> None:
    """Lost: a link that leaked could be used beside its owner, and neither would notice."""
    for _ in range(3):
        code, won = signin.make(both_engines, "bea", NOW), list[str | None]()
        start = threading.Barrier(6)

        def use(code: str = code, won: list[str | None] = won, start: threading.Barrier = start) -> None:
            start.wait()
            won.append(signin.use(both_engines, code, NOW))

        threads = [threading.Thread(target=use) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(word is None for word in won) == [False] + [True] * 5


def test_a_code_ends_after_ten_minutes_and_a_session_after_twelve_hours(engine: Engine) -> None:
    """Lost: an old message in chat, or a browser in a practice's hallway, would stay a key for ever."""
    code = signin.make(engine, "bea", NOW)
    assert signin.use(engine, code, NOW + timedelta(minutes=10)) is None
    word = signin.use(engine, signin.make(engine, "bea", NOW), NOW + timedelta(minutes=10) - LATER)
    assert word
    until = NOW + timedelta(minutes=10) - LATER + timedelta(hours=12)
    assert signin.who(engine, word, until - LATER) == "bea"
    assert signin.who(engine, word, until) is None


def test_a_new_code_ends_the_older_ones_of_this_person_only(both_engines: Engine) -> None:
    """Lost: every link ever asked for would stay open until it runs out."""
    old, others = signin.make(both_engines, "bea", NOW), signin.make(both_engines, "tom", NOW)
    word = signed_in(both_engines)
    assert signin.use(both_engines, old, NOW) is None
    assert signin.use(both_engines, others, NOW)
    new = signin.make(both_engines, "bea", NOW + LATER)
    assert signin.who(both_engines, word, NOW + LATER) == "bea", "a session goes on"
    assert signin.use(both_engines, new, NOW + LATER)


def test_signing_out_ends_this_session_and_leaving_ends_all(engine: Engine) -> None:
    """Lost: a cookie that was copied would go on after its owner signed out, or left the practice."""
    one, two, tom = signed_in(engine), signed_in(engine), signed_in(engine, "tom")
    signin.end(engine, one, NOW + LATER)
    assert [signin.who(engine, word, NOW + LATER) for word in (one, two, tom)] == [None, "bea", "tom"]
    code = signin.make(engine, "bea", NOW + LATER)
    signin.end_all(engine, "bea", NOW + LATER)
    assert [signin.who(engine, word, NOW + LATER) for word in (one, two, tom)] == [None, None, "tom"]
    assert signin.use(engine, code, NOW + LATER) is None


def test_the_database_opens_nothing(engine: Engine) -> None:
    """Lost: whoever reads a backup could sign in as anybody."""
    code = signin.make(engine, "bea", NOW)
    word = signin.use(engine, code, NOW)
    assert word
    with engine.connect() as connection:
        (row,) = connection.execute(text("SELECT * FROM sign_in")).all()
    assert code not in str(row)
    assert word not in str(row)
    for stored in (row.code, row.session):
        assert signin.use(engine, stored, NOW) is None
        assert signin.who(engine, stored, NOW) is None


def test_an_unused_row_has_no_session_to_guess(engine: Engine) -> None:
    """Lost: a code that was never used holds an empty session: an empty cookie would be that person."""
    signin.make(engine, "bea", NOW)
    for word in ("", " ", "é" * 43, "0" * 43, "a" * 10_000, "' OR 1=1 --"):
        assert signin.who(engine, word, NOW) is None
        assert signin.use(engine, word, NOW) is None
        signin.end(engine, word, NOW)


def test_a_code_is_made_in_the_callers_transaction_and_old_rows_go(engine: Engine) -> None:
    """Lost: a link could be sent whose code was rolled back; the table would only grow."""
    with write(engine) as session:
        code = signin.make(session, "bea", NOW)
    assert signin.use(engine, code, NOW)
    signin.make(engine, "tom", NOW + timedelta(days=3))
    with read(engine) as session:
        assert [row.person for row in session.exec(select(SignIn))] == ["tom"]
