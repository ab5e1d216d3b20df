"""The commands keep their contract: 0, 2 or 1, JSON lines alone on stdout, one plain sentence on stderr, never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.__main__ import main
from tests.behaviour.small import PRACTICE, STARTER, Claim, at, furnish, write_report

NOON = "2026-03-04T12:00:00-05:00"


@pytest.fixture
def home(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with the small practice and the starter library, named by HOLDFAST_HOME."""
    folder = tmp_path / "home"
    furnish(folder)
    shutil.copyfile(published / "holdfast.sqlite", folder / "holdfast.sqlite")
    for name in ("DATABASE_URL", "HOLDFAST_PORT", "HOLDFAST_HOST", "HOLDFAST_PAGE_TOKEN", "HOLDFAST_LOG", "HOLDFAST_TICK_S"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOLDFAST_HOME", str(folder))
    monkeypatch.setenv("HOLDFAST_LOG", "ERROR")
    yield folder


class Ran:
    """What one command did."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def lines(self) -> list[dict[str, object]]:
        """Stdout as JSON lines; fails where it holds anything else."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> object:
    """Run one command as `python -m bot …` does, in this process."""

    def command(*words: str) -> Ran:
        capfd.readouterr()
        try:
            code = main(list(words))
        except SystemExit as bad_usage:
            code = int(bad_usage.code or 0)
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        assert "went wrong on our side" not in err, err
        if code == 1:
            assert err.strip(), "it failed without a word"
        return Ran(code, out, err)

    return command


def bad(run: object, *words: str, code: int = 1) -> str:
    """The sentence with which a command ends, having printed nothing else."""
    ran = run(*words)  # type: ignore[operator]
    assert ran.code == code, ran.err
    assert ran.out == ""
    sentence = ran.err.strip()
    assert len(sentence) < 2000
    return str(sentence)


def good(run: object, *words: str) -> Ran:
    ran: Ran = run(*words)  # type: ignore[operator]
    assert ran.code == 0, ran.err
    return ran


# --- what works ------------------------------------------------------------------------------------------------------------


def test_a_day_at_the_terminal(home: Path, run: object) -> None:
    """Without this an operator meets the first surprise on the first day."""
    write_report(home, "harbor", at("2026-03-02", "09:00"), [Claim("C-1", at("2026-03-02", "08:30"))])
    write_report(home, "pine", at("2026-03-02", "09:00"), [])
    assert good(run, "sweep", "--now", "2026-03-02T09:00:00-05:00", "--json").lines()[0]["opened"] == 0
    swept = good(run, "sweep", "--now", NOON, "--json").lines()[0]
    assert (swept["opened"], swept["advanced"]) == (1, 1)
    assert good(run, "evidence", "verify", "--json").lines()[0]["ok"] is True
    assert any(line["what"] == "nudge found" for line in good(run, "evidence", "show", "--json").lines())
    exported = good(run, "evidence", "export").lines()
    assert exported[0]["format"] == "holdfast-ledger/1"
    assert {line["kind"] for line in good(run, "digest", "--json").lines()} == {"digest"}
    answer = good(run, "ask", "How do I post an ERA?", "--as", "bea", "--json").lines()[0]
    assert answer["kind"] == "answer"
    good(run, "check", "--json")
    good(run, "migrate")
    saved = home.parent / "saved.zip"
    good(run, "backup", str(saved))
    good(run, "restore", str(saved), "--force")
    assert good(run, "evidence", "verify", "--json").lines()[0]["ok"] is True


def test_json_stands_alone_on_stdout(home: Path, run: object) -> None:
    """Without this a program that reads us stops at the first friendly word."""
    report = write_report(home, "harbor", at("2026-03-02", "09:00"), [Claim("C-1", at("2026-03-02", "08:30"))])
    for words in (
        ["sweep", "--now", NOON], ["digest"], ["ask", "How do I post an ERA?"], ["check"], ["evidence", "show"],
        ["evidence", "verify"], ["ingest", str(STARTER)], ["feed", "csv_file", str(report)],
        ["feed", "csv_file", str(report), "--map", str(home / "maps/claims.toml")],
    ):  # fmt: skip
        assert good(run, *words, "--json").lines(), words
        assert not good(run, *words).out.startswith("{"), words
    unwell = run("health", "--json")  # type: ignore[operator]
    assert unwell.lines()[0]["stale"]


@pytest.mark.parametrize(
    "words",
    [
        [], ["nonsense"], ["demo", "--json"], ["sweep", "--now", "yesterday"], ["sweep", "--now", "2026-03-02T09:00"],
        ["search"], ["evidence", "improve"], ["evidence", "show", "--last", "0"], ["feed", "csv_file"], ["ingest"],
        ["search", "--library", ".", "--batch", "x", "--k", "many"],
        ["feed", "csv_file", "pyproject.toml", "--zone", "Mars/North"],
        ["feed", "csv_file", "pyproject.toml", "--zone", "../../etc/passwd"], ["backup"], ["ask"],
    ],
)  # fmt: skip
def test_bad_usage_ends_with_2(home: Path, run: object, words: list[str]) -> None:
    """Without this a typo in a script looks like a fault, or like success."""
    ran = run(*words)  # type: ignore[operator]
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.strip()


# --- files that cannot be used ---------------------------------------------------------------------------------------------

BINARY = bytes(range(256)) * 64
SPOILED: dict[str, bytes | None] = {
    "missing": None,
    "empty": b"",
    "binary": BINARY,
    "utf-16": PRACTICE.encode("utf-16"),
    "no toml": b"[people.bea\nname = ",
    "a list": b"sites = 3\npeople = []\norganisation = 'x'\nfeeds = 3\n",
    "nested": b"a = " + b"[" * 5000,
    "huge": b"# " + b"x" * 6_000_000 + b"\n[[",
}


@pytest.mark.parametrize("spoiled", SPOILED)
@pytest.mark.parametrize("command", [["sweep", "--now", NOON], ["check"], ["digest"], ["health"], ["ask", "What now?"]])
def test_a_practice_file_that_cannot_be_used_is_said_in_a_sentence(
    home: Path, run: object, spoiled: str, command: list[str]
) -> None:
    """Without this a mistyped bracket greets an office manager with a traceback."""
    file, content = home / "practice.toml", SPOILED[spoiled]
    file.unlink() if content is None else file.write_bytes(content)
    ran = run(*command)  # type: ignore[operator]
    assert ran.code == 1
    assert "practice.toml" in ran.out + ran.err


FEEDS = [name for name in SPOILED if name not in ("missing", "empty")]


@pytest.mark.parametrize("spoiled", FEEDS)
@pytest.mark.parametrize("command", [["sweep", "--now", NOON], ["check"]])
def test_a_feeds_file_that_cannot_be_used_is_said_in_a_sentence(
    home: Path, run: object, spoiled: str, command: list[str]
) -> None:
    """Without this a mistyped feed stops everything without saying which line."""
    (home / "feeds.toml").write_bytes(SPOILED[spoiled] or b"")
    ran = run(*command)  # type: ignore[operator]
    assert ran.code == 1
    assert "feeds.toml" in ran.out + ran.err


def test_a_word_that_nothing_reads_is_named_by_check(home: Path, run: object) -> None:
    """Without this `stale_aftr` quietly means 26 hours, and a chat address that no platform knows reaches nobody."""
    feeds = home / "feeds.toml"
    feeds.write_text(feeds.read_text().replace("connector", 'stale_aftr = "9 h"\nconnector', 1))
    (home / "practice.toml").write_text(PRACTICE + '\n[chat.pigeons]\nP1 = "bea"\n')
    ran = run("check")  # type: ignore[operator]
    assert ran.code == 1
    assert "'stale_aftr'" in ran.out
    assert "'pigeons'" in ran.out


def test_without_feeds_there_is_nothing_to_read_and_that_is_fine(home: Path, run: object) -> None:
    """Without this a practice cannot begin with its SOPs alone."""
    (home / "feeds.toml").unlink()
    good(run, "sweep", "--now", NOON)


MISTAKES = {
    "unknown role": ('roles = ["rcm_specialist@*"]', 'roles = ["wizard@*"]', "wizard"),
    "unknown site": ('roles = ["rcm_specialist@*"]', 'roles = ["rcm_specialist@moon"]', "moon"),
    "a circle of cover": ('roles = ["rcm_specialist@*"]', 'roles = ["rcm_specialist@*"]\ncover = ["rae"]', "rae"),
    "unknown manager": ('manager = "mona"', 'manager = "ghost"', "ghost"),
    "unknown zone": ('"America/Denver"', '"America/Atlantis"', "Atlantis"),
    "no hours": ('hours = { mon-fri = "08:00-17:00" }', 'hours = { mon-fri = "17:00-08:00" }', "hours"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_practice_file_is_named_with_its_line(home: Path, run: object, mistake: str) -> None:
    """Without this people search a file of two hundred lines for one word."""
    old, new, names = MISTAKES[mistake]
    (home / "practice.toml").write_text(PRACTICE.replace(old, new))
    assert names in bad(run, "sweep", "--now", NOON)
    ran = run("check")  # type: ignore[operator]
    assert ran.code == 1
    assert "practice.toml:" in ran.out


def test_a_rule_whose_step_was_removed_is_refused_by_name(home: Path, run: object, tmp_path: Path) -> None:
    """Without this editing an SOP switches a rule off and nobody notices."""
    text = (STARTER / "billing-claims.md").read_text()
    assert "version: 1" in text
    without = text.replace("version: 1", "version: 2", 1).replace("work-claims-daily", "look-at-claims-daily")
    (tmp_path / "billing-claims.md").write_text(without)
    said = good(run, "ingest", str(tmp_path / "billing-claims.md"), "--publish")
    assert "work-claims-daily" in said.out
    ran = run("check")  # type: ignore[operator]
    assert ran.code == 1
    assert "claim_untouched" in ran.out
    assert "billing-claims#work-claims-daily" in ran.out
    swept = good(run, "sweep", "--now", NOON)
    assert "Traceback" not in swept.out


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.md", b""), ("binary.md", BINARY), ("utf-16.md", "# Über".encode("utf-16")), ("no-front.md", b"# Steps\n"),
        ("bad-front.md", b"---\nid: [\n---\n"), ("open-front.md", b"---\nid: x\n"),
        ("deep.md", b"---\na: " + b"[" * 3000 + b"\n---\n"),
        ("huge.md", b"---\nid: huge\n---\n" + b"word " * 1_500_000), ("odd.xyz", b"hello"),
    ],
)  # fmt: skip
def test_an_sop_file_that_cannot_be_used_is_named_and_the_others_go_on(
    home: Path, run: object, tmp_path: Path, name: str, content: bytes
) -> None:
    """Without this one bad file in a folder loses forty good ones."""
    folder = tmp_path / "sops"
    folder.mkdir()
    (folder / name).write_bytes(content)
    shutil.copyfile(STARTER / "sop-exceptions.md", folder / "sop-exceptions.md")
    ran = run("ingest", str(folder))  # type: ignore[operator]
    assert ran.code in (0, 1)
    assert "sop-exceptions" in ran.out
    assert name in ran.out


def test_an_sop_path_that_is_not_there_is_said(home: Path, run: object) -> None:
    """Without this a mistyped folder looks like a folder with nothing in it."""
    ran = run("ingest", "/nowhere/at/all")  # type: ignore[operator]
    assert ran.code == 1
    assert "/nowhere/at/all" in ran.out + ran.err


@pytest.mark.parametrize("connector", ["csv_file", "era835", "no_such"])
@pytest.mark.parametrize("content", [None, b"", BINARY, b"ISA*00*", b"a,b\n1,2\n", b"\x00" * 4096])
def test_feed_on_anything_ends_in_lines_or_a_sentence(
    home: Path, run: object, tmp_path: Path, connector: str, content: bytes | None
) -> None:
    """Without this somebody who tries a file learns only that we break."""
    path = tmp_path / "given"
    if content is not None:
        path.write_bytes(content)
    ran = run("feed", connector, str(path), "--json")  # type: ignore[operator]
    ran.lines()
    assert ran.code in (0, 1)
    if content is None or connector == "no_such":
        assert ran.code == 1


def test_a_map_that_cannot_be_used_is_named(home: Path, run: object, tmp_path: Path) -> None:
    """Without this a mistake in a column map is looked for in the report."""
    report = write_report(home, "harbor", at("2026-03-02", "09:00"), [])
    for content in (None, b"", BINARY, b"kind = 'claim'\n[keys\n", b"kind = 'dragon'\n"):
        given = tmp_path / "map.toml"
        given.unlink(missing_ok=True)
        if content is not None:
            given.write_bytes(content)
        assert "map.toml" in bad(run, "feed", "csv_file", str(report), "--map", str(given))
    (home / "maps" / "claims.toml").write_bytes(BINARY)
    ran = run("sweep", "--now", NOON, "--json")  # type: ignore[operator]
    assert "claims.toml" in ran.out + ran.err


def test_restore_of_anything_else_is_refused_and_changes_nothing(home: Path, run: object, tmp_path: Path) -> None:
    """Without this restoring the wrong file ends with neither the old nor the new."""
    before = (home / "holdfast.sqlite").read_bytes()
    for content in (None, b"", BINARY, b"PK\x05\x06" + b"\0" * 18):
        given = tmp_path / "given.zip"
        given.unlink(missing_ok=True)
        if content is not None:
            given.write_bytes(content)
        assert "given.zip" in bad(run, "restore", str(given), "--force")
    assert (home / "holdfast.sqlite").read_bytes() == before


def test_search_on_anything_ends_in_a_sentence(home: Path, run: object, tmp_path: Path) -> None:
    """Without this a batch with one bad line is a traceback."""
    batch = tmp_path / "q.jsonl"
    assert "not a folder" in bad(run, "search", "--library", str(tmp_path / "no"), "--batch", str(batch))
    assert "q.jsonl" in bad(run, "search", "--library", str(tmp_path), "--batch", str(batch))
    for line in (b"not json", b'{"id": 1}', b"[1]", b"3", BINARY):
        batch.write_bytes(line + b"\n")
        assert "q.jsonl" in bad(run, "search", "--library", str(tmp_path), "--batch", str(batch))


# --- an installation that cannot be used -----------------------------------------------------------------------------------


def test_an_empty_home_has_an_empty_ledger(tmp_path: Path, run: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this the first look at a new installation is an error."""
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "new"))
    assert good(run, "evidence", "verify", "--json").lines()[0]["rows"] == 0
    good(run, "evidence", "show")
    good(run, "evidence", "export")
    assert "practice.toml" in bad(run, "sweep", "--now", NOON)
    assert "practice.toml" in bad(run, "run")
    assert "practice.toml" in bad(run, "clock")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOLDFAST_PORT", "ninety"), ("HOLDFAST_PORT", "70000"), ("HOLDFAST_PORT", "nan"), ("HOLDFAST_TICK_S", "0"),
        ("HOLDFAST_TICK_S", "inf"), ("HOLDFAST_LOG", "LOUD"), ("HOLDFAST_HOST", "0.0.0.0"), ("DATABASE_URL", "mysql://x/y"),
        ("DATABASE_URL", "nonsense"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_meant_is_named(
    home: Path, run: object, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """Without this a typo in the environment is found by reading our source."""
    monkeypatch.setenv(name, value)
    assert name in bad(run, "sweep", "--now", NOON)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://nobody:secret-word@127.0.0.1:1/none",
        "sqlite:////proc/none/x.sqlite",
        "sqlite:///{home}/practice.toml",
    ],
)
def test_a_database_that_cannot_be_opened_is_said_without_its_password(
    home: Path, run: object, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Without this a wrong address is a page of driver text with the password in it."""
    monkeypatch.setenv("DATABASE_URL", url.replace("{home}", str(home)))
    said = bad(run, "evidence", "verify")
    assert "secret-word" not in said


def test_a_home_that_cannot_be_written_is_said(run: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this a read-only disk is a traceback."""
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file" / "home", Path("/proc/holdfast")):
        monkeypatch.setenv("HOLDFAST_HOME", str(folder))
        assert str(folder) in bad(run, "evidence", "verify")
        assert str(folder) in bad(run, "demo", "--plain")


def test_the_demo_leaves_a_folder_of_other_files_alone(tmp_path: Path, run: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this a demo started in the wrong folder writes over somebody's files."""
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path))
    (tmp_path / "letter.txt").write_text("dear")
    assert "holds other files" in bad(run, "demo", "--plain")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["letter.txt"]


def test_a_port_in_use_is_said(home: Path, run: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this the second start of a page hangs or breaks."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("HOLDFAST_PORT", str(port))
        assert str(port) in bad(run, "web")
        assert str(port) in bad(run, "run")


def test_questions_for_nobody_and_sites_that_are_not_are_said(home: Path, run: object) -> None:
    """Without this a mistyped name is answered as somebody else."""
    assert "nobody-here" in bad(run, "ask", "What now?", "--as", "nobody-here")
    assert "moon" in bad(run, "digest", "--site", "moon")


def test_what_health_and_the_ledger_have_to_say_is_said_in_words(home: Path, run: object) -> None:
    """Without this whoever is called at night reads the name of a variable."""
    write_report(home, "harbor", at("2026-03-02", "09:00"), [Claim("C-1", at("2026-03-02", "08:30"))])
    good(run, "sweep", "--now", NOON)
    unwell = run("health")  # type: ignore[operator]
    assert (unwell.code, "feeds that are too old" in unwell.err, "clock" in unwell.err) == (1, True, True)
    assert not set(unwell.out) & set("[]{}")
    assert "ZZZZZZZZ" in bad(run, "evidence", "show", "--ref", "ZZZZZZZZ")


def test_help_answers_at_once_and_a_closed_pipe_is_no_error(home: Path) -> None:
    """Without this every script pays for imports it does not need, and `| head` ends in a traceback."""
    env = {**os.environ, "HOLDFAST_HOME": str(home)}
    loaded = "import sys, bot.__main__ as m\ntry: m.main(['--help'])\nexcept SystemExit: pass\nprint(sorted(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", loaded], env=env, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0
    for heavy in ("sqlalchemy", "sqlmodel", "fastapi", "starlette", "chromadb", "langchain", "rich", "jinja2", "apscheduler"):
        assert f"'{heavy}'" not in ran.stdout
    piped = f"{sys.executable} -m bot evidence export | head -c 10"
    ran = subprocess.run(["bash", "-c", piped], env=env, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in ran.stderr
