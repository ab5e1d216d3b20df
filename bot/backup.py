"""One file that holds an installation, and the way back from it.

A backup is a zip archive: `manifest.json` (what is in it, with hashes), `database.sqlite` (a consistent snapshot, whatever the
database is) and `home/…` (practice file, feeds, column maps). Because the snapshot is always SQLite, it is checked before
anything is touched, and a practice that outgrows one machine moves to PostgreSQL by a backup here and a restore there.

BackupError         the file cannot be made or used; one sentence, and nothing was changed
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import sqlite3
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import Connection, Engine, Integer, insert, make_url, select, text
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError
from sqlmodel import SQLModel

import knowledge.tables  # noqa: F401 - for its tables
from bot import evidence, records
from bot.evidence import Event, Link
from bot.migrations import MigrationError, guards, migrate, revision, upgrade

_FORMAT = "holdfast-backup/1"
_DATABASE = "database.sqlite"
_CONFIGURATION_LIMIT = 1_000_000
_PIECE = 1 << 20


class BackupError(Exception):
    """One sentence on what is wrong with the file, the place or the database, and what to do."""


@dataclass(frozen=True)
class Manifest:
    """What a backup holds.

    made_at   when; UTC, ISO 8601
    revision  of the tables
    length    links in the ledger; `head` is the last one's number and hash, to note elsewhere
    files     name in the archive: SHA-256 and bytes
    """

    format: str
    made_at: str
    revision: str
    length: int
    head_seq: int
    head: str
    files: dict[str, list[Any]]


@dataclass(frozen=True)
class Restored:
    """What a restore did: the backup it came from, the `restored` link it added, and what was put aside."""

    manifest: Manifest
    link: Link
    put_aside: tuple[Path, ...]


def backup(engine: Engine, home: Path, file: Path, *, now: datetime) -> Manifest:
    """Write the whole installation to `file`, consistent, while it runs; `file` appears complete or not at all.

    raises BackupError   `file` exists and is no backup, its folder cannot be written, the database cannot be read
    """
    if file.exists() and not _is_backup(file):
        raise BackupError(f"{file} exists and is not a Holdfast backup: choose another name.")
    try:
        with tempfile.TemporaryDirectory(prefix=".holdfast-backup-", dir=file.parent) as folder:
            snapshot = Path(folder) / _DATABASE
            _snapshot(engine, snapshot)
            archive = Path(folder) / "archive"
            manifest = _packed(archive, snapshot, home, now)
            _put(archive, file)
            return manifest
    except OSError as error:
        raise BackupError(f"The backup cannot be written to {file.parent}: {error.strerror or error}.") from error
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise BackupError(f"The database cannot be read for a backup: {_reason(error)}.") from error


def restore(file: Path, home: Path, url: str, *, now: datetime, force: bool = False, actor: str = "") -> Restored:
    """Put the installation in `file` in the place of the one at `home` and `url`, and declare that in the ledger.

    Nothing is changed before the file has proved whole: hashes, SQLite's own check, tables, ledger. What it replaces on disk is
    put aside under a name that says when. Stop Holdfast first.
    force   also where the database here holds evidence that the backup does not, or either ledger does not verify
    raises BackupError
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".holdfast-restore-", dir=_folder_beside(url, home)) as folder:
            manifest = _unpacked(file, Path(folder))
            snapshot = records.open_engine(f"sqlite:///{Path(folder) / _DATABASE}")
            try:
                detail = _checked(snapshot, manifest, force=force) | _compared(snapshot, url, force=force)
                link = _declared(snapshot, detail | {"backup": _sha256(file)}, now, actor)
                aside = _placed(snapshot, url, now, lambda: _configured(Path(folder) / "home", home, now))
            finally:
                snapshot.dispose()
            return Restored(manifest, link, tuple(aside))
    except OSError as error:
        raise BackupError(f"{file} cannot be restored: {error.strerror or error}.") from error
    except MigrationError as error:
        raise BackupError(str(error)) from error
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise BackupError(f"{file} cannot be restored: {_reason(error)}.") from error


# --- making one ------------------------------------------------------------------------------------------------------------


