"""The triggers that keep the ledger append-only, as they stand at the newest migration.

They stop accidents, bugs and an account without the right to change tables. The owner of the database can drop them;
`evidence.verify` names the ones that are missing or altered, and the chain shows what was changed meanwhile.

    a link      is added only at the end of its chain, with its content already there; never changed, never deleted
    a body      is added whole and once; never deleted; changed only by erasing it after an `erased` event names its leaf

A migration that touches `ledger` or `ledger_body` ends with `install(connection)`; it never uses batch mode on them, because
that copies the table and leaves its triggers behind.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

GENESIS = "holdfast/genesis/1/"
"""What the first link of a chain names as its predecessor, followed by the chain's name: readable, never a hash."""

SQLITE: dict[str, str] = {
    "ledger_refuses_update": """\
CREATE TRIGGER ledger_refuses_update BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    "ledger_refuses_delete": """\
CREATE TRIGGER ledger_refuses_delete BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    "ledger_only_at_end": """\
CREATE TRIGGER ledger_only_at_end BEFORE INSERT ON ledger
BEGIN
  SELECT RAISE(ABORT, 'a link is added only at the end of its chain')
  WHERE NEW.seq IS NOT (SELECT COALESCE(MAX(seq), 0) + 1 FROM ledger WHERE chain = NEW.chain)
     OR NEW.prev_hash IS NOT COALESCE(
          (SELECT hash FROM ledger WHERE chain = NEW.chain ORDER BY seq DESC LIMIT 1), 'holdfast/genesis/1/' || NEW.chain);
  SELECT RAISE(ABORT, 'the content of a leaf belongs to one link')
  WHERE EXISTS (SELECT 1 FROM ledger WHERE leaf = NEW.leaf);
  SELECT RAISE(ABORT, 'a link needs its content first')
  WHERE NOT EXISTS (SELECT 1 FROM ledger_body WHERE leaf = NEW.leaf);
END""",
    "ledger_body_refuses_delete": """\
CREATE TRIGGER ledger_body_refuses_delete BEFORE DELETE ON ledger_body
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    "ledger_body_only_new": """\
CREATE TRIGGER ledger_body_only_new BEFORE INSERT ON ledger_body
BEGIN
  SELECT RAISE(ABORT, 'the content of a leaf is stored once and whole')
  WHERE NEW.body IS NULL OR NEW.erased_at IS NOT NULL OR EXISTS (SELECT 1 FROM ledger_body WHERE leaf = NEW.leaf);
END""",
    "ledger_body_only_erased": """\
CREATE TRIGGER ledger_body_only_erased BEFORE UPDATE ON ledger_body
BEGIN
  SELECT RAISE(ABORT, 'the content of a leaf is only ever erased, after an erased event')
  WHERE OLD.body IS NULL OR NEW.body IS NOT NULL OR NEW.erased_at IS NULL
     OR NEW.leaf IS NOT OLD.leaf OR NEW.at IS NOT OLD.at OR NEW.what IS NOT OLD.what
     OR NEW.subject IS NOT OLD.subject OR NEW.item IS NOT OLD.item
     OR NOT EXISTS (
          SELECT 1 FROM ledger_body AS e JOIN ledger ON ledger.leaf = e.leaf WHERE e.what = 'erased' AND e.subject = OLD.leaf);
END""",
}

# The functions name the schema of their tables (here @) and fix the search path: otherwise a caller's temporary table called
# `ledger` would be asked where the chain ends.
_FUNCTIONS: dict[str, str] = {
    "ledger_refuse": """
BEGIN
  RAISE EXCEPTION 'the ledger is append-only';
END""",
    "ledger_check_link": """
DECLARE
  last_seq bigint;
  last_hash text;
BEGIN
  SELECT seq, hash INTO last_seq, last_hash FROM @.ledger WHERE chain = NEW.chain ORDER BY seq DESC LIMIT 1;
  IF NEW.seq IS DISTINCT FROM COALESCE(last_seq, 0) + 1
     OR NEW.prev_hash IS DISTINCT FROM COALESCE(last_hash, 'holdfast/genesis/1/' || NEW.chain) THEN
    RAISE EXCEPTION 'a link is added only at the end of its chain';
  END IF;
  IF NOT EXISTS (SELECT 1 FROM @.ledger_body WHERE leaf = NEW.leaf) THEN
    RAISE EXCEPTION 'a link needs its content first';
  END IF;
  RETURN NEW;
END""",
    "ledger_check_body": """
BEGIN
  IF NEW.body IS NULL OR NEW.erased_at IS NOT NULL THEN
    RAISE EXCEPTION 'the content of a leaf is stored once and whole';
  END IF;
  RETURN NEW;
END""",
    "ledger_check_erasure": """
BEGIN
  IF OLD.body IS NULL OR NEW.body IS NOT NULL OR NEW.erased_at IS NULL
     OR NOT EXISTS (SELECT 1 FROM @.ledger_body AS e JOIN @.ledger AS l ON l.leaf = e.leaf
                    WHERE e.what = 'erased' AND e.subject = OLD.leaf)
     OR (NEW.leaf, NEW.at, NEW.what, NEW.subject, NEW.item) IS DISTINCT FROM (OLD.leaf, OLD.at, OLD.what, OLD.subject, OLD.item)
  THEN
    RAISE EXCEPTION 'the content of a leaf is only ever erased, after an erased event';
  END IF;
  RETURN NEW;
END""",
}

# Waits for the chain's other writers and then looks, in one round trip: each statement of a function sees what was committed
# meanwhile, which a single statement that waits does not.
_LEDGER_END = """
CREATE OR REPLACE FUNCTION ledger_end(of_chain text, lock bigint) RETURNS TABLE (seq integer, hash text, leaf text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $holdfast$
BEGIN
  PERFORM pg_advisory_xact_lock(lock);
  RETURN QUERY SELECT l.seq, l.hash::text, l.leaf::text FROM @.ledger AS l
               WHERE l.chain = of_chain ORDER BY l.seq DESC LIMIT 1;
END$holdfast$"""

POSTGRES: dict[str, tuple[str, str, str]] = {
    "ledger_refuses_change": ("ledger", "BEFORE DELETE OR UPDATE ON {} FOR EACH ROW", "ledger_refuse"),
    "ledger_refuses_truncate": ("ledger", "BEFORE TRUNCATE ON {} FOR EACH STATEMENT", "ledger_refuse"),
    "ledger_only_at_end": ("ledger", "BEFORE INSERT ON {} FOR EACH ROW", "ledger_check_link"),
    "ledger_body_refuses_delete": ("ledger_body", "BEFORE DELETE ON {} FOR EACH ROW", "ledger_refuse"),
    "ledger_body_refuses_truncate": ("ledger_body", "BEFORE TRUNCATE ON {} FOR EACH STATEMENT", "ledger_refuse"),
    "ledger_body_only_new": ("ledger_body", "BEFORE INSERT ON {} FOR EACH ROW", "ledger_check_body"),
    "ledger_body_only_erased": ("ledger_body", "BEFORE UPDATE ON {} FOR EACH ROW", "ledger_check_erasure"),
}
"""Trigger name: its table, when it fires, and the function it calls."""


def install(connection: Connection) -> None:
    """Put every trigger in place, replacing what stands there under its name."""
    remove(connection)
    if connection.dialect.name == "sqlite":
        for statement in SQLITE.values():
            connection.exec_driver_sql(statement)
        return
    schema = connection.execute(text("SELECT quote_ident(current_schema())")).scalar_one()
    for name, body in _FUNCTIONS.items():
        head = f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp"
        connection.exec_driver_sql(f"{head} AS $holdfast${body.replace('@', schema)}$holdfast$")
    connection.exec_driver_sql(_LEDGER_END.replace("@", schema))
    for name, (table, when, function) in POSTGRES.items():
        connection.exec_driver_sql(f"CREATE TRIGGER {name} {when.format(table)} EXECUTE FUNCTION {function}()")


def remove(connection: Connection) -> None:
    """Take every trigger away: only to load a whole ledger, or inside a migration, and never without `install` after it."""
    if connection.dialect.name == "sqlite":
        for name in SQLITE:
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
        return
    for name, (table, _, _) in POSTGRES.items():
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name} ON {table}")


def missing(connection: Connection) -> tuple[str, ...]:
    """Names of the triggers that are absent, switched off or not as written here, and of any that is not ours; normally empty.

    A foreign trigger counts because it could drop an append without an error.
    """
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text(_STANDING_SQLITE))
        standing: dict[str, object] = {row.name: row.sql for row in rows}
        expected: dict[str, object] = dict(SQLITE)
    else:
        rows = connection.execute(text(_STANDING_POSTGRES))
        standing = {row.name: (row.definition, row.source, row.enabled, row.config) for row in rows}
        expected = {name: _expected(name) for name in POSTGRES}
    wanting = [name for name, what in expected.items() if standing.get(name) != what]
    return (*wanting, *sorted(standing.keys() - expected.keys()))


_STANDING_SQLITE = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN ('ledger', 'ledger_body')"
# ALTER TABLE … DISABLE TRIGGER shows in tgenabled; O and A fire in a normal session. The schema is cut from the definition.
_STANDING_POSTGRES = """
SELECT t.tgname AS name,
       replace(pg_get_triggerdef(t.oid), quote_ident(n.nspname) || '.', '') AS definition,
       replace(p.prosrc, quote_ident(n.nspname) || '.ledger', '@.ledger') AS source,
       t.tgenabled IN ('O', 'A') AS enabled, array_to_string(p.proconfig, ';') AS config
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_proc p ON p.oid = t.tgfoid
WHERE n.nspname = current_schema() AND c.relname IN ('ledger', 'ledger_body') AND NOT t.tgisinternal
"""


def _expected(name: str) -> tuple[str, str, bool, str]:
    table, when, function = POSTGRES[name]
    definition = f"CREATE TRIGGER {name} {when.format(table)} EXECUTE FUNCTION {function}()"
    return definition, _FUNCTIONS[function], True, "search_path=pg_catalog, pg_temp"
