"""The ledger, on both databases: what it keeps, what it refuses, and what `verify` says after a forger was there."""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import random
import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, NullPool, create_engine, make_url, text
from sqlalchemy.exc import DatabaseError
from sqlmodel import Session

from bot import evidence, records
from bot.evidence import Event, EvidenceError, Link
from bot.migrations import guards, migrate
from tests import postgres

NOW = datetime(2026, 2, 24, 20, 15, 0, 123456, tzinfo=UTC)
LINK_COLUMNS = ("chain", "seq", "prev_hash", "leaf", "hash")
BODY_COLUMNS = ("leaf", "at", "what", "subject", "item", "body", "erased_at")


def happened(n: int, **changed: Any) -> Event:
    """The n-th event of an invented afternoon."""
    event = Event(
        "nudge acknowledged",
        NOW + timedelta(minutes=n),
        subject=f"N{n}",
        item=f"K7Q29F4{n % 3}",
        actor="bea",
        role="billing_coordinator",
        sop="billing-claims",
        sop_version=1,
        step="work-denial",
        rule="denial",
        rule_version="1",
        snapshot="5f" * 32,
        detail={"n": n, "amount_cents": 12500, "first": n == 1, "note": None, "place": "Zoë"},
    )
    return replace(event, **changed)


def fill(engine: Engine, links: int, **changed: Any) -> list[Link]:
    with records.write(engine) as session:
        return [evidence.append(session, happened(n, **changed)) for n in range(1, links + 1)]


def verdict(engine: Engine, **how: Any) -> evidence.Verdict:
    with records.read(engine) as session:
        return evidence.verify(session, **how)


# --- appending and reading -------------------------------------------------------------------------------------------------


def test_what_was_appended_can_be_read_back_and_verified(both_engines: Engine) -> None:
    """Lost otherwise: the evidence trail of a card."""
    links = fill(both_engines, 5)
    with records.read(both_engines) as session:
        entries = evidence.read(session)
        assert [e.event for e in entries] == [happened(n) for n in range(1, 6)]
        assert [e.link for e in entries] == links
        assert evidence.head(session) == links[-1]
        assert [e.event.subject for e in evidence.read(session, item="K7Q29F41")] == ["N1", "N4"]
        assert [e.link.seq for e in evidence.read(session, subject="N3")] == [3]
        assert [e.link.seq for e in evidence.read(session, since=NOW + timedelta(minutes=4))] == [4, 5]
    found = verdict(both_engines)
    assert found == evidence.Verdict(True, 5, links[-1], None, 0, ())


def test_evidence_stands_if_and_only_if_the_change_beside_it_does(both_engines: Engine) -> None:
    """Lost otherwise: evidence of a press that never took effect."""
    fill(both_engines, 1)
    with pytest.raises(RuntimeError), records.write(both_engines) as session:
        evidence.append(session, happened(2))
        raise RuntimeError
    assert verdict(both_engines).length == 1


def test_a_read_session_cannot_append(both_engines: Engine) -> None:
    """Lost otherwise: on SQLite two readers that turn into writers, and a chain that forks or a press that dies."""
    with records.read(both_engines) as session, pytest.raises(EvidenceError, match=r"open it with records\.write"):
        evidence.append(session, happened(1))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"detail": {"amount": 1.5}}, "cannot hold a float"),
        ({"detail": {"names": ["a"]}}, "cannot hold a list"),
        ({"detail": {1: "a"}}, "names in an event's detail are text"),
        ({"detail": {"a": "\ud800"}}, "lone surrogate"),
        ({"at": NOW.replace(tzinfo=None)}, "no time zone"),
        ({"what": ""}, "needs a word"),
        ({"subject": "a\0b"}, "zero byte"),
    ],
)
def test_an_event_that_has_no_single_spelling_is_refused(engine: Engine, changed: dict[str, Any], says: str) -> None:
    """Lost otherwise: two programs hash the same event differently, and an honest ledger looks forged."""
    with pytest.raises(EvidenceError, match=says), records.write(engine) as session:
        evidence.append(session, happened(1, **changed))
    assert verdict(engine).length == 0


def test_equal_events_have_different_leaves(engine: Engine) -> None:
    """Lost otherwise: who knows the few possible contents of an erased event could guess it from its leaf."""
    with records.write(engine) as session:
        assert evidence.append(session, happened(1)).leaf != evidence.append(session, happened(1)).leaf


