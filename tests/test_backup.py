"""A backup while the program runs, and the way back, on both databases and between them."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlmodel import col, select

from bot import evidence, records
from bot.backup import BackupError, Restored, backup, restore
from bot.evidence import Event
from bot.migrations import guards, migrate
from bot.records import ConsoleMessage, Mark, PressSeen

NOW = datetime(2026, 2, 24, 20, 15, tzinfo=UTC)
LATER = NOW + timedelta(hours=3)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with configuration, an export that is no configuration, and somebody's hidden folder."""
    home = tmp_path / "home"
    for name, content in {
        "practice.toml": '[organisation]\nname = "Harbor & Pine Dental"\n',
        "feeds.toml": "[feeds]\n",
        "maps/claims.toml": 'kind = "claim"\n',
        "exports/claims.csv": "Claim #\nC-1042\n",
        ".cache/index.toml": "x = 1\n",
    }.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(content)
    return home


def work(engine: Engine, first: int, last: int) -> None:
    """Events `first` to `last` of an invented day, each with the change it is evidence of."""
    with records.write(engine) as session:
        for n in range(first, last + 1):
            session.merge(Mark(name="last event", value=str(n), at=NOW))
            evidence.append(session, Event("nudge sent", NOW, subject=f"N{n}", detail={"n": n}))


def furnish(engine: Engine) -> None:
    with records.write(engine) as session:
        session.add(ConsoleMessage(person="bea", marker="N1:1", kind="nudge", card={"title": "Zoë"}, at=NOW))
        session.add(PressSeen(key="K1", person="bea", verb="done", target="N1", at=NOW))