def _snapshot(engine: Engine, file: Path) -> None:
    """A consistent copy of the database as one SQLite file."""
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection, contextlib.closing(sqlite3.connect(file)) as copy:
            source: Any = connection.connection.driver_connection
            source.backup(copy)
    else:
        copied = records.open_engine(f"sqlite:///{file}")
        migrate(copied)
        with _frozen(engine) as source, records.schema_change(copied) as target:
            _filled(source, target)
        copied.dispose()
    with contextlib.closing(sqlite3.connect(file)) as copy:
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it


@contextlib.contextmanager
def _frozen(engine: Engine) -> Iterator[Connection]:
    """PostgreSQL as it is at this instant, for as long as the copy takes, without holding anybody up."""
    options: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True, "stream_results": True}
    with engine.connect().execution_options(**options) as connection:
        if revision(connection) is None:
            raise BackupError("The database holds no Holdfast tables: there is nothing to back up.")
        yield connection


def _filled(source: Connection, target: Connection) -> None:
    """Every row of `source` in the tables of `target`, which is at the newest revision; whatever stood there is gone."""
    guards.remove(target)
    tables = SQLModel.metadata.sorted_tables
    for table in reversed(tables):
        target.execute(table.delete())
    for table in tables:
        for rows in source.execute(select(table).execution_options(yield_per=1000)).mappings().partitions():
            target.execute(insert(table), [dict(row) for row in rows])
    guards.install(target)
    if target.dialect.name == "postgresql":
        for table in tables:
            _numbered_on(target, table.name, [c.name for c in table.primary_key if isinstance(c.type, Integer)])


def _numbered_on(target: Connection, table: str, columns: list[str]) -> None:
    """PostgreSQL counts on behind the highest number that was copied."""
    for column in columns:
        sequence = target.execute(text("SELECT pg_get_serial_sequence(:t, :c)"), {"t": f'"{table}"', "c": column}).scalar()
        if sequence:
            highest = f'SELECT COALESCE(MAX("{column}"), 0) + 1 FROM "{table}"'  # noqa: S608 - names of our own tables
            target.execute(text(f"SELECT setval(:s, ({highest}), false)"), {"s": sequence})


def _packed(archive: Path, snapshot: Path, home: Path, now: datetime) -> Manifest:
    pieces = {_DATABASE: snapshot} | {f"home/{name}": path for name, path in _configuration(home)}
    with contextlib.closing(sqlite3.connect(snapshot)) as copy:
        standing = copy.execute("SELECT version_num FROM alembic_version").fetchone()[0]
        seq, head, length = _newest(copy)
    files = {name: [_sha256(path), path.stat().st_size] for name, path in pieces.items()}
    made_at = now.astimezone(UTC).isoformat(timespec="microseconds")
    manifest = Manifest(_FORMAT, made_at, standing, length, seq, head, files)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as pack:
        pack.writestr("manifest.json", json.dumps(asdict(manifest), indent=2, sort_keys=True))
        for name, path in pieces.items():
            pack.write(path, name)
    return manifest


def _configuration(home: Path) -> Iterator[tuple[str, Path]]:
    """Every TOML file of the home: practice, feeds, maps. Exports and indexes are read or made again."""
    for path in sorted(home.rglob("*.toml")):
        name = path.relative_to(home)
        if any(part.startswith(".") for part in name.parts) or path.is_symlink() or not path.is_file():
            continue
        if path.stat().st_size <= _CONFIGURATION_LIMIT:
            yield name.as_posix(), path


# --- coming back -----------------------------------------------------------------------------------------------------------


def _unpacked(file: Path, folder: Path) -> Manifest:
    """The archive's pieces below `folder`, each with the length and hash that the manifest names. raises BackupError"""
    try:
        with zipfile.ZipFile(file) as pack:
            manifest = _manifest(pack, file)
            if sorted(pack.namelist()) != sorted([*manifest.files, "manifest.json"]):
                raise BackupError(f"{file} does not hold what its manifest says: it is damaged or was changed.")
            for name, (sha256, size) in manifest.files.items():
                _extract(pack, name, folder / name, sha256, size, file)
            return manifest
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        raise BackupError(f"{file} is not a whole Holdfast backup.") from error
    except FileNotFoundError:
        raise BackupError(f"There is no file {file}.") from None


