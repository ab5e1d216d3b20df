"""Write migrations from the tables: for developers, nothing here touches a practice's database.

python -m bot.migrations rewrite            0001 anew from the tables as they stand; only before the first release
python -m bot.migrations new "what for"     one more migration with the difference, to be read and finished by hand
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import UpgradeOps
from alembic.runtime.migration import MigrationContext
from alembic.util import template_to_file
from sqlalchemy.types import TypeDecorator
from sqlmodel import SQLModel

import knowledge.tables  # noqa: F401 - for its tables
from bot import migrations, records

FIRST = migrations.HERE / "versions" / "0001_first_tables.py"
_LEDGER = """
    # The ledger takes nothing but appends from its first row on.
    guards.install(op.get_bind())
"""


def main(arguments: list[str]) -> int:
    """0 on success, 2 on bad usage, 1 otherwise."""
    match arguments:
        case ["rewrite"]:
            return rewrite()
        case ["new", message]:
            return new(message)
    sys.stderr.write(f"{__doc__}\n")
    return 2


def rewrite() -> int:
    """Write 0001 anew. Refused once a second migration stands on it: then databases in use have run it."""
    others = [file.name for file in FIRST.parent.glob("[0-9]*_*.py") if file != FIRST]
    if others:
        sys.stderr.write(f"{others[0]} stands on 0001: write a new migration instead.\n")
        return 1
    _write(FIRST, "0001", None, "The first tables, and the guards of the ledger.", _difference(empty=True), _LEDGER)
    return 0


def new(message: str) -> int:
    """Write the difference between the newest migration and the tables as one more migration."""
    down = migrations.HEAD
    up = f"{int(down) + 1:04d}"
    name = "".join(letter if letter.isalnum() else "_" for letter in message.lower())[:40].strip("_")
    _write(FIRST.parent / f"{up}_{name}.py", up, down, message, _difference(empty=False), "")
    sys.stderr.write(f'Read it, finish it, and set HEAD = "{up}" in bot/migrations/__init__.py.\n')
    return 0


def _difference(*, empty: bool) -> str:
    """Python for what the tables have and a database (an empty one, or one at HEAD) has not."""
    engine = records.open_engine("sqlite://")
    if not empty:
        migrations.migrate(engine)
    options = {"render_item": _plain_type, "target_metadata": SQLModel.metadata, "compare_type": True}
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        upgrade = produce_migrations(context, SQLModel.metadata).upgrade_ops
        assert isinstance(upgrade, UpgradeOps)
        code = render_python_code(upgrade, render_item=_plain_type)
    engine.dispose()
    return code


def _plain_type(kind: str, thing: object, _context: AutogenContext) -> str | Literal[False]:
    """SQLAlchemy's own types instead of ours: a migration must not change its meaning when our code does."""
    return f"sa.{thing.impl!r}" if kind == "type" and isinstance(thing, TypeDecorator) else False


def _write(file: Path, up: str, down: str | None, message: str, code: str, after: str) -> None:
    kept = [line for line in code.splitlines() if not line.strip().startswith("# ###")]
    template_to_file(
        str(migrations.HERE / "script.py.mako"),
        str(file),
        "utf-8",
        message=message,
        up_revision=up,
        down_revision=down,
        imports="\nfrom bot.migrations import guards\n" if after else "",
        upgrades="\n".join(kept).strip() + "\n" + after,
    )
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or shutil.which("ruff")
    if ruff:
        subprocess.run([ruff, "format", "-q", str(file)], check=True)
    sys.stderr.write(f"Wrote {file}.\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