def address(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def put_back(file: Path, home: Path, url: str, **how: Any) -> Restored:
    return restore(file, home, url, now=LATER, **how)


def subjects(url: str) -> list[str]:
    engine = records.open_engine(url)
    with records.read(engine) as session:
        assert evidence.verify(session).ok
        found = [e.event.subject for e in evidence.read(session)]
    engine.dispose()
    return found


def test_a_backup_comes_back_whole_on_another_machine(both_engines: Engine, home: Path, tmp_path: Path) -> None:
    """Lost otherwise: the backup that nobody ever restored, on the day the disk dies."""
    furnish(both_engines)
    work(both_engines, 1, 5)
    file = tmp_path / "monday.holdfast"
    manifest = backup(both_engines, home, file, now=NOW)
    assert (manifest.length, manifest.head_seq) == (5, 5)

    other, url = tmp_path / "other", f"sqlite:///{tmp_path}/other/holdfast.sqlite"
    restored = put_back(file, other, url, actor="mona")
    assert (other / "practice.toml").read_text() == (home / "practice.toml").read_text()
    assert (other / "maps/claims.toml").exists()
    assert not (other / "exports").exists()
    assert not (other / ".cache").exists()
    assert subjects(url) == ["N1", "N2", "N3", "N4", "N5", "database"]
    engine = records.open_engine(url)
    with records.read(engine) as session:
        assert session.get_one(PressSeen, "K1").person == "bea"
        assert session.exec(select(ConsoleMessage)).one().card == {"title": "Zoë"}
        assert session.get_one(Mark, "last event").at == NOW
        declared = evidence.read(session)[-1].event
    assert (declared.what, declared.actor, declared.at) == ("restored", "mona", LATER)
    assert (declared.detail["head"], declared.detail["verified"]) == (manifest.head, True)
    assert (restored.link.seq, restored.put_aside) == (6, ())
    work(engine, 6, 6)
    engine.dispose()


def test_a_backup_of_one_machine_moves_to_postgresql_and_back(both_engines: Engine, home: Path, tmp_path: Path) -> None:
    """Lost otherwise: a practice that grows starts its evidence anew."""
    source = records.open_engine(f"sqlite:///{tmp_path}/small/holdfast.sqlite")
    migrate(source)
    furnish(source)
    work(source, 1, 3)
    with records.write(source) as session:
        evidence.erase(session, evidence.read(session)[0].link.leaf, at=NOW, reason="retention")
    backup(source, home, tmp_path / "b", now=NOW)
    source.dispose()
    target = address(both_engines)
    both_engines.dispose()
    put_back(tmp_path / "b", home, target)
    with records.write(both_engines) as session:  # numbers go on behind those that were copied
        session.add(ConsoleMessage(person="bea", marker="N2:1", kind="nudge", card={}, at=NOW))
    with records.read(both_engines) as session:
        assert evidence.verify(session).erased == 1
        assert len(session.exec(select(ConsoleMessage.marker).order_by(col(ConsoleMessage.id))).all()) == 2
    assert len(subjects(target)) == 5


def test_a_backup_taken_while_others_write_is_consistent(both_engines: Engine, home: Path, tmp_path: Path) -> None:
    """Lost otherwise: backups are only good at night."""
    stop = threading.Event()

    def writing() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            work(both_engines, n, n)

    writer = threading.Thread(target=writing)
    writer.start()
    try:
        for n in range(3):
            backup(both_engines, home, tmp_path / f"b{n}", now=NOW)
    finally:
        stop.set()
        writer.join()
    for n in range(3):
        url = f"sqlite:///{tmp_path}/r{n}/holdfast.sqlite"
        put_back(tmp_path / f"b{n}", tmp_path / f"r{n}", url)
        engine = records.open_engine(url)
        with records.read(engine) as session:
            events = [e.event for e in evidence.read(session)][:-1]
            mark = session.get(Mark, "last event")
        engine.dispose()
        assert (mark.value if mark else "0") == str(len(events)), "state and evidence of one transaction came apart"


def test_a_newer_database_is_not_replaced_without_force(both_engines: Engine, home: Path, tmp_path: Path) -> None:
    """Lost otherwise: a slip of the hand on a Friday undoes a week."""
    work(both_engines, 1, 3)
    backup(both_engines, home, tmp_path / "b", now=NOW)
    work(both_engines, 4, 4)
    url = address(both_engines)
    both_engines.dispose()
    with pytest.raises(BackupError, match="newer: its ledger's link 4 is not in the backup"):
        put_back(tmp_path / "b", home, url)
    assert subjects(url)[-1] == "N4"
    put_back(tmp_path / "b", home, url, force=True)
    assert subjects(url) == ["N1", "N2", "N3", "database"]
    engine = records.open_engine(url)
    with records.read(engine) as session:
        assert evidence.read(session)[-1].event.detail["replaced_seq"] == 4
    engine.dispose()


def test_an_older_database_is_replaced_and_put_aside(engine: Engine, home: Path, tmp_path: Path) -> None:
    """Lost otherwise: what a restore replaced cannot be looked at again."""
    work(engine, 1, 3)
    backup(engine, home, tmp_path / "b", now=NOW)
    (home / "practice.toml").write_text("changed since\n")
    url = address(engine)
    engine.dispose()
    aside = put_back(tmp_path / "b", home, url).put_aside
    assert [path.name.split(".before-restore-20260224T231500Z")[0] for path in aside] == ["practice.toml", "holdfast.sqlite"]
    assert aside[0].read_text() == "changed since\n"
    assert subjects(f"sqlite:///{aside[1]}") == ["N1", "N2", "N3"]
    assert not list(home.glob("*-wal"))


def test_a_restore_into_a_running_installation_is_refused(both_engines: Engine, home: Path, tmp_path: Path) -> None:
    """Lost otherwise: the running program goes on writing evidence into a file that is no longer there."""
    work(both_engines, 1, 1)
    backup(both_engines, home, tmp_path / "b", now=NOW)
    (home / "feeds.toml").write_text("changed since\n")
    with both_engines.begin() as running:
        running.execute(text("SELECT COUNT(*) FROM ledger"))
        with pytest.raises(BackupError, match="in use: stop Holdfast"):
            put_back(tmp_path / "b", home, address(both_engines))
    assert (home / "feeds.toml").read_text() == "changed since\n", "nothing half-applied"
    assert subjects(address(both_engines)) == ["N1"]


def test_a_damaged_database_is_replaced_only_by_force_and_put_aside(engine: Engine, home: Path, tmp_path: Path) -> None:
    """Lost otherwise: the one day a restore is needed, it fails on the very damage it is needed for."""
    work(engine, 1, 2)
    backup(engine, home, tmp_path / "b", now=NOW)
    engine.dispose()
    file = Path(str(engine.url.database))
    file.write_bytes(b"no database any more" * 500)
    with pytest.raises(BackupError, match="cannot be read"):
        put_back(tmp_path / "b", home, address(engine))
    put_back(tmp_path / "b", home, address(engine), force=True)
    assert subjects(address(engine)) == ["N1", "N2", "database"]


def test_a_backup_with_a_forged_ledger_is_refused(engine: Engine, home: Path, tmp_path: Path) -> None:
    """Lost otherwise: the past is rewritten by way of a restore."""
    work(engine, 1, 3)
    with records.schema_change(engine) as connection:
        guards.remove(connection)
        connection.exec_driver_sql("UPDATE ledger_body SET subject = 'N9' WHERE subject = 'N2'")
        guards.install(connection)
    backup(engine, home, tmp_path / "b", now=NOW)
    url = f"sqlite:///{tmp_path}/other/holdfast.sqlite"
    with pytest.raises(BackupError, match=r"does not verify \(main 2: its column 'subject'"):
        put_back(tmp_path / "b", tmp_path / "other", url)
    put_back(tmp_path / "b", tmp_path / "other", url, force=True)
    restored = records.open_engine(url)
    with records.read(restored) as session:
        assert evidence.read(session)[-1].event.detail["verified"] is False
        assert not evidence.verify(session).ok, "a restore repairs nothing and hides nothing"
    restored.dispose()


def _rezip(file: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    with zipfile.ZipFile(file) as pack:
        pieces = {name: pack.read(name) for name in pack.namelist()}
    change(pieces)
    with zipfile.ZipFile(file, "w") as pack:
        for name, content in pieces.items():
            pack.writestr(name, content)


def _manifest(pieces: dict[str, bytes], **changed: Any) -> None:
    pieces["manifest.json"] = json.dumps(json.loads(pieces["manifest.json"]) | changed).encode()


def _smuggle(pieces: dict[str, bytes], name: str) -> None:
    files = json.loads(pieces["manifest.json"])["files"]
    pieces[name] = pieces["home/feeds.toml"]
    _manifest(pieces, files=files | {name: files["home/feeds.toml"]})


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def damage(file: Path) -> None:
        file.write_bytes(change(file.read_bytes()))

    return damage


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _without(name: str) -> Callable[[Path], None]:
    def damage(pieces: dict[str, bytes]) -> None:
        del pieces[name]

    return lambda file: _rezip(file, damage)


DAMAGE: dict[str, Callable[[Path], None]] = {
    "missing": lambda file: file.unlink(),
    "empty": _bytes(lambda whole: b""),
    "text": _bytes(lambda whole: b"Dear all,\n" * 200),
    "a folder": _folder,
    "cut": _bytes(lambda whole: whole[:-400]),
    "a byte in the middle": _bytes(lambda whole: whole[:3000] + bytes([whole[3000] ^ 1]) + whole[3001:]),
    "no manifest": _without("manifest.json"),
    "a piece missing": _without("home/feeds.toml"),
    "a manifest that is no manifest": lambda file: _rezip(file, lambda p: p.update({"manifest.json": b"[]"})),
    "another format": lambda file: _rezip(file, lambda p: _manifest(p, format="holdfast-backup/9")),
    "a piece changed": lambda file: _rezip(file, lambda p: p.update({"home/feeds.toml": b"[feeds.other]\n"})),
    "a piece longer than it says": lambda file: _rezip(file, lambda p: p.update({"home/feeds.toml": b" " * 5_000_000})),
    "a piece more": lambda file: _rezip(file, lambda p: p.update({"home/more.toml": b""})),
    "a way out": lambda file: _rezip(file, lambda p: _smuggle(p, "home/../../evil.toml")),
    "a root": lambda file: _rezip(file, lambda p: _smuggle(p, "/evil.toml")),
    "a script": lambda file: _rezip(file, lambda p: _smuggle(p, "home/evil.py")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_file_that_is_not_a_whole_backup_changes_nothing(engine: Engine, home: Path, tmp_path: Path, damage: str) -> None:
    """Lost otherwise: half a restore, or somebody else's file in our home."""
    work(engine, 1, 2)
    file = tmp_path / "b"
    backup(engine, home, file, now=NOW)
    engine.dispose()
    DAMAGE[damage](file)
    before = _files(tmp_path / "home")
    with pytest.raises(BackupError) as refusal:
        put_back(file, home, address(engine), force=True)
    assert str(refusal.value).count(". ") == 0, "one sentence"
    assert str(refusal.value).endswith(".")
    assert _files(tmp_path / "home") == before
    assert not (tmp_path / "evil.toml").exists()


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("content", [b"", b"SQLite", None])
def test_a_backup_of_something_that_is_not_ours_is_refused(
    engine: Engine, home: Path, tmp_path: Path, content: bytes | None
) -> None:
    """Lost otherwise: the tables of another program, restored as a practice without a past."""
    file = tmp_path / "b"
    backup(engine, home, file, now=NOW)
    theirs = tmp_path / "theirs.sqlite"
    with sqlite3.connect(theirs) as other:
        other.execute("CREATE TABLE invoices (id)")
    other.close()
    alien = theirs.read_bytes() if content is None else content

    def swapped(pieces: dict[str, bytes]) -> None:
        pieces["database.sqlite"] = alien
        files = json.loads(pieces["manifest.json"])["files"]
        _manifest(pieces, files=files | {"database.sqlite": [hashlib.sha256(alien).hexdigest(), len(alien)]})

    _rezip(file, swapped)
    with pytest.raises(BackupError):
        put_back(file, tmp_path / "other", f"sqlite:///{tmp_path}/other/holdfast.sqlite", force=True)
    assert not (tmp_path / "other" / "holdfast.sqlite").exists()


def test_a_backup_of_a_newer_holdfast_is_refused(engine: Engine, home: Path, tmp_path: Path) -> None:
    """Lost otherwise: an old version works on tables it does not understand."""
    with records.write(engine) as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    backup(engine, home, tmp_path / "b", now=NOW)
    with pytest.raises(BackupError, match="start the newer version"):
        put_back(tmp_path / "b", tmp_path / "other", f"sqlite:///{tmp_path}/other/holdfast.sqlite")


def test_a_backup_replaces_an_older_backup_and_nothing_else(engine: Engine, home: Path, tmp_path: Path) -> None:
    """Lost otherwise: `backup practice.toml`, typed in a hurry, costs the practice file."""
    backup(engine, home, tmp_path / "b", now=NOW)
    backup(engine, home, tmp_path / "b", now=LATER)
    with pytest.raises(BackupError, match="is not a Holdfast backup: choose another name"):
        backup(engine, home, home / "practice.toml", now=NOW)
    assert "Harbor" in (home / "practice.toml").read_text()


def test_a_backup_that_cannot_be_written_says_where(engine: Engine, home: Path, tmp_path: Path) -> None:
    """Lost otherwise: a traceback, and a person who thinks the backup was made."""
    with pytest.raises(BackupError, match=r"cannot be written to .*/nowhere: No such file or directory"):
        backup(engine, home, tmp_path / "nowhere" / "b", now=NOW)


def test_only_its_owner_can_read_a_backup_and_nothing_lies_beside_it(engine: Engine, home: Path, tmp_path: Path) -> None:
    """Lost otherwise: claim numbers on a shared disk, readable by everybody."""
    before = set(tmp_path.iterdir())
    backup(engine, home, tmp_path / "b", now=NOW)
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600
    assert set(tmp_path.iterdir()) - before == {tmp_path / "b"}
