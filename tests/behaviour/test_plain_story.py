"""The whole loop as a program drives it: `python -m bot demo --plain --json`, and then the ledger that it leaves."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot import evidence
from bot.records import open_engine, read

Line = dict[str, Any]
TAMPERED = 40
"""The link of the ledger that is changed."""


class Terminal:
    """The plain demo as a subprocess: a line in, its cards out."""

    def __init__(self, home: Path) -> None:
        env = {**os.environ, "HOLDFAST_HOME": str(home), "HOLDFAST_LOG": "ERROR"}
        command = [sys.executable, "-m", "bot", "demo", "--plain", "--json"]
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.now = ""
        self.shown: dict[str, Line] = {}

    def type(self, line: str) -> list[Line]:
        """Everything that this line brought, up to its `done`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        came: list[Line] = []
        while (found := json.loads(self.process.stdout.readline()))["kind"] != "done":
            came.append(found)
            if found.get("card", {}).get("buttons"):
                self.shown[found["to"]] = found["card"]
        self.now = found["now"]
        return came

    def press(self, person: str, label: str, note: str = "") -> list[Line]:
        """Be this person and press the button with this label on the last card shown to them."""
        self.type(f"as {person}")
        number = next(b["n"] for b in self.shown[person]["buttons"] if b["label"] == label)
        return self.type(f"press {number} {note}".strip())

    def end(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write("quit\n")
        self.process.stdin.close()
        return self.process.wait(60)


def about(lines: list[Line], person: str, text: str) -> list[Line]:
    return [line for line in lines if line.get("to") == person and text in json.dumps(line, ensure_ascii=False)]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, list[Line]]]]:
    """The home after one run, and what each part of it brought."""
    home = tmp_path_factory.mktemp("demo") / "home"
    terminal = Terminal(home)
    part: dict[str, list[Line]] = {}
    try:
        terminal.type("as bea")
        part["answered"] = terminal.type("How do I post an ERA?")
        part["refused"] = terminal.type("What colour should the new sofa be?")
        part["nudged"] = terminal.type("skip until 2026-02-26T15:12")
        part["on it"] = terminal.press("bea", "On it")
        part["needs a reason"] = terminal.press("bea", "Can't")
        part["cannot"] = terminal.press("bea", "Can't", "waiting-on-payer their line is busy")
        part["approved"] = terminal.press("mona", "Approve for 14 days")
        terminal.type("as bea")
        untouched = next(n for n in terminal.type("inbox") if n["card"]["title"] == "Claim not touched · $1,240.00")
        terminal.type(f"open {untouched['card']['ref']}")
        part["done"] = terminal.press("bea", "Done")
        part["escalated"] = terminal.type("skip until 2026-02-26T15:31")
        part["morning"] = terminal.type("skip until 2026-02-27T07:45")
        terminal.type("as mona")
        part["digest"] = terminal.type("digest")
        terminal.type("as bea")
        part["contradicted"] = terminal.type("skip until 2026-02-27T13:50")
        assert terminal.end() == 0
    finally:
        terminal.process.kill()
        terminal.process.wait()
        for pipe in (terminal.process.stdin, terminal.process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()
    yield home, part


@pytest.mark.xdist_group("plain story")
def test_a_program_goes_through_the_whole_loop(told: tuple[Path, dict[str, list[Line]]]) -> None:
    """Without this the parts may each be right and the main job still not be done."""
    _, part = told
    answer = part["answered"][0]
    assert (answer["to"], answer["kind"]) == ("bea", "answer")
    assert answer["card"]["sources"][0]["sop"] == "billing-claims"
    assert answer["card"]["sources"][0]["quote"]
    assert part["refused"][0]["kind"] == "refusal"
    assert "answers this. Ask " in part["refused"][0]["card"]["text"]
    nudge = about(part["nudged"], "bea", "Claim not touched · $218.00")[0]
    assert nudge["card"]["sources"][0]["step"] == "work-claims-daily"
    assert "Bea Lindqvist is on it since" in part["on it"][0]["card"]["text"]
    assert part["needs a reason"][0]["card"]["text"].startswith("Why? Pick a reason:")
    assert "An exception was asked for" in part["cannot"][0]["card"]["text"]
    waiting = about(part["cannot"], "mona", "Exception asked: Claim not touched")[0]
    assert {"label": "Reason", "value": "Waiting on the payer"} in waiting["card"]["facts"]
    assert [b["label"] for b in waiting["card"]["buttons"]] == ["Approve for 14 days", "Refuse"]
    assert "busy" not in json.dumps(part, ensure_ascii=False)
    assert part["approved"][0]["card"]["text"].startswith("Approved by Mona Ferris")
    assert "The source has not shown it yet." in part["done"][0]["card"]["text"]
    came_up = about(part["escalated"], "mona", "Claim not touched · $1,240.00")[0]
    assert came_up["kind"] == "escalation"
    assert about(part["morning"], "mona", "Stand-up · Harbor · Fri Feb 27")
    stand_up = part["digest"][0]
    assert (stand_up["to"], stand_up["kind"]) == ("mona", "digest")
    assert {"Verified yesterday", "At risk", "Due today", "Evidence"} <= {f["label"] for f in stand_up["card"]["facts"]}
    again = about(part["contradicted"], "bea", "but the source does not show it. It is open again.")
    assert about(again, "bea", "$1,240.00")


@pytest.mark.xdist_group("plain story")
def test_its_ledger_verifies(told: tuple[Path, dict[str, list[Line]]]) -> None:
    """Without this the evidence of a normal day already looks forged."""
    home, _ = told
    code, out, _err = verify(home)
    assert (code, json.loads(out)["ok"]) == (0, True)


def verify(home: Path) -> tuple[int, str, str]:
    env = {**os.environ, "HOLDFAST_HOME": str(home), "HOLDFAST_LOG": "ERROR"}
    command = [sys.executable, "-m", "bot", "evidence", "verify", "--json"]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    return ran.returncode, ran.stdout, ran.stderr


def tamper(home: Path, table: str, column: str) -> tuple[str, str]:
    """Change one byte of one column, as somebody who owns the file would: guards off, change, guards on again."""
    with sqlite3.connect(home / "holdfast.sqlite") as file:
        guards = file.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            file.execute(f'DROP TRIGGER "{name}"')
        leaf = file.execute("SELECT leaf FROM ledger WHERE seq = ? AND chain = 'main'", [TAMPERED]).fetchone()[0]
        value = file.execute(f"SELECT {column} FROM {table} WHERE leaf = ?", [leaf]).fetchone()[0]
        file.execute(f"UPDATE {table} SET {column} = ? WHERE leaf = ?", [changed(value), leaf])
        for _, sql in guards:
            file.execute(sql)
    file.close()
    return leaf, str(value)


def changed(value: object) -> object:
    """The same, but for one byte."""
    if isinstance(value, int):
        return value + 100_000
    if value is None:
        return "2026-02-26 20:00:00.000000"
    text = str(value)
    middle = len(text) // 2
    return text[:middle] + ("1" if text[middle : middle + 1] == "0" else "0") + text[middle + 1 :]


COLUMNS = [("ledger", c) for c in ("chain", "seq", "prev_hash", "leaf", "hash")]
COLUMNS += [("ledger_body", c) for c in ("leaf", "at", "what", "subject", "item", "body", "erased_at")]


@pytest.mark.xdist_group("plain story")
@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_one_changed_byte_is_found_and_its_row_is_named(
    told: tuple[Path, dict[str, list[Line]]], tmp_path: Path, table: str, column: str
) -> None:
    """Without this whoever owns the file can rewrite who said what, and when."""
    home = tmp_path / "home"
    home.mkdir()
    for file in told[0].glob("holdfast.sqlite*"):
        shutil.copyfile(file, home / file.name)
    leaf, _ = tamper(home, table, column)
    engine = open_engine(f"sqlite:///{home / 'holdfast.sqlite'}")
    with read(engine) as session:
        verdict = evidence.verify(session)
    engine.dispose()
    assert not verdict.ok
    assert not verdict.triggers_missing
    assert verdict.first_bad is not None
    named = f"{verdict.first_bad} {verdict.first_bad.leaf}"
    assert any(name in named for name in (f" {TAMPERED}", f" {TAMPERED + 1}", leaf))


@pytest.mark.xdist_group("plain story")
def test_the_command_says_which_row(told: tuple[Path, dict[str, list[Line]]], tmp_path: Path) -> None:
    """Without this an auditor learns that something is wrong, and not where to look."""
    home = tmp_path / "home"
    home.mkdir()
    for file in told[0].glob("holdfast.sqlite*"):
        shutil.copyfile(file, home / file.name)
    tamper(home, "ledger_body", "body")
    code, out, err = verify(home)
    assert code == 1
    assert json.loads(out)["ok"] is False
    assert err.strip() == f"NOT OK: main {TAMPERED}: its content does not fit its leaf"
