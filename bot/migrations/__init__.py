"""The tables' history: `migrate` brings any database of ours to the newest shape.

MigrationError      the database cannot be brought there; the text says which and what to do, and nothing was changed
"""

from __future__ import annotations

import logging
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DatabaseError

from bot import records

HEAD = "0001"
"""The newest revision. Compared first, so that a start on a current database imports no Alembic."""
HERE = Path(__file__).parent


class MigrationError(Exception):
    """The database cannot be used or brought to the newest shape."""


def migrate(engine: Engine) -> None:
    """Bring the tables of `engine` to HEAD, in one transaction; nothing happens where they stand there already.

    Two processes may do this at once: the second waits and finds the work done.
    raises MigrationError   not reachable, not a database of ours, or made by a newer Holdfast
    """
    try:
        with engine.connect() as connection:
            if revision(connection) == HEAD:
                return
        with records.schema_change(engine) as connection:
            upgrade(connection)
    except DatabaseError as error:
        raise MigrationError(f"The database {engine.url.render_as_string()} cannot be used: {_first_line(error)}") from error
    except OSError as error:
        raise MigrationError(f"The folder of {engine.url.render_as_string()} cannot be written: {error.strerror}.") from error


def upgrade(connection: Connection) -> None:
    """Run what is missing up to HEAD inside the caller's transaction. raises MigrationError"""
    standing = revision(connection)
    if standing == HEAD:
        return
    if standing and standing not in _known():
        raise MigrationError(
            f"The database has tables of revision {standing}, which this Holdfast does not know: start the newer version."
        )
    if not standing and inspect(connection).get_table_names():
        raise MigrationError("The database holds tables that are not Holdfast's: give Holdfast a database of its own.")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, HEAD)


def revision(connection: Connection) -> str | None:
    """The revision a database stands at, or None where it has no tables of ours."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _known() -> set[str]:
    return {file.name.split("_", 1)[0] for file in (HERE / "versions").glob("[0-9]*_*.py")}


def _first_line(error: DatabaseError) -> str:
    return str(error.orig).strip().splitlines()[0].rstrip(".") + "."