def test_the_hashes_of_the_format_never_change(engine: Engine) -> None:
    """Lost otherwise: evidence of last year no longer verifies with the program of this year."""
    with records.write(engine) as session:
        link = evidence.append(session, happened(1), nonce="00" * 16)
        body = session.get_one(records.LedgerBody, link.leaf).body
    assert body == (
        '{"actor":"bea","at":"2026-02-24T20:16:00.123456Z","detail":{"amount_cents":12500,"first":true,"n":1,"note":null,'
        '"place":"Zoë"},"item":"K7Q29F41","nonce":"00000000000000000000000000000000","role":"billing_coordinator",'
        '"rule":"denial","rule_version":"1","snapshot":"5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f",'
        '"sop":"billing-claims","sop_version":1,"step":"work-denial","subject":"N1","v":1,"what":"nudge acknowledged"}'
    )
    assert link.leaf == LEAF_OF_FORMAT
    assert link.hash == HASH_OF_FORMAT


LEAF_OF_FORMAT = "1fa5dbdf734026722bf5dbfe5802e9f127fd9d22e390b2da0ff4c9ed1c85256c"
HASH_OF_FORMAT = "9b43319035922189de311a114295280649fafd9a78bcf4e39298c3889b90f154"

scalars = st.text() | st.integers() | st.booleans() | st.none()


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), scalars.filter(lambda v: not _half(v))), st.randoms())
@settings(max_examples=60, deadline=None)
def test_the_order_in_which_a_detail_was_filled_does_not_matter(detail: dict[str, Any], chance: random.Random) -> None:
    """Lost otherwise: the same event has two hashes."""
    names = list(detail)
    chance.shuffle(names)
    assert evidence.canonical({name: detail[name] for name in names}) == evidence.canonical(detail)


def test_one_word_typed_in_two_ways_is_one_word(engine: Engine) -> None:
    """Lost otherwise: a name typed on a Mac and the same name typed on Windows look like two."""
    composed, decomposed = "Zo\u00eb", "Zoe\u0308"
    assert evidence.canonical({"by": composed}) == evidence.canonical({"by": decomposed})
    assert evidence.commitment(composed, "salt") == evidence.commitment(decomposed, "salt")
    with records.write(engine) as session:
        evidence.append(session, happened(1, subject=decomposed))
    assert verdict(engine).ok


def test_an_instant_in_any_zone_is_stored_as_utc(engine: Engine) -> None:
    """Lost otherwise: two spellings of one instant, two hashes."""
    with records.write(engine) as session:
        evidence.append(session, happened(1, at=NOW.astimezone(timezone(timedelta(hours=-5)))))
        assert evidence.read(session)[0].event.at == NOW
    assert verdict(engine).ok


def test_two_different_links_never_frame_to_the_same_bytes() -> None:
    """Lost otherwise: a letter moved from one column into the next leaves the hash as it was."""
    assert evidence.link_hash("a1", 1, "p", "l") != evidence.link_hash("a", 11, "p", "l")
    assert evidence.link_hash("a", 1, "pl", "") != evidence.link_hash("a", 1, "p", "l")


def test_a_commitment_needs_both_the_text_and_its_salt() -> None:
    """Lost otherwise: a short reason could be guessed from the chain, or denied later."""
    known = evidence.commitment("the payer's portal was down", "salt-1")
    assert known != evidence.commitment("the payer's portal was down", "salt-2")
    assert known != evidence.commitment("the payer's portal was up", "salt-1")


# --- many writers ----------------------------------------------------------------------------------------------------------


def test_eight_processes_that_append_at_once_never_fork_the_chain(both_engines: Engine) -> None:
    """Lost otherwise: under load two events claim one position, silently, and neither can be proved."""
    url = both_engines.url.render_as_string(hide_password=False)
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(9)
    writers = [context.Process(target=_append_many, args=(url, n, gate)) for n in range(8)]
    for writer in writers:
        writer.start()
    gate.wait(60)
    began = time.perf_counter()
    for writer in writers:
        writer.join()
    took = time.perf_counter() - began
    print(f"{both_engines.dialect.name}: 2000 appends by 8 processes, {2000 / took:.0f}/s")
    assert [writer.exitcode for writer in writers] == [0] * 8
    found = verdict(both_engines)
    assert (found.ok, found.length) == (True, 2000), found.first_bad
    with records.read(both_engines) as session:
        order = [(e.event.detail["writer"], e.event.detail["n"]) for e in evidence.read(session)]
    assert all([n for who, n in order if who == writer] == list(range(250)) for writer in range(8))


def _append_many(url: str, writer: int, gate: Any) -> None:
    engine = records.open_engine(url)
    gate.wait(60)
    for n in range(250):
        with records.write(engine) as session:
            evidence.append(session, happened(n, detail={"writer": writer, "n": n}))
    engine.dispose()