def _manifest(pack: zipfile.ZipFile, file: Path) -> Manifest:
    try:
        with pack.open("manifest.json") as stream:
            fields = json.loads(stream.read(_CONFIGURATION_LIMIT))
        manifest = Manifest(**fields)
        whole = manifest.format == _FORMAT and _DATABASE in manifest.files and all(map(_named_well, manifest.files))
        if whole and all(type(sha) is str and type(size) is int for sha, size in manifest.files.values()):
            return manifest
    except (KeyError, ValueError, TypeError, AttributeError):
        pass
    raise BackupError(f"{file} is not a Holdfast backup.")


def _named_well(name: str) -> bool:
    path = PurePosixPath(name)
    inside = path.parts[:1] == ("home",) and path.suffix == ".toml" and ".." not in path.parts and "\\" not in name
    return name == _DATABASE or (inside and path.as_posix() == name)


def _extract(pack: zipfile.ZipFile, name: str, to: Path, sha256: str, size: int, file: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    found, length = hashlib.sha256(), 0
    with pack.open(name) as stream, to.open("wb") as copy:
        while (piece := stream.read(_PIECE)) and length <= size:
            copy.write(piece)
            found.update(piece)
            length += len(piece)
    if (found.hexdigest(), length) != (sha256, size):
        raise BackupError(f"{file} does not hold what its manifest says: it is damaged or was changed.")


def _checked(snapshot: Engine, manifest: Manifest, *, force: bool) -> dict[str, Any]:
    """Bring the snapshot to the newest tables and verify it; what is to be declared of it. raises BackupError"""
    with snapshot.connect() as connection:
        if connection.exec_driver_sql("PRAGMA integrity_check").scalar() != "ok" or revision(connection) is None:
            raise BackupError("The backup's database is damaged or not Holdfast's.")
    migrate(snapshot)
    with records.read(snapshot) as session:
        verdict = evidence.verify(session)
        if not verdict.ok and not force:
            why = verdict.first_bad or f"triggers are missing: {', '.join(verdict.triggers_missing)}"
            raise BackupError(f"The backup's ledger does not verify ({why}): use --force to restore it all the same.")
    with records.schema_change(snapshot) as connection:
        guards.install(connection)
    return {
        "made_at": manifest.made_at,
        "seq": manifest.head_seq,
        "head": manifest.head,
        "verified": verdict.ok,
    }


def _compared(snapshot: Engine, url: str, *, force: bool) -> dict[str, Any]:
    """Refuse where the database at `url` holds evidence the snapshot does not; what is to be declared of it."""
    try:
        standing = _head_at(url)
    except (SQLAlchemyError, sqlite3.Error, MigrationError) as error:
        if force:
            return {"replaced": "unreadable"}
        raise BackupError(f"The database here cannot be read ({_reason(error)}): use --force to put it aside.") from error
    if standing is None:
        return {}
    with records.read(snapshot) as session:
        known = session.get(records.LedgerRow, (standing.chain, standing.seq))
    if (known is None or known.hash != standing.hash) and not force:
        raise BackupError(
            f"The database here is newer: its ledger's link {standing.seq} is not in the backup; use --force to replace it."
        )
    return {"replaced_seq": standing.seq, "replaced_head": standing.hash}


def _head_at(url: str) -> Link | None:
    """The head of the ledger at `url`, or None where there is none to lose."""
    file = _sqlite_file(url)
    if file and not (file.exists() and file.stat().st_size):
        return None
    engine = records.open_engine(url)
    try:
        with records.read(engine) as session:
            if revision(session.connection()) is None:
                return None
            return evidence.head(session)
    finally:
        engine.dispose()


def _declared(snapshot: Engine, detail: dict[str, Any], now: datetime, actor: str) -> Link:
    with records.write(snapshot) as session:
        return evidence.append(session, Event("restored", now, subject="database", actor=actor, detail=detail))


def _configured(folder: Path, home: Path, now: datetime) -> list[Path]:
    """Put the configuration in place; a file that differs is put aside. Before the database: then it can be done again."""
    aside = []
    for path in sorted(folder.rglob("*.toml")):
        target = home / path.relative_to(folder)
        if target.exists() and target.read_bytes() == path.read_bytes():
            continue
        if target.exists():
            aside.append(_put_aside(target, now))
        target.parent.mkdir(parents=True, exist_ok=True)
        _put(path, target)
    return aside


def _placed(snapshot: Engine, url: str, now: datetime, configure: Callable[[], list[Path]]) -> list[Path]:
    """Put everything in place; the database is the last step, and one that happens whole or not at all."""
    file = _sqlite_file(url)
    if file is None:
        return _placed_on_server(snapshot, url, configure)
    snapshot_file = Path(str(snapshot.url.database))
    snapshot.dispose()
    with contextlib.closing(sqlite3.connect(snapshot_file)) as copy:
        copy.execute("PRAGMA journal_mode=DELETE")
    if not file.exists():
        aside = configure()
    else:
        _nobody_has(file)
        aside = [*configure(), _put_aside(file, now)]
        for left in (file.with_name(file.name + end) for end in ("-wal", "-shm", "-journal")):
            if left.exists():  # of a damaged database: SQLite would replay it into the new one
                left.rename(aside[-1].with_name(aside[-1].name + left.name.removeprefix(file.name)))
    _put(snapshot_file, file)
    return aside


def _placed_on_server(snapshot: Engine, url: str, configure: Callable[[], list[Path]]) -> list[Path]:
    engine = records.open_engine(url)
    try:
        with snapshot.connect() as source, records.schema_change(engine) as target:
            target.exec_driver_sql("SET LOCAL lock_timeout = '3s'")
            upgrade(target)
            for table in SQLModel.metadata.sorted_tables:
                target.exec_driver_sql(f'LOCK TABLE "{table.name}" IN ACCESS EXCLUSIVE MODE')
            _filled(source, target)
            return configure()
    except OperationalError as error:
        if "lock timeout" in str(error.orig):
            raise BackupError("The database is in use: stop Holdfast, then restore.") from error
        raise
    finally:
        engine.dispose()


def _nobody_has(file: Path) -> None:
    """Raise BackupError while another process has the database open: it would go on writing into the file put aside.

    Leaving WAL mode needs the file for oneself: it fails as long as anybody else has it open, and leaves nothing beside it.
    """
    with contextlib.closing(sqlite3.connect(file, timeout=1)) as connection:
        try:
            connection.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.OperationalError as error:
            raise BackupError("The database is in use: stop Holdfast, then restore.") from error
        except sqlite3.DatabaseError:
            return  # damaged; what is left of it is put aside


# --- files -----------------------------------------------------------------------------------------------------------------


def _newest(database: sqlite3.Connection) -> tuple[int, str, int]:
    newest = "SELECT seq, hash FROM ledger WHERE chain = ? ORDER BY seq DESC LIMIT 1"
    seq, head = database.execute(newest, (evidence.CHAIN,)).fetchone() or (0, "")
    return seq, head, database.execute("SELECT COUNT(*) FROM ledger").fetchone()[0]


def _sqlite_file(url: str) -> Path | None:
    address = make_url(url)
    return Path(str(address.database)) if address.get_backend_name() == "sqlite" else None


def _is_backup(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as pack:
            _manifest(pack, file)
    except (OSError, zipfile.BadZipFile, BackupError):
        return False
    return True


def _put(source: Path, target: Path) -> None:
    """Give `source` the name `target`, readable by its owner alone, on disk before it has its name."""
    if source.stat().st_dev != target.parent.stat().st_dev:
        source = Path(shutil.copyfile(source, target.with_name(f".{target.name}.partial")))
    source.chmod(0o600)
    with source.open("rb+") as stream:
        os.fsync(stream.fileno())
    source.replace(target)
    if os.name == "posix":
        folder = os.open(target.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def _put_aside(file: Path, now: datetime) -> Path:
    """A second name for what is about to be replaced, so that there is no instant without a file."""
    aside = file.with_name(f"{file.name}.before-restore-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}")
    try:
        aside.hardlink_to(file)
    except (OSError, NotImplementedError):  # a file system without second names
        shutil.copy2(file, aside)
    return aside


def _folder_beside(url: str, home: Path) -> Path:
    """Where to unpack: on the file system of the database, so that its last step is a rename."""
    file = _sqlite_file(url)
    if file is None:
        return home
    file.parent.mkdir(parents=True, exist_ok=True)
    return file.parent


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    cause = error.orig if isinstance(error, DatabaseError) else error
    return str(cause).strip().splitlines()[0].rstrip(".")
