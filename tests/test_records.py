"""The tables, the engine and the migrations, on both databases."""

from __future__ import annotations

import multiprocessing
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import DatabaseError
from sqlmodel import SQLModel, col, select

import knowledge.tables  # noqa: F401 - for its tables
from bot import migrations, records
from bot.migrations import guards
from bot.records import Mark

NOW = datetime(2026, 2, 24, 20, 15, 0, 123456, tzinfo=UTC)
HOW_TO_FIX = """
The tables in the code and the tables a practice would get differ (above).
Before the first release:  python -m bot.migrations rewrite
After it:                  python -m bot.migrations new "what for", read the file, set HEAD in bot/migrations/__init__.py
"""


def test_the_migrations_lead_to_exactly_the_tables_of_the_code(both_engines: Engine) -> None:
    """Lost otherwise: a column that works on a developer's machine and is missing in every practice."""
    with both_engines.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, SQLModel.metadata)
    assert not differences, "\n".join(map(repr, differences)) + HOW_TO_FIX


def test_migrated_indexes_and_keys_are_those_of_the_code_down_to_their_conditions(both_engines: Engine) -> None:
    """Lost otherwise: a partial index that covers the wrong rows, which no comparison of columns shows."""
    migrated = _shape(both_engines)
    with records.schema_change(both_engines) as connection:
        guards.remove(connection)
        SQLModel.metadata.drop_all(connection)
        SQLModel.metadata.create_all(connection)
    assert migrated == _shape(both_engines), HOW_TO_FIX


def test_a_second_migration_finds_nothing_to_do(both_engines: Engine) -> None:
    """Lost otherwise: every start would try to create tables that are there."""
    with records.write(both_engines) as session:
        session.add(Mark(name="last sweep", value="42", at=NOW))
    migrations.migrate(both_engines)
    with records.read(both_engines) as session:
        assert session.get_one(Mark, "last sweep").at == NOW


def test_two_processes_may_migrate_one_empty_database_at_once(database_url: str) -> None:
    """Lost otherwise: `web` and `clock` started together on a new machine, and one of them dies."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        assert pool.map(_migrate_once, [database_url] * 4) == ["ok"] * 4


def test_an_empty_home_is_migrated_quickly(tmp_path: Path) -> None:
    """Lost otherwise: the newcomer waits for the first nudge; every test waits too."""
    began = time.perf_counter()
    _migrate_once(f"sqlite:///{tmp_path}/new/home/holdfast.sqlite")
    assert time.perf_counter() - began < 2, "usually 0.05 s once Alembic is imported"


def test_head_is_the_newest_revision_there_is() -> None:
    """Lost otherwise: a current database is taken for an old one, or a new migration is never run."""
    assert ScriptDirectory(str(migrations.HERE)).get_current_head() == migrations.HEAD


def test_a_database_of_a_newer_holdfast_is_left_alone(both_engines: Engine) -> None:
    """Lost otherwise: an old version started by mistake works on tables it does not understand."""
    with records.write(both_engines) as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(migrations.MigrationError, match="does not know: start the newer version"):
        migrations.migrate(both_engines)


def test_a_database_with_somebody_elses_tables_is_left_alone(tmp_path: Path) -> None:
    """Lost otherwise: a DATABASE_URL with a slip fills another program's database with our tables."""
    file = tmp_path / "theirs.sqlite"
    with sqlite3.connect(file) as theirs:
        theirs.execute("CREATE TABLE invoices (id)")
    theirs.close()
    with pytest.raises(migrations.MigrationError, match="not Holdfast's"):
        _migrate(f"sqlite:///{file}")


def test_a_file_that_is_no_database_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """Lost otherwise: a traceback where a person needs to read which file is wrong."""
    file = tmp_path / "holdfast.sqlite"
    file.write_text("Dear all, the spore tests are on Mondays.\n" * 40)
    with pytest.raises(migrations.MigrationError, match="file is not a database"):
        _migrate(f"sqlite:///{file}")


def test_instants_come_back_aware_and_to_the_microsecond(both_engines: Engine) -> None:
    """Lost otherwise: deadlines that shift with the machine's zone."""
    with records.write(both_engines) as session:
        session.add(Mark(name="a", value="", at=NOW))
    with records.read(both_engines) as session:
        found = session.exec(select(Mark).where(col(Mark.at) == NOW)).one()
    assert found.at == NOW
    assert found.at.tzinfo is UTC