def test_chains_stand_beside_each_other(both_engines: Engine) -> None:
    """Lost otherwise: two organisations on one database share one order of events."""
    with records.write(both_engines) as session:
        for n in range(1, 4):
            evidence.append(session, happened(n), chain="north")
            evidence.append(session, happened(n), chain="south")
    assert verdict(both_engines).length == 6
    assert verdict(both_engines, chain="south").length == 3


# --- erasing ---------------------------------------------------------------------------------------------------------------


def test_content_can_be_erased_and_the_chain_still_verifies(both_engines: Engine) -> None:
    """Lost otherwise: retention and proof exclude each other."""
    links = fill(both_engines, 4)
    with records.write(both_engines) as session:
        evidence.erase(session, links[1].leaf, at=NOW, reason="retention", actor="mona", role="office_manager")
    found = verdict(both_engines)
    assert (found.ok, found.erased, found.length) == (True, 1, 5), found.first_bad
    with records.read(both_engines) as session:
        entry = evidence.read(session)[1]
        last = evidence.read(session)[-1].event
        assert session.get_one(records.LedgerBody, links[1].leaf).body is None
    assert (entry.erased_at, entry.event.actor, entry.event.subject) == (NOW, "", "N2")
    assert (last.what, last.subject, last.detail["reason"]) == ("erased", links[1].leaf, "retention")


def test_what_explains_an_erasure_cannot_be_erased(both_engines: Engine) -> None:
    """Lost otherwise: the trace of an erasure is erased next."""
    links = fill(both_engines, 1)
    with records.write(both_engines) as session:
        erasure = evidence.erase(session, links[0].leaf, at=NOW, reason="retention")
    for leaf, says in ((erasure.leaf, "is kept"), (links[0].leaf, "erased before"), ("0" * 64, "No event")):
        with pytest.raises(EvidenceError, match=says), records.write(both_engines) as session:
            evidence.erase(session, leaf, at=NOW, reason="retention")
    assert verdict(both_engines).ok


def test_content_erased_behind_our_back_is_named(both_engines: Engine) -> None:
    """Lost otherwise: an unwelcome event is made unreadable and passes for an old one."""
    fill(both_engines, 4)
    forge(both_engines, "UPDATE ledger_body SET body = NULL, erased_at = at WHERE subject = 'N3'")
    assert named(both_engines) == (3, "no erased event declares its content erased as it stands")


def test_content_that_vanished_is_named(both_engines: Engine) -> None:
    """Lost otherwise: a body set to nothing passes for erased."""
    fill(both_engines, 4)
    forge(both_engines, "UPDATE ledger_body SET body = NULL WHERE subject = 'N3'")
    assert named(both_engines) == (3, "its content is gone and nobody erased it")


# --- exporting -------------------------------------------------------------------------------------------------------------


def test_an_export_verifies_without_our_program(both_engines: Engine) -> None:
    """Lost otherwise: whoever checks us has to trust us."""
    links = fill(both_engines, 6)
    with records.write(both_engines) as session:
        last = evidence.erase(session, links[2].leaf, at=NOW, reason="retention")
    stream = io.StringIO()
    with records.read(both_engines) as session:
        assert evidence.export(session, stream) == 7
    assert _verified_by_somebody_else(stream.getvalue()) == last.hash
    with pytest.raises(AssertionError):
        _verified_by_somebody_else(stream.getvalue().replace("work-denial", "work-denia1", 1))


def _verified_by_somebody_else(exported: str) -> str:
    """The head of an export, recomputed from the description in its first line with nothing but the standard library."""
    about, *links, trailer = map(json.loads, exported.splitlines())
    assert about["format"] == "holdfast-ledger/1"
    before, erased, declared = "holdfast/genesis/1/main", set(), set()
    for n, link in enumerate(links, start=1):
        assert (link["seq"], link["prev_hash"]) == (n, before)
        framed = b"holdfast/link/1\0"
        for part in (link["chain"], str(link["seq"]), link["prev_hash"], link["leaf"]):
            framed += len(part.encode()).to_bytes(8, "big") + part.encode()
        before = hashlib.sha256(framed).hexdigest()
        assert link["hash"] == before
        if link["body"] is None:
            erased.add(link["leaf"])
            continue
        assert hashlib.sha256(b"holdfast/leaf/1\0" + link["body"].encode()).hexdigest() == link["leaf"]
        event = json.loads(link["body"])
        declared |= {event["subject"]} if event["what"] == "erased" else set()
    assert erased <= declared
    assert trailer == {"heads": [{"chain": "main", "seq": len(links), "hash": before}], "links": len(links)}
    return before


# --- forging, as the owner of the database ---------------------------------------------------------------------------------


