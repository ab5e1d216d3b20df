"""Alembic's way in: the caller's open connection and transaction, and every table there is.

`bot.migrations.migrate` runs this; there is no alembic.ini and no offline mode.
"""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

import bot.records  # noqa: F401 - for its tables
import knowledge.tables  # noqa: F401 - for its tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    transactional_ddl=True,  # SQLite can, when BEGIN is ours to say
    render_as_batch=False,  # a batch would copy the ledger and leave its triggers behind
)
context.run_migrations()