def test_a_naive_instant_is_refused(both_engines: Engine) -> None:
    """Lost otherwise: a local time stored as if it were UTC."""
    with pytest.raises(Exception, match="naive datetime"), records.write(both_engines) as session:
        session.add(Mark(name="a", value="", at=NOW.replace(tzinfo=None)))


def test_a_write_that_raises_leaves_nothing(both_engines: Engine) -> None:
    """Lost otherwise: state without its evidence, or evidence of what never happened."""
    with pytest.raises(RuntimeError), records.write(both_engines) as session:
        session.add(Mark(name="a", value="", at=NOW))
        session.flush()
        raise RuntimeError
    with records.read(both_engines) as session:
        assert session.get(Mark, "a") is None


def test_two_writers_queue_instead_of_failing_half_way(both_engines: Engine) -> None:
    """Lost otherwise: "database is locked" in the middle of a press."""
    with records.write(both_engines) as session:
        session.add(Mark(name="count", value="0", at=NOW))
    url = both_engines.url.render_as_string(hide_password=False)
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.map(_count_up, [url] * 3)
    with records.read(both_engines) as session:
        assert session.get_one(Mark, "count").value == "60"


def test_what_was_committed_survives_a_power_cut(engine: Engine) -> None:
    """Lost otherwise: evidence a person saw confirmed is gone after the plug was pulled."""
    with engine.connect() as connection:
        pragmas = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE mark",
        "DROP TRIGGER ledger_refuses_update",
        "DROP INDEX ix_ledger_leaf",
        "ALTER TABLE ledger RENAME TO old",
        "CREATE TRIGGER t BEFORE INSERT ON ledger BEGIN SELECT RAISE(IGNORE); END",
        "CREATE TEMP TRIGGER t BEFORE INSERT ON ledger BEGIN SELECT RAISE(IGNORE); END",
        "ATTACH DATABASE ':memory:' AS other",
        "PRAGMA writable_schema = ON",
        "PRAGMA recursive_triggers = OFF",
        "PRAGMA synchronous = OFF",
        "PRAGMA ignore_check_constraints = ON",
    ],
)
def test_the_running_program_cannot_change_its_own_tables(engine: Engine, statement: str) -> None:
    """Lost otherwise: on SQLite, where every connection is the owner, one fault of ours unlocks the ledger."""
    with pytest.raises(DatabaseError, match="not authorized"), records.write(engine) as session:
        session.execute(text(statement))


def test_the_guard_stands_again_after_a_change_of_the_schema(engine: Engine) -> None:
    """Lost otherwise: the connection that migrated at the start could drop triggers for the rest of the day."""
    with records.schema_change(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE passing (id INTEGER)")
        connection.exec_driver_sql("DROP TABLE passing")
    with pytest.raises(DatabaseError, match="not authorized"), records.write(engine) as session:
        session.execute(text("DROP TABLE mark"))


def test_references_can_be_read_aloud_and_do_not_repeat() -> None:
    """Lost otherwise: O for 0 on the telephone; two items under one reference."""
    references = {records.new_ref() for _ in range(2000)}
    assert len(references) == 2000
    assert not set("".join(references)) & set("01ILOU")


def _shape(engine: Engine) -> dict[str, Any]:
    """Columns, keys and indexes of every table of ours, as the database tells them."""
    eye = inspect(engine)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            rows = connection.execute(text("SELECT tbl_name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"))
        else:
            rows = connection.execute(text("SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'"))
        indexes = sorted(tuple(row) for row in rows if row[0] != "alembic_version")
    tables = {
        name: (
            [(c["name"], str(c["type"]), c["nullable"]) for c in eye.get_columns(name)],
            eye.get_pk_constraint(name)["constrained_columns"],
            sorted(tuple(u["column_names"]) for u in eye.get_unique_constraints(name)),
        )
        for name in sorted(set(eye.get_table_names()) - {"alembic_version"})
    }
    return {"tables": tables, "indexes": indexes}


def _migrate(url: str) -> None:
    engine = records.open_engine(url)
    try:
        migrations.migrate(engine)
    finally:
        engine.dispose()


def _migrate_once(url: str) -> str:
    _migrate(url)
    return "ok"


def _count_up(url: str) -> None:
    engine = records.open_engine(url)
    for _ in range(20):
        with records.write(engine) as session:
            mark = session.get_one(Mark, "count", with_for_update=True)
            mark.value = str(int(mark.value) + 1)
    engine.dispose()