def forge(engine: Engine, *statements: str, **values: Any) -> None:
    """What the owner of a database can do: take the triggers away, change what they like, put the triggers back."""
    with records.schema_change(engine) as connection:
        guards.remove(connection)
        for statement in statements:
            connection.execute(text(statement), values)
        guards.install(connection)


def named(engine: Engine, **how: Any) -> tuple[int | None, str]:
    """Which link `verify` names, and why; the triggers must stand."""
    found = verdict(engine, **how)
    assert not found.ok
    assert not found.triggers_missing
    assert found.first_bad is not None
    return found.first_bad.seq, found.first_bad.why


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], scope="module")
def forged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Iterator[Engine]:
    """A ledger of nine links, one erased, without triggers, for forgeries that are rolled back after each look."""
    if request.param == "sqlite":
        file = tmp_path_factory.mktemp("forged") / "holdfast.sqlite"
        shutil.copyfile(migrated_file, file)
        yield from _forgeable(f"sqlite:///{file}")
        return
    with postgres.database(request.getfixturevalue("postgres_server")) as url:
        yield from _forgeable(url)


def _forgeable(url: str) -> Iterator[Engine]:
    engine = records.open_engine(url)
    migrate(engine)
    links = fill(engine, 8)
    with records.write(engine) as session:
        evidence.erase(session, links[4].leaf, at=NOW, reason="retention")
    with records.schema_change(engine) as connection:
        guards.remove(connection)
    yield engine
    engine.dispose()


@pytest.mark.parametrize("table_column", [("ledger", c) for c in LINK_COLUMNS] + [("ledger_body", c) for c in BODY_COLUMNS])
def test_a_change_of_any_column_of_any_row_is_named(forged: Engine, table_column: tuple[str, str]) -> None:
    """Lost otherwise: a column that nobody compares is where the next forger writes."""
    table, column = table_column
    chance = random.Random(f"{table}.{column}")
    with records.read(forged) as session:
        leaves = {row.seq: row.leaf for row in session.execute(text("SELECT seq, leaf FROM ledger"))}
    for seq, leaf in leaves.items():
        for _ in range(3):
            with records.read(forged) as session:
                before = session.execute(text(f"SELECT {column} FROM {table} WHERE leaf = :leaf"), {"leaf": leaf}).scalar()
                change = text(f"UPDATE {table} SET {column} = :value WHERE leaf = :leaf")
                session.execute(change, {"value": _changed(before, column, chance), "leaf": leaf})
                bad = evidence.verify(session).first_bad
                session.rollback()
            assert bad is not None, (seq, before)
            assert points_at(bad, seq), (bad, before)


def points_at(bad: evidence.BadRow, seq: int) -> bool:
    """Whether the verdict leads to link `seq`: by its number, by the number it has now, or as the one that stands alone."""
    return bad.seq == seq or bad.seq in (seq + 100, seq + 1000, seq - 1000) or bad.why.endswith(f"the next link here is {seq}")


def _changed(value: Any, column: str, chance: random.Random) -> Any:
    """The value with one letter, or the smallest unit, changed."""
    if isinstance(value, int):
        return value + chance.choice([100, 1000, -1000])
    if isinstance(value, datetime):
        return value + timedelta(microseconds=chance.choice([1, -1]))
    if value is None:
        return NOW.replace(tzinfo=None).isoformat(" ") if column == "erased_at" else "{}"
    place = chance.randrange(len(value))
    letter = chance.choice([c for c in "0123456789abcdefXYZ -:" if c != value[place]])
    return value[:place] + letter + value[place + 1 :]


@given(st.data())
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_bit_changed_in_any_text_of_the_ledger_is_named(tampered_file: Path, data: st.DataObject) -> None:
    """Lost otherwise: bytes that are no text, or text of another type, slip past a comparison of strings."""
    table, columns = data.draw(st.sampled_from([("ledger", LINK_COLUMNS), ("ledger_body", BODY_COLUMNS)]))
    column = data.draw(st.sampled_from([c for c in columns if c != "seq"]))
    engine = create_engine(f"sqlite:///{tampered_file}", poolclass=NullPool)
    with engine.connect() as connection, Session(connection) as session:
        rows = connection.exec_driver_sql(
            f"SELECT l.seq, l.leaf, CAST(t.{column} AS BLOB) AS value FROM ledger l JOIN {table} t ON t.leaf = l.leaf"
            f" WHERE t.{column} IS NOT NULL"
        ).all()
        row = data.draw(st.sampled_from(rows))
        place, bit = data.draw(st.integers(0, len(row.value) - 1)), data.draw(st.integers(0, 7))
        value = bytearray(row.value)
        value[place] ^= 1 << bit
        kind = data.draw(st.sampled_from(["TEXT", "BLOB"]))
        connection.exec_driver_sql(f"UPDATE {table} SET {column} = CAST(? AS {kind}) WHERE leaf = ?", (bytes(value), row.leaf))
        bad = evidence.verify(session).first_bad
        session.rollback()
    engine.dispose()
    assert bad is not None
    assert points_at(bad, row.seq)


@pytest.fixture(scope="module")
def tampered_file(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Path:
    """A ledger file as a forger holds it: no triggers, opened with plain SQLite."""
    file = tmp_path_factory.mktemp("tampered") / "holdfast.sqlite"
    shutil.copyfile(migrated_file, file)
    for engine in _forgeable(f"sqlite:///{file}"):
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return file


@pytest.mark.parametrize(
    ("statements", "seq", "why"),
    [
        (["DELETE FROM ledger WHERE seq = 3"], 3, "it is missing: the next link here is 4"),
        (["DELETE FROM ledger WHERE seq = 1"], 1, "it is missing: the next link here is 2"),
        (["DELETE FROM ledger_body WHERE subject = 'N3'"], 3, "its content is missing"),
        (
            [
                "DELETE FROM ledger_body WHERE subject = 'N3'",
                "DELETE FROM ledger WHERE seq = 3",
            ],
            3,
            "it is missing: the next link here is 4",
        ),
        (
            ["DELETE FROM ledger WHERE seq = 3", "UPDATE ledger SET seq = seq - 1 WHERE seq = 4"],
            3,
            "it does not follow the link before it",
        ),
        (
            [
                "UPDATE ledger SET seq = 99 WHERE seq = 2",
                "UPDATE ledger SET seq = 2 WHERE seq = 3",
                "UPDATE ledger SET seq = 3 WHERE seq = 99",
            ],
            2,
            "it does not follow the link before it",
        ),
        (["UPDATE ledger SET seq = -5 WHERE seq = 4"], -5, "its number is out of place"),
        (["UPDATE ledger SET seq = 0 WHERE seq = 1"], 0, "its number is out of place"),
        (
            ["UPDATE ledger_body SET body = (SELECT body FROM ledger_body WHERE subject = 'N1') WHERE subject = 'N2'"],
            2,
            "its content does not fit its leaf",
        ),
        (["UPDATE ledger SET chain = 'other' WHERE seq = 5"], 5, "it is missing: the next link here is 6"),
        (["INSERT INTO ledger VALUES ('main', 7, 'x', 'y', 'z')"], 7, "its content is missing"),
        (["DELETE FROM ledger WHERE seq = 6"], None, "no link names it: it was put there, or its link was removed"),
    ],
)
def test_what_was_taken_added_or_moved_is_named(both_engines: Engine, statements: list[str], seq: int | None, why: str) -> None:
    """Lost otherwise: a manager deletes one bad afternoon."""
    fill(both_engines, 6)
    forge(both_engines, *statements)
    found = verdict(both_engines, **({"chain": "main"} if "other" in statements[0] else {}))
    assert found.first_bad is not None
    assert not found.ok
    if "'z'" in statements[0]:
        assert found.first_bad.seq == seq
    else:
        assert (found.first_bad.seq, found.first_bad.why) == (seq, why)


def test_a_tail_cut_off_cleanly_shows_only_against_a_head_noted_elsewhere(both_engines: Engine) -> None:
    """Lost otherwise: we promise more than a database can prove of itself, or do not use the head the digest printed."""
    links = fill(both_engines, 6)
    forge(
        both_engines,
        "DELETE FROM ledger_body WHERE leaf IN (SELECT leaf FROM ledger WHERE seq > 4)",
        "DELETE FROM ledger WHERE seq > 4",
    )
    assert verdict(both_engines).ok, "nothing inside the database can show this"
    assert verdict(both_engines, kept=links[3]).ok
    assert named(both_engines, kept=links[5]) == (5, "it is missing: the chain once reached 6")


def test_a_chain_written_anew_shows_only_against_a_head_noted_elsewhere(both_engines: Engine) -> None:
    """Lost otherwise: as above; who can drop triggers can also compute hashes."""
    links = fill(both_engines, 6)
    forge(both_engines, "DELETE FROM ledger", "DELETE FROM ledger_body")
    fill(both_engines, 6, actor="somebody else")
    assert verdict(both_engines).ok, "nothing inside the database can show this"
    seq, why = named(both_engines, kept=links[5])
    assert (seq, "written anew" in why) == (6, True)


def test_an_emptied_ledger_shows_against_a_head_noted_elsewhere(both_engines: Engine) -> None:
    """Lost otherwise: deleting everything is the one forgery that passes."""
    links = fill(both_engines, 2)
    forge(both_engines, "DELETE FROM ledger", "DELETE FROM ledger_body")
    assert named(both_engines, kept=links[1]) == (1, "it is missing: the chain once reached 2")


def test_content_that_is_no_event_is_named_even_with_right_hashes(both_engines: Engine) -> None:
    """Lost otherwise: a forged body makes `verify` itself fall over."""
    leaf = evidence.leaf_hash("[]")
    hashed = evidence.link_hash("main", 1, guards.GENESIS + "main", leaf)
    forge(
        both_engines,
        "INSERT INTO ledger_body VALUES (:leaf, '2026-02-24 10:00:00', 'x', '', '', '[]', NULL)",
        "INSERT INTO ledger VALUES ('main', 1, :genesis, :leaf, :hashed)",
        leaf=leaf,
        genesis=guards.GENESIS + "main",
        hashed=hashed,
    )
    assert named(both_engines) == (1, "its content is not an event")


# --- the triggers ----------------------------------------------------------------------------------------------------------


def test_each_missing_trigger_is_named(both_engines: Engine) -> None:
    """Lost otherwise: the ledger has been open for a month and nobody knows."""
    names = list(guards.SQLITE if both_engines.dialect.name == "sqlite" else guards.POSTGRES)
    for name in names:
        table = "" if both_engines.dialect.name == "sqlite" else f" ON {guards.POSTGRES[name][0]}"
        with records.schema_change(both_engines) as connection:
            connection.exec_driver_sql(f"DROP TRIGGER {name}{table}")
        found = verdict(both_engines)
        assert (found.ok, found.triggers_missing) == (False, (name,))
        with records.schema_change(both_engines) as connection:
            guards.install(connection)
    assert verdict(both_engines).ok


def test_a_trigger_that_was_gutted_switched_off_or_joined_by_another_is_named(both_engines: Engine) -> None:
    """Lost otherwise: a trigger of the right name that does nothing counts as a guard."""
    swaps: dict[str, list[tuple[str, ...]]] = {
        "sqlite": [
            (
                "DROP TRIGGER ledger_refuses_update",
                "CREATE TRIGGER ledger_refuses_update BEFORE UPDATE ON ledger BEGIN SELECT 1; END",
            ),
            ("CREATE TRIGGER quiet BEFORE INSERT ON ledger BEGIN SELECT RAISE(IGNORE); END",),
        ],
        "postgresql": [
            ("ALTER TABLE ledger DISABLE TRIGGER ledger_only_at_end",),
            ("CREATE OR REPLACE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",),
            ("CREATE TRIGGER quiet BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION ledger_refuse()",),
        ],
    }
    for statements in swaps[both_engines.dialect.name]:
        with pytest.raises(InterruptedError), records.schema_change(both_engines) as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
            assert guards.missing(connection), statements
            raise InterruptedError  # roll it back
    assert verdict(both_engines).ok


AT_END = "a link is added only at the end"
APPEND_ONLY = "append-only"
ERASE_ONLY = "only ever erased"
ONCE = "stored once"

ATTACKS = {
    "update": ("UPDATE ledger SET hash = 'x' WHERE seq = 2", APPEND_ONLY),
    "update everything": ("UPDATE ledger SET seq = seq + 10", APPEND_ONLY),
    "delete": ("DELETE FROM ledger WHERE seq = 4", APPEND_ONLY),
    "delete all": ("DELETE FROM ledger", APPEND_ONLY),
    "negative number": ("INSERT INTO ledger VALUES ('main', -1, 'p', :spare, 'h')", AT_END),
    "number zero": ("INSERT INTO ledger VALUES ('main', 0, 'p', :spare, 'h')", AT_END),
    "a gap": ("INSERT INTO ledger VALUES ('main', 6, :last, :spare, 'h')", AT_END),
    "wrong predecessor": ("INSERT INTO ledger VALUES ('main', 5, 'p', :spare, 'h')", AT_END),
    "a second beginning": ("INSERT INTO ledger VALUES ('main', 1, 'holdfast/genesis/1/main', :spare, 'h')", AT_END),
    "a chain without genesis": ("INSERT INTO ledger VALUES ('new', 1, 'p', :spare, 'h')", AT_END),
    "a chain that starts late": ("INSERT INTO ledger VALUES ('new', 2, 'holdfast/genesis/1/new', :spare, 'h')", AT_END),
    "a link without content": ("INSERT INTO ledger VALUES ('main', 5, :last, 'nowhere', 'h')", "needs its content first"),
    "upsert": (
        "INSERT INTO ledger VALUES ('main', 4, 'p', :spare, 'h') ON CONFLICT (chain, seq) DO UPDATE SET hash = 'x'",
        AT_END,
    ),
    "upsert at the right place": (
        "INSERT INTO ledger VALUES ('main', 5, :last, :leaf, 'h') ON CONFLICT (leaf) DO UPDATE SET hash = 'x'",
        f"belongs to one link|{APPEND_ONLY}",
    ),
    "edit content": ("UPDATE ledger_body SET body = '{}' WHERE leaf = :leaf", ERASE_ONLY),
    "edit a searchable column": ("UPDATE ledger_body SET subject = 'N9' WHERE leaf = :leaf", ERASE_ONLY),
    "backdate": ("UPDATE ledger_body SET at = '2026-01-01 00:00:00' WHERE leaf = :leaf", ERASE_ONLY),
    "erase undeclared": ("UPDATE ledger_body SET body = NULL, erased_at = at WHERE leaf = :leaf", ERASE_ONLY),
    "vanish": ("UPDATE ledger_body SET body = NULL WHERE leaf = :leaf", ERASE_ONLY),
    "erase and edit": ("UPDATE ledger_body SET body = NULL, erased_at = at, item = 'x' WHERE leaf = :doomed", ERASE_ONLY),
    "bring back erased content": ("UPDATE ledger_body SET body = '{}', erased_at = NULL WHERE leaf = :gone", ERASE_ONLY),
    "delete content": ("DELETE FROM ledger_body WHERE leaf = :leaf", APPEND_ONLY),
    "delete erased content": ("DELETE FROM ledger_body WHERE leaf = :gone", APPEND_ONLY),
    "content born erased": ("INSERT INTO ledger_body VALUES ('l', '2026-01-01 00:00:00', 'x', '', '', NULL, NULL)", ONCE),
    "upsert content": (
        "INSERT INTO ledger_body VALUES (:leaf, '2026-01-01 00:00:00', 'x', '', '', '{}', NULL)"
        " ON CONFLICT (leaf) DO UPDATE SET body = '{}'",
        f"{ONCE}|{ERASE_ONLY}",
    ),
}
SQLITE_ATTACKS = {
    "replace": ("INSERT OR REPLACE INTO ledger VALUES ('main', 2, 'p', :spare, 'h')", AT_END),
    "replace the last": ("INSERT OR REPLACE INTO ledger VALUES ('main', 4, :last, :spare, 'h')", AT_END),
    "replace through the predecessor": (
        "INSERT OR REPLACE INTO ledger SELECT chain, 5, prev_hash, :spare, 'h' FROM ledger WHERE seq = 2",
        AT_END,
    ),
    "replace through the leaf": ("INSERT OR REPLACE INTO ledger VALUES ('main', 5, :last, :leaf, 'h')", "belongs to one link"),
    "replace through the rowid": (
        "INSERT OR REPLACE INTO ledger (rowid, chain, seq, prev_hash, leaf, hash) VALUES (1, 'main', 5, :last, :spare, 'h')",
        "no column named rowid",
    ),
    "update or replace": ("UPDATE OR REPLACE ledger SET seq = 2 WHERE seq = 3", APPEND_ONLY),
    "replace content": (
        "REPLACE INTO ledger_body VALUES (:leaf, '2026-01-01 00:00:00', 'x', '', '', '{}', NULL)",
        ONCE,
    ),
    "replace content through the rowid": (
        "INSERT OR REPLACE INTO ledger_body (rowid, leaf, at, what, body) VALUES (1, 'l', 'x', 'x', '{}')",
        "no column named rowid",
    ),
    "no number": ("INSERT INTO ledger VALUES ('main', NULL, :last, :spare, 'h')", AT_END),
    "number as text": ("INSERT INTO ledger VALUES ('main', 'five', :last, :spare, 'h')", AT_END),
}
POSTGRES_ATTACKS = {
    "truncate": ("TRUNCATE ledger", APPEND_ONLY),
    "truncate content": ("TRUNCATE ledger_body CASCADE", APPEND_ONLY),
    "merge": (
        "MERGE INTO ledger USING (SELECT 4 AS n) AS s ON ledger.seq = s.n WHEN MATCHED THEN UPDATE SET hash = 'x'",
        APPEND_ONLY,
    ),
    "merge away": ("MERGE INTO ledger USING (SELECT 4 AS n) AS s ON ledger.seq = s.n WHEN MATCHED THEN DELETE", APPEND_ONLY),
    "disable triggers": ("ALTER TABLE ledger DISABLE TRIGGER ALL", "must be owner"),
    "drop a trigger": ("DROP TRIGGER ledger_only_at_end ON ledger", "must be owner"),
    "drop the table": ("DROP TABLE ledger", "must be owner"),
    "rename the table": ("ALTER TABLE ledger RENAME TO old", "must be owner"),
    "gut a function": (
        "CREATE OR REPLACE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "permission denied|must be owner",
    ),
    "play the replica": ("SET session_replication_role = replica", "permission denied"),
    "hide the chain's end behind a temporary table": (
        "CREATE TEMPORARY TABLE ledger (LIKE public.ledger);;"
        "INSERT INTO public.ledger VALUES ('main', 1, 'holdfast/genesis/1/main', 'spare', 'h')",
        AT_END,
    ),
}


def _attackable(engine: Engine) -> dict[str, str]:
    """Four links, the first one erased, the last one declared erased; and content that no link names yet."""
    links = fill(engine, 2)
    with records.write(engine) as session:
        evidence.erase(session, links[0].leaf, at=NOW, reason="retention")
        declared = Event("erased", NOW, subject=links[1].leaf)
        last = evidence.append(session, declared)
        spare = "INSERT INTO ledger_body VALUES (:leaf, '2026-01-01 00:00:00', 'x', '', '', '{}', NULL)"
        session.execute(text(spare), {"leaf": "spare"})
    return {"leaf": last.leaf, "gone": links[0].leaf, "doomed": links[1].leaf, "last": last.hash, "spare": "spare"}


def _attack(connection: Any, statement: str, values: dict[str, str]) -> None:
    connection.execute(text(statement), {name: value for name, value in values.items() if f":{name}" in statement})


@pytest.mark.parametrize("attack", ATTACKS | SQLITE_ATTACKS)
def test_our_own_connection_cannot_rewrite_evidence_on_sqlite(engine: Engine, attack: str) -> None:
    """Lost otherwise: one bug, or one injected statement, and the trail says something else."""
    values = _attackable(engine)
    statement, says = (ATTACKS | SQLITE_ATTACKS)[attack]
    with pytest.raises(DatabaseError, match=says), records.write(engine) as session:
        _attack(session, statement, values)


@pytest.mark.parametrize("attack", ATTACKS | SQLITE_ATTACKS)
def test_a_bare_connection_without_our_pragmas_cannot_either(engine: Engine, attack: str) -> None:
    """Lost otherwise: another tool opens the file with recursive_triggers off, and REPLACE passes."""
    values = _attackable(engine)
    statement, says = (ATTACKS | SQLITE_ATTACKS)[attack]
    bare = sqlite3.connect(str(engine.url.database))
    try:
        with pytest.raises(sqlite3.Error, match=says):
            bare.execute(statement, values)
    finally:
        bare.close()


@pytest.fixture(scope="module")
def attacked_postgres(postgres_server: str) -> Iterator[tuple[Engine, dict[str, str]]]:
    """A ledger of the owner's, and an account that may read and write every table but own none."""
    role = f"holdfast_app_{random.randrange(10**9)}"
    admin = postgres.administrator(postgres_server)
    with postgres.database(postgres_server) as url:
        owner = records.open_engine(url)
        migrate(owner)
        values = _attackable(owner)
        with admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN PASSWORD 'test-only'")
        with owner.begin() as connection:
            connection.exec_driver_sql(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
        app = create_engine(make_url(url).set(username=role, password="test-only"), poolclass=NullPool)
        yield app, values
        app.dispose()
        owner.dispose()
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP ROLE {role}")


@pytest.mark.postgres
@pytest.mark.parametrize("attack", ATTACKS | POSTGRES_ATTACKS)
def test_an_account_that_owns_nothing_cannot_rewrite_evidence_on_postgresql(
    attacked_postgres: tuple[Engine, dict[str, str]], attack: str
) -> None:
    """Lost otherwise: the password of the running program is enough to change the past."""
    app, values = attacked_postgres
    statement, says = (ATTACKS | POSTGRES_ATTACKS)[attack]
    with pytest.raises(DatabaseError, match=says), app.begin() as connection:
        for part in statement.split(";;"):
            _attack(connection, part, values)


@pytest.mark.postgres
def test_an_account_that_owns_nothing_can_still_append_and_verify(attacked_postgres: tuple[Engine, dict[str, str]]) -> None:
    """Lost otherwise: the guards are so tight that the program needs the owner's account after all."""
    app, _ = attacked_postgres
    with records.write(app) as session:
        evidence.append(session, happened(7), chain="aside")
        assert evidence.verify(session, "aside").length == 1
        session.rollback()


def _half(value: Any) -> bool:
    return isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value)
